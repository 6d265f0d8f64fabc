//! Ended calls as the edge store has them: looked up for `trunkline trace`, listed for `trunkline usage`, and, without
//! a control plane, kept within the bounds of `[history]`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use trunkline_api::sync::Stream;
use trunkline_api::usage::{CallRecord, UsageRecord};
use trunkline_api::{Event, Id};
use trunkline_edge_store::{EdgeStore, Position};

use crate::config::History;

/// How often room is made.
const EVERY: Duration = Duration::from_secs(60);
/// Most events of one call that are shown.
const MAX_EVENTS: usize = 10_000;
/// Most records of one page.
const MAX_PAGE: usize = 1000;

/// Keeps the store within bounds, for a gateway that nobody takes records from.
pub(crate) fn keep_bounded(store: &Arc<dyn EdgeStore>, bounds: &History, tokio: &Handle) -> anyhow::Result<()> {
    if store.identity()?.is_some() {
        tracing::warn!(
            "this gateway is enrolled and `control_plane.url` is empty: its records wait for that control plane and are \
             kept whatever their size"
        );
        return Ok(());
    }
    let (store, bounds) = (Arc::downgrade(store), bounds.clone());
    tokio.spawn(async move {
        let mut rounds = tokio::time::interval(EVERY);
        loop {
            rounds.tick().await;
            let Some(store) = store.upgrade() else { return };
            let bounds = bounds.clone();
            let _ = tokio::task::spawn_blocking(move || make_room(store.as_ref(), &bounds)).await;
        }
    });
    Ok(())
}

fn make_room(store: &dyn EdgeStore, bounds: &History) {
    for (stream, mib) in [(Stream::Usage, bounds.usage_mib), (Stream::Events, bounds.events_mib)] {
        match store.retire(stream, u64::from(mib) * 1024 * 1024) {
            Ok(0) => {}
            Ok(records) if stream == Stream::Usage => tracing::warn!(
                records,
                "the oldest usage records made room (history.usage_mib); `trunkline usage` still has their sums"
            ),
            Ok(records) => tracing::info!(records, "the oldest timeline events made room (history.events_mib)"),
            Err(error) => tracing::error!(%error, stream = stream.as_str(), "no room could be made in the edge store"),
        }
    }
}

/// What the store has of a call, in the form of `GET /v1/calls/{id}`; `None` when it has nothing.
pub(crate) fn call(store: &dyn EdgeStore, id: &Id) -> anyhow::Result<Option<Value>> {
    let mut events: Vec<Event> = Vec::new();
    for_call(store, Stream::Events, id, &mut |body| {
        events.extend(serde_json::from_slice::<Event>(body).ok().filter(|event| event.call == *id));
        events.len() < MAX_EVENTS
    })?;
    let mut record: Option<CallRecord> = None;
    for_call(store, Stream::Usage, id, &mut |body| {
        record = serde_json::from_slice::<CallRecord>(body).ok().filter(|record| record.call == *id);
        record.is_none()
    })?;
    if events.is_empty() && record.is_none() {
        return Ok(None);
    }
    Ok(Some(json!({ "call": record, "events": events, "ladder": null })))
}

/// Visits the records that name a call. The text is looked at first: reading every record as JSON would take long.
fn for_call(store: &dyn EdgeStore, stream: Stream, id: &Id, take: &mut dyn FnMut(&[u8]) -> bool) -> anyhow::Result<()> {
    let name = id.to_string();
    let mut visit = |_, body: &[u8]| !std::str::from_utf8(body).is_ok_and(|text| text.contains(&name)) || take(body);
    Ok(store.history(stream, None, &mut visit)?)
}

/// Why there is nothing of a call, truthfully.
pub(crate) fn nothing_of(store: &dyn EdgeStore, control_plane: &str) -> String {
    if !control_plane.is_empty() {
        return format!(
            "no call of that id here; calls that have ended are in the control plane at {control_plane} once they were \
             sent there"
        );
    }
    let mut oldest = None;
    let mut first = |_, body: &[u8]| {
        oldest = serde_json::from_slice::<Event>(body).ok().map(|event| event.at.wall_us);
        oldest.is_none()
    };
    match store.history(Stream::Events, None, &mut first) {
        Ok(()) => match oldest {
            Some(oldest) => format!(
                "no call of that id here: this gateway never had it, or it is older than {}, the oldest that is kept \
                 (history.events_mib)",
                utc(oldest)
            ),
            None => "no call of that id here: this gateway has no ended calls".to_owned(),
        },
        Err(error) => format!("no call of that id in memory, and the store cannot be read: {error}"),
    }
}

