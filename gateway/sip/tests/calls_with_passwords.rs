//! Calls that come in from trunks with an account, at a live socket (RFC 3261 22, RFC 8760).
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use support::{OFFER, Peer, header, to_tag};
use trunkline_sip::auth::{Credentials, DigestClient};
use trunkline_sip::{Account, Admission, Rate, SipConfig, SipEndpoint, SipEvent, SipEvents, TrunkToken};

/// 127.0.0.2 is a trunk by its address alone, the rest of loopback one with an account.
struct Policy(Arc<Account>);

impl Admission for Policy {
    fn trunk(&self, source: IpAddr) -> Option<TrunkToken> {
        let name = if source == IpAddr::from([127, 0, 0, 2]) { "trk_open" } else { "trk_account" };
        Some(TrunkToken(Arc::from(name)))
    }

    fn account(&self, trunk: &TrunkToken) -> Option<Arc<Account>> {
        (&*trunk.0 == "trk_account").then(|| Arc::clone(&self.0))
    }
}

fn endpoint() -> (SipEndpoint, SipEvents) {
    let account = Arc::new(Account::new("carrier", "gw.example", "secret"));
    SipEndpoint::start(SipConfig::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))), Arc::new(Policy(account))).unwrap()
}

fn invite(peer: &Peer, call: &str, cseq: u32, proof: &str) -> String {
    peer.request("INVITE", call, cseq, "", &format!("{proof}Content-Type: application/sdp\r\n\r\n{OFFER}"))
}

/// Sends an INVITE without a password; its 401.
fn challenged(peer: &Peer, call: &str, cseq: u32) -> String {
    peer.send(&invite(peer, call, cseq, ""));
    let refused = peer.expect("SIP/2.0 401");
    acknowledge(peer, call, cseq, &refused);
    refused
}

fn acknowledge(peer: &Peer, call: &str, cseq: u32, refused: &str) {
    let branch = format!("{call}{cseq}");
    peer.send(&peer.ack(call, cseq, &to_tag(refused)).replace(&format!("{branch}ACK"), &format!("{branch}INVITE")));
}

/// The answer to a challenge.
fn proof(password: &str, refused: &str, uri: &str) -> String {
    let credentials = Credentials { user: "carrier".to_owned(), password: password.to_owned().into(), realm: None };
    let mut client = DigestClient::new(credentials);
    let challenges: Vec<(&str, &str)> = refused
        .lines()
        .filter_map(|line| Some(("WWW-Authenticate", line.strip_prefix("WWW-Authenticate: ")?)))
        .collect();
    assert_eq!(challenges.len(), 2, "SHA-256 and MD5: {refused}");
    client.handle_challenge(&challenges).unwrap();
    let (name, value) = client.authorize("INVITE", uri, [7; 16]).unwrap();
    format!("{name}: {value}\r\n")
}

#[test]
fn a_call_is_made_with_the_password_once_and_not_again_with_the_same_proof() {
    let (endpoint, mut events) = endpoint();
    let peer = Peer::new(&endpoint);
    let uri = format!("sip:100@{}", endpoint.local_addr());
    let refused = challenged(&peer, "p1", 1);
    assert!(header(&refused, "WWW-Authenticate").contains("realm=\"gw.example\""), "{refused}");
    assert_eq!(endpoint.calls(), 0, "nothing is left of it");
    let right = proof("secret", &refused, &uri);
    peer.send(&invite(&peer, "p1", 2, &right));
    let Some(SipEvent::Invite(call)) = events.blocking_recv() else { panic!() };
    call.handle.accept("v=0\r\n".to_owned()).unwrap();
    let ok = peer.expect("SIP/2.0 200");
    peer.send(&peer.ack("p1", 2, &to_tag(&ok)));
    // Whoever overheard it says it again, for the same URI and from the same address.
    peer.send(&invite(&peer, "p2", 1, &right));
    peer.expect_to("1 INVITE", "SIP/2.0 401");
    assert_eq!(endpoint.stats().dropped["unproven"], 1);
    // Within the call nobody is asked.
    peer.send(&peer.request("BYE", "p1", 3, &to_tag(&ok), ""));
    peer.expect_to("3 BYE", "SIP/2.0 200");
}

#[test]
fn who_has_another_password_or_proves_another_call_is_asked_again() {
    let (endpoint, mut events) = endpoint();
    let peer = Peer::new(&endpoint);
    let uri = format!("sip:100@{}", endpoint.local_addr());
    let wrong = [("guess", uri.as_str()), ("secret", "sip:+49900123@gw.example")];
    for (at, (password, uri)) in wrong.into_iter().enumerate() {
        let call = format!("w{at}");
        let refused = challenged(&peer, &call, 1);
        peer.send(&invite(&peer, &call, 2, &proof(password, &refused, uri)));
        let again = peer.expect_to("2 INVITE", "SIP/2.0 401");
        acknowledge(&peer, &call, 2, &again);
    }
    assert_eq!(endpoint.stats().dropped["unproven"], 2);
    // What one address was asked another cannot answer.
    let elsewhere = Peer::from(Ipv4Addr::new(127, 0, 0, 3), &endpoint);
    let refused = challenged(&peer, "e1", 1);
    elsewhere.send(&invite(&elsewhere, "e2", 1, &proof("secret", &refused, &uri)));
    elsewhere.expect_to("1 INVITE", "SIP/2.0 401");
    assert!(events.try_recv().is_none());
}

