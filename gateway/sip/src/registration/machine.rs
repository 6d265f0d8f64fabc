//! One binding: register, refresh, fail over, wait, unregister.

use std::collections::VecDeque;

use super::config::RegistrationConfig;
use crate::auth::{DigestClient, DigestClientError};
use crate::draw::Draw;

/// The longest binding that is asked for because a registrar insists: a week.
const MOST_EXPIRES_S: u32 = 604_800;
/// The shortest binding that is lived with; a registrar that grants less is taken at this and may lose it.
const LEAST_EXPIRES_S: u32 = 10;
/// Most times in a row that one request is changed and sent again: a challenge, a longer time, a stale nonce.
const MOST_CHANGES: u32 = 4;
/// Longest Retry-After that is believed, in seconds.
const MOST_RETRY_AFTER_S: u32 = 3600;
/// How long a binding is let be though its connection is gone: some registrars close each at once.
const FLOW_REST_MS: u64 = 10_000;

/// A REGISTER to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterRequest {
    /// Request-URI.
    pub registrar: String,
    /// Which of the configured registrars it is for, from 0.
    pub at: usize,
    /// To and From.
    pub address: String,
    /// Call-ID.
    pub call_id: String,
    /// CSeq.
    pub cseq: u32,
    /// Value of Contact with its parameters.
    pub contact: String,
    /// Value of Expires, in seconds; 0 unregisters.
    pub expires_s: u32,
    /// `Authorization` or `Proxy-Authorization` with its value.
    pub authorization: Option<(&'static str, String)>,
}

/// The final answer to a REGISTER.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegisterAnswer {
    /// Status, 200 to 699.
    pub status: u16,
    /// CSeq of the request.
    pub cseq: u32,
    /// Contacts: URI without its parameters, and `expires`, in seconds.
    pub contacts: Vec<(String, Option<u32>)>,
    /// Expires, in seconds.
    pub expires_s: Option<u32>,
    /// Min-Expires, in seconds.
    pub min_expires_s: Option<u32>,
    /// Retry-After, in seconds.
    pub retry_after_s: Option<u32>,
    /// `WWW-Authenticate` and `Proxy-Authenticate` headers.
    pub challenges: Vec<(String, String)>,
}

/// Why a binding is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyNot {
    /// No answer in time, or none could be sent.
    NoAnswer,
    /// The registrar's status.
    Status(u16),
    /// The password cannot be given, or was refused.
    Password(DigestClientError),
}

/// What happened to a binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationEvent {
    /// It is there, or was refreshed.
    Registered {
        /// The registrar.
        registrar: String,
        /// For how long, in seconds.
        expires_s: u32,
    },
    /// A registrar failed; another try follows. `lost` says whether the binding is gone.
    Failed {
        /// The registrar.
        registrar: String,
        /// Why.
        why: WhyNot,
        /// No calls come by it any more.
        lost: bool,
    },
    /// It expired before it could be refreshed.
    Expired,
    /// It is over: unregistered, or given up on at the end.
    Ended {
        /// Whether the registrar said so.
        confirmed: bool,
    },
}

/// How a binding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationState {
    /// Not begun.
    Idle,
    /// There is none, and it is tried for.
    Trying,
    /// It is there.
    Registered,
    /// There is none, and the next try is due later.
    Waiting,
    /// It is being taken back.
    Ending,
    /// It is over.
    Ended,
}

/// One binding.
#[derive(Debug)]
pub struct Registration {
    config: RegistrationConfig,
    /// Told apart from other bindings by it, from 1.
    reg_id: u32,
    draw: Draw,
    digest: Option<DigestClient>,
    /// What is asked for, in seconds.
    expires_s: u32,
    cseq: u32,
    /// Index of the registrar that is used or tried.
    at: usize,
    /// The registrar that the round of tries began with.
    round_began: usize,
    /// Rounds in which every registrar failed.
    rounds: u32,
    /// Times the request in flight was changed and sent again.
    changes: u32,
    phase: Phase,
    /// When the binding was made or refreshed.
    bound_ms: u64,
    /// When the binding is gone.
    bound_until_ms: Option<u64>,
    /// Earliest time at which each registrar is tried again.
    not_before_ms: Vec<u64>,
    transmits: VecDeque<RegisterRequest>,
    events: VecDeque<RegistrationEvent>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// A request is in flight; no answer by then is a failure.
    Asked {
        until_ms: u64,
    },
    /// The binding is to be refreshed then.
    Bound {
        refresh_ms: u64,
    },
    /// The next round begins then.
    Waiting {
        until_ms: u64,
    },
    /// Unregistering; given up on then.
    Ending {
        until_ms: u64,
    },
    Ended,
}

