//! Offering first: an INVITE without a description gets our offer in the answer, theirs comes in the ACK.

use trunkline_leg::{Codec, Direction, MediaSpec};

use crate::answer::chosen;
use crate::error::SdpError;
use crate::local::LocalMedia;
use crate::payload::{Payload, payloads};
use crate::remote;

/// Payload type of telephone-event in our offers.
const DTMF_PAYLOAD_TYPE: u8 = 101;

/// An offer of every codec of the list, both ways.
#[must_use]
pub fn offer(local: &LocalMedia) -> String {
    let codecs: Vec<(Codec, u8)> =
        local.codecs.iter().filter_map(|codec| Some((*codec, codec.static_payload_type()?))).collect();
    let dtmf = local.dtmf.then_some(DTMF_PAYLOAD_TYPE);
    local.head() + &local.audio("RTP/AVP", &codecs, dtmf, local.ptime_ms, Direction::SendRecv)
}

/// What an answer to [`offer`] settled.
///
/// # Errors
/// [`SdpError`] when the answer refuses the stream, picks what was not offered, or does not parse.
pub fn accept_answer(answer: &str, local: &LocalMedia) -> Result<MediaSpec, SdpError> {
    let session = remote::parse(answer)?;
    let [audio] = session.medias.as_slice() else {
        return Err(SdpError::Mismatch("it should have exactly one media line"));
    };
    if audio.port == 0 {
        return Err(SdpError::Mismatch("it refuses the audio"));
    }
    remote::audio_line(&session)?;
    let answered = payloads(audio);
    // The answerer puts the codec it prefers first; that one is sent (RFC 3264 6.1).
    let theirs: Vec<Codec> = answered
        .iter()
        .filter_map(|(_, payload)| match payload {
            Payload::Codec(codec) if local.codecs.contains(codec) => Some(*codec),
            Payload::Codec(_) | Payload::Dtmf | Payload::Other => None,
        })
        .collect();
    let (codec, payload_type) =
        chosen(&answered, &theirs).ok_or(SdpError::Mismatch("it has no codec that was offered"))?;
    let dtmf_payload_type = answered
        .iter()
        .find(|(_, payload)| *payload == Payload::Dtmf)
        .map(|(number, _)| *number)
        .filter(|_| local.dtmf);
    let (remote, held) = remote::address(&session, audio, local.addr)?;
    let direction = match remote::mirrored(remote::direction(&session, audio)) {
        Direction::SendRecv | Direction::RecvOnly if held => Direction::RecvOnly,
        Direction::SendOnly if held => Direction::Inactive,
        direction => direction,
    };
    let ptime_ms = remote::ptime(audio, local.ptime_ms);
    Ok(MediaSpec { codec, payload_type, dtmf_payload_type, ptime_ms, remote, direction })
}
