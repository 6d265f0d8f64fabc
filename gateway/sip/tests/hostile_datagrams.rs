//! Tens of thousands of mutated messages, and in the slow tier a million, leave the endpoint up and serving: with limits off
//! for the source, so that they reach the parser, and with them on.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use support::torture::{Torture, catalogue};
use support::{Peer, answer_all, eventually, start};
use trunkline_sip::Rate;

/// xorshift64*: the same datagrams in every run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % n
    }
}

fn mutated(text: &str, seeded: &mut Seeded) -> Vec<u8> {
    const PIECES: &[&str] = &[
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\0",
        ";",
        ",",
        "<",
        ">",
        "\"",
        "%",
        "Via: ",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: -1\r\n",
        "CSeq: 4294967296 INVITE\r\n",
        "sip:",
        "SIP/2.0",
        ";tag=",
        ":",
        " ",
        "\t",
        "\u{fffd}",
        "Via: SIP/2.0/UDP\r\n",
        "Via:\r\n",
        "Record-Route: <sip:\r\n",
        "Contact: *\r\n",
        "To: <sip:a@[::1>\r\n",
        "v=0\r\n",
    ];
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=seeded.below(2) {
        let at = seeded.below(bytes.len().max(1));
        match seeded.below(9) {
            0 => bytes.truncate(at),
            1 => bytes[at..].iter_mut().take(1).for_each(|byte| *byte ^= 1 << seeded.below(8)),
            2 | 5 => drop(bytes.drain(at..(at + seeded.below(20)).min(bytes.len()))),
            3 | 6 => {
                let piece = PIECES[seeded.below(PIECES.len())];
                bytes.splice(at..at, piece.bytes());
            }
            _ => {
                let copy: Vec<u8> = bytes[at..(at + 60).min(bytes.len())].to_vec();
                bytes.splice(at..at, copy);
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

/// A message to begin with: one of the catalogue, a request of a call, or a response.
fn base(peer: &Peer, catalogue: &[Torture], round: usize) -> String {
    let call = format!("h{round}");
    match round % 8 {
        0 | 1 => peer.invite(&call, 1, ""),
        2 => peer.request("OPTIONS", &call, 1, "", ""),
        3 => peer.request("BYE", &call, 1, ";tag=none", ""),
        4 => peer.request("INFO", &call, 1, ";tag=none", "Content-Type: application/dtmf-relay\r\n\r\nSignal=5"),
        5 => format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:a@b>;tag=2\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        ),
        _ => catalogue[round / 8 % catalogue.len()].text.clone(),
    }
}

/// Sends so many mutated messages, from a trunk whose limits are off, and looks all the while whether anybody is there.
fn bombard(datagrams: usize, seed: u64) {
    let (endpoint, events) = start(|config| {
        config.limits.trunk_rate = None;
        config.limits.max_calls = 100_000;
        config.limits.max_transactions = 100_000;
        config.timers.t1 = Duration::from_millis(10);
    });
    let seen = answer_all(events, false);
    let hostile = Peer::new(&endpoint);
    let mut seeded = Seeded(seed);
    let mut messages = Vec::new();
    for round in 0..datagrams {
        // Messages of one round are other transactions than those of the next.
        if round % (8 * 64) == 0 {
            messages = catalogue(hostile.port(), round);
        }
        hostile.send_bytes(&mutated(&base(&hostile, &messages, round), &mut seeded));
        if round % 50 == 0 {
            // Keeps the socket's queue from overflowing, and shows that it still answers.
            let probe = Peer::new(&endpoint);
            probe.send(&probe.request("OPTIONS", &format!("probe{round}"), 1, "", ""));
            probe.expect("SIP/2.0 200");
        }
    }
    let stats = endpoint.stats();
    let (sent, probes) = (datagrams as u64, datagrams.div_ceil(50) as u64);
    let reached = stats.parsed - probes;
    assert!(reached * 100 >= sent * 95, "{reached} of {sent} reached the parser: {stats:?}");
    assert!(stats.dropped["unparsable"] * 20 > sent && stats.dropped["malformed"] * 20 > sent, "{stats:?}");
    assert!(stats.requests.values().sum::<u64>() * 20 > sent, "many are still valid, and served: {stats:?}");
    assert!(endpoint.beats().is_some(), "every task it needs lives");
    let peer = Peer::new(&endpoint);
    let before = seen.byes.load(SeqCst);
    let to = peer.call("sound");
    peer.send(&peer.request("BYE", "sound", 2, &to, ""));
    peer.expect("SIP/2.0 200");
    eventually("the sound call was told", || seen.byes.load(SeqCst) == before + 1);
    // Mutated INVITEs that were still valid are never acknowledged, so they end in BYE.
    eventually("nothing is left of the others", || endpoint.calls() == 0);
    println!(
        "{sent} sent, {reached} parsed, {} served, dropped: {:?}",
        stats.requests.values().sum::<u64>(),
        stats.dropped
    );
}

#[test]
fn fifty_thousand_mutated_messages_leave_it_serving() {
    bombard(50_000, 0x7472_756e_6b6c_696e);
}

#[test]
#[ignore = "slow: a million datagrams take minutes"]
fn a_million_mutated_messages_leave_it_serving() {
    bombard(1_000_000, 0x6d69_6c6c_696f_6e21);
}

#[test]
fn with_its_limits_on_a_flood_costs_the_call_beside_it_nothing() {
    bombard_within_limits(50_000);
}

#[test]
#[ignore = "slow: a million datagrams take minutes"]
fn with_its_limits_on_a_million_cost_the_call_beside_them_nothing() {
    bombard_within_limits(1_000_000);
}

/// Sends so many mutated messages from a trunk that is held to its rate, and looks all the while whether the call beside is
/// served.
fn bombard_within_limits(datagrams: usize) {
    let (endpoint, events) = start(|config| {
        config.limits.trunk_rate = Some(Rate { per_second: 500, burst: 1000 });
        config.timers.t1 = Duration::from_millis(50);
    });
    let seen = answer_all(events, false);
    let peer = Peer::new(&endpoint);
    let to = peer.call("beside");
    eventually("the call is up", || seen.acked.load(SeqCst) == 1);
    let hostile = Peer::from(Ipv4Addr::new(127, 0, 0, 2), &endpoint);
    let mut seeded = Seeded(0x6265_7369_6465);
    let mut messages = Vec::new();
    for round in 0..datagrams {
        if round % (8 * 64) == 0 {
            messages = catalogue(hostile.port(), round);
        }
        hostile.send_bytes(&mutated(&base(&hostile, &messages, round), &mut seeded));
        if round % 100 == 0 {
            peer.send(&peer.request("OPTIONS", "beside", 10 + u32::try_from(round).unwrap(), &to, ""));
            peer.expect("SIP/2.0 200");
        }
    }
    assert!(endpoint.stats().dropped["rate"] > 1000, "{:?}", endpoint.stats());
    assert!(endpoint.beats().is_some(), "every task it needs lives");
    peer.send(&peer.request("BYE", "beside", 20_000_000, &to, ""));
    peer.expect_to("20000000 BYE", "SIP/2.0 200");
    eventually("the others are gone too", || endpoint.calls() == 0);
}
