//! A response body as it comes, within its limits.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::error::EgressError;

/// A streaming body. Nothing is read ahead: not asking for the next piece holds the sender back.
#[derive(Debug)]
pub struct Body {
    pub(crate) incoming: Incoming,
    pub(crate) seen: usize,
    pub(crate) max: Option<usize>,
    pub(crate) idle: Duration,
    pub(crate) deadline: Option<(Instant, Duration)>,
}

fn ms(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

impl Body {
    /// The next piece, or `None` at the end.
    ///
    /// # Errors
    /// [`EgressError::Timeout`] after the idle or total time, [`EgressError::TooLarge`] past the limit,
    /// [`EgressError::Protocol`] when the connection broke.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, EgressError> {
        loop {
            let idle = Instant::now() + self.idle;
            let (until, error) = match self.deadline {
                Some((at, limit)) if at < idle => {
                    (at, EgressError::Timeout { what: "whole response", limit_ms: ms(limit) })
                }
                _ => (idle, EgressError::Timeout { what: "data", limit_ms: ms(self.idle) }),
            };
            let frame = match tokio::time::timeout_at(until, self.incoming.frame()).await {
                Err(_) => return Err(error),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(EgressError::Protocol(crate::client::chain(&error))),
                Ok(Some(Ok(frame))) => frame,
            };
            // Trailers carry nothing a caller waits for.
            let Ok(data) = frame.into_data() else { continue };
            self.seen = self.seen.saturating_add(data.len());
            match self.max {
                Some(max) if self.seen > max => {
                    return Err(EgressError::TooLarge { what: "the response body", limit: max });
                }
                _ if data.is_empty() => {}
                _ => return Ok(Some(data)),
            }
        }
    }

    /// The whole rest.
    ///
    /// # Errors
    /// As [`Body::chunk`].
    pub async fn bytes(mut self) -> Result<Bytes, EgressError> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.chunk().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}
