//! Health and the reference: the routes that need no key.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::envelope::{Answer, Envelope};
use crate::http::problem::{Problem, Result};
use crate::server::Shared;

/// Longest the database may take to count as ready.
const READY_WITHIN: Duration = Duration::from_millis(250);

/// Health.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
}

/// Whether the process lives; touches nothing else.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, description = "It lives", body = Envelope<Health>)))]
pub(crate) async fn healthz() -> Answer<Health> {
    Answer::ok(Health { status: "ok" })
}

/// The same as `/healthz`.
#[utoipa::path(get, path = "/health", tag = "health", security(()),
    responses((status = 200, description = "It lives", body = Envelope<Health>)))]
pub(crate) async fn health() -> Answer<Health> {
    Answer::ok(Health { status: "ok" })
}

/// Whether requests can be served: the database answers within 250 ms and no shutdown is under way.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, description = "It is ready", body = Envelope<Health>),
              (status = 503, description = "It is not ready")))]
pub(crate) async fn readyz(State(app): State<Shared>) -> Result<Answer<Health>> {
    if app.stopping.is_cancelled() {
        return Err(Problem::unavailable("The control plane is shutting down."));
    }
    match tokio::time::timeout(READY_WITHIN, app.db.ping()).await {
        Ok(Ok(())) => Ok(Answer::ok(Health { status: "ok" })),
        Ok(Err(_)) | Err(_) => Err(Problem::unavailable("The database did not answer within 250 ms.")),
    }
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "reference", security(()),
    responses((status = 200, description = "The OpenAPI 3.1 document", content_type = "application/json", body = Object)))]
pub(crate) async fn openapi(State(app): State<Shared>) -> Response {
    ([(CONTENT_TYPE, "application/json")], app.document.clone()).into_response()
}

/// The reference as a page, which needs nothing from any other host.
#[utoipa::path(get, path = "/docs", tag = "reference", security(()),
    responses((status = 200, description = "The reference", content_type = "text/html", body = String)))]
pub(crate) async fn docs() -> Response {
    let policy = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'";
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, policy)];
    (headers, include_str!("docs.html")).into_response()
}

/// The reference page's script.
#[utoipa::path(get, path = "/docs.js", tag = "reference", security(()),
    responses((status = 200, description = "The script", content_type = "text/javascript", body = String)))]
pub(crate) async fn docs_script() -> Response {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("docs.js")).into_response()
}
