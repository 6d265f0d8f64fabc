//! A caller that says exactly what a test wants said, and is reached only where it sends from: its messages name an address
//! of its own network, as those of a phone behind NAT do.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, bail};
use trunkline_caller::Message;

/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The address that it believes it has.
const INSIDE: &str = "10.11.12.13:5060";

/// A call of such a phone.
#[derive(Debug)]
pub struct Phone {
    sip: UdpSocket,
    rtp: UdpSocket,
    gateway: SocketAddr,
    call_id: String,
    /// To as the gateway has it, with its tag once there is one.
    to: String,
    cseq: u32,
}

impl Phone {
    /// Calls `user` at `gateway` and acknowledges the answer; two calls need two names.
    pub fn call(gateway: SocketAddr, user: &str, name: &str) -> anyhow::Result<Self> {
        let (phone, _) = Self::call_with(gateway, user, name, |phone| phone.description(1, "sendrecv"))?;
        Ok(phone)
    }

    /// The same with an offer of the test's own making; gives the answer too.
    pub fn call_with(
        gateway: SocketAddr,
        user: &str,
        name: &str,
        offer: impl FnOnce(&Self) -> anyhow::Result<String>,
    ) -> anyhow::Result<(Self, Message)> {
        let sip = UdpSocket::bind(("127.0.0.1", 0))?;
        sip.set_read_timeout(Some(PATIENCE))?;
        let to = format!("<sip:{user}@{gateway}>");
        let rtp = UdpSocket::bind(("127.0.0.1", 0))?;
        rtp.set_nonblocking(true)?;
        let mut phone = Self { sip, rtp, gateway, call_id: format!("{name}@inside"), to, cseq: 0 };
        let offer = offer(&phone)?;
        let answer = phone.offer(&offer)?;
        Ok((phone, answer))
    }

    /// Offers a description by an INVITE, the first or a later one, and acknowledges the answer.
    pub fn offer(&mut self, description: &str) -> anyhow::Result<Message> {
        self.request("INVITE", &format!("Content-Type: application/sdp\r\n\r\n{description}"))?;
        let answer = self.expect("SIP/2.0 200")?;
        self.to = answer.header("To").context("the answer has To")?.to_owned();
        self.cseq -= 1;
        self.request("ACK", "")?;
        Ok(answer)
    }

    /// Its socket for sound, which does not block.
    #[must_use]
    pub const fn rtp(&self) -> &UdpSocket {
        &self.rtp
    }

    /// Sends a request; `rest` is further headers, and behind an empty line a body.
    pub fn request(&mut self, method: &str, rest: &str) -> anyhow::Result<()> {
        self.cseq += 1;
        let (headers, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
        let headers = if headers.is_empty() { String::new() } else { format!("{}\r\n", headers.trim_end()) };
        let Self { gateway, call_id, to, cseq, .. } = self;
        let text = format!(
            "{method} sip:gateway@{gateway} SIP/2.0\r\nVia: SIP/2.0/UDP {INSIDE};branch=z9hG4bK{call_id}{cseq}{method};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:phone@inside>;tag=phone\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:phone@{INSIDE}>\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.sip.send_to(text.as_bytes(), *gateway)?;
        Ok(())
    }

    /// The next message whose first line begins so, skipping others.
    pub fn expect(&self, start: &str) -> anyhow::Result<Message> {
        let mut buffer = [0; 8192];
        for _ in 0..100 {
            let (length, _) = self.sip.recv_from(&mut buffer).with_context(|| format!("{start} was expected"))?;
            if buffer[..length].starts_with(start.as_bytes()) {
                return Message::parse(&buffer[..length]).context("it is SIP");
            }
        }
        bail!("{start} never came")
    }

    /// Its `version`th description, with sound going that way as it sees it.
    pub fn description(&self, version: u32, way: &str) -> anyhow::Result<String> {
        let port = self.rtp.local_addr()?.port();
        Ok(format!(
            "v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n\
             a={way}\r\n"
        ))
    }

    /// Accepts a re-INVITE of the gateway with a description, and waits for its ACK.
    pub fn accept(&self, invite: &Message, description: String) -> anyhow::Result<()> {
        let response = Message::response(invite, 200, "OK").with_body("application/sdp", description.into_bytes());
        self.sip.send_to(&response.to_bytes(), self.gateway)?;
        self.expect("ACK ").map(drop)
    }

    /// Refuses one, with a header more, and waits for its ACK.
    pub fn refuse(&self, invite: &Message, status: u16, (name, value): (&str, &str)) -> anyhow::Result<()> {
        let response = Message::response(invite, status, "No").with(name, value);
        self.sip.send_to(&response.to_bytes(), self.gateway)?;
        self.expect("ACK ").map(drop)
    }

    /// Sound that has come since it was looked at last, in PCMU.
    pub fn heard(&self) -> Vec<u8> {
        let (mut buffer, mut heard) = ([0; 2048], Vec::new());
        while let Ok((length, _)) = self.rtp.recv_from(&mut buffer) {
            heard.extend_from_slice(buffer.get(12..length).unwrap_or_default());
        }
        heard
    }

    /// Answers a request of the gateway.
    pub fn answer(&self, request: &Message, status: u16, reason: &str) -> anyhow::Result<()> {
        self.sip.send_to(&Message::response(request, status, reason).to_bytes(), self.gateway)?;
        Ok(())
    }
}
