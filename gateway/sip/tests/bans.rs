//! Scanners, strangers who go on and whoever tries passwords are not listened to for a while; nobody else can be silenced by a
//! forged source.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use support::callee::{Callee, news};
use support::{OFFER, Peer, eventually, header, start_for, to_tag};
use trunkline_api::cidr::Cidr;
use trunkline_sip::auth::{Credentials, DigestClient};
use trunkline_sip::{Account, Admission, BanReason, OutgoingEvent, SipEndpoint, SipEvent, TrunkToken};

const CARRIER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const ROAMING: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 1);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);
const ANOTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 2);

/// 127.0.0.0/24 is a trunk until it is removed, 127.0.2.0/24 one with a password.
struct Trunks {
    removed: AtomicBool,
    account: Arc<Account>,
}

impl Trunks {
    fn new() -> Arc<Self> {
        let account = Arc::new(Account::new("phone", "gw.example", "secret"));
        Arc::new(Self { removed: AtomicBool::new(false), account })
    }
}

impl Admission for Trunks {
    fn trunk(&self, source: IpAddr) -> Option<TrunkToken> {
        let IpAddr::V4(ip) = source else { return None };
        let name = match ip.octets()[2] {
            0 if !self.removed.load(SeqCst) => "trk_carrier",
            2 => "trk_phones",
            _ => return None,
        };
        Some(TrunkToken(name.into()))
    }

    fn peers(&self) -> Vec<Cidr> {
        let carrier = (!self.removed.load(SeqCst)).then(|| "127.0.0.0/24".parse().unwrap());
        carrier.into_iter().chain(["127.0.2.0/24".parse().unwrap()]).collect()
    }

    fn account(&self, trunk: &TrunkToken) -> Option<Arc<Account>> {
        (&*trunk.0 == "trk_phones").then(|| Arc::clone(&self.account))
    }
}

fn ping(peer: &Peer, call: &str, user_agent: &str) -> String {
    peer.request("OPTIONS", call, 1, "", &format!("User-Agent: {user_agent}"))
}

/// Everything that was sent before is dealt with.
fn settled(endpoint: &SipEndpoint, call: &str) {
    let carrier = Peer::from(CARRIER, endpoint);
    carrier.send(&ping(&carrier, call, "carrier"));
    carrier.expect("SIP/2.0 200");
}

fn banned(endpoint: &SipEndpoint) -> Vec<(IpAddr, BanReason)> {
    endpoint.bans().into_iter().map(|ban| (ban.source, ban.reason)).collect()
}

#[test]
fn a_scanner_gets_nothing_and_is_heard_again_once_its_ban_is_lifted() {
    let (endpoint, _events) = start_for(Trunks::new(), |_| ());
    let (scanner, other) = (Peer::from(STRANGER, &endpoint), Peer::from(ANOTHER, &endpoint));
    scanner.send(&ping(&scanner, "s1", "friendly-scanner"));
    for n in 0..50 {
        scanner.send(&ping(&scanner, &format!("t{n}"), "Asterisk PBX"));
    }
    settled(&endpoint, "first");
    assert!(scanner.has_nothing());
    let stats = endpoint.stats();
    assert_eq!((stats.dropped["scanner"], stats.dropped["banned"]), (1, 50));
    assert_eq!((stats.bans.now, stats.bans.begun), (1, [1, 0, 0]));
    assert_eq!(banned(&endpoint), [(STRANGER.into(), BanReason::Scanner)]);
    assert_eq!(endpoint.bans()[0].kept_out, 50);
    // Others are answered as ever, also behind the scanner's port.
    other.send(&ping(&other, "o1", "Asterisk PBX"));
    other.expect("SIP/2.0 403");
    assert!(endpoint.lift_ban(STRANGER.into()) && !endpoint.lift_ban(STRANGER.into()));
    scanner.send(&ping(&scanner, "s2", "Asterisk PBX"));
    scanner.expect("SIP/2.0 403");
}

