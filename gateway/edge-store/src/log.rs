//! One stream's segmented append log: staged, committed in groups, read for upload, deleted by segment.
//!
//! A later segment wins: when a commit fails and the tail of a file is no longer certain, the file is left as it is
//! and a new segment begins at the next sequence number, which bounds what a reader takes from the file before it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use trunkline_api::sync::Stream;

use crate::files::{Files, SegmentFile};
use crate::record;
use crate::renumbering::Renumbered;
use crate::segment::{self, HEADER, Label, Scan};
use crate::upload::{Source, UploadPlan};
use crate::{Alarm, StoreError, aside};

/// What redb remembers about an epoch of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Durable at the control plane up to here.
    pub(crate) acked: u64,
    /// Possibly seen by the control plane up to here; never given to another record.
    pub(crate) offered: u64,
}

/// What redb remembers about a stream.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// By epoch.
    pub(crate) marks: BTreeMap<u64, Marks>,
    /// Epochs that go up under other numbers.
    pub(crate) renumbered: Renumbered,
}

pub(crate) struct Segment {
    label: Label,
    path: PathBuf,
    /// Last durable sequence number; `first_seq - 1` when there is none.
    last: u64,
    /// Durable bytes.
    bytes: u64,
}

struct Active {
    file: Box<dyn SegmentFile>,
    /// Header or records written but not durable, to be written by the next commit.
    staged: Vec<u8>,
    /// The file's entry in its folder is durable.
    named: bool,
}

pub(crate) struct StreamLog {
    stream: Stream,
    folder: PathBuf,
    root: PathBuf,
    files: Arc<dyn Files>,
    segment_bytes: u64,
    epoch: u64,
    marks: BTreeMap<u64, Marks>,
    pub(crate) renumbered: Renumbered,
    segments: Vec<Segment>,
    active: Option<Active>,
    next_number: u64,
    /// Next sequence number to stage.
    next: u64,
}

impl StreamLog {
    /// Opens the folder, cuts a torn tail, moves damaged bytes aside and says what it found.
    #[allow(clippy::too_many_arguments, reason = "called once, with what the store found on disk")]
    pub(crate) fn open(
        stream: Stream,
        root: &Path,
        files: Arc<dyn Files>,
        segment_bytes: u64,
        epoch: u64,
        known: Known,
        alarms: &mut Vec<Alarm>,
    ) -> Result<Self, StoreError> {
        let folder = root.join(stream.as_str());
        let refuse = |error: io::Error| StoreError::folder(&folder, error);
        std::fs::create_dir_all(&folder).map_err(refuse)?;
        let mut log = Self {
            stream,
            root: root.to_path_buf(),
            folder: folder.clone(),
            files,
            segment_bytes,
            epoch,
            marks: known.marks,
            renumbered: known.renumbered,
            segments: Vec::new(),
            active: None,
            next_number: 1,
            next: 1,
        };
        let mut labels = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(refuse)? {
            let name = entry.map_err(refuse)?.file_name();
            match name.to_str().and_then(Label::from_file_name) {
                Some(label) => labels.push(label),
                None => tracing::warn!(file = ?name, "a file in the log's folder is not a segment; it is left alone"),
            }
        }
        labels.sort_by_key(|label| label.number);
        for label in labels {
            log.open_segment(label, alarms)?;
        }
        log.bound_by_successors();
        log.report_lost_ends(alarms);
        log.mark_unmarked();
        let last = log.segments.iter().filter(|seg| seg.label.epoch == epoch).map(|seg| seg.last).max().unwrap_or(0);
        let marks = log.marks.entry(epoch).or_default();
        log.next = last.max(marks.acked).max(marks.offered) + 1;
        log.resume().map_err(refuse)?;
        Ok(log)
    }

