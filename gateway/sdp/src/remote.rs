//! Reading the far end's description: which line is the audio, its address, direction and packet time, and whether its o=
//! line tells the truth.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sdp_types::{Attribute, Connection, Media, Session};
use trunkline_leg::{Codec, Direction, RtcpPath};

use crate::crypto::{self, Crypto};
use crate::direction;
use crate::error::SdpError;
use crate::local::{LocalMedia, MAX_SDP};
use crate::payload::{self, Payload, payloads, printable};
use crate::revision::Origin;

/// Most media lines read.
const MAX_MEDIA: usize = 32;

/// A description of the far end, as far as it matters here.
#[derive(Debug)]
pub(crate) struct Description {
    /// Its c=, m= and a= lines.
    pub(crate) session: Session,
    /// Its o= line.
    pub(crate) origin: Option<Origin>,
    /// What its first t= line says; the answer says the same (RFC 3264 6).
    pub(crate) time: String,
    /// Of everything but the o= line.
    pub(crate) fingerprint: u64,
}

/// Parses within bounds. Lines that say nothing about where sound goes and how are not looked into: what is wrong with them
/// is no reason to refuse a call.
pub(crate) fn parse(text: &str) -> Result<Description, SdpError> {
    if text.len() > MAX_SDP {
        return Err(SdpError::TooLarge);
    }
    let mut told = String::with_capacity(text.len());
    let (mut origin, mut time) = (None, None);
    let mut fingerprint = DefaultHasher::new();
    for line in text.lines() {
        match line.split_at_checked(2) {
            Some(("o=", value)) => {
                origin.get_or_insert_with(|| Origin::parse(value));
                continue;
            }
            Some(("t=", value)) => {
                time.get_or_insert_with(|| value.trim().to_owned());
            }
            // Fields are apart by one space (RFC 8866 5), or by more.
            Some(("m=", value)) => {
                if !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
                    return Err(SdpError::Syntax(format!("`m={}` is no media line", printable(value))));
                }
                let fields: Vec<&str> = value.split(' ').filter(|field| !field.is_empty()).collect();
                told.push_str("m=");
                told.push_str(&fields.join(" "));
                told.push_str("\r\n");
            }
            Some(("v=" | "c=" | "a=", _)) => {
                told.push_str(line.trim_end());
                told.push_str("\r\n");
            }
            Some((kind, _)) if kind.ends_with('=') => {}
            _ if line.is_empty() => {}
            _ => return Err(SdpError::Syntax(format!("`{}` is no line of one", printable(line)))),
        }
        line.hash(&mut fingerprint);
    }
    let session = Session::parse(told.as_bytes()).map_err(|error| SdpError::Syntax(error.to_string()))?;
    if session.medias.len() > MAX_MEDIA {
        return Err(SdpError::TooLarge);
    }
    let is_time = |time: &String| {
        let number = |text: &str| (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        time.split_once(' ').is_some_and(|(start, stop)| number(start) && number(stop))
    };
    let time = time.filter(is_time).unwrap_or_else(|| "0 0".to_owned());
    Ok(Description { session, origin: origin.flatten(), time, fingerprint: fingerprint.finish() })
}

/// A media line that can be used.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) index: usize,
    pub(crate) media: &'a Media,
    pub(crate) payloads: Vec<(u8, Payload)>,
    pub(crate) codec: Codec,
    pub(crate) payload_type: u8,
    pub(crate) remote: SocketAddr,
    /// Its address is one to say hold.
    pub(crate) held: bool,
    /// The far end's key.
    pub(crate) crypto: Option<Crypto>,
}

/// The audio line to answer: the first that can be encrypted, where we may, else the first that can be used. The error names
/// what is wrong with the line that came nearest to it.
pub(crate) fn audio_line<'a>(session: &'a Session, local: &LocalMedia) -> Result<Line<'a>, SdpError> {
    let (mut plain, mut nearest) = (None, (0, SdpError::NoAudio));
    for (index, media) in session.medias.iter().enumerate().filter(|(_, media)| media.port != 0) {
        match usable(session, (index, media), local) {
            Ok(line) if line.crypto.is_some() => return Ok(line),
            Ok(line) => drop(plain.get_or_insert(line)),
            Err(error) if nearness(&error) > nearest.0 => nearest = (nearness(&error), error),
            Err(_) => {}
        }
    }
    plain.ok_or(nearest.1)
}

/// How near a line was to being used, by why it was not.
const fn nearness(error: &SdpError) -> u8 {
    match error {
        SdpError::NoCommonCodec { .. } => 5,
        SdpError::Address { .. } => 4,
        SdpError::PlainMedia { .. } | SdpError::NoCommonCrypto { .. } => 3,
        SdpError::SecureMedia { .. } => 2,
        _ => 1,
    }
}

