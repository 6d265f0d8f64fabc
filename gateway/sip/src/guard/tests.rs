//! The guard against everything the network may send.

use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Guard, Verdict};
use crate::admission::TrunkToken;
use crate::config::{Rate, SipLimits, UnknownPeer};
use crate::stats::Dropped;
use crate::transport::Hop;

const PREFIX: &str = "z9hG4bKtl0123abcd";

fn guard(limits: &SipLimits) -> Guard {
    Guard::new(RandomState::new(), PREFIX.to_owned(), limits, UnknownPeer::Reject)
}

fn source() -> SocketAddr {
    "192.0.2.55:5070".parse().unwrap()
}

fn trunk() -> Option<TrunkToken> {
    Some(TrunkToken(Arc::from("trk_a")))
}

fn options() -> String {
    "OPTIONS sip:gw@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.55:5070;branch=z9hG4bK776;rport\r\n\
     Max-Forwards: 70\r\nFrom: \"A, B\" <sip:a@example.org>;tag=1928\r\nTo: <sip:gw@203.0.113.1>\r\nCall-ID: a84b4c\r\n\
     CSeq: 63 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        .to_owned()
}

/// What a known trunk gets: `pass`, `drop REASON`, or the first line of the answer.
fn outcome(datagram: &[u8]) -> String {
    match guard(&SipLimits::default()).judge(0, datagram, source(), trunk()) {
        Verdict::Pass(_) => "pass".to_owned(),
        Verdict::Drop(reason) => format!("drop {}", reason.name()),
        Verdict::Answer { bytes, .. } => String::from_utf8(bytes).unwrap().lines().next().unwrap().to_owned(),
    }
}

fn replaced(from: &str, to: &str) -> String {
    let text = options();
    assert!(text.contains(from), "{from}");
    outcome(text.replace(from, to).as_bytes())
}

#[test]
fn well_formed_messages_in_every_legal_dress_pass() {
    assert_eq!(outcome(options().as_bytes()), "pass");
    for (from, to) in [
        ("Via: ", "v: "),
        ("From: ", "f: "),
        ("To: ", "t: "),
        ("Call-ID: ", "i: "),
        ("Content-Length: ", "l: "),
        ("Content-Length: 0\r\n", ""),
        ("Max-Forwards: 70\r\n", ""),
        ("Call-ID: ", "CALL-ID   :    "),
        ("Call-ID: ", "Call-ID:\r\n "),
        ("Max-Forwards: 70", "Max-Forwards:\r\n 0070"),
        ("Content-Length: 0", "l:\r\n\t0"),
        ("SIP/2.0/UDP 192.0.2.55:5070;branch=", "SIP / 2.0\r\n /UDP\r\n   192.0.2.55 : 5070 ;  branch\r\n  = "),
        ("branch=z9hG4bK776", "branch=390skdjuw"),
        (";branch=z9hG4bK776", ""),
        (";tag=1928", ";\r\n tag  =  1928"),
        (";tag=1928", ";x=\"a;tag=;\";tag=1928"),
        ("SIP/2.0\r\nVia", "sip/2.0\r\nVia"),
        ("Via: SIP/2.0", "Via: sip/2.0"),
        ("\"A, B\"", "\"A\\\0, B\""),
        ("sip:gw@203.0.113.1 SIP", "sip:g?w;x=1@203.0.113.1 SIP"),
        ("From: ", "From:\r\n\t"),
        ("CSeq: 63 OPTIONS", "CSeq: 63\r\n   OPTIONS"),
        ("CSeq: 63", "CSeq: 0063"),
        ("Max-Forwards: 70\r\n", "Max-Forwards: 70\r\nX-New: \u{fc}\u{f1}\r\nX-New: 2\r\n"),
        ("OPTIONS sip:", "OPTIONS sips:"),
        ("<sip:gw@203.0.113.1>\r\n", "sip:gw@203.0.113.1\r\n"),
        ("<sip:gw@203.0.113.1>\r\n", "<sip:gw@203.0.113.1;user=phone>;tag=x.y-z\r\n"),
        ("Content-Length: 0\r\n\r\n", "Content-Length: 3\r\n\r\nabcdef"),
        ("203.0.113.1 SIP", "[2001:db8::1]:5060 SIP"),
    ] {
        assert_eq!(replaced(from, to), "pass", "{from:?} -> {to:?}");
    }
}

