//! A call's voice: synthesiser sessions, the parts of the utterance they make, and the frames that leave for media.

use std::collections::VecDeque;

use trunkline_call::{AHEAD_MS, PRERENDERED, TtsEvent};
use trunkline_leg::{AgentEnd, CallTime, DownFrame, DownHead, LegFact, MAX_FRAME_SAMPLES, Utterance};

use crate::prompts::Rendered;
use crate::session::{Input, Output, Session};

struct Voice {
    index: usize,
    provider: String,
    session: Session,
}

struct Part {
    part: u32,
    index: usize,
    context: u32,
    /// Sound that was not queued yet, a stretch for each rate it comes at.
    sound: VecDeque<Stretch>,
    made_us: u64,
    /// Silence that was not queued yet.
    silence_us: u64,
    /// Where it ends although there is more sound of it.
    ends_us: Option<u64>,
    done: bool,
}

/// Sound of one rate.
struct Stretch {
    rate: u32,
    pcm: VecDeque<i16>,
}

struct Speech {
    utterance: Utterance,
    generation: u32,
    parts: VecDeque<Part>,
    offset_us: u64,
    /// Rate of the sound that was queued last, for silence to be of the same.
    rate: u32,
    pushed: bool,
    ended: bool,
}

/// What the synthesisers report of an utterance.
pub(crate) struct Report {
    /// The utterance.
    pub(crate) utterance: Utterance,
    /// Position of the provider in the agent's list.
    pub(crate) index: usize,
    /// What.
    pub(crate) event: TtsEvent,
}

/// What came out of a round of polling.
pub(crate) enum Spoken {
    /// Something the call wants to know.
    Report(Report),
    /// Units of a provider.
    Usage(String, trunkline_api::usage::Units),
}

/// Synthesisers and the utterance in work.
#[derive(Default)]
pub(crate) struct Speaking {
    voices: Vec<Voice>,
    speech: Option<Speech>,
    contexts: u32,
    waits_for_room: bool,
    /// What there is to report of lines that were rendered beforehand.
    played: VecDeque<Report>,
}

impl Speaking {
    /// Whether a session of the provider at `index` is open.
    pub(crate) fn has_voice(&self, index: usize) -> bool {
        self.voices.iter().any(|voice| voice.index == index)
    }

    /// Name of the provider at `index`.
    pub(crate) fn provider(&self, index: usize) -> Option<&str> {
        self.voices.iter().find(|voice| voice.index == index).map(|voice| voice.provider.as_str())
    }

    /// Adds the session of the provider at `index`.
    pub(crate) fn add_voice(&mut self, index: usize, provider: String, session: Session) {
        self.voices.push(Voice { index, provider, session });
    }

    /// Has a part of an utterance synthesised.
    pub(crate) fn speak(&mut self, leg: &AgentEnd, utterance: Utterance, part: u32, index: usize, text: String) {
        let Some(voice) = self.voices.iter().find(|voice| voice.index == index) else { return };
        self.contexts = self.contexts.wrapping_add(1);
        let context = self.contexts;
        voice.session.push(Input::Synthesize { context, text });
        let sound = VecDeque::new();
        let part = Part { part, index, context, sound, made_us: 0, silence_us: 0, ends_us: None, done: false };
        self.speech_of(leg, utterance).parts.push_back(part);
    }

    /// Plays a line that was rendered beforehand as a part of an utterance; without sound it is as if it had none.
    pub(crate) fn play(&mut self, leg: &AgentEnd, utterance: Utterance, part: u32, line: Option<&Rendered>) {
        // Contexts count from 1, so nothing that a synthesiser makes finds this part.
        let sound = VecDeque::new();
        let mut whole =
            Part { part, index: PRERENDERED, context: 0, sound, made_us: 0, silence_us: 0, ends_us: None, done: true };
        if let Some(line) = line {
            whole.add(line.rate, line.pcm.to_vec());
        }
        let event = TtsEvent::PartDone { part, audio_ms: whole.made_ms() };
        self.speech_of(leg, utterance).parts.push_back(whole);
        self.played.push_back(Report { utterance, index: PRERENDERED, event });
    }

