//! Calls that we place, at a live socket: RFC 3261 8.1, 9.1, 13.2, 22, RFC 3262, RFC 3263 4.3, RFC 6026.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use support::callee::{Callee, answer_sdp, news};
use support::{OFFER, Peer, eventually, header, start, start_for, to_tag};
use trunkline_sip::auth::Credentials;
use trunkline_sip::{
    ByeReason, CallHandle, CommandError, DialError, OutgoingEvent, Refused, SipEndpoint, SipEvent, SipEvents,
};

/// A call that is up: its INVITE as it came, and its commands.
fn up(endpoint: &SipEndpoint, events: &mut SipEvents, callee: &Callee) -> (String, CallHandle) {
    endpoint.dialler().dial(callee.call()).unwrap();
    let invite = callee.expect("INVITE ");
    callee.answer_sdp(&invite, "200 OK", "b");
    let OutgoingEvent::Answered { handle, .. } = news(events) else { panic!() };
    callee.expect("ACK ");
    (invite, handle)
}

fn refused(events: &mut SipEvents) -> Refused {
    loop {
        match news(events) {
            OutgoingEvent::Refused(refused) => return refused,
            OutgoingEvent::Trying | OutgoingEvent::Ringing { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// A request of the far end within the call that this INVITE made.
fn within(callee: &Callee, invite: &str, method: &str, cseq: u32, rest: &str) -> String {
    within_of(callee, invite, "b", method, cseq, rest)
}

/// The same of the far end with this tag.
fn within_of(callee: &Callee, invite: &str, tag: &str, method: &str, cseq: u32, rest: &str) -> String {
    let (headers, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
    let headers = if headers.is_empty() { String::new() } else { format!("{}\r\n", headers.trim_end()) };
    let contact = header(invite, "Contact").trim_matches(['<', '>']);
    format!(
        "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bKcallee{cseq}{method}\r\n\
         Max-Forwards: 70\r\nFrom: {};tag={tag}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
         Contact: <sip:b@{address}>\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        header(invite, "To"),
        header(invite, "From"),
        header(invite, "Call-ID"),
        body.len(),
        address = callee.address(),
    )
}

#[test]
fn a_call_of_ours_rings_is_answered_acknowledged_and_hung_up() {
    let (endpoint, mut events) = start(|_| ());
    let callee = Callee::new();
    let dialled = endpoint.dialler().dial(callee.call()).unwrap();
    assert_eq!(endpoint.calls(), 1);
    let (invite, _) = callee.recv();
    assert!(invite.starts_with(&format!("INVITE sip:+4930123456@{} SIP/2.0\r\n", callee.address())), "{invite}");
    assert!(header(&invite, "From").starts_with("\"Reception\" <sip:100@gw.example>;tag="));
    assert_eq!(header(&invite, "To"), format!("<sip:+4930123456@{}>", callee.address()));
    assert_eq!(header(&invite, "Contact"), format!("<sip:{}>", endpoint.local_addr()));
    assert_eq!((header(&invite, "X-Campaign"), header(&invite, "Max-Forwards")), ("summer", "70"));
    assert_eq!((header(&invite, "CSeq"), header(&invite, "Call-ID")), ("1 INVITE", dialled.call_id()));
    assert!(invite.ends_with(OFFER));
    assert_eq!(callee.recv().0, invite, "sent again until something comes");

    callee.answer(&invite, "100 Trying", "", "");
    assert!(matches!(news(&mut events), OutgoingEvent::Trying));
    callee.answer(&invite, "180 Ringing", "b", "");
    assert!(matches!(news(&mut events), OutgoingEvent::Ringing { fork: 0, status: 180, sdp: None }));
    callee.answer(&invite, "180 Ringing", "b", "");
    callee.answer_sdp(&invite, "183 Session Progress", "b");
    let OutgoingEvent::Ringing { fork: 0, status: 183, sdp: Some(sdp) } = news(&mut events) else { panic!() };
    assert_eq!(sdp, answer_sdp("b"));
    let routed = "Record-Route: <sip:10.0.0.1;lr>\r\nRecord-Route: ";
    let proxy =
        format!("{routed}<sip:{};lr>\r\nContent-Type: application/sdp\r\n\r\n{}", callee.address(), answer_sdp("b"));
    callee.answer(&invite, "200 OK", "b", &proxy);
    let SipEvent::Outgoing { call, news } = events.blocking_recv().unwrap() else { panic!() };
    let OutgoingEvent::Answered { handle, fork: 0, sdp } = *news else { panic!() };
    assert_eq!((call, handle.key(), sdp), (dialled.key(), dialled.key(), answer_sdp("b")));
    assert_eq!(handle.accept(String::new()), Err(CommandError::Answered));

    let ack = callee.expect("ACK ");
    assert!(ack.starts_with(&format!("ACK sip:b@{} SIP/2.0\r\n", callee.address())), "{ack}");
    let routes: Vec<&str> = ack.lines().filter_map(|line| line.strip_prefix("Route: ")).collect();
    let first = format!("<sip:{};lr>", callee.address());
    assert_eq!(routes, [first.as_str(), "<sip:10.0.0.1;lr>"], "the other way round (RFC 3261 12.1.2)");
    assert_eq!((header(&ack, "CSeq"), to_tag(&ack)), ("1 ACK", ";tag=b".to_owned()));
    assert_eq!(header(&ack, "From"), header(&invite, "From"));
    assert_ne!(header(&ack, "Via"), header(&invite, "Via"), "a request of its own (RFC 3261 17.1.1.3)");
    callee.answer(&invite, "200 OK", "b", &proxy);
    assert_eq!(callee.expect("ACK "), ack, "each 200 is acknowledged");

    handle.bye(&ByeReason::normal()).unwrap();
    let bye = callee.expect("BYE ");
    assert_eq!((header(&bye, "CSeq"), header(&bye, "From")), ("2 BYE", header(&invite, "From")));
    callee.answer(&bye, "200 OK", "", "");
    eventually("the call is forgotten", || endpoint.calls() == 0);
    assert!(events.try_recv().is_none(), "no event follows our own hang-up");
    let trace = endpoint.trace(dialled.call_id()).unwrap();
    assert!(trace.entries.iter().any(|entry| entry.start_line.starts_with("INVITE ")), "{trace}");
    assert!(trace.entries.iter().any(|entry| entry.start_line.starts_with("SIP/2.0 183 ")), "{trace}");
}

#[test]
fn once_answered_it_is_a_call_like_any_other() {
    let (endpoint, mut events) = start(|_| ());
    let callee = Callee::new();
    let gateway = endpoint.local_addr();
    let (invite, _) = up(&endpoint, &mut events, &callee);
    callee.send(gateway, &within(&callee, &invite, "INFO", 1, "Content-Type: application/dtmf\r\n\r\n5"));
    callee.expect("SIP/2.0 200");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Digit { .. })));
    let offer = format!("Content-Type: application/sdp\r\n\r\n{OFFER}");
    callee.send(gateway, &within(&callee, &invite, "INVITE", 2, &offer));
    let Some(SipEvent::ReInvite(reoffer)) = events.blocking_recv() else { panic!() };
    reoffer.handle.answer(answer_sdp("us")).unwrap();
    let ok = callee.expect("SIP/2.0 200");
    assert!(ok.ends_with(&answer_sdp("us")), "{ok}");
    callee.send(gateway, &within(&callee, &invite, "ACK", 2, ""));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
    callee.send(gateway, &within(&callee, &invite, "BYE", 3, "Reason: Q.850;cause=16"));
    callee.expect("SIP/2.0 200");
    let Some(SipEvent::Bye { reason, .. }) = events.blocking_recv() else { panic!() };
    assert_eq!(reason.as_deref(), Some("Q.850;cause=16"));
    eventually("the call is forgotten", || endpoint.calls() == 0);
}

#[test]
fn of_several_that_ring_the_first_to_answer_is_the_call_and_the_next_is_hung_up() {
    let (endpoint, mut events) = start(|_| ());
    let callee = Callee::new();
    endpoint.dialler().dial(callee.call()).unwrap();
    let invite = callee.expect("INVITE ");
    callee.answer(&invite, "180 Ringing", "one", "");
    callee.answer_sdp(&invite, "183 Session Progress", "two");
    assert!(matches!(news(&mut events), OutgoingEvent::Trying));
    assert!(matches!(news(&mut events), OutgoingEvent::Ringing { fork: 0, status: 180, .. }));
    assert!(matches!(news(&mut events), OutgoingEvent::Ringing { fork: 1, status: 183, .. }));
    // The description came before the answer, which may leave it out then (RFC 3261 13.2.1 as peers read it).
    callee.answer(&invite, "200 OK", "two", "");
    let OutgoingEvent::Answered { fork: 1, sdp, .. } = news(&mut events) else { panic!() };
    assert_eq!(sdp, answer_sdp("two"));
    assert_eq!(to_tag(&callee.expect("ACK ")), ";tag=two");
    callee.answer_sdp(&invite, "200 OK", "one");
    assert_eq!(to_tag(&callee.expect("ACK ")), ";tag=one");
    let bye = callee.expect("BYE ");
    assert_eq!((to_tag(&bye).as_str(), header(&bye, "CSeq")), (";tag=one", "2 BYE"));
    callee.answer(&bye, "200 OK", "", "");
    callee.send(endpoint.local_addr(), &within_of(&callee, &invite, "two", "BYE", 1, ""));
    callee.expect("SIP/2.0 200");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Bye { .. })));
}

