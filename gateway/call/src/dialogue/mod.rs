//! A conversation on one leg: it hears, thinks and speaks, and knows who has the floor.
//!
//! The parts ([`ears`], [`mind`], [`mouth`], [`keys`]) each own their state and know nothing of one another; what one finds
//! out is carried to the others here and in the files that add to [`Dialogue`], a concern each.

mod answering;
pub(crate) mod backchannel;
mod concealment;
mod conference;
mod ears;
mod engine;
mod engine_input;
mod entry;
mod failure;
mod floor;
mod guards;
mod hand_off;
mod hold;
mod kept_tools;
mod keypad;
mod keys;
mod language;
mod lookup;
mod menus;
mod message;
mod mind;
mod mouth;
pub(crate) mod patience;
pub(crate) mod phrases;
pub(crate) mod question;
mod replying;
mod silence;
mod slots;
mod speaking;
mod succession;
mod summary;
mod survival;
mod telephone;
mod tools;
mod transfer;
mod turn;
mod variables;
mod voices;

use std::collections::BTreeMap;
use std::sync::Arc;

use trunkline_api::AgentSpec;
use trunkline_api::stages::StageTimes;
use trunkline_api::words::ProviderKind;
use trunkline_leg::{CallTime, Direction, DtmfDigit, LegId, PlayoutPosition, Utterance};

use crate::ENGINES;
use crate::command::ToolBinding;
use crate::effects::Effects;
use crate::input::{AsrEvent, LlmEvent, RealtimeEvent, ToolOutcome, TtsEvent, VoiceEdge};
use crate::memory::Memory;
use crate::minutes::Minutes;
use crate::setup::CallSetup;
use crate::speech::{Piece, Rules};
use crate::spoken;
use crate::timers::{Reason, Still};
use crate::waterfall::{Waterfall, Waterfalls};

pub(crate) use failure::action_for;

use ears::Ears;
use engine::Engine;
use floor::Overlap;
use guards::Repeats;
use hand_off::{Others, lists};
use hold::Hold;
use kept_tools::Kept;
use keypad::Keypad;
use keys::Keys;
use lookup::Lookups;
use mind::{Mind, Rejoin};
use mouth::{Line, Mouth};
use slots::Slots;
use summary::Summing;
use survival::Survival;
use telephone::Telephone;
use variables::Facts;
use voices::Voices;

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
    facts: Facts,
    memory: Memory,
    minutes: Minutes,
    summing: Summing,
    lookups: Lookups,
    repeats: Repeats,
    others: Others,
    /// Tools that nobody waits for any more.
    kept: Vec<Kept>,
    ears: Ears,
    mind: Mind,
    mouth: Mouth,
    /// What may stand in the place of all three.
    engine: Engine,
    keys: Keys,
    /// How texts are spoken.
    rules: Rules,
    /// BCP 47 language of the conversation now.
    language: String,
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
    waterfalls: Waterfalls,
    hold: Hold,
    tel: Telephone,
    silence_prompts: u32,
    /// When there was something to be heard last, of either side.
    quiet_since: CallTime,
    fillers_said: usize,
    /// The thinking sound is to be heard.
    knocks: bool,
    last_invocation: u32,
    /// Since when this host has kept tools waiting.
    behind_since: Option<CallTime>,
    /// Nothing the caller says makes a turn any more.
    closing: bool,
    /// Where the caller is when not in the conversation.
    keypad: Keypad,
    slots: Slots,
    survival: Survival,
}

