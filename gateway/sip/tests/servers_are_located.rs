//! From a URI to servers in order (RFC 3263), by records that are known.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;
use trunkline_sip::Draw;
use trunkline_sip::locate::{
    Destination, Families, Found, LocateError, Naptr, Policy, Question, Records, Resting, RestingLimits, Server, Srv,
    Transport, servers,
};

#[derive(Default)]
struct Zone {
    naptr: BTreeMap<String, Vec<Naptr>>,
    srv: BTreeMap<String, Vec<Srv>>,
    addresses: BTreeMap<String, Vec<IpAddr>>,
    /// Whatever is not named was never asked for.
    unknown: bool,
}

impl Zone {
    fn found<T: Clone>(&self, map: &BTreeMap<String, Vec<T>>, name: &str) -> Found<T> {
        match map.get(name) {
            Some(records) => Found::Known(records.clone()),
            None if self.unknown => Found::Unknown,
            None => Found::Known(Vec::new()),
        }
    }

    fn naptr(mut self, domain: &str, order: u16, service: &str, replacement: &str) -> Self {
        let record = Naptr {
            order,
            preference: 0,
            flags: "S".to_owned(),
            service: service.to_owned(),
            regexp: String::new(),
            replacement: replacement.to_owned(),
        };
        self.naptr.entry(domain.to_owned()).or_default().push(record);
        self
    }

    fn srv(mut self, service: &str, priority: u16, weight: u16, target: &str, port: u16) -> Self {
        let record = Srv { priority, weight, port, target: target.to_owned() };
        self.srv.entry(service.to_owned()).or_default().push(record);
        self
    }

    fn host(mut self, host: &str, addresses: &[&str]) -> Self {
        self.addresses.insert(host.to_owned(), addresses.iter().map(|address| address.parse().unwrap()).collect());
        self
    }
}

impl Records for Zone {
    fn naptr(&self, domain: &str) -> Found<Naptr> {
        self.found(&self.naptr, domain)
    }

    fn srv(&self, service: &str) -> Found<Srv> {
        self.found(&self.srv, service)
    }

    fn addresses(&self, host: &str, v6: bool) -> Found<IpAddr> {
        match self.found(&self.addresses, host) {
            Found::Known(all) => Found::Known(all.into_iter().filter(|address| address.is_ipv6() == v6).collect()),
            other => other,
        }
    }
}

fn to(host: &str) -> Destination {
    Destination { host: host.to_owned(), port: None, transport: None, secure: false }
}

fn policy() -> Policy {
    Policy { transports: vec![Transport::Udp, Transport::Tcp, Transport::Tls], families: Families::V4First }
}

fn located(zone: &Zone, to: &Destination, policy: &Policy) -> Result<Vec<String>, LocateError> {
    let found = servers(to, policy, zone, &mut Draw::from_seed(1))?;
    assert!(found.iter().all(|server| server.certificate_name == to.host));
    Ok(found.iter().map(|server| format!("{:?} {}", server.transport, server.address)).collect())
}

#[test]
fn an_address_or_a_port_needs_no_service() {
    let zone = Zone::default().host("pbx.example", &["192.0.2.1", "2001:db8::1"]);
    let at = |to: Destination| located(&zone, &to, &policy()).unwrap();
    assert_eq!(at(to("192.0.2.7")), ["Udp 192.0.2.7:5060"]);
    assert_eq!(at(Destination { secure: true, ..to("[2001:db8::7]") }), ["Tls [2001:db8::7]:5061"]);
    assert_eq!(at(Destination { transport: Some(Transport::Tcp), ..to("192.0.2.7") }), ["Tcp 192.0.2.7:5060"]);
    let with_port = Destination { port: Some(5080), ..to("PBX.example") };
    assert_eq!(at(with_port.clone()), ["Udp 192.0.2.1:5080", "Udp [2001:db8::1]:5080"]);
    let v6 = Policy { families: Families::V6, ..policy() };
    assert_eq!(located(&zone, &with_port, &v6).unwrap(), ["Udp [2001:db8::1]:5080"]);
}

