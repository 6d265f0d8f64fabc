//! Offline speech: text in, 20 ms frames of 16-bit sound at 22 050 Hz out, a sentence at a time.
//!
//! GPL-3.0-or-later, because it carries eSpeak NG; nothing of the product links it.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod clauses;
mod voice;

use std::collections::VecDeque;

use trunkline_espeak_engine::EspeakNg;
use trunkline_plugin_kit::tts::{ContextAudio, ContextId, SessionConfig, TtsEvent, Voice};
use trunkline_plugin_kit::{
    AudioFormat, AudioFrame, Encoding, ErrorCode, Host, NO_USAGE, Outbox, ProviderError, Usage, parse_settings,
};

use crate::clauses::Clauses;
use crate::voice::Settings;

trunkline_plugin_kit::export_tts_provider!(Speaker, name = "espeak");

/// Samples a second that the engine makes.
const RATE: u32 = 22_050;
/// Samples of one frame: 20 ms.
const FRAME: usize = 441;
/// Text that may wait in one context, in bytes.
const MOST_TEXT: usize = 64 * 1024;
/// Contexts that may wait.
const MOST_CONTEXTS: usize = 64;

/// One call's voice.
pub struct Speaker {
    engine: EspeakNg,
    /// Silence between two sentences, in samples.
    pause: usize,
    /// Loudness in percent. The engine's own volume leaves some consonants alone, so it is applied to the finished sound.
    volume: i32,
    contexts: VecDeque<Context>,
    /// Samples given so far, for the frames' positions.
    given: u64,
}

#[derive(Default)]
struct Context {
    id: ContextId,
    clauses: Clauses,
    closed: bool,
    characters: u64,
    sound: VecDeque<i16>,
    spoke: bool,
}

impl Voice for Speaker {
    fn open(host: &mut dyn Host, config: SessionConfig) -> Result<Self, ProviderError> {
        let settings: Settings = parse_settings(host)?;
        let engine = voice::engine(&settings, &config)?;
        let pause = (u64::from(settings.sentence_pause_ms) * u64::from(RATE) / 1000) as usize;
        let volume = settings.volume.into();
        Ok(Self { engine, pause, volume, contexts: VecDeque::new(), given: 0 })
    }

    fn format(&self) -> AudioFormat {
        AudioFormat { encoding: Encoding::L16, sample_rate: RATE, channels: 1 }
    }

    fn synthesize(
        &mut self,
        _: &mut dyn Host,
        id: ContextId,
        text: &str,
        end_of_input: bool,
        out: &mut Outbox<TtsEvent>,
    ) -> Result<(), ProviderError> {
        let context = match self.contexts.iter().position(|context| context.id == id && !context.closed) {
            Some(index) => &mut self.contexts[index],
            None if self.contexts.len() >= MOST_CONTEXTS => {
                return Err(ProviderError::protocol(format!("more than {MOST_CONTEXTS} contexts wait to be spoken")));
            }
            None => {
                self.contexts.push_back(Context { id, ..Context::default() });
                let last = self.contexts.len() - 1;
                &mut self.contexts[last]
            }
        };
        if context.clauses.len() + text.len() > MOST_TEXT {
            return Err(ProviderError::protocol(format!("more than {MOST_TEXT} bytes of text wait to be spoken")));
        }
        context.clauses.push(text);
        context.closed = end_of_input;
        self.speak(out)
    }

    fn cancel(&mut self, _: &mut dyn Host, id: ContextId, out: &mut Outbox<TtsEvent>) -> Result<(), ProviderError> {
        let characters: u64 =
            self.contexts.iter().filter(|context| context.id == id).map(|context| context.characters).sum();
        self.contexts.retain(|context| context.id != id);
        if characters > 0 {
            out.push(usage(characters));
        }
        self.speak(out)
    }

    fn resume(&mut self, _: &mut dyn Host, out: &mut Outbox<TtsEvent>) -> Result<(), ProviderError> {
        self.speak(out)
    }
}

impl Speaker {
    /// Gives frames while there is room and makes at most one sentence, so that a step stays short.
    fn speak(&mut self, out: &mut Outbox<TtsEvent>) -> Result<(), ProviderError> {
        let mut may_synthesize = true;
        while let Some(context) = self.contexts.front_mut() {
            if out.room() == 0 {
                out.more();
                return Ok(());
            }
            let count = context.sound.len().min(FRAME);
            if count > 0 {
                let mut payload: Vec<u8> = context.sound.drain(..count).flat_map(i16::to_le_bytes).collect();
                payload.resize(FRAME * 2, 0);
                let position_us = self.given * 1_000_000 / u64::from(RATE);
                self.given += FRAME as u64;
                let frame = AudioFrame { position_us, payload };
                out.push(TtsEvent::Audio(ContextAudio { context: context.id, frame }));
                continue;
            }
            if !may_synthesize {
                out.more();
                return Ok(());
            }
            match context.clauses.next(context.closed) {
                Some(clause) => {
                    may_synthesize = false;
                    let (sound, _) = self
                        .engine
                        .synth(&clause)
                        .map_err(|error| ProviderError::new(ErrorCode::Internal, format!("eSpeak NG: {error}")))?;
                    context.characters += clause.chars().count() as u64;
                    if context.spoke {
                        context.sound.extend(std::iter::repeat_n(0, self.pause));
                    }
                    context.spoke = true;
                    let volume = self.volume;
                    let scale = |s: i16| (i32::from(s) * volume / 100).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
                    context.sound.extend(sound.into_iter().map(scale));
                }
                None if context.closed => {
                    let (id, characters) = (context.id, context.characters);
                    self.contexts.pop_front();
                    out.push(TtsEvent::ContextDone(id));
                    out.push(usage(characters));
                }
                // The rest of the sentence is still to come; a later context must wait for it.
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

fn usage(characters: u64) -> TtsEvent {
    TtsEvent::Usage(Usage { characters: Some(characters), ..NO_USAGE })
}
