//! What an operator and a trunk decide about media.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

use trunkline_dsp::ambience::Bed;
use trunkline_dsp::chain::{Denoiser, Sound};
use trunkline_leg::{MediaSpec, RingSizes, TapEnd};

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
}

impl Default for MediaConfig {
    /// One worker for 500 legs on loopback, ports 16384-32767, real-time when allowed.
    fn default() -> Self {
        Self {
            workers: 1,
            bind_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: 16384..=32767,
            max_legs_per_worker: 500,
            realtime: true,
        }
    }
}

/// Whose packets a leg believes. Under every policy a packet from elsewhere is counted and not heard, and a source that
/// is being heard is not displaced by one that is no better.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SourcePolicy {
    /// Only the signalled address and port.
    #[default]
    Strict,
    /// For a far end that may be behind NAT: sound goes to where it comes from (symmetric RTP, RFC 4961). Two packets
    /// in sequence from the signalled or the signalling address are learned with any port; within 3 s of the start,
    /// ones from their /24 (IPv6: /64) too. Whoever was learned yields to the signalled address, and a neighbour to
    /// both. When what was learned falls silent for 100 ms, its stream is followed to another address or port, if it
    /// goes on where it stopped. A private address that is signalled from a public one is answered at the public one.
    Learn,
    /// The signalled address, and any in these ranges: for carriers whose media servers change. Another of them may
    /// take over when the one that was heard has been silent for 2 s, or for 100 ms if its stream goes on.
    Acl(Arc<[AddressRange]>),
}

/// A range of addresses: those that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    network: IpAddr,
    bits: u8,
}

impl AddressRange {
    /// The addresses whose first `bits` are those of `network`; `None` for more bits than the address has.
    #[must_use]
    pub fn new(network: IpAddr, bits: u8) -> Option<Self> {
        let most = if network.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Self { network, bits })
    }

    /// Whether `ip` is one of them; IPv4 in IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let differs =
            |a: u128, b: u128, width: u32| (a ^ b).checked_shr(width - u32::from(self.bits)).unwrap_or(0) != 0;
        match (self.network, ip.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => !differs(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => !differs(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }
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

/// Which sound of the caller goes up to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Feed {
    /// With the noise taken out.
    #[default]
    Cleaned,
    /// As it was heard, but for the agent's own echo, which is turned down.
    Raw,
}

/// What is done to a leg's sound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LegSound {
    /// What the worker's chain does to it.
    pub chain: Sound,
    /// Which sound goes up; what is found in it does not depend on that.
    pub feed: Feed,
    /// For how long what the caller says counts as speech after the detector has lost it, in ms. Kept here and not by
    /// the detector: what it holds on to may be the agent's own echo, and echo is not held.
    pub hold_ms: u32,
    /// By how many decibels a voice must lie below the caller's to be somebody behind the caller, who neither speaks nor
    /// interrupts; 0 takes every voice for the caller's.
    pub behind_db: u8,
    /// Between utterances the caller hears a soft noise instead of a line that seems dead.
    pub comfort_noise: bool,
    /// By how many decibels the agent is turned down while somebody may be interrupting it; 0 leaves it as it is.
    pub duck_db: u8,
}

impl Default for LegSound {
    /// The chain's default, raw sound up, speech held for 200 ms, voices of 10 dB below the caller's left alone,
    /// silence between utterances, the agent 18 dB softer while somebody may be interrupting it.
    fn default() -> Self {
        Self { chain: Sound::default(), feed: Feed::Raw, hold_ms: 200, behind_db: 0, comfort_noise: false, duck_db: 18 }
    }
}

impl LegSound {
    /// Sound as it is: nothing taken out, nothing judged as echo.
    #[must_use]
    pub fn untouched() -> Self {
        let chain = Sound { denoiser: Denoiser::Off, echo_gate: false, ceiling_dbfs: 0.0, ..Sound::default() };
        Self { chain, behind_db: 0, ..Self::default() }
    }
}

/// Background sound that a leg sends all through the call, beside what the agent says. It is no speech of the agent's: of
/// an utterance's length and place nothing changes. What cancels echo hears it as the far end does.
#[derive(Debug, Clone)]
pub struct LegAmbience {
    /// The sound, at the rate of the leg's codec; one of another rate is not played.
    pub bed: Arc<Bed>,
    /// RMS level it is played at, in dBFS; at most that of the bed.
    pub level_dbfs: i8,
    /// By how many decibels it is turned down while the agent speaks, 0..=60.
    pub duck_db: u8,
}

/// What a far end on hold hears where nothing is said.
#[derive(Debug, Clone)]
pub enum HeldSound {
    /// Music, in place of any background sound; at its own level, since nobody speaks.
    Music(LegAmbience),
    /// The tone of somebody who is being rung (ITU-T E.180).
    Ringback,
}

/// How one leg begins.
#[derive(Debug)]
pub struct LegStart {
    /// What was negotiated.
    pub spec: MediaSpec,
    /// The moment the call began: zero of its call time.
    pub began: Instant,
    /// Whose packets to believe.
    pub source: SourcePolicy,
    /// Where signalling comes from, for [`SourcePolicy::Learn`].
    pub signalling_ip: Option<IpAddr>,
    /// Takes both voices from the first tick on.
    pub tap: Option<TapEnd>,
    /// The leg ends when the far end sends nothing for this many milliseconds while it should; 0 waits for ever.
    pub media_timeout_ms: u32,
    /// A leg on hold, signalled or by a far end that sends RTCP but no sound, ends after this many milliseconds; 0 waits
    /// for ever.
    pub hold_timeout_ms: u32,
    /// What to send between utterances.
    pub idle: Idle,
    /// For how many milliseconds the far end hears a ring-back tone where nothing is said (ITU-T E.180); 0 never.
    pub ringback_ms: u32,
    /// What is done to the sound.
    pub sound: LegSound,
    /// Background sound.
    pub ambience: Option<LegAmbience>,
    /// Capacities of the rings to the agent.
    pub rings: RingSizes,
}

impl LegStart {
    /// A leg with strict sources, no tap, silence between utterances, a media timeout of 30 s and one of an hour on hold.
    #[must_use]
    pub fn new(spec: MediaSpec, began: Instant) -> Self {
        let rings = RingSizes { rate: spec.codec.sample_rate(), ..RingSizes::default() };
        Self {
            spec,
            began,
            source: SourcePolicy::default(),
            signalling_ip: None,
            tap: None,
            media_timeout_ms: 30_000,
            hold_timeout_ms: 3_600_000,
            idle: Idle::default(),
            ringback_ms: 0,
            sound: LegSound::default(),
            ambience: None,
            rings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_what_shares_its_bits() {
        let range = |network: &str, bits| AddressRange::new(network.parse().unwrap(), bits);
        let holds = |network, bits, ip: &str| range(network, bits).unwrap().contains(ip.parse().unwrap());
        assert!(holds("192.0.2.16", 28, "192.0.2.31") && !holds("192.0.2.16", 28, "192.0.2.32"));
        assert!(holds("192.0.2.16", 32, "::ffff:192.0.2.16") && !holds("192.0.2.16", 32, "192.0.2.17"));
        assert!(holds("0.0.0.0", 0, "203.0.113.1") && !holds("0.0.0.0", 0, "2001:db8::1"));
        assert!(holds("2001:db8::", 32, "2001:db8:ffff::1") && !holds("2001:db8::", 32, "2001:db9::1"));
        assert!(holds("::", 0, "2001:db8::1"));
        assert_eq!((range("192.0.2.0", 33), range("::", 129)), (None, None));
    }
}
