//! A call that panicked: what is left of it is ended in order, and what its sessions have used is billed.

use std::sync::atomic::Ordering;

use trunkline_api::Failure;
use trunkline_api::usage::{CallRecord, EndReason};
use trunkline_leg::{CallTime, EndCause, LegId};

use super::sessions::{Taken, What};
use super::{Active, GRID_US, LAST_USAGE_US};

impl Active {
    /// A step of it panicked: the far end is told, and the record closed with what is known, once its sessions have said
    /// what they used, which takes steps. Nothing else of the call is to be trusted. True when nothing more can be had of
    /// it, since this was not the first time.
    pub(crate) fn crashed(&mut self) -> bool {
        let now = self.now();
        if let Some(record) = self.wreck.take() {
            self.close_wreck(now, &record);
            return true;
        }
        self.ports.hang_up(LegId::FIRST, Some(Failure::Internal), EndCause::Failed);
        self.ports.let_go();
        let mut record = self.call.checkpoint(now).clone();
        record.end = Some(EndReason::Failed);
        record.failure = Some(Failure::Internal);
        record.ended_us.get_or_insert(self.setup.anchor.wall_us(now));
        self.wreck = Some(Box::new(record));
        self.last_usage_by = Some(CallTime(now.0 + LAST_USAGE_US));
        self.shared.counters.failed(Failure::Internal);
        self.sessions.abandon();
        false
    }

    /// A step of a call that has failed: what its sessions have used goes to its record.
    pub(super) fn settle_wreck(&mut self, now: CallTime, mut record: Box<CallRecord>) -> bool {
        while let Some(Taken { kind, provider, what }) = self.sessions.settle() {
            if let What::Used(units) = what {
                self.shared.counters.plugin_us.fetch_add(units.plugin_us, Ordering::Relaxed);
                record.add_usage(&provider, kind.name(), &units);
            }
        }
        if !self.sessions.is_settled() && self.last_usage_by.is_some_and(|patience| now < patience) {
            self.due = CallTime(now.0 + GRID_US);
            self.wreck = Some(record);
            return false;
        }
        self.close_wreck(now, &record);
        true
    }

    fn close_wreck(&mut self, now: CallTime, record: &CallRecord) {
        self.outbox.crashed(&self.setup, record, now);
        self.shared.directory.ended(&self.id);
    }
}
