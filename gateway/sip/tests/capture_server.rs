//! Every message in and out is shown to a capture server as HEP version 3, without the keys that sound is encrypted with.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use support::{Peer, answer_all, eventually, start};
use trunkline_sip::sight::HepConfig;

/// A capture server.
struct Server(UdpSocket);

/// What it is shown, chunks by type.
type Chunks = BTreeMap<u16, Vec<u8>>;

impl Server {
    fn new() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(socket)
    }

    /// The next message, read as HEP's description has it.
    fn next(&self) -> Chunks {
        let mut buffer = [0; 65_536];
        let (length, _) = self.0.recv_from(&mut buffer).expect("a packet was expected");
        let packet = &buffer[..length];
        let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        assert!(packet.starts_with(b"HEP3") && usize::from(number(4)) == length);
        let (mut at, mut chunks) = (6, Chunks::new());
        while at < length {
            let size = usize::from(number(at + 4));
            assert!(number(at) == 0 && size >= 6, "vendor and length of a chunk");
            assert!(chunks.insert(number(at + 2), packet[at + 6..at + size].to_vec()).is_none());
            at += size;
        }
        chunks
    }

    /// The next message of a call whose first line begins so.
    fn expect(&self, call: &str, start: &str) -> Chunks {
        loop {
            let chunks = self.next();
            if chunks[&0x11] == call.as_bytes() && chunks[&0xf].starts_with(start.as_bytes()) {
                return chunks;
            }
        }
    }
}

fn port(chunks: &Chunks, kind: u16) -> u16 {
    u16::from_be_bytes([chunks[&kind][0], chunks[&kind][1]])
}

#[test]
fn every_message_of_a_call_is_shown_with_who_sent_it_and_without_its_keys() {
    let server = Server::new();
    let collector = server.0.local_addr().unwrap();
    let hep = HepConfig { collector, agent: 2001, password: "capture".to_owned().into() };
    let (endpoint, events) = start(|config| config.hep = Some(hep));
    let seen = answer_all(events, false);
    let peer = Peer::new(&endpoint);
    let key = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";
    let body = format!("{}{key}", support::OFFER);
    peer.send(&peer.request("INVITE", "shown", 1, "", &format!("Content-Type: application/sdp\r\n\r\n{body}")));
    let to = support::to_tag(&peer.expect("SIP/2.0 200"));
    peer.send(&peer.ack("shown", 1, &to));
    peer.send(&peer.request("BYE", "shown", 2, &to, ""));
    peer.expect_to("2 BYE", "SIP/2.0 200");

    let (us, them) = (endpoint.local_addr().port(), peer.port());
    let invite = server.expect("shown", "INVITE ");
    let text = String::from_utf8(invite[&0xf].clone()).unwrap();
    assert!(text.contains("inline:xxx") && !text.contains("WVNfX19z"), "{text}");
    assert_eq!(
        text.len(),
        peer.request("INVITE", "shown", 1, "", &format!("Content-Type: application/sdp\r\n\r\n{body}")).len()
    );
    assert_eq!(
        (invite[&1].as_slice(), invite[&2].as_slice(), invite[&0xb].as_slice()),
        (&[2][..], &[17][..], &[1][..])
    );
    assert_eq!((invite[&3].as_slice(), invite[&4].as_slice()), (&[127, 0, 0, 1][..], &[127, 0, 0, 1][..]));
    assert_eq!((port(&invite, 7), port(&invite, 8)), (them, us));
    assert_eq!((invite[&0xc].as_slice(), invite[&0xe].as_slice()), (&2001_u32.to_be_bytes()[..], &b"capture"[..]));
    assert!(invite[&9] > 1_700_000_000_u32.to_be_bytes().to_vec(), "seconds since 1970");
    for (start, from, to) in [
        ("SIP/2.0 100", us, them),
        ("SIP/2.0 200", us, them),
        ("ACK ", them, us),
        ("BYE ", them, us),
        ("SIP/2.0 200", us, them),
    ] {
        let chunks = server.expect("shown", start);
        assert_eq!((port(&chunks, 7), port(&chunks, 8)), (from, to), "{start}");
    }
    eventually("the call is told", || seen.byes.load(SeqCst) == 1);
    eventually("all of it is counted", || {
        let counts = endpoint.stats().hep.unwrap();
        counts.sent >= 7 && (counts.dropped, counts.failed) == (0, 0)
    });
}

#[test]
fn a_capture_server_that_is_not_there_costs_no_call() {
    let collector = Server::new().0.local_addr().unwrap();
    let hep = HepConfig { collector, agent: 1, password: String::new().into() };
    let (endpoint, events) = start(|config| config.hep = Some(hep));
    let _seen = answer_all(events, false);
    for n in 0..20 {
        let peer = Peer::new(&endpoint);
        let call = format!("alone{n}");
        let to = peer.call(&call);
        peer.send(&peer.request("BYE", &call, 2, &to, ""));
        peer.expect_to("2 BYE", "SIP/2.0 200");
    }
    eventually("all was tried", || {
        let counts = endpoint.stats().hep.unwrap();
        counts.sent + counts.failed >= 20 * 7 && counts.dropped == 0
    });
}
