//! The backend that ships: opens, repairs or replaces what is on disk, and hands work to the writer.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use trunkline_api::object::Revision;
use trunkline_api::signature::Signed;
use trunkline_api::sync::{EnrolAnswer, Stream, UploadBatch};
use trunkline_api::usage::CallRecord;

use crate::files::{Disk, Files};
use crate::journal::{Entry, Journal};
use crate::log::{Known, StreamLog};
use crate::state::State;
use crate::store::StoredObjects;
use crate::upload::Cursor;
use crate::writer::{Command, Shared, Writer};
use crate::{Alarm, Completion, EdgeStore, Health, Position, Retired, StoreError, Write, aside, history, recovery};

const FORMAT: u32 = 1;
/// Most writes that may wait.
const QUEUE: usize = 8192;
/// Of these, kept for closed records and the journal.
const QUEUE_KEPT: usize = 1024;
const MAX_SETTING_BYTES: usize = 64 * 1024;

/// How the store writes.
#[derive(Clone)]
pub struct StoreOptions {
    /// Size at which a segment is full, bytes.
    pub segment_bytes: u64,
    /// The disk.
    pub files: Arc<dyn Files>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { segment_bytes: 8 * 1024 * 1024, files: Arc::new(Disk) }
    }
}

/// `redb` for state, append logs for streams, one writer thread.
pub struct DurableStore {
    shared: Arc<Shared>,
    commands: SyncSender<Command>,
    cursors: [Mutex<Option<Cursor>>; 2],
    writer: Option<JoinHandle<()>>,
    _lock: File,
}

impl DurableStore {
    /// Opens the store in `folder`, making it when absent. What is damaged is repaired or replaced and reported by
    /// [`EdgeStore::health`]; an error means that the folder cannot be used at all.
    pub fn open(folder: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let refuse = |error: std::io::Error| StoreError::folder(folder, error);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(refuse)?;
        let lock = lock(folder)?;
        check_format(folder)?;
        let mut alarms = Vec::new();
        let (state, keeps_epoch) = open_state(folder, &mut alarms)?;
        let epoch = match state.epoch() {
            Ok(Some(epoch)) if keeps_epoch => epoch,
            _ => {
                let epoch = random_epoch()?;
                state.put_epoch(epoch)?;
                epoch
            }
        };
        let log = |stream, alarms: &mut Vec<Alarm>| {
            let (marks, damaged) = state.marks(stream)?;
            damaged_values(damaged, alarms);
            let (renumbered, damaged) = state.renumbered(stream)?;
            damaged_values(damaged, alarms);
            let files = Arc::clone(&options.files);
            let known = Known { marks, renumbered };
            StreamLog::open(stream, folder, files, options.segment_bytes, epoch, known, alarms)
        };
        // What the journal says of the logs is that records are in this segment or a later one: numbers never go back.
        let [mut usage, mut events] = [log(Stream::Usage, &mut alarms)?, log(Stream::Events, &mut alarms)?];
        let (leftover, damaged) = state.open_calls::<Entry>()?;
        damaged_values(damaged, &mut alarms);
        for entry in leftover.values() {
            usage.go_on_from(entry.usage_segment);
            events.go_on_from(entry.events_segment);
        }
        let logs = [Mutex::new(usage), Mutex::new(events)];
        let (_, damaged) = state.objects()?;
        damaged_values(damaged, &mut alarms);
        let shared = Arc::new(Shared {
            root: folder.to_path_buf(),
            epoch,
            logs,
            state: RwLock::new(Some(state)),
            alarms: Mutex::default(),
            trouble: Mutex::default(),
            available: AtomicBool::new(true),
            waiting: AtomicUsize::new(0),
            open_calls: AtomicUsize::new(0),
        });
        shared.raise(alarms);
        let writer = Writer::new(Arc::clone(&shared), Journal::adopt(leftover));
        let (commands, inbox) = mpsc::sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("edge-store".to_owned()).spawn(move || writer.run(&inbox));
        let writer = Some(thread.map_err(refuse)?);
        Ok(Self { shared, commands, cursors: Default::default(), writer, _lock: lock })
    }

    /// Every durable segment of a stream.
    #[cfg(test)]
    pub(crate) fn sources(&self, stream: Stream) -> Vec<crate::upload::Source> {
        self.shared.log(stream).sources()
    }

