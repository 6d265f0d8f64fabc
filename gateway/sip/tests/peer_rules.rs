//! What a peer may ask within and without a call, and what it gets: RFC 3261 8.2, 9.2, 12.2.2, 13.3, 14.2, 15.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use support::{OFFER, Peer, answer_all, eventually, header, start, to_tag, unhurried};
use trunkline_sip::{ByeReason, CommandError, Refusal, SipEvent, TraceDirection};

#[test]
fn a_call_is_answered_acknowledged_and_hung_up_by_the_peer() {
    let (endpoint, mut events) = start(unhurried);
    let peer = Peer::new(&endpoint);
    peer.send(&peer.request(
        "INVITE",
        "c1",
        1,
        "",
        &format!("X-Account: 7\r\nContent-Type: application/sdp\r\n\r\n{OFFER}"),
    ));
    let SipEvent::Invite(invite) = events.blocking_recv().unwrap() else { panic!() };
    assert!(peer.recv().starts_with("SIP/2.0 100 "));
    assert_eq!((invite.from_user.as_str(), invite.to_user.as_str()), ("alice", "100"));
    assert_eq!(invite.from_display.as_deref(), Some("A"));
    assert_eq!(invite.offer.as_deref(), Some(OFFER));
    let to = ("To".to_owned(), "<sip:100@example.org>".to_owned());
    assert_eq!(invite.headers, [to, ("X-Account".to_owned(), "7".to_owned())]);
    assert_eq!(&*invite.trunk.0, "trk_test");
    invite.handle.ring(None).unwrap();
    let ringing = peer.expect("SIP/2.0 180");
    invite.handle.accept("v=0\r\n".to_owned()).unwrap();
    assert_eq!(invite.handle.accept(String::new()), Err(CommandError::Answered));
    let ok = peer.expect("SIP/2.0 200");
    assert_eq!(to_tag(&ringing), to_tag(&ok), "one dialog");
    assert!(ok.ends_with("\r\n\r\nv=0\r\n") && header(&ok, "Content-Type") == "application/sdp", "{ok}");
    assert_eq!(header(&ok, "Contact"), format!("<sip:{}>", endpoint.local_addr()));
    assert_eq!(header(&ok, "Supported"), "timer, 100rel");
    peer.send(&peer.ack("c1", 1, &to_tag(&ok)));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { answer: None, .. })));
    assert_eq!(endpoint.calls(), 1);
    peer.send(&peer.request("BYE", "c1", 2, &to_tag(&ok), "Reason: Q.850;cause=16"));
    peer.expect("SIP/2.0 200");
    let Some(SipEvent::Bye { reason, .. }) = events.blocking_recv() else { panic!() };
    assert_eq!(reason.as_deref(), Some("Q.850;cause=16"));
    assert_eq!(endpoint.calls(), 0);
    assert_eq!(invite.handle.bye(&ByeReason::normal()), Err(CommandError::Over));
    peer.send(&peer.request("BYE", "c1", 3, &to_tag(&ok), ""));
    peer.expect("SIP/2.0 481");

    let trace = endpoint.trace("c1").unwrap();
    let lines: Vec<&str> = trace
        .entries
        .iter()
        .map(|entry| {
            entry
                .start_line
                .split(' ')
                .nth(match entry.direction {
                    TraceDirection::Received => 0,
                    TraceDirection::Sent => 1,
                })
                .unwrap()
        })
        .collect();
    assert_eq!(lines, ["INVITE", "100", "180", "200", "ACK", "BYE", "200", "BYE", "481"], "{trace}");
}

