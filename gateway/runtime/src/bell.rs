//! How whoever works for a call tells its agent worker (threads that serve its sessions, those that write its
//! recordings), and of all its calls only that one is looked at.

use std::sync::Arc;
use std::task::{Wake, Waker};

use trunkline_leg::ReadyMark;
use trunkline_media::PhaseSignal;

/// Rings for one call. Cheap to clone; allocates, locks and waits for nothing.
#[derive(Debug, Clone)]
pub(crate) struct Bell {
    mark: ReadyMark,
    signal: PhaseSignal,
}

impl Bell {
    /// A bell for the call of `mark` at the worker that waits for `signal`.
    pub(crate) const fn new(mark: ReadyMark, signal: PhaseSignal) -> Self {
        Self { mark, signal }
    }

    /// The call has something. Who rings while the mark is set wakes nobody: it was done by whoever set it.
    pub(crate) fn ring(&self) {
        if self.mark.mark() {
            self.signal.raise();
        }
    }

    /// The same bell for those that know no calls.
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::new(self.clone()))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}
