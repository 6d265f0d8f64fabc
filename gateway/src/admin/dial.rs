//! Calls that operators place, and the trunks they leave over, over the admin API.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use trunkline_api::Id;
use trunkline_api::outbound::is_user;
use trunkline_runtime::{DialOrder, DialRefused};

use super::{Admin, off_thread, problem};

/// For how long a call rings, in seconds, where nobody says it.
const RING_S: u32 = 60;
/// The most.
const MOST_RING_S: u32 = 300;
/// Most bytes of a name or a number.
const MOST_TEXT: usize = 320;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    to: String,
    agent: String,
    trunk: Option<String>,
    from: Option<String>,
    ring_s: Option<u32>,
}

impl Order {
    /// What is wrong with it.
    fn fault(&self) -> Option<&'static str> {
        let Self { to, agent, trunk, from, ring_s } = self;
        let texts = [Some(to), Some(agent), trunk.as_ref(), from.as_ref()];
        if texts.into_iter().flatten().any(|text| text.trim().is_empty() || text.len() > MOST_TEXT) {
            return Some("expected a number or a SIP URI, and the name of an agent");
        }
        if from.as_deref().is_some_and(|from| !is_user(from)) {
            return Some("expected a number to show without spaces, such as +4930100, or a user");
        }
        let rings = (1..=MOST_RING_S).contains(&ring_s.unwrap_or(RING_S));
        (!rings).then_some("expected 1 to 300 seconds of ringing")
    }
}

pub(super) async fn dial(State(admin): State<Arc<Admin>>, Query(order): Query<Order>) -> Response {
    if let Some(fault) = order.fault() {
        return problem(StatusCode::BAD_REQUEST, fault);
    }
    let Order { to, agent, trunk, from, ring_s } = order;
    let ring_s = ring_s.unwrap_or(RING_S);
    let order = DialOrder { to, agent, trunk, from, ring_ms: ring_s * 1000 };
    let place = move || match admin.runtime.dial(&order) {
        Ok(call) => Json(json!({ "data": { "call": call } })).into_response(),
        Err(refused) => problem(status(&refused), &refused.to_string()),
    };
    off_thread(place).await
}

fn status(refused: &DialRefused) -> StatusCode {
    match refused {
        DialRefused::Agent(_) | DialRefused::Trunk(_) => StatusCode::NOT_FOUND,
        DialRefused::Draining => StatusCode::SERVICE_UNAVAILABLE,
        DialRefused::Failed { failure, .. } => {
            StatusCode::from_u16(failure.http_status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

pub(super) async fn trunks(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let serving = admin.runtime.serving();
    let told = admin.runtime.trunks().into_iter().map(|status| {
        let named = status.trunk.0.parse::<Id>().ok().and_then(|id| serving.table.trunk_by_id(&id));
        let hosts = status.hosts.iter().map(|host| {
            let addresses: Vec<String> = host.servers.iter().map(|server| server.address.to_string()).collect();
            json!({ "host": host.host, "addresses": addresses, "health": host.health.map(|health| health.name()) })
        });
        json!({
            "trunk": &*status.trunk.0,
            "name": named.map(|trunk| trunk.name.as_str()),
            "takes_calls": status.takes_calls,
            "registered": status.registered,
            "hosts": hosts.collect::<Vec<_>>(),
        })
    });
    Json(json!({ "data": told.collect::<Vec<_>>() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_dialled_or_shown_is_refused_before_anything_rings() {
        let order = |to: &str, from: Option<&str>, ring_s: Option<u32>| {
            let (agent, trunk) = ("reception".to_owned(), None);
            Order { to: to.to_owned(), agent, trunk, from: from.map(str::to_owned), ring_s }.fault()
        };
        assert_eq!(order("+49 30 555", Some("+4930100"), None), None);
        assert!(order(" ", None, None).is_some() && order(&"1".repeat(321), None, None).is_some());
        for from in ["+49 30 100", "a@b", "sip:a@b", "\"x\" <sip:a@b>", ""] {
            assert!(
                order("+4930555", Some(from), None).is_some(),
                "{from}: another number would be shown in its place"
            );
        }
        assert!(order("+4930555", None, Some(0)).is_some() && order("+4930555", None, Some(301)).is_some());
    }
}