#[test]
fn we_hang_up_with_a_reason_and_after_the_ack_only() {
    let (endpoint, mut events) = start(unhurried);
    let peer = Peer::new(&endpoint);
    peer.send(&peer.invite("c2", 1, ""));
    let SipEvent::Invite(invite) = events.blocking_recv().unwrap() else { panic!() };
    assert_eq!(invite.handle.bye(&ByeReason::normal()), Err(CommandError::NotAnswered));
    invite.handle.accept("v=0\r\n".to_owned()).unwrap();
    invite.handle.bye(&ByeReason::normal()).unwrap();
    let ok = peer.expect("SIP/2.0 200");
    assert!(peer.recv().starts_with("SIP/2.0 200"), "retransmitted, and no BYE before the ACK");
    peer.send(&peer.ack("c2", 1, &to_tag(&ok)));
    let bye = peer.expect("BYE ");
    assert!(bye.starts_with(&format!("BYE sip:alice@127.0.0.1:{} SIP/2.0\r\n", peer.port())), "{bye}");
    assert_eq!(header(&bye, "Reason"), "Q.850;cause=16;text=\"Normal call clearing\"");
    assert_eq!(header(&bye, "From"), format!("<sip:100@example.org>{}", to_tag(&ok)));
    assert_eq!(header(&bye, "To"), "\"A\" <sip:alice@example.org>;tag=fromc2");
    assert_eq!(endpoint.calls(), 1, "until the BYE is answered");
    let answer: String = format!(
        "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: c2\r\nCSeq: {}\r\nContent-Length: 0\r\n\r\n",
        header(&bye, "Via"),
        header(&bye, "From"),
        header(&bye, "To"),
        header(&bye, "CSeq")
    );
    peer.send(&answer);
    eventually("the call is forgotten", || endpoint.calls() == 0);
    assert!(events.try_recv().is_none(), "no event follows our own hang-up");
}

#[test]
fn a_cancelled_call_gets_487_and_the_driver_learns_it() {
    let (endpoint, mut events) = start(unhurried);
    let peer = Peer::new(&endpoint);
    let invite = peer.invite("c3", 1, "");
    peer.send(&invite);
    let SipEvent::Invite(incoming) = events.blocking_recv().unwrap() else { panic!() };
    // CANCEL shares the INVITE's branch.
    let cancel = peer.request("CANCEL", "c3", 1, "", "").replace("c31CANCEL", "c31INVITE");
    peer.send(&cancel);
    let ok = peer.expect("SIP/2.0 200");
    assert_eq!(header(&ok, "CSeq"), "1 CANCEL");
    let terminated = peer.expect("SIP/2.0 487");
    assert_eq!(header(&terminated, "CSeq"), "1 INVITE");
    let ack = peer.ack("c3", 1, &to_tag(&terminated)).replace("c31ACK", "c31INVITE");
    peer.send(&ack);
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Cancelled { .. })));
    assert_eq!(incoming.handle.accept(String::new()), Err(CommandError::Over));
    assert_eq!(endpoint.calls(), 0);
    peer.silent();
    peer.send(&peer.request("CANCEL", "never", 1, "", ""));
    peer.expect("SIP/2.0 481");
}

#[test]
fn an_answer_without_ack_ends_in_bye() {
    let (endpoint, mut events) = start(|config| config.timers.t1 = Duration::from_millis(10));
    let peer = Peer::new(&endpoint);
    peer.send(&peer.invite("c4", 1, ""));
    let SipEvent::Invite(invite) = events.blocking_recv().unwrap() else { panic!() };
    invite.handle.accept("v=0\r\n".to_owned()).unwrap();
    peer.expect("BYE ");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::NoAck { .. })));
    eventually("the call is forgotten though the BYE is never answered", || endpoint.calls() == 0);
}

#[test]
fn refusals_carry_their_reason_and_503_a_retry_after() {
    let (endpoint, mut events) = start(unhurried);
    let peer = Peer::new(&endpoint);
    peer.send(&peer.invite("c5", 1, ""));
    let SipEvent::Invite(invite) = events.blocking_recv().unwrap() else { panic!() };
    assert_eq!(invite.handle.reject(&Refusal::status(200)), Err(CommandError::Status));
    let refusal = Refusal { q850: Some(42), reason: Some("full \"up\"".to_owned()), ..Refusal::status(503) };
    invite.handle.reject(&refusal).unwrap();
    let refused = peer.expect("SIP/2.0 503");
    assert_eq!(header(&refused, "Reason"), "Q.850;cause=42;text=\"full up\"");
    assert!((5..=15).contains(&header(&refused, "Retry-After").parse::<u32>().unwrap()));
    assert_eq!(endpoint.calls(), 0);
}

