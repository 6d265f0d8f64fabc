//! Trunks that are looked after, at live sockets: OPTIONS, registration, names (RFC 3261 10, 11).
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::callee::Callee;
use support::{eventually, header, start};
use trunkline_sip::auth::Credentials;
use trunkline_sip::health::HealthState;
use trunkline_sip::registration::RegistrationEvent;
use trunkline_sip::{Kept, KeptRegistration, SipEndpoint, SipEvent, SipEvents, Transport, TrunkNews, TrunkToken};

fn kept(callee: &Callee) -> Kept {
    let address = callee.address();
    Kept {
        trunk: TrunkToken(Arc::from("trk_test")),
        hosts: vec![(address.ip().to_string(), Some(address.port()))],
        domain: "pbx.example".to_owned(),
        transport: Some(Transport::Udp),
        advertised: None,
        ping_ms: None,
        registration: None,
    }
}

fn news(events: &mut SipEvents) -> TrunkNews {
    match events.blocking_recv() {
        Some(SipEvent::Trunk { trunk, news }) => {
            assert_eq!(&*trunk.0, "trk_test");
            *news
        }
        other => panic!("news of a trunk were expected, not {other:?}"),
    }
}

fn takes_calls(endpoint: &SipEndpoint) -> bool {
    endpoint.dialler().trunk(&TrunkToken(Arc::from("trk_test"))).is_some_and(|status| status.takes_calls)
}

#[test]
fn a_trunk_is_asked_whether_it_is_there_and_what_it_says_is_told() {
    let (endpoint, mut events) = start(|_| ());
    let callee = Callee::new();
    endpoint.dialler().keep(vec![Kept { ping_ms: Some(1000), ..kept(&callee) }]);
    let options = callee.expect("OPTIONS ");
    assert!(options.starts_with("OPTIONS sip:pbx.example SIP/2.0\r\n"), "{options}");
    callee.answer(&options, "200 OK", "x", "");
    let TrunkNews::Health { host, to, .. } = news(&mut events) else { panic!() };
    assert_eq!((host, to), (callee.address().to_string(), HealthState::Up));
    assert!(takes_calls(&endpoint));
    let again = callee.expect("OPTIONS ");
    assert_eq!(header(&again, "Call-ID"), header(&options, "Call-ID"));
    callee.answer(&again, "503 Service Unavailable", "x", "Retry-After: 600");
    let TrunkNews::Health { to: HealthState::Down, .. } = news(&mut events) else { panic!() };
    eventually("no calls are placed over it", || !takes_calls(&endpoint));
    let status = endpoint.dialler().trunks();
    assert_eq!((status.len(), status[0].registered, status[0].servers().len()), (1, None, 1));
    endpoint.dialler().keep(Vec::new());
    eventually("it is nobody's any more", || endpoint.dialler().trunks().is_empty());
}

#[test]
fn a_registration_is_made_with_a_password_kept_while_its_trunk_is_and_taken_back_with_it() {
    let (endpoint, mut events) = start(|_| ());
    let callee = Callee::new();
    let credentials = Credentials { user: "gw".to_owned(), password: "secret".to_owned().into(), realm: None };
    let registration = KeptRegistration { user: "1000".to_owned(), expires_s: 3600, credentials: Some(credentials) };
    let kept = Kept { registration: Some(registration), ..kept(&callee) };
    endpoint.dialler().keep(vec![kept.clone()]);
    let register = callee.expect("REGISTER ");
    assert!(register.starts_with("REGISTER sip:pbx.example SIP/2.0\r\n"), "{register}");
    assert_eq!((header(&register, "To"), header(&register, "Expires")), ("<sip:1000@pbx.example>", "3600"));
    assert!(header(&register, "Contact").starts_with(&format!("<sip:1000@{}>", endpoint.local_addr())));
    assert!(!takes_calls(&endpoint), "who wants to be registered first is not dialled over before");
    let challenge = "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"";
    callee.answer(&register, "401 Unauthorized", "x", challenge);
    let register = loop {
        let register = callee.expect("REGISTER ");
        if register.contains("Authorization: ") {
            break register;
        }
    };
    assert!(header(&register, "Authorization").contains("username=\"gw\"") && !register.contains("secret"));
    let granted = format!("Contact: {}\r\nExpires: 3600", header(&register, "Contact"));
    callee.answer(&register, "200 OK", "x", &granted);
    let TrunkNews::Registration(RegistrationEvent::Registered { expires_s, .. }) = news(&mut events) else { panic!() };
    assert_eq!(expires_s, 3600);
    assert!(takes_calls(&endpoint));
    // The same again changes nothing: a change of another object must not register anew.
    endpoint.dialler().keep(vec![kept]);
    assert!(takes_calls(&endpoint));
    endpoint.dialler().keep(Vec::new());
    let goodbye = callee.expect("REGISTER ");
    assert_eq!(header(&goodbye, "Expires"), "0");
    callee.answer(&goodbye, "200 OK", "x", "");
    assert_eq!(news(&mut events), TrunkNews::Registration(RegistrationEvent::Ended { confirmed: true }));
}

