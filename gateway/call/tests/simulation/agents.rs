//! Simulated agents: their lists, rules and tools, by seed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use trunkline_api::AgentSpec;
use trunkline_api::id::{Id, Prefix};
use trunkline_api::usage::CallDirection;
use trunkline_api::words::{ProviderKind, ToolDefinition};
use trunkline_call::{CallSetup, ToolBinding};
use trunkline_leg::Anchor;

use crate::random::Random;
use crate::{keypads, realtime, thinking};

/// Specs that calls take turns with.
const SPECS: u64 = 96;

fn spec(seed: u64) -> AgentSpec {
    let mut random = Random::new(seed);
    let list = |kind: &str, count: u64| {
        (0..count).map(|index| json!({ "provider": format!("{kind}-{index}") })).collect::<Vec<_>>()
    };
    let channels: Vec<&str> =
        ["transcript", "llm-input", "llm-output"].into_iter().filter(|_| random.percent(30)).collect();
    let mut spec = json!({
        "name": "simulated", "prompt": "Be brief.",
        "greeting": random.pick(&["Hello, how may I help you?", "", "Welcome. This call is recorded. What can I do for you?"]),
        "pipeline": { "cascade": {
            "asr": list("asr", random.between(1, 3)), "llm": list("llm", random.between(1, 3)),
            "tts": list("tts", random.between(1, 3)),
        } },
        "tools": [{ "name": "hang_up" }, { "name": "weather" }, { "name": "booking" }, { "name": "open_menu" }],
        "redaction": { "redactor": if random.percent(30) { "pii" } else { "" }, "channels": channels },
        "interruption": {
            "barge_in": random.percent(90), "dtmf": random.percent(70),
            "mode": random.pick(&["pause_then_resume", "pause_then_resume", "ignore_backchannel", "finish_sentence", "abort"]),
            "protected": if random.percent(15) { vec!["recorded", "four euros"] } else { Vec::new() },
            "min_words": random.between(1, 2),
        },
        "analysis": if random.percent(20) { vec!["summary", "sentiment", "emotion"] } else { Vec::new() },
        "turn": {
            "speculate": random.percent(70), "adaptive": random.percent(80),
            "push_to_talk": if random.percent(4) { "*" } else { "" }, "max_speech_ms": 5000 + random.below(60_000),
        },
        "limits": {
            "max_call_s": random.between(20, 300), "caller_silence_ms": random.between(3000, 12_000),
            "llm_hedge_ms": 600 * random.below(2),
        },
        "speech": crate::speech::policy(seed),
    });
    keypads::add_to(&mut spec, &mut random);
    thinking::choose(&mut spec, &mut random);
    if random.percent(40) {
        let tools = spec["tools"].as_array_mut().unwrap();
        tools.extend(["transfer", "send_dtmf", "request_callback"].map(|name| json!({ "name": name })));
        spec["transfer"] = json!({
            "targets": [{ "name": "sales", "to": "+4930555" }],
            "mode": random.pick(&["attended", "attended", "bridge", "blind"]),
            "join": random.pick(&["bridge", "bridge", "refer"]), "after": random.pick(&["hang_up", "return"]),
            "while_joined": if seed.is_multiple_of(3) { "listen" } else { "leave" },
            "accept_key": random.pick(&["1", ""]), "ring_ms": random.between(5000, 9000), "accept_ms": 4000,
            "hold_say": random.pick(&["One moment.", ""]), "hold_line_every_ms": 5000, "leg_max_s": 30,
            "caller_gone_say": random.pick(&["The caller is gone.", ""]),
            "on_failure": random.pick(&[
                json!({ "action": "return", "say": "Nobody is there." }), json!({ "action": "return" }),
                json!({ "action": "hang_up", "text": "Goodbye." }),
            ]),
        });
        if random.percent(30) {
            spec["failures"] = json!({ "providers_exhausted": { "action": "transfer", "to": "sales" } });
        }
    }
    if random.percent(25) {
        spec["answering"] = json!({
            "hello_ms": 1500 * random.below(2), "ivr": random.pick(&["continue", "navigate", "hang_up"]),
            "machine": random.pick(&[
                json!({ "action": "hang_up" }), json!({ "action": "continue" }),
                json!({ "action": "leave_message", "text": "Please call back." }),
            ]),
            "screening": random.pick(&[json!({ "action": "say", "text": "It is the shop." }), json!({ "action": "continue" })]),
        });
    }
    realtime::choose(&mut spec, seed);
    serde_json::from_value(spec).unwrap()
}

pub(crate) fn specs(seed: u64) -> Arc<AgentSpec> {
    thread_local! {
        static ALL: RefCell<BTreeMap<u64, Arc<AgentSpec>>> = const { RefCell::new(BTreeMap::new()) };
    }
    ALL.with_borrow_mut(|all| Arc::clone(all.entry(seed % SPECS).or_insert_with(|| Arc::new(spec(seed % SPECS)))))
}

pub(crate) fn setup(spec: &Arc<AgentSpec>, seed: u64) -> CallSetup {
    let id = |prefix| Id::mint(prefix, 1_700_000_000_000, [1; 10]);
    let tool = |name: &str| ToolBinding {
        plugin: name.to_owned(),
        settings: Default::default(),
        definition: ToolDefinition {
            name: name.to_owned(),
            description: "a tool".to_owned(),
            parameters: "{}".to_owned(),
        },
        policy: spec.tools.iter().find(|tool| tool.name == name).map(|tool| tool.policy.clone()).unwrap_or_default(),
    };
    CallSetup {
        call: id(Prefix::Call),
        tenant: id(Prefix::Tenant),
        agent: id(Prefix::Agent),
        agent_version: 1,
        spec: Arc::clone(spec),
        tools: vec![tool("weather"), tool("booking")],
        others: thinking::others(spec, seed),
        trunk: None,
        gateway: None,
        direction: if spec.answering.is_some() { CallDirection::Outbound } else { CallDirection::Inbound },
        from: "1".to_owned(),
        to: "2".to_owned(),
        variables: Default::default(),
        anchor: Anchor { wall_us: 1_700_000_000_000_000, call_us: 0 },
        seed,
        codec: "PCMA".to_owned(),
        sip_call_id: None,
    }
}

/// How long its lists are.
pub(crate) fn lists(spec: &AgentSpec) -> [u64; 3] {
    [ProviderKind::Asr, ProviderKind::Llm, ProviderKind::Tts]
        .map(|kind| (spec.pipeline.providers(kind).len() as u64).max(1))
}