#[test]
fn a_call_is_taken_back_once_somebody_has_it_and_not_before() {
    let (endpoint, mut events) = start(|_| ());
    let callee = Callee::new();
    let dialled = endpoint.dialler().dial(callee.call()).unwrap();
    let (invite, _) = callee.recv();
    dialled.cancel();
    assert_eq!(refused(&mut events), Refused { status: 487, ..Refused::default() });
    assert_eq!(callee.recv().0, invite, "no CANCEL before anything came (RFC 3261 9.1)");
    callee.answer(&invite, "180 Ringing", "b", "");
    let cancel = callee.expect("CANCEL ");
    assert_eq!((header(&cancel, "Via"), header(&cancel, "CSeq")), (header(&invite, "Via"), "1 CANCEL"));
    assert_eq!((header(&cancel, "To"), header(&cancel, "From")), (header(&invite, "To"), header(&invite, "From")));
    callee.answer(&cancel, "200 OK", "b", "");
    callee.answer(&invite, "487 Request Terminated", "b", "");
    let ack = callee.expect("ACK ");
    assert_eq!((header(&ack, "Via"), to_tag(&ack).as_str()), (header(&invite, "Via"), ";tag=b"));
    callee.answer(&invite, "487 Request Terminated", "b", "");
    callee.expect("ACK ");
    assert!(events.try_recv().is_none(), "it was told once");
    eventually("nothing is left of it", || endpoint.calls() == 0);
}

