//! RFC 4475's catalogue on the live socket: every message has the outcome that the RFC names.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::time::Duration;

use support::torture::{Outcome, catalogue};
use support::{Peer, answer_all, eventually, header, start, to_tag};
use trunkline_sip::{ByeReason, SipEvent};

/// Valid messages that are not served, since when that is known and why; the answer that they get instead.
const NOT_SERVED: &[(&str, &str, u16, &str)] = &[(
    "inv2543",
    "2026-11-22",
    400,
    "an INVITE without Contact and without a tag in From is of RFC 2543; no trunk peer sends one, and a dialog is named by that tag",
)];

#[test]
fn every_message_of_the_catalogue_has_the_outcome_that_rfc_4475_names() {
    let (endpoint, events) = start(|config| config.timers.t1 = Duration::from_millis(20));
    answer_all(events, false);
    let names: Vec<&str> = catalogue(0, 0).iter().map(|message| message.name).collect();
    assert_eq!(names.len(), 49, "sections 3.1.1.1 to 3.4.1");
    for (index, name) in names.iter().enumerate() {
        // Each has a socket of its own: whatever is sent again of others does not matter.
        let peer = Peer::new(&endpoint);
        let message = catalogue(peer.port(), index).swap_remove(index);
        let before = endpoint.stats();
        peer.send(&message.text);
        let listed = NOT_SERVED.iter().find(|(listed, ..)| listed == name);
        let expected = match (message.outcome, listed) {
            (Outcome::Served(_), Some((_, _, status, _))) => *status,
            (Outcome::Served(status) | Outcome::Refused(status), None) => status,
            (Outcome::Dropped(reason), None) => {
                peer.silent();
                let after = endpoint.stats();
                assert_eq!(after.dropped[reason], before.dropped[reason] + 1, "{name} ({})", message.section);
                continue;
            }
            (_, Some(_)) => panic!("{name} is listed as valid and is not"),
        };
        let answer = peer.expect_final();
        let (section, text) = (message.section, &message.text);
        assert!(answer.starts_with(&format!("SIP/2.0 {expected} ")), "{name} ({section}):\n{text}\n{answer}");
        assert!(text.contains(header(&answer, "Call-ID")), "{name}: {answer}");
        let probe = Peer::new(&endpoint);
        probe.send(&probe.request("OPTIONS", &format!("after{index}"), 1, "", ""));
        probe.expect("SIP/2.0 200");
    }
    for (listed, since, ..) in NOT_SERVED {
        assert!(names.contains(listed) && since.len() == 10, "{listed}");
    }
    // Nobody acknowledged the calls that were answered.
    eventually("nothing is left", || endpoint.calls() == 0);
}

#[test]
fn odd_reason_phrases_answer_our_own_requests() {
    let (endpoint, mut events) = start(|_| ());
    let peer = Peer::new(&endpoint);
    for (call, line) in
        [("r1", "SIP/2.0 200 = 2**3 * 5**2 \u{43d}\u{43e}"), ("r2", "SIP/2.0 200 "), ("r3", "sip/2.0 200 ok")]
    {
        peer.send(&peer.invite(call, 1, ""));
        let SipEvent::Invite(invite) = events.blocking_recv().unwrap() else { panic!() };
        invite.handle.accept("v=0\r\n".to_owned()).unwrap();
        let to = to_tag(&peer.expect("SIP/2.0 200"));
        peer.send(&peer.ack(call, 1, &to));
        let _acked = events.blocking_recv().unwrap();
        invite.handle.bye(&ByeReason::normal()).unwrap();
        let bye = peer.expect("BYE ");
        let copied = ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| format!("{name}: {}\r\n", header(&bye, name)));
        peer.send(&format!("{line}\r\n{}Content-Length: 0\r\n\r\n", copied.concat()));
        eventually("the call is forgotten", || endpoint.calls() == 0);
    }
}

#[test]
fn an_address_that_the_stack_cannot_read_is_refused_and_holds_no_call() {
    let (endpoint, events) = start(|config| config.timers.t1 = Duration::from_millis(20));
    answer_all(events, false);
    for (call, from, to, status) in [
        ("u1", "To: <sip:100@example.org>", "To: <sip:100@example.orgVia: >", 400),
        ("u2", "To: <sip:100@example.org>", "To: <;tag=sip:100@example.org>", 400),
        ("u3", "From: \"A\"", "From: \"A <B>; C\"", 200),
        ("u4", "To: <sip", "To: \"A <B\" <sip", 200),
    ] {
        let peer = Peer::new(&endpoint);
        peer.send(&peer.invite(call, 1, "").replace(from, to));
        let answer = peer.expect_final();
        assert!(answer.starts_with(&format!("SIP/2.0 {status} ")), "{call}: {answer}");
        assert!(status == 400 || answer.contains(to), "its own words come back: {answer}");
    }
    eventually("nothing is left", || endpoint.calls() == 0);
}

/// What a peer writes in its own way is given back in that way: answers find their request.
#[test]
fn a_call_without_branches_of_rfc_3261_is_answered_acknowledged_and_ended() {
    let (endpoint, events) = start(|_| ());
    let seen = answer_all(events, false);
    let peer = Peer::new(&endpoint);
    let old = |text: String| {
        let (before, behind) = text.split_once(";branch=").unwrap();
        format!("{before}{}", behind.split_once(";rport").unwrap().1)
    };
    peer.send(&old(peer.invite("old", 1, "")));
    let ok = peer.expect("SIP/2.0 200");
    assert!(!header(&ok, "Via").contains("branch"), "{ok}");
    let to = to_tag(&ok);
    peer.send(&old(peer.ack("old", 1, &to)));
    eventually("it is up", || seen.acked.load(std::sync::atomic::Ordering::SeqCst) == 1);
    peer.send(&old(peer.request("BYE", "old", 2, &to, "")));
    assert_eq!(header(&peer.expect("SIP/2.0 200"), "CSeq"), "2 BYE");
    eventually("it is over", || endpoint.calls() == 0);
}
