//! What a call asks of its driver.

use serde_json::{Map, Value};
use trunkline_api::Failure;
use trunkline_api::agent::ProviderRef;
use trunkline_api::usage::EndReason;
use trunkline_leg::{CallTime, Utterance};

/// A command; the driver carries them out in order, without waiting, and reports what comes of them as inputs.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Open a recogniser session and stream the caller's sound to it from now on.
    OpenAsr {
        /// Names the session in [`crate::Call::handle_asr`]; never used twice in a call.
        session: u32,
        /// Position in the agent's list.
        index: usize,
        /// Which, with its settings.
        provider: ProviderRef,
        /// BCP 47 language of the agent.
        language: String,
        /// Begin with the sound that arrived from this time on, as far back as the driver still has it (about ten
        /// seconds is useful); `None` begins with the present.
        replay_from: Option<CallTime>,
    },
    /// The caller seems to have finished: have the session return its pending words as final. It is answered by
    /// [`crate::AsrEvent::Final`] with `finalized`, even if there were no words.
    FinalizeAsr {
        /// The session.
        session: u32,
    },
    /// End a recogniser session; nothing it still says is of interest.
    CloseAsr {
        /// The session.
        session: u32,
    },
    /// Ask a language model for a reply.
    StartLlm {
        /// Names the request in [`crate::Call::handle_llm`]; never used twice in a call.
        request: u32,
        /// Position in the agent's list.
        index: usize,
        /// Which, with its settings.
        provider: ProviderRef,
        /// System prompt first, then the conversation, oldest first.
        messages: Vec<Message>,
        /// What the model may call.
        tools: Vec<ToolDefinition>,
        /// Most tokens of the reply.
        max_tokens: u32,
    },
    /// Stop a request; nothing it still says is of interest.
    CancelLlm {
        /// The request.
        request: u32,
    },
    /// Synthesise a part of an utterance and queue its sound behind the parts before it. Parts of one utterance
    /// count from 0 in the order they are to be heard; a synthesiser context per part reports the exact length of
    /// each. When the provider changes in the middle, the part is sent again with the other `index`: sound of it
    /// that was queued already stays, what the old provider still produces does not.
    Speak {
        /// The utterance, from 1; there is never more than one at a time.
        utterance: Utterance,
        /// Part of the utterance.
        part: u32,
        /// Position in the agent's list.
        index: usize,
        /// Which, with its settings.
        provider: ProviderRef,
        /// The text; never empty.
        text: String,
    },
    /// No part follows: once the sound of every part is queued, mark the last frame as the utterance's last.
    EndUtterance {
        /// The utterance.
        utterance: Utterance,
    },
    /// Stop synthesising an utterance with that provider; sound already queued stays, further sound is dropped.
    StopSpeaking {
        /// The utterance.
        utterance: Utterance,
        /// Position in the agent's list.
        index: usize,
    },
    /// Drop every queued frame now (bump the leg's generation). The leg answers `PlaybackCut` or, if it was too late,
    /// `PlaybackFinished`.
    ClearPlayback,
    /// Redact a text; answered by [`crate::Call::handle_redacted`].
    Redact {
        /// Names it; never used twice in a call.
        ticket: u64,
        /// Where the text is going.
        channel: Channel,
        /// The text.
        text: String,
    },
    /// Run a tool of a plugin; answered by [`crate::Call::handle_tool`].
    StartTool {
        /// Names the invocation; never used twice in a call.
        invocation: u32,
        /// The plugin.
        plugin: String,
        /// The agent's settings for it.
        settings: Map<String, Value>,
        /// The tool.
        name: String,
        /// JSON text from the model.
        arguments: String,
        /// Milliseconds it has; the call gives up on it by itself.
        deadline_ms: u32,
    },
    /// Stop a tool; its answer is no longer of interest.
    CancelTool {
        /// The invocation.
        invocation: u32,
    },
    /// Hang up the leg (SIP BYE); answered by the fact `Ended`.
    HangUp {
        /// Why, for the record.
        reason: EndReason,
        /// The failure behind it; its Q.850 cause goes into the BYE.
        failure: Option<Failure>,
    },
}

impl Command {
    /// Whether it only lets go of something: what may still come after the leg ended. Redactions may, too, so that
    /// the last words reach the timeline redacted rather than withheld.
    #[must_use]
    pub const fn closes(&self) -> bool {
        matches!(
            self,
            Self::CloseAsr { .. }
                | Self::CancelLlm { .. }
                | Self::StopSpeaking { .. }
                | Self::CancelTool { .. }
                | Self::Redact { .. }
        )
    }
}

/// Who a message is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// The model's name for the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// JSON text.
    pub arguments: String,
}

/// A message of the conversation as a model sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolDefinition {
    /// Name, unique among an agent's tools.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// JSON Schema of its arguments, as text.
    pub parameters: String,
}

/// A tool and the plugin behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolBinding {
    /// The plugin, as named in `spec.tools`.
    pub plugin: String,
    /// The agent's settings for it.
    pub settings: Map<String, Value>,
    /// What the model is told.
    pub definition: ToolDefinition,
}

/// Where a text is going, as in `redaction.channels` of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// To the language model.
    LlmInput,
    /// From the language model to the synthesiser and into its memory.
    LlmOutput,
    /// Into the timeline.
    Transcript,
}

impl Channel {
    /// Its name in an agent's policy and in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LlmInput => "llm-input",
            Self::LlmOutput => "llm-output",
            Self::Transcript => "transcript",
        }
    }
}
