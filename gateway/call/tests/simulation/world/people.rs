//! Whoever the call dials, and whoever answers a call that the agent places: people who take it, are busy, say no, ask,
//! hang up at any step; machines; legs that never say that they have ended.

use trunkline_api::words::ToolDefinition;
use trunkline_call::{Command, LlmEvent};
use trunkline_leg::{CallTime, DtmfDigit, EndCause, LegFact, LegId, ReferralProgress, RefusalCause, ToneKind};

use super::{Due, Input, World};
use crate::random::Random;

/// Longest time in which a caller who is being passed on hears nothing at all: a line that no synthesiser makes sound of.
const LONGEST_SILENCE_MS: u64 = 22_000;

/// The legs beside the first.
#[derive(Debug)]
pub(crate) struct People {
    pub(crate) attached: Option<LegId>,
    /// Legs that are dialled or answered.
    pub(crate) open: Vec<LegId>,
    answered: Vec<LegId>,
    /// One of these answers in the moment it is given up.
    late: Vec<LegId>,
    /// The call has the caller on hold; the far end has.
    held: bool,
    pub(crate) far_held: bool,
    bridged: bool,
    /// Somebody was dialled for the caller, who waits.
    passing_on: bool,
    quiet_since: CallTime,
    pub(crate) transfers: u64,
}

impl Default for People {
    fn default() -> Self {
        Self {
            attached: Some(LegId::FIRST),
            open: Vec::new(),
            answered: Vec::new(),
            late: Vec::new(),
            held: false,
            far_held: false,
            bridged: false,
            passing_on: false,
            quiet_since: CallTime::ZERO,
            transfers: 0,
        }
    }
}

impl People {
    /// Whether the agent is with the caller.
    pub(crate) fn with_caller(&self) -> bool {
        self.attached == Some(LegId::FIRST)
    }

    /// Whether the caller hears music or somebody else.
    pub(crate) const fn entertain(&self) -> bool {
        self.held || self.bridged
    }

    /// Whether there is a line that the agent may speak on.
    pub(crate) fn hear(&self, first_is_over: bool) -> bool {
        match self.attached {
            Some(LegId::FIRST) => !first_is_over,
            Some(leg) => self.open.contains(&leg),
            None => !first_is_over,
        }
    }
}

