//! A copy of a log without anybody's words: every word of setup and inputs gets a name, and the call is lived again with
//! these, so that the copy replays against its own log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use trunkline_api::Id;
use trunkline_leg::{Anchor, DtmfDigit, LegFact};

use super::fakes::Fakes;
use super::line::Line;
use super::read::Log;
use super::taped::{Tape, Taped};
use crate::input::{Input, LlmEvent};
use crate::setup::CallSetup;

/// When every redacted call began: 14 November 2023.
const BEGAN_US: u64 = 1_700_000_000_000_000;
/// Tools that an agent has without a plugin.
const BUILT_IN: [&str; 11] = [
    "hang_up",
    "transfer",
    "open_menu",
    "set_language",
    "send_dtmf",
    "request_callback",
    "collect",
    "confirm",
    "collect_secure",
    "hand_off",
    "search_knowledge",
];
/// Fields that are no words although any text may stand there.
const SETTLED: [&str; 7] = ["schema", "requires", "language", "push_to_talk", "codec", "format", "reason"];
/// Objects whose keys are somebody's words.
const KEYED: [&str; 3] = ["variables", "others", "menus"];
/// What stands before the name of a menu where a call begins in one.
const MENU: &str = "menu:";
/// A value that only some texts are allowed for is no longer than this.
const MAX_NAME: usize = 64;

/// A copy without words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The log, as text.
    pub log: String,
    /// Commands of the call that are of the same kind at the same input as in the original.
    pub alike: u64,
    /// Commands of the original.
    pub commands: u64,
}

/// Why there is no copy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedactError {
    /// Setup or an input with names instead of words is none.
    Refused(String),
    /// The copy does not read as a log.
    Unreadable(String),
}

impl std::fmt::Display for RedactError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the capture cannot be redacted: {why}; keep it and report this"),
            Self::Unreadable(why) => write!(f, "the copy cannot be read back: {why}; keep the capture and report this"),
        }
    }
}

impl std::error::Error for RedactError {}

/// Makes the copy. Words of the caller, the agent, tools, prompts and settings, numbers, names, addresses and identifiers
/// get names that `seed` draws; times, lengths and digits' number stay, as do the words that turns are decided by.
///
/// # Errors
/// [`RedactError`].
pub fn redacted(log: &Log, seed: u64) -> Result<Copy, RedactError> {
    let mut fakes = Fakes::new(seed);
    learn(&mut fakes, log);
    let spec = &log.head.setup.spec;
    fakes.keep_key(&spec.turn.push_to_talk);
    if !spec.menus.is_empty() || !spec.transfer.accept_key.is_empty() {
        fakes.compare_keys();
    }
    let setup = setup(&mut fakes, &log.head.setup)?;
    let mut known = Known::of(&mut fakes, log);
    let mut refused = None;
    let log_text = lived(setup, true, log, |told| {
        // The first is told of; what follows is thrown away.
        input(&mut fakes, told, &mut known).unwrap_or_else(|error| {
            refused.get_or_insert(error);
            Input::Timeout
        })
    });
    if let Some(error) = refused {
        return Err(error);
    }
    let after = super::read(log_text.as_bytes()).map_err(|error| RedactError::Unreadable(error.to_string()))?;
    let (before, after) = (kinds(log), kinds(&after));
    let both = before.iter().filter_map(|(kind, count)| after.get(kind).map(|other| *count.min(other)));
    Ok(Copy { log: log_text, alike: both.sum(), commands: before.values().sum() })
}

/// The log of this build's call that is told the same: what a test of a capture is renewed with, once another course is
/// wanted.
#[must_use]
pub fn renewed(log: &Log) -> String {
    lived(log.head.setup.clone(), log.head.redacted, log, Input::clone)
}

/// The log of a call that is told what another was, changed by `input`.
fn lived(setup: CallSetup, redacted: bool, log: &Log, mut input: impl FnMut(&Input) -> Input) -> String {
    let shelf = Shelf::default();
    let mut call = Taped::captured(setup, &log.head.build, redacted, Box::new(shelf.clone()));
    for (_, line) in &log.lines {
        match line {
            Line::Told { at, input: told } => {
                call.handle(*at, input(told));
                while call.poll_transmit().is_some() || call.poll_event().is_some() {}
            }
            Line::Checkpoint { at, .. } => {
                call.checkpoint(*at);
            }
            Line::Capture(_) | Line::Made { .. } | Line::End(_) => {}
        }
    }
    drop(call);
    let mut text = shelf.0.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *text)
}

