//! The agent's end of the line: sound of an utterance's parts, played 20 ms a tick in their order.

use std::collections::BTreeMap;
use std::sync::Arc;

use trunkline_leg::{CallTime, LegFact, PlayoutPosition, Utterance};

/// Samples of a tick.
pub(crate) const FRAME: usize = 160;

/// A part of an utterance.
#[derive(Debug, Default)]
struct Part {
    pcm: Arc<[i16]>,
    done: bool,
    dropped: bool,
}

/// What the agent says now.
#[derive(Debug, Default)]
pub(crate) struct Line {
    utterance: Utterance,
    parts: BTreeMap<u32, Part>,
    /// Samples that were played.
    played: usize,
    started: bool,
    ended: bool,
    over: bool,
    paused: bool,
    cleared: bool,
}

impl Line {
    /// A part begins, of this utterance or the next.
    pub(crate) fn expect(&mut self, utterance: Utterance, part: u32) {
        if self.utterance != utterance {
            let paused = self.paused;
            *self = Self { utterance, paused, ..Self::default() };
        }
        self.parts.insert(part, Part::default());
    }

    /// The sound of a part, all of it; false when nobody wants it any more.
    pub(crate) fn sound(&mut self, utterance: Utterance, part: u32, pcm: Arc<[i16]>) -> bool {
        let wanted = self.utterance == utterance && !self.over && !self.cleared;
        let part = self.parts.get_mut(&part).filter(|part| wanted && !part.done && !part.dropped);
        part.map(|part| (part.pcm, part.done) = (pcm, true)).is_some()
    }

    /// No part follows.
    pub(crate) fn end(&mut self, utterance: Utterance) {
        self.ended |= self.utterance == utterance;
    }

    /// Parts from that one on are not to be heard.
    pub(crate) fn drop_parts(&mut self, utterance: Utterance, from: u32, cut: bool) {
        if self.utterance == utterance {
            self.parts.retain(|part, _| *part < from);
            if let (true, Some(mut last)) = (cut, self.parts.last_entry()) {
                last.get_mut().done = true;
            }
        }
    }

    /// Parts without sound get none any more.
    pub(crate) fn stop(&mut self, utterance: Utterance) {
        if self.utterance == utterance {
            self.parts.values_mut().filter(|part| !part.done).for_each(|part| part.dropped = true);
        }
    }

    pub(crate) const fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Everything is dropped with the next tick.
    pub(crate) const fn clear(&mut self) {
        self.cleared = true;
    }

    /// How far it has come.
    pub(crate) const fn position(&self) -> PlayoutPosition {
        PlayoutPosition { utterance: self.utterance, sent_ms: (self.played / 8) as u32 }
    }

    /// Plays a tick into `out`. Samples that were played, and what is to be told of them.
    pub(crate) fn tick(&mut self, at: CallTime, out: &mut [i16; FRAME]) -> (usize, Vec<LegFact>) {
        out.fill(0);
        let (utterance, mut facts) = (self.utterance, Vec::new());
        if utterance == 0 || self.over {
            self.cleared = false;
            return (0, facts);
        }
        if std::mem::take(&mut self.cleared) {
            self.over = true;
            facts.push(LegFact::PlaybackCut { utterance, sent_ms: self.position().sent_ms, at });
            return (0, facts);
        }
        if self.paused {
            return (0, facts);
        }
        let mut filled = 0;
        let mut before = 0;
        let mut complete = self.ended;
        for part in self.parts.values() {
            let begin = (self.played + filled).saturating_sub(before).min(part.pcm.len());
            let count = (part.pcm.len() - begin).min(FRAME - filled);
            out[filled..filled + count].copy_from_slice(&part.pcm[begin..begin + count]);
            filled += count;
            before += part.pcm.len();
            complete &= part.done && self.played + filled >= before;
            if !part.done || filled == FRAME {
                complete &= self.played + filled >= self.parts.values().map(|part| part.pcm.len()).sum();
                break;
            }
        }
        self.played += filled;
        if filled > 0 && !self.started {
            self.started = true;
            facts.push(LegFact::PlaybackStarted { utterance, at });
        }
        if complete {
            self.over = true;
            facts.push(LegFact::PlaybackFinished { utterance, at });
        }
        (filled, facts)
    }
}
