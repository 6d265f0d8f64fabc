//! Digits, said one by one, in twos and as numbers: "four two", "double five", "forty-two", "42".

use super::words::{below_hundred, split, tag};

/// Words that double or triple the digit behind them.
const TIMES: [(&str, usize); 14] = [
    ("double", 2),
    ("triple", 3),
    ("treble", 3),
    ("quadruple", 4),
    ("doppel", 2),
    ("doppelt", 2),
    ("dreifach", 3),
    ("triplo", 3),
    ("doble", 2),
    ("doppio", 2),
    ("doppia", 2),
    ("dubbel", 2),
    ("duplo", 2),
    ("dobro", 2),
];

/// Words of a text's end that are looked at: more than any number has.
const MOST_AT_THE_END: usize = 40;

/// The digits of a text that is nothing else; `None` when there is anything else in it.
pub(super) fn only(text: &str, language: &str) -> Option<String> {
    let words = split(text);
    let mut digits = String::new();
    let mut at = 0;
    while at < words.len() {
        let (more, taken) = next(&words[at..], language)?;
        digits.push_str(&more);
        at += taken;
    }
    (!digits.is_empty()).then_some(digits)
}

/// The digits that words begin with, and how many words they take.
pub(super) fn next(words: &[String], language: &str) -> Option<(String, usize)> {
    let first = words.first()?;
    if first.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some((first.clone(), 1));
    }
    if let Some((_, times)) = TIMES.iter().find(|(word, _)| word == first) {
        let (digit, taken) = next(&words[1..], language)?;
        return (digit.len() == 1).then(|| (digit.repeat(*times), taken + 1));
    }
    if tag(language) == "fr" && first == "double" {
        return None;
    }
    let (number, taken) = below_hundred(words, language)?;
    Some((number.to_string(), taken))
}

/// Whether a telephone number begins with its plus, and the rest of it.
pub(super) fn without_plus<'a>(text: &'a str, language: &str) -> (bool, &'a str) {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('+') {
        return (true, rest);
    }
    let plus = match tag(language).as_str() {
        "es" => "más",
        "it" => "più",
        "pt" => "mais",
        _ => "plus",
    };
    match text.get(..plus.len()) {
        Some(first) if first.to_lowercase() == plus => (true, text.get(plus.len()..).unwrap_or_default()),
        _ => (false, text),
    }
}

/// How many digits a text ends with, said in any of the languages.
pub(crate) fn at_the_end(text: &str) -> usize {
    let all = split(text);
    let words = &all[all.len().saturating_sub(MOST_AT_THE_END)..];
    // From the earliest word on from which all the rest are digits.
    (0..words.len())
        .find_map(|from| {
            ["en", "de", "fr", "es", "it", "nl", "pt"].iter().find_map(|language| {
                let mut at = from;
                let mut count = 0;
                while at < words.len() {
                    let (digits, taken) = next(&words[at..], language)?;
                    count += digits.len();
                    at += taken;
                }
                Some(count)
            })
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_at_the_end_of_a_sentence_are_counted() {
        assert_eq!(at_the_end("my number is four seven"), 2);
        assert_eq!(at_the_end("it is 0 4 2 double seven"), 5);
        assert_eq!(at_the_end("meine Nummer ist vier zwo sieben"), 3);
        assert_eq!(at_the_end("four of them please"), 0);
        assert_eq!(at_the_end(""), 0);
    }
}
