//! The way in: begin a recording, and hand its tap to a leg.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use trunkline_leg::{Beep, TapControl, TapEnd, tap};

use crate::container::Container;
use crate::disk::Disk;
use crate::error::RecordingError;
use crate::key::PublicKey;
use crate::pool::Pool;
use crate::status::RecordingStatus;
use crate::take::{Order, Take};
use crate::watch::{Pressure, Watch};
use crate::wav;

/// Sound a tap's ring holds, in milliseconds: how long the disk may stall before a recording loses some.
const RING_MS: u32 = 2000;
/// How long the end of a recorder waits for its disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// How recordings are written.
#[derive(Debug, Clone, Copy)]
pub struct RecorderConfig {
    /// Threads that write, 2..=64.
    pub writers: usize,
    /// Recordings at once.
    pub max_recordings: usize,
    /// Bytes that must stay free: below it no recording begins, below a quarter of it those in progress end.
    pub min_free_bytes: u64,
}

impl Default for RecorderConfig {
    /// Four threads, 1000 recordings, 512 MiB.
    fn default() -> Self {
        Self { writers: 4, max_recordings: 1000, min_free_bytes: 512 << 20 }
    }
}

/// What a recording is to be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The file's name without its ending.
    pub name: String,
    /// How the sound is stored.
    pub container: Container,
    /// Rate of the leg's sound in Hz, which becomes that of the recording.
    pub rate: u32,
    /// Whom it is sealed to; in clear without.
    pub key: Option<PublicKey>,
    /// Whether the caller hears of it.
    pub beep: Beep,
    /// Length at which it ends, in seconds.
    pub max_s: u32,
    /// Size at which it ends, in bytes.
    pub max_bytes: u64,
}

/// A recording that has begun.
#[derive(Debug)]
pub struct Started {
    /// For the leg that is recorded.
    pub tap: TapEnd,
    /// Mutes, unmutes and stops it.
    pub control: TapControl,
    /// How it is doing.
    pub status: Arc<RecordingStatus>,
    /// Its file's name.
    pub name: PathBuf,
}

/// Figures since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecorderStats {
    /// Recordings in progress.
    pub active: u64,
    /// Recordings begun.
    pub begun: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Bytes free at the last look.
    pub free_bytes: u64,
    /// Times everything was made durable.
    pub syncs: u64,
    /// Times that failed.
    pub sync_failures: u64,
    /// The longest of them, in microseconds.
    pub longest_sync_us: u64,
    /// Steps of a recording in which the disk took more than 100 ms.
    pub slow_steps: u64,
}

/// Writes recordings. Clones share it; when the last is dropped, every recording is completed.
#[derive(Clone)]
pub struct Recorder(Arc<Inner>);

struct Inner {
    config: RecorderConfig,
    disk: Arc<dyn Disk>,
    pressure: Arc<Pressure>,
    written: Arc<AtomicU64>,
    begun: AtomicU64,
    pool: Pool,
    watch: Option<Watch>,
}

impl Recorder {
    /// Starts the threads that write to `disk`.
    ///
    /// # Errors
    /// [`RecordingError::Start`] when the system gives no thread.
    pub fn start(config: RecorderConfig, disk: Arc<dyn Disk>) -> Result<Self, RecordingError> {
        let pressure = Arc::new(Pressure::new(config.min_free_bytes));
        let written = Arc::<AtomicU64>::default();
        let pool = Pool::start(config.writers).map_err(RecordingError::Start)?;
        let watch = Watch::start(Arc::clone(&disk), Arc::clone(&pressure), Arc::clone(&written))?;
        let begun = AtomicU64::new(0);
        Ok(Self(Arc::new(Inner { config, disk, pressure, written, begun, pool, watch: Some(watch) })))
    }

    /// Whether a recording could begin now. Waits for nothing.
    ///
    /// # Errors
    /// [`RecordingError`] saying why not.
    pub fn admit(&self) -> Result<(), RecordingError> {
        let max = self.0.config.max_recordings;
        if self.0.pool.shared.active.load(Ordering::Acquire) >= max {
            return Err(RecordingError::Full { max });
        }
        self.0.pressure.admit()
    }

    /// Begins a recording: its file is made by the threads that write, so that this waits for no disk. A file that
    /// cannot be made shows in [`RecordingStatus::fault`].
    ///
    /// # Errors
    /// [`RecordingError`] saying why it may not begin.
    pub fn begin(&self, plan: &Plan) -> Result<Started, RecordingError> {
        self.admit()?;
        let plain = Path::new(&plan.name);
        if plan.name.is_empty() || plan.name.starts_with('.') || plain.file_name() != Some(plain.as_os_str()) {
            return Err(RecordingError::Name(plain.to_path_buf()));
        }
        let mut serial = [0; 4];
        getrandom::fill(&mut serial).map_err(|error| RecordingError::Randomness(error.to_string()))?;
        let sealed = if plan.key.is_some() { ".sealed" } else { "" };
        let name = PathBuf::from(format!("{}.{}{sealed}", plan.name, plan.container.extension()));
        let rate = plan.container.rate_for(plan.rate);
        let max_bytes = match plan.container {
            Container::Wav => plan.max_bytes.min(wav::MAX_BYTES),
            Container::Opus | Container::Capture => plan.max_bytes,
        };
        let order = Order {
            name: name.clone(),
            container: plan.container,
            rate,
            key: plan.key.clone(),
            max_samples: u64::from(plan.max_s) * u64::from(rate),
            max_bytes,
            serial: u32::from_le_bytes(serial),
        };
        let (end, feed, control) = tap(plan.rate, RING_MS, plan.beep);
        let status = Arc::<RecordingStatus>::default();
        let inner = &self.0;
        let take = Take::new(
            order,
            feed,
            control.clone(),
            Arc::clone(&status),
            Arc::clone(&inner.disk),
            Arc::clone(&inner.pressure),
            Arc::clone(&inner.written),
        );
        inner.pool.shared.active.fetch_add(1, Ordering::AcqRel);
        inner.begun.fetch_add(1, Ordering::Relaxed);
        inner.pool.add(take);
        Ok(Started { tap: end, control, status, name })
    }

    /// Figures since the start.
    #[must_use]
    pub fn stats(&self) -> RecorderStats {
        let inner = &self.0;
        RecorderStats {
            active: inner.pool.shared.active.load(Ordering::Acquire) as u64,
            begun: inner.begun.load(Ordering::Relaxed),
            bytes: inner.written.load(Ordering::Relaxed),
            free_bytes: inner.pressure.free(),
            syncs: inner.pressure.syncs.load(Ordering::Relaxed),
            sync_failures: inner.pressure.sync_failures.load(Ordering::Relaxed),
            longest_sync_us: inner.pressure.longest_sync_us.load(Ordering::Relaxed),
            slow_steps: inner.pool.shared.slow_steps.load(Ordering::Relaxed),
        }
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.pool.stop();
        let watch = self.watch.take().inspect(Watch::stop).map(|watch| watch.thread);
        let deadline = Instant::now() + PATIENCE;
        for thread in self.pool.threads.drain(..).chain(watch) {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::park_timeout(Duration::from_millis(5));
            }
            // A disk that is stuck keeps its thread, and not the process.
            if thread.is_finished() {
                let _ = thread.join();
            } else {
                tracing::error!("the disk does not answer; recordings in progress end where they are");
            }
        }
    }
}
