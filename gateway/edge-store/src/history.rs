//! Ended calls on the disk of a gateway without a control plane: read in place, bounded by size, summed up when they
//! go. Nobody acknowledges uploads there, so nothing else would ever make room.
//!
//! With a control plane none of this happens: what it has not acknowledged stays, whatever its size.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};
use trunkline_api::sync::Stream;
use trunkline_api::usage::{ProviderUsage, UsageRecord};

use crate::StoreError;
use crate::log::{Marks, StreamLog};
use crate::record;
use crate::segment;
use crate::upload::Source;
use crate::writer::Writer;

/// Setting that holds [`Retired`].
pub(crate) const SETTING: &str = "usage_retired";

/// Where a record lies in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Epoch.
    pub epoch: u64,
    /// Sequence number in it.
    pub seq: u64,
}

/// What is left of usage records that were given up for room: their sums.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// How many calls.
    pub records: u64,
    /// End of the newest of them, microseconds since the Unix epoch; 0 when there are none.
    pub until_us: u64,
    /// What they used, by provider and kind.
    pub usage: Vec<ProviderUsage>,
    /// Up to where each epoch is in the sums, so that a crash never counts a record twice.
    #[serde(default)]
    summed: BTreeMap<u64, u64>,
}

impl Retired {
    fn add(&mut self, at: Position, record: &UsageRecord) {
        if self.summed.get(&at.epoch).is_some_and(|&summed| at.seq <= summed) {
            return;
        }
        self.summed.insert(at.epoch, at.seq);
        self.records += u64::from(matches!(record, UsageRecord::Call(_)));
        self.until_us = self.until_us.max(record.over_us());
        for used in record.usage() {
            match self.usage.iter_mut().find(|sum| sum.provider == used.provider && sum.kind == used.kind) {
                Some(sum) => sum.units.add(&used.units),
                None => self.usage.push(used.clone()),
            }
        }
    }
}

