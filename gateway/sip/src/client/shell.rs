//! A call of ours at the socket: sends what its machine wants sent, sleeps as long as it may, and makes it a call like any
//! other once it is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::answer::Answer;
use super::call::{ClientCall, ClientEvent, Ourselves, Refused, Transmit};
use super::outgoing::{DialError, Outgoing};
use crate::admission::CallTerms;
use crate::call::{Call, CallHandle};
use crate::draw::Draw;
use crate::event::{CallKey, SipEvent};
use crate::shared::Shared;
use crate::turns::Turn;
use crate::wires::CertificateNames;

/// Responses of one call that wait to be looked at; further ones are sent again by whoever sent them.
const INBOX: usize = 64;

/// News of a call that we place.
#[derive(Debug)]
pub enum OutgoingEvent {
    /// Somebody has the INVITE.
    Trying,
    /// It rings, or sound begins before the answer.
    Ringing {
        /// Which of several far ends, from 0, in the order they were heard of.
        fork: u8,
        /// Status, 101 to 199.
        status: u16,
        /// The answer to our offer, for sound before the call is answered: keys may stand in it, so not to be logged.
        sdp: Option<String>,
    },
    /// It is answered and acknowledged. From now on it is a call like one that came in: its changes and its end are told by
    /// [`SipEvent::ReInvite`], [`SipEvent::Digit`] and [`SipEvent::Bye`].
    Answered {
        /// Commands.
        handle: CallHandle,
        /// Which far end.
        fork: u8,
        /// The answer to our offer.
        sdp: String,
    },
    /// Over without an answer; the last event of the call.
    Refused(Refused),
}

/// A call that is being placed.
#[derive(Debug, Clone)]
pub struct DialHandle {
    key: CallKey,
    call_id: Arc<str>,
    orders: mpsc::Sender<()>,
}

impl DialHandle {
    /// Its name in events, also once it is answered.
    #[must_use]
    pub const fn key(&self) -> CallKey {
        self.key
    }

    /// Its Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Gives up: the far end stops ringing, and the call is over with status 487. One that is answered at the same moment
    /// may be told of as answered first: hang it up then. One that is over stays over.
    pub fn cancel(&self) {
        let _ = self.orders.try_send(());
    }
}

impl Ourselves {
    /// The endpoint.
    pub(crate) fn of(shared: &Shared) -> Self {
        Self {
            locals: shared.locals().clone(),
            user_agent: shared.config.user_agent.clone(),
            branch_prefix: shared.branch_prefix.clone(),
            t1_ms: u64::try_from(shared.config.timers.t1.as_millis()).unwrap_or(500).max(1),
            session_expires_s: shared.config.timers.session_expires_s,
            min_se_s: shared.config.timers.min_se_s,
            terms: CallTerms::default(),
        }
    }
}

