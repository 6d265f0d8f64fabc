//! Cuts a streamed reply into sentences, so that the first can be spoken while the rest is still being thought of. Tags are
//! never cut, and what they say of a sentence is said again of the next.

use crate::speech::ssml::{Found, Kind, MAX_TAG_BYTES, Tag};

/// A sentence longer than this, in bytes, is cut at a comma or a space.
const MAX_SENTENCE_BYTES: usize = 320;
/// A clause shorter than this, in characters, is not spoken before its sentence is whole: it would sound chopped.
const LEAST_CLAUSE: usize = 20;
/// Most elements that go on in the next sentence.
const MAX_OPEN: usize = 8;

/// Words whose full stop does not end a sentence.
pub(crate) const ABBREVIATIONS: &[&str] = &[
    "mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "vs", "etc", "e.g", "i.e", "no", "approx", "inc", "ltd", "co",
    "dept", "u.s", "u.k", "ave", "blvd", "fig", "min", "tel", "hr", "fr", "nr", "z.b", "d.h", "u.a", "usw", "bzw",
    "ca", "str", "ggf", "evtl", "inkl", "zzgl", "mio", "mrd", "std", "abs", "mme", "p.ex", "env", "sra", "dra", "srta",
    "aprox", "p.ej", "sig", "dott", "ecc", "av", "dhr", "mevr", "bijv", "bv", "enz", "d.w.z", "m.a.w",
];

/// Months, before which a number with a full stop is a day.
const MONTHS: &[&str] = &[
    "jan", "feb", "mär", "mar", "apr", "mai", "jun", "jul", "aug", "sep", "okt", "oct", "nov", "dez", "dec", "maj",
    "máj",
];

/// The part of a reply that is not a whole sentence yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sentences {
    buffer: String,
    /// Elements that were opened in a sentence and not closed: their names and tags.
    open: Vec<(String, String)>,
    /// The first clause may go ahead of its sentence.
    eager: bool,
}

impl Sentences {
    /// Sentences, the first of them by its clauses when it is `eager`.
    pub(crate) fn new(eager: bool) -> Self {
        Self { eager, ..Self::default() }
    }

    /// Adds text and hands every sentence that is now whole to `whole`.
    pub(crate) fn push(&mut self, delta: &str, mut whole: impl FnMut(String)) {
        self.buffer.push_str(delta);
        while let Some(end) = boundary(&self.buffer, self.eager) {
            let rest = self.buffer.split_off(end);
            let sentence = std::mem::replace(&mut self.buffer, rest);
            if let Some(sentence) = self.complete(&sentence) {
                self.eager = false;
                whole(sentence);
            }
        }
    }

    /// Takes what is left, when the reply is over.
    pub(crate) fn flush(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.buffer);
        self.complete(&rest)
    }

    /// A sentence with the elements it is in.
    fn complete(&mut self, text: &str) -> Option<String> {
        let mut sentence: String = self.open.iter().map(|(_, tag)| tag.as_str()).collect();
        let text = text.trim();
        sentence.push_str(text);
        let mut at = 0;
        while let Some(next) = text[at..].find('<') {
            at += next;
            let Found::Tag(tag) = Tag::at(&text[at..]) else {
                at += 1;
                continue;
            };
            let whole = &text[at..at + tag.length];
            at += tag.length;
            match tag.kind {
                Kind::Opens if tag.is_known() && !tag.is("break") && !tag.is("br") && self.open.len() < MAX_OPEN => {
                    self.open.push((tag.name.to_ascii_lowercase(), whole.to_owned()));
                }
                Kind::Closes => {
                    if let Some(at) = self.open.iter().rposition(|(name, _)| tag.is(name)) {
                        self.open.truncate(at);
                    }
                }
                Kind::Opens | Kind::Empty | Kind::Comment => {}
            }
        }
        (!text.is_empty()).then_some(sentence)
    }
}

