//! Cuts a streamed reply into sentences, so that the first can be spoken while the rest is still being thought of.

/// A sentence longer than this, in bytes, is cut at a comma or a space.
const MAX_SENTENCE_BYTES: usize = 320;

/// Words whose full stop does not end a sentence.
const ABBREVIATIONS: [&str; 20] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "vs", "etc", "e.g", "i.e", "no", "approx", "inc", "ltd", "co",
    "dept", "u.s", "u.k",
];

/// The part of a reply that is not a whole sentence yet.
#[derive(Debug, Default)]
pub(crate) struct Sentences {
    buffer: String,
}

impl Sentences {
    /// Adds text and hands every sentence that is now whole to `whole`.
    pub(crate) fn push(&mut self, delta: &str, mut whole: impl FnMut(String)) {
        self.buffer.push_str(delta);
        while let Some(end) = boundary(&self.buffer) {
            let rest = self.buffer.split_off(end);
            let sentence = std::mem::replace(&mut self.buffer, rest);
            if let Some(sentence) = trimmed(&sentence) {
                whole(sentence);
            }
        }
    }

    /// Takes what is left, when the reply is over.
    pub(crate) fn flush(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.buffer);
        trimmed(&rest)
    }
}

fn trimmed(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Byte offset just behind the first whole sentence.
fn boundary(text: &str) -> Option<usize> {
    for (at, character) in text.char_indices() {
        let end = at + character.len_utf8();
        let ends = match character {
            '\n' | '。' | '！' | '？' => return Some(end),
            '.' => !is_abbreviation(&text[..at]),
            '!' | '?' | '…' => true,
            _ => false,
        };
        if ends {
            let closers = |next: &char| matches!(next, '"' | '\'' | ')' | ']' | '”' | '’' | '.' | '!' | '?' | '…');
            let end = end + text[end..].chars().take_while(closers).map(char::len_utf8).sum::<usize>();
            // What follows decides: "3." may become "3.5", and "wait." may become "wait...".
            if text[end..].chars().next().is_some_and(char::is_whitespace) {
                return Some(end);
            }
        }
        if end > MAX_SENTENCE_BYTES {
            return Some(forced(&text[..end]));
        }
    }
    None
}

/// Where to cut a sentence without end: behind the last comma, else the last space, else here.
fn forced(text: &str) -> usize {
    let pause = text.rfind([',', ';', ':']).map(|at| at + 1).filter(|&at| at > MAX_SENTENCE_BYTES / 4);
    let space = || text.rfind(' ').map(|at| at + 1).filter(|&at| at > 1);
    pause.or_else(space).unwrap_or(text.len())
}

fn is_abbreviation(before: &str) -> bool {
    let word = before.rsplit(char::is_whitespace).next().unwrap_or("");
    let word = word.trim_start_matches(['(', '"', '\'', '“', '‘']);
    let mut characters = word.chars();
    let initial = characters.next().is_some_and(char::is_uppercase) && characters.next().is_none() && word != "I";
    // "1. First" at the beginning of a line is a list, not two sentences.
    let list = before.len() == word.len() && !word.is_empty() && word.chars().all(|digit| digit.is_ascii_digit());
    initial || list || ABBREVIATIONS.iter().any(|known| known.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Vec<String> {
        let mut sentences = Sentences::default();
        let mut whole = Vec::new();
        sentences.push(text, |sentence| whole.push(sentence));
        whole.extend(sentences.flush());
        whole
    }

    #[test]
    fn sentences_end_where_a_reader_would_pause() {
        assert_eq!(split("Hello there. How are you?  Fine!"), ["Hello there.", "How are you?", "Fine!"]);
        assert_eq!(split("Dr. Smith pays 3.50 at 5 p.m. today."), ["Dr. Smith pays 3.50 at 5 p.m.", "today."]);
        assert_eq!(split("He said \"go.\" Then J. Doe left."), ["He said \"go.\"", "Then J. Doe left."]);
        assert_eq!(split("1. First one\n2. Second"), ["1. First one", "2. Second"]);
        assert_eq!(split("はい。そうです。"), ["はい。", "そうです。"]);
        assert_eq!(split("Well... maybe. So do I. Yes."), ["Well...", "maybe.", "So do I.", "Yes."]);
    }

    #[test]
    fn a_full_stop_at_the_end_waits_for_what_follows() {
        let mut sentences = Sentences::default();
        sentences.push("It costs 3.", |_| panic!("cut too early"));
        sentences.push("5 euros", |_| panic!("cut inside"));
        assert_eq!(sentences.flush().unwrap(), "It costs 3.5 euros");
    }

    #[test]
    fn a_sentence_without_end_is_cut_at_a_pause() {
        let text = "and so on, ".repeat(60);
        let parts = split(&text);
        assert!(parts.len() > 1 && parts.iter().all(|part| part.len() <= MAX_SENTENCE_BYTES + 4));
        assert!(parts[0].ends_with(','));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_however_the_reply_arrives(text in "[ a-zA-Z0-9.,!?\n\"é。]{0,600}", step in 1_usize..40) {
            let mut sentences = Sentences::default();
            let mut streamed = String::new();
            let characters: Vec<char> = text.chars().collect();
            for piece in characters.chunks(step) {
                sentences.push(&piece.iter().collect::<String>(), |sentence| streamed.push_str(&sentence));
            }
            streamed.extend(sentences.flush());
            let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(bare(&streamed), bare(&text));
        }
    }
}
