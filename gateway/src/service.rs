//! What systemd is told (`sd_notify(3)`): ready only once calls are taken, stopping while they end, and a watchdog that
//! is fed only while the threads calls depend on move. Without systemd none of it does anything.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tokio::runtime::Handle;
use trunkline_runtime::{Beat, Runtime, stuck};

/// Time that the first compilation of one plugin may take beyond what the unit allows for a start.
const COMPILATION: Duration = Duration::from_secs(120);
/// Threads are compared with how they were at least this long ago: the slowest moves once a second.
const PATIENCE: Duration = Duration::from_secs(3);

/// A plugin is being compiled: a start that takes longer for it is not a failed one.
pub(crate) fn compiling(plugin: &str) {
    let status = format!("compiling plugin {plugin} (first time on this machine)");
    tell(&[NotifyState::Status(&status), NotifyState::ExtendTimeoutUsec(usec(COMPILATION))]);
}

/// Everything is bound and loaded.
pub(crate) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Calls come to an end, which may take as long as `patience`.
pub(crate) fn stopping(calls: usize, patience: Duration) {
    let status = format!("draining, {calls} calls left");
    let extended = patience.saturating_add(Duration::from_secs(20));
    tell(&[NotifyState::Stopping, NotifyState::Status(&status), NotifyState::ExtendTimeoutUsec(usec(extended))]);
}

/// Feeds the watchdog, when the unit has one, for as long as the runtime is alive.
pub(crate) fn watch(runtime: &Arc<Runtime>, tokio: &Handle) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let runtime = Arc::downgrade(runtime);
    tokio.spawn(feed(runtime, limit / 2));
}

async fn feed(runtime: Weak<Runtime>, every: Duration) {
    let mut watch = Watch::default();
    loop {
        let Some(beats) = runtime.upgrade().map(|runtime| runtime.beats()) else { return };
        let stuck = watch.look(Instant::now(), beats);
        if stuck.is_empty() {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!(?stuck, "threads do not move; the watchdog is not fed");
        }
        tokio::time::sleep(every).await;
    }
}

/// How the threads were when they were last compared.
#[derive(Debug, Default)]
struct Watch {
    before: Option<(Instant, Vec<Beat>)>,
    stuck: Vec<String>,
}

impl Watch {
    /// The threads that are stuck.
    fn look(&mut self, now: Instant, beats: Vec<Beat>) -> Vec<String> {
        let ended = beats.iter().filter(|beat| beat.count.is_none());
        let mut found: Vec<String> = ended.map(|beat| beat.thread.clone()).collect();
        match &self.before {
            Some((then, before)) if now.duration_since(*then) >= PATIENCE => {
                self.stuck = stuck(before, &beats).into_iter().map(str::to_owned).collect();
                self.before = Some((now, beats));
            }
            Some(_) => {}
            None => self.before = Some((now, beats)),
        }
        found.extend(self.stuck.iter().filter(|thread| !found.contains(thread)).cloned().collect::<Vec<_>>());
        found
    }
}

fn usec(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd could not be told how the service is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beats(media: u64) -> Vec<Beat> {
        vec![
            Beat { thread: "media-0".to_owned(), count: Some(media), idle: false },
            Beat { thread: "intake".to_owned(), count: Some(0), idle: true },
        ]
    }

    #[test]
    fn the_watchdog_is_fed_while_threads_move_and_again_once_they_do() {
        let mut watch = Watch::default();
        let begin = Instant::now();
        let mut look = |s: u64, media| watch.look(begin + Duration::from_secs(s), beats(media));
        assert!(look(0, 1).is_empty());
        // Sooner than the slowest thread moves nothing is concluded.
        assert!(look(1, 1).is_empty());
        assert!(look(4, 700).is_empty());
        assert_eq!(look(8, 700), ["media-0"]);
        assert_eq!(look(9, 700), ["media-0"]);
        assert!(look(12, 701).is_empty());
    }

    #[test]
    fn a_thread_that_has_ended_is_noticed_at_once() {
        let ended = vec![Beat { thread: "sip".to_owned(), count: None, idle: false }];
        assert_eq!(Watch::default().look(Instant::now(), ended), ["sip"]);
    }
}