impl Dialogue {
    pub(crate) fn new(setup: &CallSetup) -> Self {
        let spec = Arc::clone(&setup.spec);
        let (asr, llm, tts) = lists(&spec);
        let engines = &spec.survival.engines;
        let mind = Mind::new(llm, &spec.limits, &spec.tool_use, spec.speech.first_clause);
        let voices = Voices::new(tts, &spec.speech, &spec.language);
        Self {
            ears: Ears::new(spec.turn.clone(), spec.language.clone(), asr).and_engines(&engines.asr),
            mind: mind.and_engines(&engines.llm),
            mouth: Mouth::new(voices, spec.limits.tts_first_byte_ms)
                .and_engines(&engines.tts, spec.survival.prerendered),
            engine: Engine::new(spec.pipeline.providers(ProviderKind::Realtime), &spec.limits),
            slots: Slots::new(&spec),
            rules: Rules::new(&spec.speech),
            language: spec.language.clone(),
            // What was handed over with the call goes before what the agent says where nothing was.
            variables: spec
                .variables
                .iter()
                .filter(|(name, _)| !setup.variables.contains_key(*name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            spec,
            bindings: setup.tools.clone(),
            redacting: Vec::new(),
            facts: Facts::new(setup),
            memory: Memory::default(),
            minutes: Minutes::default(),
            summing: Summing::default(),
            lookups: Lookups::default(),
            repeats: Repeats::default(),
            others: Others::new(setup),
            kept: Vec::new(),
            keys: Keys::default(),
            overlap: None,
            rest: String::new(),
            rejoin: None,
            pending: String::new(),
            overheard: false,
            waterfall: None,
            waterfalls: Waterfalls::default(),
            hold: Hold::default(),
            tel: Telephone::default(),
            silence_prompts: 0,
            quiet_since: CallTime::ZERO,
            fillers_said: 0,
            knocks: false,
            last_invocation: 0,
            behind_since: None,
            closing: false,
            keypad: Keypad::default(),
            survival: Survival::default(),
        }
    }

    /// Who said what.
    pub(crate) const fn minutes(&self) -> &Minutes {
        &self.minutes
    }

    /// Lines that were rendered beforehand and may be played.
    pub(crate) fn has_prompts(&mut self, texts: Vec<String>) {
        self.mouth.knows(texts);
    }

    /// Whether there is nobody who could speak for the agent.
    pub(crate) fn is_dumb(&self) -> bool {
        self.mouth.is_dumb() && self.engine.is_empty()
    }

    /// The leg was answered: the recogniser is opened and the greeting spoken.
    pub(crate) fn begin(&mut self, fx: &mut Effects) {
        self.quiet_since = fx.now();
        self.expect_next();
        self.open_engine(fx, false);
        self.engine_hears(fx, false);
        if self.starts_in_menu() {
            if !self.learn_who_calls(fx) {
                let greeting = self.with_variables(fx.now(), &self.spec.greeting);
                self.say(fx, &greeting, false);
            }
            self.begin_in_menu(fx);
            return;
        }
        if !self.ears.is_deaf_by_choice() && !self.ears.pushes_to_talk() {
            self.ears.open(fx, None);
        }
        let waits = self.learn_who_calls(fx);
        if !self.answering_begins(fx) && !waits {
            self.greet(fx);
        }
    }

    /// Says the greeting.
    fn greet(&mut self, fx: &mut Effects) {
        let greeting = self.with_variables(fx.now(), &self.spec.greeting);
        self.say(fx, &greeting, false);
        self.mouth.finish(fx);
    }

    /// The caller began or stopped speaking.
    pub(crate) fn voice(&mut self, fx: &mut Effects, edge: VoiceEdge) {
        self.answering_voice(fx, edge);
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
            self.nothing_yet(fx);
        }
    }

    pub(crate) fn interrupts(&mut self, fx: &mut Effects) {
        if self.mouth.is_silent() { self.goes_on(fx) } else { self.speaks_up(fx) }
    }

    pub(crate) fn asr(&mut self, fx: &mut Effects, session: u32, event: AsrEvent) {
        if self.ears.is_session(session) {
            self.answering_hears(fx, &event);
            let heard = self.ears.asr(fx, event);
            self.heard(fx, heard);
            self.nothing_yet(fx);
        }
    }

    pub(crate) fn llm(&mut self, fx: &mut Effects, request: u32, event: LlmEvent) {
        if !self.summed(fx, request, &event) {
            let thought = self.mind.llm(fx, request, event);
            self.thought(fx, thought);
        }
    }

    pub(crate) fn realtime(&mut self, fx: &mut Effects, session: u32, event: RealtimeEvent) {
        self.engine_told(fx, session, event);
    }

    pub(crate) fn tts(&mut self, fx: &mut Effects, utterance: Utterance, index: usize, event: TtsEvent) {
        let complete = matches!(event, TtsEvent::PartDone { .. }) && index >= ENGINES;
        let voiced = self.mouth.tts(fx, utterance, index, event);
        if complete {
            self.mind.engine_goes_on(fx);
        }
        self.voiced(fx, voiced);
    }

    pub(crate) fn tool(&mut self, fx: &mut Effects, invocation: u32, outcome: ToolOutcome) {
        self.tool_answered(fx, invocation, outcome);
    }

    pub(crate) fn digit(&mut self, fx: &mut Effects, digit: DtmfDigit, at: CallTime) {
        if !self.accepts_by_key(fx, digit) {
            self.key(fx, digit, at);
        }
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

    pub(crate) fn direction(&mut self, fx: &mut Effects, leg: LegId, direction: Direction) {
        self.far_direction(fx, leg, direction);
    }

    /// What all calls together think of a provider.
    pub(crate) fn heard_of(&mut self, fx: &mut Effects, kind: ProviderKind, provider: &str, up: bool, live: bool) {
        match kind {
            ProviderKind::Asr => self.ears.recognisers().heard_of(provider, up),
            ProviderKind::Llm => self.mind.models().heard_of(provider, up),
            ProviderKind::Tts => self.mouth.voices().heard_of(provider, up),
            ProviderKind::Realtime => self.engine.engines().heard_of(provider, up),
            ProviderKind::Tool | ProviderKind::Redactor => {}
        }
        if up && live {
            self.try_to_leave(fx);
        }
    }

    /// Sessions of a kind wait for this host, or wait no more.
    pub(crate) fn behind(&mut self, fx: &mut Effects, kind: ProviderKind, behind: bool) {
        let reasons: &[Reason] = match kind {
            ProviderKind::Asr => &[Reason::FinalWords],
            ProviderKind::Llm => &[Reason::LlmFirstToken, Reason::LlmStall, Reason::Summary],
            ProviderKind::Tts => &[Reason::TtsFirstByte, Reason::TtsStall],
            ProviderKind::Tool => &[Reason::ToolDeadline],
            ProviderKind::Realtime => &[Reason::EngineOpen],
            ProviderKind::Redactor => {
                fx.redactor_behind(behind);
                &[]
            }
        };
        for reason in reasons {
            fx.timers().stand_still(*reason, Still::Behind, behind);
        }
        if behind {
            fx.set_in(Reason::HostBehind, BEHIND_MS);
        }
        if kind == ProviderKind::Tool {
            match (behind, self.behind_since) {
                (true, None) => self.behind_since = Some(fx.now()),
                (false, Some(since)) => {
                    self.behind_since = None;
                    self.excuse_tools(fx, fx.now().since_us(since));
                }
                (true, Some(_)) | (false, None) => {}
            }
        }
    }

    /// Nobody is excused any longer.
    fn behind_for_too_long(&mut self, fx: &mut Effects) {
        use ProviderKind::{Asr, Llm, Realtime, Redactor, Tool, Tts};
        for kind in [Asr, Llm, Tts, Tool, Redactor, Realtime] {
            self.behind(fx, kind, false);
        }
        fx.clear(Reason::HostBehind);
    }

    /// A text came back from the redactor.
    pub(crate) fn redacted(&mut self, fx: &mut Effects, ticket: u64, text: String) {
        let known = self.variable_redacted(fx, ticket, &text)
            || self.summary_redacted(fx, ticket, &text)
            || self.kept_redacted(ticket, &text);
        if known {
            return;
        }
        if self.mind.sentence_redacted(ticket, &text) {
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
                self.answer_at_once(fx);
            }
            Reason::StandStill => {
                let heard = self.ears.stand_still(fx, self.overlap.is_some());
                self.heard(fx, heard);
            }
            Reason::FinalWords => {
                let heard = self.ears.overdue(fx);
                self.heard(fx, heard);
            }
            Reason::Speculate if self.keypad.is_away() => {}
            Reason::Speculate => self.guess(fx),
            Reason::DtmfGap => self.keys_complete(fx),
            Reason::Hedge => self.hedge(fx),
            Reason::LlmFirstToken => self.model_overdue(fx, "no token in time"),
            Reason::LlmStall => self.model_overdue(fx, "the reply stopped in the middle"),
            Reason::ToolDeadline => self.tools_overdue(fx),
            Reason::ToolSay => self.tools_say(fx),
            Reason::Lookup => self.lookup_overdue(fx),
            Reason::Summary => self.summary_overdue(fx),
            Reason::EngineOpen => self.engine_overdue(fx, "it did not open in time"),
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
            Reason::Transfer | Reason::HoldLine | Reason::Answering => self.telephone_due(fx, reason),
            Reason::DeadAir => self.dead_air(fx),
            // It begins once everything else is settled.
            Reason::ThinkingSound => {}
            Reason::HostBehind => self.behind_for_too_long(fx),
            Reason::CallerSilence => self.caller_silent(fx),
            Reason::KeysWait => self.keypad_overdue(fx),
            Reason::Reveal => self.reveal(fx),
            Reason::Survival => self.try_to_leave(fx),
            Reason::MaxCall
            | Reason::LegEnd
            | Reason::OtherLegEnd
            | Reason::LegMax
            | Reason::Closing
            | Reason::Analysis
            | Reason::Redactor => {}
        }
    }

    /// Whether nobody says or thinks anything, nor is about to.
    pub(crate) fn is_idle(&self, fx: &mut Effects) -> bool {
        self.mind.reply().is_none()
            && self.mouth.is_silent()
            && self.ears.is_quiet()
            && !self.ears.speech_on()
            && !fx.timers().is_set(Reason::DtmfGap)
            && !self.tel.is_busy()
    }

    /// Where the time of the turns went, when there is anything new.
    pub(crate) fn new_stages(&mut self) -> Option<Vec<StageTimes>> {
        self.waterfalls.news()
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
        self.stop_summing(fx);
        self.stay();
        self.ears.stop_listening(fx);
        self.keys.forget(fx);
        self.mouth.resume(fx);
        self.say(fx, line, false);
        self.mouth.finish(fx);
    }

    /// Lets go of every provider.
    pub(crate) fn release(&mut self, fx: &mut Effects) {
        self.closing = true;
        self.close_engine(fx);
        self.stop_thinking(fx);
        self.stop_summing(fx);
        self.stop_kept(fx);
        self.mouth.release(fx);
        self.ears.stop_listening(fx);
        self.ears.close(fx);
        self.keys.forget(fx);
        self.slots.forget_secrets();
    }

    /// The call is over: what was heard of the utterance in work is written down, and the turn's waterfall.
    pub(crate) fn end(&mut self, fx: &mut Effects, at: CallTime) {
        if let Some(spoken) = self.mouth.broken_off(fx, at) {
            self.remember(fx, &spoken);
        }
        self.waterfall_done(fx);
        self.message_left(fx);
        self.concealed_to_the_end(fx);
        self.tell_slots(fx);
    }

    /// Whether what the caller says may make a turn.
    fn listens(&self) -> bool {
        // Whoever was dialled says nothing to an engine: it would take it for the caller's.
        let with_caller = !self.engine.serves() || self.tel.set_aside.is_none();
        !self.closing && !self.ears.is_deaf_by_choice() && self.keypad.hears() && self.tel.hears() && with_caller
    }

    /// Says `text` behind what is being said already. An `aside` is not remembered.
    fn say(&mut self, fx: &mut Effects, text: &str, aside: bool) {
        let line = self.line(text, aside);
        self.mouth.say(fx, line);
    }

    /// A text as it is written and spoken.
    fn line(&self, text: &str, aside: bool) -> Line {
        let pieces = self.rules.render(text, &self.language);
        let mut written = String::new();
        for piece in &pieces {
            if let Piece::Words(words) = piece {
                spoken::join(&mut written, &words.written);
            }
        }
        let protected = self.is_protected(&written);
        let (prompt, language) = (text.trim().to_owned(), self.language.clone());
        Line { text: written, prompt, pieces, language, aside, protected, item: None }
    }

    fn is_protected(&self, text: &str) -> bool {
        let protected = &self.spec.interruption.protected;
        !protected.is_empty() && {
            let text = text.to_lowercase();
            protected.iter().any(|phrase| text.contains(&phrase.to_lowercase()))
        }
    }
}
