//! The engines under comparison, each with its own way of making one record durable.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition};
use trunkline_api::Id;
use trunkline_api::sync::Stream;
use trunkline_api::usage::CallRecord;
use trunkline_edge_store::conformance::{closed, open_record};
use trunkline_edge_store::{DurableStore, EdgeStore, StoreOptions, Write};

const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");

/// Closed call records, one durable write each.
pub(crate) trait Engine {
    /// Opens or makes a store.
    fn open(folder: &Path) -> Result<Self>
    where
        Self: Sized;

    /// Writes records `numbers`, at most this many at once on their way, and returns when all are durable.
    fn put(&mut self, numbers: &[u64]) -> Result<()>;

    /// Every record as it is read back, and whether the engine said that something is missing or damaged.
    fn read(&mut self) -> Result<(Vec<CallRecord>, bool)>;

    /// What is damaged, one at a time: a name for the table and how the path of its newest file begins.
    const TARGETS: &'static [(&'static str, &'static str)];
}

/// The record `number`, 600 to 700 bytes of JSON.
pub(crate) fn record(number: u64) -> CallRecord {
    closed(&open_record(number))
}

/// What the gateway ships.
pub(crate) struct EdgeStoreEngine(DurableStore);

impl Engine for EdgeStoreEngine {
    const TARGETS: &'static [(&'static str, &'static str)] = &[("log", "usage/"), ("state", "state.redb")];

    fn open(folder: &Path) -> Result<Self> {
        Ok(Self(DurableStore::open(folder, StoreOptions::default())?))
    }

    fn put(&mut self, numbers: &[u64]) -> Result<()> {
        let submit = |&number| self.0.submit(Write::CloseCall(Box::new(record(number))));
        let completions = numbers.iter().map(submit).collect::<Result<Vec<_>, _>>()?;
        completions.into_iter().try_for_each(|completion| completion.wait())?;
        Ok(())
    }

    fn read(&mut self) -> Result<(Vec<CallRecord>, bool)> {
        let mut records = Vec::new();
        while let Some(batch) = self.0.pending(Stream::Usage, 500)? {
            let last = batch.records.last().context("an empty batch")?.seq;
            for record in batch.records.into_iter().filter(|record| !record.is_lost()) {
                records.push(serde_json::from_value(record.body)?);
            }
            self.0.acknowledge(Stream::Usage, batch.epoch, last)?;
        }
        Ok((records, !self.0.health().alarms.is_empty()))
    }
}

/// redb by itself, durability `Immediate`.
pub(crate) struct RedbEngine(redb::Database);

impl Engine for RedbEngine {
    const TARGETS: &'static [(&'static str, &'static str)] = &[("file", "records.redb")];

    fn open(folder: &Path) -> Result<Self> {
        Ok(Self(redb::Database::create(folder.join("records.redb"))?))
    }

    fn put(&mut self, numbers: &[u64]) -> Result<()> {
        let transaction = self.0.begin_write()?;
        {
            let mut table = transaction.open_table(RECORDS)?;
            for &number in numbers {
                table.insert(number, serde_json::to_vec(&record(number))?.as_slice())?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn read(&mut self) -> Result<(Vec<CallRecord>, bool)> {
        let transaction = self.0.begin_read()?;
        let mut records = Vec::new();
        let mut damaged = false;
        for entry in transaction.open_table(RECORDS)?.iter()? {
            match serde_json::from_slice(entry?.1.value()) {
                Ok(record) => records.push(record),
                Err(_) => damaged = true,
            }
        }
        Ok((records, damaged))
    }
}

/// sled 0.34.7: `insert`, then `flush`, which it documents as durable.
pub(crate) struct SledEngine(sled::Db);

impl Engine for SledEngine {
    const TARGETS: &'static [(&'static str, &'static str)] = &[("log", "sled/db"), ("snapshot", "sled/snap")];

    fn open(folder: &Path) -> Result<Self> {
        Ok(Self(sled::open(folder.join("sled"))?))
    }

    fn put(&mut self, numbers: &[u64]) -> Result<()> {
        for &number in numbers {
            self.0.insert(number.to_be_bytes(), serde_json::to_vec(&record(number))?)?;
        }
        self.0.flush()?;
        Ok(())
    }

    fn read(&mut self) -> Result<(Vec<CallRecord>, bool)> {
        let mut records = Vec::new();
        let mut damaged = false;
        for entry in self.0.iter() {
            match serde_json::from_slice(&entry?.1) {
                Ok(record) => records.push(record),
                Err(_) => damaged = true,
            }
        }
        Ok((records, damaged))
    }
}

/// How a store took damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Every record is there and right.
    Whole,
    /// It opened, what it returned was right, and it said that something is gone.
    LostAndSaidSo,
    /// It opened and records are missing without a word.
    LostSilently,
    /// It opened and returned a wrong record without a word.
    Wrong,
    /// It did not open, or gave up while reading.
    Refused,
}

/// Compares what was read with what was written; also says how many records are missing.
pub(crate) fn judge(read: Result<(Vec<CallRecord>, bool)>, written: u64) -> (Verdict, u64) {
    let Ok((records, said_so)) = read else { return (Verdict::Refused, written) };
    let expected: BTreeMap<Id, CallRecord> =
        (1..=written).map(record).map(|record| (record.call.clone(), record)).collect();
    let right = records.iter().filter(|found| expected.get(&found.call) == Some(found)).count();
    let lost = written.saturating_sub(right as u64);
    let verdict = match (right == records.len(), lost, said_so) {
        (false, ..) => Verdict::Wrong,
        (true, 0, _) => Verdict::Whole,
        (true, _, true) => Verdict::LostAndSaidSo,
        (true, _, false) => Verdict::LostSilently,
    };
    (verdict, lost)
}
