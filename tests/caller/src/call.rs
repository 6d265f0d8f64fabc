//! One call from INVITE to BYE as a state machine: datagrams and times in, datagrams and events out.

use crate::event::{Event, Happened, HungUpBy};
use crate::hearing::{Change, Hearing};
use crate::message::{Message, StartLine, tag, uri};
use crate::recording::{Arrival, Recording};
use crate::rtp::{self, FRAME};
use crate::script::{Step, Utterance};
use crate::sdp::{self, Answer};
use crate::transaction::{Client, Due};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Microseconds between packets.
const FRAME_US: u64 = 20_000;
/// A pacing clock that is later than this skips frames instead of sending a burst.
const LATEST_US: u64 = 100_000;

/// Whom to call, as whom, and what to do there.
#[derive(Debug, Clone)]
pub struct CallConfig {
    /// The request URI, for example `sip:+15550100@127.0.0.1:5060`.
    pub target: String,
    /// The From URI.
    pub from: String,
    /// Where our SIP socket is bound, as the other side sees it.
    pub local_sip: SocketAddr,
    /// Where our RTP socket is bound, as the other side sees it.
    pub local_rtp: SocketAddr,
    /// Decides tags, branches, Call-ID, SSRC: two calls at once need two seeds.
    pub seed: u64,
    /// Further headers of the INVITE.
    pub headers: Vec<(String, String)>,
    /// CANCEL after this long without a final answer, in milliseconds.
    pub cancel_after_ms: Option<u64>,
    /// What to do once answered; utterances carry their samples already.
    pub steps: Vec<Step>,
}

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transmit {
    /// From the SIP socket to the other side's SIP address.
    Sip(Vec<u8>),
    /// From the RTP socket.
    Rtp(SocketAddr, Vec<u8>),
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

/// The call. Times are microseconds on any clock that does not go back.
pub struct Call {
    config: CallConfig,
    phase: Phase,
    began: u64,
    cancel_at: Option<u64>,
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
    media: Option<Answer>,
    sender: rtp::Sender,
    next_frame: u64,
    hearing: Hearing,
    recording: Recording,
    heard_anything: bool,
    step: usize,
    step_began: u64,
    saying: Option<(Utterance, usize)>,
    key: Option<char>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl Call {
    /// Sends the INVITE at `now`.
    #[must_use]
    pub fn new(now: u64, config: CallConfig) -> Self {
        let seed = config.seed;
        let call_id = format!("{seed:016x}@{}", config.local_sip.ip());
        let from = format!("<{}>;tag={:08x}", config.from, seed as u32);
        let to = format!("<{}>", config.target);
        let mut call = Self {
            phase: Phase::Inviting,
            began: now,
            cancel_at: config.cancel_after_ms.map(|ms| now + ms * 1000),
            invite: Client::new(now, Vec::new(), true),
            request: None,
            invite_branch: format!("z9hG4bK{seed:016x}i"),
            remote_target: config.target.clone(),
            route: Vec::new(),
            ack: None,
            media: None,
            sender: rtp::Sender::new(seed),
            next_frame: 0,
            hearing: Hearing::default(),
            recording: Recording::new(now),
            heard_anything: false,
            step: 0,
            step_began: now,
            saying: None,
            key: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            config,
            call_id,
            from,
            to,
        };
        let mut invite = call
            .request("INVITE", 1, &call.invite_branch.clone())
            .with("Contact", format!("<sip:caller@{}>", call.config.local_sip))
            .with("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS");
        for (name, value) in call.config.headers.clone() {
            invite = invite.with(&name, value);
        }
        let bytes = invite.with_body("application/sdp", sdp::offer(call.config.local_rtp, seed >> 1)).to_bytes();
        call.invite = Client::new(now, bytes.clone(), true);
        call.transmits.push_back(Transmit::Sip(bytes));
        let call_id = call.call_id.clone();
        call.note(now, Happened::InviteSent { call_id });
        call
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is due next; `None` when nothing but a datagram can change anything.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let frame = (self.phase == Phase::Up).then_some(self.next_frame);
        let request = self.request.as_ref().and_then(Client::poll_timeout);
        [self.invite.poll_timeout(), request, self.cancel_at, frame].into_iter().flatten().min()
    }

    /// True when the call has ended and everything was sent.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over && self.transmits.is_empty() && self.events.is_empty()
    }

    /// Every audio packet of the agent's, in the order they came.
    #[must_use]
    pub fn arrivals(&self) -> &[Arrival] {
        &self.recording.arrivals
    }

    /// The caller's and the agent's samples at 8 kHz since the answer, equally long.
    #[must_use]
    pub fn into_recording(self) -> (Vec<i16>, Vec<i16>) {
        self.recording.finish()
    }

    /// Ends the call early, whatever the script says.
    pub fn hang_up(&mut self, now: u64) {
        match self.phase {
            Phase::Inviting => self.cancel(now),
            Phase::Up => self.leave(now),
            Phase::Cancelling | Phase::Leaving | Phase::Over => {}
        }
    }

    /// A datagram on the SIP socket.
    pub fn handle_sip(&mut self, now: u64, datagram: &[u8]) {
        let Some(message) = Message::parse(datagram) else { return };
        if message.header("Call-ID") != Some(self.call_id.as_str()) {
            return;
        }
        match &message.start {
            StartLine::Response(status, reason) => {
                let (status, reason) = (*status, reason.clone());
                match message.cseq() {
                    Some((1, "INVITE")) => self.handle_answer(now, status, reason, &message),
                    Some((_, "BYE")) if status >= 200 => self.end(now),
                    Some((_, "BYE" | "CANCEL")) => {
                        if let Some(request) = &mut self.request {
                            if status < 200 { request.handle_provisional(now) } else { request.finish() }
                        }
                    }
                    _ => {}
                }
            }
            StartLine::Request(method, _) => self.handle_request(now, method, &message),
        }
    }

    /// A datagram on the RTP socket.
    pub fn handle_rtp(&mut self, now: u64, datagram: &[u8]) {
        if self.phase != Phase::Up {
            return;
        }
        let Some(packet) = rtp::receive(datagram) else { return };
        if !self.heard_anything {
            self.heard_anything = true;
            self.note(now, Happened::FirstAudio);
        }
        self.recording.agent(now, &packet);
        let length_us = packet.pcm.len() as u64 * 125;
        let change = self.hearing.handle_frame(now, &packet.pcm, length_us);
        self.heard(now, change);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: u64) {
        match self.invite.handle_timeout(now) {
            Due::Resend(bytes) => self.transmits.push_back(Transmit::Sip(bytes)),
            Due::GiveUp => {
                self.note(now, Happened::NoAnswer);
                self.phase = Phase::Over;
            }
            Due::Nothing => {}
        }
        match self.request.as_mut().map_or(Due::Nothing, |r| r.handle_timeout(now)) {
            Due::Resend(bytes) => self.transmits.push_back(Transmit::Sip(bytes)),
            Due::GiveUp if self.phase == Phase::Leaving => self.end(now),
            Due::GiveUp => {
                self.note(now, Happened::NoAnswer);
                self.invite.finish();
                self.phase = Phase::Over;
            }
            Due::Nothing => {}
        }
        if self.cancel_at.is_some_and(|at| now >= at) {
            self.cancel_at = None;
            self.cancel(now);
        }
        if self.phase == Phase::Up && now > self.next_frame + LATEST_US {
            self.next_frame = now;
        }
        while self.phase == Phase::Up && now >= self.next_frame {
            self.tick(now);
            self.next_frame += FRAME_US;
        }
    }

    fn handle_answer(&mut self, now: u64, status: u16, reason: String, message: &Message) {
        if let Some(to) = message.header("To")
            && self.ack.is_none()
        {
            to.clone_into(&mut self.to);
        }
        match status {
            ..200 => {
                self.invite.handle_provisional(now);
                if self.phase == Phase::Inviting {
                    self.note(now, Happened::Provisional { status });
                }
            }
            200..300 => self.handle_accepted(now, message),
            _ => {
                self.invite.finish();
                let to = message.header("To").unwrap_or(&self.to).to_owned();
                // The ACK of a refusal belongs to the INVITE's transaction (17.1.1.3) and repeats for each copy of it.
                let mut ack = self.request("ACK", 1, &self.invite_branch.clone());
                ack.start = StartLine::Request("ACK".to_owned(), self.config.target.clone());
                for (name, value) in &mut ack.headers {
                    if name == "To" {
                        value.clone_from(&to);
                    }
                }
                self.transmits.push_back(Transmit::Sip(ack.to_bytes()));
                if self.phase == Phase::Over {
                    return;
                }
                if self.phase == Phase::Cancelling {
                    self.note(now, Happened::Cancelled);
                } else {
                    self.note(now, Happened::Refused { status, reason });
                }
                self.cancel_at = None;
                self.request = None;
                self.phase = Phase::Over;
            }
        }
    }

    fn handle_accepted(&mut self, now: u64, message: &Message) {
        if let Some(ack) = &self.ack {
            // A copy of an answer whose ACK was lost (13.2.2.4).
            self.transmits.push_back(Transmit::Sip(ack.clone()));
            return;
        }
        self.invite.finish();
        self.cancel_at = None;
        if let Some(contact) = message.header("Contact").and_then(uri) {
            contact.clone_into(&mut self.remote_target);
        }
        self.route = message.all("Record-Route").map(str::to_owned).collect();
        self.route.reverse();
        let ack = self.request("ACK", 1, &format!("z9hG4bK{:016x}a", self.config.seed)).to_bytes();
        self.transmits.push_back(Transmit::Sip(ack.clone()));
        self.ack = Some(ack);
        self.media = sdp::answer(&message.body);
        self.note(now, Happened::Answered);
        let crossed = self.phase == Phase::Cancelling;
        self.phase = Phase::Up;
        self.request = None;
        self.recording.begin(now);
        self.next_frame = now;
        self.step_began = now;
        if crossed || self.media.is_none() {
            self.leave(now);
        }
    }

    fn handle_request(&mut self, now: u64, method: &str, message: &Message) {
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
        self.transmits.push_back(Transmit::Sip(response.to_bytes()));
        if method == "BYE" && ours && matches!(self.phase, Phase::Up | Phase::Leaving) {
            if self.phase == Phase::Up {
                self.note(now, Happened::HungUp { by: HungUpBy::Agent });
            }
            self.end(now);
        }
    }

    fn cancel(&mut self, now: u64) {
        if self.phase != Phase::Inviting {
            return;
        }
        self.phase = Phase::Cancelling;
        // CANCEL matches its INVITE by branch, target and CSeq number (9.1), and by the To without a tag.
        let mut cancel = self.request("CANCEL", 1, &self.invite_branch.clone());
        for (name, value) in &mut cancel.headers {
            if name == "To" {
                *value = format!("<{}>", self.config.target);
            }
        }
        let bytes = cancel.to_bytes();
        self.request = Some(Client::new(now, bytes.clone(), false));
        self.transmits.push_back(Transmit::Sip(bytes));
    }

    fn leave(&mut self, now: u64) {
        let bye = self.request("BYE", 2, &format!("z9hG4bK{:016x}b", self.config.seed)).to_bytes();
        self.request = Some(Client::new(now, bye.clone(), false));
        self.transmits.push_back(Transmit::Sip(bye));
        self.phase = Phase::Leaving;
        self.note(now, Happened::HungUp { by: HungUpBy::Caller });
    }

    fn end(&mut self, now: u64) {
        if self.phase == Phase::Over {
            return;
        }
        self.request = None;
        self.phase = Phase::Over;
        if let (Some(began), end) = (self.hearing.speaking_since(), self.hearing.last_loud()) {
            self.heard(now, Some(Change::Stopped(began, end)));
        }
        let media = Happened::Media {
            sent: self.sender.packets,
            received: self.recording.received,
            lost: self.recording.lost,
            longest_gap_ms: self.recording.longest_gap_us / 1000,
        };
        self.note(now, media);
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

    /// One 20 ms frame: the script moves on, then something is sent.
    fn tick(&mut self, now: u64) {
        let change = self.hearing.handle_time(now);
        self.heard(now, change);
        if self.saying.is_none() && self.key.is_none() {
            self.follow_script(now);
        }
        let Some(media) = self.media.filter(|_| self.phase == Phase::Up) else { return };
        let mut pcm = [0; FRAME];
        if let Some((utterance, at)) = &mut self.saying {
            let rest = &utterance.pcm[*at..];
            let length = rest.len().min(FRAME);
            pcm[..length].copy_from_slice(&rest[..length]);
            *at += length;
        }
        self.recording.caller(&pcm);
        let packet = self.sender.next(&pcm);
        self.transmits.push_back(Transmit::Rtp(media.remote, packet));
        // What comes next counts from the end of what was said: the agent's last words before it are no reply.
        if let Some((utterance, _)) = self.saying.take_if(|(u, at)| *at >= u.pcm.len()) {
            self.step_began = now + FRAME_US;
            self.note(now, Happened::SayEnded { text: utterance.text });
        }
        if !self.sender.pressing()
            && let Some(key) = self.key.take()
        {
            self.step_began = now + FRAME_US;
            self.note(now, Happened::KeySent { key });
        }
    }

    fn follow_script(&mut self, now: u64) {
        let Some(step) = self.config.steps.get(self.step).cloned() else { return self.leave(now) };
        let waited = now.saturating_sub(self.step_began);
        match step {
            Step::Say(utterance) => self.say(now, utterance),
            Step::Pause { ms } if waited < ms * 1000 => {}
            Step::Pause { .. } => self.next_step(now),
            Step::Interrupt { after_ms, say, timeout_ms } => {
                let spoken = self.hearing.speaking_since().map(|since| now.saturating_sub(since.max(self.step_began)));
                if let Some(spoken) = spoken.filter(|&s| s >= after_ms * 1000) {
                    self.note(now, Happened::Interrupted { agent_spoke_ms: spoken / 1000 });
                    self.say(now, say);
                } else {
                    self.lose_patience(now, waited, timeout_ms, "the agent to speak long enough");
                }
            }
            Step::WaitForAgent { quiet_ms, timeout_ms } => {
                let spoke = self.hearing.last_loud() > self.step_began;
                let quiet = now.saturating_sub(self.hearing.last_loud()) >= quiet_ms * 1000;
                if spoke && quiet {
                    self.next_step(now);
                } else {
                    self.lose_patience(now, waited, timeout_ms, "the agent to speak and be quiet");
                }
            }
            Step::Dtmf { key, duration_ms } => {
                let accepted = self.media.and_then(|m| m.telephone_event);
                if accepted.is_some_and(|payload| self.sender.press(key, duration_ms, payload)) {
                    self.key = Some(key);
                    self.next_step(now);
                } else {
                    self.lose_patience(now, 1, 0, "a telephone-event in the answer");
                }
            }
            Step::WaitForHangUp { timeout_ms } => self.lose_patience(now, waited, timeout_ms, "the agent to hang up"),
            Step::HangUp {} => self.leave(now),
        }
    }

    fn say(&mut self, now: u64, utterance: Utterance) {
        self.note(now, Happened::SayStarted { text: utterance.text.clone() });
        self.saying = Some((utterance, 0));
        self.next_step(now);
    }

    const fn next_step(&mut self, now: u64) {
        self.step += 1;
        self.step_began = now;
    }

    fn lose_patience(&mut self, now: u64, waited: u64, timeout_ms: u64, waiting_for: &str) {
        if waited <= timeout_ms * 1000 {
            return;
        }
        self.note(now, Happened::StepTimedOut { step: self.step, waiting_for: waiting_for.to_owned() });
        self.leave(now);
    }

    fn heard(&mut self, now: u64, change: Option<Change>) {
        match change {
            Some(Change::Started(at)) => self.note(at, Happened::AgentStarted),
            Some(Change::Stopped(from, to)) => {
                let ms = |at: u64| at.saturating_sub(self.began) / 1000;
                let stopped = Happened::AgentStopped { from_ms: ms(from), to_ms: ms(to) };
                self.note(now, stopped);
            }
            None => {}
        }
    }

    fn note(&mut self, at: u64, what: Happened) {
        self.events.push_back(Event { at_ms: at.saturating_sub(self.began) / 1000, what });
    }
}