#[test]
fn an_answer_that_crosses_our_cancel_is_acknowledged_and_hung_up() {
    let (endpoint, mut events) = start(|_| ());
    let callee = Callee::new();
    let dialled = endpoint.dialler().dial(callee.call()).unwrap();
    let invite = callee.expect("INVITE ");
    callee.answer(&invite, "180 Ringing", "b", "");
    assert!(matches!(news(&mut events), OutgoingEvent::Trying));
    dialled.cancel();
    let cancel = callee.expect("CANCEL ");
    callee.answer_sdp(&invite, "200 OK", "b");
    callee.expect("ACK ");
    let bye = callee.expect("BYE ");
    callee.answer(&cancel, "200 OK", "b", "");
    callee.answer(&bye, "200 OK", "", "");
    assert_eq!(refused(&mut events).status, 487);
    assert!(events.try_recv().is_none(), "nobody is told of an answer");
    eventually("nothing is left of it", || endpoint.calls() == 0);
}

#[test]
fn who_is_asked_for_a_password_gives_it_in_the_call_and_at_its_end() {
    let (endpoint, mut events) = start(|_| ());
    let callee = Callee::new();
    let mut call = callee.call();
    call.credentials = Some(Credentials {
        user: "gw".to_owned(),
        password: "secret".to_owned().into(),
        realm: Some("pbx".to_owned()),
    });
    endpoint.dialler().dial(call).unwrap();
    let invite = callee.expect("INVITE ");
    let challenge = "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";
    callee.answer(&invite, "401 Unauthorized", "x", challenge);
    assert_eq!(header(&callee.expect("ACK "), "CSeq"), "1 ACK");
    let again = callee.expect("INVITE ");
    assert_eq!((header(&again, "CSeq"), header(&again, "Call-ID")), ("2 INVITE", header(&invite, "Call-ID")));
    assert_eq!(header(&again, "From"), header(&invite, "From"));
    assert!(header(&again, "Authorization").contains("nonce=\"n1\"") && !again.contains("secret"), "{again}");
    callee.answer_sdp(&again, "200 OK", "b");
    let OutgoingEvent::Answered { handle, .. } = news(&mut events) else { panic!() };
    let ack = callee.expect("ACK ");
    assert_eq!(header(&ack, "Authorization"), header(&again, "Authorization"), "RFC 3261 22.1");
    handle.bye(&ByeReason::normal()).unwrap();
    let bye = callee.expect("BYE ");
    assert!(header(&bye, "Authorization").contains("nc=00000002"), "{bye}");
    callee.answer(&bye, "401 Unauthorized", "", &challenge.replace("n1", "n2"));
    let bye = callee.expect("BYE ");
    assert!(header(&bye, "Authorization").contains("nonce=\"n2\"") && header(&bye, "CSeq") == "4 BYE", "{bye}");
    callee.answer(&bye, "200 OK", "", "");
    eventually("the call is forgotten", || endpoint.calls() == 0);

    endpoint.dialler().dial(callee.call()).unwrap();
    callee.answer(&callee.expect("INVITE "), "407 Proxy Authentication Required", "x", "");
    let OutgoingEvent::Refused(refused) = news(&mut events) else { panic!() };
    assert_eq!((refused.status, refused.is_theirs), (407, true), "without a password that is the end");
}

