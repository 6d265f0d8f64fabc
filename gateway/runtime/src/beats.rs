//! Signs of life of the threads that calls depend on, for a watchdog: what has not moved between two looks is stuck.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use trunkline_media::MediaPlane;
use trunkline_sip::SipEndpoint;

/// How far a thread has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Which thread, for example `media-0`.
    pub thread: String,
    /// A count that grows while it works; `None` once it has ended.
    pub count: Option<u64>,
    /// It waits for work, so that its count may stand still.
    pub idle: bool,
}

/// Threads that have ended, or have not moved since `before` although there was something to do.
#[must_use]
pub fn stuck<'a>(before: &[Beat], now: &'a [Beat]) -> Vec<&'a str> {
    let stands_still = |beat: &Beat| {
        let earlier = before.iter().find(|earlier| earlier.thread == beat.thread);
        !beat.idle && earlier.is_some_and(|earlier| !earlier.idle && earlier.count == beat.count)
    };
    now.iter().filter(|beat| beat.count.is_none() || stands_still(beat)).map(|beat| beat.thread.as_str()).collect()
}

/// Events that intake has begun and ended with: it is busy between the two, and waits otherwise.
#[derive(Debug, Default)]
pub(crate) struct IntakePulse {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl IntakePulse {
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn beat(&self, alive: bool) -> Beat {
        let ended = self.ended.load(Ordering::Relaxed);
        let idle = ended == self.begun.load(Ordering::Relaxed);
        Beat { thread: "intake".to_owned(), count: alive.then_some(ended), idle }
    }
}

pub(crate) fn of_media(plane: &MediaPlane) -> impl Iterator<Item = Beat> + '_ {
    (0..plane.workers()).map(|index| {
        let stats = plane.worker_stats(index);
        let count = Some(stats.phases + stats.skipped_phases);
        Beat { thread: format!("media-{index}"), count, idle: false }
    })
}

pub(crate) fn of_agents<'a>(
    rounds: impl Iterator<Item = u64> + 'a,
    threads: &'a [JoinHandle<()>],
) -> impl Iterator<Item = Beat> + 'a {
    rounds.zip(threads).enumerate().map(|(index, (rounds, thread))| {
        let count = (!thread.is_finished()).then_some(rounds);
        Beat { thread: format!("agent-{index}"), count, idle: false }
    })
}

pub(crate) fn of_sip(endpoint: Option<&SipEndpoint>) -> Beat {
    Beat { thread: "sip".to_owned(), count: endpoint.and_then(SipEndpoint::beats), idle: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(thread: &str, count: Option<u64>, idle: bool) -> Beat {
        Beat { thread: thread.to_owned(), count, idle }
    }

    #[test]
    fn a_thread_is_stuck_when_it_has_ended_or_stands_still_with_work_to_do() {
        let before = [beat("a", Some(1), false), beat("b", Some(1), false), beat("c", Some(1), true)];
        let now = [
            beat("a", Some(2), false),
            beat("b", Some(1), false),
            beat("c", Some(1), true),
            beat("d", None, false),
            beat("new", Some(0), false),
        ];
        assert_eq!(stuck(&before, &now), ["b", "d"]);
        // Work that only just came is no reason for alarm.
        assert!(stuck(&[beat("c", Some(1), true)], &[beat("c", Some(1), false)]).is_empty());
    }

    #[test]
    fn intake_is_idle_between_events() {
        let pulse = IntakePulse::default();
        assert_eq!(pulse.beat(true), beat("intake", Some(0), true));
        pulse.begin();
        assert_eq!(pulse.beat(true), beat("intake", Some(0), false));
        pulse.end();
        assert_eq!(pulse.beat(false), beat("intake", None, true));
    }
}
