//! Reading back: digits in groups, letters with a word that begins with them, so that the caller can hear what is wrong.

use trunkline_api::slots::SlotKind;

use super::letters::word_for;
use super::words::tag;

/// Words of a language: "as in", "at", "dot", "hyphen", "underscore", "plus", and what is asked of a caller with keys.
const WORDS: [(&str, [&str; 6], &str); 7] = [
    ("en", ["as in", "at", "dot", "hyphen", "underscore", "plus"], "If that is right press 1, otherwise press 2."),
    (
        "de",
        ["wie", "ät", "Punkt", "Bindestrich", "Unterstrich", "plus"],
        "Wenn das stimmt, drücken Sie die 1, sonst die 2.",
    ),
    ("fr", ["comme", "arobase", "point", "tiret", "tiret bas", "plus"], "Si c'est juste, appuyez sur 1, sinon sur 2."),
    ("es", ["de", "arroba", "punto", "guion", "guion bajo", "más"], "Si es correcto, pulse 1, si no, pulse 2."),
    (
        "it",
        ["come", "chiocciola", "punto", "trattino", "trattino basso", "più"],
        "Se è giusto prema 1, altrimenti prema 2.",
    ),
    (
        "nl",
        ["van", "apenstaartje", "punt", "streepje", "laag streepje", "plus"],
        "Als dat klopt, toets dan 1, anders 2.",
    ),
    ("pt", ["de", "arroba", "ponto", "hífen", "sublinhado", "mais"], "Se está certo, prima 1, senão prima 2."),
];

fn words(language: &str) -> &'static (&'static str, [&'static str; 6], &'static str) {
    let tag = tag(language);
    WORDS.iter().find(|(known, ..)| *known == tag).unwrap_or(&WORDS[0])
}

/// A value as it is said for the caller to check.
pub(crate) fn read_back(kind: &SlotKind, value: &str, language: &str) -> String {
    let (_, names, _) = words(language);
    match kind {
        SlotKind::Digits { .. } | SlotKind::CardNumber | SlotKind::CardExpiry => grouped(value),
        SlotKind::Phone => match value.strip_prefix('+') {
            Some(digits) => format!("{} {}", names[5], grouped(digits)),
            None => grouped(value),
        },
        SlotKind::Name if value.contains(' ') => {
            let parts: Vec<String> = value.split_whitespace().map(|part| spelt(part, language)).collect();
            parts.join("; ")
        }
        SlotKind::Name | SlotKind::PostalCode { .. } | SlotKind::Iban | SlotKind::Custom { .. } => {
            spelt(value, language)
        }
        SlotKind::Email => match value.split_once('@') {
            Some((local, domain)) => {
                let domain = domain.replace('.', &format!(" {} ", names[2]));
                format!("{}, {} {domain}", spelt(local, language), names[1])
            }
            None => spelt(value, language),
        },
        SlotKind::Text
        | SlotKind::Date
        | SlotKind::Time
        | SlotKind::Number
        | SlotKind::Choice { .. }
        | SlotKind::YesNo => value.to_owned(),
    }
}

/// The same, and what to press.
pub(crate) fn read_back_and_ask(kind: &SlotKind, value: &str, language: &str) -> String {
    let (.., ask) = words(language);
    format!("{}. {ask}", read_back(kind, value, language))
}

/// Digits one by one in groups of four, the first of which has what is left over and at least two.
fn grouped(digits: &str) -> String {
    let all: Vec<char> = digits.chars().collect();
    let first = match all.len() % 4 {
        1 if all.len() > 4 => 5,
        0 => 4,
        rest => rest,
    };
    let (first, rest) = all.split_at(first.min(all.len()));
    let spaced = |group: &[char]| group.iter().map(char::to_string).collect::<Vec<_>>().join(" ");
    std::iter::once(first)
        .chain(rest.chunks(4))
        .map(spaced)
        .filter(|group| !group.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Letters with a word each where the language has an alphabet, digits in groups between them.
fn spelt(text: &str, language: &str) -> String {
    let (_, names, _) = words(language);
    let (mut pieces, mut digits) = (Vec::new(), String::new());
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        if !digits.is_empty() {
            pieces.push(grouped(&std::mem::take(&mut digits)));
        }
        let lower = c.to_lowercase().next().unwrap_or(c);
        match (c, word_for(lower, language)) {
            ('.', _) => pieces.push(names[2].to_owned()),
            ('-', _) => pieces.push(names[3].to_owned()),
            ('_', _) => pieces.push(names[4].to_owned()),
            ('+', _) => pieces.push(names[5].to_owned()),
            (c, _) if c.is_whitespace() => {}
            (c, Some(word)) => pieces.push(format!("{c} {} {word}", names[0])),
            (c, None) => pieces.push(c.to_string()),
        }
    }
    if !digits.is_empty() {
        pieces.push(grouped(&digits));
    }
    pieces.join(", ")
}
