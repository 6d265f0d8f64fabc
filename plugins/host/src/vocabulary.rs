//! The words a plugin session is spoken to in. They follow the contract in `plugins/wit` one to one and hide it, so
//! that a caller never sees a generated type and a later contract can be mapped onto the same words.

use trunkline_api::failure::Failure;
pub use trunkline_api::words::{
    Content, FinishReason, Message, RedactionChannel, Role, ToolAction, ToolCall, ToolDefinition,
};

/// What a plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// World `asr-provider`.
    Asr,
    /// World `llm-provider`.
    Llm,
    /// World `tts-provider`.
    Tts,
    /// World `tool-provider`.
    Tool,
    /// World `pii-redactor`.
    Redactor,
}

impl Capability {
    /// Every capability.
    pub const ALL: [Self; 5] = [Self::Asr, Self::Llm, Self::Tts, Self::Tool, Self::Redactor];

    /// The world's name in the contract.
    #[must_use]
    pub const fn world(self) -> &'static str {
        match self {
            Self::Asr => "asr-provider",
            Self::Llm => "llm-provider",
            Self::Tts => "tts-provider",
            Self::Tool => "tool-provider",
            Self::Redactor => "pii-redactor",
        }
    }

    /// The interface a component of this world exports beside `lifecycle`.
    #[must_use]
    pub const fn interface(self) -> &'static str {
        match self {
            Self::Asr => "asr",
            Self::Llm => "llm",
            Self::Tts => "tts",
            Self::Tool => "tool",
            Self::Redactor => "redactor",
        }
    }

    /// The failure that "cannot be used now" means for it.
    #[must_use]
    pub const fn unavailable(self) -> Failure {
        match self {
            Self::Asr => Failure::AsrUnavailable,
            Self::Llm => Failure::LlmUnavailable,
            Self::Tts => Failure::TtsUnavailable,
            Self::Tool => Failure::ToolFailed,
            Self::Redactor => Failure::RedactorFailed,
        }
    }

    const fn timeout(self) -> Failure {
        match self {
            Self::Asr => Failure::AsrTimeout,
            Self::Llm => Failure::LlmTimeout,
            Self::Tts => Failure::TtsTimeout,
            Self::Tool => Failure::ToolTimeout,
            Self::Redactor => Failure::RedactorFailed,
        }
    }
}

/// Payload encoding by its RTP name (RFC 3551, RFC 6716); `L16` is little-endian here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// 16-bit little-endian linear samples.
    L16,
    /// G.711 mu-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722.
    G722,
    /// Opus.
    Opus,
    /// MPEG-1 layer 3.
    Mp3,
}

/// How audio is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AudioFormat {
    /// Encoding of the payload.
    pub encoding: Encoding,
    /// Hz, 8000..=48000.
    pub sample_rate: u32,
    /// 1 or 2.
    pub channels: u8,
}

impl AudioFormat {
    /// Mono linear samples.
    #[must_use]
    pub const fn l16(sample_rate: u32) -> Self {
        Self { encoding: Encoding::L16, sample_rate, channels: 1 }
    }
}

/// A piece of audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioFrame {
    /// Session media time of the first sample, microseconds.
    pub position_us: u64,
    /// Samples in the session's format.
    pub payload: Vec<u8>,
}

impl AudioFrame {
    /// A frame of linear samples.
    #[must_use]
    pub fn from_samples(position_us: u64, samples: &[i16]) -> Self {
        Self { position_us, payload: samples.iter().flat_map(|sample| sample.to_le_bytes()).collect() }
    }

    /// The payload read as linear samples; a trailing odd byte is dropped.
    pub fn samples(&self) -> impl Iterator<Item = i16> + '_ {
        self.payload.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
    }
}

/// What went wrong at a provider, in the contract's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The settings cannot work.
    InvalidSettings,
    /// Credentials refused.
    Unauthorized,
    /// Too many requests.
    RateLimited,
    /// Quota used up.
    QuotaExceeded,
    /// Not something it can do.
    Unsupported,
    /// Cannot be reached.
    Unavailable,
    /// Took too long.
    Timeout,
    /// Cancelled by the host.
    Cancelled,
    /// Answer not understood.
    Protocol,
    /// The plugin's own fault.
    Internal,
}

/// A failure a plugin reports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct ProviderError {
    /// Kind.
    pub code: ErrorCode,
    /// For people; truncated to 1 KiB.
    pub message: String,
    /// Whether the same may succeed later.
    pub retryable: bool,
    /// When, in ms.
    pub retry_after_ms: Option<u32>,
    /// The vendor's own code.
    pub vendor_code: Option<String>,
}

