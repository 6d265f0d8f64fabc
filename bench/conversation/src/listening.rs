//! What a real recogniser says of a call: it is asked every half a second while somebody speaks, and when a turn seems over.

use anyhow::Result;
use trunkline_call::AsrEvent;
use trunkline_leg::CallTime;

use crate::line::FRAME;
use crate::listener::Listeners;
use crate::recogniser::FINAL_MS;

/// How often it is asked while somebody speaks, and how long it takes: a machine that is quick enough for calls.
const EVERY_MS: u64 = 480;
const TAKES_MS: u64 = 200;
/// Sound before the first speech that it is given, and the most that it is given, in samples.
const BEFORE: usize = 300 * 8;
const MOST: usize = 20_000 * 8;

/// One call's recogniser.
#[derive(Debug)]
pub(crate) struct Listening<'a> {
    listeners: &'a Listeners,
    interim: bool,
    sound: Vec<i16>,
    /// When speech was heard last in the sound that is not final yet.
    speech: Option<u64>,
    asked: u64,
    told: String,
    /// What it will say and when.
    partial: Option<(u64, String)>,
    last: Option<(u64, String)>,
}

impl<'a> Listening<'a> {
    pub(crate) fn new(listeners: &'a Listeners, interim: bool) -> Self {
        let (sound, told) = (Vec::new(), String::new());
        Self { listeners, interim, sound, speech: None, asked: 0, told, partial: None, last: None }
    }

    /// A tick's sound, and whether the engine finds speech in it.
    pub(crate) fn hear(&mut self, now: CallTime, pcm: &[i16; FRAME], speech: bool) {
        self.sound.extend_from_slice(pcm);
        if speech {
            self.speech = Some(now.as_ms());
        }
        let most = if self.speech.is_some() { MOST } else { BEFORE };
        self.sound.drain(..self.sound.len().saturating_sub(most));
    }

    /// The turn seems to be over: what was heard by now is final.
    pub(crate) fn finalize(&mut self, now: CallTime) -> Result<()> {
        let text = match self.speech.take() {
            Some(_) => self.listeners.understand(&self.sound)?,
            None => String::new(),
        };
        self.sound.clear();
        self.partial = None;
        self.last = Some((now.as_ms() + FINAL_MS, text));
        Ok(())
    }

    /// What it says now.
    pub(crate) fn poll(&mut self, now: CallTime) -> Result<Option<AsrEvent>> {
        let now = now.as_ms();
        if let Some((_, text)) = self.last.take_if(|(due, _)| now >= *due) {
            self.told.clear();
            return Ok(Some(AsrEvent::Final { text, confidence: Some(0.9), finalized: true }));
        }
        let spoke = self.speech.is_some_and(|at| now < at + EVERY_MS);
        if self.interim && spoke && self.last.is_none() && now >= self.asked + EVERY_MS {
            self.asked = now;
            self.partial = Some((now + TAKES_MS, self.listeners.understand(&self.sound)?));
        }
        let Some((_, text)) = self.partial.take_if(|(due, _)| now >= *due) else { return Ok(None) };
        if text == self.told {
            return Ok(None);
        }
        self.told.clone_from(&text);
        Ok(Some(AsrEvent::Partial { text }))
    }
}
