//! The side pool: a few threads that step heavy plugin sessions in slices, so that none of them holds up a call.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::seat::{Left, Seat};
use crate::bell::Bell;
use crate::load::Gauge;

/// How long a session may hold a pool thread before the next one's turn.
const SLICE: Duration = Duration::from_millis(10);

/// Sound that a session is given at once when somebody begins to speak, so that it is not late by it: the run-up, and what
/// was said before the detector was sure.
pub(crate) const GIVEN_AT_ONCE_US: u64 = 1_000_000;

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
    threads: usize,
    gauge: Gauge,
}

impl SidePool {
    /// Starts `threads` threads.
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let threads = threads.max(1);
        let shared = Arc::new(Shared {
            queue: Mutex::new(VecDeque::new()),
            available: Condvar::new(),
            stop: AtomicBool::new(false),
            threads,
            gauge: Gauge::default(),
        });
        let threads = (0..threads)
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

    /// Threads that serve it.
    pub(crate) fn threads(&self) -> usize {
        self.0.threads
    }

    /// What they keep count in.
    pub(crate) fn gauge(&self) -> &Gauge {
        &self.0.gauge
    }

    /// How long the first of the queue has waited by now.
    pub(crate) fn longest_wait_us(&self) -> u64 {
        let queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.front().map_or(0, |(seat, _)| seat.waits_us())
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
            self.gauge.was_late(seat.waits_us().max(seat.owes_us().saturating_sub(GIVEN_AT_ONCE_US)));
            seat.has_its_turn();
            let began = Instant::now();
            let left = catch_unwind(AssertUnwindSafe(|| seat.run(SLICE))).unwrap_or_else(|_| {
                tracing::error!("a plugin session failed; see the panic above");
                seat.panicked();
                Left::Nothing
            });
            self.gauge.worked(began.elapsed());
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
