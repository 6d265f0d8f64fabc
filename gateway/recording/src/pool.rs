//! The threads that write recordings: few, for any number of them, and no recording can keep more than its share busy.
//!
//! Every recording is served five times a second by whichever thread is free. A recording that has not yet shown that
//! its disk is quick, or whose last step was slow, is served by half of the threads at most: the other half is always
//! there for the rest.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::take::{Step, Take};

/// Time between two steps of a recording.
const EVERY: Duration = Duration::from_millis(200);
/// How long a thread sleeps when there is nothing to write; it is woken when there is.
const IDLE: Duration = Duration::from_secs(10);
/// A step that takes longer makes its recording a slow one.
const SLOW: Duration = Duration::from_millis(100);

struct Waiting {
    due: Instant,
    quick: bool,
    take: Box<Take>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Threads with a recording that is not known to be quick.
    doubtful: usize,
    stopping: bool,
}

/// What the threads share.
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Threads that recordings not known to be quick may have at once.
    for_doubtful: usize,
    /// Recordings in progress.
    pub(crate) active: AtomicUsize,
    /// Steps that were slow.
    pub(crate) slow_steps: AtomicU64,
}

/// The pool.
pub(crate) struct Pool {
    pub(crate) shared: Arc<Shared>,
    pub(crate) threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts `threads` threads, at least two.
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let threads = threads.max(2);
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            for_doubtful: threads / 2,
            active: AtomicUsize::new(0),
            slow_steps: AtomicU64::new(0),
        });
        let mut started = Vec::with_capacity(threads);
        for index in 0..threads {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name(format!("tl-rec-{index}"));
            started.push(thread.spawn(move || shared.run())?);
        }
        Ok(Self { shared, threads: started })
    }

    /// Takes a recording on. It was counted in [`Shared::active`] before.
    pub(crate) fn add(&self, take: Take) {
        let waiting = Waiting { due: Instant::now(), quick: false, take: Box::new(take) };
        self.shared.held().waiting.push_front(waiting);
        self.shared.wake.notify_one();
    }

    /// Completes every recording and ends the threads, when their disk lets them.
    pub(crate) fn stop(&self) {
        self.shared.held().stopping = true;
        self.shared.wake.notify_all();
    }
}

impl Shared {
    fn run(&self) {
        let mut queue = self.held();
        loop {
            let now = Instant::now();
            let Some(mut next) = self.next(&mut queue, now) else {
                if queue.stopping && queue.waiting.is_empty() {
                    return;
                }
                let due = queue.waiting.iter().map(|waiting| waiting.due).filter(|due| *due > now).min();
                let pause = match due {
                    Some(due) => due - now,
                    None if queue.waiting.is_empty() => IDLE,
                    None => EVERY,
                };
                queue = self.wake.wait_timeout(queue, pause).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            };
            let (stopping, doubtful) = (queue.stopping, !next.quick);
            queue.doubtful += usize::from(doubtful);
            drop(queue);
            let step = catch_unwind(AssertUnwindSafe(|| {
                if stopping {
                    next.take.conclude();
                    return Step::Over;
                }
                next.take.step()
            }));
            let step = step.unwrap_or_else(|_| {
                tracing::error!("a recording failed; see the panic above");
                next.take.abandon()
            });
            let slow = now.elapsed() >= SLOW;
            // One without a file has shown nothing of its disk.
            next.quick = !slow && next.take.has_file();
            if slow {
                self.slow_steps.fetch_add(1, Ordering::Relaxed);
            }
            if step == Step::Over {
                // Freed before the lock is taken again.
                drop(next);
                self.active.fetch_sub(1, Ordering::AcqRel);
                queue = self.held();
            } else {
                next.due = if step == Step::Behind { now } else { now + EVERY };
                queue = self.held();
                queue.waiting.push_back(next);
            }
            queue.doubtful -= usize::from(doubtful);
            // Somebody may have waited for the share of the doubtful.
            self.wake.notify_one();
        }
    }

    /// The first recording that is due and may have a thread.
    fn next(&self, queue: &mut Queue, now: Instant) -> Option<Waiting> {
        let room = queue.doubtful < self.for_doubtful;
        let may = |waiting: &Waiting| (queue.stopping || waiting.due <= now) && (waiting.quick || room);
        let at = queue.waiting.iter().position(may)?;
        queue.waiting.remove(at)
    }

    fn held(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
