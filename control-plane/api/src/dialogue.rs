//! How an agent talks with a caller: when a turn is over, what interrupts, and what is said meanwhile.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::agent::ProviderRef;
use crate::speech::{MAX_DICTIONARY, MAX_VOICES, Normalization, Pronunciation, is_language_tag};

/// When the caller's turn is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TurnPolicy {
    /// Silence that ends a turn, 100..=5000 ms.
    pub end_silence_ms: u32,
    /// Whether that silence follows what was said: less after a whole question or answer, more after digits, a
    /// hesitation or half a sentence, and more for a caller who makes long pauses.
    pub adaptive: bool,
    /// Whether the model is asked before the silence is over, once the words stand still. Such an answer is not heard,
    /// and runs no tool, before the turn has ended with the same words; otherwise it is thrown away, though it was paid for.
    pub speculate: bool,
    /// Longest wait for the recogniser's final words after the silence, 100..=10000 ms.
    pub final_wait_ms: u32,
    /// Silence after which DTMF digits make a turn, 100..=10000 ms; `#` ends it at once.
    pub dtmf_gap_ms: u32,
    /// Speech after which a turn is over although the caller goes on, 5000..=600000 ms.
    pub max_speech_ms: u32,
    /// Push to talk: the key that begins the caller's turn and, pressed again, ends it; one of `0`-`9`, `*`, `#`. Without
    /// it silence does. Empty for none.
    pub push_to_talk: String,
}

impl Default for TurnPolicy {
    fn default() -> Self {
        Self {
            end_silence_ms: 600,
            adaptive: true,
            speculate: true,
            final_wait_ms: 1500,
            dtmf_gap_ms: 1200,
            max_speech_ms: 60_000,
            push_to_talk: String::new(),
        }
    }
}

/// What becomes of what the agent says when the caller speaks up.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum InterruptionMode {
    /// It stops at once and goes on where it stopped when the caller said nothing, or no more than "mhm".
    #[default]
    PauseThenResume,
    /// It goes on until words are recognised that are more than "mhm".
    IgnoreBackchannel,
    /// The sentence is finished, and what would have followed waits for what the caller has to say.
    FinishSentence,
    /// It stops at once for good; what was not heard is said again when the caller said nothing.
    Abort,
}

/// What may interrupt the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InterruptionPolicy {
    /// Whether speech stops playback.
    pub barge_in: bool,
    /// How.
    pub mode: InterruptionMode,
    /// How long since its first sound speech must have lasted to interrupt, 20..=2000 ms.
    pub min_speech_ms: u32,
    /// Words that it takes to interrupt for good, 1..=10; fewer count as "mhm".
    pub min_words: u32,
    /// Words that do not interrupt, beside those of the agent's language ("mhm", "yeah", "right").
    pub backchannels: Vec<String>,
    /// What is said to the end whoever speaks: sentences that contain one of these.
    pub protected: Vec<String>,
    /// Whether a DTMF digit stops playback.
    pub dtmf: bool,
}

impl Default for InterruptionPolicy {
    fn default() -> Self {
        Self {
            barge_in: true,
            mode: InterruptionMode::default(),
            min_speech_ms: 80,
            min_words: 1,
            backchannels: Vec::new(),
            protected: Vec::new(),
            dtmf: true,
        }
    }
}

/// How the agent speaks, and what is said while the caller waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpeechPolicy {
    /// Silence since the caller's last word after which a line is said meanwhile, 500..=10000 ms, or 0 for never. An answer
    /// that has begun to come has 400 ms more.
    pub filler_after_ms: u32,
    /// The lines, one after the other; without any it is `survival.bridge`.
    pub fillers: Vec<String>,
    /// Whether a soft knocking tells callers who wait that somebody is there: after 1.2 s in which nothing was to be heard,
    /// every 1.4 s, until something is.
    pub thinking_sound: bool,
    /// What is put into words before a synthesiser gets it.
    pub normalize: Normalization,
    /// Whether the first clause of a reply is spoken before its sentence is whole: the answer begins sooner, and its melody
    /// is that of two sentences.
    pub first_clause: bool,
    /// How words are pronounced, 500 entries at most; of several that fit the longest counts.
    pub dictionary: Vec<Pronunciation>,
    /// Voices by the BCP 47 language they speak, 16 at most: each comes before the pipeline's synthesisers, for what is in
    /// its language, whichever region.
    pub voices: BTreeMap<String, ProviderRef>,
    /// Names of the synthesisers that take SSML, 8 at most. The others get plain text and real pauses.
    pub ssml: Vec<String>,
}