#[test]
fn requests_within_a_call_follow_the_rules() {
    let (endpoint, events) = start(unhurried);
    let seen = answer_all(events, false);
    let peer = Peer::new(&endpoint);
    let to = peer.call("c6");
    eventually("the call is up", || seen.acked.load(SeqCst) == 1);

    peer.send(&peer.request("OPTIONS", "c6", 10, &to, ""));
    assert!(header(&peer.expect("SIP/2.0 200"), "Allow").contains("UPDATE"), "a gap in CSeq is legal");
    peer.send(&peer.request("OPTIONS", "c6", 9, &to, ""));
    peer.expect("SIP/2.0 500");
    peer.send(&peer.request("MESSAGE", "c6", 11, &to, ""));
    assert_eq!(
        header(&peer.expect("SIP/2.0 405"), "Allow"),
        "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, PRACK, NOTIFY, REFER"
    );
    peer.send(&peer.request("DANCE", "c6", 12, &to, ""));
    peer.expect("SIP/2.0 501");
    peer.send(&peer.request("UPDATE", "c6", 13, &to, ""));
    peer.expect("SIP/2.0 200");
    peer.send(&peer.request("OPTIONS", "c6", 14, &to, "Require: 100rel, gruu"));
    assert_eq!(header(&peer.expect("SIP/2.0 420"), "Unsupported"), "gruu");
    peer.send(&peer.request("OPTIONS", "c6", 15, ";tag=other", ""));
    peer.expect("SIP/2.0 481");

    // Hold by re-INVITE, then UPDATE back.
    let hold = format!("{OFFER}a=sendonly\r\n");
    peer.send(&peer.request("INVITE", "c6", 20, &to, &format!("Content-Type: application/sdp\r\n\r\n{hold}")));
    let held = peer.expect("SIP/2.0 200");
    assert!(held.contains("a=recvonly\r\n"), "{held}");
    assert!(header(&held, "Allow").contains("INFO") && held.contains("\r\nSupported:"), "{held}");
    peer.send(&peer.ack("c6", 20, &to));
    eventually("the hold is acknowledged", || seen.acked.load(SeqCst) == 2);
    peer.send(&peer.request("UPDATE", "c6", 21, &to, &format!("Content-Type: application/sdp\r\n\r\n{OFFER}")));
    assert!(peer.expect("SIP/2.0 200").contains("a=sendrecv\r\n"));
    let fax = OFFER.replace("m=audio 30000 RTP/AVP 0 101", "m=image 30000 udptl t38");
    peer.send(&peer.request("INVITE", "c6", 22, &to, &format!("Content-Type: application/sdp\r\n\r\n{fax}")));
    let refused = peer.expect("SIP/2.0 488");
    assert_eq!(
        header(&refused, "Warning"),
        format!("304 {} \"Media type not available\"", endpoint.local_addr()),
        "what is wrong with the offer is said"
    );
    peer.send(&peer.ack("c6", 22, &to_tag(&refused)).replace("c622ACK", "c622INVITE"));
    assert_eq!(seen.reoffers.load(SeqCst), 3);
    assert_eq!(endpoint.calls(), 1, "a refused change leaves the call up");

    peer.send(&peer.request("BYE", "c6", 30, &to, ""));
    peer.expect("SIP/2.0 200");
    eventually("the call is over", || endpoint.calls() == 0 && seen.byes.load(SeqCst) == 1);
}

#[test]
fn an_ipv4_peer_of_a_socket_for_both_families_is_answered_by_its_ipv4_address() {
    let (endpoint, events) = start(|config| config.listen = "[::]:0".parse().unwrap());
    answer_all(events, false);
    let peer = Peer::at((Ipv4Addr::LOCALHOST, endpoint.local_addr().port()).into());
    peer.send(&peer.request("OPTIONS", "v4", 1, "", ""));
    let via = header(&peer.expect("SIP/2.0 200"), "Via").to_owned();
    assert!(via.contains(&format!("rport={}", peer.port())) && !via.contains(['[', ']']), "{via}");
    peer.send(&peer.invite("v4", 2, ""));
    peer.expect("SIP/2.0 200");
}

