//! Requests of a call are served in the order in which they came, though the ACK and what follows it go different ways.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::sync::atomic::Ordering::SeqCst;

use support::{OFFER, Peer, answer_all, header, local_media, start, to_tag, unhurried};
use trunkline_sip::SipEvent;

const CALLS: usize = 60;

#[test]
fn a_change_right_behind_the_ack_is_served() {
    let (endpoint, events) = start(unhurried);
    let seen = answer_all(events, false);
    let peer = Peer::new(&endpoint);
    for number in 0..CALLS {
        let call = format!("behind{number}");
        peer.send(&peer.invite(&call, 1, ""));
        let to = to_tag(&peer.expect_to("1 INVITE", "SIP/2.0 200"));
        let method = if number % 2 == 0 { "INVITE" } else { "UPDATE" };
        let change = peer.request(method, &call, 2, &to, &format!("Content-Type: application/sdp\r\n\r\n{OFFER}"));
        peer.send(&peer.ack(&call, 1, &to));
        peer.send(&change);
        let answer = loop {
            let answer = peer.expect_final();
            if header(&answer, "CSeq") == format!("2 {method}") {
                break answer;
            }
        };
        assert!(answer.starts_with("SIP/2.0 200 "), "{call}: {answer}");
        if method == "INVITE" {
            peer.send(&peer.ack(&call, 2, &to));
        }
    }
    assert_eq!(seen.reoffers.load(SeqCst), CALLS);
}

#[test]
fn what_follows_the_ack_is_told_behind_it_and_in_its_order() {
    let (endpoint, mut events) = start(unhurried);
    let peer = Peer::new(&endpoint);
    for number in 0..CALLS {
        let call = format!("told{number}");
        peer.send(&peer.invite(&call, 1, ""));
        let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
        incoming.handle.accept("v=0\r\n".to_owned()).unwrap();
        let to = to_tag(&peer.expect_to("1 INVITE", "SIP/2.0 200"));
        peer.send(&peer.ack(&call, 1, &to));
        for (cseq, digit) in (2..).zip("123456".chars()) {
            let body = format!("Content-Type: application/dtmf\r\n\r\n{digit}");
            peer.send(&peer.request("INFO", &call, cseq, &to, &body));
        }
        peer.send(&peer.request("BYE", &call, 8, &to, ""));
        assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })), "{call}");
        for expected in "123456".chars() {
            let Some(SipEvent::Digit { digit, .. }) = events.blocking_recv() else { panic!("{call}") };
            assert_eq!(digit.as_char(), expected, "{call}");
        }
        assert!(matches!(events.blocking_recv(), Some(SipEvent::Bye { .. })), "{call}");
        peer.expect_to("8 BYE", "SIP/2.0 200");
    }
}

#[test]
fn while_our_offer_has_no_answer_another_one_is_a_glare() {
    let (endpoint, mut events) = start(unhurried);
    let peer = Peer::new(&endpoint);
    peer.send(&peer.request("INVITE", "glare", 1, "", ""));
    let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!() };
    incoming.handle.accept(trunkline_sdp::offer(&local_media())).unwrap();
    let to = to_tag(&peer.expect("SIP/2.0 200"));
    let offer = format!("Content-Type: application/sdp\r\n\r\n{OFFER}");
    peer.send(&peer.request("UPDATE", "glare", 2, &to, &offer));
    peer.expect_to("2 UPDATE", "SIP/2.0 491");
    peer.send(&peer.request("ACK", "glare", 1, &to, &offer));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { answer: Some(_), .. })));
    peer.send(&peer.request("INVITE", "glare", 3, &to, ""));
    let Some(SipEvent::ReInvite(reoffer)) = events.blocking_recv() else { panic!() };
    assert_eq!(reoffer.offer, None);
    reoffer.handle.answer(trunkline_sdp::offer(&local_media())).unwrap();
    peer.expect_to("3 INVITE", "SIP/2.0 200");
    peer.send(&peer.request("UPDATE", "glare", 4, &to, &offer));
    peer.expect_to("4 UPDATE", "SIP/2.0 491");
    peer.send(&peer.request("ACK", "glare", 3, &to, &offer));
    peer.send(&peer.request("UPDATE", "glare", 5, &to, &offer));
    assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { answer: Some(_), .. })));
    let Some(SipEvent::ReInvite(reoffer)) = events.blocking_recv() else { panic!() };
    reoffer.handle.answer("v=0\r\n".to_owned()).unwrap();
    peer.expect_to("5 UPDATE", "SIP/2.0 200");
}

#[test]
fn a_change_is_served_although_the_ack_before_it_was_lost() {
    let (endpoint, events) = start(unhurried);
    let seen = answer_all(events, false);
    let peer = Peer::new(&endpoint);
    peer.send(&peer.invite("lost", 1, ""));
    let to = to_tag(&peer.expect("SIP/2.0 200"));
    peer.send(&peer.invite("lost", 2, &to));
    peer.expect_to("2 INVITE", "SIP/2.0 200");
    peer.send(&peer.ack("lost", 2, &to));
    peer.send(&peer.request("BYE", "lost", 3, &to, ""));
    peer.expect_to("3 BYE", "SIP/2.0 200");
    assert_eq!(seen.reoffers.load(SeqCst), 1);
}

#[test]
fn a_call_can_end_though_what_came_before_waits_for_a_driver_that_is_behind() {
    let (endpoint, mut events) = start(|config| {
        unhurried(config);
        config.limits.event_queue = 1;
    });
    let peer = Peer::new(&endpoint);
    let (_handle, to) = peer.called(&mut events, &peer.invite("behind", 1, ""));
    let info = |cseq| peer.request("INFO", "behind", cseq, &to, "Content-Type: application/dtmf\r\n\r\n5");
    let mut cseq = 2;
    loop {
        peer.send(&info(cseq));
        // What waits has no answer yet; what is one too many has its own at once.
        if let Some(answer) = peer.comes()
            && answer.starts_with("SIP/2.0 500")
        {
            break;
        }
        cseq += 1;
        assert!(cseq < 100, "there was always room for one more");
    }
    peer.send(&peer.request("BYE", "behind", 200, &to, ""));
    let answer = peer.expect_to("200 BYE", "SIP/2.0 ");
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    while !matches!(events.blocking_recv().unwrap(), SipEvent::Bye { .. }) {}
}
