//! `survival`: what a caller gets when every provider of a kind is gone, and the lines an agent always has ready.

use serde::{Deserialize, Serialize};

use crate::AgentSpec;
use crate::agent::{FailureAction, ProviderRef};

/// Most lines that are rendered beforehand for an agent.
pub const MOST_FIXED_LINES: usize = 256;
/// Longest line that is, in bytes: a minute of speech.
const LONGEST_LINE: usize = 1000;

/// What a caller gets when every provider of a kind is gone; lines are in the agent's language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Survival {
    /// Said while the next provider is tried.
    pub bridge: String,
    /// Asked of a silent caller.
    pub still_there: String,
    /// Said before hanging up on a silent caller.
    pub goodbye: String,
    /// Said when every provider failed, before the hang-up or transfer.
    pub unavailable: String,
    /// Said when the conversation goes on that a menu stood in for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restored: String,
    /// The menu that stands in for the conversation meanwhile.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub menu: String,
    /// Number or SIP URI of a human, where there is no such menu.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub transfer_to: String,
    /// Providers that are asked when all of the agent's lists have failed: those on the premises.
    #[serde(skip_serializing_if = "SurvivalEngines::is_empty")]
    pub engines: SurvivalEngines,
    /// Whether fixed lines are always played as they were rendered beforehand, and not only when there is no synthesiser:
    /// they begin at once and cost nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub prerendered: bool,
}

impl Default for Survival {
    fn default() -> Self {
        Self {
            bridge: "One moment, please.".to_owned(),
            still_there: "Are you still there?".to_owned(),
            goodbye: "I cannot hear you, so I will end the call. Goodbye.".to_owned(),
            unavailable: "I am sorry, our service is not available right now. Please call again later.".to_owned(),
            restored: String::new(),
            menu: String::new(),
            transfer_to: String::new(),
            engines: SurvivalEngines::default(),
            prerendered: false,
        }
    }
}

/// Providers behind those of the agent's lists.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SurvivalEngines {
    /// Recognisers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asr: Vec<ProviderRef>,
    /// Language models.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub llm: Vec<ProviderRef>,
    /// Synthesisers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tts: Vec<ProviderRef>,
}

impl SurvivalEngines {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.asr.is_empty() && self.llm.is_empty() && self.tts.is_empty()
    }
}

/// What is wrong, each with its RFC 6901 pointer and what was expected.
pub(crate) fn problems(survival: &Survival) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let engines = &survival.engines;
    for (list, refs) in [("asr", &engines.asr), ("llm", &engines.llm), ("tts", &engines.tts)] {
        if refs.len() > 8 || refs.iter().any(|entry| !(1..=100).contains(&entry.provider.len())) {
            let message = "expected at most 8 providers with names of 1 to 100 characters";
            found.push((format!("/survival/engines/{list}"), message.to_owned()));
        }
    }
    found
}

impl AgentSpec {
    /// The lines that an agent says as they stand: each once, with its variables filled in where the agent has them, and
    /// none that tools would have to fill. At most [`MOST_FIXED_LINES`], the most wanted first.
    #[must_use]
    pub fn fixed_lines(&self) -> Vec<String> {
        let survival = &self.survival;
        let mut lines: Vec<&str> = vec![
            &self.greeting,
            &survival.unavailable,
            &survival.bridge,
            &survival.still_there,
            &survival.goodbye,
            &survival.restored,
        ];
        lines.extend(self.speech.fillers.iter().map(String::as_str));
        for menu in self.menus.values() {
            lines.extend([menu.prompt.as_str(), menu.invalid_say.as_str()]);
            let actions = menu.options.iter().map(|option| &option.action).chain(&menu.on_timeout);
            lines.extend(actions.filter_map(|action| action.line()));
        }
        for slot in &self.slots {
            lines.push(&slot.prompt);
            lines.extend(slot.on_failure.iter().filter_map(|action| action.line()));
        }
        for action in self.failures.values() {
            match action {
                FailureAction::Say { text } | FailureAction::HangUp { text } => lines.push(text),
                FailureAction::NextProvider { bridge } => lines.push(bridge),
                FailureAction::Transfer { .. } | FailureAction::Record => {}
            }
        }
        let mut fixed: Vec<String> = Vec::new();
        for line in lines {
            let mut line = line.trim().to_owned();
            for (name, value) in &self.variables {
                line = line.replace(&format!("{{{name}}}"), value);
            }
            let says = line.chars().any(char::is_alphanumeric) && line.len() <= LONGEST_LINE;
            if says && !line.contains('{') && !fixed.contains(&line) && fixed.len() < MOST_FIXED_LINES {
                fixed.push(line);
            }
        }
        fixed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_need_nobody_else_are_fixed() {
        let spec: AgentSpec = serde_json::from_str(
            r#"{"name":"a","greeting":" Hello from {firm}. ","variables":{"firm":"Acme"},
                "pipeline":{"cascade":{"tts":[{"provider":"espeak"}]}},
                "speech":{"fillers":["One moment, please.","Hold on, {caller}."]},
                "menus":{"main":{"prompt":"One for sales.","options":[
                  {"key":"1","label":"sales","action":{"action":"say","text":"We sell."}}]}}}"#,
        )
        .unwrap();
        let lines = spec.fixed_lines();
        assert_eq!(lines[0], "Hello from Acme.");
        assert_eq!(lines.iter().filter(|line| *line == "One moment, please.").count(), 1);
        assert!(lines.contains(&"One for sales.".to_owned()) && lines.contains(&"We sell.".to_owned()));
        assert!(!lines.iter().any(|line| line.contains("Hold on")), "{lines:?}");
    }
}
