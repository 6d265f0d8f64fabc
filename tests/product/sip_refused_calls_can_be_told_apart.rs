//! A call whose offer cannot be answered is refused for the reason there is, and the log says whose call it was.

use std::net::UdpSocket;
use std::time::Duration;

use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::{objects, wait};

fn invite(target: &str, local: &str, number: usize, sdp: &str) -> String {
    format!(
        "INVITE sip:1000@{target} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{number};rport\r\nMax-Forwards: \
         70\r\nFrom: <sip:+4930123456@{local}>;tag=f{number}\r\nTo: <sip:1000@{target}>\r\nCall-ID: \
         odd-{number}@{local}\r\nCSeq: 1 INVITE\r\nContact: <sip:odd@{local}>\r\nContent-Type: \
         application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}

fn offer(connection: &str, media: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc={connection}\r\nt=0 0\r\nm={media}\r\n")
}

#[test]
fn status_and_log_say_why_and_whose() {
    let scratch = tempfile::tempdir().unwrap();
    let objects = objects::answering(&objects::offline_agent("Hello.")).unwrap();
    let mut gateway = Gateway::standalone(scratch.path(), &objects, Options::default()).unwrap();
    gateway.await_agents(1).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let (target, local) = (gateway.sip().to_string(), socket.local_addr().unwrap().to_string());
    let audio = "audio 40000 RTP/AVP 0";
    let local_ip = "IN IP4 127.0.0.1";
    let cases = [
        ("this is no session description\r\n".to_owned(), 400, "bad_offer"),
        (format!("{}a={}\r\n", offer(local_ip, audio), "x".repeat(9000)), 400, "bad_offer"),
        (offer("IN IP6 2001:db8::1", audio), 488, "offer_unacceptable"),
        (offer("IN IP4 239.0.0.1/32", audio), 488, "offer_unacceptable"),
        (offer(local_ip, "audio 40000 RTP/AVP 18"), 488, "no_common_codec"),
    ];
    let mut buffer = [0; 65_536];
    for (number, (sdp, status, failure)) in cases.iter().enumerate() {
        let (whole, call_id) = (invite(&target, &local, number, sdp), format!("odd-{number}@"));
        let answered = wait::until("the refusal", Duration::from_secs(20), || {
            socket.send_to(whole.as_bytes(), &target).unwrap();
            while let Ok((length, _)) = socket.recv_from(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if text.contains(&call_id) && !text.starts_with("SIP/2.0 1") {
                    return Some(text);
                }
            }
            None
        })
        .unwrap();
        assert!(answered.starts_with(&format!("SIP/2.0 {status} ")), "{failure}: {answered}");
        let process = gateway.process();
        let line = wait::until("the line in the log", Duration::from_secs(20), || {
            let log = process.log();
            let named = |line: &&str| line.contains("call refused: ") && line.contains(&format!("odd-{number}"));
            log.lines().find(named).map(str::to_owned)
        })
        .unwrap();
        assert!(line.contains(failure) && line.contains(objects::id::TRUNK), "{line}");
        assert!(!line.contains("+4930123456") && !line.contains("127.0.0.1"), "no numbers or addresses: {line}");
    }
}
