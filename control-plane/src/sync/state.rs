//! Desired state on its way down: signed revisions by server-sent events, or by long poll where a proxy breaks those.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::{HeaderMap, StatusCode};
use tokio::sync::watch;
use trunkline_api::object::{REVISION_FORMAT, Revision};
use trunkline_api::signature::{Signed, sign};

use super::{Gateway, LONGEST_WAIT};
use crate::http::params::Params;
use crate::http::problem::{Problem, Result};
use crate::server::Shared;
use crate::store::{fleet, state};

/// How far above this database's revisions a gateway may be; more is not a restored backup but nonsense.
const MOST_AHEAD: i64 = 1_000_000;

/// The next signed revision for a gateway at `after`, with its number.
async fn next(app: &Shared, gateway: &Gateway, after: Option<i64>) -> Result<Option<(i64, Signed)>> {
    let Some(step) = state::step(&app.db, &gateway.tenant, after).await? else { return Ok(None) };
    let revision = Revision {
        format: REVISION_FORMAT,
        gateway: gateway.id.clone(),
        rev: u64::try_from(step.rev).unwrap_or_default(),
        base: step.base.and_then(|base| u64::try_from(base).ok()),
        upserts: step.upserts,
        removes: step.removes,
    };
    let payload = serde_json::to_string(&revision).map_err(|_| Problem::internal())?;
    app.metrics.revisions.inc();
    Ok(Some((step.rev, sign(app.keyring.signing_seed(), payload))))
}

/// Lets a gateway that has later revisions than this database go on: numbers are lifted above its own.
async fn reconcile(app: &Shared, gateway: &Gateway, after: Option<i64>) -> Result<()> {
    let Some(after) = after else { return Ok(()) };
    let head = state::head(&app.db, &gateway.tenant).await?.0;
    if after <= head {
        return Ok(());
    }
    if after - head > MOST_AHEAD {
        return Err(Problem::parameter("invalid_parameter", "after", "expected a revision this control plane sent"));
    }
    tracing::warn!(gateway = %gateway.id, after, head, "a gateway is ahead: this database is an older copy");
    let mut tx = app.db.begin().await?;
    state::lift(&mut tx, &gateway.tenant, after).await?;
    tx.commit().await?;
    app.changed(&gateway.tenant);
    Ok(())
}

struct Reader {
    app: Shared,
    gateway: Gateway,
    after: Option<i64>,
    changes: watch::Receiver<u64>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.app.metrics.streams.dec();
    }
}

/// The reader's next event; the stream ends at shutdown, on revocation, and when the store fails.
async fn advance(mut reader: Reader) -> Option<(std::result::Result<Event, Infallible>, Reader)> {
    loop {
        if reader.app.stopping.is_cancelled() {
            return None;
        }
        // Marked as seen before reading, so that a change during the read wakes the next turn.
        reader.changes.mark_unchanged();
        if !fleet::admitted(&reader.app.db, &reader.gateway.tenant, &reader.gateway.id).await.ok()? {
            return None;
        }
        if let Some((rev, signed)) = next(&reader.app, &reader.gateway, reader.after).await.ok()? {
            reader.after = Some(rev);
            let data = serde_json::to_string(&signed).ok()?;
            return Some((Ok(Event::default().event("revision").id(rev.to_string()).data(data)), reader));
        }
        tokio::select! {
            changed = reader.changes.changed() => changed.ok()?,
            () = reader.app.stopping.cancelled() => return None,
        }
    }
}

/// `GET /sync/v1/stream`.
pub(super) async fn stream(
    State(app): State<Shared>,
    gateway: Gateway,
    params: Params,
    headers: HeaderMap,
) -> Result<Response> {
    params.only(&[])?;
    let after = match headers.get("last-event-id") {
        None => None,
        Some(value) => {
            let rev = value.to_str().ok().and_then(|text| text.parse::<i64>().ok()).filter(|rev| *rev >= 0);
            Some(rev.ok_or_else(|| {
                Problem::new(StatusCode::BAD_REQUEST, "invalid_header", "A header is wrong", "See `errors`.").and(
                    "header",
                    "/Last-Event-ID",
                    "invalid_header",
                    "expected the number of a revision",
                )
            })?)
        }
    };
    reconcile(&app, &gateway, after).await?;
    let changes = app.watch(&gateway.tenant);
    let keep_alive = Duration::from_millis(app.config.limits.keep_alive_ms);
    app.metrics.streams.inc();
    let events = stream::unfold(Reader { app, gateway, after, changes }, advance);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(keep_alive).text("alive")).into_response())
}

/// `GET /sync/v1/state?after=REV&wait=SECONDS`.
pub(super) async fn poll(State(app): State<Shared>, gateway: Gateway, params: Params) -> Result<Response> {
    let params = params.only(&["after", "wait"])?;
    let number = |text: &str| text.parse::<i64>().ok().filter(|rev| *rev >= 0);
    let after = params.parsed("after", "expected the number of a revision", number)?;
    let seconds = |text: &str| text.parse::<u64>().ok().filter(|wait| *wait <= LONGEST_WAIT.as_secs());
    let wait = params.parsed("wait", "expected 0 to 50 seconds", seconds)?.unwrap_or(0);
    reconcile(&app, &gateway, after).await?;
    let mut changes = app.watch(&gateway.tenant);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(wait);
    loop {
        changes.mark_unchanged();
        if !fleet::admitted(&app.db, &gateway.tenant, &gateway.id).await? {
            return Err(Problem::unauthorized("The credential was revoked."));
        }
        if let Some((_, signed)) = next(&app, &gateway, after).await? {
            return Ok(axum::Json(signed).into_response());
        }
        tokio::select! {
            changed = changes.changed() => {
                if changed.is_err() {
                    return Ok(StatusCode::NO_CONTENT.into_response());
                }
            }
            () = tokio::time::sleep_until(deadline) => return Ok(StatusCode::NO_CONTENT.into_response()),
            () = app.stopping.cancelled() => return Ok(StatusCode::NO_CONTENT.into_response()),
        }
    }
}
