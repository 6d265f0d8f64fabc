//! Whether each turn's waterfall adds up: its stages to its total, and its total to what the caller's own clock measured.

use anyhow::{Context as _, ensure};
use serde_json::Value;
use trunkline_caller::{Arrival, Happened, Report, Step};

/// A frame louder than this is speech.
const AUDIBLE_DBFS: f64 = -45.0;
/// How far the gateway's total and the caller's measurement may lie apart: the two disagree about which frame
/// of a word that dies away is its last, and a synthesiser's first frames are nearly silent.
const TOLERANCE_MS: u64 = 150;

/// The stages in their order: what people call them and the field with the milliseconds from the end of speech to their end.
pub(crate) const STAGES: [(&str, &str); 5] = [
    ("endpoint", "endpoint_ms"),
    ("recogniser's final words", "asr_ms"),
    ("model's first token", "llm_first_token_ms"),
    ("synthesiser's first sound", "tts_first_byte_ms"),
    ("first packet out", "first_packet_out_ms"),
];

/// A stage of one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stage {
    /// What people call it.
    pub(crate) name: &'static str,
    /// When it began and ended, in milliseconds from the end of the caller's speech.
    pub(crate) from_ms: u64,
    /// When it ended.
    pub(crate) until_ms: u64,
}

/// The stages a `turn.waterfall` event holds, each from the end of the one before.
pub(crate) fn stages(data: &Value) -> anyhow::Result<Vec<Stage>> {
    let mut stages: Vec<Stage> = Vec::new();
    for (name, field) in STAGES {
        let Some(until_ms) = data[field].as_u64() else { continue };
        let from_ms = stages.last().map_or(0, |stage| stage.until_ms);
        ensure!(until_ms >= from_ms, "{field} = {until_ms} ends before the stage in front of it, at {from_ms}");
        stages.push(Stage { name, from_ms, until_ms });
    }
    Ok(stages)
}

/// One turn, as the gateway accounts for it and as the caller measured it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Measured {
    /// The gateway's total, in milliseconds.
    pub(crate) total_ms: u64,
    /// From the end of the caller's last word, or the press of the key, to the first audible packet, in milliseconds.
    pub(crate) heard_ms: u64,
}

/// Something the caller said or pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Input {
    /// When the last audible frame ended, or the key was pressed, in microseconds since the INVITE.
    ended_us: u64,
}

/// Checks every answered turn of a call.
pub(crate) fn adds_up(timeline: &[Value], report: &Report, steps: &[Step]) -> anyhow::Result<Vec<Measured>> {
    let answered: Vec<&Value> = timeline
        .iter()
        .filter(|event| event["type"] == "turn.waterfall" && event["data"]["first_packet_out_ms"].is_u64())
        .map(|event| &event["data"])
        .collect();
    let inputs = inputs(report, steps);
    ensure!(!inputs.is_empty(), "the caller said nothing");
    ensure!(
        answered.len() == inputs.len(),
        "the caller spoke or pressed {} times, {} turns have a waterfall",
        inputs.len(),
        answered.len()
    );
    answered.into_iter().zip(inputs).map(|(data, input)| turn(data, input, &report.arrivals)).collect()
}

fn turn(data: &Value, input: Input, arrivals: &[Arrival]) -> anyhow::Result<Measured> {
    let total_ms = data["total_ms"].as_u64().context("a waterfall without a total")?;
    let stages = stages(data)?;
    let sum: u64 = stages.iter().map(|stage| stage.until_ms - stage.from_ms).sum();
    ensure!(sum == total_ms, "the stages sum to {sum} ms, the total is {total_ms} ms: {data}");
    ensure!(stages.len() >= 3, "a waterfall of {} stages explains nothing: {data}", stages.len());
    let audible = |arrival: &&Arrival| f64::from(arrival.level_dbfs) > AUDIBLE_DBFS && arrival.at_us > input.ended_us;
    let reply = arrivals.iter().find(audible).context("nothing was heard of the agent after the caller's words")?;
    let heard_ms = (reply.at_us - input.ended_us) / 1000;
    ensure!(
        heard_ms.abs_diff(total_ms) <= TOLERANCE_MS,
        "the waterfall's total is {total_ms} ms, the caller waited {heard_ms} ms"
    );
    Ok(Measured { total_ms, heard_ms })
}

