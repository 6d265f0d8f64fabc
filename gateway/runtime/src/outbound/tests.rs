//! What may leave and what not, and that whatever ends gives its place back.

use serde_json::{Value, json};
use trunkline_api::Prefix;

use super::*;
use crate::capacity::Amounts;
use crate::rig::{FakeExchange, SlowStore, plane, shared_with, silent_agent};

const DIAL: OutboundUse = OutboundUse::Dial;
const TRANSFER: OutboundUse = OutboundUse::Transfer;

struct Rig {
    shared: Arc<Shared>,
    exchange: Arc<FakeExchange>,
}

fn mint(prefix: Prefix) -> Id {
    Id::mint(prefix, 1, [1; 10])
}

impl Rig {
    fn new(trusted: bool, limits: Value, route: Option<Value>) -> Self {
        Self::over(json!({ "trusted": trusted }), limits, route)
    }

    /// Over a trunk with more keys.
    fn over(more: Value, limits: Value, route: Option<Value>) -> Self {
        let mut trunk = json!({
            "name": "carrier", "peers": ["127.0.0.1"], "codecs": ["PCMU"],
            "server": { "hosts": ["192.0.2.1"], "domain": "carrier.example", "caller": "+49301" },
        });
        trunk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let of = json!({ "name": "rig", "outbound": limits });
        let route = route.map(|mut route| {
            route["trunks"] = json!([mint(Prefix::Trunk)]);
            route
        });
        let store = Arc::new(SlowStore::default());
        let shared = shared_with(store, Amounts::all(u32::MAX), silent_agent(), trunk, of, route);
        let exchange = Arc::new(FakeExchange::default());
        shared.outbound.connect(Arc::clone(&exchange) as _, plane(8));
        Self { shared, exchange }
    }

