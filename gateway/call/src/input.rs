//! What a call is told by its driver.

use trunkline_api::Failure;
use trunkline_leg::CallTime;

/// The caller began or stopped speaking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VoiceEdge {
    /// True when speech begins.
    pub speech: bool,
    /// Arrival of the first packet with, or without, speech.
    pub at: CallTime,
    /// Level of that frame in dBFS, -96..=0.
    pub level_dbfs: f32,
}

/// What a recogniser session reports.
#[derive(Debug, Clone, PartialEq)]
pub enum AsrEvent {
    /// It listens.
    Ready,
    /// Words so far, which may still change: the whole of what is not final yet.
    Partial {
        /// The words.
        text: String,
    },
    /// Words that will not change any more, following those of earlier finals.
    Final {
        /// The words; may be empty.
        text: String,
        /// Confidence, 0..=1.
        confidence: Option<f32>,
        /// True when this answers `FinalizeAsr`: nothing said before it is still pending.
        finalized: bool,
    },
    /// It failed; the session is over.
    Failed {
        /// Which failure.
        failure: Failure,
        /// What the provider said, for operators.
        detail: String,
    },
    /// It ended by itself.
    Ended,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// It was done.
    Stop,
    /// The token limit.
    Length,
    /// It waits for tools.
    ToolCalls,
    /// The provider's filter.
    ContentFilter,
    /// It was cancelled.
    Cancelled,
}

/// What a language model request reports.
#[derive(Debug, Clone, PartialEq)]
pub enum LlmEvent {
    /// The provider accepted it.
    Started,
    /// More of the reply.
    TextDelta(String),
    /// It calls a tool; run once the request finished.
    ToolCall(crate::command::ToolCall),
    /// The last event of a request that went well.
    Finished(FinishReason),
    /// The last event of one that did not.
    Failed {
        /// Which failure.
        failure: Failure,
        /// What the provider said, for operators.
        detail: String,
    },
}

/// What a synthesiser reports of an utterance.
#[derive(Debug, Clone, PartialEq)]
pub enum TtsEvent {
    /// Sound of a part was produced. Wanted for the first sound of a part; more of them make "what the caller heard"
    /// finer and keep the stall watchdog quiet.
    Audio {
        /// The part.
        part: u32,
        /// Milliseconds of this part so far.
        audio_ms: u32,
    },
    /// A part is complete.
    PartDone {
        /// The part.
        part: u32,
        /// Milliseconds of it; 0 is a failure (`tts_zero_bytes`).
        audio_ms: u32,
    },
    /// The synthesiser failed; parts not done will not be.
    Failed {
        /// Which failure.
        failure: Failure,
        /// What the provider said, for operators.
        detail: String,
    },
}

/// What a tool asks of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolAction {
    /// Say a line.
    Say(String),
    /// Transfer the call.
    Transfer(String),
    /// Hang up after what is being said.
    HangUp(String),
    /// Send DTMF digits.
    SendDtmf(String),
    /// Set a variable of the prompt.
    SetVariable(String, String),
}

/// What came of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutcome {
    /// What the model reads.
    pub output: String,
    /// Whether it is an error.
    pub is_error: bool,
    /// What it asks of the call, already checked against the plugin's manifest.
    pub actions: Vec<ToolAction>,
    /// The failure behind an error of the plugin itself (`plugin_trapped`, ...).
    pub failure: Option<Failure>,
}

/// A redacted text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redacted {
    /// The text without personal data.
    pub text: String,
    /// Entity types found and how often; empty when there were none.
    pub counts: Vec<(String, u32)>,
}

/// What an operator orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// End the call now.
    HangUp,
}

/// What a provider is for, as in usage and events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProviderKind {
    /// Recogniser.
    Asr,
    /// Language model.
    Llm,
    /// Synthesiser.
    Tts,
    /// Tool plugin.
    Tool,
    /// Redactor plugin.
    Redactor,
}

impl ProviderKind {
    /// Its name in usage and events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asr => "asr",
            Self::Llm => "llm",
            Self::Tts => "tts",
            Self::Tool => "tool",
            Self::Redactor => "redactor",
        }
    }
}

/// What happens to a call's recording. Paths are relative to the gateway's state folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordingFact {
    /// It began.
    Started {
        /// The file.
        path: String,
        /// How the sound is stored, `wav` or `opus`.
        format: &'static str,
        /// Whether it is sealed to the tenant's key.
        sealed: bool,
    },
    /// Silence takes the place of both voices.
    Paused {
        /// The file.
        path: String,
    },
    /// Both voices are there again.
    Resumed {
        /// The file.
        path: String,
    },
    /// It ended before the call.
    Ended {
        /// The file.
        path: String,
        /// Why.
        reason: &'static str,
        /// Its length.
        duration_ms: u64,
        /// How much of it is silence that was asked for.
        muted_ms: u64,
        /// What went wrong, for operators.
        failure: Option<String>,
    },
}
