//! What a call asks of its driver, as values that can be written down and compared.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use trunkline_api::Failure;
use trunkline_api::agent::{ProviderRef, ToolPolicy};
use trunkline_api::transfer::HoldSound;
use trunkline_api::usage::EndReason;
use trunkline_api::words::{Message, RedactionChannel, ToolDefinition};
use trunkline_leg::{CallTime, Direction, LegId, Utterance};

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
    /// Open a session with a speech-to-speech engine. It hears what [`Self::BeginInput`] to [`Self::CommitInput`] enclose and
    /// decides by itself neither when somebody has finished nor when to speak. What is asked of it before it is open is
    /// done once it is.
    OpenRealtime {
        /// Names the session in [`crate::Input::Realtime`]; never used twice in a call.
        session: u32,
        /// Position in the agent's list.
        index: usize,
        /// Which, with its settings.
        provider: ProviderRef,
        /// BCP 47 language of the conversation.
        language: String,
        /// What the engine is told of itself.
        instructions: String,
        /// The conversation so far, oldest first.
        messages: Vec<Message>,
        /// What it may call.
        tools: Vec<ToolDefinition>,
    },
    /// The engine is told something else of itself from now on.
    Update {
        /// The session.
        session: u32,
        /// BCP 47 language of the conversation.
        language: String,
        /// What the engine is told of itself.
        instructions: String,
        /// What it may call.
        tools: Vec<ToolDefinition>,
    },
    /// Stream the caller's sound to the engine from now on, beginning with what arrived from then on as far as the driver
    /// still has it. There is one input at a time.
    BeginInput {
        /// The session.
        session: u32,
        /// Names the input; never used twice in a call.
        input: u32,
        /// When the caller began.
        from: CallTime,
    },
    /// The caller has finished: the input is a message of the conversation. Nothing more is streamed.
    CommitInput {
        /// The session.
        session: u32,
        /// The input.
        input: u32,
    },
    /// What was streamed is no input, and nothing more is.
    DropInput {
        /// The session.
        session: u32,
        /// The input.
        input: u32,
    },
    /// Add a message to the engine's conversation.
    AppendMessage {
        /// The session.
        session: u32,
        /// Words; of tools of another engine also calls and results.
        message: Message,
    },
    /// What a tool answered that the engine called.
    ToolResult {
        /// The session.
        session: u32,
        /// The engine's name for the call.
        call_id: String,
        /// What it reads.
        output: String,
    },
    /// Have the engine speak. Responses are made one after the other.
    CreateResponse {
        /// The session.
        session: u32,
        /// Names the response; never used twice in a call.
        response: u32,
        /// A line to be said word by word; `None` for whatever it has to say.
        say: Option<String>,
        /// Whether it may call tools.
        tools: bool,
    },
    /// Stop a response; nothing it still makes is of interest.
    CancelResponse {
        /// The session.
        session: u32,
        /// The response.
        response: u32,
    },
    /// Queue the sound of an item of the engine's, what there is and what still comes, as a part of an utterance behind the
    /// parts before it. It is reported as a synthesiser's is, with [`crate::ENGINES`] and the session's number added for
    /// the provider.
    PlayItem {
        /// The utterance.
        utterance: Utterance,
        /// Part of the utterance.
        part: u32,
        /// The session.
        session: u32,
        /// The item.
        item: u32,
    },
    /// A part ends there: sound of it behind that is not played, and it is complete as soon as there is so much.
    EndPart {
        /// The utterance.
        utterance: Utterance,
        /// Part of the utterance.
        part: u32,
        /// Milliseconds of its sound.
        at_ms: u32,
    },
    /// So much of an item was heard; the engine's conversation is to hold no more of it.
    Truncate {
        /// The session.
        session: u32,
        /// The item.
        item: u32,
        /// Milliseconds of its sound.
        heard_ms: u32,
    },
    /// End a session with an engine; nothing it still says is of interest. Sound of it that is queued stays.
    CloseRealtime {
        /// The session.
        session: u32,
    },
    /// Synthesise a part of an utterance and queue its sound behind the parts before it. Parts of an utterance count from 0
    /// and are never used twice; a synthesiser context per part reports the exact length of each.
    Speak {
        /// The utterance, from 1; there is never more than one at a time.
        utterance: Utterance,
        /// Part of the utterance.
        part: u32,
        /// Names the synthesiser's session: its position in the agent's list, and from 32 on in the lists of further
        /// languages.
        index: usize,
        /// Which, with its settings.
        provider: ProviderRef,
        /// BCP 47 language of the session.
        language: String,
        /// The text as it is to be spoken; never empty. SSML for a synthesiser of which the agent says that it takes it.
        text: String,
    },
    /// Play a line that was rendered beforehand as a part of an utterance, behind the parts before it. It is reported as a
    /// synthesiser's sound is, with [`crate::PRERENDERED`] for the provider; no sound at all says that there is none.
    Play {
        /// The utterance.
        utterance: Utterance,
        /// Part of the utterance.
        part: u32,
        /// The line, as [`crate::Input::Prompts`] has it.
        text: String,
    },
    /// Queue silence behind the parts before it, as a part of its own that is complete.
    Silence {
        /// The utterance, which may begin with it.
        utterance: Utterance,
        /// Part of the utterance; counted with those that are synthesised.
        part: u32,
        /// Its length in milliseconds, 1..=10000.
        ms: u32,
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
        /// Names the synthesiser's session.
        index: usize,
    },
    /// Stop sending within a frame and keep all that is queued.
    PausePlayback,
    /// Go on with what was paused.
    ResumePlayback,
    /// Whoever waits hears the thinking sound where nothing is said, or no more. It is no part of an utterance.
    ThinkingSound {
        /// Whether it begins.
        on: bool,
    },
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
    /// While it is on nobody is told what the caller says or presses: no provider hears it, and silence takes the caller's
    /// place in every recording and tap. An operator's order about a recording does not change that. It is on for good
    /// when the call ends before it is off.
    Conceal {
        /// Which.
        leg: LegId,
        /// Whether it begins.
        on: bool,
    },
    /// Record the call, where it is not recorded already, or end that again.
    Record {
        /// Which.
        leg: LegId,
        /// Whether it begins.
        on: bool,
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
        /// JSON text from the model; [`crate::Call::tool_arguments`] makes of it what the tool gets.
        arguments: String,
        /// Milliseconds it has; the call gives up on it by itself.
        deadline_ms: u32,
    },
    /// Stop a tool; its answer is no longer of interest.
    CancelTool {
        /// The invocation.
        invocation: u32,
    },
    /// Search knowledge bases; answered by [`crate::Input::Found`].
    Lookup {
        /// Names it; never used twice in a call.
        ticket: u64,
        /// The bases, by name.
        bases: Vec<String>,
        /// What to look for, in somebody's words.
        query: String,
        /// Most passages.
        top: u32,
        /// Milliseconds it has; the call goes on without it by itself.
        deadline_ms: u32,
    },
    /// The conversation goes on with another agent: positions in lists, language and settings are its own from now on.
    HandOff {
        /// Its name in [`crate::CallSetup::others`].
        agent: String,
        /// Its synthesisers are those of the agent before, in that order, and its language is: sessions may go on.
        keeps_voices: bool,
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
    /// Dial somebody, as a leg of this call. Answered by the facts `Ringing`, then `Answered` or `Refused`.
    Dial {
        /// Names the leg; never used twice in a call.
        leg: LegId,
        /// Number or SIP URI.
        to: String,
        /// Calling number to show; `None` for that of the trunk.
        from: Option<String>,
        /// Milliseconds after which the driver gives up by itself (`Refused` with `NoAnswer`).
        timeout_ms: u32,
        /// What is handed over to whoever answers: variables `x_...`, `sip_user_to_user` and `sip_identity`, by name and value, of
        /// which the driver makes headers for trunks that are trusted.
        variables: Vec<(String, String)>,
    },
    /// Give up on a leg that has not answered; answered by `Refused`, or by `Answered` when it was too late.
    CancelDial {
        /// Which.
        leg: LegId,
    },
    /// Have a leg's far end dial somebody else itself (SIP REFER); answered by the facts `Referral`.
    Refer {
        /// Which.
        leg: LegId,
        /// Number or SIP URI.
        to: String,
        /// Whose call it takes over (RFC 3891), after a briefing.
        replaces: Option<LegId>,
    },
    /// The conversation is with that leg from now on: playback goes to it, voice, sound for the recogniser and keys come
    /// from it. With `None` it is with nobody. Nothing is being said when it changes.
    Attach {
        /// Which; the first at the beginning of a call.
        leg: Option<LegId>,
    },
    /// What the voice of the one whom the conversation is with says is heard together with what that leg's says, as one sound, by
    /// recognisers and as voice; with `None` no more.
    Overhear {
        /// Which.
        leg: Option<LegId>,
    },
    /// Two legs hear each other.
    Bridge {
        /// The one.
        a: LegId,
        /// The other.
        b: LegId,
    },
    /// Two legs hear each other no more.
    Unbridge {
        /// The one.
        a: LegId,
        /// The other.
        b: LegId,
    },
    /// Put a leg into a conference: it hears everybody else in it and is heard by them, and what is said to it waits where it
    /// is. Without a place there the fact `NotJoined` follows, and the leg is as before.
    Join {
        /// Which.
        leg: LegId,
        /// Name of the conference among those of the call's tenant.
        room: String,
    },
    /// Take a leg out of its conference.
    Leave {
        /// Which.
        leg: LegId,
    },
    /// Whether the others in a conference do not hear a leg.
    Mute {
        /// Which.
        leg: LegId,
        /// They do not.
        on: bool,
    },
    /// Put a leg on hold: it hears `sound`, nobody hears it, and what is said to it waits where it is.
    Hold {
        /// Which.
        leg: LegId,
        /// What it hears.
        sound: HoldSound,
    },
    /// Take a leg back from hold.
    Resume {
        /// Which.
        leg: LegId,
    },
    /// Have a leg's far end told which ways sound goes from now on (re-INVITE): on hold it need not send what nobody hears.
    /// Answered by the fact `Redirected`, whatever becomes of it; a leg without signalling says nothing.
    Redirect {
        /// Which.
        leg: LegId,
        /// The ways, as seen from the gateway.
        direction: Direction,
    },
    /// Send keys to a leg's far end, one after the other; playback waits meanwhile.
    SendDtmf {
        /// Which.
        leg: LegId,
        /// At most 32 of `0`-`9`, `*`, `#`, `A`-`D`.
        digits: String,
    },
    /// Tell of tones of networks and machines on a leg (`Tone`), or no more.
    ListenForTones {
        /// Which.
        leg: LegId,
        /// Whose tones the network has, as in `answering.region`; `None` to stop listening.
        region: Option<String>,
    },
}

impl Command {
    /// Whether it only lets go of something: what may still come after the leg ended. Redactions may, too, so that
    /// the last words reach the timeline redacted rather than withheld; and so may the requests of an analysis, whose
    /// numbers are [`crate::ANALYSIS`] and above.
    #[must_use]
    pub const fn closes(&self) -> bool {
        matches!(
            self,
            Self::CloseAsr { .. }
                | Self::CloseRealtime { .. }
                | Self::CancelLlm { .. }
                | Self::StopSpeaking { .. }
                | Self::CancelTool { .. }
                | Self::Redact { .. }
                | Self::CancelDial { .. }
        ) || matches!(self, Self::StartLlm { request, .. } if *request >= crate::ANALYSIS)
            || matches!(self, Self::HangUp { leg, .. } if leg.0 != LegId::FIRST.0)
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
    /// How it is run.
    #[serde(default)]
    pub policy: ToolPolicy,
}
