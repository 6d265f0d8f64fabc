//! Plugin sessions as the agent worker sees them: inputs in, outputs out, wherever they run.

mod asr;
mod body;
mod llm;
pub(crate) mod pool;
pub(crate) mod seat;
mod tool;
mod tts;
mod units;

use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline_api::Failure;
use trunkline_api::usage::Units;
use trunkline_call::{AsrEvent, LlmEvent, ToolOutcome};

pub(crate) use asr::{is_online, open_asr, takes_our_sound};
pub(crate) use llm::open_llm;
pub(crate) use tool::open_tool;
pub(crate) use trunkline_plugin_host::ToolContext;
pub(crate) use tts::open_tts;

use pool::{Notify, PoolQueue};
use seat::{Opener, Seat};

/// How long a light session may hold the agent worker at a time.
const INLINE_SLICE: Duration = Duration::from_millis(2);

/// What a session is told.
#[derive(Debug)]
pub(crate) enum Input {
    /// The caller's sound at the leg's rate.
    Sound {
        /// Samples.
        pcm: Vec<i16>,
        /// Their rate in Hz.
        rate: u32,
        /// Media time of the first, microseconds.
        position_us: u64,
    },
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

/// Where sessions of one call run.
#[derive(Clone)]
pub(crate) struct Place {
    /// The side pool.
    pub(crate) pool: PoolQueue,
    /// Wakes the call's agent worker.
    pub(crate) notify: Notify,
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
        wake.bind(&seat, heavy.then(|| place.pool.clone()), &place.notify);
        Self { seat, heavy }
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
            place.pool.submit(&self.seat, &place.notify);
        } else {
            self.seat.run(INLINE_SLICE);
        }
    }

    /// The next output.
    pub(crate) fn poll(&self) -> Option<Output> {
        self.seat.poll()
    }

    /// Inputs it lost because it was too slow.
    pub(crate) fn dropped_inputs(&self) -> u64 {
        self.seat.dropped_inputs()
    }

    /// Lets go of it; a heavy session's body is dropped on the pool.
    pub(crate) fn close(self, place: &Place) {
        self.seat.close();
        if self.heavy {
            place.pool.submit(&self.seat, &place.notify);
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
    notify: Notify,
}

impl Wake {
    fn bind(&self, seat: &Arc<Seat>, pool: Option<PoolQueue>, notify: &Notify) {
        let _ = self.0.set(Target { seat: Arc::downgrade(seat), pool, notify: Arc::clone(notify) });
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
            Some(pool) => pool.submit(&seat, &target.notify),
            None => (target.notify)(),
        }
    }
}
