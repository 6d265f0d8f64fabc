//! The signalling of one call from INVITE to BYE as a state machine: SIP messages and times in, datagrams and news out.

use crate::message::{Message, StartLine, tag, uri};
use crate::sdp::{self, Answer};
use crate::transaction::{Client, Due};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Whom to call, and as whom.
#[derive(Debug, Clone)]
pub struct DialogConfig {
    /// The request URI, for example `sip:+15550100@127.0.0.1:5060`.
    pub target: String,
    /// The From URI.
    pub from: String,
    /// Where our SIP socket is bound, as the other side sees it.
    pub local_sip: SocketAddr,
    /// Where our RTP socket is bound, as the other side sees it.
    pub local_rtp: SocketAddr,
    /// Decides tags, branches and Call-ID: two calls at once need two seeds.
    pub seed: u64,
    /// Further headers of the INVITE.
    pub headers: Vec<(String, String)>,
}

/// What became of a call's signalling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// 100, 180 or 183 came.
    Provisional(u16),
    /// 2xx came and was acknowledged; without an answer that can be used the call is being left already.
    Accepted(Option<Answer>),
    /// A final failure came: status and reason phrase. The last news.
    Refused(u16, String),
    /// The INVITE ended as the CANCEL asked. The last news.
    Cancelled,
    /// Nothing final came in time. The last news.
    NoAnswer,
    /// Our BYE went out.
    Leaving,
    /// The other side hung up; [`News::Ended`] follows.
    HungUp,
    /// An accepted call is over. The last news.
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Inviting,
    /// CANCEL was sent; the INVITE still has to end.
    Cancelling,
    Up,
    /// BYE was sent.
    Leaving,
    Over,
}

/// The signalling of a call. Times are microseconds on any clock that does not go back.
pub struct Dialog {
    config: DialogConfig,
    phase: Phase,
    invite: Client,
    /// BYE or CANCEL.
    request: Option<Client>,
    invite_branch: String,
    call_id: String,
    from: String,
    to: String,
    remote_target: String,
    route: Vec<String>,
    ack: Option<Vec<u8>>,
    transmits: VecDeque<Vec<u8>>,
    news: VecDeque<News>,
}

impl Dialog {
    /// Sends the INVITE at `now`.
    #[must_use]
    pub fn new(now: u64, config: DialogConfig) -> Self {
        let seed = config.seed;
        let mut dialog = Self {
            phase: Phase::Inviting,
            invite: Client::new(now, Vec::new(), true),
            request: None,
            invite_branch: format!("z9hG4bK{seed:016x}i"),
            call_id: format!("{seed:016x}@{}", config.local_sip.ip()),
            from: format!("<{}>;tag={:08x}", config.from, seed as u32),
            to: format!("<{}>", config.target),
            remote_target: config.target.clone(),
            route: Vec::new(),
            ack: None,
            transmits: VecDeque::new(),
            news: VecDeque::new(),
            config,
        };
        let mut invite = dialog
            .request("INVITE", 1, &dialog.invite_branch)
            .with("Contact", format!("<sip:caller@{}>", dialog.config.local_sip))
            .with("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS");
        for (name, value) in &dialog.config.headers {
            invite = invite.with(name, value);
        }
        let bytes = invite.with_body("application/sdp", sdp::offer(dialog.config.local_rtp, seed >> 1)).to_bytes();
        dialog.invite = Client::new(now, bytes.clone(), true);
        dialog.transmits.push_back(bytes);
        dialog
    }

