//! What the agent remembers of the conversation: bounded, and never more than the caller heard.

use std::collections::VecDeque;

use trunkline_api::words::{Content, Message, Role};

/// Most messages remembered.
const MAX_MESSAGES: usize = 200;
/// Most bytes of text remembered.
const MAX_BYTES: usize = 64 * 1024;

/// The conversation so far. Messages have serial numbers, so that a reply can be cut after it was written down.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    messages: VecDeque<(u64, Message)>,
    bytes: usize,
    serial: u64,
}

impl Memory {
    /// Adds a message and forgets the oldest exchanges beyond the limits.
    pub(crate) fn push(&mut self, message: Message) -> u64 {
        self.serial += 1;
        self.bytes += size(&message);
        self.messages.push_back((self.serial, message));
        while self.messages.len() > MAX_MESSAGES || self.bytes > MAX_BYTES {
            if !self.forget_oldest_exchange() {
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

    /// Takes back the caller's last message, when it is the last of all: the caller went on speaking.
    pub(crate) fn take_back(&mut self) {
        if self.messages.back().is_some_and(|(_, message)| message.role == Role::User)
            && let Some((_, message)) = self.messages.pop_back()
        {
            self.bytes -= size(&message);
        }
    }

    /// The messages, oldest first.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().map(|(_, message)| message)
    }

    /// Forgets from the oldest message up to the next of the caller, so that no tool result loses its call. False
    /// when only one exchange is left.
    fn forget_oldest_exchange(&mut self) -> bool {
        let next = self.messages.iter().skip(1).position(|(_, message)| message.role == Role::User);
        let Some(next) = next else { return false };
        for (_, message) in self.messages.drain(..=next) {
            self.bytes -= size(&message);
        }
        true
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
        let messages: Vec<_> = memory.messages().collect();
        assert!(messages.len() <= MAX_MESSAGES);
        assert_eq!(messages[0].role, Role::User);
        assert_eq!(messages.last().unwrap().content, [Content::Text("answer".to_owned())]);
        let bytes: usize = messages.into_iter().map(size).sum();
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
}
