//! A far end that is called, and says exactly what a test wants said.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use trunkline_sip::locate::{Server, Transport};
use trunkline_sip::{Outgoing, OutgoingEvent, SipEvent, SipEvents, TrunkToken};

use super::header;

/// Whoever is called.
pub(crate) struct Callee {
    socket: UdpSocket,
}

impl Callee {
    pub(crate) fn new() -> Self {
        Self::at(Ipv4Addr::LOCALHOST)
    }

    /// At an address of its own.
    pub(crate) fn at(ip: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { socket }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub(crate) fn server(&self) -> Server {
        Server { address: self.address(), transport: Transport::Udp, certificate_name: String::new() }
    }

    /// A call to it.
    pub(crate) fn call(&self) -> Outgoing {
        Outgoing {
            trunk: TrunkToken("trk_test".into()),
            target: format!("sip:+4930123456@{}", self.address()),
            servers: vec![self.server()],
            from: "\"Reception\" <sip:100@gw.example>".to_owned(),
            headers: vec![("X-Campaign".to_owned(), "summer".to_owned())],
            offer: super::OFFER.to_owned(),
            credentials: None,
            max_forwards: 70,
            ring_ms: 30_000,
        }
    }

    /// The next message, and where it came from.
    pub(crate) fn recv(&self) -> (String, SocketAddr) {
        let mut buffer = [0; 65_536];
        let (len, from) = self.socket.recv_from(&mut buffer).expect("a message was expected");
        (String::from_utf8_lossy(&buffer[..len]).into_owned(), from)
    }

    /// The next message that begins so, skipping others, such as what is sent again.
    pub(crate) fn expect(&self, start: &str) -> String {
        for _ in 0..100 {
            let (message, _) = self.recv();
            if message.starts_with(start) {
                return message;
            }
        }
        panic!("{start} never came");
    }

    pub(crate) fn send(&self, to: SocketAddr, text: &str) {
        self.socket.send_to(text.as_bytes(), to).unwrap();
    }

    /// Answers a request as a far end with this tag; `rest` is further headers, and behind an empty line a body.
    pub(crate) fn answer(&self, request: &str, status: &str, tag: &str, rest: &str) {
        self.answer_as(request, status, tag, &format!("Contact: <sip:{tag}@{}>\r\n{rest}", self.address()));
    }

    /// The same with a Contact among the headers, or none.
    pub(crate) fn answer_as(&self, request: &str, status: &str, tag: &str, rest: &str) {
        let (headers, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
        let headers = if headers.is_empty() { String::new() } else { format!("{}\r\n", headers.trim_end()) };
        let via = header(request, "Via");
        let to = header(request, "To");
        let to = if tag.is_empty() || to.contains(";tag=") { to.to_owned() } else { format!("{to};tag={tag}") };
        let text = format!(
            "SIP/2.0 {status}\r\nVia: {via}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
             {headers}Content-Length: {}\r\n\r\n{body}",
            header(request, "From"),
            header(request, "Call-ID"),
            header(request, "CSeq"),
            body.len()
        );
        let sent_by = via.split_once(' ').unwrap().1.split(';').next().unwrap();
        self.send(sent_by.parse().unwrap(), &text);
    }

    /// Answers with a description.
    pub(crate) fn answer_sdp(&self, request: &str, status: &str, tag: &str) {
        self.answer(request, status, tag, &format!("Content-Type: application/sdp\r\n\r\n{}", answer_sdp(tag)));
    }
}

/// What a far end answers to an offer.
pub(crate) fn answer_sdp(tag: &str) -> String {
    format!("v=0\r\no={tag} 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 30002 RTP/AVP 0\r\n")
}

/// The next news of a call that is placed.
pub(crate) fn news(events: &mut SipEvents) -> OutgoingEvent {
    match events.blocking_recv() {
        Some(SipEvent::Outgoing { news, .. }) => *news,
        other => panic!("news of a call of ours were expected, not {other:?}"),
    }
}
