//! The gateways' listener: enrol, desired state by stream or long poll, upload, heartbeat.
//!
//! Routes and types are those of `trunkline_api::sync`. Everything but `enrol` needs a gateway's credential.

mod state;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::request::Parts;
use trunkline_api::Id;
use trunkline_api::signature::public_key;
use trunkline_api::sync::{EnrolAnswer, EnrolRequest, Heartbeat, HeartbeatAnswer};

use crate::clock;
use crate::http::access::{Route, bearer};
use crate::http::body::Lenient;
use crate::http::problem::{Fault, Problem, Result};
use crate::secret::{self, Class};
use crate::server::Shared;
use crate::store::fleet::{self, Refused};

/// Longest a long poll may wait.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(50);

/// A gateway with a valid credential.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    pub(crate) tenant: Id,
    pub(crate) id: Id,
}

impl FromRequestParts<Shared> for Gateway {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self> {
        let token = bearer(&parts.headers).ok_or_else(|| Problem::unauthorized("Send the gateway's credential."))?;
        let refused = || Problem::unauthorized("The credential is unknown or revoked; enrol the gateway again.");
        if !secret::plausible(Class::Gateway, token) {
            return Err(refused());
        }
        let found = fleet::by_credential(&app.db, &app.keyring.hash(token)).await?;
        found.map(|(tenant, id)| Self { tenant, id }).ok_or_else(refused)
    }
}

pub(crate) fn router(app: &Shared) -> Router {
    Router::new()
        .route("/sync/v1/enrol", post(enrol))
        .route("/sync/v1/stream", get(state::stream))
        .route("/sync/v1/state", get(state::poll))
        .route("/sync/v1/upload", post(upload::upload))
        .route("/sync/v1/heartbeat", post(heartbeat))
        .layer(middleware::from_fn(label))
        .with_state(Arc::clone(app))
}

async fn label(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<axum::extract::MatchedPath>().map(|path| path.as_str().to_owned());
    let mut response = next.run(request).await;
    if let Some(path) = path {
        response.extensions_mut().insert(Route(path));
    }
    response
}

async fn enrol(State(app): State<Shared>, Lenient(wanted): Lenient<EnrolRequest>) -> Result<Response> {
    let mut faults = Vec::new();
    if !(1..=100).contains(&wanted.name.chars().count()) {
        faults.push(Fault::body("/name", "invalid_value", "expected 1 to 100 characters"));
    }
    if !(1..=100).contains(&wanted.version.chars().count()) {
        faults.push(Fault::body("/version", "invalid_value", "expected 1 to 100 characters"));
    }
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    if !secret::plausible(Class::Enrolment, &wanted.token) {
        return Err(Problem::unauthorized("That is no enrolment token of a control plane; copy it whole."));
    }
    let mut tx = app.db.begin().await?;
    let named = (wanted.name.as_str(), wanted.version.as_str());
    let enrolled = fleet::enrol(&mut tx, &app.keyring, &wanted.token, named, clock::now_us()).await?;
    // Whoever has the secret may know what became of it.
    let (_, gateway, credential) = enrolled.map_err(|refused| {
        let what = match refused {
            Refused::Unknown => "The token is unknown here".to_owned(),
            Refused::Used { at_us } => format!("The token was used on {}", clock::rfc3339(at_us)),
            Refused::Over { at_us } => format!("The token expired on {}", clock::rfc3339(at_us)),
        };
        Problem::unauthorized(&format!("{what}; make a new one with `trunkline-control-plane enrol-token`."))
    })?;
    tx.commit().await?;
    app.metrics.enrolments.inc();
    tracing::info!(%gateway, "a gateway enrolled");
    let trusted_keys = vec![public_key(app.keyring.signing_seed())];
    Ok(axum::Json(EnrolAnswer { gateway, credential, trusted_keys, control_plane: None }).into_response())
}

async fn heartbeat(
    State(app): State<Shared>,
    gateway: Gateway,
    Lenient(mut beat): Lenient<Heartbeat>,
) -> Result<axum::Json<HeartbeatAnswer>> {
    beat.version = beat.version.chars().take(100).collect();
    let now = clock::now_us();
    if let Some(rejected) = &beat.rejected {
        let known = fleet::get(&app.db, &gateway.tenant, &gateway.id).await?.and_then(|known| known.rejected);
        let rev = i64::try_from(rejected.rev).unwrap_or(i64::MAX);
        if known.is_none_or(|(before, _)| before != rev) {
            app.metrics.alarm("revision_rejected");
            tracing::warn!(gateway = %gateway.id, rev, problem = rejected.problem, "a gateway rejected a revision");
        }
    }
    let mut tx = app.db.begin().await?;
    fleet::heartbeat(&mut tx, &gateway.tenant, &gateway.id, &beat, now).await?;
    tx.commit().await?;
    Ok(axum::Json(HeartbeatAnswer { server_time_us: u64::try_from(clock::now_us()).unwrap_or_default() }))
}
