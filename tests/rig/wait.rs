//! Waiting for a condition with a deadline, so that no test sleeps for luck.

use std::time::{Duration, Instant};

use anyhow::bail;

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until `condition` gives a value or `within` is over.
pub fn until<T>(what: &str, within: Duration, mut condition: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("waited {within:?} for {what}");
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
}

/// Looks until `condition` holds or `within` is over.
pub fn until_true(what: &str, within: Duration, mut condition: impl FnMut() -> bool) -> anyhow::Result<()> {
    until(what, within, || condition().then_some(()))
}
