//! Whoever the call dials: people who answer, are busy, never come, and machines; and what the caller hears meanwhile.

use trunkline_call::{Command, Operator};
use trunkline_leg::{CallTime, DtmfDigit, EndCause, LegFact, LegId, ReferralProgress, RefusalCause, ToneKind};

use super::{Due, Input, Rig};

/// What somebody who is dialled does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Person {
    /// Answers after that many milliseconds.
    Answers(u64),
    /// Does not, for that reason, after that many milliseconds.
    Refuses(RefusalCause, u64),
    /// Lets it ring.
    Never,
    /// Answers in the moment in which the call gives up.
    AnswersTooLate,
}

/// What a transfer by the caller's own side comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Referral {
    Works,
    Fails(RefusalCause),
    /// It accepts, and hangs up on us.
    TakesOver,
    Silent,
}

/// The legs beside the first.
#[derive(Debug)]
pub(crate) struct SecondLegs {
    pub(crate) people: Vec<Person>,
    pub(crate) referral: Referral,
    pub(crate) attached: Option<LegId>,
    pub(crate) open: Vec<LegId>,
    answered: Vec<LegId>,
    /// There is no place in any conference.
    pub(crate) room_is_full: bool,
    /// The caller's side takes no hold.
    pub(crate) refuses_holds: bool,
    /// The call holds the caller.
    held: bool,
    /// Who does what when it is cancelled.
    late: Vec<LegId>,
    /// From and to when the caller hears somebody or something but the agent, in milliseconds.
    entertained: Vec<(u64, Option<u64>)>,
    /// From when the agent is with whom.
    turns: Vec<(u64, Option<LegId>)>,
}

impl Default for SecondLegs {
    fn default() -> Self {
        Self {
            people: Vec::new(),
            referral: Referral::Silent,
            attached: Some(LegId::FIRST),
            open: Vec::new(),
            answered: Vec::new(),
            room_is_full: false,
            refuses_holds: false,
            held: false,
            late: Vec::new(),
            entertained: Vec::new(),
            turns: vec![(0, Some(LegId::FIRST))],
        }
    }
}

/// What a leg tells.
pub(crate) const fn of(leg: LegId, fact: LegFact) -> Input {
    Input::Leg { leg, fact }
}

const SECOND: LegId = LegId(2);

impl Rig {
    /// Whoever was dialled presses a key.
    pub(crate) fn human_presses(&mut self, at_ms: u64, key: char) {
        let digit = DtmfDigit::from_char(key).unwrap();
        self.tell(at_ms, of(SECOND, LegFact::Dtmf { digit, at: CallTime::from_ms(at_ms) }));
    }

    /// Whoever was dialled hangs up.
    pub(crate) fn human_hangs_up(&mut self, at_ms: u64) {
        self.push(at_ms, Due::OtherEnds(SECOND, EndCause::RemoteHangUp));
    }

    /// A tone is heard on a leg.
    pub(crate) fn tone(&mut self, at_ms: u64, leg: LegId, kind: ToneKind) {
        let at = CallTime::from_ms(at_ms);
        self.tell(at_ms, of(leg, LegFact::Tone { kind, at, duration_ms: 400, hz: 1000 }));
    }

    pub(crate) fn operator(&mut self, at_ms: u64, order: Operator) {
        self.tell(at_ms, Input::Operator(order));
    }

    /// What the agent said to the caller, and to whoever was dialled.
    pub(crate) fn said_to(&self, leg: LegId) -> Vec<&str> {
        let number = (leg != LegId::FIRST).then_some(u64::from(leg.0));
        self.all(trunkline_api::EventType::AgentSaid)
            .into_iter()
            .filter(|data| data.get("leg").and_then(serde_json::Value::as_u64) == number)
            .map(|data| data["text"].as_str().unwrap())
            .collect()
    }

    /// What became of the transfers.
    pub(crate) fn outcomes(&self) -> Vec<&str> {
        let all = self.all(trunkline_api::EventType::TransferEnded);
        all.into_iter().map(|data| data["outcome"].as_str().unwrap()).collect()
    }

