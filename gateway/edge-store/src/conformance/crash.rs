//! The kill test in two halves: [`run_until_killed`] in a child process, [`Ledger`] in its parent.
//!
//! The child says on its output what the store acknowledged, a line each, and hands every upload batch to the parent
//! before it acknowledges it to the store. A line that was cut by the kill was never acknowledged, so the parent leaves
//! it out. What it counts is then what a control plane would have billed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;
use trunkline_api::EventType;
use trunkline_api::sync::{Stream, UploadBatch};

use super::{call_id, closed, ensure, event, open_record};
use crate::{Completion, EdgeStore, StoreError, Write};

/// Calls in progress at once.
const CALLS: usize = 6;

struct Live {
    call: u64,
    next_seq: u64,
    steps: u64,
    closing: Option<Completion>,
}

/// Opens, speaks, checkpoints and closes calls numbered from `first`, and uploads, until the process dies.
/// `random` gives the choices. Lines: `o N` opened, `c N` closed, `u JSON` a batch.
pub fn run_until_killed(
    store: &dyn EdgeStore,
    out: &mut dyn std::io::Write,
    first: u64,
    mut random: impl FnMut() -> u64,
) -> Result<(), StoreError> {
    let io = |error: std::io::Error| StoreError::Unavailable { detail: error.to_string() };
    store.recover()?;
    let mut next = first;
    let mut live: VecDeque<Live> = VecDeque::new();
    loop {
        while live.len() < CALLS {
            store.open_call(&open_record(next))?;
            writeln!(out, "o {next}").map_err(io)?;
            live.push_back(Live { call: next, next_seq: 1, steps: random() % 6, closing: None });
            next += 1;
        }
        let Some(mut call) = live.pop_front() else { continue };
        match (&call.closing, call.steps) {
            (Some(closing), _) => match closing.poll() {
                Some(outcome) => {
                    outcome?;
                    writeln!(out, "c {}", call.call).map_err(io)?;
                    continue;
                }
                None => std::thread::yield_now(),
            },
            (None, 0) => {
                store.append_event(event(call.call, call.next_seq, EventType::CallEnded))?;
                let record = closed(&open_record(call.call));
                call.closing = Some(store.submit(Write::CloseCall(Box::new(record)))?);
            }
            (None, _) => {
                call.steps -= 1;
                store.append_event(event(call.call, call.next_seq, EventType::CallerSilent))?;
                call.next_seq += 1;
                if random().is_multiple_of(3) {
                    let record = open_record(call.call);
                    let at_us = record.answered_us + call.next_seq * 1_000_000;
                    drop(store.submit(Write::Checkpoint { record: Box::new(record), at_us })?);
                }
            }
        }
        live.push_back(call);
        if random().is_multiple_of(16) {
            upload(store, out, 1 + (random() % 40) as usize)?;
        }
    }
}

fn upload(store: &dyn EdgeStore, out: &mut dyn std::io::Write, max: usize) -> Result<(), StoreError> {
    for stream in Stream::ALL {
        if let Some(batch) = store.pending(stream, max)? {
            let json = serde_json::to_string(&batch).map_err(StoreError::unavailable)?;
            writeln!(out, "u {json}").map_err(StoreError::unavailable)?;
            let last = batch.records.last().map_or(0, |record| record.seq);
            store.acknowledge(stream, batch.epoch, last)?;
        }
    }
    Ok(())
}

/// What the outside world knows after any number of rounds.
#[derive(Debug, Default)]
pub struct Ledger {
    opened: BTreeSet<u64>,
    closed: BTreeSet<u64>,
    uploaded: BTreeMap<(Stream, u64, u64), Value>,
    high_water: BTreeMap<(Stream, u64), u64>,
    /// Records that came again under the same number, which is how at-least-once transport looks.
    pub repeated: u64,
}

/// What a ledger counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Calls whose opening was acknowledged.
    pub opened: usize,
    /// Calls whose close was acknowledged.
    pub closed: usize,
    /// Usage records, one a call.
    pub usage: usize,
    /// Of these, closed by recovery.
    pub crashed: usize,
    /// Events.
    pub events: usize,
}

