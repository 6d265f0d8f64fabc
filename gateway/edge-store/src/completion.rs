//! A write's outcome, looked at by whoever submitted it when it suits them: an agent worker polls, a shell waits.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::StoreError;

type Outcome = Result<(), StoreError>;

#[derive(Debug, Default)]
struct Slot {
    outcome: Mutex<Option<Outcome>>,
    ready: Condvar,
}

/// The submitter's end. Dropping it does not cancel the write.
#[derive(Debug, Clone)]
#[must_use = "a write counts only once its completion is Ok"]
pub struct Completion(Arc<Slot>);

/// The backend's end; dropped unfinished it reports [`StoreError::Unavailable`].
#[derive(Debug)]
pub struct Completer(Option<Arc<Slot>>);

impl Completion {
    /// Both ends of a new write.
    pub fn pair() -> (Completer, Self) {
        let slot = Arc::new(Slot::default());
        (Completer(Some(Arc::clone(&slot))), Self(slot))
    }

    /// The outcome, when there is one. Never blocks for longer than it takes to store it.
    #[must_use]
    pub fn poll(&self) -> Option<Outcome> {
        self.0.outcome.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Blocks until the write is durable or refused.
    pub fn wait(&self) -> Outcome {
        let mut outcome = self.0.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*outcome {
                Some(done) => return done.clone(),
                None => outcome = self.0.ready.wait(outcome).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Blocks for at most `limit`; `None` when there is no outcome yet.
    #[must_use]
    pub fn wait_for(&self, limit: Duration) -> Option<Outcome> {
        let until = Instant::now() + limit;
        let mut outcome = self.0.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(done) = &*outcome {
                return Some(done.clone());
            }
            let left = until.checked_duration_since(Instant::now())?;
            outcome = self.0.ready.wait_timeout(outcome, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Completer {
    /// Reports the outcome.
    pub fn finish(mut self, outcome: Outcome) {
        self.set(outcome);
    }

    fn set(&mut self, outcome: Outcome) {
        if let Some(slot) = self.0.take() {
            *slot.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
            slot.ready.notify_all();
        }
    }
}

impl Drop for Completer {
    fn drop(&mut self) {
        self.set(Err(StoreError::unavailable("the store closed before the write was durable")));
    }
}
