//! `bench live`: what a caller waits for and what reaches a caller, on running gateways over SIP and RTP with providers that
//! take no time: from the last sound of what the caller says to the first of the answer, from the decision to stop to the
//! last packet of the agent's voice, and whether the words that the agent takes to be heard are those that came. Beside it,
//! in the same run and on the same gateway, a plain time-out of 700 ms.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use trunkline_bench_results::{Measurement, Results};
use trunkline_caller::{Happened, Script};
use trunkline_load::quantile;
use trunkline_tests::caller::{Caller, script};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::live::{Answer, Cut, Live, end_with_sound, instant_agent};
use trunkline_tests::objects;
use trunkline_tests::tones::initials;

use crate::killed;
use crate::plot::{self, Line, Panel};

/// What callers say, by what it tells of whether more follows: the silence that the engine waits for depends on it.
const SAID: [(&str, [&str; 4]); 3] = [
    (
        "question",
        [
            "Are you open on Sundays?",
            "Where is the nearest station?",
            "Can I bring my dog?",
            "What does a ticket cost?",
        ],
    ),
    (
        "sentence",
        [
            "I would like to order a pizza.",
            "My parcel did not arrive.",
            "Please send me an invoice.",
            "We are six people.",
        ],
    ),
    (
        "no mark",
        [
            "I would like to book a room",
            "My heating does not work",
            "Tell me the opening hours",
            "We have lost our luggage",
        ],
    ),
];
const TURNS_A_CALL: usize = SAID.len() * 4;
/// A text whose words begin with letters of their own and are as long as words are.
const LONG: &str = "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa \
    quebec romeo sierra tango uniform victor whiskey xray yankee zulu.";
/// How long a word takes, and each of its letters: about 150 words a minute.
const WORD_MS: u32 = 120;
const LETTER_MS: u32 = 50;
/// What the caller says over it.
const INTERRUPTION: &str = "Wait, I have got a question.";
const CUTS_A_CALL: usize = 10;
const VOICES: [&str; 3] = ["rms", "slt", "awb"];
/// What of a word may be missing at its edges for it to have come whole, in milliseconds.
const BLUR_MS: u32 = 30;
/// How often a call is placed that is refused, and how long its answer is waited for.
const ATTEMPTS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(20);
/// The engine as it ships, and what it is beside.
const ENGINES: [&str; 2] = ["default", "timeout"];

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Turns of each of the two, at least.
    #[arg(long, default_value_t = 200)]
    turns: usize,
    /// Interruptions of each, at least.
    #[arg(long, default_value_t = 200)]
    interruptions: usize,
    /// Calls at once to each.
    #[arg(long, default_value_t = 3)]
    at_once: usize,
    /// Also write the results as a JSON array.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where the plot goes.
    #[arg(long, default_value = "bench/results/live/live.svg")]
    plot: PathBuf,
    /// Another gateway than the one just built, to be compared with.
    #[arg(long)]
    gateway: Option<PathBuf>,
}

/// What the calls to one of the two gave.
#[derive(Default)]
struct Seen {
    answers: Vec<Answer>,
    cuts: Vec<Cut>,
}

/// Runs it.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(args.at_once > 0, "--at-once must be at least 1");
    let scratch = tempfile::tempdir()?;
    let agents: Vec<(String, Value)> =
        ENGINES.iter().flat_map(|engine| agents(engine)).chain(killed::agents()).collect();
    let routed: Vec<(&str, Value)> = agents.iter().map(|(user, agent)| (user.as_str(), agent.clone())).collect();
    let options = Options { program: args.gateway.clone(), ..Options::default() };
    let mortals = killed::providers();
    let mortals: Vec<(&str, &str, Value)> =
        mortals.iter().map(|(name, plugin, settings)| (name.as_str(), *plugin, settings.clone())).collect();
    let objects = objects::with_providers(&objects::routed(&routed)?, &mortals)?;
    let mut gateway = Gateway::standalone(scratch.path(), &objects, options)?;
    gateway.await_agents(routed.len() as u64)?;
    // The first call of all opens caches; it is not counted.
    let talks = VOICES.map(talk).into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let interrupts = VOICES.map(interrupt).into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    Live::call(&gateway, "default-talk", 1, script(&json!({ "steps": [{ "wait_for_agent": { "quiet_ms": 200 } }] }))?)?;

    let mut seen = [Seen::default(), Seen::default()];
    let calls = args.turns.div_ceil(TURNS_A_CALL);
    for (engine, call) in rounds(&gateway, "talk", &talks, calls, args.at_once)? {
        seen[engine].answers.extend(call.answers());
    }
    let calls = args.interruptions.div_ceil(CUTS_A_CALL);
    for (engine, call) in rounds(&gateway, "long", &interrupts, calls, args.at_once)? {
        seen[engine].cuts.extend(call.cuts().with_context(|| format!("call {}", call.id))?);
    }
    let mut results = Results::new(format!(
        "cargo xtask bench live --turns {} --interruptions {} --at-once {}",
        args.turns, args.interruptions, args.at_once
    ));
    let [ours, plain] = &seen;
    report(&mut results, ours, plain);
    killed::run(&gateway, &mut results)?;
    gateway.stop()?;
    results.baseline("a time-out of 700 ms in place of words, on the same gateway in the same run");
    draw(&args.plot, ours, plain)?;
    println!("plot: {}", args.plot.display());
    results.finish(args.json.as_deref())
}

