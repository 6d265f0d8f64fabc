//! Guardrails: what a caller may say to the model, what the model may say to a caller, and how often.

use serde::{Deserialize, Serialize};

use crate::pattern::{Pattern, Phrase};

/// Most rules of a side, and most phrases or patterns of a rule.
const MOST: usize = 64;

/// What is checked before the model sees it and before the caller hears it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Guardrails {
    /// Rules for what the caller said, checked in order before the model is asked; at most 64.
    pub input: Vec<GuardRule>,
    /// Rules for what the model says, checked in order for each sentence before it is spoken and remembered; at most 64.
    pub output: Vec<GuardRule>,
    /// What the agent must not speak about: the model is told so, and a sentence with one of these is not said; at most 64.
    #[schemars(with = "Vec<String>")]
    #[schema(value_type = Vec<String>)]
    pub topics: Vec<Phrase>,
    /// Said in place of a sentence about one of `topics`.
    pub refusal: String,
    /// How often the same sentence may be given as an answer in turns that follow one another, 2..=20, or 0 for ever; the
    /// next time is the failure `agent_repeats`. Sentences of less than 12 letters are not counted.
    pub max_repeats: u32,
    /// Most turns of a call, 1..=10000, or 0 for any number; the next is the failure `too_many_turns`.
    pub max_turns: u32,
}

impl Default for Guardrails {
    fn default() -> Self {
        Self {
            input: Vec::new(),
            output: Vec::new(),
            topics: Vec::new(),
            refusal: "I am sorry, I cannot speak about that.".to_owned(),
            max_repeats: 0,
            max_turns: 0,
        }
    }
}

/// A rule: it applies where one of its phrases or patterns is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardRule {
    /// Name in events, 1..=100 characters.
    pub name: String,
    /// Words, found whole and in any case; at most 64.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    #[schema(value_type = Vec<String>)]
    pub phrases: Vec<Phrase>,
    /// Regular expressions, in any case; at most 64.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    #[schema(value_type = Vec<String>)]
    pub patterns: Vec<Pattern>,
    /// What is done.
    pub action: GuardAction,
}

/// What is done about a text that a rule applies to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GuardAction {
    /// The model does not see it, or the caller does not hear it and what would have followed; this is said instead.
    Block {
        /// The line.
        say: String,
    },
    /// What was found is replaced, and the rest goes on.
    Replace {
        /// Stands in its place.
        with: String,
    },
    /// Say a line, when not empty, and hang up.
    HangUp {
        /// The line.
        #[serde(default)]
        text: String,
    },
    /// Hand the call to another agent.
    HandOff {
        /// Name of an entry of `handoff.agents`.
        to: String,
    },
    /// Transfer to a human.
    Transfer {
        /// Number or SIP URI.
        to: String,
    },
}

impl GuardAction {
    /// Its name in events.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Block { .. } => "block",
            Self::Replace { .. } => "replace",
            Self::HangUp { .. } => "hang_up",
            Self::HandOff { .. } => "hand_off",
            Self::Transfer { .. } => "transfer",
        }
    }
}

impl GuardRule {
    /// Whether the rule applies to a text.
    #[must_use]
    pub fn applies(&self, text: &str) -> bool {
        self.phrases.iter().any(|phrase| phrase.is_in(text)) || self.patterns.iter().any(|pattern| pattern.is_in(text))
    }

    /// The text with all that was found replaced.
    #[must_use]
    pub fn replaced(&self, text: &str, with: &str) -> String {
        let text = self.phrases.iter().fold(text.to_owned(), |text, phrase| phrase.replaced(&text, with));
        self.patterns.iter().fold(text, |text, pattern| pattern.replaced(&text, with))
    }
}

impl Guardrails {
    /// Whether nothing was chosen.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is out of range, each with its RFC 6901 pointer and what was expected; `others` are the names of agents that
    /// calls can be handed to.
    pub(crate) fn problems(&self, others: &[&str]) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (side, rules) in [("input", &self.input), ("output", &self.output)] {
            if rules.len() > MOST {
                found.push((format!("/guardrails/{side}"), format!("expected at most {MOST} rules")));
            }
            for (index, rule) in rules.iter().enumerate() {
                rule.problems(&format!("/guardrails/{side}/{index}"), others, &mut found);
            }
        }
        if self.topics.len() > MOST {
            found.push(("/guardrails/topics".to_owned(), format!("expected at most {MOST}")));
        }
        for (index, topic) in self.topics.iter().enumerate() {
            found.extend(topic.problem().map(|problem| (format!("/guardrails/topics/{index}"), problem)));
        }
        let mut expect = |holds: bool, field: &str, message: &str| {
            if !holds {
                found.push((format!("/guardrails/{field}"), message.to_owned()));
            }
        };
        expect(self.refusal.len() <= 1000, "refusal", "expected at most 1000 bytes");
        expect(matches!(self.max_repeats, 0 | 2..=20), "max_repeats", "expected 2 to 20, or 0");
        expect(self.max_turns <= 10_000, "max_turns", "expected 1 to 10000, or 0");
        found
    }
}

impl GuardRule {
    fn problems(&self, at: &str, others: &[&str], found: &mut Vec<(String, String)>) {
        if !(1..=100).contains(&self.name.chars().count()) {
            found.push((format!("{at}/name"), "expected 1 to 100 characters".to_owned()));
        }
        if self.phrases.len() + self.patterns.len() == 0 {
            found.push((at.to_owned(), "expected at least one phrase or pattern".to_owned()));
        }
        if self.phrases.len().max(self.patterns.len()) > MOST {
            found.push((at.to_owned(), format!("expected at most {MOST} phrases and as many patterns")));
        }
        for (index, phrase) in self.phrases.iter().enumerate() {
            found.extend(phrase.problem().map(|problem| (format!("{at}/phrases/{index}"), problem)));
        }
        for (index, pattern) in self.patterns.iter().enumerate() {
            found.extend(pattern.problem().map(|problem| (format!("{at}/patterns/{index}"), problem)));
        }
        let text = match &self.action {
            GuardAction::Block { say } => say,
            GuardAction::Replace { with } => with,
            GuardAction::HangUp { text } => text,
            GuardAction::HandOff { to } | GuardAction::Transfer { to } => to,
        };
        if text.len() > 1000 {
            found.push((format!("{at}/action"), "expected at most 1000 bytes".to_owned()));
        }
        if let GuardAction::HandOff { to } = &self.action
            && !others.contains(&to.as_str())
        {
            found.push((
                format!("{at}/action/hand_off/to"),
                "expected the name of an entry of `handoff.agents`".to_owned(),
            ));
        }
    }
}
