//! Every check of the demo can fail: findings of a good call pass, and each doctored one is refused by what is wrong.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use trunkline_caller::{Arrival, Event, Happened, Report, Step, Utterance};
use trunkline_tests::ear::Likeness;
use trunkline_tests::wav::Wav;

use crate::checks::{Findings, all};
use crate::scenario::Scenario;
use crate::words::{Heard, Question, questions};

const CALL: &str = "call_1";
/// When the INVITE was sent, in microseconds since 1970.
const BEGAN_US: u64 = 1_700_000_000_000_000;
/// When the agent was audible, in milliseconds since the INVITE.
const AUDIBLE_MS: [std::ops::Range<u64>; 4] = [500..2000, 4120..7020, 7920..9500, 10_300..11_500];

struct Found {
    scenario: Scenario,
    listed: Vec<Value>,
    record: Value,
    timeline: Vec<Value>,
    recording: Wav,
    report: Report,
    steps: Vec<Step>,
    heard: Vec<Heard>,
}

/// A call as it should be.
fn good() -> Found {
    let scenario = Scenario::of(7);
    let (request, digits, key) = (scenario.request, scenario.spoken_digits(), scenario.key);
    let reply = format!("You said {request} please. I can help you with that.");
    let mut timeline = Vec::new();
    let mut event = |at_ms: u64, kind: &str, data: Value| {
        let at = jiff::Timestamp::from_microsecond((BEGAN_US + at_ms * 1000).cast_signed()).unwrap();
        let seq = timeline.len() + 1;
        timeline.push(json!({ "type": kind, "seq": seq, "at": at.to_string(), "call_ms": at_ms as f64, "data": data }));
    };
    let waterfall = |total: u64| {
        json!({ "endpoint_ms": total / 2, "llm_first_token_ms": total - 50, "tts_first_byte_ms": total - 10,
            "first_packet_out_ms": total, "total_ms": total })
    };
    event(500, "playback.started", json!({ "utterance": 1 }));
    event(4000, "transcript.final", json!({ "text": format!("{request} please") }));
    event(4010, "llm.request", json!({ "input": format!("{request} please") }));
    event(4060, "agent.said", json!({ "text": reply, "utterance": 2 }));
    event(4120, "playback.started", json!({ "utterance": 2 }));
    event(4120, "turn.waterfall", waterfall(620));
    event(7010, "playback.cut", json!({ "utterance": 2, "decided_ms": 7000, "heard": &reply[..20] }));
    event(7800, "transcript.final", json!({ "text": digits }));
    event(7810, "llm.request", json!({ "input": digits }));
    event(7860, "agent.said", json!({ "text": format!("I heard {digits}. Please press a key now."), "utterance": 3 }));
    event(7920, "playback.started", json!({ "utterance": 3 }));
    event(7920, "turn.waterfall", waterfall(620));
    event(10_000, "dtmf.received", json!({ "digit": "x" }));
    event(10_010, "llm.request", json!({ "input": key.to_string() }));
    event(10_100, "agent.said", json!({ "text": format!("You pressed {key}. Goodbye."), "utterance": 4 }));
    event(10_300, "playback.started", json!({ "utterance": 4 }));
    event(10_300, "turn.waterfall", waterfall(420));

    let say = |text: &str| Utterance { text: text.to_owned(), pcm: vec![8000; 4000], ..Utterance::default() };
    let steps = vec![
        Step::Say(say(request)),
        Step::Interrupt { after_ms: 2500, say: say(&digits), timeout_ms: 1000 },
        Step::Dtmf { key, duration_ms: 100 },
    ];
    let happened = |at_ms: u64, what: Happened| Event { at_ms, what };
    let events = vec![
        happened(3000, Happened::SayStarted { text: request.to_owned() }),
        happened(6800, Happened::Interrupted { agent_spoke_ms: 2680 }),
        happened(6800, Happened::SayStarted { text: digits.clone() }),
        happened(10_000, Happened::KeySent { key }),
    ];
    let arrival = |n: u64| {
        let audible = AUDIBLE_MS.iter().any(|range| range.contains(&(n * 20)));
        let level_dbfs = if audible { -20.0 } else { -96.0 };
        Arrival { at_us: n * 20_000, timestamp: (n * 160) as u32, level_dbfs, sample: n as usize * 160 }
    };
    let report = Report {
        events,
        caller: Vec::new(),
        agent: Vec::new(),
        arrivals: (0..600).map(arrival).collect(),
        began: UNIX_EPOCH + Duration::from_micros(BEGAN_US),
    };
    let part = |unit: &str, quantity: u64| json!({ "unit": unit, "quantity": quantity, "cost_micro": 100 });
    let parts = [part("asr_ms", 4000), part("tts_chars", 200), part("tokens_out", 40), part("call_ms", 12_000)];
    let clear = |question: Question| Heard {
        best: Likeness { sentence: question.said.clone(), score: 0.95 },
        second: Likeness { sentence: String::new(), score: 0.6 },
        said: question.said,
    };
    let heard = questions(&scenario).into_iter().map(clear).collect();
    Found {
        listed: vec![json!({ "id": CALL })],
        record: json!({ "id": CALL, "cost": { "components": parts, "total_micro": 400, "currency": "EUR" } }),
        timeline,
        recording: Wav { rate: 8000, channels: vec![vec![8000; 8000], vec![8000; 24_000]] },
        report,
        steps,
        heard,
        scenario,
    }
}

