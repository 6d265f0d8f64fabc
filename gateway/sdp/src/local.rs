//! Our side of a session, and the description that presents it.

use std::fmt::Write as _;
use std::net::IpAddr;

use trunkline_leg::{Codec, Direction};

use crate::crypto::{self, Crypto, LocalSrtp};
use crate::opus;

/// Largest description read, in bytes.
pub const MAX_SDP: usize = 8 * 1024;

/// Our side of the one audio stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalMedia {
    /// Address that media is received at.
    pub addr: IpAddr,
    /// RTP port; RTCP is on the next one, or here when the far end multiplexes.
    pub port: u16,
    /// Codecs in order of preference; at least one.
    pub codecs: Vec<Codec>,
    /// Whether telephone-event (RFC 4733) is taken.
    pub dtmf: bool,
    /// Whether comfort noise (RFC 3389) is taken.
    pub comfort_noise: bool,
    /// SRTP with keys in the description (RFC 4568); `None` is plain media only.
    pub srtp: Option<LocalSrtp>,
    /// `sess-id` of the o= line (RFC 8866 5.2); the same for the call's life.
    pub session_id: u64,
    /// `sess-version` of the o= line; grows when the description changes.
    pub version: u64,
    /// Preferred packet time in milliseconds, 10..=60.
    pub ptime_ms: u8,
    /// The directions we want; an answer has what the offer allows of them.
    pub direction: Direction,
}

/// What the audio section of a description says beside our address.
#[derive(Debug)]
pub(crate) struct Audio<'a> {
    /// Transport profile.
    pub(crate) profile: &'a str,
    pub(crate) codecs: &'a [(Codec, u8)],
    /// telephone-event: payload types and their clock rates.
    pub(crate) dtmf: &'a [(u8, u32)],
    /// Comfort noise: payload type and clock rate.
    pub(crate) comfort_noise: Option<(u8, u32)>,
    pub(crate) ptime_ms: u8,
    pub(crate) direction: Direction,
    pub(crate) rtcp_mux: bool,
    pub(crate) crypto: &'a [Crypto],
}

impl LocalMedia {
    /// Plain G.711 with digits at an address, in packets of 20 ms: version 1 of session 1.
    #[must_use]
    pub fn new(addr: IpAddr, port: u16) -> Self {
        Self {
            addr,
            port,
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            dtmf: true,
            comfort_noise: true,
            srtp: None,
            session_id: 1,
            version: 1,
            ptime_ms: 20,
            direction: Direction::SendRecv,
        }
    }

    /// Everything up to and including t=, which says `time`.
    pub(crate) fn head(&self, time: &str) -> String {
        let (family, addr) = (family(self.addr), self.addr);
        format!(
            "v=0\r\no=trunkline {} {} IN {family} {addr}\r\ns=-\r\nc=IN {family} {addr}\r\nt={time}\r\n",
            self.session_id, self.version
        )
    }

    /// The audio section.
    pub(crate) fn audio(&self, audio: &Audio<'_>) -> String {
        let mut text = format!("m=audio {} {}", self.port, audio.profile);
        let codecs = audio.codecs.iter().map(|(_, number)| *number);
        let others = audio.comfort_noise.iter().chain(audio.dtmf).map(|(number, _)| *number);
        for number in codecs.chain(others) {
            let _ = write!(text, " {number}");
        }
        text.push_str("\r\n");
        for (codec, number) in audio.codecs {
            let _ = write!(text, "a=rtpmap:{number} {}/{}", codec.name(), codec.clock_rate());
            if codec.rtpmap_channels() > 1 {
                let _ = write!(text, "/{}", codec.rtpmap_channels());
            }
            text.push_str("\r\n");
            if *codec == Codec::Opus {
                let _ = write!(text, "a=fmtp:{number} {}\r\n", opus::ours());
            }
        }
        if let Some((number, clock)) = audio.comfort_noise {
            let _ = write!(text, "a=rtpmap:{number} CN/{clock}\r\n");
        }
        for (number, clock) in audio.dtmf {
            let _ = write!(text, "a=rtpmap:{number} telephone-event/{clock}\r\na=fmtp:{number} 0-15\r\n");
        }
        let most = audio.codecs.iter().map(|(codec, _)| codec.max_ptime_ms()).min().unwrap_or(60);
        let _ = write!(text, "a=ptime:{}\r\na=maxptime:{most}\r\na={}\r\n", audio.ptime_ms, audio.direction.name());
        if audio.rtcp_mux {
            text.push_str("a=rtcp-mux\r\n");
        }
        for line in audio.crypto {
            crypto::write(&mut text, line);
        }
        text
    }
}

pub(crate) const fn family(addr: IpAddr) -> &'static str {
    if addr.is_ipv4() { "IP4" } else { "IP6" }
}
