//! `bench live`, the part in which a provider dies in the middle of a call: how long the caller hears nothing until the next
//! of the list has taken over, or until a line bridges the gap.

use serde_json::{Value, json};
use trunkline_bench_results::{Measurement, Results};
use trunkline_tests::caller::script;
use trunkline_tests::gateway::Gateway;
use trunkline_tests::live::{Live, end_with_sound, instant_agent};

/// What the caller says, and what the agent answers.
const SAID: &str = "Are you open on Sundays?";
const REPLY: &str = "alpha bravo cigar delta.";
/// How a provider of a kind dies: by its settings, and the plugin that they are for.
const DEATHS: [(&str, &str, &str); 6] = [
    ("asr", "traps", "instant-asr"),
    ("asr", "stalls", "instant-asr"),
    ("llm", "fails", "scripted"),
    ("llm", "stalls", "scripted"),
    ("tts", "traps", "instant-tts"),
    ("tts", "stalls", "instant-tts"),
];
/// Calls of each. A provider that died rests for all calls of its tenant, so each call has one of its own.
const CALLS: usize = 5;

fn settings(kind: &str, dies: &str) -> Value {
    match (kind, dies) {
        ("asr", _) => json!({ "utterances": [SAID], "dies": dies }),
        ("llm", "stalls") => json!({ "stall": true }),
        ("llm", _) => json!({ "fail_after": 0, "fallback": { "say": REPLY } }),
        // The greeting's word and the reply's first.
        _ => json!({ "dies": dies, "dies_after": 2 }),
    }
}

/// The providers that die, by names of their own.
pub(crate) fn providers() -> Vec<(String, &'static str, Value)> {
    let of = |(kind, dies, plugin): (&str, &str, &'static str)| {
        (0..CALLS).map(move |n| (format!("{kind}-{dies}-{n}"), plugin, settings(kind, dies))).collect::<Vec<_>>()
    };
    DEATHS.into_iter().flat_map(of).collect()
}

/// An agent for each of them, by the number that is called.
pub(crate) fn agents() -> Vec<(String, Value)> {
    let of = |(name, plugin, _): (String, &str, Value)| {
        let llm = json!({ "provider": "scripted", "settings": { "fallback": { "say": REPLY } } });
        let mut agent = instant_agent("hello.", &[SAID], llm, json!({}));
        let list = match plugin {
            "instant-asr" => "asr",
            "scripted" => "llm",
            _ => "tts",
        };
        let cascade = &mut agent["pipeline"]["cascade"][list];
        *cascade = json!([{ "provider": name }, cascade[0]]);
        agent["name"] = name.clone().into();
        (name, agent)
    };
    providers().into_iter().map(of).collect()
}

/// Calls each of the agents and adds what came of it.
pub(crate) fn run(gateway: &Gateway, results: &mut Results) -> anyhow::Result<()> {
    let steps = json!({ "voice": "rms", "steps": [
        { "wait_for_agent": { "quiet_ms": 400 } }, { "say": { "text": SAID } }, { "wait_for_agent": { "quiet_ms": 2500 } },
    ] });
    let mut steps = script(&steps)?;
    end_with_sound(&mut steps)?;
    let mut seed = 2_000_000;
    for (kind, dies, _) in DEATHS {
        let (mut silences, mut switched) = (Vec::new(), 0);
        for n in 0..CALLS {
            let caller = super::live::answered(gateway, &format!("{kind}-{dies}-{n}"), &mut seed, &steps)?;
            let call = Live::of(gateway, caller.finish()?)?;
            switched += usize::from(call.events_of("provider.switched").next().is_some());
            silences.extend(call.longest_silence_us().map(|us| us as f64 / 1000.0));
        }
        println!("{kind} {dies}: {} of {CALLS} calls answered, {switched} by the next provider", silences.len());
        let most = silences.iter().copied().fold(0.0, f64::max);
        results.add(Measurement::new(format!("live.killed.{kind}_{dies}.silence_ms_most"), most, "ms"));
        let answered = Measurement::new(format!("live.killed.{kind}_{dies}.answered"), silences.len() as f64, "calls");
        results.add(answered.beside(CALLS as f64));
    }
    Ok(())
}