/// Visits the durable records of `sources` behind `after`, oldest first, until `visit` says false. It reads outside
/// every lock, so that looking back never delays a commit; a segment that goes meanwhile is left out.
pub(crate) fn visit(
    sources: &[Source],
    after: Option<Position>,
    visit: &mut dyn FnMut(Position, &[u8]) -> bool,
) -> io::Result<()> {
    // An epoch that is not there any more is older than everything that is.
    let after = after.filter(|after| sources.iter().any(|source| source.label.epoch == after.epoch));
    let mut reached = after.is_none();
    for source in sources {
        let here = after.filter(|after| after.epoch == source.label.epoch);
        reached |= here.is_some();
        if !reached || here.is_some_and(|after| after.seq >= source.last) {
            continue;
        }
        let mut bytes = match std::fs::read(&source.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        bytes.truncate(usize::try_from(source.bytes).unwrap_or(usize::MAX));
        for entry in segment::scan(&bytes, &source.label).entries {
            if entry.seq > source.last || here.is_some_and(|after| entry.seq <= after.seq) {
                continue;
            }
            let Ok(record) = record::decode(&bytes[entry.offset..]) else { continue };
            if !visit(Position { epoch: source.label.epoch, seq: entry.seq }, record.body) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The sums so far.
pub(crate) fn retired(setting: Option<Vec<u8>>) -> Retired {
    setting.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// The sums with the records of `sources` added. It takes as long as reading them, so it is not for the writer.
pub(crate) fn sum_up(mut sums: Retired, sources: &[Source]) -> io::Result<Retired> {
    let mut add = |at: Position, body: &[u8]| {
        match serde_json::from_slice::<UsageRecord>(body) {
            Ok(record) => sums.add(at, &record),
            Err(error) => tracing::error!(%error, seq = at.seq, "a usage record cannot be read and is in no sum"),
        }
        true
    };
    visit(sources, None, &mut add)?;
    Ok(sums)
}

impl Writer {
    /// The oldest full segments that have to go so that at most `keep_bytes` stay.
    pub(crate) fn surplus(&self, stream: Stream, keep_bytes: u64) -> Vec<Source> {
        self.shared.log(stream).surplus(keep_bytes, self.needed_from(stream))
    }

    /// Gives up segments; the sums are durable before a file goes. How many records went.
    pub(crate) fn retire(
        &mut self,
        stream: Stream,
        surplus: &[Source],
        sums: Option<&Retired>,
    ) -> Result<u64, StoreError> {
        if let Some(sums) = sums {
            self.put_sums(sums)?;
        }
        let mut records = 0;
        for source in surplus {
            records += (source.last + 1).saturating_sub(source.label.first_seq);
            self.give_up(stream, source.label.epoch, source.last)?;
        }
        let keep_from = self.needed_from(stream);
        self.shared.log(stream).delete_acknowledged(keep_from).map_err(StoreError::unavailable)?;
        Ok(records)
    }

    /// Ends the time without a control plane, before the first identity is stored: once anything was given up, the
    /// records of that time go into the sums whole and none goes up. What comes next has numbers of its own.
    pub(crate) fn leave_history(&mut self) -> Result<(), StoreError> {
        let state = self.shared.state()?;
        // Marks that were stored without a control plane are those of what was given up; those that were lost with the
        // state are not.
        let given_up = |stream| Ok(state.marks(stream)?.0.values().any(|marks| marks.acked > 0));
        let [usage, events]: [Result<bool, StoreError>; 2] = Stream::ALL.map(given_up);
        if !usage? && !events? {
            return Ok(());
        }
        for stream in Stream::ALL {
            let sources = self.shared.log(stream).sources();
            if stream == Stream::Usage {
                let sums = sum_up(retired(state.setting(SETTING)?), &sources).map_err(StoreError::unavailable)?;
                self.put_sums(&sums)?;
            }
            for source in &sources {
                self.give_up(stream, source.label.epoch, source.last)?;
            }
        }
        tracing::warn!("records of the time without a control plane are not uploaded; their sums stay here");
        Ok(())
    }

    fn put_sums(&mut self, sums: &Retired) -> Result<(), StoreError> {
        let text = serde_json::to_vec(sums).map_err(StoreError::unavailable)?;
        self.state_changed();
        self.shared.state()?.put_setting(SETTING, &text)
    }

    fn give_up(&mut self, stream: Stream, epoch: u64, last: u64) -> Result<(), StoreError> {
        let marks = self.shared.log(stream).marks(epoch);
        let marks = Marks { acked: marks.acked.max(last), offered: marks.offered.max(last) };
        self.put_marks(stream, epoch, marks)
    }
}

impl StreamLog {
    /// Every durable segment, oldest first.
    pub(crate) fn sources(&self) -> Vec<Source> {
        self.sources_where(|_| true)
    }

    /// The oldest full segments that have to go so that at most `keep_bytes` stay; none numbered from `keep_from` on.
    fn surplus(&self, keep_bytes: u64, keep_from: u64) -> Vec<Source> {
        let mut sources = self.sources();
        sources.retain(|source| source.label.number < keep_from.min(self.current_segment()));
        let mut left = self.bytes();
        let over = sources.iter().take_while(|source| {
            let over = left > keep_bytes;
            left = left.saturating_sub(source.bytes);
            over
        });
        let count = over.count();
        sources.truncate(count);
        sources
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trunkline_api::usage::{CallRecord, RENDERING_RECORD_FORMAT, RenderingRecord, Units};
    use trunkline_api::{Event, EventType, Id, Prefix};

    use super::*;
    use crate::conformance::samples;
    use crate::{DurableStore, EdgeStore, StoreOptions};

    fn open(root: &std::path::Path) -> DurableStore {
        DurableStore::open(root, StoreOptions { segment_bytes: 4096, ..StoreOptions::default() }).unwrap()
    }

    /// A call that is over, with `n` milliseconds and one long event.
    fn call(store: &DurableStore, n: u64) {
        let mut record = samples::open_record(n);
        store.open_call(&record).unwrap();
        let long = json!({ "text": "x".repeat(300) });
        store.append_event(Event { data: long, ..samples::event(n, 1, EventType::AgentSaid) }).unwrap();
        record.add_usage("", "call", &Units { call_ms: n, ..Units::default() });
        record.ended_us = Some(record.answered_us + 1);
        store.close_call(record).unwrap();
    }

    fn kept(store: &DurableStore, stream: Stream, after: Option<Position>) -> Vec<Position> {
        let mut found = Vec::new();
        let mut note = |at, _: &[u8]| {
            found.push(at);
            true
        };
        store.history(stream, after, &mut note).unwrap();
        found
    }

    fn sum_of_kept(store: &DurableStore) -> u64 {
        let mut sum = 0;
        let mut add = |_, body: &[u8]| {
            sum += serde_json::from_slice::<CallRecord>(body).unwrap().total().call_ms;
            true
        };
        store.history(Stream::Usage, None, &mut add).unwrap();
        sum
    }

    #[test]
    fn what_is_given_up_is_bounded_and_in_the_sums_exactly_once() {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        let mut expected = 0;
        for n in 1..=120 {
            call(&store, n);
            expected += n;
            if n % 40 == 0 {
                assert!(store.retire(Stream::Usage, 8192).unwrap() > 0);
                assert!(store.retire(Stream::Events, 8192).unwrap() > 0);
                let sums = store.retired().unwrap();
                assert_eq!(sums.usage[0].units.call_ms + sum_of_kept(&store), expected);
                assert_eq!(sums.records as usize + kept(&store, Stream::Usage, None).len(), n as usize);
                assert!((1..=samples::open_record(n).answered_us + 1).contains(&sums.until_us));
            }
        }
        // The current segment stays whatever its size, so that at most one more than asked for is kept.
        assert!(store.health().log_bytes <= 2 * (8192 + 4096), "{}", store.health().log_bytes);
        drop(store);
        let again = open(root.path());
        assert_eq!(again.retired().unwrap().usage[0].units.call_ms + sum_of_kept(&again), expected);
        assert_eq!(again.retire(Stream::Usage, 8192).unwrap(), 0);
    }

    #[test]
    fn sums_that_were_stored_before_a_crash_are_not_added_again() {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        (1..=30).for_each(|n| call(&store, n));
        let sources = store.sources(Stream::Usage);
        let once = sum_up(Retired::default(), &sources).unwrap();
        assert_eq!(sum_up(once.clone(), &sources).unwrap(), once);
        assert_eq!((once.records, once.usage[0].units.call_ms), (30, 465));
    }

    #[test]
    fn what_was_used_in_no_call_is_kept_counted_and_uploaded_with_the_others() {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        call(&store, 1);
        let call_record = samples::open_record(1);
        let mut rendering = RenderingRecord {
            format: RENDERING_RECORD_FORMAT,
            rendering: Id::mint(Prefix::Rendering, 1, [1; 10]),
            tenant: call_record.tenant,
            agent: call_record.agent,
            agent_version: 1,
            rendered_us: call_record.answered_us + 9,
            usage: Vec::new(),
        };
        let units = Units { tts_chars: 12, ..Units::default() };
        rendering.usage = vec![ProviderUsage { provider: "voice".to_owned(), kind: "tts".to_owned(), units }];
        store.submit(crate::Write::Used(Box::new(rendering.clone()))).unwrap().wait().unwrap();
        let batch = store.pending(Stream::Usage, 10).unwrap().unwrap();
        let body: RenderingRecord = serde_json::from_value(batch.records[1].body.clone()).unwrap();
        assert_eq!((batch.records.len(), body), (2, rendering.clone()));
        let sums = sum_up(Retired::default(), &store.sources(Stream::Usage)).unwrap();
        assert_eq!((sums.records, sums.until_us, sums.usage.len()), (1, rendering.rendered_us, 2));
        assert_eq!(sums.usage[1].units.tts_chars, 12);
    }

    #[test]
    fn reading_goes_on_where_it_ended() {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        (1..=30).for_each(|n| call(&store, n));
        let all = kept(&store, Stream::Usage, None);
        assert_eq!(all.len(), 30);
        assert_eq!(kept(&store, Stream::Usage, Some(all[11])), all[12..]);
        assert_eq!(kept(&store, Stream::Usage, Some(all[29])), []);
        assert_eq!(kept(&store, Stream::Usage, Some(Position { epoch: 1, seq: 5 })), all);
    }

    #[test]
    fn events_that_an_open_call_needs_stay() {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        store.open_call(&samples::open_record(1)).unwrap();
        store.append_event(samples::event(1, 1, EventType::AgentSaid)).unwrap();
        (2..=60).for_each(|n| call(&store, n));
        assert_eq!(store.retire(Stream::Events, 0).unwrap(), 0);
        store.close_call(samples::closed(&samples::open_record(1))).unwrap();
        assert!(store.retire(Stream::Events, 0).unwrap() > 0);
    }

    #[test]
    fn a_gateway_that_joins_later_begins_an_epoch_without_a_gap_and_then_gives_nothing_up() {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        (1..=60).for_each(|n| call(&store, n));
        assert!(store.retire(Stream::Usage, 4096).unwrap() > 0);
        let gateway = Id::mint(Prefix::Gateway, 1, [1; 10]);
        let identity = json!({ "gateway": gateway, "credential": "secret", "trusted_keys": [] });
        store.put_identity(&serde_json::from_value(identity).unwrap()).unwrap();
        // Whether or not it starts anew in between: `trunkline run` takes the identity in and goes on.
        let joined = store;
        let sums = joined.retired().unwrap();
        assert_eq!((sums.records, sums.usage[0].units.call_ms), (60, 1830));
        assert_eq!(joined.pending(Stream::Usage, 100).unwrap(), None);
        (61..=120).for_each(|n| call(&joined, n));
        let batch = joined.pending(Stream::Usage, 100).unwrap().unwrap();
        assert_eq!((batch.records[0].seq, batch.records.len()), (1, 60));
        assert_eq!(joined.retire(Stream::Usage, 0).unwrap(), 0, "a control plane waits for them");
    }
}
