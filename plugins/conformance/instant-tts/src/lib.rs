//! A voice that takes no time and whose words can be told apart in any recording: each is a tone, the higher the further
//! down the alphabet its first letter stands. So what of a sentence reached a caller is read off the packets.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

use std::collections::VecDeque;
use std::f64::consts::TAU;

use serde::Deserialize;
use trunkline_plugin_kit::tts::{ContextAudio, ContextId, SessionConfig, TtsEvent, Voice};
use trunkline_plugin_kit::{
    AudioFormat, AudioFrame, Encoding, ErrorCode, Host, NO_USAGE, Outbox, ProviderError, Usage, parse_settings,
};

trunkline_plugin_kit::export_tts_provider!(Tones, name = "instant-tts");

/// Samples a second: a telephone's, so that nothing converts what is measured.
pub const RATE: u32 = 8000;
/// The tone of a word that begins with `a`, in Hz.
pub const LOWEST_HZ: u32 = 400;
/// How much higher the next letter's is, in Hz: two frames of 20 ms tell them apart.
pub const STEP_HZ: u32 = 100;
/// Samples of a frame: 20 ms.
const FRAME: usize = 160;
/// Samples over which a tone rises and falls, so that it does not click: 3 ms.
const RAMP: usize = 24;
/// Loudness at the tone's peak: -15 dBFS as a root mean square.
const PEAK: f64 = 8240.0;
/// Words that may wait to be said.
const MOST_WORDS: usize = 2000;

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Death {
    #[default]
    Never,
    Fails,
    Traps,
    Stalls,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    word_ms: u32,
    letter_ms: u32,
    dies: Death,
    dies_after: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { word_ms: 200, letter_ms: 0, dies: Death::Never, dies_after: 0 }
    }
}

/// A tone on its way out.
#[derive(Debug, Clone, Copy)]
struct Word {
    hertz: u32,
    samples: usize,
}

#[derive(Debug)]
struct Context {
    id: ContextId,
    words: VecDeque<Word>,
    /// Samples of the first word that were said.
    said: usize,
    closed: bool,
}

/// The voice of one call.
#[derive(Debug)]
pub struct Tones {
    settings: Settings,
    contexts: VecDeque<Context>,
    /// Samples given so far.
    given: u64,
    /// Words begun so far.
    begun: u64,
    stalled: bool,
}

impl Voice for Tones {
    fn open(host: &mut dyn Host, _: SessionConfig) -> Result<Self, ProviderError> {
        let settings = parse_settings(host)?;
        Ok(Self { settings, contexts: VecDeque::new(), given: 0, begun: 0, stalled: false })
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
        if self.contexts.iter().all(|context| context.id != id || context.closed) {
            self.contexts.push_back(Context { id, words: VecDeque::new(), said: 0, closed: false });
        }
        let waiting: usize = self.contexts.iter().map(|context| context.words.len()).sum();
        if let Some(context) = self.contexts.iter_mut().find(|context| context.id == id && !context.closed) {
            context.words.extend(words(&self.settings, text));
            context.closed = end_of_input;
            if waiting + context.words.len() > MOST_WORDS {
                return Err(ProviderError::protocol(format!("more than {MOST_WORDS} words wait to be said")));
            }
        }
        // Whoever sells voices counts what was sent to them, said or not.
        out.push(TtsEvent::Usage(Usage { characters: Some(text.chars().count() as u64), ..NO_USAGE }));
        self.speak(out)
    }

    fn cancel(&mut self, _: &mut dyn Host, id: ContextId, out: &mut Outbox<TtsEvent>) -> Result<(), ProviderError> {
        self.contexts.retain(|context| context.id != id);
        out.retain(|event| !matches!(event, TtsEvent::Audio(audio) if audio.context == id));
        self.speak(out)
    }

    fn resume(&mut self, _: &mut dyn Host, out: &mut Outbox<TtsEvent>) -> Result<(), ProviderError> {
        self.speak(out)
    }
}

impl Tones {
    /// Gives frames while there is room, and no more of a context than was written.
    fn speak(&mut self, out: &mut Outbox<TtsEvent>) -> Result<(), ProviderError> {
        while let Some(context) = self.contexts.front_mut().filter(|_| !self.stalled) {
            if out.room() == 0 {
                out.more();
                return Ok(());
            }
            let Some(word) = context.words.front().copied() else {
                if !context.closed {
                    return Ok(());
                }
                out.push(TtsEvent::ContextDone(context.id));
                self.contexts.pop_front();
                continue;
            };
            if context.said == 0 {
                if self.settings.dies != Death::Never && self.begun == self.settings.dies_after {
                    return self.die();
                }
                self.begun += 1;
            }
            let samples = FRAME.min(word.samples - context.said);
            let payload = (context.said..context.said + samples).flat_map(|at| word.sample(at).to_le_bytes()).collect();
            let position_us = self.given * 1_000_000 / u64::from(RATE);
            out.push(TtsEvent::Audio(ContextAudio { context: context.id, frame: AudioFrame { position_us, payload } }));
            self.given += samples as u64;
            context.said += samples;
            if context.said == word.samples {
                context.words.pop_front();
                context.said = 0;
            }
        }
        Ok(())
    }

