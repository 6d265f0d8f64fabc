//! An agent worker: an ordinary thread that steps the calls of one media worker on media's own 5 ms grid.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use trunkline_api::Id;
use trunkline_call::Operator;
use trunkline_leg::{EndCause, MediaSpec};
use trunkline_media::PhaseSignal;

use crate::active::{Active, NewCall};
use crate::session::Place;
use crate::session::pool::{Notify, PoolQueue};
use crate::shared::Shared;

/// Orders that may wait for a worker.
const MAX_ORDERS: usize = 1024;
/// How long a worker with calls sleeps when media has nothing: plugin timers are looked at this often.
const GRID: Duration = Duration::from_millis(5);
/// The same for a worker without calls.
const IDLE: Duration = Duration::from_millis(200);

/// What a worker is told.
pub(crate) enum Order {
    /// Take over a call.
    Begin(Box<NewCall>),
    /// The dialog of a call ended.
    DialogEnded(Id, EndCause),
    /// The media of a call changed.
    MediaChanged(Id, MediaSpec),
    /// An operator's order.
    Operator(Id, Operator),
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
}

impl Worker {
    /// Starts the worker of `signal`'s media worker.
    pub(crate) fn start(
        index: usize,
        signal: PhaseSignal,
        shared: Arc<Shared>,
        pool: PoolQueue,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (orders, inbox) = sync_channel(MAX_ORDERS);
        let waiter = signal.clone();
        let raiser = signal.clone();
        let notify: Notify = Arc::new(move || raiser.raise());
        let rounds = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&rounds);
        let thread = std::thread::Builder::new()
            .name(format!("agent-{index}"))
            .spawn(move || run(&inbox, &waiter, &shared, &pool, &notify, &counted))?;
        Ok((Self { orders, signal, rounds }, thread))
    }

    /// How often its loop has run.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Gives an order; false when the worker is swamped or gone.
    pub(crate) fn order(&self, order: Order) -> bool {
        let given = match self.orders.try_send(order) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        };
        self.signal.raise();
        given
    }
}

fn run(
    inbox: &Receiver<Order>,
    signal: &PhaseSignal,
    shared: &Arc<Shared>,
    pool: &PoolQueue,
    notify: &Notify,
    rounds: &AtomicU64,
) {
    let mut calls: Vec<Active> = Vec::new();
    loop {
        rounds.fetch_add(1, Ordering::Relaxed);
        let _ = signal.wait(if calls.is_empty() { IDLE } else { GRID });
        while let Ok(order) = inbox.try_recv() {
            match order {
                Order::Begin(new) => {
                    let place = Place { pool: pool.clone(), notify: Arc::clone(notify), began: new.began };
                    let id = new.id.clone();
                    let shared = Arc::clone(shared);
                    match catch_unwind(AssertUnwindSafe(|| Active::begin(*new, shared, place))) {
                        Ok(active) => calls.push(active),
                        Err(_) => tracing::error!(call = %id, "a call could not begin; see the panic above"),
                    }
                }
                Order::DialogEnded(id, cause) => with(&mut calls, &id, |call| call.dialog_ended(cause)),
                Order::MediaChanged(id, spec) => with(&mut calls, &id, |call| call.media_changed(spec)),
                Order::Operator(id, order) => with(&mut calls, &id, |call| call.order(order)),
                Order::Drain => calls.iter_mut().for_each(Active::drain),
                Order::Stop => return,
            }
        }
        // A panic ends its own call: its record stays in the journal and is closed as crashed at the next start.
        calls.retain_mut(|call| match catch_unwind(AssertUnwindSafe(|| call.step())) {
            Ok(over) => !over,
            Err(_) => {
                tracing::error!(call = %call.id, "a call failed; see the panic above");
                shared.directory.ended(&call.id);
                false
            }
        });
    }
}

fn with(calls: &mut [Active], id: &Id, act: impl FnOnce(&mut Active)) {
    if let Some(call) = calls.iter_mut().find(|call| call.id == *id) {
        act(call);
    }
}