#[test]
fn each_broken_rule_has_its_answer() {
    let too_many_vias = "Via: SIP/2.0/UDP h;branch=z9hG4bKa, SIP/2.0/UDP i;branch=z9hG4bKb\r\n".repeat(36);
    let too_many_headers = "X-A: 1\r\n".repeat(130);
    for (from, to, expected) in [
        ("SIP/2.0\r\nVia", "SIP/7.0\r\nVia", "SIP/2.0 505 Version Not Supported"),
        ("OPTIONS sip", "DANCE sip", "SIP/2.0 501 Not Implemented"),
        ("OPTIONS sip", "options sip", "SIP/2.0 501 Not Implemented"),
        ("OPTIONS sip:", "OPTIONS nobodyKnows:", "SIP/2.0 416 Unsupported URI Scheme"),
        ("OPTIONS sip:gw@203.0.113.1 ", "OPTIONS sip: ", "SIP/2.0 400 Bad Request-URI"),
        ("Call-ID: a84b4c\r\n", "Call-ID: a84b4c\r\ni: other\r\n", "SIP/2.0 400 One Call-ID Expected"),
        ("CSeq: 63 OPTIONS\r\n", "CSeq: 63 OPTIONS\r\nCSeq: 64 OPTIONS\r\n", "SIP/2.0 400 One CSeq Expected"),
        ("To: <sip", "To: <sip:b@c>\r\nTo: <sip", "SIP/2.0 400 One To Expected"),
        ("From: ", "f: <sip:x@y>;tag=2\r\nFrom: ", "SIP/2.0 400 One From Expected"),
        ("Content-Length: 0", "Content-Length: 0\r\nl: 0", "SIP/2.0 400 One Content-Length Expected"),
        ("Max-Forwards: 70", "Max-Forwards: 70\r\nMax-Forwards: 1", "SIP/2.0 400 One Max-Forwards Expected"),
        ("Max-Forwards: 70", "Max-Forwards: 300", "SIP/2.0 400 Bad Max-Forwards"),
        ("Max-Forwards: 70", "Max-Forwards: many", "SIP/2.0 400 Bad Max-Forwards"),
        ("Content-Length: 0", "Content-Length: 1", "SIP/2.0 400 Content-Length Beyond Datagram"),
        ("Content-Length: 0", "Content-Length: -999", "SIP/2.0 400 Bad Content-Length"),
        ("Content-Length: 0", "Content-Length: 18446744073709551615", "SIP/2.0 400 Bad Content-Length"),
        ("Content-Length: 0", "Content-Length:", "SIP/2.0 400 Bad Content-Length"),
        ("63 OPTIONS", "63 INVITE", "SIP/2.0 400 CSeq Method Differs"),
        ("63 OPTIONS", "2147483648 OPTIONS", "SIP/2.0 400 Bad CSeq"),
        ("63 OPTIONS", "OPTIONS", "SIP/2.0 400 Bad CSeq"),
        ("63 OPTIONS", "-1 OPTIONS", "SIP/2.0 400 Bad CSeq"),
        (";tag=1928", "", "SIP/2.0 400 From Tag Expected"),
        (";tag=1928", ";tag=", "SIP/2.0 400 From Tag Expected"),
        ("\"A, B\" <sip:a@example.org>", "\"A, B <sip:a@example.org>", "SIP/2.0 400 Bad From"),
        ("To: <sip:gw@203.0.113.1>", "To: <sip:gw@203.0.113.1", "SIP/2.0 400 Bad To"),
        ("branch=z9hG4bK776", "branch=", "SIP/2.0 400 Bad Branch"),
        ("branch=z9hG4bK776", "branch=z9hG4bK", "SIP/2.0 400 Bad Branch"),
        ("branch=z9hG4bK776;rport", ";,;,,", "SIP/2.0 400 Bad Via"),
        ("OPTIONS sip:gw@203.0.113.1 ", "OPTIONS <sip:gw@203.0.113.1> ", "SIP/2.0 400 Bad Request-URI"),
        ("OPTIONS sip:gw@203.0.113.1 ", "OPTIONS sip:gw@203.0.113.1?Route=x ", "SIP/2.0 400 Headers In Request-URI"),
        ("OPTIONS sip:gw@203.0.113.1 ", "OPTIONS  sip:gw@203.0.113.1 ", "SIP/2.0 400 Bad Request-URI"),
        ("OPTIONS sip:gw@203.0.113.1 ", "OPTIONS sip:gw@203.0.113.1; lr ", "SIP/2.0 400 Bad Request-URI"),
        ("SIP/2.0\r\nVia", "SIP/2.0  \r\nVia", "SIP/2.0 400 Bad Request-URI"),
        ("SIP/2.0/UDP 192", "SIP/2.0/TCP 192", "SIP/2.0 400 Bad Via"),
        ("SIP/2.0/UDP 192.0.2.55:5070", "SIP/2.0/UDP ", "SIP/2.0 400 Bad Via"),
        ("Call-ID: a84b4c", "Call-ID: a b", "SIP/2.0 400 Bad Call-ID"),
        ("Max-Forwards: 70\r\n", too_many_vias.as_str(), "SIP/2.0 400 Too Many Vias"),
        ("Max-Forwards: 70\r\n", too_many_headers.as_str(), "SIP/2.0 400 Too Many Headers"),
    ] {
        assert_eq!(replaced(from, to), expected, "{from:?} -> {to:?}");
    }
}

