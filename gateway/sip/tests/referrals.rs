//! The far end is asked to dial, at a live socket (RFC 3515, RFC 3420, RFC 3891, RFC 6665).
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use support::{Peer, eventually, header, start, to_tag};
use trunkline_sip::{CallHandle, CommandError, SipEndpoint, SipEvent, SipEvents};

/// A call that is up, and its To tag.
fn up(endpoint: &SipEndpoint, events: &mut SipEvents, peer: &Peer, call: &str) -> (CallHandle, String) {
    peer.send(&peer.invite(call, 1, ""));
    let Some(SipEvent::Invite(invite)) = events.blocking_recv() else { panic!() };
    assert_eq!(invite.handle.refer("sip:1@b"), Err(CommandError::NotAnswered));
    invite.handle.accept("v=0\r\n".to_owned()).unwrap();
    let ok = peer.expect("SIP/2.0 200");
    peer.send(&peer.ack(call, 1, &to_tag(&ok)));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
    assert!(endpoint.calls() > 0);
    (invite.handle, to_tag(&ok))
}

fn answer(peer: &Peer, request: &str, status: &str) {
    let copied = ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| format!("{name}: {}\r\n", header(request, name)));
    peer.send(&format!("SIP/2.0 {status}\r\n{}Content-Length: 0\r\n\r\n", copied.concat()));
}

fn status(events: &mut SipEvents) -> u16 {
    match events.blocking_recv() {
        Some(SipEvent::Referral { status, .. }) => status,
        other => panic!("{other:?}"),
    }
}

fn notify(peer: &Peer, call: &str, cseq: u32, to: &str, state: &str, fragment: &str) {
    let rest = format!(
        "Event: refer\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag;version=2.0\r\n\r\n{fragment}\r\n"
    );
    peer.send(&peer.request("NOTIFY", call, cseq, to, &rest));
}

#[test]
fn who_is_asked_to_dial_tells_how_far_it_has_come() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    let (handle, tag) = up(&endpoint, &mut events, &peer, "r1");
    assert_eq!(handle.refer("sip:1@b>\r\nX: y"), Err(CommandError::Uri));
    notify(&peer, "r1", 2, &tag, "active", "SIP/2.0 200 OK");
    peer.expect_to("2 NOTIFY", "SIP/2.0 481");
    handle.refer("sip:+4930555@pbx.example").unwrap();
    assert_eq!(handle.refer("sip:+4930555@pbx.example"), Err(CommandError::Referring));
    let refer = peer.expect("REFER ");
    assert_eq!(header(&refer, "Refer-To"), "<sip:+4930555@pbx.example>");
    assert!(header(&refer, "Referred-By").contains(&endpoint.local_addr().to_string()));
    answer(&peer, &refer, "202 Accepted");
    assert_eq!(status(&mut events), 100);
    for (cseq, state, fragment, expected) in [
        (3, "active;expires=60", "SIP/2.0 100 Trying", 100),
        (4, "active;expires=50", "SIP/2.0 180 Ringing", 180),
        (5, "terminated;reason=noresource", "SIP/2.0 200 OK", 200),
    ] {
        notify(&peer, "r1", cseq, &tag, state, fragment);
        peer.expect_to(&format!("{cseq} NOTIFY"), "SIP/2.0 200");
        assert_eq!(status(&mut events), expected);
    }
    notify(&peer, "r1", 6, &tag, "terminated", "SIP/2.0 200 OK");
    peer.expect_to("6 NOTIFY", "SIP/2.0 481");
    peer.send(&peer.request("BYE", "r1", 7, &tag, ""));
    peer.expect_to("7 BYE", "SIP/2.0 200");
    assert_eq!(handle.refer("sip:1@b"), Err(CommandError::Over));
}

#[test]
fn who_is_to_dial_before_its_ack_is_here_is_asked_behind_it() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    peer.send(&peer.invite("r0", 1, ""));
    let Some(SipEvent::Invite(invite)) = events.blocking_recv() else { panic!() };
    invite.handle.accept("v=0\r\n".to_owned()).unwrap();
    invite.handle.refer("sip:+4930555@pbx.example").unwrap();
    assert_eq!(invite.handle.refer("sip:+4930556@pbx.example"), Err(CommandError::Referring));
    let ok = peer.expect("SIP/2.0 200");
    peer.send(&peer.ack("r0", 1, &to_tag(&ok)));
    let refer = peer.expect("REFER ");
    assert_eq!(header(&refer, "Refer-To"), "<sip:+4930555@pbx.example>");
    answer(&peer, &refer, "202 Accepted");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
    assert_eq!(status(&mut events), 100);
}

#[test]
fn who_will_not_dial_says_so_and_the_call_goes_on() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    let (handle, tag) = up(&endpoint, &mut events, &peer, "r2");
    handle.refer("sip:1@pbx.example").unwrap();
    answer(&peer, &peer.expect("REFER "), "405 Method Not Allowed");
    assert_eq!(status(&mut events), 405);
    handle.refer("tel:+4930555").unwrap();
    answer(&peer, &peer.expect("REFER "), "202 Accepted");
    assert_eq!(status(&mut events), 100);
    notify(&peer, "r2", 2, &tag, "terminated;reason=noresource", "SIP/2.0 486 Busy Here");
    peer.expect_to("2 NOTIFY", "SIP/2.0 200");
    assert_eq!(status(&mut events), 486);
    for (cseq, rest, expected) in [
        (3, "Event: presence\r\nContent-Type: message/sipfrag\r\n\r\nSIP/2.0 200 OK\r\n", "SIP/2.0 489"),
        (4, "Event: refer\r\n", "SIP/2.0 481"),
    ] {
        peer.send(&peer.request("NOTIFY", "r2", cseq, &tag, rest));
        peer.expect_to(&format!("{cseq} NOTIFY"), expected);
    }
    assert!(events.try_recv().is_none() && endpoint.calls() == 1);
}

#[test]
fn a_call_that_another_takes_over_is_named_by_its_own_dialog() {
    let (endpoint, mut events) = start(|_| ());
    let (caller, target) = (Peer::new(&endpoint), Peer::new(&endpoint));
    let (first, _) = up(&endpoint, &mut events, &caller, "r3");
    let (second, tag) = up(&endpoint, &mut events, &target, "r4");
    first.refer(&second.replacing()).unwrap();
    let refer = caller.expect("REFER ");
    let ours = tag.trim_start_matches(";tag=");
    let expected = format!("<sip:alice@127.0.0.1:{}?Replaces=r4%3Bto-tag%3Dfromr4%3Bfrom-tag%3D{ours}>", target.port());
    assert_eq!(header(&refer, "Refer-To"), expected);
    answer(&caller, &refer, "202 Accepted");
    assert_eq!(status(&mut events), 100);
    eventually("both are still up", || endpoint.calls() == 2);
}
