//! An agent worker: an ordinary thread that steps the calls of one media worker, each when it has something and no
//! oftener: media names the calls of a phase, sessions ring for theirs, and an agenda knows every call's next deadline.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use trunkline_api::Id;
use trunkline_call::Operator;
use trunkline_leg::{DtmfDigit, EndCause, LegId, MediaSpec, ReadySet};
use trunkline_media::PhaseSignal;

use crate::active::{Active, LegNews, NewCall};
use crate::agenda::Agenda;
use crate::bell::Bell;
use crate::recording::{RecordingOrder, RecordingRefused, RecordingState};
use crate::session::Place;
use crate::session::pool::PoolQueue;
use crate::shared::Shared;

/// Orders that may wait for a worker.
const MAX_ORDERS: usize = 1024;
/// How long a worker sleeps at most.
const IDLE: Duration = Duration::from_millis(200);

/// What a worker is told.
pub(crate) enum Order {
    /// Take over a call.
    Begin(Box<NewCall>),
    /// The dialog of a call ended.
    DialogEnded(Id, EndCause),
    /// The media of a call changed.
    MediaChanged(Id, Box<MediaSpec>),
    /// The far end pressed a key and told it by signalling.
    Pressed(Id, DtmfDigit),
    /// News of a leg that the call dialled.
    Leg(Id, LegId, LegNews),
    /// An operator's order.
    Operator(Id, Operator),
    /// An operator's order about a call's recording, and where the answer goes.
    Recording(Id, RecordingOrder, SyncSender<Result<RecordingState, RecordingRefused>>),
    /// Let calls come to an end.
    Drain,
    /// End.
    Stop,
}

/// A worker's address.
#[derive(Clone)]
pub(crate) struct Worker {
    orders: SyncSender<Order>,
    signal: PhaseSignal,
    /// Rounds of its loop, at least five a second.
    rounds: Arc<AtomicU64>,
    gone: Arc<AtomicBool>,
}

impl Worker {
    /// Starts the worker of the media worker that raises `signal` for the calls in `ready`.
    pub(crate) fn start(
        index: usize,
        signal: PhaseSignal,
        ready: ReadySet,
        shared: Arc<Shared>,
        pool: PoolQueue,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (worker, inbox) = Self::new(signal.clone());
        let rounds = Arc::clone(&worker.rounds);
        let thread = std::thread::Builder::new()
            .name(format!("agent-{index}"))
            .spawn(move || Calls::new(index, ready, signal, shared, pool).run(&inbox, &rounds))?;
        Ok((worker, thread))
    }

    /// An address, and where its orders arrive.
    pub(crate) fn new(signal: PhaseSignal) -> (Self, Receiver<Order>) {
        let (orders, inbox) = sync_channel(MAX_ORDERS);
        (Self { orders, signal, rounds: Arc::default(), gone: Arc::default() }, inbox)
    }

    /// Whether its thread is gone, so that no order will ever be taken.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// How often its loop has run.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Gives an order; false when the worker is swamped or gone.
    pub(crate) fn order(&self, order: Order) -> bool {
        self.give(order).is_ok()
    }

    /// Gives an order, or gives it back when the worker is swamped or gone.
    pub(crate) fn give(&self, order: Order) -> Result<(), Order> {
        let given = self.orders.try_send(order);
        self.signal.raise();
        given.map_err(|error| match error {
            TrySendError::Full(order) => order,
            TrySendError::Disconnected(order) => {
                self.gone.store(true, Ordering::Release);
                order
            }
        })
    }
}

/// The calls of a worker, by the number of their leg.
struct Calls {
    /// Number of the worker.
    index: usize,
    ready: ReadySet,
    signal: PhaseSignal,
    shared: Arc<Shared>,
    pool: PoolQueue,
    /// Zero of the agenda's clock.
    epoch: Instant,
    calls: Vec<Option<Box<Active>>>,
    /// Looked up by key only.
    numbers: HashMap<Id, usize>,
    agenda: Agenda,
}

impl Calls {
    fn new(index: usize, ready: ReadySet, signal: PhaseSignal, shared: Arc<Shared>, pool: PoolQueue) -> Self {
        let numbers = ready.capacity();
        Self {
            index,
            ready,
            signal,
            shared,
            pool,
            epoch: Instant::now(),
            calls: std::iter::repeat_with(|| None).take(numbers).collect(),
            numbers: HashMap::new(),
            agenda: Agenda::new(numbers),
        }
    }

