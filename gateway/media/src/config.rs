//! What an operator and a trunk decide about media.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Instant;

use trunkline_leg::{MediaSpec, RingSizes};

/// Settings of the whole media plane.
#[derive(Debug, Clone)]
pub struct MediaConfig {
    /// Media workers, one thread each; at least 1.
    pub workers: usize,
    /// The address that RTP is bound to; the answer's `c=` line must lead here.
    pub bind_ip: IpAddr,
    /// Ports for RTP (even) and RTCP (the next). `0..=0` leaves the choice to the operating system.
    pub ports: RangeInclusive<u16>,
    /// Legs a worker takes at most.
    pub max_legs_per_worker: usize,
    /// Whether to ask for real-time priority (`SCHED_FIFO` 10); without permission the workers run as they are.
    pub realtime: bool,
    /// A recording stops growing after this many seconds; at most 36 hours, where WAV ends.
    pub max_recording_s: u32,
}

impl Default for MediaConfig {
    /// One worker for 500 legs on loopback, ports 16384-32767, real-time when allowed, recordings of up to 4 hours.
    fn default() -> Self {
        Self {
            workers: 1,
            bind_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: 16384..=32767,
            max_legs_per_worker: 500,
            realtime: true,
            max_recording_s: 4 * 3600,
        }
    }
}

/// Whose packets a leg believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SourcePolicy {
    /// Only the signalled address and port.
    #[default]
    Strict,
    /// For a far end behind NAT: within 3 s of the start, the first source that sends two packets in sequence from
    /// the signalled or the signalling address, or their /24 (IPv6: /64), is locked.
    Learn,
}

/// What a leg sends while the agent says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Idle {
    /// Frames of silence, which keep NAT bindings and one-way-audio checks content.
    #[default]
    Silence,
    /// Nothing; the first packet of speech carries the marker bit.
    Nothing,
}

/// How one leg begins.
#[derive(Debug, Clone)]
pub struct LegStart {
    /// What was negotiated.
    pub spec: MediaSpec,
    /// The moment the call began: zero of its call time.
    pub began: Instant,
    /// Whose packets to believe.
    pub source: SourcePolicy,
    /// Where signalling comes from, for [`SourcePolicy::Learn`].
    pub signalling_ip: Option<IpAddr>,
    /// Where to record both voices as WAV; the file must not exist yet.
    pub recording: Option<PathBuf>,
    /// The leg ends when the far end sends nothing for this many milliseconds while it should; 0 waits for ever.
    pub media_timeout_ms: u32,
    /// What to send between utterances.
    pub idle: Idle,
    /// Capacities of the rings to the agent.
    pub rings: RingSizes,
}

impl LegStart {
    /// A leg with strict sources, no recording, silence between utterances and a media timeout of 30 s.
    #[must_use]
    pub fn new(spec: MediaSpec, began: Instant) -> Self {
        Self {
            spec,
            began,
            source: SourcePolicy::default(),
            signalling_ip: None,
            recording: None,
            media_timeout_ms: 30_000,
            idle: Idle::default(),
            rings: RingSizes::default(),
        }
    }
}
