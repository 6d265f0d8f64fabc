//! What a call leaves on the disk: its events without a gap, its usage now and then, its record once. The disk may be
//! slow, full or gone: what it does not take waits here and is offered again, less often each time.

use std::collections::VecDeque;
use std::sync::Arc;

use trunkline_api::event::EventTime;
use trunkline_api::usage::CallRecord;
use trunkline_api::{Event, EventType, Failure, Id, Prefix};
use trunkline_call::CallSetup;
use trunkline_edge_store::{Completion, StoreError, Write};
use trunkline_leg::CallTime;

use crate::counters::count;
use crate::shared::Shared;

/// Most events that wait for the disk, a megabyte or so: an hour of a lively call.
const MOST_EVENTS: usize = 4096;
/// When something that was refused is offered again: at first, and at last.
const AGAIN_US: u64 = 5_000;
const LAST_AGAIN_US: u64 = 2_000_000;
/// When usage is journalled first; the distance doubles up to the configured one, so that a crash early in a call costs
/// as small a part of it as a late one.
const FIRST_CHECKPOINT_US: u64 = 4_000_000;

/// The way from a call to the disk.
pub(crate) struct Outbox {
    call: Id,
    shared: Arc<Shared>,
    /// Number of the last event.
    seq: u64,
    events: VecDeque<Arc<Event>>,
    checkpoint: Option<Completion>,
    checkpoint_due: CallTime,
    checkpoint_every_us: u64,
    closing: Option<Completion>,
    /// The call is over, and its record is to be closed.
    ends: bool,
    /// Its end is among the events.
    end_told: bool,
    /// More waited than can; what followed is not told.
    cut_short: bool,
    /// When what was refused is offered again, and how long it waits after that.
    again: CallTime,
    again_us: u64,
}

impl Outbox {
    /// The way of a call that begins.
    pub(crate) fn new(call: Id, shared: &Arc<Shared>) -> Self {
        let first = FIRST_CHECKPOINT_US.min(shared.config.checkpoint_us);
        Self {
            call,
            shared: Arc::clone(shared),
            seq: 0,
            events: VecDeque::new(),
            checkpoint: None,
            checkpoint_due: CallTime(first),
            checkpoint_every_us: first,
            closing: None,
            ends: false,
            end_told: false,
            cut_short: false,
            again: CallTime::ZERO,
            again_us: AGAIN_US,
        }
    }

    /// Stores an event behind those before it.
    pub(crate) fn event(&mut self, now: CallTime, mut event: Arc<Event>) {
        self.cut_short |= self.events.len() >= MOST_EVENTS;
        if self.cut_short {
            // The disk has been gone for long. What follows is not told, although it may be back by then, so that what
            // is told has no hole in it; only the end is, as the next.
            if event.kind != EventType::CallEnded.name() {
                count(&self.shared.counters.lost_events);
                return;
            }
            event = Arc::new(Event { seq: self.seq + 1, ..(*event).clone() });
        }
        self.end_told |= event.kind == EventType::CallEnded.name();
        self.seq = event.seq;
        self.events.push_back(event);
        self.flush(now);
    }

    /// Writes the end of a call that failed in a way that leaves nobody to tell of it. What cannot be stored now the
    /// journal has, and it is closed as crashed at the next start.
    pub(crate) fn crashed(&mut self, setup: &CallSetup, record: &CallRecord, now: CallTime) {
        let wall_us = setup.anchor.wall_us(now);
        let random = crate::shared::random().unwrap_or_default();
        let ended = Event {
            id: Id::mint(Prefix::Event, wall_us / 1000, random),
            v: 1,
            tenant: setup.tenant.clone(),
            call: setup.call.clone(),
            seq: self.seq + 1,
            kind: EventType::CallEnded.name().to_owned(),
            at: EventTime { wall_us, call_us: now.as_us() },
            leg: None,
            turn: None,
            data: serde_json::json!({
                "reason": "failed", "failure": Failure::Internal.name(), "duration_ms": record.total().call_ms,
            }),
        };
        self.again = CallTime::ZERO;
        self.flush(now);
        if self.events.is_empty() && !self.end_told {
            let _stored = self.shared.store.submit(Write::Event(Arc::new(ended)));
        }
        if let Err(error) = self.shared.store.submit(Write::CloseCall(Box::new(record.clone()))) {
            tracing::warn!(call = %self.call, %error, "the record of a call that failed was not stored");
        }
    }

