//! Where our requests within a call go: where the far end can be reached, whatever it says of itself, and never beyond what
//! this endpoint speaks.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::net::IpAddr;
use std::sync::Arc;

use support::{OFFER, Peer, answer_all, header, start, start_for, to_tag, unhurried};
use trunkline_sip::{Admission, ByeReason, CallTerms, NatPolicy, SipEvent, TrunkToken};

/// One trunk, with a NAT policy.
struct Trunk(NatPolicy);

impl Admission for Trunk {
    fn trunk(&self, _source: IpAddr) -> Option<TrunkToken> {
        Some(TrunkToken("trk_nat".into()))
    }

    fn terms(&self, _trunk: &TrunkToken, _source: IpAddr) -> CallTerms {
        CallTerms { nat: self.0, ..CallTerms::default() }
    }
}

/// The same message with another Contact.
fn saying(message: &str, contact: &str) -> String {
    let line = message.lines().find(|line| line.starts_with("Contact")).unwrap().to_owned();
    message.replace(&line, &format!("Contact: {contact}"))
}

#[test]
fn a_bye_reaches_a_caller_whose_contact_cannot_be_reached() {
    let (endpoint, mut events) = start(unhurried);
    let elsewhere = Peer::new(&endpoint);
    let other_port = format!("sip:alice@127.0.0.1:{}", elsewhere.port());
    for (call, contact) in [
        ("private", "sip:alice@10.11.12.13:5060"),
        ("port", other_port.as_str()),
        ("tcp", "sip:alice@192.0.2.44:5060;transport=tcp"),
        ("unset", "sip:alice@0.0.0.0"),
    ] {
        let peer = Peer::new(&endpoint);
        let (handle, _) = peer.called(&mut events, &saying(&peer.invite(call, 1, ""), &format!("<{contact}>")));
        handle.bye(&ByeReason::normal()).unwrap();
        let bye = peer.expect("BYE ");
        let target = bye.lines().next().unwrap().to_lowercase();
        assert_eq!(target, format!("bye {contact} sip/2.0"), "the target is what was said");
        peer.answer(&bye);
    }
}

#[test]
fn a_trunk_that_says_so_has_its_contacts_believed() {
    let (endpoint, mut events) = start_for(Arc::new(Trunk(NatPolicy::Contact)), unhurried);
    let (peer, elsewhere) = (Peer::new(&endpoint), Peer::new(&endpoint));
    let contact = format!("<sip:alice@127.0.0.1:{}>", elsewhere.port());
    let (handle, _) = peer.called(&mut events, &saying(&peer.invite("believed", 1, ""), &contact));
    handle.bye(&ByeReason::normal()).unwrap();
    elsewhere.answer(&elsewhere.expect("BYE "));
}

#[test]
fn a_trunk_that_says_so_is_answered_where_it_calls_from_though_it_names_a_route() {
    let (endpoint, mut events) = start_for(Arc::new(Trunk(NatPolicy::Source)), unhurried);
    let (peer, elsewhere) = (Peer::new(&endpoint), Peer::new(&endpoint));
    let route = format!("Record-Route: <sip:127.0.0.1:{};lr>\r\nContact", elsewhere.port());
    let (handle, _) = peer.called(&mut events, &peer.invite("source", 1, "").replace("Contact", &route));
    handle.bye(&ByeReason::normal()).unwrap();
    let bye = peer.expect("BYE ");
    assert!(header(&bye, "Route").contains(&elsewhere.port().to_string()), "{bye}");
    peer.answer(&bye);
}

#[test]
fn a_caller_that_moved_is_found_where_it_is_now() {
    let (endpoint, mut events) = start(unhurried);
    let (peer, moved) = (Peer::new(&endpoint), Peer::new(&endpoint));
    let (handle, to) = peer.called(&mut events, &peer.invite("moves", 1, ""));
    let refresh = moved.request("INVITE", "moves", 2, &to, &format!("Content-Type: application/sdp\r\n\r\n{OFFER}"));
    moved.send(&saying(&refresh, "<sip:alice@192.168.7.7:5060>"));
    let Some(SipEvent::ReInvite(reoffer)) = events.blocking_recv() else { panic!() };
    reoffer.handle.answer("v=0\r\n".to_owned()).unwrap();
    moved.expect("SIP/2.0 200");
    moved.send(&moved.ack("moves", 2, &to));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
    handle.bye(&ByeReason::normal()).unwrap();
    let bye = moved.expect("BYE ");
    assert!(bye.starts_with("BYE sip:alice@192.168.7.7:5060 SIP/2.0\r\n"), "{bye}");
    moved.answer(&bye);
}

#[test]
fn what_would_have_to_be_encrypted_on_every_hop_is_refused_and_a_call_that_is_up_stays_as_it_was() {
    let (endpoint, events) = start(unhurried);
    let seen = answer_all(events, false);
    let peer = Peer::new(&endpoint);
    let invite = peer.invite("sips1", 1, "");
    peer.send(&saying(&invite, "<sips:alice@127.0.0.1>"));
    peer.expect("SIP/2.0 416");
    peer.send(&invite.replace("INVITE sip:", "INVITE sips:").replace("sips1", "sips2"));
    peer.expect("SIP/2.0 416");

    let to = peer.call("plain");
    for (cseq, method, contact, status) in [
        (2, "INVITE", "<sips:alice@127.0.0.1>", "416"),
        (3, "INVITE", "<mailto:alice@example.org>", "400"),
        (4, "UPDATE", "<sips:alice@127.0.0.1>", "416"),
        (5, "UPDATE", "nothing", "400"),
    ] {
        let refresh =
            peer.request(method, "plain", cseq, &to, &format!("Content-Type: application/sdp\r\n\r\n{OFFER}"));
        peer.send(&saying(&refresh, contact));
        let refused = peer.expect_to(&format!("{cseq} {method}"), &format!("SIP/2.0 {status}"));
        if method == "INVITE" {
            let ack = peer.ack("plain", cseq, &to_tag(&refused));
            peer.send(&ack.replace(&format!("plain{cseq}ACK"), &format!("plain{cseq}INVITE")));
        }
    }
    assert_eq!(seen.reoffers.load(std::sync::atomic::Ordering::SeqCst), 0);
    peer.send(&peer.request("BYE", "plain", 6, &to, ""));
    peer.expect_to("6 BYE", "SIP/2.0 200");
}

#[test]
fn a_call_that_nobody_acknowledged_is_ended_where_it_came_from_and_no_third_party_hears_of_it() {
    let (endpoint, mut events) = start(|config| config.timers.t1 = std::time::Duration::from_millis(10));
    let (peer, third) = (Peer::new(&endpoint), Peer::from([127, 0, 0, 3].into(), &endpoint));
    let contact = format!("<sip:alice@127.0.0.3:{}>", third.port());
    peer.send(&saying(&peer.invite("unproven", 1, ""), &contact));
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
    incoming.handle.accept("v=0\r\n".to_owned()).unwrap();
    let bye = peer.expect("BYE ");
    assert!(bye.starts_with("BYE sip:alice@127.0.0.3"), "{bye}");
    third.silent();
}