/// Begins to place a call. Returns at once; news come as [`SipEvent::Outgoing`].
pub(crate) fn dial(shared: &Arc<Shared>, call: Outgoing) -> Result<DialHandle, DialError> {
    if shared.is_closed() {
        return Err(DialError::Stopped);
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| DialError::Stopped)?;
    let trunk = call.trunk.clone();
    // Whoever answers is held to the place that was called: a trunk may have several.
    let server = call.servers.first().map_or(shared.local.ip(), |server| server.address.ip());
    let terms = shared.policy.terms(&trunk, server);
    let call = call.checked(shared.locals())?;
    let names = CertificateNames::of(&call.servers);
    let us = Ourselves { locals: shared.locals().seen_at(terms.advertised), terms, ..Ourselves::of(shared) };
    let machine = ClientCall::new(0, us, call, Draw::new(&seed));
    let up = shared.calls().len();
    let (orders, given) = mpsc::channel(1);
    if !shared.awaiting.begin(machine.call_id(), &orders, shared.config.limits.max_calls.saturating_sub(up)) {
        return Err(DialError::Full);
    }
    shared.ladder.begin(machine.call_id());
    let key = CallKey(shared.next_key.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    tracing::debug!(call = key.0, trunk = %trunk.0, "a call is being placed");
    let handle = DialHandle { key, call_id: machine.call_id().into(), orders };
    shared.runtime.spawn(run(Arc::clone(shared), key, machine, names, given));
    Ok(handle)
}

async fn run(
    shared: Arc<Shared>,
    key: CallKey,
    mut machine: ClientCall,
    names: CertificateNames,
    mut orders: mpsc::Receiver<()>,
) {
    let began = Instant::now();
    let now_ms = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (inbox, mut answers) = mpsc::channel(INBOX);
    let mut branches = Vec::new();
    let mut ordered = true;
    loop {
        while let Some((server, retry_after_s)) = machine.poll_failure() {
            shared.keeping.failed(&server, retry_after_s);
        }
        while let Some(event) = machine.poll_event() {
            if let (ClientEvent::Trying, Some(server)) = (&event, machine.server()) {
                shared.keeping.answered(server);
            }
            let Some((news, turn)) = news(&shared, key, &mut machine, event) else { continue };
            // Whoever is told of the answer may hang up at once, and their BYE must not overtake our ACK. What the far end says
            // as soon as it has that waits until the answer is told.
            while let Some(transmit) = machine.poll_transmit() {
                send(&shared, &mut machine, (transmit, &names), &inbox, &mut branches, now_ms()).await;
            }
            shared.tell(SipEvent::Outgoing { call: key, news: Box::new(news) }).await;
            drop(turn);
        }
        while let Some(transmit) = machine.poll_transmit() {
            send(&shared, &mut machine, (transmit, &names), &inbox, &mut branches, now_ms()).await;
        }
        if machine.is_settled() {
            // What is sent again is answered again; the call counts no more.
            shared.awaiting.end(machine.call_id());
        }
        if machine.is_done() && machine.poll_timeout().is_none() {
            break;
        }
        let due = machine.poll_timeout().unwrap_or(u64::MAX).saturating_sub(now_ms()).min(60_000);
        tokio::select! {
            answer = answers.recv() => if let Some(answer) = answer { machine.handle_answer(now_ms(), &answer) },
            order = orders.recv(), if ordered => match order {
                Some(()) => machine.cancel(now_ms()),
                None => ordered = false,
            },
            () = tokio::time::sleep(Duration::from_millis(due)) => {}
        }
        machine.handle_timeout(now_ms());
    }
    for branch in &branches {
        shared.awaiting.forget(branch);
    }
    shared.awaiting.end(machine.call_id());
}

/// What an event of the machine is to the driver, and a turn within the call that it has made.
fn news(
    shared: &Arc<Shared>,
    key: CallKey,
    machine: &mut ClientCall,
    event: ClientEvent,
) -> Option<(OutgoingEvent, Option<Turn>)> {
    Some(match event {
        ClientEvent::Trying => (OutgoingEvent::Trying, None),
        ClientEvent::Ringing { fork, status, sdp } => (OutgoingEvent::Ringing { fork, status, sdp }, None),
        ClientEvent::Answered { fork, sdp } => {
            let dialog = machine.take_dialog()?;
            let dialog_key = dialog.key.clone();
            let contact = shared.contact_within(&dialog, dialog.source);
            let call = Arc::new(Call::placed(key, dialog, contact, machine.take_timer(), machine.take_digest()));
            let turn = call.turns.take();
            shared.calls().insert(dialog_key, Arc::clone(&call));
            // It is counted as a call that is up from now on.
            shared.awaiting.end(machine.call_id());
            let handle = CallHandle { shared: Arc::clone(shared), call };
            (OutgoingEvent::Answered { handle, fork, sdp }, turn)
        }
        ClientEvent::Refused(refused) => (OutgoingEvent::Refused(refused), None),
    })
}

async fn send(
    shared: &Shared,
    machine: &mut ClientCall,
    (transmit, names): (Transmit, &CertificateNames),
    inbox: &mpsc::Sender<Answer>,
    branches: &mut Vec<String>,
    now_ms: u64,
) {
    if let Some(branch) = &transmit.branch
        && !branches.contains(branch)
    {
        shared.awaiting.expect(branch, inbox);
        branches.push(branch.clone());
    }
    let sent = shared.wires.transmit(&transmit, names).await;
    if let Err(error) = sent {
        tracing::debug!(%error, to = %transmit.to, "a request of a call of ours was not sent");
        if let Some(branch) = &transmit.branch {
            machine.handle_not_sent(now_ms, branch);
        }
    }
}
