//! The rolling summary: before the oldest exchanges would be left out, the model sums them up in a request of its own,
//! begun while the caller waits for nothing. While it is out, and when it fails, they are left out as they are.

use serde_json::json;
use trunkline_api::words::{Message, ProviderKind, RedactionChannel, Role};
use trunkline_api::{EventType, Failure};
use trunkline_leg::CallTime;

use super::{Dialogue, Effects};
use crate::command::Command;
use crate::input::LlmEvent;
use crate::memory::Oldest;
use crate::spoken::WHOLE;
use crate::timers::Reason;
use crate::tokens;

/// Percent of the room for the conversation at which it is summed up, and what is to be left then: between them lie
/// several turns, so that a call pays for few summaries.
const HIGH_WATER: u64 = 75;
const LOW_WATER: u64 = 40;
/// Longest wait for a summary: nobody is waiting.
const WAIT_MS: u64 = 15_000;
/// Pause after one that failed.
const AGAIN_MS: u64 = 60_000;
/// Most bytes of a summary; a model that says more than it may is cut off.
const MAX_BYTES: usize = 16 * 1024;
/// Tokens that the request takes beside the transcript.
const AROUND: u64 = 300;

/// Where a summary is.
#[derive(Debug, Default)]
pub(super) struct Summing {
    out: Option<Out>,
    /// None is begun before.
    not_before: CallTime,
    /// Tokens that the conversation may take, by the last request.
    room: u64,
}

#[derive(Debug)]
struct Out {
    request: u32,
    index: usize,
    oldest: Oldest,
    text: String,
    /// The redaction it waits for.
    ticket: Option<u64>,
}

impl Dialogue {
    /// The conversation may take so many tokens, by the estimate as it is believed now.
    pub(super) const fn has_room(&mut self, tokens: u64) {
        self.summing.room = tokens;
    }

    /// The caller waits for nothing: sums up what is old, when there is too much of it.
    pub(super) fn sum_up(&mut self, fx: &mut Effects) {
        let policy = &self.spec.context;
        let room = self.summing.room;
        let may = policy.summarize && room > 0 && self.summing.out.is_none() && fx.now() >= self.summing.not_before;
        // Nobody is told anything while the caller is asked for a secret, and nothing gets old in a menu.
        if !may || self.closing || self.mind.is_empty() || self.keypad.is_away() {
            return;
        }
        let have = self.memory.tokens();
        if have * 100 < room * HIGH_WATER {
            return;
        }
        let before = tokens::of_text(self.memory.summary());
        let reply = u64::from(policy.summary_tokens);
        let most =
            self.mind.meter().raw(u64::from(policy.max_tokens).saturating_sub(reply)).saturating_sub(before + AROUND);
        let keep = policy.keep_turns as usize;
        let Some(oldest) = self.memory.oldest(keep, room * LOW_WATER / 100, most) else { return };
        let index = self.mind.models().choice(fx.now());
        let Some(provider) = self.mind.models().get(index).cloned() else { return };
        let words = (policy.summary_tokens * 2 / 3).max(20);
        let mut task = format!(
            "Sum up this telephone conversation for the agent who goes on with it, in at most {words} words and in the \
             language that is spoken. Keep names, numbers, dates, what was agreed, what tools answered and what is still \
             open; leave out greetings. Reply with the summary alone."
        );
        crate::spoken::join(&mut task, &policy.summary_prompt);
        let mut text = String::new();
        if !self.memory.summary().is_empty() {
            text = format!("What was said before, in short: {}\n\n", self.memory.summary());
        }
        text.push_str(&oldest.transcript);
        let messages = vec![Message::text(Role::System, task), Message::text(Role::User, text)];
        let request = self.mind.request_aside(messages.iter().map(tokens::of_message).sum());
        let max_tokens = policy.summary_tokens;
        fx.command(Command::StartLlm { request, index, provider, messages, tools: Vec::new(), max_tokens });
        fx.set_in(Reason::Summary, WAIT_MS);
        self.summing.out = Some(Out { request, index, oldest, text: String::new(), ticket: None });
    }

    /// A request reports something; false when it is no summary's.
    pub(super) fn summed(&mut self, fx: &mut Effects, request: u32, event: &LlmEvent) -> bool {
        let Some(out) = self.summing.out.as_mut().filter(|out| out.request == request) else { return false };
        match event {
            _ if out.ticket.is_some() => {}
            LlmEvent::Started | LlmEvent::ToolCall(_) => {}
            LlmEvent::TextDelta(text) => {
                out.text.push_str(text);
                if out.text.len() > MAX_BYTES {
                    fx.command(Command::CancelLlm { request });
                    let end = (0..=MAX_BYTES).rev().find(|&at| out.text.is_char_boundary(at)).unwrap_or(0);
                    out.text.truncate(end);
                    self.summary_is_whole(fx);
                }
            }
            LlmEvent::Finished(_) => self.summary_is_whole(fx),
            LlmEvent::Failed { failure, detail } => self.summary_lost(fx, *failure, detail, false),
        }
        true
    }

    /// A summary is back from the redactor; false when it is another text.
    pub(super) fn summary_redacted(&mut self, fx: &mut Effects, ticket: u64, text: &str) -> bool {
        let ours = self.summing.out.as_ref().is_some_and(|out| out.ticket == Some(ticket));
        if ours {
            self.take_summary(fx, text);
        }
        ours
    }

    /// The model owed a summary for too long.
    pub(super) fn summary_overdue(&mut self, fx: &mut Effects) {
        self.summary_lost(fx, Failure::LlmTimeout, "no summary in time", true);
    }

    /// Nobody wants a summary any more.
    pub(super) fn stop_summing(&mut self, fx: &mut Effects) {
        fx.clear(Reason::Summary);
        if let Some(out) = self.summing.out.take()
            && out.ticket.is_none()
        {
            fx.command(Command::CancelLlm { request: out.request });
        }
    }

    fn summary_is_whole(&mut self, fx: &mut Effects) {
        fx.clear(Reason::Summary);
        let Some(out) = &mut self.summing.out else { return };
        let text = out.text.trim().to_owned();
        if text.is_empty() {
            self.summary_lost(fx, Failure::LlmUnavailable, "an empty summary", false);
            return;
        }
        out.ticket = fx.redact(RedactionChannel::LlmOutput, &text);
        if out.ticket.is_none() {
            self.take_summary(fx, &text);
        }
    }

    fn take_summary(&mut self, fx: &mut Effects, text: &str) {
        let Some(out) = self.summing.out.take() else { return };
        let data = json!({ "messages": out.oldest.messages, "tokens": out.oldest.tokens });
        fx.words_event(EventType::ContextSummarised, data, "summary", vec![(text.to_owned(), WHOLE)]);
        self.memory.summed_up(out.oldest.until, text.to_owned());
    }

    fn summary_lost(&mut self, fx: &mut Effects, failure: Failure, detail: &str, open: bool) {
        fx.clear(Reason::Summary);
        let Some(out) = self.summing.out.take() else { return };
        if open {
            fx.command(Command::CancelLlm { request: out.request });
        }
        self.summing.not_before = fx.now().plus_ms(AGAIN_MS);
        let provider = self.mind.models().name_of(out.index).to_owned();
        fx.raise(failure, &provider, &format!("no summary of the conversation: {detail}"), "record");
    }

    /// A provider was sent so many tokens.
    pub(crate) fn used(&mut self, kind: ProviderKind, units: &trunkline_api::usage::Units) {
        if kind == ProviderKind::Llm {
            self.mind.meter().reported(units.tokens_in);
        }
    }
}
