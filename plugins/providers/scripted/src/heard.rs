//! What the model was given, read once: the caller's last words, the keys pressed, the turn and a tool's result.

use trunkline_plugin_kit::llm::{Content, Request, Role, last_user_text};

use crate::script::Condition;

/// The parts of a request that rules and placeholders look at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    /// The caller's last message as it came.
    pub(crate) text: String,
    /// Its words in lower case.
    pub(crate) words: Vec<String>,
    /// Keys pressed in it: a message such as `dtmf: 1 2 #` or `[DTMF 5]`.
    pub(crate) dtmf: String,
    /// How many messages the caller has sent, this one included.
    pub(crate) turn: u32,
    /// The tool whose result is the last message, and that result.
    pub(crate) tool: Option<(String, String)>,
    /// Words in all messages, as a stand-in for tokens.
    pub(crate) input_words: u64,
}

impl Heard {
    /// Reads a request.
    pub(crate) fn new(request: &Request) -> Self {
        let text = last_user_text(request).trim().to_owned();
        let words = words(&text);
        let input_words = request
            .messages
            .iter()
            .flat_map(|message| &message.content)
            .map(|content| match content {
                Content::Text(text) => text.split_whitespace().count() as u64,
                Content::ToolCall(call) => call.arguments.split_whitespace().count() as u64,
                Content::ToolResult(result) => result.output.split_whitespace().count() as u64,
            })
            .sum();
        Self {
            dtmf: pressed_keys(&text),
            turn: request.messages.iter().filter(|message| message.role == Role::User).count() as u32,
            tool: tool_result(request),
            text,
            words,
            input_words,
        }
    }

    /// Whether all parts of a condition hold.
    pub(crate) fn satisfies(&self, condition: &Condition) -> bool {
        if self.tool.as_ref().map(|(name, _)| name) != condition.tool.as_ref() {
            return false;
        }
        let said = |phrase: &String| contains_phrase(&self.words, &words(phrase));
        let lower = || self.text.to_lowercase();
        (condition.any.is_empty() || condition.any.iter().any(said))
            && condition.all.iter().all(said)
            && condition.contains.as_ref().is_none_or(|part| lower().contains(&part.to_lowercase()))
            && condition.turn.is_none_or(|turn| turn == self.turn)
            && condition.dtmf.as_ref().is_none_or(|keys| match keys.as_str() {
                "any" => !self.dtmf.is_empty(),
                keys => self.dtmf == keys,
            })
    }

    /// The digits in what was said: spoken (`four two`), written (`42`) or pressed.
    pub(crate) fn digits(&self) -> String {
        const SPOKEN: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
        if !self.dtmf.is_empty() {
            return self.dtmf.clone();
        }
        let mut digits = String::new();
        for word in &self.words {
            if let Some(digit) = SPOKEN.iter().position(|name| name == word) {
                digits.push_str(&digit.to_string());
            } else if word == "oh" {
                digits.push('0');
            } else {
                digits.extend(word.chars().filter(char::is_ascii_digit));
            }
        }
        digits
    }
}

/// Words in lower case; an apostrophe belongs to its word.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'')
        .map(|word| word.trim_matches('\'').to_lowercase())
        .filter(|word| !word.is_empty())
        .collect()
}

fn contains_phrase(words: &[String], phrase: &[String]) -> bool {
    !phrase.is_empty() && words.windows(phrase.len()).any(|window| window == phrase)
}

fn pressed_keys(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let Some(at) = lower.find("dtmf") else { return String::new() };
    let before = lower[..at].chars().next_back();
    let after = lower[at + 4..].chars().next();
    if before.is_some_and(char::is_alphanumeric) || after.is_some_and(char::is_alphabetic) {
        return String::new();
    }
    lower[at + 4..]
        .chars()
        .skip_while(|c| matches!(c, ':' | '=' | ' ' | '"' | '\''))
        .take_while(|c| matches!(c, '0'..='9' | '*' | '#' | 'a'..='d' | ' ' | ','))
        .filter(|c| !matches!(c, ' ' | ','))
        .collect()
}

fn tool_result(request: &Request) -> Option<(String, String)> {
    let last = request.messages.last().filter(|message| message.role == Role::Tool)?;
    let result = last.content.iter().rev().find_map(|content| match content {
        Content::ToolResult(result) => Some(result),
        Content::Text(_) | Content::ToolCall(_) => None,
    })?;
    let name = request
        .messages
        .iter()
        .rev()
        .flat_map(|message| &message.content)
        .find_map(|content| match content {
            Content::ToolCall(call) if call.id == result.call_id => Some(call.name.clone()),
            _ => None,
        })
        .unwrap_or_default();
    Some((name, result.output.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str) -> Heard {
        Heard { text: text.to_owned(), words: words(text), dtmf: pressed_keys(text), turn: 1, ..Heard::default() }
    }

    #[test]
    fn phrases_match_whole_words_only() {
        let condition = |phrase: &str| Condition { any: vec![phrase.to_owned()], ..Condition::default() };
        assert!(heard("My Balance, please").satisfies(&condition("balance")));
        assert!(heard("what is my account balance?").satisfies(&condition("account balance")));
        assert!(!heard("rebalance it").satisfies(&condition("balance")));
        assert!(!heard("balance of the account").satisfies(&condition("account balance")));
    }

    #[test]
    fn keys_are_found_in_every_common_spelling() {
        for (text, keys) in [
            ("dtmf: 5", "5"),
            ("[DTMF 1 2 #]", "12#"),
            ("DTMF:*9", "*9"),
            ("dtmf=7", "7"),
            ("I pressed five", ""),
            ("dtmfs 5", ""),
        ] {
            assert_eq!(pressed_keys(text), keys, "{text}");
        }
        let any = Condition { dtmf: Some("any".to_owned()), ..Condition::default() };
        assert!(heard("dtmf: 5").satisfies(&any));
        assert!(!heard("five").satisfies(&any));
    }

    #[test]
    fn digits_are_read_from_speech_writing_and_keys() {
        assert_eq!(heard("four oh two").digits(), "402");
        assert_eq!(heard("room 42").digits(), "42");
        assert_eq!(heard("dtmf: 9#").digits(), "9#");
    }
}
