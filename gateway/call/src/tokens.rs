//! How many tokens a text takes: an estimate that is rather too high, and what providers report to correct it.
//!
//! Tokenisers differ, and none is at hand for most models. By script: a run of ASCII letters takes a token for every four
//! of them, other letters of alphabets one for every two, ideographs, kana, Hangul and scripts without spaces one each,
//! so do digits and signs, and a message takes four besides. English comes out a third too high, digits up to three times.

use trunkline_api::words::{Content, Message, ToolDefinition};

/// Tokens of a message beside its texts.
const PER_MESSAGE: u64 = 4;
/// Bounds of the correction, in thousandths: a provider that reports less than half of what a text must take, or more
/// than four times as much, counts something else.
const LEAST: u64 = 500;
const MOST: u64 = 4000;

/// Tokens of a text, estimated.
pub(crate) fn of_text(text: &str) -> u64 {
    if text.is_ascii() {
        return of_ascii(text.as_bytes());
    }
    let (mut tokens, mut letters, mut others) = (0, 0_u64, 0_u64);
    for character in text.chars() {
        let (ascii, alphabet) = (character.is_ascii_alphabetic(), is_alphabetic(character));
        if !ascii {
            tokens += std::mem::take(&mut letters).div_ceil(4);
        }
        if !alphabet {
            tokens += std::mem::take(&mut others).div_ceil(2);
        }
        if ascii {
            letters += 1;
        } else if alphabet {
            others += 1;
        } else if !character.is_whitespace() {
            tokens += 1;
        }
    }
    tokens + letters.div_ceil(4) + others.div_ceil(2)
}

/// The same where it is quick: most texts are.
fn of_ascii(text: &[u8]) -> u64 {
    let (mut tokens, mut letters) = (0, 0_u64);
    for byte in text {
        if byte.is_ascii_alphabetic() {
            // The first of every four begins a token.
            tokens += u64::from(letters % 4 == 0);
            letters += 1;
        } else {
            letters = 0;
            tokens += u64::from(!byte.is_ascii_whitespace() && *byte != 0x0b);
        }
    }
    tokens
}

/// Whether a letter is of an alphabet whose words are cut into pieces of several letters: up to Arabic, and Georgian.
const fn is_alphabetic(c: char) -> bool {
    matches!(c, '\u{c0}'..='\u{6ff}' | '\u{10a0}'..='\u{10ff}' | '\u{1e00}'..='\u{1fff}')
}

/// Tokens of a message.
pub(crate) fn of_message(message: &Message) -> u64 {
    let content = |content: &Content| match content {
        Content::Text(text) => of_text(text),
        Content::ToolCall(call) => of_text(&call.id) + of_text(&call.name) + of_text(&call.arguments) + PER_MESSAGE,
        Content::ToolResult { call_id, output } => of_text(call_id) + of_text(output) + PER_MESSAGE,
    };
    PER_MESSAGE + message.content.iter().map(content).sum::<u64>()
}

/// Tokens of what a model is told of a tool.
pub(crate) fn of_tool(tool: &ToolDefinition) -> u64 {
    PER_MESSAGE + of_text(&tool.name) + of_text(&tool.description) + of_text(&tool.parameters)
}

/// What the estimate is worth, by what providers report.
#[derive(Debug)]
pub(crate) struct Meter {
    /// Thousandths of the estimate.
    factor: u64,
    /// Estimate of the last request, and what was reported since.
    last: Option<(u64, u64)>,
    /// What the report before the last made of it, in thousandths.
    before: u64,
}

impl Default for Meter {
    fn default() -> Self {
        Self { factor: 1000, last: None, before: 1000 }
    }
}

impl Meter {
    /// An estimate as it is believed now.
    #[cfg(test)]
    pub(crate) const fn believed(&self, tokens: u64) -> u64 {
        (tokens * self.factor).div_ceil(1000)
    }

    /// What an estimate may be so that no more than `tokens` are believed.
    pub(crate) const fn raw(&self, tokens: u64) -> u64 {
        tokens * 1000 / self.factor
    }

    /// A request of that estimate is made. While `others` are being answered too, nobody knows whose report comes.
    pub(crate) fn asked(&mut self, tokens: u64, others: bool) {
        self.settle();
        self.last = (!others).then_some((tokens, 0));
    }

    /// A provider reports what it was sent.
    pub(crate) const fn reported(&mut self, tokens: u64) {
        if let Some((_, reported)) = &mut self.last {
            *reported = reported.saturating_add(tokens);
        }
    }

    /// What was too little is corrected as soon as two reports in a row say so, what was too much bit by bit: a report may be
    /// of another request, of which it came late.
    fn settle(&mut self) {
        let Some((estimate, reported)) = self.last.take() else { return };
        if estimate > 0 && reported > 0 {
            let ratio = (reported.saturating_mul(1000) / estimate).clamp(LEAST, MOST);
            let agreed = ratio.min(std::mem::replace(&mut self.before, ratio));
            self.factor = if ratio > self.factor { self.factor.max(agreed) } else { (7 * self.factor + ratio) / 8 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_take_what_they_take_and_rather_more() {
        // What OpenAI's o200k tokeniser counts is in the comment.
        assert_eq!(of_text("I would like to book a table for two at eight, please."), 18); // 13
        assert_eq!(of_text("Ich hätte gern einen Tisch für zwei Personen."), 16); // 11
        assert_eq!(of_text("Я хотел бы забронировать столик на двоих."), 20); // 13
        assert_eq!(of_text("二人用のテーブルを予約したいのですが。"), 19); // 15
        assert_eq!(of_text("030 1234567"), 10);
        assert_eq!(of_text(""), 0);
        assert_eq!(of_message(&Message::text(trunkline_api::words::Role::User, "yes")), 5);
    }

    #[test]
    fn a_text_takes_the_same_whichever_way_it_is_counted() {
        for text in ["I would like 2 tables, please.", "appointment", "a b\tc\n\u{b}d", "{\"a\": [1, 2]}"] {
            // A word of another script, which takes one more, has the whole counted the long way.
            assert_eq!(of_text(text) + 1, of_text(&format!("{text} ü")), "{text}");
        }
    }

    #[test]
    fn reports_correct_the_estimate_soon_upwards_and_slowly_downwards() {
        let mut meter = Meter::default();
        meter.asked(100, false);
        meter.reported(150);
        meter.asked(100, false);
        assert_eq!(meter.believed(100), 100, "once may be by mistake");
        meter.reported(150);
        meter.asked(100, false);
        assert_eq!(meter.believed(100), 150);
        for _ in 0..40 {
            meter.reported(70);
            meter.asked(100, false);
        }
        assert!((70..=71).contains(&meter.believed(100)), "{meter:?}");
        meter.asked(100, true);
        meter.reported(400);
        meter.asked(100, false);
        assert!((70..=71).contains(&meter.believed(100)), "nobody knows whose that was");
        for _ in 0..2 {
            meter.reported(9000);
            meter.asked(100, false);
        }
        assert_eq!(meter.believed(100), 400);
    }
}
