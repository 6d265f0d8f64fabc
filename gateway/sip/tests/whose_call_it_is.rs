//! A call belongs to its trunk and to where it came from: nobody else changes or ends it, whatever tags he knows, and it
//! outlives its trunk.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use support::{OFFER, Peer, eventually, header, start, start_for, to_tag};
use trunkline_sip::{Admission, ByeReason, CallTerms, Rate, SipEvent, TrunkToken};

const CALLER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const DISTANT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

/// 127.0.0.0/24 is one trunk until it is removed, 127.0.1.0/24 another; a call's peers are a /30.
#[derive(Default)]
struct Trunks {
    removed: AtomicBool,
}

impl Admission for Trunks {
    fn trunk(&self, source: IpAddr) -> Option<TrunkToken> {
        match source {
            IpAddr::V4(ip) if ip.octets()[2] == 0 && self.removed.load(SeqCst) => None,
            IpAddr::V4(ip) if ip.octets()[2] == 0 => Some(TrunkToken("trk_own".into())),
            _ => Some(TrunkToken("trk_other".into())),
        }
    }

    fn terms(&self, _trunk: &TrunkToken, _source: IpAddr) -> CallTerms {
        CallTerms { peers: vec!["127.0.0.0/30".parse().unwrap()], ..CallTerms::default() }
    }
}

fn sdp(peer: &Peer, method: &str, call: &str, cseq: u32, to: &str) -> String {
    peer.request(method, call, cseq, to, &format!("Content-Type: application/sdp\r\n\r\n{OFFER}"))
}

#[test]
fn nobody_but_its_peers_ends_or_changes_a_call() {
    let (endpoint, mut events) = start_for(Arc::new(Trunks::default()), |_| ());
    let caller = Peer::from(CALLER, &endpoint);
    let (_handle, to) = caller.called(&mut events, &caller.invite("mine", 1, ""));
    for (address, from) in [(DISTANT, "an address of the trunk far from the caller's"), (STRANGER, "another trunk")] {
        let thief = Peer::from(address, &endpoint);
        for (cseq, method) in (100..).zip(["BYE", "INVITE", "UPDATE", "INFO", "OPTIONS", "REFER"]) {
            thief.send(&sdp(&thief, method, "mine", cseq, &to));
            let refused = thief.expect_to(&format!("{cseq} {method}"), "SIP/2.0 481");
            assert!(!refused.contains("Contact"), "{from}: {refused}");
        }
    }
    assert_eq!(endpoint.stats().dropped["other_peer"], 12);
    assert!(events.try_recv().is_none(), "nothing was told to the driver");
    caller.send(&caller.request("OPTIONS", "mine", 2, &to, ""));
    caller.expect_to("2 OPTIONS", "SIP/2.0 200");

    let neighbour = Peer::from(NEIGHBOUR, &endpoint);
    neighbour.send(&neighbour.request("BYE", "mine", 3, &to, ""));
    neighbour.expect_to("3 BYE", "SIP/2.0 200");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Bye { .. })));
}

#[test]
fn nobody_but_its_peers_acknowledges_or_cancels_a_call_or_hears_its_answer() {
    let (endpoint, mut events) = start_for(Arc::new(Trunks::default()), |_| ());
    let (caller, thief) = (Peer::from(CALLER, &endpoint), Peer::from(STRANGER, &endpoint));
    let invite = caller.request("INVITE", "rings", 1, "", "");
    caller.send(&invite);
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
    let cancel = caller.request("CANCEL", "rings", 1, "", "").replace("rings1CANCEL", "rings1INVITE");
    thief.send(&cancel);
    thief.expect_to("1 CANCEL", "SIP/2.0 481");
    thief.send(&invite);
    thief.expect_to("1 INVITE", "SIP/2.0 481");
    incoming.handle.accept("v=0\r\n".to_owned()).unwrap();
    let ok = caller.expect("SIP/2.0 200");
    let to = to_tag(&ok);
    // With the answer to our offer it would have the sound come to the thief.
    thief.send(&sdp(&thief, "ACK", "rings", 1, &to));
    thief.silent();
    caller.send(&sdp(&caller, "ACK", "rings", 1, &to));
    let Some(SipEvent::Acked { answer: Some(_), .. }) = events.blocking_recv() else { panic!() };
    // What was answered is sent again to the caller only.
    thief.send(&invite);
    thief.expect_to("1 INVITE", "SIP/2.0 481");
    assert!(events.try_recv().is_none());
}

