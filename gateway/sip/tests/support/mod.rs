//! What the endpoint's tests share: an answering driver, a bare UDP peer, and SIPp.
#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod callee;
pub(crate) mod connected;
pub(crate) mod exchange;
pub(crate) mod name_server;
pub(crate) mod torture;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use trunkline_sdp::{LocalMedia, SdpError, answer, offer};
use trunkline_sip::{
    Admission, ByeReason, CallHandle, Refusal, SipConfig, SipEndpoint, SipEvent, SipEvents, TrunkToken,
};

/// Longest wait for a message.
const PATIENCE: Duration = Duration::from_secs(10);

/// An endpoint on loopback whose only trunk is loopback.
pub(crate) fn start(change: impl FnOnce(&mut SipConfig)) -> (SipEndpoint, SipEvents) {
    let trunk = TrunkToken(Arc::from("trk_test"));
    start_for(Arc::new(move |source: IpAddr| source.is_loopback().then(|| trunk.clone())), change)
}

/// An endpoint on loopback with trunks of its own.
pub(crate) fn start_for(trunks: Arc<dyn Admission>, change: impl FnOnce(&mut SipConfig)) -> (SipEndpoint, SipEvents) {
    let mut config = SipConfig::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    config.timers.t1 = Duration::from_millis(50);
    change(&mut config);
    SipEndpoint::start(config, trunks).unwrap()
}

/// Nothing is sent again while a test is about that counts what was sent.
pub(crate) fn unhurried(config: &mut SipConfig) {
    config.timers.t1 = Duration::from_secs(4);
}

/// An endpoint that knows nobody.
pub(crate) fn start_unknown() -> (SipEndpoint, SipEvents) {
    let config = SipConfig::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    SipEndpoint::start(config, Arc::new(|_: IpAddr| None)).unwrap()
}

pub(crate) fn local_media() -> LocalMedia {
    LocalMedia::new(Ipv4Addr::LOCALHOST.into(), 16_384)
}

/// What a driver saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) invites: AtomicUsize,
    pub(crate) acked: AtomicUsize,
    pub(crate) byes: AtomicUsize,
    pub(crate) cancelled: AtomicUsize,
    pub(crate) no_acks: AtomicUsize,
    pub(crate) reoffers: AtomicUsize,
    pub(crate) digits: AtomicUsize,
}

/// Answers every call and re-INVITE on a thread of its own, until the endpoint stops. With `hang_up`, hangs up as
/// soon as the call is up.
pub(crate) fn answer_all(mut events: SipEvents, hang_up: bool) -> Arc<Seen> {
    let seen = Arc::new(Seen::default());
    let counting = Arc::clone(&seen);
    std::thread::spawn(move || {
        let mut calls: Vec<CallHandle> = Vec::new();
        while let Some(event) = events.blocking_recv() {
            // Counted before it is answered: who has the answer finds it counted.
            let counter = match &event {
                SipEvent::Invite(_) => &counting.invites,
                SipEvent::Acked { .. } => &counting.acked,
                SipEvent::Bye { .. } => &counting.byes,
                SipEvent::Cancelled { .. } => &counting.cancelled,
                SipEvent::NoAck { .. } => &counting.no_acks,
                SipEvent::ReInvite(_) => &counting.reoffers,
                SipEvent::Digit { .. } => &counting.digits,
                SipEvent::Failed { .. }
                | SipEvent::Referral { .. }
                | SipEvent::Reoffered { .. }
                | SipEvent::Outgoing { .. }
                | SipEvent::Trunk { .. } => continue,
            };
            counter.fetch_add(1, Ordering::SeqCst);
            match event {
                SipEvent::Invite(invite) => {
                    let _ = invite.handle.ring(None);
                    match invite.offer.as_deref().map(|text| answer(text, &local_media())) {
                        Some(Ok(made)) => drop(invite.handle.accept(made.sdp)),
                        Some(Err(error)) => drop(invite.handle.reject(&refusal(&error))),
                        None => drop(invite.handle.accept(offer(&local_media()))),
                    }
                    if hang_up {
                        calls.push(invite.handle.clone());
                    }
                }
                SipEvent::Acked { call, .. } => {
                    if let Some(index) = calls.iter().position(|handle| handle.key() == call) {
                        calls.swap_remove(index).bye(&ByeReason::normal()).unwrap();
                    }
                }
                SipEvent::ReInvite(reoffer) => {
                    let made = reoffer.offer.as_deref().map(|text| answer(text, &local_media()));
                    match made {
                        Some(Ok(made)) => drop(reoffer.handle.answer(made.sdp)),
                        Some(Err(error)) => reoffer.handle.refuse(&refusal(&error)),
                        None => drop(reoffer.handle.answer(offer(&local_media()))),
                    }
                }
                _ => {}
            }
        }
    });
    seen
}