#[test]
fn what_cannot_be_answered_is_dropped() {
    for (from, to, expected) in [
        ("\r\n\r\n", "\r\n", "drop unparsable"),
        ("Max-Forwards: 70", "Max-Forwards 70", "drop unparsable"),
        ("Max-Forwards: 70", "Max Forwards: 70", "drop unparsable"),
        ("Max-Forwards: 70\r\n", "Max-Forwards: 70\n", "drop unparsable"),
        ("Max-Forwards: 70", "Max-\0Forwards: 70", "drop unparsable"),
        ("OPTIONS sip", "OPTIONS\tsip", "drop unparsable"),
        ("CSeq: 63 OPTIONS\r\n", "", "drop malformed"),
        ("OPTIONS", "ACK", "pass"),
        ("63 OPTIONS", "63 ACK", "SIP/2.0 400 CSeq Method Differs"),
    ] {
        assert_eq!(replaced(from, to), expected, "{from:?} -> {to:?}");
    }
    let ack = options().replace("OPTIONS", "ACK").replace(";tag=1928", "");
    assert_eq!(outcome(ack.as_bytes()), "drop malformed", "an ACK is never answered");
    assert_eq!(outcome(b"\r\n\r\n"), "drop keep_alive");
    assert_eq!(outcome(&[0xff; 40]), "drop unparsable");
    assert_eq!(outcome(&vec![b'a'; 17_000]), "drop too_large");
}

#[test]
fn the_stack_gets_a_message_in_its_plainest_form() {
    let odd = "OPTIONS sip:gw@203.0.113.1 sip/2.0\r\nv : SIP  / 2.0\r\n / UDP\r\n  192.0.2.55 ; branch\r\n = z9hG4bK776 ,\r\n\
        \tSIP/2.0/TCP  h\r\nFrom:\r\n  \"A ;  B\" <sip:a@example.org;x=1> ;\r\n tag = 19\r\nTo: sip:gw@203.0.113.1 ; y\r\n\
        Call-ID:\r\n a84b4c\r\nCSeq:\r\n  63\r\n  OPTIONS\r\nSubject: as  it\r\n  was\r\n\r\nbody";
    let mut guard = guard(&SipLimits::default());
    let Verdict::Pass(admitted) = guard.judge(0, odd.as_bytes(), source(), trunk()) else { panic!("refused") };
    let plain = "OPTIONS sip:gw@203.0.113.1 SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.55;branch=z9hG4bK776,SIP/2.0/TCP h\r\n\
        From: \"A ;  B\" <sip:a@example.org;x=1>;tag=19\r\nTo: sip:gw@203.0.113.1;y\r\nCall-ID: a84b4c\r\nCSeq: 63 OPTIONS\r\n\
        Subject: as  it was\r\nContent-Length: 4\r\n\r\nbody";
    assert_eq!(String::from_utf8_lossy(&admitted.bytes), plain);
    let once = admitted.bytes.into_owned();
    let Verdict::Pass(again) = guard.judge(0, &once, source(), trunk()) else { panic!("refused") };
    assert!(matches!(again.bytes, std::borrow::Cow::Borrowed(_)), "what is plain is not written again");
}

