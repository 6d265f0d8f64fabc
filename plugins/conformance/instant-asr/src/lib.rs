//! A recogniser that takes no time and makes no mistake: its settings say what the caller says, turn by turn, and sound
//! says when. So what a test or a benchmark sees of a turn is everything but recognition.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

use serde::Deserialize;
use trunkline_plugin_kit::asr::{AsrEvent, Recogniser, SessionConfig, Transcript};
use trunkline_plugin_kit::{
    AudioFormat, AudioFrame, Encoding, ErrorCode, Host, NO_USAGE, Outbox, ProviderError, Usage, parse_settings,
};

trunkline_plugin_kit::export_asr_provider!(Prompter, name = "instant-asr");

/// Samples a second.
const RATE: u64 = 8000;
/// A frame whose root mean square is above this is somebody speaking: -45 dBFS. What is recognised is a caller on a quiet
/// line; telling speech from noise is for others.
const LOUD: f64 = 184.0;
/// Quiet behind sound after which all words are there, in microseconds: longer than the closure of a plosive.
const PAUSE_US: u64 = 60_000;
/// How long one that has stalled pretends to be about to answer.
const STALLED_MS: u32 = 600_000;

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Death {
    #[default]
    Never,
    Fails,
    Traps,
    Stalls,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    utterances: Vec<String>,
    #[serde(default = "yes")]
    interim: bool,
    bills_ms: Option<u64>,
    #[serde(default)]
    dies: Death,
    #[serde(default = "one")]
    dies_at: usize,
}

const fn yes() -> bool {
    true
}

const fn one() -> usize {
    1
}

/// The session of one call.
#[derive(Debug)]
pub struct Prompter {
    settings: Settings,
    /// Utterances that are over.
    done: usize,
    /// The one being said.
    saying: Option<Saying>,
    /// Up to where sound was heard; what comes again is not counted again.
    heard_until_us: u64,
    /// Sound that was not accounted for yet.
    heard_us: u64,
    stalled: bool,
}

#[derive(Debug, Clone, Copy)]
struct Saying {
    since_us: u64,
    loud_until_us: u64,
    /// All its words were given.
    told: bool,
}

impl Recogniser for Prompter {
    fn formats() -> Vec<AudioFormat> {
        vec![AudioFormat { encoding: Encoding::L16, sample_rate: RATE as u32, channels: 1 }]
    }

    fn open(host: &mut dyn Host, _: SessionConfig) -> Result<Self, ProviderError> {
        let settings: Settings = parse_settings(host)?;
        if settings.utterances.is_empty() {
            return Err(ProviderError::invalid_settings("`utterances` must hold at least one"));
        }
        Ok(Self { settings, done: 0, saying: None, heard_until_us: 0, heard_us: 0, stalled: false })
    }

    fn push_audio(
        &mut self,
        _: &mut dyn Host,
        frames: Vec<AudioFrame>,
        out: &mut Outbox<AsrEvent>,
    ) -> Result<(), ProviderError> {
        for frame in frames {
            let us = frame.payload.len() as u64 / 2 * 1_000_000 / RATE;
            if frame.position_us + us <= self.heard_until_us || self.stalled {
                continue;
            }
            self.heard_until_us = frame.position_us + us;
            self.heard_us += if self.settings.bills_ms.is_none() { us } else { 0 };
            self.hear(frame.position_us, us, is_loud(&frame.payload), out)?;
        }
        Ok(())
    }

    fn finalize(&mut self, host: &mut dyn Host, out: &mut Outbox<AsrEvent>) -> Result<(), ProviderError> {
        if self.stalled {
            // Whoever works without a network and waits for nothing has said that there were no words.
            host.set_timer(STALLED_MS);
            return Ok(());
        }
        if let Some(bills_ms) = self.settings.bills_ms.filter(|_| self.saying.is_some()) {
            self.heard_us = bills_ms * 1000;
        }
        self.account(out);
        if let Some(saying) = self.saying.take() {
            let text = self.words().to_owned();
            out.push(AsrEvent::Transcript(transcript(text, saying, true)));
            self.done += 1;
        }
        Ok(())
    }

    fn close(&mut self, _: &mut dyn Host, out: &mut Outbox<AsrEvent>) -> Result<(), ProviderError> {
        out.clear();
        self.account(out);
        out.push(AsrEvent::Ended);
        Ok(())
    }
}

impl Prompter {
    fn hear(&mut self, at_us: u64, us: u64, loud: bool, out: &mut Outbox<AsrEvent>) -> Result<(), ProviderError> {
        let interim = self.settings.interim;
        match &mut self.saying {
            None if loud => {
                let saying = Saying { since_us: at_us, loud_until_us: at_us + us, told: false };
                self.saying = Some(saying);
                if self.done + 1 == self.settings.dies_at {
                    self.die()?;
                }
                let first = self.words().split_whitespace().next().unwrap_or_default().to_owned();
                if interim && !self.stalled {
                    out.push(AsrEvent::Transcript(transcript(first, saying, false)));
                }
            }
            Some(saying) if loud => saying.loud_until_us = at_us + us,
            Some(saying) if interim && !saying.told && at_us + us >= saying.loud_until_us + PAUSE_US => {
                saying.told = true;
                let saying = *saying;
                out.push(AsrEvent::Transcript(transcript(self.words().to_owned(), saying, false)));
            }
            _ => {}
        }
        Ok(())
    }