/// Byte offset just behind the first whole sentence.
fn boundary(text: &str, eager: bool) -> Option<usize> {
    let (mut at, mut inside) = (0, 0_usize);
    // Where it could be cut if it had to be: behind a comma, or a space.
    let (mut pause, mut space) = (None, None);
    // Whether there is a letter before, so that there is something to be spoken.
    let mut words = 0_usize;
    while let Some(character) = text[at..].chars().next() {
        let end = at + character.len_utf8();
        if character == '<' {
            match Tag::at(&text[at..]) {
                Found::Tag(tag) => {
                    // What stands for one thing is not cut.
                    let one = ["say-as", "sub", "phoneme"].iter().any(|name| tag.is(name));
                    match tag.kind {
                        Kind::Opens if one => inside += 1,
                        Kind::Closes if one => inside = inside.saturating_sub(1),
                        Kind::Opens | Kind::Closes | Kind::Empty | Kind::Comment => {}
                    }
                    at += tag.length;
                    continue;
                }
                Found::Unfinished if text.len() - at < MAX_TAG_BYTES => return None,
                Found::Unfinished | Found::Text => {}
            }
        }
        words += usize::from(character.is_alphanumeric());
        let ends = match character {
            '\n' | '。' | '！' | '？' if inside == 0 => return Some(end),
            '.' if inside == 0 => match is_abbreviation(&text[..at], &text[end..]) {
                Some(abbreviation) => !abbreviation,
                None => return None,
            },
            '!' | '?' | '…' => true,
            _ => false,
        };
        if ends && inside == 0 {
            let closers = |next: &char| {
                matches!(next, '"' | '\'' | ')' | ']' | '”' | '’' | '»' | '*' | '_' | '.' | '!' | '?' | '…')
            };
            let end = end + text[end..].chars().take_while(closers).map(char::len_utf8).sum::<usize>();
            // What follows decides: "3." may become "3.5", and "wait." may become "wait...".
            let next = text[end..].chars().next();
            if next.is_some_and(char::is_whitespace) || (next == Some('<') && begins_tag(&text[end..])) {
                return Some(end);
            }
        }
        if inside == 0 {
            let clause = matches!(character, ',' | ';' | ':' | '，' | '、' | '；');
            if clause {
                pause = Some(end);
            }
            if character == ' ' {
                space = Some(end);
                // A dash between spaces parts clauses, too.
                let before = text[..at].chars().next_back();
                let parts = matches!(before, Some(',' | ';' | ':' | '–' | '—'));
                if eager && parts && words >= LEAST_CLAUSE && text[end..].starts_with(char::is_alphanumeric) {
                    return Some(at);
                }
            }
        }
        if end > MAX_SENTENCE_BYTES && (inside == 0 || end > 2 * MAX_SENTENCE_BYTES) {
            let pause = pause.filter(|&at| at > MAX_SENTENCE_BYTES / 4);
            return Some(pause.or(space.filter(|&at| at > 1)).unwrap_or(end));
        }
        at = end;
    }
    None
}

fn begins_tag(text: &str) -> bool {
    matches!(Tag::at(text), Found::Tag(tag) if tag.is_known())
}

