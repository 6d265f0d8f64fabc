//! The making of an utterance: parts are handed to whoever says them, their sound is watched over, and what one synthesiser
//! leaves undone another is given.

use trunkline_api::Failure;
use trunkline_leg::{CallTime, Utterance};

use super::{Mouth, Speech, Spoken, State, Voiced};
use crate::command::Command;
use crate::effects::Effects;
use crate::input::TtsEvent;
use crate::spoken::{Part, Synthesis};
use crate::timers::Reason;
use crate::{AHEAD_MS, PRERENDERED};

/// Silence in the middle of a part after which a synthesiser has stopped.
const STALL_MS: u64 = 1500;
/// How much later than expected the leg may report the end of an utterance.
const PLAYBACK_SLACK_MS: u64 = 3000;

impl Mouth {
    /// A synthesiser reports something of an utterance that it was given as number `index`.
    pub(crate) fn tts(&mut self, fx: &mut Effects, utterance: Utterance, index: usize, event: TtsEvent) -> Voiced {
        let speaks = |speech: &Speech| match event {
            TtsEvent::Failed { .. } => speech.voices.iter().any(|(_, at)| *at == index),
            TtsEvent::Audio { .. } | TtsEvent::PartDone { .. } => true,
        };
        if !self.speech().is_some_and(|speech| speech.utterance == utterance && speaks(speech)) {
            self.sounded_before_the_cut(utterance, index, &event);
            return Voiced::Nothing;
        }
        match event {
            TtsEvent::Audio { part, audio_ms } => self.sound(fx, (part, index), audio_ms, false),
            TtsEvent::PartDone { part, audio_ms } => self.sound(fx, (part, index), audio_ms, true),
            TtsEvent::Failed { failure, detail } => Voiced::Lost { index, failure, detail },
        }
    }

    /// An engine's sound went out before the cut, and is told of behind the decision: it may have been heard.
    fn sounded_before_the_cut(&mut self, utterance: Utterance, index: usize, event: &TtsEvent) {
        let State::Cutting(speech, _) = &mut self.state else { return };
        let (TtsEvent::Audio { part: number, audio_ms } | TtsEvent::PartDone { part: number, audio_ms }) = event else {
            return;
        };
        let ours = |part: &&mut Part| part.number == *number && part.index == index && part.item.is_some();
        if speech.utterance == utterance
            && let Some(part) = speech.parts.iter_mut().find(ours)
        {
            part.audio_ms = part.audio_ms.max(*audio_ms);
        }
    }

    /// The synthesiser owed sound for too long.
    pub(crate) fn overdue(&mut self, detail: &str) -> Voiced {
        let open = self.speech().and_then(|speech| {
            speech.parts.iter().find(|part| part.synthesis != Synthesis::Done).map(|part| part.number)
        });
        if open.is_some_and(|open| self.forget_prompt(open)) {
            return Voiced::Missing;
        }
        let owes = |speech: &Speech| {
            let open = speech.parts.iter().find(|part| part.synthesis != Synthesis::Done).map(|part| part.index);
            open.or_else(|| speech.voices.first().map(|(_, index)| *index))
        };
        self.speech().and_then(owes).map_or(Voiced::Nothing, |index| Voiced::Lost {
            index,
            failure: Failure::TtsZeroBytes,
            detail: detail.to_owned(),
        })
    }

    /// Another synthesiser says what the one before has not: of a part in the making only what there is no sound of.
    pub(crate) fn carry_on(&mut self, fx: &mut Effects) {
        let Some(missing) = self.break_off(fx) else { return };
        let now = fx.now();
        if let Some(speech) = self.speech_mut() {
            // Whoever is in service now speaks, of each language.
            speech.voices.clear();
            speech.asked = now;
        }
        for part in missing {
            self.hand_over(fx, part);
        }
        self.send_end(fx);
        self.watch_synthesis(fx);
    }

    /// Lines that were to be said meanwhile and have no voice end where they are when what they were said for is there already.
    /// False where there are none.
    pub(crate) fn leaves_asides(&mut self, fx: &mut Effects) -> bool {
        let (State::Speaking(speech) | State::Paused(speech, _)) = &mut self.state else { return false };
        let open = |part: &Part| part.synthesis != Synthesis::Done && !is_reply(part);
        let first = speech.parts.iter().position(open).unwrap_or(speech.parts.len());
        let answered = speech.parts[first..].iter().any(is_reply);
        if !answered || speech.parts.iter().any(|part| open(part) && !part.aside) {
            return false;
        }
        let utterance = speech.utterance;
        for part in speech.parts.iter_mut().filter(|part| open(part)) {
            part.synthesis = Synthesis::Done;
            speech.voices.retain(|(_, index)| *index != part.index);
            fx.command(Command::EndPart { utterance, part: part.number, at_ms: part.audio_ms });
        }
        speech.watched = None;
        fx.clear(Reason::TtsFirstByte);
        fx.clear(Reason::TtsStall);
        self.is_heard_again(fx.now());
        self.watch_synthesis(fx);
        self.watch_playback(fx);
        true
    }

