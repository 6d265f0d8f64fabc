//! A session that we change (RFC 3261 14.1), at a live socket: accepted, refused, offered by both at once, and with nobody left.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use support::callee::{Callee, news};
use support::{OFFER, Peer, eventually, header, start, to_tag};
use trunkline_sip::auth::Credentials;
use trunkline_sip::{CallHandle, CommandError, OutgoingEvent, Reoffered, SipEvent, SipEvents};

const HOLD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                    m=audio 16384 RTP/AVP 0\r\na=sendonly\r\n";
const HELD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                    m=audio 30000 RTP/AVP 0\r\na=recvonly\r\n";

/// Answers a request of ours; `rest` is further headers, and behind an empty line a body.
fn answer(peer: &Peer, request: &str, status: &str, rest: &str) {
    let copied = ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| format!("{name}: {}\r\n", header(request, name)));
    let (headers, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
    let headers = if headers.is_empty() { String::new() } else { format!("{}\r\n", headers.trim_end()) };
    peer.send(&format!(
        "SIP/2.0 {status}\r\n{}Contact: <sip:alice@127.0.0.1:{}>\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        copied.concat(),
        peer.port(),
        body.len()
    ));
}

fn with_body(sdp: &str) -> String {
    format!("Content-Type: application/sdp\r\n\r\n{sdp}")
}

/// What the next event says of an offer of ours.
fn outcome(events: &mut SipEvents) -> Reoffered {
    match events.blocking_recv() {
        Some(SipEvent::Reoffered { outcome, .. }) => outcome,
        other => panic!("news of a change were expected, not {other:?}"),
    }
}

#[test]
fn an_offer_of_ours_is_accepted_and_acknowledged_as_often_as_that_is_said() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    peer.send(&peer.invite("o1", 1, ""));
    let Some(SipEvent::Invite(invite)) = events.blocking_recv() else { panic!() };
    assert_eq!(invite.handle.reoffer(HOLD.to_owned()), Err(CommandError::NotAnswered));
    invite.handle.accept("v=0\r\n".to_owned()).unwrap();
    let ok = peer.expect("SIP/2.0 200");
    peer.send(&peer.ack("o1", 1, &to_tag(&ok)));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
    let handle = invite.handle;

    handle.reoffer(HOLD.to_owned()).unwrap();
    assert_eq!(handle.reoffer(HOLD.to_owned()), Err(CommandError::Changing));
    let ours = peer.expect("INVITE ");
    assert!(ours.ends_with(&format!("\r\n\r\n{HOLD}")), "{ours}");
    assert_eq!(header(&ours, "To"), "\"A\" <sip:alice@example.org>;tag=fromo1");
    assert_eq!(header(&ours, "CSeq"), "1 INVITE");
    assert_eq!(header(&ours, "Contact"), format!("<sip:{}>", endpoint.local_addr()));
    answer(&peer, &ours, "100 Trying", "");
    for _ in 0..2 {
        answer(&peer, &ours, "200 OK", &with_body(HELD));
        let ack = peer.expect("ACK ");
        assert!(ack.starts_with(&format!("ACK sip:alice@127.0.0.1:{} SIP/2.0", peer.port())), "{ack}");
        assert_eq!(header(&ack, "CSeq"), "1 ACK");
        assert_ne!(header(&ack, "Via"), header(&ours, "Via"), "an ACK of a 2xx is a transaction of its own");
    }
    assert_eq!(outcome(&mut events), Reoffered::Accepted { answer: Some(HELD.to_owned()) });
    handle.reoffer(OFFER.to_owned()).unwrap();
    let again = peer.expect("INVITE ");
    assert_eq!(header(&again, "CSeq"), "2 INVITE");
    answer(&peer, &again, "200 OK", "");
    assert_eq!(header(&peer.expect("ACK "), "CSeq"), "2 ACK");
    assert_eq!(outcome(&mut events), Reoffered::Accepted { answer: None }, "a far end that forgot its answer");
    peer.send(&peer.request("BYE", "o1", 2, &to_tag(&ok), ""));
    peer.expect_to("2 BYE", "SIP/2.0 200");
    assert_eq!(handle.reoffer(HOLD.to_owned()), Err(CommandError::Over));
}

#[test]
fn a_far_end_that_refuses_keeps_the_session_and_may_say_when_to_try_again() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    let (handle, _) = peer.called(&mut events, &peer.invite("o2", 1, ""));
    for (number, (status, rest, again_ms)) in [
        ("488 Not Acceptable Here", "", None),
        ("500 Server Internal Error", "Retry-After: 3 (busy)\r\n", Some(3000)),
        ("500 Server Internal Error", "", None),
        ("403 Forbidden", "", None),
    ]
    .into_iter()
    .enumerate()
    {
        handle.reoffer(HOLD.to_owned()).unwrap();
        let ours = peer.expect("INVITE ");
        answer(&peer, &ours, status, rest);
        let ack = peer.expect("ACK ");
        assert_eq!(
            (header(&ack, "CSeq"), header(&ack, "Via")),
            (&*format!("{} ACK", number + 1), header(&ours, "Via"))
        );
        let status = status[..3].parse().unwrap();
        assert_eq!(outcome(&mut events), Reoffered::Refused { status, again_ms });
    }
    assert_eq!(endpoint.calls(), 1);
}