impl ProviderError {
    /// The named failure this is for a provider of the given capability.
    #[must_use]
    pub const fn failure(&self, capability: Capability) -> Failure {
        match self.code {
            ErrorCode::Unauthorized => Failure::ProviderUnauthorized,
            ErrorCode::RateLimited | ErrorCode::QuotaExceeded => Failure::ProviderRateLimited,
            ErrorCode::Protocol => Failure::ProviderProtocol,
            ErrorCode::Timeout => capability.timeout(),
            ErrorCode::InvalidSettings
            | ErrorCode::Unsupported
            | ErrorCode::Unavailable
            | ErrorCode::Cancelled
            | ErrorCode::Internal => capability.unavailable(),
        }
    }
}

/// A recognised word; times in ms from the start of the session's audio.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// As recognised.
    pub text: String,
    /// Begin.
    pub start_ms: u32,
    /// End.
    pub end_ms: u32,
    /// 0..=1.
    pub confidence: Option<f32>,
}

/// Raw units consumed since the last report of the same session; `None` means not applicable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PluginUsage {
    /// Tokens read.
    pub tokens_in: Option<u64>,
    /// Tokens written.
    pub tokens_out: Option<u64>,
    /// Of those read, found in a cache.
    pub tokens_cached: Option<u64>,
    /// Audio heard, ms.
    pub audio_in_ms: Option<u64>,
    /// Audio made, ms.
    pub audio_out_ms: Option<u64>,
    /// Characters spoken.
    pub characters: Option<u64>,
}

/// How a recogniser session is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsrConfig {
    /// One of the plugin's formats.
    pub format: AudioFormat,
    /// BCP 47, best first.
    pub languages: Vec<String>,
    /// Whether words that may still change are wanted.
    pub interim_results: bool,
    /// Words to expect.
    pub keyterms: Vec<String>,
}

/// Recognised words.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    /// Text.
    pub text: String,
    /// The words will not change.
    pub is_final: bool,
    /// The recogniser believes the utterance is over.
    pub speech_final: bool,
    /// Begin, ms of session audio.
    pub start_ms: u32,
    /// End, ms of session audio.
    pub end_ms: u32,
    /// 0..=1.
    pub confidence: Option<f32>,
    /// Word by word, where known.
    pub words: Vec<Word>,
}

/// What a recogniser says.
#[derive(Debug, Clone, PartialEq)]
pub enum AsrEvent {
    /// It listens.
    Ready,
    /// Speech began, ms of session audio.
    SpeechStarted(u32),
    /// Words.
    Transcript(Transcript),
    /// Units consumed.
    Usage(PluginUsage),
    /// It failed; nothing more comes.
    Failed(ProviderError),
    /// It ended in order; nothing more comes.
    Ended,
}

/// One generation.
#[derive(Debug, Clone, PartialEq)]
pub struct LlmRequest {
    /// The conversation.
    pub messages: Vec<Message>,
    /// What the model may call.
    pub tools: Vec<ToolDefinition>,
    /// Longest answer, tokens.
    pub max_tokens: Option<u32>,
    /// Sampling temperature.
    pub temperature: Option<f32>,
}

/// What a model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LlmEvent {
    /// It works on it.
    Started,
    /// More text.
    TextDelta(String),
    /// A whole tool call.
    ToolCall(ToolCall),
    /// Units consumed.
    Usage(PluginUsage),
    /// The generation ended.
    Finished(FinishReason),
    /// It failed; nothing more comes.
    Failed(ProviderError),
}

/// How a voice is opened.
#[derive(Debug, Clone, PartialEq)]
pub struct TtsConfig {
    /// The plugin's name of the voice; empty for its default.
    pub voice: String,
    /// BCP 47.
    pub language: Option<String>,
    /// Hz the host would like best.
    pub preferred_rate: u32,
    /// 1.0 is the voice's own.
    pub speaking_rate: Option<f32>,
}

/// What a voice says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TtsEvent {
    /// It can speak.
    Ready,
    /// Sound of a context, in the session's format.
    Audio {
        /// The caller's context number.
        context: u32,
        /// The sound.
        frame: AudioFrame,
    },
    /// The last sound of a context was given.
    ContextDone(u32),
    /// Units consumed.
    Usage(PluginUsage),
    /// It failed; nothing more comes.
    Failed(ProviderError),
    /// It ended in order; nothing more comes.
    Ended,
}

/// The call a tool works for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolContext {
    /// Tenant id.
    pub tenant: String,
    /// Agent id.
    pub agent: String,
    /// Call id.
    pub call: String,
    /// BCP 47.
    pub language: String,
    /// The same for every attempt of the same call of the tool.
    pub idempotency_key: String,
    /// Time it has, ms.
    pub deadline_ms: u32,
}

/// A tool's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutcome {
    /// What the model reads.
    pub output: String,
    /// Whether it is an error.
    pub is_error: bool,
    /// What it asks of the call.
    pub actions: Vec<ToolAction>,
}

/// What to redact.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedactionPolicy {
    /// Entity types by name; empty means all.
    pub entity_types: Vec<String>,
    /// BCP 47.
    pub languages: Vec<String>,
}

/// A redacted text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redaction {
    /// Without the entities.
    pub text: String,
    /// Entity type and how many of it were removed.
    pub counts: Vec<(String, u32)>,
}
