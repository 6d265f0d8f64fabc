//! Around every request: its id, its time limit, panics, plain refusals turned into problems, one log line, one count.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use tower_service::Service as _;
use trunkline_api::Prefix;

use super::access::Route;
use super::problem::{self, Problem};
use super::{REQUEST_ID, request_id};
use crate::clock;
use crate::server::Shared;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// One listener's way with requests.
#[derive(Clone)]
pub(crate) struct Edge {
    pub(crate) app: Shared,
    pub(crate) router: Router,
    pub(crate) listener: &'static str,
    /// Longest a request may take until its answer begins.
    pub(crate) limit: Duration,
}

impl Edge {
    pub(crate) async fn handle(self, mut request: Request<Body>) -> Result<Response, Infallible> {
        let id = accepted_id(request.headers()).unwrap_or_else(new_id);
        let trace = traceparent(request.headers());
        if let Some(uri) = without_alias(request.uri()) {
            *request.uri_mut() = uri;
        }
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let begun = Instant::now();
        let mut response = REQUEST_ID.scope(id.clone(), self.answer(request)).await;
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&id) {
            headers.insert(X_REQUEST_ID, value);
        }
        if let Some(trace) = &trace {
            headers.insert(TRACEPARENT, trace.clone());
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        let route =
            response.extensions().get::<Route>().map_or_else(|| "unmatched".to_owned(), |route| route.0.clone());
        let status = response.status().as_u16();
        self.app.metrics.request(self.listener, &route, method.as_str(), status, begun.elapsed());
        let trace = trace.as_ref().and_then(|trace| trace.to_str().ok()).unwrap_or_default();
        tracing::debug!(
            listener = self.listener, %method, path, status, request_id = id, trace,
            ms = begun.elapsed().as_secs_f64() * 1000.0, "request"
        );
        Ok(response)
    }

    async fn answer(&self, request: Request<Body>) -> Response {
        let mut router = self.router.clone();
        let work = AssertUnwindSafe(async move { router.call(request).await }).catch_unwind();
        let response = match tokio::time::timeout(self.limit, work).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Err(_)) => {
                tracing::error!(request_id = request_id(), "a handler panicked");
                return Problem::internal().into_response();
            }
            Err(_) => {
                return Problem::unavailable("The request took too long; nothing is known to be changed.")
                    .into_response();
            }
        };
        let status = response.status();
        let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|value| value == problem::MEDIA_TYPE);
        if (status.is_client_error() || status.is_server_error()) && !is_problem {
            return replaced(response, status);
        }
        response
    }
}

/// A refusal of the router's own, as a problem; its headers, such as Allow, stay.
fn replaced(old: Response, status: StatusCode) -> Response {
    let mut new = Problem::of_status(status).into_response();
    for (name, value) in old.headers() {
        if name != CONTENT_TYPE && name != http::header::CONTENT_LENGTH {
            new.headers_mut().append(name.clone(), value.clone());
        }
    }
    if let Some(route) = old.extensions().get::<Route>() {
        new.extensions_mut().insert(route.clone());
    }
    new
}

fn new_id() -> String {
    crate::store::mint(Prefix::Request, clock::now_us()).map_or_else(|_| "req_unknown".to_owned(), |id| id.to_string())
}

/// The sender's id when it is 1 to 128 plain characters; anything else could be made to lie in a log.
fn accepted_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(X_REQUEST_ID)?.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    ((1..=128).contains(&text.len()) && text.bytes().all(plain)).then(|| text.to_owned())
}

/// A well-formed W3C trace context, passed on as it came.
fn traceparent(headers: &HeaderMap) -> Option<HeaderValue> {
    let value = headers.get(TRACEPARENT)?;
    let bytes = value.as_bytes();
    let shape = bytes.len() == 55
        && bytes.iter().enumerate().all(|(index, byte)| match index {
            2 | 35 | 52 => *byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(byte),
        });
    shape.then(|| value.clone())
}

/// `/api/v1/...` is another name of `/v1/...`.
fn without_alias(uri: &Uri) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix("/api")?;
    if rest != "/v1" && !rest.starts_with("/v1/") {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(rest.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_request_ids_are_taken_over() {
        let with = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(text.as_bytes()).unwrap());
            accepted_id(&headers)
        };
        assert_eq!(with("abc-1.2:3_x").as_deref(), Some("abc-1.2:3_x"));
        assert_eq!(with("a b"), None);
        assert_eq!(with(""), None);
        assert_eq!(with(&"x".repeat(129)), None);
    }

    #[test]
    fn the_alias_keeps_its_query() {
        let alias = |text: &str| without_alias(&text.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(alias("/api/v1/calls?limit=3").as_deref(), Some("/v1/calls?limit=3"));
        assert_eq!(alias("/api/v10/calls"), None);
        assert_eq!(alias("/v1/calls"), None);
    }
}
