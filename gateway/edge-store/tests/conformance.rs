//! The shipped backend does what every backend must.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use trunkline_edge_store::conformance::CHECKS;
use trunkline_edge_store::{DurableStore, EdgeStore, StoreOptions};

#[test]
fn every_check_of_the_suite_holds() {
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        let folder = tempfile::tempdir().unwrap();
        let outcome = check(
            &|path| Ok(Box::new(DurableStore::open(path, StoreOptions::default())?) as Box<dyn EdgeStore>),
            folder.path(),
        );
        if let Err(why) = outcome {
            failed.push(format!("{name}: {why}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_second_process_is_told_that_the_folder_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let _first = DurableStore::open(folder.path(), StoreOptions::default()).unwrap();
    let second = DurableStore::open(folder.path(), StoreOptions::default()).err().unwrap();
    assert!(matches!(second, trunkline_edge_store::StoreError::InUse { .. }), "{second}");
}