impl Default for SpeechPolicy {
    fn default() -> Self {
        Self {
            filler_after_ms: 1400,
            fillers: Vec::new(),
            thinking_sound: true,
            normalize: Normalization::default(),
            first_clause: false,
            dictionary: Vec::new(),
            voices: BTreeMap::new(),
            ssml: Vec::new(),
        }
    }
}

impl SpeechPolicy {
    /// Whether nothing was chosen.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What is out of range, each with its RFC 6901 pointer and what was expected.
pub(crate) fn problems(
    turn: &TurnPolicy,
    interruption: &InterruptionPolicy,
    speech: &SpeechPolicy,
) -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    let mut expect = |holds: bool, pointer: &'static str, message: &'static str| {
        if !holds {
            found.push((pointer, message));
        }
    };
    expect((100..=5000).contains(&turn.end_silence_ms), "/turn/end_silence_ms", "expected 100 to 5000");
    expect((100..=10_000).contains(&turn.final_wait_ms), "/turn/final_wait_ms", "expected 100 to 10000");
    expect((100..=10_000).contains(&turn.dtmf_gap_ms), "/turn/dtmf_gap_ms", "expected 100 to 10000");
    expect((5000..=600_000).contains(&turn.max_speech_ms), "/turn/max_speech_ms", "expected 5000 to 600000");
    let key = turn.push_to_talk.as_str();
    let is_key = key.len() <= 1 && key.chars().all(|key| key.is_ascii_digit() || matches!(key, '*' | '#'));
    expect(is_key, "/turn/push_to_talk", "expected one of the keys 0 to 9, * and #, or nothing");
    let min_speech_ms = interruption.min_speech_ms;
    expect((20..=2000).contains(&min_speech_ms), "/interruption/min_speech_ms", "expected 20 to 2000");
    expect((1..=10).contains(&interruption.min_words), "/interruption/min_words", "expected 1 to 10");
    let few = |lines: &[String]| lines.len() <= 100 && lines.iter().all(|line| (1..=500).contains(&line.len()));
    expect(few(&interruption.backchannels), "/interruption/backchannels", "expected at most 100 of 1 to 500 bytes");
    expect(few(&interruption.protected), "/interruption/protected", "expected at most 100 of 1 to 500 bytes");
    let after = speech.filler_after_ms;
    expect(after == 0 || (500..=10_000).contains(&after), "/speech/filler_after_ms", "expected 500 to 10000, or 0");
    expect(few(&speech.fillers), "/speech/fillers", "expected at most 100 of 1 to 500 bytes");
    let entries = &speech.dictionary;
    expect(
        entries.len() <= MAX_DICTIONARY && entries.iter().all(Pronunciation::is_valid),
        "/speech/dictionary",
        "expected at most 500 entries, each with `written` of 1 to 100 characters and `spoken` or `ipa` of at most 200",
    );
    expect(
        speech.voices.len() <= MAX_VOICES && speech.voices.keys().all(|tag| is_language_tag(tag)),
        "/speech/voices",
        "expected at most 16 voices by BCP 47 language",
    );
    let named = |name: &String| (1..=100).contains(&name.len());
    expect(
        speech.voices.values().all(|voice| named(&voice.provider)),
        "/speech/voices",
        "expected a provider of 1 to 100 characters for each language",
    );
    expect(speech.ssml.len() <= 8 && speech.ssml.iter().all(named), "/speech/ssml", "expected at most 8 names");
    found
}