#[test]
fn two_offers_at_once_are_both_refused_and_the_far_ends_next_one_is_served() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    let (handle, to) = peer.called(&mut events, &peer.invite("o3", 1, ""));
    handle.reoffer(HOLD.to_owned()).unwrap();
    let ours = peer.expect("INVITE ");
    peer.send(&peer.invite("o3", 2, &to));
    peer.expect_to("2 INVITE", "SIP/2.0 491");
    peer.send(&peer.ack("o3", 2, &to));
    answer(&peer, &ours, "491 Request Pending", "");
    peer.expect("ACK ");
    let Reoffered::Refused { status: 491, again_ms: Some(again_ms) } = outcome(&mut events) else { panic!() };
    assert!(again_ms <= 2000 && again_ms % 10 == 0, "who did not make the Call-ID waits 0 to 2 s: {again_ms}");
    peer.send(&peer.invite("o3", 3, &to));
    let Some(SipEvent::ReInvite(theirs)) = events.blocking_recv() else { panic!("their offer is served now") };
    assert_eq!(handle.reoffer(HOLD.to_owned()), Err(CommandError::Changing));
    theirs.handle.answer("v=0\r\n".to_owned()).unwrap();
    peer.expect_to("3 INVITE", "SIP/2.0 200");
    assert_eq!(handle.reoffer(HOLD.to_owned()), Err(CommandError::Changing), "their INVITE waits for its ACK");
    peer.send(&peer.ack("o3", 3, &to));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
    handle.reoffer(HOLD.to_owned()).unwrap();
    answer(&peer, &peer.expect("INVITE "), "200 OK", &with_body(HELD));
    assert!(matches!(outcome(&mut events), Reoffered::Accepted { answer: Some(_) }));
}

#[test]
fn a_far_end_that_knows_the_call_no_more_or_is_gone_has_ended_it() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    for (name, answers) in [("o4", true), ("o5", false)] {
        let (handle, _) = peer.called(&mut events, &peer.invite(name, 1, ""));
        handle.reoffer(HOLD.to_owned()).unwrap();
        let ours = peer.expect("INVITE ");
        if answers {
            answer(&peer, &ours, "481 Call Does Not Exist", "");
            peer.expect("ACK ");
        } else {
            // 64 T1.
            assert_eq!(peer.expect("INVITE "), ours, "it is sent again");
        }
        let bye = peer.expect("BYE ");
        peer.answer(&bye);
        let expected = if answers { 481 } else { 408 };
        assert!(matches!(events.blocking_recv(), Some(SipEvent::Failed { status, .. }) if status == expected));
        eventually("the call to be over", || endpoint.calls() == 0);
    }
}

#[test]
fn who_hangs_up_while_we_offer_hears_nothing_more_and_their_late_answer_is_acknowledged() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    let (handle, to) = peer.called(&mut events, &peer.invite("o6", 1, ""));
    handle.reoffer(HOLD.to_owned()).unwrap();
    let ours = peer.expect("INVITE ");
    peer.send(&peer.request("BYE", "o6", 2, &to, ""));
    peer.expect_to("2 BYE", "SIP/2.0 200");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Bye { .. })));
    answer(&peer, &ours, "200 OK", &with_body(HELD));
    peer.expect("ACK ");
    // The next call's first event is the next of all.
    peer.called(&mut events, &peer.invite("o7", 1, ""));
    assert_eq!(endpoint.calls(), 1);
}

/// A call of ours that is up.
fn placed(callee: &Callee, call: trunkline_sip::Outgoing) -> (trunkline_sip::SipEndpoint, SipEvents, CallHandle) {
    let (endpoint, mut events) = start(|_| ());
    endpoint.dialler().dial(call).unwrap();
    callee.answer_sdp(&callee.expect("INVITE "), "200 OK", "callee");
    loop {
        if let OutgoingEvent::Answered { handle, .. } = news(&mut events) {
            callee.expect("ACK ");
            return (endpoint, events, handle);
        }
    }
}

#[test]
fn in_a_call_of_ours_the_pause_is_two_to_four_seconds_and_a_password_is_given_when_asked_for() {
    let callee = Callee::new();
    let credentials = Credentials { user: "gw".to_owned(), password: "secret".to_owned().into(), realm: None };
    let (_endpoint, mut events, handle) =
        placed(&callee, trunkline_sip::Outgoing { credentials: Some(credentials), ..callee.call() });
    handle.reoffer(HOLD.to_owned()).unwrap();
    callee.answer(&callee.expect("INVITE "), "491 Request Pending", "", "");
    callee.expect("ACK ");
    let Reoffered::Refused { status: 491, again_ms: Some(again_ms) } = outcome(&mut events) else { panic!() };
    assert!((2100..=4000).contains(&again_ms) && again_ms % 10 == 0, "{again_ms}");

    handle.reoffer(HOLD.to_owned()).unwrap();
    let bare = callee.expect("INVITE ");
    let challenge = "Proxy-Authenticate: Digest realm=\"carrier\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256\r\n";
    callee.answer(&bare, "407 Proxy Authentication Required", "", challenge);
    callee.expect("ACK ");
    let proven = callee.expect("INVITE ");
    assert!(header(&proven, "Proxy-Authorization").contains("username=\"gw\""));
    assert_ne!(header(&proven, "CSeq"), header(&bare, "CSeq"));
    callee.answer_sdp(&proven, "200 OK", "callee");
    let ack = callee.expect("ACK ");
    assert!(header(&ack, "Proxy-Authorization").contains("username=\"gw\""), "as the INVITE (RFC 3261 22.1)");
    assert!(matches!(outcome(&mut events), Reoffered::Accepted { answer: Some(_) }));
}
