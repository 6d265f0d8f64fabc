//! What the writer knows about calls: which are open, their last event, and which closed a moment ago.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use trunkline_api::usage::CallRecord;
use trunkline_api::{Event, EventType, Id};

/// Format number of a journalled call.
const FORMAT: u32 = 1;
/// Closed calls remembered, so that a second close is refused.
const REMEMBERED: usize = 8192;
/// Calls whose last event is remembered.
const MARKED: usize = 65_536;

/// A call's last event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventMark {
    pub(crate) seq: u64,
    pub(crate) wall_us: u64,
    pub(crate) call_us: u64,
    /// It was `call.ended`, or came after it, as the end of a recording does.
    pub(crate) ended: bool,
}

impl EventMark {
    /// `event` after the last one so far.
    pub(crate) fn of(event: &Event, before: Option<Self>) -> Self {
        // What comes behind the end is no part of the call.
        let end = before.filter(|before| before.ended);
        Self {
            seq: event.seq,
            wall_us: end.map_or(event.at.wall_us, |end| end.wall_us),
            call_us: end.map_or(event.at.call_us, |end| end.call_us),
            ended: event.kind == EventType::CallEnded.name() || before.is_some_and(|before| before.ended),
        }
    }
}

/// A journalled call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    format: u32,
    pub(crate) record: CallRecord,
    /// When it was journalled.
    pub(crate) at_us: u64,
    /// Its closed record can only be in this segment of `usage` or a later one.
    pub(crate) usage_segment: u64,
    /// Events after `mark` can only be in this segment of `events` or a later one.
    pub(crate) events_segment: u64,
    pub(crate) mark: Option<EventMark>,
}

#[derive(Default)]
pub(crate) struct Journal {
    /// Open calls and the events segment their journal row names.
    open: BTreeMap<Id, u64>,
    marks: BTreeMap<Id, EventMark>,
    closed: BTreeSet<Id>,
    closed_order: VecDeque<Id>,
    /// Left open by an earlier process.
    pub(crate) leftover: BTreeMap<String, Entry>,
    /// Rows whose deletion failed and is tried again.
    pub(crate) stale: BTreeSet<String>,
}

impl Journal {
    /// Takes over what an earlier process left open.
    pub(crate) fn adopt(leftover: BTreeMap<String, Entry>) -> Self {
        let open = leftover.values().map(|entry| (entry.record.call.clone(), entry.events_segment)).collect();
        Self { open, leftover, ..Self::default() }
    }

    pub(crate) fn note(&mut self, event: &Event) {
        if self.closed.contains(&event.call) {
            return;
        }
        let mark = EventMark::of(event, self.marks.get(&event.call).copied());
        if mark.ended && !self.open.contains_key(&event.call) {
            self.marks.remove(&event.call);
            return;
        }
        self.marks.insert(event.call.clone(), mark);
        if self.marks.len() > MARKED {
            self.marks.pop_first();
        }
    }

    /// The journal row of an open call.
    pub(crate) fn entry(&mut self, record: CallRecord, at_us: u64, usage_segment: u64, events_segment: u64) -> Entry {
        let mark = self.marks.get(&record.call).copied();
        self.open.insert(record.call.clone(), events_segment);
        Entry { format: FORMAT, record, at_us, usage_segment, events_segment, mark }
    }

    pub(crate) fn forget_open(&mut self, call: &Id) {
        self.open.remove(call);
    }

    pub(crate) fn is_open(&self, call: &Id) -> bool {
        self.open.contains_key(call)
    }

    pub(crate) fn is_closed(&self, call: &Id) -> bool {
        self.closed.contains(call)
    }

    pub(crate) fn closing(&mut self, call: &Id) {
        self.marks.remove(call);
        if self.closed.insert(call.clone()) {
            self.closed_order.push_back(call.clone());
        }
        if self.closed_order.len() > REMEMBERED
            && let Some(oldest) = self.closed_order.pop_front()
        {
            self.closed.remove(&oldest);
        }
    }

    pub(crate) fn open_calls(&self) -> usize {
        self.open.len()
    }

    /// Events segments from this one on may hold the last event of an open call.
    pub(crate) fn events_needed_from(&self) -> u64 {
        self.open.values().copied().min().unwrap_or(u64::MAX)
    }
}
