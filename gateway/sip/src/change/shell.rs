//! An offer of ours at the socket: sends what its machine wants sent, with the password that it is asked for, and tells what
//! came of it.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::Reoffered;
use super::attempt::{Attempt, Final};
use super::pause::again_ms;
use crate::call::Call;
use crate::client::Answer;
use crate::dialog::{Dialog, Phase};
use crate::draw::Draw;
use crate::event::SipEvent;
use crate::extensions::SUPPORTED;
use crate::guard::ALLOW;
use crate::outgoing;
use crate::shared::Shared;
use crate::wires::CertificateNames;

/// Responses that wait to be looked at; further ones are sent again by whoever sent them.
const INBOX: usize = 16;
/// Most times that it is sent with another proof of a password.
const MOST_PROOFS: usize = 2;

/// Asks the far end for another session. What comes of it is told by [`SipEvent::Reoffered`]; the dialog knows that a change is
/// under way.
pub(crate) fn begin(shared: &Arc<Shared>, call: &Arc<Call>, offer: String) {
    let (shared, call) = (Arc::clone(shared), Arc::clone(call));
    let runtime = shared.runtime.clone();
    runtime.spawn(async move { run(&shared, &call, &offer).await });
}

async fn run(shared: &Arc<Shared>, call: &Arc<Call>, offer: &str) {
    let _lingers = call.lingers();
    let began = Instant::now();
    let now_ms = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (inbox, mut answers) = mpsc::channel(INBOX);
    let mut proven = outgoing::proof(call, "INVITE", &[]).unwrap_or_default();
    let (mut attempts, mut told) = (vec![invite(shared, call, offer, &proven, now_ms())], false);
    shared.awaiting.expect(attempts[0].branch(), &inbox);
    loop {
        send(shared, call, &mut attempts).await;
        // What comes again is still acknowledged, for a while.
        let Some(due) = attempts.iter().filter_map(Attempt::poll_timeout).min() else { break };
        let due = due.saturating_sub(now_ms());
        let answer = tokio::select! {
            answer = answers.recv() => answer,
            () = tokio::time::sleep(Duration::from_millis(due)) => None,
        };
        let now = now_ms();
        let ours = |answer: &Answer| answer.call_id == call.dialog().key.call_id;
        let answer = answer.filter(ours);
        let mut came = None;
        for attempt in &mut attempts {
            let news = match &answer {
                Some(answer) => attempt.handle_answer(now, answer),
                None => attempt.handle_timeout(now),
            };
            if let Some(news) = news {
                came = Some((news, acknowledged(shared, call, attempt, answer.as_ref(), &proven)));
            }
        }
        let Some((news, ())) = came.filter(|_| !told) else { continue };
        if let (Final::Refused, Some(answer)) = (&news, &answer)
            && matches!(answer.status, 401 | 407)
            && attempts.len() <= MOST_PROOFS
        {
            let challenges: Vec<(&str, &str)> =
                answer.challenges.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            if let Some(proof) = outgoing::proof(call, "INVITE", &challenges) {
                proven = proof;
                let next = invite(shared, call, offer, &proven, now);
                shared.awaiting.expect(next.branch(), &inbox);
                attempts.push(next);
                continue;
            }
        }
        told = true;
        // Whoever is told may change the session again or hang up at once, and that must not overtake our ACK.
        send(shared, call, &mut attempts).await;
        tell(shared, call, news, answer.as_ref()).await;
    }
    for attempt in &attempts {
        shared.awaiting.forget(attempt.branch());
    }
}

/// Sends what waits to be sent.
async fn send(shared: &Shared, call: &Call, attempts: &mut [Attempt]) {
    for attempt in attempts {
        while let Some(transmit) = attempt.poll_transmit() {
            if let Err(error) = shared.wires.transmit(&transmit, &CertificateNames::default()).await {
                tracing::debug!(call = call.key.0, %error, "a change of a session was not sent");
            }
        }
    }
}