#[test]
fn requests_outside_a_call_follow_the_rules() {
    let (endpoint, events) = start(unhurried);
    answer_all(events, false);
    let peer = Peer::new(&endpoint);
    peer.send(&peer.request("OPTIONS", "o1", 1, "", ""));
    let ok = peer.expect("SIP/2.0 200");
    assert_eq!(header(&ok, "Accept"), "application/sdp");
    assert!(ok.contains("\r\nSupported:"), "{ok}");
    for (method, call, status) in
        [("BYE", "o2", "481"), ("UPDATE", "o3", "481"), ("REGISTER", "o4", "405"), ("MESSAGE", "o5", "405")]
    {
        peer.send(&peer.request(method, call, 1, "", ""));
        peer.expect(&format!("SIP/2.0 {status}"));
    }
    peer.send(&peer.request("INVITE", "o6", 1, "", "Content-Type: text/plain\r\n\r\nhello"));
    assert_eq!(header(&peer.expect("SIP/2.0 415"), "Accept"), "application/sdp");
    peer.send(&peer.invite("o7", 1, "").replace("Content-Type", "Require: gruu\r\nContent-Type"));
    peer.expect("SIP/2.0 420");
    let contactless = peer.invite("o8", 1, "");
    let contact = contactless.lines().find(|line| line.starts_with("Contact")).unwrap().to_owned();
    peer.send(&contactless.replace(&format!("{contact}\r\n"), ""));
    peer.expect("SIP/2.0 400");
    eventually("nothing is left", || endpoint.calls() == 0);
}

#[test]
fn an_invite_without_an_offer_gets_ours_and_its_answer_in_the_ack() {
    let (endpoint, mut events) = start(unhurried);
    let peer = Peer::new(&endpoint);
    peer.send(&peer.request("INVITE", "c7", 1, "", ""));
    let SipEvent::Invite(invite) = events.blocking_recv().unwrap() else { panic!() };
    assert_eq!(invite.offer, None);
    invite.handle.accept(trunkline_sdp::offer(&support::local_media())).unwrap();
    let ok = peer.expect("SIP/2.0 200");
    let body = format!("Content-Type: application/sdp\r\n\r\n{OFFER}");
    peer.send(&peer.request("ACK", "c7", 1, &to_tag(&ok), &body));
    let Some(SipEvent::Acked { answer, .. }) = events.blocking_recv() else { panic!() };
    assert_eq!(answer.as_deref(), Some(OFFER));
}

#[test]
fn the_same_invite_by_two_ways_rings_once() {
    let (endpoint, mut events) = start(unhurried);
    let peer = Peer::new(&endpoint);
    let invite = peer.invite("c8", 1, "");
    peer.send(&invite);
    let _first = events.blocking_recv().unwrap();
    peer.expect("SIP/2.0 100");
    peer.send(&invite);
    peer.expect("SIP/2.0 100");
    peer.send(&invite.replace("c81INVITE", "otherway"));
    peer.expect("SIP/2.0 482");
    assert!(events.try_recv().is_none());
    assert_eq!(endpoint.calls(), 1);
}

#[test]
fn a_draining_endpoint_refuses_calls_and_says_so_to_options_but_keeps_calls_up() {
    let (endpoint, events) = start(unhurried);
    let seen = answer_all(events, false);
    let peer = Peer::new(&endpoint);
    let to = peer.call("c9");
    eventually("the call is up", || seen.acked.load(SeqCst) == 1);
    endpoint.set_draining(true);
    peer.send(&peer.request("OPTIONS", "d1", 1, "", ""));
    peer.expect("SIP/2.0 503");
    peer.send(&peer.invite("d2", 1, ""));
    let refused = peer.expect("SIP/2.0 503");
    assert!(header(&refused, "Retry-After").parse::<u32>().unwrap() >= 5);
    peer.send(&peer.request("OPTIONS", "c9", 5, &to, ""));
    peer.expect("SIP/2.0 200");
    peer.send(&peer.request("BYE", "c9", 6, &to, ""));
    peer.expect("SIP/2.0 200");
    assert_eq!(seen.invites.load(SeqCst), 1);
    assert_eq!(endpoint.stats().dropped["draining"], 1);
}

