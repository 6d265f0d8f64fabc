//! The far end has us dial, at a live socket (RFC 3515, RFC 3891, RFC 5589, RFC 6665).
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use support::{Peer, eventually, header, start, to_tag};
use trunkline_sip::{Referred, SipEndpoint, SipEvent, SipEvents};

/// A call that is up, and its To tag.
fn up(endpoint: &SipEndpoint, events: &mut SipEvents, peer: &Peer, call: &str) -> String {
    peer.send(&peer.invite(call, 1, ""));
    let Some(SipEvent::Invite(invite)) = events.blocking_recv() else { panic!() };
    invite.handle.accept("v=0\r\n".to_owned()).unwrap();
    let ok = peer.expect("SIP/2.0 200");
    peer.send(&peer.ack(call, 1, &to_tag(&ok)));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
    assert!(endpoint.calls() > 0);
    to_tag(&ok)
}

fn refer(peer: &Peer, call: &str, cseq: u32, to: &str, rest: &str) {
    peer.send(&peer.request("REFER", call, cseq, to, rest));
}

fn asked(events: &mut SipEvents) -> Referred {
    match events.blocking_recv() {
        Some(SipEvent::Referred(referred)) => *referred,
        other => panic!("{other:?}"),
    }
}

/// The next NOTIFY: its event, state and fragment; it is answered with `status`.
fn notified(peer: &Peer, status: &str) -> (String, String, String) {
    let notify = peer.expect("NOTIFY ");
    let copied = ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| format!("{name}: {}\r\n", header(&notify, name)));
    peer.send(&format!("SIP/2.0 {status}\r\n{}Content-Length: 0\r\n\r\n", copied.concat()));
    let body = notify.split("\r\n\r\n").nth(1).unwrap().trim().to_owned();
    assert_eq!(header(&notify, "Content-Type"), "message/sipfrag;version=2.0");
    (header(&notify, "Event").to_owned(), header(&notify, "Subscription-State").to_owned(), body)
}

#[test]
fn what_cannot_be_dialled_is_refused_and_the_call_goes_on() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    let tag = up(&endpoint, &mut events, &peer, "d1");
    for (cseq, rest, expected) in [
        (2, "", "SIP/2.0 400"),
        (3, "Refer-To: <sip:1@b>\r\nRefer-To: <sip:2@b>\r\n", "SIP/2.0 400"),
        (4, "Refer-To: <mailto:b@example.org>\r\n", "SIP/2.0 416"),
        (5, "Refer-To: <sip:1@b;method=BYE>\r\n", "SIP/2.0 501"),
        (6, "Refer-To: <sip:1@b?Replaces=x>\r\n", "SIP/2.0 400"),
    ] {
        refer(&peer, "d1", cseq, &tag, rest);
        peer.expect_to(&format!("{cseq} REFER"), expected);
    }
    refer(&peer, "d1", 7, &tag, "r: <sip:20@pbx.example>\r\nb: <sip:alice@pbx.example>\r\n");
    let wish = asked(&mut events);
    assert_eq!((wish.to.as_str(), wish.is_near), ("sip:20@pbx.example", false));
    assert_eq!(wish.by.as_deref(), Some("<sip:alice@pbx.example>"));
    wish.handle.refuse(403);
    peer.expect_to("7 REFER", "SIP/2.0 403");
    refer(&peer, "d1", 8, &tag, "Refer-To: <sip:20@127.0.0.1:5099>\r\n");
    let wish = asked(&mut events);
    assert!(wish.is_near, "it is where the call comes from");
    drop(wish);
    peer.expect_to("8 REFER", "SIP/2.0 500");
    refer(&peer, "d1", 9, "", "Refer-To: <sip:20@b>\r\n");
    peer.expect_to("9 REFER", "SIP/2.0 405");
    refer(&peer, "d1", 10, ";tag=none", "Refer-To: <sip:20@b>\r\n");
    peer.expect_to("10 REFER", "SIP/2.0 481");
    assert!(events.try_recv().is_none() && endpoint.calls() == 1);
}

#[test]
fn one_is_dialled_after_the_other_and_each_is_told_of_by_its_name() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    let tag = up(&endpoint, &mut events, &peer, "d2");
    refer(&peer, "d2", 2, &tag, "Refer-To: <sip:20@b>\r\n");
    let progress = asked(&mut events).handle.accept();
    peer.expect_to("2 REFER", "SIP/2.0 202");
    let active = "active;expires=300".to_owned();
    assert_eq!(notified(&peer, "200 OK"), ("refer".to_owned(), active.clone(), "SIP/2.0 100 Trying".to_owned()));
    refer(&peer, "d2", 3, &tag, "Refer-To: <sip:21@b>\r\n");
    peer.expect_to("3 REFER", "SIP/2.0 491");
    progress.rings(183);
    assert_eq!(notified(&peer, "200 OK").2, "SIP/2.0 183 Session Progress");
    progress.ends(486);
    let over = "terminated;reason=noresource".to_owned();
    assert_eq!(notified(&peer, "200 OK"), ("refer".to_owned(), over.clone(), "SIP/2.0 486 Busy Here".to_owned()));
    // The next one can only be told apart by its number.
    refer(&peer, "d2", 4, &tag, "Refer-To: <sip:21@b>\r\n");
    let progress = asked(&mut events).handle.accept();
    peer.expect_to("4 REFER", "SIP/2.0 202");
    assert_eq!(notified(&peer, "200 OK"), ("refer;id=4".to_owned(), active, "SIP/2.0 100 Trying".to_owned()));
    drop(progress);
    let (event, state, fragment) = notified(&peer, "200 OK");
    assert_eq!((event.as_str(), state, fragment.as_str()), ("refer;id=4", over, "SIP/2.0 487 Request Terminated"));
    assert_eq!(endpoint.calls(), 1, "nobody took its place");
}

#[test]
fn who_hangs_up_behind_its_wish_is_told_all_the_same() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    let tag = up(&endpoint, &mut events, &peer, "d3");
    refer(&peer, "d3", 2, &tag, "Refer-To: <sip:20@b>\r\n");
    let progress = asked(&mut events).handle.accept();
    peer.expect_to("2 REFER", "SIP/2.0 202");
    notified(&peer, "200 OK");
    peer.send(&peer.request("BYE", "d3", 3, &tag, ""));
    peer.expect_to("3 BYE", "SIP/2.0 200");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Bye { .. })));
    progress.ends(200);
    // It knows the call no more, which ends the news.
    assert_eq!(notified(&peer, "481 Call/Transaction Does Not Exist").2, "SIP/2.0 200 OK");
    eventually("it is forgotten", || endpoint.calls() == 0);
}

#[test]
fn who_wants_no_news_gets_no_more_and_is_hung_up_once_somebody_took_its_place() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    let tag = up(&endpoint, &mut events, &peer, "d4");
    refer(&peer, "d4", 2, &tag, "Refer-To: <sip:20@b>\r\n");
    let progress = asked(&mut events).handle.accept();
    peer.expect_to("2 REFER", "SIP/2.0 202");
    notified(&peer, "489 Bad Event");
    progress.rings(180);
    progress.ends(200);
    let bye = peer.recv();
    assert!(bye.starts_with("BYE "), "{bye}");
    let copied = ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| format!("{name}: {}\r\n", header(&bye, name)));
    peer.send(&format!("SIP/2.0 200 OK\r\n{}Content-Length: 0\r\n\r\n", copied.concat()));
    eventually("it is over", || endpoint.calls() == 0);
}
