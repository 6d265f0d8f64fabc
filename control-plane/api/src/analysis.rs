//! What is found out about a call once it is over: which questions an agent asks of it, and the bounds of the answers.

use serde::{Deserialize, Serialize};

use crate::agent::ProviderRef;

/// Most labels an agent may choose from, and the length of each in bytes.
const MOST_LABELS: usize = 100;
const LONGEST_LABEL: usize = 100;

/// A question about a call, as in `analysis` of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Analysis {
    /// What it was about and what came of it, in a few sentences.
    Summary,
    /// How it ended for the caller, one of `after_call.dispositions`.
    Disposition,
    /// What it was about, in labels.
    Topics,
    /// How content the caller was, turn by turn and over all, -1..=1.
    Sentiment,
    /// What the caller's words show of the caller's mood, turn by turn.
    Emotion,
}

impl Analysis {
    /// Every question.
    pub const ALL: [Self; 5] = [Self::Summary, Self::Disposition, Self::Topics, Self::Sentiment, Self::Emotion];

    /// Its name in `analysis` of an agent and in `call.analysed`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::Disposition => "disposition",
            Self::Topics => "topics",
            Self::Sentiment => "sentiment",
            Self::Emotion => "emotion",
        }
    }

    /// The question of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// Moods that an analysis tells apart.
pub const EMOTIONS: [&str; 8] = ["neutral", "satisfied", "happy", "confused", "anxious", "frustrated", "angry", "sad"];

/// Outcomes told apart when an agent names none of its own.
pub const DISPOSITIONS: [&str; 6] =
    ["resolved", "unresolved", "callback_requested", "transferred", "voicemail", "wrong_number"];

/// How a call is analysed once it is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AfterCall {
    /// Longest time for it, 1000..=30000 ms; the call's record is closed afterwards.
    pub wait_ms: u32,
    /// Outcomes to choose from; without any: resolved, unresolved, `callback_requested`, transferred, voicemail,
    /// `wrong_number`.
    pub dispositions: Vec<String>,
    /// Topics to choose from; without any the model names them.
    pub topics: Vec<String>,
    /// Language models that are asked; without any those of the pipeline.
    pub llm: Vec<ProviderRef>,
}

impl Default for AfterCall {
    fn default() -> Self {
        Self { wait_ms: 8000, dispositions: Vec::new(), topics: Vec::new(), llm: Vec::new() }
    }
}

impl AfterCall {
    /// Whether nothing was chosen.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is out of range, each with its RFC 6901 pointer and what was expected.
    pub(crate) fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let few = |labels: &[String]| {
            labels.len() <= MOST_LABELS && labels.iter().all(|label| (1..=LONGEST_LABEL).contains(&label.len()))
        };
        let checks = [
            ((1000..=30_000).contains(&self.wait_ms), "/after_call/wait_ms", "expected 1000 to 30000"),
            (few(&self.dispositions), "/after_call/dispositions", "expected at most 100 of 1 to 100 bytes"),
            (few(&self.topics), "/after_call/topics", "expected at most 100 of 1 to 100 bytes"),
            (self.llm.len() <= 8, "/after_call/llm", "expected at most 8 providers"),
        ];
        checks.into_iter().filter(|(holds, ..)| !holds).map(|(_, pointer, message)| (pointer, message)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_has_one_name() {
        for question in Analysis::ALL {
            assert_eq!(Analysis::from_name(question.name()), Some(question));
            assert_eq!(serde_json::to_value(question).unwrap(), question.name());
        }
        assert_eq!(Analysis::from_name("weather"), None);
    }
}
