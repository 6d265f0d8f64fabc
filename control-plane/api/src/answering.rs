//! `answering`: what an agent does about whoever answers a call that it places: a human, a machine, a menu, an assistant
//! that asks who is calling.

use serde::{Deserialize, Serialize};

/// Who or what answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answerer {
    /// Somebody.
    Human,
    /// A machine that records.
    Machine,
    /// A menu of keys.
    Ivr,
    /// An assistant that asks who is calling and why.
    Screening,
    /// A fax or modem.
    Fax,
    /// The network says that the number cannot be reached.
    Unavailable,
    /// It did not become clear.
    Unknown,
}

impl Answerer {
    /// Its name in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Machine => "machine",
            Self::Ivr => "ivr",
            Self::Screening => "screening",
            Self::Fax => "fax",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
        }
    }
}

/// What is done about a machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum MachineAction {
    /// The agent hangs up.
    #[default]
    HangUp,
    /// It says this after the beep, and hangs up.
    LeaveMessage {
        /// The message; names in braces are variables.
        text: String,
    },
    /// It talks on.
    Continue,
}

/// What is done about a menu of keys.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum IvrAction {
    /// The agent talks on.
    #[default]
    Continue,
    /// Its model is told, and may press keys (`send_dtmf`).
    Navigate,
    /// It hangs up.
    HangUp,
}

/// What is done about an assistant that asks who is calling.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScreeningAction {
    /// The model answers.
    #[default]
    Continue,
    /// The agent says this, and waits for whoever comes.
    Say {
        /// Who calls and why; names in braces are variables.
        text: String,
    },
    /// It hangs up.
    HangUp,
}

/// What is done about whoever answers. It runs beside the conversation: a human is greeted at once and never waits for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AnsweringPolicy {
    /// Whether it is also done on calls that come in.
    pub inbound: bool,
    /// How long the agent waits for whoever answered to say something before it greets, 0..=5000 ms; it greets as soon as
    /// they have. 0 greets at once.
    pub hello_ms: u32,
    /// A machine.
    pub machine: MachineAction,
    /// A menu of keys.
    pub ivr: IvrAction,
    /// An assistant that asks who is calling.
    pub screening: ScreeningAction,
    /// Silence after a machine's greeting for which no beep is waited any longer, 500..=10000 ms.
    pub no_beep_ms: u32,
    /// Longest wait for a machine's greeting to end, 5000..=120000 ms.
    pub greeting_ms: u32,
    /// Speech without a pause after which it is a machine that speaks, 2000..=15000 ms.
    pub monologue_ms: u32,
    /// Whose tones the network has: `US`, `EU`, `DE`, `GB`, `IN`, `FR`, `ES`, `IT`, `CN`, `JP`.
    pub region: String,
}

impl Default for AnsweringPolicy {
    fn default() -> Self {
        Self {
            inbound: false,
            hello_ms: 1500,
            machine: MachineAction::default(),
            ivr: IvrAction::default(),
            screening: ScreeningAction::default(),
            no_beep_ms: 2500,
            greeting_ms: 45_000,
            monologue_ms: 4500,
            region: "EU".to_owned(),
        }
    }
}

impl AnsweringPolicy {
    /// What is out of range, each with its RFC 6901 pointer and what was expected.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, &'static str)> {
        const REGIONS: [&str; 10] = ["US", "EU", "DE", "GB", "IN", "FR", "ES", "IT", "CN", "JP"];
        let long = |text: &str| text.len() > 4000;
        let message = match &self.machine {
            MachineAction::LeaveMessage { text } => !text.trim().is_empty() && !long(text),
            MachineAction::HangUp | MachineAction::Continue => true,
        };
        let who = match &self.screening {
            ScreeningAction::Say { text } => !text.trim().is_empty() && !long(text),
            ScreeningAction::Continue | ScreeningAction::HangUp => true,
        };
        let checks = [
            (self.hello_ms <= 5000, "hello_ms", "expected 0 to 5000"),
            (message, "machine/text", "expected 1 to 4000 bytes"),
            (who, "screening/text", "expected 1 to 4000 bytes"),
            ((500..=10_000).contains(&self.no_beep_ms), "no_beep_ms", "expected 500 to 10000"),
            ((5000..=120_000).contains(&self.greeting_ms), "greeting_ms", "expected 5000 to 120000"),
            ((2000..=15_000).contains(&self.monologue_ms), "monologue_ms", "expected 2000 to 15000"),
            (
                REGIONS.contains(&self.region.as_str()),
                "region",
                "expected one of US, EU, DE, GB, IN, FR, ES, IT, CN and JP",
            ),
        ];
        let wrong = checks.into_iter().filter(|(holds, ..)| !holds);
        wrong.map(|(_, pointer, message)| (format!("/answering/{pointer}"), message)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_written_by_its_name_and_its_text_is_checked() {
        let text = r#"{"machine":{"action":"leave_message","text":"Please call {number}."},"ivr":"navigate"}"#;
        let policy: AnsweringPolicy = serde_json::from_str(text).unwrap();
        assert_eq!(policy.machine, MachineAction::LeaveMessage { text: "Please call {number}.".to_owned() });
        assert!(policy.problems().is_empty());
        let text = r#"{"machine":{"action":"leave_message","text":" "},"region":"XX","hello_ms":6000}"#;
        let wrong: AnsweringPolicy = serde_json::from_str(text).unwrap();
        let pointers: Vec<_> = wrong.problems().into_iter().map(|(pointer, _)| pointer).collect();
        assert_eq!(pointers, ["/answering/hello_ms", "/answering/machine/text", "/answering/region"]);
        assert!(serde_json::from_str::<AnsweringPolicy>(r#"{"machine":{"action":"shout"}}"#).is_err());
    }
}