#[test]
fn a_call_is_served_to_its_end_although_its_trunk_is_gone_and_nothing_else_is() {
    let trunks = Arc::new(Trunks::default());
    let (endpoint, mut events) = start_for(Arc::clone(&trunks) as _, |_| ());
    let caller = Peer::from(CALLER, &endpoint);
    caller.send(&caller.invite("orphan", 1, ""));
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
    incoming.handle.accept("v=0\r\n".to_owned()).unwrap();
    let to = to_tag(&caller.expect("SIP/2.0 200"));
    trunks.removed.store(true, SeqCst);
    caller.send(&caller.ack("orphan", 1, &to));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
    caller.send(&sdp(&caller, "INVITE", "orphan", 2, &to));
    let Some(SipEvent::ReInvite(reoffer)) = events.blocking_recv() else { panic!() };
    reoffer.handle.answer("v=0\r\n".to_owned()).unwrap();
    caller.expect_to("2 INVITE", "SIP/2.0 200");
    caller.send(&caller.ack("orphan", 2, &to));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));

    caller.send(&caller.invite("new", 1, ""));
    caller.expect_to("1 INVITE", "SIP/2.0 403");
    caller.send(&caller.request("BYE", "orphan", 3, ";tag=guess", ""));
    caller.expect_to("3 BYE", "SIP/2.0 403");
    let distant = Peer::from(DISTANT, &endpoint);
    distant.send(&distant.request("BYE", "orphan", 4, &to, ""));
    distant.expect_to("4 BYE", "SIP/2.0 403");
    assert_eq!(endpoint.calls(), 1);

    caller.send(&caller.request("BYE", "orphan", 5, &to, ""));
    caller.expect_to("5 BYE", "SIP/2.0 200");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Bye { .. })));
    assert_eq!(endpoint.calls(), 0);
}

#[test]
fn our_bye_of_a_call_whose_trunk_is_gone_is_answered_once() {
    let trunks = Arc::new(Trunks::default());
    let (endpoint, mut events) = start_for(Arc::clone(&trunks) as _, |_| ());
    let caller = Peer::from(CALLER, &endpoint);
    let (handle, _) = caller.called(&mut events, &caller.invite("ours", 1, ""));
    trunks.removed.store(true, SeqCst);
    handle.bye(&ByeReason::normal()).unwrap();
    caller.answer(&caller.expect("BYE "));
    eventually("the call is forgotten", || endpoint.calls() == 0);
}

#[test]
fn junk_with_a_forged_source_keeps_no_call_from_ending() {
    let (endpoint, mut events) = start(|config| config.limits.trunk_rate = Some(Rate { per_second: 1, burst: 20 }));
    let caller = Peer::new(&endpoint);
    let (_handle, to) = caller.called(&mut events, &caller.invite("beside", 1, ""));
    let junk = caller.request("OPTIONS", "junk", 1, ";tag=none", "");
    for number in 0..1000 {
        caller.send(&junk.replace("junk1OPTIONS", &format!("junk{number}")));
        if number % 100 == 0 {
            // Keeps the socket's queue from overflowing.
            caller.send(&caller.request("OPTIONS", "beside", 2 + number, &to, ""));
            caller.expect_to(&format!("{} OPTIONS", 2 + number), "SIP/2.0 200");
        }
    }
    caller.send(&caller.request("BYE", "beside", 2000, &to, ""));
    let ok = caller.expect_to("2000 BYE", "SIP/2.0 200");
    assert_eq!(header(&ok, "Call-ID"), "beside");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Bye { .. })));
    assert!(endpoint.stats().dropped["rate"] > 100, "{:?}", endpoint.stats());
}

#[test]
fn an_endpoint_that_stops_hangs_its_calls_up_and_refuses_those_that_ring() {
    let (endpoint, mut events) = start(|_| ());
    let (up, ringing) = (Peer::new(&endpoint), Peer::new(&endpoint));
    let (_handle, _) = up.called(&mut events, &up.invite("up", 1, ""));
    ringing.send(&ringing.invite("ringing", 1, ""));
    let Some(SipEvent::Invite(_kept)) = events.blocking_recv() else { panic!() };
    let stopping = std::thread::spawn(move || endpoint.stop());
    let bye = up.expect("BYE ");
    assert_eq!(header(&bye, "Reason"), "Q.850;cause=41;text=\"Temporary failure\"");
    up.answer(&bye);
    let refused = ringing.expect_final();
    assert!(refused.starts_with("SIP/2.0 503 ") && refused.contains("Retry-After"), "{refused}");
    stopping.join().unwrap();
    assert!(events.blocking_recv().is_none());
}