    /// What is being said.
    fn words(&self) -> &str {
        let utterances = &self.settings.utterances;
        utterances.get(self.done % utterances.len().max(1)).map_or("", |words| words)
    }

    fn account(&mut self, out: &mut Outbox<AsrEvent>) {
        if self.heard_us > 0 {
            let audio_in_ms = Some(std::mem::take(&mut self.heard_us) / 1000);
            out.push(AsrEvent::Usage(Usage { audio_in_ms, ..NO_USAGE }));
        }
    }

    fn die(&mut self) -> Result<(), ProviderError> {
        match self.settings.dies {
            Death::Never => {}
            Death::Stalls => self.stalled = true,
            Death::Traps => panic!("this recogniser was asked to trap"),
            Death::Fails => {
                return Err(ProviderError::new(ErrorCode::Unavailable, "this recogniser was asked to fail"));
            }
        }
        Ok(())
    }
}

fn transcript(text: String, saying: Saying, last: bool) -> Transcript {
    let ms = |us: u64| u32::try_from(us / 1000).unwrap_or(u32::MAX);
    Transcript {
        text,
        is_final: last,
        speech_final: last,
        start: ms(saying.since_us),
        end: ms(saying.loud_until_us),
        confidence: Some(1.0),
        words: Vec::new(),
    }
}

fn is_loud(payload: &[u8]) -> bool {
    let squares = payload.chunks_exact(2).map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])).powi(2));
    let count = payload.len() / 2;
    count > 0 && (squares.sum::<f64>() / count as f64).sqrt() > LOUD
}

#[cfg(test)]
mod tests {
    use trunkline_plugin_kit::testing::{Bench, TestHost};

    use super::*;

    const SETTINGS: &str = r#"{"utterances": ["Are you open?", "Thank you."]}"#;

    fn recogniser(settings: &str) -> Bench<Prompter, AsrEvent> {
        let format = Prompter::formats()[0];
        let config = SessionConfig { format, languages: Vec::new(), interim_results: true, keyterms: Vec::new() };
        Bench::asr(TestHost::new(settings), config).unwrap()
    }

    /// Frames of 20 ms from `from_ms` on.
    fn frames(from_ms: u64, count: u64, level: i16) -> Vec<AudioFrame> {
        let frame = |n| AudioFrame { position_us: (from_ms + 20 * n) * 1000, payload: level.to_le_bytes().repeat(160) };
        (0..count).map(frame).collect()
    }

    fn hear(bench: &mut Bench<Prompter, AsrEvent>, frames: Vec<AudioFrame>) -> Vec<(String, bool)> {
        texts(bench.run(|session, host, out| session.push_audio(host, frames, out)).unwrap())
    }

    fn finalize(bench: &mut Bench<Prompter, AsrEvent>) -> Vec<AsrEvent> {
        bench.run(|session, host, out| session.finalize(host, out)).unwrap()
    }

    fn texts(events: Vec<AsrEvent>) -> Vec<(String, bool)> {
        let transcripts = events.into_iter().filter_map(|event| match event {
            AsrEvent::Transcript(transcript) => Some((transcript.text, transcript.is_final)),
            _ => None,
        });
        transcripts.collect()
    }

    #[test]
    fn words_come_with_the_sound_and_turns_follow_each_other() {
        let mut bench = recogniser(SETTINGS);
        assert!(hear(&mut bench, frames(0, 5, 0)).is_empty());
        assert_eq!(hear(&mut bench, frames(100, 5, 3000)), [("Are".to_owned(), false)]);
        assert!(hear(&mut bench, frames(200, 2, 0)).is_empty(), "the closure of a plosive is no pause");
        assert_eq!(hear(&mut bench, frames(240, 5, 0)), [("Are you open?".to_owned(), false)]);
        assert_eq!(texts(finalize(&mut bench)), [("Are you open?".to_owned(), true)]);
        assert!(texts(finalize(&mut bench)).is_empty(), "nothing was said");
        hear(&mut bench, frames(1000, 5, 3000));
        assert_eq!(texts(finalize(&mut bench)), [("Thank you.".to_owned(), true)]);
    }

    #[test]
    fn sound_is_accounted_for_once_however_often_it_comes() {
        let mut bench = recogniser(SETTINGS);
        hear(&mut bench, frames(0, 10, 3000));
        hear(&mut bench, frames(100, 10, 3000));
        let usage = |ms| AsrEvent::Usage(Usage { audio_in_ms: Some(ms), ..NO_USAGE });
        assert_eq!(finalize(&mut bench)[0], usage(300));
        hear(&mut bench, frames(300, 1, 0));
        let closed = bench.run(|session, host, out| session.close(host, out)).unwrap();
        assert_eq!(closed, [usage(20), AsrEvent::Ended]);
    }

    #[test]
    fn without_interim_words_there_are_last_ones_only_and_it_dies_when_it_is_told_to() {
        let settings = r#"{"utterances": ["Yes."], "interim": false, "dies": "fails", "dies_at": 2}"#;
        let mut bench = recogniser(settings);
        assert!(hear(&mut bench, frames(0, 5, 3000)).is_empty());
        assert_eq!(texts(finalize(&mut bench)), [("Yes.".to_owned(), true)]);
        let sound = frames(1000, 1, 3000);
        assert!(bench.run(|session, host, out| session.push_audio(host, sound, out)).is_err());
    }
}
