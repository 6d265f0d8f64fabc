//! Captures over the admin API.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;
use trunkline_api::{Id, Prefix};
use trunkline_runtime::{CaptureOrder, CaptureRefused};

use super::{Admin, off_thread, problem};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    #[serde(default = "one")]
    calls: u32,
    agent: Option<String>,
    trunk: Option<String>,
    from: Option<String>,
    to: Option<String>,
    #[serde(default = "ten_minutes")]
    for_s: u32,
    #[serde(default)]
    clear: bool,
    /// A call that is up: it cannot be captured.
    call: Option<String>,
}

const fn one() -> u32 {
    1
}

const fn ten_minutes() -> u32 {
    600
}

pub(super) async fn order(State(admin): State<Arc<Admin>>, Query(order): Query<Order>) -> Response {
    let Order { calls, agent, trunk, from, to, for_s, clear, call } = order;
    if call.is_some() {
        let why = "a call is captured from its beginning or not at all; order the next call before it begins, with --calls 1 \
                   and --from, --to, --agent or --trunk to tell it from others";
        return problem(StatusCode::CONFLICT, why);
    }
    let order = CaptureOrder { calls, agent, trunk, from, to, for_s, clear };
    let carry_out = move || match admin.runtime.capture(order) {
        Ok(rule) => Json(json!({ "data": rule })).into_response(),
        Err(refused) => {
            let status = match refused {
                CaptureRefused::Range => StatusCode::BAD_REQUEST,
                CaptureRefused::Folder { .. } | CaptureRefused::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
                _ => StatusCode::CONFLICT,
            };
            problem(status, &refused.to_string())
        }
    };
    off_thread(carry_out).await
}

pub(super) async fn stop(State(admin): State<Arc<Admin>>) -> Response {
    let (orders, captures) = admin.runtime.stop_captures();
    Json(json!({ "data": { "orders": orders, "captures": captures } })).into_response()
}

pub(super) async fn list(State(admin): State<Arc<Admin>>) -> Response {
    let look = move || match admin.runtime.captures() {
        Ok(states) => Json(json!({ "data": states })).into_response(),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &format!("the folder of captures: {error}")),
    };
    off_thread(look).await
}

pub(super) async fn fetch(State(admin): State<Arc<Admin>>, UrlPath(id): UrlPath<String>) -> Response {
    let Ok(id) = Id::parse_as(Prefix::Call, &id) else {
        return problem(StatusCode::BAD_REQUEST, "not a call id");
    };
    let look = move || match admin.runtime.capture_file(&id).map(std::fs::read) {
        Some(Ok(bytes)) => ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response(),
        Some(Err(error)) => problem(StatusCode::INTERNAL_SERVER_ERROR, &format!("the capture cannot be read: {error}")),
        None => problem(
            StatusCode::NOT_FOUND,
            "no call of that id was captured; `trunkline capture list` has those that were",
        ),
    };
    off_thread(look).await
}