#[test]
fn an_endpoint_stops_although_a_far_end_says_nothing() {
    let (endpoint, mut events) = start(|_| ());
    let silent = Peer::new(&endpoint);
    let (_handle, _) = silent.called(&mut events, &silent.invite("deaf", 1, ""));
    endpoint.stop();
    silent.expect("BYE ");
}

/// The same request of somebody who writes the tags of another's call so that two readers may differ, or names a tag of ours
/// that nobody has.
fn disguised(text: &str, call: &str) -> Vec<(&'static str, String)> {
    let from = format!("From: \"A\" <sip:alice@example.org>;tag=from{call}\r\n");
    assert!(text.contains(&from));
    let with_from = |value: String| text.replace(&from, &format!("From: {value}\r\n"));
    let quoted = format!("<sip:alice@example.org>;x=\";tag=from{call};y=\";tag=junk");
    let named = format!("\"a <sip:x@y>;tag=from{call};z\" <sip:alice@example.org>;tag=junk");
    // Call-ID and tag of From stand side by side in the name of a transaction.
    let (head, tail) = call.split_once('_').unwrap();
    let shifted = with_from(format!("<sip:alice@example.org>;tag={tail}_from{call}"));
    vec![
        (
            "a tag of ours that nobody has",
            text.replace("To: <sip:100@example.org>", "To: <sip:100@example.org>;tag=junk"),
        ),
        ("a tag within quotes", with_from(quoted)),
        ("a tag within a name", with_from(named)),
        ("two tags", with_from(format!("<sip:alice@example.org>;tag=from{call};tag=junk"))),
        (
            "a Call-ID that ends elsewhere",
            shifted.replace(&format!("Call-ID: {call}\r\n"), &format!("Call-ID: {head}\r\n")),
        ),
    ]
}

#[test]
fn whoever_disguises_a_request_ends_no_call_that_rings_and_hears_none_that_is_up() {
    let (endpoint, mut events) = start_for(Arc::new(Trunks::default()), |_| ());
    let (caller, thief) = (Peer::from(CALLER, &endpoint), Peer::from(STRANGER, &endpoint));
    let invite = caller.invite("rings_here", 1, "");
    caller.send(&invite);
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
    let cancel = caller.request("CANCEL", "rings_here", 1, "", "").replace("rings_here1CANCEL", "rings_here1INVITE");
    for (how, cancel) in disguised(&cancel, "rings_here") {
        thief.send(&cancel);
        let refused = thief.expect_to("1 CANCEL", "SIP/2.0 4");
        assert!(refused.starts_with("SIP/2.0 481") || refused.starts_with("SIP/2.0 400"), "{how}: {refused}");
        thief.silent();
        assert!(events.try_recv().is_none() && endpoint.calls() == 1, "{how}");
    }
    incoming.handle.accept("v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:ours\r\n".to_owned()).unwrap();
    let to = to_tag(&caller.expect("SIP/2.0 200"));
    let acknowledge = sdp(&caller, "ACK", "rings_here", 1, &to).replace("rings_here1ACK", "rings_here1INVITE");
    for (how, ack) in disguised(&acknowledge, "rings_here") {
        thief.send(&ack);
        thief.silent();
        assert!(events.try_recv().is_none(), "{how}");
    }
    caller.send(&caller.ack("rings_here", 1, &to));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { answer: None, .. })));
    for (how, invite) in disguised(&invite, "rings_here") {
        thief.send(&invite);
        let refused = thief.expect_to("1 INVITE", "SIP/2.0 ");
        assert!(refused.starts_with("SIP/2.0 4"), "{how}: {refused}");
    }
    caller.send(&caller.request("BYE", "rings_here", 2, &to, ""));
    caller.expect_to("2 BYE", "SIP/2.0 200");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Bye { .. })));
    // Its key would still open what was recorded of it.
    thief.send(&invite);
    let refused = thief.expect_to("1 INVITE", "SIP/2.0 ");
    assert!(refused.starts_with("SIP/2.0 481"), "{refused}");
}
