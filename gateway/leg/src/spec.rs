//! What was negotiated for a leg's media.

use std::net::SocketAddr;
use std::str::FromStr;

/// Audio codecs by their RTP encoding names (RFC 3551, RFC 7587).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 mu-law, 8 kHz, static payload type 0.
    Pcmu,
    /// G.711 A-law, 8 kHz, static payload type 8.
    Pcma,
}

impl Codec {
    /// The RTP encoding name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// RTP clock rate in Hz.
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8000,
        }
    }

    /// Rate of the decoded sound in Hz.
    #[must_use]
    pub const fn sample_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8000,
        }
    }

    /// The static payload type of RFC 3551 table 4, where there is one.
    #[must_use]
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
        }
    }
}

/// A codec name this build does not know; the configuration lists those it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCodec(pub String);

impl std::fmt::Display for UnknownCodec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unknown codec `{}`; known are PCMU and PCMA", self.0)
    }
}

impl std::error::Error for UnknownCodec {}

impl FromStr for Codec {
    type Err = UnknownCodec;

    /// Parses an encoding name, ignoring case.
    fn from_str(name: &str) -> Result<Self, UnknownCodec> {
        [Self::Pcmu, Self::Pcma]
            .into_iter()
            .find(|codec| codec.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownCodec(name.to_owned()))
    }
}

/// The direction of media as seen from the gateway (RFC 3264 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// The gateway only sends.
    SendOnly,
    /// The gateway only receives.
    RecvOnly,
    /// Neither way.
    Inactive,
}

/// The outcome of an offer/answer exchange for one leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaSpec {
    /// The codec both sides use.
    pub codec: Codec,
    /// Its RTP payload type.
    pub payload_type: u8,
    /// Payload type of telephone-event (RFC 4733) when both sides agreed on it.
    pub dtmf_payload_type: Option<u8>,
    /// Packet time in milliseconds, 10..=60.
    pub ptime_ms: u8,
    /// Where the far end wants media.
    pub remote: SocketAddr,
    /// Direction as seen from the gateway.
    pub direction: Direction,
}