pub(crate) fn refusal(error: &SdpError) -> Refusal {
    Refusal { warning: error.warning(), ..Refusal::status(error.sip_status()) }
}

/// Waits until a condition holds, at most ten seconds.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs SIPp against an endpoint; its scenarios are in `tests/sipp`.
pub(crate) fn sipp(endpoint: &SipEndpoint, arguments: &[&str]) -> Output {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sipp/");
    let arguments: Vec<String> = arguments
        .iter()
        .map(|argument| if argument.ends_with(".xml") { format!("{folder}{argument}") } else { (*argument).to_owned() })
        .collect();
    // SIPp with a call open outlives its own -timeout.
    Command::new("timeout")
        .args(["60", "sipp"])
        .args(&arguments)
        .args(["-i", "127.0.0.1", "-nostdin", "-timeout", "50", "-trace_err", "-error_file", "/dev/null"])
        .arg(endpoint.local_addr().to_string())
        .output()
        .unwrap()
}

/// Fails with what SIPp said unless every call succeeded.
pub(crate) fn succeeded(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let tail: Vec<&str> = text.lines().rev().take(70).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    assert!(
        output.status.success(),
        "{}\n{}\n{}",
        output.status,
        tail.join("\n"),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A peer that says exactly what a test wants said.
pub(crate) struct Peer {
    socket: UdpSocket,
    to: SocketAddr,
}

impl Peer {
    pub(crate) fn new(endpoint: &SipEndpoint) -> Self {
        Self::at(endpoint.local_addr())
    }

    /// A peer of whoever listens at `to`.
    pub(crate) fn at(to: SocketAddr) -> Self {
        Self::between(Ipv4Addr::LOCALHOST, to)
    }

    /// A peer at an address of its own.
    pub(crate) fn from(ip: Ipv4Addr, endpoint: &SipEndpoint) -> Self {
        Self::between(ip, endpoint.local_addr())
    }

    fn between(ip: Ipv4Addr, to: SocketAddr) -> Self {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, to }
    }

    /// The next call, acknowledged by its peer.
    pub(crate) fn called(&self, events: &mut SipEvents, invite: &str) -> (CallHandle, String) {
        self.send(invite);
        let Some(SipEvent::Invite(incoming)) = events.blocking_recv() else { panic!("a call was expected") };
        incoming.handle.accept("v=0\r\n".to_owned()).unwrap();
        let ok = self.expect("SIP/2.0 200");
        let to = to_tag(&ok);
        self.send(&self.ack(header(&ok, "Call-ID"), 1, &to));
        assert!(matches!(events.blocking_recv(), Some(SipEvent::Acked { .. })));
        (incoming.handle, to)
    }

    /// Answers a request of the endpoint with 200.
    pub(crate) fn answer(&self, request: &str) {
        self.send(&format!(
            "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {}\r\nContent-Length: 0\r\n\r\n",
            header(request, "Via"),
            header(request, "From"),
            header(request, "To"),
            header(request, "Call-ID"),
            header(request, "CSeq")
        ));
    }

    pub(crate) fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    pub(crate) fn send(&self, text: &str) {
        self.socket.send_to(text.as_bytes(), self.to).unwrap();
    }

    pub(crate) fn send_bytes(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.to).unwrap();
    }

    /// The next message.
    pub(crate) fn recv(&self) -> String {
        let mut buffer = [0; 65_536];
        let (len, _) = self.socket.recv_from(&mut buffer).expect("a message was expected");
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    }

    /// The next message whose start line begins so, and where it came from, skipping others.
    pub(crate) fn expect_from(&self, start: &str) -> (String, SocketAddr) {
        let mut buffer = [0; 65_536];
        for _ in 0..50 {
            let (len, from) = self.socket.recv_from(&mut buffer).expect("a message was expected");
            let message = String::from_utf8_lossy(&buffer[..len]).into_owned();
            if message.starts_with(start) {
                return (message, from);
            }
        }
        panic!("{start} never came");
    }

    /// The next message whose start line begins so, skipping others.
    pub(crate) fn expect(&self, start: &str) -> String {
        for _ in 0..50 {
            let message = self.recv();
            if message.starts_with(start) {
                return message;
            }
        }
        panic!("{start} never came");
    }

    /// Sends a request again, as peers do until they have an answer (RFC 3261 17.1.2.2); the answer, which begins so.
    pub(crate) fn send_again(&self, text: &str, start: &str) -> String {
        const PAUSE: Duration = Duration::from_millis(500);
        self.socket.set_read_timeout(Some(PAUSE)).unwrap();
        let mut buffer = [0; 65_536];
        let mut answer = None;
        for _ in 0..20 {
            self.send(text);
            if let Ok((len, _)) = self.socket.recv_from(&mut buffer) {
                answer =
                    Some(String::from_utf8_lossy(&buffer[..len]).into_owned()).filter(|text| text.starts_with(start));
            }
            if answer.is_some() {
                break;
            }
        }
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        answer.unwrap_or_else(|| panic!("{start} never came"))
    }

    /// The next message that begins so and answers this CSeq, skipping others, such as what is sent again.
    pub(crate) fn expect_to(&self, cseq: &str, start: &str) -> String {
        loop {
            let message = self.expect(start);
            if header(&message, "CSeq") == cseq {
                return message;
            }
        }
    }

    /// The next final response.
    pub(crate) fn expect_final(&self) -> String {
        for _ in 0..50 {
            let message = self.recv();
            if !message.starts_with("SIP/2.0 1") {
                return message;
            }
        }
        panic!("no final response came");
    }

    /// Nothing comes until an OPTIONS sent now is answered.
    pub(crate) fn silent(&self) {
        self.send(&self.request("OPTIONS", "silence", 1, "", ""));
        let message = self.recv();
        assert!(message.contains("CSeq: 1 OPTIONS") && message.contains("Call-ID: silence"), "{message}");
    }

    /// Whether nothing has come so far.
    pub(crate) fn has_nothing(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let nothing = self.socket.recv_from(&mut [0; 1]).is_err();
        self.socket.set_nonblocking(false).unwrap();
        nothing
    }

    /// A request outside or inside a dialog: `to` is added to the To header's value.
    pub(crate) fn request(&self, method: &str, call: &str, cseq: u32, to: &str, rest: &str) -> String {
        let (headers, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
        let port = self.port();
        let headers = if headers.is_empty() { String::new() } else { format!("{}\r\n", headers.trim_end()) };
        format!(
            "{method} sip:100@{} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{call}{cseq}{method};rport\r\n\
             Max-Forwards: 70\r\nFrom: \"A\" <sip:alice@example.org>;tag=from{call}\r\nTo: <sip:100@example.org>{to}\r\n\
             Call-ID: {call}\r\nCSeq: {cseq} {method}\r\nContact: <sip:alice@127.0.0.1:{port}>\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            self.to,
            body.len()
        )
    }

    /// An INVITE with a usual offer.
    pub(crate) fn invite(&self, call: &str, cseq: u32, to: &str) -> String {
        self.request("INVITE", call, cseq, to, &format!("Content-Type: application/sdp\r\n\r\n{OFFER}"))
    }

    /// The ACK of a 2xx.
    pub(crate) fn ack(&self, call: &str, cseq: u32, to: &str) -> String {
        self.request("ACK", call, cseq, to, "")
    }

    /// A call that is up; the To tag as `;tag=...`.
    pub(crate) fn call(&self, call: &str) -> String {
        self.send(&self.invite(call, 1, ""));
        let ok = self.expect("SIP/2.0 200");
        let to = to_tag(&ok);
        self.send(&self.ack(call, 1, &to));
        to
    }
}

pub(crate) const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                         m=audio 30000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

/// A response's To tag, as `;tag=...`.
pub(crate) fn to_tag(message: &str) -> String {
    let to = header(message, "To");
    to[to.find(";tag=").unwrap()..].to_owned()
}

/// A header's value.
pub(crate) fn header<'a>(message: &'a str, name: &str) -> &'a str {
    message
        .lines()
        .find_map(|line| line.split_once(": ").filter(|(key, _)| *key == name).map(|(_, value)| value))
        .unwrap_or_else(|| panic!("{name} expected in\n{message}"))
}
