//! When no provider of a kind is left a human takes the call: in survival mode and by the agent's own rule, by a leg that the
//! gateway dials and by the caller's own side, which is asked to.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::callee::Callee;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::line::{Line, shout, silence};
use trunkline_tests::model::Model;
use trunkline_tests::objects::{self, id};
use trunkline_tests::phone::Phone;
use trunkline_tests::{capture, wait};

/// Who takes the call.
const HUMAN: &str = "+4930555";

/// What an agent does without providers.
enum Rule {
    /// Survival mode calls a human.
    Survival,
    /// The agent says itself what is done about it.
    Own,
}

/// An agent whose model is dead, and with `voiceless` whose recogniser and voice are, too. It says nothing by itself.
fn agent(rule: &Rule, mode: &str, voiceless: bool) -> Value {
    let mut agent = objects::offline_agent(if voiceless { "Good morning." } else { "" });
    agent["pipeline"]["cascade"]["llm"] = json!([{ "provider": "dead-model" }]);
    if voiceless {
        agent["pipeline"]["cascade"]["asr"] = json!([{ "provider": "dead-ears" }]);
        agent["pipeline"]["cascade"]["tts"] = json!([{ "provider": "dead-voice" }]);
    }
    agent["limits"] = json!({ "caller_silence_ms": 86_400_000, "max_call_s": 86_400 });
    agent["sound"] = json!({ "denoiser": "off", "echo_gate": false });
    agent["recording"] = json!({ "enabled": false });
    agent["transfer"] = json!({ "mode": mode, "hold_say": "", "hold_lines": [] });
    match rule {
        Rule::Survival => agent["survival"] = json!({ "transfer_to": HUMAN }),
        Rule::Own => agent["failures"] = json!({ "providers_exhausted": { "action": "transfer", "to": HUMAN } }),
    }
    agent
}

/// A gateway whose trunk's server is at `server`, where +4930... may be dialled.
fn gateway(scratch: &std::path::Path, agent: &Value, server: SocketAddr) -> Gateway {
    let mut model = Model::start(|_| unreachable!("it is dead")).unwrap();
    let (settings, (name, hosts)) = (model.provider()["settings"].clone(), Model::granted(&[&model]));
    model.kill();
    let dead = [
        ("dead-model", "openai", settings),
        ("dead-ears", "instant-asr", json!({ "utterances": ["hello"], "dies": "fails" })),
        ("dead-voice", "instant-tts", json!({ "dies": "fails" })),
    ];
    let objects = objects::with_providers(&objects::answering(agent).unwrap(), &dead).unwrap();
    let mut all: Value = toml::from_str(&objects).unwrap();
    let list = all["object"].as_array_mut().unwrap();
    for object in list.iter_mut().filter(|object| object["kind"] == "trunk") {
        object["body"]["server"] = json!({ "hosts": [server.to_string()] });
    }
    list.push(json!({
        "kind": "outbound-route", "id": "ort_00000000000000000000000001", "tenant": id::TENANT,
        "body": { "name": "home", "destinations": ["+4930*"], "uses": ["transfer"], "trunks": [id::TRUNK] },
    }));
    let options = Options::default().with(name, &hosts);
    let gateway = Gateway::standalone(scratch, &toml::to_string(&all).unwrap(), options).unwrap();
    gateway.await_agents(1).unwrap();
    let open = || gateway.admin().unwrap().get("/v1/trunks").unwrap()[0]["takes_calls"] == true;
    wait::until_true("the trunk to be looked after", Duration::from_secs(20), open).unwrap();
    gateway
}

fn until(what: &str, met: impl FnMut() -> bool) {
    wait::until_true(what, Duration::from_secs(30), met).unwrap();
}

/// The call that is up.
fn call(gateway: &Gateway) -> String {
    let first = || Some(gateway.calls().ok()?.first()?["id"].as_str()?.to_owned());
    wait::until("the call", Duration::from_secs(10), first).unwrap()
}

fn events(gateway: &Gateway, call: &str, kind: &str) -> Vec<Value> {
    let seen = gateway.admin().unwrap().get(&format!("/v1/calls/{call}")).unwrap();
    let all = seen["events"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|event| event["type"] == kind).map(|event| event["data"].clone()).collect()
}

