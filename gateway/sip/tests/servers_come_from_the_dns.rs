//! The servers of a trunk come from NAPTR, SRV and address records of a name server, and the next one is tried when one does
//! not answer (RFC 3263).
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use support::callee::{Callee, news};
use support::name_server::NameServer;
use support::{eventually, header, start};
use trunkline_sip::locate::Server;
use trunkline_sip::registration::RegistrationEvent;
use trunkline_sip::{Kept, KeptRegistration, Outgoing, OutgoingEvent, SipEvent, Transport, TrunkNews, TrunkToken};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn token() -> TrunkToken {
    TrunkToken(Arc::from("trk_test"))
}

fn carrier() -> Kept {
    Kept {
        trunk: token(),
        hosts: vec![("Carrier.example".to_owned(), None)],
        domain: "carrier.example".to_owned(),
        transport: None,
        advertised: None,
        ping_ms: None,
        registration: None,
    }
}

#[test]
fn a_domain_names_its_servers_and_who_did_not_answer_is_tried_last() {
    let (names, callee) = (NameServer::new(), Callee::new());
    // Nobody reads what comes here.
    let silent = UdpSocket::bind((HERE, 0)).unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    names
        .naptr("carrier.example", (20, "SIP+D2T"), "_sip._tcp.carrier.example")
        .naptr("carrier.example", (10, "SIP+D2U"), "_udp.carrier.example")
        .srv("_udp.carrier.example", (20, 0), callee.address().port(), "b.carrier.example")
        .srv("_udp.carrier.example", (10, 0), silent_port, "a.carrier.example")
        .a("a.carrier.example", HERE)
        .a("b.carrier.example", HERE);
    let (endpoint, mut events) = start(|config| {
        config.name_servers = vec![names.address()];
        config.timers.t1 = Duration::from_millis(10);
    });
    endpoint.dialler().keep(vec![carrier()]);
    let servers = || endpoint.dialler().trunk(&token()).map(|status| status.servers()).unwrap_or_default();
    eventually("its servers are known", || servers().len() == 2);
    let known: Vec<(u16, Transport)> =
        servers().iter().map(|server| (server.address.port(), server.transport)).collect();
    assert_eq!(known, [(silent_port, Transport::Udp), (callee.address().port(), Transport::Udp)]);
    assert_eq!(servers()[0].certificate_name, "Carrier.example", "and not what the DNS made of it");

    let place = |servers: Vec<Server>| endpoint.dialler().dial(Outgoing { servers, ..callee.call() }).unwrap();
    place(servers());
    let invite = callee.expect("INVITE ");
    callee.answer(&invite, "486 Busy Here", "b", "");
    while !matches!(news(&mut events), OutgoingEvent::Refused(_)) {}
    assert_eq!(servers()[0].address, callee.address(), "the one that was silent rests");
    assert_eq!(servers().len(), 2);
}

#[test]
fn who_asks_for_a_rest_has_it_and_is_first_again_behind_it() {
    let (endpoint, mut events) = start(|_| ());
    let callee = Callee::new();
    let other = Callee::new();
    let servers = vec![callee.server(), other.server()];
    let port = |callee: &Callee| Some(callee.address().port());
    let hosts = vec![(HERE.to_string(), port(&callee)), (HERE.to_string(), port(&other))];
    endpoint.dialler().keep(vec![Kept { hosts, transport: Some(Transport::Udp), ..carrier() }]);
    let known = || endpoint.dialler().trunk(&token()).map(|status| status.servers()).unwrap_or_default();
    eventually("its servers are known", || known().len() == 2);
    assert_eq!(known()[0].address, callee.address());
    endpoint.dialler().dial(Outgoing { servers: servers.clone(), ..callee.call() }).unwrap();
    let invite = callee.expect("INVITE ");
    callee.answer(&invite, "503 Service Unavailable", "b", "Retry-After: 1");
    let invite = other.expect("INVITE ");
    other.answer(&invite, "486 Busy Here", "b", "");
    while !matches!(news(&mut events), OutgoingEvent::Refused(_)) {}
    assert_eq!(known()[0].address, other.address());
    eventually("a second is over", || known()[0].address == callee.address());
}

#[test]
fn a_name_without_services_is_an_address() {
    let names = NameServer::new();
    names.a("carrier.example", Ipv4Addr::new(127, 0, 0, 9));
    let (endpoint, _events) = start(|config| config.name_servers = vec![names.address()]);
    endpoint.dialler().keep(vec![carrier()]);
    let servers = || endpoint.dialler().trunk(&token()).map(|status| status.servers()).unwrap_or_default();
    eventually("its address is known", || !servers().is_empty());
    let only = servers().remove(0);
    assert_eq!((only.address.to_string(), only.transport), ("127.0.0.9:5060".to_owned(), Transport::Udp));
}

#[test]
fn a_registrar_that_does_not_answer_gives_way_to_the_next_of_its_service() {
    let (names, callee) = (NameServer::new(), Callee::new());
    let silent = UdpSocket::bind((HERE, 0)).unwrap();
    names
        .srv("_sip._udp.carrier.example", (10, 0), silent.local_addr().unwrap().port(), "a.carrier.example")
        .srv("_sip._udp.carrier.example", (20, 0), callee.address().port(), "a.carrier.example")
        .a("a.carrier.example", HERE);
    let (endpoint, mut events) = start(|config| {
        config.name_servers = vec![names.address()];
        config.timers.t1 = Duration::from_millis(10);
    });
    let registration = Some(KeptRegistration { user: "1000".to_owned(), expires_s: 60, credentials: None });
    endpoint.dialler().keep(vec![Kept { registration, transport: Some(Transport::Udp), ..carrier() }]);
    let mut told = || match events.blocking_recv() {
        Some(SipEvent::Trunk { news, .. }) => *news,
        other => panic!("news of a trunk were expected, not {other:?}"),
    };
    let register = callee.expect("REGISTER ");
    callee.answer(&register, "200 OK", "x", &format!("Contact: {}", header(&register, "Contact")));
    assert!(matches!(told(), TrunkNews::Registration(RegistrationEvent::Registered { .. })));
}
