//! The leg: it plays what synthesisers made, in order and in its own time, and knows to the millisecond what was heard.

use std::collections::VecDeque;

use trunkline_leg::{CallTime, PlayoutPosition};

/// Sound of one part.
pub(crate) struct Sound {
    pub(crate) part: u32,
    pub(crate) index: usize,
    /// Milliseconds there are of it.
    pub(crate) made_ms: u64,
    pub(crate) done: bool,
    /// It is silence that was asked for.
    pub(crate) pause: bool,
}

#[derive(Default)]
pub(crate) struct Leg {
    pub(crate) utterance: u32,
    pub(crate) sounds: VecDeque<Sound>,
    pub(crate) played_ms: u64,
    pub(crate) started: bool,
    pub(crate) ended: bool,
    pub(crate) over: bool,
    pub(crate) paused: bool,
    pub(crate) held: bool,
    /// It was told to drop what is queued, and will say what of it was sent.
    pub(crate) clearing: bool,
    since: CallTime,
    /// When something was heard of it last.
    pub(crate) sounded: CallTime,
}

impl Leg {
    /// An utterance begins.
    pub(crate) fn begin(&mut self, now: CallTime, utterance: u32) {
        let Self { paused, held, sounded, .. } = *self;
        *self = Self { utterance, paused, held, sounded, since: now, ..Self::default() };
    }

    /// Whether an utterance is being said.
    pub(crate) const fn is_busy(&self) -> bool {
        self.utterance > 0 && !self.over
    }

    /// Milliseconds that can be played one after the other.
    pub(crate) fn ready_ms(&self) -> u64 {
        let mut ready = 0;
        for sound in &self.sounds {
            ready += sound.made_ms;
            if !sound.done {
                break;
            }
        }
        ready
    }

    pub(crate) const fn may_play(&self) -> bool {
        !self.paused && !self.held && !self.over
    }

    /// Whether there is something to be heard right now.
    pub(crate) fn sounds_now(&self) -> bool {
        self.started && self.may_play() && self.played_ms < self.ready_ms()
    }

    /// Whether there is then, when nothing more comes.
    pub(crate) fn sounds_at(&self, now: CallTime) -> bool {
        let played_ms = self.played_ms + now.since_ms(self.since);
        let mut end_ms = 0;
        let playing = self.sounds.iter().find(|sound| {
            end_ms += sound.made_ms;
            end_ms > played_ms || !sound.done
        });
        self.sounds_now() && end_ms > played_ms && playing.is_some_and(|sound| !sound.pause)
    }

    /// Time passes.
    pub(crate) fn play(&mut self, now: CallTime) {
        if self.sounds_now() {
            let played = now.since_ms(self.since).min(self.ready_ms() - self.played_ms);
            self.played_ms += played;
            self.sounded = self.since.plus_ms(played);
        }
        self.since = now;
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.ended && self.sounds.iter().all(|sound| sound.done) && self.played_ms >= self.ready_ms()
    }

    pub(crate) fn position(&self) -> PlayoutPosition {
        PlayoutPosition { utterance: self.utterance, sent_ms: self.played_ms as u32 }
    }
}
