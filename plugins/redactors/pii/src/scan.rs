//! Cuts text into pieces that can be looked at on their own, the same pieces whether the text comes whole or in bits.
//!
//! A piece is a word, or several in a row that could be parts of one number: words with digits in them, spoken digits,
//! the letter groups of an account number. No entity reaches from one piece into the next. A piece that will not end
//! is cut: its first [`WINDOW`] bytes are searched, and all but the last [`LONGEST`] of them are done with.

use crate::digits::{digit_value, is_spoken};
use crate::entities::{LONGEST, is_iban_head};

/// How much is ever held back, in bytes.
pub(crate) const WINDOW: usize = 1024;

/// What can be done with the beginning of a text.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    /// This many bytes hold nothing to redact.
    Plain(usize),
    /// This many bytes are a whole piece.
    Whole(usize),
    /// A piece that is longer than the window: this many bytes are to be searched, and what begins in their tail is
    /// left for the next piece.
    Endless(usize),
    /// The piece is not complete yet.
    Incomplete,
}

/// Looks at the beginning of a text; `end` says that nothing follows it.
pub(crate) fn next(text: &str, end: bool) -> Piece {
    let space = text.len() - text.trim_start().len();
    if space > 0 || text.is_empty() {
        return Piece::Plain(space);
    }
    let limited = text.len() >= WINDOW;
    let view = if limited { &text[..text.floor_char_boundary(WINDOW)] } else { text };
    let open_end = limited || !end;
    let mut done = 0;
    let mut account = false;
    while done < view.len() {
        let gap = view[done..].len() - view[done..].trim_start().len();
        let start = done + gap;
        let length = view[start..].find(char::is_whitespace).unwrap_or(view.len() - start);
        let word = &view[start..start + length];
        if start + length == view.len() && open_end {
            return if limited { Piece::Endless(view.len()) } else { Piece::Incomplete };
        }
        account |= word.char_indices().any(|(at, _)| is_iban_head(&word.as_bytes()[at..]));
        let continues = is_number_like(word) || (account && is_letter_group(word));
        if !continues {
            // A word of its own, unless it ends the piece before it.
            return Piece::Whole(if done == 0 { start + length } else { done });
        }
        done = start + length;
    }
    Piece::Whole(done)
}

/// How much of an endless piece is done with: the tail may hold the beginning of an entity.
pub(crate) fn settled(text: &str, length: usize) -> usize {
    text.floor_char_boundary(length.saturating_sub(LONGEST))
}

fn is_number_like(word: &str) -> bool {
    word.chars().any(|c| digit_value(c).is_some())
        || word.split(|c: char| !c.is_alphabetic()).filter(|part| !part.is_empty()).any(is_spoken)
        || word.chars().all(|c| matches!(c, '+' | '-' | '(' | ')' | '.' | ',' | '/' | '\u{2010}'..='\u{2015}'))
}

fn is_letter_group(word: &str) -> bool {
    word.len() <= 4 && word.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_settled_one_by_one_and_numbers_together() {
        assert_eq!(next("hello there", false), Piece::Whole(5));
        assert_eq!(next("hello", false), Piece::Incomplete);
        assert_eq!(next("hello", true), Piece::Whole(5));
        assert_eq!(next("  hello", false), Piece::Plain(2));
        assert_eq!(next("4111 1111 one two done", false), Piece::Incomplete);
        assert_eq!(next("4111 1111 one two done now", false), Piece::Whole(17));
        assert_eq!(next("GB29 NWBK 6016 then ", false), Piece::Incomplete, "`then` could be letters of the account");
    }

    #[test]
    fn what_is_held_back_is_bounded() {
        assert_eq!(next(&"4 ".repeat(WINDOW), false), Piece::Endless(WINDOW));
        assert_eq!(next(&"a".repeat(WINDOW - 1), false), Piece::Incomplete);
        assert_eq!(next(&"a".repeat(WINDOW), false), Piece::Endless(WINDOW));
        assert_eq!(next(&"a".repeat(WINDOW), true), Piece::Endless(WINDOW));
    }
}
