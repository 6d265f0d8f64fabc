//! Calls that ring: their record is durable and their answer has a time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use trunkline_sip::CallKey;

/// Calls that ring, each with what is needed to answer it.
#[derive(Debug)]
pub(crate) struct Ringing<P> {
    calls: BTreeMap<CallKey, (Instant, P)>,
}

impl<P> Default for Ringing<P> {
    fn default() -> Self {
        Self { calls: BTreeMap::new() }
    }
}

impl<P> Ringing<P> {
    /// A call rings until `due`.
    pub(crate) fn begin(&mut self, key: CallKey, due: Instant, parts: P) {
        self.calls.insert(key, (due, parts));
    }

    /// The caller is gone. `None` when the call is none of these.
    pub(crate) fn give_up(&mut self, key: CallKey) -> Option<P> {
        self.calls.remove(&key).map(|(_, parts)| parts)
    }

    /// The calls that are to be answered by now, the longest due first.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<P> {
        let mut due: Vec<_> =
            self.calls.iter().filter(|(_, (due, _))| *due <= now).map(|(key, (due, _))| (*due, *key)).collect();
        due.sort_unstable();
        due.into_iter().filter_map(|(_, key)| self.give_up(key)).collect()
    }

    /// How long it is until one is to be answered; `None` when none rings.
    pub(crate) fn patience(&self, now: Instant) -> Option<Duration> {
        self.calls.values().map(|(due, _)| due.saturating_duration_since(now)).min()
    }

    /// Every call that rings, oldest first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = CallKey> {
        self.calls.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_answered_at_its_time_or_given_up() {
        let mut ringing = Ringing::<u64>::default();
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        for (key, ms) in [(1, 50), (2, 20), (3, 20), (4, 90)] {
            ringing.begin(CallKey(key), at(ms), key);
        }
        assert_eq!(ringing.patience(now), Some(Duration::from_millis(20)));
        assert_eq!(ringing.take_due(at(19)), Vec::<u64>::new());
        assert_eq!(ringing.give_up(CallKey(3)), Some(3));
        assert_eq!(ringing.give_up(CallKey(3)), None);
        assert_eq!(ringing.take_due(at(60)), [2, 1]);
        assert_eq!(ringing.keys().collect::<Vec<_>>(), [CallKey(4)]);
        assert_eq!(ringing.patience(at(100)), Some(Duration::ZERO));
        assert_eq!(ringing.take_due(at(100)), [4]);
        assert_eq!(ringing.patience(now), None);
    }
}
