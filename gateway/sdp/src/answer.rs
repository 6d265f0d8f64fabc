//! Answering an offer (RFC 3264 6).

use std::fmt::{self, Write as _};

use sdp_types::Media;
use trunkline_leg::{MediaSpec, RtcpPath, SrtpSpec};

use crate::crypto::{Crypto, LocalSrtp, redacted};
use crate::error::SdpError;
use crate::local::{Audio, LocalMedia};
use crate::payload::{self, Payload, printable};
use crate::remote::{self, Description};

/// An answer and what it settled.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The description to send. With SRTP it holds our key: it must not be logged.
    pub sdp: String,
    /// What media does.
    pub media: MediaSpec,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("sdp", &redacted(&self.sdp)).field("media", &self.media).finish()
    }
}

/// The media lines of a session, as both sides keep them from one description to the next (RFC 3264 8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    /// Which is the audio.
    pub(crate) audio: usize,
    /// The profile of the audio.
    pub(crate) profile: Option<String>,
    /// Each line, refused; that of the audio is not used.
    pub(crate) refused: Vec<String>,
}

/// An answer with what a session keeps of the exchange.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    pub(crate) lines: Lines,
    pub(crate) payloads: Vec<(u8, Payload)>,
}

/// Answers an offer: one live audio line, encrypted where both may, with our most preferred codec that it has, its own
/// payload types, and every other line refused with port 0 (RFC 3264 6).
///
/// # Errors
/// [`SdpError`] names what the offer lacks; [`SdpError::sip_status`] is the status to answer with.
pub fn answer(offer: &str, local: &LocalMedia) -> Result<Answer, SdpError> {
    Ok(answer_to(&remote::parse(offer)?, local)?.answer)
}

/// Answers an offer that was read.
pub(crate) fn answer_to(offer: &Description, local: &LocalMedia) -> Result<Answered, SdpError> {
    let session = &offer.session;
    let line = remote::audio_line(session, local)?;
    let (codec, audio) = (line.codec, line.media);
    let (ours, srtp) = keys(line.crypto, local.srtp.as_ref())?;
    let dtmf = payload::dtmf(&line.payloads, codec.clock_rate()).filter(|_| local.dtmf);
    let media = MediaSpec {
        opus: payload::opus(audio, line.payload_type),
        dtmf_payload_type: dtmf.map(|(number, _)| number),
        dtmf_clock_rate: dtmf.map_or(codec.clock_rate(), |(_, clock)| clock),
        comfort_noise_payload_type: payload::comfort_noise(&line.payloads, codec).filter(|_| local.comfort_noise),
        ptime_ms: remote::ptime(audio, local.ptime_ms, codec),
        rtcp: remote::rtcp(audio, line.remote),
        direction: remote::our_direction(session, audio, line.held, local.direction),
        srtp,
        ..MediaSpec::new(codec, line.payload_type, line.remote)
    };

    // The profile is the offer's own (RFC 3264 6); AVPF without feedback attributes is AVP.
    let profile = printable(&audio.proto);
    let described = local.audio(&Audio {
        profile: &profile,
        codecs: &[(codec, line.payload_type)],
        dtmf: dtmf.as_slice(),
        comfort_noise: media.comfort_noise_payload_type.map(|number| (number, codec.clock_rate())),
        ptime_ms: media.ptime_ms,
        direction: media.direction,
        rtcp_mux: media.rtcp == RtcpPath::Multiplexed,
        crypto: ours.as_slice(),
    });
    let refused = session.medias.iter().map(refused).collect();
    let lines = Lines { audio: line.index, profile: Some(profile), refused };
    let sdp = local.head(&offer.time) + &lines.around(&described);
    Ok(Answered { answer: Answer { sdp, media }, lines, payloads: line.payloads })
}

impl Lines {
    /// Every media section in order: the audio as described, the others refused.
    pub(crate) fn around(&self, audio: &str) -> String {
        let mut text = String::new();
        for (index, refused) in self.refused.iter().enumerate() {
            text.push_str(if index == self.audio { audio } else { refused });
        }
        text
    }
}

/// Our line in answer to theirs, under its tag (RFC 4568 5.1.2), and the keys of both directions.
fn keys(theirs: Option<Crypto>, local: Option<&LocalSrtp>) -> Result<(Option<Crypto>, Option<SrtpSpec>), SdpError> {
    let (Some(theirs), Some(local)) = (theirs, local) else { return Ok((None, None)) };
    let Crypto { tag, suite, key: receive } = theirs;
    let send = local.keys.key(suite).ok_or(SdpError::NoCommonCrypto { offered: suite.name().to_owned() })?;
    Ok((Some(Crypto { tag, suite, key: send.clone() }), Some(SrtpSpec { suite, send, receive })))
}

/// The line as offered, refused: same media, profile and formats, port 0.
fn refused(media: &Media) -> String {
    let formats: Vec<String> = media.fmt.split_ascii_whitespace().take(64).map(printable).collect();
    let formats = if formats.is_empty() { "0".to_owned() } else { formats.join(" ") };
    let mut text = String::new();
    let _ = write!(text, "m={} 0 {} {formats}\r\n", printable(&media.media), printable(&media.proto));
    text
}
