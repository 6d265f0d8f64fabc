//! What the agent's question says of its answer: whether "yes" is all of it, and how many digits were asked for.

use super::patience::Expected;

/// Words with which a question begins whose answer is not yes or no, by language.
const OPEN: [(&str, &[&str]); 7] = [
    ("en", &["what", "what's", "which", "who", "whom", "whose", "where", "when", "why", "how"]),
    (
        "de",
        &["was", "welche", "welcher", "welches", "welchen", "wer", "wem", "wen", "wo", "wohin", "wann", "warum", "wie"],
    ),
    ("fr", &["que", "quoi", "quel", "quelle", "quels", "qui", "où", "quand", "pourquoi", "comment", "combien"]),
    ("es", &["qué", "cuál", "quién", "dónde", "cuándo", "cómo", "cuánto", "cuántos", "cuántas"]),
    ("it", &["che", "cosa", "quale", "qual", "chi", "dove", "quando", "perché", "come", "quanto", "quanti"]),
    ("nl", &["wat", "welke", "welk", "wie", "waar", "wanneer", "waarom", "hoe"]),
    ("pt", &["que", "qual", "quem", "onde", "quando", "como", "quanto", "quantos"]),
];
/// After these a question is one of yes or no all the same ("how about Tuesday?").
const SUGGESTS: [&str; 2] = ["about", "wäre"];
/// How far into a sentence its question word is looked for ("and so, which day?").
const BEGINNING: usize = 3;

/// What digits are called.
const DIGITS: [&str; 12] = [
    "digit",
    "digits",
    "ziffer",
    "ziffern",
    "stelligen",
    "chiffre",
    "chiffres",
    "cifra",
    "cifras",
    "cifre",
    "cijfers",
    "dígitos",
];
/// Between the least and the most of them.
const TO: [&str; 8] = ["to", "or", "bis", "oder", "à", "ou", "o", "of"];
/// Numbers of digits that people ask for, from 2 on.
const COUNTS: [[&str; 6]; 15] = [
    ["two", "zwei", "deux", "dos", "due", "twee"],
    ["three", "drei", "trois", "tres", "tre", "drie"],
    ["four", "vier", "quatre", "cuatro", "quattro", "vier"],
    ["five", "fünf", "cinq", "cinco", "cinque", "vijf"],
    ["six", "sechs", "six", "seis", "sei", "zes"],
    ["seven", "sieben", "sept", "siete", "sette", "zeven"],
    ["eight", "acht", "huit", "ocho", "otto", "acht"],
    ["nine", "neun", "neuf", "nueve", "nove", "negen"],
    ["ten", "zehn", "dix", "diez", "dieci", "tien"],
    ["eleven", "elf", "onze", "once", "undici", "elf"],
    ["twelve", "zwölf", "douze", "doce", "dodici", "twaalf"],
    ["thirteen", "dreizehn", "treize", "trece", "tredici", "dertien"],
    ["fourteen", "vierzehn", "quatorze", "catorce", "quattordici", "veertien"],
    ["fifteen", "fünfzehn", "quinze", "quince", "quindici", "vijftien"],
    ["sixteen", "sechzehn", "seize", "dieciséis", "sedici", "zestien"],
];
/// "Vierstellig" is one word.
const PLACES: [&str; 4] = ["stellig", "stellige", "stelliger", "stelligen"];
const MOST: u32 = 20;

/// Whether what was said ends in a question that "yes" or "no" answers.
pub(crate) fn asks_yes_or_no(text: &str, language: &str) -> bool {
    let text = text.trim_end();
    let language = language.split('-').next().unwrap_or_default().to_lowercase();
    let open = OPEN.iter().find(|(tag, _)| *tag == language).map_or(OPEN[0].1, |(_, words)| words);
    let words: Vec<String> = words_of(last_sentence(text)).collect();
    let at = words.iter().take(BEGINNING).position(|word| open.contains(&word.as_str()));
    let suggests = |at: usize| words.get(at + 1).is_some_and(|next| SUGGESTS.contains(&next.as_str()));
    text.ends_with(['?', '？']) && at.is_none_or(suggests)
}

/// How many digits the last sentence asks for, when it says so.
pub(crate) fn digits(text: &str) -> Option<Expected> {
    let words: Vec<String> = words_of(last_sentence(text)).collect();
    let exactly = |count: u32| Expected { min: count, max: count };
    words.iter().enumerate().find_map(|(at, word)| {
        if let Some(count) = PLACES.iter().find_map(|places| count(word.strip_suffix(places)?)) {
            return Some(exactly(count));
        }
        if !DIGITS.contains(&word.as_str()) {
            return None;
        }
        let before = |back: usize| at.checked_sub(back).and_then(|at| words.get(at));
        let max = count(before(1)?)?;
        let min = before(2).filter(|to| TO.contains(&to.as_str())).and_then(|_| count(before(3)?));
        Some(min.filter(|min| *min < max).map_or(exactly(max), |min| Expected { min, max }))
    })
}

/// Whether a word says of the one before it that it counts digits.
pub(crate) fn counts_digits(word: &str) -> bool {
    DIGITS.contains(&word) || TO.contains(&word)
}

/// Every word that something follows from, but for counts: those stay where they stand before digits.
pub(crate) fn words() -> impl Iterator<Item = &'static str> {
    OPEN.into_iter().flat_map(|(_, words)| words.iter().copied()).chain(SUGGESTS).chain(DIGITS).chain(TO).chain(PLACES)
}

fn count(word: &str) -> Option<u32> {
    let named = COUNTS.iter().zip(2..).find(|(names, _)| names.contains(&word)).map(|(_, count)| count);
    named.or_else(|| word.parse().ok()).filter(|count| (2..=MOST).contains(count))
}

fn last_sentence(text: &str) -> &str {
    let text = text.trim_end().trim_end_matches(['.', '!', '?', '？', '。']);
    text.rsplit(['.', '!', '?', '？', '。']).next().unwrap_or(text)
}

fn words_of(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|word| !word.is_empty());
    words.map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_answers_some_questions_and_begins_the_answer_to_others() {
        for text in ["Is that correct?", "Thank you. Shall I book it?", "How about Tuesday?", "Was it today?"] {
            assert!(asks_yes_or_no(text, "en-GB"), "{text}");
        }
        for text in ["What can I do for you?", "And so, which day suits you?", "It is booked.", "Is it? Where are you?"]
        {
            assert!(!asks_yes_or_no(text, "en"), "{text}");
        }
        assert!(!asks_yes_or_no("Was kann ich für Sie tun?", "de") && asks_yes_or_no("Stimmt das?", "de-AT"));
    }

    #[test]
    fn digits_are_asked_for_by_how_many_they_are() {
        let exactly = |count| Some(Expected { min: count, max: count });
        assert_eq!(digits("What is your four-digit code?"), exactly(4));
        assert_eq!(digits("Thank you. The last 4 digits of the card, please."), exactly(4));
        assert_eq!(digits("Bitte nennen Sie Ihre sechsstellige Nummer."), exactly(6));
        assert_eq!(digits("Quels sont les dix chiffres ?"), exactly(10));
        assert_eq!(digits("Your PIN has four to eight digits."), Some(Expected { min: 4, max: 8 }));
        assert_eq!(digits("The four-digit code was sent. What is your name?"), None);
        assert_eq!(digits("How many digits has it?"), None);
        assert_eq!(digits("What is your telephone number?"), None);
    }
}