/// A model that may passes callers on, presses keys and notes callbacks now and then.
pub(crate) fn telephones(random: &mut Random, tools: &[ToolDefinition], script: &mut [(u64, LlmEvent)]) {
    let may = |name: &str| tools.iter().any(|tool| tool.name == name);
    for (_, event) in script {
        let LlmEvent::ToolCall(call) = event else { continue };
        let (name, arguments) = match random.below(10) {
            0..=3 => ("transfer", r#"{"to":"sales","briefing":"It is about tea."}"#),
            4 => ("transfer", r#"{"to":"+881234567890"}"#),
            5 => ("send_dtmf", r#"{"digits":"12#"}"#),
            6 => ("request_callback", r#"{"number":"+49 30 1234567"}"#),
            _ => continue,
        };
        if may(name) {
            (call.name, call.arguments) = (name.to_owned(), arguments.to_owned());
        }
    }
}

impl World {
    /// Somebody or something answers the call that the agent places.
    pub(super) fn somebody_answers(&mut self) {
        let (begin, length) = (self.random.between(200, 1500), self.random.between(1500, 8000));
        let tone = |kind, at| LegFact::Tone { kind, at, duration_ms: 400, hz: 1000 };
        match self.random.below(10) {
            0..=2 => {
                let words = "you have reached Ann please leave a message after the tone";
                self.push_in(begin, Due::Talks { leg: LegId::FIRST, words, for_ms: length });
                if self.random.percent(70) {
                    let ms = begin + length + self.random.between(0, 3000);
                    let at = self.now.plus_ms(ms);
                    self.tell_in(ms, Input::Leg { leg: LegId::FIRST, fact: tone(ToneKind::Beep, at) });
                    if self.random.percent(30) {
                        // It was none, and the machine goes on.
                        let words = "or press the star key";
                        self.push_in(ms + 400, Due::Talks { leg: LegId::FIRST, words, for_ms: 2500 });
                    }
                }
            }
            3 => {
                let words = "for sales press 1 for support press 2";
                self.push_in(begin, Due::Talks { leg: LegId::FIRST, words, for_ms: length });
            }
            4 => {
                let words = "please state your name and the reason for your call";
                self.push_in(begin, Due::Talks { leg: LegId::FIRST, words, for_ms: length });
            }
            5 => {
                let kinds = [ToneKind::FaxAnswering, ToneKind::Busy, ToneKind::SpecialInformation, ToneKind::Ringback];
                let fact = tone(*self.random.pick(&kinds), self.now.plus_ms(begin));
                self.tell_in(begin, Input::Leg { leg: LegId::FIRST, fact });
            }
            6 => {}
            _ => {
                let for_ms = self.random.between(200, 900);
                self.push_in(begin, Due::Talks { leg: LegId::FIRST, words: "hello", for_ms });
            }
        }
    }

    pub(super) fn talks(&mut self, leg: LegId, words: &'static str, for_ms: u64) {
        let there = if leg == LegId::FIRST { !self.leg_over } else { self.people.open.contains(&leg) };
        if there && self.people.attached == Some(leg) {
            self.voice_begins(words, for_ms);
        }
    }

    /// A leg that was dialled is answered.
    pub(super) fn other_answers(&mut self, leg: LegId) {
        if !self.people.open.contains(&leg) || self.people.answered.contains(&leg) {
            return;
        }
        self.people.answered.push(leg);
        let at = self.now;
        self.tell(Input::Leg { leg, fact: LegFact::Answered { at } });
        for _ in 0..self.random.below(4) {
            let ms = self.random.between(100, 15_000);
            let at = self.now.plus_ms(ms);
            match self.random.below(8) {
                0..=2 => {
                    let digit = DtmfDigit::from_char(*self.random.pick(&['1', '1', '1', '3', '#'])).unwrap();
                    self.tell_in(ms, Input::Leg { leg, fact: LegFact::Dtmf { digit, at } });
                }
                3..=5 => {
                    let all =
                        ["yes", "ok put them through", "no", "who is it", "please leave a message after the tone"];
                    let (words, for_ms) = (*self.random.pick(&all), self.random.between(200, 2500));
                    self.push_in(ms, Due::Talks { leg, words, for_ms });
                }
                6 => {
                    let fact = LegFact::Tone { kind: ToneKind::Beep, at, duration_ms: 300, hz: 800 };
                    self.tell_in(ms, Input::Leg { leg, fact });
                }
                _ => self.push_in(ms, Due::OtherEnds(leg, EndCause::RemoteHangUp)),
            }
        }
        let ms = self.random.between(5000, 60_000);
        self.push_in(ms, Due::OtherEnds(leg, EndCause::RemoteHangUp));
    }

    pub(super) fn other_refuses(&mut self, leg: LegId, cause: RefusalCause) {
        if let Some(at) = self.people.open.iter().position(|open| *open == leg)
            && !self.people.answered.contains(&leg)
        {
            self.people.open.remove(at);
            let at = self.now;
            self.tell(Input::Leg { leg, fact: LegFact::Refused { cause, status: Some(486), at } });
        }
    }

    pub(super) fn other_ends(&mut self, leg: LegId, cause: EndCause) {
        if let Some(at) = self.people.open.iter().position(|open| *open == leg) {
            if self.people.attached == Some(leg) {
                self.leg.play(self.now);
                self.tell_position();
            }
            self.people.open.remove(at);
            self.people.bridged = false;
            let at = self.now;
            self.tell(Input::Leg { leg, fact: LegFact::Ended { cause, at } });
        }
    }

    pub(super) fn carry_out_telephone(&mut self, command: Command) {
        match command {
            Command::Dial { leg, .. } => self.is_dialled(leg),
            Command::CancelDial { leg } => {
                assert!(!self.people.answered.contains(&leg), "an answered leg was cancelled");
                if self.people.late.contains(&leg) {
                    self.push_in(5, Due::OtherAnswers(leg));
                } else {
                    let ms = self.random.between(5, 60);
                    self.push_in(ms, Due::OtherRefuses(leg, RefusalCause::Cancelled));
                }
            }
            Command::HangUp { leg, .. } => {
                if self.random.percent(3) {
                    // It never says that it has ended.
                    self.people.open.retain(|open| *open != leg);
                } else {
                    self.push_in(30, Due::OtherEnds(leg, EndCause::Local));
                }
                self.people.bridged = false;
            }
            Command::Refer { .. } => {
                self.people.transfers += 1;
                let at = self.now;
                let told = |progress| Input::Leg { leg: LegId::FIRST, fact: LegFact::Referral { progress, at } };
                let (soon, later) = (self.random.between(20, 300), self.random.between(500, 9000));
                self.tell_in(soon, told(ReferralProgress::Accepted));
                match self.random.below(4) {
                    0 => self.tell_in(later, told(ReferralProgress::Done)),
                    1 => self.push_in(later, Due::Ends(EndCause::RemoteHangUp)),
                    2 => self.tell_in(later, told(ReferralProgress::Refused { cause: RefusalCause::Busy })),
                    _ => {}
                }
                self.people.passing_on = false;
            }
            Command::Attach { leg } => {
                assert!(!self.leg.is_busy() || self.leg.is_complete(), "the agent turned to somebody else in mid-word");
                assert_ne!(self.people.attached, leg, "turned to where it was");
                self.speaks_since = None;
                self.spoken.clear();
                self.people.attached = leg;
                self.holds_follow();
            }
            Command::Bridge { b, .. } => {
                assert!(!self.people.held, "connected on hold");
                assert_eq!(self.people.attached, None, "the agent is still there");
                // Whoever hung up in that moment has told so, or will.
                self.people.bridged = self.people.open.contains(&b);
                self.people.passing_on = false;
            }
            Command::Unbridge { .. } => self.people.bridged = false,
            Command::Overhear { leg } => {
                assert!(self.people.with_caller(), "both are heard by nobody");
                assert!(
                    leg.is_none() || self.people.bridged || leg.is_some_and(|leg| !self.people.open.contains(&leg))
                );
            }
            Command::Hold { .. } => {
                assert!(!std::mem::replace(&mut self.people.held, true), "held twice");
                self.holds_follow();
            }
            Command::Resume { .. } => {
                assert!(std::mem::take(&mut self.people.held), "taken back without a hold");
                self.people.quiet_since = self.now;
                self.holds_follow();
                self.look();
            }
            Command::SendDtmf { leg, digits } => {
                assert_eq!(Some(leg), self.people.attached, "keys to somebody else");
                assert!((1..=32).contains(&digits.len()), "{digits}");
            }
            Command::Join { leg, .. } => {
                assert!(!std::mem::replace(&mut self.people.held, true), "in a conference and on hold");
                if self.random.percent(20) {
                    self.people.held = false;
                    let at = self.now.plus_ms(5);
                    self.tell_in(5, Input::Leg { leg, fact: LegFact::NotJoined { at } });
                }
                self.holds_follow();
            }
            Command::Leave { .. } => {
                // One that found no place there has not been told so yet.
                self.people.held = false;
                self.people.quiet_since = self.now;
                self.holds_follow();
                self.look();
            }
            Command::Mute { .. } => {}
            Command::Redirect { leg, direction } => {
                let (ms, refused) = (self.random.between(20, 900), self.random.percent(30).then_some(488));
                let fact = LegFact::Redirected { direction, refused, at: self.now.plus_ms(ms) };
                self.tell_in(ms, Input::Leg { leg, fact });
            }
            Command::ListenForTones { .. } => {}
            command => panic!("no command of the telephone: {command:?}"),
        }
    }

    /// What is said waits where the leg that hears it is on hold.
    pub(super) fn holds_follow(&mut self) {
        self.leg.play(self.now);
        self.leg.held = self.people.with_caller() && (self.people.held || self.people.far_held);
    }

    /// A caller who is being passed on is not left in silence; after every input.
    pub(super) fn nobody_waits_in_silence(&mut self) {
        let hears = self.people.entertain() || (self.people.with_caller() && self.leg.sounds_now());
        if !self.people.passing_on || hears || self.leg_over || self.people.far_held {
            self.people.quiet_since = self.now;
        }
        let sounded = if self.people.with_caller() { self.leg.sounded } else { CallTime::ZERO };
        let silent_ms = self.now.since_ms(self.people.quiet_since.max(sounded));
        assert!(silent_ms <= LONGEST_SILENCE_MS, "a caller who is passed on hears nothing for {silent_ms} ms");
        if self.people.with_caller() && self.people.open.is_empty() {
            self.people.passing_on = false;
        }
    }

    fn is_dialled(&mut self, leg: LegId) {
        assert!(!self.people.open.contains(&leg), "a leg was dialled twice");
        assert!(!self.leg_over, "somebody is dialled for a caller who is gone");
        self.people.open.push(leg);
        self.people.transfers += 1;
        (self.people.passing_on, self.people.quiet_since) = (true, self.now);
        let ms = self.random.between(0, 9000);
        if self.random.percent(80) {
            let (ring_ms, at) = (ms / 3, self.now.plus_ms(ms / 3));
            self.tell_in(ring_ms, Input::Leg { leg, fact: LegFact::Ringing { at } });
        }
        match self.random.below(10) {
            0..=5 => self.push_in(ms, Due::OtherAnswers(leg)),
            6 | 7 => {
                let causes = [RefusalCause::Busy, RefusalCause::Rejected, RefusalCause::Unreachable];
                let cause = *self.random.pick(&causes);
                self.push_in(ms, Due::OtherRefuses(leg, cause));
            }
            8 => {}
            _ => self.people.late.push(leg),
        }
    }
}
