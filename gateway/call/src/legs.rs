//! The legs of a call beside the first: who is being dialled, who has answered, and that every one of them ends.
//!
//! A leg is let go of once and believed over when it says so, or when it has not for a while. One that answers although
//! it was given up on is hung up.

use serde_json::json;
use trunkline_api::usage::EndReason;
use trunkline_api::{EventType, Failure};
use trunkline_leg::{CallTime, EndCause, LegFact, LegId, RefusalCause};

use crate::command::Command;
use crate::effects::Effects;
use crate::timers::Reason;

/// Most calls that one call may place: a model that dials in a circle is stopped.
const MOST_DIALS: u32 = 16;
/// Most legs beside the first at a time: the one that is briefed, and one that was let go of and has not ended.
const MOST_OPEN: usize = 4;
/// Longest wait for a leg to end that was let go of.
const END_MS: u64 = 5000;
/// How much longer than its call a driver may ring: it is cancelled first.
const RING_SLACK_MS: u32 = 2000;

/// How far a leg has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Dialling,
    Answered(CallTime),
    /// It was let go of.
    Leaving(Option<CallTime>),
}

#[derive(Debug)]
struct Other {
    id: LegId,
    state: State,
    max_ms: u64,
}

/// What is new of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LegNews {
    Ringing,
    Answered,
    /// Over, before or after an answer.
    Refused(RefusalCause, Option<u16>),
    Ended(EndCause),
}

/// The legs beside the first, and whom the conversation is with.
#[derive(Debug)]
pub(crate) struct Legs {
    others: Vec<Other>,
    dialled: u32,
    attached: Option<LegId>,
}

impl Default for Legs {
    fn default() -> Self {
        Self { others: Vec::new(), dialled: 0, attached: Some(LegId::FIRST) }
    }
}

impl Legs {
    /// Whom the conversation is with; nobody while two legs speak with each other.
    pub(crate) const fn attached(&self) -> Option<LegId> {
        self.attached
    }

    /// Whether there is a leg beside the first.
    pub(crate) fn are_open(&self) -> bool {
        !self.others.is_empty()
    }

    /// Whether that leg is answered and was not let go of.
    pub(crate) fn is_answered(&self, leg: LegId) -> bool {
        self.others.iter().any(|other| other.id == leg && matches!(other.state, State::Answered(_)))
    }

    /// The number that events of the conversation carry: that of a leg beside the first.
    pub(crate) fn told_as(&self) -> Option<u32> {
        self.attached.filter(|leg| *leg != LegId::FIRST).map(|leg| leg.0)
    }
}

impl Effects {
    /// Dials somebody; `None` when the call has dialled too often. The leg lasts no longer than `max_ms`.
    /// `variables` are handed over to whoever answers.
    pub(crate) fn dial(
        &mut self,
        to: &str,
        ring_ms: u32,
        max_ms: u64,
        variables: Vec<(String, String)>,
    ) -> Option<LegId> {
        let legs = self.legs();
        if legs.dialled >= MOST_DIALS || legs.others.len() >= MOST_OPEN {
            return None;
        }
        legs.dialled += 1;
        let leg = LegId(LegId::FIRST.0 + legs.dialled);
        legs.others.push(Other { id: leg, state: State::Dialling, max_ms });
        let timeout_ms = ring_ms.saturating_add(RING_SLACK_MS);
        self.command(Command::Dial { leg, to: to.to_owned(), from: None, timeout_ms, variables });
        self.event(EventType::LegDialled, json!({ "leg": leg.0, "to": to }));
        Some(leg)
    }

    /// The conversation is with that leg from now on, or with nobody.
    pub(crate) fn attach(&mut self, leg: Option<LegId>) {
        self.legs().attached = leg;
        self.command(Command::Attach { leg });
    }

    /// Lets go of a leg: cancels what has not answered, hangs up what has.
    pub(crate) fn release(&mut self, leg: LegId, reason: EndReason) {
        let Some(other) = self.legs().others.iter_mut().find(|other| other.id == leg) else { return };
        let command = match other.state {
            State::Dialling => Command::CancelDial { leg },
            State::Answered(_) => Command::HangUp { leg, reason, failure: None },
            State::Leaving(_) => return,
        };
        let answered = match other.state {
            State::Answered(at) => Some(at),
            State::Dialling | State::Leaving(_) => None,
        };
        other.state = State::Leaving(answered);
        self.command(command);
        self.set_in(Reason::OtherLegEnd, END_MS);
    }

