//! What may leave: nothing without a route, and never more than a tenant may.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use trunkline_api::object::{Kind, Object};
use trunkline_api::outbound::OutboundUse;
use trunkline_api::{Failure, Id, Prefix};
use trunkline_route::Table;
use trunkline_route::outbound::{
    Ledger, LedgerEvent, NoTrunkLoad, OutboundCall, OutboundDecision, OutboundRequest, Reason, TrunkState, Trunks, way,
};

const SECOND_US: u64 = 1_000_000;
const MINUTE_US: u64 = 60 * SECOND_US;
const DAY_US: u64 = 1440 * MINUTE_US;
/// Noon of a day.
const NOON_US: u64 = 20_000 * DAY_US + DAY_US / 2;

fn id(prefix: Prefix, number: u8) -> Id {
    Id::mint(prefix, 1_700_000_000_000, [number; 10])
}

fn tenant(number: u8, outbound: Value) -> Object {
    let tenant = id(Prefix::Tenant, number);
    let body = json!({ "name": format!("tenant{number}"), "outbound": outbound });
    Object { kind: Kind::Tenant, id: tenant.clone(), tenant, version: 1, sha256: String::new(), body }
}

fn object(kind: Kind, prefix: Prefix, number: u8, tenant: u8, body: Value) -> Object {
    let tenant = id(Prefix::Tenant, tenant);
    Object { kind, id: id(prefix, number), tenant, version: 1, sha256: String::new(), body }
}

