//! A conversation on one leg: it hears, thinks and speaks, and knows who has the floor.
//!
//! The parts ([`ears`], [`mind`], [`mouth`], [`keys`]) each own their state and know nothing of one another; what one finds
//! out is carried to the others here and in the files that add to [`Dialogue`], a concern each.

mod backchannel;
mod ears;
mod failure;
mod floor;
mod hold;
mod keys;
mod mind;
mod mouth;
mod patience;
mod replying;
mod silence;
mod speaking;
mod tools;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;

use trunkline_api::AgentSpec;
use trunkline_api::agent::Pipeline;
use trunkline_api::words::{ProviderKind, RedactionChannel};
use trunkline_leg::{CallTime, Direction, DtmfDigit, PlayoutPosition, Utterance};

use crate::command::ToolBinding;
use crate::effects::Effects;
use crate::input::{AsrEvent, LlmEvent, ToolOutcome, TtsEvent, VoiceEdge};
use crate::memory::Memory;
use crate::timers::{Reason, Still};
use crate::waterfall::Waterfall;

pub(crate) use failure::action_for;

use ears::Ears;
use floor::Overlap;
use hold::Hold;
use keys::Keys;
use mind::{Mind, Rejoin};
use mouth::{Line, Mouth};

/// Longest time for which sessions that wait for this host are excused.
const BEHIND_MS: u64 = 8000;

/// A conversation.
#[derive(Debug)]
pub(crate) struct Dialogue {
    spec: Arc<AgentSpec>,
    bindings: Vec<ToolBinding>,
    variables: BTreeMap<String, String>,
    /// Values of variables that are with the redactor, by their ticket.
    redacting: Vec<(u64, String)>,
    memory: Memory,
    ears: Ears,
    mind: Mind,
    mouth: Mouth,
    keys: Keys,
    /// Both speak; who goes on is not clear yet.
    overlap: Option<Overlap>,
    /// What was not heard of what the agent had to say, while it is not clear whether the caller had anything to say.
    rest: String,
    /// The caller's words that were not answered audibly: they and the next are one turn.
    rejoin: Option<Rejoin>,
    /// What the caller said and was not answered yet.
    pending: String,
    /// The caller spoke over something that must be heard: the words are answered afterwards.
    overheard: bool,
    waterfall: Option<Waterfall>,
    hold: Hold,
    silence_prompts: u32,
    /// When there was something to be heard last, of either side.
    quiet_since: CallTime,
    fillers_said: usize,
    last_invocation: u32,
    /// Nothing the caller says makes a turn any more.
    closing: bool,
}

impl Dialogue {
    pub(crate) fn new(spec: Arc<AgentSpec>, bindings: Vec<ToolBinding>) -> Self {
        let (asr, llm, tts) = match &spec.pipeline {
            Pipeline::Cascade { asr, llm, tts } => (asr.as_slice(), llm.as_slice(), tts.as_slice()),
            Pipeline::Realtime { .. } => Default::default(),
        };
        Self {
            ears: Ears::new(spec.turn.clone(), spec.language.clone(), asr),
            mind: Mind::new(llm, &spec.limits),
            mouth: Mouth::new(tts, spec.limits.tts_first_byte_ms),
            variables: spec.variables.clone(),
            spec,
            bindings,
            redacting: Vec::new(),
            memory: Memory::default(),
            keys: Keys::default(),
            overlap: None,
            rest: String::new(),
            rejoin: None,
            pending: String::new(),
            overheard: false,
            waterfall: None,
            hold: Hold::default(),
            silence_prompts: 0,
            quiet_since: CallTime::ZERO,
            fillers_said: 0,
            last_invocation: 0,
            closing: false,
        }
    }

    /// Whether there is nobody who could speak for the agent.
    pub(crate) fn is_dumb(&self) -> bool {
        self.mouth.is_dumb()
    }

    /// The leg was answered: the recogniser is opened and the greeting spoken.
    pub(crate) fn begin(&mut self, fx: &mut Effects) {
        self.quiet_since = fx.now();
        if !self.ears.is_deaf_by_choice() && !self.ears.pushes_to_talk() {
            self.ears.open(fx, None);
        }
        let greeting = self.with_variables(&self.spec.greeting);
        self.say(fx, &greeting, false);
        self.mouth.finish(fx);
    }

    /// The caller began or stopped speaking.
    pub(crate) fn voice(&mut self, fx: &mut Effects, edge: VoiceEdge) {
        let listens = self.listens();
        if !self.ears.voice(fx, edge, self.spec.interruption.min_speech_ms, listens) || !listens {
            return;
        }
        if edge.speech {
            self.drop_guess(fx);
            let free = !self.mind.is_thinking() && self.mouth.is_silent();
            if self.ears.is_quiet() && free && !self.ears.pushes_to_talk() {
                self.ears.listen(fx);
            }
        } else {
            self.quiet_since = self.quiet_since.max(edge.at.min(fx.now()));
        }
    }