/// Whether a full stop behind this text belongs to a word; `after` is what follows it, and nothing is said while that is
/// too little to know.
fn is_abbreviation(before: &str, after: &str) -> Option<bool> {
    let word = before.rsplit(|c: char| c.is_whitespace() || c == '>').next().unwrap_or("");
    let word = word.trim_start_matches(['(', '"', '\'', '“', '‘', '„', '«', '¿', '¡', '*', '_']);
    let next = after.trim_start();
    let waits = |least: usize| {
        after.starts_with(char::is_whitespace)
            && next.chars().count() < least
            && next.chars().all(char::is_alphanumeric)
    };
    let mut characters = word.chars();
    if characters.next().is_some_and(char::is_alphabetic) && characters.next().is_none() {
        if word.chars().all(char::is_uppercase) {
            return Some(word != "I");
        }
        // "z. B."
        return if waits(2) { None } else { Some(is_dotted(next)) };
    }
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
        // "1. First" at the beginning of a line is a list, not two sentences; "22. November" is a day.
        let list = before.trim_start().len() == word.len();
        if list || word.len() > 2 {
            return Some(list);
        }
        let next = next.to_lowercase();
        return if waits(3) { None } else { Some(MONTHS.iter().any(|month| next.starts_with(month))) };
    }
    Some(ABBREVIATIONS.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

/// Whether a text begins with a letter and a full stop, as the second half of "z. B." does.
fn is_dotted(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(char::is_alphabetic) && characters.next() == Some('.')
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
    fn languages_have_abbreviations_days_and_quotes_of_their_own() {
        assert_eq!(
            split("Am 22. November z. B. kommt Hr. Klein. Gut?"),
            ["Am 22. November z. B. kommt Hr. Klein.", "Gut?"]
        );
        assert_eq!(split("„Ja.“ Das war’s, ca. 3 Std. später."), ["„Ja.“ Das war’s, ca. 3 Std. später."]);
        assert_eq!(split("« Oui. » Mme. Roux vient."), ["« Oui.", "» Mme. Roux vient."]);
        assert_eq!(split("It ended in 2026. May was nice."), ["It ended in 2026.", "May was nice."]);
        assert_eq!(split("**Yes.** Really?** No."), ["**Yes.**", "Really?**", "No."]);
        assert_eq!(split("你好。今天好吗？我很好！"), ["你好。", "今天好吗？", "我很好！"]);
    }

    #[test]
    fn tags_are_not_cut_and_go_on_in_the_next_sentence() {
        let text = "<speak>One. <lang xml:lang=\"de\">Zwei. Drei.</lang> Four.</speak>";
        assert_eq!(
            split(text),
            [
                "<speak>One.",
                "<speak><lang xml:lang=\"de\">Zwei.",
                "<speak><lang xml:lang=\"de\">Drei.",
                "<speak><lang xml:lang=\"de\"></lang> Four.",
                "<speak></speak>",
            ]
        );
        assert_eq!(
            split("Meet <sub alias=\"Dr. Who. Yes.\">W. H. O.</sub> now.<break time=\"1.5s\"/>Good. <b>Bye.</b>"),
            [
                "Meet <sub alias=\"Dr. Who. Yes.\">W. H. O.</sub> now.",
                "<break time=\"1.5s\"/>Good.",
                "<b>Bye.",
                "<b></b>"
            ]
        );
        assert_eq!(split("If a < b. Then c <3 d. Good"), ["If a < b.", "Then c <3 d.", "Good"]);
        let mut sentences = Sentences::default();
        sentences.push("Wait <break time=\"1. ", |_| panic!("cut in a tag"));
        sentences.push("5s\"/> here.", |_| panic!("not over"));
        assert_eq!(sentences.flush().unwrap(), "Wait <break time=\"1. 5s\"/> here.");
    }

    #[test]
    fn the_first_clause_goes_ahead_when_it_is_long_enough_to_sound_well() {
        let split = |text: &str| {
            let mut sentences = Sentences::new(true);
            let mut whole = Vec::new();
            sentences.push(text, |sentence| whole.push(sentence));
            whole.extend(sentences.flush());
            whole
        };
        assert_eq!(
            split("I have looked that up for you, and it is open, as I said, until nine. Come, if you like, today."),
            ["I have looked that up for you,", "and it is open, as I said, until nine.", "Come, if you like, today."]
        );
        assert_eq!(split("Yes, we are open."), ["Yes, we are open."]);
        assert_eq!(
            split("That amounts to a total of 1,234,567 euros."),
            ["That amounts to a total of 1,234,567 euros."]
        );
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
        fn nothing_is_lost_however_the_reply_arrives(text in "[ a-zA-Z0-9.,!?\n\"é。<=]{0,600}", step in 1_usize..40) {
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
