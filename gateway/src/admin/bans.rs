//! Sources that SIP does not listen to, over the admin API.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::{Admin, problem};

pub(super) async fn list(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let bans = admin.runtime.bans().into_iter().map(|ban| {
        json!({
            "source": ban.source,
            "bits": ban.bits,
            "reason": ban.reason.name(),
            "left_s": ban.left.as_secs(),
            "times": ban.times,
            "kept_out": ban.kept_out,
        })
    });
    Json(json!({ "data": bans.collect::<Vec<_>>() }))
}

pub(super) async fn lift(State(admin): State<Arc<Admin>>, Path(address): Path<String>) -> Response {
    let Ok(source) = address.parse::<IpAddr>() else {
        return problem(StatusCode::BAD_REQUEST, "expected an address, such as 203.0.113.7 or 2001:db8::1");
    };
    if admin.runtime.lift_ban(source) {
        Json(json!({ "data": { "lifted": source } })).into_response()
    } else {
        problem(StatusCode::NOT_FOUND, "that source is not banned")
    }
}
