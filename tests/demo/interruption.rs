//! Whether the agent's voice really stopped when the caller interrupted: judged by the packets the caller received and when
//! they came; the gateway's timeline only says which moment is meant.

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use trunkline_caller::{Arrival, Happened, Report};

/// A packet louder than this is somebody speaking; silence and comfort noise lie below.
const AUDIBLE_DBFS: f32 = -45.0;
/// The longest the voice may go on after the decision: a tick of the media worker and the frame that fades out.
const LONGEST_US: u64 = 40_000;
/// The longest the caller may have to speak against the agent, which includes noticing that it is speech at all.
const LONGEST_OVERLAP_US: u64 = 1_000_000;
/// The agent must have been audible this shortly before, or nothing was stopped.
const JUST_BEFORE_US: u64 = 500_000;
/// The silence must last at least this long to be one.
const SILENCE_US: u64 = 300_000;
/// More lateness of a single packet than this says that the machine was too busy for its arrival times to mean anything.
const MOST_LATENESS_US: u64 = 200_000;

/// How the voice stopped, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    /// From the decision to the last audible packet; 0 when the agent was between two words.
    pub(crate) after_decision_us: u64,
    /// From the caller's first word to the last audible packet.
    pub(crate) after_first_word_us: u64,
    /// How long nothing was heard of the agent then.
    pub(crate) silent_us: u64,
}

/// Looks at the first interruption of a call.
pub(crate) fn stop(timeline: &[Value], report: &Report) -> anyhow::Result<Stop> {
    let (at, cut) = timeline
        .iter()
        .enumerate()
        .find(|(_, event)| event["type"] == "playback.cut")
        .context("the caller's interruption did not stop playback")?;
    let decided_ms = cut["data"]["decided_ms"].as_u64().context("playback.cut does not say when it was decided")?;
    let cut_ms = cut["call_ms"].as_f64().context("an event without a time")?;
    let late_ms = (cut_ms - decided_ms as f64).max(0.0);
    let decided = on_the_callers_clock(cut, report)?.saturating_sub((late_ms * 1000.0) as u64);
    let resumed = timeline[at..].iter().find(|event| event["type"] == "playback.started");
    // A packet leaves a little before the event about it is written.
    let resumed = resumed.map_or(Ok(u64::MAX), |event| on_the_callers_clock(event, report))?.saturating_sub(20_000);
    let first_word = report.events.iter().find_map(|event| match event.what {
        Happened::Interrupted { .. } => Some(event.at_ms * 1000),
        _ => None,
    });
    judge(&report.arrivals, first_word.context("the caller did not interrupt")?, decided, resumed)
}

/// `first_word`, `decided` and `resumed` are microseconds since the INVITE, as arrivals are.
fn judge(arrivals: &[Arrival], first_word: u64, decided: u64, resumed: u64) -> anyhow::Result<Stop> {
    ensure!(
        resumed.saturating_sub(decided) >= SILENCE_US,
        "the agent spoke again {} ms after it was interrupted: no silence to look at",
        resumed.saturating_sub(decided) / 1000
    );
    let audible = |arrival: &&Arrival| arrival.level_dbfs > AUDIBLE_DBFS;
    let before = |arrival: &&Arrival| (decided.saturating_sub(JUST_BEFORE_US)..=decided).contains(&arrival.at_us);
    let last_before = arrivals.iter().filter(audible).filter(before).map(|arrival| arrival.at_us).max();
    let last_before = last_before.context("the agent was not audible when it was interrupted: nothing was stopped")?;
    let mut last = last_before;
    for arrival in arrivals.iter().filter(audible).filter(|arrival| (decided..resumed).contains(&arrival.at_us)) {
        let lateness = lateness_us(arrivals, arrival);
        ensure!(
            lateness <= MOST_LATENESS_US,
            "a packet came {} ms late: this machine is too busy to tell when the voice stopped",
            lateness / 1000
        );
        let left = arrival.at_us.saturating_sub(lateness);
        ensure!(
            left <= decided + LONGEST_US,
            "the agent was still audible {} ms after the decision to stop (at most {} ms)",
            left.saturating_sub(decided) / 1000,
            LONGEST_US / 1000
        );
        last = last.max(left);
    }
    let until =
        arrivals.iter().filter(audible).map(|arrival| arrival.at_us).find(|at| *at >= resumed.min(u64::MAX - 1));
    let end = arrivals.last().map_or(last, |arrival| arrival.at_us);
    let after_first_word_us = last.saturating_sub(first_word);
    if after_first_word_us > LONGEST_OVERLAP_US {
        bail!("the agent spoke on for {} ms against the caller", after_first_word_us / 1000);
    }
    Ok(Stop {
        after_decision_us: last.saturating_sub(decided),
        after_first_word_us,
        silent_us: until.unwrap_or(end).saturating_sub(last),
    })
}