impl Ledger {
    /// Takes a child's output.
    pub fn read(&mut self, output: &str) -> Result<(), String> {
        // `split` and not `lines`: what follows the last line end was cut by the kill.
        let whole = output.rfind('\n').map_or("", |end| &output[..end]);
        for line in whole.split('\n').filter(|line| !line.is_empty()) {
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            let number = || rest.parse::<u64>().map_err(|error| format!("`{line}`: {error}"));
            match kind {
                "o" => drop(self.opened.insert(number()?)),
                "c" => drop(self.closed.insert(number()?)),
                "u" => self.upload(&serde_json::from_str(rest).map_err(|error| error.to_string())?)?,
                // Test harnesses print lines of their own.
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes a batch as a control plane would: once per number, without gaps.
    pub fn upload(&mut self, batch: &UploadBatch) -> Result<(), String> {
        let high_water = self.high_water.entry((batch.stream, batch.epoch)).or_insert(0);
        for record in &batch.records {
            ensure!(record.seq <= *high_water + 1, "a gap before {} of {:?}", record.seq, batch.stream);
            ensure!(!record.is_lost(), "{:?} {} was lost", batch.stream, record.seq);
            *high_water = (*high_water).max(record.seq);
            let key = (batch.stream, batch.epoch, record.seq);
            match self.uploaded.get(&key) {
                Some(known) if *known == record.body => self.repeated += 1,
                Some(known) => return Err(format!("{key:?} was {known} and is now {}", record.body)),
                None => drop(self.uploaded.insert(key, record.body.clone())),
            }
        }
        Ok(())
    }

    /// Recovers and uploads the rest, then checks every promise.
    pub fn settle(&mut self, store: &dyn EdgeStore) -> Result<Tally, String> {
        store.recover().map_err(|error| error.to_string())?;
        for stream in Stream::ALL {
            while let Some(batch) = store.pending(stream, 500).map_err(|error| error.to_string())? {
                self.upload(&batch)?;
                let last = batch.records.last().map_or(0, |record| record.seq);
                store.acknowledge(stream, batch.epoch, last).map_err(|error| error.to_string())?;
            }
        }
        self.count()
    }

    fn count(&self) -> Result<Tally, String> {
        let mut ends: BTreeMap<&str, &str> = BTreeMap::new();
        let mut events: BTreeMap<&str, Vec<(u64, bool)>> = BTreeMap::new();
        for ((stream, ..), body) in &self.uploaded {
            let call = body["call"].as_str().unwrap_or_default();
            match stream {
                Stream::Usage => {
                    let twice = ends.insert(call, body["end"].as_str().unwrap_or_default()).is_some();
                    ensure!(!twice, "{call} has two usage records");
                }
                Stream::Events => {
                    let ended = body["type"] == EventType::CallEnded.name();
                    events.entry(call).or_default().push((body["seq"].as_u64().unwrap_or(0), ended));
                }
            }
        }
        for &number in &self.opened {
            let call = call_id(number).to_string();
            ensure!(ends.contains_key(call.as_str()), "{call} was opened and has no usage record");
        }
        for &number in &self.closed {
            let call = call_id(number).to_string();
            let end = ends.get(call.as_str());
            ensure!(end == Some(&"caller_hung_up"), "{call} was closed but its record says {end:?}");
        }
        for (call, seen) in &events {
            let gap_free = seen.iter().enumerate().all(|(index, &(seq, _))| seq == index as u64 + 1);
            ensure!(gap_free, "the events of {call} are {seen:?}");
            let ended = seen.iter().filter(|event| event.1).count();
            let last = seen.last().is_some_and(|event| event.1);
            ensure!(ended == 1 && last, "{call} ended {ended} times: {seen:?}");
        }
        Ok(Tally {
            opened: self.opened.len(),
            closed: self.closed.len(),
            usage: ends.len(),
            crashed: ends.values().filter(|&&end| end == "failed").count(),
            events: events.values().map(Vec::len).sum(),
        })
    }
}
