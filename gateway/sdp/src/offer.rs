//! Offering first: for a call of ours, for an INVITE without a description, whose answer comes in the ACK, and for a
//! re-INVITE without one.

use trunkline_leg::{Codec, Direction, MediaSpec, SrtpSpec, SrtpSuite};

use crate::answer::Lines;
use crate::crypto::Crypto;
use crate::error::SdpError;
use crate::local::{Audio, LocalMedia};
use crate::payload::{self, Numbers, Payload, payloads};
use crate::remote::{self, Description};

/// Payload types of telephone-event in our offers, by clock rate.
const DTMF: [(u8, u32); 3] = [(101, 8000), (102, 16_000), (103, 48_000)];

/// An offer, and what an answer to it is held to.
#[derive(Debug, Clone)]
pub(crate) struct Offered {
    pub(crate) sdp: String,
    lines: Lines,
    payloads: Vec<(u8, Payload)>,
    direction: Direction,
}

impl Offered {
    /// What its numbers stand for.
    pub(crate) fn payloads(&self) -> &[(u8, Payload)] {
        &self.payloads
    }

    /// Its media lines.
    pub(crate) fn into_lines(self) -> Lines {
        self.lines
    }
}

/// An offer of every codec of the list, both ways; of keys for every suite where the trunk takes SRTP, over RTP/SAVP where
/// it requires it.
#[must_use]
pub fn offer(local: &LocalMedia) -> String {
    offer_within(local, &Lines::default(), &Numbers::default()).sdp
}

/// What an answer to [`offer`] settled.
///
/// # Errors
/// [`SdpError`] when the answer refuses the stream, picks what was not offered, or does not parse.
pub fn accept_answer(answer: &str, local: &LocalMedia) -> Result<MediaSpec, SdpError> {
    let offered = offer_within(local, &Lines::default(), &Numbers::default());
    settle(&remote::parse(answer)?, &offered, local)
}

/// An offer in a session that has these media lines already and in which these numbers have a meaning (RFC 3264 8).
pub(crate) fn offer_within(local: &LocalMedia, before: &Lines, numbers: &Numbers) -> Offered {
    let mut numbers = numbers.clone();
    let mut payloads: Vec<(u8, Payload)> = Vec::new();
    let mut number = |payload: Payload, usual: u8| {
        if payloads.iter().any(|(_, offered)| *offered == payload) {
            return None;
        }
        let number = numbers.assign(payload, usual)?;
        payloads.push((number, payload));
        Some(number)
    };
    let codecs: Vec<(Codec, u8)> = local
        .codecs
        .iter()
        .filter_map(|codec| Some((*codec, number(Payload::Codec(*codec), codec.offered_payload_type())?)))
        .collect();
    let clock = |rate: u32| local.codecs.iter().any(|codec| codec.clock_rate() == rate);
    let comfort_noise = (local.comfort_noise && clock(8000))
        .then(|| Some((number(Payload::ComfortNoise(8000), payload::COMFORT_NOISE)?, 8000)))
        .flatten();
    let dtmf: Vec<(u8, u32)> = DTMF
        .into_iter()
        .filter(|(_, rate)| local.dtmf && clock(*rate))
        .filter_map(|(usual, rate)| Some((number(Payload::Dtmf(rate), usual)?, rate)))
        .collect();
    let usual = if local.srtp.as_ref().is_some_and(|srtp| srtp.required) { "RTP/SAVP" } else { "RTP/AVP" };
    let profile = before.profile.clone().unwrap_or_else(|| usual.to_owned());
    let audio = local.audio(&Audio {
        profile: &profile,
        codecs: &codecs,
        dtmf: &dtmf,
        comfort_noise,
        ptime_ms: local.ptime_ms,
        direction: local.direction,
        rtcp_mux: true,
        crypto: &crypto(local),
    });
    let mut lines = Lines { profile: Some(profile), ..before.clone() };
    if lines.refused.is_empty() {
        lines.refused.push("m=audio 0 RTP/AVP 0\r\n".to_owned());
    }
    let sdp = local.head("0 0") + &lines.around(&audio);
    Offered { sdp, lines, payloads, direction: local.direction }
}