#[test]
fn a_provisional_answer_that_asks_for_it_is_acknowledged_in_order() {
    let (endpoint, mut events) = start(|_| ());
    let callee = Callee::new();
    endpoint.dialler().dial(callee.call()).unwrap();
    let invite = callee.expect("INVITE ");
    assert_eq!(header(&invite, "Supported"), "timer, 100rel");
    let reliable = |rseq: u32| {
        format!("Require: 100rel\r\nRSeq: {rseq}\r\nContent-Type: application/sdp\r\n\r\n{}", answer_sdp("b"))
    };
    callee.answer(&invite, "183 Session Progress", "b", &reliable(700));
    let prack = callee.expect("PRACK ");
    assert!(prack.starts_with(&format!("PRACK sip:b@{} SIP/2.0\r\n", callee.address())), "{prack}");
    assert_eq!((header(&prack, "RAck"), header(&prack, "CSeq")), ("700 1 INVITE", "2 PRACK"));
    callee.answer(&invite, "183 Session Progress", "b", &reliable(700));
    callee.answer(&invite, "183 Session Progress", "b", &reliable(702));
    assert_eq!(callee.expect("PRACK "), prack, "sent again, and nothing for what came twice or too early");
    callee.answer(&prack, "200 OK", "", "");
    callee.answer(&invite, "180 Ringing", "b", &reliable(701));
    let prack = callee.expect("PRACK ");
    assert_eq!((header(&prack, "RAck"), header(&prack, "CSeq")), ("701 1 INVITE", "3 PRACK"));
    callee.answer(&prack, "200 OK", "", "");
    callee.answer(&invite, "200 OK", "b", "");
    assert_eq!(header(&callee.expect("ACK "), "CSeq"), "1 ACK");
    let answered = loop {
        match news(&mut events) {
            OutgoingEvent::Answered { handle, sdp, .. } => break (handle, sdp),
            OutgoingEvent::Refused(refused) => panic!("{refused:?}"),
            _ => {}
        }
    };
    assert_eq!(answered.1, answer_sdp("b"), "the answer was in what was acknowledged");
    answered.0.bye(&ByeReason::normal()).unwrap();
    assert_eq!(header(&callee.expect("BYE "), "CSeq"), "4 BYE");
}