/// How much later a packet came than its timestamp, and the quickest packet of the call, would have it.
fn lateness_us(arrivals: &[Arrival], packet: &Arrival) -> u64 {
    let Some(first) = arrivals.first() else { return 0 };
    let transit = |arrival: &Arrival| {
        let samples = arrival.timestamp.wrapping_sub(first.timestamp).cast_signed();
        arrival.at_us.cast_signed() - i64::from(samples) * 125
    };
    let quickest = arrivals.iter().map(transit).min().unwrap_or_default();
    u64::try_from(transit(packet) - quickest).unwrap_or_default()
}

/// An event's time in microseconds since the INVITE was sent; both sides read the same machine's clock.
fn on_the_callers_clock(event: &Value, report: &Report) -> anyhow::Result<u64> {
    let at: jiff::Timestamp = event["at"].as_str().context("an event without a time")?.parse()?;
    let began = jiff::Timestamp::try_from(report.began)?;
    Ok(u64::try_from(at.as_microsecond() - began.as_microsecond()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets every 20 ms for four seconds, loud where `speaks` says.
    fn arrivals(speaks: impl Fn(u64) -> bool) -> Vec<Arrival> {
        let packet = |n: u64| Arrival {
            at_us: n * 20_000,
            timestamp: (n * 160) as u32,
            level_dbfs: if speaks(n * 20) { -20.0 } else { -96.0 },
            sample: n as usize * 160,
        };
        (0..200).map(packet).collect()
    }

    fn judged(arrivals: &[Arrival]) -> Result<Stop, String> {
        judge(arrivals, 1_800_000, 2_005_000, 3_000_000).map_err(|error| error.to_string())
    }

    #[test]
    fn a_voice_that_stops_within_two_frames_passes_with_its_figures() {
        let stop = judged(&arrivals(|ms| ms <= 2020 || ms >= 3000)).unwrap();
        assert_eq!(stop, Stop { after_decision_us: 15_000, after_first_word_us: 220_000, silent_us: 980_000 });
        assert!(judged(&arrivals(|ms| ms <= 2040)).is_ok());
        // Packets that simply end are silence too.
        let mut ended = arrivals(|ms| ms <= 2020);
        ended.truncate(102);
        assert!(judged(&ended).is_ok());
    }

    #[test]
    fn a_voice_that_goes_on_or_comes_back_fails() {
        assert!(judged(&arrivals(|ms| ms <= 2060)).unwrap_err().contains("still audible 55 ms"));
        assert!(judged(&arrivals(|ms| ms <= 2020 || ms == 2400)).unwrap_err().contains("still audible"));
        assert!(judged(&arrivals(|_| true)).unwrap_err().contains("still audible"));
    }

    #[test]
    fn a_voice_that_was_not_there_was_not_stopped() {
        assert!(judged(&arrivals(|ms| ms < 1400)).unwrap_err().contains("nothing was stopped"));
        assert!(judged(&[]).unwrap_err().contains("nothing was stopped"));
        assert!(judge(&arrivals(|ms| ms <= 2020), 1_800_000, 2_005_000, 2_100_000).is_err(), "no silence to look at");
    }

    #[test]
    fn a_caller_who_had_to_shout_for_long_is_a_failure_however_quick_the_stop() {
        let quick = arrivals(|ms| ms <= 2020);
        let late = judge(&quick, 900_000, 2_005_000, 3_000_000).unwrap_err().to_string();
        assert!(late.contains("against the caller"), "{late}");
    }

    #[test]
    fn a_packet_that_was_held_up_counts_from_when_it_was_due_and_a_busy_machine_is_no_excuse_for_long() {
        let mut held = arrivals(|ms| ms <= 2020);
        held[101].at_us += 60_000;
        assert!(judged(&held).is_ok());
        held[101].at_us += 300_000;
        assert!(judged(&held).unwrap_err().contains("too busy"));
    }
}
