//! Requests of our own within a dialog: BYE, REFER, NOTIFY, and UPDATE without an offer, with the password that they are asked for.

use std::sync::Arc;

use rsipstack::sip::{Request, Response, SipMessage};
use rsipstack::transaction::Transaction;
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transport::SipAddr;

use crate::call::Call;
use crate::shared::Shared;

/// Most times that a request is sent with another proof of a password.
const MOST_PROOFS: usize = 2;

/// Sends BYE with a Reason and forgets the call when it is answered or given up (RFC 3261 15.1.1).
pub(crate) fn bye(shared: &Arc<Shared>, call: &Arc<Call>, reason: String) {
    let (shared, call) = (Arc::clone(shared), Arc::clone(call));
    let runtime = shared.runtime.clone();
    runtime.spawn(async move {
        call.end_invite();
        request(&shared, &call, "BYE", &format!("Reason: {reason}\r\n")).await;
        let key = call.dialog().key.clone();
        shared.forget(&key);
    });
}

/// Sends a request within the call, as often as a password is asked for that we have; its final response, if there is
/// one: the stack makes a 408 of none in time. `headers` are whole lines.
pub(crate) async fn request(shared: &Shared, call: &Call, method: &str, headers: &str) -> Option<Response> {
    request_with(shared, call, method, headers, "").await
}

/// The same with a body, of which `headers` say what it is.
pub(crate) async fn request_with(
    shared: &Shared,
    call: &Call,
    method: &str,
    headers: &str,
    body: &str,
) -> Option<Response> {
    let mut proven = proof(call, method, &[]).unwrap_or_default();
    for _ in 0..MOST_PROOFS {
        let response = send(shared, call, method, &format!("{headers}{proven}"), body).await?;
        let challenges: Vec<(&str, &str)> =
            response.headers.iter().map(|header| (header.name(), header.value())).filter(is_challenge).collect();
        let asked = matches!(response.status_code.code(), 401 | 407);
        match proof(call, method, &challenges).filter(|_| asked) {
            Some(proof) => proven = proof,
            None => return Some(response),
        }
    }
    send(shared, call, method, &format!("{headers}{proven}"), body).await
}

/// The header that answers these challenges, or those of before; `None` without a password, or with one that was refused.
pub(crate) fn proof(call: &Call, method: &str, challenges: &[(&str, &str)]) -> Option<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).ok()?;
    let uri = call.dialog().remote_target.clone();
    let mut digest = call.digest();
    let digest = digest.as_mut()?;
    if !challenges.is_empty() {
        digest.handle_challenge(challenges).ok()?;
    }
    digest.authorize(method, &uri, random).map(|(name, value)| format!("{name}: {value}\r\n"))
}

fn is_challenge((name, _): &(&str, &str)) -> bool {
    name.eq_ignore_ascii_case("WWW-Authenticate") || name.eq_ignore_ascii_case("Proxy-Authenticate")
}

/// Sends one request; its final answer, if there is one. When nobody can be reached where it goes, it goes the other way
/// that is known.
async fn send(shared: &Shared, call: &Call, method: &str, headers: &str, body: &str) -> Option<Response> {
    let (first, detour, advertised) = {
        let dialog = call.dialog();
        (dialog.destination(), dialog.detour(), dialog.advertised())
    };
    let (to, connection) = match shared.wires.stack(first).await {
        Ok(connection) => (first, connection),
        Err(error) => {
            tracing::debug!(call = call.key.0, method, to = %first, %error, "nobody can be reached");
            let detour = detour?;
            (detour, shared.wires.stack(detour).await.ok()?)
        }
    };
    let branch = format!("{}{:08x}{:08x}", shared.branch_prefix, random_u32(), random_u32());
    let via = shared.locals().seen_at(advertised).via(to, &branch);
    let (text, _) = call.dialog().request_with(method, &via, &shared.config.user_agent, headers, body);
    let Ok(request) = Request::try_from(text.as_str()) else {
        tracing::warn!(call = call.key.0, method, "a request could not be built from the far end's addresses");
        return None;
    };
    let Ok(key) = TransactionKey::from_request(&request, TransactionRole::Client) else {
        tracing::warn!(call = call.key.0, method, "a request could not be built from the far end's tags");
        return None;
    };
    let mut transaction = Transaction::new_client(key, request, Arc::clone(&shared.stack), Some(connection));
    transaction.destination = Some(SipAddr { r#type: Some(rsipstack::sip::Transport::Udp), addr: to.address.into() });
    if let Err(error) = transaction.send().await {
        tracing::debug!(call = call.key.0, method, %error, "a request was not sent");
        return None;
    }
    while let Some(message) = transaction.receive().await {
        if let SipMessage::Response(response) = message
            && response.status_code.code() >= 200
        {
            return Some(response);
        }
    }
    None
}

/// Randomness for branches, tags and jitter.
pub(crate) fn random_u32() -> u32 {
    let mut bytes = [0; 4];
    // The endpoint does not start without randomness, so a failure here is momentary; the address space of the stack
    // makes a collision harmless.
    if getrandom::fill(&mut bytes).is_err() {
        return std::process::id();
    }
    u32::from_ne_bytes(bytes)
}
