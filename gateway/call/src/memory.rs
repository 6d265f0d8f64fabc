//! What the agent remembers of the conversation: bounded, and never more than the caller heard.

use std::collections::VecDeque;

use trunkline_api::words::{Content, Message, Role};

use crate::tokens;

/// Most messages remembered, whatever the agent's budget.
const MAX_MESSAGES: usize = 200;
/// Most bytes of text remembered.
const MAX_BYTES: usize = 64 * 1024;
/// Stands before a summary that a model is given in place of what was said.
const BEFORE: &str = "What was said before, in short:";

/// The conversation so far. Messages have serial numbers, so that a reply can be cut after it was written down.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// What was said before the first message.
    summary: String,
    messages: VecDeque<(u64, Message)>,
    bytes: usize,
    serial: u64,
}

/// The oldest exchanges, to be summed up.
#[derive(Debug)]
pub(crate) struct Oldest {
    /// The last message of them.
    pub(crate) until: u64,
    pub(crate) messages: usize,
    /// Their estimate.
    pub(crate) tokens: u64,
    /// What was said, a line each.
    pub(crate) transcript: String,
}

impl Memory {
    /// Adds a message and forgets the oldest exchanges beyond the limits.
    pub(crate) fn push(&mut self, message: Message) -> u64 {
        self.serial += 1;
        self.bytes += size(&message);
        self.messages.push_back((self.serial, message));
        while self.messages.len() > MAX_MESSAGES || self.bytes > MAX_BYTES {
            if self.forget_oldest_exchange().is_none() {
                break;
            }
        }
        self.serial
    }

    /// Adds words of the agent, to its last message when nothing came in between: calls of tools in it are to be followed
    /// by their results and by nothing else.
    pub(crate) fn push_said(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some((_, Message { role: Role::Assistant, content })) = self.messages.back_mut() {
            match content.first_mut() {
                Some(Content::Text(said)) => {
                    let before = said.len();
                    crate::spoken::join(said, text);
                    self.bytes += said.len() - before;
                }
                Some(Content::ToolCall(_) | Content::ToolResult { .. }) | None => {
                    self.bytes += text.len();
                    content.insert(0, Content::Text(text.to_owned()));
                }
            }
        } else {
            self.push(Message::text(Role::Assistant, text));
        }
    }

    /// Replaces the words of a message of the agent, keeping its tool calls.
    pub(crate) fn correct(&mut self, serial: u64, text: &str) {
        if let Some((_, message)) = self.messages.iter_mut().find(|(number, _)| *number == serial) {
            self.bytes -= size(message);
            message.content.retain(|content| !matches!(content, Content::Text(_)));
            if !text.is_empty() {
                message.content.insert(0, Content::Text(text.to_owned()));
            }
            self.bytes += size(message);
        }
    }

    /// More of what the agent said last; false when something came in between.
    pub(crate) fn goes_on_saying(&mut self, text: &str) -> bool {
        let said = self.messages.back().is_some_and(|(_, message)| message.role == Role::Assistant);
        if said {
            self.push_said(text.trim());
        }
        said
    }

    /// Words that were not known yet take the place of what stood for them.
    pub(crate) fn fill_in(&mut self, mark: &str, words: &str) {
        for (_, message) in self.messages.iter_mut().rev() {
            for content in &mut message.content {
                if let Content::Text(text) = content
                    && text.contains(mark)
                {
                    self.bytes -= text.len();
                    *text = text.replacen(mark, words, 1);
                    self.bytes += text.len();
                    return;
                }
            }
        }
    }

    /// The messages of which every call of a tool has its result.
    pub(crate) fn answered(&self) -> Vec<Message> {
        let mut messages: Vec<Message> = self.messages().cloned().collect();
        let calls = |content: &Content| matches!(content, Content::ToolCall(_));
        if let Some(last) = messages.last_mut() {
            last.content.retain(|content| !calls(content));
        }
        messages.retain(|message| !message.content.is_empty());
        messages
    }

    /// The last messages, of which the first calls tools and the second has what they answered.
    pub(crate) fn last_round(&self) -> Vec<Message> {
        self.messages.iter().rev().take(2).rev().map(|(_, message)| message.clone()).collect()
    }

    /// Takes back the caller's last message, when it is the last of all: the caller went on speaking.
    pub(crate) fn take_back(&mut self) {
        if self.messages.back().is_some_and(|(_, message)| message.role == Role::User)
            && let Some((_, message)) = self.messages.pop_back()
        {
            self.bytes -= size(&message);
        }
    }