#[test]
fn refusals_say_why_and_where_else_and_are_not_followed() {
    let (endpoint, mut events) = start(support::unhurried);
    let callee = Callee::new();
    endpoint.dialler().dial(callee.call()).unwrap();
    callee.answer(&callee.expect("INVITE "), "302 Moved Temporarily", "x", "Contact: <sip:+49900123@192.0.2.1>");
    let moved = refused(&mut events);
    assert_eq!((moved.status, moved.contacts.last().map(String::as_str)), (302, Some("<sip:+49900123@192.0.2.1>")));
    endpoint.dialler().dial(callee.call()).unwrap();
    let busy = "Reason: Q.850;cause=17\r\nRetry-After: 30 (lunch)";
    callee.answer(&callee.expect("INVITE "), "486 Busy Here", "x", busy);
    let expected = Refused {
        status: 486,
        is_theirs: true,
        reason: Some("Q.850;cause=17".to_owned()),
        retry_after_s: Some(30),
        contacts: Vec::new(),
    };
    assert_eq!(refused(&mut events), expected);
    // A 200 without a description is no call.
    endpoint.dialler().dial(callee.call()).unwrap();
    let invite = callee.expect("INVITE ");
    callee.answer(&invite, "200 OK", "b", "");
    callee.expect("ACK ");
    callee.expect("BYE ");
    assert_eq!(refused(&mut events), Refused { status: 488, ..Refused::default() });
}

#[test]
fn the_next_server_is_tried_when_one_is_silent_or_cannot_serve() {
    let (endpoint, mut events) = start(|config| config.timers.t1 = Duration::from_millis(20));
    let (silent, full, serving) = (Callee::new(), Callee::new(), Callee::new());
    let mut call = serving.call();
    call.servers = vec![silent.server(), full.server(), serving.server()];
    endpoint.dialler().dial(call).unwrap();
    let unheard = silent.expect("INVITE ");
    let invite = full.expect("INVITE ");
    full.answer(&invite, "503 Service Unavailable", "x", "Retry-After: 60");
    full.expect("ACK ");
    let invite = serving.expect("INVITE ");
    serving.answer(&invite, "180 Ringing", "b", "");
    // The one that was given up on speaks after all: it is taken back.
    silent.answer(&unheard, "180 Ringing", "late", "");
    let cancel = silent.expect("CANCEL ");
    assert_eq!(header(&cancel, "Via"), header(&unheard, "Via"));
    serving.answer_sdp(&invite, "200 OK", "b");
    serving.expect("ACK ");
    silent.answer_sdp(&unheard, "200 OK", "late");
    silent.expect("ACK ");
    silent.expect("BYE ");
    let mut answers = 0;
    eventually("it was answered by the one that serves", || endpoint.calls() >= 1);
    while let Some(event) = events.try_recv() {
        let SipEvent::Outgoing { news, .. } = event else { panic!("{event:?}") };
        answers += usize::from(matches!(*news, OutgoingEvent::Answered { .. }));
        assert!(!matches!(*news, OutgoingEvent::Refused(_)));
    }
    assert_eq!(answers, 1);

    let mut call = serving.call();
    call.servers = vec![full.server()];
    endpoint.dialler().dial(call).unwrap();
    full.answer(&full.expect("INVITE "), "503 Service Unavailable", "x", "Retry-After: 60");
    let refused = refused(&mut events);
    assert_eq!((refused.status, refused.retry_after_s), (503, Some(60)), "the last word of the last server");
}