    /// What an engine says is a part of an utterance from now on.
    pub(crate) fn begin_item(&mut self, leg: &AgentEnd, utterance: Utterance, part: u32, index: usize) {
        // Contexts count from 1: no synthesiser has anything to do with it.
        let sound = VecDeque::new();
        let item = Part { part, index, context: 0, sound, made_us: 0, silence_us: 0, ends_us: None, done: false };
        self.speech_of(leg, utterance).parts.push_back(item);
    }

    /// Sound of what an engine says.
    pub(crate) fn item_sound(&mut self, utterance: Utterance, part: u32, index: usize, rate: u32, pcm: Vec<i16>) {
        let Some(item) = self.item(utterance, part, index) else { return };
        item.add(rate, pcm);
        let audio_ms = item.made_ms();
        let over = item.ends_us.is_some_and(|end| item.made_us >= end);
        self.played.push_back(Report { utterance, index, event: TtsEvent::Audio { part, audio_ms } });
        if over {
            self.item_complete(utterance, part, index);
        }
    }

    /// There is no more of it.
    pub(crate) fn item_complete(&mut self, utterance: Utterance, part: u32, index: usize) {
        let Some(item) = self.item(utterance, part, index) else { return };
        if let Some(end_us) = item.ends_us {
            item.end_at(end_us);
        }
        item.done = true;
        let audio_ms = item.made_ms();
        self.played.push_back(Report { utterance, index, event: TtsEvent::PartDone { part, audio_ms } });
    }

    /// A part ends there.
    pub(crate) fn end_part(&mut self, utterance: Utterance, part: u32, at_ms: u32) {
        let Some(speech) = self.speech.as_mut().filter(|speech| speech.utterance == utterance) else { return };
        let Some(item) = speech.parts.iter_mut().find(|item| item.part == part) else { return };
        let end_us = u64::from(at_ms) * 1000;
        item.ends_us = Some(end_us);
        if item.done {
            item.end_at(end_us);
        } else if item.made_us >= end_us {
            let index = item.index;
            self.item_complete(utterance, part, index);
        }
    }

    fn item(&mut self, utterance: Utterance, part: u32, index: usize) -> Option<&mut Part> {
        let speech = self.speech.as_mut().filter(|speech| speech.utterance == utterance)?;
        speech.parts.iter_mut().find(|item| item.part == part && item.index == index && !item.done)
    }

    /// The utterance in work, which is that one from now on.
    fn speech_of(&mut self, leg: &AgentEnd, utterance: Utterance) -> &mut Speech {
        let speech = self.speech.take().filter(|speech| speech.utterance == utterance);
        self.speech.insert(speech.unwrap_or_else(|| Speech::new(utterance, leg.playout.generation())))
    }

    /// Queues silence as a part that is complete.
    pub(crate) fn silence(&mut self, leg: &AgentEnd, utterance: Utterance, part: u32, ms: u32) {
        let (sound, silence_us) = (VecDeque::new(), u64::from(ms) * 1000);
        // Contexts count from 1: no synthesiser has anything to do with it.
        let pause =
            Part { part, index: usize::MAX, context: 0, sound, made_us: 0, silence_us, ends_us: None, done: true };
        self.speech_of(leg, utterance).parts.push_back(pause);
    }

    /// Drops parts from that one on; the part before it gets no more sound when it is `cut`.
    pub(crate) fn drop_parts(&mut self, utterance: Utterance, from: u32, cut: bool) {
        let Some(speech) = self.speech.as_mut().filter(|speech| speech.utterance == utterance) else { return };
        for part in &mut speech.parts {
            if !part.done && (part.part >= from || cut) {
                if let Some(voice) = self.voices.iter().find(|voice| voice.index == part.index) {
                    voice.session.push(Input::CancelContext { context: part.context });
                }
                // Contexts count from 1, so nothing that still comes of it finds a part.
                (part.context, part.done) = (0, true);
            }
        }
        speech.parts.retain(|part| part.part < from);
    }

