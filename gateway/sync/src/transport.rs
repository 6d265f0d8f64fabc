//! One HTTP exchange each: what leaves for the control plane and how its answers are read.

use std::time::Duration;

use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use trunkline_api::enrolment::{CONTROL_PLANE_NAME, Fingerprint};
use trunkline_api::signature::Signed;
use trunkline_egress::{
    Body, Egress, EgressConfig, EgressError, HostPattern, PinnedAuthority, Request, Response, ServerSentEvents,
};

use crate::protocol::{Reply, Trouble};
use crate::{BaseUrl, SyncError};

/// Largest revision.
const MAX_REVISION_BYTES: usize = 16 * 1024 * 1024;
/// Longest part of an error answer that is shown.
const SHOWN: usize = 300;

/// The way to one control plane.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    egress: Egress,
    base: BaseUrl,
    allow: std::sync::Arc<[HostPattern]>,
    pinned: bool,
}

impl Transport {
    /// With `pin`, the other side has to hold that key; without, a certificate under a public or an extra root.
    pub(crate) fn new(base: BaseUrl, extra_roots: Vec<Vec<u8>>, pin: Option<Fingerprint>) -> Result<Self, SyncError> {
        let origin: Vec<HostPattern> = base.origin().into_iter().collect();
        // The operator named this host, so that it may be a private address.
        let authority =
            pin.map(|pin| PinnedAuthority { key_sha256: pin.0, also_named: Some(CONTROL_PLANE_NAME.to_owned()) });
        let pinned = authority.is_some();
        let config =
            EgressConfig { private_hosts: origin.clone(), extra_roots, pinned: authority, ..EgressConfig::default() };
        Ok(Self { egress: Egress::new(config)?, base, allow: origin.into(), pinned })
    }

    /// `POST` of JSON.
    pub(crate) async fn post<T: Serialize, A: DeserializeOwned>(
        &self,
        route: &str,
        credential: Option<&str>,
        body: &T,
    ) -> Result<A, Trouble> {
        let json = serde_json::to_vec(body).map_err(trouble)?;
        let request = Request::post_json(self.base.route(route).map_err(trouble)?, json);
        let response = self.send(request, credential).await?;
        let status = Some(response.status.as_u16());
        let bytes = good(response, credential.is_some()).await?.bytes().await.map_err(trouble)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| Trouble { status, ..trouble(format!("its answer to `{route}`: {error}")) })
    }

    /// `GET state`, held by the server until there is something new.
    pub(crate) async fn long_poll(&self, credential: &str, after: u64, wait_s: u32) -> Result<Reply, Trouble> {
        let route = format!("state?after={after}&wait={wait_s}");
        let mut request = Request::get(self.base.route(&route).map_err(trouble)?);
        let limit = Duration::from_secs(u64::from(wait_s) + 10);
        request.timeouts.head = limit;
        request.timeouts.idle = limit;
        request.timeouts.total = Some(limit);
        request.max_body = Some(MAX_REVISION_BYTES);
        let response = self.send(request, Some(credential)).await?;
        if response.status == StatusCode::NO_CONTENT {
            return Ok(Reply::State(None));
        }
        let bytes = good(response, true).await?.bytes().await.map_err(trouble)?;
        serde_json::from_slice(&bytes).map(|signed| Reply::State(Some(signed))).map_err(trouble)
    }

    /// `GET stream`.
    pub(crate) async fn stream(&self, credential: &str, after: u64) -> Result<Revisions, Trouble> {
        // The protocol watches for silence itself; this limit only ends a connection that nobody watches.
        let mut request =
            Request::get(self.base.route("stream").map_err(trouble)?).event_stream(Duration::from_secs(120));
        if after > 0 {
            request = request.header("Last-Event-ID", &after.to_string()).map_err(trouble)?;
        }
        let response = self.send(request, Some(credential)).await?;
        Ok(Revisions { body: good(response, true).await?, parser: ServerSentEvents::new(MAX_REVISION_BYTES) })
    }

    async fn send(&self, mut request: Request, credential: Option<&str>) -> Result<Response, Trouble> {
        request.allow = Some(std::sync::Arc::clone(&self.allow));
        if let Some(credential) = credential {
            request = request.bearer(credential).map_err(trouble)?;
        }
        self.egress.request(request).await.map_err(|error| {
            let untrusted = matches!(
                error,
                EgressError::NotPinned { .. } | EgressError::Certificate { .. } | EgressError::NotTls { .. }
            );
            // Before it is enrolled there is nothing to do again.
            let hint = if credential.is_some() { self.hint(&error) } else { "" };
            Trouble { untrusted, ..trouble(format!("{error}{hint}")) }
        })
    }

    /// What an enrolled gateway can do about it.
    const fn hint(&self, error: &EgressError) -> &'static str {
        match error {
            EgressError::Certificate { .. } if !self.pinned => {
                "; this gateway joined without the key of a control plane: enrol it again with `trunkline enrol`, or give \
                 the control plane a certificate under a public root"
            }
            EgressError::NotPinned { .. } => {
                "; if it is the control plane with a new key, enrol this gateway again with `trunkline enrol`"
            }
            _ => "",
        }
    }
}