    /// Runs `job` on the writer thread, between groups.
    fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = mpsc::sync_channel(1);
        let job = Box::new(move |writer: &mut Writer| {
            let _ = reply.send(job(writer));
        });
        let closed = |_| StoreError::unavailable("the store is closing");
        self.commands.send(Command::Run(job)).map_err(|_| StoreError::unavailable("the store is closing"))?;
        answer.recv().map_err(closed)?
    }
}

impl EdgeStore for DurableStore {
    fn submit(&self, write: Write) -> Result<Completion, StoreError> {
        let limit = match write {
            Write::OpenCall(_) if !self.shared.available.load(Ordering::Relaxed) => {
                let detail = self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
                return Err(StoreError::Unavailable { detail: detail.unwrap_or_default() });
            }
            Write::Event(_) => QUEUE - QUEUE_KEPT,
            _ => QUEUE,
        };
        let waiting = self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let (completer, completion) = Completion::pair();
        let refused = if waiting >= limit {
            StoreError::Busy { waiting }
        } else {
            match self.commands.try_send(Command::Write(write, completer)) {
                Ok(()) => return Ok(completion),
                Err(TrySendError::Full(_)) => StoreError::Busy { waiting },
                Err(TrySendError::Disconnected(_)) => StoreError::unavailable("the store is closing"),
            }
        };
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        Err(refused)
    }

    fn recover(&self) -> Result<Vec<CallRecord>, StoreError> {
        self.run(recovery::recover)
    }

    fn open_calls(&self) -> Result<Vec<CallRecord>, StoreError> {
        let (entries, _) = self.shared.state()?.open_calls::<Entry>()?;
        Ok(entries.into_values().map(|entry| entry.record).collect())
    }

    fn pending(&self, stream: Stream, max: usize) -> Result<Option<UploadBatch>, StoreError> {
        let Some(plan) = self.shared.log(stream).plan() else { return Ok(None) };
        let epoch = plan.epoch;
        let offered = self.shared.log(stream).offer(epoch);
        if let Some(marks) = offered {
            // Stored before anything is sent: these numbers are never given to other records.
            self.run(move |writer| writer.put_marks(stream, epoch, marks))?;
        }
        let mut cursor =
            self.cursors[usize::from(stream == Stream::Events)].lock().unwrap_or_else(PoisonError::into_inner);
        let mut alarms = Vec::new();
        let batch = plan.collect(max, &mut cursor, &mut alarms).map_err(StoreError::unavailable)?;
        self.shared.raise(alarms);
        Ok((!batch.records.is_empty()).then_some(batch))
    }

    fn acknowledge(&self, stream: Stream, epoch: u64, high_water: u64) -> Result<(), StoreError> {
        self.run(move |writer| writer.acknowledge(stream, epoch, high_water))
    }

    fn apply_revision(&self, revision: &Revision, signed: &Signed) -> Result<(), StoreError> {
        let (revision, signed) = (revision.clone(), signed.clone());
        self.run(move |writer| {
            writer.state_changed();
            writer.shared.state()?.apply_revision(&revision, &signed)
        })
    }

    fn objects(&self) -> Result<StoredObjects, StoreError> {
        Ok(self.shared.state()?.objects()?.0)
    }

    fn revisions(&self) -> Result<Vec<Signed>, StoreError> {
        self.shared.state()?.revisions()
    }

    fn identity(&self) -> Result<Option<EnrolAnswer>, StoreError> {
        self.shared.state()?.identity()
    }

    fn put_identity(&self, identity: &EnrolAnswer) -> Result<(), StoreError> {
        let identity = identity.clone();
        self.run(move |writer| writer.put_identity(&identity))
    }

    fn setting(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.shared.state()?.setting(key)
    }

    fn put_setting(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        if value.len() > MAX_SETTING_BYTES {
            return Err(StoreError::TooLarge { bytes: value.len(), limit: MAX_SETTING_BYTES });
        }
        let (key, value) = (key.to_owned(), value.to_vec());
        self.run(move |writer| {
            writer.state_changed();
            writer.shared.state()?.put_setting(&key, &value)
        })
    }

