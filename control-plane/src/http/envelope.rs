//! Every answer that is not a problem: `{data, meta}`.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

/// About the answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Meta {
    /// Id of the request, also in `X-Request-Id`.
    pub(crate) request_id: String,
    /// Pass as `cursor` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// The answer's frame.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Envelope<T> {
    /// What was asked for.
    pub(crate) data: T,
    /// About the answer.
    pub(crate) meta: Meta,
}

/// An answer on its way: data, status and headers.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    status: StatusCode,
    data: T,
    next_cursor: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl<T> Answer<T> {
    pub(crate) const fn ok(data: T) -> Self {
        Self { status: StatusCode::OK, data, next_cursor: None, headers: Vec::new() }
    }

    /// 201 with a `Location`.
    pub(crate) fn created(data: T, location: &str) -> Self {
        Self { status: StatusCode::CREATED, ..Self::ok(data) }.header(http::header::LOCATION, location)
    }

    pub(crate) fn page(data: T, next_cursor: Option<String>) -> Self {
        Self { next_cursor, ..Self::ok(data) }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let meta = Meta { request_id: super::request_id(), next_cursor: self.next_cursor };
        let mut response = (self.status, axum::Json(Envelope { data: self.data, meta })).into_response();
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}
