//! Usage: raw integer units per provider, recorded at the edge, priced in the control plane only.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::id::Id;
use crate::stages::StageTimes;

/// Format number of [`CallRecord`]; readers take this and the one before.
pub const CALL_RECORD_FORMAT: u32 = 1;
/// Format number of [`RenderingRecord`].
pub const RENDERING_RECORD_FORMAT: u32 = 1;

/// Raw units. Integers only; money exists in the control plane.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(default)]
pub struct Units {
    /// Milliseconds of connected call.
    pub call_ms: u64,
    /// Milliseconds of sound sent to a recogniser.
    pub asr_ms: u64,
    /// Characters synthesised.
    pub tts_chars: u64,
    /// Model input tokens.
    pub tokens_in: u64,
    /// Model output tokens.
    pub tokens_out: u64,
    /// Model input tokens served from a cache.
    pub tokens_cached: u64,
    /// Microseconds of plugin execution.
    pub plugin_us: u64,
}

impl Units {
    /// Adds `other`, saturating.
    pub fn add(&mut self, other: &Self) {
        self.call_ms = self.call_ms.saturating_add(other.call_ms);
        self.asr_ms = self.asr_ms.saturating_add(other.asr_ms);
        self.tts_chars = self.tts_chars.saturating_add(other.tts_chars);
        self.tokens_in = self.tokens_in.saturating_add(other.tokens_in);
        self.tokens_out = self.tokens_out.saturating_add(other.tokens_out);
        self.tokens_cached = self.tokens_cached.saturating_add(other.tokens_cached);
        self.plugin_us = self.plugin_us.saturating_add(other.plugin_us);
    }
}

/// Units of one provider in one call; provider `""` holds the call's own (`call_ms`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct ProviderUsage {
    /// Provider name as in the agent's pipeline; empty for the call itself.
    pub provider: String,
    /// `call`, `asr`, `llm`, `tts`, `tool`, `redactor` or `realtime`.
    pub kind: String,
    /// What it used.
    pub units: Units,
}

/// Which way a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallDirection {
    /// Into the gateway.
    Inbound,
    /// Out of the gateway.
    Outbound,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The caller hung up.
    CallerHungUp,
    /// The agent hung up.
    AgentHungUp,
    /// An operator hung up (`trunkline hangup`, REST).
    OperatorHungUp,
    /// The call was passed on to somebody else, and ended without the agent.
    Transferred,
    /// The gateway drained.
    Drained,
    /// A named failure ended it.
    Failed,
}

/// An agent that a call was handed to by the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HandedTo {
    /// The agent.
    #[schemars(with = "String")]
    pub agent: Id,
    /// The version it went on with.
    pub agent_version: u32,
    /// When, in microseconds since the Unix epoch.
    pub at_us: u64,
}

/// One call's record: journalled open at the answer, checkpointed every 30 s, closed at the end. Closed records
/// form the `usage` stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CallRecord {
    /// [`CALL_RECORD_FORMAT`].
    pub format: u32,
    /// The call.
    #[schemars(with = "String")]
    pub call: Id,
    /// The tenant.
    #[schemars(with = "String")]
    pub tenant: Id,
    /// The agent that answered.
    #[schemars(with = "String")]
    pub agent: Id,
    /// The agent's version the call was answered with.
    pub agent_version: u32,
    /// Agents that it was handed to since, in order; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handed_to: Vec<HandedTo>,
    /// The trunk it came or went by.
    #[schemars(with = "Option<String>")]
    pub trunk: Option<Id>,
    /// Which way.
    pub direction: CallDirection,
    /// Calling number or URI user.
    pub from: String,
    /// Called number or URI user.
    pub to: String,
    /// Microseconds since the Unix epoch of the answer.
    pub answered_us: u64,
    /// Microseconds since the Unix epoch of the end; `None` while open.
    pub ended_us: Option<u64>,
    /// How it ended; `None` while open.
    pub end: Option<EndReason>,
    /// The failure behind `end = failed`.
    pub failure: Option<Failure>,
    /// Usage so far.
    pub usage: Vec<ProviderUsage>,
    /// Recording path relative to the gateway's state folder, when there is one.
    pub recording: Option<String>,
    /// Number of turns.
    pub turns: u32,
    /// Where the time of its turns went, a row a stage; of the last 256 turns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageTimes>,
}

