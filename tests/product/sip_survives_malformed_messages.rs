//! Hundreds of malformed SIP messages from a trunk's own address leave the gateway up, and the next call is answered.

use std::net::UdpSocket;
use std::time::Duration;

use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::mutate::Seeded;
use trunkline_tests::{objects, wait};

const MESSAGES: usize = 600;

fn invite(target: &str, local: &str, number: usize) -> String {
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";
    format!(
        "INVITE sip:1000@{target} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{number};rport\r\nMax-Forwards: 70\r\nFrom: <sip:fuzz@{local}>;tag=f{number}\r\nTo: <sip:1000@{target}>\r\nCall-ID: fuzz-{number}@{local}\r\nCSeq: 1 INVITE\r\nContact: <sip:fuzz@{local}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}

fn options(target: &str, local: &str, number: usize) -> String {
    format!(
        "OPTIONS sip:{target} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKo{number};rport\r\nMax-Forwards: 70\r\nFrom: <sip:alive@{local}>;tag=o{number}\r\nTo: <sip:{target}>\r\nCall-ID: alive-{number}@{local}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn the_gateway_still_answers_after_every_batch() {
    let scratch = tempfile::tempdir().unwrap();
    let objects = objects::answering(&objects::offline_agent("Hello.")).unwrap();
    let unlimited =
        Options::default().with("TRUNKLINE_SIP__SOURCE_RATE", "100000").with("TRUNKLINE_SIP__SOURCE_BURST", "100000");
    let mut gateway = Gateway::standalone(scratch.path(), &objects, unlimited).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (target, local) = (gateway.sip().to_string(), socket.local_addr().unwrap().to_string());
    let mut seeded = Seeded::new(4475);
    let mut buffer = [0; 65_536];
    for number in 0..MESSAGES {
        let whole = if number % 5 == 0 { options(&target, &local, number) } else { invite(&target, &local, number) };
        let damaged = seeded.damaged(whole.as_bytes());
        socket.send_to(&damaged[..damaged.len().min(60_000)], &target).unwrap();
        if number % 100 == 99 {
            let alive = options(&target, &local, 1_000_000 + number);
            let sign = format!("alive-{}@", 1_000_000 + number);
            wait::until_true("an answer to OPTIONS", Duration::from_secs(15), || {
                socket.send_to(alive.as_bytes(), &target).unwrap();
                while let Ok((length, _)) = socket.recv_from(&mut buffer) {
                    let text = String::from_utf8_lossy(&buffer[..length]);
                    if text.starts_with("SIP/2.0 200") && text.contains(&sign) {
                        return true;
                    }
                }
                false
            })
            .unwrap();
        }
    }
    assert!(gateway.process().is_running());
    assert!(!gateway.process().log().contains("panicked"), "{}", gateway.process().log());
}
