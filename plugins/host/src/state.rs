//! What the host keeps for one instance, and the host's side of every import.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::{ResourceLimiter, StoreContextMut, UpdateDeadline};

use crate::bindings::host;
use crate::bindings::host::types::ProviderError;
use crate::engine::{Room, thread_cpu_us};
use crate::network::Network;
use crate::timers::Timers;

/// Host calls one handler may make.
const CALLS_PER_HANDLER: u32 = 10_000;
/// Most random bytes of one call.
const MAX_RANDOM: u32 = 4096;
/// Longest log line, bytes.
const MAX_LOG: usize = 1024;
/// Log lines a session may write at once, and per second of session time.
const LOG_BURST: u64 = 50;
const LOG_PER_SECOND: u64 = 10;
/// How many times its deadline a handler may take in wall time while other threads hold its processor.
const WALL_FACTOR: u64 = 10;

/// A guest went past what one handler may do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct OverBudget(pub(crate) &'static str);

/// Memory of one instance, all its linear memories together.
#[derive(Debug)]
pub(crate) struct MemoryLimit {
    pub(crate) cap: usize,
    pub(crate) used: usize,
    pub(crate) refused: bool,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.used.saturating_add(desired.saturating_sub(current));
        if total > self.cap {
            self.refused = true;
            return Ok(false);
        }
        self.used = total;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 20_000)
    }
}

/// A small generator for plugins: the same seed gives the same session. Not for keys.
#[derive(Debug)]
pub(crate) struct SessionRandom(u64);

impl SessionRandom {
    /// SplitMix64's step.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn bytes(&mut self, len: u32) -> Vec<u8> {
        let len = len.min(MAX_RANDOM) as usize;
        let mut bytes: Vec<u8> =
            std::iter::repeat_with(|| self.next().to_le_bytes()).take(len.div_ceil(8)).flatten().collect();
        bytes.truncate(len);
        bytes
    }
}

/// When the handler that runs now must be done.
#[derive(Debug)]
pub(crate) struct Deadline {
    pub(crate) limit_ms: u32,
    cpu_start_us: u64,
    wall_start: Instant,
}

/// Everything of one instance.
pub(crate) struct State {
    pub(crate) plugin: Arc<str>,
    pub(crate) settings: String,
    pub(crate) start_us: u64,
    pub(crate) now_us: u64,
    pub(crate) memory: MemoryLimit,
    pub(crate) random: SessionRandom,
    pub(crate) timers: Timers,
    /// `None` for worlds that import nothing.
    pub(crate) network: Option<Network>,
    pub(crate) deadline: Deadline,
    /// The session's place in its pool.
    _room: Room,
    calls_left: u32,
    log_tokens: u64,
    log_refill_us: u64,
    log_dropped: u64,
}

/// What a session begins with.
pub(crate) struct Beginning {
    pub(crate) room: Room,
    pub(crate) plugin: Arc<str>,
    pub(crate) settings: String,
    pub(crate) now_us: u64,
    pub(crate) seed: u64,
    pub(crate) memory_mib: u32,
    pub(crate) deadline_ms: u32,
    pub(crate) network: Option<Network>,
}

impl State {
    pub(crate) fn new(beginning: Beginning) -> Self {
        let cap = usize::try_from(u64::from(beginning.memory_mib) << 20).unwrap_or(usize::MAX);
        Self {
            plugin: beginning.plugin,
            settings: beginning.settings,
            start_us: beginning.now_us,
            now_us: beginning.now_us,
            memory: MemoryLimit { cap, used: 0, refused: false },
            random: SessionRandom(beginning.seed),
            timers: Timers::default(),
            network: beginning.network,
            deadline: Deadline { limit_ms: beginning.deadline_ms, cpu_start_us: 0, wall_start: Instant::now() },
            _room: beginning.room,
            calls_left: CALLS_PER_HANDLER,
            log_tokens: LOG_BURST,
            log_refill_us: beginning.now_us,
            log_dropped: 0,
        }
    }

    /// A handler begins.
    pub(crate) fn begin(&mut self, now_us: u64) {
        self.now_us = self.now_us.max(now_us);
        self.calls_left = CALLS_PER_HANDLER;
        self.deadline.cpu_start_us = thread_cpu_us();
        self.deadline.wall_start = Instant::now();
    }

    fn session_us(&self) -> u64 {
        self.now_us.saturating_sub(self.start_us)
    }

    /// Counts a host call.
    pub(crate) fn charge(&mut self) -> wasmtime::Result<()> {
        match self.calls_left.checked_sub(1) {
            Some(left) => {
                self.calls_left = left;
                Ok(())
            }
            None => Err(wasmtime::Error::new(OverBudget("more than 10000 host calls in one handler"))),
        }
    }

    fn network(&mut self) -> wasmtime::Result<&mut Network> {
        self.network.as_mut().ok_or_else(|| wasmtime::Error::new(OverBudget("this world has no network")))
    }