    /// Hands events to the store in order; what it does not take waits.
    pub(crate) fn flush(&mut self, now: CallTime) {
        if now < self.again {
            return;
        }
        while let Some(event) = self.events.front() {
            match self.shared.store.submit(Write::Event(Arc::clone(event))) {
                // Durable before the close that follows it, so nobody waits for it.
                Ok(_completion) => {
                    self.events.pop_front();
                    self.again_us = AGAIN_US;
                }
                Err(StoreError::TooLarge { bytes, .. }) => {
                    // Its number is taken: what is stored in its place says so.
                    tracing::warn!(call = %self.call, bytes, kind = %event.kind, "an event was too large for the disk");
                    let told = Event { data: serde_json::json!({ "too_large": bytes }), ..(**event).clone() };
                    if event.data == told.data {
                        self.events.pop_front();
                    } else if let Some(first) = self.events.front_mut() {
                        *first = Arc::new(told);
                    }
                    count(&self.shared.counters.lost_events);
                }
                Err(error) => return self.refused(now, &error),
            }
        }
    }

    /// Journals usage when it is time to.
    pub(crate) fn checkpoint(&mut self, now: CallTime, at_us: u64, record: impl FnOnce() -> CallRecord) {
        if let Some(done) = self.checkpoint.as_ref().and_then(Completion::poll) {
            if let Err(error) = done {
                tracing::warn!(call = %self.call, %error, "a checkpoint was not stored");
            }
            self.checkpoint = None;
        }
        if now >= self.checkpoint_due && self.checkpoint.is_none() {
            self.checkpoint_every_us = (2 * self.checkpoint_every_us).min(self.shared.config.checkpoint_us);
            self.checkpoint_due = CallTime(now.0 + self.checkpoint_every_us);
            let record = Box::new(record());
            self.checkpoint = self.shared.store.submit(Write::Checkpoint { record, at_us }).ok();
        }
    }

    /// The call is over and something is still being found out about it: a crash meanwhile must not make it one that
    /// crashed.
    pub(crate) const fn journal_now(&mut self, now: CallTime) {
        self.checkpoint_due = now;
    }

    /// Closes the record behind the last event; true once it is durable. The journal has the call until then, so that it
    /// is offered for as long as it takes.
    pub(crate) fn close(&mut self, now: CallTime, record: &CallRecord) -> bool {
        self.ends = true;
        self.flush(now);
        if !self.events.is_empty() || now < self.again {
            return false;
        }
        match self.closing.as_ref().map(Completion::poll) {
            Some(None) => return false,
            Some(Some(outcome)) => {
                self.closing = None;
                match outcome {
                    Ok(()) => return true,
                    Err(error) if is_final(&error) => return true,
                    Err(error) => self.refused(now, &error),
                }
            }
            None => match self.shared.store.submit(Write::CloseCall(Box::new(record.clone()))) {
                Ok(completion) => self.closing = Some(completion),
                Err(error) if is_final(&error) => return true,
                Err(error) => self.refused(now, &error),
            },
        }
        false
    }

    /// When it wants to be looked at again.
    pub(crate) fn due(&self) -> Option<CallTime> {
        let again = (self.ends || !self.events.is_empty()).then_some(self.again);
        let checkpoint = self.checkpoint.is_none().then_some(self.checkpoint_due);
        [checkpoint, again].into_iter().flatten().min()
    }

    /// Counts what the disk did not take, and lets it rest.
    fn refused(&mut self, now: CallTime, error: &StoreError) {
        if !matches!(error, StoreError::Busy { .. }) && self.again_us == AGAIN_US {
            tracing::warn!(call = %self.call, %error, "the disk does not take what a call tells; it waits");
        }
        self.again = CallTime(now.0 + self.again_us);
        self.again_us = (2 * self.again_us).min(LAST_AGAIN_US);
    }
}

