//! What every backend must do, as checks that any backend's tests can run.
//!
//! [`CHECKS`] are one behaviour each on a fresh folder. [`crash`] holds the two halves of the kill test: a workload
//! that a child process runs until it is killed, and a ledger that plays the control plane and counts.

pub mod crash;
pub mod samples;

use std::path::Path;

use trunkline_api::object::Revision;
use trunkline_api::signature::{public_key, sign};
use trunkline_api::sync::{EnrolAnswer, Stream};
use trunkline_api::usage::EndReason;
use trunkline_api::{EventType, Failure, Id, Prefix};

use crate::{EdgeStore, StoreError};
pub use samples::{call_id, closed, event, open_record};

/// Opens the backend under test in a folder, again and again.
pub type Opener<'o> = &'o dyn Fn(&Path) -> Result<Box<dyn EdgeStore>, StoreError>;

/// One check: what it shows, and how.
pub type Check = (&'static str, fn(Opener<'_>, &Path) -> Result<(), String>);

/// Every check; each wants an empty folder of its own.
pub const CHECKS: &[Check] = &[
    ("a closed call is pending once and gone after its acknowledgement", closed_once),
    ("a second close of a call is refused", second_close),
    ("a checkpoint of a call that is not open is refused", stray_checkpoint),
    ("calls left open are closed as crashed with their last checkpoint, once", crashed_calls),
    ("a call whose record and event were written is not closed again", closed_before_the_crash),
    ("a call that had ended is not ended again for what was told of it afterwards", crashed_after_its_end),
    ("a call that was over when the process died stays as it ended", crashed_while_it_was_analysed),
    ("streams are gap-free and survive reopening", streams_survive),
    ("an acknowledgement of what was never sent is refused", beyond_offered),
    ("numbers that were offered are not used again", numbers_go_on),
    ("desired state is applied whole, survives and is dropped with another identity", desired_state),
    ("settings survive", settings),
    ("a record over the limit is refused and harms nobody", too_large),
];

macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
use ensure;

fn said(error: StoreError) -> String {
    error.to_string()
}

fn closed_once(open: Opener<'_>, folder: &Path) -> Result<(), String> {
    let store = open(folder).map_err(said)?;
    let record = open_record(1);
    store.open_call(&record).map_err(said)?;
    ensure!(store.open_calls().map_err(said)? == [record.clone()], "the call is not in the journal");
    store.close_call(closed(&record)).map_err(said)?;
    ensure!(store.open_calls().map_err(said)?.is_empty(), "the closed call is still in the journal");
    let batch = store.pending(Stream::Usage, 500).map_err(said)?.ok_or("nothing is pending")?;
    ensure!(batch.records.len() == 1 && batch.records[0].seq == 1, "expected one record with seq 1: {batch:?}");
    let expected = serde_json::to_value(closed(&record)).map_err(|error| error.to_string())?;
    ensure!(batch.records[0].body == expected, "the record changed on its way");
    for _ in 0..2 {
        store.acknowledge(Stream::Usage, batch.epoch, 1).map_err(said)?;
        ensure!(store.pending(Stream::Usage, 500).map_err(said)?.is_none(), "acknowledged records are pending");
    }
    drop(store);
    let store = open(folder).map_err(said)?;
    ensure!(store.recover().map_err(said)?.is_empty(), "a closed call was recovered");
    ensure!(store.pending(Stream::Usage, 500).map_err(said)?.is_none(), "acknowledged records came back");
    Ok(())
}

fn second_close(open: Opener<'_>, folder: &Path) -> Result<(), String> {
    let store = open(folder).map_err(said)?;
    let record = open_record(2);
    store.open_call(&record).map_err(said)?;
    store.close_call(closed(&record)).map_err(said)?;
    let again = store.close_call(closed(&record));
    ensure!(matches!(again, Err(StoreError::AlreadyClosed { .. })), "a second close gave {again:?}");
    let late = store.checkpoint(&record, 9);
    ensure!(late.is_err(), "a checkpoint after the close was taken");
    Ok(())
}

fn stray_checkpoint(open: Opener<'_>, folder: &Path) -> Result<(), String> {
    let store = open(folder).map_err(said)?;
    let stray = store.checkpoint(&open_record(3), 9);
    ensure!(matches!(stray, Err(StoreError::NotOpen { .. })), "a stray checkpoint gave {stray:?}");
    Ok(())
}

fn crashed_after_its_end(open: Opener<'_>, folder: &Path) -> Result<(), String> {
    {
        let store = open(folder).map_err(said)?;
        store.open_call(&open_record(6)).map_err(said)?;
        store.append_event(event(6, 1, EventType::CallStarted)).map_err(said)?;
        store.append_event(event(6, 2, EventType::CallEnded)).map_err(said)?;
        // A recording's file is complete after its call is over.
        store.append_event(event(6, 3, EventType::RecordingEnded)).map_err(said)?;
    }
    let store = open(folder).map_err(said)?;
    ensure!(store.recover().map_err(said)?.len() == 1, "the record was not closed");
    let events = store.pending(Stream::Events, 10).map_err(said)?.ok_or("no events")?;
    ensure!(events.records.len() == 3, "a call that had ended was ended again: {:?}", events.records.last());
    Ok(())
}

