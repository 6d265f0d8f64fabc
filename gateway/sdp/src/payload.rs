//! Payload types of a media line: what each number of the format list means (RFC 3551, RFC 4733, RFC 3389).

use std::collections::BTreeMap;

use sdp_types::Media;
use trunkline_leg::{Codec, OpusParameters};

use crate::opus;

/// The static payload type of comfort noise at 8 kHz (RFC 3389 4).
pub(crate) const COMFORT_NOISE: u8 = 13;

/// What a payload type stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    /// A codec we know.
    Codec(Codec),
    /// telephone-event with timestamps at this rate in Hz.
    Dtmf(u32),
    /// Comfort noise with timestamps at this rate in Hz.
    ComfortNoise(u32),
    /// Anything else.
    Other,
}

/// The line's payload types in the offerer's order, at most 64, each once.
pub(crate) fn payloads(media: &Media) -> Vec<(u8, Payload)> {
    let mut found: Vec<(u8, Payload)> = Vec::new();
    for format in media.fmt.split_ascii_whitespace().take(64) {
        let Ok(number) = format.parse::<u8>() else { continue };
        if number < 128 && !found.iter().any(|(seen, _)| *seen == number) {
            found.push((number, meaning(media, number)));
        }
    }
    found
}

/// Our most preferred codec that was offered, with the offer's number for it.
pub(crate) fn chosen(offered: &[(u8, Payload)], preferred: &[Codec]) -> Option<(Codec, u8)> {
    preferred.iter().find_map(|codec| Some((*codec, number(offered, Payload::Codec(*codec))?)))
}

/// What payload types stand for in a session, which does not change while it lasts (RFC 3264 8.3.2).
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers(BTreeMap<u8, Payload>);

impl Numbers {
    /// Remembers what numbers stand for; what they stood for before they still do.
    pub(crate) fn learn(&mut self, payloads: &[(u8, Payload)]) {
        for (number, payload) in payloads {
            self.0.entry(*number).or_insert(*payload);
        }
    }

    /// The number for `payload` in an offer of ours: the one it has, else the usual one, else a free one of 96..=127.
    pub(crate) fn assign(&mut self, payload: Payload, usual: u8) -> Option<u8> {
        let own = self.0.iter().find(|(_, known)| **known == payload).map(|(number, _)| *number);
        let free = || std::iter::once(usual).chain(96..=127).find(|number| !self.0.contains_key(number));
        let number = own.or_else(free)?;
        self.0.insert(number, payload);
        Some(number)
    }
}

/// The first number that stands for `payload`.
pub(crate) fn number(payloads: &[(u8, Payload)], payload: Payload) -> Option<u8> {
    payloads.iter().find(|(_, found)| *found == payload).map(|(number, _)| *number)
}

/// telephone-event for sound whose timestamps count `clock` Hz, with its own rate: the same, as RFC 4733 2.1 asks for,
/// else 8000, which phones offer beside every codec.
pub(crate) fn dtmf(payloads: &[(u8, Payload)], clock: u32) -> Option<(u8, u32)> {
    [clock, 8000].into_iter().find_map(|rate| Some((number(payloads, Payload::Dtmf(rate))?, rate)))
}

/// Comfort noise for `codec`.
pub(crate) fn comfort_noise(payloads: &[(u8, Payload)], codec: Codec) -> Option<u8> {
    number(payloads, Payload::ComfortNoise(codec.clock_rate())).filter(|_| codec.takes_comfort_noise())
}

/// What `a=fmtp` of a payload type asks of Opus.
pub(crate) fn opus(media: &Media, number: u8) -> OpusParameters {
    media
        .attributes
        .iter()
        .filter(|attribute| attribute.attribute == "fmtp")
        .filter_map(|attribute| attribute.value.as_deref()?.trim().split_once(' '))
        .find(|(payload_type, _)| payload_type.trim().parse() == Ok(number))
        .map_or_else(OpusParameters::default, |(_, format)| opus::parse(format))
}

/// What was offered, for an operator: encoding names, or numbers where there is no name.
pub(crate) fn describe(media: &Media) -> String {
    let mut names: Vec<String> = media
        .fmt
        .split_ascii_whitespace()
        .take(16)
        .map(|format| {
            format
                .parse()
                .ok()
                .and_then(|number| rtpmap(media, number))
                .map_or_else(|| printable(format), |(name, _)| printable(name))
        })
        .collect();
    names.dedup();
    names.join(", ")
}

/// Keeps a peer's token fit for a message: printable ASCII, at most 32 characters.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(32).collect()
}

fn meaning(media: &Media, number: u8) -> Payload {
    if let Some((name, rest)) = rtpmap(media, number) {
        let mut rest = rest.split('/');
        let rate = rest.next().and_then(|rate| rate.trim().parse::<u32>().ok());
        let channels = rest.next().map_or(Some(1), |channels| channels.trim().parse::<u8>().ok());
        let (Some(rate), Some(channels)) = (rate, channels) else { return Payload::Other };
        if name.eq_ignore_ascii_case("telephone-event") {
            return if matches!(rate, 8000 | 16_000 | 48_000) { Payload::Dtmf(rate) } else { Payload::Other };
        }
        if name.eq_ignore_ascii_case("CN") {
            return if channels == 1 { Payload::ComfortNoise(rate) } else { Payload::Other };
        }
        let known = Codec::ALL.into_iter().find(|codec| {
            let fits = channels == 1 || channels == codec.rtpmap_channels();
            codec.name().eq_ignore_ascii_case(name) && codec.clock_rate() == rate && fits
        });
        return known.map_or(Payload::Other, Payload::Codec);
    }
    if number == COMFORT_NOISE {
        return Payload::ComfortNoise(8000);
    }
    Codec::ALL
        .into_iter()
        .find(|codec| codec.static_payload_type() == Some(number))
        .map_or(Payload::Other, Payload::Codec)
}

/// Name and the rest behind the first slash of `a=rtpmap:<number>`.
fn rtpmap(media: &Media, number: u8) -> Option<(&str, &str)> {
    media
        .attributes
        .iter()
        .filter(|attribute| attribute.attribute == "rtpmap")
        .filter_map(|attribute| attribute.value.as_deref()?.trim().split_once(' '))
        .find(|(payload_type, _)| payload_type.trim().parse() == Ok(number))
        .map(|(_, mapping)| mapping.trim().split_once('/').unwrap_or((mapping.trim(), "")))
}