impl Registration {
    /// A binding that begins with registrar `flow`, counted from 0.
    #[must_use]
    pub fn new(config: RegistrationConfig, flow: u32, draw: Draw) -> Self {
        let registrars = config.registrars.len().max(1);
        let at = usize::try_from(flow).unwrap_or(0) % registrars;
        Self {
            reg_id: flow.saturating_add(1),
            draw,
            digest: config.credentials.clone().map(DigestClient::new),
            expires_s: config.expires_s.clamp(60, 86_400),
            cseq: 0,
            at,
            round_began: at,
            rounds: 0,
            changes: 0,
            phase: Phase::Idle,
            bound_ms: 0,
            bound_until_ms: None,
            not_before_ms: vec![0; registrars],
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            config,
        }
    }

    /// Begins to register.
    pub fn start(&mut self, now_ms: u64) {
        if self.phase == Phase::Idle && !self.config.registrars.is_empty() {
            self.ask(now_ms);
        }
    }

    /// Takes the binding back, and ends.
    pub fn stop(&mut self, now_ms: u64) {
        let was = std::mem::replace(&mut self.phase, Phase::Ended);
        match was {
            Phase::Ending { .. } => self.phase = was,
            Phase::Ended => {}
            // A request in flight may have made a binding already.
            Phase::Asked { .. } | Phase::Bound { .. } => self.say_goodbye(now_ms),
            Phase::Idle | Phase::Waiting { .. } if self.bound_until_ms.is_some() => self.say_goodbye(now_ms),
            Phase::Idle | Phase::Waiting { .. } => self.events.push_back(RegistrationEvent::Ended { confirmed: true }),
        }
    }

    /// A final answer came.
    pub fn handle_answer(&mut self, now_ms: u64, answer: &RegisterAnswer) {
        if answer.cseq != self.cseq {
            return;
        }
        match (self.phase, answer.status) {
            (Phase::Asked { .. }, 200..=299) => self.bound(now_ms, answer),
            (Phase::Ending { .. }, 200..=299) => self.end(true),
            (Phase::Asked { .. } | Phase::Ending { .. }, 401 | 407) => self.challenged(now_ms, answer),
            (Phase::Asked { .. }, 423) => self.too_brief(now_ms, answer),
            (Phase::Asked { .. }, status) => {
                let retry_after_s = answer.retry_after_s.filter(|_| matches!(status, 404 | 413 | 480 | 486 | 500..));
                self.failed(now_ms, WhyNot::Status(status), retry_after_s);
            }
            (Phase::Ending { .. }, _) => self.end(false),
            (Phase::Idle | Phase::Bound { .. } | Phase::Waiting { .. } | Phase::Ended, _) => {}
        }
    }

    /// The request of that CSeq could not be sent, or was not answered.
    pub fn handle_no_answer(&mut self, now_ms: u64, cseq: u32) {
        if cseq != self.cseq {
            return;
        }
        match self.phase {
            Phase::Asked { .. } => self.failed(now_ms, WhyNot::NoAnswer, None),
            Phase::Ending { .. } => self.end(false),
            Phase::Idle | Phase::Bound { .. } | Phase::Waiting { .. } | Phase::Ended => {}
        }
    }

    /// The connection that calls come by is gone (RFC 5626 4.4): registers anew, at once if the connection has lasted.
    pub fn handle_flow_lost(&mut self, now_ms: u64) {
        let Phase::Bound { refresh_ms } = self.phase else { return };
        let soonest_ms = self.bound_ms + FLOW_REST_MS;
        if now_ms < soonest_ms {
            self.phase = Phase::Bound { refresh_ms: refresh_ms.min(soonest_ms) };
            return;
        }
        self.changes = 0;
        self.ask(now_ms);
    }

