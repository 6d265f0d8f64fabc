//! The state file: redb tables whose every value carries a CRC32C, since the engine does not check what it reads.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use redb::{Database, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError};
use serde::{Deserialize, Serialize};
use trunkline_api::object::{Object, ObjectRef, Revision};
use trunkline_api::signature::Signed;
use trunkline_api::sync::{EnrolAnswer, Stream};

use crate::StoreError;
use crate::log::Marks;
use crate::renumbering::{Numbering, Renumbered};
use crate::store::StoredObjects;

type Table = TableDefinition<'static, &'static str, &'static [u8]>;

/// Format, epoch, applied revision, identity.
const META: Table = TableDefinition::new("meta");
const OBJECTS: Table = TableDefinition::new("objects");
const REVISIONS: Table = TableDefinition::new("revisions");
const SETTINGS: Table = TableDefinition::new("settings");
const MARKS: Table = TableDefinition::new("marks");
/// Epochs that go up under other numbers.
const RENUMBERED: Table = TableDefinition::new("renumbered");
/// The journal of open calls; never copied, since an old journal would close calls twice.
const OPEN_CALLS: Table = TableDefinition::new("open_calls");
const COPIED: [Table; 5] = [META, OBJECTS, REVISIONS, SETTINGS, RENUMBERED];

const FORMAT: u32 = 1;
const KEPT_REVISIONS: usize = 64;
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// A change of one table's key: a new value, or none.
pub(crate) type Change = (String, Option<Vec<u8>>);

/// The state file, open.
#[derive(Clone)]
pub(crate) struct State(Arc<Database>);