/// The example of RFC 3263 4.1.
#[test]
fn naptr_names_the_transports_in_the_domain_s_order() {
    let zone = Zone::default()
        .naptr("example.com", 90, "SIP+D2T", "_sip._tcp.example.com")
        .naptr("example.com", 50, "SIPS+D2T", "_sips._tcp.example.com.")
        .naptr("example.com", 100, "SIP+D2U", "_sip._udp.example.com")
        .srv("_sip._tcp.example.com", 0, 1, "server1.example.com", 5060)
        .srv("_sip._tcp.example.com", 1, 2, "server2.example.com", 5060)
        .srv("_sip._udp.example.com", 0, 0, "server1.example.com.", 5070)
        .host("server1.example.com", &["192.0.2.1"])
        .host("server2.example.com", &["192.0.2.2"]);
    let plain = Policy { transports: vec![Transport::Udp, Transport::Tcp], ..policy() };
    let expected = ["Tcp 192.0.2.1:5060", "Tcp 192.0.2.2:5060", "Udp 192.0.2.1:5070"];
    assert_eq!(located(&zone, &to("Example.com."), &plain).unwrap_or_default().len(), 3);
    assert_eq!(located(&zone, &to("example.com"), &plain).unwrap(), expected);
    let tls = Policy { transports: vec![Transport::Tls], ..policy() };
    assert_eq!(located(&zone, &to("example.com"), &tls), Err(LocateError::NoAddress), "named, and not there");
}

#[test]
fn without_naptr_services_are_looked_for_and_without_services_the_host() {
    let zone = Zone::default()
        .srv("_sips._tcp.carrier.example", 0, 0, "edge.carrier.example", 5061)
        .host("edge.carrier.example", &["192.0.2.9"])
        .host("pbx.example", &["192.0.2.1"]);
    assert_eq!(located(&zone, &to("carrier.example"), &policy()).unwrap(), ["Tls 192.0.2.9:5061"]);
    assert_eq!(located(&zone, &to("pbx.example"), &policy()).unwrap(), ["Udp 192.0.2.1:5060"]);
    let secure = Destination { secure: true, ..to("pbx.example") };
    assert_eq!(located(&zone, &secure, &policy()).unwrap(), ["Tls 192.0.2.1:5061"]);
    let tcp = Policy { transports: vec![Transport::Tcp], ..policy() };
    assert_eq!(located(&zone, &to("pbx.example"), &tcp).unwrap(), ["Tcp 192.0.2.1:5060"]);
    let wants_udp = Destination { transport: Some(Transport::Udp), ..to("pbx.example") };
    assert_eq!(located(&zone, &wants_udp, &tcp), Err(LocateError::Transport));
    let gone = Zone::default().srv("_sip._udp.x.example", 0, 0, ".", 0).host("x.example", &["192.0.2.1"]);
    let udp = Policy { transports: vec![Transport::Udp], ..policy() };
    assert_eq!(located(&gone, &to("x.example"), &udp), Err(LocateError::NoAddress), "it says it has none");
}

#[test]
fn a_secure_uri_is_never_answered_by_anything_else() {
    let zone = Zone::default()
        .naptr("example.com", 1, "SIP+D2U", "_sip._udp.example.com")
        .naptr("example.com", 2, "SIPS+D2T", "_sips._tcp.example.com")
        .srv("_sip._udp.example.com", 0, 0, "a.example.com", 5060)
        .srv("_sips._tcp.example.com", 0, 0, "a.example.com", 5061)
        .host("a.example.com", &["192.0.2.1"]);
    let secure = Destination { secure: true, ..to("example.com") };
    assert_eq!(located(&zone, &secure, &policy()).unwrap(), ["Tls 192.0.2.1:5061"]);
    let plain = Policy { transports: vec![Transport::Udp, Transport::Tcp], ..policy() };
    assert_eq!(located(&zone, &secure, &plain), Err(LocateError::Transport));
}

