//! The admin API on loopback, and on a socket in the state folder: health and metrics for anybody on the machine, everything else with the token that
//! lies in the state folder.
//!
//! | Route | Answers |
//! |---|---|
//! | `GET /healthz`, `/health` | 200 while the process lives |
//! | `GET /readyz` | 200 while calls are taken, 503 while draining or without a disk; `full` names the parts that new calls |
//! | | are refused for by load |
//! | `GET /metrics` | OpenMetrics text |
//! | `GET /v1/status` | what `trunkline doctor` looks at |
//! | `GET /v1/calls?ended=true` | calls |
//! | `GET /v1/calls/{id}` | a call, its events and its SIP ladder; an older one as the edge store has it |
//! | `GET /v1/calls/{id}/pcap` | the SIP messages of a recent call as a pcap file, keys crossed out |
//! | `GET /v1/usage?since_us=0&after=...&limit=1000` | usage records that are still here, and the sums of older ones |
//! | `DELETE /v1/calls/{id}` | hangs up |
//! | `POST /v1/calls/{id}/conference?room=...` | puts the caller into a conference; `DELETE` takes it out |
//! | `POST /v1/calls/{id}/mute?on=true` | has the others in it hear the caller no more, or again |
//! | `GET /v1/conferences` | conferences and who is in them |
//! | `POST /v1/calls?to=...&agent=...` | places a call; `trunk`, `from` and `ring_s` may be said |
//! | `GET /v1/trunks` | trunks that have a server: whether it answers, whether we are registered |
//! | `GET /v1/bans`, `DELETE /v1/bans/{address}` | sources that are not listened to; listens to one again |
//! | `GET /v1/route?called=...&calling=...&source=...` | which agent would get a call, and every step that leads there |
//! | `GET /v1/route?out=...&tenant=...` | whether and how a call may leave |
//! | `POST /v1/captures?calls=1&agent=...&for_s=600` | has the next calls captured that fit |
//! | `GET /v1/captures`, `DELETE /v1/captures` | orders and captures; ends all of them |
//! | `GET /v1/captures/{id}` | the capture of a call, as it lies on the disk |
//! | `POST /v1/calls/{id}/recording/{order}` | `start`, `pause`, `resume` or `stop`; 409 when that is not possible now |

use std::path::Path;
use std::sync::Arc;

use axum::extract::{Path as UrlPath, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router, middleware};
use serde::Deserialize;
use serde_json::json;
use trunkline_api::{Id, Prefix};
use trunkline_edge_store::EdgeStore;
use trunkline_runtime::{RecordingOrder, RecordingRefused, Runtime};

use crate::{history, metrics};

mod bans;
mod captures;
mod conference;
mod dial;
mod orders;
mod routes;
pub(crate) mod socket;

/// File in the state folder that holds the token.
const TOKEN_FILE: &str = "admin.token";

/// What the admin API looks at.
pub(crate) struct Admin {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) store: Arc<dyn EdgeStore>,
    /// Connections of AudioSocket, when it is served.
    pub(crate) audiosocket: Option<Arc<trunkline_ws::Stats>>,
    pub(crate) status: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
    pub(crate) token: String,
    /// Where ended calls go; empty when they stay here.
    pub(crate) control_plane: String,
}

/// The token of the state folder, made when there is none; only the owner may read it.
pub(crate) fn token(state: &Path) -> anyhow::Result<String> {
    use std::os::unix::fs::MetadataExt as _;
    let path = state.join(TOKEN_FILE);
    // One that others could read is taken for known to them.
    let known = std::fs::metadata(&path).is_ok_and(|found| found.mode() & 0o077 != 0);
    if let Some(token) = read_token(state).filter(|_| !known) {
        return Ok(token);
    }
    if known {
        tracing::warn!(path = %path.display(), "others could read the admin token; it is replaced");
    }
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    trunkline_state_folder::replace(&path, token.as_bytes())?;
    Ok(token)
}

/// The token of a gateway that keeps its state in `state`.
pub(crate) fn read_token(state: &Path) -> Option<String> {
    let token = std::fs::read_to_string(state.join(TOKEN_FILE)).ok()?;
    (token.len() == 64).then_some(token)
}

/// The routes.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    let guarded = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/calls", get(calls).post(dial::dial))
        .route("/v1/trunks", get(dial::trunks))
        .route("/v1/bans", get(bans::list))
        .route("/v1/bans/{address}", delete(bans::lift))
        .route("/v1/usage", get(usage))
        .route("/v1/calls/{id}", get(call).delete(orders::hang_up))
        .route("/v1/calls/{id}/hold", post(orders::hold))
        .route("/v1/calls/{id}/resume", post(orders::resume))
        .route("/v1/calls/{id}/dtmf", post(orders::dtmf))
        .route("/v1/calls/{id}/transfer", post(orders::transfer))
        .route("/v1/calls/{id}/conference", post(conference::join).delete(conference::leave))
        .route("/v1/calls/{id}/mute", post(conference::mute))
        .route("/v1/conferences", get(conference::list))
        .route("/v1/calls/{id}/recording/{order}", post(record))
        .route("/v1/calls/{id}/pcap", get(pcap))
        .route("/v1/route", get(routes::explain))
        .route("/v1/captures", get(captures::list).post(captures::order).delete(captures::stop))
        .route("/v1/captures/{id}", get(captures::fetch))
        .layer(middleware::from_fn_with_state(Arc::clone(&admin), authorise));
    Router::new()
        .route("/healthz", get(healthy))
        .route("/health", get(healthy))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_page))
        .merge(guarded)
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "no such route") })
        .with_state(admin)
}

async fn authorise(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if !equal(given.as_bytes(), admin.token.as_bytes()) {
        return problem(StatusCode::UNAUTHORIZED, "the admin token is in `admin.token` of the state folder");
    }
    next.run(request).await
}

