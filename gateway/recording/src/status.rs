//! How a recording is doing, readable from anywhere while it is written.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// Muted spans that are kept of a recording; later ones are counted only.
const MAX_SPANS: usize = 256;

/// Why a recording ended before anybody stopped it. What was written before stays playable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The file could not be created, written or completed.
    Disk,
    /// The disk has so little room left that usage records would be at risk.
    DiskFull,
    /// It is as long as it may be.
    TooLong,
    /// It is as large as it may be.
    TooLarge,
}

impl Fault {
    /// As it stands in events and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk_failed",
            Self::DiskFull => "disk_full",
            Self::TooLong => "too_long",
            Self::TooLarge => "too_large",
        }
    }

    /// What to tell an operator.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Disk => "the recording could not be written; look for the reason in the log and at the disk",
            Self::DiskFull => "the disk is nearly full, and its last room is for usage records; make room",
            Self::TooLong => "the recording reached the agent's `recording.max_s`",
            Self::TooLarge => "the recording reached the agent's `recording.max_mib`",
        }
    }

    /// Whether it is a limit that an agent's policy set, and no failure.
    #[must_use]
    pub const fn is_limit(self) -> bool {
        matches!(self, Self::TooLong | Self::TooLarge)
    }

    const fn code(self) -> u8 {
        match self {
            Self::Disk => 1,
            Self::DiskFull => 2,
            Self::TooLong => 3,
            Self::TooLarge => 4,
        }
    }
}

/// A stretch of a recording in which silence stands in place of what was said, in samples from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub from: u64,
    /// Where it ends.
    pub to: u64,
}

/// How a recording is doing.
#[derive(Debug, Default)]
pub struct RecordingStatus {
    samples: AtomicU64,
    bytes: AtomicU64,
    fault: AtomicU8,
    finished: AtomicBool,
    /// Whom to wake at the end, beside those that wait for it.
    listener: Mutex<Option<Waker>>,
    wake: Condvar,
    spans: Mutex<Vec<Span>>,
}

impl RecordingStatus {
    /// Samples a voice that were handed to the operating system, at the recording's own rate.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples.load(Ordering::Acquire)
    }

    /// Bytes of the file so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Why it ended by itself.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        let code = self.fault.load(Ordering::Acquire);
        [Fault::Disk, Fault::DiskFull, Fault::TooLong, Fault::TooLarge].into_iter().find(|fault| fault.code() == code)
    }

    /// The muted stretches so far, the first 256 of them.
    #[must_use]
    pub fn muted(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the file is complete and durable, or given up.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// Waits for [`Self::is_finished`]; false after `timeout`. Not for a media or agent thread.
    #[must_use]
    pub fn wait_finished(&self, timeout: Duration) -> bool {
        let (_guard, _) = self
            .wake
            .wait_timeout_while(self.listener(), timeout, |_| !self.is_finished())
            .unwrap_or_else(PoisonError::into_inner);
        self.is_finished()
    }

    /// Has `waker` woken once it [is finished](Self::is_finished), at once when it is already. The latest waker counts.
    pub fn wake_when_finished(&self, waker: &Waker) {
        let mut listener = self.listener();
        if !self.is_finished() {
            *listener = Some(waker.clone());
            return;
        }
        drop(listener);
        waker.wake_by_ref();
    }

    pub(crate) fn written(&self, samples: u64, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.samples.store(samples, Ordering::Release);
    }

    /// Notes why it ends; the first reason stays. True when it is the first.
    pub(crate) fn fail(&self, fault: Fault) -> bool {
        self.fault.compare_exchange(0, fault.code(), Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Silence was asked for from `from` to `to`; what goes on where the last stretch ended makes it longer.
    pub(crate) fn mute(&self, from: u64, to: u64) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = spans.last_mut()
            && last.to == from
        {
            last.to = to;
        } else if spans.len() < MAX_SPANS {
            spans.push(Span { from, to });
        }
    }

    pub(crate) fn finish(&self) {
        let waker = {
            let mut listener = self.listener();
            self.finished.store(true, Ordering::Release);
            listener.take()
        };
        self.wake.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn listener(&self) -> MutexGuard<'_, Option<Waker>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;
    use std::task::Wake;

    #[derive(Default)]
    struct Rings(AtomicU32);

    impl Wake for Rings {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_listens_is_woken_once_and_who_comes_late_at_once() {
        let (status, rings) = (RecordingStatus::default(), Arc::new(Rings::default()));
        let waker = Waker::from(Arc::clone(&rings));
        let rung = || rings.0.load(Ordering::Relaxed);
        status.wake_when_finished(&waker);
        assert_eq!(rung(), 0);
        status.finish();
        status.finish();
        assert_eq!(rung(), 1);
        status.wake_when_finished(&waker);
        assert_eq!(rung(), 2);
    }
}