#[test]
fn a_trunk_without_an_account_is_known_by_its_address_as_ever() {
    let (endpoint, mut events) = endpoint();
    let peer = Peer::from(Ipv4Addr::new(127, 0, 0, 2), &endpoint);
    peer.send(&invite(&peer, "o1", 1, ""));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Invite(_))));
}

fn unproven(change: impl FnOnce(&mut SipConfig)) -> (SipEndpoint, SipEvents) {
    support::start_for(Arc::new(Policy(Arc::new(Account::new("carrier", "gw.example", "secret")))), change)
}

#[test]
fn who_has_not_given_a_password_hears_one_answer_and_leaves_nothing_behind() {
    let (endpoint, mut events) = unproven(|config| config.timers.t1 = Duration::from_millis(10));
    let peer = Peer::new(&endpoint);
    peer.send(&invite(&peer, "once", 1, ""));
    let mut came = vec![peer.recv()];
    while let Some(answer) = peer.comes() {
        came.push(answer);
    }
    assert_eq!(came.len(), 1, "its address may be forged: {came:#?}");
    assert!(came[0].starts_with("SIP/2.0 401 "));
    let stats = endpoint.stats();
    assert_eq!((stats.transactions, stats.ended), (0, 0), "{stats:?}");
    // Whoever did not get it asks again, and the answer to that is as good.
    let uri = format!("sip:100@{}", endpoint.local_addr());
    peer.send(&invite(&peer, "once", 1, ""));
    let again = peer.expect("SIP/2.0 401");
    assert_eq!(to_tag(&again), to_tag(&came[0]), "the same request, the same answer");
    acknowledge(&peer, "once", 1, &again);
    peer.send(&invite(&peer, "once", 2, &proof("secret", &again, &uri)));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Invite(_))));
}

#[test]
fn who_has_not_given_a_password_hears_little_more_than_it_said() {
    let (endpoint, _events) = unproven(|config| {
        support::unhurried(config);
        config.limits.unknown_rate = Rate { per_second: 1, burst: 5 };
    });
    let peer = Peer::new(&endpoint);
    let mut said = 0;
    for number in 0..100 {
        let short = format!(
            "INVITE sip:1@a SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9hG4bK{number}\r\nf: sip:a@a;tag=1\r\nt: sip:b@b\r\n\
             i: {number}\r\nCSeq: 1 INVITE\r\nm: sip:a@a\r\n\r\n"
        );
        said += short.len();
        peer.send(&short.replace("UDP a;", &format!("UDP 127.0.0.1:{};", peer.port())));
    }
    let (mut heard, mut answers) = (peer.recv().len(), 1);
    while let Some(answer) = peer.comes() {
        heard += answer.len();
        answers += 1;
    }
    assert!((1..20).contains(&answers) && heard < said, "{heard} bytes in {answers} answers to {said}");
    assert!(endpoint.stats().dropped["rate"] > 80);
    // What is no longer than the INVITE is nobody's loss.
    let other = Peer::new(&endpoint);
    other.send(&invite(&other, "long", 1, &format!("X-Long: {}\r\n", "x".repeat(600))));
    other.expect("SIP/2.0 401");
}

#[test]
fn an_address_that_has_not_given_a_password_gets_few_answers_to_anything() {
    let (endpoint, mut events) = unproven(|config| {
        support::unhurried(config);
        config.limits.unknown_rate = Rate { per_second: 1, burst: 5 };
    });
    let asks = |peer: &Peer, number: u32| peer.send(&peer.request("OPTIONS", &format!("o{number}"), 1, "", ""));
    let peer = Peer::new(&endpoint);
    for number in 0..100 {
        asks(&peer, number);
    }
    peer.recv();
    let answers = std::iter::from_fn(|| peer.comes()).count();
    assert!((0..20).contains(&answers), "{answers} answers to whom the address may not belong");
    let uri = format!("sip:100@{}", endpoint.local_addr());
    let padding = format!("X-Long: {}\r\n", "x".repeat(600));
    peer.send(&invite(&peer, "proof", 1, &padding));
    let refused = peer.expect("SIP/2.0 401");
    acknowledge(&peer, "proof", 1, &refused);
    peer.send(&invite(&peer, "proof", 2, &proof("secret", &refused, &uri)));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Invite(_))));
    for number in 200..300 {
        asks(&peer, number);
        peer.expect_to("1 OPTIONS", "SIP/2.0 200");
        peer.send(&invite(&peer, &format!("short{number}"), 1, ""));
        peer.expect_to("1 INVITE", "SIP/2.0 401");
    }
}
