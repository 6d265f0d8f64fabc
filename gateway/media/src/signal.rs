//! One wake-up per worker and 5 ms phase, so that agent threads need not poll and legs need not wake them one by one.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// Raised when at least one leg of a worker had a frame or a fact for its agent, named by the worker's
/// [`ReadySet`](trunkline_leg::ReadySet); an eventfd, shared by its clones.
///
/// One thread should wait on it: a wait takes the signal away.
#[derive(Debug, Clone)]
pub struct PhaseSignal(Arc<OwnedFd>);

impl PhaseSignal {
    pub(crate) fn new() -> std::io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self(Arc::new(fd)))
    }

    /// Raises the signal; one that is raised already stays raised. Never blocks.
    pub fn raise(&self) {
        // A full counter (EAGAIN) is a raised signal; nothing else can fail on a descriptor we own.
        let _ = rustix::io::write(self.0.as_fd(), &1_u64.to_ne_bytes());
    }

    /// Waits until the signal is raised, takes it down and returns true; false after `timeout`.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> bool {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let mut fds = [PollFd::new(&*self.0, PollFlags::IN)];
        // An interrupted wait counts as a time-out: callers look at their legs either way.
        let ready = poll(&mut fds, Some(&timeout)).unwrap_or(0);
        ready > 0 && rustix::io::read(self.0.as_fd(), &mut [0_u8; 8]).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_raises_are_one_wake_up() {
        let signal = PhaseSignal::new().unwrap();
        assert!(!signal.wait(Duration::ZERO));
        let other = signal.clone();
        std::thread::spawn(move || (0..5).for_each(|_| other.raise())).join().unwrap();
        assert!(signal.wait(Duration::from_secs(5)));
        assert!(!signal.wait(Duration::ZERO));
    }
}
