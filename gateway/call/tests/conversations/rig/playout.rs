//! The caller's leg: what it plays, when it is heard, and what it tells of that.

use std::collections::BTreeMap;

use trunkline_call::{Command, Input, TtsEvent};
use trunkline_leg::{CallTime, LegFact, LegId, PlayoutPosition};

use super::{Due, MS_PER_CHAR, Rig};

/// From sending to the far speaker.
const UNDER_WAY_MS: u64 = 83;

/// What the leg plays.
#[derive(Debug, Default)]
pub(super) struct Leg {
    pub(super) utterance: u32,
    /// Milliseconds of sound of each part, and whether there is no more.
    pub(super) parts: BTreeMap<u32, (u32, bool)>,
    /// Where parts end sooner than their sound.
    pub(super) ends: BTreeMap<u32, u32>,
    /// Of each part, whether its synthesiser still counts.
    pub(super) voices: BTreeMap<u32, usize>,
    pub(super) played_ms: u64,
    pub(super) since: CallTime,
    pub(super) started: bool,
    pub(super) ended: bool,
    pub(super) over: bool,
    pub(super) paused: bool,
    pub(super) held: bool,
    /// When there was something to be heard, from and to, in milliseconds.
    pub(super) audible: Vec<(u64, u64)>,
    /// The same of knocks while somebody waits.
    pub(super) knocks: Vec<(u64, u64)>,
    pub(super) knocks_since: Option<CallTime>,
}

impl Leg {
    /// Milliseconds that can be played one after the other.
    pub(super) fn ready_ms(&self) -> u64 {
        let mut ready = 0;
        for (audio_ms, done) in self.parts.values() {
            ready += u64::from(*audio_ms);
            if !done {
                break;
            }
        }
        ready
    }

    /// Time passes.
    pub(super) fn play(&mut self, now: CallTime) {
        if self.started && !self.paused && !self.held && !self.over {
            let before = self.played_ms;
            self.played_ms = (before + now.since_ms(self.since)).min(self.ready_ms());
            let (from, to) = (self.since.as_ms(), self.since.as_ms() + self.played_ms - before);
            let knocks = self.knocks_since.is_some_and(|since| since.as_ms() < to);
            assert!(to == from || !knocks, "the thinking sound under speech");
            match self.audible.last_mut() {
                Some(last) if last.1 == from => last.1 = to,
                _ if to > from => self.audible.push((from, to)),
                _ => {}
            }
        }
        self.since = now;
    }

    /// The thinking sound begins or ends: a pair of knocks at once and every 1.4 s.
    pub(super) fn thinks(&mut self, now: CallTime, on: bool) {
        match (self.knocks_since.take(), on) {
            (None, true) => self.knocks_since = Some(now),
            (Some(since), false) => {
                let pairs = (since.as_ms()..now.as_ms()).step_by(1400);
                self.knocks.extend(pairs.map(|from| (from, from + 280)));
            }
            (_, on) => panic!("the thinking sound is told twice: {on}"),
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.ended && self.parts.values().all(|(_, done)| *done) && self.played_ms == self.ready_ms()
    }
}

impl Rig {
    /// An utterance begins when the one before is over; one whose end is known and that has no sound is.
    pub(super) fn may_begin(&self, utterance: u32) -> bool {
        self.speaking.is_none_or(|now| now == utterance || self.leg.is_complete())
    }

    /// What the leg tells that the agent is with.
    pub(super) fn of_attached(&self, fact: LegFact) -> Input {
        Input::Leg { leg: self.second.attached.unwrap_or(LegId::FIRST), fact }
    }

    pub(super) fn position(&mut self) {
        if self.ended && self.second.open.is_empty() {
            return;
        }
        self.leg.play(self.now);
        let position = PlayoutPosition { utterance: self.leg.utterance, sent_ms: self.leg.played_ms as u32 };
        if position != self.position {
            self.position = position;
            self.log.push((self.now, Input::Playout(position)));
            self.call.handle(self.now, Input::Playout(position));
        }
    }

    pub(super) fn sound(&mut self, utterance: u32, part: u32, index: usize, audio_ms: u32, done: bool) {
        let leg = &mut self.leg;
        leg.play(self.now);
        if leg.utterance != utterance || leg.over || leg.voices.get(&part) != Some(&index) {
            return;
        }
        let (audio_ms, done) = match leg.ends.get(&part) {
            Some(end) if audio_ms >= *end => (*end, true),
            _ => (audio_ms, done),
        };
        if leg.parts.get(&part).is_some_and(|(_, done)| *done) && !leg.ends.contains_key(&part) {
            return;
        }
        leg.parts.insert(part, (audio_ms, done));
        let event = if done { TtsEvent::PartDone { part, audio_ms } } else { TtsEvent::Audio { part, audio_ms } };
        self.handle(Input::Tts { utterance, index, event });
        self.look();
    }

