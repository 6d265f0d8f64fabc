//! Requests of our own within a dialog: the BYE.

use std::sync::Arc;

use rsipstack::sip::{Request, Response, SipMessage};
use rsipstack::transaction::Transaction;
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transport::SipAddr;

use crate::call::Call;
use crate::shared::Shared;

/// Most times that a BYE is sent with another password's proof.
const MOST_PROOFS: usize = 2;

/// Sends BYE with a Reason and forgets the call when it is answered or given up (RFC 3261 15.1.1).
pub(crate) fn bye(shared: &Arc<Shared>, call: &Arc<Call>, reason: String) {
    let (shared, call) = (Arc::clone(shared), Arc::clone(call));
    let runtime = shared.runtime.clone();
    runtime.spawn(async move {
        call.end_invite();
        send_bye(&shared, &call, &reason).await;
        let key = call.dialog().key.clone();
        shared.forget(&key);
    });
}

async fn send_bye(shared: &Shared, call: &Call, reason: &str) {
    let reason = format!("Reason: {reason}\r\n");
    let mut headers = format!("{reason}{}", proof(call, &[]).unwrap_or_default());
    for _ in 0..=MOST_PROOFS {
        let Some(response) = ask_bye(shared, call, &headers).await else { return };
        let challenges: Vec<(&str, &str)> =
            response.headers.iter().map(|header| (header.name(), header.value())).collect();
        let asked = matches!(response.status_code.code(), 401 | 407);
        match proof(call, &challenges).filter(|_| asked) {
            Some(proof) => headers = format!("{reason}{proof}"),
            None => return,
        }
    }
}

/// The header that answers these challenges, or those of before; `None` without a password, or with one that was refused.
fn proof(call: &Call, challenges: &[(&str, &str)]) -> Option<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).ok()?;
    let uri = call.dialog().remote_target.clone();
    let mut digest = call.digest();
    let digest = digest.as_mut()?;
    if !challenges.is_empty() {
        digest.handle_challenge(challenges).ok()?;
    }
    digest.authorize("BYE", &uri, random).map(|(name, value)| format!("{name}: {value}\r\n"))
}

/// Sends one BYE; its final answer, if there is one.
async fn ask_bye(shared: &Shared, call: &Call, headers: &str) -> Option<Response> {
    let branch = format!("{}{:08x}{:08x}", shared.branch_prefix, random_u32(), random_u32());
    let via = format!("SIP/2.0/UDP {};branch={branch};rport", shared.advertised);
    let (text, destination) = call.dialog().request("BYE", &via, &shared.config.user_agent, headers);
    let Ok(request) = Request::try_from(text.as_str()) else {
        tracing::warn!(
            call = call.key.0,
            "BYE could not be built from the far end's addresses; the call ends here only"
        );
        return None;
    };
    let Ok(key) = TransactionKey::from_request(&request, TransactionRole::Client) else {
        tracing::warn!(call = call.key.0, "BYE could not be built from the far end's tags; the call ends here only");
        return None;
    };
    let mut transaction =
        Transaction::new_client(key, request, Arc::clone(&shared.stack), Some(shared.connection.clone()));
    transaction.destination = Some(SipAddr { r#type: Some(rsipstack::sip::Transport::Udp), addr: destination.into() });
    if let Err(error) = transaction.send().await {
        tracing::debug!(call = call.key.0, %error, "BYE was not sent");
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
