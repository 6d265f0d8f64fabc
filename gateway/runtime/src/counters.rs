//! Counters of calls and failures: plain atomics that the metrics page reads.

use std::sync::atomic::{AtomicU64, Ordering};

use trunkline_api::Failure;
use trunkline_sip::stir::{Finding, RESULTS};

use crate::tool_times::ToolTimes;
use crate::turn_stages::TurnStages;

/// Number of failures in the table.
const FAILURES: usize = Failure::ALL.len();

/// Counts since the start.
#[derive(Debug)]
pub struct Counters {
    /// Calls answered.
    pub answered: AtomicU64,
    /// Calls whose record is durable.
    pub finished: AtomicU64,
    /// Calls refused.
    pub refused: AtomicU64,
    /// Calls that left, answered or not.
    pub placed: AtomicU64,
    /// Turns begun.
    pub turns: AtomicU64,
    /// How long they took.
    pub turn_stages: TurnStages,
    /// How long tools took.
    pub tool_times: ToolTimes,
    /// Interruptions.
    pub interruptions: AtomicU64,
    /// Microseconds spent in plugins.
    pub plugin_us: AtomicU64,
    /// Inputs that slow plugin sessions lost.
    pub dropped_inputs: AtomicU64,
    /// Times a call was looked at by its agent worker.
    pub steps: AtomicU64,
    /// Events that the store could not take.
    pub lost_events: AtomicU64,
    failures: [AtomicU64; FAILURES],
    proofs: [AtomicU64; RESULTS.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            answered: AtomicU64::default(),
            finished: AtomicU64::default(),
            refused: AtomicU64::default(),
            placed: AtomicU64::default(),
            turns: AtomicU64::default(),
            turn_stages: TurnStages::default(),
            tool_times: ToolTimes::default(),
            interruptions: AtomicU64::default(),
            plugin_us: AtomicU64::default(),
            dropped_inputs: AtomicU64::default(),
            steps: AtomicU64::default(),
            lost_events: AtomicU64::default(),
            failures: [const { AtomicU64::new(0) }; FAILURES],
            proofs: [const { AtomicU64::new(0) }; RESULTS.len()],
        }
    }
}

impl Counters {
    /// Counts a named failure.
    pub(crate) fn failed(&self, failure: Failure) {
        if let Some(index) = Failure::ALL.iter().position(|known| *known == failure) {
            self.failures[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts what was found of a caller.
    pub(crate) fn proven(&self, finding: &Finding) {
        if let Some(index) = RESULTS.iter().position(|known| *known == finding.name()) {
            self.proofs[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Callers that were to be verified, by what was found.
    pub fn proofs(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        RESULTS.into_iter().zip(&self.proofs).map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }

    /// Failures by name.
    pub fn failures(&self) -> impl Iterator<Item = (Failure, u64)> + '_ {
        Failure::ALL.iter().zip(&self.failures).map(|(failure, count)| (*failure, count.load(Ordering::Relaxed)))
    }
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