#[test]
fn a_long_header_is_served_within_the_limit_and_answered_513_beyond_it() {
    for (length, expected) in [
        (9000, "pass"),
        (16_000, "pass"),
        (17_000, "SIP/2.0 513 Message Too Large"),
        (60_000, "SIP/2.0 513 Message Too Large"),
    ] {
        let long = format!("Max-Forwards: 70\r\nX-Long: {}\r\n", "a".repeat(length));
        assert_eq!(replaced("Max-Forwards: 70\r\n", &long), expected, "{length}");
    }
    let large = options().replace("Max-Forwards: 70", &format!("X-Long: {}", "a".repeat(60_000)));
    let mut guard = guard(&SipLimits::default());
    let verdict = guard.judge(0, large.as_bytes(), source(), None);
    assert!(matches!(verdict, Verdict::Drop(Dropped::TooLarge)), "a stranger gets nothing for it");
    let Verdict::Answer { bytes, .. } = guard.judge(0, large.as_bytes(), source(), trunk()) else { panic!() };
    assert!(bytes.len() < 400, "what was too long is not copied back");
}

#[test]
fn a_stranger_never_gets_more_bytes_than_it_sent() {
    let short = "OPTIONS sip:g@h SIP/2.0\r\nv:SIP/2.0/UDP h;branch=z9hG4bK1\r\nf:<sip:a@b>;tag=1\r\nt:<sip:g@h>\r\n\
        i:c\r\nCSeq:1 OPTIONS\r\n\r\n";
    let mut guard = guard(&SipLimits::default());
    assert!(matches!(guard.judge(0, short.as_bytes(), source(), None), Verdict::Drop(Dropped::UnknownPeer)));
    let usual = short.replace("i:c", "i:c\r\nUser-Agent: one that says who it is\r\nMax-Forwards: 70\r\nContact: <sip:a@192.0.2.55:5070>\r\nAccept: application/sdp");
    let Verdict::Answer { bytes, .. } = guard.judge(0, usual.as_bytes(), source(), None) else { panic!() };
    assert!(bytes.len() <= usual.len());
}

#[test]
fn ipv4_strangers_on_a_socket_for_both_families_have_a_rate_each() {
    let limits = SipLimits { unknown_rate: Rate { per_second: 1, burst: 1 }, ..SipLimits::default() };
    let mut guard = guard(&limits);
    for host in 1..=20u8 {
        let source: SocketAddr = format!("[::ffff:192.0.2.{host}]:5060").parse().unwrap();
        let [first, second] = ["a", "b"].map(|branch| options().replace("776", &format!("{branch}{host}")));
        let answered = guard.judge(0, first.as_bytes(), source, None);
        assert!(matches!(answered, Verdict::Answer { status: 403, .. }), "{host}");
        assert!(matches!(guard.judge(0, second.as_bytes(), source, None), Verdict::Drop(Dropped::Rate)), "{host}");
    }
}

#[test]
fn a_trunk_has_one_budget_however_many_addresses_it_has_and_other_trunks_have_theirs() {
    let limits = SipLimits { trunk_rate: Some(Rate { per_second: 1, burst: 10 }), ..SipLimits::default() };
    let mut guard = guard(&limits);
    let text = options();
    let mut passed = |name: &str| {
        let own = Some(TrunkToken(name.into()));
        let from = |host: u8| SocketAddr::from(([198, 51, 100, host], 5060));
        let verdicts = (0..=255u8).map(|host| guard.judge(0, text.as_bytes(), from(host), own.clone()));
        verdicts.filter(|verdict| matches!(verdict, Verdict::Pass(_))).count()
    };
    assert_eq!((passed("trk_a"), passed("trk_a"), passed("trk_b")), (10, 0, 10));
}

