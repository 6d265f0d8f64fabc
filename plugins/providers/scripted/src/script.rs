//! The dialogue as it is written in the agent's settings.

use std::collections::BTreeMap;

use serde::Deserialize;
use trunkline_plugin_kit::ErrorCode;

/// A whole dialogue: rules in order, the first whose condition holds answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Script {
    /// Rules in order.
    pub(crate) rules: Vec<Rule>,
    /// What to answer when no rule holds.
    pub(crate) fallback: Reply,
    /// What to answer to a tool's result when no rule with `tool` holds.
    pub(crate) after_tool: Reply,
    /// Values for `{var:NAME}`.
    pub(crate) variables: BTreeMap<String, String>,
    /// Words in one streamed event; at least 1.
    pub(crate) words_per_event: u32,
    /// Pause between streamed events, in milliseconds.
    pub(crate) event_interval_ms: u32,
    /// Pause before the first event, in milliseconds.
    pub(crate) first_token_delay_ms: u32,
    /// The name of the tool that `hang_up` calls.
    pub(crate) hang_up_tool: String,
    /// Fails after this many streamed events.
    pub(crate) fail_after: Option<u32>,
    /// The error that `fail_after` reports.
    pub(crate) fail_with: Fault,
    /// Goes silent for ever before the first event.
    pub(crate) stall: bool,
    /// Goes silent for ever after this many streamed events.
    pub(crate) stall_after: Option<u32>,
    /// Turns in which `fail_after`, `stall` and `stall_after` apply; empty means all.
    pub(crate) fault_turns: Vec<u32>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            fallback: Reply { say: "You said: {heard}.".to_owned(), ..Reply::default() },
            after_tool: Reply { say: "{tool_output}".to_owned(), ..Reply::default() },
            variables: BTreeMap::new(),
            words_per_event: 1,
            event_interval_ms: 0,
            first_token_delay_ms: 0,
            hang_up_tool: "hang_up".to_owned(),
            fail_after: None,
            fail_with: Fault::default(),
            stall: false,
            stall_after: None,
            fault_turns: Vec::new(),
        }
    }
}

/// A condition and the reply to it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Rule {
    /// All parts that are given must hold; an empty condition always holds.
    #[serde(default)]
    pub(crate) when: Condition,
    /// The reply.
    #[serde(flatten)]
    pub(crate) reply: Reply,
}

/// What the caller must have said or done.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Condition {
    /// At least one of these words or phrases was said.
    pub(crate) any: Vec<String>,
    /// Each of these words or phrases was said.
    pub(crate) all: Vec<String>,
    /// The message contains this text, whatever its case.
    pub(crate) contains: Option<String>,
    /// These keys were pressed; `any` means whichever.
    pub(crate) dtmf: Option<String>,
    /// This is the caller's n-th message, counted from 1.
    pub(crate) turn: Option<u32>,
    /// The last message is the result of this tool.
    pub(crate) tool: Option<String>,
}

/// What to do when a rule holds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Reply {
    /// What to say, with placeholders.
    pub(crate) say: String,
    /// A tool to call after speaking.
    pub(crate) call_tool: Option<ToolUse>,
    /// Ends the call after speaking, through the tool named by `hang_up_tool`.
    pub(crate) hang_up: bool,
    /// Pause before this reply, in milliseconds, on top of `first_token_delay_ms`.
    pub(crate) delay_ms: u32,
}

/// A tool call as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolUse {
    /// The tool's name.
    pub(crate) name: String,
    /// Its arguments; placeholders in strings are filled in.
    #[serde(default)]
    pub(crate) arguments: serde_json::Value,
}

/// The error a script reports on purpose.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// The service is down.
    #[default]
    Unavailable,
    /// Too many requests.
    RateLimited,
    /// No answer in time.
    Timeout,
    /// The key is not accepted.
    Unauthorized,
    /// The account has no credit left.
    QuotaExceeded,
    /// A defect on the other side.
    Internal,
}

impl From<Fault> for ErrorCode {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unavailable => Self::Unavailable,
            Fault::RateLimited => Self::RateLimited,
            Fault::Timeout => Self::Timeout,
            Fault::Unauthorized => Self::Unauthorized,
            Fault::QuotaExceeded => Self::QuotaExceeded,
            Fault::Internal => Self::Internal,
        }
    }
}