    /// Nobody says what is missing: it is not said, and what there is sound of is the whole utterance. When there is
    /// none, nothing was said.
    pub(crate) fn give_up(&mut self, fx: &mut Effects) -> Option<Spoken> {
        self.later.clear();
        let missing = self.break_off(fx)?;
        if let Some(speech) = self.speech_mut() {
            speech.dropped.extend(missing.into_iter().map(|part| Part { number: 0, ..part }));
        }
        self.end_utterance(fx);
        self.watch_synthesis(fx);
        if self.speech().is_some_and(|speech| !speech.parts.is_empty()) {
            self.watch_playback(fx);
            return None;
        }
        let now = fx.now();
        self.whole(fx, now)
    }

    /// Takes the parts that there is no sound of out of the utterance, and stops its synthesisers.
    pub(super) fn break_off(&mut self, fx: &mut Effects) -> Option<Vec<Part>> {
        let (State::Speaking(speech) | State::Paused(speech, _)) = &mut self.state else { return None };
        fx.clear(Reason::TtsFirstByte);
        fx.clear(Reason::TtsStall);
        speech.watched = None;
        let mut parts = Vec::new();
        if let Some(open) = speech.parts.iter().position(|part| part.synthesis != Synthesis::Done) {
            let mut missing = speech.parts.split_off(open);
            if let Some(first) = missing.first_mut().filter(|first| first.audio_ms > 0) {
                let rest = first.break_off();
                if rest.words().chars().any(char::is_alphanumeric) && !is_reply(first) {
                    parts.push(rest);
                }
                speech.parts.push(missing.remove(0));
            }
            // Sound that is behind what is missing goes with it, and what an engine made up is made up anew.
            missing.retain(|part| !is_reply(part));
            parts.extend(missing.into_iter().map(|part| if part.pause { part } else { anew(part) }));
        }
        let utterance = speech.utterance;
        let from = speech.parts.last().map_or(0, |part| part.number + 1);
        fx.command(Command::DropParts { utterance, from, cut: true });
        speech.stop_voices(fx);
        Some(parts)
    }

    /// Gives a part to whoever speaks its language, or to the leg when it is silence.
    pub(super) fn hand_over(&mut self, fx: &mut Effects, mut part: Part) {
        let (State::Speaking(speech) | State::Paused(speech, _)) = &mut self.state else { return };
        let utterance = speech.utterance;
        part.number = speech.next_part;
        speech.next_part += 1;
        if part.pause {
            speech.known = true;
            fx.command(Command::Silence { utterance, part: part.number, ms: part.audio_ms });
            speech.parts.push(part);
            return;
        }
        if part.item.is_some() {
            if self.engine.is_some_and(|engine| engine.says != Some(false)) || !self.has_synthesiser() {
                self.ask_for_line(fx, part);
                return;
            }
            part.item = None;
        }
        if part.prompt.as_ref().is_some_and(|prompt| self.plays(fx.now(), prompt)) {
            self.play(fx, part);
            return;
        }
        if !self.has_synthesiser() {
            // Nobody says it.
            self.drop_part(part);
            return;
        }
        let (State::Speaking(speech) | State::Paused(speech, _)) = &mut self.state else { return };
        let known = speech.voices.iter().find(|(list, _)| *list == part.list).map(|(_, index)| *index);
        let chosen = known.or_else(|| {
            // Of a list that failed in mid-utterance whoever took over stays in service.
            let begun = speech.parts.iter().any(|other| other.list == part.list && !other.pause);
            if begun { self.voices.current(part.list) } else { self.voices.choose(part.list, fx.now()) }
        });
        let Some((index, provider)) = chosen.and_then(|index| Some((index, self.voices.get(index)?.clone()))) else {
            return;
        };
        if known.is_none() {
            speech.voices.push((part.list, index));
        }
        speech.known = true;
        part.index = index;
        part.us_per_character = self.paces.get(&(part.list, index)).copied().unwrap_or_default().us_per_character();
        let document = part.spoken.as_ref().and_then(|spoken| spoken.ssml.clone());
        let document = document.filter(|_| self.voices.takes_ssml(index));
        let text = document.unwrap_or_else(|| part.words().to_owned());
        let language = self.voices.language(part.list).to_owned();
        fx.command(Command::Speak { utterance, part: part.number, index, provider, language, text });
        speech.parts.push(part);
    }

    /// Has a part played that was rendered beforehand.
    pub(super) fn play(&mut self, fx: &mut Effects, mut part: Part) {
        let Some(speech) = self.speech_mut() else { return };
        let Some(text) = part.prompt.clone() else { return };
        part.index = PRERENDERED;
        speech.known = true;
        fx.command(Command::Play { utterance: speech.utterance, part: part.number, text });
        speech.parts.push(part);
    }

    pub(super) fn drop_part(&mut self, part: Part) {
        if let Some(speech) = self.speech_mut() {
            speech.dropped.push(part);
        }
    }

