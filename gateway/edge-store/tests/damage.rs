//! Whatever happens to the files, the gateway boots, keeps what can be proved and says what it lost.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::Path;

use trunkline_api::object::{Kind, Object, Revision};
use trunkline_api::signature::{public_key, sign};
use trunkline_api::sync::{EnrolAnswer, Stream};
use trunkline_api::{EventType, Id, Prefix};
use trunkline_edge_store::conformance::{closed, event, open_record};
use trunkline_edge_store::{DurableStore, EdgeStore, StoreOptions};

fn open(folder: &Path) -> DurableStore {
    DurableStore::open(folder, StoreOptions::default()).unwrap()
}

fn identity() -> EnrolAnswer {
    EnrolAnswer {
        gateway: Id::mint(Prefix::Gateway, 1, [1; 10]),
        credential: "secret".to_owned(),
        trusted_keys: vec![public_key(&[7; 32])],
        control_plane: None,
    }
}

fn revision() -> Revision {
    let tenant = Id::mint(Prefix::Tenant, 1, [1; 10]);
    let object = Object {
        kind: Kind::Tenant,
        id: tenant.clone(),
        tenant,
        version: 1,
        sha256: String::new(),
        body: serde_json::json!({ "name": "one" }),
    };
    Revision { format: 1, gateway: identity().gateway, rev: 12, base: None, upserts: vec![object], removes: vec![] }
}

/// A store with everything in it: identity, state, a closed call, an open call, events.
fn filled(folder: &Path) -> u64 {
    let store = open(folder);
    store.put_identity(&identity()).unwrap();
    let signed = sign(&[7; 32], serde_json::to_string(&revision()).unwrap());
    store.apply_revision(&revision(), &signed).unwrap();
    store.open_call(&open_record(1)).unwrap();
    store.close_call(closed(&open_record(1))).unwrap();
    store.open_call(&open_record(2)).unwrap();
    store.append_event(event(2, 1, EventType::CallStarted)).unwrap();
    store.health().epoch
}

fn alarms(store: &DurableStore) -> Vec<&'static str> {
    store.health().alarms.iter().map(|alarm| alarm.name).collect()
}

fn usage(store: &DurableStore) -> Vec<(u64, u64, serde_json::Value)> {
    let batch = store.pending(Stream::Usage, 500).unwrap();
    batch.map_or_else(Vec::new, |batch| {
        batch.records.into_iter().map(|record| (batch.epoch, record.seq, record.body["call"].clone())).collect()
    })
}

/// The state file after `spoil`: identity and objects come from the copy, and the closed call is still there.
fn restored_after(spoil: impl Fn(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let epoch = filled(folder.path());
    spoil(&folder.path().join("state.redb"));
    let store = open(folder.path());
    assert_eq!(alarms(&store), ["state_restored"], "{:?}", store.health().alarms);
    assert_eq!(store.identity().unwrap(), Some(identity()));
    let stored = store.objects().unwrap();
    assert_eq!((stored.rev, stored.objects), (0, revision().upserts), "state serves and is fetched anew");
    store.recover().unwrap();
    assert_eq!(usage(&store), [(epoch, 1, serde_json::to_value(open_record(1).call).unwrap())]);
    store.acknowledge(Stream::Usage, epoch, 1).unwrap();
    store.open_call(&open_record(3)).unwrap();
    store.close_call(closed(&open_record(3))).unwrap();
    let records = usage(&store);
    assert_eq!(records.len(), 1);
    assert_ne!(records[0].0, epoch, "numbers of the old epoch may have been used after the copy was made");
}

#[test]
fn a_truncated_state_file_is_replaced_by_its_copy() {
    restored_after(|path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() / 2 + 100]).unwrap();
    });
}

#[test]
fn a_state_file_of_garbage_is_replaced_by_its_copy() {
    restored_after(|path| std::fs::write(path, vec![0x5a; 70_000]).unwrap());
}

#[test]
fn a_missing_state_file_is_replaced_by_its_copy() {
    restored_after(|path| std::fs::remove_file(path).unwrap());
}

#[test]
fn with_state_and_copy_lost_the_gateway_boots_and_still_has_its_usage() {
    let folder = tempfile::tempdir().unwrap();
    let epoch = filled(folder.path());
    for file in ["state.redb", "state.copy.redb"] {
        std::fs::write(folder.path().join(file), b"not a database").unwrap();
    }
    let store = open(folder.path());
    assert_eq!(alarms(&store), ["state_lost"]);
    assert!(store.identity().unwrap().is_none() && store.objects().unwrap().objects.is_empty());
    assert_eq!(usage(&store).len(), 1);
    assert_eq!(usage(&store)[0].0, epoch);
    assert!(folder.path().join("damaged").read_dir().unwrap().count() >= 1, "the damaged file was not kept");
}

#[test]
fn one_changed_byte_anywhere_in_the_state_file_never_gives_a_wrong_value() {
    let pristine = tempfile::tempdir().unwrap();
    filled(pristine.path());
    let bytes = std::fs::read(pristine.path().join("state.redb")).unwrap();
    let used: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] != 0).collect();
    let mut noticed = 0;
    for round in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        for file in ["format", "state.copy.redb"] {
            std::fs::copy(pristine.path().join(file), folder.path().join(file)).unwrap();
        }
        let mut damaged = bytes.clone();
        damaged[used[(round * 7919 + 13) % used.len()]] ^= 0x20;
        std::fs::write(folder.path().join("state.redb"), damaged).unwrap();
        let store = open(folder.path());
        assert_eq!(store.identity().ok().flatten().unwrap_or_else(identity), identity());
        for object in store.objects().unwrap().objects {
            assert_eq!(object, revision().upserts[0]);
        }
        noticed += usize::from(!alarms(&store).is_empty());
    }
    assert!(noticed > 0, "no change was noticed, so the changes missed everything");
}

#[test]
fn a_folder_of_a_later_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    std::fs::write(folder.path().join("format"), "2\n").unwrap();
    let refused = DurableStore::open(folder.path(), StoreOptions::default()).err().unwrap();
    assert!(matches!(refused, trunkline_edge_store::StoreError::Format { .. }), "{refused}");
}
