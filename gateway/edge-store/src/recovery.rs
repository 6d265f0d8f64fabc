//! After a crash: every call that was left open gets its closed record and its last event, exactly once.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use trunkline_api::event::EventTime;
use trunkline_api::sync::Stream;
use trunkline_api::usage::{CallRecord, EndReason, Units};
use trunkline_api::{Event, EventType, Failure, Id, Prefix};

use crate::StoreError;
use crate::journal::{Entry, EventMark};
use crate::writer::Writer;

/// As much of a closed record as tells whose it is.
#[derive(Deserialize)]
struct Closed {
    call: String,
}

/// Closes what an earlier process left open.
pub(crate) fn recover(writer: &mut Writer) -> Result<Vec<CallRecord>, StoreError> {
    if writer.journal.leftover.is_empty() {
        return Ok(Vec::new());
    }
    let leftover = writer.journal.leftover.clone();
    let closed = closed_already(writer, &leftover)?;
    let marks = last_events(writer, &leftover)?;
    let mut records = Vec::new();
    let mut appended = Vec::new();
    for (call, entry) in leftover.iter().filter(|(call, _)| !closed.contains(*call)) {
        let mark = marks.get(call).copied().or(entry.mark);
        let record = crashed(entry, mark);
        if !mark.is_some_and(|mark| mark.ended) {
            let event = ended(entry, &record, mark)?;
            appended.push((Stream::Events, serde_json::to_vec(&event).map_err(StoreError::unavailable)?));
        }
        appended.push((Stream::Usage, serde_json::to_vec(&record).map_err(StoreError::unavailable)?));
        records.push(record);
    }
    writer.append_and_forget(&appended, leftover.keys().cloned().collect())?;
    for entry in leftover.values() {
        writer.journal.closing(&entry.record.call);
        writer.journal.forget_open(&entry.record.call);
    }
    writer.journal.leftover.clear();
    writer.count_open_calls();
    Ok(records)
}

/// Calls whose closed record is in the log already: the process died before it deleted the journal row.
fn closed_already(writer: &Writer, leftover: &BTreeMap<String, Entry>) -> Result<BTreeSet<String>, StoreError> {
    let from = leftover.values().map(|entry| entry.usage_segment).min().unwrap_or(0);
    let mut closed = BTreeSet::new();
    let visited = writer.shared.log(Stream::Usage).visit(from, |body| {
        if let Ok(found) = serde_json::from_slice::<Closed>(body)
            && leftover.contains_key(&found.call)
        {
            closed.insert(found.call);
        }
    });
    visited.map_err(StoreError::unavailable)?;
    Ok(closed)
}

fn last_events(writer: &Writer, leftover: &BTreeMap<String, Entry>) -> Result<BTreeMap<String, EventMark>, StoreError> {
    let from = leftover.values().map(|entry| entry.events_segment).min().unwrap_or(0);
    let mut marks: BTreeMap<String, EventMark> =
        leftover.iter().filter_map(|(call, entry)| Some((call.clone(), entry.mark?))).collect();
    let visited = writer.shared.log(Stream::Events).visit(from, |body| {
        let Ok(event) = serde_json::from_slice::<Event>(body) else { return };
        let call = event.call.to_string();
        if leftover.contains_key(&call) && marks.get(&call).is_none_or(|mark| mark.seq < event.seq) {
            let before = marks.get(&call).copied();
            marks.insert(call, EventMark::of(&event, before));
        }
    });
    visited.map_err(StoreError::unavailable)?;
    Ok(marks)
}

/// The record of a call that the crash ended: it lasted until its last checkpoint or event, whichever came later, and is
/// billed for that.
fn crashed(entry: &Entry, mark: Option<EventMark>) -> CallRecord {
    if entry.record.ended_us.is_some() {
        // The call was over; only what was being found out about it is lost.
        return entry.record.clone();
    }
    let seen_us = mark.map_or(entry.at_us, |mark| mark.wall_us.max(entry.at_us));
    let ended_us = seen_us.max(entry.record.answered_us);
    let mut record = CallRecord {
        ended_us: Some(ended_us),
        end: Some(EndReason::Failed),
        failure: Some(Failure::GatewayCrashed),
        ..entry.record.clone()
    };
    let lasted_ms = (ended_us - entry.record.answered_us) / 1000;
    let unbilled_ms = lasted_ms.saturating_sub(record.total().call_ms);
    if unbilled_ms > 0 {
        record.add_usage("", "call", &Units { call_ms: unbilled_ms, ..Units::default() });
    }
    record
}

