//! Offering first: an INVITE without a description gets our offer in the answer, theirs comes in the ACK.

use trunkline_leg::{Codec, Direction, MediaSpec, SrtpSpec, SrtpSuite};

use crate::answer::chosen;
use crate::crypto::Crypto;
use crate::error::SdpError;
use crate::local::{Audio, LocalMedia};
use crate::payload::{self, Payload, payloads};
use crate::remote;

/// Payload types of telephone-event in our offers, by clock rate.
const DTMF: [(u8, u32); 3] = [(101, 8000), (102, 16_000), (103, 48_000)];

/// An offer of every codec of the list, both ways; of keys for every suite where the trunk takes SRTP, over RTP/SAVP where
/// it requires it.
#[must_use]
pub fn offer(local: &LocalMedia) -> String {
    let codecs: Vec<(Codec, u8)> = local.codecs.iter().map(|codec| (*codec, codec.offered_payload_type())).collect();
    let clock = |rate: u32| local.codecs.iter().any(|codec| codec.clock_rate() == rate);
    let dtmf: Vec<(u8, u32)> = DTMF.into_iter().filter(|(_, rate)| local.dtmf && clock(*rate)).collect();
    let crypto: Vec<Crypto> = local
        .srtp
        .iter()
        .flat_map(|srtp| {
            (1..).zip(SrtpSuite::ALL).filter_map(|(tag, suite)| Some(Crypto { tag, suite, key: srtp.keys.key(suite)? }))
        })
        .collect();
    let audio = Audio {
        profile: if local.srtp.as_ref().is_some_and(|srtp| srtp.required) { "RTP/SAVP" } else { "RTP/AVP" },
        codecs: &codecs,
        dtmf: &dtmf,
        comfort_noise: (local.comfort_noise && clock(8000)).then_some((payload::COMFORT_NOISE, 8000)),
        ptime_ms: local.ptime_ms,
        direction: Direction::SendRecv,
        rtcp_mux: true,
        crypto: &crypto,
    };
    local.head() + &local.audio(&audio)
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
    let (_, crypto) = remote::audio_line(&session, local.srtp.as_ref())?;
    let srtp = crypto.and_then(|Crypto { suite, key: receive, .. }| {
        Some(SrtpSpec { suite, send: local.srtp.as_ref()?.keys.key(suite)?, receive })
    });
    let answered = payloads(audio);
    // The answerer puts the codec it prefers first; that one is sent (RFC 3264 6.1).
    let theirs: Vec<Codec> = answered
        .iter()
        .filter_map(|(_, payload)| match payload {
            Payload::Codec(codec) if local.codecs.contains(codec) => Some(*codec),
            Payload::Codec(_) | Payload::Dtmf(_) | Payload::ComfortNoise(_) | Payload::Other => None,
        })
        .collect();
    let (codec, payload_type) =
        chosen(&answered, &theirs).ok_or(SdpError::Mismatch("it has no codec that was offered"))?;
    let (remote, held) = remote::address(&session, audio, local.addr)?;
    let dtmf = payload::dtmf(&answered, codec.clock_rate()).filter(|_| local.dtmf);
    Ok(MediaSpec {
        opus: payload::opus(audio, payload_type),
        dtmf_payload_type: dtmf.map(|(number, _)| number),
        dtmf_clock_rate: dtmf.map_or(codec.clock_rate(), |(_, clock)| clock),
        comfort_noise_payload_type: payload::comfort_noise(&answered, codec).filter(|_| local.comfort_noise),
        ptime_ms: remote::ptime(audio, local.ptime_ms, codec),
        rtcp: remote::rtcp(audio, remote),
        direction: remote::our_direction(&session, audio, held),
        srtp,
        ..MediaSpec::new(codec, payload_type, remote)
    })
}