#[test]
fn a_proxy_that_hands_two_hundred_calls_a_second_over_is_within_its_budget() {
    let mut guard = guard(&SipLimits::default());
    let text = options();
    let mut judged = 0;
    for second in 0..10_u64 {
        for call in 0..200_u64 {
            let now_us = second * 1_000_000 + call * 5_000;
            // INVITE, ACK, INFO, re-INVITE, its ACK and BYE, one of them twice.
            for _ in 0..7 {
                assert!(
                    matches!(guard.judge(now_us, text.as_bytes(), source(), trunk()), Verdict::Pass(_)),
                    "{judged}"
                );
                judged += 1;
            }
        }
    }
    assert_eq!(judged, 14_000);
}

#[test]
fn junk_from_a_trunks_address_leaves_room_for_the_requests_of_its_calls() {
    let limits = SipLimits { trunk_rate: Some(Rate { per_second: 1, burst: 10 }), ..SipLimits::default() };
    let mut guard = guard(&limits);
    let (junk, bye) = (options(), options().replace("OPTIONS", "BYE"));
    let calls = |message: &super::Message<'_>| (message.method() == Some("BYE")).then(|| trunk().unwrap());
    let mut sent = |text: &str| match guard.judge_beside(0, text.as_bytes(), Hop::udp(source()), trunk(), calls) {
        Verdict::Pass(_) => true,
        Verdict::Drop(Dropped::Rate) => false,
        other => panic!("{other:?}"),
    };
    assert_eq!((0..1000).filter(|_| sent(&junk)).count(), 10);
    assert_eq!((0..1000).filter(|_| sent(&bye)).count(), 10, "the reserve has a bound of its own");
}

#[test]
fn a_call_outlives_its_trunk_and_nothing_else_of_it_does() {
    let mut guard = guard(&SipLimits::default());
    let calls = |message: &super::Message<'_>| (message.method() == Some("BYE")).then(|| trunk().unwrap());
    let mut judge = |text: &str| match guard.judge_beside(0, text.as_bytes(), Hop::udp(source()), None, calls) {
        Verdict::Pass(admitted) => admitted.trunk.map(|trunk| trunk.0.to_string()),
        Verdict::Answer { status, .. } => Some(status.to_string()),
        Verdict::Drop(reason) => Some(reason.name().to_owned()),
    };
    assert_eq!(judge(&options().replace("OPTIONS", "BYE")), trunk().map(|trunk| trunk.0.to_string()));
    assert_eq!(judge(&options()).as_deref(), Some("403"));
    assert_eq!(judge(&options().replace("OPTIONS", "ACK")).as_deref(), Some("unknown_peer"));
}

#[test]
fn a_body_without_a_length_gets_one() {
    let text = options().replace("Content-Length: 0\r\n\r\n", "\r\nbody");
    let Verdict::Pass(admitted) = guard(&SipLimits::default()).judge(0, text.as_bytes(), source(), trunk()) else {
        panic!("refused");
    };
    assert!(String::from_utf8_lossy(&admitted.bytes).ends_with("63 OPTIONS\r\nContent-Length: 4\r\n\r\nbody"));
}

#[test]
fn an_answer_goes_where_the_request_came_from_and_keeps_its_tag() {
    let mut guard = guard(&SipLimits::default());
    let text = options().replace("63 OPTIONS", "63 INVITE");
    let mut answer = || match guard.judge(0, text.as_bytes(), source(), trunk()) {
        Verdict::Answer { bytes, .. } => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    };
    let first = answer();
    let via = "Via: SIP/2.0/UDP 192.0.2.55:5070;branch=z9hG4bK776;received=192.0.2.55;rport=5070\r\n";
    assert!(first.contains(via), "{first}");
    assert!(first.contains("From: \"A, B\" <sip:a@example.org>;tag=1928\r\n") && first.contains("CSeq: 63 INVITE\r\n"));
    assert!(first.contains("To: <sip:gw@203.0.113.1>;tag="));
    assert_eq!(first, answer(), "a retransmission gets the same tag");
}

