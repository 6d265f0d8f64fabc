//! The side pool: a few threads that step heavy plugin sessions in slices, so that none of them holds up a call.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::seat::{Left, Seat};
use crate::bell::Bell;

/// How long a session may hold a pool thread before the next one's turn.
const SLICE: Duration = Duration::from_millis(10);

/// The threads and their queue.
pub(crate) struct SidePool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// Puts sessions on the queue.
#[derive(Clone)]
pub(crate) struct PoolQueue(Arc<Shared>);

struct Shared {
    queue: Mutex<VecDeque<(Arc<Seat>, Bell)>>,
    available: Condvar,
    stop: AtomicBool,
}

impl SidePool {
    /// Starts `threads` threads.
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(VecDeque::new()),
            available: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let threads = (0..threads.max(1))
            .map(|index| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new().name(format!("side-pool-{index}")).spawn(move || shared.serve())
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { shared, threads })
    }

    /// Its queue.
    pub(crate) fn queue(&self) -> PoolQueue {
        PoolQueue(Arc::clone(&self.shared))
    }
}

impl Drop for SidePool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.available.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl PoolQueue {
    /// Has `seat` run soon, unless it is queued already. Each live session is queued at most once, so the queue is
    /// bounded by their number.
    pub(crate) fn submit(&self, seat: &Arc<Seat>, bell: &Bell) {
        if seat.take_queue_ticket() {
            let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.push_back((Arc::clone(seat), bell.clone()));
            drop(queue);
            self.0.available.notify_one();
        }
    }
}

impl Shared {
    fn serve(&self) {
        loop {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let (seat, bell) = loop {
                if self.stop.load(Ordering::Acquire) {
                    return;
                }
                match queue.pop_front() {
                    Some(next) => break next,
                    None => queue = self.available.wait(queue).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(queue);
            seat.has_its_turn();
            let left = catch_unwind(AssertUnwindSafe(|| seat.run(SLICE))).unwrap_or_else(|_| {
                tracing::error!("a plugin session failed; see the panic above");
                seat.panicked();
                Left::Nothing
            });
            let woken = seat.return_queue_ticket();
            bell.ring();
            // One whose outputs are full is run again when somebody has taken of them.
            let again = left == Left::More || (left == Left::Nothing && woken);
            if again && seat.take_queue_ticket() {
                self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back((seat, bell));
                self.available.notify_one();
            }
        }
    }
}
