//! The registry of event types: timeline, webhooks, SSE, WebSocket and metrics take their names from here.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::Id;

/// When an event happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct EventTime {
    /// Microseconds since the Unix epoch, corrected by the control plane's offset.
    pub wall_us: u64,
    /// Microseconds since the call began.
    pub call_us: u64,
}

/// One event of a call; `seq` of those that are kept is gap-free per call from 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Event {
    /// Identifier.
    #[schemars(with = "String")]
    pub id: Id,
    /// Format number, 1.
    pub v: u32,
    /// Tenant.
    #[schemars(with = "String")]
    pub tenant: Id,
    /// Call.
    #[schemars(with = "String")]
    pub call: Id,
    /// Position in the call, from 1 without gaps; of an event that is not kept, that of the one before.
    pub seq: u64,
    /// Type, one of [`EventType`]'s names; readers keep types they do not know.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    pub at: EventTime,
    /// Leg it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub leg: Option<Id>,
    /// Turn it belongs to, counted from 1; 0 is the greeting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<u32>,
    /// Data of the type, see [`EventType::data_schema`].
    pub data: Value,
}

macro_rules! events {
    ($($variant:ident $name:literal { $($field:literal : $kind:literal),* $(,)? } $doc:literal),+ $(,)?) => {
        /// Every event type.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventType { $(#[doc = $doc] $variant),+ }

        impl EventType {
            /// Every type.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// Its stable name.
            #[must_use] pub const fn name(self) -> &'static str { match self { $(Self::$variant => $name),+ } }
            /// What it tells.
            #[must_use] pub const fn description(self) -> &'static str { match self { $(Self::$variant => $doc),+ } }
            const fn fields(self) -> &'static [(&'static str, &'static str)] {
                match self { $(Self::$variant => &[$(($field, $kind)),*]),+ }
            }
        }
    };
}

