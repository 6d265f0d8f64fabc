//! Asterisk's AudioSocket: a TCP connection with a UUID and samples is a call like any other, answered by the agent that
//! the UUID is routed to, heard and spoken to through the same signal processing, and written down.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trunkline_tests::ear::Ear;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::{objects, wait};

const UUID: &str = "0190c3a1-7b5e-7c44-8d21-3f0a9b6c5d4e";
const GREETING: &str = "Good morning. You have reached the reception.";
const FRAME: usize = 160;
const TICK: Duration = Duration::from_millis(20);

/// What Asterisk's application does: a frame every 20 ms, and whatever comes is played.
struct Channel {
    stream: TcpStream,
    /// Sound on its way to the gateway; silence when there is none.
    to_say: Vec<i16>,
    unread: Vec<u8>,
    heard: Vec<i16>,
    next: Instant,
    over: bool,
}

impl Channel {
    fn open(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let uuid = u128::from_str_radix(&UUID.replace('-', ""), 16).unwrap();
        stream.write_all(&[&[1, 0, 16][..], &uuid.to_be_bytes()].concat()).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self { stream, to_say: Vec::new(), unread: Vec::new(), heard: Vec::new(), next: Instant::now(), over: false }
    }

    /// 20 ms of the call.
    fn tick(&mut self) {
        let spoken = self.to_say.len().min(FRAME);
        let mut frame: Vec<i16> = self.to_say.drain(..spoken).collect();
        frame.resize(FRAME, 0);
        let mut message = vec![0x10, 1, 64];
        message.extend(frame.iter().flat_map(|sample| sample.to_le_bytes()));
        // The far end may have closed it.
        let _ = self.stream.write_all(&message);
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break self.over = true,
                Ok(read) => self.unread.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => break self.over = true,
            }
        }
        while let [kind, high, low, rest @ ..] = &self.unread[..] {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(payload) = rest.get(..length) else { break };
            match kind {
                0x10 => self.heard.extend(payload.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]))),
                0x00 => self.over = true,
                other => panic!("a message of kind {other:#x}"),
            }
            self.unread.drain(..3 + length);
        }
        self.next += TICK;
        std::thread::sleep(self.next.saturating_duration_since(Instant::now()));
    }

    /// Until the agent has spoken and been quiet for half a second; what it said.
    fn listen(&mut self) -> Vec<i16> {
        let begin = self.heard.len();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            assert!(Instant::now() < deadline, "the agent did not come to an end");
            self.tick();
            let said = &self.heard[begin..];
            let last = said.iter().rposition(|sample| sample.abs() > 300);
            if last.is_some_and(|last| said.len() - last > 4000) || self.over {
                return said.to_vec();
            }
        }
    }
}

fn address(gateway: &Gateway) -> SocketAddr {
    let endpoints = std::fs::read(gateway.state().join("endpoints.json")).unwrap();
    let endpoints: Value = serde_json::from_slice(&endpoints).unwrap();
    endpoints["audiosocket"].as_str().unwrap().parse().unwrap()
}

fn start(scratch: &std::path::Path) -> Gateway {
    let agents = [(UUID, objects::offline_agent(GREETING))];
    let options = Options::default().with("TRUNKLINE_AUDIOSOCKET__LISTEN", "127.0.0.1:0");
    let gateway = Gateway::standalone(scratch, &objects::routed(&agents).unwrap(), options).unwrap();
    gateway.await_agents(1).unwrap();
    gateway
}

#[test]
fn a_call_is_greeted_understood_and_hung_up() {
    let scratch = tempfile::tempdir().unwrap();
    let mut gateway = start(scratch.path());
    let ear = Ear::open().unwrap();
    let mut channel = Channel::open(address(&gateway));

    let greeting = channel.listen();
    let sentences = [GREETING, "Goodbye.", "You said something else entirely."].map(str::to_owned);
    let likeness = ear.compare(&sentences, &greeting).unwrap();
    assert_eq!(likeness[0].sentence, GREETING, "{likeness:?}");
    let call = gateway.calls().unwrap().pop().unwrap();
    assert_eq!((&call["to"], &call["trunk"]), (&json!(UUID), &json!(objects::id::TRUNK)));

    // A key, and a word that the agent answers with its farewell.
    channel.stream.set_nonblocking(false).unwrap();
    channel.stream.write_all(&[3, 0, 1, b'5']).unwrap();
    channel.stream.set_nonblocking(true).unwrap();
    let keyed = channel.listen();
    assert!(!keyed.is_empty());
    channel.to_say = trunkline_caller::spoken("slt", "goodbye").unwrap();
    while !channel.over {
        channel.listen();
    }

    let id = call["id"].as_str().unwrap().to_owned();
    let admin = gateway.admin().unwrap();
    let timeline = || admin.get(&format!("/v1/calls/{id}")).unwrap()["events"].as_array().cloned().unwrap_or_default();
    wait::until_true("the end of the call", Duration::from_secs(10), || {
        timeline().iter().any(|event| event["type"] == "call.ended")
    })
    .unwrap();
    let of = |kind: &str| {
        timeline()
            .into_iter()
            .filter(|event| event["type"] == kind)
            .map(|event| event["data"].clone())
            .collect::<Vec<_>>()
    };
    assert!(of("dtmf.received").iter().any(|data| data["digit"] == "5"), "{:?}", timeline());
    assert_eq!(of("sound.applied")[0]["denoiser"], "lanes", "the same signal processing as for any call");
    assert!(of("turn.started").len() >= 2, "{:?}", timeline());
    let metrics = gateway.metrics().unwrap();
    assert!(metrics.contains("trunkline_audiosocket_connections_total 1\n"), "{metrics}");
    gateway.stop().unwrap();
}

#[test]
fn whoever_drops_the_connection_has_hung_up_and_strangers_are_not_read() {
    let scratch = tempfile::tempdir().unwrap();
    let mut gateway = start(scratch.path());
    let mut channel = Channel::open(address(&gateway));
    wait::until_true("the call", Duration::from_secs(10), || {
        channel.tick();
        !gateway.calls().unwrap().is_empty()
    })
    .unwrap();
    drop(channel);
    wait::until_true("its end", Duration::from_secs(10), || gateway.calls().unwrap().is_empty()).unwrap();

    let mut talker = TcpStream::connect(address(&gateway)).unwrap();
    talker.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    talker.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert!(matches!(talker.read(&mut [0; 10]), Ok(0) | Err(_)), "who speaks something else is left");
    wait::until_true("the failure in the metrics", Duration::from_secs(10), || {
        gateway.metrics().unwrap().contains("trunkline_audiosocket_failed_total 1\n")
    })
    .unwrap();

    // A trunk knows 127.0.0.1; another address of this machine is a stranger's.
    let stranger =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&stranger, &SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
    rustix::net::connect(&stranger, &address(&gateway)).unwrap();
    wait::until_true("the stranger's refusal", Duration::from_secs(10), || {
        gateway.metrics().unwrap().contains("trunkline_audiosocket_refused_total 1\n")
    })
    .unwrap();
    gateway.stop().unwrap();
}
