//! Answering an offer (RFC 3264 6).

use std::fmt::Write as _;

use sdp_types::Media;
use trunkline_leg::{Codec, Direction, MediaSpec};

use crate::error::SdpError;
use crate::local::LocalMedia;
use crate::payload::{Payload, describe, payloads, printable};
use crate::remote;

/// An answer and what it settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The description to send.
    pub sdp: String,
    /// What media does.
    pub media: MediaSpec,
}

/// Answers an offer: the first live audio line over RTP/AVP with our most preferred codec that it has, its own payload
/// types, and every other line refused with port 0 (RFC 3264 6).
///
/// # Errors
/// [`SdpError`] names what the offer lacks; [`SdpError::sip_status`] is the status to answer with.
pub fn answer(offer: &str, local: &LocalMedia) -> Result<Answer, SdpError> {
    let session = remote::parse(offer)?;
    let index = remote::audio_line(&session)?;
    let audio = &session.medias[index];
    let offered = payloads(audio);
    let (codec, payload_type) =
        chosen(&offered, &local.codecs).ok_or_else(|| SdpError::NoCommonCodec { offered: describe(audio) })?;
    let dtmf_payload_type = if local.dtmf {
        offered.iter().find(|(_, payload)| *payload == Payload::Dtmf).map(|(number, _)| *number)
    } else {
        None
    };
    let (remote, held) = remote::address(&session, audio, local.addr)?;
    let direction = match remote::mirrored(remote::direction(&session, audio)) {
        Direction::SendRecv | Direction::RecvOnly if held => Direction::RecvOnly,
        Direction::SendOnly if held => Direction::Inactive,
        direction => direction,
    };
    let ptime_ms = remote::ptime(audio, local.ptime_ms);

    let mut sdp = local.head();
    for (line, media) in session.medias.iter().enumerate() {
        if line == index {
            // The profile is the offer's own (RFC 3264 6); AVPF without feedback attributes is AVP.
            let profile = printable(&media.proto);
            sdp.push_str(&local.audio(&profile, &[(codec, payload_type)], dtmf_payload_type, ptime_ms, direction));
        } else {
            refused(&mut sdp, media);
        }
    }
    let media = MediaSpec { codec, payload_type, dtmf_payload_type, ptime_ms, remote, direction };
    Ok(Answer { sdp, media })
}

/// Our most preferred codec that was offered, with the offer's number for it.
pub(crate) fn chosen(offered: &[(u8, Payload)], preferred: &[Codec]) -> Option<(Codec, u8)> {
    preferred.iter().find_map(|codec| {
        offered
            .iter()
            .find(|(_, payload)| *payload == Payload::Codec(*codec))
            .map(|(payload_type, _)| (*codec, *payload_type))
    })
}

/// The line as offered, refused: same media, profile and formats, port 0.
fn refused(sdp: &mut String, media: &Media) {
    let formats: Vec<String> = media.fmt.split_ascii_whitespace().take(64).map(printable).collect();
    let formats = if formats.is_empty() { "0".to_owned() } else { formats.join(" ") };
    let _ = write!(sdp, "m={} 0 {} {formats}\r\n", printable(&media.media), printable(&media.proto));
}