    pub(crate) fn interrupts(&mut self, fx: &mut Effects) {
        if self.mouth.is_silent() { self.goes_on(fx) } else { self.speaks_up(fx) }
    }

    pub(crate) fn asr(&mut self, fx: &mut Effects, session: u32, event: AsrEvent) {
        if self.ears.is_session(session) {
            let heard = self.ears.asr(fx, event);
            self.heard(fx, heard);
        }
    }

    pub(crate) fn llm(&mut self, fx: &mut Effects, request: u32, event: LlmEvent) {
        let thought = self.mind.llm(fx, request, event);
        self.thought(fx, thought);
    }

    pub(crate) fn tts(&mut self, fx: &mut Effects, utterance: Utterance, index: usize, event: TtsEvent) {
        let voiced = self.mouth.tts(fx, utterance, index, event);
        self.voiced(fx, voiced);
    }

    pub(crate) fn tool(&mut self, fx: &mut Effects, invocation: u32, outcome: ToolOutcome) {
        self.tool_answered(fx, invocation, outcome);
    }

    pub(crate) fn digit(&mut self, fx: &mut Effects, digit: DtmfDigit, at: CallTime) {
        self.key(fx, digit, at);
    }

    pub(crate) const fn played(&mut self, position: PlayoutPosition) {
        self.mouth.played(position);
    }

    pub(crate) const fn left_the_speaker(&mut self, heard: PlayoutPosition) {
        self.mouth.left_the_speaker(heard);
    }

    pub(crate) fn playback_started(&mut self, fx: &mut Effects, utterance: Utterance, at: CallTime) {
        if let Some(turn) = self.mouth.started(fx, utterance, at) {
            self.first_packet_out(fx, turn, at);
        }
    }

    pub(crate) fn playback_finished(&mut self, fx: &mut Effects, utterance: Utterance, at: CallTime) {
        let spoken = self.mouth.finished(fx, utterance, at);
        self.spoken(fx, spoken);
    }

    pub(crate) fn playback_cut(&mut self, fx: &mut Effects, utterance: Utterance, sent_ms: u32, at: CallTime) {
        self.mouth.played(PlayoutPosition { utterance, sent_ms });
        let spoken = self.mouth.was_cut(fx, utterance, sent_ms, at);
        self.spoken(fx, spoken);
    }

    pub(crate) fn direction(&mut self, fx: &mut Effects, direction: Direction) {
        self.held(fx, direction);
    }

    /// What all calls together think of a provider.
    pub(crate) fn heard_of(&mut self, kind: ProviderKind, provider: &str, up: bool) {
        match kind {
            ProviderKind::Asr => self.ears.recognisers().heard_of(provider, up),
            ProviderKind::Llm => self.mind.models().heard_of(provider, up),
            ProviderKind::Tts => self.mouth.voices().heard_of(provider, up),
            ProviderKind::Tool | ProviderKind::Redactor => {}
        }
    }

    /// Sessions of a kind wait for this host, or wait no more.
    pub(crate) fn behind(&self, fx: &mut Effects, kind: ProviderKind, behind: bool) {
        let reasons: &[Reason] = match kind {
            ProviderKind::Asr => &[Reason::FinalWords],
            ProviderKind::Llm => &[Reason::LlmFirstToken, Reason::LlmStall],
            ProviderKind::Tts => &[Reason::TtsFirstByte, Reason::TtsStall],
            ProviderKind::Tool => &[Reason::ToolDeadline],
            ProviderKind::Redactor => &[Reason::Redactor],
        };
        for reason in reasons {
            fx.timers().stand_still(*reason, Still::Behind, behind);
        }
        if behind {
            fx.set_in(Reason::HostBehind, BEHIND_MS);
        }
    }

    /// Nobody is excused any longer.
    fn behind_for_too_long(&self, fx: &mut Effects) {
        for kind in
            [ProviderKind::Asr, ProviderKind::Llm, ProviderKind::Tts, ProviderKind::Tool, ProviderKind::Redactor]
        {
            self.behind(fx, kind, false);
        }
        fx.clear(Reason::HostBehind);
    }

    /// A text came back from the redactor.
    pub(crate) fn redacted(&mut self, fx: &mut Effects, ticket: u64, text: String) {
        if let Some(at) = self.redacting.iter().position(|(known, _)| *known == ticket) {
            let (_, name) = self.redacting.remove(at);
            self.variables.insert(name, text);
        } else if self.mind.sentence_redacted(ticket, &text) {
            self.hand_on(fx);
        } else if !self.input_redacted(fx, ticket, &text) {
            self.tool_output_redacted(fx, ticket, text);
        }
    }

