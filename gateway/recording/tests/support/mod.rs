//! Disks that misbehave, and a leg that speaks into a tap.
#![allow(dead_code, unreachable_pub, reason = "every test uses some of it, and it is no crate")]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use trunkline_leg::{Beep, Tapped};
use trunkline_recording::{Container, Disk, Plan, Started, Track};

pub const DEADLINE: Duration = Duration::from_secs(20);

/// A disk in memory that knows what would be left after a loss of power, and does as it is told.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Vec<u8>>,
    durable: BTreeMap<PathBuf, Vec<u8>>,
    /// Files whose names begin so are stuck.
    stuck: Option<String>,
    /// How many writers wait for a stuck file.
    waiting: usize,
    free: Option<u64>,
    /// Bytes after which writes fail, of all files.
    room: Option<usize>,
}

impl Memory {
    pub fn file(&self, name: &Path) -> Vec<u8> {
        self.state.lock().unwrap().files.get(name).cloned().unwrap_or_default()
    }

    /// What would be left of a file after a loss of power now.
    pub fn durable(&self, name: &Path) -> Vec<u8> {
        self.state.lock().unwrap().durable.get(name).cloned().unwrap_or_default()
    }

    pub fn set_stuck(&self, prefix: Option<&str>) {
        self.state.lock().unwrap().stuck = prefix.map(str::to_owned);
        self.changed.notify_all();
    }

    /// Writers that wait for a stuck file now.
    pub fn waiting(&self) -> usize {
        self.state.lock().unwrap().waiting
    }

    pub fn set_free(&self, free: u64) {
        self.state.lock().unwrap().free = Some(free);
    }

    pub fn set_room(&self, room: usize) {
        self.state.lock().unwrap().room = Some(room);
    }

    fn change<T>(&self, name: &Path, change: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock().unwrap();
        let stuck = |state: &State| {
            state.stuck.as_ref().is_some_and(|prefix| name.to_string_lossy().starts_with(prefix.as_str()))
        };
        if stuck(&state) {
            state.waiting += 1;
            state = self.changed.wait_while(state, |state| stuck(state)).unwrap();
            state.waiting -= 1;
        }
        change(&mut state)
    }
}

/// A [`Memory`] as a recorder sees it.
#[derive(Debug, Clone)]
pub struct Shared(pub Arc<Memory>);

impl Disk for Shared {
    fn create(&self, name: &Path) -> io::Result<Box<dyn Track>> {
        self.0.change(name, |state| {
            if state.files.insert(name.to_path_buf(), Vec::new()).is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            Ok(())
        })?;
        Ok(Box::new(MemoryTrack { memory: self.0.clone(), name: name.to_path_buf() }))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.state.lock().unwrap();
        state.durable = state.files.clone();
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.0.state.lock().unwrap().free.unwrap_or(u64::MAX))
    }
}

struct MemoryTrack {
    memory: Arc<Memory>,
    name: PathBuf,
}

impl Track for MemoryTrack {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.memory.change(&self.name, |state| {
            let used: usize = state.files.values().map(Vec::len).sum();
            if state.room.is_some_and(|room| used + bytes.len() > room) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.files.entry(self.name.clone()).or_default().extend_from_slice(bytes);
            Ok(())
        })
    }

    fn overwrite_head(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.memory.change(&self.name, |state| {
            state.files.entry(self.name.clone()).or_default()[..bytes.len()].copy_from_slice(bytes);
            Ok(())
        })
    }

    fn complete(&mut self) -> io::Result<()> {
        self.memory.change(&self.name, |state| {
            let whole = state.files[&self.name].clone();
            state.durable.insert(self.name.clone(), whole);
            Ok(())
        })
    }
}

/// A recording of this name in clear, at 8 kHz, without limits to speak of.
pub fn plan(name: &str, container: Container) -> Plan {
    Plan { name: name.to_owned(), container, rate: 8000, key: None, beep: Beep::Never, max_s: 3600, max_bytes: 1 << 30 }
}

/// Speaks `ticks` ticks of 8 kHz into a tap, as fast as they get to the disk: caller `left`, agent `right`. At its end
/// all but half a second is there, so that the ring, which holds two, never runs full.
pub fn speak(started: &mut Started, ticks: u64, left: i16, right: i16) {
    let before = started.status.samples() / 160;
    for n in 0..ticks {
        until("room in the ring", || (started.status.samples() / 160 + 40 >= before + n).then_some(()));
        assert_eq!(started.tap.record(&[left; 160], &[right; 160]), Tapped::Kept, "tick {n}");
    }
    until("the disk", || (started.status.samples() / 160 + 30 >= before + ticks).then_some(()));
}

/// Waits until `look` finds something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Both voices of a WAV file, as many samples as its header promises.
pub fn voices(bytes: &[u8]) -> (Vec<i16>, Vec<i16>) {
    assert_eq!((&bytes[..4], &bytes[8..16], &bytes[36..40]), (&b"RIFF"[..], &b"WAVEfmt "[..], &b"data"[..]));
    let promised = u32::from_le_bytes(bytes[40..44].try_into().unwrap()) as usize;
    assert!(promised <= bytes.len() - 44, "the header promises more than there is");
    bytes[44..44 + promised]
        .chunks_exact(4)
        .map(|frame| (i16::from_le_bytes([frame[0], frame[1]]), i16::from_le_bytes([frame[2], frame[3]])))
        .unzip()
}

/// Samples in an Ogg/Opus file that a player would play, at 48 kHz, and whether the stream was ended: by its pages
/// alone, as far as they are whole.
pub fn ogg_length(bytes: &[u8]) -> (u64, bool) {
    let (mut at, mut length, mut ended) = (0, 0, false);
    while let Some(head) = bytes.get(at..at + 27) {
        assert_eq!(&head[..4], b"OggS");
        let segments = usize::from(head[26]);
        let Some(lacing) = bytes.get(at + 27..at + 27 + segments) else { break };
        let end = at + 27 + segments + lacing.iter().map(|length| usize::from(*length)).sum::<usize>();
        if end > bytes.len() {
            break;
        }
        length = u64::from_le_bytes(head[6..14].try_into().unwrap());
        ended = head[5] & 4 != 0;
        at = end;
    }
    (length.saturating_sub(312), ended)
}
