//! Joining: a one-time token becomes this gateway's identity.

use trunkline_api::enrolment::EnrolmentToken;
use trunkline_api::sync::{EnrolAnswer, EnrolRequest};

use crate::transport::Transport;
use crate::{BaseUrl, SyncConfig, SyncError};

/// Exchanges a one-time token for an identity, which is the caller's to keep. `name` is for the operator, 1..=100
/// characters. The secret leaves only after the control plane has shown the key that the token names.
pub async fn enrol(config: &SyncConfig, token: &str, name: &str) -> Result<EnrolAnswer, SyncError> {
    let token: EnrolmentToken = token.parse().map_err(SyncError::Token)?;
    let base = BaseUrl::parse(&config.url)?;
    if token.control_plane.is_some() && !base.is_tls() {
        return Err(SyncError::NotTls { url: config.url.clone() });
    }
    let transport = Transport::new(base, config.extra_roots.clone(), token.control_plane)?;
    let request = EnrolRequest { token: token.secret, name: name.to_owned(), version: config.version.clone() };
    let answer: Result<EnrolAnswer, _> = transport.post("enrol", None, &request).await;
    let mut identity = answer.map_err(|trouble| match trouble.status {
        Some(200..=299) => SyncError::Protocol(trouble.detail),
        Some(status) => SyncError::Refused { status, detail: trouble.detail },
        None if trouble.untrusted => SyncError::Untrusted(trouble.detail),
        None => SyncError::Unreachable(trouble.detail),
    })?;
    identity.control_plane = token.control_plane;
    Ok(identity)
}
