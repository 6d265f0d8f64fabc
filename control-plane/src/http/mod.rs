//! How every listener speaks HTTP: connections, request ids, envelopes, problems, pages, bodies, keys.

pub(crate) mod access;
pub(crate) mod body;
pub(crate) mod edge;
pub(crate) mod envelope;
pub(crate) mod page;
pub(crate) mod params;
pub(crate) mod problem;
pub(crate) mod serve;

tokio::task_local! {
    /// The id of the request in hand.
    pub(crate) static REQUEST_ID: String;
}

/// The id of the request in hand; empty outside one.
pub(crate) fn request_id() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}