    /// A deadline has passed.
    pub(crate) fn due(&mut self, fx: &mut Effects, reason: Reason) {
        match reason {
            Reason::Cut => {
                let spoken = self.mouth.cut_unanswered(fx);
                self.spoken(fx, spoken);
            }
            Reason::GoesOn => self.goes_on(fx),
            Reason::EndSilence | Reason::LongSpeech => {
                let heard = self.ears.end_of_speech(fx);
                self.heard(fx, heard);
            }
            Reason::FinalWords => {
                let heard = self.ears.overdue(fx);
                self.heard(fx, heard);
            }
            Reason::Speculate => self.guess(fx),
            Reason::DtmfGap => self.keys_complete(fx),
            Reason::Hedge => self.hedge(fx),
            Reason::LlmFirstToken => self.model_overdue(fx, "no token in time"),
            Reason::LlmStall => self.model_overdue(fx, "the reply stopped in the middle"),
            Reason::ToolDeadline => self.tools_overdue(fx),
            Reason::TtsFirstByte => {
                let voiced = self.mouth.overdue("no sound in time");
                self.voiced(fx, voiced);
            }
            Reason::TtsStall => {
                let voiced = self.mouth.overdue("the sound stopped in the middle");
                self.voiced(fx, voiced);
            }
            Reason::Playback => {
                let spoken = self.mouth.lost_track(fx);
                self.spoken(fx, spoken);
            }
            Reason::DeadAir => self.dead_air(fx),
            Reason::HostBehind => self.behind_for_too_long(fx),
            Reason::CallerSilence => self.caller_silent(fx),
            Reason::MaxCall | Reason::LegEnd | Reason::Closing | Reason::Redactor => {}
        }
    }

    /// Whether nobody says or thinks anything, nor is about to.
    pub(crate) fn is_idle(&self, fx: &mut Effects) -> bool {
        self.mind.reply().is_none()
            && self.mouth.is_silent()
            && self.ears.is_quiet()
            && !self.ears.speech_on()
            && !fx.timers().is_set(Reason::DtmfGap)
    }

    /// Whether the agent has nothing more to say.
    pub(crate) const fn is_silent(&self) -> bool {
        self.mouth.is_silent()
    }

    /// Whether a line would be said behind what is being said.
    pub(crate) fn can_append(&self) -> bool {
        !self.mouth.has_ended()
    }

    /// Says a last line behind what is being said, and hears nothing any more.
    pub(crate) fn close(&mut self, fx: &mut Effects, line: &str) {
        self.closing = true;
        self.pending.clear();
        (self.overlap, self.rejoin) = (None, None);
        self.rest.clear();
        self.stop_thinking(fx);
        self.ears.stop_listening(fx);
        self.keys.forget(fx);
        self.mouth.resume(fx);
        self.say(fx, line, false);
        self.mouth.finish(fx);
    }

    /// Lets go of every provider.
    pub(crate) fn release(&mut self, fx: &mut Effects) {
        self.closing = true;
        self.stop_thinking(fx);
        self.mouth.release(fx);
        self.ears.stop_listening(fx);
        self.ears.close(fx);
        self.keys.forget(fx);
    }

    /// The call is over: what was heard of the utterance in work is written down, and the turn's waterfall.
    pub(crate) fn end(&mut self, fx: &mut Effects, at: CallTime) {
        if let Some(spoken) = self.mouth.broken_off(fx, at) {
            self.remember(&spoken);
        }
        self.waterfall_done(fx);
    }

    /// Whether what the caller says may make a turn.
    fn listens(&self) -> bool {
        !self.closing && !self.ears.is_deaf_by_choice()
    }

    /// Says `text` behind what is being said already. An `aside` is not remembered.
    fn say(&mut self, fx: &mut Effects, text: &str, aside: bool) {
        let protected = self.is_protected(text);
        self.mouth.say(fx, Line { text: text.trim().to_owned(), aside, protected });
    }

    fn is_protected(&self, text: &str) -> bool {
        let protected = &self.spec.interruption.protected;
        !protected.is_empty() && {
            let text = text.to_lowercase();
            protected.iter().any(|phrase| text.contains(&phrase.to_lowercase()))
        }
    }

    /// `{name}` becomes the variable of that name; unknown names stay as they are.
    fn with_variables(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(begin) = rest.find('{') {
            filled.push_str(&rest[..begin]);
            rest = &rest[begin..];
            let value = rest.find('}').and_then(|end| self.variables.get(&rest[1..end]).map(|value| (value, end)));
            match value {
                Some((value, end)) => {
                    filled.push_str(value);
                    rest = &rest[end + 1..];
                }
                None => {
                    filled.push('{');
                    rest = &rest[1..];
                }
            }
        }
        filled.push_str(rest);
        filled
    }

    /// Sets a variable, by way of the redactor when what goes to the model is redacted.
    fn set_variable(&mut self, fx: &mut Effects, name: String, value: String) {
        match fx.redact(RedactionChannel::LlmInput, &value) {
            Some(ticket) => self.redacting.push((ticket, name)),
            None => {
                self.variables.insert(name, value);
            }
        }
    }
}