#[test]
fn a_stranger_who_goes_on_after_refusals_is_banned_and_one_that_asks_now_and_then_is_not() {
    let (endpoint, _events) = start_for(Trunks::new(), |config| config.bans.after = 10);
    let (floods, asks) = (Peer::from(STRANGER, &endpoint), Peer::from(ANOTHER, &endpoint));
    for n in 0..5 {
        asks.send(&ping(&asks, &format!("a{n}"), "Asterisk PBX"));
        asks.expect("SIP/2.0 403");
    }
    for n in 0..100 {
        floods.send(&floods.request("REGISTER", &format!("f{n}"), 1, "", ""));
    }
    settled(&endpoint, "flooded");
    assert_eq!(banned(&endpoint), [(STRANGER.into(), BanReason::Persistence)]);
    assert_eq!(endpoint.stats().dropped["banned"], 100 - 11);
    asks.send(&ping(&asks, "a9", "Asterisk PBX"));
    asks.expect("SIP/2.0 403");
}

#[test]
fn no_ban_silences_a_trunk_or_the_end_of_a_call_whatever_comes_with_their_address() {
    let trunks = Trunks::new();
    let (endpoint, mut events) = start_for(Arc::clone(&trunks) as Arc<dyn Admission>, |config| config.bans.after = 1);
    let (carrier, forger) = (Peer::from(CARRIER, &endpoint), Peer::from(CARRIER, &endpoint));
    let (_handle, to) = carrier.called(&mut events, &carrier.invite("up", 1, ""));
    forger.send(&ping(&forger, "forged", "sipvicious"));
    forger.expect("SIP/2.0 200");
    assert_eq!(banned(&endpoint), []);
    // Its trunk is removed, and junk goes on in its name.
    trunks.removed.store(true, SeqCst);
    eventually("the call is known to spare its end", || {
        let peer = Peer::from(CARRIER, &endpoint);
        peer.send(&ping(&peer, &format!("more{}", peer.port()), "sipvicious"));
        banned(&endpoint).is_empty() && endpoint.stats().dropped["scanner"] > 1
    });
    for n in 0..50 {
        forger.send(&ping(&forger, &format!("again{n}"), "sipvicious"));
    }
    carrier.send(&carrier.request("BYE", "up", 2, &to, ""));
    carrier.expect_to("2 BYE", "SIP/2.0 200");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Bye { .. })));
    // Now it is a stranger like any other.
    eventually("it is banned", || {
        forger.send(&ping(&forger, &format!("late{}", endpoint.stats().dropped["scanner"]), "sipvicious"));
        !banned(&endpoint).is_empty()
    });
}

#[test]
fn whoever_becomes_a_trunk_is_on_the_list_no_longer() {
    let trunks = Trunks::new();
    trunks.removed.store(true, SeqCst);
    let (endpoint, _events) = start_for(Arc::clone(&trunks) as Arc<dyn Admission>, |_| ());
    let carrier = Peer::from(CARRIER, &endpoint);
    carrier.send(&ping(&carrier, "early", "sipcli"));
    eventually("it is banned", || !banned(&endpoint).is_empty());
    trunks.removed.store(false, SeqCst);
    carrier.send(&ping(&carrier, "known", "sipcli"));
    carrier.expect("SIP/2.0 200");
    // A firewall that is filled from the list must not keep it out either.
    eventually("the list forgets it", || banned(&endpoint).is_empty());
}