    fn die(&mut self) -> Result<(), ProviderError> {
        match self.settings.dies {
            Death::Never => {}
            Death::Stalls => self.stalled = true,
            Death::Traps => panic!("this voice was asked to trap"),
            Death::Fails => {
                return Err(ProviderError::new(ErrorCode::Unavailable, "this voice was asked to fail"));
            }
        }
        Ok(())
    }
}

impl Word {
    fn sample(&self, at: usize) -> i16 {
        let ramp = at.min(self.samples - 1 - at).min(RAMP) as f64 / RAMP as f64;
        let phase = TAU * f64::from(self.hertz) * at as f64 / f64::from(RATE);
        (phase.sin() * ramp * PEAK) as i16
    }
}

/// The tones of a text.
fn words(settings: &Settings, text: &str) -> impl Iterator<Item = Word> {
    let sounding = text.split_whitespace().filter_map(|word| Some((word, word.chars().find(|c| c.is_alphanumeric())?)));
    sounding.map(|(word, first)| {
        let step = match first.to_ascii_lowercase() {
            letter @ 'a'..='z' => letter as u32 - 'a' as u32,
            _ => 26,
        };
        let letters = word.chars().filter(|c| c.is_alphanumeric()).count() as u32;
        let ms = settings.word_ms.clamp(20, 5000) + settings.letter_ms.min(500) * letters;
        Word { hertz: LOWEST_HZ + STEP_HZ * step, samples: (ms * RATE / 1000) as usize }
    })
}

#[cfg(test)]
mod tests {
    use trunkline_plugin_kit::testing::{Bench, TestHost};

    use super::*;

    fn voice(settings: &str) -> Bench<Tones, TtsEvent> {
        let config = SessionConfig { voice: String::new(), language: None, preferred_rate: RATE, speaking_rate: None };
        Bench::tts(TestHost::new(settings), config).unwrap()
    }

    fn say(bench: &mut Bench<Tones, TtsEvent>, text: &str) -> Result<Vec<TtsEvent>, ProviderError> {
        bench.run(|voice, host, out| voice.synthesize(host, 1, text, true, out))
    }

    fn sound(events: &[TtsEvent]) -> Vec<i16> {
        let audio = events.iter().filter_map(|event| match event {
            TtsEvent::Audio(audio) => Some(&audio.frame.payload),
            _ => None,
        });
        audio.flatten().copied().collect::<Vec<u8>>().chunks(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect()
    }

    /// The pitch of a sound, by how often it crosses zero upwards.
    fn pitch(sound: &[i16]) -> u32 {
        let rises = sound.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
        (rises as f64 * f64::from(RATE) / sound.len() as f64 / 100.0).round() as u32 * 100
    }

    #[test]
    fn each_word_is_the_tone_of_its_first_letter_and_as_long_as_was_asked_for() {
        let events = say(&mut voice(r#"{"word_ms": 100, "letter_ms": 10}"#), "Alpha -- zoo, 7!").unwrap();
        let sound = sound(&events);
        assert_eq!(sound.len(), 8 * (150 + 130 + 110));
        let (alpha, rest) = sound.split_at(1200);
        let (zoo, seven) = rest.split_at(1040);
        assert_eq!([alpha, zoo, seven].map(pitch), [400, 2900, 3000]);
        assert_eq!(events.last(), Some(&TtsEvent::ContextDone(1)));
        let usage = Usage { characters: Some(16), ..NO_USAGE };
        assert_eq!(events.first(), Some(&TtsEvent::Usage(usage)));
    }

    #[test]
    fn what_was_cancelled_is_not_said_and_the_next_is() {
        let mut bench = voice("{}");
        let config = (2, "bravo");
        bench
            .run(|voice, host, out| {
                voice.synthesize(host, 1, "alpha", true, out)?;
                voice.cancel(host, 1, out)
            })
            .map(|events| assert!(sound(&events).is_empty()))
            .unwrap();
        let events = bench.run(|voice, host, out| voice.synthesize(host, config.0, config.1, true, out)).unwrap();
        assert_eq!(pitch(&sound(&events)), 500);
    }

    #[test]
    fn it_dies_behind_the_word_that_was_named() {
        let text = "alpha bravo charlie";
        assert!(say(&mut voice(r#"{"dies": "fails", "dies_after": 2}"#), text).is_err());
        let stalled = say(&mut voice(r#"{"dies": "stalls", "dies_after": 2}"#), text).unwrap();
        assert_eq!(sound(&stalled).len(), 2 * 1600);
        assert!(!stalled.contains(&TtsEvent::ContextDone(1)));
    }
}
