//! Who is on the line: calls in progress and the last ones that ended, for operators and the admin API.
//!
//! A call's events go into its own entry, which its worker holds: calls do not wait for each other here, and an event is
//! shared with the store rather than copied.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::Serialize;
use trunkline_api::{Event, EventType, Id};

use crate::recording::RecordingState;

/// Ended calls whose timeline is kept in memory.
const KEPT: usize = 64;
/// Events kept of one call; beyond them only the store and the control plane have the rest.
const MAX_EVENTS: usize = 2000;

/// A call as an operator sees it.
#[derive(Debug, Clone, Serialize)]
pub struct CallInfo {
    /// The call.
    pub id: Id,
    /// Its tenant.
    pub tenant: Id,
    /// The agent on it.
    pub agent: Id,
    /// The agent's version.
    pub agent_version: u32,
    /// Who calls.
    pub from: String,
    /// Who is called.
    pub to: String,
    /// The trunk.
    pub trunk: Id,
    /// `Call-ID` of the SIP dialog.
    pub sip_call_id: String,
    /// When it was answered, microseconds since the Unix epoch.
    pub answered_us: u64,
    /// Whether it is over.
    pub ended: bool,
    /// The first recording, relative to the state folder.
    pub recording: Option<String>,
    /// How the last recording is: as it was ordered, or stopped once it has ended by itself.
    pub recording_state: Option<RecordingState>,
}

/// A call in the directory.
#[derive(Debug)]
pub(crate) struct Entry {
    info: CallInfo,
    worker: usize,
    over: AtomicBool,
    timeline: Mutex<Timeline>,
}

#[derive(Debug, Default)]
struct Timeline {
    kept: Vec<Arc<Event>>,
    /// The latest event that is only shown, until one that is kept follows.
    shown: Option<Arc<Event>>,
    /// How the last recording is, once that is another than at the beginning of the call.
    recording: Option<RecordingState>,
}

impl Entry {
    /// Something happened on the call.
    pub(crate) fn happened(&self, event: &Arc<Event>) {
        let mut timeline = self.timeline();
        if EventType::from_name(&event.kind).is_some_and(|kind| !kind.is_kept()) {
            timeline.shown = Some(Arc::clone(event));
            return;
        }
        timeline.shown = None;
        if timeline.kept.len() < MAX_EVENTS {
            timeline.kept.push(Arc::clone(event));
        }
    }

    /// An operator's order about the call's recording was carried out, or it ended by itself.
    pub(crate) fn recorded(&self, state: &RecordingState) {
        self.timeline().recording = Some(state.clone());
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    fn info(&self) -> CallInfo {
        let mut info = CallInfo { ended: self.is_over(), ..self.info.clone() };
        if let Some(state) = &self.timeline().recording {
            info.recording.get_or_insert_with(|| state.path.clone());
            info.recording_state = Some(state.clone());
        }
        info
    }

    fn timeline(&self) -> MutexGuard<'_, Timeline> {
        self.timeline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls by id.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    calls: RwLock<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    by_id: BTreeMap<Id, Arc<Entry>>,
    ended: VecDeque<Id>,
}

impl Directory {
    /// A call begins on `worker`; its entry takes what happens on it.
    pub(crate) fn began(&self, info: CallInfo, worker: usize) -> Arc<Entry> {
        let (id, over, timeline) = (info.id.clone(), AtomicBool::new(false), Mutex::default());
        let entry = Arc::new(Entry { info, worker, over, timeline });
        self.write().by_id.insert(id, Arc::clone(&entry));
        entry
    }

    /// A call is over and its record durable; the oldest ended one is forgotten.
    pub(crate) fn ended(&self, call: &Id) {
        let mut calls = self.write();
        let Some(entry) = calls.by_id.get(call) else { return };
        if entry.over.swap(true, Ordering::AcqRel) {
            return;
        }
        calls.ended.push_back(call.clone());
        if calls.ended.len() > KEPT
            && let Some(oldest) = calls.ended.pop_front()
        {
            calls.by_id.remove(&oldest);
        }
    }

    /// Calls in progress, and with `ended` the last ones that ended, oldest first.
    pub(crate) fn list(&self, ended: bool) -> Vec<CallInfo> {
        self.read().by_id.values().filter(|entry| ended || !entry.is_over()).map(|entry| entry.info()).collect()
    }