#[test]
fn what_is_not_known_is_asked_for_and_nothing_else() {
    let zone = Zone { unknown: true, ..Zone::default() };
    let ask = |zone: &Zone, to: &Destination| match located(zone, to, &policy()) {
        Err(LocateError::Ask(questions)) => questions,
        other => panic!("{other:?}"),
    };
    let first = ask(&zone, &to("example.com"));
    assert!(first.contains(&Question::Naptr("example.com".to_owned())), "{first:?}");
    assert!(first.contains(&Question::Srv("_sip._udp.example.com".to_owned())), "{first:?}");
    let zone = zone.naptr("example.com", 1, "SIP+D2T", "_sip._tcp.example.com");
    assert_eq!(ask(&zone, &to("example.com")), [Question::Srv("_sip._tcp.example.com".to_owned())]);
    let zone = zone.srv("_sip._tcp.example.com", 0, 0, "a.example.com", 5060);
    let hosts = [Question::A("a.example.com".to_owned()), Question::Aaaa("a.example.com".to_owned())];
    assert_eq!(ask(&zone, &to("example.com")), hosts);
    let zone = zone.host("a.example.com", &["192.0.2.1"]);
    assert_eq!(located(&zone, &to("example.com"), &policy()).unwrap(), ["Tcp 192.0.2.1:5060"]);
}

fn server(last: u8) -> Server {
    let address = format!("192.0.2.{last}:5060").parse().unwrap();
    Server { address, transport: Transport::Udp, certificate_name: "x".to_owned() }
}

#[test]
fn who_failed_is_tried_last_for_a_time_that_grows_and_never_left_out() {
    let mut resting = Resting::new(RestingLimits { first_ms: 1000, most_ms: 3000, servers: 2 });
    let all = vec![server(1), server(2), server(3)];
    let order = |resting: &Resting, now| {
        resting.ordered(now, all.clone()).iter().map(|server| server.address.ip().to_string()).collect::<Vec<_>>()
    };
    resting.handle_failure(0, &server(1), None);
    assert_eq!(order(&resting, 999), ["192.0.2.2", "192.0.2.3", "192.0.2.1"]);
    assert_eq!(order(&resting, 1000), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    resting.handle_failure(1000, &server(1), None);
    assert_eq!(resting.rests_until(1000, &server(1)), Some(3000), "twice as long");
    resting.handle_failure(1000, &server(2), Some(1));
    assert_eq!(order(&resting, 1500), ["192.0.2.3", "192.0.2.2", "192.0.2.1"]);
    resting.handle_failure(1500, &server(3), Some(3600));
    assert_eq!(resting.rests_until(1500, &server(3)), Some(4500), "bounded");
    assert_eq!(resting.rests_until(1500, &server(2)), None, "two are remembered");
    resting.handle_answer(&server(3));
    assert_eq!(resting.rests_until(1500, &server(3)), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever a zone says: no panic, nothing that the policy excludes, no server twice, and a bounded number.
    #[test]
    fn no_zone_leads_anywhere_we_do_not_go(
        naptr in proptest::collection::vec((any::<u16>(), "SIPS?\\+D2[TUW]|x", "_sips?\\._(tcp|udp)\\.d|\\."), 0..40),
        srv in proptest::collection::vec(("_sips?\\._(tcp|udp)\\.d", any::<u16>(), any::<u16>(), "[a-c]|\\.|d", any::<u16>()), 0..60),
        hosts in proptest::collection::vec(("[a-d]", proptest::collection::vec(any::<IpAddr>(), 0..20)), 0..5),
        secure in any::<bool>(), seed in any::<u64>(), unknown in any::<bool>(),
    ) {
        let mut zone = Zone { unknown, ..Zone::default() };
        for (order, service, replacement) in &naptr {
            zone = zone.naptr("d", *order, service, replacement);
        }
        for (service, priority, weight, target, port) in &srv {
            zone = zone.srv(service, *priority, *weight, target, *port);
        }
        zone.addresses = hosts.into_iter().collect();
        let policy = Policy { families: Families::V4, ..policy() };
        let found = servers(&Destination { secure, ..to("d") }, &policy, &zone, &mut Draw::from_seed(seed));
        if let Ok(found) = found {
            prop_assert!((1..=64).contains(&found.len()));
            prop_assert!(found.iter().all(|server| server.address.is_ipv4() && server.address.port() != 0));
            prop_assert!(found.iter().all(|server| !secure || server.transport == Transport::Tls));
            prop_assert!(found.iter().enumerate().all(|(at, server)| !found[..at].contains(server)));
        }
    }
}