/// The agents of an engine: one to talk to, one to interrupt.
fn agents(engine: &str) -> [(String, Value); 2] {
    let model = |text: &str| json!({ "provider": "scripted", "settings": { "fallback": { "say": text } } });
    let said: Vec<&str> = SAID.iter().flat_map(|(_, texts)| texts).copied().collect();
    let voice = json!({ "word_ms": WORD_MS, "letter_ms": LETTER_MS });
    let talk = instant_agent("hello.", &said, model("alpha bravo."), voice.clone());
    let long = instant_agent(LONG, &[INTERRUPTION], model(LONG), voice);
    [("talk", talk), ("long", long)].map(|(name, mut agent)| {
        agent["name"] = format!("{engine}-{name}").into();
        if engine == "timeout" {
            agent["turn"] = json!({ "end_silence_ms": 700, "adaptive": false, "speculate": false });
            agent["interruption"] = json!({ "mode": "abort" });
        }
        (format!("{engine}-{name}"), agent)
    })
}

/// A caller who says everything there is to say, one after the other.
fn talk(voice: &str) -> anyhow::Result<Script> {
    let listen = json!({ "wait_for_agent": { "quiet_ms": 400 } });
    let texts = SAID.iter().flat_map(|(_, texts)| texts);
    let turns = texts.flat_map(|text| [json!({ "say": { "text": text } }), listen.clone()]);
    let steps: Vec<Value> = std::iter::once(listen.clone()).chain(turns).collect();
    prepared(&json!({ "voice": voice, "steps": steps }))
}

/// A caller who lets nobody finish, after a different while each time.
fn interrupt(voice: &str) -> anyhow::Result<Script> {
    let after = |n: usize| 700 + 370 * n % 2300;
    let step = |n: usize| json!({ "interrupt": { "after_ms": after(n), "say": { "text": INTERRUPTION } } });
    let mut steps: Vec<Value> = (0..CUTS_A_CALL).map(step).collect();
    steps.push(json!({ "pause": { "ms": 500 } }));
    prepared(&json!({ "voice": voice, "steps": steps }))
}

fn prepared(json: &Value) -> anyhow::Result<Script> {
    let mut script = script(json)?;
    end_with_sound(&mut script)?;
    Ok(script)
}

/// Places calls to both engines side by side, a round after the other.
fn rounds(
    gateway: &Gateway,
    user: &str,
    scripts: &[Script],
    calls: usize,
    at_once: usize,
) -> anyhow::Result<Vec<(usize, Live)>> {
    let (mut done, mut seed) = (Vec::new(), if user == "talk" { 1000 } else { 1_000_000 });
    for first in (0..calls).step_by(at_once) {
        let mut callers = Vec::new();
        for call in first..calls.min(first + at_once) {
            for (engine, name) in ENGINES.iter().enumerate() {
                let script = scripts[call % scripts.len()].clone();
                callers.push((engine, answered(gateway, &format!("{name}-{user}"), &mut seed, &script)?));
                // Calls that begin together would have all their ticks together.
                std::thread::sleep(Duration::from_millis(37));
            }
        }
        for (engine, caller) in callers {
            let call = Live::of(gateway, caller.finish()?)?;
            for failure in call.events_of("failure.raised") {
                println!("{user}: {}", failure["data"]);
            }
            done.push((engine, call));
        }
        println!("{user}: {} of {} calls", done.len(), 2 * calls);
    }
    Ok(done)
}

/// A call that was answered: a gateway whose machine is busy with other things may refuse the first ones.
pub(crate) fn answered(gateway: &Gateway, user: &str, seed: &mut u64, script: &Script) -> anyhow::Result<Caller> {
    for _ in 0..ATTEMPTS {
        *seed += 1;
        let mut caller = Caller::call(gateway.sip(), user, *seed, script.clone())?;
        let decided = |what: &Happened| matches!(what, Happened::Answered | Happened::Refused { .. });
        if caller.await_event("an answer", PATIENCE, decided)?.what == Happened::Answered {
            return Ok(caller);
        }
        println!("{user}: refused, once more");
        std::thread::sleep(PATIENCE / 10);
    }
    anyhow::bail!("{user} was refused {ATTEMPTS} times")
}

