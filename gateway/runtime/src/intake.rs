//! From an INVITE to a call: route, admit, journal, answer, then hand over to the worker of the call's media.
//!
//! The thread that does it waits for SIP and for the disk at once and for neither alone: a call's record is submitted,
//! and the call answered when it is durable, while BYE and CANCEL of any call are taken as they come.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use trunkline_api::Failure;
use trunkline_api::object::MediaSource;
use trunkline_api::usage::{CallRecord, EndReason};
use trunkline_leg::{AgentEnd, EndCause, LegId};
use trunkline_media::{AddressRange, LegHandle, MediaPlane, SourcePolicy};
use trunkline_route::Trunk;
use trunkline_sip::{CallKey, Refusal, SipEvent, SipEvents};

use crate::active::LegNews;
use crate::beats::IntakePulse;
use crate::capacity::Ticket;
use crate::counters::count;
use crate::line::Invite;
use crate::openings::{Fate, Openings};
use crate::outbound::Keeping;
use crate::refusal::{self, Refused};
use crate::ringing::Ringing;
use crate::serving::Serving;
use crate::shared::Shared;
use crate::streams::Doorway;
use crate::worker::{Order, Worker};

/// Rings of a call: half a second up, 400 ms down, so that a call costs little memory and a clear drops little.
const UP_FRAMES: usize = 25;
const DOWN_FRAMES: usize = 20;
/// How long intake sleeps when nothing wakes it.
const IDLE: Duration = Duration::from_secs(1);
/// Calls over streams that are taken before others have their turn.
const STREAMS_A_ROUND: usize = 16;
/// After how long a record that the store would not take is offered again.
const AGAIN: Duration = Duration::from_millis(50);
/// How long a call waits for its background sound to be read, which takes a disk some milliseconds and is done once; and how
/// soon it is looked at meanwhile.
const BED_WAIT: Duration = Duration::from_millis(300);
const BED_LOOK: Duration = Duration::from_millis(5);
/// How long the end of the process waits for records of calls that were never answered.
const LAST_RECORDS: Duration = Duration::from_secs(2);

mod dialogs;
mod handing_over;
mod holding;
mod leaving;
mod opening;
mod proving;
mod referred;
mod turning;
mod unanswered;

use dialogs::Dialog;
use opening::{Opening, Rung};
use proving::Proving;
pub use proving::{CallerProof, CertificateFetcher, FetchAnswer};
use referred::Referral;
use unanswered::Unanswered;

/// Both ends of a leg.
type Leg = (AgentEnd, LegHandle);

/// Takes calls.
pub(crate) struct Intake {
    shared: Arc<Shared>,
    plane: MediaPlane,
    workers: Vec<Worker>,
    draining: Arc<AtomicBool>,
    doorway: Arc<Doorway>,
    /// Calls whose caller is verified first; `None` where nobody is believed.
    proving: Option<Proving>,
    openings: Openings<Opening>,
    ringing: Ringing<Rung>,
    unanswered: Vec<Unanswered>,
    /// Orders that a worker was too busy to take, in order: at most two a call.
    late: Vec<(usize, Order)>,
    /// Looked up by key only.
    dialogs: HashMap<CallKey, Dialog>,
    /// Those whose far ends are to be told which ways sound goes.
    turning: Vec<CallKey>,
    /// Far ends that somebody is to take the place of, by the key of who is dialled.
    referrals: HashMap<CallKey, Referral>,
    /// The objects that calls that leave were told of last.
    told: Weak<Serving>,
    keeping: Keeping,
}