    /// Replaces what stands for the result of a call of a tool; false when that is forgotten. Names of calls are the
    /// model's and may come again: it is the newest before `until` that counts.
    pub(crate) fn answer(&mut self, until: u64, call: &str, answer: &str) -> bool {
        let results = self.messages.iter_mut().rev().skip_while(|(serial, _)| *serial > until);
        for content in results.flat_map(|(_, message)| message.content.iter_mut().rev()) {
            if let Content::ToolResult { call_id, output } = content
                && call_id == call
            {
                self.bytes = self.bytes + answer.len() - output.len();
                answer.clone_into(output);
                return true;
            }
        }
        false
    }

    /// The messages, oldest first.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().map(|(_, message)| message)
    }

    /// What a model is told of what was said before the first message; empty when it is all there.
    pub(crate) fn preface(&self) -> String {
        if self.summary.is_empty() { String::new() } else { format!("{BEFORE} {}", self.summary) }
    }

    /// Tokens of all that, estimated.
    pub(crate) fn tokens(&self) -> u64 {
        tokens::of_text(&self.preface()) + self.messages().map(tokens::of_message).sum::<u64>()
    }

    /// Forgets the oldest exchanges until the rest takes no more than `tokens`; never the newest. Then the summary.
    pub(crate) fn fit(&mut self, tokens: u64) {
        let mut have = self.tokens();
        while have > tokens
            && let Some(forgotten) = self.forget_oldest_exchange()
        {
            have = have.saturating_sub(forgotten);
        }
        if have > tokens {
            self.summary.clear();
        }
    }

    /// The oldest exchanges but `keep`, enough of them that the rest takes no more than `left` tokens, and no more than
    /// `most` together; `None` when there are none.
    pub(crate) fn oldest(&self, keep: usize, left: u64, most: u64) -> Option<Oldest> {
        let begins: Vec<usize> =
            (0..self.messages.len()).filter(|&at| self.messages[at].1.role == Role::User).collect();
        let end = begins.len().checked_sub(keep).and_then(|at| begins.get(at)).copied()?;
        let mut rest = self.tokens();
        let (mut oldest, mut taken) = (Oldest { until: 0, messages: 0, tokens: 0, transcript: String::new() }, 0);
        let mut exchange = String::new();
        for (at, (serial, message)) in self.messages.iter().enumerate().take(end) {
            taken += tokens::of_message(message);
            transcribe(&mut exchange, message);
            let last = at + 1 == end || self.messages[at + 1].1.role == Role::User;
            if !last {
                continue;
            }
            if oldest.messages > 0 && (oldest.tokens + taken > most || rest <= left) {
                break;
            }
            rest = rest.saturating_sub(taken);
            oldest.transcript.push_str(&std::mem::take(&mut exchange));
            oldest = Oldest { until: *serial, messages: at + 1, tokens: oldest.tokens + taken, ..oldest };
            taken = 0;
        }
        (oldest.messages > 0).then_some(oldest)
    }

    /// What is known of what was said before the first message.
    pub(crate) fn summary(&self) -> &str {
        &self.summary
    }

    /// A summary takes the place of every message up to that one.
    pub(crate) fn summed_up(&mut self, until: u64, summary: String) {
        while self.messages.front().is_some_and(|(serial, _)| *serial <= until)
            && let Some((_, message)) = self.messages.pop_front()
        {
            self.bytes -= size(&message);
        }
        self.summary = summary;
    }

    /// The last words of the agent.
    pub(crate) fn last_said(&self) -> &str {
        let said = self.messages.iter().rev().find(|(_, message)| message.role == Role::Assistant);
        said.map_or("", |(_, message)| match message.content.first() {
            Some(Content::Text(text)) => text,
            Some(Content::ToolCall(_) | Content::ToolResult { .. }) | None => "",
        })
    }

    /// Another agent goes on: it knows only what it is told.
    pub(crate) fn begin_anew(&mut self, summary: &str) {
        let serial = self.serial;
        *self = Self { summary: summary.to_owned(), serial, ..Self::default() };
    }

    /// Forgets from the oldest message up to the next of the caller, so that no tool result loses its call; the tokens of
    /// that. `None` when only one exchange is left.
    fn forget_oldest_exchange(&mut self) -> Option<u64> {
        let next = self.messages.iter().skip(1).position(|(_, message)| message.role == Role::User)?;
        let mut tokens = 0;
        for (_, message) in self.messages.drain(..=next) {
            self.bytes -= size(&message);
            tokens += tokens::of_message(&message);
        }
        Some(tokens)
    }
}

/// Writes a message down as a line or more of a transcript.
fn transcribe(transcript: &mut String, message: &Message) {
    let who = match message.role {
        Role::User => "Caller",
        Role::Assistant => "Agent",
        Role::Tool => "Tool",
        Role::System => "Note",
    };
    for content in &message.content {
        let line = match content {
            Content::Text(text) => format!("{who}: {text}\n"),
            Content::ToolCall(call) => format!("Agent uses {}: {}\n", call.name, call.arguments),
            Content::ToolResult { output, .. } => format!("Tool answers: {output}\n"),
        };
        transcript.push_str(&line);
    }
}

