//! What a call is told by its driver: everything it ever learns, as values that can be written down and read back.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use trunkline_api::Failure;
use trunkline_api::transfer::TransferMode;
use trunkline_api::usage::Units;
use trunkline_api::words::{FinishReason, ProviderKind, ToolAction, ToolCall};
use trunkline_leg::{CallTime, DtmfDigit, LegFact, LegId, PlayoutPosition, Utterance};

/// Something that happened. A log of these, each with its time, replays the call bit for bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
pub enum Input {
    /// The first leg was answered: the conversation begins.
    Answered,
    /// A leg tells a fact; facts of a leg come in the order it told them.
    Leg {
        /// Which.
        leg: LegId,
        /// What.
        fact: LegFact,
    },
    /// The caller began or stopped speaking.
    Voice(VoiceEdge),
    /// There is evidence enough, `interruption.min_speech_ms` after it began, that the caller speaks and is no echo.
    Interrupts,
    /// How far playback has come. Wanted whenever it changed: it is what the caller heard if the leg never says.
    Playout(PlayoutPosition),
    /// What had left the far speaker when playback was paused or cleared.
    Heard(PlayoutPosition),
    /// A recogniser session reports something.
    Asr {
        /// The session.
        session: u32,
        /// What.
        event: AsrEvent,
    },
    /// A request to a language model reports something.
    Llm {
        /// The request.
        request: u32,
        /// What.
        event: LlmEvent,
    },
    /// A session with a speech-to-speech engine reports something.
    Realtime {
        /// The session.
        session: u32,
        /// What.
        event: RealtimeEvent,
    },
    /// A synthesiser reports something.
    Tts {
        /// The utterance.
        utterance: Utterance,
        /// The number it was given in [`crate::Command::Speak`].
        index: usize,
        /// What.
        event: TtsEvent,
    },
    /// A tool answered.
    Tool {
        /// The invocation.
        invocation: u32,
        /// What came of it.
        outcome: ToolOutcome,
    },
    /// A text was redacted, or could not be and is withheld; the error says why, for operators.
    Redacted {
        /// The ticket of [`crate::Command::Redact`].
        ticket: u64,
        /// The text, or why there is none.
        result: Result<Redacted, String>,
    },
    /// Knowledge bases were searched, or could not be; the error says why, for operators.
    Found {
        /// The ticket of [`crate::Command::Lookup`].
        ticket: u64,
        /// Passages, best first.
        result: Result<Vec<Passage>, String>,
    },
    /// A provider used something; also after the end.
    Usage {
        /// What it is for.
        kind: ProviderKind,
        /// Which.
        provider: String,
        /// What it used since the last report.
        units: Units,
    },
    /// What is known of a provider of the agent's lists by all calls together.
    Health {
        /// What it is for.
        kind: ProviderKind,
        /// Which.
        provider: String,
        /// Whether it is worth asking.
        up: bool,
    },
    /// Sessions of a kind wait for this host, or wait no more: what they owe is late and nobody's fault.
    Behind {
        /// Which kind.
        kind: ProviderKind,
        /// Whether they wait.
        behind: bool,
    },
    /// Lines that were rendered beforehand in the agent's voice: [`crate::Command::Play`] plays them. Told before
    /// [`Self::Answered`] where they are there by then.
    Prompts {
        /// The lines, as the agent says them.
        texts: Vec<String>,
    },
    /// Something happened to the call's recording. The call's record names the first one.
    Recording(RecordingFact),
    /// An operator's order.
    Operator(Operator),
    /// The gateway shuts down: what is being said may end, for at most five seconds, then the call hangs up.
    Drain,
    /// The deadline of [`crate::Call::poll_timeout`] has passed.
    Timeout,
}

impl Input {
    /// The input as a log may hold it: a key is any other of its kind, `#` and `*` are as they were.
    #[must_use]
    pub fn without_key(&self) -> Self {
        let mut input = self.clone();
        if let Self::Leg { fact: LegFact::Dtmf { digit, .. }, .. } = &mut input
            && let (true, Some(any)) = (digit.as_char().is_ascii_alphanumeric(), DtmfDigit::from_event(0))
        {
            *digit = any;
        }
        input
    }
}

