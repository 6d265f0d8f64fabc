//! What a caller asks for and what comes back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use crate::body::Body;
use crate::error::EgressError;
use crate::pattern::HostPattern;

/// Time limits of one request. The connection's own limit is the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the response's head, connection included.
    pub head: Duration,
    /// Between two pieces of the body.
    pub idle: Duration,
    /// Until the body's end; `None` for streams that stay open.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    /// 10 s, 30 s, 60 s.
    fn default() -> Self {
        Self { head: Duration::from_secs(10), idle: Duration::from_secs(30), total: Some(Duration::from_secs(60)) }
    }
}

/// What to do with a 3xx answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Redirects {
    /// Hand it to the caller.
    #[default]
    Return,
    /// Follow up to this many for GET and HEAD, each checked like the first; credentials do not cross origins.
    Follow(u8),
}

/// An outgoing request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// `http` or `https`, without user information.
    pub url: Url,
    /// Headers; `Host` is always the URL's.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Hosts this caller may reach; `None` leaves it to the client's guard alone.
    pub allow: Option<Arc<[HostPattern]>>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Most bytes of the response body; `None` for streams that stay open.
    pub max_body: Option<usize>,
    /// What to do with redirects.
    pub redirects: Redirects,
}

impl Request {
    /// A request with an empty body, default limits and at most 8 MiB of response.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            allow: None,
            timeouts: Timeouts::default(),
            max_body: Some(8 << 20),
            redirects: Redirects::Return,
        }
    }

    /// A GET.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// A POST of JSON text.
    #[must_use]
    pub fn post_json(url: Url, json: impl Into<Bytes>) -> Self {
        let mut request = Self::new(Method::POST, url);
        request.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = json.into();
        request
    }

    /// Adds a header.
    ///
    /// # Errors
    /// [`EgressError::Url`] when name or value has characters a header cannot have.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, EgressError> {
        let refused = || EgressError::Url { url: name.to_owned(), why: "it is not a valid header" };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused())?;
        self.headers.insert(name, HeaderValue::from_str(value).map_err(|_| refused())?);
        Ok(self)
    }

    /// Adds `Authorization: Bearer` (RFC 6750); the value is kept out of debug output.
    ///
    /// # Errors
    /// [`EgressError::Url`] when the token has characters a header cannot have.
    pub fn bearer(mut self, token: &str) -> Result<Self, EgressError> {
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|_| EgressError::Url {
            url: "Authorization".to_owned(),
            why: "the token is not a valid header value",
        })?;
        value.set_sensitive(true);
        self.headers.insert(AUTHORIZATION, value);
        Ok(self)
    }

    /// For server-sent events: accepts them, has no total time and no body limit; `idle` is the longest silence.
    #[must_use]
    pub fn event_stream(mut self, idle: Duration) -> Self {
        self.headers.insert(http::header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        self.timeouts = Timeouts { idle, total: None, ..self.timeouts };
        self.max_body = None;
        self
    }
}

/// The response's head and its streaming body.
#[derive(Debug)]
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers, at most 100.
    pub headers: HeaderMap,
    /// The URL that answered, after redirects.
    pub url: Url,
    /// The body as it comes.
    pub body: Body,
}

impl Response {
    /// `Retry-After` in ms when it was given in seconds.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.headers
            .get(http::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(crate::retry_after_ms)
    }
}
