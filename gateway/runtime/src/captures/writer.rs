//! The thread that brings captures to the disk, sealed when there is a key. It alone waits for the disk.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use trunkline_api::Id;
use trunkline_recording::{Container, Disk, FolderDisk, Sealer, Track};

use super::spool::Spool;
use super::{MAX_FOLDER_BYTES, file_name};

/// How often it looks: what a kill may take of a capture.
const EVERY: Duration = Duration::from_millis(100);
/// What must stay free on the disk, so that usage records can still be written.
const MIN_FREE: u64 = 256 << 20;
/// How long the end of the process waits for a disk that does not answer.
const LAST: Duration = Duration::from_secs(2);

/// The writer's address.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    running: Mutex<Vec<Arc<Spool>>>,
    stopping: AtomicBool,
    disk: Arc<dyn Disk>,
    /// What there may be in the folder, less what is.
    room: Box<dyn Fn() -> u64 + Send + Sync>,
}

/// A file being written.
struct File {
    track: Box<dyn Track>,
    sealer: Option<Sealer>,
}

impl Writer {
    /// Makes the folder, which is its owner's only, and starts.
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let (disk, folder) = (FolderDisk::open(folder)?, folder.to_path_buf());
        let room = move || MAX_FOLDER_BYTES.saturating_sub(bytes_in(&folder).unwrap_or(u64::MAX));
        Self::over(Arc::new(disk), Box::new(room))
    }

    /// Starts over a disk.
    pub(super) fn over(disk: Arc<dyn Disk>, room: Box<dyn Fn() -> u64 + Send + Sync>) -> io::Result<Self> {
        let shared = Arc::new(Shared { running: Mutex::default(), stopping: AtomicBool::new(false), disk, room });
        let its = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("captures".to_owned()).spawn(move || its.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(super) fn add(&self, spool: Arc<Spool>) {
        self.shared.running().push(spool);
    }

    pub(super) fn running(&self) -> usize {
        self.shared.running().len()
    }

    pub(super) fn calls(&self) -> Vec<Id> {
        self.shared.running().iter().map(|spool| spool.call.clone()).collect()
    }

    /// Ends every capture; says how many went on.
    pub(super) fn stop_all(&self) -> usize {
        self.shared.running().iter().filter(|spool| spool.end("stopped")).count()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop_all();
        self.shared.stopping.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        let until = Instant::now() + LAST;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Shared {
    fn run(&self) {
        // Looked up by key only.
        let mut files: HashMap<Id, File> = HashMap::new();
        loop {
            let stopping = self.stopping.load(Ordering::Acquire);
            let spools = self.running().clone();
            for spool in spools {
                let (bytes, over) = spool.take();
                if let Err(error) = self.write(&mut files, &spool, &bytes, over) {
                    tracing::warn!(call = %spool.call, %error, "a capture cannot be written; its call goes on without it");
                    spool.end("disk");
                    self.forget(&spool.call);
                    files.remove(&spool.call);
                } else if over {
                    self.forget(&spool.call);
                }
            }
            if stopping && self.running().is_empty() {
                return;
            }
            if !stopping {
                std::thread::park_timeout(EVERY);
            }
        }
    }

    fn write(&self, files: &mut HashMap<Id, File>, spool: &Spool, bytes: &[u8], over: bool) -> io::Result<()> {
        if !bytes.is_empty() {
            let free = self.disk.free_bytes()?;
            if free < MIN_FREE {
                return Err(io::Error::other(format!("{} MiB are free where captures go", free >> 20)));
            }
            if !files.contains_key(&spool.call) {
                files.insert(spool.call.clone(), self.begin(spool)?);
            }
        }
        let Some(file) = files.get_mut(&spool.call) else { return Ok(()) };
        file.append(bytes)?;
        if over && let Some(file) = files.remove(&spool.call) {
            file.complete()?;
        }
        Ok(())
    }

    fn begin(&self, spool: &Spool) -> io::Result<File> {
        if (self.room)() == 0 {
            return Err(io::Error::other("captures take as much room as they may; remove some"));
        }
        let mut track = self.disk.create(Path::new(&file_name(&spool.call, spool.key.is_some())))?;
        let mut header = Vec::new();
        let sealer = spool.key.as_ref().map(|key| Sealer::begin(key, Container::Capture, 0, &mut header));
        let sealer = sealer.transpose().map_err(io::Error::other)?;
        track.append(&header)?;
        Ok(File { track, sealer })
    }

    fn forget(&self, call: &Id) {
        self.running().retain(|spool| spool.call != *call);
    }

    fn running(&self) -> MutexGuard<'_, Vec<Arc<Spool>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.sealer {
            Some(sealer) => {
                let mut sealed = Vec::with_capacity(bytes.len() + 1024);
                sealer.record(bytes, &mut sealed);
                self.track.append(&sealed)
            }
            None => self.track.append(bytes),
        }
    }

    fn complete(mut self) -> io::Result<()> {
        if let Some(sealer) = self.sealer.take() {
            let mut last = Vec::new();
            sealer.finish(&[], &mut last);
            self.track.append(&last)?;
        }
        self.track.complete()
    }
}

/// What the files of a folder take; nothing when there is no folder yet.
pub(super) fn bytes_in(folder: &Path) -> io::Result<u64> {
    let listed = match std::fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut bytes = 0;
    for file in listed {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}
