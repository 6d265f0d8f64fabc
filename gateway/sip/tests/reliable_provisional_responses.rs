//! Callers that require reliable provisional responses (RFC 3262), and what crosses what at the beginning and end of calls.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::time::Duration;

use support::{Peer, eventually, header, start, to_tag};
use trunkline_sip::{ByeReason, IncomingInvite, SipEndpoint, SipEvent, SipEvents};

fn required(peer: &Peer, call: &str) -> String {
    peer.invite(call, 1, "").replace("Content-Type", "Require: 100rel\r\nContent-Type")
}

fn ringing(call: &str) -> (SipEndpoint, SipEvents, Peer, Box<IncomingInvite>) {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    peer.send(&required(&peer, call));
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
    (endpoint, events, peer, incoming)
}

#[test]
fn a_response_is_sent_again_until_its_prack_is_here_and_the_answer_waits_for_that() {
    let (_endpoint, mut events, peer, incoming) = ringing("r1");
    incoming.handle.ring(Some("v=0\r\n".to_owned())).unwrap();
    let first = peer.expect("SIP/2.0 183");
    assert_eq!(header(&first, "Require"), "100rel");
    let rseq: u32 = header(&first, "RSeq").parse().unwrap();
    let again = peer.expect("SIP/2.0 183");
    assert_eq!(header(&again, "RSeq"), header(&first, "RSeq"));
    incoming.handle.accept("v=0\r\n".to_owned()).unwrap();
    assert!(peer.expect("SIP/2.0 ").starts_with("SIP/2.0 183"), "no answer before the PRACK");
    let to = to_tag(&first);
    for (cseq, rack) in [(2, format!("{} 1 INVITE", rseq + 1)), (3, format!("{rseq} 2 INVITE")), (4, "x".to_owned())] {
        peer.send(&peer.request("PRACK", "r1", cseq, &to, &format!("RAck: {rack}")));
        peer.expect_to(&format!("{cseq} PRACK"), "SIP/2.0 481");
    }
    peer.send(&peer.request("PRACK", "r1", 5, &to, &format!("RAck: {rseq} 1 INVITE")));
    let mut answered = [false; 2];
    while answered != [true; 2] {
        let ok = peer.expect("SIP/2.0 200");
        let is_prack = header(&ok, "CSeq") == "5 PRACK";
        answered[usize::from(is_prack)] = true;
        assert!(!ok.contains("v=0"), "the answer was given already: {ok}");
    }
    peer.send(&peer.ack("r1", 1, &to));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
    peer.send(&peer.request("PRACK", "r1", 6, &to, &format!("RAck: {rseq} 1 INVITE")));
    peer.expect_to("6 PRACK", "SIP/2.0 481");
}

#[test]
fn a_caller_that_acknowledges_nothing_is_refused_with_504() {
    let (endpoint, mut events) = start(|config| config.timers.t1 = Duration::from_millis(10));
    let peer = Peer::new(&endpoint);
    peer.send(&required(&peer, "r2"));
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
    incoming.handle.ring(None).unwrap();
    let refused = peer.expect_final();
    assert!(refused.starts_with("SIP/2.0 504 ") && header(&refused, "CSeq") == "1 INVITE", "{refused}");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Failed { status: 504, .. })));
    eventually("the call is forgotten", || endpoint.calls() == 0);
}

#[test]
fn a_caller_may_still_cancel_while_the_answer_waits_for_its_prack() {
    let (endpoint, mut events, peer, incoming) = ringing("r3");
    incoming.handle.ring(None).unwrap();
    peer.expect("SIP/2.0 180");
    incoming.handle.accept("v=0\r\n".to_owned()).unwrap();
    peer.send(&peer.request("CANCEL", "r3", 1, "", "").replace("r31CANCEL", "r31INVITE"));
    peer.expect_to("1 CANCEL", "SIP/2.0 200");
    peer.expect_to("1 INVITE", "SIP/2.0 487");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Cancelled { .. })));
    assert_eq!(endpoint.calls(), 0);
}

#[test]
fn a_bye_ends_a_call_whose_answer_waits_for_its_prack() {
    let (endpoint, mut events, peer, incoming) = ringing("r7");
    incoming.handle.ring(None).unwrap();
    let to = to_tag(&peer.expect("SIP/2.0 180"));
    incoming.handle.accept("v=0\r\n".to_owned()).unwrap();
    peer.send(&peer.request("BYE", "r7", 2, &to, ""));
    peer.expect_to("2 BYE", "SIP/2.0 200");
    peer.expect_to("1 INVITE", "SIP/2.0 487");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Bye { .. })));
    assert_eq!(endpoint.calls(), 0);
}