#[test]
fn nobody_rings_for_ever_and_who_never_answers_is_given_up() {
    let (endpoint, mut events) = start(|config| config.timers.t1 = Duration::from_millis(10));
    let callee = Callee::new();
    endpoint.dialler().dial(callee.call()).unwrap();
    assert_eq!(refused(&mut events), Refused { status: 408, ..Refused::default() });
    eventually("nothing is left of it", || endpoint.calls() == 0);

    let callee = Callee::new();
    let mut call = callee.call();
    call.ring_ms = 1000;
    endpoint.dialler().dial(call).unwrap();
    callee.answer(&callee.expect("INVITE "), "180 Ringing", "b", "");
    callee.expect("CANCEL ");
    assert_eq!(refused(&mut events), Refused { status: 408, ..Refused::default() });
    // Neither CANCEL nor INVITE is answered any more.
    eventually("nothing is left of it", || endpoint.calls() == 0);
}

#[test]
fn a_call_that_would_come_back_to_us_is_not_placed_and_one_that_does_is_refused() {
    let (endpoint, mut events) = start(|_| ());
    let callee = Callee::new();
    let mut call = callee.call();
    call.servers[0].address = endpoint.local_addr();
    assert_eq!(endpoint.dialler().dial(call).err(), Some(DialError::Loop));
    // A proxy sends our own INVITE back to us.
    endpoint.dialler().dial(callee.call()).unwrap();
    let invite = callee.expect("INVITE ");
    let spiral = format!("Via: SIP/2.0/UDP {};branch=z9hG4bKspiral\r\nMax-Forwards: 69\r\n", callee.address());
    callee
        .send(endpoint.local_addr(), &invite.replacen("Max-Forwards: 70\r\n", &spiral, 1).replacen("Via: ", "X: ", 1));
    callee.expect("SIP/2.0 482");
    callee.answer(&invite, "482 Loop Detected", "x", "");
    assert_eq!(refused(&mut events).status, 482);
}

#[test]
fn calls_that_are_placed_count_like_those_that_come() {
    let (endpoint, _events) = start(|config| config.limits.max_calls = 1);
    let callee = Callee::new();
    endpoint.dialler().dial(callee.call()).unwrap();
    assert_eq!(endpoint.dialler().dial(callee.call()).err(), Some(DialError::Full));
    let peer = Peer::new(&endpoint);
    peer.send(&peer.invite("full", 1, ""));
    peer.expect("SIP/2.0 503");
}

#[test]
fn an_answer_to_nothing_of_ours_changes_nothing() {
    let (endpoint, mut events) = start(|_| ());
    let (callee, stranger) = (Callee::new(), Callee::new());
    endpoint.dialler().dial(callee.call()).unwrap();
    let invite = callee.expect("INVITE ");
    // Everything right but the branch, the tag, or the Call-ID.
    let branch = header(&invite, "Via").split("branch=").nth(1).unwrap().split(';').next().unwrap().to_owned();
    let tag = header(&invite, "From").split(";tag=").nth(1).unwrap().to_owned();
    let last = |text: &str| format!("{}{}", &text[..text.len() - 1], if text.ends_with('0') { '1' } else { '0' });
    let call_id = header(&invite, "Call-ID").to_owned();
    for part in [branch, tag, call_id] {
        stranger.answer_sdp(&invite.replace(&part, &last(&part)), "200 OK", "evil");
    }
    callee.answer(&invite, "486 Busy Here", "b", "");
    assert_eq!(refused(&mut events).status, 486);
}

#[test]
fn requests_of_ours_go_where_the_answer_came_from_when_its_contact_cannot_be_reached() {
    let (endpoint, mut events) = start(|_| ());
    for (number, contact) in
        ["sip:b@10.11.12.13:5060", "sip:b@0.0.0.0", "sip:b@192.0.2.44;transport=tcp"].iter().enumerate()
    {
        let callee = Callee::new();
        endpoint.dialler().dial(callee.call()).unwrap();
        let invite = callee.expect("INVITE ");
        let hidden = format!("Contact: <{contact}>\r\nContent-Type: application/sdp\r\n\r\n{}", answer_sdp("b"));
        callee.answer_as(&invite, "200 OK", "b", &hidden);
        let OutgoingEvent::Answered { handle, .. } = news(&mut events) else { panic!("{number}") };
        let ack = callee.expect("ACK ");
        assert!(ack.starts_with(&format!("ACK {contact} SIP/2.0\r\n")), "{ack}");
        handle.bye(&ByeReason::normal()).unwrap();
        let bye = callee.expect("BYE ");
        callee.answer(&bye, "200 OK", "", "");
    }
    eventually("the calls are forgotten", || endpoint.calls() == 0);
}