/// A tape in memory.
#[derive(Debug, Clone, Default)]
struct Shelf(Arc<Mutex<String>>);

impl Tape for Shelf {
    fn write(&mut self, line: &str) -> bool {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(line);
        text.push('\n');
        true
    }
}

/// How often a command of a kind was made, by the number of the input.
fn kinds(log: &Log) -> BTreeMap<(u64, &str), u64> {
    let (mut input, mut kinds) = (0, BTreeMap::new());
    for (_, line) in &log.lines {
        match line {
            Line::Told { .. } => input += 1,
            Line::Made { outputs, .. } => {
                for kind in outputs.iter().filter_map(|output| output["command"].as_str()) {
                    *kinds.entry((input, kind)).or_default() += 1;
                }
            }
            Line::Capture(_) | Line::Checkpoint { .. } | Line::End(_) => {}
        }
    }
    kinds
}

/// Every word there is, so that none of them becomes another one's name.
fn learn(fakes: &mut Fakes, log: &Log) {
    fn every_text(fakes: &mut Fakes, value: &Value) {
        match value {
            Value::String(text) => fakes.learn(text),
            Value::Array(values) => values.iter().for_each(|value| every_text(fakes, value)),
            Value::Object(object) => object.iter().for_each(|(key, value)| {
                fakes.learn(key);
                every_text(fakes, value);
            }),
            Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }
    every_text(fakes, &serde_json::to_value(&log.head.setup).unwrap_or_default());
    for (_, input) in log.inputs() {
        every_text(fakes, &serde_json::to_value(input).unwrap_or_default());
    }
    let deltas = of_requests(log).into_values().map(|pieces| pieces.concat()).collect::<Vec<_>>();
    deltas.iter().for_each(|text| fakes.learn(text));
}

/// What models said, by request, in the pieces it came in.
fn of_requests(log: &Log) -> BTreeMap<u32, Vec<&str>> {
    let mut requests: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for (_, input) in log.inputs() {
        if let Input::Llm { request, event: LlmEvent::TextDelta(text) } = input {
            requests.entry(*request).or_default().push(text);
        }
    }
    requests
}

/// What is known of a log before its inputs get names.
struct Known {
    /// What models said, by request: a word may come in two pieces, so that names are given to the whole.
    deltas: BTreeMap<u32, VecDeque<String>>,
    /// Tools of plugins.
    tools: BTreeSet<String>,
}

impl Known {
    fn of(fakes: &mut Fakes, log: &Log) -> Self {
        let deltas = of_requests(log).into_iter().map(|(request, pieces)| (request, fakes.pieces(&pieces).into()));
        let tools = log.head.setup.tools.iter().map(|tool| tool.definition.name.clone());
        Self { deltas: deltas.collect(), tools: tools.collect() }
    }
}

/// What the call began with, at another time and with other identifiers of its events.
fn setup(fakes: &mut Fakes, setup: &CallSetup) -> Result<CallSetup, RedactError> {
    let is_built_in = |path: &str, text: &str| path.contains("/tools/") && BUILT_IN.contains(&text);
    let mut named: CallSetup = renamed(fakes, setup, &is_built_in)?;
    named.anchor = Anchor { wall_us: BEGAN_US, call_us: 0 };
    named.seed = fakes.draw(u64::MAX);
    Ok(named)
}

fn input(fakes: &mut Fakes, input: &Input, known: &mut Known) -> Result<Input, RedactError> {
    if let Input::Leg { leg, fact: LegFact::Dtmf { digit, at } } = input {
        let digit = DtmfDigit::from_char(fakes.key(digit.as_char())).unwrap_or(*digit);
        return Ok(Input::Leg { leg: *leg, fact: LegFact::Dtmf { digit, at: *at } });
    }
    if let Input::Llm { request, event: LlmEvent::TextDelta(_) } = input {
        let text = known.deltas.get_mut(request).and_then(VecDeque::pop_front).unwrap_or_default();
        return Ok(Input::Llm { request: *request, event: LlmEvent::TextDelta(text) });
    }
    // A tool that no plugin has is one that every call has, and what it does follows from its name.
    let is_word = |text: &str| text.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
    let own =
        |path: &str, text: &str| path.ends_with("/tool_call/name") && is_word(text) && !known.tools.contains(text);
    renamed(fakes, input, &own)
}

/// The value with names instead of words. Which of its texts are words and which are one of a few values is found by
/// trying: where a name is refused, the value stays; so whatever a call is told in days to come is redacted unless that
/// is impossible.
fn renamed<T: Serialize + DeserializeOwned>(
    fakes: &mut Fakes,
    told: &T,
    stays: &dyn Fn(&str, &str) -> bool,
) -> Result<T, RedactError> {
    let impossible = |error: serde_json::Error| RedactError::Refused(error.to_string());
    let mut value = serde_json::to_value(told).map_err(impossible)?;
    rename_keys(fakes, &mut value);
    let mut paths = Vec::new();
    texts(&value, &mut String::new(), &mut paths);
    for path in paths {
        let Some(Value::String(text)) = value.pointer(&path) else { continue };
        let text = text.clone();
        let name = match text.parse::<Id>() {
            Ok(id) => fakes.id(&id, BEGAN_US / 1000),
            Err(_) if stays(&path, &text) => continue,
            Err(_) if is_key(&path) => fakes.keys(&text),
            Err(_) if text.starts_with(MENU) => format!("{MENU}{}", fakes.text(&text[MENU.len()..])),
            Err(_) => fakes.text(&text),
        };
        if name == text {
            continue;
        }
        put(&mut value, &path, name);
        if text.len() <= MAX_NAME && serde_json::from_value::<T>(value.clone()).is_err() {
            put(&mut value, &path, text);
        }
    }
    serde_json::from_value(value).map_err(impossible)
}

/// Whether a key of a telephone stands there.
fn is_key(path: &str) -> bool {
    path.ends_with("/transfer/accept_key") || (path.contains("/menus/") && path.ends_with("/key"))
}

fn rename_keys(fakes: &mut Fakes, value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                rename_keys(fakes, value);
                if let (true, Value::Object(keyed)) = (KEYED.contains(&key.as_str()), value) {
                    *keyed = std::mem::take(keyed)
                        .into_iter()
                        .map(|(key, value)| (fakes.text(&key), value))
                        .collect::<Map<_, _>>();
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename_keys(fakes, value)),
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

fn put(value: &mut Value, path: &str, text: String) {
    if let Some(place) = value.pointer_mut(path) {
        *place = Value::String(text);
    }
}

/// Pointers (RFC 6901) to every text that may be words.
fn texts(value: &Value, path: &mut String, paths: &mut Vec<String>) {
    let length = path.len();
    match value {
        Value::String(_) => paths.push(path.clone()),
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                path.push_str(&format!("/{at}"));
                texts(value, path, paths);
                path.truncate(length);
            }
        }
        Value::Object(object) => {
            for (key, value) in object.iter().filter(|(key, _)| !SETTLED.contains(&key.as_str())) {
                path.push('/');
                path.push_str(&key.replace('~', "~0").replace('/', "~1"));
                texts(value, path, paths);
                path.truncate(length);
            }
        }
        Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trunkline_api::usage::CallDirection;
    use trunkline_api::words::{FinishReason, ToolAction, ToolCall, ToolDefinition};
    use trunkline_api::{AgentSpec, Failure, Prefix};
    use trunkline_leg::{CallTime, LegId};

    use super::*;
    use crate::command::ToolBinding;
    use crate::input::{AsrEvent, Redacted, ToolOutcome};
    use crate::tape::{read, replay};

    /// Words that somebody might know somebody by, each in one of the places there are.
    const TELLING: [&str; 30] = [
        "weissmueller",
        "quellental",
        "kreuzberg",
        "oranienstrasse",
        "4711123",
        "00493012345678",
        "whisperers",
        "diagnosis",
        "sciatica",
        "appointmentbook",
        "receptionist",
        "telltale",
        "apikeyabcdef",
        "internalhost",
        "patientname",
        "birthdate",
        "knowledgebase",
        "followup",
        "gpt4omini",
        "deepvendor",
        "voicevendor",
        "ratelimited",
        "supervisor",
        "sipdialog77",
        "listentome",
        "recordingcarefully",
        "wartezimmer",
        "19840523",
        "bandscheibe",
        "physio",
    ];

    fn spec() -> AgentSpec {
        serde_json::from_value(json!({
            "name": "Receptionist Quellental", "language": "de", "greeting": "Physio Quellental, {patientname}?",
            "prompt": "You are the receptionist of {patientname}. Whisperers at Oranienstrasse. {unknown}",
            "variables": { "patientname": "Weissmueller" }, "knowledge": ["knowledgebase"], "analysis": ["followup"],
            "pipeline": { "cascade": {
                "asr": [{ "provider": "deepvendor", "settings": { "url": "wss://internalhost/v1", "key": "apikeyabcdef" } }],
                "llm": [{ "provider": "gpt4omini", "settings": { "telltale": ["Kreuzberg", { "x": "sciatica" }] } }],
                "tts": [{ "provider": "voicevendor" }],
            } },
            "tools": [{ "name": "hang_up" }, { "name": "appointmentbook", "settings": { "at": "internalhost" } }],
            "interruption": { "backchannels": ["listentome"], "protected": ["recordingcarefully"] },
            "turn": { "push_to_talk": "5" },
            "failures": { "asr_unavailable": { "action": "say", "text": "Wartezimmer." } },
            "redaction": { "redactor": "physio", "channels": ["transcript"] },
            "survival": {},
        }))
        .unwrap()
    }

    fn original() -> Log {
        let id = |prefix| Id::mint(prefix, 1_790_000_000_000, [9; 10]);
        let definition = ToolDefinition {
            name: "appointmentbook".to_owned(),
            description: "Books for Weissmueller".to_owned(),
            parameters: r#"{"type":"object","properties":{"birthdate":{"type":"string"}}}"#.to_owned(),
        };
        let setup = CallSetup {
            call: id(Prefix::Call),
            tenant: id(Prefix::Tenant),
            agent: id(Prefix::Agent),
            agent_version: 3,
            spec: Arc::new(spec()),
            tools: vec![ToolBinding {
                plugin: "appointmentbook".to_owned(),
                settings: Map::new(),
                definition,
                policy: Default::default(),
            }],
            others: Default::default(),
            trunk: Some(id(Prefix::Trunk)),
            gateway: Some(id(Prefix::Gateway)),
            direction: CallDirection::Inbound,
            from: "00493012345678".to_owned(),
            to: "4711123".to_owned(),
            variables: Default::default(),
            anchor: Anchor { wall_us: 1_790_000_000_000_000, call_us: 0 },
            seed: 5,
            codec: "PCMA".to_owned(),
            sip_call_id: Some("sipdialog77@internalhost".to_owned()),
        };
        let digit = |digit, ms| {
            let at = CallTime::from_ms(ms);
            Input::Leg { leg: LegId::FIRST, fact: LegFact::Dtmf { digit: DtmfDigit::from_char(digit).unwrap(), at } }
        };
        let asr = |event| Input::Asr { session: 1, event };
        let delta = |text: &str| Input::Llm { request: 1, event: LlmEvent::TextDelta(text.to_owned()) };
        let arguments = r#"{"who":"Weissmueller","birthdate":19840523,"note":"Bandscheibe \u00e4"}"#.to_owned();
        let call = ToolCall { id: "telltale".to_owned(), name: "appointmentbook".to_owned(), arguments };
        let outcome = ToolOutcome {
            output: r#"{"diagnosis":"Sciatica"}"#.to_owned(),
            is_error: false,
            actions: vec![
                ToolAction::SetVariable("patientname".to_owned(), "Weissmueller".to_owned()),
                ToolAction::Say("Kreuzberg.".to_owned()),
            ],
            failure: None,
        };
        let failed = |detail: &str| LlmEvent::Failed { failure: Failure::LlmUnavailable, detail: detail.to_owned() };
        let inputs = [
            (0, Input::Answered),
            (400, digit('5', 400)),
            (800, asr(AsrEvent::Partial { text: "Weissmueller aus".to_owned() })),
            (900, asr(AsrEvent::Partial { text: "Weissmueller aus Kreuzberg, ja".to_owned() })),
            (1200, digit('5', 1200)),
            (
                1300,
                asr(AsrEvent::Final {
                    text: "Weissmueller aus Kreuzberg, ja".to_owned(),
                    confidence: None,
                    finalized: true,
                }),
            ),
            (1500, delta("Guten Tag, Herr Weiss")),
            (1510, delta("mueller. Ihre Band")),
            (1520, delta("scheibe?")),
            (1530, Input::Llm { request: 1, event: LlmEvent::ToolCall(call) }),
            (1540, Input::Llm { request: 1, event: LlmEvent::Finished(FinishReason::ToolCalls) }),
            (1700, Input::Tool { invocation: 1, outcome }),
            (1900, Input::Llm { request: 2, event: failed("ratelimited for supervisor") }),
            (2000, digit('8', 2000)),
            (2100, digit('#', 2100)),
            (9000, Input::Drain),
        ];
        let shelf = Shelf::default();
        let mut call = Taped::captured(setup, "test", false, Box::new(shelf.clone()));
        for (ms, input) in inputs {
            call.handle(CallTime::from_ms(ms), input);
            while let Some(command) = call.poll_transmit() {
                if let crate::Command::Redact { ticket, text, .. } = command {
                    let result = Ok(Redacted { text, counts: Vec::new() });
                    call.handle(CallTime::from_ms(ms), Input::Redacted { ticket, result });
                }
            }
        }
        drop(call);
        let text = shelf.0.lock().unwrap().clone();
        let words = TELLING.into_iter().filter(|word| !text.to_lowercase().contains(word)).collect::<Vec<_>>();
        assert!(words.is_empty(), "the original has them all: {words:?}");
        read(text.as_bytes()).unwrap()
    }

    #[test]
    fn no_telling_word_is_left_wherever_it_stood() {
        let log = original();
        for seed in 0..20 {
            let copy = redacted(&log, seed).unwrap();
            let text = copy.log.to_lowercase();
            let left = TELLING.into_iter().filter(|word| text.contains(word)).collect::<Vec<_>>();
            // Keys of a provider's settings and of a tool's arguments are names of its maker's.
            assert!(left.iter().all(|word| ["telltale", "birthdate", "diagnosis"].contains(word)), "{left:?}");
            assert!(!text.contains(&log.head.setup.call.to_string()) && !text.contains("1790000000"), "whose it was");
            let other = read(copy.log.as_bytes()).unwrap();
            assert_eq!(replay(&other, None, &mut |_| {}).divergence, None);
            assert_eq!(copy.alike, copy.commands, "it takes the same course");
            let setup = &other.head.setup;
            assert_eq!((setup.spec.language.as_str(), setup.spec.turn.push_to_talk.as_str()), ("de", "5"));
            assert_eq!(setup.spec.tools[0].name, "hang_up");
            assert_eq!(setup.spec.tools[1].name, setup.tools[0].definition.name);
            let (variable, _) = setup.spec.variables.first_key_value().unwrap();
            assert!(setup.spec.greeting.contains(&format!("{{{variable}}}")), "{}", setup.spec.greeting);
        }
    }

    #[test]
    fn what_a_model_said_in_pieces_has_the_names_of_the_whole() {
        let copy = redacted(&original(), 1).unwrap();
        let copy = read(copy.log.as_bytes()).unwrap();
        let mut said = String::new();
        let mut heard = String::new();
        for (_, input) in copy.inputs() {
            if let Input::Llm { event: LlmEvent::TextDelta(text), .. } = input {
                said.push_str(text);
            }
            if let Input::Asr { event: AsrEvent::Final { text, .. }, .. } = input {
                heard.clone_from(text);
            }
        }
        let name = heard.split_whitespace().next().unwrap();
        assert!(said.contains(name), "{said} / {heard}");
        assert!(heard.ends_with("ja"), "a sign of listening stays: {heard}");
    }
}
