//! What was negotiated for a leg's media.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::codec::Codec;
use crate::srtp::SrtpSpec;

/// The direction of media as seen from the gateway (RFC 3264 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

impl Direction {
    /// Its name in descriptions (RFC 8866 6.7) and events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

/// Where the far end wants RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RtcpPath {
    /// At the port after that of RTP (RFC 3550 11).
    #[default]
    NextPort,
    /// With RTP, and ours goes there too (RFC 5761).
    Multiplexed,
    /// Where `a=rtcp` says (RFC 3605).
    At(SocketAddr),
}

/// What the far end asks of the Opus that it gets (RFC 7587 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusParameters {
    /// It can use in-band redundancy.
    pub fec: bool,
    /// It prefers that nothing is sent in pauses.
    pub dtx: bool,
    /// The highest rate of sound that it plays, 8000..=48 000 Hz.
    pub max_playback_rate: u32,
    /// The highest average bit rate that it takes, in bit/s.
    pub max_bitrate: Option<u32>,
}

impl Default for OpusParameters {
    /// What holds without `a=fmtp`.
    fn default() -> Self {
        Self { fec: false, dtx: false, max_playback_rate: 48_000, max_bitrate: None }
    }
}

/// The outcome of an offer/answer exchange for one leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaSpec {
    /// The codec both sides use.
    pub codec: Codec,
    /// Its RTP payload type.
    pub payload_type: u8,
    /// What the far end asks of Opus; of no account for other codecs.
    pub opus: OpusParameters,
    /// Payload type of telephone-event (RFC 4733) when both sides agreed on it.
    pub dtmf_payload_type: Option<u8>,
    /// What the timestamps and durations of telephone-event count, in Hz: the codec's clock rate, or 8000 where the far
    /// end has no telephone-event at that.
    pub dtmf_clock_rate: u32,
    /// Payload type of comfort noise (RFC 3389) when both sides agreed on it.
    pub comfort_noise_payload_type: Option<u8>,
    /// Packet time in milliseconds, 10..=60; one that [`Codec::takes_ptime_ms`].
    pub ptime_ms: u8,
    /// Where the far end wants media.
    pub remote: SocketAddr,
    /// Where it wants RTCP.
    pub rtcp: RtcpPath,
    /// Direction as seen from the gateway.
    pub direction: Direction,
    /// Keys, when media is encrypted.
    pub srtp: Option<SrtpSpec>,
}

impl MediaSpec {
    /// Plain RTP both ways in packets of 20 ms, with nothing but the codec agreed on.
    #[must_use]
    pub fn new(codec: Codec, payload_type: u8, remote: SocketAddr) -> Self {
        Self {
            codec,
            payload_type,
            opus: OpusParameters::default(),
            dtmf_payload_type: None,
            dtmf_clock_rate: codec.clock_rate(),
            comfort_noise_payload_type: None,
            ptime_ms: codec.default_ptime_ms(),
            remote,
            rtcp: RtcpPath::default(),
            direction: Direction::default(),
            srtp: None,
        }
    }

    /// Where RTCP goes as signalled, when RTP goes to `rtp`, which a far end behind NAT makes another than
    /// [`MediaSpec::remote`]. `None` when there is no port after that of RTP.
    #[must_use]
    pub fn rtcp_remote(&self, rtp: SocketAddr) -> Option<SocketAddr> {
        match self.rtcp {
            RtcpPath::NextPort => Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?)),
            RtcpPath::Multiplexed => Some(rtp),
            RtcpPath::At(address) => Some(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtcp_goes_where_it_was_signalled() {
        let remote = "192.0.2.1:4000".parse().unwrap();
        let mut spec = MediaSpec::new(Codec::Opus, 111, remote);
        assert_eq!(spec.dtmf_clock_rate, 48_000);
        assert_eq!(spec.rtcp_remote(remote), Some("192.0.2.1:4001".parse().unwrap()));
        assert_eq!(spec.rtcp_remote("192.0.2.1:65535".parse().unwrap()), None);
        spec.rtcp = RtcpPath::Multiplexed;
        assert_eq!(spec.rtcp_remote("192.0.2.9:7000".parse().unwrap()), Some("192.0.2.9:7000".parse().unwrap()));
        let elsewhere = "192.0.2.2:9000".parse().unwrap();
        spec.rtcp = RtcpPath::At(elsewhere);
        assert_eq!(spec.rtcp_remote(remote), Some(elsewhere));
    }
}
