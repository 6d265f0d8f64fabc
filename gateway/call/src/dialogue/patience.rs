//! How long a silence must be to end a turn: by what was just said, by what was asked, and by how this caller speaks.

use trunkline_api::agent::TurnPolicy;

/// Shares of `turn.end_silence_ms`, in percent: after a whole question or answer, after a whole sentence, after words that
/// say nothing of what follows, after digits, and in the middle of a thought.
const ANSWERED: u64 = 50;
const WHOLE_SENTENCE: u64 = 70;
const DIGITS: u64 = 170;
const UNFINISHED: u64 = 270;
/// In the middle of digits or letters that were asked for.
const ENTRY: u64 = 270;
/// Least and most, in milliseconds.
const LEAST_MS: u64 = 250;
const MOST_MS: u64 = 3000;
/// A caller's pauses are believed up to this many times the agent's own silence.
const MOST_PACE: u64 = 2;
/// Digits that are a whole number as people dictate them: a telephone number with its area code, without and with the digit
/// that is dialled before it, and that of a card.
const WHOLE_NUMBERS: [usize; 3] = [10, 11, 16];

/// Words after which more follows, in the languages that agents are written in most.
const OPEN_ENDS: [&str; 64] = [
    "um", "uh", "er", "erm", "hmm", "and", "but", "or", "so", "because", "the", "a", "an", "my", "your", "is", "are",
    "to", "of", "for", "with", "in", "on", "at", "from", "i", "äh", "ähm", "öh", "und", "oder", "aber", "weil", "der",
    "die", "das", "ein", "eine", "mein", "meine", "ist", "mit", "für", "von", "zu", "euh", "et", "ou", "mais", "le",
    "la", "un", "une", "de", "pour", "eh", "este", "y", "o", "pero", "el", "los", "con", "para",
];

/// Words that are a whole answer.
const ANSWERS: [&str; 30] = [
    "yes", "no", "yeah", "yep", "nope", "sure", "okay", "ok", "correct", "right", "exactly", "please", "thanks", "ja",
    "nein", "genau", "richtig", "doch", "gerne", "danke", "oui", "non", "sí", "si", "claro", "gracias", "sì", "certo",
    "nee", "klopt",
];

/// How a caller paces words.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    /// Pauses after which the caller went on, in milliseconds; the long ones count.
    pause_ms: u64,
}

impl Pace {
    /// The caller went on after a pause. What says that more follows is followed by longer pauses, whoever speaks: those
    /// count for as much less as they are waited for longer.
    pub(crate) fn paused(&mut self, ms: u64, words: &str) {
        let ms = ms * 100 / share(words, false).max(100);
        self.pause_ms = if ms > self.pause_ms { (self.pause_ms + 3 * ms) / 4 } else { (7 * self.pause_ms + ms) / 8 };
    }
}

/// Digits or letters that the caller is being asked for: how many, at least and at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) min: u32,
    pub(crate) max: u32,
}

impl Expected {
    /// Percent of the usual silence for words that are an answer to it: none once all is there, more while some is
    /// missing. `None` for words that are no answer.
    fn share(self, words: &str) -> Option<u64> {
        let digits = crate::slot::digits_at_the_end(words);
        let count = u32::try_from(digits).unwrap_or(u32::MAX);
        match count {
            0 if is_spelled(words) => Some(ENTRY),
            0 => None,
            _ if count == self.max => Some(0),
            _ if count < self.min || self.max == u32::MAX => Some(ENTRY),
            _ => Some(DIGITS),
        }
    }
}

/// The silence that ends a turn with these words, in milliseconds.
pub(crate) fn silence_ms(
    policy: &TurnPolicy,
    words: &str,
    asked: bool,
    pace: &Pace,
    expected: Option<Expected>,
) -> u64 {
    let base = u64::from(policy.end_silence_ms);
    if !policy.adaptive || words.is_empty() {
        return base;
    }
    let share = expected.and_then(|expected| expected.share(words)).unwrap_or_else(|| share(words, asked));
    if share == 0 {
        return 0;
    }
    let by_words = base * share / 100;
    // Whoever pauses long in the middle of things gets a little more than that.
    let by_pace = (pace.pause_ms * 5 / 4).min(MOST_PACE * base);
    by_words.max(by_pace).clamp(LEAST_MS.min(base), MOST_MS.max(base))
}

/// Percent of the usual silence.
fn share(words: &str, asked: bool) -> u64 {
    let words = words.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    if words.ends_with(',') || words.ends_with('…') || words.ends_with("...") || words.ends_with('-') {
        return UNFINISHED;
    }
    let bare = words.trim_end_matches(['.', '!', '?', '。', '？', '！']);
    let last = bare.rsplit(|c: char| !c.is_alphanumeric() && c != '\'').find(|word| !word.is_empty()).unwrap_or("");
    let last = last.to_lowercase();
    if is_number(&last) || is_spelled(bare) {
        return if WHOLE_NUMBERS.contains(&digits_at_the_end(bare)) { 100 } else { DIGITS };
    }
    if OPEN_ENDS.contains(&last.as_str()) {
        return UNFINISHED;
    }
    if words.ends_with(['?', '？'])
        || (asked && bare.split_whitespace().count() <= 3 && ANSWERS.contains(&last.as_str()))
    {
        return ANSWERED;
    }
    if words.len() > bare.len() { WHOLE_SENTENCE } else { 100 }
}