// A field kind is a JSON Schema type; a trailing `?` marks an optional field.
events! {
    CallStarted "call.started" { "agent": "string", "agent_version": "integer", "direction": "string", "from": "string", "to": "string", "trunk": "string?", "gateway": "string?" } "An INVITE was accepted and the call began.",
    CallAnswered "call.answered" { "codec": "string", "sip_call_id": "string?" } "The call was answered.",
    CallEnded "call.ended" { "reason": "string", "failure": "string?", "duration_ms": "integer" } "The call ended; only what was found out about it may follow.",
    CallAnalysed "call.analysed" { "summary": "string?", "disposition": "string?", "topics": "array?", "sentiment": "number?", "turns": "array?", "provider": "string?", "failure": "string?", "took_ms": "integer" } "What was found out about a call that is over; the last event of one whose agent asks for `analysis`. `sentiment` is -1..=1; `turns` has `{turn, sentiment?, emotion?}` of the caller's turns; `failure` says why there is nothing.",
    MediaStarted "media.started" {} "The first packet of the caller's media arrived.",
    SoundApplied "sound.applied" { "denoiser": "string", "detector": "string", "shed": "boolean" } "What works on the call's sound from now on: the engine that takes out the noise and the detector of speech; `shed` when it is less than was asked for, because the gateway was short of time.",
    MediaQuality "media.quality" { "packets_in": "integer", "lost_in": "integer", "jitter_in_ms": "number", "mos_in": "number?", "packets_out": "integer", "lost_out": "integer?", "jitter_out_ms": "number?", "mos_out": "number?", "round_trip_ms": "number?" } "How the call's media did: in, as the gateway heard it; out, as the far end reports by RTCP. MOS by the E-model (ITU-T G.107).",
    SpeechStarted "speech.started" { "level_dbfs": "number?" } "The caller began to speak.",
    SpeechEnded "speech.ended" { "duration_ms": "integer" } "The caller stopped speaking.",
    TranscriptPartial "transcript.partial" { "text": "string" } "Words so far; shown while the call lasts and not kept.",
    TranscriptFinal "transcript.final" { "text": "string", "confidence": "number?" } "The caller's words.",
    TurnStarted "turn.started" { "input": "string" } "The caller's turn is over and the agent begins to think.",
    TurnWaterfall "turn.waterfall" { "first_packet_ms": "integer?", "speech_end_ms": "integer?", "endpoint_ms": "integer?", "asr_ms": "integer?", "llm_first_token_ms": "integer?", "tts_first_byte_ms": "integer?", "first_packet_out_ms": "integer?", "total_ms": "integer?" } "Where a turn's time went, in milliseconds from the end of the caller's speech; first_packet_ms and speech_end_ms are call times.",
    AgentSaid "agent.said" { "text": "string", "utterance": "integer" } "Text was handed to the synthesiser.",
    PlaybackStarted "playback.started" { "utterance": "integer" } "The first packet of an utterance went out.",
    PlaybackFinished "playback.finished" { "utterance": "integer", "text": "string?" } "An utterance was played to its end.",
    PlaybackCut "playback.cut" { "utterance": "integer", "sent_ms": "integer", "heard_ms": "integer?", "decided_ms": "integer?", "heard": "string" } "The caller interrupted; `decided_ms` is the call time of the decision to stop, `heard_ms` how much of the utterance had left the far speaker by then, `heard` what the agent remembers having said.",
    DtmfReceived "dtmf.received" { "digit": "string" } "The caller pressed a key.",
    LlmRequest "llm.request" { "provider": "string", "input": "string", "messages": "integer" } "A request went to the model; `input` is its last user message as sent.",
    ToolCalled "tool.called" { "name": "string", "arguments": "string", "id": "string" } "The model called a tool.",
    ToolReturned "tool.returned" { "name": "string", "id": "string", "is_error": "boolean", "output": "string", "late": "boolean?" } "A tool answered; `late` when the model had been told already that it did not, or that the caller went on meanwhile.",
    ContextSummarised "context.summarised" { "messages": "integer", "tokens": "integer", "summary": "string" } "The oldest messages of the conversation were summed up, `tokens` of them; the model is given the summary instead.",
    KnowledgeUsed "knowledge.used" { "passages": "array", "tokens": "integer" } "Passages of knowledge bases that the model was given, by name.",
    GuardrailTripped "guardrail.tripped" { "rule": "string", "side": "string", "action": "string" } "A rule applied to what the caller said (`input`) or to what the model wanted to say (`output`).",
    AgentHandedOff "agent.handed_off" { "to": "string", "agent": "string", "agent_version": "integer", "carry": "string" } "The call goes on with another agent; `to` is what the agent before calls it.",
    ProviderSwitched "provider.switched" { "kind": "string", "from": "string", "to": "string", "failure": "string" } "The next provider of a list took over.",
    FailureRaised "failure.raised" { "failure": "string", "provider": "string?", "detail": "string?", "action": "string" } "A named failure and what was done about it.",
    Redacted "redaction.applied" { "channel": "string", "counts": "object" } "Personal data was removed.",
    RecordingStarted "recording.started" { "path": "string", "format": "string", "sealed": "boolean" } "A recording began; `path` is relative to the gateway's state folder.",
    RecordingPaused "recording.paused" { "path": "string" } "Silence takes the place of both voices in the recording from here on.",
    RecordingResumed "recording.resumed" { "path": "string" } "The recording has both voices again.",
    RecordingEnded "recording.ended" { "path": "string", "reason": "string", "duration_ms": "integer", "muted_ms": "integer" } "A recording ended before its call: it was stopped, reached a limit, or could not be written.",
    LanguageChanged "language.changed" { "from": "string", "to": "string" } "The conversation goes on in another language.",
    LegDialled "leg.dialled" { "leg": "integer", "to": "string" } "Somebody is being dialled; `leg` counts the call's legs, of which the first is 1.",
    LegRinging "leg.ringing" { "leg": "integer" } "Whoever is being dialled is being alerted.",
    LegAnswered "leg.answered" { "leg": "integer" } "Whoever was dialled has answered.",
    LegEnded "leg.ended" { "leg": "integer", "cause": "string", "sip_status": "integer?", "duration_ms": "integer" } "A leg that was dialled is over: why, and how long it was connected.",
    LegHeld "leg.held" { "leg": "integer" } "The gateway put a leg on hold.",
    LegResumed "leg.resumed" { "leg": "integer" } "The gateway took a leg back from hold.",
    LegRedirected "leg.redirected" { "leg": "integer", "direction": "string", "sip_status": "integer?" } "A leg's far end was told which ways sound goes: `sendonly` and `inactive` put it on hold, as seen from the gateway. `sip_status` is that of a refusal, which leaves the session as it was.",
    LegPassedOn "leg.passed_on" { "leg": "integer", "sip_status": "integer?" } "A leg's far end had somebody dialled who takes its place (REFER) and is there from here on. `sip_status` says why nobody is: the far end is who it was.",
    ConferenceJoined "conference.joined" { "leg": "integer", "room": "string" } "An operator put a leg into a conference: it speaks with all others in it, and the agent waits.",
    ConferenceMuted "conference.muted" { "leg": "integer", "room": "string", "muted": "boolean" } "Whether the others in the conference hear a leg, from here on.",
    ConferenceLeft "conference.left" { "leg": "integer", "room": "string", "full": "boolean?" } "A leg is with the agent again; `full` when there was no place for it in the conference.",
    TransferStarted "transfer.started" { "to": "string", "mode": "string", "target": "string?", "by": "string" } "The call is to be passed on, by order of `model`, `tool`, `operator`, `agent` (a menu or a rule of it) or `failure`.",
    TransferBriefed "transfer.briefed" { "leg": "integer" } "Whoever answered has been told what the call is about.",
    TransferEnded "transfer.ended" { "outcome": "string", "to": "string", "after_ms": "integer", "sip_status": "integer?" } "What became of a transfer: `completed`, or why not.",
    CallbackRequested "callback.requested" { "number": "string", "when": "string?", "reason": "string?" } "The caller wants to be called back.",
    AnswerClassified "answer.classified" { "kind": "string", "confidence": "number", "after_ms": "integer", "by": "string" } "Who or what answered the call that was placed, as far as is known `after_ms` after the answer; the last one counts.",
    ToneDetected "tone.detected" { "leg": "integer", "tone": "string", "hz": "integer?", "duration_ms": "integer?" } "A tone of a network or a machine was heard.",
    MessageLeft "message.left" { "after_beep": "boolean", "restarts": "integer" } "A message was said to a machine, to its end.",
    DtmfSent "dtmf.sent" { "digits": "string" } "Keys were sent to the far end.",
    CallerSilent "caller.silent" { "prompt": "integer" } "The caller said nothing and was asked.",
    MenuOpened "menu.opened" { "menu": "string" } "A menu was opened.",
    MenuChosen "menu.chosen" { "menu": "string", "key": "string?", "label": "string?", "action": "string" } "An option of a menu was chosen by a key or by words; without `key` nobody chose in time, and the action is the menu's own. Where the transcript is redacted the key reads `x` and there is no label.",
    MenuUnanswered "menu.unanswered" { "menu": "string", "attempt": "integer", "invalid": "boolean" } "Nothing was chosen: the caller was silent, or said or pressed what stands for no option (`invalid`).",
    SlotFilled "slot.filled" { "slot": "string", "kind": "string", "by": "string", "confirmed": "boolean", "attempts": "integer", "value": "string?" } "A slot was filled, by `words` or by `keys`; there is no value where the transcript is redacted, nor of a secret slot.",
    SlotRefused "slot.refused" { "slot": "string", "reason": "string", "attempt": "integer", "gave_up": "boolean" } "What was given for a slot is no valid value of it, or was not confirmed; after as many attempts as the agent allows it was given up.",
    SlotsCollected "slots.collected" { "filled": "object", "missing": "object" } "What the call collected, at its end: values of the slots that were filled (`null` where they are secret or redacted), and of those that were not whether they are required.",
    Concealed "concealed" { "slot": "string" } "From here on nobody is told what the caller says or presses, and the caller's voice is in no recording.",
    Revealed "revealed" { "slot": "string", "outcome": "string" } "The caller is heard again; `filled`, `refused`, `timeout`, `cancelled`.",
    MessageRecorded "message.recorded" { "duration_ms": "integer" } "The caller left a message, which is in the call's recording.",
    SurvivalEntered "survival.entered" { "kind": "string", "by": "string" } "Every provider of a kind is gone; what stands in for them: `engines`, `menu`, `transfer` or `nothing`.",
    SurvivalLeft "survival.left" { "kind": "string", "after_ms": "integer" } "Providers of that kind are back.",
}

