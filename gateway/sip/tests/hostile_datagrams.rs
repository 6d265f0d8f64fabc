//! Hundreds of malformed datagrams from a trunk without limits leave the endpoint up and serving.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use support::{Peer, answer_all, eventually, start};

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
    for _ in 0..=seeded.below(4) {
        let at = seeded.below(bytes.len().max(1));
        match seeded.below(5) {
            0 => bytes.truncate(at),
            1 => bytes[at..].iter_mut().take(1).for_each(|byte| *byte ^= 1 << seeded.below(8)),
            2 => drop(bytes.drain(at..(at + seeded.below(20)).min(bytes.len()))),
            3 => {
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

#[test]
fn a_thousand_malformed_datagrams_leave_it_serving() {
    let (endpoint, events) = start(|config| {
        config.limits.trunk_rate = None;
        config.timers.t1 = Duration::from_millis(10);
    });
    let seen = answer_all(events, false);
    let hostile = Peer::new(&endpoint);
    let mut seeded = Seeded(0x7472_756e_6b6c_696e);
    for round in 0..1000 {
        let call = format!("h{round}");
        let base = match round % 4 {
            0 => hostile.invite(&call, 1, ""),
            1 => hostile.request("OPTIONS", &call, 1, "", ""),
            2 => hostile.request("BYE", &call, 1, ";tag=none", ""),
            _ => format!(
                "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n\
                 To: <sip:a@b>;tag=2\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
            ),
        };
        hostile.send_bytes(&mutated(&base, &mut seeded));
        if round % 50 == 0 {
            // Keeps the socket's queue from overflowing, and shows that it still answers.
            let probe = Peer::new(&endpoint);
            probe.send(&probe.request("OPTIONS", &format!("probe{round}"), 1, "", ""));
            probe.expect("SIP/2.0 200");
        }
    }
    let stats = endpoint.stats();
    assert!(stats.dropped["unparsable"] > 50 && stats.dropped["malformed"] > 50, "{stats:?}");
    assert!(stats.dropped["stray_response"] > 50, "{stats:?}");
    let peer = Peer::new(&endpoint);
    let before = seen.byes.load(SeqCst);
    let to = peer.call("sound");
    peer.send(&peer.request("BYE", "sound", 2, &to, ""));
    peer.expect("SIP/2.0 200");
    eventually("the sound call was told", || seen.byes.load(SeqCst) == before + 1);
    // Mutated INVITEs that were still valid are never acknowledged, so they end in BYE.
    eventually("nothing is left of the others", || endpoint.calls() == 0);
}