fn crashed_while_it_was_analysed(open: Opener<'_>, folder: &Path) -> Result<(), String> {
    let mut record = open_record(7);
    record.ended_us = Some(record.answered_us + 9_000_000);
    record.end = Some(EndReason::CallerHungUp);
    {
        let store = open(folder).map_err(said)?;
        store.open_call(&open_record(7)).map_err(said)?;
        store.append_event(event(7, 1, EventType::CallStarted)).map_err(said)?;
        store.append_event(event(7, 2, EventType::CallEnded)).map_err(said)?;
        store.checkpoint(&record, record.answered_us + 10_000_000).map_err(said)?;
    }
    let store = open(folder).map_err(said)?;
    let recovered = store.recover().map_err(said)?;
    ensure!(recovered == [record], "a call that was over became another: {recovered:?}");
    Ok(())
}

fn crashed_calls(open: Opener<'_>, folder: &Path) -> Result<(), String> {
    let mut checkpointed = open_record(4);
    let later = checkpointed.answered_us + 30_000_000;
    {
        let store = open(folder).map_err(said)?;
        store.open_call(&checkpointed).map_err(said)?;
        store.append_event(event(4, 1, EventType::CallStarted)).map_err(said)?;
        store.append_event(event(4, 2, EventType::CallAnswered)).map_err(said)?;
        checkpointed.turns = 7;
        store.checkpoint(&checkpointed, later).map_err(said)?;
        store.append_event(event(4, 3, EventType::CallerSilent)).map_err(said)?;
    }
    let store = open(folder).map_err(said)?;
    let recovered = store.recover().map_err(said)?;
    ensure!(recovered.len() == 1, "expected one recovered call, got {}", recovered.len());
    let record = &recovered[0];
    ensure!(record.turns == 7 && record.ended_us == Some(later), "not the last checkpoint: {record:?}");
    ensure!(
        record.end == Some(EndReason::Failed) && record.failure == Some(Failure::GatewayCrashed),
        "not closed as crashed: {record:?}"
    );
    ensure!(store.recover().map_err(said)?.is_empty(), "recovery closed the call twice");
    let usage = store.pending(Stream::Usage, 10).map_err(said)?.ok_or("no usage")?;
    ensure!(usage.records.len() == 1, "expected one usage record");
    let events = store.pending(Stream::Events, 10).map_err(said)?.ok_or("no events")?;
    let last = events.records.last().ok_or("no events")?;
    ensure!(
        last.body["type"] == EventType::CallEnded.name() && last.body["seq"] == 4 && events.records.len() == 4,
        "expected call.ended with seq 4: {last:?}"
    );
    ensure!(
        EventType::CallEnded.violations(&last.body["data"]).is_empty(),
        "call.ended does not fit the registry: {last:?}"
    );
    drop(store);
    let store = open(folder).map_err(said)?;
    ensure!(store.recover().map_err(said)?.is_empty(), "the call was recovered again after another start");
    Ok(())
}

fn closed_before_the_crash(open: Opener<'_>, folder: &Path) -> Result<(), String> {
    {
        let store = open(folder).map_err(said)?;
        store.open_call(&open_record(5)).map_err(said)?;
        store.append_event(event(5, 1, EventType::CallStarted)).map_err(said)?;
        store.append_event(event(5, 2, EventType::CallEnded)).map_err(said)?;
    }
    let store = open(folder).map_err(said)?;
    ensure!(store.recover().map_err(said)?.len() == 1, "the open call was not recovered");
    let events = store.pending(Stream::Events, 10).map_err(said)?.ok_or("no events")?;
    ensure!(events.records.len() == 2, "a second call.ended was written");
    Ok(())
}

fn streams_survive(open: Opener<'_>, folder: &Path) -> Result<(), String> {
    let mut epoch = 0;
    for round in 0..4_u64 {
        let store = open(folder).map_err(said)?;
        for step in 1..=50 {
            store.append_event(event(6, round * 50 + step, EventType::CallerSilent)).map_err(said)?;
        }
        store.open_call(&open_record(60 + round)).map_err(said)?;
        ensure!(round == 0 || store.health().epoch == epoch, "the epoch changed over a reopening");
        epoch = store.health().epoch;
        store.close_call(closed(&open_record(60 + round))).map_err(said)?;
    }
    let store = open(folder).map_err(said)?;
    let mut next = 1;
    while let Some(batch) = store.pending(Stream::Events, 33).map_err(said)? {
        ensure!(batch.records.len() <= 33 && batch.epoch == epoch, "a batch of {}", batch.records.len());
        for record in &batch.records {
            ensure!(record.seq == next && record.body["seq"] == next, "expected {next}, found {record:?}");
            next += 1;
        }
        store.acknowledge(Stream::Events, epoch, next - 1).map_err(said)?;
    }
    ensure!(next == 201, "expected 200 events, found {}", next - 1);
    ensure!(store.health().pending == [4, 0], "pending counts are {:?}", store.health().pending);
    Ok(())
}

