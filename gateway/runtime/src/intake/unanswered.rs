//! The record of a call that never had a conversation, on its way out of the journal.

use std::task::Waker;

use trunkline_api::usage::CallRecord;
use trunkline_edge_store::{Completion, StoreError, Write};

use crate::capacity::Ticket;
use crate::shared::Shared;

/// One such record.
pub(super) struct Unanswered {
    record: CallRecord,
    /// `None` while the store has no room for it.
    written: Option<Completion>,
    /// The call counts until then.
    _ticket: Ticket,
}

impl Unanswered {
    /// Offers it to the store.
    pub(super) fn begin(record: CallRecord, ticket: Ticket, shared: &Shared) -> Self {
        let mut left = Self { record, written: None, _ticket: ticket };
        left.submit(shared);
        left
    }

    /// Whether the store has yet to take it.
    pub(super) const fn waits_for_room(&self) -> bool {
        self.written.is_none()
    }

    fn submit(&mut self, shared: &Shared) {
        self.written = shared.store.submit(Write::CloseCall(Box::new(self.record.clone()))).ok();
    }

    /// Whether the record is out of the journal; what the store refused is offered again until it is.
    pub(super) fn is_done(&mut self, shared: &Shared, waker: &Waker) -> bool {
        match self.written.as_ref().map(|written| written.poll_with(waker)) {
            Some(Some(Ok(()) | Err(StoreError::AlreadyClosed { .. }))) => return true,
            Some(None) => {}
            Some(Some(Err(error))) => {
                tracing::warn!(%error, "the record of a call that was not answered stays in the journal for now");
                self.written = None;
            }
            None => {
                self.submit(shared);
                // Polled once, so that the outcome wakes this thread.
                let _ = self.written.as_ref().map(|written| written.poll_with(waker));
            }
        }
        false
    }
}
