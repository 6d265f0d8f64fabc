//! Payload types of a media line: what each number of the format list means (RFC 3551, RFC 4733).

use sdp_types::Media;
use trunkline_leg::Codec;

/// What a payload type stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    /// A codec we know.
    Codec(Codec),
    /// telephone-event at 8 kHz.
    Dtmf,
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
        let mono = rest.next().is_none_or(|channels| channels.trim() == "1");
        if name.eq_ignore_ascii_case("telephone-event") {
            return if rate == Some(8000) { Payload::Dtmf } else { Payload::Other };
        }
        return match name.parse::<Codec>() {
            Ok(codec) if rate == Some(codec.clock_rate()) && mono => Payload::Codec(codec),
            Ok(_) | Err(_) => Payload::Other,
        };
    }
    [Codec::Pcmu, Codec::Pcma]
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
        .filter_map(|attribute| attribute.value.as_deref()?.split_once(' '))
        .find(|(payload_type, _)| payload_type.trim().parse() == Ok(number))
        .map(|(_, mapping)| mapping.trim().split_once('/').unwrap_or((mapping.trim(), "")))
}
