//! What a caller does, step by step.

use crate::speech::{self, SpeechError};
use serde::Deserialize;
use std::path::PathBuf;

/// A script as JSON: `{"voice": "slt", "steps": [{"wait_for_agent": {"quiet_ms": 600}}, {"say": {"text": "yes"}}, {"hang_up": {}}]}`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The flite voice of utterances that name none; `slt` when absent.
    #[serde(default = "default_voice")]
    pub voice: String,
    /// In order; after the last one the caller hangs up.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Speak.
    Say(Utterance),
    /// Wait until the agent has been speaking for `after_ms`, then speak over it.
    Interrupt {
        /// Milliseconds of the agent's speech.
        after_ms: u64,
        /// What to say.
        say: Utterance,
        /// Give up after this long, in milliseconds.
        #[serde(default = "default_timeout")]
        timeout_ms: u64,
    },
    /// Wait until the agent has spoken and then been quiet for `quiet_ms`.
    WaitForAgent {
        /// Milliseconds of silence after its speech.
        #[serde(default = "default_quiet")]
        quiet_ms: u64,
        /// Give up after this long, in milliseconds.
        #[serde(default = "default_timeout")]
        timeout_ms: u64,
    },
    /// Press a key as a telephone-event.
    Dtmf {
        /// 0-9, *, #, A-D.
        key: char,
        /// How long, in milliseconds.
        #[serde(default = "default_key")]
        duration_ms: u16,
    },
    /// Be silent.
    Pause {
        /// Milliseconds.
        ms: u64,
    },
    /// Wait until the other side hangs up.
    WaitForHangUp {
        /// Give up after this long, in milliseconds.
        #[serde(default = "default_timeout")]
        timeout_ms: u64,
    },
    /// Hang up.
    HangUp {},
}

/// Something to say: `text` through speech synthesis, a WAV file, or samples given by the program.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Utterance {
    /// The words; also what events call the utterance.
    #[serde(default)]
    pub text: String,
    /// A 16-bit mono WAV file of 8, 16 or 48 kHz to play instead.
    #[serde(default)]
    pub wav: Option<PathBuf>,
    /// The flite voice.
    #[serde(default)]
    pub voice: Option<String>,
    /// 8 kHz samples; filled by [`Script::prepare`] when empty.
    #[serde(skip)]
    pub pcm: Vec<i16>,
}

/// A script that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// Not JSON of the right shape.
    #[error("the script is not valid: {0}; see the documentation of `Script`")]
    Json(#[from] serde_json::Error),
    /// An utterance could not be turned into samples.
    #[error("step {step}: {source}")]
    Speech {
        /// The step's index, from 0.
        step: usize,
        /// Why.
        source: SpeechError,
    },
}

impl Script {
    /// Parses JSON; utterances have no samples yet.
    pub fn from_json(text: &str) -> Result<Self, ScriptError> {
        Ok(serde_json::from_str(text)?)
    }

    /// Synthesises or reads every utterance that has no samples, so that the call itself never waits for it.
    pub fn prepare(&mut self) -> Result<(), ScriptError> {
        for (step, entry) in self.steps.iter_mut().enumerate() {
            let (Step::Say(utterance) | Step::Interrupt { say: utterance, .. }) = entry else { continue };
            if !utterance.pcm.is_empty() {
                continue;
            }
            let samples = match &utterance.wav {
                Some(file) => speech::from_wav(file),
                None => speech::spoken(utterance.voice.as_deref().unwrap_or(&self.voice), &utterance.text),
            };
            utterance.pcm = samples.map_err(|source| ScriptError::Speech { step, source })?;
            if utterance.text.is_empty()
                && let Some(file) = &utterance.wav
            {
                utterance.text = file.display().to_string();
            }
        }
        Ok(())
    }
}

fn default_voice() -> String {
    "slt".to_owned()
}
const fn default_quiet() -> u64 {
    700
}
const fn default_timeout() -> u64 {
    20_000
}
const fn default_key() -> u16 {
    160
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_a_json_form() {
        let script = Script::from_json(
            r#"{"voice": "rms", "steps": [
                {"wait_for_agent": {}}, {"say": {"text": "yes please"}}, {"say": {"wav": "a.wav"}},
                {"interrupt": {"after_ms": 800, "say": {"text": "stop"}}}, {"dtmf": {"key": "5"}},
                {"pause": {"ms": 100}}, {"wait_for_hang_up": {"timeout_ms": 5}}, {"hang_up": {}}]}"#,
        )
        .unwrap();
        assert_eq!(script.steps.len(), 8);
        assert!(matches!(script.steps[0], Step::WaitForAgent { quiet_ms: 700, timeout_ms: 20_000 }));
        assert!(matches!(script.steps[4], Step::Dtmf { key: '5', duration_ms: 160 }));
    }

    #[test]
    fn unknown_fields_are_refused_by_name() {
        let refusal = Script::from_json(r#"{"steps": [{"pause": {"ms": 1, "colour": 2}}]}"#).unwrap_err();
        assert!(refusal.to_string().contains("colour"), "{refusal}");
    }
}