#[derive(Serialize, Deserialize)]
struct StoredMarks {
    stream: Stream,
    epoch: u64,
    acked: u64,
    offered: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredNumbering {
    stream: Stream,
    epoch: u64,
    sent_as: Numbering,
}

impl State {
    /// Opens or makes the file and checks every page of it. `Err` means that it cannot be used.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        // A damaged page may also show itself as a panic inside the engine; to us both are an open failure.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
            let mut database = Database::builder().set_cache_size(CACHE_BYTES).create_file(file)?;
            database.check_integrity()?;
            Ok::<_, redb::Error>(Self(Arc::new(database)))
        }));
        let state = match opened {
            Ok(Ok(state)) => state,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("the file's pages are inconsistent".to_owned()),
        };
        match state.number("format") {
            Ok(None) => state.put(META, "format", &FORMAT).map_err(|error| error.to_string())?,
            Ok(Some(found)) if found <= u64::from(FORMAT) => {}
            Ok(Some(found)) => return Err(format!("format {found} is later than this build's {FORMAT}")),
            Err(error) => return Err(error.to_string()),
        }
        Ok(state)
    }

    pub(crate) fn epoch(&self) -> Result<Option<u64>, StoreError> {
        self.number("epoch")
    }

    pub(crate) fn put_epoch(&self, epoch: u64) -> Result<(), StoreError> {
        self.put(META, "epoch", &epoch)
    }

    /// Makes the next fetch a whole one: the objects stay in service, their revision is forgotten.
    pub(crate) fn forget_revision(&self) -> Result<(), StoreError> {
        self.put(META, "rev", &0_u64)
    }

    fn number(&self, key: &str) -> Result<Option<u64>, StoreError> {
        self.get(META, key)
    }

    pub(crate) fn identity(&self) -> Result<Option<EnrolAnswer>, StoreError> {
        self.get(META, "identity")
    }

    /// Stores what changed of the same gateway's identity.
    pub(crate) fn put_identity(&self, identity: &EnrolAnswer) -> Result<(), StoreError> {
        self.put(META, "identity", identity)
    }

    /// Stores that this is another gateway now, with the numbers its backlog goes up under: all of it or nothing.
    pub(crate) fn put_other_identity(
        &self,
        identity: &EnrolAnswer,
        renumbered: &[(Stream, Renumbered)],
    ) -> Result<(), StoreError> {
        self.commit(Durability::Immediate, |transaction| {
            for table in [OBJECTS, REVISIONS, RENUMBERED] {
                transaction.delete_table(table)?;
            }
            let mut numbers = transaction.open_table(RENUMBERED)?;
            for (stream, epochs) in renumbered {
                for (&epoch, &sent_as) in epochs {
                    let stored = StoredNumbering { stream: *stream, epoch, sent_as };
                    put_sealed(&mut numbers, RENUMBERED, &epoch_key(*stream, epoch), &stored)?;
                }
            }
            let mut meta = transaction.open_table(META)?;
            put_sealed(&mut meta, META, "rev", &0_u64)?;
            put_sealed(&mut meta, META, "identity", identity)
        })
    }

    /// A stream's epochs that go up under other numbers.
    pub(crate) fn renumbered(&self, stream: Stream) -> Result<(Renumbered, Vec<String>), StoreError> {
        let (stored, damaged) = self.all::<StoredNumbering>(RENUMBERED)?;
        let of_stream = stored.into_values().filter(|stored| stored.stream == stream);
        Ok((of_stream.map(|stored| (stored.epoch, stored.sent_as)).collect(), damaged))
    }

    pub(crate) fn setting(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.raw(SETTINGS, key)
    }

    pub(crate) fn put_setting(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.commit(Durability::Immediate, |transaction| {
            let sealed = seal(SETTINGS, key, value);
            transaction.open_table(SETTINGS)?.insert(key, sealed.as_slice())?;
            Ok(())
        })
    }

    pub(crate) fn apply_revision(&self, revision: &Revision, signed: &Signed) -> Result<(), StoreError> {
        self.commit(Durability::Immediate, |transaction| {
            if revision.base.is_none() {
                transaction.delete_table(OBJECTS)?;
            }
            let mut objects = transaction.open_table(OBJECTS)?;
            for gone in &revision.removes {
                objects.remove(object_key(gone).as_str())?;
            }
            for object in &revision.upserts {
                let key = object_key(&ObjectRef { kind: object.kind, id: object.id.clone() });
                put_sealed(&mut objects, OBJECTS, &key, object)?;
            }
            let mut revisions = transaction.open_table(REVISIONS)?;
            put_sealed(&mut revisions, REVISIONS, &format!("{:020}", revision.rev), signed)?;
            let keys: Vec<String> =
                revisions.iter()?.map(|entry| Ok(entry?.0.value().to_owned())).collect::<Result<_, redb::Error>>()?;
            for old in keys.iter().take(keys.len().saturating_sub(KEPT_REVISIONS)) {
                revisions.remove(old.as_str())?;
            }
            put_sealed(&mut transaction.open_table(META)?, META, "rev", &revision.rev)
        })
    }

    /// The objects; a damaged one is left out and named, and the revision is then 0.
    pub(crate) fn objects(&self) -> Result<(StoredObjects, Vec<String>), StoreError> {
        let (objects, damaged) = self.all::<Object>(OBJECTS)?;
        let rev = if damaged.is_empty() { self.number("rev").unwrap_or(None).unwrap_or(0) } else { 0 };
        let mut objects: Vec<Object> = objects.into_values().collect();
        objects.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
        Ok((StoredObjects { rev, objects }, damaged))
    }

    pub(crate) fn revisions(&self) -> Result<Vec<Signed>, StoreError> {
        Ok(self.all::<Signed>(REVISIONS)?.0.into_values().collect())
    }

    pub(crate) fn marks(&self, stream: Stream) -> Result<(BTreeMap<u64, Marks>, Vec<String>), StoreError> {
        let (stored, damaged) = self.all::<StoredMarks>(MARKS)?;
        let marks = stored
            .into_values()
            .filter(|mark| mark.stream == stream)
            .map(|mark| (mark.epoch, Marks { acked: mark.acked, offered: mark.offered }))
            .collect();
        Ok((marks, damaged))
    }

    pub(crate) fn put_marks(&self, stream: Stream, epoch: u64, marks: Marks) -> Result<(), StoreError> {
        let stored = StoredMarks { stream, epoch, acked: marks.acked, offered: marks.offered };
        self.put(MARKS, &epoch_key(stream, epoch), &stored)
    }

    /// Applies changes to the journal of open calls.
    pub(crate) fn journal(&self, durability: Durability, changes: &[Change]) -> Result<(), StoreError> {
        self.commit(durability, |transaction| {
            let mut calls = transaction.open_table(OPEN_CALLS)?;
            for (call, value) in changes {
                match value {
                    Some(value) => {
                        calls.insert(call.as_str(), seal(OPEN_CALLS, call, value).as_slice())?;
                    }
                    None => {
                        calls.remove(call.as_str())?;
                    }
                }
            }
            Ok(())
        })
    }

    pub(crate) fn open_calls<T: serde::de::DeserializeOwned>(
        &self,
    ) -> Result<(BTreeMap<String, T>, Vec<String>), StoreError> {
        self.all(OPEN_CALLS)
    }

    /// Writes what can be restored into a fresh file at `path`.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let _ = std::fs::remove_file(path);
        let copy = Self::open(path).map_err(StoreError::unavailable)?;
        let reading = self.0.begin_read().map_err(StoreError::unavailable)?;
        copy.commit(Durability::Immediate, |transaction| {
            for table in COPIED {
                let source = match reading.open_table(table) {
                    Ok(source) => source,
                    Err(TableError::TableDoesNotExist(_)) => continue,
                    Err(error) => return Err(error.into()),
                };
                let mut target = transaction.open_table(table)?;
                for entry in source.iter()? {
                    let (key, value) = entry?;
                    target.insert(key.value(), value.value())?;
                }
            }
            Ok(())
        })
    }

    fn put<T: Serialize>(&self, table: Table, key: &str, value: &T) -> Result<(), StoreError> {
        self.commit(Durability::Immediate, |transaction| {
            put_sealed(&mut transaction.open_table(table)?, table, key, value)
        })
    }

    fn get<T: serde::de::DeserializeOwned>(&self, table: Table, key: &str) -> Result<Option<T>, StoreError> {
        match self.raw(table, key)? {
            None => Ok(None),
            Some(payload) => serde_json::from_slice(&payload).map(Some).map_err(|_| damaged(key)),
        }
    }

    fn raw(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let reading = self.0.begin_read().map_err(StoreError::unavailable)?;
        let table_now = match reading.open_table(table) {
            Ok(found) => found,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(StoreError::unavailable(error)),
        };
        match table_now.get(key).map_err(StoreError::unavailable)? {
            None => Ok(None),
            Some(value) => unseal(table, key, value.value()).map(|payload| Some(payload.to_vec())),
        }
    }

    /// Every value of a table by key, and the keys of those that are damaged.
    fn all<T: serde::de::DeserializeOwned>(
        &self,
        table: Table,
    ) -> Result<(BTreeMap<String, T>, Vec<String>), StoreError> {
        let (mut values, mut bad) = (BTreeMap::new(), Vec::new());
        let reading = self.0.begin_read().map_err(StoreError::unavailable)?;
        let table_now = match reading.open_table(table) {
            Ok(found) => found,
            Err(TableError::TableDoesNotExist(_)) => return Ok((values, bad)),
            Err(error) => return Err(StoreError::unavailable(error)),
        };
        for entry in table_now.iter().map_err(StoreError::unavailable)? {
            let (key, value) = entry.map_err(StoreError::unavailable)?;
            let key = key.value().to_owned();
            let payload = unseal(table, &key, value.value()).ok();
            match payload.and_then(|payload| serde_json::from_slice(payload).ok()) {
                Some(value) => {
                    values.insert(key, value);
                }
                None => bad.push(format!("{}/{key}", redb::TableHandle::name(&table))),
            }
        }
        Ok((values, bad))
    }

    fn commit(
        &self,
        durability: Durability,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let apply = || -> Result<(), redb::Error> {
            let mut transaction = self.0.begin_write()?;
            transaction.set_durability(durability)?;
            change(&transaction)?;
            transaction.commit()?;
            Ok(())
        };
        apply().map_err(StoreError::unavailable)
    }
}

