//! Who answers which call, and why not.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::net::IpAddr;

use proptest::prelude::*;
use trunkline_api::object::{Kind, MediaSource, Object, SrtpPolicy};
use trunkline_api::{Failure, Id, Prefix};
use trunkline_route::{Decision, Load, Matched, Request, Source, Table, decide};

fn id(prefix: Prefix, number: u8) -> Id {
    Id::mint(prefix, 1_700_000_000_000, [number; 10])
}

fn object(kind: Kind, prefix: Prefix, number: u8, body: &str) -> Object {
    Object {
        kind,
        id: id(prefix, number),
        tenant: id(Prefix::Tenant, 1),
        version: 3,
        sha256: String::new(),
        body: serde_json::from_str(body).unwrap(),
    }
}

fn trunk(number: u8, peers: &str, max_calls: u32) -> Object {
    let body = format!(r#"{{"name":"t{number}","peers":[{peers}],"max_calls":{max_calls}}}"#);
    object(Kind::Trunk, Prefix::Trunk, number, &body)
}

fn agent(number: u8) -> Object {
    let body = format!(r#"{{"name":"agent{number}","pipeline":{{"cascade":{{"tts":[{{"provider":"espeak"}}]}}}}}}"#);
    object(Kind::Agent, Prefix::Agent, number, &body)
}

fn number(index: u8, dialled: &str, agent: u8) -> Object {
    let body = format!(r#"{{"number":"{dialled}","agent":"{}"}}"#, id(Prefix::Agent, agent));
    object(Kind::Number, Prefix::Number, index, &body)
}

fn route(index: u8, order: u32, called: &str, calling: &str, trunk: Option<u8>, agent: u8) -> Object {
    let trunk = trunk.map_or("null".to_owned(), |trunk| format!("\"{}\"", id(Prefix::Trunk, trunk)));
    let body = format!(
        r#"{{"name":"r{index}","order":{order},"called":"{called}","calling":"{calling}","trunk":{trunk},"agent":"{}"}}"#,
        id(Prefix::Agent, agent)
    );
    object(Kind::Route, Prefix::Route, index, &body)
}

fn usual() -> Vec<Object> {
    vec![
        object(Kind::Tenant, Prefix::Tenant, 1, r#"{"name":"acme","max_calls":50}"#),
        trunk(1, r#""203.0.113.0/24""#, 10),
        trunk(2, r#""203.0.113.7", "2001:db8::/32""#, 0),
        agent(1),
        agent(2),
        agent(3),
        number(1, "+4930111", 1),
        route(1, 10, "+4930*", "*", None, 2),
        route(2, 5, "+4930*", "+49171*", Some(1), 3),
    ]
}

fn table(objects: &[Object]) -> Table {
    let (table, problems) = Table::build(objects);
    assert_eq!(problems, []);
    table
}

fn call(table: &Table, source: &str, called: &str, calling: &str, load: Load) -> Decision {
    let source = Source::Address(source.parse().unwrap());
    decide(table, &Request { source, called, calling, headers: &[], wall_us: 0 }, &load)
}

fn answered(decision: &Decision) -> (Id, Matched) {
    let target = decision.outcome.clone().unwrap();
    assert_eq!(target.version, 3);
    (target.agent, target.matched)
}

#[test]
fn the_most_specific_range_names_the_trunk() {
    let table = table(&usual());
    for (source, expected) in [
        ("203.0.113.8", Some(1)),
        ("203.0.113.7", Some(2)),
        ("::ffff:203.0.113.7", Some(2)),
        ("2001:db8::5", Some(2)),
        ("203.0.114.1", None),
    ] {
        let found = table.trunk(source.parse::<IpAddr>().unwrap()).map(|trunk| trunk.id.clone());
        assert_eq!(found, expected.map(|number| id(Prefix::Trunk, number)), "{source}");
    }
}

#[test]
fn numbers_come_before_routes_and_routes_by_their_order() {
    let table = table(&usual());
    let any = Load::default();
    let number = call(&table, "203.0.113.8", "4930111", "+49171", any);
    assert_eq!(answered(&number), (id(Prefix::Agent, 1), Matched::Number(id(Prefix::Number, 1))));
    let narrow = call(&table, "203.0.113.8", "+4930222", "+491715", any);
    assert_eq!(answered(&narrow), (id(Prefix::Agent, 3), Matched::Route(id(Prefix::Route, 2))));
    let other_trunk = call(&table, "203.0.113.7", "+4930222", "+491715", any);
    assert_eq!(answered(&other_trunk), (id(Prefix::Agent, 2), Matched::Route(id(Prefix::Route, 1))));
    let other_caller = call(&table, "203.0.113.8", "+4930222", "+4989", any);
    assert_eq!(answered(&other_caller).0, id(Prefix::Agent, 2));
}

#[test]
fn refusals_have_their_names() {
    let table = table(&usual());
    let busy = |change: fn(&mut Load)| {
        let mut load = Load::default();
        change(&mut load);
        call(&table, "203.0.113.8", "+4930111", "", load).outcome.unwrap_err()
    };
    assert_eq!(busy(|load| load.draining = true), Failure::GatewayDraining);
    assert_eq!(busy(|load| load.store_unavailable = true), Failure::StoreUnavailable);
    assert_eq!(busy(|load| (load.gateway_calls, load.gateway_max) = (7, 7)), Failure::GatewayFull);
    assert_eq!(busy(|load| load.trunk_calls = 10), Failure::GatewayFull);
    assert_eq!(busy(|load| load.tenant_calls = 50), Failure::GatewayFull);
    let unknown = call(&table, "198.51.100.1", "+4930111", "", Load::default());
    assert_eq!((unknown.outcome, unknown.trunk), (Err(Failure::UnknownPeer), None));
    let nowhere = call(&table, "203.0.113.8", "+331", "", Load::default());
    assert_eq!(nowhere.outcome, Err(Failure::NoRoute));
}

#[test]
fn the_explanation_tells_every_step_even_behind_a_refusal() {
    let table = table(&usual());
    let load = Load { draining: true, ..Load::default() };
    let text = call(&table, "203.0.113.8", "+4930222", "+4989", load).to_string();
    let expected = [
        "ok     203.0.113.8 is in 203.0.113.0/24 of trunk t1",
        "REFUSE the gateway is draining",
        "ok     trunk t1 has 0 of 10 calls",
        "-      none of the tenant's 1 numbers leads anywhere for `+4930222`",
        "-      route r2",
        "is for calling `+49171*`, not `+4989`",
        "ok     route r1",
        "=> gateway_draining (503)",
    ];
    for part in expected {
        assert!(text.contains(part), "{part:?} expected in\n{text}");
    }
    let answered = call(&table, "203.0.113.8", "+4930111", "", Load::default()).to_string();
    assert!(answered.ends_with(&format!("=> {} version 3", id(Prefix::Agent, 1))), "{answered}");
}

#[test]
fn another_tenants_numbers_and_agents_do_not_count() {
    let mut objects = usual();
    let foreign = id(Prefix::Tenant, 9);
    let mut stolen = number(9, "+4930999", 1);
    stolen.tenant = foreign.clone();
    objects.push(stolen);
    let mut theirs = agent(9);
    theirs.tenant = foreign;
    objects.push(theirs);
    objects.push(number(8, "+4930888", 9));
    let (table, problems) = Table::build(&objects);
    let named: Vec<&Id> = problems.iter().map(|problem| &problem.object).collect();
    assert_eq!(named, [&id(Prefix::Number, 8), &id(Prefix::Number, 9)]);
    let any = Load::default();
    assert_eq!(answered(&call(&table, "203.0.113.8", "+4930999", "", any)).0, id(Prefix::Agent, 2));
    let skipped = call(&table, "203.0.113.8", "+4930888", "", any);
    assert_eq!(answered(&skipped).0, id(Prefix::Agent, 2), "the route behind it takes the call");
    assert!(skipped.to_string().contains("is not in service for this tenant"));
}

#[test]
fn broken_objects_are_reported_and_the_others_serve() {
    let mut objects = usual();
    objects.push(trunk(3, r#""203.0.113.0/99""#, 0));
    objects.push(trunk(4, r#""203.0.113.0/24""#, 0));
    objects.push(route(3, 1, "a*b", "*", None, 1));
    objects.push(route(4, 1, "+1*", "*", Some(7), 7));
    objects.push(object(Kind::Number, Prefix::Route, 5, r#"{"number":"1"}"#));
    let (table, problems) = Table::build(&objects);
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 6, "{text:#?}");
    for part in
        ["`203.0.113.0/99` is no address range", "`a*b` is no pattern", "belongs to trk_", "the id should begin"]
    {
        assert!(text.iter().any(|line| line.contains(part)), "{part} expected in {text:#?}");
    }
    assert!(call(&table, "203.0.113.8", "+4930111", "", Load::default()).outcome.is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn the_same_objects_in_any_order_decide_alike(
        shuffled in Just(usual()).prop_shuffle(),
        source in any::<u8>(),
        called in "[+]?[0-9]{0,9}",
        calling in "[+]?[0-9]{0,9}",
        gateway_calls in 0..4u32,
        tenant_calls in 45..55u32,
    ) {
        let load = Load { gateway_calls, gateway_max: 3, tenant_calls, ..Load::default() };
        let source = format!("203.0.113.{source}");
        let ordered = call(&table(&usual()), &source, &called, &calling, load);
        prop_assert_eq!(&ordered, &call(&table(&shuffled), &source, &called, &calling, load));
        prop_assert!(!ordered.steps.is_empty());
        prop_assert!(gateway_calls < 3 || ordered.outcome == Err(Failure::GatewayFull));
        if let Ok(target) = ordered.outcome {
            prop_assert_eq!(target.tenant, id(Prefix::Tenant, 1));
            prop_assert!(tenant_calls < 50);
        }
    }

    #[test]
    fn any_text_dialled_gets_a_decision(called in ".{0,300}", calling in ".{0,300}") {
        let decision = call(&table(&usual()), "203.0.113.8", &called, &calling, Load::default());
        prop_assert!(matches!(decision.outcome, Ok(_) | Err(Failure::NoRoute)));
    }
}

#[test]
fn a_trunk_serves_with_the_codecs_that_are_known_and_says_which_are_not() {
    let named = |number: u8, codecs: &str, rest: &str| {
        let body = format!(r#"{{"name":"t{number}","peers":["203.0.113.{number}"],"codecs":[{codecs}]{rest}}}"#);
        object(Kind::Trunk, Prefix::Trunk, number, &body)
    };
    let (table, problems) = Table::build(&[
        named(1, r#""G729", "opus", "l16""#, r#","srtp":"required""#),
        named(2, r#""G722", "L16/8000", "PCMA""#, ""),
        named(3, r#""G729""#, ""),
        named(4, "", ""),
    ]);
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 3, "{problems:?}");
    for (problem, (number, start)) in problems.iter().zip([
        (3, "codecs: at least one of PCMU, "),
        (4, "codecs: at least"),
        (1, "codecs: G729 is not"),
    ]) {
        assert!(problem.starts_with(&format!("{}: {start}", id(Prefix::Trunk, number))), "{problem}");
    }
    assert_eq!(table.trunks().count(), 2);
    assert_eq!(table.trunk_by_id(&id(Prefix::Trunk, 1)).unwrap().srtp, SrtpPolicy::Required);
    assert_eq!(table.trunk_by_id(&id(Prefix::Trunk, 2)).unwrap().srtp, SrtpPolicy::Optional);
}

#[test]
fn a_trunk_says_whose_sound_is_heard() {
    let table = |more: &str| {
        let body = format!(r#"{{"name":"t","peers":["203.0.113.0/24"]{more}}}"#);
        Table::build(&[object(Kind::Trunk, Prefix::Trunk, 1, &body)])
    };
    let media = |more: &str| {
        let (table, problems) = table(more);
        assert_eq!(problems, []);
        let trunk = table.trunks().next().unwrap();
        (trunk.source, trunk.media_peers.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let peers = vec!["203.0.113.0/24".to_owned()];
    assert_eq!(media(""), (MediaSource::Learn, peers.clone()));
    assert_eq!(media(r#","source":"strict""#), (MediaSource::Strict, peers.clone()));
    assert_eq!(media(r#","source":"acl""#), (MediaSource::Acl, peers));
    let elsewhere = media(r#","source":"acl","media_peers":["198.51.100.0/25"]"#);
    assert_eq!(elsewhere, (MediaSource::Acl, vec!["198.51.100.0/25".to_owned()]));
    for wrong in
        [r#","media_peers":["198.51.100.7"]"#, r#","source":"acl","media_peers":["pbx"]"#, r#","source":"any""#]
    {
        assert_eq!(table(wrong).1.len(), 1, "{wrong}");
    }
}

#[test]
fn a_trunk_says_how_its_calls_ring_and_what_is_no_ringing_is_named() {
    let table = |ringing: &str| {
        let body = format!(r#"{{"name":"t","peers":["203.0.113.0/24"],"ringing":{ringing}}}"#);
        Table::build(&[object(Kind::Trunk, Prefix::Trunk, 1, &body)])
    };
    let (rings, problems) = table(r#"{"ms":20000,"early_media":true}"#);
    assert_eq!(problems, []);
    let ringing = rings.trunks().next().unwrap().ringing;
    assert_eq!((ringing.ms, ringing.early_media), (20_000, true));
    let wrongs = [
        (r#"{"ms":20001}"#, "ringing.ms"),
        (r#"{"early_media":true}"#, "ringing.early_media"),
        (r#"{"early":1}"#, "early"),
    ];
    for (wrong, key) in wrongs {
        let (_, problems) = table(wrong);
        assert!(problems.len() == 1 && problems[0].to_string().contains(key), "{wrong}: {problems:?}");
    }
}