    fn open_segment(&mut self, label: Label, alarms: &mut Vec<Alarm>) -> Result<(), StoreError> {
        let path = self.folder.join(label.file_name());
        let bytes = std::fs::read(&path).map_err(|error| StoreError::folder(&path, error))?;
        self.next_number = label.number + 1;
        let scan = segment::scan(&bytes, &label);
        if let Some(found) = scan.foreign_format {
            return Err(StoreError::Format { path, found: found.to_string(), known: segment::FORMAT });
        }
        self.report(&path, &bytes, &scan, label, alarms);
        if scan.end < bytes.len() {
            let file = self.files.open(&path);
            let cut = file.and_then(|mut file| file.truncate(scan.end as u64));
            cut.map_err(|error| StoreError::folder(&path, error))?;
        }
        let last = scan.entries.last().map_or(label.first_seq - 1, |entry| entry.seq);
        self.segments.push(Segment { label, path, last, bytes: scan.end as u64 });
        Ok(())
    }

    /// Keeps what was damaged or cut and raises an alarm with counts.
    fn report(&self, path: &Path, bytes: &[u8], scan: &Scan, label: Label, alarms: &mut Vec<Alarm>) {
        let cut = bytes.len() - scan.end;
        if scan.damage.is_empty() && cut == 0 && bytes.len() >= HEADER {
            return;
        }
        let kept = aside::keep(&self.root, &format!("{}-{}", self.stream.as_str(), label.file_name()), bytes);
        let last = scan.entries.last().map_or(label.first_seq - 1, |entry| entry.seq);
        let provable = scan.entries.len() as u64;
        let damaged: usize = scan.damage.iter().map(std::ops::Range::len).sum();
        if damaged > 0 {
            alarms.push(Alarm {
                name: "log_damaged",
                detail: format!("{}: damaged bytes were skipped; a copy is in {}", path.display(), kept.display()),
                lost_records: (last + 1 - label.first_seq).saturating_sub(provable),
                bytes: damaged as u64,
            });
        }
        if cut > 0 || bytes.len() < HEADER {
            alarms.push(Alarm {
                name: "log_tail_cut",
                detail: format!("{}: the unfinished end was cut; a copy is in {}", path.display(), kept.display()),
                lost_records: 0,
                bytes: cut as u64,
            });
        }
    }

    /// What was offered for upload was durable; if the files end before it, they were cut since.
    fn report_lost_ends(&self, alarms: &mut Vec<Alarm>) {
        for (&epoch, marks) in &self.marks {
            let of_epoch = self.segments.iter().filter(|segment| segment.label.epoch == epoch);
            let last = of_epoch.map(|segment| segment.last).max().unwrap_or(0).max(marks.acked);
            if marks.offered > last {
                alarms.push(Alarm {
                    name: "log_damaged",
                    detail: format!("{}: records {} to {} are gone", self.folder.display(), last + 1, marks.offered),
                    lost_records: marks.offered - last,
                    bytes: 0,
                });
            }
        }
    }

    /// A later segment wins over the end of the one before it.
    fn bound_by_successors(&mut self) {
        for index in 1..self.segments.len() {
            let (epoch, first) = (self.segments[index].label.epoch, self.segments[index].label.first_seq);
            for earlier in &mut self.segments[..index] {
                if earlier.label.epoch == epoch {
                    earlier.last = earlier.last.min(first - 1);
                }
            }
        }
    }

    /// Marks of an epoch that state knows nothing about: what is gone was acknowledged, what is here may have been sent.
    fn mark_unmarked(&mut self) {
        let known: Vec<u64> = self.marks.keys().copied().collect();
        for segment in self.segments.iter().filter(|segment| !known.contains(&segment.label.epoch)) {
            let before = segment.label.first_seq - 1;
            let marks = self.marks.entry(segment.label.epoch).or_insert(Marks { acked: before, offered: before });
            marks.offered = marks.offered.max(segment.last);
        }
        // What this gateway had sent before it was another one, even when its marks are lost.
        for (&epoch, numbering) in &self.renumbered {
            let marks = self.marks.entry(epoch).or_default();
            marks.acked = marks.acked.max(numbering.behind);
            marks.offered = marks.offered.max(numbering.behind);
        }
    }

    /// Goes on in the last segment when it ends where the next record begins.
    fn resume(&mut self) -> io::Result<()> {
        let Some(last) = self.segments.last() else { return Ok(()) };
        let fits = last.label.epoch == self.epoch
            && last.last + 1 == self.next
            && last.bytes >= HEADER as u64
            && last.bytes < self.segment_bytes;
        if fits {
            self.active = Some(Active { file: self.files.open(&last.path)?, staged: Vec::new(), named: true });
        }
        Ok(())
    }