    /// No part follows.
    pub(crate) fn end(&mut self, utterance: Utterance) {
        if let Some(speech) = self.speech.as_mut().filter(|speech| speech.utterance == utterance) {
            speech.ended = true;
        }
    }

    /// Stops synthesis of an utterance by one provider; queued sound stays.
    pub(crate) fn stop(&mut self, utterance: Utterance, index: usize) {
        let Some(speech) = self.speech.as_mut().filter(|speech| speech.utterance == utterance) else { return };
        let Some(voice) = self.voices.iter().find(|voice| voice.index == index) else { return };
        for part in speech.parts.iter_mut().filter(|part| part.index == index && !part.done) {
            voice.session.push(Input::CancelContext { context: part.context });
            // Contexts count from 1, so nothing that still comes of it finds a part.
            part.context = 0;
        }
    }

    /// Drops every queued frame. When media never saw one of the utterance, the answer it cannot give is returned.
    pub(crate) fn clear(&mut self, leg: &AgentEnd, now: CallTime) -> Option<LegFact> {
        leg.playout.clear();
        let speech = self.speech.take()?;
        for part in speech.parts.iter().filter(|part| !part.done && part.context != 0) {
            if let Some(voice) = self.voices.iter().find(|voice| voice.index == part.index) {
                voice.session.push(Input::CancelContext { context: part.context });
            }
        }
        (!speech.pushed).then_some(LegFact::PlaybackCut { utterance: speech.utterance, sent_ms: 0, at: now })
    }

    /// The open sessions.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = &Session> + Clone {
        self.voices.iter().map(|voice| &voice.session)
    }

    /// Whether sound waits for room in the ring, which comes as it is played.
    pub(crate) const fn waits_for_room(&self) -> bool {
        self.waits_for_room
    }

    /// Whether enough sound is ahead of playback, so that nothing is taken from the sessions.
    pub(crate) fn is_ahead(&self) -> bool {
        self.speech.as_ref().is_some_and(|speech| speech.ahead_ms() >= AHEAD_MS)
    }

    /// The next thing the synthesisers report, unless enough sound is ahead of playback.
    pub(crate) fn poll(&mut self) -> Option<Spoken> {
        if let Some(report) = self.played.pop_front() {
            return Some(Spoken::Report(report));
        }
        if self.is_ahead() {
            return None;
        }
        for position in 0..self.voices.len() {
            while let Some(output) = self.voices[position].session.poll() {
                if let Some(spoken) = self.took(position, output) {
                    return Some(spoken);
                }
                if self.is_ahead() {
                    return None;
                }
            }
        }
        None
    }

    fn took(&mut self, position: usize, output: Output) -> Option<Spoken> {
        let index = self.voices[position].index;
        match output {
            Output::Sound { context, pcm, rate } => {
                let speech = self.speech.as_mut()?;
                let part = speech.parts.iter_mut().find(|part| part.context == context)?;
                part.add(rate, pcm);
                let event = TtsEvent::Audio { part: part.part, audio_ms: part.made_ms() };
                Some(Spoken::Report(Report { utterance: speech.utterance, index, event }))
            }
            Output::ContextDone { context } => {
                let speech = self.speech.as_mut()?;
                let part = speech.parts.iter_mut().find(|part| part.context == context)?;
                part.done = true;
                let event = TtsEvent::PartDone { part: part.part, audio_ms: part.made_ms() };
                Some(Spoken::Report(Report { utterance: speech.utterance, index, event }))
            }
            Output::Usage(units) => Some(Spoken::Usage(self.voices[position].provider.clone(), units)),
            Output::Failed { failure, detail } => {
                self.voices.remove(position);
                let utterance = self.speech.as_ref().map_or(0, |speech| speech.utterance);
                Some(Spoken::Report(Report { utterance, index, event: TtsEvent::Failed { failure, detail } }))
            }
            Output::Asr(_) | Output::Llm(_) | Output::Tool(_) | Output::Redacted { .. } => None,
        }
    }

    /// Moves sound into the ring as far as it has room.
    pub(crate) fn pump(&mut self, leg: &mut AgentEnd) {
        self.waits_for_room = false;
        while let Some(speech) = &mut self.speech {
            if !leg.down.has_room(speech.next_samples()) {
                self.waits_for_room = true;
                return;
            }
            let Some(frame) = speech.next_frame() else { return };
            speech.pushed = true;
            // There was room and nobody else writes.
            let _ = leg.down.push(frame);
            if frame.last {
                self.speech = None;
            }
        }
    }

    /// Gives up every session, with its provider.
    pub(crate) fn close_all(&mut self) -> Vec<(String, Session)> {
        self.speech = None;
        self.voices.drain(..).map(|voice| (voice.provider, voice.session)).collect()
    }
}