impl Found {
    fn check(&self) -> anyhow::Result<Vec<String>> {
        all(&Findings {
            scenario: &self.scenario,
            id: CALL,
            listed: &self.listed,
            record: &self.record,
            timeline: &self.timeline,
            recording: &self.recording,
            report: &self.report,
            steps: &self.steps,
            heard: &self.heard,
        })
    }

    fn event(&mut self, kind: &str, nth: usize) -> &mut Value {
        self.timeline.iter_mut().filter(|event| event["type"] == kind).nth(nth).unwrap()
    }
}

/// Why findings are refused that differ from good ones by `doctor`.
fn refused(doctor: impl FnOnce(&mut Found)) -> String {
    let mut found = good();
    doctor(&mut found);
    found.check().expect_err("doctored findings must be refused").to_string()
}

#[test]
fn a_good_call_passes_with_a_line_for_every_claim() {
    let claims = good().check().unwrap_or_else(|error| panic!("{error:#}"));
    assert!(claims.len() >= 10, "{claims:#?}");
}

#[test]
fn a_call_that_is_not_listed_or_was_not_heard_understood_and_answered_is_refused() {
    assert!(refused(|found| found.listed.clear()).contains("does not list"));
    for (kind, nth, field) in [
        ("transcript.final", 0, "text"),
        ("transcript.final", 1, "text"),
        ("llm.request", 0, "input"),
        ("llm.request", 1, "input"),
        ("llm.request", 2, "input"),
        ("agent.said", 0, "text"),
        ("agent.said", 1, "text"),
        ("agent.said", 2, "text"),
        ("dtmf.received", 0, "digit"),
    ] {
        let why = refused(|found| found.event(kind, nth)["data"][field] = json!("pardon"));
        assert!(why.contains(&format!("no {kind} holds")), "{kind} {nth}: {why}");
    }
}

#[test]
fn an_interruption_that_cut_nothing_or_is_remembered_wrongly_is_refused() {
    assert!(refused(|found| found.event("playback.cut", 0)["type"] = json!("x")).contains("did not stop playback"));
    assert!(refused(|found| found.event("playback.cut", 0)["data"]["heard"] = json!("")).contains("remembers nothing"));
    let whole = refused(|found| {
        let said = found.event("agent.said", 0)["data"]["text"].clone();
        found.event("playback.cut", 0)["data"]["heard"] = said;
    });
    assert!(whole.contains("remembers more"), "{whole}");
    let other = refused(|found| found.event("playback.cut", 0)["data"]["heard"] = json!("I never said this"));
    assert!(other.contains("remembers more"), "{other}");
}

#[test]
fn a_voice_that_did_not_stop_on_the_wire_is_refused_whatever_the_timeline_says() {
    let why = refused(|found| {
        for arrival in
            found.report.arrivals.iter_mut().filter(|arrival| (7_000_000..7_120_000).contains(&arrival.at_us))
        {
            arrival.level_dbfs = -20.0;
        }
    });
    assert!(why.contains("still audible"), "{why}");
    let why =
        refused(|found| drop(found.event("playback.cut", 0)["data"].as_object_mut().unwrap().remove("decided_ms")));
    assert!(why.contains("when it was decided"), "{why}");
    assert!(refused(|found| found.report.arrivals.clear()).contains("nothing was stopped"));
}

#[test]
fn a_recording_without_both_voices_is_refused() {
    assert!(refused(|found| found.recording.channels.truncate(1)).contains("1 channels"));
    for channel in [0, 1] {
        let why = refused(|found| found.recording.channels[channel].fill(0));
        assert!(why.contains("a voice is missing"), "{why}");
    }
}

#[test]
fn sound_without_the_words_is_refused() {
    assert!(refused(|found| found.heard.clear()).contains("nobody listened"));
    for sentence in 0..3 {
        let why = refused(|found| found.heard[sentence].best.sentence = "You said what.".to_owned());
        assert!(why.contains("the caller heard \"You said what.\""), "{why}");
        let why = refused(|found| found.heard[sentence].best.score = 0.4);
        assert!(why.contains("hardly like it"), "{why}");
    }
}

#[test]
fn a_waterfall_that_does_not_add_up_or_that_the_caller_did_not_wait_is_refused() {
    assert!(refused(|found| found.event("turn.waterfall", 1)["data"]["total_ms"] = json!(900)).contains("sum to 620"));
    let quicker = json!({ "endpoint_ms": 100, "llm_first_token_ms": 150, "tts_first_byte_ms": 180,
        "first_packet_out_ms": 200, "total_ms": 200 });
    let why = refused(|found| found.event("turn.waterfall", 0)["data"] = quicker);
    assert!(why.contains("the caller waited 620 ms"), "{why}");
    assert!(refused(|found| found.event("turn.waterfall", 2)["type"] = json!("x")).contains("2 turns"));
}

#[test]
fn usage_and_cost_that_do_not_fit_the_call_are_refused() {
    for unit in [0, 1, 2] {
        let why = refused(|found| found.record["cost"]["components"][unit]["quantity"] = json!(0));
        assert!(why.contains("usage is incomplete"), "{why}");
    }
    assert!(refused(|found| found.record["cost"]["components"][3]["quantity"] = json!(5)).contains("lasted 5 ms"));
    assert!(refused(|found| found.record["cost"]["total_micro"] = json!(401)).contains("components sum to 400"));
    assert!(refused(|found| found.record = json!({})).contains("no cost"));
}

#[test]
fn a_timeline_with_a_gap_is_refused() {
    assert!(refused(|found| drop(found.timeline.remove(0))).contains("gaps"));
}
