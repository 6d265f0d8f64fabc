//! Every claim of the demo, checked against what the REST API, the recording and the caller say; nothing here comes
//! from what was printed.

use anyhow::{Context as _, ensure};
use serde_json::Value;
use trunkline_caller::{Report, Step};
use trunkline_tests::wav::Wav;

use crate::scenario::Scenario;
use crate::{interruption, waterfall, words};

/// What is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Findings<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) id: &'a str,
    /// `GET /v1/calls`.
    pub(crate) listed: &'a [Value],
    /// `GET /v1/calls/{id}`.
    pub(crate) record: &'a Value,
    pub(crate) timeline: &'a [Value],
    /// What the gateway recorded.
    pub(crate) recording: &'a Wav,
    /// What the caller saw and heard.
    pub(crate) report: &'a Report,
    /// What the caller was to do.
    pub(crate) steps: &'a [Step],
    /// The agent's sentences as they were told apart in what the caller heard.
    pub(crate) heard: &'a [words::Heard],
}

/// Checks all; returns what was found true.
pub(crate) fn all(found: &Findings<'_>) -> anyhow::Result<Vec<String>> {
    let (request, digits, key) =
        (found.scenario.request, found.scenario.spoken_digits(), found.scenario.key.to_string());
    let mut claims = Vec::new();

    ensure!(found.listed.iter().any(|call| call["id"] == found.id), "GET /v1/calls does not list the call");
    claims.push("the call is in GET /v1/calls".to_owned());

    for words in [request, digits.as_str()] {
        found.says("transcript.final", "text", words)?;
        found.says("llm.request", "input", words)?;
        found.says("agent.said", "text", words)?;
    }
    claims
        .push(format!("\"{request}\" and \"{digits}\" were recognised, given to the model and repeated by the agent"));

    // The agent's transcript is redacted: by itself a key says nothing, and several could be a card's number.
    found.says("dtmf.received", "digit", "x")?;
    found.says("llm.request", "input", &key)?;
    found.says("agent.said", "text", &format!("pressed {key}"))?;
    claims.push(format!("key {key} was received, given to the model and repeated by the agent"));

    let cut = &found.event("playback.cut").context("the caller's interruption did not stop playback")?["data"];
    let heard = cut["heard"].as_str().unwrap_or_default();
    let spoken =
        found.events().filter(|event| event["type"] == "agent.said" && event["data"]["utterance"] == cut["utterance"]);
    let whole = spoken.filter_map(|event| event["data"]["text"].as_str()).collect::<Vec<_>>().join(" ");
    ensure!(!heard.is_empty(), "the agent remembers nothing of what it said before the interruption");
    ensure!(
        whole.starts_with(heard) && heard.len() < whole.len(),
        "the agent remembers more than was sent, or something else: \"{heard}\" of \"{whole}\""
    );
    claims.push(format!("the interruption cut the reply short: the agent remembers saying \"{heard}\" and no more"));

    let stop = interruption::stop(found.timeline, found.report)?;
    claims.push(format!(
        "RTP: the agent's last sound came {} ms after the decision to stop, {} ms after the caller's first word; then {} ms \
         of silence",
        stop.after_decision_us / 1000,
        stop.after_first_word_us / 1000,
        stop.silent_us / 1000
    ));

    let wav = found.recording;
    ensure!(wav.channels.len() == 2, "the recording has {} channels", wav.channels.len());
    let loud = [wav.loud_ms(0, -40.0), wav.loud_ms(1, -40.0)];
    ensure!(loud[0] > 800 && loud[1] > 2000, "a voice is missing in the recording: {loud:?} ms above -40 dBFS");
    claims.push(format!("the recording holds both voices: caller {} ms, agent {} ms", loud[0], loud[1]));

    words::were_heard(found.scenario, found.heard)?;
    let sentences: Vec<String> = found
        .heard
        .iter()
        .map(|heard| {
            format!("\"{}\" ({:.2}, the next likeliest {:.2})", heard.said, heard.best.score, heard.second.score)
        })
        .collect();
    claims.push(format!("the caller heard the agent's words: {}", sentences.join(", ")));

    let turns = waterfall::adds_up(found.timeline, found.report, found.steps)?;
    let turns: Vec<String> = turns.iter().map(|turn| format!("{}/{}", turn.total_ms, turn.heard_ms)).collect();
    claims.push(format!(
        "the waterfalls add up, and to what the caller waited (gateway/caller): {} ms",
        turns.join(", ")
    ));

    let cost = &found.record["cost"];
    let components = cost["components"].as_array().with_context(|| format!("no cost: {}", found.record))?;
    let used = |unit: &str| -> u64 {
        components.iter().filter(|part| part["unit"] == unit).filter_map(|part| part["quantity"].as_u64()).sum()
    };
    ensure!(used("asr_ms") > 0 && used("tts_chars") > 0 && used("tokens_out") > 0, "usage is incomplete: {cost}");
    let duration = used("call_ms");
    ensure!((3000..120_000).contains(&duration), "the call lasted {duration} ms by its usage record");
    claims.push(format!(
        "usage: {duration} ms of call, {} ms recognised, {} characters spoken",
        used("asr_ms"),
        used("tts_chars")
    ));

    let total = cost["total_micro"].as_i64().with_context(|| format!("no total: {cost}"))?;
    let parts: i64 = components.iter().filter_map(|part| part["cost_micro"].as_i64()).sum();
    ensure!(total > 0 && total == parts, "components sum to {parts}, the total is {total}");
    claims.push(format!(
        "cost: {}.{:06} {}",
        total / 1_000_000,
        total % 1_000_000,
        cost["currency"].as_str().unwrap_or("?")
    ));

    let sequence: Vec<u64> = found.events().filter_map(|event| event["seq"].as_u64()).collect();
    ensure!(sequence == (1..=sequence.len() as u64).collect::<Vec<_>>(), "the timeline has gaps: {sequence:?}");
    claims.push(format!("the timeline's {} events are gap-free", sequence.len()));
    Ok(claims)
}

impl<'a> Findings<'a> {
    fn events(&self) -> impl Iterator<Item = &'a Value> {
        self.timeline.iter()
    }

    fn event(&self, kind: &str) -> Option<&'a Value> {
        self.events().find(|event| event["type"] == kind)
    }

    fn texts(&self, kind: &str, field: &str) -> impl Iterator<Item = &'a str> {
        self.events().filter(move |event| event["type"] == kind).filter_map(move |event| event["data"][field].as_str())
    }

    fn says(&self, kind: &str, field: &str, words: &str) -> anyhow::Result<()> {
        let texts: Vec<&str> = self.texts(kind, field).collect();
        ensure!(texts.iter().any(|text| text.contains(words)), "no {kind} holds \"{words}\": {texts:?}");
        Ok(())
    }
}