/// A page of usage records, oldest first, with where to go on and the sums of what is not there any more.
pub(crate) fn usage(store: &dyn EdgeStore, since_us: u64, after: Option<&str>, limit: usize) -> anyhow::Result<Value> {
    let after = after.map(parse_position).transpose()?;
    let limit = limit.clamp(1, MAX_PAGE);
    let (mut records, mut next) = (Vec::new(), None);
    let mut take = |at: Position, body: &[u8]| {
        let Ok(record) = serde_json::from_slice::<UsageRecord>(body) else { return true };
        if record.over_us() >= since_us {
            records.push(record);
            next = Some(format!("{}:{}", at.epoch, at.seq));
        }
        records.len() < limit
    };
    store.history(Stream::Usage, after, &mut take)?;
    let next = next.filter(|_| records.len() == limit);
    let retired = store.retired()?;
    let retired = json!({ "records": retired.records, "until_us": retired.until_us, "usage": retired.usage });
    Ok(json!({ "records": records, "next": next, "retired": retired }))
}

fn parse_position(text: &str) -> anyhow::Result<Position> {
    let (epoch, seq) = text.split_once(':').context("`after` is what `next` of the page before said")?;
    Ok(Position { epoch: epoch.parse()?, seq: seq.parse()? })
}

/// A time for people, in UTC.
pub(crate) fn utc(us: u64) -> String {
    let time = i64::try_from(us).ok().and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
    time.map_or_else(|| format!("{us} us"), |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests {
    use trunkline_edge_store::conformance::samples;
    use trunkline_edge_store::{DurableStore, StoreOptions};

    use super::*;

    fn store(root: &std::path::Path, calls: u64) -> DurableStore {
        let store = DurableStore::open(root, StoreOptions::default()).unwrap();
        for n in 1..=calls {
            let record = samples::open_record(n);
            store.open_call(&record).unwrap();
            store.append_event(samples::event(n, 1, trunkline_api::EventType::CallStarted)).unwrap();
            store.append_event(samples::event(n, 2, trunkline_api::EventType::CallEnded)).unwrap();
            store.close_call(samples::closed(&record)).unwrap();
        }
        store
    }

    #[test]
    fn a_call_that_has_left_memory_is_read_from_the_store() {
        let root = tempfile::tempdir().unwrap();
        let store = store(root.path(), 200);
        let found = call(&store, &samples::call_id(7)).unwrap().unwrap();
        assert_eq!(found["events"].as_array().unwrap().len(), 2);
        assert_eq!(found["call"]["call"], samples::call_id(7).to_string());
        assert!(call(&store, &samples::call_id(999)).unwrap().is_none());
        let why = nothing_of(&store, "");
        assert!(why.contains("older than 2026-09-21 ") && !why.contains("control plane"), "{why}");
        assert!(nothing_of(&store, "https://control.example:7001").contains("https://control.example:7001"));
    }

    #[test]
    fn usage_is_read_page_by_page_and_from_a_time_on() {
        let root = tempfile::tempdir().unwrap();
        let store = store(root.path(), 25);
        let (mut seen, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = usage(&store, 0, after.as_deref(), 10).unwrap();
            seen.extend(page["records"].as_array().unwrap().iter().map(|record| record["call"].clone()));
            match page["next"].as_str() {
                Some(next) => after = Some(next.to_owned()),
                None => break,
            }
        }
        let expected: Vec<Value> = (1..=25).map(|n| json!(samples::call_id(n).to_string())).collect();
        assert_eq!(seen, expected);
        let since = samples::closed(&samples::open_record(20)).ended_us.unwrap();
        assert_eq!(usage(&store, since, None, 1000).unwrap()["records"].as_array().unwrap().len(), 6);
        assert!(usage(&store, 0, Some("nonsense"), 1).is_err());
    }
}
