//! Reading the far end's description: address, direction, packet time and which line is the audio.

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Attribute, Connection, Media, Session};
use trunkline_leg::{Codec, Direction, RtcpPath};

use crate::crypto::{self, Crypto, LocalSrtp};
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

/// The audio line to answer: the first live one that can be encrypted, where we may, else the first live plain one,
/// where we may. The error names the best reason there is.
pub(crate) fn audio_line(session: &Session, srtp: Option<&LocalSrtp>) -> Result<(usize, Option<Crypto>), SdpError> {
    let live = || session.medias.iter().enumerate().filter(|(_, media)| media.port != 0);
    let audio = || live().filter(|(_, media)| is_audio(media));
    if srtp.is_some() {
        // Keys beside RTP/AVP are a common way to offer both, though RFC 4568 knows them for RTP/SAVP only.
        let mut secure = audio().filter(|(_, media)| is_secure(media) || is_plain(media));
        if let Some((index, crypto)) = secure.find_map(|(index, media)| Some((index, crypto::usable(media)?))) {
            return Ok((index, Some(crypto)));
        }
    }
    let plain = audio().find(|(_, media)| is_plain(media));
    match (plain, srtp) {
        (Some((index, _)), None | Some(LocalSrtp { required: false, .. })) => return Ok((index, None)),
        (Some((_, media)), Some(_)) => return Err(SdpError::PlainMedia { offered: crypto::describe(media) }),
        (None, _) => {}
    }
    match (audio().next(), live().next()) {
        (Some((_, media)), _) if is_secure(media) && srtp.is_some() => {
            Err(SdpError::NoCommonCrypto { offered: crypto::describe(media) })
        }
        (Some((_, media)), _) if media.proto.to_ascii_uppercase().contains("SAVP") => {
            Err(SdpError::SecureMedia { profile: printable(&media.proto) })
        }
        (_, Some((_, media))) => Err(SdpError::UnsupportedMedia {
            what: format!("{} over {}", printable(&media.media), printable(&media.proto)),
        }),
        (_, None) => Err(SdpError::NoAudio),
    }
}

fn is_audio(media: &Media) -> bool {
    media.media.eq_ignore_ascii_case("audio")
}

fn is_plain(media: &Media) -> bool {
    media.proto.eq_ignore_ascii_case("RTP/AVP") || media.proto.eq_ignore_ascii_case("RTP/AVPF")
}

/// Encrypted with keys in the description; those of DTLS (`UDP/TLS/..`) are not.
fn is_secure(media: &Media) -> bool {
    media.proto.eq_ignore_ascii_case("RTP/SAVP") || media.proto.eq_ignore_ascii_case("RTP/SAVPF")
}

/// Where the far end wants RTCP, when it wants media at `remote`. What cannot be used is as if it were not there.
pub(crate) fn rtcp(media: &Media, remote: SocketAddr) -> RtcpPath {
    if media.attributes.iter().any(|attribute| attribute.attribute == "rtcp-mux") {
        return RtcpPath::Multiplexed;
    }
    let value = media.attributes.iter().find(|attribute| attribute.attribute == "rtcp");
    let Some(value) = value.and_then(|attribute| attribute.value.as_deref()) else { return RtcpPath::NextPort };
    let mut words = value.split_ascii_whitespace();
    let Some(port) = words.next().and_then(|port| port.parse::<u16>().ok()).filter(|port| *port != 0) else {
        return RtcpPath::NextPort;
    };
    let ip = match words.nth(2).map(str::parse::<IpAddr>) {
        None => remote.ip(),
        Some(Ok(ip)) if is_unicast(ip) && !ip.is_unspecified() && ip.is_ipv4() == remote.is_ipv4() => ip,
        Some(_) => return RtcpPath::NextPort,
    };
    // Said though it is so anyway: then it is not nailed to an address that a NAT may change.
    if ip == remote.ip() && remote.port().checked_add(1) == Some(port) {
        return RtcpPath::NextPort;
    }
    RtcpPath::At(SocketAddr::new(ip, port))
}

/// Where the far end wants media, and whether the address is the old way to say hold (`0.0.0.0`, RFC 3264 8.4).
pub(crate) fn address(session: &Session, media: &Media, local: IpAddr) -> Result<(SocketAddr, bool), SdpError> {
    let expected = if local.is_ipv4() { "IPv4" } else { "IPv6" };
    let connection: Option<&Connection> = media.connections.first().or(session.connection.as_ref());
    let text = connection.map_or("", |connection| connection.connection_address.as_str());
    let refused = || SdpError::Address { address: printable(text), expected };
    let ip: IpAddr = text.split('/').next().unwrap_or("").trim().parse().map_err(|_| refused())?;
    if ip.is_ipv4() != local.is_ipv4() || !is_unicast(ip) {
        return Err(refused());
    }
    Ok((SocketAddr::new(ip, media.port), ip.is_unspecified()))
}

fn is_unicast(ip: IpAddr) -> bool {
    !ip.is_multicast() && !matches!(ip, IpAddr::V4(ip) if ip.is_broadcast())
}

/// Ours, given what the far end stated and whether its address says hold.
pub(crate) fn our_direction(session: &Session, media: &Media, held: bool) -> Direction {
    match mirrored(direction(session, media)) {
        Direction::SendRecv | Direction::RecvOnly if held => Direction::RecvOnly,
        Direction::SendOnly if held => Direction::Inactive,
        direction => direction,
    }
}

/// The direction the far end stated for the line, from its own point of view; the line wins over the session.
fn direction(session: &Session, media: &Media) -> Direction {
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
const fn mirrored(theirs: Direction) -> Direction {
    match theirs {
        Direction::SendRecv => Direction::SendRecv,
        Direction::SendOnly => Direction::RecvOnly,
        Direction::RecvOnly => Direction::SendOnly,
        Direction::Inactive => Direction::Inactive,
    }
}

/// The packet time to use in milliseconds: theirs if media and the codec do it, within their `maxptime`, else ours.
pub(crate) fn ptime(media: &Media, ours: u8, codec: Codec) -> u8 {
    let number = |name: &str| {
        media
            .attributes
            .iter()
            .find(|attribute| attribute.attribute == name)
            .and_then(|attribute| attribute.value.as_deref()?.trim().split('.').next()?.parse::<u32>().ok())
    };
    let most = number("maxptime").unwrap_or(60).clamp(10, 60);
    let theirs = number("ptime").filter(|ms| (10..=60).contains(ms) && ms % 10 == 0);
    let wanted = theirs.unwrap_or(u32::from(ours)).min(most);
    // The longest of the codec's that is no longer than wanted; 10 ms is everybody's.
    (1..=6_u8)
        .rev()
        .map(|tens| tens * 10)
        .find(|ms| u32::from(*ms) <= wanted && codec.takes_ptime_ms(*ms))
        .unwrap_or(10)
}
