//! A call over real sockets: an answering side on another task sends speech, is interrupted, and hangs up.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use trunkline_caller::{Happened, HungUpBy, Message, Placement, Step, Utterance, place, write_wav};

#[tokio::test(flavor = "current_thread")]
async fn both_voices_are_recorded_where_they_were_spoken() {
    let sip = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let media = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let gateway = sip.local_addr().unwrap();
    let agent = tokio::spawn(answer(sip, media));
    let say = Utterance { text: "stop".to_owned(), pcm: vec![6000; 8 * 200], ..Utterance::default() };
    let placement = Placement {
        gateway,
        target: format!("sip:100@{gateway}"),
        from: "sip:200@127.0.0.1".to_owned(),
        local: gateway.ip(),
        sip_port: 0,
        seed: 77,
        headers: vec![],
        cancel_after_ms: None,
        limit_ms: 20_000,
        steps: vec![
            Step::Interrupt { after_ms: 300, say, timeout_ms: 10_000 },
            Step::WaitForHangUp { timeout_ms: 10_000 },
        ],
    };
    let both = async { (place(placement, |_| {}).await.unwrap(), agent.await.unwrap()) };
    let (report, ()) = tokio::time::timeout(Duration::from_secs(40), both).await.unwrap();
    assert!(report.events.iter().any(|e| e.what == Happened::HungUp { by: HungUpBy::Agent }), "{:?}", report.events);
    assert!(report.caller.iter().filter(|&&s| s == 6000).count() == 1600);
    assert!(report.agent.iter().filter(|&&s| s.abs() > 4000).count() >= 300 * 8);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("call.wav");
    write_wav(&file, &report.caller, &report.agent).unwrap();
    assert_eq!(hound::WavReader::open(&file).unwrap().duration() as usize, report.agent.len());
}

/// Answers the first call, speaks until the caller does, and hangs up.
async fn answer(sip: UdpSocket, media: UdpSocket) {
    let mut buffer = vec![0; 4096];
    let (length, caller) = sip.recv_from(&mut buffer).await.unwrap();
    let invite = Message::parse(&buffer[..length]).unwrap();
    let port: u16 = std::str::from_utf8(&invite.body)
        .unwrap()
        .lines()
        .find_map(|l| l.strip_prefix("m=audio ")?.split(' ').next()?.parse().ok())
        .unwrap();
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n",
        media.local_addr().unwrap().port()
    );
    let contact = format!("<sip:agent@{}>", sip.local_addr().unwrap());
    let mut ok = Message::response(&invite, 200, "OK").with("Contact", contact);
    for (name, value) in &mut ok.headers {
        if name == "To" {
            value.push_str(";tag=agent");
        }
    }
    let ok = ok.with_body("application/sdp", sdp.into_bytes());
    sip.send_to(&ok.to_bytes(), caller).await.unwrap();

    let to = SocketAddr::new(caller.ip(), port);
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let mut sequence = 0_u16;
    let interrupted = async {
        let mut packet = [0; 2048];
        loop {
            let (length, _) = media.recv_from(&mut packet).await.unwrap();
            // Code 0xff is silence.
            if length == 172 && packet[12] != 0xff {
                return;
            }
        }
    };
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            () = &mut interrupted => break,
            _ = pace.tick() => {
                sequence += 1;
                let mut packet = vec![0x80, 0];
                packet.extend(sequence.to_be_bytes());
                packet.extend((u32::from(sequence) * 160).to_be_bytes());
                packet.extend([0, 0, 0, 5]);
                packet.extend([0x20; 160]);
                media.send_to(&packet, to).await.unwrap();
            }
        }
    }
    // The caller is let finish: its 200 ms of speech are over when silence comes again.
    let mut packet = [0; 2048];
    loop {
        let (length, _) = media.recv_from(&mut packet).await.unwrap();
        if length == 172 && packet[12..length].iter().all(|&code| code == 0xff) {
            break;
        }
    }
    let bye = Message::parse(b"BYE sip:caller SIP/2.0\r\n\r\n")
        .unwrap()
        .with("Via", format!("SIP/2.0/UDP {};branch=z9hG4bKbye", sip.local_addr().unwrap()))
        .with("From", ok.header("To").unwrap())
        .with("To", invite.header("From").unwrap())
        .with("Call-ID", invite.header("Call-ID").unwrap())
        .with("CSeq", "1 BYE");
    sip.send_to(&bye.to_bytes(), caller).await.unwrap();
    loop {
        let (length, _) = sip.recv_from(&mut buffer).await.unwrap();
        let message = Message::parse(&buffer[..length]).unwrap();
        if message.status() == Some(200) && message.cseq() == Some((1, "BYE")) {
            return;
        }
    }
}
