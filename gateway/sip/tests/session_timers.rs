//! Session timers as callers meet them (RFC 4028): who refreshes, what is too short, and the end of a session that nobody
//! refreshed.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use support::callee::{Callee, answer_sdp, news};
use support::{OFFER, Peer, answer_all, header, start, to_tag};
use trunkline_sip::{OutgoingEvent, SipConfig, SipEvent};

/// Sessions may be of seconds, so that a test sees their end.
fn short(config: &mut SipConfig) {
    config.timers.min_se_s = 1;
}

fn invite(peer: &Peer, call: &str, headers: &str) -> String {
    peer.invite(call, 1, "").replace("Content-Type", &format!("{headers}\r\nContent-Type"))
}

#[test]
fn a_session_that_its_caller_does_not_refresh_is_hung_up() {
    let (endpoint, mut events) = start(short);
    let peer = Peer::new(&endpoint);
    peer.send(&invite(&peer, "st1", "Supported: timer\r\nSession-Expires: 2"));
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
    incoming.handle.accept("v=0\r\n".to_owned()).unwrap();
    let ok = peer.expect("SIP/2.0 200");
    assert_eq!((header(&ok, "Session-Expires"), header(&ok, "Require")), ("2;refresher=uac", "timer"));
    assert!(header(&ok, "Supported").contains("timer"), "{ok}");
    peer.send(&peer.ack("st1", 1, &to_tag(&ok)));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
    let bye = peer.expect("BYE ");
    assert_eq!(header(&bye, "Reason"), "SIP;cause=408;text=\"Session timer expired\"");
    peer.answer(&bye);
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Failed { status: 408, .. })));
}

#[test]
fn a_refresh_by_the_caller_is_granted_and_one_that_names_no_timer_ends_it() {
    let (endpoint, events) = start(|_| ());
    let _seen = answer_all(events, false);
    let peer = Peer::new(&endpoint);
    let headers = "Supported: timer\r\nSession-Expires: 300;refresher=uac";
    peer.send(&invite(&peer, "st2", headers));
    let to = to_tag(&peer.expect("SIP/2.0 200"));
    peer.send(&peer.ack("st2", 1, &to));
    peer.send(&peer.request("UPDATE", "st2", 2, &to, headers));
    assert_eq!(header(&peer.expect_to("2 UPDATE", "SIP/2.0 200"), "Session-Expires"), "300;refresher=uac");
    peer.send(&peer.request("UPDATE", "st2", 3, &to, ""));
    let ok = peer.expect_to("3 UPDATE", "SIP/2.0 200");
    assert!(!ok.contains("Session-Expires"), "{ok}");
}

#[test]
fn we_refresh_by_update_where_the_caller_wants_that_and_end_a_session_that_it_knows_no_more() {
    let (endpoint, mut events) = start(short);
    let peer = Peer::new(&endpoint);
    // It is looked at once a second: between the refresh and the end there is more than that.
    let headers = "Supported: timer\r\nSession-Expires: 9;refresher=uas\r\nAllow: INVITE, ACK, BYE, UPDATE";
    let (_handle, _) = peer.called(&mut events, &invite(&peer, "st3", headers));
    let update = peer.expect("UPDATE ");
    assert_eq!(header(&update, "Session-Expires"), "9;refresher=uac");
    assert_eq!(header(&update, "Supported"), "timer");
    assert_eq!(header(&update, "Contact"), format!("<sip:{}>", endpoint.local_addr()));
    peer.send(&response(&update, "200 OK", "Session-Expires: 9;refresher=uac\r\n"));
    let again = peer.expect("UPDATE ");
    assert_ne!(header(&again, "CSeq"), header(&update, "CSeq"));
    peer.send(&response(&again, "481 Call/Transaction Does Not Exist", ""));
    peer.answer(&peer.expect("BYE "));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Failed { status: 408, .. })));
}

fn response(request: &str, status: &str, headers: &str) -> String {
    format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {}\r\n{headers}Content-Length: 0\r\n\r\n",
        header(request, "Via"),
        header(request, "From"),
        header(request, "To"),
        header(request, "Call-ID"),
        header(request, "CSeq")
    )
}

