//! Our side of a session, and the description that presents it.

use std::fmt::Write as _;
use std::net::IpAddr;

use trunkline_leg::{Codec, Direction};

/// Largest description read, in bytes.
pub const MAX_SDP: usize = 8 * 1024;

/// Our side of the one audio stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalMedia {
    /// Address that media is received at.
    pub addr: IpAddr,
    /// RTP port; RTCP is on the next one.
    pub port: u16,
    /// Codecs in order of preference; at least one.
    pub codecs: Vec<Codec>,
    /// Whether telephone-event (RFC 4733) is taken.
    pub dtmf: bool,
    /// `sess-id` of the o= line (RFC 8866 5.2); the same for the call's life.
    pub session_id: u64,
    /// `sess-version` of the o= line; grows when the description changes.
    pub version: u64,
    /// Preferred packet time in milliseconds, 10..=60.
    pub ptime_ms: u8,
}

impl LocalMedia {
    /// Everything up to and including t=.
    pub(crate) fn head(&self) -> String {
        let (family, addr) = (family(self.addr), self.addr);
        format!(
            "v=0\r\no=trunkline {} {} IN {family} {addr}\r\ns=-\r\nc=IN {family} {addr}\r\nt=0 0\r\n",
            self.session_id, self.version
        )
    }

    /// The audio section in this transport profile with these payload types.
    pub(crate) fn audio(
        &self,
        profile: &str,
        codecs: &[(Codec, u8)],
        dtmf: Option<u8>,
        ptime_ms: u8,
        direction: Direction,
    ) -> String {
        let mut text = format!("m=audio {} {profile}", self.port);
        for payload_type in codecs.iter().map(|(_, payload_type)| *payload_type).chain(dtmf) {
            let _ = write!(text, " {payload_type}");
        }
        text.push_str("\r\n");
        for (codec, payload_type) in codecs {
            let _ = write!(text, "a=rtpmap:{payload_type} {}/{}\r\n", codec.name(), codec.clock_rate());
        }
        if let Some(payload_type) = dtmf {
            let _ = write!(text, "a=rtpmap:{payload_type} telephone-event/8000\r\na=fmtp:{payload_type} 0-15\r\n");
        }
        let _ = write!(text, "a=ptime:{ptime_ms}\r\na={}\r\n", direction_name(direction));
        text
    }
}

pub(crate) const fn family(addr: IpAddr) -> &'static str {
    if addr.is_ipv4() { "IP4" } else { "IP6" }
}

pub(crate) const fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::SendRecv => "sendrecv",
        Direction::SendOnly => "sendonly",
        Direction::RecvOnly => "recvonly",
        Direction::Inactive => "inactive",
    }
}