fn ended(entry: &Entry, record: &CallRecord, mark: Option<EventMark>) -> Result<Event, StoreError> {
    let ended_us = record.ended_us.unwrap_or(entry.at_us);
    let at = match mark {
        Some(last) => {
            let wall_us = ended_us.max(last.wall_us);
            EventTime { wall_us, call_us: last.call_us + (wall_us - last.wall_us) }
        }
        None => EventTime { wall_us: ended_us, call_us: ended_us - record.answered_us },
    };
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(StoreError::unavailable)?;
    Ok(Event {
        id: Id::mint(Prefix::Event, at.wall_us / 1000, random),
        v: 1,
        tenant: record.tenant.clone(),
        call: record.call.clone(),
        seq: mark.map_or(1, |last| last.seq + 1),
        kind: EventType::CallEnded.name().to_owned(),
        at,
        leg: None,
        turn: None,
        data: serde_json::json!({
            "reason": EndReason::Failed,
            "failure": Failure::GatewayCrashed.name(),
            "duration_ms": ended_us.saturating_sub(record.answered_us) / 1000,
        }),
    })
}

#[cfg(test)]
mod tests {
    use trunkline_api::EventType;
    use trunkline_api::sync::Stream;

    use crate::conformance::samples;
    use crate::{DurableStore, EdgeStore, StoreOptions};

    #[test]
    fn calls_that_a_crash_left_open_count_until_they_are_recovered_and_no_longer() {
        let root = tempfile::tempdir().unwrap();
        let store = DurableStore::open(root.path(), StoreOptions::default()).unwrap();
        for n in 1..=3 {
            store.open_call(&samples::open_record(n)).unwrap();
        }
        // What was answered a moment ago has a checkpoint, and is billed up to it.
        let mut used = samples::open_record(1);
        used.add_usage("", "call", &trunkline_api::usage::Units { call_ms: 4000, ..Default::default() });
        store.checkpoint(&used, used.answered_us + 4_000_000).unwrap();
        drop(store);
        let store = DurableStore::open(root.path(), StoreOptions::default()).unwrap();
        assert_eq!(store.health().open_calls, 3);
        let closed = store.recover().unwrap();
        assert_eq!((closed.len(), store.health().open_calls), (3, 0));
        let first = closed.iter().find(|record| record.call == used.call).unwrap();
        assert_eq!((first.total().call_ms, first.ended_us), (4000, Some(used.answered_us + 4_000_000)));
    }

    #[test]
    fn who_is_killed_again_while_it_recovers_bills_nobody_twice() {
        let root = tempfile::tempdir().unwrap();
        let open = || {
            // A record or two fill a segment.
            let options = StoreOptions { segment_bytes: 1024, ..StoreOptions::default() };
            DurableStore::open(root.path(), options).unwrap()
        };
        let upload = |store: &DurableStore| {
            let mut went_up = Vec::new();
            for stream in Stream::ALL {
                while let Some(batch) = store.pending(stream, 100).unwrap() {
                    store.acknowledge(stream, batch.epoch, batch.records.last().unwrap().seq).unwrap();
                    went_up.extend(batch.records.into_iter().map(|record| (stream, record.body)));
                }
            }
            went_up
        };
        let store = open();
        for n in 1..=20 {
            let record = samples::open_record(n);
            store.open_call(&record).unwrap();
            store.append_event(samples::event(n, 1, EventType::CallEnded)).unwrap();
            store.close_call(samples::closed(&record)).unwrap();
        }
        // Whatever there was is gone up, and its segments with it.
        upload(&store);
        store.open_call(&samples::open_record(21)).unwrap();
        drop(store);
        let state = root.path().join("state.redb");
        let as_it_was = std::fs::read(&state).unwrap();
        assert_eq!(open().recover().unwrap().len(), 1);
        // The process died before it had deleted the row of the journal.
        std::fs::write(&state, as_it_was).unwrap();
        let store = open();
        assert_eq!(store.recover().unwrap(), []);
        let went_up = upload(&store);
        assert_eq!(went_up.iter().filter(|record| record.0 == Stream::Usage).count(), 1, "{went_up:?}");
        assert_eq!(went_up.iter().filter(|record| record.0 == Stream::Events).count(), 1, "{went_up:?}");
    }

    #[test]
    fn a_call_that_was_killed_before_its_first_checkpoint_is_billed_up_to_its_last_event() {
        let root = tempfile::tempdir().unwrap();
        let store = DurableStore::open(root.path(), StoreOptions::default()).unwrap();
        let record = samples::open_record(1);
        store.open_call(&record).unwrap();
        let mut event = samples::event(1, 1, EventType::CallAnswered);
        event.call = record.call.clone();
        event.at.wall_us = record.answered_us + 2_500_000;
        store.append_event(event).unwrap();
        drop(store);
        let store = DurableStore::open(root.path(), StoreOptions::default()).unwrap();
        let closed = store.recover().unwrap();
        assert_eq!(closed[0].ended_us, Some(record.answered_us + 2_500_000));
        assert_eq!(closed[0].total().call_ms, 2500);
    }
}
