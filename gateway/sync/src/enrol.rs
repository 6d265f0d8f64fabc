//! Joining: a one-time token becomes this gateway's identity.

use trunkline_api::sync::{EnrolAnswer, EnrolRequest};

use crate::transport::Transport;
use crate::{BaseUrl, Spool, SyncConfig, SyncError};

/// Exchanges a one-time token for an identity and stores it. `name` is for the operator, 1..=100 characters.
pub async fn enrol(
    config: &SyncConfig,
    spool: std::sync::Arc<dyn Spool>,
    token: &str,
    name: &str,
) -> Result<EnrolAnswer, SyncError> {
    let transport = Transport::new(BaseUrl::parse(&config.url)?, config.extra_roots.clone())?;
    let request = EnrolRequest { token: token.to_owned(), name: name.to_owned(), version: config.version.clone() };
    let answer: Result<EnrolAnswer, _> = transport.post("enrol", None, &request).await;
    let identity = answer.map_err(|trouble| match trouble.status {
        Some(200..=299) => SyncError::Protocol(trouble.detail),
        Some(status) => SyncError::Refused { status, detail: trouble.detail },
        None => SyncError::Unreachable(trouble.detail),
    })?;
    let stored = identity.clone();
    let storing = tokio::task::spawn_blocking(move || spool.put_identity(&stored));
    storing.await.map_err(|error| SyncError::Protocol(error.to_string()))??;
    Ok(identity)
}
