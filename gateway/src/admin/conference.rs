//! Conferences of calls that are up, over the admin API.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use trunkline_call::Operator;

use super::orders::give;
use super::{Admin, problem};

/// Most letters of a name.
const MOST_NAME: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Room {
    room: String,
}

pub(super) async fn join(
    State(admin): State<Arc<Admin>>,
    UrlPath(id): UrlPath<String>,
    Query(Room { room }): Query<Room>,
) -> Response {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if room.is_empty() || room.len() > MOST_NAME || !room.chars().all(plain) {
        return problem(StatusCode::BAD_REQUEST, "expected a name of 1 to 64 letters, digits, `-`, `_` and `.`");
    }
    give(&admin, &id, Operator::Join { room })
}

pub(super) async fn leave(State(admin): State<Arc<Admin>>, UrlPath(id): UrlPath<String>) -> Response {
    give(&admin, &id, Operator::Leave)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Muted {
    on: bool,
}

pub(super) async fn mute(
    State(admin): State<Arc<Admin>>,
    UrlPath(id): UrlPath<String>,
    Query(Muted { on }): Query<Muted>,
) -> Response {
    give(&admin, &id, Operator::Mute { on })
}

pub(super) async fn list(State(admin): State<Arc<Admin>>) -> Json<Value> {
    Json(json!({ "data": admin.runtime.conferences() }))
}