#[test]
fn a_stranger_gets_one_short_403_per_request_whatever_it_asks() {
    let mut guard = guard(&SipLimits::default());
    let mut ask = |text: &str| match guard.judge(0, text.as_bytes(), source(), None) {
        Verdict::Answer { bytes, status, .. } => {
            assert!(bytes.len() <= text.len(), "no amplification");
            Some((status, String::from_utf8(bytes).unwrap().lines().next().unwrap().to_owned()))
        }
        Verdict::Drop(Dropped::UnknownPeer) => None,
        other => panic!("{other:?}"),
    };
    let forbidden = Some((403, "SIP/2.0 403 Forbidden".to_owned()));
    assert_eq!(ask(&options()), forbidden);
    assert_eq!(ask(&options()), None, "its retransmission gets nothing");
    assert_eq!(ask(&options().replace("776", "777")), forbidden);
    assert_eq!(ask(&options().replace("OPTIONS", "REGISTER").replace("776", "778")), forbidden);
    assert_eq!(ask(&options().replace("SIP/2.0\r\n", "SIP/7.0\r\n").replace("776", "779")), forbidden);
    assert_eq!(ask(&options().replace("OPTIONS", "ACK").replace("776", "780")), None);
    assert_eq!(ask("nonsense"), None);
}

#[test]
fn a_flood_of_strangers_is_answered_at_its_rate_and_a_trunk_is_limited_apart() {
    let limits = SipLimits {
        trunk_rate: Some(Rate { per_second: 10, burst: 10 }),
        unknown_rate: Rate { per_second: 1, burst: 2 },
        unknown_total_rate: Rate { per_second: 1, burst: 5 },
        ..SipLimits::default()
    };
    let mut guard = guard(&limits);
    let mut answers = 0;
    for host in 0..100u8 {
        for request in 0..10 {
            let text = options().replace("776", &format!("{host}x{request}"));
            let from = SocketAddr::from(([198, 51, 100, host], 5060));
            if matches!(guard.judge(0, text.as_bytes(), from, None), Verdict::Answer { .. }) {
                answers += 1;
            }
        }
    }
    assert_eq!(answers, 5);
    let passed = (0..100)
        .filter(|_| matches!(guard.judge(0, options().as_bytes(), source(), trunk()), Verdict::Pass(_)))
        .count();
    assert_eq!(passed, 10);
}

#[test]
fn only_responses_to_our_own_requests_pass() {
    let response = |branch: &str| {
        format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 203.0.113.1:5060;branch={branch}\r\nFrom: <sip:gw@h>;tag=1\r\n\
             To: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n"
        )
    };
    assert_eq!(outcome(response(&format!("{PREFIX}77")).as_bytes()), "pass");
    assert_eq!(outcome(response("z9hG4bKother").as_bytes()), "drop stray_response");
    assert_eq!(outcome(response(&format!("{PREFIX}77")).replace("200 OK", "99 Odd").as_bytes()), "drop stray_response");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_get_a_verdict(bytes in proptest::collection::vec(any::<u8>(), 0..400), known: bool) {
        let mut guard = guard(&SipLimits::default());
        let _ = guard.judge(0, &bytes, source(), trunk().filter(|_| known));
    }

    /// A mutated message either goes no further, or is one the stack's parser reads with the same start line.
    #[test]
    fn what_passes_is_what_the_stack_reads(
        cuts in proptest::collection::vec((0..400usize, 0..30usize, "[ -~\\r\\n\\t]{0,12}"), 1..4),
    ) {
        let mut bytes = options().into_bytes();
        for (at, len, insert) in cuts {
            let at = at.min(bytes.len());
            let end = (at + len).min(bytes.len());
            bytes.splice(at..end, insert.into_bytes());
        }
        let mut guard = guard(&SipLimits::default());
        match guard.judge(0, &bytes, source(), trunk()) {
            Verdict::Pass(admitted) => {
                if let Ok(rsipstack::sip::SipMessage::Request(request)) =
                    rsipstack::sip::SipMessage::try_from(admitted.bytes.as_ref())
                {
                    let method = request.method.to_string();
                    prop_assert_eq!(Some(method.as_str()), admitted.message.method());
                }
            }
            Verdict::Answer { bytes, status, .. } => {
                prop_assert!((400..600).contains(&status));
                prop_assert!(bytes.starts_with(b"SIP/2.0 ") && bytes.ends_with(b"Content-Length: 0\r\n\r\n"));
            }
            Verdict::Drop(_) => {}
        }
    }
}
