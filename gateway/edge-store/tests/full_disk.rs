//! A disk that is full or broken: new calls are refused, calls in progress lose nothing.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use trunkline_api::sync::Stream;
use trunkline_api::{EventType, Failure};
use trunkline_edge_store::conformance::{closed, event, open_record};
use trunkline_edge_store::{Disk, DurableStore, EdgeStore, Files, SegmentFile, StoreOptions, Write};

const WORKS: u8 = 0;
const FULL: u8 = 1;
const HALF_WRITES: u8 = 2;
const LOSES_SYNCS: u8 = 3;

#[derive(Clone)]
struct Faulty(Arc<AtomicU8>);

struct FaultyFile {
    file: Box<dyn SegmentFile>,
    mode: Arc<AtomicU8>,
}

impl Files for Faulty {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        match self.0.load(Ordering::SeqCst) {
            FULL => Err(io::Error::from(io::ErrorKind::StorageFull)),
            _ => Ok(Box::new(FaultyFile { file: Disk.create(path)?, mode: Arc::clone(&self.0) })),
        }
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(FaultyFile { file: Disk.open(path)?, mode: Arc::clone(&self.0) }))
    }
}

impl SegmentFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.mode.load(Ordering::SeqCst) {
            FULL => Err(io::Error::from(io::ErrorKind::StorageFull)),
            HALF_WRITES => {
                self.file.append(&bytes[..bytes.len() / 2])?;
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            _ => self.file.append(bytes),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.mode.load(Ordering::SeqCst) {
            WORKS => self.file.sync(),
            // EIO
            _ => Err(io::Error::from_raw_os_error(5)),
        }
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        match self.mode.load(Ordering::SeqCst) {
            WORKS => self.file.truncate(len),
            _ => Err(io::Error::from_raw_os_error(5)),
        }
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::yield_now();
    }
}

fn a_disk_that(mode: u8) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Faulty(Arc::new(AtomicU8::new(WORKS)));
    let options = StoreOptions { files: Arc::new(disk.clone()), ..StoreOptions::default() };
    let store = DurableStore::open(folder.path(), options).unwrap();
    store.open_call(&open_record(1)).unwrap();
    store.submit(Write::Event(Arc::new(event(1, 1, EventType::CallStarted)))).unwrap().wait().unwrap();

    disk.0.store(mode, Ordering::SeqCst);
    let ended = store.submit(Write::Event(Arc::new(event(1, 2, EventType::CallEnded)))).unwrap();
    let close = store.submit(Write::CloseCall(Box::new(closed(&open_record(1))))).unwrap();
    until("the refusal of new calls", || !store.health().available);
    let refused = store.open_call(&open_record(2)).unwrap_err();
    assert_eq!(refused.failure(), Failure::StoreUnavailable, "{refused}");
    assert!(close.poll().is_none() && ended.poll().is_none(), "nothing that was not written may be reported written");
    assert!(store.pending(Stream::Usage, 10).unwrap().is_none());
    assert_eq!(store.open_calls().unwrap().len(), 1, "the call is still in the journal");

    disk.0.store(WORKS, Ordering::SeqCst);
    close.wait().unwrap();
    ended.wait().unwrap();
    until("taking new calls again", || store.health().available);
    store.open_call(&open_record(2)).unwrap();
    drop(store);

    let store = DurableStore::open(folder.path(), StoreOptions::default()).unwrap();
    assert_eq!(store.recover().unwrap().len(), 1, "only the second call was open");
    let usage = store.pending(Stream::Usage, 10).unwrap().unwrap();
    assert_eq!(usage.records.iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 2]);
    assert!(usage.records.iter().all(|record| !record.is_lost()), "{usage:?}");
    let events = store.pending(Stream::Events, 10).unwrap().unwrap();
    assert_eq!(events.records.iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(events.records.iter().all(|record| !record.is_lost()), "{events:?}");
}

#[test]
fn full_refuses_new_calls_and_writes_the_rest_later() {
    a_disk_that(FULL);
}

#[test]
fn that_writes_half_refuses_new_calls_and_writes_the_rest_later() {
    a_disk_that(HALF_WRITES);
}

#[test]
fn that_fails_its_syncs_refuses_new_calls_and_writes_the_rest_later() {
    a_disk_that(LOSES_SYNCS);
}