#[test]
fn the_far_end_of_a_call_of_ours_may_begin_with_any_number() {
    let (endpoint, mut events) = start(|_| ());
    let callee = Callee::new();
    let (invite, _) = up(&endpoint, &mut events, &callee);
    callee.send(endpoint.local_addr(), &within(&callee, &invite, "BYE", 0, ""));
    callee.expect("SIP/2.0 200");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Bye { .. })));
}

#[test]
fn a_server_that_is_no_peer_of_a_trunk_speaks_within_the_call_that_we_placed_and_nobody_else_does() {
    // Nobody may call: trunks are only called.
    let (endpoint, mut events) = start_for(Arc::new(|_: IpAddr| None), |_| ());
    let (callee, gateway) = (Callee::new(), endpoint.local_addr());
    let (invite, _handle) = up(&endpoint, &mut events, &callee);
    let stranger = Callee::at(Ipv4Addr::new(127, 0, 0, 2));
    for (cseq, method) in (100..).zip(["BYE", "INVITE", "UPDATE", "INFO", "NOTIFY", "OPTIONS"]) {
        stranger.send(gateway, &within(&stranger, &invite, method, cseq, ""));
        let refused = stranger.expect("SIP/2.0 403");
        assert_eq!(header(&refused, "CSeq"), format!("{cseq} {method}"));
    }
    stranger.send(gateway, &within(&stranger, &invite, "ACK", 1, ""));
    assert!(events.try_recv().is_none(), "nothing was told to the driver");
    assert_eq!(endpoint.calls(), 1);
    let offer = format!("Content-Type: application/sdp\r\n\r\n{OFFER}");
    callee.send(gateway, &within(&callee, &invite, "INVITE", 2, &offer));
    let Some(SipEvent::ReInvite(reoffer)) = events.blocking_recv() else { panic!() };
    reoffer.handle.answer(answer_sdp("us")).unwrap();
    callee.expect("SIP/2.0 200");
    callee.send(gateway, &within(&callee, &invite, "ACK", 2, ""));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
    callee.send(gateway, &within(&callee, &invite, "BYE", 3, ""));
    callee.expect("SIP/2.0 200");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Bye { .. })));
}

#[test]
fn an_endpoint_that_stops_takes_back_what_rings_and_hangs_up_what_was_answered() {
    let (endpoint, mut events) = start(|_| ());
    let (rings, answered) = (Callee::new(), Callee::new());
    let (_, _handle) = up(&endpoint, &mut events, &answered);
    let dialler = endpoint.dialler();
    dialler.dial(rings.call()).unwrap();
    let invite = rings.expect("INVITE ");
    rings.answer(&invite, "180 Ringing", "b", "");
    assert!(matches!(news(&mut events), OutgoingEvent::Trying));
    let stopping = std::thread::spawn(move || endpoint.stop());
    let cancel = rings.expect("CANCEL ");
    rings.answer(&cancel, "200 OK", "b", "");
    rings.answer(&invite, "487 Request Terminated", "b", "");
    rings.expect("ACK ");
    let bye = answered.expect("BYE ");
    answered.answer(&bye, "200 OK", "", "");
    stopping.join().unwrap();
    assert_eq!(dialler.dial(rings.call()).err(), Some(DialError::Stopped));
}

#[test]
fn a_call_that_is_over_counts_no_more_though_what_was_said_may_come_again() {
    let (endpoint, mut events) = start(support::unhurried);
    let callee = Callee::new();
    endpoint.dialler().dial(callee.call()).unwrap();
    let invite = callee.expect("INVITE ");
    callee.answer(&invite, "486 Busy Here", "b", "");
    assert_eq!(refused(&mut events).status, 486);
    callee.expect("ACK ");
    eventually("it counts no more", || endpoint.calls() == 0);
    callee.answer(&invite, "486 Busy Here", "b", "");
    callee.expect("ACK ");
}