#[test]
fn a_call_that_rings_too_long_is_refused() {
    let (endpoint, mut events) = start(|config| config.timers.max_ringing = Duration::from_millis(100));
    let peer = Peer::new(&endpoint);
    peer.send(&peer.invite("c10", 1, ""));
    let SipEvent::Invite(_kept) = events.blocking_recv().unwrap() else { panic!() };
    peer.expect("SIP/2.0 480");
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Failed { status: 480, .. })));
    assert_eq!(endpoint.calls(), 0);
}

#[test]
fn a_change_that_the_driver_leaves_unanswered_gets_500_and_another_meanwhile_too() {
    let (endpoint, mut events) = start(|config| config.timers.reoffer_answer = Duration::from_millis(300));
    let peer = Peer::new(&endpoint);
    peer.send(&peer.invite("c11", 1, ""));
    let SipEvent::Invite(invite) = events.blocking_recv().unwrap() else { panic!() };
    invite.handle.accept("v=0\r\n".to_owned()).unwrap();
    let to = to_tag(&peer.expect("SIP/2.0 200"));
    peer.send(&peer.ack("c11", 1, &to));
    let _acked = events.blocking_recv().unwrap();
    peer.send(&peer.invite("c11", 2, &to));
    let SipEvent::ReInvite(kept) = events.blocking_recv().unwrap() else { panic!() };
    peer.send(&peer.invite("c11", 3, &to));
    let refused = peer.expect_to("3 INVITE", "SIP/2.0 500");
    assert!(header(&refused, "Retry-After").parse::<u32>().unwrap() <= 10, "{refused}");
    peer.send(&peer.request("UPDATE", "c11", 4, &to, &format!("Content-Type: application/sdp\r\n\r\n{OFFER}")));
    assert!(header(&peer.expect_to("4 UPDATE", "SIP/2.0 500"), "Retry-After").parse::<u32>().unwrap() <= 10);
    peer.expect_to("2 INVITE", "SIP/2.0 500");
    drop(kept);
    peer.send(&peer.invite("c11", 5, &to));
    let SipEvent::ReInvite(dropped) = events.blocking_recv().unwrap() else { panic!() };
    drop(dropped);
    peer.expect_to("5 INVITE", "SIP/2.0 500");
}

