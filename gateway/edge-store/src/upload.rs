//! Reads what goes up next, outside every lock, so that catching up after days never delays a commit.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use trunkline_api::sync::{Stream, StreamRecord, UploadBatch};

use crate::Alarm;
use crate::record::{self, MAX_BODY_BYTES, Record};
use crate::renumbering::Numbering;
use crate::segment::{self, HEADER, Label};

/// Most bytes of bodies in one batch.
const BATCH_BYTES: usize = 1024 * 1024;
const WINDOW_BYTES: usize = BATCH_BYTES + MAX_BODY_BYTES + 64;

/// A segment's durable part.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) label: Label,
    pub(crate) last: u64,
    pub(crate) bytes: u64,
}

/// What is to go up: `start..=end` of one epoch, as it is numbered on disk.
pub(crate) struct UploadPlan {
    pub(crate) stream: Stream,
    pub(crate) epoch: u64,
    pub(crate) numbering: Numbering,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) sources: Vec<Source>,
}

/// Where the record `seq` lies, remembered between batches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    number: u64,
    seq: u64,
    offset: u64,
}

struct Batch {
    stream: Stream,
    next: u64,
    max: usize,
    bytes: usize,
    records: Vec<StreamRecord>,
    full: bool,
}

impl UploadPlan {
    /// Reads at most `max` records. What cannot be proved goes up as `null`, so that `seq` has no gaps.
    pub(crate) fn collect(
        self,
        max: usize,
        cursor: &mut Option<Cursor>,
        alarms: &mut Vec<Alarm>,
    ) -> io::Result<UploadBatch> {
        let mut batch =
            Batch { stream: self.stream, next: self.start, max, bytes: 0, records: Vec::new(), full: max == 0 };
        for source in &self.sources {
            if batch.full {
                break;
            }
            if !source.read(&mut batch, cursor)? {
                source.read_damaged(&mut batch, alarms)?;
            }
        }
        batch.fill_to(self.end + 1);
        for record in &mut batch.records {
            record.seq -= self.numbering.behind;
        }
        Ok(UploadBatch { epoch: self.numbering.epoch, stream: self.stream, records: batch.records })
    }
}

impl Source {
    /// Reads on from the cursor; `false` when something is not as it was written.
    fn read(&self, batch: &mut Batch, cursor: &mut Option<Cursor>) -> io::Result<bool> {
        let mut offset = match *cursor {
            Some(at) if at.number == self.label.number && at.seq <= batch.next => at.offset,
            _ => HEADER as u64,
        };
        while batch.next <= self.last && !batch.full {
            let window = window(&self.path, offset, self.bytes)?;
            let mut skipped = false;
            let (used, fault) = segment::walk(&window, |record| {
                if batch.full || record.seq > self.last {
                    return false;
                }
                if record.seq >= batch.next {
                    skipped |= record.seq > batch.next;
                    return !skipped && batch.take(&record);
                }
                true
            });
            offset += used as u64;
            let cut_by_window = matches!(fault, Some(record::RecordFault::Short) | None) && used > 0 && !skipped;
            if batch.next <= self.last && !batch.full && !cut_by_window {
                return Ok(false);
            }
        }
        *cursor = Some(Cursor { number: self.label.number, seq: batch.next, offset });
        Ok(true)
    }

    /// As [`Self::read`], proving each record on its own.
    fn read_damaged(&self, batch: &mut Batch, alarms: &mut Vec<Alarm>) -> io::Result<()> {
        let mut whole = std::fs::read(&self.path)?;
        whole.truncate(usize::try_from(self.bytes).unwrap_or(usize::MAX));
        let scan = segment::scan(&whole, &self.label);
        let expected = self.last + 1 - self.label.first_seq;
        let bytes = scan.damage.iter().map(|range| range.len() as u64).sum();
        alarms.push(Alarm {
            name: "log_damaged",
            detail: format!("{}: damaged bytes were skipped", self.path.display()),
            lost_records: expected.saturating_sub(scan.entries.len() as u64),
            bytes,
        });
        for entry in &scan.entries {
            if !(batch.next..=self.last).contains(&entry.seq) {
                continue;
            }
            batch.fill_to(entry.seq);
            if let Ok(record) = record::decode(&whole[entry.offset..])
                && !batch.full
            {
                batch.take(&record);
            }
            if batch.full {
                return Ok(());
            }
        }
        batch.fill_to(self.last + 1);
        Ok(())
    }
}

impl Batch {
    /// Takes the record `next`; `false` when there is no room for it.
    fn take(&mut self, record: &Record<'_>) -> bool {
        if self.bytes + record.body.len() > BATCH_BYTES && !self.records.is_empty() {
            self.full = true;
            return false;
        }
        self.bytes += record.body.len();
        let body = serde_json::from_slice(record.body).unwrap_or_else(|error| {
            tracing::error!(%error, seq = record.seq, stream = self.stream.as_str(), "a stored record is not JSON");
            Value::Null
        });
        self.push(record.seq, body);
        true
    }

    /// `null` for each record before `seq`.
    fn fill_to(&mut self, seq: u64) {
        while self.next < seq && !self.full {
            self.push(self.next, Value::Null);
        }
    }

    fn push(&mut self, seq: u64, body: Value) {
        self.records.push(StreamRecord { seq, body });
        self.next = seq + 1;
        self.full = self.records.len() >= self.max;
    }
}

fn window(path: &Path, offset: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut window = vec![0; usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX).min(WINDOW_BYTES)];
    let file = std::fs::File::open(path)?;
    let mut filled = 0;
    while filled < window.len() {
        match file.read_at(&mut window[filled..], offset + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    window.truncate(filled);
    Ok(window)
}
