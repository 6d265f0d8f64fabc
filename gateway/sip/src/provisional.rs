//! Provisional responses on the wire: plain ones, and reliable ones for a caller that requires them (RFC 3262). When one is
//! sent again is [`crate::reliable`]'s to say.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rsipstack::sip::Header;

use crate::call::Call;
use crate::dialog::Phase;
use crate::event::SipEvent;
use crate::extensions::RELIABLE;
use crate::reliable::{Due, Reliable};
use crate::shared::Shared;

/// A provisional response: its status and description.
#[derive(Debug, Clone)]
pub(crate) struct Provisional {
    pub(crate) status: u16,
    pub(crate) sdp: Option<String>,
}

/// What a caller that requires reliable responses is told, and what waits until it has acknowledged it.
#[derive(Debug)]
pub(crate) struct Reliably {
    machine: Reliable<Provisional>,
    /// Whether an answer went out in one of them: the 2xx repeats none (RFC 6337 2.2).
    is_described: bool,
    /// The description of the 2xx that waits.
    accepted: Option<String>,
}

impl Reliably {
    /// For an INVITE of that number.
    pub(crate) fn new(cseq: u32, first_rseq: u32, t1: Duration) -> Mutex<Self> {
        let t1_ms = u64::try_from(t1.as_millis()).unwrap_or(u64::MAX);
        let machine = Reliable::new(cseq, first_rseq, t1_ms);
        Mutex::new(Self { machine, is_described: false, accepted: None })
    }
}

/// What becomes of a PRACK.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pracked {
    /// It acknowledges nothing that waits: 481.
    Nothing,
    /// It does.
    Taken,
}

/// Tells the caller that the call rings, or what it hears meanwhile.
pub(crate) fn send(shared: &Arc<Shared>, call: &Arc<Call>, response: Provisional) {
    let Some(reliably) = &call.reliably else {
        return call.respond(shared, response.status, Vec::new(), response.sdp);
    };
    // To a caller without an offer the first reliable response would have to carry ours (RFC 3261 13.2.1), which goes out
    // with the answer: it hears 100 until then.
    if !call.has_offer {
        return;
    }
    let sent = lock(reliably).machine.send(response, call.age_ms());
    if let Some((rseq, response)) = sent {
        transmit(shared, call, rseq, response);
    }
}

/// Answers with 200, at once or as soon as what was told before is acknowledged (RFC 3262 3).
pub(crate) fn accept(shared: &Shared, call: &Call, sdp: String) {
    if let Some(reliably) = &call.reliably {
        let mut reliably = lock(reliably);
        if !reliably.machine.is_settled() {
            reliably.accepted = Some(sdp);
            return;
        }
        let is_described = reliably.is_described;
        drop(reliably);
        return call.answer(shared, (!is_described).then_some(sdp));
    }
    call.answer(shared, Some(sdp));
}

/// Whether a 2xx waits for a PRACK: the caller knows of no answer yet.
pub(crate) fn is_waiting(call: &Call) -> bool {
    call.reliably.as_ref().is_some_and(|reliably| lock(reliably).accepted.is_some())
}

/// The call has its final response.
pub(crate) fn end(call: &Call) {
    if let Some(reliably) = &call.reliably {
        let mut reliably = lock(reliably);
        reliably.machine.end();
        reliably.accepted = None;
    }
}

/// A PRACK came, with this RAck.
pub(crate) fn prack(shared: &Arc<Shared>, call: &Arc<Call>, rack: &str) -> Pracked {
    let Some(reliably) = &call.reliably else { return Pracked::Nothing };
    // Held until the answer is sent: a CANCEL that comes at the same moment finds it waiting and takes it back, or finds it sent.
    let dialog = call.dialog();
    let (next, accepted) = {
        let mut reliably = lock(reliably);
        let Some(next) = reliably.machine.prack(rack, call.age_ms()) else { return Pracked::Nothing };
        let settled = reliably.machine.is_settled();
        let described = reliably.is_described;
        (next, reliably.accepted.take_if(|_| settled).map(|sdp| (!described).then_some(sdp)))
    };
    if let Some((rseq, response)) = next {
        transmit(shared, call, rseq, response);
    }
    if let Some(sdp) = accepted.filter(|_| dialog.phase != Phase::Ended) {
        call.answer(shared, sdp);
    }
    drop(dialog);
    Pracked::Taken
}

fn transmit(shared: &Arc<Shared>, call: &Arc<Call>, rseq: u32, response: Provisional) {
    put(shared, call, rseq, response);
    let (shared, call) = (Arc::clone(shared), Arc::clone(call));
    let runtime = shared.runtime.clone();
    runtime.spawn(async move { repeat(&shared, &call, rseq).await });
}

fn put(shared: &Shared, call: &Call, rseq: u32, response: Provisional) {
    if response.sdp.is_some()
        && let Some(reliably) = &call.reliably
    {
        lock(reliably).is_described = true;
    }
    let headers = vec![Header::Require(RELIABLE.into()), Header::Other("RSeq".to_owned(), rseq.to_string())];
    call.respond(shared, response.status, headers, response.sdp);
}

/// Sends a response again until it is acknowledged or the call is given up.
async fn repeat(shared: &Arc<Shared>, call: &Arc<Call>, rseq: u32) {
    let Some(reliably) = &call.reliably else { return };
    loop {
        let Some(due_ms) = lock(reliably).machine.due_of(rseq) else { return };
        tokio::time::sleep(Duration::from_millis(due_ms.saturating_sub(call.age_ms()))).await;
        if lock(reliably).machine.due_of(rseq).is_none() {
            return;
        }
        let due = lock(reliably).machine.handle_timeout(call.age_ms());
        match due {
            Some(Due::Again(rseq, response)) => put(shared, call, rseq, response),
            Some(Due::GiveUp) => return give_up(shared, call).await,
            None => {}
        }
    }
}

/// Nobody acknowledged that the call rings: nobody is there (RFC 3262 3).
async fn give_up(shared: &Arc<Shared>, call: &Arc<Call>) {
    if !call.dialog().end() {
        return;
    }
    call.respond(shared, 504, Vec::new(), None);
    let key = call.dialog().key.clone();
    shared.forget(&key);
    shared.tell(SipEvent::Failed { call: call.key, status: 504 }).await;
}

fn lock(reliably: &Mutex<Reliably>) -> std::sync::MutexGuard<'_, Reliably> {
    reliably.lock().unwrap_or_else(PoisonError::into_inner)
}