fn beyond_offered(open: Opener<'_>, folder: &Path) -> Result<(), String> {
    let store = open(folder).map_err(said)?;
    store.open_call(&open_record(7)).map_err(said)?;
    store.close_call(closed(&open_record(7))).map_err(said)?;
    let batch = store.pending(Stream::Usage, 10).map_err(said)?.ok_or("no usage")?;
    let beyond = store.acknowledge(Stream::Usage, batch.epoch, 2);
    ensure!(matches!(beyond, Err(StoreError::BeyondOffered { .. })), "a mark beyond gave {beyond:?}");
    ensure!(store.pending(Stream::Usage, 10).map_err(said)? == Some(batch), "the record is gone");
    Ok(())
}

fn numbers_go_on(open: Opener<'_>, folder: &Path) -> Result<(), String> {
    for round in 0..3 {
        let store = open(folder).map_err(said)?;
        store.open_call(&open_record(80 + round)).map_err(said)?;
        store.close_call(closed(&open_record(80 + round))).map_err(said)?;
        let batch = store.pending(Stream::Usage, 10).map_err(said)?.ok_or("no usage")?;
        let seqs: Vec<u64> = batch.records.iter().map(|record| record.seq).collect();
        ensure!(seqs == [round + 1], "round {round} offered {seqs:?}");
        store.acknowledge(Stream::Usage, batch.epoch, round + 1).map_err(said)?;
    }
    Ok(())
}

fn desired_state(open: Opener<'_>, folder: &Path) -> Result<(), String> {
    let gateway = |n| EnrolAnswer {
        gateway: Id::mint(Prefix::Gateway, n, [1; 10]),
        credential: format!("secret-{n}"),
        trusted_keys: vec![public_key(&[7; 32])],
        control_plane: None,
    };
    let revision = |rev, base, upserts, removes| -> Result<_, String> {
        let revision = Revision { format: 1, gateway: gateway(1).gateway, rev, base, upserts, removes };
        let text = serde_json::to_string(&revision).map_err(|error| error.to_string())?;
        Ok((revision, sign(&[7; 32], text)))
    };
    let objects = samples::objects();
    {
        let store = open(folder).map_err(said)?;
        ensure!(store.identity().map_err(said)?.is_none(), "a fresh store has an identity");
        ensure!(store.objects().map_err(said)?.rev == 0, "a fresh store has a revision");
        store.put_identity(&gateway(1)).map_err(said)?;
        let (first, signed) = revision(5, None, objects.clone(), vec![])?;
        store.apply_revision(&first, &signed).map_err(said)?;
        let (second, signed) = revision(6, Some(5), vec![], vec![samples::reference(&objects[0])])?;
        store.apply_revision(&second, &signed).map_err(said)?;
    }
    let store = open(folder).map_err(said)?;
    let stored = store.objects().map_err(said)?;
    ensure!(stored.rev == 6 && stored.objects == objects[1..], "not the applied state: {stored:?}");
    ensure!(store.revisions().map_err(said)?.len() == 2, "the signed texts are gone");
    ensure!(store.identity().map_err(said)? == Some(gateway(1)), "the identity changed");
    let (third, signed) = revision(9, None, vec![objects[0].clone()], vec![])?;
    store.apply_revision(&third, &signed).map_err(said)?;
    ensure!(store.objects().map_err(said)?.objects == objects[..1], "a whole revision left old objects");
    store.put_identity(&gateway(2)).map_err(said)?;
    let stored = store.objects().map_err(said)?;
    ensure!(stored.rev == 0 && stored.objects.is_empty(), "another gateway's objects were kept");
    Ok(())
}

fn settings(open: Opener<'_>, folder: &Path) -> Result<(), String> {
    open(folder).map_err(said)?.put_setting("clock", b"-12").map_err(said)?;
    let store = open(folder).map_err(said)?;
    ensure!(store.setting("clock").map_err(said)?.as_deref() == Some(b"-12".as_slice()), "the setting is gone");
    ensure!(store.setting("other").map_err(said)?.is_none(), "a setting came from nowhere");
    Ok(())
}

fn too_large(open: Opener<'_>, folder: &Path) -> Result<(), String> {
    let store = open(folder).map_err(said)?;
    let mut huge = event(9, 1, EventType::TranscriptFinal);
    huge.data = serde_json::json!({ "text": "x".repeat(crate::MAX_BODY_BYTES) });
    let refused = store.submit(crate::Write::Event(std::sync::Arc::new(huge))).map_err(said)?.wait();
    ensure!(matches!(refused, Err(StoreError::TooLarge { .. })), "a huge record gave {refused:?}");
    let small = std::sync::Arc::new(event(9, 1, EventType::CallerSilent));
    let small = store.submit(crate::Write::Event(small)).map_err(said)?;
    small.wait().map_err(said)?;
    Ok(())
}
