//! Whoever overheard every tag of a call, and sends from another address of its trunk or from none, neither ends it nor moves
//! its sound.

use std::net::{Ipv4Addr, UdpSocket};

use serde_json::{Value, json};
use trunkline_caller::Message;
use trunkline_tests::attacker::Attacker;
use trunkline_tests::gateway::Gateway;
use trunkline_tests::line::{Line, shout};
use trunkline_tests::{echo, objects};

/// The trunk has both, and says that a call is the address's that it came from.
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

fn gateway(scratch: &std::path::Path) -> Gateway {
    let mut all: Value = toml::from_str(&objects::answering(&echo::agent()).unwrap()).unwrap();
    for object in all["object"].as_array_mut().unwrap().iter_mut().filter(|object| object["kind"] == "trunk") {
        object["body"]["peers"] = json!(["127.0.0.1", "127.0.0.2"]);
        object["body"]["dialog_peers"] = json!("address");
    }
    let gateway =
        Gateway::standalone(scratch, &toml::to_string(&all).unwrap(), echo::options(scratch, 4).unwrap()).unwrap();
    gateway.await_agents(1).unwrap();
    gateway
}

/// A request within the line's call, as its own caller would write it but for where answers and sound are to go.
fn within(line: &Line, attacker: &Attacker, method: &str, cseq: u32, port: u16) -> String {
    let ok = line.said.iter().find(|text| text.starts_with("SIP/2.0 200") && text.contains("INVITE")).unwrap();
    let ok = Message::parse(ok.as_bytes()).unwrap();
    let header = |name: &str| ok.header(name).unwrap().to_owned();
    let here = attacker.address().unwrap();
    let sdp = format!(
        "v=0\r\no=- 1 2 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n",
        ip = here.ip()
    );
    format!(
        "{method} sip:1000@{here} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bKtaken{cseq};rport\r\nMax-Forwards: 70\r\n\
         From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\nContact: <sip:1000@{here}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        header("From"),
        header("To"),
        header("Call-ID"),
        sdp.len()
    )
}

#[test]
fn neither_by_a_neighbour_nor_by_a_stranger() {
    let scratch = tempfile::tempdir().unwrap();
    let mut gateway = gateway(scratch.path());
    for (seed, ip) in (31..).zip([NEIGHBOUR, STRANGER]) {
        let mut line = Line::open(gateway.sip(), "1000", seed).unwrap();
        let attacker = Attacker::at(ip, gateway.sip()).unwrap();
        let ear = UdpSocket::bind((ip, 0)).unwrap();
        ear.set_nonblocking(true).unwrap();
        let port = ear.local_addr().unwrap().port();
        let hijack = |line: &mut Line, frame: usize| -> anyhow::Result<()> {
            let method = ["INVITE", "UPDATE", "BYE"][frame % 3];
            let cseq = 100 + u32::try_from(frame)?;
            attacker.send(within(line, &attacker, method, cseq, port).as_bytes())
        };
        line.talk(100, |_| shout(), hijack).unwrap();
        assert_eq!(line.missing, 0, "the caller hears everything");
        assert!(line.heard >= 75, "{} packets came back", line.heard);
        assert!(ear.recv_from(&mut [0; 2048]).is_err(), "and nobody else hears anything");
        let answers = attacker.answers();
        assert!(!answers.keys().any(|line| line.starts_with("SIP/2.0 2")), "{answers:?}");
        assert_eq!(gateway.calls().unwrap().len(), 1);
        line.hang_up().unwrap();
    }
    gateway.stop().unwrap();
}