/// Whether the disk will never say anything else of a record.
const fn is_final(error: &StoreError) -> bool {
    matches!(error, StoreError::AlreadyClosed { .. } | StoreError::NotOpen { .. } | StoreError::TooLarge { .. })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use trunkline_api::usage::CallDirection;

    use super::*;
    use crate::capacity::Amounts;
    use crate::rig::{self, SlowStore};

    fn id(prefix: Prefix) -> Id {
        Id::mint(prefix, 1, [1; 10])
    }

    fn event(call: &Id, seq: u64, kind: EventType) -> Arc<Event> {
        Arc::new(Event {
            id: id(Prefix::Event),
            v: 1,
            tenant: id(Prefix::Tenant),
            call: call.clone(),
            seq,
            kind: kind.name().to_owned(),
            at: EventTime { wall_us: 0, call_us: 0 },
            leg: None,
            turn: None,
            data: serde_json::Value::Null,
        })
    }

    fn outbox() -> (Outbox, Id, Arc<SlowStore>) {
        let store = Arc::new(SlowStore::default());
        let shared = rig::shared(store.clone(), Amounts::all(u32::MAX), rig::silent_agent());
        let call = id(Prefix::Call);
        (Outbox::new(call.clone(), &shared), call, store)
    }

    #[test]
    fn a_refused_close_is_offered_again_long_before_the_next_checkpoint() {
        let (mut outbox, call, store) = outbox();
        let record = CallRecord {
            format: trunkline_api::usage::CALL_RECORD_FORMAT,
            call,
            tenant: id(Prefix::Tenant),
            agent: id(Prefix::Agent),
            agent_version: 1,
            handed_to: Vec::new(),
            trunk: None,
            direction: CallDirection::Inbound,
            from: "100".to_owned(),
            to: "200".to_owned(),
            answered_us: 0,
            ended_us: None,
            end: None,
            failure: None,
            usage: Vec::new(),
            recording: None,
            turns: 0,
            stages: Vec::new(),
        };
        store.durable.lock().unwrap().insert("100".to_owned(), 0);
        store.busy.store(true, Ordering::Relaxed);
        assert!(!outbox.close(CallTime(1000), &record));
        assert_eq!(outbox.due(), Some(CallTime(1000 + AGAIN_US)));
        store.busy.store(false, Ordering::Relaxed);
        let due = CallTime(1000 + AGAIN_US);
        assert!(!outbox.close(due, &record), "it is submitted, and looked at with the next step");
        assert!(outbox.close(due, &record));
        assert_eq!(store.durable.lock().unwrap()["100"], 1);
    }

    #[test]
    fn usage_is_journalled_soon_after_the_answer_and_then_at_growing_distances() {
        let (mut outbox, _, _) = outbox();
        let mut at_s = Vec::new();
        for second in 0..200 {
            let mut asked = false;
            outbox.checkpoint(CallTime::from_ms(second * 1000), 0, || {
                asked = true;
                trunkline_edge_store::conformance::samples::open_record(1)
            });
            at_s.extend(asked.then_some(second));
        }
        assert_eq!(at_s, [4, 12, 28, 58, 88, 118, 148, 178]);
    }

    #[test]
    fn what_a_disk_that_was_gone_for_long_is_told_has_no_hole() {
        let (mut outbox, call, store) = outbox();
        store.busy.store(true, Ordering::Relaxed);
        let most = u64::try_from(MOST_EVENTS).unwrap();
        for seq in 1..=most + 9 {
            outbox.event(CallTime(seq), event(&call, seq, EventType::TurnStarted));
        }
        store.busy.store(false, Ordering::Relaxed);
        let back = CallTime(10_000_000);
        outbox.flush(back);
        outbox.event(back, event(&call, most + 10, EventType::TurnStarted));
        outbox.event(back, event(&call, most + 11, EventType::CallEnded));
        let events = store.events.lock().unwrap();
        let numbers: Vec<u64> = events[&call].iter().map(|(seq, _)| *seq).collect();
        assert_eq!(numbers, (1..=most + 1).collect::<Vec<_>>());
        assert_eq!(events[&call].last().unwrap().1, EventType::CallEnded.name());
    }
}
