//! One call from INVITE to BYE as a state machine: datagrams and times in, datagrams and events out.

use crate::dialog::{Dialog, DialogConfig, News};
use crate::event::{Event, Happened, HungUpBy};
use crate::hearing::{Change, Hearing};
use crate::message::Message;
use crate::recording::{Arrival, Recording};
use crate::rtp::{self, FRAME};
use crate::script::{Step, Utterance};
use crate::sdp::Answer;
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

/// The call. Times are microseconds on any clock that does not go back.
pub struct Call {
    dialog: Dialog,
    steps: Vec<Step>,
    began: u64,
    cancel_at: Option<u64>,
    /// Where sound goes, once that is settled.
    media: Option<Answer>,
    /// Answered at all, so that there is a media line in the end.
    answered: bool,
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
        let CallConfig { target, from, local_sip, local_rtp, seed, headers, cancel_after_ms, steps } = config;
        let dialog = Dialog::new(now, DialogConfig { target, from, local_sip, local_rtp, seed, headers });
        let mut call = Self {
            steps,
            began: now,
            cancel_at: cancel_after_ms.map(|ms| now + ms * 1000),
            media: None,
            answered: false,
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
            dialog,
        };
        call.note(now, Happened::InviteSent { call_id: call.dialog.call_id().to_owned() });
        call.follow_dialog(now);
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
        let frame = self.dialog.is_up().then_some(self.next_frame);
        [self.dialog.poll_timeout(), self.cancel_at, frame].into_iter().flatten().min()
    }

    /// True when the call has ended and everything was sent.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.dialog.is_over() && self.transmits.is_empty() && self.events.is_empty()
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
        self.dialog.hang_up(now);
        self.follow_dialog(now);
    }

    /// A datagram on the SIP socket.
    pub fn handle_sip(&mut self, now: u64, datagram: &[u8]) {
        let Some(message) = Message::parse(datagram) else { return };
        self.dialog.handle_message(now, &message);
        self.follow_dialog(now);
    }

    /// A datagram on the RTP socket.
    pub fn handle_rtp(&mut self, now: u64, datagram: &[u8]) {
        if !self.dialog.is_up() {
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
        self.dialog.handle_timeout(now);
        if self.cancel_at.is_some_and(|at| now >= at) {
            self.cancel_at = None;
            if !self.answered {
                self.dialog.hang_up(now);
            }
        }
        self.follow_dialog(now);
        if self.dialog.is_up() && now > self.next_frame + LATEST_US {
            self.next_frame = now;
        }
        while self.dialog.is_up() && now >= self.next_frame {
            self.tick(now);
            self.next_frame += FRAME_US;
        }
    }

    /// Takes along what the signalling wants sent and what became of it.
    fn follow_dialog(&mut self, now: u64) {
        while let Some(bytes) = self.dialog.poll_transmit() {
            self.transmits.push_back(Transmit::Sip(bytes));
        }
        while let Some(news) = self.dialog.poll_news() {
            if !matches!(news, News::Provisional(_)) {
                self.cancel_at = None;
            }
            match news {
                News::Provisional(status) => self.note(now, Happened::Provisional { status }),
                News::Accepted(media) => {
                    self.note(now, Happened::Answered);
                    self.answered = true;
                    self.media = media;
                    self.recording.begin(now);
                    self.next_frame = now;
                    self.step_began = now;
                }
                News::Refused(status, reason) => self.note(now, Happened::Refused { status, reason }),
                News::Cancelled => self.note(now, Happened::Cancelled),
                News::NoAnswer => self.note(now, Happened::NoAnswer),
                News::Leaving => self.note(now, Happened::HungUp { by: HungUpBy::Caller }),
                News::HungUp => self.note(now, Happened::HungUp { by: HungUpBy::Agent }),
                News::Ended => self.end(now),
            }
        }
    }

    fn end(&mut self, now: u64) {
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

    /// One 20 ms frame: the script moves on, then something is sent.
    fn tick(&mut self, now: u64) {
        let change = self.hearing.handle_time(now);
        self.heard(now, change);
        if self.saying.is_none() && self.key.is_none() {
            self.follow_script(now);
        }
        let Some(media) = self.media.filter(|_| self.dialog.is_up()) else { return };
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
        let Some(step) = self.steps.get(self.step).cloned() else { return self.hang_up(now) };
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
            Step::HangUp {} => self.hang_up(now),
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
        self.hang_up(now);
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
