//! Routes by expression, header and time of day, overflow, and numbers in one form.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use trunkline_api::object::{Kind, Object};
use trunkline_api::{Failure, Id, Prefix};
use trunkline_route::{Agents, Availability, Decision, Load, NoLoad, Request, Source, Table, decide_with};

/// Friday the 20th of November 2026, 10:00 in Berlin.
const FRIDAY_US: u64 = 1_795_165_200_000_000;
const HOUR_US: u64 = 3_600_000_000;

fn id(prefix: Prefix, number: u8) -> Id {
    Id::mint(prefix, 1_700_000_000_000, [number; 10])
}

fn object(kind: Kind, prefix: Prefix, number: u8, body: Value) -> Object {
    Object { kind, id: id(prefix, number), tenant: id(Prefix::Tenant, 1), version: 1, sha256: String::new(), body }
}

fn agent(number: u8) -> Object {
    let pipeline = json!({ "cascade": { "tts": [{ "provider": "espeak" }] } });
    object(Kind::Agent, Prefix::Agent, number, json!({ "name": format!("agent{number}"), "pipeline": pipeline }))
}

fn trunk(more: Value) -> Object {
    let mut body = json!({ "name": "t", "peers": ["203.0.113.0/24"] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object(Kind::Trunk, Prefix::Trunk, 1, body)
}

fn route(number: u8, agent: u8, more: Value) -> Object {
    let mut body = json!({ "name": format!("r{number}"), "order": number, "agent": id(Prefix::Agent, agent) });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object(Kind::Route, Prefix::Route, number, body)
}

fn table(objects: &[Object]) -> Table {
    let (table, problems) = Table::build(objects);
    assert_eq!(problems, []);
    table
}

struct Call<'a> {
    called: &'a str,
    calling: &'a str,
    headers: Vec<(String, String)>,
    wall_us: u64,
}

impl Default for Call<'_> {
    fn default() -> Self {
        Self { called: "+4930123", calling: "", headers: Vec::new(), wall_us: FRIDAY_US }
    }
}

fn place(table: &Table, call: &Call<'_>, agents: &dyn Agents) -> Decision {
    let source = Source::Address("203.0.113.8".parse().unwrap());
    let (called, calling, wall_us) = (call.called, call.calling, call.wall_us);
    decide_with(table, &Request { source, called, calling, headers: &call.headers, wall_us }, &Load::default(), agents)
}

fn answers(decision: &Decision) -> Option<Id> {
    decision.outcome.as_ref().ok().map(|target| target.agent.clone())
}

#[test]
fn a_regular_expression_takes_whole_numbers() {
    let table = table(&[
        trunk(json!({})),
        agent(1),
        agent(2),
        route(1, 1, json!({ "called": r"/\+49(30|40)[0-9]{3,}/" })),
        route(2, 2, json!({ "calling": "/anonymous|/" })),
    ]);
    let called = |called| place(&table, &Call { called, calling: "x", ..Call::default() }, &NoLoad).outcome.ok();
    assert!(called("+4930123").is_some() && called("+4940123").is_some());
    assert!(called("+493012").is_none() && called("x+4930123").is_none() && called("4930123").is_none());
    let hidden = place(&table, &Call { called: "1", calling: "anonymous", ..Call::default() }, &NoLoad);
    assert_eq!(answers(&hidden), Some(id(Prefix::Agent, 2)));
}

#[test]
fn a_header_leads_where_its_value_says() {
    let table = table(&[
        trunk(json!({})),
        agent(1),
        agent(2),
        agent(3),
        route(1, 1, json!({ "headers": { "X-Campaign": "summer*", "x-vip": "*" } })),
        route(2, 2, json!({ "headers": { "X-Campaign": "/winter-[0-9]+/" } })),
        route(3, 3, json!({})),
    ]);
    let with = |headers: &[(&str, &str)]| {
        let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        place(&table, &Call { headers, ..Call::default() }, &NoLoad)
    };
    let both = with(&[("x-CAMPAIGN", " summer-26 "), ("X-VIP", "")]);
    assert_eq!(answers(&both), Some(id(Prefix::Agent, 1)));
    let one = with(&[("X-Campaign", "summer-26")]);
    assert_eq!(answers(&one), Some(id(Prefix::Agent, 3)));
    assert!(one.to_string().contains("is for calls with a header x-vip"), "{one}");
    let second_of_two = with(&[("X-Campaign", "spring"), ("X-Campaign", "winter-1")]);
    assert_eq!(answers(&second_of_two), Some(id(Prefix::Agent, 2)));
}

#[test]
fn outside_its_hours_a_route_lets_the_next_one_answer() {
    let table = table(&[
        trunk(json!({})),
        agent(1),
        agent(2),
        route(1, 1, json!({ "hours": { "time_zone": "Europe/Berlin", "open": ["Mon-Fri 09:00-17:00"] } })),
        route(2, 2, json!({})),
    ]);
    let at = |wall_us| place(&table, &Call { wall_us, ..Call::default() }, &NoLoad);
    assert_eq!(answers(&at(FRIDAY_US)), Some(id(Prefix::Agent, 1)));
    let evening = at(FRIDAY_US + 7 * HOUR_US);
    assert_eq!(answers(&evening), Some(id(Prefix::Agent, 2)));
    assert!(evening.to_string().contains("is closed: it is Fri 2026-11-20 17:00 there"), "{evening}");
}

struct Busy(BTreeMap<Id, Availability>);

impl Agents for Busy {
    fn availability(&self, agent: &Id) -> Availability {
        self.0.get(agent).copied().unwrap_or(Availability::Ready { calls: 0 })
    }
}

