//! Words that gateway, plugin host and control plane all speak: who says what to a model, what a tool may ask of a call,
//! which provider is which, and where a text is going. Each is said here once.

use serde::{Deserialize, Serialize};

/// Who a message is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The prompt.
    System,
    /// The caller.
    User,
    /// The agent.
    Assistant,
    /// A tool.
    Tool,
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Words.
    Text(String),
    /// The model called a tool.
    ToolCall(ToolCall),
    /// A tool answered.
    ToolResult {
        /// The call it answers.
        call_id: String,
        /// What the model reads.
        output: String,
    },
}

/// A call of a tool, as the model made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The model's name for the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// JSON text.
    pub arguments: String,
}

/// A message of the conversation as a model sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who it is from.
    pub role: Role,
    /// What it holds.
    pub content: Vec<Content>,
}

impl Message {
    /// A message of words.
    #[must_use]
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, content: vec![Content::Text(text.into())] }
    }
}

/// A tool as a model is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolDefinition {
    /// Name, unique among an agent's tools.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// JSON Schema of its arguments, as text.
    pub parameters: String,
}

/// What a tool asks of the call; only what the plugin's manifest names gets through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolAction {
    /// Say a line.
    Say(String),
    /// Transfer the call to a number or SIP URI.
    Transfer(String),
    /// Hang up after what is being said; the reason is for the log.
    HangUp(String),
    /// Send DTMF digits.
    SendDtmf(String),
    /// Set a variable of the prompt.
    SetVariable(String, String),
}

impl ToolAction {
    /// Its name in a manifest's `capabilities.actions`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Say(_) => "say",
            Self::Transfer(_) => "transfer",
            Self::HangUp(_) => "hang-up",
            Self::SendDtmf(_) => "send-dtmf",
            Self::SetVariable(..) => "set-variable",
        }
    }
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// What a provider is for, as in usage and events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// Speech-to-speech engine.
    Realtime,
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
            Self::Realtime => "realtime",
        }
    }
}

/// Where a text is going, as in `redaction.channels` of an agent.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum RedactionChannel {
    /// To a recogniser.
    AsrInput,
    /// To the language model: what the caller said and pressed, what tools answered, and what tools put into the prompt.
    LlmInput,
    /// From the language model to the synthesiser and into its memory.
    LlmOutput,
    /// Into the timeline.
    Transcript,
    /// To a tool.
    Tool,
    /// Into the log.
    Log,
    /// To a webhook.
    Webhook,
    /// Into a recording.
    Recording,
}

impl RedactionChannel {
    /// Every channel.
    pub const ALL: [Self; 8] = [
        Self::AsrInput,
        Self::LlmInput,
        Self::LlmOutput,
        Self::Transcript,
        Self::Tool,
        Self::Log,
        Self::Webhook,
        Self::Recording,
    ];

    /// Its name in an agent's policy and in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AsrInput => "asr-input",
            Self::LlmInput => "llm-input",
            Self::LlmOutput => "llm-output",
            Self::Transcript => "transcript",
            Self::Tool => "tool",
            Self::Log => "log",
            Self::Webhook => "webhook",
            Self::Recording => "recording",
        }
    }

    /// Whether this build redacts what goes there; an agent that asks for another is refused rather than served without.
    #[must_use]
    pub const fn is_served(self) -> bool {
        matches!(self, Self::LlmInput | Self::LlmOutput | Self::Transcript)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_stored_by_its_name() {
        for channel in RedactionChannel::ALL {
            assert_eq!(serde_json::to_value(channel).unwrap(), channel.name());
        }
        assert!(serde_json::from_value::<RedactionChannel>("transcripts".into()).is_err());
    }
}