/// Revisions as they are made.
pub(crate) struct Revisions {
    body: Body,
    parser: ServerSentEvents,
}

impl Revisions {
    /// The next revision, or (`Some(None)`) a sign of life; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Option<Signed>>, Trouble> {
        let mut alive = false;
        loop {
            while let Some(event) = self.parser.next_event().map_err(trouble)? {
                if event.event.as_deref() == Some("revision") {
                    return serde_json::from_str(&event.data).map(|signed| Some(Some(signed))).map_err(trouble);
                }
            }
            if alive {
                return Ok(Some(None));
            }
            let Some(bytes) = self.body.chunk().await.map_err(trouble)? else { return Ok(None) };
            self.parser.push(&bytes).map_err(trouble)?;
            alive = true;
        }
    }
}

fn trouble(error: impl std::fmt::Display) -> Trouble {
    Trouble { detail: error.to_string(), ..Trouble::default() }
}

/// What a problem (RFC 9457) says: its faults, where it names some, in place of a detail that only points at them.
fn said(problem: &serde_json::Value) -> Option<String> {
    let detail = problem["detail"].as_str()?;
    let faults: Vec<String> = problem["errors"].as_array().into_iter().flatten().filter_map(fault).take(3).collect();
    match (faults.is_empty(), detail) {
        (true, detail) => Some(detail.to_owned()),
        (false, "See `errors`." | "") => Some(faults.join("; ")),
        (false, detail) => Some(format!("{detail} {}", faults.join("; "))),
    }
}

fn fault(fault: &serde_json::Value) -> Option<String> {
    let message = fault["message"].as_str()?;
    Some(match fault["pointer"].as_str() {
        None | Some("") => message.to_owned(),
        Some(pointer) => format!("{pointer}: {message}"),
    })
}

/// The body of a good answer; any other status is trouble with its first words.
async fn good(response: Response, credential: bool) -> Result<Body, Trouble> {
    if response.status.is_success() {
        return Ok(response.body);
    }
    let status = response.status.as_u16();
    let retry_after_us = response.retry_after_ms().map(|wait| wait.saturating_mul(1000));
    let bytes = response.body.bytes().await.unwrap_or_default();
    let problem = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
    let said = problem.as_ref().and_then(said).unwrap_or_else(|| String::from_utf8_lossy(&bytes).into_owned());
    let said: String = said.chars().take(SHOWN).collect();
    let hint = match status {
        401 | 403 if credential => {
            "; the credential is not accepted any more: enrol this gateway again with `trunkline enrol`"
        }
        404 => "; check that the URL is the control plane's sync port",
        409 => "; this state folder may be a copy or an old backup",
        _ => "",
    };
    Err(Trouble { status: Some(status), retry_after_us, ..trouble(format!("HTTP {status}{hint}: {said}")) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_names_its_faults() {
        let fault = json!({ "pointer": "/records/3/body", "code": "invalid_value", "message": "expected no U+0000" });
        let refused = json!({ "detail": "See `errors`.", "errors": [fault, { "message": "and more" }] });
        assert_eq!(said(&refused).unwrap(), "/records/3/body: expected no U+0000; and more");
        assert_eq!(said(&json!({ "detail": "Try later." })).unwrap(), "Try later.");
        let both = json!({ "detail": "Another trunk has this name.", "errors": [{ "message": "expected its own" }] });
        assert_eq!(said(&both).unwrap(), "Another trunk has this name. expected its own");
        assert_eq!(said(&json!(["no problem"])), None);
    }
}