#[test]
fn an_interval_that_is_too_short_gets_422_with_what_would_do_and_the_call_stays() {
    let (endpoint, events) = start(|_| ());
    answer_all(events, false);
    let peer = Peer::new(&endpoint);
    peer.send(&invite(&peer, "st4", "Supported: timer\r\nSession-Expires: 60"));
    assert_eq!(header(&peer.expect("SIP/2.0 422"), "Min-SE"), "90");
    peer.send(&invite(&peer, "st5", "k: timer\r\nx: 90"));
    let ok = peer.expect("SIP/2.0 200");
    assert_eq!(header(&ok, "Session-Expires"), "90;refresher=uac");
    let to = to_tag(&ok);
    peer.send(&peer.ack("st5", 1, &to));
    peer.send(&peer.request("UPDATE", "st5", 2, &to, "Supported: timer\r\nSession-Expires: 30"));
    assert_eq!(header(&peer.expect_to("2 UPDATE", "SIP/2.0 422"), "Min-SE"), "90");
    let offer = format!("Supported: timer\r\nSession-Expires: 120\r\nContent-Type: application/sdp\r\n\r\n{OFFER}");
    peer.send(&peer.request("INVITE", "st5", 3, &to, &offer));
    assert_eq!(header(&peer.expect_to("3 INVITE", "SIP/2.0 200"), "Session-Expires"), "120;refresher=uac");
    peer.send(&peer.ack("st5", 3, &to));
}

#[test]
fn a_caller_that_knows_no_timers_gets_none_and_one_that_leaves_it_to_us_half_an_hour() {
    let (endpoint, events) = start(|_| ());
    answer_all(events, false);
    let peer = Peer::new(&endpoint);
    peer.send(&peer.invite("st6", 1, ""));
    let ok = peer.expect("SIP/2.0 200");
    assert!(!ok.contains("Session-Expires") && !ok.contains("Require"), "{ok}");
    peer.send(&peer.ack("st6", 1, &to_tag(&ok)));
    peer.send(&invite(&peer, "st7", "Supported: timer"));
    let ok = loop {
        let ok = peer.expect("SIP/2.0 200");
        if header(&ok, "Call-ID") == "st7" {
            break ok;
        }
    };
    assert_eq!(header(&ok, "Session-Expires"), "1800;refresher=uac");
    peer.send(&peer.ack("st7", 1, &to_tag(&ok)));
}

#[test]
fn a_call_of_ours_asks_for_a_timer_and_for_as_much_as_the_far_end_wants() {
    let (endpoint, mut events) = start(support::unhurried);
    let callee = Callee::new();
    endpoint.dialler().dial(callee.call()).unwrap();
    let invite = callee.expect("INVITE ");
    assert_eq!(header(&invite, "Session-Expires"), "1800;refresher=uas");
    assert!(header(&invite, "Supported").contains("timer") && !invite.contains("Min-SE"), "{invite}");
    callee.answer(&invite, "422 Session Interval Too Small", "a", "Min-SE: 3600");
    let longer = callee.expect("INVITE ");
    assert_eq!((header(&longer, "Session-Expires"), header(&longer, "Min-SE")), ("3600;refresher=uas", "3600"));
    assert_eq!((header(&longer, "CSeq"), header(&longer, "Call-ID")), ("2 INVITE", header(&invite, "Call-ID")));
    callee.answer(&longer, "422 Session Interval Too Small", "b", "Min-SE: 3600");
    let refused = loop {
        if let OutgoingEvent::Refused(refused) = news(&mut events) {
            break refused;
        }
    };
    assert_eq!(refused.status, 422, "it does not go on for ever");
}

#[test]
fn a_far_end_that_promised_to_refresh_a_call_of_ours_and_does_not_is_hung_up() {
    let (endpoint, mut events) = start(short);
    let callee = Callee::new();
    endpoint.dialler().dial(callee.call()).unwrap();
    let invite = callee.expect("INVITE ");
    let timed = "Require: timer\r\nSession-Expires: 2;refresher=uas\r\nContent-Type: application/sdp\r\n\r\n";
    callee.answer(&invite, "200 OK", "b", &format!("{timed}{}", answer_sdp("b")));
    let OutgoingEvent::Answered { .. } = news(&mut events) else { panic!() };
    let bye = callee.expect("BYE ");
    assert_eq!(header(&bye, "Reason"), "SIP;cause=408;text=\"Session timer expired\"");
    callee.answer(&bye, "200 OK", "", "");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Failed { status: 408, .. })));
}

#[test]
fn we_refresh_a_call_of_ours_where_the_far_end_wants_that_and_takes_update() {
    let (endpoint, mut events) = start(short);
    let callee = Callee::new();
    endpoint.dialler().dial(callee.call()).unwrap();
    let invite = callee.expect("INVITE ");
    let timed = "Allow: INVITE, UPDATE\r\nSession-Expires: 9;refresher=uac\r\nContent-Type: application/sdp\r\n\r\n";
    callee.answer(&invite, "200 OK", "b", &format!("{timed}{}", answer_sdp("b")));
    let OutgoingEvent::Answered { .. } = news(&mut events) else { panic!() };
    let update = callee.expect("UPDATE ");
    assert_eq!((header(&update, "Session-Expires"), header(&update, "CSeq")), ("9;refresher=uac", "2 UPDATE"));
}
