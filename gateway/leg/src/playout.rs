//! The playout clock: what the caller has been sent and what has left the far speaker, readable at any moment from
//! the agent side without a message; and the agent side's orders to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

use serde::{Deserialize, Serialize};

use crate::frame::Utterance;
use crate::time::CallTime;

/// Stretches of sound that are remembered. A stretch ends where the sound pauses or another utterance begins; what is
/// older than eight of them has long been heard.
const STRETCHES: usize = 8;
/// Looks at the history before a reader gives up on a consistent one; media writes for well under a microsecond.
const LOOKS: usize = 64;
/// Delay to the far ear while nothing is known of it, in microseconds: half of 85 ms there and back, the middle of what
/// lines within a continent have, and a far buffer of 40 ms.
const UNKNOWN_DELAY_US: u64 = 42_500 + FAR_BUFFER_US;
/// Depth of the far end's jitter buffer where its reports do not tell, in microseconds: two packets.
pub const FAR_BUFFER_US: u64 = 40_000;

/// How far playback of an utterance has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlayoutPosition {
    /// The utterance; 0 before the first.
    pub utterance: Utterance,
    /// Milliseconds of it that were sent.
    pub sent_ms: u32,
}

/// Shared playout state of a leg: the history of what was sent (written by media), the generation and the pause
/// (written by the agent side).
#[derive(Debug, Clone, Default)]
pub struct Playout(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    position: AtomicU64,
    generation: AtomicU32,
    paused: AtomicBool,
    held: AtomicBool,
    thinking: AtomicBool,
    delay_us: AtomicU64,
    /// Odd while media writes the history.
    version: AtomicU64,
    /// Stretches begun so far; the newest lies at `begun - 1`.
    begun: AtomicU64,
    stretches: [SharedStretch; STRETCHES],
}

#[derive(Debug, Default)]
struct SharedStretch {
    utterance: AtomicU32,
    sent_at_us: AtomicU64,
    from_us: AtomicU64,
    until_us: AtomicU64,
}

/// Sound of one utterance that was sent without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Stretch {
    utterance: Utterance,
    /// When its first sample was sent, in microseconds of the call.
    sent_at_us: u64,
    /// The part of the utterance, in microseconds of its sound.
    from_us: u64,
    until_us: u64,
}

impl Playout {
    /// How far sending has come.
    #[must_use]
    pub fn position(&self) -> PlayoutPosition {
        let packed = self.0.position.load(Ordering::Acquire);
        PlayoutPosition { utterance: (packed >> 32) as u32, sent_ms: packed as u32 }
    }

    /// What of which utterance has left the far speaker at `now`: what was sent by then less the way there and the far
    /// end's buffer. Utterance 0 before anything was heard.
    #[must_use]
    pub fn heard(&self, now: CallTime) -> PlayoutPosition {
        let left = now.as_us().saturating_sub(self.delay_us());
        let Some((stretches, begun)) = self.history() else { return self.position() };
        let newest_first =
            (0..begun.min(STRETCHES as u64)).map(|n| stretches[((begun - 1 - n) % STRETCHES as u64) as usize]);
        for stretch in newest_first {
            if stretch.sent_at_us <= left {
                let heard_us = stretch.from_us.saturating_add(left - stretch.sent_at_us).min(stretch.until_us);
                let sent_ms = u32::try_from(heard_us / 1000).unwrap_or(u32::MAX);
                return PlayoutPosition { utterance: stretch.utterance, sent_ms };
            }
        }
        PlayoutPosition::default()
    }

    /// From sending to the far ear, in microseconds: half the round trip and the far end's buffer as far as its reports
    /// tell, else what is usual.
    #[must_use]
    pub fn delay_us(&self) -> u64 {
        match self.0.delay_us.load(Ordering::Relaxed) {
            0 => UNKNOWN_DELAY_US,
            known => known,
        }
    }

    /// Records the delay to the far ear; 0 is unknown. Media only.
    pub fn set_delay_us(&self, delay_us: u64) {
        self.0.delay_us.store(delay_us, Ordering::Relaxed);
    }

    /// Records that sound of an utterance was sent: `from_us..until_us` of it, its first sample at `sent_at`. Continues
    /// the stretch before where it follows without a gap. Media only.
    pub fn sent(&self, utterance: Utterance, from_us: u64, until_us: u64, sent_at: CallTime) {
        let shared = &*self.0;
        let begun = shared.begun.load(Ordering::Relaxed);
        let newest = &shared.stretches[(begun.wrapping_sub(1) % STRETCHES as u64) as usize];
        let last = newest.load();
        let planned = last.sent_at_us + (last.until_us - last.from_us);
        // Ticks keep to a grid of 5 ms; what is further off began anew.
        let follows = begun > 0
            && last.utterance == utterance
            && last.until_us == from_us
            && planned.abs_diff(sent_at.as_us()) < 2_500;
        let version = shared.version.load(Ordering::Relaxed);
        shared.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        if follows {
            newest.until_us.store(until_us, Ordering::Relaxed);
        } else {
            let next = &shared.stretches[(begun % STRETCHES as u64) as usize];
            next.store(Stretch { utterance, sent_at_us: sent_at.as_us(), from_us, until_us });
            shared.begun.store(begun + 1, Ordering::Relaxed);
        }
        shared.version.store(version.wrapping_add(2), Ordering::Release);
        let sent_ms = u32::try_from(until_us / 1000).unwrap_or(u32::MAX);
        let packed = (u64::from(utterance) << 32) | u64::from(sent_ms);
        shared.position.store(packed, Ordering::Release);
    }

    /// The generation that frames must carry to be played.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Clears playback: frames of earlier generations are dropped at media's next tick, and what is in the middle of a
    /// word fades out within that frame. Returns the new generation.
    pub fn clear(&self) -> u32 {
        self.0.generation.fetch_add(1, Ordering::AcqRel).wrapping_add(1)
    }