impl Part {
    fn add(&mut self, rate: u32, pcm: Vec<i16>) {
        if rate == 0 {
            return;
        }
        self.made_us += pcm.len() as u64 * 1_000_000 / u64::from(rate);
        match self.sound.back_mut() {
            Some(last) if last.rate == rate => last.pcm.extend(pcm),
            _ => self.sound.push_back(Stretch { rate, pcm: pcm.into() }),
        }
    }

    /// Drops what was not queued of the sound behind that.
    fn end_at(&mut self, end_us: u64) {
        while self.made_us > end_us
            && let Some(last) = self.sound.back_mut()
        {
            let over = ((self.made_us - end_us) * u64::from(last.rate) / 1_000_000) as usize;
            let dropped = over.min(last.pcm.len());
            last.pcm.truncate(last.pcm.len() - dropped);
            self.made_us -= dropped as u64 * 1_000_000 / u64::from(last.rate);
            if !last.pcm.is_empty() || dropped == 0 {
                break;
            }
            self.sound.pop_back();
        }
    }

    fn made_ms(&self) -> u32 {
        u32::try_from(self.made_us / 1000).unwrap_or(u32::MAX)
    }

    /// The next 20 ms, and their rate; less when no more comes at that rate.
    fn next(&self) -> Option<(u32, usize)> {
        let first = self.sound.front()?;
        let whole = (first.rate as usize / 50).min(MAX_FRAME_SAMPLES);
        let ends = self.done || self.sound.len() > 1;
        (first.pcm.len() >= whole || (ends && !first.pcm.is_empty())).then(|| (first.rate, whole.min(first.pcm.len())))
    }
}

impl Speech {
    const fn new(utterance: Utterance, generation: u32) -> Self {
        Self { utterance, generation, parts: VecDeque::new(), offset_us: 0, rate: 8000, pushed: false, ended: false }
    }

    fn ahead_ms(&self) -> u64 {
        let stretches = self.parts.iter().flat_map(|part| &part.sound);
        let silence_us: u64 = self.parts.iter().map(|part| part.silence_us).sum();
        stretches.map(|stretch| stretch.pcm.len() as u64 * 1000 / u64::from(stretch.rate)).sum::<u64>()
            + silence_us / 1000
    }

    /// Samples of the next frame at most.
    fn next_samples(&self) -> usize {
        let rates = self.parts.iter().flat_map(|part| &part.sound).map(|stretch| stretch.rate as usize / 50);
        let silence = self.parts.iter().any(|part| part.silence_us > 0).then_some(self.rate as usize / 50);
        rates.chain(silence).max().unwrap_or(0).min(MAX_FRAME_SAMPLES)
    }

