//! Cuts streamed text into pieces that can be spoken on their own, so that the first sound need not wait for the last
//! word.

/// A piece longer than this is cut at a comma or space, which bounds the time one step takes.
const LONGEST: usize = 160;

const ABBREVIATIONS: [&str; 12] = ["mr", "mrs", "ms", "dr", "st", "prof", "no", "vs", "etc", "approx", "dept", "ext"];

/// Text on its way to becoming speech.
#[derive(Debug, Default)]
pub(crate) struct Clauses {
    text: String,
}

impl Clauses {
    /// Adds text; control characters become spaces.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.extend(text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }));
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// The next piece; with `closed` what is left counts as one.
    pub(crate) fn next(&mut self, closed: bool) -> Option<String> {
        loop {
            let end = match self.sentence_end() {
                Some(end) => end,
                None if self.text.len() > LONGEST => self.break_point(),
                None if closed && !self.text.is_empty() => self.text.len(),
                None => return None,
            };
            let piece = self.text[..end].trim().to_owned();
            self.text.drain(..end);
            if piece.chars().any(char::is_alphanumeric) {
                return Some(piece);
            }
        }
    }

    /// The end of the first whole sentence within the longest piece: punctuation that a space follows.
    fn sentence_end(&self) -> Option<usize> {
        let mut ends = self.text.char_indices().take_while(|(at, _)| *at < LONGEST).peekable();
        while let Some((at, mark)) = ends.next() {
            if mark == '\n' {
                return Some(at + 1);
            }
            let followed = ends.peek().is_some_and(|(_, next)| next.is_whitespace());
            if followed && matches!(mark, '.' | '!' | '?' | ';' | ':') && !(mark == '.' && self.abbreviates(at)) {
                return Some(at + 1);
            }
        }
        None
    }

    fn abbreviates(&self, at: usize) -> bool {
        let word = self.text[..at].rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let single = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
        single || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
    }

    fn break_point(&self) -> usize {
        let longest = (0..=LONGEST).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        let head = &self.text[..longest];
        head.rfind(", ")
            .map(|at| at + 1)
            .or_else(|| head.rfind(char::is_whitespace).map(|at| at + 1))
            .filter(|at| *at > 0 && self.text.is_char_boundary(*at))
            .unwrap_or(longest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(parts: &[&str]) -> Vec<String> {
        let mut clauses = Clauses::default();
        let mut pieces = Vec::new();
        for part in parts {
            clauses.push(part);
            while let Some(piece) = clauses.next(false) {
                pieces.push(piece);
            }
        }
        while let Some(piece) = clauses.next(true) {
            pieces.push(piece);
        }
        pieces
    }

    #[test]
    fn speaks_whole_sentences_as_soon_as_they_are_there() {
        assert_eq!(pieces(&["Hel", "lo. How", " are you? Fi", "ne"]), ["Hello.", "How are you?", "Fine"]);
        assert_eq!(
            pieces(&["It is 3.50 to Mr. Brown. ", "J. S. Bach too."]),
            ["It is 3.50 to Mr. Brown.", "J. S. Bach too."]
        );
        assert_eq!(pieces(&["... ", "!"]), Vec::<String>::new());
    }

    #[test]
    fn cuts_endless_sentences_at_a_comma_or_space() {
        let long = "one two three four, ".repeat(40);
        let pieces = pieces(&[&long]);
        assert!(pieces.iter().all(|piece| piece.len() <= LONGEST && piece.ends_with("four,")));
    }

    proptest! {
        #[test]
        fn loses_no_word_and_keeps_pieces_short(text in "\\PC{0,400}") {
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            let pieces = pieces(&[&text]);
            prop_assert!(pieces.iter().all(|piece| piece.len() <= LONGEST));
            prop_assert_eq!(letters(&pieces.concat()), letters(&text));
        }
    }
}