impl CallRecord {
    /// Adds `units` to the entry of `provider` and `kind`, making it when absent.
    pub fn add_usage(&mut self, provider: &str, kind: &str, units: &Units) {
        match self.usage.iter_mut().find(|entry| entry.provider == provider && entry.kind == kind) {
            Some(entry) => entry.units.add(units),
            None => {
                self.usage.push(ProviderUsage { provider: provider.to_owned(), kind: kind.to_owned(), units: *units })
            }
        }
    }

    /// Sum over every provider.
    #[must_use]
    pub fn total(&self) -> Units {
        let mut total = Units::default();
        for entry in &self.usage {
            total.add(&entry.units);
        }
        total
    }
}

/// What it took to render one line of an agent beforehand, in no call. It is written once for every time a synthesiser
/// was asked, whatever came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RenderingRecord {
    /// [`RENDERING_RECORD_FORMAT`].
    pub format: u32,
    /// The rendering, `rnd_...`.
    #[schemars(with = "String")]
    pub rendering: Id,
    /// The tenant.
    #[schemars(with = "String")]
    pub tenant: Id,
    /// The agent whose line it is; of several with the same line and voice, one.
    #[schemars(with = "String")]
    pub agent: Id,
    /// The agent's version.
    pub agent_version: u32,
    /// Microseconds since the Unix epoch at which it was done.
    pub rendered_us: u64,
    /// What the synthesiser used, as in a call.
    pub usage: Vec<ProviderUsage>,
}

/// A record of the `usage` stream. What it is follows from the name of its id: `call` or `rendering`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum UsageRecord {
    /// A call.
    Call(Box<CallRecord>),
    /// A line that was rendered beforehand.
    Rendering(RenderingRecord),
}

impl UsageRecord {
    /// What was used.
    #[must_use]
    pub fn usage(&self) -> &[ProviderUsage] {
        match self {
            Self::Call(call) => &call.usage,
            Self::Rendering(rendering) => &rendering.usage,
        }
    }

    /// When it was over, in microseconds since the Unix epoch.
    #[must_use]
    pub fn over_us(&self) -> u64 {
        match self {
            Self::Call(call) => call.ended_us.unwrap_or(call.answered_us),
            Self::Rendering(rendering) => rendering.rendered_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_the_stream_is_known_by_its_id() {
        let id = |prefix| Id::mint(prefix, 1, [1; 10]);
        let usage = vec![ProviderUsage {
            provider: "voice".to_owned(),
            kind: "tts".to_owned(),
            units: Units { tts_chars: 12, ..Units::default() },
        }];
        let rendering = RenderingRecord {
            format: RENDERING_RECORD_FORMAT,
            rendering: id(crate::Prefix::Rendering),
            tenant: id(crate::Prefix::Tenant),
            agent: id(crate::Prefix::Agent),
            agent_version: 2,
            rendered_us: 5,
            usage,
        };
        let text = serde_json::to_string(&rendering).unwrap();
        let read: UsageRecord = serde_json::from_str(&text).unwrap();
        assert_eq!((read.over_us(), read.usage()), (5, &rendering.usage[..]));
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert!(serde_json::from_str::<CallRecord>(&text).is_err());
        let call = serde_json::json!({
            "format": 1, "call": id(crate::Prefix::Call), "tenant": id(crate::Prefix::Tenant), "agent": id(crate::Prefix::Agent),
            "agent_version": 1, "trunk": null, "direction": "inbound", "from": "", "to": "", "answered_us": 3, "ended_us": 9,
            "end": null, "failure": null, "usage": [], "recording": null, "turns": 0,
        });
        let read: UsageRecord = serde_json::from_value(call).unwrap();
        assert!(matches!(&read, UsageRecord::Call(call) if call.handed_to.is_empty()) && read.over_us() == 9);
    }
}