    fn run(mut self, inbox: &Receiver<Order>, rounds: &AtomicU64) {
        loop {
            rounds.fetch_add(1, Ordering::Relaxed);
            let until_due = self.agenda.next_us().map(|due_us| due_us.saturating_sub(self.now_us()));
            let _ = self.signal.wait(until_due.map_or(IDLE, |us| IDLE.min(Duration::from_micros(us))));
            let began = Instant::now();
            let overdue_us = self.agenda.next_us().map_or(0, |due_us| self.now_us().saturating_sub(due_us));
            while let Ok(order) = inbox.try_recv() {
                if !self.carry_out(order) {
                    return;
                }
            }
            self.look();
            if let Some(gauge) = self.shared.load.agent(self.index) {
                // Of the calls that had something, the last one waited for all others.
                let took = began.elapsed();
                gauge.was_late(overdue_us.max(u64::try_from(took.as_micros()).unwrap_or(u64::MAX)));
                gauge.worked(took);
            }
        }
    }

    /// Steps the calls that have something, then those whose time has come.
    fn look(&mut self) {
        let now_us = self.now_us();
        let ready = self.ready.clone();
        ready.take(|number| self.step(number));
        while let Some(number) = self.agenda.take_due(now_us) {
            let due_us = self.calls[number].as_deref().map(|call| self.due_us(call));
            match due_us {
                Some(due_us) if due_us > now_us => self.agenda.arm(number, due_us),
                Some(_) => self.step(number),
                None => {}
            }
        }
    }

    /// A panic ends its own call.
    fn step(&mut self, number: usize) {
        let Some(Some(call)) = self.calls.get_mut(number) else { return };
        match catch_unwind(AssertUnwindSafe(|| call.step())) {
            Ok(false) => {
                let due_us = self.calls[number].as_deref().map(|call| self.due_us(call));
                self.agenda.arm(number, due_us.unwrap_or_default());
            }
            Ok(true) => self.forget(number),
            Err(_) => self.crashed(number),
        }
    }

    /// A call panicked: it ends, and nobody else notices.
    fn crashed(&mut self, number: usize) {
        if let Some(Some(call)) = self.calls.get_mut(number) {
            tracing::error!(call = %call.id, "a call failed; see the panic above");
            match catch_unwind(AssertUnwindSafe(|| call.crashed() || call.step())) {
                // Its sessions have yet to say what they used.
                Ok(false) => {
                    let due_us = self.calls[number].as_deref().map(|call| self.due_us(call));
                    return self.agenda.arm(number, due_us.unwrap_or_default());
                }
                Ok(true) => {}
                Err(_) => {
                    tracing::error!(call = %call.id, "a call that failed could not be ended in order");
                    self.shared.directory.ended(&call.id);
                }
            }
        }
        self.forget(number);
    }

    /// False when the worker is to end.
    fn carry_out(&mut self, order: Order) -> bool {
        match order {
            Order::Begin(new) => self.begin(*new),
            Order::DialogEnded(id, cause) => self.with(&id, |call| call.dialog_ended(cause)),
            Order::MediaChanged(id, spec) => self.with(&id, |call| call.media_changed(*spec)),
            Order::Pressed(id, digit) => self.with(&id, |call| call.pressed(digit)),
            Order::Leg(id, leg, news) => self.with(&id, |call| call.leg_news(leg, news)),
            Order::Operator(id, order) => self.with(&id, |call| call.order(order)),
            Order::Recording(id, order, answer) => self.with(&id, |call| {
                // Whoever asked may have given up.
                let _ = answer.try_send(call.record(order));
            }),
            Order::Drain => {
                for number in 0..self.calls.len() {
                    self.act(number, Active::drain);
                }
            }
            Order::Stop => return false,
        }
        true
    }

    fn begin(&mut self, new: NewCall) {
        let number = new.leg.slot.index();
        let bell = Bell::new(new.leg.slot.mark(), self.signal.clone());
        let place = Place { pool: self.pool.clone(), bell, began: new.began };
        self.numbers.insert(new.id.clone(), number);
        if let Some(place_of_it) = self.calls.get_mut(number) {
            *place_of_it = Some(Box::new(Active::new(new, Arc::clone(&self.shared), place)));
        }
        self.act(number, Active::begin);
    }

    fn with(&mut self, id: &Id, act: impl FnOnce(&mut Active)) {
        let Some(number) = self.numbers.get(id).copied() else { return };
        self.act(number, act);
    }

    fn act(&mut self, number: usize, act: impl FnOnce(&mut Active)) {
        let Some(Some(call)) = self.calls.get_mut(number) else { return };
        match catch_unwind(AssertUnwindSafe(|| act(call))) {
            Ok(()) => self.step(number),
            Err(_) => self.crashed(number),
        }
    }

    fn forget(&mut self, number: usize) {
        self.agenda.forget(number);
        if let Some(call) = self.calls.get_mut(number).and_then(Option::take) {
            self.numbers.remove(&call.id);
        }
    }

    fn due_us(&self, call: &Active) -> u64 {
        let began = call.began().saturating_duration_since(self.epoch);
        u64::try_from(began.as_micros()).unwrap_or(u64::MAX).saturating_add(call.due().0)
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