    fn may_log(&mut self) -> bool {
        let refill = self.now_us.saturating_sub(self.log_refill_us).saturating_mul(LOG_PER_SECOND) / 1_000_000;
        if refill > 0 {
            self.log_tokens = (self.log_tokens + refill).min(LOG_BURST);
            self.log_refill_us = self.now_us;
        }
        match self.log_tokens.checked_sub(1) {
            Some(left) => {
                self.log_tokens = left;
                true
            }
            None => {
                self.log_dropped += 1;
                false
            }
        }
    }
}

/// Decides at an epoch deadline whether the handler really used its time. What counts is the processor time of its
/// own thread, so that a busy machine does not kill a plugin that waited for its turn.
pub(crate) fn at_deadline(context: StoreContextMut<'_, State>) -> UpdateDeadline {
    let deadline = &context.data().deadline;
    let limit_us = u64::from(deadline.limit_ms) * 1000;
    let used_us = thread_cpu_us().saturating_sub(deadline.cpu_start_us);
    let wall_us = u64::try_from(deadline.wall_start.elapsed().as_micros()).unwrap_or(u64::MAX);
    if used_us >= limit_us || wall_us >= limit_us.saturating_mul(WALL_FACTOR) {
        return UpdateDeadline::Interrupt;
    }
    UpdateDeadline::Continue(((limit_us - used_us) / 1000).max(1))
}

impl host::types::Host for State {}
impl host::events::Host for State {}

impl host::log::Host for State {
    fn log(&mut self, level: host::log::Level, mut message: String) -> wasmtime::Result<()> {
        self.charge()?;
        if !self.may_log() {
            return Ok(());
        }
        let dropped = std::mem::take(&mut self.log_dropped);
        let end = message
            .char_indices()
            .map(|(at, char)| at + char.len_utf8())
            .take_while(|&end| end <= MAX_LOG)
            .last()
            .unwrap_or(0);
        message.truncate(end);
        let message: String = message.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        let plugin = &*self.plugin;
        match level {
            host::log::Level::Trace => tracing::trace!(plugin, dropped, "{message}"),
            host::log::Level::Debug => tracing::debug!(plugin, dropped, "{message}"),
            host::log::Level::Info => tracing::info!(plugin, dropped, "{message}"),
            host::log::Level::Warn => tracing::warn!(plugin, dropped, "{message}"),
            host::log::Level::Error => tracing::error!(plugin, dropped, "{message}"),
        }
        Ok(())
    }
}

impl host::clock::Host for State {
    fn now_us(&mut self) -> wasmtime::Result<u64> {
        self.charge()?;
        Ok(self.session_us())
    }

    fn set_timer(&mut self, delay_ms: u32) -> wasmtime::Result<u32> {
        self.charge()?;
        let due_us = self.now_us.saturating_add(u64::from(delay_ms) * 1000);
        self.timers.set(due_us).ok_or_else(|| wasmtime::Error::new(OverBudget("more than 64 timers")))
    }

    fn cancel_timer(&mut self, id: u32) -> wasmtime::Result<()> {
        self.charge()?;
        self.timers.cancel(id);
        Ok(())
    }
}

impl host::random::Host for State {
    fn get_bytes(&mut self, len: u32) -> wasmtime::Result<Vec<u8>> {
        self.charge()?;
        if len > MAX_RANDOM {
            return Err(wasmtime::Error::new(OverBudget("more than 4096 random bytes in one call")));
        }
        Ok(self.random.bytes(len))
    }
}

impl host::settings::Host for State {
    fn get(&mut self) -> wasmtime::Result<String> {
        self.charge()?;
        Ok(self.settings.clone())
    }
}

impl host::secrets::Host for State {
    fn exists(&mut self, name: String) -> wasmtime::Result<bool> {
        self.charge()?;
        Ok(self.network()?.has_secret(&name))
    }
}

impl host::http::Host for State {
    fn send(&mut self, request: host::http::Request) -> wasmtime::Result<Result<u32, ProviderError>> {
        self.charge()?;
        Ok(self.network()?.send_request(request))
    }

    fn grant(&mut self, id: u32, more: u32) -> wasmtime::Result<()> {
        self.charge()?;
        self.network()?.grant(id, more);
        Ok(())
    }

    fn abort(&mut self, id: u32) -> wasmtime::Result<()> {
        self.charge()?;
        self.network()?.abort(id);
        Ok(())
    }
}

impl host::websocket::Host for State {
    fn connect(&mut self, request: host::websocket::ConnectRequest) -> wasmtime::Result<Result<u32, ProviderError>> {
        self.charge()?;
        Ok(self.network()?.connect(request))
    }

    fn send(&mut self, id: u32, message: host::websocket::Message) -> wasmtime::Result<Result<u32, ProviderError>> {
        self.charge()?;
        Ok(self.network()?.send_message(id, message))
    }

    fn grant(&mut self, id: u32, more: u32) -> wasmtime::Result<()> {
        self.charge()?;
        self.network()?.grant(id, more);
        Ok(())
    }

    fn close(&mut self, id: u32, code: u16, reason: String) -> wasmtime::Result<()> {
        self.charge()?;
        self.network()?.close(id, host::websocket::CloseFrame { code, reason });
        Ok(())
    }
}
