//! Plugin sessions as the agent worker sees them: inputs in, outputs out, wherever they run.

mod asr;
mod body;
mod llm;
pub(crate) mod pool;
mod redactor;
pub(crate) mod seat;
mod tool;
mod tts;
mod units;

use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline_api::Failure;
use trunkline_api::usage::Units;
use trunkline_api::words::RedactionChannel;
use trunkline_call::{AsrEvent, LlmEvent, Redacted, ToolOutcome};

pub(crate) use asr::{is_online, open_asr, takes_our_sound};
pub(crate) use llm::open_llm;
pub(crate) use redactor::open_redactor;
pub(crate) use tool::open_tool;
pub(crate) use trunkline_plugin_host::ToolContext;
pub(crate) use tts::open_tts;

use crate::bell::Bell;
use pool::PoolQueue;
use seat::{Opener, Seat};

/// How long a light session may hold the agent worker at a time.
const INLINE_SLICE: Duration = Duration::from_millis(2);

/// The caller's sound at the leg's rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sound<'a> {
    /// Samples.
    pub(crate) pcm: &'a [i16],
    /// Their rate in Hz.
    pub(crate) rate: u32,
    /// Media time of the first, microseconds.
    pub(crate) position_us: u64,
}

/// What a session is told beside sound.
#[derive(Debug)]
pub(crate) enum Input {
    /// The caller stopped speaking.
    Finalize,
    /// Text to synthesise whole, as one context.
    Synthesize {
        /// The context.
        context: u32,
        /// The text.
        text: String,
    },
    /// Drop a context.
    CancelContext {
        /// The context.
        context: u32,
    },
    /// Redact a text.
    Redact {
        /// Names it.
        ticket: u64,
        /// Where it is going.
        channel: RedactionChannel,
        /// The text.
        text: String,
    },
    /// Stop a generation or invocation.
    Cancel,
}

/// What a session learned.
#[derive(Debug)]
pub(crate) enum Output {
    /// A recogniser's.
    Asr(AsrEvent),
    /// A model's.
    Llm(LlmEvent),
    /// Synthesised sound.
    Sound {
        /// The context it belongs to.
        context: u32,
        /// Samples.
        pcm: Vec<i16>,
        /// Their rate in Hz.
        rate: u32,
    },
    /// A context is complete.
    ContextDone {
        /// The context.
        context: u32,
    },
    /// A tool's answer.
    Tool(ToolOutcome),
    /// A redacted text, or why there is none.
    Redacted {
        /// Names it.
        ticket: u64,
        /// The text.
        result: Result<Redacted, String>,
    },
    /// Units used since the last report.
    Usage(Units),
    /// The session is over.
    Failed {
        /// Which failure.
        failure: Failure,
        /// What is known of it, for operators.
        detail: String,
    },
}

impl Output {
    /// Whether it says what was used.
    pub(crate) const fn is_usage(&self) -> bool {
        matches!(self, Self::Usage(_))
    }
}

/// Where sessions of one call run.
#[derive(Clone)]
pub(crate) struct Place {
    /// The side pool.
    pub(crate) pool: PoolQueue,
    /// Has the call's agent worker look at the call.
    pub(crate) bell: Bell,
    /// When the call began.
    pub(crate) began: Instant,
}

/// A session and where it runs.
pub(crate) struct Session {
    seat: Arc<Seat>,
    heavy: bool,
}

impl Session {
    /// Takes a seat; the session opens when it is first served. `make` gets the callback that wakes it when one of
    /// its connections has something.
    pub(crate) fn open(place: &Place, heavy: bool, make: impl FnOnce(Wake) -> Opener) -> Self {
        let wake = Wake::default();
        let seat = Seat::new(place.began, make(wake.clone()));
        wake.bind(&seat, heavy.then(|| place.pool.clone()), &place.bell);
        Self { seat, heavy }
    }

    /// A session that runs where it is served.
    #[cfg(test)]
    pub(crate) const fn light(seat: Arc<Seat>) -> Self {
        Self { seat, heavy: false }
    }

    /// Hands over sound.
    pub(crate) fn hear(&self, sound: Sound<'_>) {
        self.seat.hear(sound);
    }

    /// Hands over an input.
    pub(crate) fn push(&self, input: Input) {
        self.seat.push(input);
    }

    /// Has it run if something is due: here when it is light, on the side pool when it is heavy.
    pub(crate) fn serve(&self, place: &Place, now_us: u64) {
        if !self.seat.is_due(now_us) {
            return;
        }
        if self.heavy {
            place.pool.submit(&self.seat, &place.bell);
        } else {
            self.seat.run(INLINE_SLICE);
        }
    }

    /// When it wants to be served, in call time; `None` while only an arrival or the side pool brings it on.
    pub(crate) fn due_us(&self, now_us: u64) -> Option<u64> {
        if self.heavy && self.seat.is_queued() { None } else { self.seat.due_us(now_us) }
    }

    /// When its timer is due, in call time.
    pub(crate) fn timer_us(&self) -> Option<u64> {
        self.seat.timer_us()
    }

    /// Whether an output waits.
    pub(crate) fn has_output(&self) -> bool {
        self.seat.has_output()
    }

    /// The next output.
    pub(crate) fn poll(&self) -> Option<Output> {
        self.seat.poll()
    }

    /// Whether nothing more comes of it but what waits already.
    pub(crate) fn is_over(&self) -> bool {
        self.seat.is_over()
    }

    /// Since when it has waited for a thread of the side pool, in call time.
    pub(crate) fn waits_since_us(&self) -> Option<u64> {
        self.seat.waits_since_us()
    }

    /// How much sound it was given and has not come to, microseconds.
    pub(crate) fn owes_us(&self) -> u64 {
        self.seat.owes_us()
    }

    /// It is broken: it is never run again, and what it has said may still be polled.
    pub(crate) fn give_up(&self) {
        self.seat.panicked();
    }

    /// Inputs it lost because it was too slow.
    pub(crate) fn dropped_inputs(&self) -> u64 {
        self.seat.dropped_inputs()
    }

    /// Cancels and ends it; a heavy session's body is dropped on the pool. What it used may still be polled.
    pub(crate) fn close(&self, place: &Place) {
        self.seat.close();
        if self.heavy {
            place.pool.submit(&self.seat, &place.bell);
        } else {
            self.seat.run(Duration::ZERO);
        }
    }
}

/// Wakes a session from a connection's thread.
#[derive(Clone, Default)]
pub(crate) struct Wake(Arc<std::sync::OnceLock<Target>>);

struct Target {
    seat: std::sync::Weak<Seat>,
    pool: Option<PoolQueue>,
    bell: Bell,
}

impl Wake {
    fn bind(&self, seat: &Arc<Seat>, pool: Option<PoolQueue>, bell: &Bell) {
        let _ = self.0.set(Target { seat: Arc::downgrade(seat), pool, bell: bell.clone() });
    }

    /// As the plugin host calls it.
    pub(crate) fn callback(self) -> Arc<dyn Fn() + Send + Sync> {
        Arc::new(move || self.wake())
    }

    /// Something arrived.
    fn wake(&self) {
        let Some(target) = self.0.get() else { return };
        let Some(seat) = target.seat.upgrade() else { return };
        seat.wake();
        match &target.pool {
            Some(pool) => pool.submit(&seat, &target.bell),
            None => target.bell.ring(),
        }
    }
}
