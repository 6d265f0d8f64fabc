//! Who is on the line: calls in progress and the last ones that ended, for operators and the admin API.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use trunkline_api::{Event, Id};

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
    /// Recording, relative to the state folder.
    pub recording: Option<String>,
}

struct Entry {
    info: CallInfo,
    worker: usize,
    events: Vec<Event>,
}

/// Calls by id.
#[derive(Default)]
pub(crate) struct Directory {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    calls: BTreeMap<Id, Entry>,
    ended: VecDeque<Id>,
}

impl Directory {
    /// A call began on `worker`.
    pub(crate) fn began(&self, info: CallInfo, worker: usize) {
        let entry = Entry { worker, events: Vec::with_capacity(64), info };
        self.held().calls.insert(entry.info.id.clone(), entry);
    }

    /// Something happened on a call.
    pub(crate) fn happened(&self, event: &Event) {
        if let Some(entry) = self.held().calls.get_mut(&event.call)
            && entry.events.len() < MAX_EVENTS
        {
            entry.events.push(event.clone());
        }
    }

    /// A call is over and its record durable; the oldest ended one is forgotten.
    pub(crate) fn ended(&self, call: &Id) {
        let mut inner = self.held();
        let Some(entry) = inner.calls.get_mut(call) else { return };
        entry.info.ended = true;
        inner.ended.push_back(call.clone());
        if inner.ended.len() > KEPT
            && let Some(oldest) = inner.ended.pop_front()
        {
            inner.calls.remove(&oldest);
        }
    }

    /// Calls in progress, and with `ended` the last ones that ended, oldest first.
    pub(crate) fn list(&self, ended: bool) -> Vec<CallInfo> {
        self.held().calls.values().filter(|entry| ended || !entry.info.ended).map(|entry| entry.info.clone()).collect()
    }

    /// Number of calls in progress, in all, of a trunk and of a tenant.
    pub(crate) fn load(&self, trunk: &Id, tenant: &Id) -> (u32, u32, u32) {
        let inner = self.held();
        let mut load = (0, 0, 0);
        for entry in inner.calls.values().filter(|entry| !entry.info.ended) {
            load.0 += 1;
            load.1 += u32::from(entry.info.trunk == *trunk);
            load.2 += u32::from(entry.info.tenant == *tenant);
        }
        load
    }

    /// Number of calls in progress.
    pub(crate) fn active(&self) -> usize {
        self.held().calls.values().filter(|entry| !entry.info.ended).count()
    }

    /// The worker of a call in progress.
    pub(crate) fn worker(&self, call: &Id) -> Option<usize> {
        self.held().calls.get(call).filter(|entry| !entry.info.ended).map(|entry| entry.worker)
    }

    /// A call and what happened on it.
    pub(crate) fn timeline(&self, call: &Id) -> Option<(CallInfo, Vec<Event>)> {
        self.held().calls.get(call).map(|entry| (entry.info.clone(), entry.events.clone()))
    }

    fn held(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