/// The re-INVITE on its way.
fn invite(shared: &Shared, call: &Call, offer: &str, proven: &str, now_ms: u64) -> Attempt {
    let expires = timer(call).changing().map(|value| format!("Session-Expires: {value}\r\n")).unwrap_or_default();
    let headers = format!(
        "{proven}Contact: {}\r\nAllow: {ALLOW}\r\nSupported: {SUPPORTED}\r\n{expires}Accept: application/sdp\r\n\
         Content-Type: application/sdp\r\n",
        call.contact
    );
    let mut dialog = call.dialog();
    let (branch, via) = via(shared, &dialog);
    let ways = (dialog.destination(), dialog.detour());
    let (text, _) = dialog.request_with("INVITE", &via, &shared.config.user_agent, &headers, offer);
    let t1_ms = u64::try_from(shared.config.timers.t1.as_millis()).unwrap_or(500).max(1);
    Attempt::new(now_ms, t1_ms, branch, dialog.local_cseq, text, ways)
}

/// Takes what a 2xx says of the dialog, and acknowledges it.
fn acknowledged(shared: &Shared, call: &Call, attempt: &mut Attempt, answer: Option<&Answer>, proven: &str) {
    let Some(answer) = answer.filter(|answer| (200..300).contains(&answer.status)) else { return };
    let mut dialog = call.dialog();
    let admitted = shared.wires.with_origin(answer.source, |origin| {
        let trunk = shared.policy.trunk_of(origin);
        dialog.admits(origin, trunk.as_ref())
    });
    let is_plain = |uri: &String| uri.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sip:"));
    // Whoever may not speak within the call does not move it either.
    if admitted {
        dialog.refresh(answer.contact_uri().filter(is_plain), answer.source);
    }
    let (_, via) = via(shared, &dialog);
    let (text, to) = dialog.ack(attempt.cseq(), &via, &shared.config.user_agent, proven);
    drop(dialog);
    attempt.acknowledge(text, to);
    timer(call).refreshed(answer.session_expires.as_deref(), call.age_ms());
}

/// Tells what came of it, once, unless the call is over.
async fn tell(shared: &Arc<Shared>, call: &Arc<Call>, news: Final, answer: Option<&Answer>) {
    let status = answer.map_or(408, |answer| answer.status);
    let outcome = match news {
        Final::Accepted => Reoffered::Accepted { answer: answer.and_then(|answer| answer.sdp.clone()) },
        // The far end knows the call no more, or nobody is there (RFC 3261 12.2.1.2).
        Final::Nothing => return gone(shared, call, 408).await,
        Final::Refused if matches!(status, 408 | 481) => return gone(shared, call, status).await,
        Final::Refused => {
            if let Some(least) = answer.and_then(|answer| answer.min_se_s).filter(|_| status == 422) {
                timer(call).raise(least);
            }
            let mut seed = [0; 32];
            let again_ms = getrandom::fill(&mut seed).ok().and_then(|()| {
                let retry_after_s = answer.and_then(|answer| answer.retry_after_s);
                again_ms(status, retry_after_s, call.dialog().is_ours(), &mut Draw::new(&seed))
            });
            Reoffered::Refused { status, again_ms }
        }
    };
    let up = {
        let mut dialog = call.dialog();
        dialog.change_done();
        dialog.phase == Phase::Confirmed
    };
    if up {
        shared.tell(SipEvent::Reoffered { call: call.key, outcome }).await;
    }
}

async fn gone(shared: &Arc<Shared>, call: &Arc<Call>, status: u16) {
    call.dialog().change_done();
    if !call.dialog().end() {
        return;
    }
    tracing::info!(call = call.key.0, status, "the far end did not answer a change of the session; the call is ended");
    outgoing::bye(shared, call, format!("SIP;cause={status};text=\"No answer within the call\""));
    shared.tell(SipEvent::Failed { call: call.key, status }).await;
}

/// A new branch, and the value of Via with it.
fn via(shared: &Shared, dialog: &Dialog) -> (String, String) {
    let branch = format!("{}{:08x}{:08x}", shared.branch_prefix, outgoing::random_u32(), outgoing::random_u32());
    let via = shared.locals().seen_at(dialog.advertised()).via(dialog.destination(), &branch);
    (branch, via)
}

fn timer(call: &Call) -> std::sync::MutexGuard<'_, crate::session_timer::SessionTimer> {
    call.timer.lock().unwrap_or_else(PoisonError::into_inner)
}