    /// The Call-ID, which begins with the seed as sixteen hexadecimal digits.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// The next datagram for the other side's SIP address.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// The next news.
    pub fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// When [`Self::handle_timeout`] is due next; `None` when nothing but a message can change anything.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let request = self.request.as_ref().and_then(Client::poll_timeout);
        [self.invite.poll_timeout(), request].into_iter().flatten().min()
    }

    /// True while the call is accepted and nobody has hung up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    /// True when the signalling has ended and everything was sent and told.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over && self.transmits.is_empty() && self.news.is_empty()
    }

    /// A message on the SIP socket; one of another call is ignored.
    pub fn handle_message(&mut self, now: u64, message: &Message) {
        if message.header("Call-ID") != Some(self.call_id.as_str()) {
            return;
        }
        match &message.start {
            StartLine::Response(status, reason) => {
                let status = *status;
                match message.cseq() {
                    Some((1, "INVITE")) => self.handle_answer(now, status, reason, message),
                    Some((_, "BYE")) if status >= 200 => self.end(),
                    Some((_, "BYE" | "CANCEL")) => {
                        if let Some(request) = &mut self.request {
                            if status < 200 { request.handle_provisional(now) } else { request.finish() }
                        }
                    }
                    _ => {}
                }
            }
            StartLine::Request(method, _) => self.handle_request(method, message),
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: u64) {
        match self.invite.handle_timeout(now) {
            Due::Resend(bytes) => self.transmits.push_back(bytes),
            Due::GiveUp => self.last(News::NoAnswer),
            Due::Nothing => {}
        }
        match self.request.as_mut().map_or(Due::Nothing, |request| request.handle_timeout(now)) {
            Due::Resend(bytes) => self.transmits.push_back(bytes),
            Due::GiveUp if self.phase == Phase::Leaving => self.end(),
            Due::GiveUp => {
                self.invite.finish();
                self.last(News::NoAnswer);
            }
            Due::Nothing => {}
        }
    }

    /// Ends the call, whatever it is at: CANCEL before the answer, BYE after it.
    pub fn hang_up(&mut self, now: u64) {
        match self.phase {
            Phase::Inviting => self.cancel(now),
            Phase::Up => self.leave(now),
            Phase::Cancelling | Phase::Leaving | Phase::Over => {}
        }
    }

    fn handle_answer(&mut self, now: u64, status: u16, reason: &str, message: &Message) {
        if let Some(to) = message.header("To")
            && self.ack.is_none()
        {
            to.clone_into(&mut self.to);
        }
        match status {
            ..200 => {
                self.invite.handle_provisional(now);
                if self.phase == Phase::Inviting {
                    self.news.push_back(News::Provisional(status));
                }
            }
            200..300 => self.handle_accepted(now, message),
            _ => {
                self.invite.finish();
                let to = message.header("To").unwrap_or(&self.to).to_owned();
                // The ACK of a refusal belongs to the INVITE's transaction (17.1.1.3) and repeats for each copy of it.
                let mut ack = self.request("ACK", 1, &self.invite_branch);
                ack.start = StartLine::Request("ACK".to_owned(), self.config.target.clone());
                for (name, value) in &mut ack.headers {
                    if name == "To" {
                        value.clone_from(&to);
                    }
                }
                self.transmits.push_back(ack.to_bytes());
                if self.phase == Phase::Over {
                    return;
                }
                self.request = None;
                self.last(if self.phase == Phase::Cancelling {
                    News::Cancelled
                } else {
                    News::Refused(status, reason.to_owned())
                });
            }
        }
    }

    fn handle_accepted(&mut self, now: u64, message: &Message) {
        if let Some(ack) = &self.ack {
            // A copy of an answer whose ACK was lost (13.2.2.4).
            self.transmits.push_back(ack.clone());
            return;
        }
        self.invite.finish();
        if let Some(contact) = message.header("Contact").and_then(uri) {
            contact.clone_into(&mut self.remote_target);
        }
        self.route = message.all("Record-Route").map(str::to_owned).collect();
        self.route.reverse();
        let ack = self.request("ACK", 1, &format!("z9hG4bK{:016x}a", self.config.seed)).to_bytes();
        self.transmits.push_back(ack.clone());
        self.ack = Some(ack);
        let media = sdp::answer(&message.body);
        self.news.push_back(News::Accepted(media));
        let crossed = self.phase == Phase::Cancelling;
        self.phase = Phase::Up;
        self.request = None;
        if crossed || media.is_none() {
            self.leave(now);
        }
    }

    fn handle_request(&mut self, method: &str, message: &Message) {
        let ours = message.header("To").and_then(tag) == tag(&self.from);
        let (status, reason) = match method {
            "ACK" => return,
            _ if !ours => (481, "Call/Transaction Does Not Exist"),
            "BYE" | "OPTIONS" => (200, "OK"),
            "INVITE" | "UPDATE" => (488, "Not Acceptable Here"),
            _ => (501, "Not Implemented"),
        };
        let mut response = Message::response(message, status, reason);
        if !ours {
            response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("Contact"));
        }
        self.transmits.push_back(response.to_bytes());
        if method == "BYE" && ours && matches!(self.phase, Phase::Up | Phase::Leaving) {
            if self.phase == Phase::Up {
                self.news.push_back(News::HungUp);
            }
            self.end();
        }
    }

    fn cancel(&mut self, now: u64) {
        self.phase = Phase::Cancelling;
        // CANCEL matches its INVITE by branch, target and CSeq number (9.1), and by the To without a tag.
        let mut cancel = self.request("CANCEL", 1, &self.invite_branch);
        for (name, value) in &mut cancel.headers {
            if name == "To" {
                *value = format!("<{}>", self.config.target);
            }
        }
        self.send(now, cancel.to_bytes());
    }

    fn leave(&mut self, now: u64) {
        let bye = self.request("BYE", 2, &format!("z9hG4bK{:016x}b", self.config.seed)).to_bytes();
        self.send(now, bye);
        self.phase = Phase::Leaving;
        self.news.push_back(News::Leaving);
    }

    fn send(&mut self, now: u64, bytes: Vec<u8>) {
        self.request = Some(Client::new(now, bytes.clone(), false));
        self.transmits.push_back(bytes);
    }

    fn end(&mut self) {
        if self.phase != Phase::Over {
            self.request = None;
            self.last(News::Ended);
        }
    }

    fn last(&mut self, news: News) {
        self.news.push_back(news);
        self.phase = Phase::Over;
    }

    /// A request of this dialog, or the one that opens it.
    fn request(&self, method: &str, cseq: u32, branch: &str) -> Message {
        let start = StartLine::Request(method.to_owned(), self.remote_target.clone());
        let mut message = Message { start, headers: Vec::new(), body: Vec::new() }
            .with("Via", format!("SIP/2.0/UDP {};branch={branch};rport", self.config.local_sip))
            .with("Max-Forwards", "70");
        for route in &self.route {
            message = message.with("Route", route);
        }
        message
            .with("From", &self.from)
            .with("To", &self.to)
            .with("Call-ID", &self.call_id)
            .with("CSeq", format!("{cseq} {method}"))
            .with("User-Agent", "trunkline-caller")
    }
}