    /// Puts the next record into this segment or a later one.
    pub(crate) fn go_on_from(&mut self, number: u64) {
        if self.current_segment() < number {
            self.active = None;
            self.next_number = self.next_number.max(number);
        }
    }

    /// Stages a record for the next commit and says its sequence number.
    pub(crate) fn stage(&mut self, body: &[u8]) -> io::Result<u64> {
        if self.active.is_none() {
            self.begin_segment()?;
        }
        let Some(active) = &mut self.active else { return Err(io::Error::other("no segment")) };
        let seq = self.next;
        record::encode(seq, body, &mut active.staged);
        self.next += 1;
        Ok(seq)
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let label = Label { number: self.next_number, epoch: self.epoch, first_seq: self.next };
        let path = self.folder.join(label.file_name());
        let file = self.files.create(&path)?;
        self.next_number += 1;
        self.segments.push(Segment { label, path, last: self.next - 1, bytes: 0 });
        self.active = Some(Active { file, staged: label.header().to_vec(), named: false });
        Ok(())
    }

    /// Makes everything staged durable, or nothing of it: after an error the staged records are gone from the log and
    /// the caller stages them again.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        if active.staged.is_empty() {
            return Ok(());
        }
        let mut write = || {
            active.file.append(&active.staged)?;
            active.file.sync()?;
            if !active.named {
                self.files.sync_folder(&self.folder)?;
                active.named = true;
            }
            Ok(())
        };
        let outcome = write();
        let Some(segment) = self.segments.last_mut() else { return outcome };
        match outcome {
            Ok(()) => {
                segment.bytes += active.staged.len() as u64;
                active.staged.clear();
                segment.last = self.next - 1;
                if segment.bytes >= self.segment_bytes {
                    self.active = None;
                }
                Ok(())
            }
            Err(error) => {
                self.abandon();
                Err(error)
            }
        }
    }

    /// Leaves the current file as it is: its end is not certain any more.
    fn abandon(&mut self) {
        let Some(mut active) = self.active.take() else { return };
        let Some(segment) = self.segments.last() else { return };
        self.next = segment.last + 1;
        let _ = active.file.truncate(segment.bytes);
        if segment.bytes == 0 {
            let _ = std::fs::remove_file(&segment.path);
            self.segments.pop();
        }
    }

    /// Drops what was staged and not committed.
    pub(crate) fn unstage(&mut self) {
        self.abandon();
    }

    /// Where the oldest unacknowledged durable records of one epoch lie.
    pub(crate) fn plan(&self) -> Option<UploadPlan> {
        let epochs = self.segments.iter().map(|segment| segment.label.epoch).chain([self.epoch]);
        let (epoch, (start, end)) =
            epochs.map(|epoch| (epoch, self.span(epoch))).find(|(_, (start, end))| start <= end)?;
        let sources = self.sources_where(|segment| segment.label.epoch == epoch && segment.last >= start);
        Some(UploadPlan { stream: self.stream, epoch, numbering: self.numbering(epoch), start, end, sources })
    }

    /// Every epoch that has records here or gets the next ones.
    pub(crate) fn epochs(&self) -> Vec<u64> {
        let mut epochs: Vec<u64> =
            self.segments.iter().map(|segment| segment.label.epoch).chain([self.epoch]).collect();
        epochs.dedup();
        epochs
    }

    pub(crate) fn sources_where(&self, wanted: impl Fn(&Segment) -> bool) -> Vec<Source> {
        let source = |segment: &Segment| Source {
            path: segment.path.clone(),
            label: segment.label,
            last: segment.last,
            bytes: segment.bytes,
        };
        self.segments.iter().filter(|segment| wanted(segment)).map(source).collect()
    }

    /// What is remembered about an epoch.
    pub(crate) fn marks(&self, epoch: u64) -> Marks {
        self.marks.get(&epoch).copied().unwrap_or_default()
    }

    /// First and last sequence number that still has to go up.
    fn span(&self, epoch: u64) -> (u64, u64) {
        let marks = self.marks.get(&epoch).copied().unwrap_or_default();
        let durable = self.segments.iter().filter(|segment| segment.label.epoch == epoch).map(|segment| segment.last);
        (marks.acked + 1, durable.max().unwrap_or(0).max(marks.offered))
    }

    /// The marks to store before the epoch's durable records are handed out; none when they are stored already.
    pub(crate) fn offer(&self, epoch: u64) -> Option<Marks> {
        let marks = self.marks.get(&epoch).copied().unwrap_or_default();
        let (_, end) = self.span(epoch);
        (end > marks.offered).then_some(Marks { offered: end, ..marks })
    }

    /// The epoch on disk and its marks to store for an acknowledgement; none when it says nothing new.
    pub(crate) fn acknowledge(&self, epoch: u64, high_water: u64) -> Result<Option<(u64, Marks)>, StoreError> {
        let Some((epoch, high_water)) = self.on_disk(epoch, high_water) else { return Ok(None) };
        let marks = self.marks.get(&epoch).copied().unwrap_or_default();
        if high_water > marks.offered {
            let (stream, offered) = (self.stream, marks.offered);
            return Err(StoreError::BeyondOffered { stream, epoch, high_water, offered });
        }
        Ok((high_water > marks.acked).then_some((epoch, Marks { acked: high_water, ..marks })))
    }

    /// These numbers are stored.
    pub(crate) fn set_renumbered(&mut self, renumbered: Renumbered) {
        self.renumbered = renumbered;
    }

    /// The next record begins a segment of its own, so that the ones before it can go.
    pub(crate) fn seal(&mut self) {
        if self.active.as_ref().is_some_and(|active| active.staged.is_empty()) {
            self.active = None;
        }
    }

    /// These marks are stored.
    pub(crate) fn set_marks(&mut self, epoch: u64, marks: Marks) {
        self.marks.insert(epoch, marks);
    }

    /// Deletes full segments that are acknowledged and numbered below `keep_from`.
    pub(crate) fn delete_acknowledged(&mut self, keep_from: u64) -> io::Result<()> {
        let active = self.active.as_ref().and_then(|_| self.segments.last().map(|last| last.label.number));
        let marks = &self.marks;
        let newest: BTreeMap<u64, u64> =
            self.segments.iter().map(|segment| (segment.label.epoch, segment.label.number)).collect();
        let mut deleted = Ok(());
        self.segments.retain(|segment| {
            let Marks { acked, offered } = marks.get(&segment.label.epoch).copied().unwrap_or_default();
            // A segment whose epoch still owes `null` records for a lost tail stays, to keep its epoch in the list.
            let keep = segment.last > acked
                || (acked < offered && newest.get(&segment.label.epoch) == Some(&segment.label.number))
                || Some(segment.label.number) == active
                || segment.label.number >= keep_from
                || deleted.is_err();
            if !keep && let Err(error) = std::fs::remove_file(&segment.path) {
                deleted = Err(error);
                return true;
            }
            keep
        });
        deleted
    }

    /// Visits every durable body of segments numbered from `from` on.
    pub(crate) fn visit(&self, from: u64, mut visit: impl FnMut(&[u8])) -> io::Result<()> {
        for segment in self.segments.iter().filter(|segment| segment.label.number >= from) {
            let whole = std::fs::read(&segment.path)?;
            for entry in segment::scan(&whole, &segment.label).entries {
                if entry.seq <= segment.last
                    && let Ok(record) = record::decode(&whole[entry.offset..])
                {
                    visit(record.body);
                }
            }
        }
        Ok(())
    }

    /// Number of the segment that the next record goes to.
    pub(crate) fn current_segment(&self) -> u64 {
        match (&self.active, self.segments.last()) {
            (Some(_), Some(last)) => last.label.number,
            _ => self.next_number,
        }
    }

    /// Durable records not acknowledged yet, counting those known to be lost.
    pub(crate) fn unacknowledged(&self) -> u64 {
        let spans = self.epochs().into_iter().map(|epoch| self.span(epoch));
        spans.map(|(start, end)| (end + 1).saturating_sub(start)).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::files::Disk;

    const EPOCH: u64 = 41;

    /// The real files without the waiting, for thousands of openings.
    struct Unsynced;
    struct UnsyncedFile(Box<dyn SegmentFile>, PathBuf);

    impl Files for Unsynced {
        fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
            Ok(Box::new(UnsyncedFile(Disk.create(path)?, path.to_path_buf())))
        }

        fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
            Ok(Box::new(UnsyncedFile(Disk.open(path)?, path.to_path_buf())))
        }

        fn sync_folder(&self, _: &Path) -> io::Result<()> {
            Ok(())
        }
    }

    impl SegmentFile for UnsyncedFile {
        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.0.append(bytes)
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn truncate(&mut self, len: u64) -> io::Result<()> {
            std::fs::OpenOptions::new().write(true).open(&self.1)?.set_len(len)
        }
    }

    fn open(root: &Path, marks: Marks) -> (StreamLog, Vec<Alarm>) {
        let mut alarms = Vec::new();
        let known = Known { marks: BTreeMap::from([(EPOCH, marks)]), ..Known::default() };
        let log = StreamLog::open(Stream::Events, root, Arc::new(Unsynced), 4096, EPOCH, known, &mut alarms).unwrap();
        (log, alarms)
    }

    fn write(log: &mut StreamLog, count: u64) {
        for _ in 0..count {
            let seq = log.next;
            log.stage(&serde_json::to_vec(&json!({ "n": seq })).unwrap()).unwrap();
        }
        log.commit().unwrap();
    }

    fn read(log: &StreamLog) -> Vec<(u64, Option<u64>)> {
        let mut alarms = Vec::new();
        let Some(plan) = log.plan() else { return Vec::new() };
        let batch = plan.collect(10_000, &mut None, &mut alarms).unwrap();
        batch.records.iter().map(|record| (record.seq, record.body["n"].as_u64())).collect()
    }

    /// What must hold after any damage to a file of `written` records of which `offered` were offered: every record
    /// is itself or lost, numbers have no gaps, no offered number is used again, and a loss raises an alarm, unless
    /// the damage is `silent`: a cut exactly between records that nobody was offered.
    fn check(root: &Path, written: u64, offered: u64, silent: bool) -> u64 {
        let (mut log, alarms) = open(root, Marks { acked: 0, offered });
        let survived = read(&log);
        let lost = survived.iter().filter(|record| record.1.is_none()).count() as u64;
        for (index, (seq, n)) in survived.iter().enumerate() {
            assert_eq!(*seq, index as u64 + 1);
            assert!(n.is_none_or(|n| n == *seq), "record {seq} became {n:?}");
        }
        assert!(survived.len() as u64 >= offered && survived.len() as u64 <= written);
        let gone = lost + (written - survived.len() as u64);
        assert!(gone == 0 || !alarms.is_empty() || (silent && lost == 0), "{gone} records lost without an alarm");
        write(&mut log, 3);
        let next = survived.len() as u64 + 1;
        assert_eq!(
            read(&log)[survived.len()..],
            [(next, Some(next)), (next + 1, Some(next + 1)), (next + 2, Some(next + 2))]
        );
        let (log, alarms) = open(root, Marks { acked: 0, offered });
        assert_eq!(read(&log).len(), survived.len() + 3, "{alarms:?}");
        gone
    }

    #[test]
    fn the_last_segment_survives_every_kind_of_damage_at_every_byte() {
        let pristine = tempfile::tempdir().unwrap();
        let written = 9;
        write(&mut open(pristine.path(), Marks::default()).0, written);
        let name = Label { number: 1, epoch: EPOCH, first_seq: 1 }.file_name();
        let bytes = std::fs::read(pristine.path().join("events").join(&name)).unwrap();
        let longest = 8 + 8 + json!({ "n": 9 }).to_string().len();
        let label = Label { number: 1, epoch: EPOCH, first_seq: 1 };
        let boundaries: Vec<usize> = segment::scan(&bytes, &label).entries.iter().map(|entry| entry.offset).collect();
        let mut rounds = 0;
        let mut damage = |damaged: &[u8], most_lost: u64| {
            for offered in [0, 5, written] {
                let root = tempfile::tempdir().unwrap();
                std::fs::create_dir(root.path().join("events")).unwrap();
                std::fs::write(root.path().join("events").join(&name), damaged).unwrap();
                let silent = boundaries.contains(&damaged.len());
                let gone = check(root.path(), written, offered, silent);
                assert!(gone <= most_lost, "{gone} records lost where {most_lost} were touched");
                rounds += 1;
            }
        };
        for at in 0..bytes.len() {
            let cut = bytes.len() - at;
            damage(&bytes[..at], (cut.div_ceil(longest) as u64).min(written));
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            damage(&flipped, 1);
            let mut zeroed = bytes.clone();
            let to = (at + 40).min(bytes.len());
            zeroed[at..to].fill(0);
            damage(&zeroed, 3);
        }
        for garbage in [&[0_u8; 64][..], &[0xff; 64], b"\n{\"n\":1}", &bytes[28..50], &bytes] {
            let mut appended = bytes.clone();
            appended.extend_from_slice(garbage);
            damage(&appended, 0);
        }
        println!("{rounds} damaged logs opened");
    }

    #[test]
    fn a_segment_in_the_middle_loses_only_what_was_damaged() {
        let root = tempfile::tempdir().unwrap();
        let mut log = open(root.path(), Marks::default()).0;
        for _ in 0..60 {
            write(&mut log, 10);
        }
        assert!(log.segments.len() >= 3);
        let (path, first) = (log.segments[1].path.clone(), log.segments[1].label.first_seq);
        drop(log);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[60] ^= 0x10;
        bytes.truncate(bytes.len() - 3);
        std::fs::write(&path, &bytes).unwrap();
        let (log, alarms) = open(root.path(), Marks::default());
        let lost: Vec<u64> =
            read(&log).into_iter().filter(|record| record.1.is_none()).map(|record| record.0).collect();
        assert_eq!(read(&log).len(), 600);
        assert_eq!(lost, [first + 1, log.segments[2].label.first_seq - 1]);
        assert_eq!(alarms.iter().map(|alarm| alarm.name).collect::<Vec<_>>(), ["log_damaged", "log_tail_cut"]);
    }

    #[test]
    fn bytes_that_go_bad_while_the_log_is_open_cost_themselves_only() {
        let root = tempfile::tempdir().unwrap();
        let mut log = open(root.path(), Marks::default()).0;
        write(&mut log, 20);
        let path = log.segments[0].path.clone();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[HEADER + 30] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let lost: Vec<u64> =
            read(&log).into_iter().filter(|record| record.1.is_none()).map(|record| record.0).collect();
        assert_eq!((read(&log).len(), lost.len()), (20, 1));
    }

    #[test]
    fn segments_go_once_acknowledged_and_not_before() {
        let root = tempfile::tempdir().unwrap();
        let mut log = open(root.path(), Marks::default()).0;
        for _ in 0..60 {
            write(&mut log, 10);
        }
        let segments = log.segments.len();
        let second = log.segments[1].label.first_seq;
        let beyond = log.acknowledge(EPOCH, 1);
        assert!(matches!(beyond, Err(StoreError::BeyondOffered { .. })), "nothing was offered yet");
        let offered = log.offer(EPOCH).unwrap();
        log.set_marks(EPOCH, offered);
        let acknowledge = |log: &mut StreamLog, high_water| {
            let (epoch, marks) = log.acknowledge(EPOCH, high_water).unwrap().unwrap();
            log.set_marks(epoch, marks);
        };
        acknowledge(&mut log, second - 2);
        log.delete_acknowledged(u64::MAX).unwrap();
        assert_eq!(log.segments.len(), segments);
        acknowledge(&mut log, second - 1);
        log.delete_acknowledged(u64::MAX).unwrap();
        assert_eq!(log.segments.len(), segments - 1);
        assert_eq!(read(&log)[0], (second, Some(second)));
        acknowledge(&mut log, 600);
        log.delete_acknowledged(log.segments[1].label.number).unwrap();
        assert_eq!(log.segments.len(), segments - 2, "what is still needed stays");
    }
}