    pub(super) fn sound(
        &mut self,
        fx: &mut Effects,
        (number, index): (u32, usize),
        audio_ms: u32,
        done: bool,
    ) -> Voiced {
        let Some(speech) = self.speech_mut() else { return Voiced::Nothing };
        let turn = speech.turn;
        let ours = |part: &&mut Part| part.number == number && part.index == index && !part.pause;
        let Some(part) = speech.parts.iter_mut().find(ours) else { return Voiced::Nothing };
        if part.synthesis == Synthesis::Done {
            return Voiced::Nothing;
        }
        let first = part.audio_ms == 0;
        part.audio_ms = part.audio_ms.max(audio_ms);
        if part.audio_ms == 0 {
            if done && self.forget_prompt(number) {
                return Voiced::Missing;
            }
            let detail = "a part ended without sound".to_owned();
            return if done { Voiced::Lost { index, failure: Failure::TtsZeroBytes, detail } } else { Voiced::Nothing };
        }
        part.synthesis = if done { Synthesis::Done } else { Synthesis::Sounding };
        let aside = part.aside;
        let whole = done.then(|| part.clone());
        if speech.watched == Some(number) {
            speech.watched = None;
        }
        if let Some(part) = whole.filter(|_| index < PRERENDERED) {
            self.voices.succeeded(index);
            self.paces.entry((part.list, index)).or_default().said(&part);
        }
        let until = self.speech().map(|speech| self.sound_until(speech, fx.now()));
        if let (Some(until), Some(speech)) = (until, self.speech_mut()) {
            speech.until = until;
        }
        self.watch_synthesis(fx);
        self.watch_playback(fx);
        if first && !aside { Voiced::FirstSound { turn } } else { Voiced::Nothing }
    }

    /// A line that was rendered beforehand has no sound: it is not played again. False when it was not rendered.
    pub(super) fn forget_prompt(&mut self, number: u32) -> bool {
        let played = |part: &&Part| part.number == number && part.index == PRERENDERED;
        let Some(part) = self.speech().and_then(|speech| speech.parts.iter().find(played)) else { return false };
        if let Some(prompt) = part.prompt.clone() {
            self.prompts.texts.remove(&prompt);
        }
        true
    }

    /// Until when what there is sound of will be heard: up to the first part that is not complete, which holds back those
    /// behind it. What is sent is not always known to the millisecond, so this is late rather than early.
    pub(super) fn sound_until(&self, speech: &Speech, now: CallTime) -> CallTime {
        let open = speech.parts.iter().position(|part| part.synthesis != Synthesis::Done);
        let heard = open.map_or(speech.parts.len(), |open| open + 1);
        let made: u64 = speech.parts.iter().take(heard).map(|part| u64::from(part.audio_ms)).sum();
        now.plus_ms(made.saturating_sub(u64::from(self.sent_ms(speech.utterance))))
    }

    /// Arms the deadline for the first part that is not complete. A synthesiser that is ahead is not asked for more, so
    /// that it owes nothing until what there is has nearly been heard.
    pub(super) fn watch_synthesis(&mut self, fx: &mut Effects) {
        let now = fx.now();
        let Some(speech) = self.speech() else { return };
        let until = self.sound_until(speech, now);
        let asked = CallTime(until.as_us().saturating_sub(AHEAD_MS * 1000)).max(now);
        let first_byte = asked.plus_ms(self.first_byte_ms);
        let Some(speech) = self.speech_mut() else { return };
        match speech.parts.iter().find(|part| part.synthesis != Synthesis::Done) {
            None => {
                speech.watched = None;
                fx.clear(Reason::TtsFirstByte);
                fx.clear(Reason::TtsStall);
            }
            Some(part) if part.item.as_ref().is_some_and(|item| item.item.is_none() && item.response == 0) => {
                // It is asked for once the engine is there.
                speech.watched = None;
                fx.clear(Reason::TtsFirstByte);
                fx.clear(Reason::TtsStall);
            }
            Some(part) if part.synthesis == Synthesis::Sounding => {
                fx.clear(Reason::TtsFirstByte);
                fx.timers().set(Reason::TtsStall, until.max(now).plus_ms(STALL_MS));
            }
            Some(part) if speech.watched != Some(part.number) => {
                speech.watched = Some(part.number);
                fx.clear(Reason::TtsStall);
                fx.timers().set(Reason::TtsFirstByte, first_byte);
            }
            Some(_) => {}
        }
    }

    /// Arms the deadline for the end of playback, once all sound is there.
    pub(super) fn watch_playback(&self, fx: &mut Effects) {
        let Some(speech) = self.speech() else { return };
        if speech.ended && speech.parts.iter().all(|part| part.synthesis == Synthesis::Done) {
            let until = self.sound_until(speech, fx.now()).plus_ms(PLAYBACK_SLACK_MS);
            fx.timers().set(Reason::Playback, until);
        }
    }
}

/// A part that is to be said from its beginning.
fn anew(part: Part) -> Part {
    let item = part.item.map(|item| Box::new(item.anew()));
    Part { audio_ms: 0, synthesis: Synthesis::Waiting, item, ..part }
}

/// Whether it is what an engine has made up.
fn is_reply(part: &Part) -> bool {
    part.item.as_ref().is_some_and(|item| !item.is_line())
}
