//! Recording: the media worker leaves both voices in a ring, and one thread for all legs writes them to disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::wav;

/// Sound a ring holds, in milliseconds: how long the disk may stall before a recording loses frames.
const RING_MS: u32 = 2_000;
/// Bytes written between two patches of the header: about a second.
const PATCH_EVERY: u32 = 32_000;

/// How a recording is doing.
#[derive(Debug, Default)]
pub struct RecordingStatus {
    samples: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicBool,
    finished: Mutex<bool>,
    wake: Condvar,
}

impl RecordingStatus {
    /// Samples per voice that are in the file.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }

    /// Frames of 20 ms that were lost because the disk was too slow; silence stands for them.
    #[must_use]
    pub fn dropped_frames(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether writing failed; what was written before stays playable.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Waits until the file is complete and synced to disk, which follows the leg's end; false after `timeout`.
    /// Not for a media or agent thread.
    #[must_use]
    pub fn wait_finished(&self, timeout: Duration) -> bool {
        let guard = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        let (guard, _) =
            self.wake.wait_timeout_while(guard, timeout, |finished| !*finished).unwrap_or_else(PoisonError::into_inner);
        *guard
    }

    fn finish(&self) {
        *self.finished.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }
}

/// The media worker's end of a recording.
#[derive(Debug)]
pub(crate) struct Tap {
    ring: Producer<i16>,
    status: Arc<RecordingStatus>,
    /// Frames that found no room and are owed as silence, so that both voices stay in time with the call.
    owed: u32,
}

impl Tap {
    /// Leaves one frame of both voices for the recorder; never waits. True when it had to be dropped for now.
    pub(crate) fn record(&mut self, left: &[i16], right: &[i16]) -> bool {
        let samples = 2 * left.len();
        while self.owed > 0 && self.write(samples, std::iter::repeat_n((0, 0), left.len())) {
            self.owed -= 1;
        }
        let pairs = left.iter().copied().zip(right.iter().copied());
        if self.owed == 0 && self.write(samples, pairs) {
            return false;
        }
        self.owed = self.owed.saturating_add(1);
        self.status.dropped.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn write(&mut self, samples: usize, pairs: impl Iterator<Item = (i16, i16)>) -> bool {
        let Ok(chunk) = self.ring.write_chunk_uninit(samples) else { return false };
        chunk.fill_from_iter(pairs.flat_map(|(left, right)| [left, right]));
        true
    }
}

/// A file being written.
#[derive(Debug)]
pub(crate) struct Recording {
    file: File,
    rate: u32,
    ring: Consumer<i16>,
    status: Arc<RecordingStatus>,
    bytes: u32,
    patched: u32,
    max_bytes: u32,
}

impl Recording {
    /// Creates the file (readable by its owner only; it must not exist) and both ends.
    pub(crate) fn create(path: &Path, rate: u32, max_s: u32) -> io::Result<(Self, Tap, Arc<RecordingStatus>)> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&wav::header(rate, 0))?;
        let (producer, consumer) = RingBuffer::new((rate * 2 * RING_MS / 1000) as usize);
        let status = Arc::new(RecordingStatus::default());
        let max_bytes = rate.saturating_mul(wav::FRAME_BYTES).saturating_mul(max_s.min(36 * 3600));
        let recording = Self { file, rate, ring: consumer, status: status.clone(), bytes: 0, patched: 0, max_bytes };
        Ok((recording, Tap { ring: producer, status: status.clone(), owed: 0 }, status))
    }