    /// Lets go of every leg beside the first.
    pub(crate) fn release_all(&mut self, reason: EndReason) {
        let all: Vec<LegId> = self.legs().others.iter().map(|other| other.id).collect();
        for leg in all {
            self.release(leg, reason);
        }
    }

    /// A leg beside the first tells a fact; what is new of it, unless it was let go of.
    pub(crate) fn leg_told(&mut self, leg: LegId, fact: &LegFact) -> Option<LegNews> {
        let now = self.now();
        let index = self.legs().others.iter().position(|other| other.id == leg)?;
        let other = self.legs().others.get_mut(index)?;
        let state = other.state;
        let news = match (*fact, state) {
            (LegFact::Ringing { .. }, State::Dialling) => LegNews::Ringing,
            (LegFact::Answered { at }, State::Dialling) => {
                other.state = State::Answered(at.min(now));
                let max_ms = other.max_ms;
                self.set_in(Reason::LegMax, max_ms);
                LegNews::Answered
            }
            (LegFact::Answered { at }, State::Leaving(None)) => {
                // The answer and the cancellation crossed.
                other.state = State::Leaving(Some(at.min(now)));
                self.command(Command::HangUp { leg, reason: EndReason::AgentHungUp, failure: None });
                return None;
            }
            (LegFact::Refused { cause, status, .. }, State::Dialling | State::Leaving(None)) => {
                LegNews::Refused(cause, status)
            }
            (LegFact::Ended { cause, .. }, _) => LegNews::Ended(cause),
            _ => return None,
        };
        let (at, kind, mut data) = match (*fact, news) {
            (LegFact::Ringing { at }, _) => (at, EventType::LegRinging, json!({})),
            (LegFact::Answered { at }, _) => (at, EventType::LegAnswered, json!({})),
            (LegFact::Refused { at, .. }, LegNews::Refused(cause, status)) => {
                let mut data = json!({ "cause": cause.name(), "duration_ms": 0 });
                if let Some(status) = status {
                    data["sip_status"] = status.into();
                }
                (at, EventType::LegEnded, data)
            }
            (LegFact::Ended { at, .. }, LegNews::Ended(cause)) => {
                let answered = match state {
                    State::Answered(at) | State::Leaving(Some(at)) => Some(at),
                    State::Dialling | State::Leaving(None) => None,
                };
                let duration_ms = answered.map_or(0, |answered| at.min(now).since_ms(answered));
                let cause = serde_json::to_value(cause).unwrap_or_default();
                (at, EventType::LegEnded, json!({ "cause": cause, "duration_ms": duration_ms }))
            }
            _ => return None,
        };
        data["leg"] = leg.0.into();
        self.event_at(at, kind, None, data);
        if kind == EventType::LegEnded {
            self.legs().others.remove(index);
            if !self.legs().others.iter().any(|other| matches!(other.state, State::Leaving(_))) {
                self.clear(Reason::OtherLegEnd);
            }
            if matches!(state, State::Leaving(_)) {
                return None;
            }
        }
        Some(news)
    }

    /// Legs that were let go of and have not ended are taken to be over.
    pub(crate) fn forget_legs(&mut self) {
        let leaving = |other: &Other| matches!(other.state, State::Leaving(_));
        let gone: Vec<LegId> = self.legs().others.iter().filter(|other| leaving(other)).map(|other| other.id).collect();
        self.legs().others.retain(|other| !leaving(other));
        for leg in gone {
            let detail = format!("leg {} did not end within {END_MS} ms", leg.0);
            self.raise(Failure::Internal, "", &detail, "record");
            self.event(EventType::LegEnded, json!({ "leg": leg.0, "cause": "failed", "duration_ms": 0 }));
        }
    }

    /// A leg has lasted for as long as it may.
    pub(crate) fn longest_leg(&mut self) -> Option<LegId> {
        self.legs().others.iter().find(|other| matches!(other.state, State::Answered(_))).map(|other| other.id)
    }
}
