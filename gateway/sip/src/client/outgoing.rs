//! A call of ours before it is placed: whom, over which servers, as whom, with what; and that nothing of it can end a
//! line or begin another header.

use crate::address::{NameAddr, socket_addr};
use crate::admission::TrunkToken;
use crate::auth::Credentials;
use crate::locals::Locals;
use crate::locate::{Server, Transport};

/// Most servers that are tried.
const MOST_SERVERS: usize = 8;
/// Most headers of the caller's own.
const MOST_HEADERS: usize = 64;
/// Largest INVITE that is sent: what a peer's receive buffer may be taken to hold.
pub(super) const MOST_BYTES: usize = 8 * 1024;
/// Headers that are ours to write.
const OURS: &[&str] = &[
    "via",
    "v",
    "from",
    "f",
    "to",
    "t",
    "call-id",
    "i",
    "cseq",
    "contact",
    "m",
    "max-forwards",
    "content-length",
    "l",
    "content-type",
    "c",
    "allow",
    "supported",
    "k",
    "require",
    "record-route",
    "route",
    "authorization",
    "proxy-authorization",
    "user-agent",
];

/// A call that is to be placed.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The trunk that it leaves over.
    pub trunk: TrunkToken,
    /// Request-URI: `sip:+4930123456@carrier.example`.
    pub target: String,
    /// Servers in the order they are to be tried; the next one when one does not answer, or answers 503 (RFC 3263 4.3). At
    /// least one over UDP, TCP or TLS, at most 8 are looked at.
    pub servers: Vec<Server>,
    /// Value of From without its tag: `"Reception" <sip:+49301@gw.example>`.
    pub from: String,
    /// Headers of the caller's own (P-Asserted-Identity, Privacy, Diversion, User-to-User, `X-`), at most 64.
    pub headers: Vec<(String, String)>,
    /// The offer.
    pub offer: String,
    /// User and password, for peers that ask.
    pub credentials: Option<Credentials>,
    /// Value of Max-Forwards: 70, or one less than that of the call it is placed for, so that a call that goes in circles
    /// ends (RFC 7332).
    pub max_forwards: u8,
    /// For how long it may ring, in milliseconds, from the first INVITE to the answer; 1000 to 300 000.
    pub ring_ms: u64,
}

/// Why a call is not placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// No server that can be reached from here.
    #[error(
        "the destination has no server that is reached over UDP, TCP or TLS; correct the trunk's host or transport"
    )]
    NoServer,
    /// A server is this gateway itself.
    #[error("the destination is this gateway itself; correct the trunk's host")]
    Loop,
    /// It has been passed on too often.
    #[error("the call has been passed on too often; look for routes that lead to one another")]
    Hops,
    /// What stands in a header, or in the URI, cannot be sent.
    #[error("{0} cannot be sent; correct the number, name or header it is made of")]
    Unsendable(&'static str),
    /// Too many calls.
    #[error("the gateway has as many calls as it may; raise `limits.max_calls` or end some")]
    Full,
    /// The endpoint has stopped.
    #[error("the gateway stops")]
    Stopped,
}

impl Outgoing {
    /// The call as it can be sent.
    pub(super) fn checked(mut self, ours: &Locals) -> Result<Self, DialError> {
        if self.max_forwards == 0 {
            return Err(DialError::Hops);
        }
        let scheme = self.target.split(':').next().unwrap_or("");
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"' | b'?');
        let sound = self.target.len() <= 512 && self.target.bytes().all(plain) && self.target.contains('@');
        if !scheme.eq_ignore_ascii_case("sip") || !sound {
            return Err(DialError::Unsendable("the address that is called"));
        }
        let from_fits = NameAddr::parse(&self.from).is_some_and(|from| from.parameter("tag").is_none());
        if !from_fits || self.from.len() > 512 || !is_one_line(&self.from) {
            return Err(DialError::Unsendable("the caller's address"));
        }
        let header_fits = |(name, value): &(String, String)| {
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let named = !name.is_empty() && name.len() <= 64 && name.bytes().all(token);
            named && is_one_line(value) && !OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours))
        };
        if self.headers.len() > MOST_HEADERS || !self.headers.iter().all(header_fits) {
            return Err(DialError::Unsendable("a header"));
        }
        let bytes: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        if bytes + self.offer.len() > MOST_BYTES {
            return Err(DialError::Unsendable("so much text"));
        }
        self.servers.retain(|server| !matches!(server.transport, Transport::Ws | Transport::Wss));
        self.servers.truncate(MOST_SERVERS);
        if self.servers.is_empty() {
            return Err(DialError::NoServer);
        }
        let is_us = |server: &Server| ours.is_ours(server.address);
        if self.servers.iter().any(is_us) || socket_addr(&self.target, 5060).is_some_and(|target| ours.is_ours(target))
        {
            return Err(DialError::Loop);
        }
        self.ring_ms = self.ring_ms.clamp(1000, 300_000);
        Ok(self)
    }
}

fn is_one_line(text: &str) -> bool {
    !text.chars().any(|character| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{85}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Outgoing {
        Outgoing {
            trunk: TrunkToken("trk_a".into()),
            target: "sip:+49301@192.0.2.1".to_owned(),
            servers: vec![server("192.0.2.1:5060")],
            from: "<sip:100@gw.example>".to_owned(),
            headers: Vec::new(),
            offer: "v=0\r\n".to_owned(),
            credentials: None,
            max_forwards: 70,
            ring_ms: 0,
        }
    }

    fn server(address: &str) -> Server {
        let address = address.parse().unwrap();
        Server { address, transport: Transport::Udp, certificate_name: String::new() }
    }

    #[test]
    fn what_could_begin_a_line_of_its_own_is_not_sent() {
        type Change = fn(&mut Outgoing);
        let cases: &[(Change, DialError)] = &[
            (|call| call.target.push_str("\r\nX: y"), DialError::Unsendable("the address that is called")),
            (|call| call.target = "sip:a@b?X=y".to_owned(), DialError::Unsendable("the address that is called")),
            (|call| call.target = "http://a@b".to_owned(), DialError::Unsendable("the address that is called")),
            (|call| call.from.push_str("\r\nX: y"), DialError::Unsendable("the caller's address")),
            (|call| call.from.push_str(";tag=x"), DialError::Unsendable("the caller's address")),
            (|call| call.headers = vec![("X-A".into(), "a\nVia: b".into())], DialError::Unsendable("a header")),
            (|call| call.headers = vec![("X-A: b\r\nX".into(), "a".into())], DialError::Unsendable("a header")),
            (|call| call.headers = vec![("Route".into(), "<sip:x>".into())], DialError::Unsendable("a header")),
            (|call| call.offer = "a".repeat(9000), DialError::Unsendable("so much text")),
            (|call| call.servers.clear(), DialError::NoServer),
            (|call| call.servers[0].transport = Transport::Wss, DialError::NoServer),
            (|call| call.servers.push(server("203.0.113.9:5060")), DialError::Loop),
            (|call| call.target = "sip:1@203.0.113.9".into(), DialError::Loop),
            (|call| call.max_forwards = 0, DialError::Hops),
        ];
        let ours = Locals::udp("203.0.113.9:5060".parse().unwrap());
        for (change, expected) in cases {
            let mut call = call();
            change(&mut call);
            assert_eq!(call.checked(&ours).err(), Some(*expected));
        }
        assert_eq!(call().checked(&ours).unwrap().ring_ms, 1000);
    }
}