fn trunk(number: u8, more: Value) -> Object {
    let mut body = json!({ "name": format!("t{number}"), "peers": [format!("203.0.113.{number}")] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object(Kind::Trunk, Prefix::Trunk, number, 1, body)
}

fn route(number: u8, destinations: &[&str], trunks: &[u8], more: Value) -> Object {
    let trunks: Vec<Id> = trunks.iter().map(|&trunk| id(Prefix::Trunk, trunk)).collect();
    let mut body =
        json!({ "name": format!("o{number}"), "order": number, "destinations": destinations, "trunks": trunks });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object(Kind::OutboundRoute, Prefix::OutboundRoute, number, 1, body)
}

fn table(objects: &[Object]) -> Table {
    let (table, problems) = Table::build(objects);
    assert_eq!(problems, []);
    table
}

fn asked<'a>(tenant: &'a Id, to: &'a str, wall_us: u64) -> OutboundRequest<'a> {
    OutboundRequest { tenant, r#use: OutboundUse::Transfer, agent: None, to, wall_us }
}

fn decide(table: &Table, to: &str) -> OutboundDecision {
    way(table, &asked(&id(Prefix::Tenant, 1), to, NOON_US), &NoTrunkLoad)
}

#[test]
fn without_a_route_nothing_leaves_whoever_asks() {
    let nothing = table(&[tenant(1, json!({})), trunk(1, json!({}))]);
    for r#use in [OutboundUse::Dial, OutboundUse::Transfer, OutboundUse::Refer] {
        let tenant = id(Prefix::Tenant, 1);
        let decision =
            way(&nothing, &OutboundRequest { r#use, ..asked(&tenant, "+4930123456", NOON_US) }, &NoTrunkLoad);
        assert_eq!(decision.outcome, Err(Reason::NoRoute));
        assert_eq!(decision.fact.refused, Some(Reason::NoRoute));
    }
}

#[test]
fn a_refusal_says_which_rule_it_was_and_keeps_the_number_to_itself() {
    let table = table(&[
        tenant(1, json!({})),
        trunk(1, json!({ "numbering": { "country": "49" } })),
        route(1, &["+49*", "2*", "sip:*@pbx.example"], &[1], json!({ "denied": ["+49900*", "+49137*"] })),
        route(2, &["+33*"], &[1], json!({ "uses": ["dial"] })),
        route(3, &["+44*"], &[1], json!({ "agents": [] })),
    ]);
    for (to, expected) in [
        ("030 123456", Ok("+4930123456")),
        ("200", Ok("200")),
        ("sip:sales@pbx.example", Ok("sales")),
        ("0900 1234567", Err(Reason::Denied)),
        ("sip:0900123456@pbx.example", Err(Reason::Denied)),
        ("sip:0033123456789@pbx.example", Err(Reason::NoRoute)),
        ("+33123456789", Err(Reason::Use)),
        ("+1900555", Err(Reason::NoRoute)),
        ("112", Err(Reason::NoRoute)),
        ("sip:sales@evil.example", Err(Reason::NoRoute)),
        ("sip:sales@pbx.example;maddr=evil.example", Err(Reason::NoDestination)),
        ("", Err(Reason::NoDestination)),
    ] {
        let decision = decide(&table, to);
        assert_eq!(decision.outcome.as_ref().map(|way| way.user.as_str()).map_err(|reason| *reason), expected, "{to}");
        let fact = serde_json::to_string(&decision.fact).unwrap();
        assert!(to.len() < 5 || !fact.contains(to), "{fact}");
        assert_eq!(fact.contains("refused"), expected.is_err(), "{fact}");
    }
    let explained = decide(&table, "0900 1234567").to_string();
    assert!(explained.contains("outbound route o1") && explained.contains("denies the destination"), "{explained}");
    assert!(explained.contains("=> outbound_denied (denied)"), "{explained}");
    assert_eq!(Reason::Denied.failure(), Failure::OutboundDenied);
}

struct States(BTreeMap<Id, TrunkState>);

impl Trunks for States {
    fn state(&self, trunk: &Id) -> TrunkState {
        self.0.get(trunk).copied().unwrap_or(TrunkState::Up { calls: 0 })
    }
}

#[test]
fn a_call_leaves_over_the_next_trunk_when_one_is_full_or_down() {
    let table = table(&[
        tenant(1, json!({})),
        trunk(1, json!({ "max_calls": 2 })),
        trunk(2, json!({ "numbering": { "send": "digits" } })),
        trunk(3, json!({})),
        route(1, &["+49*"], &[1, 2], json!({})),
        route(2, &["+4930*"], &[3], json!({})),
    ]);
    let with = |states: &[(u8, TrunkState)]| {
        let states = States(states.iter().map(|&(trunk, state)| (id(Prefix::Trunk, trunk), state)).collect());
        way(&table, &asked(&id(Prefix::Tenant, 1), "+4930123456", NOON_US), &states).outcome
    };
    let over = |states: &[(u8, TrunkState)]| with(states).map(|way| (way.trunk, way.user));
    let (up, down) = (|calls| TrunkState::Up { calls }, TrunkState::Down);
    let (plus, digits) = ("+4930123456".to_owned(), "4930123456".to_owned());
    assert_eq!(over(&[(1, up(1))]), Ok((id(Prefix::Trunk, 1), plus.clone())));
    assert_eq!(over(&[(1, up(2))]), Ok((id(Prefix::Trunk, 2), digits.clone())));
    assert_eq!(over(&[(1, down)]), Ok((id(Prefix::Trunk, 2), digits)));
    assert_eq!(over(&[(1, down), (2, down)]), Ok((id(Prefix::Trunk, 3), plus)));
    assert_eq!(over(&[(1, down), (2, down), (3, down)]), Err(Reason::Trunks));
}

#[test]
fn each_limit_refuses_by_its_name_and_gives_way_when_it_is_past() {
    let limits = json!({ "max_calls": 2, "calls_per_minute": 3, "calls_per_day": 5, "spend_micro_per_day": 1000 });
    let table = table(&[
        tenant(1, limits),
        trunk(1, json!({})),
        route(1, &["+49*"], &[1], json!({})),
        route(2, &["+33*"], &[1], json!({ "price_micro_per_minute": 400 })),
        route(3, &["+44*"], &[1], json!({ "max_calls": 1 })),
    ]);
    let ours = id(Prefix::Tenant, 1);
    let mut ledger = Ledger::default();
    let begin = |ledger: &mut Ledger, to: &str, at: u64| {
        let (decision, call) = ledger.begin(&table, &asked(&ours, to, at), &NoTrunkLoad);
        assert_eq!(decision.outcome.is_ok(), call.is_some());
        decision.outcome.map(|_| call.unwrap())
    };
    let home = "+4930123456";
    let first = begin(&mut ledger, "+44123456789", NOON_US).unwrap();
    assert_eq!(begin(&mut ledger, "+44123456789", NOON_US), Err(Reason::RouteCalls));
    let second = begin(&mut ledger, home, NOON_US).unwrap();
    assert_eq!(begin(&mut ledger, home, NOON_US), Err(Reason::TenantCalls));
    ledger.handle_ended(NOON_US + 1, first);
    ledger.handle_ended(NOON_US + 2, first);
    assert_eq!(ledger.used(&ours).0, 1, "an end that is told twice counts once");
    let third = begin(&mut ledger, home, NOON_US + 2).unwrap();
    ledger.handle_ended(NOON_US + 3, second);
    assert_eq!(begin(&mut ledger, home, NOON_US + 3), Err(Reason::TenantRate));
    ledger.handle_ended(NOON_US + 3, third);
    let fourth = begin(&mut ledger, "+33123456789", NOON_US + MINUTE_US).unwrap();
    assert_eq!(ledger.used(&ours), (1, 400));
    ledger.handle_answered(NOON_US + MINUTE_US, fourth);
    let fifth = begin(&mut ledger, "+33123456789", NOON_US + MINUTE_US).unwrap();
    assert_eq!(ledger.used(&ours), (2, 800));
    ledger.handle_ended(NOON_US + MINUTE_US, fifth);
    assert_eq!(ledger.used(&ours), (1, 400), "nobody answered, so nothing was spent");
    assert_eq!(begin(&mut ledger, home, NOON_US + 2 * MINUTE_US), Err(Reason::TenantDay));
    // The second minute can be paid, the third cannot.
    for minute in 2..=3 {
        assert_eq!(ledger.poll_timeout(), Some(NOON_US + minute * MINUTE_US));
        assert_eq!(ledger.poll_event(), None);
        ledger.handle_timeout(NOON_US + minute * MINUTE_US);
    }
    assert_eq!(ledger.poll_event(), Some(LedgerEvent::SpendReached(fourth)));
    assert_eq!((ledger.used(&ours), ledger.poll_timeout()), ((0, 800), None));
    let tomorrow = NOON_US + DAY_US;
    assert!(begin(&mut ledger, "+33123456789", tomorrow).is_ok());
    assert_eq!(ledger.used(&ours), (1, 400));
}

#[test]
fn a_call_that_its_shell_forgot_gives_its_place_back() {
    let table =
        table(&[tenant(1, json!({ "max_calls": 1 })), trunk(1, json!({})), route(1, &["+49*"], &[1], json!({}))]);
    let ours = id(Prefix::Tenant, 1);
    let mut ledger = Ledger::default();
    let (_, call) = ledger.begin(&table, &asked(&ours, "+4930123456", NOON_US), &NoTrunkLoad);
    let due = ledger.poll_timeout().unwrap();
    assert_eq!(due, NOON_US + 10 * MINUTE_US);
    ledger.handle_timeout(due);
    assert_eq!(ledger.poll_event(), Some(LedgerEvent::Forgotten(call.unwrap())));
    assert_eq!(ledger.used(&ours).0, 0);
}

#[test]
fn what_a_tenant_may_no_longer_spend_ends_its_calls() {
    let objects = |spend: u64| {
        [
            tenant(1, json!({ "spend_micro_per_day": spend })),
            trunk(1, json!({})),
            route(1, &["+49*"], &[1], json!({ "price_micro_per_minute": 10 })),
        ]
    };
    let ours = id(Prefix::Tenant, 1);
    let mut ledger = Ledger::default();
    let (_, call) = ledger.begin(&table(&objects(1000)), &asked(&ours, "+4930123456", NOON_US), &NoTrunkLoad);
    ledger.handle_answered(NOON_US, call.unwrap());
    ledger.handle_table(&table(&objects(10)));
    ledger.handle_timeout(NOON_US + MINUTE_US);
    assert_eq!(ledger.poll_event(), Some(LedgerEvent::SpendReached(call.unwrap())));
}

fn paid() -> (Table, Id) {
    let limits = json!({ "calls_per_minute": 2, "calls_per_day": 3, "spend_micro_per_day": 100 });
    let table = table(&[
        tenant(1, limits),
        trunk(1, json!({})),
        route(1, &["+49*"], &[1], json!({ "price_micro_per_minute": 10 })),
    ]);
    (table, id(Prefix::Tenant, 1))
}

#[test]
fn a_clock_that_is_set_neither_costs_anybody_calls_nor_gives_minutes_away() {
    let year_us = 365 * DAY_US;
    for by_us in [year_us as i64, -(year_us as i64)] {
        let (table, ours) = paid();
        let mut ledger = Ledger::default();
        let begin = |ledger: &mut Ledger, at| ledger.begin(&table, &asked(&ours, "+4930123456", at), &NoTrunkLoad);
        let (_, call) = begin(&mut ledger, NOON_US);
        ledger.handle_answered(NOON_US, call.unwrap());
        begin(&mut ledger, NOON_US + 1);
        // Half a minute later the clock is put right.
        ledger.handle_clock_set(by_us);
        let now = (NOON_US + 30 * SECOND_US).checked_add_signed(by_us).unwrap();
        ledger.handle_timeout(now);
        assert_eq!((ledger.poll_event(), ledger.used(&ours).1), (None, 20), "no minute was over");
        assert_eq!(begin(&mut ledger, now).0.outcome, Err(Reason::TenantRate), "60 seconds are not over either");
        assert_eq!(ledger.poll_timeout(), Some(now + 30 * SECOND_US), "the next minute begins when it would have");
        ledger.handle_timeout(now + 30 * SECOND_US);
        assert_eq!(ledger.used(&ours).1, 10, "it is paid for, on the day that it is now");
        assert!(begin(&mut ledger, now + 31 * SECOND_US).1.is_some());
    }
}

#[test]
fn a_clock_that_goes_back_over_midnight_gives_no_second_day() {
    let (table, ours) = paid();
    let mut ledger = Ledger::default();
    let midnight = 20_000 * DAY_US;
    let (_, call) = ledger.begin(&table, &asked(&ours, "+4930123456", midnight), &NoTrunkLoad);
    ledger.handle_answered(midnight, call.unwrap());
    ledger.handle_clock_set(-3_000_000);
    ledger.handle_ended(midnight - 3 * SECOND_US, call.unwrap());
    ledger.handle_clock_set(3_000_000);
    ledger.foresee(&table, &asked(&ours, "+4930123456", midnight + SECOND_US), &NoTrunkLoad);
    assert_eq!(ledger.used(&ours), (0, 10));
}

#[test]
fn a_restart_is_no_new_day() {
    let (table, ours) = paid();
    let mut ledger = Ledger::default();
    let (_, call) = ledger.begin(&table, &asked(&ours, "+4930123456", NOON_US), &NoTrunkLoad);
    ledger.handle_answered(NOON_US, call.unwrap());
    for minute in 1..=8 {
        ledger.handle_timeout(NOON_US + minute * MINUTE_US);
    }
    let kept = ledger.kept();
    let after = |at: u64| {
        let mut ledger = Ledger::default();
        kept.iter().cloned().for_each(|kept| ledger.handle_kept(kept));
        let begin =
            |ledger: &mut Ledger| ledger.begin(&table, &asked(&ours, "+4930123456", at), &NoTrunkLoad).0.outcome;
        let first = begin(&mut ledger).map(|_| ledger.used(&ours).1);
        (first, begin(&mut ledger).err())
    };
    let today = NOON_US + 20 * MINUTE_US;
    assert_eq!(after(today), (Ok(100), Some(Reason::Spend)), "nine minutes were paid for before");
    assert_eq!(after(NOON_US + DAY_US), (Ok(10), None));
}

#[test]
fn what_is_foreseen_is_what_would_be_and_takes_nothing() {
    let table = table(&[
        tenant(1, json!({})),
        trunk(1, json!({})),
        trunk(2, json!({})),
        route(1, &["+49*"], &[1], json!({ "max_calls": 1 })),
        route(2, &["+49*"], &[2], json!({})),
    ]);
    let ours = id(Prefix::Tenant, 1);
    let mut ledger = Ledger::default();
    let request = asked(&ours, "+4930123456", NOON_US);
    for trunk in [1, 2, 2] {
        for _ in 0..3 {
            let foreseen = ledger.foresee(&table, &request, &NoTrunkLoad).outcome.map(|way| way.trunk);
            assert_eq!(foreseen, Ok(id(Prefix::Trunk, trunk)));
        }
        let (decision, _) = ledger.begin(&table, &request, &NoTrunkLoad);
        assert_eq!(decision.outcome.map(|way| way.trunk), Ok(id(Prefix::Trunk, trunk)));
    }
    assert_eq!(ledger.used(&ours).0, 3);
}

#[derive(Debug, Clone)]
enum Happens {
    Begin { tenant: u8, to: usize },
    Answered(usize),
    Ended(usize),
    Later(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (1..3u8, 0..6usize).prop_map(|(tenant, to)| Happens::Begin { tenant, to }),
        2 => any::<usize>().prop_map(Happens::Answered),
        2 => any::<usize>().prop_map(Happens::Ended),
        3 => prop_oneof![0..120u64, Just(3600), Just(86_400)].prop_map(|seconds| Happens::Later(seconds * SECOND_US)),
    ]
}

/// What the test counts by itself.
#[derive(Default)]
struct Books {
    up: BTreeMap<OutboundCall, (u8, usize)>,
    begun: Vec<(u8, u64)>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever begins, is answered, ends and expires in whatever order: nothing leaves without a route, and no cap is
    /// ever exceeded.
    #[test]
    fn no_order_of_calls_gets_past_a_route_or_a_cap(
        steps in proptest::collection::vec(happens(), 1..200),
        caps in (0..5u32, 0..6u32, 0..20u32, 0..3000u64),
        start in 0..DAY_US,
    ) {
        let (at_once, a_minute, a_day, spend) = caps;
        let limits = json!({ "max_calls": at_once, "calls_per_minute": a_minute, "calls_per_day": a_day, "spend_micro_per_day": spend });
        let table = table(&[
            tenant(1, limits), tenant(2, json!({})), trunk(1, json!({})),
            route(1, &["+49*"], &[1], json!({ "price_micro_per_minute": 300, "denied": ["+49900*"] })),
            route(2, &["+33*", "+49900123*"], &[1], json!({ "max_calls": 2, "price_micro_per_minute": 500 })),
            route(3, &["+44*"], &[1], json!({ "uses": ["dial"] })),
        ]);
        let to = ["+4930123456", "+33123456789", "+4990045678", "+49900123456", "+44123456789", "sip:+4930123456@x.example"];
        let may_leave = [true, true, false, true, false, false];
        let mut ledger = Ledger::default();
        let mut books = Books::default();
        let mut over = BTreeSet::new();
        let mut now = NOON_US + start;
        for step in steps {
            match step {
                Happens::Begin { tenant, to: which } => {
                    let who = id(Prefix::Tenant, tenant);
                    let (decision, call) = ledger.begin(&table, &asked(&who, to[which], now), &NoTrunkLoad);
                    prop_assert_eq!(decision.outcome.is_ok(), call.is_some());
                    prop_assert_eq!(decision.fact.refused.is_some(), call.is_none());
                    if let Some(call) = call {
                        prop_assert!(may_leave[which] && tenant == 1, "{} left for tenant {}", to[which], tenant);
                        books.up.insert(call, (tenant, which));
                        books.begun.push((tenant, now));
                    }
                }
                Happens::Answered(which) | Happens::Ended(which) => {
                    let Some(&call) = books.up.keys().nth(which % books.up.len().max(1)) else { continue };
                    if matches!(step, Happens::Answered(_)) {
                        ledger.handle_answered(now, call);
                    } else {
                        ledger.handle_ended(now, call);
                        books.up.remove(&call);
                        over.insert(call);
                    }
                }
                Happens::Later(by) => {
                    // Timeouts are carried out on time, as the shell does.
                    let until = now + by;
                    while let Some(due) = ledger.poll_timeout().filter(|due| *due <= until) {
                        ledger.handle_timeout(due);
                        prop_assert!(ledger.used(&id(Prefix::Tenant, 1)).1 <= spend);
                    }
                    now = until;
                }
            }
            while let Some(event) = ledger.poll_event() {
                let (LedgerEvent::SpendReached(call) | LedgerEvent::Forgotten(call)) = event;
                prop_assert!(books.up.remove(&call).is_some(), "an event of a call that is over");
                prop_assert!(over.insert(call));
            }
            let (up, spent) = ledger.used(&id(Prefix::Tenant, 1));
            prop_assert_eq!(up as usize, books.up.len());
            prop_assert!(up <= at_once && spent <= spend);
            let last_minute = books.begun.iter().filter(|(_, at)| now - at < MINUTE_US).count();
            prop_assert!(last_minute <= a_minute as usize);
            let today = books.begun.iter().filter(|(_, at)| at / DAY_US == now / DAY_US).count();
            prop_assert!(today <= a_day as usize);
            prop_assert!(books.up.values().filter(|(_, which)| *which == 1 || *which == 3).count() <= 2);
        }
    }

    #[test]
    fn any_text_is_refused_or_leaves_by_a_route_that_names_it(to in "\\PC{0,40}|(sips?|tel):[+0-9a-z@.;=%?]{0,40}|[+0-9*# ()-]{0,24}") {
        let table = table(&[
            tenant(1, json!({})), trunk(1, json!({ "numbering": { "country": "49" } })),
            route(1, &["+49*", "2*", "sip:*@pbx.example"], &[1], json!({ "denied": ["+49900*"] })),
        ]);
        if let Ok(way) = decide(&table, &to).outcome {
            let user = &way.user;
            prop_assert!(!user.starts_with("+49900"), "{}", to);
            let number = user.starts_with("+49") || user.starts_with('2');
            prop_assert!(number || way.destination.to_string().contains("@pbx.example"), "{} became {}", to, user);
            prop_assert!(user.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '@' | ';' | '<' | '>' | '?' | '%')), "{}", user);
        }
    }
}