#[test]
fn keys_that_come_by_info_are_told_and_other_infos_refused() {
    let (endpoint, mut events) = start(unhurried);
    let peer = Peer::new(&endpoint);
    peer.send(&peer.invite("c12", 1, ""));
    let SipEvent::Invite(invite) = events.blocking_recv().unwrap() else { panic!() };
    invite.handle.accept("v=0\r\n".to_owned()).unwrap();
    let to = to_tag(&peer.expect("SIP/2.0 200"));
    peer.send(&peer.ack("c12", 1, &to));
    let _acked = events.blocking_recv().unwrap();
    let relay = "Content-Type: application/dtmf-relay\r\n\r\nSignal=7\r\nDuration=160\r\n";
    for (cseq, rest, status) in [
        (2, relay, "200"),
        (3, "Content-Type: application/dtmf\r\n\r\n#", "200"),
        (4, "", "200"),
        (5, "Content-Type: application/dtmf-relay\r\n\r\nSignal=77", "400"),
        (6, "Content-Type: application/media_control+xml\r\n\r\n<x/>", "415"),
    ] {
        let info = peer.request("INFO", "c12", cseq, &to, rest);
        peer.send(&info);
        let answer = peer.expect(&format!("SIP/2.0 {status}"));
        assert_eq!(header(&answer, "CSeq"), format!("{cseq} INFO"));
        assert!(status != "415" || header(&answer, "Accept").contains("application/dtmf-relay"));
        peer.send_again(&info, &format!("SIP/2.0 {status}"));
    }
    peer.send(&peer.request("BYE", "c12", 7, &to, ""));
    let mut told = Vec::new();
    loop {
        match events.blocking_recv().unwrap() {
            SipEvent::Digit { digit, .. } => told.push(digit.as_char()),
            SipEvent::Bye { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told, ['7', '#'], "each once, though it came twice");
}

#[test]
fn a_caller_that_reads_no_sdp_is_refused() {
    let (endpoint, events) = start(unhurried);
    answer_all(events, false);
    let peer = Peer::new(&endpoint);
    let invite = |call: &str, accept: &str| {
        peer.invite(call, 1, "").replace("Content-Type", &format!("Accept: {accept}\r\nContent-Type"))
    };
    peer.send(&invite("a1", "text/nobodyKnowsThis"));
    assert_eq!(header(&peer.expect("SIP/2.0 406"), "Accept"), "application/sdp");
    for (call, accept) in [("a2", "text/plain, application/sdp;q=0.5"), ("a3", "*/*"), ("a4", "Application/*")] {
        peer.send(&invite(call, accept));
        assert_eq!(header(&peer.expect("SIP/2.0 200"), "Call-ID"), call);
    }
}

#[test]
fn strays_within_no_call_cost_no_transaction_and_calls_can_end_when_there_is_room_for_no_other() {
    let (endpoint, events) = start(|config| {
        config.limits.max_transactions = 8;
        config.limits.trunk_rate = None;
    });
    let seen = answer_all(events, false);
    let peer = Peer::new(&endpoint);
    let to = peer.call("c13");
    eventually("the call is up", || seen.acked.load(SeqCst) == 1);
    for cseq in 0..200 {
        peer.send(&peer.request("BYE", "c13", 100 + cseq, &format!(";tag=guess{cseq}"), ""));
        let refused = peer.expect("SIP/2.0 481");
        assert_eq!(header(&refused, "CSeq"), format!("{} BYE", 100 + cseq));
    }
    assert!(endpoint.stats().transactions <= 2, "{:?}", endpoint.stats());
    assert_eq!(endpoint.stats().dropped["no_call"], 200);

    // Transactions that ended are kept for a while and have a bound of their own.
    let mut served = 0;
    while served < 100 {
        peer.send(&peer.request("OPTIONS", &format!("full{served}"), 1, "", ""));
        if peer.recv().starts_with("SIP/2.0 503") {
            break;
        }
        served += 1;
    }
    assert!((8..=4 * 8).contains(&served), "{served}");
    peer.send(&peer.request("BYE", "c13", 2, &to, ""));
    peer.expect("SIP/2.0 200");
    eventually("the call is over", || seen.byes.load(SeqCst) == 1);
}

#[test]
fn an_endpoint_that_is_too_busy_refuses_new_calls_and_serves_those_that_are_up() {
    // So little is too much that any traffic is.
    let (endpoint, events) = start(|config| config.limits.busy_permille = Some(0));
    let seen = answer_all(events, false);
    let peer = Peer::new(&endpoint);
    let to = peer.call("busy");
    eventually("the call is up", || seen.acked.load(SeqCst) == 1);
    let mut tries = 0;
    let refused = loop {
        tries += 1;
        // Every request works the threads, also those that keep the call.
        peer.send(&peer.request("OPTIONS", "busy", 10 + tries, &to, ""));
        peer.expect_to(&format!("{} OPTIONS", 10 + tries), "SIP/2.0 200");
        let caller = Peer::new(&endpoint);
        caller.send(&caller.invite(&format!("busy{tries}"), 1, ""));
        let answer = caller.expect_final();
        if answer.starts_with("SIP/2.0 503") {
            break answer;
        }
        let to = to_tag(&answer);
        caller.send(&caller.ack(&format!("busy{tries}"), 1, &to));
        caller.send(&caller.request("BYE", &format!("busy{tries}"), 2, &to, ""));
        caller.expect_to("2 BYE", "SIP/2.0 200");
        assert!(tries < 100_000, "it never was too busy");
    };
    let retry_after: u32 = header(&refused, "Retry-After").parse().unwrap();
    assert!((5..=15).contains(&retry_after), "{refused}");
    assert_eq!(endpoint.stats().dropped["overloaded"], 1);
    peer.send(&peer.request("BYE", "busy", 200_000, &to, ""));
    peer.expect_to("200000 BYE", "SIP/2.0 200");
}
