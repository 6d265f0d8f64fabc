//! What a call asks of its driver, as values that can be written down and compared.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use trunkline_api::Failure;
use trunkline_api::agent::ProviderRef;
use trunkline_api::usage::EndReason;
use trunkline_api::words::{Message, RedactionChannel, ToolDefinition};
use trunkline_leg::{CallTime, LegId, Utterance};

/// A command; the driver carries them out in order, without waiting, and reports what comes of them as inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Open a recogniser session and stream the caller's sound to it from now on.
    OpenAsr {
        /// Names the session in [`crate::Input::Asr`]; never used twice in a call.
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
        /// The caller speaks on: what follows is for the session, too.
        goes_on: bool,
    },
    /// End a recogniser session; nothing it still says is of interest.
    CloseAsr {
        /// The session.
        session: u32,
    },
    /// Ask a language model for a reply.
    StartLlm {
        /// Names the request in [`crate::Input::Llm`]; never used twice in a call.
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
    /// Synthesise a part of an utterance and queue its sound behind the parts before it. Parts of an utterance count from 0
    /// and are never used twice; a synthesiser context per part reports the exact length of each.
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
    /// Parts of an utterance from this one on are not to be heard after all: sound of them that was not played is dropped.
    /// Of the part before it what was queued stays, and it is complete when `cut` says so.
    DropParts {
        /// The utterance.
        utterance: Utterance,
        /// The first part to drop.
        from: u32,
        /// The part before it gets no more sound.
        cut: bool,
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
    /// Stop sending within a frame and keep all that is queued.
    PausePlayback,
    /// Go on with what was paused.
    ResumePlayback,
    /// Drop every queued frame now (bump the leg's generation). The leg answers `PlaybackCut` or, if it was too late,
    /// `PlaybackFinished`.
    ClearPlayback,
    /// Redact a text; answered by [`crate::Input::Redacted`].
    Redact {
        /// Names it; never used twice in a call.
        ticket: u64,
        /// Where the text is going.
        channel: RedactionChannel,
        /// The text.
        text: String,
    },
    /// Run a tool of a plugin; answered by [`crate::Input::Tool`].
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
    /// Hang up a leg (SIP BYE); answered by the fact `Ended`.
    HangUp {
        /// Which.
        leg: LegId,
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

/// A tool and the plugin behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolBinding {
    /// The plugin, as named in `spec.tools`.
    pub plugin: String,
    /// The agent's settings for it.
    pub settings: Map<String, Value>,
    /// What the model is told.
    pub definition: ToolDefinition,
}
