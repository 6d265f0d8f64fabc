//! Calls of SIPp are led by what was dialled, in whichever way, by who calls, by a header, and by the time; when an agent has all the
//! calls that it may the next one answers, and what no route names is refused.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::sipp::Sipp;
use trunkline_tests::{objects, wait};

/// What each route says beside who answers; the agents are called by its place. The last has one more agent for its overflow.
fn routes() -> Vec<Value> {
    vec![
        json!({ "hours": { "time_zone": "Europe/Berlin", "closed": ["2000-01-01..2099-12-31"] } }),
        json!({ "headers": { "X-Campaign": "summer*" } }),
        json!({ "called": "+4930100" }),
        json!({ "called": "+4930*" }),
        json!({ "called": "/\\+4940[0-9]{3}/" }),
        json!({ "called": "+4950*", "calling": "+49171*" }),
        json!({ "called": "+4960123", "max_calls": 1 }),
    ]
}

/// What is dialled, who calls, the campaign, and the route that leads the call.
const CALLS: [(&str, &str, &str, usize); 7] = [
    ("+4930100", "+4989555", "none", 2),
    ("030100", "+4989555", "none", 2),
    ("004930100", "+4989555", "summer-2026", 1),
    ("030777", "+4989555", "none", 3),
    ("040123", "+4989555", "none", 4),
    ("050123", "0171555", "none", 5),
    ("060123", "+4989555", "none", 6),
];

fn gateway(scratch: &Path) -> Gateway {
    let mut agent = objects::offline_agent("");
    agent["pipeline"]["cascade"]["asr"] = json!([]);
    agent["recording"] = json!({ "enabled": false });
    let routes = routes();
    let named = |at: usize| {
        let mut agent = agent.clone();
        agent["name"] = format!("agent-{at}").into();
        ("*", agent)
    };
    let agents: Vec<(&str, Value)> = (0..=routes.len()).map(named).collect();
    let mut all: Value = toml::from_str(&objects::routed(&agents).unwrap()).unwrap();
    let list = all["object"].as_array_mut().unwrap();
    let last = list.iter().rfind(|object| object["kind"] == "agent").unwrap()["id"].clone();
    let mut at = 0;
    list.retain_mut(|object| match object["kind"].as_str() {
        Some("trunk") => {
            object["body"]["numbering"] = json!({ "country": "49" });
            true
        }
        Some("route") => {
            let says = routes.get(at).and_then(Value::as_object);
            at += 1;
            let Some(says) = says else { return false };
            object["body"].as_object_mut().unwrap().extend(says.clone());
            if at == routes.len() {
                object["body"]["overflow"] = json!([{ "agent": last }]);
            }
            true
        }
        _ => true,
    });
    let gateway = Gateway::standalone(scratch, &toml::to_string(&all).unwrap(), Options::default()).unwrap();
    gateway.await_agents(agents.len() as u64).unwrap();
    gateway
}

/// A call that stays up for so long.
fn call(
    scratch: &Path,
    gateway: &Gateway,
    name: &str,
    (dialled, caller, campaign): (&str, &str, &str),
    ms: u32,
) -> Sipp {
    let (to, ms, named) = (gateway.sip().to_string(), ms.to_string(), format!("{name}-%u@%s"));
    let keys = ["-key", "caller", caller, "-key", "campaign", campaign, "-cid_str", &named, "-d", &ms];
    let arguments = [&["-m", "1", "-s", dialled][..], &keys, &[to.as_str()]].concat();
    Sipp::begin(scratch, "routed.xml", &arguments).unwrap()
}

/// The agent that answered a call, by its place among them.
fn answered(gateway: &Gateway, name: &str) -> usize {
    let admin = gateway.admin().unwrap();
    let agent = wait::until("the call", Duration::from_secs(10), || {
        let calls = admin.get("/v1/calls?ended=true").ok()?;
        let named = |call: &&Value| call["sip_call_id"].as_str().is_some_and(|id| id.starts_with(&format!("{name}-")));
        calls.as_array()?.iter().find(named)?["agent"].as_str().map(str::to_owned)
    });
    agent.unwrap()[28..].parse::<usize>().unwrap() - 1
}

#[test]
fn calls_are_led_by_number_caller_header_time_and_load() {
    let scratch = tempfile::tempdir().unwrap();
    let mut gateway = gateway(scratch.path());
    for (number, (dialled, caller, campaign, route)) in CALLS.into_iter().enumerate() {
        let name = format!("call{number}");
        call(scratch.path(), &gateway, &name, (dialled, caller, campaign), 0).succeed().unwrap();
        assert_eq!(answered(&gateway, &name), route, "{dialled} of {caller}, {campaign}");
    }
    let up = |count: usize| {
        let reached = || gateway.calls().is_ok_and(|calls| calls.len() == count);
        wait::until_true(&format!("{count} calls"), Duration::from_secs(10), reached).unwrap();
    };
    up(0);
    let first = call(scratch.path(), &gateway, "first", ("060123", "+4989555", "none"), 3000);
    up(1);
    call(scratch.path(), &gateway, "second", ("060123", "+4989555", "none"), 0).succeed().unwrap();
    first.succeed().unwrap();
    assert_eq!([answered(&gateway, "first"), answered(&gateway, "second")], [6, 7], "the overflow answers");
    for (number, dialled) in ["0771", "050123"].into_iter().enumerate() {
        let to = gateway.sip().to_string();
        let refused = Sipp::begin(scratch.path(), "not_found.xml", &["-m", "1", "-s", dialled, &to]).unwrap();
        refused.succeed().unwrap_or_else(|error| panic!("{number} {dialled}: {error:#}"));
    }
    gateway.stop().unwrap();
}