/// Whether the text ends in single letters: a name that is being spelled.
fn is_spelled(text: &str) -> bool {
    let mut last = text.rsplit(|c: char| c.is_whitespace() || c == '-').filter(|word| !word.is_empty());
    let single =
        |word: Option<&str>| word.is_some_and(|word| word.chars().count() == 1 && !word.starts_with(['I', 'a']));
    single(last.next()) && single(last.next())
}

/// How many digits in a row the text ends in.
fn digits_at_the_end(text: &str) -> usize {
    let words = text.split(|c: char| !c.is_alphanumeric()).rev().filter(|word| !word.is_empty());
    let digits = words.map(str::to_lowercase).take_while(|word| is_number(word));
    digits.map(|word| if word.starts_with(|c: char| c.is_ascii_digit()) { word.len() } else { 1 }).sum()
}

/// Whether a word is digits, or the name of one.
fn is_number(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_digit()) || is_number_word(word)
}

/// Words of which a number is said digit by digit.
pub(crate) const NUMBER_WORDS: [&str; 62] = [
    "zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "null", "eins", "zwei",
    "zwo", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zéro", "deux", "trois", "quatre", "cinq",
    "sept", "huit", "neuf", "cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "dix",
    "dieci", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove", "nul", "twee", "drie", "vijf", "zes",
    "zeven", "negen", "dois", "três", "quatro", "sete", "oito",
];

fn is_number_word(word: &str) -> bool {
    NUMBER_WORDS.contains(&word)
}

/// Every word that says something of what follows.
pub(crate) fn words() -> impl Iterator<Item = &'static str> {
    OPEN_ENDS.into_iter().chain(ANSWERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence(words: &str, asked: bool) -> u64 {
        silence_ms(&TurnPolicy::default(), words, asked, &Pace::default(), None)
    }

    #[test]
    fn a_question_is_answered_sooner_than_half_a_sentence() {
        assert_eq!(silence("", false), 600);
        assert_eq!(silence("Are you open?", false), 300);
        assert_eq!(silence("I would like to order.", false), 420);
        assert_eq!(silence("I would like to order", false), 600);
        assert_eq!(silence("I would like to order the", false), 1620);
        assert_eq!(silence("it was, um", false), 1620);
        assert_eq!(silence("Well,", false), 1620);
        assert_eq!(silence("Ich hätte gerne eine", false), 1620);
    }

    #[test]
    fn digits_and_letters_come_in_groups() {
        assert_eq!(silence("my number is 0 4 2", false), 1020);
        assert_eq!(silence("four two seven", false), 1020);
        assert_eq!(silence("That is M U L", false), 1020);
        assert_eq!(silence("You know what I mean", false), 600);
    }

    #[test]
    fn a_number_that_is_whole_is_waited_for_no_longer_than_words() {
        assert_eq!(silence("It's 0171 496 2207", false), 600);
        assert_eq!(silence("zero one seven one four nine six two two oh", false), 600);
        assert_eq!(silence("four four four four, 1 2 3 4, 5 6 7 8", false), 1020, "twelve digits of a card");
        assert_eq!(silence("4929 1234 5678 9012", false), 600);
        assert_eq!(silence("0171 496", false), 1020);
    }

    #[test]
    fn a_pause_that_was_to_be_expected_says_little_of_the_caller() {
        let mut pace = Pace::default();
        (0..3).for_each(|_| pace.paused(900, "my name is"));
        assert_eq!(silence_ms(&TurnPolicy::default(), "I want tea", false, &pace, None), 600, "{pace:?}");
        (0..3).for_each(|_| pace.paused(900, "I called yesterday"));
        assert!(silence_ms(&TurnPolicy::default(), "I want tea", false, &pace, None) > 1000, "{pace:?}");
    }

    #[test]
    fn a_word_is_a_whole_answer_only_where_something_was_asked() {
        assert_eq!(silence("Yes", true), 300);
        assert_eq!(silence("Yes", false), 600);
        assert_eq!(silence("it is the one on the right", true), 600);
    }

    #[test]
    fn whoever_reads_out_a_number_is_given_time_until_all_of_it_is_there() {
        let four = Some(Expected { min: 4, max: 4 });
        let silence = |words: &str| silence_ms(&TurnPolicy::default(), words, true, &Pace::default(), four);
        assert_eq!(silence("it is four seven"), 1620);
        assert_eq!((silence("it is four seven one two"), silence("4712")), (0, 0));
        assert_eq!(silence("I do not have it."), 420, "what is no answer to it ends as anything else does");
    }

    #[test]
    fn whoever_pauses_long_is_given_time() {
        let mut pace = Pace::default();
        (0..3).for_each(|_| pace.paused(700, "I want"));
        let policy = TurnPolicy::default();
        assert!((800..=900).contains(&silence_ms(&policy, "I want tea", false, &pace, None)), "{pace:?}");
        (0..20).for_each(|_| pace.paused(100, "I want"));
        assert_eq!(silence_ms(&policy, "I want tea", false, &pace, None), 600);
        let fixed = TurnPolicy { adaptive: false, ..policy };
        assert_eq!(silence_ms(&fixed, "Are you open?", false, &pace, None), 600);
    }
}