/// The caller began or stopped speaking.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct VoiceEdge {
    /// True when speech begins.
    pub speech: bool,
    /// Arrival of the first packet with, or without, speech.
    pub at: CallTime,
    /// Level of that frame in dBFS, -96..=0.
    pub level_dbfs: f32,
}

/// What a recogniser session reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
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

/// What a language model request reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmEvent {
    /// The provider accepted it.
    Started,
    /// More of the reply.
    TextDelta(String),
    /// It calls a tool; run once the request finished.
    ToolCall(ToolCall),
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

/// What a session with a speech-to-speech engine reports. How much sound there is of an item that is played is reported as
/// a synthesiser's is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RealtimeEvent {
    /// It is there.
    Opened {
        /// Whether it says a line word by word.
        says: bool,
    },
    /// What it understood of an input; may come late or never.
    Heard {
        /// The input.
        input: u32,
        /// The words, all of them so far.
        text: String,
        /// They will not change any more.
        is_final: bool,
    },
    /// It has begun a response.
    Started {
        /// The response.
        response: u32,
    },
    /// The first sound of an item of a response is there, for [`crate::Command::PlayItem`].
    Item {
        /// The response.
        response: u32,
        /// Names the item in the session.
        item: u32,
    },
    /// What it says in an item, following what came before.
    Text {
        /// The response.
        response: u32,
        /// The item.
        item: u32,
        /// More words.
        text: String,
        /// They end with so many milliseconds of the item's sound, where the engine knows.
        until_ms: Option<u32>,
    },
    /// It calls a tool; run once the response is done.
    ToolCall {
        /// The response.
        response: u32,
        /// The call.
        call: ToolCall,
    },
    /// A response is complete.
    Done {
        /// The response.
        response: u32,
        /// Why it ended.
        reason: FinishReason,
    },
    /// It failed; the session is over.
    Failed {
        /// Which failure.
        failure: Failure,
        /// What the provider said, for operators.
        detail: String,
    },
    /// It ended by itself.
    Closed,
}

/// What a synthesiser reports of an utterance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
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

/// What came of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// A passage of a knowledge base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// The base, the document and its heading, for example `faq/opening.md: Holidays`.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A redacted text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Redacted {
    /// The text without personal data.
    pub text: String,
    /// Entity types found and how often; empty when there were none.
    pub counts: Vec<(String, u32)>,
}

/// What an operator orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// End the call now.
    HangUp,
    /// Pass the caller on. Whom an operator names needs to be on nobody's list.
    Transfer {
        /// Name of a target, number or SIP URI.
        to: String,
        /// How; what the agent says when it is left out.
        mode: Option<TransferMode>,
        /// What whoever answers is told.
        briefing: String,
    },
    /// Put the caller on hold.
    Hold,
    /// Take the caller back from hold.
    Resume,
    /// Put the caller into a conference of the tenant's, out of any other.
    Join {
        /// Its name: 1 to 64 letters, digits, `-`, `_` and `.`.
        room: String,
    },
    /// Take the caller out of the conference: they are with the agent again.
    Leave,
    /// Whether the others in the conference do not hear the caller.
    Mute {
        /// They do not.
        on: bool,
    },
    /// Send keys to the far end, at most 32.
    SendDtmf {
        /// Which.
        digits: String,
    },
}

impl Operator {
    /// Its name in logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::HangUp => "hang_up",
            Self::Transfer { .. } => "transfer",
            Self::Hold => "hold",
            Self::Resume => "resume",
            Self::Join { .. } => "join",
            Self::Leave => "leave",
            Self::Mute { .. } => "mute",
            Self::SendDtmf { .. } => "send_dtmf",
        }
    }
}

/// What happens to a call's recording. Paths are relative to the gateway's state folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum RecordingFact {
    /// It began.
    Started {
        /// The file.
        path: String,
        /// How the sound is stored, `wav` or `opus`.
        format: Cow<'static, str>,
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
        reason: Cow<'static, str>,
        /// Its length.
        duration_ms: u64,
        /// How much of it is silence that was asked for.
        muted_ms: u64,
        /// What went wrong, for operators.
        failure: Option<String>,
    },
}