/// Our key for every suite, by the tag that the offer gives it.
fn crypto(local: &LocalMedia) -> Vec<Crypto> {
    let keys = local.srtp.iter().flat_map(|srtp| {
        (1..).zip(SrtpSuite::ALL).filter_map(|(tag, suite)| Some(Crypto { tag, suite, key: srtp.keys.key(suite)? }))
    });
    keys.collect()
}

/// What an answer settled (RFC 3264 7).
pub(crate) fn settle(answer: &Description, offered: &Offered, local: &LocalMedia) -> Result<MediaSpec, SdpError> {
    let session = &answer.session;
    if session.medias.len() != offered.lines.refused.len() {
        return Err(SdpError::Mismatch("it has not as many media lines"));
    }
    let audio = session
        .medias
        .get(offered.lines.audio)
        .filter(|audio| audio.media.eq_ignore_ascii_case("audio"))
        .ok_or(SdpError::Mismatch("its media lines are in another order"))?;
    if audio.port == 0 {
        return Err(SdpError::Mismatch("it refuses the audio"));
    }
    let srtp = srtp(audio, local)?;
    let answered: Vec<(u8, Payload)> = payloads(audio);
    let same: Vec<(u8, Payload)> =
        answered.iter().filter(|payload| offered.payloads.contains(payload)).copied().collect();
    // The answerer puts the codec it prefers first; that one is sent (RFC 3264 6.1).
    let codec = same.iter().find_map(|(number, payload)| match payload {
        Payload::Codec(codec) => Some((*codec, *number)),
        Payload::Dtmf(_) | Payload::ComfortNoise(_) | Payload::Other => None,
    });
    let ours = |payload: &Payload| offered.payloads.iter().any(|(_, offered)| offered == payload);
    let renumbered = || answered.iter().any(|(_, payload)| matches!(payload, Payload::Codec(_)) && ours(payload));
    let (codec, payload_type) = codec.ok_or_else(|| {
        SdpError::Mismatch(if renumbered() {
            "it gives the codecs other payload types than the offer"
        } else {
            "it has no codec that was offered"
        })
    })?;
    let (remote, held) = remote::address(session, audio, local.addr)?;
    let dtmf = payload::dtmf(&same, codec.clock_rate());
    Ok(MediaSpec {
        opus: payload::opus(audio, payload_type),
        dtmf_payload_type: dtmf.map(|(number, _)| number),
        dtmf_clock_rate: dtmf.map_or(codec.clock_rate(), |(_, clock)| clock),
        comfort_noise_payload_type: payload::comfort_noise(&same, codec),
        ptime_ms: remote::ptime(audio, local.ptime_ms, codec),
        rtcp: remote::rtcp(audio, remote),
        direction: remote::our_direction(session, audio, held, offered.direction),
        srtp,
        ..MediaSpec::new(codec, payload_type, remote)
    })
}

/// The keys of both directions: theirs must be under the tag and of the suite of a line of ours (RFC 4568 5.1.3).
fn srtp(audio: &sdp_types::Media, local: &LocalMedia) -> Result<Option<SrtpSpec>, SdpError> {
    let secure = remote::is_secure(audio);
    let Some(policy) = &local.srtp else {
        return if secure { Err(SdpError::Mismatch("it is encrypted, which was not offered")) } else { Ok(None) };
    };
    let ours = crypto(local);
    let taken = crate::crypto::all_usable(audio)
        .find_map(|theirs| Some((ours.iter().find(|own| (own.tag, own.suite) == (theirs.tag, theirs.suite))?, theirs)));
    match taken {
        Some((own, theirs)) => Ok(Some(SrtpSpec { suite: own.suite, send: own.key.clone(), receive: theirs.key })),
        None if secure => Err(SdpError::Mismatch("its a=crypto answers none that was offered")),
        None if policy.required => Err(SdpError::Mismatch("it is not encrypted, though that is required")),
        None => Ok(None),
    }
}