    /// 20 ms of the first part that has them, less at a part's end, and an empty last frame at the utterance's.
    fn next_frame(&mut self) -> Option<DownFrame> {
        while let Some(part) = self.parts.front_mut() {
            if let Some((rate, samples)) = part.next() {
                let offset = self.offset_us * u64::from(rate) / 1_000_000;
                self.offset_us += samples as u64 * 1_000_000 / u64::from(rate);
                let (utterance, generation) = (self.utterance, self.generation);
                let head = DownHead { rate, utterance, offset, generation, last: false, mark: 0 };
                let mut frame = DownFrame::silence(head, samples).ok()?;
                if let Some(first) = part.sound.front_mut() {
                    for (place, sample) in frame.pcm_mut().iter_mut().zip(first.pcm.drain(..samples)) {
                        *place = sample;
                    }
                }
                part.sound.pop_front_if(|first| first.pcm.is_empty());
                self.rate = rate;
                return Some(frame);
            }
            if part.silence_us > 0 {
                /// The longest frame.
                const FRAME_US: u64 = 20_000;
                let (rate, now_us) = (self.rate, part.silence_us.min(FRAME_US));
                let samples = (u64::from(rate) * now_us / 1_000_000) as usize;
                let offset = self.offset_us * u64::from(rate) / 1_000_000;
                part.silence_us -= now_us;
                self.offset_us += now_us;
                let (utterance, generation) = (self.utterance, self.generation);
                let head = DownHead { rate, utterance, offset, generation, last: false, mark: 0 };
                return DownFrame::silence(head, samples.min(MAX_FRAME_SAMPLES)).ok();
            }
            if !part.done {
                return None;
            }
            self.parts.pop_front();
        }
        if !self.ended {
            return None;
        }
        let mut frame = DownFrame::new(&[], 8000, self.utterance, self.offset_us * 8 / 1000, self.generation).ok()?;
        frame.last = true;
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speech(parts: Vec<Part>) -> Speech {
        Speech { parts: parts.into(), ..Speech::new(3, 1) }
    }

    fn part(part: u32, samples: usize, done: bool) -> Part {
        let sound = VecDeque::from([Stretch { rate: 8000, pcm: vec![1; samples].into() }]);
        Part {
            part,
            index: 0,
            context: part + 1,
            sound,
            made_us: samples as u64 * 125,
            silence_us: 0,
            ends_us: None,
            done,
        }
    }

    #[test]
    fn a_rate_that_changes_in_mid_part_loses_no_sound() {
        let mut both = part(0, 200, true);
        both.add(16_000, vec![2; 320]);
        let mut speech = speech(vec![both]);
        let frames: Vec<(u32, usize, u64)> = std::iter::from_fn(|| speech.next_frame())
            .map(|frame| (frame.rate, frame.pcm().len(), frame.offset * 1000 / u64::from(frame.rate)))
            .collect();
        assert_eq!(frames, [(8000, 160, 0), (8000, 40, 20), (16_000, 320, 25)]);
    }

    #[test]
    fn parts_leave_in_order_with_one_running_offset_and_one_last_frame() {
        let mut speech = speech(vec![part(0, 200, true), part(1, 160, true)]);
        let lengths: Vec<(usize, u64)> =
            std::iter::from_fn(|| speech.next_frame()).map(|frame| (frame.pcm().len(), frame.offset)).collect();
        assert_eq!(lengths, [(160, 0), (40, 160), (160, 200)]);
        speech.ended = true;
        let last = speech.next_frame().unwrap();
        assert!(last.last && last.pcm().is_empty());
    }

    #[test]
    fn a_part_in_the_making_holds_back_the_next() {
        let mut speech = speech(vec![part(0, 100, false), part(1, 160, true)]);
        assert!(speech.next_frame().is_none());
    }

    #[test]
    fn a_pause_is_silence_of_its_length_between_its_neighbours() {
        let pause = Part { sound: VecDeque::new(), context: 0, silence_us: 50_000, ..part(1, 0, true) };
        let mut first = part(0, 0, true);
        first.add(16_000, vec![7; 320]);
        let mut speech = speech(vec![first, pause, part(2, 160, true)]);
        speech.parts[0].sound.pop_front();
        assert_eq!(speech.ahead_ms(), 20 + 50 + 20);
        let frames: Vec<(u32, usize, u64, bool)> = std::iter::from_fn(|| speech.next_frame())
            .map(|frame| {
                let silent = frame.pcm().iter().all(|sample| *sample == 0);
                (frame.rate, frame.pcm().len(), frame.offset * 1000 / u64::from(frame.rate), silent)
            })
            .collect();
        let expected = [
            (16_000, 320, 0, false),
            (16_000, 320, 20, true),
            (16_000, 320, 40, true),
            (16_000, 160, 60, true),
            (8000, 160, 70, false),
        ];
        assert_eq!(frames, expected);
    }
}