    fn place(&self, leg: u32, r#use: OutboundUse, to: &str) -> Result<Placed, NotPlaced> {
        let serving = self.shared.serving.load_full();
        let (tenant, agent) = (mint(Prefix::Tenant), mint(Prefix::Agent));
        let wanted = Wanted {
            request: request(&tenant, &agent, r#use, to),
            only: None,
            from: None,
            variables: BTreeMap::from([("x_plan".to_owned(), "gold".to_owned())]),
            referred_by: None,
            headers: Vec::new(),
            media: MediaOf::Own,
            ring_ms: 20_000,
            hops: 69,
        };
        let whose = Whose { call: mint(Prefix::Call), leg: LegId(leg), worker: Some(0) };
        self.shared.outbound.place(&self.shared, &serving, wanted, whose).map(|(placed, _)| placed)
    }

    fn judge(&self, to: &str) -> Result<Way, NotPlaced> {
        let (tenant, agent) = (mint(Prefix::Tenant), mint(Prefix::Agent));
        let serving = self.shared.serving.load_full();
        self.shared.outbound.judge(&self.shared, &serving, &request(&tenant, &agent, TRANSFER, to))
    }
}

fn home() -> Option<Value> {
    Some(json!({ "name": "home", "destinations": ["+4930*", "sip:*@pbx.example"], "denied": ["+4930666"] }))
}

#[test]
fn without_an_outbound_route_nothing_leaves() {
    let rig = Rig::new(false, json!({}), None);
    for to in ["+4930555", "112", "sip:a@pbx.example"] {
        for r#use in [DIAL, TRANSFER] {
            assert_eq!(rig.place(2, r#use, to).err().unwrap().failure, Failure::OutboundDenied, "{to}");
        }
        assert_eq!(rig.judge(to).err().unwrap().failure, Failure::OutboundDenied, "nor is the far end asked to dial");
    }
    assert!(rig.exchange.dialled.lock().unwrap().is_empty());
}

#[test]
fn what_a_route_denies_or_does_not_name_or_is_not_for_does_not_leave() {
    let mut route = home().unwrap();
    route["uses"] = json!(["dial"]);
    let rig = Rig::new(false, json!({}), Some(route));
    for to in ["+4930666", "+49900123", "sip:a@evil.example", "sip:a@pbx.example@evil.example", "call me", ""] {
        assert_eq!(rig.place(2, DIAL, to).err().unwrap().failure, Failure::OutboundDenied, "{to}");
    }
    assert!(rig.place(2, TRANSFER, "+4930555").is_err());
    assert!(rig.judge("+4930555").is_err());
    assert!(rig.exchange.dialled.lock().unwrap().is_empty());
    assert!(rig.place(2, DIAL, "+4930555").is_ok());
}

#[test]
fn a_call_goes_to_its_trunks_server_as_the_trunk_says_and_tells_its_own_house_only() {
    for trusted in [false, true] {
        let rig = Rig::new(trusted, json!({}), home());
        let _number = rig.place(2, DIAL, "+4930555").unwrap();
        let _user = rig.place(3, TRANSFER, "sip:kim@pbx.example").unwrap();
        let dialled = rig.exchange.dialled.lock().unwrap();
        let [number, user] = &dialled[..] else { panic!("two were dialled") };
        assert_eq!(
            (number.target.as_str(), user.target.as_str()),
            ("sip:+4930555@carrier.example", "sip:kim@pbx.example")
        );
        for call in [number, user] {
            assert_eq!(
                call.servers.iter().map(|server| server.address.to_string()).collect::<Vec<_>>(),
                ["192.0.2.1:5060"]
            );
            assert!(call.from.ends_with("<sip:+49301@carrier.example>"), "{}", call.from);
            assert_eq!((call.max_forwards, call.ring_ms), (69, 20_000));
            assert!(call.offer.contains("m=audio ") && call.offer.contains("RTP/AVP 0"), "{}", call.offer);
            let named: Vec<&str> = call.headers.iter().map(|(name, _)| name.as_str()).collect();
            let expected: &[&str] = if trusted { &["X-Plan", "P-Asserted-Identity"] } else { &[] };
            assert_eq!(named, expected);
        }
    }
}

#[test]
fn signs_that_cannot_stand_in_a_uri_are_escaped() {
    let route = Some(json!({ "name": "home", "destinations": ["+4930*", "*21#"] }));
    let rig = Rig::over(json!({ "numbering": { "tech_prefix": "99#" } }), json!({}), route);
    let placed = [rig.place(2, DIAL, "+4930555").unwrap(), rig.place(3, DIAL, "*21#").unwrap()];
    let dialled = rig.exchange.dialled.lock().unwrap();
    let targets: Vec<&str> = dialled.iter().map(|call| call.target.as_str()).collect();
    assert_eq!(targets, ["sip:99%23+4930555@carrier.example", "sip:*21%23@carrier.example"]);
    assert_eq!(placed[0].user, "99#+4930555");
}

#[test]
fn a_place_is_taken_while_a_call_lasts_and_free_as_soon_as_it_is_let_go_of() {
    let rig = Rig::new(false, json!({ "max_calls": 1 }), home());
    let first = rig.place(2, DIAL, "+4930555").unwrap();
    assert_eq!(rig.place(3, DIAL, "+4930556").err().unwrap().failure, Failure::OutboundLimit);
    assert!(rig.shared.outbound.whose(CallKey(1000)).is_some());
    drop(first);
    assert_eq!(rig.exchange.cancelled.lock().unwrap()[..], [CallKey(1000)], "it rings no more");
    assert!(rig.shared.outbound.whose(CallKey(1000)).is_none());
    assert!(rig.shared.outbound.answered(CallKey(1000)).is_none(), "who answers all the same finds nobody");
    let _second = rig.place(3, DIAL, "+4930556").unwrap();
    assert_eq!(rig.exchange.dialled.lock().unwrap().len(), 2);
}

#[test]
fn calls_that_others_dial_for_us_count_by_minute_and_day() {
    let rig = Rig::new(false, json!({ "max_calls": 1, "calls_per_minute": 2 }), home());
    assert!(rig.judge("+4930555").is_ok() && rig.judge("+4930556").is_ok(), "none of them is ours at once");
    assert_eq!(rig.judge("+4930557").err().unwrap().failure, Failure::OutboundLimit);
    assert_eq!(rig.place(2, TRANSFER, "+4930557").err().unwrap().failure, Failure::OutboundLimit);
}

#[test]
fn a_call_whose_minute_its_tenant_cannot_pay_does_not_leave() {
    let mut route = home().unwrap();
    route["price_micro_per_minute"] = json!(600);
    let rig = Rig::new(false, json!({ "spend_micro_per_day": 1000 }), Some(route));
    let first = rig.place(2, DIAL, "+4930555").unwrap();
    assert_eq!(rig.place(3, DIAL, "+4930556").err().unwrap().failure, Failure::OutboundLimit);
    drop(first);
    assert!(rig.place(3, DIAL, "+4930556").is_ok(), "what was not answered was not paid");
}
