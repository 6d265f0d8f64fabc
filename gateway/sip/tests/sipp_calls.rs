//! Real calls by SIPp against a real endpoint.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use support::{answer_all, eventually, sipp, start, start_unknown, succeeded};

#[test]
fn a_hundred_calls_are_answered_and_none_fails() {
    let (endpoint, events) = start(|config| config.timers.t1 = Duration::from_millis(500));
    let seen = answer_all(events, false);
    succeeded(&sipp(&endpoint, &["-sn", "uac", "-m", "100", "-r", "50", "-l", "100", "-d", "200"]));
    eventually("every call is over", || endpoint.calls() == 0);
    assert_eq!(seen.invites.load(SeqCst), 100);
    eventually("every hang-up is told", || seen.byes.load(SeqCst) == 100);
    assert_eq!(seen.acked.load(SeqCst), 100);
    let stats = endpoint.stats();
    assert_eq!(stats.responses[&("INVITE", 100)], stats.responses[&("INVITE", 180)]);
    assert!(stats.requests["ACK"] >= 100 && stats.requests["BYE"] >= 100);
}

#[test]
fn calls_that_we_hang_up_end_with_our_bye() {
    let (endpoint, events) = start(|config| config.timers.t1 = Duration::from_millis(500));
    let seen = answer_all(events, true);
    succeeded(&sipp(&endpoint, &["-sf", "hung_up.xml", "-m", "20", "-r", "20"]));
    eventually("every call is over", || endpoint.calls() == 0);
    assert_eq!((seen.acked.load(SeqCst), seen.byes.load(SeqCst)), (20, 0));
}

#[test]
fn cancelled_calls_get_487() {
    let (endpoint, mut events) = start(|config| config.timers.t1 = Duration::from_millis(500));
    let cancelled = std::thread::spawn(move || {
        let mut cancelled = 0;
        let mut kept = Vec::new();
        while cancelled < 20 {
            match events.blocking_recv() {
                Some(trunkline_sip::SipEvent::Invite(invite)) => {
                    invite.handle.ring(None).unwrap();
                    kept.push(invite);
                }
                Some(trunkline_sip::SipEvent::Cancelled { .. }) => cancelled += 1,
                other => panic!("{other:?}"),
            }
        }
        cancelled
    });
    succeeded(&sipp(&endpoint, &["-sf", "cancel.xml", "-m", "20", "-r", "20"]));
    assert_eq!(cancelled.join().unwrap(), 20);
    assert_eq!(endpoint.calls(), 0);
}

#[test]
fn an_answer_that_sipp_never_acknowledges_ends_in_bye() {
    let (endpoint, events) = start(|config| config.timers.t1 = Duration::from_millis(20));
    let seen = answer_all(events, false);
    succeeded(&sipp(&endpoint, &["-sf", "no_ack.xml", "-m", "5", "-r", "5"]));
    eventually("every call is over", || endpoint.calls() == 0);
    assert_eq!(seen.no_acks.load(SeqCst), 5);
}

#[test]
fn a_source_of_no_trunk_gets_403_exactly_once_per_request() {
    let (endpoint, mut events) = start_unknown();
    succeeded(&sipp(&endpoint, &["-sf", "forbidden.xml", "-m", "10", "-r", "20"]));
    let stats = endpoint.stats();
    assert_eq!(stats.answered(403), 10);
    assert_eq!(stats.responses.values().sum::<u64>(), 10, "and nothing but that: {:?}", stats.responses);
    assert_eq!(stats.transactions, 0, "refused without state");
    assert!(events.try_recv().is_none());
}

#[test]
fn calls_beyond_the_limit_get_503_and_those_up_go_on() {
    let (endpoint, events) = start(|config| {
        config.limits.max_calls = 1;
        config.timers.t1 = Duration::from_millis(500);
    });
    let seen = answer_all(events, false);
    let peer = support::Peer::new(&endpoint);
    let to = peer.call("up");
    eventually("the call is up", || seen.acked.load(SeqCst) == 1);
    succeeded(&sipp(&endpoint, &["-sf", "full.xml", "-m", "20", "-r", "40"]));
    assert_eq!((endpoint.stats().answered(503), endpoint.calls()), (20, 1));
    peer.send(&peer.request("BYE", "up", 2, &to, ""));
    peer.expect("SIP/2.0 200");
    assert_eq!(seen.invites.load(SeqCst), 1);
}

#[test]
fn two_thousand_calls_leave_nothing_behind() {
    let (endpoint, events) = start(|config| {
        config.timers.t1 = Duration::from_millis(60);
        config.limits.max_calls = 4000;
    });
    let seen = answer_all(events, false);
    // The first calls pay for what is allocated once.
    succeeded(&sipp(&endpoint, &["-sn", "uac", "-m", "300", "-r", "150", "-l", "600", "-d", "50"]));
    let before = resident_kb();
    succeeded(&sipp(&endpoint, &["-sn", "uac", "-m", "2000", "-r", "200", "-l", "1000", "-d", "50"]));
    eventually("every call is over", || endpoint.calls() == 0);
    eventually("every transaction is over", || endpoint.stats().transactions == 0);
    let grown = resident_kb().saturating_sub(before);
    assert_eq!(seen.invites.load(SeqCst), 2300);
    assert!(grown < 12_000, "2000 calls left {grown} kB behind");
}

/// Resident memory of this process in kB.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}