impl EventType {
    /// The type of a stable name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.name() == name)
    }

    /// Whether events of the type are kept: stored, sent to the control plane and counted by `seq`. The others are only
    /// shown while they are true, because a later event says the same for good.
    #[must_use]
    pub const fn is_kept(self) -> bool {
        !matches!(self, Self::TranscriptPartial)
    }

    /// JSON Schema of the type's `data`; further fields may appear in later versions.
    #[must_use]
    pub fn data_schema(self) -> Value {
        let mut properties = serde_json::Map::new();
        let mut required = Vec::new();
        for (field, kind) in self.fields() {
            let base = kind.trim_end_matches('?');
            properties.insert((*field).to_owned(), serde_json::json!({ "type": base }));
            if base == *kind {
                required.push(*field);
            }
        }
        serde_json::json!({
            "title": self.name(), "description": self.description(), "type": "object",
            "properties": properties, "required": required,
        })
    }

    /// Fields of `data` that are missing or of another type than the registry says.
    #[must_use]
    pub fn violations(self, data: &Value) -> Vec<String> {
        let mut found = Vec::new();
        for (field, kind) in self.fields() {
            let base = kind.trim_end_matches('?');
            match data.get(field) {
                None | Some(Value::Null) if base != *kind => {}
                None => found.push(format!("{}: `{field}` is missing", self.name())),
                Some(value) => {
                    let fits = match base {
                        "string" => value.is_string(),
                        "integer" => value.is_u64() || value.is_i64(),
                        "number" => value.is_number(),
                        "boolean" => value.is_boolean(),
                        "array" => value.is_array(),
                        _ => value.is_object(),
                    };
                    if !fits {
                        found.push(format!("{}: `{field}` should be {base}", self.name()));
                    }
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        for &event in EventType::ALL {
            assert_eq!(EventType::from_name(event.name()), Some(event));
            assert_eq!(event.data_schema()["title"], event.name());
        }
    }

    #[test]
    fn data_that_lacks_a_field_is_reported() {
        let missing = EventType::DtmfReceived.violations(&serde_json::json!({ "digit": 5 }));
        assert_eq!(missing, ["dtmf.received: `digit` should be string"]);
        assert!(EventType::TranscriptFinal.violations(&serde_json::json!({ "text": "yes" })).is_empty());
    }
}