#[test]
fn who_is_full_or_lacks_a_plugin_is_passed_over_and_at_last_the_caller_is_told_why() {
    let table = table(&[
        trunk(json!({})),
        agent(1),
        agent(2),
        agent(3),
        agent(4),
        route(
            1,
            1,
            json!({ "max_calls": 2, "overflow": [
                { "agent": id(Prefix::Agent, 2), "max_calls": 1 }, { "agent": id(Prefix::Agent, 3) }] }),
        ),
        route(2, 4, json!({ "called": "+4930*", "max_calls": 1 })),
    ]);
    let busy = |states: &[(u8, Availability)]| {
        Busy(states.iter().map(|&(agent, state)| (id(Prefix::Agent, agent), state)).collect())
    };
    let has = |calls| Availability::Ready { calls };
    let mut states = vec![(1, has(1))];
    for (next, state, expected) in [(1, has(2), 2), (2, has(1), 3), (3, Availability::Unready, 4)] {
        states.push((next, state));
        let decision = place(&table, &Call::default(), &busy(&states));
        assert_eq!(answers(&decision), Some(id(Prefix::Agent, expected)), "{decision}");
    }
    states.push((4, has(1)));
    let full = place(&table, &Call::default(), &busy(&states));
    assert_eq!(full.outcome, Err(Failure::GatewayFull));
    for part in ["agent1", "has 2 of 2 calls", "lacks a plugin it needs", "nobody who takes `+4930123` can do so now"] {
        assert!(full.to_string().contains(part), "{part}: {full}");
    }
    let elsewhere = place(&table, &Call { called: "+331", ..Call::default() }, &busy(&[(1, Availability::Unready)]));
    assert_eq!(answers(&elsewhere), Some(id(Prefix::Agent, 2)));
}

#[test]
fn a_trunk_s_numbers_are_brought_to_one_form_before_they_are_matched() {
    let numbering = json!({ "numbering": { "country": "49", "area": "30", "bare": "as_sent" } });
    let table = table(&[
        trunk(numbering),
        agent(1),
        agent(2),
        object(Kind::Number, Prefix::Number, 1, json!({ "number": "+4930123456", "agent": id(Prefix::Agent, 1) })),
        route(1, 2, json!({ "called": "2*", "calling": r"/\+33[0-9]+/" })),
    ]);
    let national = place(&table, &Call { called: "030/123456", ..Call::default() }, &NoLoad);
    assert_eq!(answers(&national), None, "a slash is in no number of SIP");
    let national = place(&table, &Call { called: "030-123456", ..Call::default() }, &NoLoad);
    assert_eq!(answers(&national), Some(id(Prefix::Agent, 1)));
    assert!(national.to_string().contains("called `030-123456` is +4930123456 on trunk t"), "{national}");
    let extension = place(&table, &Call { called: "200", calling: "0033123456789", ..Call::default() }, &NoLoad);
    assert_eq!(answers(&extension), Some(id(Prefix::Agent, 2)));
}

#[test]
fn what_cannot_be_matched_by_is_named_with_its_key() {
    let broken = [
        (json!({ "called": "/(/" }), "called: "),
        (json!({ "headers": { "X-A": "a b" } }), "headers.X-A: "),
        (json!({ "hours": { "open": ["never"] } }), "hours.open.0: "),
        (json!({ "overflow": [{ "agent": id(Prefix::Agent, 1) }] }), "overflow.0.agent: "),
        (json!({ "overflow": [{ "agent": id(Prefix::Agent, 9) }] }), "overflow/0/agent: "),
    ];
    for (more, key) in broken {
        let (_, problems) = Table::build(&[trunk(json!({})), agent(1), route(1, 1, more)]);
        assert!(problems.len() == 1 && problems[0].message.starts_with(key), "{key} expected in {problems:?}");
    }
    let (_, problems) = Table::build(&[trunk(json!({ "numbering": { "country": "0" } }))]);
    assert!(problems[0].message.starts_with("numbering.country: "), "{problems:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Whoever is chosen could take the call, and nobody who comes before them in the route could.
    #[test]
    fn the_first_who_can_takes_the_call(
        limits in proptest::collection::vec(0..4u32, 1..6),
        calls in proptest::collection::vec(proptest::option::of(0..5u32), 6),
    ) {
        let overflow: Vec<Value> = limits.iter().enumerate().skip(1)
            .map(|(at, most)| json!({ "agent": id(Prefix::Agent, at as u8), "max_calls": most })).collect();
        let mut objects = vec![trunk(json!({})), route(1, 0, json!({ "max_calls": limits[0], "overflow": overflow }))];
        objects.extend((0..limits.len() as u8).map(agent));
        let table = table(&objects);
        let state = |at: usize| calls[at].map_or(Availability::Unready, |calls| Availability::Ready { calls });
        let busy = Busy((0..6).map(|at| (id(Prefix::Agent, at as u8), state(at))).collect());
        let can = |at: usize| calls[at].is_some_and(|calls| limits[at] == 0 || calls < limits[at]);
        let expected = (0..limits.len()).find(|&at| can(at)).map(|at| id(Prefix::Agent, at as u8));
        let decision = place(&table, &Call::default(), &busy);
        prop_assert_eq!(answers(&decision), expected.clone());
        if expected.is_none() {
            let first = if calls[0].is_none() { Failure::AgentUnready } else { Failure::GatewayFull };
            prop_assert_eq!(decision.outcome, Err(first));
        }
    }
}
