//! A call of ours until it is answered, refused or given up, as a machine: INVITE, forks, PRACK, CANCEL, ACK.
//!
//! One answer counts: of several far ends that answer the first is the call, and the others get ACK and BYE. Who is told
//! that a call is over is told once, at once; what is left to say to the network is said behind it.

use std::collections::VecDeque;

use super::answer::Answer;
use super::asking::{Asked, Asking};
use super::fork::Fork;
use super::outgoing::Outgoing;
use super::request::{self, Invite};
use crate::admission::CallTerms;
use crate::auth::DigestClient;
use crate::dialog::Dialog;
use crate::draw::Draw;
use crate::locals::Locals;
use crate::locate::Server;
use crate::session_timer::{LEAST_S, SessionTimer, Wanted};
use crate::transport::{Hop, Transport};

/// Most far ends of one INVITE that are told apart; further ones are acknowledged and hung up, if they answer.
const MOST_FORKS: usize = 8;
/// The largest request that is sent over UDP while there is TCP, in bytes (RFC 3261 18.1.1).
const MOST_OVER_UDP: usize = 1300;
/// Most far ends that are hung up because another was first.
const MOST_HUNG_UP: usize = 16;
/// Most times that one server's wish for a password is met.
const MOST_CHALLENGES: u32 = 3;
/// Most news of ringing that the driver is told of one call.
const MOST_NEWS: u32 = 64;
/// Most times that an interval between refreshes is raised because it was too short (RFC 4028 7.3).
const MOST_RAISES: u32 = 2;
/// Timers B, D, M and the wait behind a CANCEL, in T1 (RFC 3261 17.1.1.2, RFC 6026 7.2).
const LONG_T1S: u64 = 64;

/// What our requests say of ourselves.
#[derive(Debug, Clone)]
pub struct Ourselves {
    /// Hosts and ports of Contact and Via.
    pub locals: Locals,
    /// Value of User-Agent.
    pub user_agent: String,
    /// What our branches begin with.
    pub branch_prefix: String,
    /// T1, in milliseconds.
    pub t1_ms: u64,
    /// After how long without a refresh a session ends, in seconds; 0 asks for no such end (RFC 4028).
    pub session_expires_s: u32,
    /// The shortest such time that is agreed to, in seconds.
    pub min_se_s: u32,
    /// What holds for the call.
    pub terms: CallTerms,
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// The message.
    pub text: String,
    /// Where to.
    pub to: Hop,
    /// Where to when nobody can be reached there, of what is said within a dialog.
    pub detour: Option<Hop>,
    /// The branch of a request that is answered; `None` for an ACK.
    pub branch: Option<String>,
}

/// What happened. [`ClientEvent::Refused`] is the last, [`ClientEvent::Answered`] the last but for none.
#[derive(Debug)]
pub enum ClientEvent {
    /// Somebody has the INVITE.
    Trying,
    /// It rings, or sound begins before the answer.
    Ringing {
        /// Which far end, from 0.
        fork: u8,
        /// Status, 101 to 199.
        status: u16,
        /// The answer to our offer, for sound before the call is answered.
        sdp: Option<String>,
    },
    /// Answered; the ACK is among what is to be sent.
    Answered {
        /// Which far end.
        fork: u8,
        /// The answer to our offer.
        sdp: String,
    },
    /// Over without an answer.
    Refused(Refused),
}

/// Why there was no answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused {
    /// Status of the answer, 300 to 699; 408 when nobody answered in time, 487 when we gave up.
    pub status: u16,
    /// Whether the far end said so.
    pub is_theirs: bool,
    /// Reason (RFC 3326).
    pub reason: Option<String>,
    /// Retry-After, in seconds.
    pub retry_after_s: Option<u32>,
    /// Contacts of a 3xx: other addresses, as they were written. They are not followed here.
    pub contacts: Vec<String>,
}

/// How one INVITE is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// Nothing came yet.
    Calling { again_ms: u64, pause_ms: u64, until_ms: u64 },
    /// Something provisional came.
    Proceeding,
    /// A 2xx came; others may until then.
    Accepted { until_ms: u64 },
    /// It was refused; the refusal may come again until then.
    Completed { until_ms: u64 },
    /// Nobody answered; somebody may yet.
    Gone,
    /// Nothing more is heard of it.
    Done,
}