/// Wakes the thread that sleeps.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Intake {
    /// An intake without calls.
    pub(crate) fn new(shared: Arc<Shared>, plane: MediaPlane, workers: Vec<Worker>, draining: Arc<AtomicBool>) -> Self {
        let (openings, ringing) = (Openings::default(), Ringing::default());
        let (doorway, unanswered, late, dialogs) = (Arc::default(), Vec::new(), Vec::new(), HashMap::new());
        let (told, turning, proving, referrals) = (Weak::new(), Vec::new(), None, HashMap::new());
        let keeping = Keeping::new(Arc::clone(&shared));
        Self {
            shared,
            plane,
            workers,
            draining,
            doorway,
            proving,
            openings,
            ringing,
            unanswered,
            late,
            dialogs,
            turning,
            referrals,
            told,
            keeping,
        }
    }

    /// Where calls that come over streams are handed in.
    pub(crate) fn doorway(&self) -> Arc<Doorway> {
        Arc::clone(&self.doorway)
    }

    /// Serves SIP events until the endpoint is gone.
    pub(crate) fn run(mut self, mut events: SipEvents, pulse: &IntakePulse) {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        self.doorway.serve();
        self.shared.redirections.serve();
        loop {
            let next = pin!(events.recv()).poll(&mut Context::from_waker(&waker));
            let idle = next.is_pending();
            pulse.begin();
            match next {
                Poll::Ready(Some(event)) => self.event(event),
                Poll::Ready(None) => break,
                Poll::Pending => {}
            }
            for invite in std::iter::from_fn(|| self.doorway.next()).take(STREAMS_A_ROUND).collect::<Vec<_>>() {
                self.invite(invite);
            }
            let patience = self.settle(Instant::now(), &waker).min(self.shared.sample_load());
            let patience = self.turn(Instant::now()).map_or(patience, |due| due.min(patience));
            self.look_after();
            pulse.end();
            if idle && !self.doorway.has_waiting() {
                std::thread::park_timeout(patience);
            }
        }
        self.finish(&waker);
        pulse.end();
    }

    fn event(&mut self, event: SipEvent) {
        match event {
            SipEvent::Invite(invite) => self.invite((*invite).into()),
            SipEvent::ReInvite(reoffer) => self.reoffer(*reoffer),
            SipEvent::Bye { call, .. } => self.ended(call, EndCause::RemoteHangUp),
            SipEvent::Cancelled { call } => self.ended(call, EndCause::Cancelled),
            SipEvent::NoAck { call } => self.ended(call, EndCause::NoAck),
            SipEvent::Failed { call, .. } => self.ended(call, EndCause::Failed),
            SipEvent::Acked { call, answer } => self.acked(call, answer.as_deref()),
            SipEvent::Digit { call, digit } => {
                if let Some(dialog) = self.dialogs.get(&call) {
                    let (call, leg, worker) = (dialog.call.clone(), dialog.leg, dialog.worker);
                    self.order(
                        worker,
                        match leg {
                            LegId::FIRST => Order::Pressed(call, digit),
                            leg => Order::Leg(call, leg, LegNews::Pressed(digit)),
                        },
                    );
                }
            }
            SipEvent::Referral { call, status } => {
                if let Some(dialog) = self.dialogs.get(&call) {
                    let (call, leg, worker) = (dialog.call.clone(), dialog.leg, dialog.worker);
                    self.order(worker, Order::Leg(call, leg, LegNews::Referral(status)));
                }
            }
            SipEvent::Reoffered { call, outcome } => self.reoffered(call, outcome),
            SipEvent::Referred(referred) => self.referred(*referred),
            SipEvent::Outgoing { call, news } => self.leaving(call, *news),
            SipEvent::Trunk { trunk, news } => leaving::tell(&trunk, &news),
        }
        // Calls that the agent hung up have no further event; forget them once they are over.
        if self.dialogs.len() > 64 && self.dialogs.len() > 2 * self.shared.directory.active() {
            let shared = Arc::clone(&self.shared);
            self.dialogs.retain(|_, dialog| shared.directory.worker(&dialog.call).is_some());
        }
    }

    /// A new call, whose caller may have to be verified first.
    pub(crate) fn invite(&mut self, invite: Invite) {
        if let Some(invite) = self.prove(invite) {
            self.take(invite);
        }
    }

    /// Its record is submitted, or it is refused.
    fn take(&mut self, invite: Invite) {
        match self.open(&invite) {
            Ok(opening) => self.openings.begin(invite.key, opening),
            Err(refused) => self.refuse(&invite, refused),
        }
    }

    /// Carries out whatever the disk has spoken about, and answers calls that have rung for long enough; says how long it
    /// may be until something is to be done unasked.
    pub(crate) fn settle(&mut self, now: Instant, waker: &Waker) -> Duration {
        let proofs = self.settle_proofs(now, waker);
        let mut beds_wait = false;
        let written = |(key, opening): (CallKey, &Opening)| {
            let outcome = opening.written.poll_with(waker)?;
            let waits = outcome.is_ok() && !self.openings.is_given_up(key) && opening.awaits_bed(now, &self.shared);
            beds_wait |= waits;
            (!waits).then_some((key, outcome))
        };
        let written: Vec<_> = self.openings.iter().filter_map(written).collect();
        for (key, outcome) in written {
            match self.openings.written(key, outcome.is_ok()) {
                Some(Fate::Answer(opening)) => self.ring(now, key, opening),
                Some(Fate::Refuse(opening)) => {
                    tracing::error!(error = ?outcome.err(), "a call cannot be journalled");
                    self.refuse(&opening.invite, Failure::StoreUnavailable);
                }
                Some(Fate::Close(opening, cause)) => {
                    tracing::info!(call = %opening.record.call, ?cause, "the caller was gone before the answer");
                    self.close_unanswered(opening.record, opening.ticket, unanswered_end(cause));
                }
                Some(Fate::Forget(_)) | None => {}
            }
        }
        for rung in self.ringing.take_due(now) {
            self.answer(rung);
        }
        self.give_late_orders();
        self.unanswered.retain_mut(|left| !left.is_done(&self.shared, waker));
        let waits = !self.late.is_empty() || self.unanswered.iter().any(Unanswered::waits_for_room);
        let patience = if waits { AGAIN.min(proofs) } else { proofs };
        let patience = if beds_wait { BED_LOOK } else { patience };
        self.ringing.patience(now).map_or(patience, |due| patience.min(due))
    }

    /// Nobody will ask for anything any more: records that are on their way are seen to their end, for a while.
    fn finish(&mut self, waker: &Waker) {
        let keys: Vec<CallKey> = self.openings.iter().map(|(key, _)| key).chain(self.ringing.keys()).collect();
        keys.into_iter().for_each(|key| self.ended(key, EndCause::Local));
        self.give_up_placed();
        let until = Instant::now() + LAST_RECORDS;
        while Instant::now() < until {
            let patience = self.settle(Instant::now(), waker);
            if self.openings.is_empty() && self.unanswered.is_empty() {
                return;
            }
            std::thread::park_timeout(patience.min(AGAIN));
        }
    }

    fn refuse(&self, invite: &Invite, refused: impl Into<Refused>) {
        let Refused { failure, retry_after_s, warning } = refused.into();
        count(&self.shared.counters.refused);
        self.shared.counters.failed(failure);
        refusal::tell(failure, invite, &self.shared.serving.load().table);
        let refusal = Refusal {
            q850: Some(failure.q850_cause()),
            reason: Some(failure.name().to_owned()),
            retry_after_s,
            warning,
            ..Refusal::status(failure.sip_status())
        };
        if let Err(error) = invite.line.reject(&refusal) {
            tracing::debug!(%error, "the caller was gone before the refusal");
        }
    }

    /// Closes the record of a call that never had a conversation, so that the journal does not keep it.
    fn close_unanswered(&mut self, mut record: CallRecord, ticket: Ticket, end: (EndReason, Option<Failure>)) {
        record.ended_us = Some(record.answered_us);
        // Nothing was heard, so there is no file.
        record.recording = None;
        (record.end, record.failure) = (Some(end.0), end.1);
        self.unanswered.push(Unanswered::begin(record, ticket, &self.shared));
    }

    /// Gives an order that must not be lost: the far end was told already that it is carried out.
    fn order(&mut self, worker: usize, order: Order) {
        // Of two changes of a call's media only the last counts.
        if let Order::MediaChanged(call, _) = &order {
            self.late.retain(|(_, late)| !matches!(late, Order::MediaChanged(other, _) if other == call));
        }
        self.late.push((worker, order));
        self.give_late_orders();
    }

    fn give_late_orders(&mut self) {
        for (worker, order) in std::mem::take(&mut self.late) {
            let swamped = self.late.iter().any(|(other, _)| *other == worker);
            let left = if swamped { Err(order) } else { self.workers[worker].give(order) };
            if let Err(order) = left
                && !self.workers[worker].is_gone()
            {
                self.late.push((worker, order));
            }
        }
    }
}

/// How a call ended that was never answered.
const fn unanswered_end(cause: EndCause) -> (EndReason, Option<Failure>) {
    match cause {
        EndCause::Failed | EndCause::Local => (EndReason::Failed, Some(Failure::Internal)),
        _ => (EndReason::CallerHungUp, None),
    }
}

/// Whose RTP is believed on a trunk.
pub(crate) fn sources(trunk: &Trunk) -> SourcePolicy {
    match trunk.source {
        MediaSource::Strict => SourcePolicy::Strict,
        MediaSource::Learn => SourcePolicy::Learn,
        MediaSource::Acl => {
            let ranges = trunk.media_peers.iter().filter_map(|range| AddressRange::new(range.network(), range.bits()));
            SourcePolicy::Acl(ranges.collect())
        }
    }
}

fn wall_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
