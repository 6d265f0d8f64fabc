//! What the service manager is told (sd_notify): ready, stopping, and that the work goes on.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::store::Db;

/// Tells the service manager; without one it does nothing.
fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// Every listener is bound and the first key is where it belongs.
pub(crate) fn ready() {
    tell(NotifyState::Ready);
}

/// The end has begun.
pub(crate) fn stopping() {
    tell(NotifyState::Stopping);
}

/// Feeds the watchdog for as long as this runtime turns and the database answers: a control plane that can do neither
/// is better started anew.
pub(crate) async fn feed_watchdog(db: Db, stopping: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let pace = (limit / 2).max(Duration::from_millis(1));
    loop {
        match tokio::time::timeout(pace, db.ping()).await {
            Ok(Ok(())) => tell(NotifyState::Watchdog),
            Ok(Err(error)) => tracing::error!(%error, "the database failed; the watchdog is not fed"),
            Err(_) => {
                tracing::error!(waited_ms = pace.as_millis(), "no answer from the database; the watchdog is not fed")
            }
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(pace) => {}
        }
    }
}