/// What the caller said and pressed, in order: an utterance ends with its last audible frame, not with the silence behind
/// it, and a key counts from its first packet.
fn inputs(report: &Report, steps: &[Step]) -> Vec<Input> {
    let mut utterances = steps.iter().filter_map(|step| match step {
        Step::Say(utterance) | Step::Interrupt { say: utterance, .. } => Some(&utterance.pcm),
        _ => None,
    });
    let mut keys = steps.iter().filter_map(|step| match step {
        Step::Dtmf { duration_ms, .. } => Some(u64::from(*duration_ms)),
        _ => None,
    });
    let mut inputs = Vec::new();
    for event in &report.events {
        match event.what {
            Happened::SayStarted { .. } => {
                let frames = utterances.next().map_or(0, |pcm| audible_frames(pcm));
                inputs.push(Input { ended_us: event.at_ms * 1000 + frames * 20_000 });
            }
            Happened::KeySent { .. } => {
                // The event comes with the last of the three packets that end a key (RFC 4733 2.5.1.4).
                let lasted_ms = keys.next().unwrap_or_default() + 20;
                inputs.push(Input { ended_us: event.at_ms.saturating_sub(lasted_ms) * 1000 });
            }
            _ => {}
        }
    }
    inputs
}

/// Frames of 20 ms up to and with the last audible one.
fn audible_frames(pcm: &[i16]) -> u64 {
    let last = pcm.chunks(160).rposition(|frame| trunkline_tests::wav::level_dbfs(frame) > AUDIBLE_DBFS);
    last.map_or(0, |last| last as u64 + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trunkline_caller::{Event, Utterance};

    use super::*;

    fn report(reply_at_ms: u64) -> Report {
        let arrival = |ms: u64, level_dbfs: f32| Arrival { at_us: ms * 1000, timestamp: 0, level_dbfs, sample: 0 };
        Report {
            events: vec![Event { at_ms: 1000, what: Happened::SayStarted { text: "sales".to_owned() } }],
            caller: Vec::new(),
            agent: Vec::new(),
            arrivals: vec![arrival(500, -20.0), arrival(1400, -90.0), arrival(reply_at_ms, -20.0)],
            began: std::time::UNIX_EPOCH,
        }
    }

    /// Half a second of speech and as much silence.
    fn steps() -> Vec<Step> {
        let pcm = [vec![8000; 4000], vec![0; 4000]].concat();
        vec![Step::Say(Utterance { text: "sales".to_owned(), pcm, ..Utterance::default() })]
    }

    fn waterfall(change: impl Fn(&mut Value)) -> Vec<Value> {
        let mut data = json!({ "speech_end_ms": 3000, "endpoint_ms": 500, "asr_ms": 510, "llm_first_token_ms": 580,
            "tts_first_byte_ms": 600, "first_packet_out_ms": 620, "total_ms": 620 });
        change(&mut data);
        vec![json!({ "type": "turn.waterfall", "data": data })]
    }

    fn why(timeline: &[Value], reply_at_ms: u64) -> String {
        adds_up(timeline, &report(reply_at_ms), &steps()).unwrap_err().to_string()
    }

    #[test]
    fn a_waterfall_that_agrees_with_itself_and_the_caller_adds_up() {
        let measured = adds_up(&waterfall(|_| {}), &report(2140), &steps()).unwrap();
        assert_eq!(measured, [Measured { total_ms: 620, heard_ms: 640 }]);
    }

    #[test]
    fn stages_that_do_not_sum_to_the_total_or_run_backwards_fail() {
        assert!(why(&waterfall(|data| data["total_ms"] = json!(700)), 2320).contains("sum to 620"));
        assert!(why(&waterfall(|data| data["asr_ms"] = json!(400)), 2320).contains("asr_ms"));
        let bare = |data: &mut Value| *data = json!({ "first_packet_out_ms": 620, "total_ms": 620 });
        assert!(why(&waterfall(bare), 2320).contains("explains nothing"));
    }

    #[test]
    fn a_total_that_the_caller_did_not_wait_fails() {
        assert!(why(&waterfall(|_| {}), 2600).contains("the caller waited 1100 ms"));
        assert!(why(&waterfall(|_| {}), 1550).contains("the caller waited 50 ms"));
        assert!(why(&waterfall(|_| {}), 900).contains("nothing was heard"));
    }

    #[test]
    fn a_key_counts_from_its_first_packet() {
        let mut report = report(2320);
        report.events = vec![Event { at_ms: 1820, what: Happened::KeySent { key: '5' } }];
        let steps = [Step::Dtmf { key: '5', duration_ms: 100 }];
        let measured = adds_up(&waterfall(|_| {}), &report, &steps).unwrap();
        assert_eq!(measured, [Measured { total_ms: 620, heard_ms: 620 }]);
        report.events[0].at_ms += 200;
        assert!(adds_up(&waterfall(|_| {}), &report, &steps).is_err());
    }

    #[test]
    fn a_turn_without_a_waterfall_fails() {
        assert!(why(&[], 2320).contains("0 turns"));
        assert!(
            why(&waterfall(|data| drop(data.as_object_mut().unwrap().remove("first_packet_out_ms"))), 2320)
                .contains("0 turns")
        );
    }
}