#[test]
fn without_an_offer_nothing_is_told_reliably_before_the_answer() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    peer.send(&peer.request("INVITE", "r4", 1, "", "Require: 100rel"));
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
    incoming.handle.ring(None).unwrap();
    incoming.handle.accept("v=0\r\n".to_owned()).unwrap();
    assert!(peer.recv().starts_with("SIP/2.0 100 "));
    assert!(peer.recv().starts_with("SIP/2.0 200 "));
}

#[test]
fn a_caller_that_only_supports_it_is_told_as_ever_and_an_unknown_extension_is_refused() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    peer.send(&peer.invite("r5", 1, "").replace("Content-Type", "Supported: 100rel\r\nContent-Type"));
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
    incoming.handle.ring(None).unwrap();
    let ringing = peer.expect("SIP/2.0 180");
    assert!(!ringing.contains("RSeq") && header(&ringing, "Supported").contains("100rel"), "{ringing}");
    peer.send(&peer.request("PRACK", "r5", 2, &to_tag(&ringing), "RAck: 1 1 INVITE"));
    peer.expect_to("2 PRACK", "SIP/2.0 481");
    peer.send(&peer.invite("r6", 1, "").replace("Content-Type", "Require: 100rel, precondition\r\nContent-Type"));
    assert_eq!(header(&peer.expect("SIP/2.0 420"), "Unsupported"), "precondition");
}

#[test]
fn byes_that_cross_end_the_call_once_and_both_are_answered() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    let (handle, to) = peer.called(&mut events, &peer.invite("cross", 1, ""));
    handle.bye(&ByeReason::normal()).unwrap();
    let bye = peer.expect("BYE ");
    peer.send(&peer.request("BYE", "cross", 2, &to, ""));
    peer.expect_to("2 BYE", "SIP/2.0 200");
    peer.answer(&bye);
    eventually("the call is forgotten", || endpoint.calls() == 0);
    assert!(events.try_recv().is_none(), "we hung up first");
}

#[test]
fn a_cancel_that_crosses_the_answer_changes_nothing() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    peer.send(&peer.invite("late", 1, ""));
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
    incoming.handle.accept("v=0\r\n".to_owned()).unwrap();
    let to = to_tag(&peer.expect("SIP/2.0 200"));
    peer.send(&peer.request("CANCEL", "late", 1, "", "").replace("late1CANCEL", "late1INVITE"));
    peer.expect_to("1 CANCEL", "SIP/2.0 200");
    peer.send(&peer.ack("late", 1, &to));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
    assert_eq!(endpoint.calls(), 1);
    peer.send(&peer.request("BYE", "late", 2, &to, ""));
    peer.expect_to("2 BYE", "SIP/2.0 200");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Bye { .. })));
}

#[test]
fn the_way_through_two_proxies_is_said_back_and_taken() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    let near = format!("<sip:127.0.0.1:{};lr>", peer.port());
    let routes =
        format!("Record-Route: {near}, <sip:10.9.8.7;lr;x=\"a,b\">\r\nRecord-Route: <sip:far.example;lr>\r\nContact");
    peer.send(&peer.invite("proxied", 1, "").replace("Contact", &routes));
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
    incoming.handle.ring(None).unwrap();
    for status in ["180", "200"] {
        let response = peer.expect(&format!("SIP/2.0 {status}"));
        let lines: Vec<&str> = response.lines().filter(|line| line.starts_with("Record-Route")).collect();
        assert_eq!(lines.join("\r\n"), routes.trim_end_matches("\r\nContact"), "{response}");
        assert_eq!(header(&response, "Contact"), format!("<sip:{}>", endpoint.local_addr()));
        if status == "180" {
            incoming.handle.accept("v=0\r\n".to_owned()).unwrap();
        } else {
            peer.send(&peer.ack("proxied", 1, &to_tag(&response)));
        }
    }
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
    incoming.handle.bye(&ByeReason::normal()).unwrap();
    let bye = peer.expect("BYE ");
    let way: Vec<&str> = bye.lines().filter_map(|line| line.strip_prefix("Route: ")).collect();
    assert_eq!(way, [near.as_str(), "<sip:10.9.8.7;lr;x=\"a,b\">", "<sip:far.example;lr>"]);
    peer.answer(&bye);
}