/// Whether an INVITE is to be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    No,
    /// As soon as something comes: before that there may be nobody to take it back from (RFC 3261 9.1).
    Wanted,
    /// CANCEL was sent; the INVITE is given up on then.
    Sent {
        until_ms: u64,
    },
}

/// One INVITE: each server and each password makes a new one.
#[derive(Debug)]
struct Attempt {
    branch: String,
    cseq: u32,
    to: Hop,
    text: String,
    authorization: Option<(&'static str, String)>,
    sent: Sent,
    taken: Taken,
}

/// How the call is, for the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Dialling { until_ms: u64 },
    Answered,
    Over,
}

/// A call of ours.
#[derive(Debug)]
pub struct ClientCall {
    us: Ourselves,
    call: Outgoing,
    draw: Draw,
    digest: Option<DigestClient>,
    challenges: u32,
    call_id: String,
    from_tag: String,
    cseq: u32,
    /// Index of the server that is tried.
    server: usize,
    /// The last is the one that counts.
    attempts: Vec<Attempt>,
    forks: Vec<Fork>,
    asking: Vec<Asking>,
    hung_up: usize,
    /// The server that is tried over UDP does not listen on TCP.
    no_tcp: bool,
    news: u32,
    tried: bool,
    timer: SessionTimer,
    /// The longest Min-SE that a 422 said, in seconds, and how many there were.
    least_s: u32,
    raises: u32,
    phase: Phase,
    dialog: Option<Dialog>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<ClientEvent>,
    failures: VecDeque<(Server, Option<u32>)>,
}

impl ClientCall {
    /// Begins to call. `call` was checked.
    pub(crate) fn new(now_ms: u64, us: Ourselves, call: Outgoing, mut draw: Draw) -> Self {
        let hex = |bytes: [u8; 16]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (call_id, tag) = (hex(draw.bytes()), hex(draw.bytes()));
        let wanted = Wanted { expires_s: us.session_expires_s, least_s: us.min_se_s.max(1) };
        let mut new = Self {
            timer: SessionTimer::new(wanted),
            least_s: 0,
            raises: 0,
            digest: call.credentials.clone().map(DigestClient::new),
            phase: Phase::Dialling { until_ms: now_ms + call.ring_ms },
            from_tag: tag.get(..16).unwrap_or(&tag).to_owned(),
            call_id,
            us,
            call,
            draw,
            challenges: 0,
            cseq: 0,
            server: 0,
            attempts: Vec::new(),
            forks: Vec::new(),
            asking: Vec::new(),
            hung_up: 0,
            no_tcp: false,
            news: 0,
            tried: false,
            dialog: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            failures: VecDeque::new(),
        };
        new.invite(now_ms);
        new
    }

    /// Begins to call, for simulations.
    ///
    /// # Errors
    /// When the call cannot be sent as it is.
    pub fn begin(now_ms: u64, us: Ourselves, call: Outgoing, draw: Draw) -> Result<Self, super::DialError> {
        let call = call.checked(&us.locals)?;
        Ok(Self::new(now_ms, us, call, draw))
    }

    /// Its Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// What is to be sent, in order.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// What happened. To be asked before [`ClientCall::poll_transmit`]: who answers may ask for something as soon as they
    /// have our ACK.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// A server that did not answer, or could not serve, and after how many seconds it wants to be asked again.
    pub(crate) fn poll_failure(&mut self) -> Option<(Server, Option<u32>)> {
        self.failures.pop_front()
    }

    /// The server that is tried, or that took the call.
    pub(crate) fn server(&self) -> Option<&Server> {
        self.call.servers.get(self.server)
    }

    /// The dialog of the answered call, once.
    pub(crate) const fn take_dialog(&mut self) -> Option<Dialog> {
        self.dialog.take()
    }

    /// What the far end's wishes for a password are answered with from now on.
    pub(crate) const fn take_digest(&mut self) -> Option<DigestClient> {
        self.digest.take()
    }

