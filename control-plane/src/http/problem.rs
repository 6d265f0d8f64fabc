//! Every error of the API: RFC 9457 problem details with a stable code, the request id and pointers to what is wrong.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::StoreError;

/// Media type of problems.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// One fault in a request.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Fault {
    /// Where: an RFC 6901 pointer into the body, or `/name` of a query, path or header parameter.
    pub(crate) pointer: String,
    /// `body`, `query`, `path` or `header`.
    #[serde(rename = "in")]
    #[schema(rename = "in")]
    pub(crate) place: &'static str,
    /// Stable name of the fault.
    pub(crate) code: &'static str,
    /// What was expected.
    pub(crate) message: String,
}

/// A problem on its way to the client.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Problem(Box<Details>);

/// A problem (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Details {
    /// URI of the kind of problem, `urn:trunkline:problem:<code>`.
    #[serde(rename = "type")]
    #[schema(rename = "type")]
    kind: String,
    /// The kind in words.
    title: &'static str,
    /// HTTP status.
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16)]
    status: StatusCode,
    /// This case in words.
    detail: String,
    /// Stable code.
    code: &'static str,
    /// Id of the request, as in the log.
    request_id: String,
    /// What is wrong, one entry a fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
    /// What stands in the way of a deletion.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blockers: Vec<Blocker>,
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// An object that stands in the way.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Blocker {
    /// Kind of object: `call`, `route`, `number`, `agent`.
    pub(crate) kind: String,
    /// Its id.
    pub(crate) id: String,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

pub(crate) type Result<T, E = Problem> = std::result::Result<T, E>;

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind: format!("urn:trunkline:problem:{code}"),
            title,
            status,
            detail: detail.into(),
            code,
            request_id: super::request_id(),
            errors: Vec::new(),
            blockers: Vec::new(),
            headers: Vec::new(),
        }))
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", format!("There is no such {what}."))
    }

    pub(crate) fn unauthorized(detail: &str) -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "A valid key is needed", detail);
        problem.0.headers.push((http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        problem
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "The key does not allow this", detail)
    }

    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, "Conflicts with the present state", detail)
    }

    pub(crate) fn parameter(code: &'static str, name: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "A query parameter is wrong", "See `errors`.").and(
            "query",
            format!("/{name}"),
            code,
            message,
        )
    }

    pub(crate) fn invalid(errors: Vec<Fault>) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation_failed",
            "The body does not have the expected shape",
            "See `errors`.",
        );
        problem.0.errors = errors;
        problem
    }

    pub(crate) fn unavailable(detail: &str) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now", detail);
        problem.0.headers.push((http::header::RETRY_AFTER, HeaderValue::from_static("1")));
        problem
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The control plane failed",
            "Nothing was changed. The log has the cause under this request id.",
        )
    }

    /// Adds a fault.
    pub(crate) fn and(
        mut self,
        place: &'static str,
        pointer: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        self.0.errors.push(Fault { pointer: pointer.into(), place, code, message: message.into() });
        self
    }

    pub(crate) fn with_blockers(mut self, blockers: Vec<Blocker>) -> Self {
        self.0.blockers = blockers;
        self
    }

    /// The problem for a bare status, such as one the router itself answered.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Refused");
        let code = match status {
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
            status if status.is_server_error() => "internal",
            _ => "bad_request",
        };
        let detail = match status {
            StatusCode::METHOD_NOT_ALLOWED => "The path does not take this method; `Allow` lists those it takes.",
            _ => title,
        };
        Self::new(status, code, title, detail)
    }
}

impl Fault {
    pub(crate) fn body(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), place: "body", code, message: message.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let text = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.0.status, text).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        for (name, value) in self.0.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(request_id = super::request_id(), %error, "the store failed");
        match error {
            StoreError::Engine(_) => Self::unavailable("The database did not answer; the log has the cause."),
            _ => Self::internal(),
        }
    }
}

impl From<crate::secret::SecretError> for Problem {
    fn from(error: crate::secret::SecretError) -> Self {
        Self::from(StoreError::from(error))
    }
}