/// Compares in time that does not depend on where the difference is.
fn equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

async fn healthy() -> Json<serde_json::Value> {
    Json(json!({ "data": { "status": "ok" } }))
}

async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    let health = admin.store.health();
    if admin.runtime.is_draining() {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "draining");
    }
    if !health.available {
        let detail = health.detail.unwrap_or_else(|| "the edge store cannot write".to_owned());
        return problem(StatusCode::SERVICE_UNAVAILABLE, &detail);
    }
    // A gateway that is as busy as it may be is well: who is refused is told when to come again.
    let full: Vec<&str> =
        admin.runtime.load().iter().filter(|load| load.refuses).map(|load| load.part.name()).collect();
    let data = if full.is_empty() { json!({ "status": "ok" }) } else { json!({ "status": "ok", "full": full }) };
    Json(json!({ "data": data })).into_response()
}

async fn metrics_page(State(admin): State<Arc<Admin>>) -> Response {
    match metrics::page(&admin.runtime, admin.store.as_ref(), admin.audiosocket.as_deref()) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn status(State(admin): State<Arc<Admin>>) -> Json<serde_json::Value> {
    Json(json!({ "data": (admin.status)() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallsQuery {
    #[serde(default)]
    ended: bool,
}

async fn calls(State(admin): State<Arc<Admin>>, Query(query): Query<CallsQuery>) -> Json<serde_json::Value> {
    Json(json!({ "data": admin.runtime.calls(query.ended) }))
}

async fn call(State(admin): State<Arc<Admin>>, UrlPath(id): UrlPath<String>) -> Response {
    let Ok(id) = Id::parse_as(Prefix::Call, &id) else {
        return problem(StatusCode::BAD_REQUEST, "not a call id");
    };
    if let Some((info, events)) = admin.runtime.timeline(&id) {
        let events: Vec<_> = events.iter().map(AsRef::as_ref).collect();
        let ladder = admin.runtime.ladder(&id).map(|ladder| ladder.to_string());
        return Json(json!({ "data": { "call": info, "events": events, "ladder": ladder } })).into_response();
    }
    let look = move || match history::call(admin.store.as_ref(), &id) {
        Ok(Some(found)) => Json(json!({ "data": found })).into_response(),
        Ok(None) => problem(StatusCode::NOT_FOUND, &history::nothing_of(admin.store.as_ref(), &admin.control_plane)),
        Err(error) => problem(StatusCode::SERVICE_UNAVAILABLE, &format!("{error:#}")),
    };
    off_thread(look).await
}

async fn pcap(State(admin): State<Arc<Admin>>, UrlPath(id): UrlPath<String>) -> Response {
    let Ok(id) = Id::parse_as(Prefix::Call, &id) else {
        return problem(StatusCode::BAD_REQUEST, "not a call id");
    };
    match admin.runtime.ladder(&id) {
        Some(ladder) => ([(header::CONTENT_TYPE, "application/vnd.tcpdump.pcap")], ladder.pcap()).into_response(),
        None => problem(StatusCode::NOT_FOUND, "the SIP messages of that call are not kept, or no longer"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsageQuery {
    #[serde(default)]
    since_us: u64,
    after: Option<String>,
    #[serde(default = "whole_page")]
    limit: usize,
}

const fn whole_page() -> usize {
    usize::MAX
}

async fn usage(State(admin): State<Arc<Admin>>, Query(query): Query<UsageQuery>) -> Response {
    let look = move || match history::usage(admin.store.as_ref(), query.since_us, query.after.as_deref(), query.limit) {
        Ok(page) => Json(json!({ "data": page })).into_response(),
        Err(error) => problem(StatusCode::BAD_REQUEST, &format!("{error:#}")),
    };
    off_thread(look).await
}

/// Does what may take a moment away from the threads that serve others.
async fn off_thread(look: impl FnOnce() -> Response + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(look).await {
        Ok(response) => response,
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn record(State(admin): State<Arc<Admin>>, UrlPath((id, order)): UrlPath<(String, String)>) -> Response {
    let Ok(id) = Id::parse_as(Prefix::Call, &id) else {
        return problem(StatusCode::BAD_REQUEST, "not a call id");
    };
    let order = match order.as_str() {
        "start" => RecordingOrder::Start,
        "pause" => RecordingOrder::Pause,
        "resume" => RecordingOrder::Resume,
        "stop" => RecordingOrder::Stop,
        _ => return problem(StatusCode::NOT_FOUND, "a recording knows `start`, `pause`, `resume` and `stop`"),
    };
    let carry_out = move || match admin.runtime.record(&id, order) {
        Ok(state) => Json(json!({ "data": state })).into_response(),
        Err(refused) => {
            let status = match refused {
                RecordingRefused::NoCall => StatusCode::NOT_FOUND,
                RecordingRefused::NoAnswer | RecordingRefused::Recorder(_) => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::CONFLICT,
            };
            problem(status, &refused.to_string())
        }
    };
    off_thread(carry_out).await
}

/// RFC 9457.
fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({
        "type": "about:blank", "title": status.canonical_reason(), "status": status.as_u16(), "detail": detail,
    });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn a_token_is_kept_until_others_could_read_it() {
        let state = tempfile::tempdir().unwrap();
        let made = token(state.path()).unwrap();
        assert_eq!((token(state.path()).unwrap(), read_token(state.path())), (made.clone(), Some(made.clone())));
        let file = state.path().join(TOKEN_FILE);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let other = token(state.path()).unwrap();
        assert_ne!(other, made);
        assert_eq!((read_token(state.path()), std::fs::metadata(&file).unwrap().mode() & 0o777), (Some(other), 0o600));
    }
}
