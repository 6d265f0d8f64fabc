//! Who may do what: every operation of the OpenAPI document names the scope it needs, and that document is what the
//! middleware enforces, so description and enforcement cannot differ. An operation without a scope is refused.

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::Method;
use http::header::AUTHORIZATION;
use http::request::Parts;
use trunkline_api::Id;

use super::problem::{Problem, Result};
use crate::clock;
use crate::secret::{self, Class};
use crate::server::Shared;
use crate::store::keys;

/// Every scope a key may have; `admin` has them all.
pub(crate) const SCOPES: &[&str] = &[
    "admin",
    "agents:read",
    "agents:write",
    "calls:read",
    "fleet:read",
    "fleet:write",
    "keys:read",
    "keys:write",
    "prices:read",
    "prices:write",
    "telephony:read",
    "telephony:write",
    "usage:read",
];

/// The holder of a valid key.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) tenant: Id,
    pub(crate) scopes: Vec<String>,
}

impl Caller {
    pub(crate) fn may(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| held == "admin" || held == scope)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::unauthorized("This route needs a key."))
    }
}

/// What an operation needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: health and reference pages.
    Nothing,
    /// A key with this scope.
    Scope(String),
}

/// Needs by path template and method.
pub(crate) type Rules = BTreeMap<(String, String), Need>;

/// Reads the needs out of an OpenAPI document.
pub(crate) fn rules(document: &serde_json::Value) -> Rules {
    let mut rules = Rules::new();
    let paths = document["paths"].as_object().into_iter().flatten();
    for (path, item) in paths {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let need = match operation["security"].as_array().and_then(|list| list.first()) {
                Some(requirement) if requirement.as_object().is_some_and(serde_json::Map::is_empty) => Need::Nothing,
                Some(requirement) => match requirement["api_key"][0].as_str() {
                    Some(scope) => Need::Scope(scope.to_owned()),
                    None => continue,
                },
                None => continue,
            };
            rules.insert((path.clone(), method.to_ascii_uppercase()), need);
        }
    }
    rules
}

/// The path template that answered, for metrics.
#[derive(Debug, Clone)]
pub(crate) struct Route(pub(crate) String);

/// Admits a request to its operation or refuses it.
pub(crate) async fn check(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    let Some(path) = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()) else {
        return next.run(request).await;
    };
    let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
    let known_path = app.rules.keys().any(|(known, _)| *known == path);
    let mut response = match app.rules.get(&(path.clone(), method.to_string())) {
        Some(Need::Nothing) => next.run(request).await,
        Some(Need::Scope(scope)) => match admit(&app, request.headers(), scope).await {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                next.run(request).await
            }
            Err(problem) => problem.into_response(),
        },
        // The path exists but not with this method; the router answers 405 with its Allow header.
        None if known_path => next.run(request).await,
        None => Problem::forbidden("This route names no scope.").into_response(),
    };
    response.extensions_mut().insert(Route(path));
    response
}

/// The bearer token of a request.
pub(crate) fn bearer(headers: &http::HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn admit(app: &Shared, headers: &http::HeaderMap, scope: &str) -> Result<Caller> {
    let token = bearer(headers).ok_or_else(|| Problem::unauthorized("Send `Authorization: Bearer <key>`."))?;
    let refused = || Problem::unauthorized("The key is unknown, revoked or expired.");
    if !secret::plausible(Class::ApiKey, token) {
        return Err(refused());
    }
    let found = keys::by_hash(&app.db, &app.keyring.hash(token)).await?;
    let (tenant, key) = found.ok_or_else(refused)?;
    if key.revoked_us.is_some() || key.expires_us.is_some_and(|expires| expires <= clock::now_us()) {
        return Err(refused());
    }
    let caller = Caller { tenant, scopes: key.scopes };
    if caller.may(scope) { Ok(caller) } else { Err(Problem::forbidden(format!("The key needs the scope `{scope}`."))) }
}