/// What led to the transfer, as the timeline tells it.
fn led_there(gateway: &Gateway, call: &str, rule: &Rule) {
    assert_eq!(events(gateway, call, "transfer.started")[0]["by"], "failure");
    let survival = events(gateway, call, "survival.entered");
    match rule {
        Rule::Survival => assert_eq!(survival[0]["by"], "transfer"),
        Rule::Own => assert_eq!(survival, Vec::<Value>::new()),
    }
}

/// The caller speaks, finds nobody left, and is connected with a human whom the gateway dials: both hear each other.
fn dialled(rule: &Rule, voiceless: bool, seed: u64) {
    let scratch = tempfile::tempdir().unwrap();
    let callee = Callee::new(200, true).unwrap();
    let mut gateway = gateway(scratch.path(), &agent(rule, "bridge", voiceless), callee.address());
    let mut line = Line::open(gateway.sip(), "1000", seed).unwrap();
    let call = call(&gateway);
    if !voiceless {
        // Keys are a turn, too, whatever a recogniser makes of tones.
        line.press('5').unwrap();
    }
    let mut rounds = 0;
    while events(&gateway, &call, "leg.answered").is_empty() {
        line.talk(25, |_| silence(), |_, _| Ok(())).unwrap();
        rounds += 1;
        assert!(rounds < 60, "{:?}", gateway.admin().unwrap().get(&format!("/v1/calls/{call}")).unwrap()["events"]);
    }
    let before = callee.seen();
    let heard = line.talk(150, |_| shout(), |_, _| Ok(())).unwrap();
    let loud = heard.iter().filter(|code| capture::from_ulaw(**code).unsigned_abs() > 4000).count();
    assert!(loud > 8000, "the caller hears {loud} loud samples of the human in three seconds");
    let after = callee.seen();
    assert!(after.loud - before.loud > 75, "the human hears {} loud packets of the caller", after.loud - before.loud);
    assert!(after.invites[0].starts_with(&format!("INVITE sip:{HUMAN}@")), "{}", after.invites[0]);
    led_there(&gateway, &call, rule);
    assert_eq!(events(&gateway, &call, "transfer.ended")[0]["outcome"], "completed");
    callee.hang_up();
    until("the end of the call", || gateway.calls().unwrap().is_empty());
    line.hang_up().ok();
    gateway.stop().unwrap();
}

/// The caller presses a key, finds nobody left, and its own side is asked to dial a human.
fn referred(rule: &Rule, voiceless: bool, name: &str) {
    let scratch = tempfile::tempdir().unwrap();
    let mut gateway = gateway(scratch.path(), &agent(rule, "blind", voiceless), "127.0.0.1:9".parse().unwrap());
    let mut phone = Phone::call(gateway.sip(), "1000", name).unwrap();
    let call = call(&gateway);
    if !voiceless {
        phone.request("INFO", "Content-Type: application/dtmf-relay\r\n\r\nSignal=5\r\nDuration=100\r\n").unwrap();
    }
    let refer = phone.expect("REFER ").unwrap();
    assert!(refer.header("Refer-To").unwrap().starts_with(&format!("<sip:{HUMAN}@")), "{refer:?}");
    phone.answer(&refer, 202, "Accepted").unwrap();
    let headers = "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\nContent-Type: message/sipfrag";
    phone.request("NOTIFY", &format!("{headers}\r\n\r\nSIP/2.0 200 OK\r\n")).unwrap();
    phone.expect("SIP/2.0 200").unwrap();
    let bye = phone.expect("BYE ").unwrap();
    phone.answer(&bye, 200, "OK").unwrap();
    until("the end of the call", || gateway.calls().unwrap().is_empty());
    led_there(&gateway, &call, rule);
    assert_eq!(events(&gateway, &call, "transfer.ended")[0]["outcome"], "completed");
    gateway.stop().unwrap();
}

#[test]
fn survival_mode_dials_a_human_and_both_hear_each_other() {
    dialled(&Rule::Survival, false, 0x51);
}

#[test]
fn survival_mode_has_the_callers_side_dial_a_human() {
    referred(&Rule::Survival, false, "survives");
}

#[test]
fn with_every_provider_dead_a_human_is_dialled_and_both_hear_each_other() {
    dialled(&Rule::Own, true, 0x52);
}

#[test]
fn with_every_provider_dead_the_callers_side_dials_a_human() {
    referred(&Rule::Own, true, "exhausted");
}