    /// Looks again when what there is will have been played.
    pub(super) fn look(&mut self) {
        self.leg.play(self.now);
        let may = !self.leg.paused && !self.leg.held && !self.leg.over;
        if may && !self.leg.started && self.leg.ready_ms() > 0 {
            self.leg.started = true;
            let (utterance, at) = (self.leg.utterance, self.now);
            self.tell_in(0, self.of_attached(LegFact::PlaybackStarted { utterance, at }));
        }
        let left = self.leg.ready_ms() - self.leg.played_ms;
        if may && (self.leg.started || self.leg.is_complete()) {
            self.push_in(left, Due::Look);
        }
    }

    pub(super) fn look_now(&mut self) {
        self.leg.play(self.now);
        if !self.leg.over && !self.leg.paused && !self.leg.held && self.leg.utterance > 0 && self.leg.is_complete() {
            (self.leg.over, self.speaking) = (true, None);
            let (utterance, at) = (self.leg.utterance, self.now);
            self.handle(self.of_attached(LegFact::PlaybackFinished { utterance, at }));
        }
    }

    /// What has left the far speaker by now.
    fn left_the_speaker(&mut self) {
        let Leg { utterance, played_ms, .. } = self.leg;
        let sent_ms = played_ms.saturating_sub(UNDER_WAY_MS) as u32;
        self.handle(Input::Heard(PlayoutPosition { utterance, sent_ms }));
    }

    pub(super) fn begin_utterance(&mut self, utterance: u32) {
        assert!(self.may_begin(utterance), "two utterances at once");
        self.speaking = Some(utterance);
        if self.leg.utterance != utterance {
            let Leg { held, paused, audible, knocks, knocks_since, .. } = std::mem::take(&mut self.leg);
            let since = self.now;
            self.leg = Leg { utterance, held, paused, audible, knocks, knocks_since, since, ..Leg::default() };
        }
    }

    /// Does what a command asks of the leg.
    pub(super) fn play_out(&mut self, command: Command) {
        match command {
            Command::Play { utterance, part, text } => {
                self.begin_utterance(utterance);
                let index = trunkline_call::PRERENDERED;
                assert!(self.leg.voices.insert(part, index).is_none(), "a part was used twice");
                self.leg.parts.insert(part, (0, false));
                let audio_ms = if self.prompts_are_lost { 0 } else { text.chars().count() as u32 * MS_PER_CHAR };
                self.push_in(0, Due::Sound { utterance, part, index, audio_ms, done: true });
            }
            Command::Silence { utterance, part, ms } => {
                self.begin_utterance(utterance);
                assert!(self.leg.parts.insert(part, (ms, true)).is_none(), "a part was used twice");
                self.look();
            }
            Command::DropParts { utterance, from, cut } => {
                self.leg.play(self.now);
                if self.leg.utterance == utterance {
                    self.leg.parts.retain(|part, _| *part < from);
                    self.leg.voices.retain(|part, _| *part < from);
                    if let (true, Some(mut last)) = (cut, self.leg.parts.last_entry()) {
                        last.get_mut().1 = true;
                    }
                    self.look();
                }
            }
            Command::EndUtterance { utterance } => {
                if self.leg.utterance == utterance {
                    self.leg.ended = true;
                }
                self.look();
            }
            Command::StopSpeaking { utterance, index } => {
                if self.leg.utterance == utterance {
                    let done: Vec<u32> =
                        self.leg.parts.iter().filter(|(_, (_, done))| *done).map(|(part, _)| *part).collect();
                    self.leg.voices.retain(|part, voice| *voice != index || done.contains(part));
                }
            }
            Command::PausePlayback => {
                self.leg.play(self.now);
                self.leg.paused = true;
                self.left_the_speaker();
            }
            Command::ResumePlayback => {
                self.leg.play(self.now);
                self.leg.paused = false;
                self.look();
            }
            Command::ThinkingSound { on } => self.leg.thinks(self.now, on),
            Command::ClearPlayback => {
                // Whoever cannot wait for the leg may say something new.
                self.speaking = None;
                self.left_the_speaker();
                self.push_in(20, Due::Cleared(self.leg.utterance));
            }
            other => unreachable!("{other:?} is not for the leg"),
        }
    }
}
