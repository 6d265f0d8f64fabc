//! Facts on their way to the agent: never dropped, kept back while the ring is full.

use std::collections::VecDeque;

use rtrb::{Producer, PushError};
use trunkline_leg::LegFact;

/// Facts kept back at most; an agent that far behind is not coming back.
const KEPT_BACK: usize = 128;

/// Sends facts in order.
#[derive(Debug)]
pub(crate) struct FactQueue {
    ring: Producer<LegFact>,
    waiting: VecDeque<LegFact>,
    sent_any: bool,
    overflowed: bool,
}

impl FactQueue {
    pub(crate) fn new(ring: Producer<LegFact>) -> Self {
        Self { ring, waiting: VecDeque::with_capacity(KEPT_BACK + 1), sent_any: false, overflowed: false }
    }

    /// Sends a fact, or keeps it until there is room. The last place is reserved for the leg's end.
    pub(crate) fn push(&mut self, fact: LegFact) {
        if self.ring.is_abandoned() {
            return;
        }
        self.flush();
        if self.waiting.is_empty() {
            match self.ring.push(fact) {
                Ok(()) => self.sent_any = true,
                Err(PushError::Full(fact)) => self.waiting.push_back(fact),
            }
        } else if self.waiting.len() < KEPT_BACK || matches!(fact, LegFact::Ended { .. }) {
            if self.waiting.len() <= KEPT_BACK {
                self.waiting.push_back(fact);
            }
        } else {
            self.overflowed = true;
        }
    }

    /// Moves what was kept back into the ring as far as there is room.
    pub(crate) fn flush(&mut self) {
        while let Some(fact) = self.waiting.front() {
            if self.ring.push(*fact).is_err() {
                break;
            }
            self.waiting.pop_front();
            self.sent_any = true;
        }
    }

    /// Whether everything is in the ring, or nobody is left to read it.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() || self.ring.is_abandoned()
    }

    /// Whether a fact had to be refused; the leg must end, because facts are never dropped silently.
    pub(crate) const fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Whether anything went into the ring since the last call.
    pub(crate) fn take_sent(&mut self) -> bool {
        std::mem::take(&mut self.sent_any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_leg::{CallTime, EndCause};

    fn fact(n: u32) -> LegFact {
        LegFact::PlaybackStarted { utterance: n, at: CallTime::ZERO }
    }

    #[test]
    fn facts_wait_for_room_and_keep_their_order() {
        let (ring, mut agent) = rtrb::RingBuffer::new(2);
        let mut facts = FactQueue::new(ring);
        (0..50).for_each(|n| facts.push(fact(n)));
        let mut seen = Vec::new();
        while seen.len() < 50 {
            facts.flush();
            while let Ok(fact) = agent.pop() {
                seen.push(fact);
            }
        }
        assert_eq!(seen, (0..50).map(fact).collect::<Vec<_>>());
        assert!(facts.is_empty() && !facts.overflowed());
    }

    #[test]
    fn an_agent_that_never_reads_overflows_but_the_end_still_fits() {
        let (ring, mut agent) = rtrb::RingBuffer::new(1);
        let mut facts = FactQueue::new(ring);
        (0..1000).for_each(|n| facts.push(fact(n)));
        assert!(facts.overflowed());
        let end = LegFact::Ended { cause: EndCause::Failed, at: CallTime::ZERO };
        facts.push(end);
        let mut last = None;
        while let Ok(fact) = agent.pop() {
            last = Some(fact);
            facts.flush();
        }
        assert_eq!(last, Some(end));
    }
}
