//! An operator's orders about a call that is up, over the admin API. The call carries them out in its next step; its timeline
//! tells what came of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;
use trunkline_api::transfer::TransferMode;
use trunkline_api::{Id, Prefix};
use trunkline_call::Operator;

use super::{Admin, problem};

/// Most keys of one order.
const MOST_KEYS: usize = 32;
/// Most bytes of a target, and of what whoever answers is told.
const MOST_TARGET: usize = 256;
const MOST_BRIEFING: usize = 4000;

pub(super) async fn hang_up(State(admin): State<Arc<Admin>>, UrlPath(id): UrlPath<String>) -> Response {
    give(&admin, &id, Operator::HangUp)
}

pub(super) async fn hold(State(admin): State<Arc<Admin>>, UrlPath(id): UrlPath<String>) -> Response {
    give(&admin, &id, Operator::Hold)
}

pub(super) async fn resume(State(admin): State<Arc<Admin>>, UrlPath(id): UrlPath<String>) -> Response {
    give(&admin, &id, Operator::Resume)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    digits: String,
}

pub(super) async fn dtmf(
    State(admin): State<Arc<Admin>>,
    UrlPath(id): UrlPath<String>,
    Query(Keys { digits }): Query<Keys>,
) -> Response {
    let keys: String = digits.chars().filter(|key| !key.is_whitespace()).collect();
    let known = |key: char| key.is_ascii_digit() || matches!(key, '*' | '#' | 'A'..='D' | 'a'..='d');
    if keys.is_empty() || keys.len() > MOST_KEYS || !keys.chars().all(known) {
        return problem(StatusCode::BAD_REQUEST, "expected 1 to 32 keys of 0 to 9, *, # and A to D");
    }
    give(&admin, &id, Operator::SendDtmf { digits: keys })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    to: String,
    mode: Option<TransferMode>,
    #[serde(default)]
    briefing: String,
}

pub(super) async fn transfer(
    State(admin): State<Arc<Admin>>,
    UrlPath(id): UrlPath<String>,
    Query(Target { to, mode, briefing }): Query<Target>,
) -> Response {
    if to.trim().is_empty() || to.len() > MOST_TARGET || briefing.len() > MOST_BRIEFING {
        let why = "expected the name of a target of the agent's, a number or a SIP URI of at most 256 bytes, and a briefing of \
                   at most 4000";
        return problem(StatusCode::BAD_REQUEST, why);
    }
    give(&admin, &id, Operator::Transfer { to, mode, briefing })
}

/// Gives a call an order; what is ordered and refused is on the audit log.
pub(super) fn give(admin: &Admin, id: &str, order: Operator) -> Response {
    let Ok(id) = Id::parse_as(Prefix::Call, id) else {
        return problem(StatusCode::BAD_REQUEST, "not a call id");
    };
    let name = order.name();
    if admin.runtime.operate(&id, order) {
        tracing::info!(target: "audit", call = %id, order = name, "an operator gave an order");
        Json(json!({ "data": { "call": id } })).into_response()
    } else {
        tracing::warn!(target: "audit", call = %id, order = name, "an operator's order found no call");
        problem(StatusCode::NOT_FOUND, "no call of that id is in progress")
    }
}
