//! A call's voice: synthesiser sessions, the parts of the utterance they make, and the frames that leave for media.

use std::collections::VecDeque;

use trunkline_call::TtsEvent;
use trunkline_leg::{AgentEnd, CallTime, DownFrame, DownHead, LegFact, MAX_FRAME_SAMPLES, Utterance};

use crate::session::{Input, Output, Place, Session};

/// Sound kept ahead of playback; beyond it the synthesiser's credit is used up.
const AHEAD_MS: u64 = 2000;

struct Voice {
    index: usize,
    provider: String,
    session: Session,
}

struct Part {
    part: u32,
    index: usize,
    context: u32,
    rate: u32,
    pcm: VecDeque<i16>,
    made: u64,
    done: bool,
}

struct Speech {
    utterance: Utterance,
    generation: u32,
    parts: VecDeque<Part>,
    offset_us: u64,
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
}

impl Speaking {
    /// Whether a session of the provider at `index` is open.
    pub(crate) fn has_voice(&self, index: usize) -> bool {
        self.voices.iter().any(|voice| voice.index == index)
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
        let speech = match &mut self.speech {
            Some(speech) if speech.utterance == utterance => speech,
            other => other.insert(Speech {
                utterance,
                generation: leg.playout.generation(),
                parts: VecDeque::new(),
                offset_us: 0,
                pushed: false,
                ended: false,
            }),
        };
        match speech.parts.iter_mut().find(|known| known.part == part) {
            // Another provider says the part again: what was queued stays, the rest comes from the new context.
            Some(known) => (known.index, known.context, known.done) = (index, context, false),
            None => speech.parts.push_back(Part {
                part,
                index,
                context,
                rate: 0,
                pcm: VecDeque::new(),
                made: 0,
                done: false,
            }),
        }
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
    pub(crate) fn sessions(&self) -> impl Iterator<Item = &Session> {
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
                part.set_rate(rate);
                part.made += pcm.len() as u64;
                part.pcm.extend(pcm);
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
            Output::Asr(_) | Output::Llm(_) | Output::Tool(_) => None,
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

    /// Lets go of every session.
    pub(crate) fn close_all(&mut self, place: &Place) {
        self.speech = None;
        for voice in self.voices.drain(..) {
            voice.session.close(place);
        }
    }
}

impl Part {
    fn set_rate(&mut self, rate: u32) {
        if self.rate != 0 && self.rate != rate {
            // The part goes on at another rate: sound still queued of the old one would play at the wrong pitch.
            self.made = self.made * u64::from(rate) / u64::from(self.rate);
            self.pcm.clear();
        }
        self.rate = rate;
    }

    fn made_ms(&self) -> u32 {
        if self.rate == 0 {
            return 0;
        }
        u32::try_from(self.made * 1000 / u64::from(self.rate)).unwrap_or(u32::MAX)
    }
}

impl Speech {
    fn ahead_ms(&self) -> u64 {
        self.parts
            .iter()
            .filter(|part| part.rate != 0)
            .map(|part| part.pcm.len() as u64 * 1000 / u64::from(part.rate))
            .sum()
    }

    /// Samples of the next frame at most.
    fn next_samples(&self) -> usize {
        self.parts.iter().map(|part| part.rate as usize / 50).max().unwrap_or(0).min(MAX_FRAME_SAMPLES)
    }

    /// 20 ms of the first part that has them, less at a part's end, and an empty last frame at the utterance's.
    fn next_frame(&mut self) -> Option<DownFrame> {
        while let Some(part) = self.parts.front_mut() {
            let whole = (part.rate as usize / 50).min(MAX_FRAME_SAMPLES);
            if part.rate != 0 && (part.pcm.len() >= whole || (part.done && !part.pcm.is_empty())) {
                let (rate, samples) = (part.rate, whole.min(part.pcm.len()));
                let offset = self.offset_us * u64::from(rate) / 1_000_000;
                self.offset_us += samples as u64 * 1_000_000 / u64::from(rate);
                let (utterance, generation) = (self.utterance, self.generation);
                let mut frame =
                    DownFrame::silence(DownHead { rate, utterance, offset, generation, last: false, mark: 0 }, samples)
                        .ok()?;
                for (place, sample) in frame.pcm_mut().iter_mut().zip(part.pcm.drain(..samples)) {
                    *place = sample;
                }
                return Some(frame);
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
        Speech { utterance: 3, generation: 1, parts: parts.into(), offset_us: 0, pushed: false, ended: false }
    }

    fn part(part: u32, samples: usize, done: bool) -> Part {
        let pcm = vec![1; samples].into();
        Part { part, index: 0, context: part + 1, rate: 8000, pcm, made: samples as u64, done }
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
}
