//! The one thread that writes: groups what is submitted, syncs once per group, then reports.
//!
//! Order inside a group is what makes a crash harmless: events, then closed records, then the journal of open calls,
//! then completions. A journal row is deleted only after the closed record is durable, and segments of `usage` are
//! deleted only after the deletion of the rows is.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use redb::Durability;
use trunkline_api::Id;
use trunkline_api::sync::Stream;
use trunkline_api::usage::CallRecord;

use crate::journal::Journal;
use crate::log::{Marks, StreamLog};
use crate::record::MAX_BODY_BYTES;
use crate::state::{Change, State};
use crate::{Alarm, Completer, StoreError, Write};

/// Most writes of one group.
const GROUP: usize = 64;
/// Longest wait for company, when nobody waits for the group.
const GROUP_WAIT: Duration = Duration::from_millis(5);
/// How often a failed disk is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// How long the writer is idle before it tidies up.
const QUIET: Duration = Duration::from_millis(200);
/// How often it does so when it is never idle.
const BUSY_TIDY: Duration = Duration::from_secs(5);
/// Given back when the disk is full, so that calls in progress can still be closed.
const RESERVE_BYTES: usize = 2 * 1024 * 1024;
const MOST_ALARMS: usize = 64;

pub(crate) enum Command {
    Write(Write, Completer),
    Run(Box<dyn FnOnce(&mut Writer) + Send>),
    Stop,
}

/// What the writer shares with everybody.
pub(crate) struct Shared {
    pub(crate) root: PathBuf,
    pub(crate) epoch: u64,
    pub(crate) logs: [Mutex<StreamLog>; 2],
    pub(crate) state: RwLock<Option<State>>,
    pub(crate) alarms: Mutex<Vec<Alarm>>,
    pub(crate) trouble: Mutex<Option<String>>,
    pub(crate) available: AtomicBool,
    /// Writes submitted and not completed.
    pub(crate) waiting: AtomicUsize,
    pub(crate) open_calls: AtomicUsize,
}

impl Shared {
    pub(crate) fn log(&self, stream: Stream) -> std::sync::MutexGuard<'_, StreamLog> {
        let index = usize::from(stream == Stream::Events);
        self.logs[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> Result<State, StoreError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner).clone();
        state.ok_or_else(|| StoreError::unavailable("the state file is closed after an error"))
    }

    pub(crate) fn raise(&self, new: impl IntoIterator<Item = Alarm>) {
        let mut alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        for alarm in new {
            tracing::error!(
                alarm = alarm.name,
                lost_records = alarm.lost_records,
                bytes = alarm.bytes,
                "{}",
                alarm.detail
            );
            alarms.push(alarm);
        }
        let surplus = alarms.len().saturating_sub(MOST_ALARMS);
        alarms.drain(..surplus);
    }
}