fn put_sealed<T: Serialize>(
    open: &mut redb::Table<'_, &'static str, &'static [u8]>,
    table: Table,
    key: &str,
    value: &T,
) -> Result<(), redb::Error> {
    let json = serde_json::to_vec(value).map_err(|error| redb::Error::Io(error.into()))?;
    open.insert(key, seal(table, key, &json).as_slice())?;
    Ok(())
}

fn checksum(table: Table, key: &str, payload: &[u8]) -> u32 {
    let name = crc32c::crc32c(redb::TableHandle::name(&table).as_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(name, key.as_bytes()), payload)
}

/// Checksum, then payload. The checksum also covers where the value belongs.
fn seal(table: Table, key: &str, payload: &[u8]) -> Vec<u8> {
    let mut sealed = checksum(table, key, payload).to_le_bytes().to_vec();
    sealed.extend_from_slice(payload);
    sealed
}

fn unseal<'v>(table: Table, key: &str, sealed: &'v [u8]) -> Result<&'v [u8], StoreError> {
    match sealed.split_first_chunk::<4>() {
        Some((crc, payload)) if u32::from_le_bytes(*crc) == checksum(table, key, payload) => Ok(payload),
        _ => Err(damaged(key)),
    }
}

fn damaged(what: &str) -> StoreError {
    StoreError::Damaged { what: what.to_owned() }
}

fn epoch_key(stream: Stream, epoch: u64) -> String {
    format!("{}/{epoch:016x}", stream.as_str())
}

fn object_key(object: &ObjectRef) -> String {
    let kind = serde_json::to_value(object.kind).ok();
    format!("{}/{}", kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or("?"), object.id)
}
