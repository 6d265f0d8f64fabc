//! Calls between their INVITE and the moment their record is durable. They wait here side by side, so that all of them
//! share a disk's sync, and whatever comes meanwhile, a CANCEL above all, is taken at once and carried out when the disk
//! has spoken.

use std::collections::BTreeMap;

use trunkline_leg::EndCause;
use trunkline_sip::CallKey;

/// Openings, each with what is needed to finish it.
#[derive(Debug)]
pub(crate) struct Openings<P> {
    waiting: BTreeMap<CallKey, Waiting<P>>,
}

#[derive(Debug)]
struct Waiting<P> {
    parts: P,
    given_up: Option<EndCause>,
}

/// What becomes of an opening once the disk has spoken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate<P> {
    /// The record is durable and the caller still there.
    Answer(P),
    /// The record could not be written: no answer without it.
    Refuse(P),
    /// The record is durable and the caller gone: it must not stay open.
    Close(P, EndCause),
    /// Neither a record nor a caller.
    Forget(P),
}

impl<P> Default for Openings<P> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new() }
    }
}

impl<P> Openings<P> {
    /// A call's record is on its way to the disk.
    pub(crate) fn begin(&mut self, key: CallKey, parts: P) {
        self.waiting.insert(key, Waiting { parts, given_up: None });
    }

    /// The caller is gone, for the first reason that was given. `None` when the call is none of these.
    pub(crate) fn give_up(&mut self, key: CallKey, cause: EndCause) -> Option<&mut P> {
        let waiting = self.waiting.get_mut(&key)?;
        waiting.given_up.get_or_insert(cause);
        Some(&mut waiting.parts)
    }

    /// Whether its caller is gone: nothing is waited for any more but the disk.
    pub(crate) fn is_given_up(&self, key: CallKey) -> bool {
        self.waiting.get(&key).is_some_and(|waiting| waiting.given_up.is_some())
    }

    /// The disk has spoken; each opening has one fate.
    pub(crate) fn written(&mut self, key: CallKey, durable: bool) -> Option<Fate<P>> {
        let Waiting { parts, given_up } = self.waiting.remove(&key)?;
        Some(match (durable, given_up) {
            (true, None) => Fate::Answer(parts),
            (false, None) => Fate::Refuse(parts),
            (true, Some(cause)) => Fate::Close(parts, cause),
            (false, Some(_)) => Fate::Forget(parts),
        })
    }

    /// Every opening, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (CallKey, &P)> {
        self.waiting.iter().map(|(key, waiting)| (*key, &waiting.parts))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_opening_has_one_fate() {
        let mut openings = Openings::default();
        for key in 0..4 {
            openings.begin(CallKey(key), key);
        }
        assert!(openings.give_up(CallKey(2), EndCause::Cancelled).is_some());
        assert!(openings.give_up(CallKey(2), EndCause::Failed).is_some());
        assert!(openings.give_up(CallKey(3), EndCause::RemoteHangUp).is_some());
        assert!(openings.give_up(CallKey(9), EndCause::Cancelled).is_none());
        assert_eq!(openings.written(CallKey(1), false), Some(Fate::Refuse(1)));
        assert_eq!(openings.written(CallKey(0), true), Some(Fate::Answer(0)));
        assert_eq!(openings.written(CallKey(2), true), Some(Fate::Close(2, EndCause::Cancelled)));
        assert_eq!(openings.written(CallKey(3), false), Some(Fate::Forget(3)));
        assert_eq!(openings.written(CallKey(0), true), None);
        assert!(openings.is_empty());
    }
}