fn size(message: &Message) -> usize {
    let content = |content: &Content| match content {
        Content::Text(text) => text.len(),
        Content::ToolCall(call) => call.id.len() + call.name.len() + call.arguments.len(),
        Content::ToolResult { call_id, output } => call_id.len() + output.len(),
    };
    message.content.iter().map(content).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_exchanges_are_forgotten_whole() {
        let mut memory = Memory::default();
        for turn in 0..400 {
            memory.push(Message::text(Role::User, format!("question {turn}")));
            memory.push_said("answer");
        }
        let messages: Vec<_> = memory.messages().cloned().collect();
        assert!(messages.len() <= MAX_MESSAGES);
        assert_eq!(messages[0].role, Role::User);
        assert_eq!(messages.last().unwrap().content, [Content::Text("answer".to_owned())]);
        let bytes: usize = messages.iter().map(size).sum();
        assert_eq!(bytes, memory.bytes);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut memory = Memory::default();
        for _ in 0..40 {
            memory.push(Message::text(Role::User, "x".repeat(8000)));
        }
        assert!(memory.bytes <= MAX_BYTES);
    }

    #[test]
    fn a_reply_is_cut_after_it_was_written_down() {
        let mut memory = Memory::default();
        let serial = memory.push(Message::text(Role::Assistant, "one two three"));
        memory.correct(serial, "one");
        memory.push_said("four");
        let messages: Vec<_> = memory.messages().cloned().collect();
        assert_eq!(messages, [Message::text(Role::Assistant, "one four")]);
    }

    #[test]
    fn what_fits_the_budget_is_kept_in_whole_exchanges() {
        let mut memory = Memory::default();
        for turn in 0..20 {
            memory.push(Message::text(Role::User, format!("question number {turn}, and some more words")));
            let calls = vec![Content::ToolCall(trunkline_api::words::ToolCall {
                id: "c".to_owned(),
                name: "look".to_owned(),
                arguments: "{}".to_owned(),
            })];
            memory.push(Message { role: Role::Assistant, content: calls });
            let result = Content::ToolResult { call_id: "c".to_owned(), output: "found".to_owned() };
            memory.push(Message { role: Role::Tool, content: vec![result] });
            memory.push_said("answer");
        }
        memory.fit(200);
        assert!(memory.tokens() <= 200 && memory.messages.len() % 4 == 0, "{memory:?}");
        memory.fit(1);
        assert_eq!(memory.messages.len(), 4, "the newest exchange stays whatever the budget");
        assert_eq!(memory.bytes, memory.messages().map(size).sum::<usize>());
    }

    #[test]
    fn the_oldest_exchanges_make_a_transcript_and_a_summary_takes_their_place() {
        let mut memory = Memory::default();
        memory.push_said("Hello.");
        for turn in 0..6 {
            memory.push(Message::text(Role::User, format!("question {turn}")));
            memory.push_said("answer");
        }
        assert!(memory.oldest(6, 0, 1000).is_some_and(|oldest| oldest.transcript == "Agent: Hello.\n"));
        assert!(memory.oldest(7, 0, 1000).is_none());
        let oldest = memory.oldest(2, 0, 1000).unwrap();
        assert_eq!(oldest.messages, 9);
        assert!(oldest.transcript.ends_with("Caller: question 3\nAgent: answer\n"), "{oldest:?}");
        let few = memory.oldest(2, 0, 25).unwrap();
        assert!(few.tokens <= 25 && few.messages < 9, "{few:?}");
        memory.summed_up(oldest.until, "They spoke of four questions.".to_owned());
        let left: Vec<_> = memory.messages().collect();
        assert_eq!((left.len(), left[0]), (4, &Message::text(Role::User, "question 4")));
        assert_eq!(memory.preface(), "What was said before, in short: They spoke of four questions.");
    }

    #[test]
    fn the_result_of_a_call_is_replaced_where_it_stands() {
        let mut memory = Memory::default();
        let result = |output: &str| Message {
            role: Role::Tool,
            content: vec![Content::ToolResult { call_id: "c".to_owned(), output: output.to_owned() }],
        };
        memory.push(result("old"));
        let serial = memory.push(result("running"));
        memory.push(result("newer"));
        assert!(memory.answer(serial, "c", "booked"));
        let told: Vec<_> = memory.messages().cloned().collect();
        assert_eq!(told, [result("old"), result("booked"), result("newer")]);
        assert!(!memory.answer(serial, "d", "x"));
    }
}
