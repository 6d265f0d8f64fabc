//! Digits that are no quantity: telephone numbers, card and account numbers, and codes of letters and digits. They are
//! said one by one, with a pause where they are grouped.

use super::words::{Reader, Reading, Word};

/// Digits of a telephone number (ITU-T E.164), and of a number that is one without anybody saying so.
const MOST_DIGITS: usize = 15;
const LEAST_DIGITS: usize = 7;
/// A number of that many digits that nothing groups is read by nobody as a quantity.
const LONG: usize = 7;
/// How far before a code there may be a word that says so.
const NEAR: usize = 3;

pub(super) fn read(reader: Reader, before: &[Word<'_>], words: &[Word<'_>]) -> Option<Reading> {
    groups(reader, words).or_else(|| single(reader, before, words))
}

/// A group of digits and what separates digits, without what is around it.
fn group<'a>(word: &Word<'a>) -> Option<&'a str> {
    let text = word
        .whole
        .trim_end_matches([',', '.', ';', ':', '!', '?', '"', '\'', '”', '’'])
        .trim_start_matches(['"', '\'']);
    let fits = text.chars().any(|c| c.is_ascii_digit())
        && text.chars().enumerate().all(|(at, c)| {
            c.is_ascii_digit() || matches!(c, '(' | ')' | '-' | '.' | '/' | '\u{2011}') || (c == '+' && at < 2)
        });
    fits.then_some(text)
}

/// Telephone numbers, and long numbers in groups.
fn groups(reader: Reader, words: &[Word<'_>]) -> Option<Reading> {
    let mut count = 0;
    let mut all = String::new();
    for word in words.iter().take(8) {
        let Some(text) = group(word) else { break };
        if text.contains('+') && count > 0 {
            break;
        }
        count += 1;
        all.push_str(text);
        all.push(' ');
        // Another sentence, or another number of a list, begins behind that.
        if word.whole.ends_with([',', ';', ':', '!', '?']) || (word.whole.ends_with('.') && !text.ends_with('.')) {
            break;
        }
    }
    let sizes: Vec<usize> =
        all.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).map(str::len).collect();
    let digits: usize = sizes.iter().sum();
    let begins = all.trim_start_matches('(');
    let international = begins.starts_with('+') || begins.starts_with("00");
    let national = begins.starts_with('0') || all.starts_with('(');
    let thousands = sizes.len() > 1 && sizes.first() <= Some(&3) && sizes.iter().skip(1).all(|size| *size == 3);
    let telephone = (LEAST_DIGITS..=MOST_DIGITS).contains(&digits)
        && (international || (national && !is_date(&all, &sizes)) || (sizes.len() >= 3 && digits >= 10 && !thousands));
    let card = (12..=19).contains(&digits)
        && sizes.len() >= 3
        && sizes.iter().rev().skip(1).all(|size| *size == 4)
        && sizes.last() <= Some(&4);
    if !(telephone || card) {
        return None;
    }
    let reading = words.iter().take(count).enumerate().map(|(at, word)| {
        let text = group(word).unwrap_or_default();
        let mut spoken = spell(reader, text);
        let begin = word.whole.find(text).unwrap_or(0);
        let around = (&word.whole[..begin], &word.whole[begin + text.len()..]);
        if at + 1 < count && around.1.is_empty() {
            spoken.push(',');
        }
        format!("{}{spoken}{}", around.0, around.1)
    });
    Some(reading.collect())
}

/// "01.02.2026", "2026-02-01", "01/02/26".
fn is_date(text: &str, sizes: &[usize]) -> bool {
    let signs = text.trim().matches(['.', '/', '-']).count();
    signs == 2 && matches!(sizes, [1 | 2, 1 | 2, 2 | 4] | [4, 1 | 2, 1 | 2])
}

/// Digits one by one, the plus by its name, a pause between groups.
fn spell(reader: Reader, text: &str) -> String {
    let mut out = String::new();
    if text.contains('+') {
        out.push_str(reader.known.map_or("plus", |(language, _)| language.plus));
    }
    for part in text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()) {
        if !out.is_empty() {
            out.push_str(if out.ends_with(|c: char| c.is_ascii_digit() || c.is_alphabetic()) && out.contains(' ') {
                ", "
            } else {
                " "
            });
        }
        out.push_str(&reader.digits(part));
    }
    out
}

fn single(reader: Reader, before: &[Word<'_>], words: &[Word<'_>]) -> Option<Reading> {
    let word = words.first()?;
    let core = word.core;
    let announced = is_announced(reader, before);
    let digits = core.bytes().filter(u8::is_ascii_digit).count();
    let spoken = if digits == core.len() && digits > 0 {
        let quantity = (core.ends_with("000") && !core.starts_with('0')) || counts(reader, words.get(1));
        let code = if announced {
            digits >= 3
        } else {
            (core.starts_with('0') && digits >= 3) || (digits >= LONG && !quantity)
        };
        code.then(|| reader.digits(core))?
    } else if digits >= 2 && core.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') && announced {
        spell(reader, core)
    } else {
        mixed(reader, core, digits, announced)?
    };
    Some(vec![format!("{}{spoken}{}", word.lead, word.trail)])
}

/// A code of capital letters and digits: "XK4829", "DE89", "A1-B2-C3".
fn mixed(reader: Reader, core: &str, digits: usize, announced: bool) -> Option<String> {
    /// Longer runs of letters are words ("COVID19").
    const MOST_LETTERS: usize = 4;
    let signs = core.bytes().filter(|byte| *byte == b'-').count();
    let letters = core.bytes().filter(u8::is_ascii_uppercase).count();
    let longest = core.split(|c: char| !c.is_ascii_uppercase()).map(str::len).max().unwrap_or(0);
    let fits = letters > 0
        && letters + digits + signs == core.len()
        && longest <= MOST_LETTERS
        && !core.starts_with('-')
        && !core.ends_with('-')
        && (if announced { digits >= 1 && letters + digits >= 3 } else { digits >= 3 && letters + digits >= 5 });
    if !fits {
        return None;
    }
    let mut out = String::new();
    for character in core.chars() {
        if !out.is_empty() && character != '-' {
            out.push(' ');
        }
        match character {
            '-' => out.push(','),
            digit if digit.is_ascii_digit() => out.push_str(&reader.digits(digit.encode_utf8(&mut [0; 4]))),
            letter => out.push(letter),
        }
    }
    Some(out)
}

/// Whether one of the words before says that a code follows.
fn is_announced(reader: Reader, before: &[Word<'_>]) -> bool {
    let Some((language, _)) = reader.known else { return false };
    before.iter().rev().take(NEAR).any(|word| {
        let bare = word.core.to_lowercase();
        language.codes.contains(&bare.as_str())
    })
}

/// Whether the number before that word counts something, by a unit or a currency.
fn counts(reader: Reader, next: Option<&Word<'_>>) -> bool {
    let (Some((language, _)), Some(next)) = (reader.known, next) else { return false };
    let word = next.core;
    language.units.iter().any(|(short, one, more)| [*short, *one, *more].contains(&word))
        || language
            .currencies
            .iter()
            .any(|currency| currency.written.contains(&word) || word == currency.one || word == currency.more)
        || word == "%"
        || word.eq_ignore_ascii_case(language.percent)
}
