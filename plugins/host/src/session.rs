//! What all sessions have in common: one instance, its limits around every call into it, the queue of what it said,
//! and the end of it all when it misbehaves.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::{Store, Trap};

use crate::bindings::host::events::Event as GuestEvent;
use crate::bindings::host::types::ProviderError as GuestError;
use crate::error::SessionError;
use crate::inbox::{Delivery, Wake};
use crate::plugin::Plugin;
use crate::state::{OverBudget, State, at_deadline};

/// Most events delivered to the guest in one call of `handle_wake`.
const MAX_DELIVERIES: usize = 32;
/// Bytes a guest may hand over in one call or return.
const HOSTCALL_FUEL: usize = 4 << 20;

/// How a session begins.
#[derive(Clone)]
pub struct SessionStart {
    /// Everything random in the session follows from it.
    pub seed: u64,
    /// Now, in microseconds of the clock every later call uses; the session's own time begins here.
    pub now_us: u64,
    /// Called from network threads when `handle_wake` has something to do.
    pub wake: Wake,
    /// Events the session may have waiting for `poll_event`, 1..=4096. It is the guest's credit.
    pub queue: u32,
}

impl SessionStart {
    /// With room for 64 events.
    #[must_use]
    pub fn new(seed: u64, now_us: u64, wake: Wake) -> Self {
        Self { seed, now_us, wake, queue: 64 }
    }
}

impl std::fmt::Debug for SessionStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionStart")
            .field("seed", &self.seed)
            .field("now_us", &self.now_us)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// What a handler answered.
pub(crate) struct Step<E> {
    pub(crate) events: Vec<E>,
    pub(crate) again: bool,
}

pub(crate) type Answer<E> = wasmtime::Result<Result<Step<E>, GuestError>>;

/// An instance and what is kept around it.
pub(crate) struct Runner<E> {
    pub(crate) plugin: Arc<Plugin>,
    store: Option<Store<State>>,
    dead: Option<SessionError>,
    pub(crate) queue: VecDeque<E>,
    capacity: usize,
    again: bool,
    plugin_us: u64,
}

/// A store with every limit set, ready for an instance.
pub(crate) fn store(engine: &wasmtime::Engine, state: State) -> Store<State> {
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.memory);
    store.set_hostcall_fuel(HOSTCALL_FUEL);
    store.epoch_deadline_callback(|context| Ok(at_deadline(context)));
    store
}

/// Runs something in a guest under its deadline; gives the time it took in microseconds beside the result.
pub(crate) fn guarded<R>(
    store: &mut Store<State>,
    now_us: u64,
    call: impl FnOnce(&mut Store<State>) -> wasmtime::Result<R>,
) -> (wasmtime::Result<R>, u64) {
    store.data_mut().begin(now_us);
    // One tick more than the limit, because the running one is already partly over.
    store.set_epoch_deadline(u64::from(store.data().deadline.limit_ms) + 1);
    let started = Instant::now();
    let result = call(store);
    (result, u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX))
}

/// Why a call into a guest ended, by name.
pub(crate) fn name(error: &wasmtime::Error, state: &State) -> SessionError {
    let plugin = state.plugin.to_string();
    if let Some(OverBudget(what)) = error.downcast_ref::<OverBudget>() {
        return SessionError::Budget { plugin, what };
    }
    if error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>().is_some() {
        return SessionError::Exhausted(format!("{error:#}"));
    }
    if state.memory.refused {
        let limit_mib = u32::try_from(state.memory.cap >> 20).unwrap_or(u32::MAX);
        return SessionError::Memory { plugin, limit_mib };
    }
    if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return SessionError::Deadline { plugin, limit_ms: state.deadline.limit_ms };
    }
    if error.chain().any(|cause| cause.to_string().contains("fuel allocated for hostcalls")) {
        return SessionError::Budget { plugin, what: "more than 4 MiB in one call" };
    }
    let why = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    SessionError::Trapped { plugin, why }
}

impl<E> Runner<E> {
    pub(crate) fn new(plugin: Arc<Plugin>, store: Store<State>, queue: u32, plugin_us: u64) -> Self {
        let capacity = queue.clamp(1, 4096) as usize;
        Self { plugin, store: Some(store), dead: None, queue: VecDeque::new(), capacity, again: false, plugin_us }
    }

    fn credit(&self) -> u32 {
        u32::try_from(self.capacity.saturating_sub(self.queue.len())).unwrap_or(u32::MAX)
    }

    pub(crate) fn kill(&mut self, error: SessionError) -> SessionError {
        self.store = None;
        self.again = false;
        if !matches!(error, SessionError::Closed | SessionError::Provider(_)) {
            tracing::warn!(plugin = self.plugin.name(), %error, "a plugin session ended");
        }
        self.dead = Some(error.clone());
        error
    }

    /// The guest gets a `resume` at the next wake.
    pub(crate) fn ask_again(&mut self) {
        self.again = true;
    }

