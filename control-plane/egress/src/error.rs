//! Why something outside could not be reached, in words that say what to do.

use std::net::IpAddr;

/// Everything that ends a request or a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// The client could not be built.
    #[error("the outgoing client cannot start: {0}; check the extra root certificates")]
    Setup(String),
    /// The URL is not one that can be requested.
    #[error("`{url}` cannot be requested: {why}")]
    Url {
        /// Without query or user information.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The host is not in the list of those this caller may reach.
    #[error("{origin} is not among the allowed hosts; add it to the allow-list if it should be reached")]
    NotAllowed {
        /// `scheme://host:port`.
        origin: String,
    },
    /// The host's address belongs to a private network, this host or a reserved range.
    #[error("{host} resolves to {address}, which is not a public address; allow exactly this host if that is intended")]
    PrivateAddress {
        /// The name asked for.
        host: String,
        /// The refused address.
        address: IpAddr,
    },
    /// The name does not resolve.
    #[error("{host} does not resolve: {why}; check the name and the resolver")]
    Resolve {
        /// The name asked for.
        host: String,
        /// The resolver's answer.
        why: String,
    },
    /// No address accepted the connection.
    #[error("{host} cannot be connected to: {why}; check that it is up and that the firewall lets it through")]
    Connect {
        /// The name asked for.
        host: String,
        /// The last attempt's error.
        why: String,
    },
    /// The other side's certificate authority is not the pinned one.
    #[error(
        "{host} does not hold the key that was pinned: it is another server, or one that began anew with another key; \
         nothing was sent to it"
    )]
    NotPinned {
        /// The host asked for.
        host: String,
    },
    /// The other side's certificate cannot be trusted.
    #[error("the certificate of {host} is not trusted: {why}; nothing was sent to it")]
    Certificate {
        /// The host asked for.
        host: String,
        /// What is wrong with it.
        why: String,
    },
    /// The other side does not speak TLS.
    #[error("{host} does not speak TLS on this port; check the port and whether its listener is plain HTTP")]
    NotTls {
        /// The host asked for.
        host: String,
    },
    /// TLS, HTTP or WebSocket went wrong after the connection was made.
    #[error("the connection failed: {0}")]
    Protocol(String),
    /// The WebSocket handshake was answered with another status.
    #[error("the WebSocket handshake was refused with HTTP {status}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The `Retry-After` header in ms, if it was given in seconds.
        retry_after_ms: Option<u64>,
    },
    /// A time limit passed.
    #[error("no {what} within {limit_ms} ms; raise the limit or check the other side's load")]
    Timeout {
        /// `connection`, `answer`, `data` or `whole response`.
        what: &'static str,
        /// The limit.
        limit_ms: u64,
    },
    /// A size limit was passed.
    #[error("{what} is longer than {limit} bytes; raise the limit if it should be accepted")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Too many redirects, or one that must not be followed.
    #[error("redirect refused: {0}")]
    Redirect(&'static str),
}

impl EgressError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Connect { .. } | Self::Protocol(_) | Self::Timeout { .. } => true,
            Self::Refused { status, .. } => crate::retryable_status(*status),
            _ => false,
        }
    }
}