fn usable<'a>(session: &Session, (index, media): (usize, &'a Media), local: &LocalMedia) -> Result<Line<'a>, SdpError> {
    let secure_elsewhere = media.proto.to_ascii_uppercase().contains("SAVP");
    let crypto = match &local.srtp {
        _ if !media.media.eq_ignore_ascii_case("audio") => return Err(unsupported(media)),
        // Keys beside RTP/AVP are a common way to offer both, though RFC 4568 knows them for RTP/SAVP only.
        Some(srtp) if is_plain(media) => match crypto::usable(media) {
            None if srtp.required => return Err(SdpError::PlainMedia { offered: crypto::describe(media) }),
            crypto => crypto,
        },
        None if is_plain(media) => None,
        Some(_) if is_secure(media) => {
            let refused = || SdpError::NoCommonCrypto { offered: crypto::describe(media) };
            Some(crypto::usable(media).ok_or_else(refused)?)
        }
        _ if secure_elsewhere => return Err(SdpError::SecureMedia { profile: printable(&media.proto) }),
        _ => return Err(unsupported(media)),
    };
    let (remote, held) = address(session, media, local.addr)?;
    let payloads = payloads(media);
    let refused = || SdpError::NoCommonCodec { offered: payload::describe(media) };
    let (codec, payload_type) = payload::chosen(&payloads, &local.codecs).ok_or_else(refused)?;
    Ok(Line { index, media, payloads, codec, payload_type, remote, held, crypto })
}

fn unsupported(media: &Media) -> SdpError {
    SdpError::UnsupportedMedia { what: format!("{} over {}", printable(&media.media), printable(&media.proto)) }
}

fn is_plain(media: &Media) -> bool {
    media.proto.eq_ignore_ascii_case("RTP/AVP") || media.proto.eq_ignore_ascii_case("RTP/AVPF")
}

/// Encrypted with keys in the description; those of DTLS (`UDP/TLS/..`) are not.
pub(crate) fn is_secure(media: &Media) -> bool {
    media.proto.eq_ignore_ascii_case("RTP/SAVP") || media.proto.eq_ignore_ascii_case("RTP/SAVPF")
}

/// Where the far end wants RTCP, when it wants media at `remote`. What cannot be used is as if it were not there.
pub(crate) fn rtcp(media: &Media, remote: SocketAddr) -> RtcpPath {
    if media.attributes.iter().any(|attribute| matches!(attribute.attribute.as_str(), "rtcp-mux" | "rtcp-mux-only")) {
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

/// Where the far end wants media, and whether the address is the old way to say hold: `0.0.0.0` (RFC 3264 8.4), `::`, or a
/// name below `invalid` (RFC 6157 5.1).
pub(crate) fn address(session: &Session, media: &Media, local: IpAddr) -> Result<(SocketAddr, bool), SdpError> {
    let expected = if local.is_ipv4() { "IPv4" } else { "IPv6" };
    let connection: Option<&Connection> = media.connections.first().or(session.connection.as_ref());
    let text = connection.map_or("", |connection| connection.connection_address.as_str());
    let refused = |multicast| SdpError::Address { address: printable(text), expected, multicast };
    let name = text.split('/').next().unwrap_or("").trim();
    let nowhere: IpAddr = if local.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let is_invalid = name.rsplit('.').next().is_some_and(|top| top.eq_ignore_ascii_case("invalid"));
    let ip = match name.parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical(),
        Err(_) if is_invalid => nowhere,
        Err(_) => return Err(refused(false)),
    };
    if ip.is_ipv4() != local.is_ipv4() || !is_unicast(ip) {
        return Err(refused(!is_unicast(ip)));
    }
    Ok((SocketAddr::new(ip, media.port), ip.is_unspecified()))
}

fn is_unicast(ip: IpAddr) -> bool {
    !ip.is_multicast() && !matches!(ip, IpAddr::V4(ip) if ip.is_broadcast())
}

/// Ours, given what the far end stated, whether its address says hold, and what we want.
pub(crate) fn our_direction(session: &Session, media: &Media, held: bool, wanted: Direction) -> Direction {
    // The line wins over the session.
    let theirs = stated(&media.attributes).or_else(|| stated(&session.attributes)).unwrap_or_default();
    let ours = direction::common(direction::mirrored(theirs), wanted);
    if held { direction::common(ours, Direction::RecvOnly) } else { ours }
}

fn stated(attributes: &[Attribute]) -> Option<Direction> {
    attributes.iter().find_map(|attribute| direction::of_name(&attribute.attribute))
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