    /// The session timer of the answered call, on a clock that begins with the answer.
    pub(crate) fn take_timer(&mut self) -> SessionTimer {
        self.timer.clone()
    }

    /// Whether it is answered or over, and nobody waits for anything of it: what is still heard is what came already.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let waits = |attempt: &Attempt| matches!(attempt.sent, Sent::Calling { .. } | Sent::Proceeding);
        !matches!(self.phase, Phase::Dialling { .. })
            && self.asking.is_empty()
            && self.transmits.is_empty()
            && !self.attempts.iter().any(waits)
    }

    /// Whether nothing is left to say to the network, or to hear from it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        !matches!(self.phase, Phase::Dialling { .. })
            && self.asking.is_empty()
            && self.transmits.is_empty()
            && self.attempts.iter().all(|attempt| matches!(attempt.sent, Sent::Gone | Sent::Done))
    }

    /// Gives up: takes the INVITE back, and hangs up whoever answers all the same (RFC 3261 9.1).
    pub fn cancel(&mut self, now_ms: u64) {
        if let Phase::Dialling { .. } = self.phase {
            self.give_up(now_ms, 487);
        }
    }

    /// A response came whose branch is of one of our requests.
    pub fn handle_answer(&mut self, now_ms: u64, answer: &Answer) {
        if answer.call_id != self.call_id || answer.from_tag != self.from_tag {
            return;
        }
        if answer.method == "INVITE" {
            let named = |attempt: &Attempt| attempt.branch == answer.branch && attempt.cseq == answer.cseq;
            let Some(at) = self.attempts.iter().position(named) else { return };
            match answer.status {
                100..=199 => self.provisional(now_ms, at, answer),
                200..=299 => self.accepted(now_ms, at, answer),
                _ => self.refused(now_ms, at, answer),
            }
        } else if let Some(at) = self.asking.iter().position(|asking| asking.branch == answer.branch) {
            if answer.is_provisional() {
                if let Some(asking) = self.asking.get_mut(at) {
                    asking.handle_provisional();
                }
            } else {
                self.asking.remove(at);
            }
        }
    }

    /// What was to be sent could not be.
    pub fn handle_not_sent(&mut self, now_ms: u64, branch: &str) {
        let last = self.attempts.len().saturating_sub(1);
        if let Some(attempt) = self.attempts.get_mut(last)
            && attempt.branch == branch
            && matches!(attempt.sent, Sent::Calling { .. })
        {
            attempt.sent = Sent::Gone;
            let asked = self.call.servers.get(self.server).map(|server| server.transport);
            let fell_over = attempt.to.transport == Transport::Tcp && asked == Some(Transport::Udp);
            if fell_over && matches!(self.phase, Phase::Dialling { .. }) {
                // Larger than is good for UDP, but that is where they listen.
                self.no_tcp = true;
                return self.invite(now_ms);
            }
            self.next_server(now_ms, &silence());
        }
    }

    /// Carries out what is due.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        let mut given_up = false;
        let last = self.attempts.len().saturating_sub(1);
        for (at, attempt) in self.attempts.iter_mut().enumerate() {
            if matches!(attempt.taken, Taken::Sent { until_ms } if until_ms <= now_ms)
                && matches!(attempt.sent, Sent::Proceeding)
            {
                attempt.sent = Sent::Done;
            }
            match &mut attempt.sent {
                Sent::Calling { until_ms, .. } if *until_ms <= now_ms => {
                    attempt.sent = Sent::Gone;
                    given_up |= at == last;
                }
                Sent::Calling { again_ms, pause_ms, .. } if *again_ms <= now_ms => {
                    // Timer A doubles without a bound but timer B's (RFC 3261 17.1.1.2).
                    *pause_ms *= 2;
                    *again_ms = now_ms + *pause_ms;
                    let (text, branch) = (attempt.text.clone(), Some(attempt.branch.clone()));
                    self.transmits.push_back(Transmit { text, to: attempt.to, detour: None, branch });
                }
                Sent::Accepted { until_ms } | Sent::Completed { until_ms } if *until_ms <= now_ms => {
                    attempt.sent = Sent::Done;
                }
                _ => {}
            }
        }
        let transmits = &mut self.transmits;
        self.asking.retain_mut(|asking| match asking.handle_timeout(now_ms) {
            Asked::Waiting => true,
            Asked::Again => {
                let (text, branch) = (asking.text.clone(), Some(asking.branch.clone()));
                transmits.push_back(Transmit { text, to: asking.to, detour: None, branch });
                true
            }
            Asked::GivenUp => false,
        });
        match self.phase {
            Phase::Dialling { until_ms } if until_ms <= now_ms => self.give_up(now_ms, 408),
            Phase::Dialling { .. } if given_up => self.next_server(now_ms, &silence()),
            _ => {}
        }
    }

    /// When [`ClientCall::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let attempts = self.attempts.iter().filter_map(|attempt| match (attempt.sent, attempt.taken) {
            (Sent::Calling { again_ms, until_ms, .. }, _) => Some(again_ms.min(until_ms)),
            (Sent::Accepted { until_ms } | Sent::Completed { until_ms }, _)
            | (Sent::Proceeding, Taken::Sent { until_ms }) => Some(until_ms),
            (Sent::Proceeding | Sent::Gone | Sent::Done, _) => None,
        });
        let ringing = match self.phase {
            Phase::Dialling { until_ms } => Some(until_ms),
            Phase::Answered | Phase::Over => None,
        };
        attempts.chain(self.asking.iter().map(Asking::poll_timeout)).chain(ringing).min()
    }

    /// Sends an INVITE to the server that is tried: over TCP, where it would be too large for UDP and nobody has said yet
    /// that nobody listens there (RFC 3261 18.1.1).
    fn invite(&mut self, now_ms: u64) {
        let Some(server) = self.call.servers.get(self.server) else { return };
        let to = Hop::new(server.transport, server.address);
        self.cseq += 1;
        let (branch, session, random) = (self.branch(), self.session(), self.draw.bytes());
        let digest = self.digest.as_mut();
        let authorization = digest.and_then(|digest| digest.authorize("INVITE", &self.call.target, random));
        let written = |to: Hop| {
            let named = Invite {
                to,
                branch: &branch,
                call_id: &self.call_id,
                from_tag: &self.from_tag,
                cseq: self.cseq,
                authorization: authorization.as_ref(),
                session: &session,
            };
            (request::invite(&self.us, &self.call, &named), to)
        };
        let (text, to) = match written(to) {
            (text, _) if to.transport == Transport::Udp && text.len() > MOST_OVER_UDP && !self.no_tcp => {
                written(Hop::new(Transport::Tcp, to.address))
            }
            written => written,
        };
        self.transmits.push_back(Transmit { text: text.clone(), to, detour: None, branch: Some(branch.clone()) });
        let t1_ms = self.us.t1_ms;
        let until_ms = now_ms + LONG_T1S * t1_ms;
        // Over a connection nothing is sent again (RFC 3261 17.1.1.2).
        let again_ms = if to.transport.is_reliable() { until_ms } else { now_ms + t1_ms };
        let sent = Sent::Calling { again_ms, pause_ms: t1_ms, until_ms };
        self.attempts.push(Attempt { branch, cseq: self.cseq, to, text, authorization, sent, taken: Taken::No });
    }

    fn provisional(&mut self, now_ms: u64, at: usize, answer: &Answer) {
        let is_last = at + 1 == self.attempts.len();
        let Some(attempt) = self.attempts.get_mut(at) else { return };
        match attempt.sent {
            Sent::Calling { .. } => attempt.sent = Sent::Proceeding,
            Sent::Proceeding => {}
            // Whoever was taken for dead speaks: it is to stop.
            Sent::Gone => (attempt.sent, attempt.taken) = (Sent::Proceeding, Taken::Wanted),
            Sent::Done | Sent::Accepted { .. } | Sent::Completed { .. } => return,
        }
        if attempt.taken == Taken::Wanted {
            self.take_back(now_ms, at);
        }
        if !is_last || !matches!(self.phase, Phase::Dialling { .. }) {
            return;
        }
        if !std::mem::replace(&mut self.tried, true) {
            self.events.push_back(ClientEvent::Trying);
        }
        if answer.status == 100 {
            return;
        }
        let Some(fork) = self.fork(answer) else { return };
        if let Some(rseq) = answer.rseq
            && !self.acknowledge(now_ms, fork, rseq, answer)
        {
            return;
        }
        let Some(fork) = self.forks.get_mut(fork) else { return };
        let fresh = answer.sdp.as_ref().filter(|_| fork.sdp.is_none());
        if let Some(sdp) = fresh {
            fork.sdp = Some(sdp.clone());
        }
        let news = (answer.status, fork.sdp.is_some());
        if fork.told != Some(news) && self.news < MOST_NEWS {
            self.news += 1;
            fork.told = Some(news);
            let (fork, status, sdp) = (fork.number, answer.status, fork.sdp.clone());
            self.events.push_back(ClientEvent::Ringing { fork, status, sdp });
        }
    }

    /// PRACK of a provisional response that asks for it (RFC 3262 4); false when it is to be ignored: it came before, or
    /// one in front of it is missing.
    fn acknowledge(&mut self, now_ms: u64, fork: usize, rseq: u32, answer: &Answer) -> bool {
        let branch = self.branch();
        let from = format!("{};tag={}", self.call.from, self.from_tag);
        let random = self.draw.bytes();
        let Some(fork) = self.forks.get_mut(fork) else { return false };
        if fork.rseq.is_some_and(|last| rseq != last.wrapping_add(1)) {
            return false;
        }
        fork.rseq = Some(rseq);
        let mut dialog = fork.dialog(answer, &from, &self.call, &self.us.terms);
        fork.cseq += 1;
        let digest = self.digest.as_mut();
        let proof = digest.and_then(|digest| digest.authorize("PRACK", &dialog.remote_target, random));
        let proof = proof.map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
        let headers = format!("RAck: {rseq} {} INVITE\r\n{proof}", answer.cseq);
        let via = self.us.locals.via(dialog.destination(), &branch);
        let (text, to) = dialog.request("PRACK", &via, &self.us.user_agent, &headers);
        self.ask(now_ms, branch, text, (to, dialog.detour()));
        true
    }

    /// The far end that an answer is from; `None` for one too many, or without a tag.
    fn fork(&mut self, answer: &Answer) -> Option<usize> {
        let tag = answer.to_tag.as_deref()?;
        if let Some(known) = self.forks.iter().position(|fork| fork.tag == tag) {
            return Some(known);
        }
        if self.forks.len() >= MOST_FORKS {
            return None;
        }
        let number = u8::try_from(self.forks.len()).ok()?;
        self.forks.push(Fork::new(tag.to_owned(), number, answer.cseq));
        Some(self.forks.len() - 1)
    }

    fn accepted(&mut self, now_ms: u64, at: usize, answer: &Answer) {
        // Without a tag there is no dialog that could be acknowledged (RFC 3261 12.1.2).
        let Some(tag) = answer.to_tag.as_deref() else { return };
        let is_last = at + 1 == self.attempts.len();
        let Some(attempt) = self.attempts.get_mut(at) else { return };
        match attempt.sent {
            Sent::Completed { .. } | Sent::Done => return,
            Sent::Accepted { .. } => {}
            Sent::Calling { .. } | Sent::Proceeding | Sent::Gone => {
                attempt.sent = Sent::Accepted { until_ms: now_ms + LONG_T1S * self.us.t1_ms };
            }
        }
        let proof = attempt.authorization.as_ref().map(|(name, value)| format!("{name}: {value}\r\n"));
        let known = self.forks.iter().find(|fork| fork.tag == tag);
        if let Some(ack) = known.and_then(|fork| fork.acked.clone()) {
            return self.transmits.push_back(ack);
        }
        let Some(fork) = self.fork(answer).or_else(|| self.stray(answer)) else { return };
        let (branch, from) = (self.branch(), format!("{};tag={}", self.call.from, self.from_tag));
        let Some(fork) = self.forks.get_mut(fork) else { return };
        // An ACK has the number of its INVITE, whatever was asked since (RFC 3261 13.2.2.4).
        let last = std::mem::replace(&mut fork.cseq, answer.cseq - 1);
        let mut dialog = fork.dialog(answer, &from, &self.call, &self.us.terms);
        let via = self.us.locals.via(dialog.destination(), &branch);
        let ack = dialog.request("ACK", &via, &self.us.user_agent, proof.as_deref().unwrap_or(""));
        (fork.cseq, dialog.local_cseq) = (last.max(answer.cseq), last.max(answer.cseq));
        let ack = Transmit { text: ack.0, to: ack.1, detour: dialog.detour(), branch: None };
        fork.acked = Some(ack.clone());
        self.transmits.push_back(ack);
        let sdp = answer.sdp.clone().or_else(|| fork.sdp.clone());
        let number = fork.number;
        match (self.phase, sdp) {
            (Phase::Dialling { .. }, Some(sdp)) if is_last => {
                if let Some(digest) = &mut self.digest {
                    digest.handle_accepted();
                }
                self.timer.answered(answer.session_expires.as_deref(), answer.takes_update, 0);
                self.phase = Phase::Answered;
                self.dialog = Some(dialog);
                self.events.push_back(ClientEvent::Answered { fork: number, sdp });
            }
            (Phase::Dialling { .. }, None) if is_last => {
                // An answer that says nothing of the sound: there is no call to be had with it.
                self.hang_up(now_ms, dialog, "Q.850;cause=88;text=\"No description\"");
                self.over(Refused { status: 488, ..Refused::default() });
            }
            _ => self.hang_up(now_ms, dialog, "SIP;cause=200;text=\"Call completed elsewhere\""),
        }
    }

    /// A far end too many that answers all the same.
    fn stray(&mut self, answer: &Answer) -> Option<usize> {
        let tag = answer.to_tag.clone()?;
        (self.forks.len() < MOST_FORKS + MOST_HUNG_UP).then(|| {
            self.forks.push(Fork::new(tag, u8::MAX, answer.cseq));
            self.forks.len() - 1
        })
    }

    /// BYE to a far end that answered and is not the call.
    fn hang_up(&mut self, now_ms: u64, mut dialog: Dialog, reason: &str) {
        self.hung_up += 1;
        if self.hung_up > MOST_HUNG_UP {
            return;
        }
        let branch = self.branch();
        let random = self.draw.bytes();
        let digest = self.digest.as_mut();
        let proof = digest.and_then(|digest| digest.authorize("BYE", &dialog.remote_target, random));
        let proof = proof.map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
        let headers = format!("Reason: {reason}\r\n{proof}");
        let via = self.us.locals.via(dialog.destination(), &branch);
        let (text, to) = dialog.request("BYE", &via, &self.us.user_agent, &headers);
        self.ask(now_ms, branch, text, (to, dialog.detour()));
    }

    fn refused(&mut self, now_ms: u64, at: usize, answer: &Answer) {
        let is_last = at + 1 == self.attempts.len();
        let Some(attempt) = self.attempts.get_mut(at) else { return };
        let named = Invite {
            to: attempt.to,
            branch: &attempt.branch,
            call_id: &self.call_id,
            from_tag: &self.from_tag,
            cseq: attempt.cseq,
            authorization: attempt.authorization.as_ref(),
            session: "",
        };
        let text = request::ack(&self.us, &self.call, &named, &answer.to);
        match attempt.sent {
            Sent::Accepted { .. } | Sent::Done => return,
            Sent::Completed { .. } => {
                return self.transmits.push_back(Transmit { text, to: attempt.to, detour: None, branch: None });
            }
            Sent::Calling { .. } | Sent::Proceeding | Sent::Gone => {}
        }
        attempt.sent = Sent::Completed { until_ms: now_ms + LONG_T1S * self.us.t1_ms };
        self.transmits.push_back(Transmit { text, to: attempt.to, detour: None, branch: None });
        if !is_last || !matches!(self.phase, Phase::Dialling { .. }) {
            return;
        }
        let refused = Refused {
            status: answer.status,
            is_theirs: true,
            reason: answer.reason.clone(),
            retry_after_s: answer.retry_after_s,
            contacts: if answer.status < 400 { answer.contacts.clone() } else { Vec::new() },
        };
        match answer.status {
            401 | 407 if self.challenged(answer) => self.invite(now_ms),
            422 if self.raised(answer) => self.invite(now_ms),
            503 if self.forks.is_empty() => self.next_server(now_ms, &refused),
            _ => self.over(refused),
        }
    }

    /// Whether a wish for a password can be met.
    fn challenged(&mut self, answer: &Answer) -> bool {
        self.challenges += 1;
        let headers: Vec<(&str, &str)> =
            answer.challenges.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let met = self.digest.as_mut().is_some_and(|digest| digest.handle_challenge(&headers).is_ok());
        met && self.challenges <= MOST_CHALLENGES
    }

    /// Whether an interval that was too short for somebody can be made longer.
    fn raised(&mut self, answer: &Answer) -> bool {
        let Some(least_s) = answer.min_se_s.filter(|least_s| *least_s > self.least_s) else { return false };
        self.raises += 1;
        self.least_s = least_s;
        self.raises <= MOST_RAISES
    }

    /// What an INVITE says of the session: whole lines.
    fn session(&self) -> String {
        let Some(session_expires) = self.timer.asking(self.least_s) else { return String::new() };
        let least_s = self.least_s.max(self.us.min_se_s);
        // The standard's own least need not be said (RFC 4028 5).
        let min_se = if least_s > LEAST_S { format!("Min-SE: {least_s}\r\n") } else { String::new() };
        format!("Session-Expires: {session_expires}\r\n{min_se}")
    }

    /// The server did not answer, or cannot serve: the next one, or this was all (RFC 3263 4.3).
    fn next_server(&mut self, now_ms: u64, why: &Refused) {
        if !matches!(self.phase, Phase::Dialling { .. }) {
            return;
        }
        if let Some(server) = self.call.servers.get(self.server) {
            self.failures.push_back((server.clone(), why.retry_after_s));
        }
        self.server += 1;
        if self.server >= self.call.servers.len() {
            return self.over(why.clone());
        }
        self.challenges = 0;
        self.no_tcp = false;
        if let Some(digest) = &mut self.digest {
            digest.handle_accepted();
        }
        self.invite(now_ms);
    }

    fn give_up(&mut self, now_ms: u64, status: u16) {
        self.over(Refused { status, ..Refused::default() });
        for at in 0..self.attempts.len() {
            let Some(attempt) = self.attempts.get_mut(at) else { continue };
            match (attempt.sent, attempt.taken) {
                (Sent::Proceeding, Taken::No) => self.take_back(now_ms, at),
                (Sent::Calling { .. }, Taken::No) => attempt.taken = Taken::Wanted,
                _ => {}
            }
        }
    }

    /// CANCEL, which shares the INVITE's branch and goes where it went.
    fn take_back(&mut self, now_ms: u64, at: usize) {
        let Some(attempt) = self.attempts.get_mut(at) else { return };
        attempt.taken = Taken::Sent { until_ms: now_ms + LONG_T1S * self.us.t1_ms };
        let named = Invite {
            to: attempt.to,
            branch: &attempt.branch,
            call_id: &self.call_id,
            from_tag: &self.from_tag,
            cseq: attempt.cseq,
            authorization: None,
            session: "",
        };
        let text = request::cancel(&self.us, &self.call, &named);
        let (branch, to) = (attempt.branch.clone(), attempt.to);
        self.ask(now_ms, branch, text, (to, None));
    }

    fn ask(&mut self, now_ms: u64, branch: String, text: String, (to, detour): (Hop, Option<Hop>)) {
        self.transmits.push_back(Transmit { text: text.clone(), to, detour, branch: Some(branch.clone()) });
        self.asking.push(Asking::new(now_ms, self.us.t1_ms, branch, text, to));
    }

    fn over(&mut self, refused: Refused) {
        self.phase = Phase::Over;
        self.events.push_back(ClientEvent::Refused(refused));
    }

    fn branch(&mut self) -> String {
        let random = self.draw.bytes();
        let hex: String = random.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        format!("{}{hex}", self.us.branch_prefix)
    }
}

/// Nobody answered.
fn silence() -> Refused {
    Refused { status: 408, ..Refused::default() }
}
