//! A plugin session's seat: bounded queues around a body that one thread at a time may step.
//!
//! Light plugins are stepped by the agent worker in place; heavy ones by the side pool in slices. Both run the same
//! code here, so that where a session runs changes nothing about what it does.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use trunkline_api::Failure;

use super::{Input, Output, Sound};

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
    /// Hands over sound at `now_us` of call time.
    fn hear(&mut self, now_us: u64, sound: Sound<'_>);
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

/// Inputs in order. Sound lies apart, sample by sample, so that a frame of it allocates nothing.
#[derive(Default)]
struct Inputs {
    queue: VecDeque<Queued>,
    samples: VecDeque<i16>,
    /// How long the sound lasts.
    sound_us: u64,
}

enum Queued {
    Sound { len: usize, rate: u32, position_us: u64 },
    Input(Input),
}

impl Inputs {
    fn push(&mut self, next: Queued) -> bool {
        let full = self.queue.len() >= MAX_INPUTS;
        if full {
            let oldest_sound = self.queue.iter().position(|queued| matches!(queued, Queued::Sound { .. }));
            // Whatever sound is queued begins with the oldest.
            if let Some(Queued::Sound { len, rate, .. }) = self.queue.remove(oldest_sound.unwrap_or(0)) {
                self.samples.drain(..len);
                self.sound_us = self.sound_us.saturating_sub(sound_us(len, rate));
            }
        }
        if let Queued::Sound { len, rate, .. } = next {
            self.sound_us += sound_us(len, rate);
        }
        self.queue.push_back(next);
        full
    }

    /// The next input; the samples of sound are moved to `sound`.
    fn pop(&mut self, sound: &mut Vec<i16>) -> Option<Queued> {
        let next = self.queue.pop_front()?;
        if let Queued::Sound { len, rate, .. } = next {
            self.sound_us = self.sound_us.saturating_sub(sound_us(len, rate));
            sound.clear();
            sound.extend(self.samples.drain(..len));
        }
        Some(next)
    }

    fn clear(&mut self) {
        self.queue.clear();
        self.samples.clear();
        self.sound_us = 0;
    }
}

/// How long samples of a rate last.
fn sound_us(len: usize, rate: u32) -> u64 {
    len as u64 * 1_000_000 / u64::from(rate.max(1))
}

/// A session's body and what it is handed sound in.
struct Held {
    state: State,
    sound: Vec<i16>,
}

/// The seat of one session.
pub(crate) struct Seat {
    began: Instant,
    state: Mutex<Held>,
    inputs: Mutex<Inputs>,
    outputs: Mutex<VecDeque<Output>>,
    woken: AtomicBool,
    queued: AtomicBool,
    closed: AtomicBool,
    over: AtomicBool,
    /// Since when it has waited for a thread, in call time.
    waits_since_us: AtomicU64,
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
            state: Mutex::new(Held { state: State::Opening(Some(open)), sound: Vec::new() }),
            inputs: Mutex::default(),
            outputs: Mutex::new(VecDeque::with_capacity(16)),
            woken: AtomicBool::new(true),
            queued: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            over: AtomicBool::new(false),
            waits_since_us: AtomicU64::new(NEVER),
            timeout_us: AtomicU64::new(NEVER),
            dropped_inputs: AtomicU64::new(0),
        })
    }

    /// Queues an input; the oldest sound gives way when the session is too slow.
    pub(crate) fn push(&self, input: Input) {
        self.queue(Queued::Input(input), &[]);
    }

    /// Queues sound.
    pub(crate) fn hear(&self, sound: Sound<'_>) {
        let Sound { pcm, rate, position_us } = sound;
        self.queue(Queued::Sound { len: pcm.len(), rate, position_us }, pcm);
    }

    fn queue(&self, next: Queued, samples: &[i16]) {
        let mut inputs = held(&self.inputs);
        let dropped = inputs.push(next);
        inputs.samples.extend(samples);
        drop(inputs);
        self.dropped_inputs.fetch_add(u64::from(dropped), Ordering::Relaxed);
        self.woken.store(true, Ordering::Release);
    }

    /// The next output.
    pub(crate) fn poll(&self) -> Option<Output> {
        held(&self.outputs).pop_front()
    }

    /// Whether an output waits.
    pub(crate) fn has_output(&self) -> bool {
        !held(&self.outputs).is_empty()
    }

    /// Something arrived for it from outside.
    pub(crate) fn wake(&self) {
        self.woken.store(true, Ordering::Release);
    }

    /// True when running a slice would do something.
    pub(crate) fn is_due(&self, now_us: u64) -> bool {
        self.woken.load(Ordering::Acquire) || self.timeout_us.load(Ordering::Acquire) <= now_us
    }

    /// When running a slice would do something, in call time; `None` while only an arrival would.
    pub(crate) fn due_us(&self, now_us: u64) -> Option<u64> {
        if self.woken.load(Ordering::Acquire) {
            return Some(now_us);
        }
        self.timer_us()
    }

    /// When its timer is due, in call time.
    pub(crate) fn timer_us(&self) -> Option<u64> {
        Some(self.timeout_us.load(Ordering::Acquire)).filter(|due_us| *due_us != NEVER)
    }

    /// Whether it waits for a thread of the side pool.
    pub(crate) fn is_queued(&self) -> bool {
        self.queued.load(Ordering::Acquire)
    }

    /// Ends the session: its body is told so and dropped by whichever thread serves it. What it reports of what it used
    /// may still be polled.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        held(&self.inputs).clear();
        self.wake();
    }

    /// Whether nothing more comes of it but what waits already.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Since when it has waited for a thread, in call time.
    pub(crate) fn waits_since_us(&self) -> Option<u64> {
        Some(self.waits_since_us.load(Ordering::Acquire)).filter(|since_us| *since_us != NEVER)
    }

    /// For how long it has waited for a thread by now.
    pub(super) fn waits_us(&self) -> u64 {
        self.waits_since_us().map_or(0, |since_us| self.now_us().saturating_sub(since_us))
    }

    /// How much sound it was given and has not come to.
    pub(crate) fn owes_us(&self) -> u64 {
        held(&self.inputs).sound_us
    }

    /// Marks it queued; true when it was not.
    pub(super) fn take_queue_ticket(&self) -> bool {
        let taken = !self.queued.swap(true, Ordering::AcqRel);
        if taken {
            self.waits_since_us.store(self.now_us(), Ordering::Release);
        }
        taken
    }

    /// A thread has come to it.
    pub(super) fn has_its_turn(&self) {
        self.waits_since_us.store(NEVER, Ordering::Release);
    }

    /// It may be queued again; true when it was woken meanwhile. Until then no other thread waits for it.
    pub(super) fn return_queue_ticket(&self) -> bool {
        self.queued.store(false, Ordering::Release);
        self.woken.load(Ordering::Acquire)
    }

    /// Running it panicked: whoever waits for it is told, and it is never run again.
    pub(super) fn panicked(&self) {
        held(&self.state).state = State::Over;
        let detail = "a session failed inside the gateway; the log has the panic".to_owned();
        held(&self.outputs).push_back(Output::Failed { failure: Failure::Internal, detail });
        self.over.store(true, Ordering::Release);
    }

    /// Inputs dropped because the session was too slow.
    pub(crate) fn dropped_inputs(&self) -> u64 {
        self.dropped_inputs.load(Ordering::Relaxed)
    }

    /// Runs the session for about `slice`.
    pub(crate) fn run(&self, slice: Duration) -> Left {
        let begin = Instant::now();
        let mut state = held(&self.state);
        let Held { state, sound } = &mut *state;
        self.woken.store(false, Ordering::Release);
        // Nobody runs it for a timer that this run serves.
        self.timeout_us.store(NEVER, Ordering::Release);
        if self.closed.load(Ordering::Acquire) {
            if let State::Open(body) = state {
                body.handle(self.now_us(), Input::Cancel);
                let mut outputs = held(&self.outputs);
                outputs.extend(std::iter::from_fn(|| body.poll()).take(MAX_OUTPUTS).filter(|output| output.is_usage()));
            }
            *state = State::Over;
            self.over.store(true, Ordering::Release);
            return Left::Nothing;
        }
        if let State::Opening(open) = state {
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
        let State::Open(body) = state else {
            self.over.store(true, Ordering::Release);
            return Left::Nothing;
        };
        body.wake(self.now_us());
        let left = loop {
            if !self.drain(body.as_mut()) {
                break Left::Full;
            }
            if body.is_over() {
                break Left::Nothing;
            }
            if begin.elapsed() >= slice {
                let idle = !body.wants_step() && held(&self.inputs).queue.is_empty();
                break if idle { Left::Nothing } else { Left::More };
            }
            if body.wants_step() {
                body.wake(self.now_us());
                continue;
            }
            let next = held(&self.inputs).pop(sound);
            match next {
                Some(Queued::Input(input)) => body.handle(self.now_us(), input),
                Some(Queued::Sound { rate, position_us, .. }) => {
                    body.hear(self.now_us(), Sound { pcm: sound.as_slice(), rate, position_us });
                }
                None => break Left::Nothing,
            }
        };
        self.timeout_us.store(body.timeout_us().unwrap_or(NEVER), Ordering::Release);
        if body.is_over() {
            *state = State::Over;
            self.over.store(true, Ordering::Release);
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
