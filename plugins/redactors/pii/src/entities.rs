//! What counts as personal data, and where it is in a piece of text.

use std::ops::Range;

use crate::checksum::{iban, luhn, verhoeff};
use crate::digits::{Chain, Digit, chains};

/// A kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Email,
    Iban,
    Card,
    Aadhaar,
    Phone,
}

impl Kind {
    /// All kinds; where two could be meant, the earlier one wins.
    pub(crate) const ALL: [Self; 5] = [Self::Email, Self::Iban, Self::Card, Self::Aadhaar, Self::Phone];

    /// The name that policies and replacements use.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Email => "email-address",
            Self::Iban => "iban",
            Self::Card => "card-number",
            Self::Aadhaar => "aadhaar",
            Self::Phone => "phone-number",
        }
    }
}

/// The longest entity, in bytes: what is longer is not looked for.
pub(crate) const LONGEST: usize = 320;

/// Finds the entities of the wanted kinds, in order and without overlap.
pub(crate) fn find(text: &str, wanted: &[Kind]) -> Vec<(Range<usize>, Kind)> {
    let mut found: Vec<(Range<usize>, Kind)> = Vec::new();
    let mut add = |kind: Kind, spans: Vec<Range<usize>>| {
        for span in spans {
            let free = found.iter().all(|(taken, _)| span.end <= taken.start || taken.end <= span.start);
            if free && span.len() <= LONGEST {
                found.push((span, kind));
            }
        }
    };
    // All kinds are looked for, whatever is wanted: a card number must not turn into a phone number when cards are
    // left alone.
    add(Kind::Email, emails(text));
    add(Kind::Iban, ibans(text));
    let chains = chains(text);
    add(Kind::Card, chains.iter().flat_map(|chain| windows(chain, 13..=19, is_card)).collect());
    add(Kind::Aadhaar, chains.iter().flat_map(|chain| windows(chain, 12..=12, is_aadhaar)).collect());
    add(Kind::Phone, chains.iter().flat_map(|chain| phones(text, chain)).collect());
    found.retain(|(_, kind)| wanted.contains(kind));
    found.sort_by_key(|(span, _)| span.start);
    found
}

/// Numbers in a chain that begin and end with a group of digits, leftmost first and the longest of each place.
fn windows(chain: &Chain, lengths: std::ops::RangeInclusive<usize>, holds: fn(&[Digit]) -> bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut first = 0;
    while first < chain.len() {
        let hit = lengths.clone().rev().filter(|_| chain[first].opens).find_map(|length| {
            let window = chain.get(first..first + length)?;
            (window[length - 1].closes && holds(window)).then_some(window)
        });
        match hit {
            Some(window) => {
                found.push(window[0].start..window[window.len() - 1].end);
                first += window.len();
            }
            None => first += 1,
        }
    }
    found
}

fn values(window: &[Digit]) -> impl DoubleEndedIterator<Item = u8> + '_ {
    window.iter().map(|digit| digit.value)
}

/// Payment cards: issuers' numbers begin with 2 to 6 (ISO/IEC 7812-1).
fn is_card(window: &[Digit]) -> bool {
    (2..=6).contains(&window[0].value) && luhn(values(window))
}

/// Aadhaar numbers never begin with 0 or 1.
fn is_aadhaar(window: &[Digit]) -> bool {
    window[0].value >= 2 && verhoeff(values(window))
}

/// E.164 numbers with `+` or `00`, and what is commonly written inside a country: eleven or ten digits with a leading
/// zero (most of Europe and Asia), ten digits in North America and India.
fn phones(text: &str, chain: &Chain) -> Vec<Range<usize>> {
    let first = chain[0].start;
    if text[..first].trim_end().ends_with('+') {
        let start = text[..first].rfind('+').unwrap_or(first);
        let length = chain.len().min(15);
        let end = (7..=length).rev().find(|length| chain[length - 1].closes);
        return end.map(|length| start..chain[length - 1].end).into_iter().collect();
    }
    let mut spans = windows(chain, 7..=17, is_national);
    // An opening bracket belongs to the number.
    for span in &mut spans {
        if text[..span.start].ends_with('(') {
            span.start -= 1;
        }
    }
    spans
}

fn is_national(window: &[Digit]) -> bool {
    let digit = |index: usize| window.get(index).map_or(0, |digit| digit.value);
    match window.len() {
        9..=17 if digit(0) == 0 && digit(1) == 0 => true,
        9..=11 if digit(0) == 0 => true,
        10 => digit(0) >= 6 || (digit(0) >= 2 && digit(3) >= 2),
        11 => digit(0) == 1 && digit(1) >= 2 && digit(4) >= 2,
        _ => false,
    }
}

/// Addresses as RFC 5321 writes them without quotes; the domain has a dot and ends in letters.
fn emails(text: &str) -> Vec<Range<usize>> {
    let local = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let domain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.');
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, _) in text.match_indices('@') {
        let begin =
            text[..at].char_indices().rev().take_while(|(_, c)| local(*c)).last().map_or(at, |(start, _)| start);
        let begin = begin.max(found.last().map_or(0, |span| span.end));
        let begin = begin + (text[begin..at].len() - text[begin..at].trim_start_matches(['.', '\'', '/', '=']).len());
        let tail: usize = text[at + 1..].chars().take_while(|c| domain(*c)).map(char::len_utf8).sum();
        let name = text[at + 1..at + 1 + tail].trim_end_matches(['.', '-']);
        let ends_in_letters = name.rsplit_once('.').is_some_and(|(host, top)| {
            !host.is_empty() && top.chars().count() >= 2 && top.chars().all(char::is_alphabetic)
        });
        if begin < at && ends_in_letters {
            found.push(begin..at + 1 + name.len());
        }
    }
    found
}

/// Account numbers in electronic form or in groups that a space or dash separates.
fn ibans(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let at_edge = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        match Some(at).filter(|_| at_edge && is_iban_head(&bytes[at..])).and_then(|at| iban_end(bytes, at)) {
            Some(end) => {
                found.push(at..end);
                at = end;
            }
            None => at += 1,
        }
    }
    found
}

/// A country's two letters and two check digits.
pub(crate) fn is_iban_head(bytes: &[u8]) -> bool {
    matches!(bytes, [a, b, c, d, ..]
        if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && c.is_ascii_digit() && d.is_ascii_digit())
}

/// Where the longest account number that begins at `start` ends.
fn iban_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut characters = Vec::with_capacity(34);
    let mut end = None;
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        if byte.is_ascii_alphanumeric() && characters.len() < 34 {
            characters.push(byte.to_ascii_uppercase());
            let edge = !bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric);
            if edge && characters.len() >= 15 && iban(&characters) {
                end = Some(at + 1);
            }
        } else if !(matches!(byte, b' ' | b'-') && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric)) {
            break;
        }
        at += 1;
    }
    end
}