    /// Number of calls in progress.
    pub(crate) fn active(&self) -> usize {
        let calls = self.read();
        calls.by_id.len() - calls.ended.len()
    }

    /// A call in progress.
    pub(crate) fn info(&self, call: &Id) -> Option<CallInfo> {
        self.read().by_id.get(call).filter(|entry| !entry.is_over()).map(|entry| entry.info())
    }

    /// The worker of a call in progress.
    pub(crate) fn worker(&self, call: &Id) -> Option<usize> {
        self.read().by_id.get(call).filter(|entry| !entry.is_over()).map(|entry| entry.worker)
    }

    /// A call and what happened on it.
    pub(crate) fn timeline(&self, call: &Id) -> Option<(CallInfo, Vec<Arc<Event>>)> {
        let entry = Arc::clone(self.read().by_id.get(call)?);
        let timeline = entry.timeline();
        let events = timeline.kept.iter().chain(&timeline.shown).cloned().collect();
        drop(timeline);
        Some((entry.info(), events))
    }

    fn read(&self) -> RwLockReadGuard<'_, Calls> {
        self.calls.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Calls> {
        self.calls.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_api::Prefix;
    use trunkline_api::event::EventTime;

    fn id(prefix: Prefix, n: u8) -> Id {
        Id::mint(prefix, u64::from(n), [n; 10])
    }

    fn info(n: u8) -> CallInfo {
        CallInfo {
            id: id(Prefix::Call, n),
            tenant: id(Prefix::Tenant, 1),
            agent: id(Prefix::Agent, 1),
            agent_version: 1,
            from: String::new(),
            to: String::new(),
            trunk: id(Prefix::Trunk, 1),
            sip_call_id: String::new(),
            answered_us: 0,
            ended: false,
            recording: None,
            recording_state: None,
        }
    }

    fn event(seq: u64, kind: EventType) -> Arc<Event> {
        Arc::new(Event {
            id: id(Prefix::Event, 1),
            v: 1,
            tenant: id(Prefix::Tenant, 1),
            call: id(Prefix::Call, 1),
            seq,
            kind: kind.name().to_owned(),
            at: EventTime { wall_us: 0, call_us: 0 },
            leg: None,
            turn: None,
            data: serde_json::json!({}),
        })
    }

    #[test]
    fn words_so_far_are_shown_until_the_next_event_and_events_are_shared_not_copied() {
        let directory = Directory::default();
        let entry = directory.began(info(1), 0);
        let call = id(Prefix::Call, 1);
        let kinds =
            || -> Vec<String> { directory.timeline(&call).unwrap().1.iter().map(|event| event.kind.clone()).collect() };
        let started = event(1, EventType::CallStarted);
        entry.happened(&started);
        entry.happened(&event(1, EventType::TranscriptPartial));
        entry.happened(&event(1, EventType::TranscriptPartial));
        assert_eq!(kinds(), ["call.started", "transcript.partial"]);
        entry.happened(&event(2, EventType::TranscriptFinal));
        assert_eq!(kinds(), ["call.started", "transcript.final"]);
        assert!(Arc::ptr_eq(&directory.timeline(&call).unwrap().1[0], &started));
    }

    #[test]
    fn ended_calls_are_kept_for_a_while_and_counted_once() {
        let directory = Directory::default();
        for n in 0..100 {
            let _entry = directory.began(info(n), 3);
        }
        assert_eq!((directory.active(), directory.list(false).len()), (100, 100));
        for n in (0..90).chain(0..90) {
            directory.ended(&id(Prefix::Call, n));
        }
        assert_eq!(directory.active(), 10);
        assert_eq!(directory.list(true).len(), 10 + KEPT);
        assert!(directory.timeline(&id(Prefix::Call, 0)).is_none(), "the oldest is forgotten");
        assert!(directory.timeline(&id(Prefix::Call, 89)).unwrap().0.ended);
        assert_eq!(directory.worker(&id(Prefix::Call, 89)), None);
        assert_eq!(directory.worker(&id(Prefix::Call, 95)), Some(3));
    }
}