    /// Commands of the telephone, by name and leg.
    pub(crate) fn telephone(&self) -> Vec<String> {
        let told = |command: &Command| match command {
            Command::Dial { leg, to, .. } => Some(format!("dial {} {to}", leg.0)),
            Command::CancelDial { leg } => Some(format!("cancel {}", leg.0)),
            Command::Refer { to, replaces, .. } => Some(match replaces {
                Some(leg) => format!("refer {to} replaces {}", leg.0),
                None => format!("refer {to}"),
            }),
            Command::Attach { leg } => Some(leg.map_or("attach nobody".to_owned(), |leg| format!("attach {}", leg.0))),
            Command::Bridge { a, b } => Some(format!("bridge {} {}", a.0, b.0)),
            Command::Overhear { leg } => {
                Some(leg.map_or("overhear nobody".to_owned(), |leg| format!("overhear {}", leg.0)))
            }
            Command::Unbridge { a, b } => Some(format!("unbridge {} {}", a.0, b.0)),
            Command::Hold { leg, .. } => Some(format!("hold {}", leg.0)),
            Command::Resume { leg } => Some(format!("resume {}", leg.0)),
            Command::Redirect { leg, direction } => Some(format!("redirect {} {}", leg.0, direction.name())),
            Command::Join { leg, room } => Some(format!("join {} {room}", leg.0)),
            Command::Leave { leg } => Some(format!("leave {}", leg.0)),
            Command::Mute { leg, on } => Some(format!("mute {} {on}", leg.0)),
            Command::SendDtmf { leg, digits } => Some(format!("keys {} {digits}", leg.0)),
            Command::HangUp { leg, .. } => Some(format!("hang up {}", leg.0)),
            _ => None,
        };
        self.commands.iter().filter_map(|(_, command)| told(command)).collect()
    }

    /// What those who were dialled are handed, one after the other.
    pub(crate) fn handed_over(&self) -> Vec<(String, String)> {
        let handed = |command: &Command| match command {
            Command::Dial { variables, .. } => variables.clone(),
            _ => Vec::new(),
        };
        self.commands.iter().flat_map(|(_, command)| handed(command)).collect()
    }

    /// The longest time between two moments in which the caller hears neither the agent, nor music, nor anybody.
    pub(crate) fn longest_silence_of_caller(&self, from_ms: u64, to_ms: u64) -> u64 {
        let mut heard: Vec<(u64, u64)> =
            self.second.entertained.iter().map(|(from, to)| (*from, to.unwrap_or(u64::MAX))).collect();
        for (at, (from, leg)) in self.second.turns.iter().enumerate() {
            let until = self.second.turns.get(at + 1).map_or(u64::MAX, |(until, _)| *until);
            let said = self.leg.audible.iter().filter(|(begin, _)| *leg == Some(LegId::FIRST) && begin >= from);
            heard.extend(said.filter(|(begin, _)| *begin < until));
        }
        heard.extend(&self.leg.knocks);
        heard.sort_unstable();
        let (mut longest, mut since) = (0, from_ms);
        for (from, to) in heard.into_iter().chain([(to_ms, to_ms)]) {
            longest = longest.max(from.min(to_ms).saturating_sub(since));
            since = since.max(to);
        }
        longest
    }

    pub(super) fn other_ends(&mut self, leg: LegId, cause: EndCause) {
        if let Some(at) = self.second.open.iter().position(|open| *open == leg) {
            self.second.open.remove(at);
            self.second.answered.retain(|answered| *answered != leg);
            let now = self.now;
            self.entertains(false);
            self.handle(of(leg, LegFact::Ended { cause, at: now }));
        }
    }

    /// A leg answers, unless it is gone.
    pub(super) fn other_answers(&mut self, leg: LegId) {
        if self.second.open.contains(&leg) {
            self.second.answered.push(leg);
            let at = self.now;
            self.handle(of(leg, LegFact::Answered { at }));
        }
    }

    pub(super) fn other_refuses(&mut self, leg: LegId, cause: RefusalCause) {
        if let Some(at) = self.second.open.iter().position(|open| *open == leg) {
            self.second.open.remove(at);
            let at = self.now;
            self.handle(of(leg, LegFact::Refused { cause, status: None, at }));
        }
    }

    fn entertains(&mut self, on: bool) {
        let now = self.now.as_ms();
        match (on, self.second.entertained.last_mut()) {
            (true, Some((_, None))) => {}
            (true, _) => self.second.entertained.push((now, None)),
            (false, Some((_, to @ None))) => *to = Some(now),
            (false, _) => {}
        }
    }

