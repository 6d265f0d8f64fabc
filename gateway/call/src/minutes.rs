//! Who said what in which turn, as far as it was heard: what an analysis of the call reads. The conversation's memory is
//! for models, which forget the oldest; this forgets the middle, because a call is known by its begin and its end.

use crate::spoken;

/// Most bytes of text kept.
const MAX_BYTES: usize = 64 * 1024;
/// Sayings at the begin that are never forgotten.
const FIRST_KEPT: usize = 16;
/// Most bytes of one saying.
const MAX_SAYING_BYTES: usize = 2048;

/// One party's words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Saying {
    /// The turn, from 1; 0 is before the caller's first.
    pub(crate) turn: u32,
    /// Whether they are the caller's.
    pub(crate) caller: bool,
    pub(crate) text: String,
}

/// Minutes of a call.
#[derive(Debug, Default)]
pub(crate) struct Minutes {
    sayings: Vec<Saying>,
    bytes: usize,
    turn: u32,
    paused: bool,
}

impl Minutes {
    /// A turn began.
    pub(crate) const fn turn(&mut self, turn: u32) {
        self.turn = turn;
    }

    /// What is said from here on is not said with the caller, or is again.
    pub(crate) const fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// The caller said something, as a model may know it.
    pub(crate) fn caller(&mut self, text: &str) {
        self.add(true, text);
    }

    /// The caller heard the agent say something.
    pub(crate) fn agent(&mut self, text: &str) {
        self.add(false, text);
    }

    /// The caller's last words are part of the next turn.
    pub(crate) fn take_back(&mut self) {
        if self.sayings.last().is_some_and(|saying| saying.caller)
            && let Some(saying) = self.sayings.pop()
        {
            self.bytes -= saying.text.len();
        }
    }

    /// Words that were not known yet take the place of what stood for them.
    pub(crate) fn fill_in(&mut self, mark: &str, words: &str) {
        if let Some(saying) = self.sayings.iter_mut().rev().find(|saying| saying.text.contains(mark)) {
            self.bytes -= saying.text.len();
            saying.text = saying.text.replacen(mark, words, 1);
            let end = MAX_SAYING_BYTES.min(saying.text.len());
            saying.text.truncate((0..=end).rev().find(|&at| saying.text.is_char_boundary(at)).unwrap_or(0));
            self.bytes += saying.text.len();
        }
    }

    /// All of it, oldest first.
    pub(crate) fn sayings(&self) -> &[Saying] {
        &self.sayings
    }

    fn add(&mut self, caller: bool, text: &str) {
        if text.is_empty() || self.paused {
            return;
        }
        let turn = self.turn;
        match self.sayings.last_mut().filter(|last| (last.caller, last.turn) == (caller, turn)) {
            Some(last) => {
                self.bytes -= last.text.len();
                spoken::join(&mut last.text, text);
            }
            None => self.sayings.push(Saying { turn, caller, text: text.to_owned() }),
        }
        if let Some(last) = self.sayings.last_mut() {
            let end = MAX_SAYING_BYTES.min(last.text.len());
            last.text.truncate((0..=end).rev().find(|&at| last.text.is_char_boundary(at)).unwrap_or(0));
            self.bytes += last.text.len();
        }
        while self.bytes > MAX_BYTES && self.sayings.len() > FIRST_KEPT {
            self.bytes -= self.sayings.remove(FIRST_KEPT).text.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_one_turn_are_one_saying() {
        let mut minutes = Minutes::default();
        minutes.agent("Hello.");
        minutes.turn(1);
        minutes.caller("I want");
        minutes.take_back();
        minutes.turn(2);
        minutes.caller("I want to book a table");
        minutes.agent("For how many?");
        minutes.agent("We have room.");
        let said: Vec<_> = minutes.sayings().iter().map(|said| (said.turn, said.caller, said.text.as_str())).collect();
        let all =
            [(0, false, "Hello."), (2, true, "I want to book a table"), (2, false, "For how many? We have room.")];
        assert_eq!(said, all);
    }

    #[test]
    fn a_long_call_keeps_its_begin_and_its_end() {
        let mut minutes = Minutes::default();
        for turn in 0..500 {
            minutes.turn(turn);
            minutes.caller(&format!("{turn} {}", "é".repeat(2000)));
        }
        assert!(minutes.bytes <= MAX_BYTES);
        assert_eq!(minutes.bytes, minutes.sayings.iter().map(|saying| saying.text.len()).sum::<usize>());
        assert_eq!((minutes.sayings[0].turn, minutes.sayings.last().unwrap().turn), (0, 499));
    }
}
