//! The watch over the disk: how much room it has, whether it answers, and that what was written becomes durable.
//!
//! One thread asks for free room twice a second and syncs every two seconds, for all recordings at once. With the
//! second that a recording holds back, a loss of power costs less than five.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::disk::Disk;
use crate::error::RecordingError;

/// Time between two looks at the disk.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Time between two syncs.
const SYNC_EVERY: Duration = Duration::from_secs(2);
/// A disk that has not answered for so long takes no new recordings.
const SILENT_AFTER: Duration = Duration::from_secs(10);
const MIB: u64 = 1 << 20;

/// What is known of the disk.
#[derive(Debug)]
pub(crate) struct Pressure {
    began: Instant,
    min_free: u64,
    free: AtomicU64,
    /// Milliseconds from `began` to the last answer.
    answered_ms: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) sync_failures: AtomicU64,
    pub(crate) longest_sync_us: AtomicU64,
}

impl Pressure {
    /// What is known before the first look: nothing bad. `min_free` bytes must stay free.
    pub(crate) fn new(min_free: u64) -> Self {
        Self {
            began: Instant::now(),
            min_free,
            free: AtomicU64::new(u64::MAX),
            answered_ms: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            sync_failures: AtomicU64::new(0),
            longest_sync_us: AtomicU64::new(0),
        }
    }

    /// Bytes free at the last look.
    pub(crate) fn free(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
    }

    /// Whether a recording may begin.
    pub(crate) fn admit(&self) -> Result<(), RecordingError> {
        let silent =
            self.began.elapsed().saturating_sub(Duration::from_millis(self.answered_ms.load(Ordering::Relaxed)));
        if silent > SILENT_AFTER {
            return Err(RecordingError::DiskSilent { seconds: silent.as_secs() });
        }
        let free = self.free();
        if free < self.min_free {
            return Err(RecordingError::DiskLow { free_mib: free / MIB, needed_mib: self.min_free / MIB });
        }
        Ok(())
    }

    /// Whether recordings in progress have to end, so that usage records can still be written.
    pub(crate) fn is_critical(&self) -> bool {
        self.free() < self.min_free / 4
    }

    /// Looks at the disk.
    pub(crate) fn look(&self, disk: &dyn Disk) {
        match disk.free_bytes() {
            Ok(free) => {
                if free < self.min_free && self.free() >= self.min_free {
                    tracing::error!(
                        free_mib = free / MIB,
                        "the disk of recordings is nearly full: calls that would be recorded are refused"
                    );
                }
                self.free.store(free, Ordering::Relaxed);
                self.answered();
            }
            Err(error) => tracing::warn!(%error, "the disk of recordings does not say how much room it has"),
        }
    }

    fn answered(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.answered_ms.store(now, Ordering::Relaxed);
    }

    fn sync(&self, disk: &dyn Disk) {
        let began = Instant::now();
        match disk.sync() {
            Ok(()) => self.syncs.fetch_add(1, Ordering::Relaxed),
            Err(error) => {
                tracing::error!(%error, "recordings cannot be made durable");
                self.sync_failures.fetch_add(1, Ordering::Relaxed)
            }
        };
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.longest_sync_us.fetch_max(took, Ordering::Relaxed);
        self.answered();
    }
}

/// The thread that watches.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    pub(crate) thread: JoinHandle<()>,
}

impl Watch {
    /// Watches `disk` as long as [`Self::stop`] is not called; `written` grows with what recordings write.
    pub(crate) fn start(
        disk: Arc<dyn Disk>,
        pressure: Arc<Pressure>,
        written: Arc<AtomicU64>,
    ) -> Result<Self, RecordingError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("tl-rec-watch".to_owned())
            .spawn(move || {
                let (mut durable, mut synced) = (0, Instant::now());
                while !stopped.load(Ordering::Acquire) {
                    pressure.look(disk.as_ref());
                    let now = written.load(Ordering::Relaxed);
                    if now != durable && synced.elapsed() >= SYNC_EVERY {
                        synced = Instant::now();
                        durable = now;
                        pressure.sync(disk.as_ref());
                    }
                    std::thread::park_timeout(LOOK_EVERY);
                }
            })
            .map_err(RecordingError::Start)?;
        Ok(Self { stop, thread })
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
    }
}