    pub(super) fn carry_out_telephone(&mut self, command: Command) {
        match command {
            Command::Dial { leg, .. } => {
                assert!(!self.second.open.contains(&leg), "a leg was dialled twice");
                self.second.open.push(leg);
                let person = if self.second.people.is_empty() {
                    Person::Refuses(RefusalCause::Unsupported, 0)
                } else {
                    self.second.people.remove(0)
                };
                let at = self.now.plus_ms(150);
                match person {
                    Person::Answers(ms) => {
                        self.tell_in(150, of(leg, LegFact::Ringing { at }));
                        self.push_in(ms, Due::OtherAnswers(leg));
                    }
                    Person::Refuses(cause, ms) => self.push_in(ms, Due::OtherRefuses(leg, cause)),
                    Person::Never => self.tell_in(150, of(leg, LegFact::Ringing { at })),
                    Person::AnswersTooLate => self.second.late.push(leg),
                }
            }
            Command::CancelDial { leg } => {
                assert!(!self.second.answered.contains(&leg), "an answered leg was cancelled");
                if self.second.late.contains(&leg) {
                    self.push_in(5, Due::OtherAnswers(leg));
                } else {
                    self.push_in(20, Due::OtherRefuses(leg, RefusalCause::Cancelled));
                }
            }
            Command::HangUp { leg, .. } => self.push_in(30, Due::OtherEnds(leg, EndCause::Local)),
            Command::Attach { leg } => {
                assert!(self.speaking.is_none(), "the agent turned to somebody else in mid-word");
                assert!(leg.is_none_or(|leg| leg == LegId::FIRST || self.second.open.contains(&leg)), "nobody there");
                self.leg.play(self.now);
                self.leg.held = self.second.held && leg == Some(LegId::FIRST);
                self.second.attached = leg;
                self.second.turns.push((self.now.as_ms(), leg));
            }
            Command::Bridge { b, .. } => {
                assert!(self.second.answered.contains(&b), "bridged to nobody");
                self.entertains(true);
            }
            Command::Unbridge { .. } => self.entertains(false),
            Command::Overhear { leg } => {
                assert!(self.second.attached == Some(LegId::FIRST), "nobody hears");
                assert!(leg.is_none_or(|leg| self.second.answered.contains(&leg)), "nobody there");
            }
            Command::Hold { leg, .. } => {
                assert_eq!((leg, self.second.held), (LegId::FIRST, false), "held twice");
                self.second.held = true;
                self.leg.play(self.now);
                self.leg.held |= self.second.attached == Some(leg);
                self.entertains(true);
            }
            Command::Resume { .. } => {
                assert!(self.second.held, "taken back without a hold");
                self.second.held = false;
                self.leg.play(self.now);
                self.leg.held = false;
                self.entertains(false);
                self.look();
            }
            Command::Refer { leg, .. } => {
                let at = self.now;
                let told = |progress| of(leg, LegFact::Referral { progress, at });
                match self.second.referral {
                    Referral::Works => {
                        self.tell_in(50, told(ReferralProgress::Accepted));
                        self.tell_in(3000, told(ReferralProgress::Done));
                    }
                    Referral::Fails(cause) => {
                        self.tell_in(50, told(ReferralProgress::Accepted));
                        self.tell_in(2000, told(ReferralProgress::Refused { cause }));
                    }
                    Referral::TakesOver => {
                        self.tell_in(50, told(ReferralProgress::Accepted));
                        self.push_in(100, Due::Ends(EndCause::RemoteHangUp));
                    }
                    Referral::Silent => {}
                }
            }
            Command::Join { leg, .. } if self.second.room_is_full => {
                let at = self.now.plus_ms(5);
                self.tell_in(5, of(leg, LegFact::NotJoined { at }));
            }
            Command::Join { leg, .. } => {
                assert_eq!((leg, self.second.held), (LegId::FIRST, false), "in a conference and on hold");
                self.second.held = true;
                self.leg.play(self.now);
                self.leg.held = true;
                self.entertains(true);
            }
            Command::Leave { .. } => {
                assert!(self.second.held, "in no conference");
                self.second.held = false;
                self.leg.play(self.now);
                self.leg.held = false;
                self.entertains(false);
                self.look();
            }
            Command::Mute { .. } => {}
            Command::Redirect { leg, direction } => {
                let at = self.now.plus_ms(100);
                let refused = self.second.refuses_holds.then_some(488);
                if refused.is_none() {
                    self.tell_in(100, of(leg, LegFact::Direction { direction, at }));
                }
                self.tell_in(100, of(leg, LegFact::Redirected { direction, refused, at }));
            }
            Command::SendDtmf { .. } | Command::ListenForTones { .. } => {}
            command => panic!("no command of the telephone: {command:?}"),
        }
    }
}
