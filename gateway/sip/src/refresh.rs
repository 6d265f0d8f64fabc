//! Session timers on the wire (RFC 4028): what requests ask and our answers grant, the UPDATE by which we refresh, and the BYE
//! of a session that nobody refreshed. When is [`crate::session_timer`]'s to say.

use std::sync::{Arc, PoisonError};

use rsipstack::sip::headers::Headers;
use rsipstack::sip::{Header, Response};

use crate::address::NameAddr;
use crate::call::Call;
use crate::dialog::Phase;
use crate::event::SipEvent;
use crate::extensions::{TIMER, names, value};
use crate::outgoing;
use crate::session_timer::{Asked, Due, Granted, SessionTimer, TooShort};
use crate::shared::Shared;

/// What a request's headers grant, or the Min-SE of its 422.
pub(crate) fn consider(call: &Call, headers: &Headers) -> Result<Granted, Header> {
    consider_by(&timer(call), headers)
}

/// The same for a call that is not there yet.
pub(crate) fn consider_by(timer: &SessionTimer, headers: &Headers) -> Result<Granted, Header> {
    let asked = Asked {
        session_expires: value(headers, "Session-Expires"),
        min_se: value(headers, "Min-SE"),
        is_supported: names(headers, "Supported", TIMER) || names(headers, "Require", TIMER),
        takes_update: names(headers, "Allow", "UPDATE"),
    };
    timer.consider(&asked).map_err(|TooShort { min_se_s }| Header::Other("Min-SE".to_owned(), min_se_s.to_string()))
}

/// Puts in force what was granted; the headers are our 2xx's.
pub(crate) fn grant(call: &Call, granted: &Granted) -> Vec<Header> {
    timer(call).grant(granted, call.age_ms());
    let mut headers = Vec::new();
    if let Some(session_expires) = &granted.session_expires {
        headers.push(Header::Other("Session-Expires".to_owned(), session_expires.clone()));
        if granted.is_required {
            headers.push(Header::Require(TIMER.into()));
        }
    }
    headers
}

/// Does what is due for a call by now.
pub(crate) async fn look(shared: &Arc<Shared>, call: &Arc<Call>) {
    if call.dialog().phase != Phase::Confirmed {
        return;
    }
    let due = timer(call).handle_timeout(call.age_ms());
    match due {
        Some(Due::Refresh) => {
            let (shared, call) = (Arc::clone(shared), Arc::clone(call));
            tokio::spawn(async move { refresh(&shared, &call).await });
        }
        Some(Due::Expired) => expire(shared, call).await,
        None => {}
    }
}

async fn refresh(shared: &Arc<Shared>, call: &Arc<Call>) {
    let Some(session_expires) = timer(call).refreshing() else { return };
    let contact = {
        let dialog = call.dialog();
        shared.contact_within(&dialog, dialog.destination())
    };
    let headers = format!("Contact: {contact}\r\nSupported: {TIMER}\r\nSession-Expires: {session_expires}\r\n");
    let response = outgoing::request(shared, call, "UPDATE", &headers).await;
    let due = match response {
        Some(response) if response.status_code.code() / 100 == 2 => {
            refreshed(call, &response);
            None
        }
        Some(response) => {
            let min_se = value(&response.headers, "Min-SE");
            timer(call).failed(response.status_code.code(), min_se, call.age_ms())
        }
        None => timer(call).failed(408, None, call.age_ms()),
    };
    if due == Some(Due::Expired) {
        expire(shared, call).await;
    }
}

fn refreshed(call: &Call, response: &Response) {
    timer(call).refreshed(value(&response.headers, "Session-Expires"), call.age_ms());
    // A target refresh goes both ways (RFC 3311 5.1); where it came from is not known here, and stays.
    let target = value(&response.headers, "Contact").and_then(NameAddr::parse).map(|contact| contact.uri.to_owned());
    if let Some(target) = target.filter(|uri| uri.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sip:"))) {
        call.dialog().remote_target = target;
    }
}

/// Nobody refreshed the session, or the far end knows it no more (RFC 4028 10).
async fn expire(shared: &Arc<Shared>, call: &Arc<Call>) {
    if !call.dialog().end() {
        return;
    }
    tracing::info!(call = call.key.0, "the session was not refreshed in time; the call is ended");
    outgoing::bye(shared, call, "SIP;cause=408;text=\"Session timer expired\"".to_owned());
    shared.tell(SipEvent::Failed { call: call.key, status: 408 }).await;
}

fn timer(call: &Call) -> std::sync::MutexGuard<'_, SessionTimer> {
    call.timer.lock().unwrap_or_else(PoisonError::into_inner)
}