    /// Writes what is waiting. True when the leg is over and the file complete.
    pub(crate) fn advance(&mut self, scratch: &mut Vec<u8>) -> bool {
        // Looked at before the ring: what was put in before the leg ended is then seen below.
        let over = self.ring.is_abandoned();
        if let Err(error) = self.write_waiting(scratch)
            && !self.status.failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "a recording cannot be written; the call goes on without it");
        }
        if over {
            if let Err(error) = self.patch().and_then(|()| self.file.sync_data()) {
                self.status.failed.store(true, Ordering::Relaxed);
                tracing::warn!(%error, "a recording could not be completed");
            }
            self.status.finish();
        }
        over
    }

    fn write_waiting(&mut self, scratch: &mut Vec<u8>) -> io::Result<()> {
        let Ok(chunk) = self.ring.read_chunk(self.ring.slots() & !1) else { return Ok(()) };
        scratch.clear();
        let (first, second) = chunk.as_slices();
        for sample in first.iter().chain(second) {
            scratch.extend_from_slice(&sample.to_le_bytes());
        }
        chunk.commit_all();
        let room = (self.max_bytes - self.bytes) as usize;
        let data = &scratch[..scratch.len().min(room)];
        if data.is_empty() || self.status.failed() {
            return Ok(());
        }
        self.file.write_all(data)?;
        self.bytes += data.len() as u32;
        self.status.samples.store(u64::from(self.bytes / wav::FRAME_BYTES), Ordering::Relaxed);
        if self.bytes - self.patched >= PATCH_EVERY {
            self.patch()?;
        }
        Ok(())
    }

    /// Makes the header tell of what is in the file; samples come first, so that it never promises too much.
    fn patch(&mut self) -> io::Result<()> {
        self.file.write_all_at(&wav::header(self.rate, self.bytes), 0)?;
        self.patched = self.bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_len(bytes: &[u8]) -> usize {
        u32::from_le_bytes(bytes[40..44].try_into().unwrap()) as usize
    }

    #[test]
    fn the_file_is_playable_at_every_moment_and_complete_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("call.wav");
        let (mut recording, mut tap, status) = Recording::create(&path, 8000, 60).unwrap();
        let mut scratch = Vec::new();
        for n in 0..130 {
            assert!(!tap.record(&[n; 160], &[-n; 160]));
            if n % 10 == 9 {
                assert!(!recording.advance(&mut scratch));
                let bytes = std::fs::read(&path).unwrap();
                let promised = data_len(&bytes);
                assert!(promised <= bytes.len() - wav::HEADER, "the header promises no more than there is");
                assert!(bytes.len() - wav::HEADER - promised < 2 * PATCH_EVERY as usize);
            }
        }
        assert!(!status.wait_finished(Duration::ZERO));
        drop(tap);
        assert!(recording.advance(&mut scratch));
        assert!(status.wait_finished(Duration::ZERO));
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(data_len(&bytes), 130 * 160 * 4);
        assert_eq!(bytes.len(), wav::HEADER + 130 * 160 * 4);
        assert_eq!(&bytes[44 + 640 * 3..44 + 640 * 3 + 4], [3, 0, 0xfd, 0xff]);
        assert!(Recording::create(&path, 8000, 60).is_err(), "never overwrites");
    }

    #[test]
    fn a_stalled_disk_costs_frames_but_not_time() {
        let dir = tempfile::tempdir().unwrap();
        let (mut recording, mut tap, status) = Recording::create(&dir.path().join("a.wav"), 8000, 60).unwrap();
        let dropped = (0..150).filter(|_| tap.record(&[1; 160], &[1; 160])).count();
        assert_eq!(dropped, 50, "two seconds fit");
        let mut scratch = Vec::new();
        recording.advance(&mut scratch);
        assert!(!tap.record(&[2; 160], &[2; 160]));
        drop(tap);
        assert!(recording.advance(&mut scratch));
        assert_eq!(status.samples(), 151 * 160, "silence stands for what was dropped");
        assert_eq!(status.dropped_frames(), 50);
    }

    #[test]
    fn a_recording_stops_at_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let (mut recording, mut tap, status) = Recording::create(&dir.path().join("a.wav"), 8000, 1).unwrap();
        for _ in 0..80 {
            assert!(!tap.record(&[1; 160], &[1; 160]));
        }
        recording.advance(&mut Vec::new());
        assert_eq!(status.samples(), 8000);
    }
}
