//! A write's outcome, looked at by whoever submitted it when it suits them: an agent worker polls, a shell waits.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::StoreError;

type Outcome = Result<(), StoreError>;

#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct State {
    outcome: Option<Outcome>,
    /// Who polls, to be woken once.
    waker: Option<Waker>,
}

impl Slot {
    fn held(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        self.0.held().outcome.clone()
    }

    /// The outcome, or `None`, and then `waker` is woken when there is one. The latest waker counts.
    #[must_use]
    pub fn poll_with(&self, waker: &Waker) -> Option<Outcome> {
        let mut state = self.0.held();
        if state.outcome.is_none() {
            state.waker = Some(waker.clone());
        }
        state.outcome.clone()
    }

    /// Blocks until the write is durable or refused.
    pub fn wait(&self) -> Outcome {
        let mut state = self.0.held();
        loop {
            match &state.outcome {
                Some(done) => return done.clone(),
                None => state = self.0.ready.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Blocks for at most `limit`; `None` when there is no outcome yet.
    #[must_use]
    pub fn wait_for(&self, limit: Duration) -> Option<Outcome> {
        let until = Instant::now() + limit;
        let mut state = self.0.held();
        loop {
            if let Some(done) = &state.outcome {
                return Some(done.clone());
            }
            let left = until.checked_duration_since(Instant::now())?;
            state = self.0.ready.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
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
            let waker = {
                let mut state = slot.held();
                state.outcome = Some(outcome);
                state.waker.take()
            };
            slot.ready.notify_all();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl Drop for Completer {
    fn drop(&mut self) {
        self.set(Err(StoreError::unavailable("the store closed before the write was durable")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Bell(AtomicU32);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn whoever_polls_is_woken_by_the_outcome_and_not_without_need() {
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let (completer, completion) = Completion::pair();
        assert_eq!(completion.poll_with(&waker), None);
        assert_eq!(completion.poll_with(&waker), None);
        completer.finish(Ok(()));
        assert_eq!(bell.0.load(Ordering::SeqCst), 1);
        assert_eq!(completion.poll_with(&waker), Some(Ok(())));
        let (completer, completion) = Completion::pair();
        assert_eq!(completion.poll_with(&waker), None);
        drop(completer);
        assert_eq!(bell.0.load(Ordering::SeqCst), 2, "a store that closes is an outcome too");
        assert!(matches!(completion.poll_with(&waker), Some(Err(StoreError::Unavailable { .. }))));
    }
}