    fn history(
        &self,
        stream: Stream,
        after: Option<Position>,
        visit: &mut dyn FnMut(Position, &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let sources = self.shared.log(stream).sources();
        history::visit(&sources, after, visit).map_err(StoreError::unavailable)
    }

    fn retire(&self, stream: Stream, keep_bytes: u64) -> Result<u64, StoreError> {
        if self.identity()?.is_some() {
            return Ok(0);
        }
        let surplus = self.run(move |writer| Ok(writer.surplus(stream, keep_bytes)))?;
        if surplus.is_empty() {
            return Ok(0);
        }
        // Summed up here, so that no commit waits for it.
        let sums = match stream {
            Stream::Usage => Some(history::sum_up(self.retired()?, &surplus).map_err(StoreError::unavailable)?),
            Stream::Events => None,
        };
        self.run(move |writer| writer.retire(stream, &surplus, sums.as_ref()))
    }

    fn retired(&self) -> Result<Retired, StoreError> {
        Ok(history::retired(self.setting(history::SETTING)?))
    }

    fn health(&self) -> Health {
        let shared = &self.shared;
        let pending = Stream::ALL.map(|stream| shared.log(stream).unacknowledged());
        Health {
            available: shared.available.load(Ordering::Relaxed),
            detail: shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            epoch: shared.epoch,
            pending,
            log_bytes: Stream::ALL.iter().map(|&stream| shared.log(stream).bytes()).sum(),
            open_calls: shared.open_calls.load(Ordering::Relaxed),
            alarms: shared.alarms.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

impl Drop for DurableStore {
    fn drop(&mut self) {
        // What was submitted before is written first; a full queue cannot block for ever, the writer drains it.
        let _ = self.commands.send(Command::Stop);
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("lock");
    let refuse = |error| StoreError::folder(&path, error);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(refuse)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: folder.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(refuse(error)),
    }
}

/// The folder's format comes first, so that an older build never takes a newer folder for a damaged one.
fn check_format(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join("format");
    match std::fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(found) if found > FORMAT => {
                let found = found.to_string();
                Err(StoreError::Format { path: folder.to_path_buf(), found, known: FORMAT })
            }
            Ok(FORMAT) => Ok(()),
            // Every part of the store carries its own format number as well, so a damaged file is written anew.
            _ => write_format(&path),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => write_format(&path),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => write_format(&path),
        Err(error) => Err(StoreError::folder(&path, error)),
    }
}

fn write_format(path: &Path) -> Result<(), StoreError> {
    let written = std::fs::write(path, format!("{FORMAT}\n")).and_then(|()| File::open(path)?.sync_all());
    written.map_err(|error| StoreError::folder(path, error))
}

/// The state file, or its last copy, or an empty one; `false` when the epoch may not be used again.
fn open_state(folder: &Path, alarms: &mut Vec<Alarm>) -> Result<(State, bool), StoreError> {
    let (path, copy) = (folder.join("state.redb"), folder.join("state.copy.redb"));
    let missing = !path.exists();
    if missing && !copy.exists() {
        return Ok((State::open(&path).map_err(|error| StoreError::folder(&path, error))?, true));
    }
    let why = if missing {
        "it is missing".to_owned()
    } else {
        match State::open(&path) {
            Ok(state) => return Ok((state, true)),
            Err(why) => why,
        }
    };
    let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
    let moved = if missing {
        PathBuf::from("nowhere")
    } else {
        aside::move_file(folder, &path, "state.redb").map_err(|error| StoreError::folder(&path, error))?
    };
    let mut alarm = |name, end: &str| {
        let detail = format!("{} cannot be opened ({why}); moved to {}; {end}", path.display(), moved.display());
        alarms.push(Alarm { name, detail, lost_records: 0, bytes });
    };
    if std::fs::copy(&copy, &path).is_ok() {
        match State::open(&path) {
            Ok(state) => {
                state.forget_revision()?;
                alarm("state_restored", "the last copy is in service and desired state is fetched again");
                return Ok((state, false));
            }
            Err(_) => drop(std::fs::remove_file(&path)),
        }
    }
    alarm("state_lost", "there was no usable copy: enrol this gateway again");
    Ok((State::open(&path).map_err(|error| StoreError::folder(&path, error))?, false))
}

fn damaged_values(keys: Vec<String>, alarms: &mut Vec<Alarm>) {
    for key in keys {
        let detail = format!("the value `{key}` of the state file failed its checksum and was left out");
        alarms.push(Alarm { name: "value_damaged", detail, lost_records: 1, bytes: 0 });
    }
}

/// 53 random bits, so that every JSON reader and SQL engine keeps the number exactly; never 0.
pub(crate) fn random_epoch() -> Result<u64, StoreError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(StoreError::unavailable)?;
    Ok((u64::from_le_bytes(bytes) >> 11).max(1))
}