/// A record on its way into a log.
struct Waiting {
    body: Vec<u8>,
    completer: Completer,
    closes: Option<Id>,
}

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) journal: Journal,
    usage: VecDeque<Waiting>,
    events: VecDeque<Waiting>,
    copy_due: bool,
    reserved: bool,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, journal: Journal) -> Self {
        shared.open_calls.store(journal.open_calls(), Ordering::Relaxed);
        let reserved = std::fs::metadata(shared.root.join("reserve")).is_ok_and(|file| file.len() > 0);
        Self { shared, journal, usage: VecDeque::new(), events: VecDeque::new(), copy_due: true, reserved }
    }

    /// Serves until told to stop.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        self.restore_reserve();
        let mut tidied = Instant::now();
        loop {
            let patience = if self.healthy() { QUIET } else { RETRY };
            if tidied.elapsed() >= if self.healthy() { BUSY_TIDY } else { RETRY } {
                self.tidy();
                tidied = Instant::now();
            }
            let mut group = Vec::new();
            let first = match commands.recv_timeout(patience) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    self.tidy();
                    tidied = Instant::now();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => Command::Stop,
            };
            match first {
                Command::Write(write, completer) => {
                    group.push((write, completer));
                    let next = gather(&mut group, commands);
                    self.write(group);
                    match next {
                        Some(Command::Run(job)) => job(&mut self),
                        Some(Command::Stop) => break,
                        Some(Command::Write(..)) | None => {}
                    }
                }
                Command::Run(job) => job(&mut self),
                Command::Stop => break,
            }
        }
        self.flush();
        self.copy_state();
    }

    fn healthy(&self) -> bool {
        self.shared.available.load(Ordering::Relaxed)
    }

    /// Writes a group and reports each outcome.
    fn write(&mut self, group: Vec<(Write, Completer)>) {
        let mut opening = Vec::new();
        for (write, completer) in group {
            match write {
                Write::Event(event) => {
                    self.journal.note(&event);
                    self.queue(Stream::Events, &*event, None, completer);
                }
                Write::CloseCall(record) => self.close(*record, completer),
                Write::Used(record) => self.queue(Stream::Usage, &*record, None, completer),
                Write::OpenCall(record) | Write::Checkpoint { record, .. } if self.journal.is_closed(&record.call) => {
                    self.finish(completer, Err(StoreError::AlreadyClosed { call: record.call.to_string() }));
                }
                Write::OpenCall(record) => {
                    let at_us = record.answered_us;
                    opening.push((*record, at_us, completer, true));
                }
                Write::Checkpoint { record, at_us } => opening.push((*record, at_us, completer, false)),
            }
        }
        let (closed, written) = self.flush_logs();
        let mut changes = Vec::new();
        let mut opened = Vec::new();
        for (record, at_us, completer, new) in opening {
            let call = record.call.clone();
            match self.journal_row(record, at_us, new) {
                Ok(change) => {
                    changes.extend(change);
                    opened.push((call, completer, new));
                }
                Err(error) => self.finish(completer, Err(error)),
            }
        }
        changes.extend(closed);
        let outcome = self.commit_journal(changes, !opened.is_empty());
        self.finish_all(written);
        for (call, completer, new) in opened {
            if outcome.is_err() && new {
                self.journal.forget_open(&call);
            }
            self.finish(completer, outcome.clone());
        }
        self.count_open_calls();
    }

    fn close(&mut self, record: CallRecord, completer: Completer) {
        if self.journal.is_closed(&record.call) {
            return self.finish(completer, Err(StoreError::AlreadyClosed { call: record.call.to_string() }));
        }
        self.journal.closing(&record.call);
        self.queue(Stream::Usage, &record, Some(record.call.clone()), completer);
    }

    /// Serialises a record for its log; it stays queued until the log has it.
    fn queue<T: serde::Serialize>(&mut self, stream: Stream, value: &T, closes: Option<Id>, completer: Completer) {
        let body = serde_json::to_vec(value).map_err(StoreError::unavailable).and_then(|body| {
            if body.len() > MAX_BODY_BYTES {
                return Err(StoreError::TooLarge { bytes: body.len(), limit: MAX_BODY_BYTES });
            }
            Ok(body)
        });
        match body {
            Ok(body) => self.queue_of(stream).push_back(Waiting { body, completer, closes }),
            Err(error) => self.finish(completer, Err(error)),
        }
    }

    const fn queue_of(&mut self, stream: Stream) -> &mut VecDeque<Waiting> {
        match stream {
            Stream::Usage => &mut self.usage,
            Stream::Events => &mut self.events,
        }
    }

    /// Moves what waits into the logs; the journal rows that go now, and who is told afterwards.
    fn flush_logs(&mut self) -> (Vec<Change>, Vec<Completer>) {
        let (mut changes, mut completers) = (Vec::new(), Vec::new());
        for stream in [Stream::Events, Stream::Usage] {
            match self.flush_log(stream) {
                Ok(()) => {
                    for written in std::mem::take(self.queue_of(stream)) {
                        if let Some(call) = &written.closes {
                            self.journal.forget_open(call);
                            changes.push((call.to_string(), None));
                        }
                        completers.push(written.completer);
                    }
                }
                Err(error) => self.failed(&error.to_string()),
            }
        }
        (changes, completers)
    }

    fn finish_all(&self, completers: Vec<Completer>) {
        for completer in completers {
            self.finish(completer, Ok(()));
        }
    }

    fn flush_log(&mut self, stream: Stream) -> std::io::Result<()> {
        let first = self.try_log(stream);
        match first {
            Err(_) if self.give_back_reserve() => self.try_log(stream),
            other => other,
        }
    }

    fn try_log(&mut self, stream: Stream) -> std::io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let mut log = shared.log(stream);
        for waiting in self.queue_of(stream).iter() {
            if let Err(error) = log.stage(&waiting.body) {
                log.unstage();
                return Err(error);
            }
        }
        log.commit()
    }

    /// The journal row of a call; none when the same group closes it.
    fn journal_row(&mut self, record: CallRecord, at_us: u64, new: bool) -> Result<Option<Change>, StoreError> {
        if !self.healthy() {
            return Err(self.trouble());
        }
        if self.journal.is_closed(&record.call) {
            return Ok(None);
        }
        if !new && !self.journal.is_open(&record.call) {
            return Err(StoreError::NotOpen { call: record.call.to_string() });
        }
        let usage_segment = self.shared.log(Stream::Usage).current_segment();
        let events_segment = self.shared.log(Stream::Events).current_segment();
        let entry = self.journal.entry(record, at_us, usage_segment, events_segment);
        let value = serde_json::to_vec(&entry).map_err(StoreError::unavailable)?;
        Ok(Some((entry.record.call.to_string(), Some(value))))
    }

    /// Deletions need not be durable at once: a row that comes back is recognised by its closed record.
    fn commit_journal(&mut self, mut changes: Vec<Change>, durable: bool) -> Result<(), StoreError> {
        changes.extend(self.journal.stale.iter().map(|call| (call.clone(), None)));
        if changes.is_empty() {
            return Ok(());
        }
        let durability = if durable { Durability::Immediate } else { Durability::None };
        let mut outcome = self.shared.state().and_then(|state| state.journal(durability, &changes));
        if outcome.is_err() && (self.give_back_reserve() | self.reopen_state()) {
            outcome = self.shared.state().and_then(|state| state.journal(Durability::Immediate, &changes));
        }
        match &outcome {
            Ok(()) => self.journal.stale.clear(),
            Err(error) => {
                self.journal
                    .stale
                    .extend(changes.into_iter().filter(|change| change.1.is_none()).map(|change| change.0));
                self.failed(&error.to_string());
            }
        }
        outcome
    }

    /// After an I/O error the engine refuses everything until the file is opened again.
    fn reopen_state(&self) -> bool {
        let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
        *state = None;
        match State::open(&self.shared.root.join("state.redb")) {
            Ok(open) => *state = Some(open),
            Err(error) => tracing::error!(error, "the state file cannot be opened again"),
        }
        state.is_some()
    }

    fn finish(&self, completer: Completer, outcome: Result<(), StoreError>) {
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        completer.finish(outcome);
    }

    fn failed(&self, detail: &str) {
        *self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(detail.to_owned());
        if self.shared.available.swap(false, Ordering::Relaxed) {
            let detail = format!("the state disk refused a write: {detail}");
            self.shared.raise([Alarm { name: "write_failed", detail, lost_records: 0, bytes: 0 }]);
        }
    }

    fn trouble(&self) -> StoreError {
        let detail = self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        StoreError::unavailable(detail.unwrap_or_else(|| "the state disk does not work".to_owned()))
    }

    /// What waits for a quiet moment: trying a failed disk again, copying the state file.
    fn tidy(&mut self) {
        if !self.healthy() {
            if self.shared.state().is_err() {
                self.reopen_state();
            }
            if self.flush() && self.restore_reserve() {
                *self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
                self.shared.available.store(true, Ordering::Relaxed);
                tracing::info!("the state disk works again; new calls are taken");
            }
        } else if self.copy_due {
            self.copy_state();
        }
    }

    /// Writes what waits; `true` when nothing does any more.
    fn flush(&mut self) -> bool {
        let (changes, written) = self.flush_logs();
        let journalled = self.commit_journal(changes, true).is_ok();
        self.finish_all(written);
        self.count_open_calls();
        journalled && self.usage.is_empty() && self.events.is_empty()
    }

    /// What operators see of the journal is as it is.
    pub(crate) fn count_open_calls(&self) {
        self.shared.open_calls.store(self.journal.open_calls(), Ordering::Relaxed);
    }

    /// Gives up space kept for this moment; `false` when there is none left.
    fn give_back_reserve(&mut self) -> bool {
        std::mem::take(&mut self.reserved) && std::fs::remove_file(self.shared.root.join("reserve")).is_ok()
    }

    /// Keeps some space back; also the proof that the disk takes writes.
    fn restore_reserve(&mut self) -> bool {
        if !self.reserved {
            let path = self.shared.root.join("reserve");
            let written =
                std::fs::write(&path, vec![0x5a; RESERVE_BYTES]).and_then(|()| std::fs::File::open(&path)?.sync_all());
            match written {
                Ok(()) => self.reserved = true,
                Err(error) => {
                    let _ = std::fs::remove_file(&path);
                    self.failed(&error.to_string());
                }
            }
        }
        self.reserved
    }

    pub(crate) const fn state_changed(&mut self) {
        self.copy_due = true;
    }

    /// Makes the copy that is restored when the state file cannot be opened.
    fn copy_state(&mut self) {
        if !std::mem::take(&mut self.copy_due) {
            return;
        }
        let root = &self.shared.root;
        let (fresh, kept) = (root.join("state.copy.new"), root.join("state.copy.redb"));
        let copied = self.shared.state().and_then(|state| state.copy_to(&fresh)).and_then(|()| {
            std::fs::rename(&fresh, &kept)
                .and_then(|()| crate::files::sync_folder(root))
                .map_err(StoreError::unavailable)
        });
        if let Err(error) = copied {
            tracing::warn!(%error, "the state file could not be copied");
        }
    }

    /// Appends records that belong together with the deletion of journal rows, for recovery.
    pub(crate) fn append_and_forget(
        &mut self,
        records: &[(Stream, Vec<u8>)],
        rows: Vec<String>,
    ) -> Result<(), StoreError> {
        if !self.flush() {
            return Err(self.trouble());
        }
        for stream in [Stream::Events, Stream::Usage] {
            let mut log = self.shared.log(stream);
            for (_, body) in records.iter().filter(|record| record.0 == stream) {
                if let Err(error) = log.stage(body) {
                    log.unstage();
                    drop(log);
                    self.failed(&error.to_string());
                    return Err(StoreError::unavailable(error));
                }
            }
            let committed = log.commit();
            drop(log);
            if let Err(error) = committed {
                self.failed(&error.to_string());
                return Err(StoreError::unavailable(error));
            }
        }
        let changes = rows.into_iter().map(|row| (row, None)).collect();
        // Rows that could not be deleted are tried again with every group.
        let _ = self.commit_journal(changes, true);
        Ok(())
    }

    /// Stores an acknowledgement and deletes what nobody needs any more.
    pub(crate) fn acknowledge(&mut self, stream: Stream, epoch: u64, high_water: u64) -> Result<(), StoreError> {
        let acknowledged = self.shared.log(stream).acknowledge(epoch, high_water)?;
        let Some((epoch, marks)) = acknowledged else { return Ok(()) };
        // This durable commit also makes every earlier deletion of journal rows durable.
        self.put_marks(stream, epoch, marks)?;
        let keep_from = self.needed_from(stream);
        self.shared.log(stream).delete_acknowledged(keep_from).map_err(StoreError::unavailable)
    }

    /// Segments from this one on may be needed to close open calls after a crash.
    pub(crate) fn needed_from(&self, stream: Stream) -> u64 {
        match stream {
            Stream::Events => self.journal.events_needed_from(),
            Stream::Usage if self.journal.stale.is_empty() && self.journal.leftover.is_empty() => u64::MAX,
            Stream::Usage => 0,
        }
    }

    /// Stores marks, then believes them.
    pub(crate) fn put_marks(&mut self, stream: Stream, epoch: u64, marks: Marks) -> Result<(), StoreError> {
        self.shared.state()?.put_marks(stream, epoch, marks)?;
        self.shared.log(stream).set_marks(epoch, marks);
        Ok(())
    }
}

/// Takes what is queued, and waits a little for company when the group holds events only.
fn gather(group: &mut Vec<(Write, Completer)>, commands: &Receiver<Command>) -> Option<Command> {
    let until = Instant::now() + GROUP_WAIT;
    while group.len() < GROUP {
        let somebody_waits = group.iter().any(|(write, _)| !matches!(write, Write::Event(_)));
        let patience = if somebody_waits { Duration::ZERO } else { until.saturating_duration_since(Instant::now()) };
        match commands.recv_timeout(patience) {
            Ok(Command::Write(write, completer)) => group.push((write, completer)),
            Ok(other) => return Some(other),
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => return Some(Command::Stop),
        }
    }
    None
}