    /// Pauses playback at media's next tick, with a fade within that frame; nothing is lost.
    pub fn pause(&self) {
        self.0.paused.store(true, Ordering::Release);
    }

    /// Goes on with what was paused.
    pub fn resume(&self) {
        self.0.paused.store(false, Ordering::Release);
    }

    /// Holds playback back, or no more, whether or not it is paused besides.
    pub fn hold(&self, on: bool) {
        self.0.held.store(on, Ordering::Release);
    }

    /// Whether media is to play the thinking sound where nothing is said.
    pub fn think(&self, on: bool) {
        self.0.thinking.store(on, Ordering::Release);
    }

    /// Whether the thinking sound is wanted.
    #[must_use]
    pub fn is_thinking(&self) -> bool {
        self.0.thinking.load(Ordering::Acquire)
    }

    /// Whether playback is paused or held back.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.0.paused.load(Ordering::Acquire) || self.0.held.load(Ordering::Acquire)
    }

    /// The stretches and how many were begun; `None` when media was held up in the middle of writing.
    fn history(&self) -> Option<([Stretch; STRETCHES], u64)> {
        let shared = &*self.0;
        for _ in 0..LOOKS {
            let before = shared.version.load(Ordering::Acquire);
            let stretches = std::array::from_fn(|n| shared.stretches[n].load());
            let begun = shared.begun.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && shared.version.load(Ordering::Relaxed) == before {
                return Some((stretches, begun));
            }
            std::hint::spin_loop();
        }
        None
    }
}

impl SharedStretch {
    fn load(&self) -> Stretch {
        Stretch {
            utterance: self.utterance.load(Ordering::Relaxed),
            sent_at_us: self.sent_at_us.load(Ordering::Relaxed),
            from_us: self.from_us.load(Ordering::Relaxed),
            until_us: self.until_us.load(Ordering::Relaxed),
        }
    }

    fn store(&self, stretch: Stretch) {
        self.utterance.store(stretch.utterance, Ordering::Relaxed);
        self.sent_at_us.store(stretch.sent_at_us, Ordering::Relaxed);
        self.from_us.store(stretch.from_us, Ordering::Relaxed);
        self.until_us.store(stretch.until_us, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(utterance: Utterance, sent_ms: u32) -> PlayoutPosition {
        PlayoutPosition { utterance, sent_ms }
    }

    /// Sends `frames` of 20 ms of an utterance from `offset_ms` on, the first at `ms`.
    fn send(playout: &Playout, utterance: Utterance, offset_ms: u64, ms: u64, frames: u64) {
        for n in 0..frames {
            let from = (offset_ms + 20 * n) * 1000;
            playout.sent(utterance, from, from + 20_000, CallTime::from_ms(ms + 20 * n));
        }
    }

    #[test]
    fn what_is_heard_follows_what_was_sent_by_the_delay() {
        let playout = Playout::default();
        playout.set_delay_us(100_000);
        assert_eq!(playout.heard(CallTime::from_ms(5)), at(0, 0));
        send(&playout, 1, 0, 1000, 50);
        assert_eq!(playout.position(), at(1, 1000));
        assert_eq!(playout.heard(CallTime::from_ms(1099)), at(0, 0));
        assert_eq!(playout.heard(CallTime::from_ms(1100)), at(1, 0));
        assert_eq!(playout.heard(CallTime::from_ms(1573)), at(1, 473));
        assert_eq!(playout.heard(CallTime::from_ms(9000)), at(1, 1000));
    }

    #[test]
    fn the_tail_of_one_utterance_is_heard_while_the_next_is_sent() {
        let playout = Playout::default();
        playout.set_delay_us(150_000);
        send(&playout, 1, 0, 0, 10);
        send(&playout, 2, 0, 200, 5);
        assert_eq!(playout.position(), at(2, 100));
        assert_eq!(playout.heard(CallTime::from_ms(300)), at(1, 150));
        assert_eq!(playout.heard(CallTime::from_ms(360)), at(2, 10));
    }

    #[test]
    fn a_pause_is_not_counted_as_heard() {
        let playout = Playout::default();
        playout.set_delay_us(50_000);
        send(&playout, 1, 0, 0, 10);
        send(&playout, 1, 200, 1000, 10);
        assert_eq!(playout.heard(CallTime::from_ms(700)), at(1, 200));
        assert_eq!(playout.heard(CallTime::from_ms(1070)), at(1, 220));
    }

    #[test]
    fn more_stretches_than_are_kept_forget_only_the_oldest() {
        let playout = Playout::default();
        playout.set_delay_us(1000);
        for n in 0..50 {
            send(&playout, n + 1, 0, u64::from(n) * 100, 2);
        }
        assert_eq!(playout.heard(CallTime::from_ms(4911)), at(50, 10));
        assert_eq!(playout.heard(CallTime::from_ms(4351)), at(44, 40));
        assert_eq!(playout.heard(CallTime::from_ms(10)), at(0, 0));
    }

    #[test]
    fn a_reader_beside_the_writer_sees_no_torn_history() {
        let playout = Playout::default();
        playout.set_delay_us(1);
        let writer = playout.clone();
        let thread = std::thread::spawn(move || {
            for n in 1..20_000_u32 {
                // Every stretch is as long as its utterance's number.
                let ms = u64::from(n);
                writer.sent(n, 0, ms * 1000, CallTime::from_ms(ms * 100_000));
            }
        });
        while !thread.is_finished() {
            let seen = playout.heard(CallTime(u64::MAX));
            assert_eq!(seen.utterance, seen.sent_ms);
        }
        thread.join().unwrap();
    }
}