fn report(results: &mut Results, ours: &Seen, plain: &Seen) {
    let mut add = |name: String, ours: Vec<f64>, plain: Vec<f64>| {
        for (suffix, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
            let value = quantile(&ours, share);
            results.add(Measurement::new(format!("{name}_{suffix}"), value, "ms").beside(quantile(&plain, share)));
        }
    };
    for (kind, _) in SAID {
        add(format!("live.answer_ms.{}", kind.replace(' ', "_")), answers(ours, kind), answers(plain, kind));
    }
    add("live.answer_ms.all".to_owned(), answers(ours, ""), answers(plain, ""));
    add("live.end_noticed_ms".to_owned(), noticed(ours), noticed(plain));
    type Figure = fn(&Cut) -> f64;
    let figures: [(&str, Figure); 3] = [
        ("live.stop_ms", |cut| cut.last_packet_us as f64 / 1000.0),
        ("live.interrupted_ms", |cut| (cut.decided_us + cut.last_packet_us) as f64 / 1000.0),
        ("live.unheard_ms", |cut| received_ms(cut) as f64 - cut.heard_ms as f64),
    ];
    for (name, figure) in figures {
        add(name.to_owned(), ours.cuts.iter().map(figure).collect(), plain.cuts.iter().map(figure).collect());
    }
    let most = |seen: &Seen| seen.cuts.iter().map(|cut| cut.packets_after).max().unwrap_or(0) as f64;
    results.add(Measurement::new("live.packets_after_stop_most", most(ours), "packets").beside(most(plain)));
    for (name, wanted) in [("live.words_equal", 0), ("live.words_one_less", -1), ("live.words_one_more", 1)] {
        let share = |seen: &Seen| {
            let found = seen.cuts.iter().filter(|cut| words_too_many(cut) == wanted).count();
            100.0 * found as f64 / seen.cuts.len().max(1) as f64
        };
        results.add(Measurement::new(name, share(ours), "%").beside(share(plain)));
    }
    results.add(Measurement::new("live.turns", ours.answers.len() as f64, "turns").beside(plain.answers.len() as f64));
    let cuts = Measurement::new("live.interruptions", ours.cuts.len() as f64, "interruptions");
    results.add(cuts.beside(plain.cuts.len() as f64));
}

/// Milliseconds of answers to what is of a kind, or of all of them.
fn answers(seen: &Seen, kind: &str) -> Vec<f64> {
    let of_kind = |answer: &&Answer| {
        kind.is_empty() || SAID.iter().any(|(name, texts)| *name == kind && texts.contains(&answer.to.as_str()))
    };
    seen.answers.iter().filter(of_kind).map(|answer| answer.first_sound_us as f64 / 1000.0).collect()
}

/// How much of each answer's time is none of the gateway's account: the way there and back, and until it takes the caller to
/// have stopped.
fn noticed(seen: &Seen) -> Vec<f64> {
    let late = |answer: &Answer| Some(answer.first_sound_us.saturating_sub(answer.total_us?) as f64 / 1000.0);
    seen.answers.iter().filter_map(late).collect()
}

fn received_ms(cut: &Cut) -> u32 {
    cut.received.iter().map(|tone| tone.ms).sum()
}

/// How many words more are taken to be heard than came whole.
fn words_too_many(cut: &Cut) -> i64 {
    let lasts = |word: &str| WORD_MS + LETTER_MS * word.chars().filter(|c| c.is_alphanumeric()).count() as u32;
    let words = LONG.split_whitespace().zip(&cut.received);
    let whole = words.filter(|(word, tone)| word.starts_with(tone.letter) && tone.ms + BLUR_MS >= lasts(word)).count();
    initials(&cut.heard).len() as i64 - whole as i64
}

fn draw(path: &std::path::Path, ours: &Seen, plain: &Seen) -> anyhow::Result<()> {
    let panel = |title: &str, lines: Vec<Line>| Panel {
        title: title.to_owned(),
        across: "milliseconds".to_owned(),
        up: "share".to_owned(),
        lines,
    };
    let mut lines: Vec<Line> = SAID.iter().map(|(kind, _)| Line::spread(kind, &answers(ours, kind))).collect();
    lines.push(Line::spread("700 ms", &answers(plain, "")));
    let stops = |seen: &Seen| seen.cuts.iter().map(|cut| cut.last_packet_us as f64 / 1000.0).collect::<Vec<_>>();
    let stops = vec![Line::spread("default", &stops(ours)), Line::spread("abort", &stops(plain))];
    let panels = [
        panel("From the caller's last sound to the first of the answer", lines),
        panel("From the decision to stop to the last packet of the agent's voice", stops),
    ];
    plot::write(path, &panels)
}