    /// Calls into the guest.
    pub(crate) fn call<R>(
        &mut self,
        now_us: u64,
        call: impl FnOnce(&mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, SessionError> {
        let Some(store) = self.store.as_mut() else { return Err(self.dead.clone().unwrap_or(SessionError::Closed)) };
        let (result, took_us) = guarded(store, now_us, call);
        self.plugin_us = self.plugin_us.saturating_add(took_us);
        match result {
            Ok(value) => Ok(value),
            Err(error) => {
                let named = name(&error, store.data());
                Err(self.kill(named))
            }
        }
    }

    /// Calls a handler that answers with a step.
    pub(crate) fn step(
        &mut self,
        now_us: u64,
        call: impl FnOnce(&mut Store<State>, u32) -> Answer<E>,
    ) -> Result<(), SessionError> {
        let credit = self.credit();
        match self.call(now_us, |store| call(store, credit))? {
            Err(error) => Err(self.kill(SessionError::Provider(error.into()))),
            Ok(step) if step.events.len() > credit as usize => {
                let what = format!("{} events for a credit of {credit}", step.events.len());
                let plugin = self.plugin.name().to_owned();
                Err(self.kill(SessionError::Contract { plugin, what }))
            }
            Ok(step) => {
                self.queue.extend(step.events);
                self.again = step.again;
                Ok(())
            }
        }
    }

    /// Delivers what is due, then lets the guest go on if it has more.
    pub(crate) fn wake(
        &mut self,
        now_us: u64,
        mut on_event: impl FnMut(&mut Store<State>, &GuestEvent, u32) -> Answer<E>,
        resume: impl FnOnce(&mut Store<State>, u32) -> Answer<E>,
    ) -> Result<(), SessionError> {
        if let Some(error) = &self.dead {
            return Err(error.clone());
        }
        for _ in 0..MAX_DELIVERIES {
            if self.credit() == 0 {
                return Ok(());
            }
            let Some(event) = self.next_event(now_us) else { break };
            self.step(now_us, |store, credit| on_event(store, &event, credit))?;
        }
        if self.again && self.credit() > 0 {
            self.step(now_us, resume)?;
        }
        Ok(())
    }

    /// The next timer or connection event.
    pub(crate) fn next_event(&mut self, now_us: u64) -> Option<GuestEvent> {
        let state = self.store.as_mut()?.data_mut();
        if let Some(timer) = state.timers.pop(now_us) {
            return Some(GuestEvent::Timer(timer));
        }
        let (id, delivery) = state.network.as_mut()?.take()?;
        Some(match delivery {
            Delivery::Http(event) => GuestEvent::Http((id, event)),
            Delivery::WebSocket(event) => GuestEvent::Websocket((id, event)),
        })
    }

    pub(crate) fn next_timer_us(&self) -> Option<u64> {
        self.store.as_ref()?.data().timers.next_due_us()
    }

    pub(crate) fn has_mail(&self) -> bool {
        let network = self.store.as_ref().and_then(|store| store.data().network.as_ref());
        network.is_some_and(|network| !network.inbox.is_empty())
    }

    pub(crate) fn wants_step(&self) -> bool {
        self.credit() > 0 && (self.again || self.has_mail())
    }

    pub(crate) fn plugin_us(&self) -> u64 {
        self.plugin_us
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.is_some()
    }

    /// Ends the session; its memory and connections are gone.
    pub(crate) fn end(&mut self) {
        if self.dead.is_none() {
            self.kill(SessionError::Closed);
        }
    }
}

/// The methods every session that hears of connections and timers has.
macro_rules! stream_session {
    ($session:ident, $event:ty, $interface:ident, $resource:ident) => {
        impl $session {
            /// Delivers due timers and what connections brought, at most 32 at a time, then lets the guest give more if
            /// it answered `again`.
            ///
            /// # Errors
            /// [`SessionError`](crate::SessionError) ends the session; the same error comes again on every later call.
            pub fn handle_wake(&mut self, now_us: u64) -> Result<(), crate::SessionError> {
                let (guest, handle) = (self.world.$interface().$resource(), self.handle);
                self.runner.wake(
                    now_us,
                    |store, event, credit| crate::session::answer(guest.call_on_event(store, handle, event, credit)),
                    |store, credit| crate::session::answer(guest.call_resume(store, handle, credit)),
                )
            }

            /// What the guest said, oldest first.
            pub fn poll_event(&mut self) -> Option<$event> {
                self.runner.queue.pop_front()
            }

            /// When the guest's next timer is due, in microseconds of the caller's clock.
            #[must_use]
            pub fn poll_timeout(&self) -> Option<u64> {
                self.runner.next_timer_us()
            }

            /// Whether `handle_wake` has work now, without any wake or timer: call it again once events were polled.
            #[must_use]
            pub fn wants_step(&self) -> bool {
                self.runner.wants_step()
            }

            /// Time spent inside the guest, in microseconds.
            #[must_use]
            pub fn plugin_us(&self) -> u64 {
                self.runner.plugin_us()
            }

            /// Whether the session has ended.
            #[must_use]
            pub fn is_dead(&self) -> bool {
                self.runner.is_dead()
            }

            /// The plugin it runs, which a newer version does not replace.
            #[must_use]
            pub fn plugin(&self) -> &std::sync::Arc<crate::Plugin> {
                &self.runner.plugin
            }
        }
    };
}
pub(crate) use stream_session;

/// A generated step as ours.
pub(crate) trait IntoStep<E> {
    fn into_step(self) -> Step<E>;
}

pub(crate) fn answer<S: IntoStep<E>, E>(result: wasmtime::Result<Result<S, GuestError>>) -> Answer<E> {
    Ok(result?.map(IntoStep::into_step))
}