#[test]
fn a_gateway_that_stops_takes_its_registrations_back() {
    let (endpoint, mut events) = start(|_| ());
    let callee = Callee::new();
    let credentials = Credentials { user: "gw".to_owned(), password: "secret".to_owned().into(), realm: None };
    let registration = KeptRegistration { user: "1000".to_owned(), expires_s: 3600, credentials: Some(credentials) };
    endpoint.dialler().keep(vec![Kept { registration: Some(registration), ..kept(&callee) }]);
    let register = callee.expect("REGISTER ");
    let granted = format!("Contact: {}\r\nExpires: 3600", header(&register, "Contact"));
    callee.answer(&register, "200 OK", "x", &granted);
    let TrunkNews::Registration(RegistrationEvent::Registered { .. }) = news(&mut events) else { panic!() };
    let dialler = endpoint.dialler();
    let stopping = std::thread::spawn(move || endpoint.stop());
    let goodbye = callee.expect("REGISTER ");
    assert_eq!(header(&goodbye, "Expires"), "0");
    // The registrar asks who says so.
    let challenge = "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"";
    callee.answer(&goodbye, "401 Unauthorized", "x", challenge);
    let goodbye = loop {
        let goodbye = callee.expect("REGISTER ");
        if goodbye.contains("Authorization: ") {
            break goodbye;
        }
    };
    assert_eq!(header(&goodbye, "Expires"), "0");
    callee.answer(&goodbye, "200 OK", "x", "");
    stopping.join().unwrap();
    dialler.keep(vec![kept(&callee)]);
    assert!(dialler.trunks().is_empty(), "who has stopped looks after nobody");
}

#[test]
fn a_gateway_stops_though_its_registrar_says_nothing() {
    let (endpoint, mut events) = start(|_| ());
    let callee = Callee::new();
    let registration = KeptRegistration { user: "1000".to_owned(), expires_s: 3600, credentials: None };
    endpoint.dialler().keep(vec![Kept { registration: Some(registration), ..kept(&callee) }]);
    let register = callee.expect("REGISTER ");
    callee.answer(&register, "200 OK", "x", &format!("Contact: {}", header(&register, "Contact")));
    let TrunkNews::Registration(RegistrationEvent::Registered { .. }) = news(&mut events) else { panic!() };
    endpoint.stop();
    assert_eq!(header(&callee.expect("REGISTER "), "Expires"), "0");
}

#[test]
fn servers_are_looked_up_by_name_and_the_next_registrar_is_tried() {
    let (endpoint, mut events) = start(|config| config.timers.t1 = Duration::from_millis(10));
    let (silent, callee) = (Callee::new(), Callee::new());
    let registration = KeptRegistration { user: "1000".to_owned(), expires_s: 60, credentials: None };
    let hosts = vec![
        ("127.0.0.1".to_owned(), Some(silent.address().port())),
        ("LocalHost".to_owned(), Some(callee.address().port())),
    ];
    endpoint.dialler().keep(vec![Kept { hosts, registration: Some(registration), ..kept(&callee) }]);
    let TrunkNews::Registration(RegistrationEvent::Failed { .. }) = news(&mut events) else { panic!() };
    let register = callee.expect("REGISTER ");
    callee.answer(&register, "200 OK", "x", &format!("Contact: {}", header(&register, "Contact")));
    let TrunkNews::Registration(RegistrationEvent::Registered { .. }) = news(&mut events) else { panic!() };
    let status = endpoint.dialler().trunks().remove(0);
    let addresses: Vec<_> = status.servers().iter().map(|server| server.address).collect();
    assert_eq!(addresses, [silent.address(), callee.address()]);
}
