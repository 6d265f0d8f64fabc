//! A plugin session's seat: bounded queues around a body that one thread at a time may step.
//!
//! Light plugins are stepped by the agent worker in place; heavy ones by the side pool in slices. Both run the same
//! code here, so that where a session runs changes nothing about what it does.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use trunkline_api::Failure;

use super::{Input, Output};

/// Most inputs that wait for a session: five seconds of sound and some text.
const MAX_INPUTS: usize = 256;
/// Most outputs that wait for the agent worker; beyond it the body is not stepped (its credit is used up).
const MAX_OUTPUTS: usize = 64;
/// No timer is set.
const NEVER: u64 = u64::MAX;

/// What a plugin session of any world looks like to the runtime.
pub(crate) trait Body: Send {
    /// Hands over one input at `now_us` of call time.
    fn handle(&mut self, now_us: u64, input: Input);
    /// Delivers connections' messages and due timers, and lets a session that answered `again` go on.
    fn wake(&mut self, now_us: u64);
    /// True after an `again`.
    fn wants_step(&self) -> bool;
    /// The next thing it learned.
    fn poll(&mut self) -> Option<Output>;
    /// When it wants to be woken, in call time.
    fn timeout_us(&self) -> Option<u64>;
    /// True once it can do nothing more.
    fn is_over(&self) -> bool;
}

/// Opens a body; runs on whichever thread serves the session.
pub(crate) type Opener = Box<dyn FnOnce(u64) -> Result<Box<dyn Body>, (Failure, String)> + Send>;

enum State {
    Opening(Option<Opener>),
    Open(Box<dyn Body>),
    Over,
}

/// The seat of one session.
pub(crate) struct Seat {
    began: Instant,
    state: Mutex<State>,
    inputs: Mutex<VecDeque<Input>>,
    outputs: Mutex<VecDeque<Output>>,
    woken: AtomicBool,
    queued: AtomicBool,
    closed: AtomicBool,
    timeout_us: AtomicU64,
    dropped_inputs: AtomicU64,
}

/// What is left to do after a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing until something arrives.
    Nothing,
    /// More, at once.
    More,
    /// More, once the outputs were taken.
    Full,
}

impl Seat {
    /// A seat whose call began at `began`.
    pub(crate) fn new(began: Instant, open: Opener) -> Arc<Self> {
        Arc::new(Self {
            began,
            state: Mutex::new(State::Opening(Some(open))),
            inputs: Mutex::new(VecDeque::with_capacity(16)),
            outputs: Mutex::new(VecDeque::with_capacity(16)),
            woken: AtomicBool::new(true),
            queued: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            timeout_us: AtomicU64::new(NEVER),
            dropped_inputs: AtomicU64::new(0),
        })
    }

    /// Queues an input; the oldest sound gives way when the session is too slow.
    pub(crate) fn push(&self, input: Input) {
        let mut inputs = held(&self.inputs);
        if inputs.len() >= MAX_INPUTS {
            let oldest_sound = inputs.iter().position(|queued| matches!(queued, Input::Sound { .. }));
            inputs.remove(oldest_sound.unwrap_or(0));
            self.dropped_inputs.fetch_add(1, Ordering::Relaxed);
        }
        inputs.push_back(input);
        drop(inputs);
        self.woken.store(true, Ordering::Release);
    }

    /// The next output.
    pub(crate) fn poll(&self) -> Option<Output> {
        held(&self.outputs).pop_front()
    }

    /// Something arrived for it from outside.
    pub(crate) fn wake(&self) {
        self.woken.store(true, Ordering::Release);
    }

    /// True when running a slice would do something.
    pub(crate) fn is_due(&self, now_us: u64) -> bool {
        self.woken.load(Ordering::Acquire) || self.timeout_us.load(Ordering::Acquire) <= now_us
    }

    /// Ends the session; its body is dropped by whichever thread serves it.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        held(&self.inputs).clear();
        self.wake();
    }

    /// Marks it queued; true when it was not.
    pub(super) fn take_queue_ticket(&self) -> bool {
        !self.queued.swap(true, Ordering::AcqRel)
    }

    /// Takes it off the queue, just before it is run.
    pub(super) fn return_queue_ticket(&self) {
        self.queued.store(false, Ordering::Release);
    }

    /// Inputs dropped because the session was too slow.
    pub(crate) fn dropped_inputs(&self) -> u64 {
        self.dropped_inputs.load(Ordering::Relaxed)
    }

    /// Runs the session for about `slice`.
    pub(crate) fn run(&self, slice: Duration) -> Left {
        let begin = Instant::now();
        let mut state = held(&self.state);
        self.woken.store(false, Ordering::Release);
        if self.closed.load(Ordering::Acquire) {
            *state = State::Over;
            return Left::Nothing;
        }
        if let State::Opening(open) = &mut *state {
            let opened = open.take().map_or_else(
                || Err((Failure::Internal, "a session was opened twice".to_owned())),
                |open| open(self.now_us()),
            );
            *state = match opened {
                Ok(body) => State::Open(body),
                Err((failure, detail)) => {
                    held(&self.outputs).push_back(Output::Failed { failure, detail });
                    State::Over
                }
            };
        }
        let State::Open(body) = &mut *state else { return Left::Nothing };
        body.wake(self.now_us());
        let left = loop {
            if !self.drain(body.as_mut()) {
                break Left::Full;
            }
            if body.is_over() {
                break Left::Nothing;
            }
            if begin.elapsed() >= slice {
                let idle = !body.wants_step() && held(&self.inputs).is_empty();
                break if idle { Left::Nothing } else { Left::More };
            }
            if body.wants_step() {
                body.wake(self.now_us());
                continue;
            }
            let next = held(&self.inputs).pop_front();
            match next {
                Some(input) => body.handle(self.now_us(), input),
                None => break Left::Nothing,
            }
        };
        self.timeout_us.store(body.timeout_us().unwrap_or(NEVER), Ordering::Release);
        if body.is_over() {
            *state = State::Over;
        }
        if left != Left::Nothing {
            self.wake();
        }
        left
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Moves what the body learned to the outputs; false when they are full.
    fn drain(&self, body: &mut dyn Body) -> bool {
        let mut outputs = held(&self.outputs);
        while outputs.len() < MAX_OUTPUTS {
            match body.poll() {
                Some(output) => outputs.push_back(output),
                None => return true,
            }
        }
        false
    }
}

/// A lock whose holder cannot have left it half-changed: a panic inside ends the process's thread, not the data.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