#[test]
fn whoever_we_call_is_heard_although_its_address_was_banned() {
    let (endpoint, mut events) = start_for(Trunks::new(), |_| ());
    let (callee, gateway) = (Callee::at(STRANGER), endpoint.local_addr());
    let forger = Peer::from(STRANGER, &endpoint);
    forger.send(&ping(&forger, "f1", "sipcli/v1.8"));
    eventually("it is banned", || !banned(&endpoint).is_empty());
    let _dialled = endpoint.dialler().dial(callee.call()).unwrap();
    let invite = callee.expect("INVITE ");
    callee.answer_sdp(&invite, "200 OK", "far");
    callee.expect("ACK ");
    let handle = loop {
        if let OutgoingEvent::Answered { handle, .. } = news(&mut events) {
            break handle;
        }
    };
    eventually("the ban ends with the call", || banned(&endpoint).is_empty());
    let (from, to) = (header(&invite, "From"), header(&invite, "To"));
    callee.send(
        gateway,
        &format!(
            "BYE sip:gw@{gateway} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKbye\r\nMax-Forwards: 70\r\n\
             From: {to};tag=far\r\nTo: {from}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
            callee.address(),
            header(&invite, "Call-ID")
        ),
    );
    callee.expect("SIP/2.0 200");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Bye { .. })));
    drop(handle);
}

fn invite(peer: &Peer, call: &str, cseq: u32, proof: &str) -> String {
    peer.request("INVITE", call, cseq, "", &format!("{proof}Content-Type: application/sdp\r\n\r\n{OFFER}"))
}

fn acknowledge(peer: &Peer, call: &str, cseq: u32, refused: &str) {
    let branch = format!("{call}{cseq}");
    peer.send(&peer.ack(call, cseq, &to_tag(refused)).replace(&format!("{branch}ACK"), &format!("{branch}INVITE")));
}

/// Calls with a password.
fn call_with(peer: &Peer, call: &str, password: &str, gateway: SocketAddr) {
    peer.send(&invite(peer, call, 1, ""));
    let refused = peer.expect_to("1 INVITE", "SIP/2.0 401");
    acknowledge(peer, call, 1, &refused);
    let mut client =
        DigestClient::new(Credentials { user: "phone".into(), password: password.to_owned().into(), realm: None });
    let challenges: Vec<(&str, &str)> = refused
        .lines()
        .filter_map(|line| Some(("WWW-Authenticate", line.strip_prefix("WWW-Authenticate: ")?)))
        .collect();
    client.handle_challenge(&challenges).unwrap();
    let (name, value) = client.authorize("INVITE", &format!("sip:100@{gateway}"), [7; 16]).unwrap();
    peer.send(&invite(peer, call, 2, &format!("{name}: {value}\r\n")));
}

#[test]
fn whoever_tries_passwords_is_banned_although_a_trunk_has_its_address_and_who_knows_it_is_not() {
    let (endpoint, mut events) = start_for(Trunks::new(), |_| ());
    let gateway = endpoint.local_addr();
    let (guesser, phone) = (Peer::from(ROAMING, &endpoint), Peer::from(ELSEWHERE, &endpoint));
    for n in 0..6 {
        let call = format!("g{n}");
        call_with(&guesser, &call, &format!("guess{n}"), gateway);
        let refused = guesser.expect_to("2 INVITE", "SIP/2.0 401");
        acknowledge(&guesser, &call, 2, &refused);
    }
    eventually("it is banned", || banned(&endpoint) == [(ROAMING.into(), BanReason::Password)]);
    settled(&endpoint, "banned");
    let (before, invites) = (endpoint.stats().dropped["banned"], endpoint.stats().requests["INVITE"]);
    guesser.send(&invite(&guesser, "g9", 1, ""));
    settled(&endpoint, "guessed");
    assert_eq!((endpoint.stats().dropped["banned"], endpoint.stats().requests["INVITE"]), (before + 1, invites));
    // Somebody who knows the password may mistype it as often as he likes.
    call_with(&phone, "right", "secret", gateway);
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Invite(_))));
    for n in 0..10 {
        let call = format!("w{n}");
        call_with(&phone, &call, "mistyped", gateway);
        let refused = phone.expect_to("2 INVITE", "SIP/2.0 401");
        acknowledge(&phone, &call, 2, &refused);
    }
    assert_eq!(banned(&endpoint), [(ROAMING.into(), BanReason::Password)]);
}
