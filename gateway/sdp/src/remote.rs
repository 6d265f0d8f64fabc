//! Reading the far end's description: address, direction, packet time and which line is the audio.

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Attribute, Connection, Media, Session};
use trunkline_leg::Direction;

use crate::error::SdpError;
use crate::local::MAX_SDP;
use crate::payload::printable;

/// Most media lines read.
const MAX_MEDIA: usize = 32;

/// Parses within bounds.
pub(crate) fn parse(text: &str) -> Result<Session, SdpError> {
    if text.len() > MAX_SDP {
        return Err(SdpError::TooLarge);
    }
    let session = Session::parse(text.as_bytes()).map_err(|error| SdpError::Syntax(error.to_string()))?;
    if session.medias.len() > MAX_MEDIA {
        return Err(SdpError::TooLarge);
    }
    Ok(session)
}

/// Index of the audio line to answer: the first live one over plain RTP. The error names the best reason there is.
pub(crate) fn audio_line(session: &Session) -> Result<usize, SdpError> {
    let live = |media: &Media| media.port != 0;
    if let Some(index) = session.medias.iter().position(|media| live(media) && is_audio(media) && is_plain(media)) {
        return Ok(index);
    }
    match session.medias.iter().find(|media| live(media)) {
        Some(media) if is_audio(media) && is_secure(media) => {
            Err(SdpError::SecureMedia { profile: printable(&media.proto) })
        }
        Some(media) => Err(SdpError::UnsupportedMedia {
            what: format!("{} over {}", printable(&media.media), printable(&media.proto)),
        }),
        None => Err(SdpError::NoAudio),
    }
}

fn is_audio(media: &Media) -> bool {
    media.media.eq_ignore_ascii_case("audio")
}

fn is_plain(media: &Media) -> bool {
    media.proto.eq_ignore_ascii_case("RTP/AVP") || media.proto.eq_ignore_ascii_case("RTP/AVPF")
}

fn is_secure(media: &Media) -> bool {
    media.proto.to_ascii_uppercase().contains("SAVP")
}

/// Where the far end wants media, and whether the address is the old way to say hold (`0.0.0.0`, RFC 3264 8.4).
pub(crate) fn address(session: &Session, media: &Media, local: IpAddr) -> Result<(SocketAddr, bool), SdpError> {
    let expected = if local.is_ipv4() { "IPv4" } else { "IPv6" };
    let connection: Option<&Connection> = media.connections.first().or(session.connection.as_ref());
    let text = connection.map_or("", |connection| connection.connection_address.as_str());
    let refused = || SdpError::Address { address: printable(text), expected };
    let ip: IpAddr = text.split('/').next().unwrap_or("").trim().parse().map_err(|_| refused())?;
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    if ip.is_ipv4() != local.is_ipv4() || ip.is_multicast() || broadcast {
        return Err(refused());
    }
    Ok((SocketAddr::new(ip, media.port), ip.is_unspecified()))
}

/// The direction the far end stated for the line, from its own point of view; the line wins over the session.
pub(crate) fn direction(session: &Session, media: &Media) -> Direction {
    stated(&media.attributes).or_else(|| stated(&session.attributes)).unwrap_or_default()
}

fn stated(attributes: &[Attribute]) -> Option<Direction> {
    attributes.iter().find_map(|attribute| match attribute.attribute.as_str() {
        "sendrecv" => Some(Direction::SendRecv),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::RecvOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    })
}

/// Ours, given theirs (RFC 3264 6.1).
pub(crate) const fn mirrored(theirs: Direction) -> Direction {
    match theirs {
        Direction::SendRecv => Direction::SendRecv,
        Direction::SendOnly => Direction::RecvOnly,
        Direction::RecvOnly => Direction::SendOnly,
        Direction::Inactive => Direction::Inactive,
    }
}

/// The packet time to use in milliseconds: theirs if it is one of the multiples of 10 that media does, within their
/// `maxptime`, else ours.
pub(crate) fn ptime(media: &Media, ours: u8) -> u8 {
    let number = |name: &str| {
        media
            .attributes
            .iter()
            .find(|attribute| attribute.attribute == name)
            .and_then(|attribute| attribute.value.as_deref()?.trim().split('.').next()?.parse::<u32>().ok())
    };
    let most = number("maxptime").unwrap_or(60).clamp(10, 60);
    let wanted = number("ptime").filter(|ms| (10..=60).contains(ms) && ms % 10 == 0).unwrap_or(u32::from(ours));
    let chosen = wanted.min(most - most % 10).max(10);
    u8::try_from(chosen).unwrap_or(20)
}