    /// Carries out what is due.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        if self.bound_until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
            self.bound_until_ms = None;
            if !matches!(self.phase, Phase::Ending { .. }) {
                self.events.push_back(RegistrationEvent::Expired);
            }
        }
        match self.phase {
            Phase::Asked { until_ms } if until_ms <= now_ms => self.failed(now_ms, WhyNot::NoAnswer, None),
            Phase::Bound { refresh_ms } if refresh_ms <= now_ms => self.ask(now_ms),
            Phase::Waiting { until_ms } if until_ms <= now_ms => {
                (self.at, self.round_began) = (0, 0);
                self.skip_resting(now_ms);
                self.round_began = self.at;
                self.ask(now_ms);
            }
            Phase::Ending { until_ms } if until_ms <= now_ms => self.end(false),
            _ => {}
        }
    }

    /// When [`Registration::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let due = match self.phase {
            Phase::Asked { until_ms } | Phase::Waiting { until_ms } | Phase::Ending { until_ms } => Some(until_ms),
            Phase::Bound { refresh_ms } => Some(refresh_ms),
            Phase::Idle | Phase::Ended => return None,
        };
        due.into_iter().chain(self.bound_until_ms).min()
    }

    /// What is to be sent. Whatever was given before and not answered yet is of no further interest.
    pub fn poll_transmit(&mut self) -> Option<RegisterRequest> {
        self.transmits.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<RegistrationEvent> {
        self.events.pop_front()
    }

    /// How it is.
    #[must_use]
    pub const fn state(&self) -> RegistrationState {
        match (self.phase, self.bound_until_ms) {
            (Phase::Idle, _) => RegistrationState::Idle,
            (Phase::Ending { .. }, _) => RegistrationState::Ending,
            (Phase::Ended, _) => RegistrationState::Ended,
            (_, Some(_)) => RegistrationState::Registered,
            (Phase::Waiting { .. }, None) => RegistrationState::Waiting,
            (Phase::Asked { .. } | Phase::Bound { .. }, None) => RegistrationState::Trying,
        }
    }

    /// The registrar that is used or tried.
    #[must_use]
    pub fn registrar(&self) -> &str {
        self.config.registrars.get(self.at).map_or("", String::as_str)
    }

    fn ask(&mut self, now_ms: u64) {
        self.send(self.expires_s);
        self.phase = Phase::Asked { until_ms: now_ms + self.config.timers.answer_ms };
    }

    fn say_goodbye(&mut self, now_ms: u64) {
        self.changes = 0;
        self.send(0);
        self.phase = Phase::Ending { until_ms: now_ms + self.config.timers.goodbye_ms };
    }

    fn send(&mut self, expires_s: u32) {
        self.cseq = self.cseq.wrapping_add(1).max(1);
        let registrar = self.registrar().to_owned();
        let random = self.draw.bytes();
        let authorization = self.digest.as_mut().and_then(|digest| digest.authorize("REGISTER", &registrar, random));
        let RegistrationConfig { contact, instance, call_id, address, .. } = &self.config;
        let flow = instance
            .as_ref()
            .map_or_else(String::new, |instance| format!(";reg-id={};+sip.instance=\"<{instance}>\"", self.reg_id));
        // A request that was not fetched yet is not worth sending any more.
        self.transmits.clear();
        self.transmits.push_back(RegisterRequest {
            at: self.at,
            call_id: format!("{call_id}-{}-{}", self.reg_id, self.at),
            address: address.clone(),
            cseq: self.cseq,
            contact: format!("<{contact}>{flow};expires={expires_s}"),
            expires_s,
            authorization,
            registrar,
        });
    }

    fn bound(&mut self, now_ms: u64, answer: &RegisterAnswer) {
        let ours = answer.contacts.iter().find(|(uri, _)| *uri == self.config.contact);
        let named = ours.or_else(|| answer.contacts.first()).and_then(|(_, expires_s)| *expires_s);
        let granted_s = named.or(answer.expires_s).unwrap_or(self.expires_s);
        if granted_s == 0 {
            return self.failed(now_ms, WhyNot::Status(answer.status), None);
        }
        let expires_s = granted_s.clamp(LEAST_EXPIRES_S, MOST_EXPIRES_S);
        if let Some(digest) = &mut self.digest {
            digest.handle_accepted();
        }
        (self.changes, self.rounds, self.round_began) = (0, 0, self.at);
        let ms = u64::from(expires_s) * 1000;
        // Between half of it and nine tenths, so that neither all gateways nor all bindings come at once, and so that
        // there is time for another registrar.
        let refresh_ms = now_ms + self.draw.between(ms / 2, ms / 10 * 9);
        self.bound_ms = now_ms;
        self.bound_until_ms = Some(now_ms + u64::from(granted_s.min(MOST_EXPIRES_S)) * 1000);
        self.phase = Phase::Bound { refresh_ms };
        let registrar = self.registrar().to_owned();
        self.events.push_back(RegistrationEvent::Registered { registrar, expires_s: granted_s });
    }

    fn challenged(&mut self, now_ms: u64, answer: &RegisterAnswer) {
        let ending = matches!(self.phase, Phase::Ending { .. });
        let headers: Vec<(&str, &str)> =
            answer.challenges.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let understood = match &mut self.digest {
            Some(digest) => digest.handle_challenge(&headers),
            None => Err(DigestClientError::Refused),
        };
        self.changes += 1;
        let understood = if self.changes > MOST_CHANGES { Err(DigestClientError::Refused) } else { understood };
        match understood {
            Ok(()) if ending => self.send(0),
            Ok(()) => self.ask(now_ms),
            Err(_) if ending => self.end(false),
            Err(error) => self.failed(now_ms, WhyNot::Password(error), None),
        }
    }

    fn too_brief(&mut self, now_ms: u64, answer: &RegisterAnswer) {
        self.changes += 1;
        match answer.min_expires_s {
            Some(least_s)
                if self.changes <= MOST_CHANGES && (self.expires_s + 1..=MOST_EXPIRES_S).contains(&least_s) =>
            {
                self.expires_s = least_s;
                self.ask(now_ms);
            }
            _ => self.failed(now_ms, WhyNot::Status(423), None),
        }
    }

    /// A registrar failed: the next one, or a pause when all have.
    fn failed(&mut self, now_ms: u64, why: WhyNot, retry_after_s: Option<u32>) {
        let registrar = self.registrar().to_owned();
        // A refresh that was refused says that there is no binding; silence does not.
        if matches!(why, WhyNot::Password(_) | WhyNot::Status(_)) {
            self.bound_until_ms = None;
        }
        self.events.push_back(RegistrationEvent::Failed { registrar, why, lost: self.bound_until_ms.is_none() });
        if let Some(digest) = &mut self.digest {
            digest.handle_accepted();
        }
        self.changes = 0;
        let timers = self.config.timers;
        let rest_ms = match (why, retry_after_s) {
            // Whoever guesses passwords is locked out; so would be a gateway that goes on with a wrong one.
            (WhyNot::Password(_) | WhyNot::Status(403), _) => timers.retry_max_ms,
            (_, Some(seconds)) => u64::from(seconds.clamp(1, MOST_RETRY_AFTER_S)) * 1000,
            _ => 0,
        };
        if let Some(not_before_ms) = self.not_before_ms.get_mut(self.at) {
            *not_before_ms = now_ms + rest_ms;
        }
        let all = self.config.registrars.len();
        for _ in 0..all {
            self.at = (self.at + 1) % all;
            if self.at == self.round_began {
                break;
            }
            if self.not_before_ms.get(self.at).is_none_or(|not_before_ms| *not_before_ms <= now_ms) {
                return self.ask(now_ms);
            }
        }
        let ceiling_ms = timers.retry_min_ms.saturating_mul(1 << self.rounds.min(16)).min(timers.retry_max_ms);
        self.rounds = self.rounds.saturating_add(1);
        let pause_ms = self.draw.between(ceiling_ms / 2, ceiling_ms);
        // Not before any registrar may be asked again.
        let earliest_ms = self.not_before_ms.iter().copied().min().unwrap_or(0);
        self.phase = Phase::Waiting { until_ms: (now_ms + pause_ms).max(earliest_ms) };
    }

    /// Goes on to the first registrar that may be asked.
    fn skip_resting(&mut self, now_ms: u64) {
        let free = self.not_before_ms.iter().position(|not_before_ms| *not_before_ms <= now_ms);
        self.at = free.unwrap_or(0);
    }

    fn end(&mut self, confirmed: bool) {
        (self.phase, self.bound_until_ms) = (Phase::Ended, None);
        self.transmits.clear();
        self.events.push_back(RegistrationEvent::Ended { confirmed });
    }
}
