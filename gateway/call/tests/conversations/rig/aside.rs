//! What a call asks beside its turns: summaries of what was said, and knowledge bases.

use trunkline_api::Failure;
use trunkline_api::words::{Content, FinishReason, Message};
use trunkline_call::{Input, LlmEvent, Passage};

use super::Rig;

/// How that goes.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// What a summary says; the request fails when there is none.
    pub(crate) summary: Option<String>,
    /// How long a summary takes.
    pub(crate) summary_ms: u64,
    /// Transcripts that were to be summed up.
    pub(crate) transcripts: Vec<String>,
    /// Passages that every search finds, after how long; nobody answers when there are none.
    pub(crate) passages: Option<(u64, Vec<Passage>)>,
    /// What was searched for.
    pub(crate) queries: Vec<String>,
}

/// Whether a request is for a summary.
pub(crate) fn is_summary(messages: &[Message]) -> bool {
    matches!(messages[0].content.first(), Some(Content::Text(text)) if text.starts_with("Sum up this telephone"))
}

impl Rig {
    pub(super) fn sum_up(&mut self, request: u32, messages: &[Message]) {
        self.aside.transcripts.push(super::text(&messages[1]));
        let ms = self.aside.summary_ms;
        let summary = self.aside.summary.clone();
        let mut tell = |event| self.tell_in(ms, Input::Llm { request, event });
        match summary {
            Some(text) => {
                tell(LlmEvent::TextDelta(text));
                tell(LlmEvent::Finished(FinishReason::Stop));
            }
            None => tell(LlmEvent::Failed { failure: Failure::LlmUnavailable, detail: "refused".to_owned() }),
        }
    }

    pub(super) fn look_up(&mut self, ticket: u64, query: &str) {
        self.aside.queries.push(query.to_owned());
        if let Some((ms, passages)) = self.aside.passages.clone() {
            self.tell_in(ms, Input::Found { ticket, result: Ok(passages) });
        }
    }
}
