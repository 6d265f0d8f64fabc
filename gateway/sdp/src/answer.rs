//! Answering an offer (RFC 3264 6).

use std::fmt::{self, Write as _};

use sdp_types::Media;
use trunkline_leg::{Codec, MediaSpec, RtcpPath, SrtpSpec};

use crate::crypto::{Crypto, LocalSrtp, redacted};
use crate::error::SdpError;
use crate::local::{Audio, LocalMedia};
use crate::payload::{self, Payload, describe, payloads, printable};
use crate::remote;

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

/// Answers an offer: one live audio line, encrypted where both may, with our most preferred codec that it has, its own
/// payload types, and every other line refused with port 0 (RFC 3264 6).
///
/// # Errors
/// [`SdpError`] names what the offer lacks; [`SdpError::sip_status`] is the status to answer with.
pub fn answer(offer: &str, local: &LocalMedia) -> Result<Answer, SdpError> {
    let session = remote::parse(offer)?;
    let (index, theirs) = remote::audio_line(&session, local.srtp.as_ref())?;
    let audio = &session.medias[index];
    let offered = payloads(audio);
    let (codec, payload_type) =
        chosen(&offered, &local.codecs).ok_or_else(|| SdpError::NoCommonCodec { offered: describe(audio) })?;
    let (remote, held) = remote::address(&session, audio, local.addr)?;
    let (ours, srtp) = keys(theirs, local.srtp.as_ref())?;
    let dtmf = payload::dtmf(&offered, codec.clock_rate()).filter(|_| local.dtmf);
    let media = MediaSpec {
        opus: payload::opus(audio, payload_type),
        dtmf_payload_type: dtmf.map(|(number, _)| number),
        dtmf_clock_rate: dtmf.map_or(codec.clock_rate(), |(_, clock)| clock),
        comfort_noise_payload_type: payload::comfort_noise(&offered, codec).filter(|_| local.comfort_noise),
        ptime_ms: remote::ptime(audio, local.ptime_ms, codec),
        rtcp: remote::rtcp(audio, remote),
        direction: remote::our_direction(&session, audio, held),
        srtp,
        ..MediaSpec::new(codec, payload_type, remote)
    };

    let mut sdp = local.head();
    for (line, other) in session.medias.iter().enumerate() {
        if line == index {
            sdp.push_str(&local.audio(&Audio {
                // The profile is the offer's own (RFC 3264 6); AVPF without feedback attributes is AVP.
                profile: &printable(&other.proto),
                codecs: &[(codec, payload_type)],
                dtmf: dtmf.as_slice(),
                comfort_noise: media.comfort_noise_payload_type.map(|number| (number, codec.clock_rate())),
                ptime_ms: media.ptime_ms,
                direction: media.direction,
                rtcp_mux: media.rtcp == RtcpPath::Multiplexed,
                crypto: ours.as_slice(),
            }));
        } else {
            refused(&mut sdp, other);
        }
    }
    Ok(Answer { sdp, media })
}

/// Our line in answer to theirs, under its tag (RFC 4568 5.1.2), and the keys of both directions.
fn keys(theirs: Option<Crypto>, local: Option<&LocalSrtp>) -> Result<(Option<Crypto>, Option<SrtpSpec>), SdpError> {
    let (Some(theirs), Some(local)) = (theirs, local) else { return Ok((None, None)) };
    let Crypto { tag, suite, key: receive } = theirs;
    let send = local.keys.key(suite).ok_or(SdpError::NoCommonCrypto { offered: suite.name().to_owned() })?;
    Ok((Some(Crypto { tag, suite, key: send.clone() }), Some(SrtpSpec { suite, send, receive })))
}

/// Our most preferred codec that was offered, with the offer's number for it.
pub(crate) fn chosen(offered: &[(u8, Payload)], preferred: &[Codec]) -> Option<(Codec, u8)> {
    preferred.iter().find_map(|codec| Some((*codec, payload::number(offered, Payload::Codec(*codec))?)))
}

/// The line as offered, refused: same media, profile and formats, port 0.
fn refused(sdp: &mut String, media: &Media) {
    let formats: Vec<String> = media.fmt.split_ascii_whitespace().take(64).map(printable).collect();
    let formats = if formats.is_empty() { "0".to_owned() } else { formats.join(" ") };
    let _ = write!(sdp, "m={} 0 {} {formats}\r\n", printable(&media.media), printable(&media.proto));
}
