//! Quantities in words: numbers, money, percent, ordinals and units.

use super::languages::{Currency, Language};
use super::numbers::Tongue;
use super::words::{Reading, Word, whole};

/// A number as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Number<'a> {
    negative: bool,
    units: u64,
    /// Digits behind the point, as they are written.
    fraction: &'a str,
    /// It had signs that group or a fraction, so that it cannot be a year or a code.
    formed: bool,
}

pub(super) fn read(known: (&'static Language, Tongue), before: &[Word<'_>], words: &[Word<'_>]) -> Option<Reading> {
    let (first, next) = (words.first()?, words.get(1));
    money(known, first, next)
        .map(|(count, spoken)| whole(words, count, &spoken))
        .or_else(|| percent(known, first, next).map(|(count, spoken)| whole(words, count, &spoken)))
        .or_else(|| ordinal(known, first).map(|spoken| whole(words, 1, &spoken)))
        .or_else(|| unit(known, first, next).map(|(count, spoken)| whole(words, count, &spoken)))
        .or_else(|| plain(known, before, words))
}

/// Reads a number as the language writes it: "1,234.5", "1.234,5".
fn number<'a>(language: &Language, text: &'a str) -> Option<Number<'a>> {
    let negative = text.starts_with(['-', '−']);
    let bare = text.trim_start_matches(['-', '−']);
    let (group, decimal) = if language.decimal_comma { ('.', ',') } else { (',', '.') };
    let (whole, fraction) = bare.split_once(decimal).unwrap_or((bare, ""));
    if bare.contains(decimal) && fraction.is_empty() {
        return None;
    }
    let mut parts = whole.split(group);
    let first = parts.next().unwrap_or_default();
    let grouped = whole.contains(group);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let rest: Vec<&str> = parts.collect();
    let fits = digits(first)
        && (!grouped || first.len() <= 3)
        && rest.iter().all(|part| part.len() == 3 && digits(part))
        && (fraction.is_empty() || digits(fraction))
        && (first == "0" || !first.starts_with('0'));
    if !fits || fraction.len() > 6 {
        return None;
    }
    let units = whole
        .chars()
        .filter_map(|c| c.to_digit(10))
        .try_fold(0_u64, |sum, digit| sum.checked_mul(10).and_then(|sum| sum.checked_add(u64::from(digit))))?;
    Some(Number { negative, units, fraction, formed: grouped || !fraction.is_empty() || negative })
}

/// A number in words: "minus three point one four".
fn said((language, tongue): (&'static Language, Tongue), number: Number<'_>) -> Option<String> {
    let mut out = tongue.cardinal(number.units)?;
    if !number.fraction.is_empty() {
        out = format!("{out} {}", language.point);
        for digit in number.fraction.chars().filter_map(|c| c.to_digit(10)) {
            out.push(' ');
            out.push_str(tongue.digits().get(digit as usize)?);
        }
    }
    Some(if number.negative { format!("{} {out}", language.minus) } else { out })
}

/// Whether only one of a thing is meant.
fn is_one(number: Number<'_>) -> bool {
    number.units == 1 && number.fraction.is_empty()
}

/// "$3.50", "3,50 €", "20 EUR", "$3 million".
fn money(known: (&'static Language, Tongue), first: &Word<'_>, next: Option<&Word<'_>>) -> Option<(usize, String)> {
    let (language, _) = known;
    let core = first.core;
    let find = |sign: &str| language.currencies.iter().find(|currency| currency.written.contains(&sign));
    for currency in language.currencies {
        for sign in currency.written {
            if let Some(amount) = core.strip_prefix(sign).or_else(|| core.strip_suffix(sign))
                && let Some(number) = number(language, amount)
            {
                // "$3 million" is so many million dollars.
                if let Some(scale) = next.filter(|next| is_scale(language, next.core) && first.trail.is_empty()) {
                    let spoken = format!("{} {} {}{}", said(known, number)?, scale.core, of(language), currency.more);
                    return Some((2, spoken));
                }
                return Some((1, amount_of(known, number, currency)?));
            }
        }
    }
    let number = number(language, core).filter(|_| first.trail.is_empty())?;
    let currency = next.filter(|next| next.lead.is_empty()).and_then(|next| find(next.core))?;
    Some((2, amount_of(known, number, currency)?))
}

/// Between "million" and a noun.
fn of(language: &Language) -> &'static str {
    match language.tag {
        "fr" | "es" | "pt" => "de ",
        "it" => "di ",
        _ => "",
    }
}

fn is_scale(language: &Language, word: &str) -> bool {
    let scales: &[&str] = match language.tag {
        "en" => &["million", "billion", "thousand"],
        "de" => &["Million", "Millionen", "Milliarde", "Milliarden"],
        "fr" => &["million", "millions", "milliard", "milliards"],
        "es" => &["millón", "millones"],
        "it" => &["milione", "milioni", "miliardo", "miliardi"],
        "pt" => &["milhão", "milhões", "bilhão", "bilhões"],
        "nl" => &["miljoen", "miljard"],
        _ => &[],
    };
    scales.contains(&word)
}

fn amount_of(
    (language, tongue): (&'static Language, Tongue),
    number: Number<'_>,
    currency: &Currency,
) -> Option<String> {
    let cents: u64 = match number.fraction.len() {
        0 => 0,
        1 => number.fraction.parse::<u64>().ok()? * 10,
        2 => number.fraction.parse().ok()?,
        // Prices of fuel and shares: as a number.
        _ => return Some(format!("{} {}", said((language, tongue), number)?, currency.more)),
    };
    let minus = if number.negative { format!("{} ", language.minus) } else { String::new() };
    let name = if number.units == 1 { currency.one } else { currency.more };
    // A round million takes its preposition here, too.
    let round = number.units >= 1_000_000 && number.units.is_multiple_of(1_000_000);
    let of = if round { of(language) } else { "" };
    let units = format!("{} {of}{name}", tongue.before_noun(number.units)?);
    let cent = |count| if count == 1 { currency.cents.0 } else { currency.cents.1 };
    let spoken = match (number.units, cents) {
        (_, 0) => units,
        (0, cents) => format!("{} {}", tongue.before_noun(cents)?, cent(cents)),
        (_, cents) => match language.tag {
            "en" => format!("{units} and {} {}", tongue.cardinal(cents)?, cent(cents)),
            "es" => format!("{units} con {}", tongue.cardinal(cents)?),
            "it" | "pt" => format!("{units} e {}", tongue.cardinal(cents)?),
            _ => format!("{units} {}", tongue.cardinal(cents)?),
        },
    };
    Some(format!("{minus}{spoken}"))
}

/// "12.5%", "12,5 %".
fn percent(known: (&'static Language, Tongue), first: &Word<'_>, next: Option<&Word<'_>>) -> Option<(usize, String)> {
    let (amount, count) = match first.core.strip_suffix('%') {
        Some(amount) => (amount, 1),
        None => (first.core, next.filter(|next| next.core == "%" && first.trail.is_empty()).map(|_| 2)?),
    };
    let number = number(known.0, amount)?;
    let spoken = if known.1 == Tongue::German && is_one(number) { "ein".to_owned() } else { said(known, number)? };
    Some((count, format!("{spoken} {}", known.0.percent)))
}

/// "3rd", "2e", "1º". The German and other forms with a full stop are ordinals only in dates.
fn ordinal((language, tongue): (&'static Language, Tongue), word: &Word<'_>) -> Option<String> {
    let digits = word.core.find(|c: char| !c.is_ascii_digit())?;
    let (number, ending) = word.core.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let right = match language.tag {
        "en" => match (number % 100, number % 10) {
            (11..=13, _) => ending == "th",
            (_, 1) => ending == "st",
            (_, 2) => ending == "nd",
            (_, 3) => ending == "rd",
            _ => ending == "th",
        },
        "fr" => {
            if number == 1 {
                ending == "er"
            } else {
                matches!(ending, "e" | "ème" | "eme")
            }
        }
        "nl" => matches!(ending, "e" | "de" | "ste"),
        "es" | "it" | "pt" => matches!(ending, "º" | ".º" | "°" | "o"),
        _ => false,
    };
    let feminine = matches!(ending, "ª" | ".ª") && matches!(language.tag, "es" | "it" | "pt");
    if feminine {
        return tongue.ordinal(number).map(|word| format!("{}a", word.trim_end_matches('o')));
    }
    if right && (ending != "o" || language.tag == "pt") { tongue.ordinal(number) } else { None }
}

/// "5 km", "20°C".
fn unit(known: (&'static Language, Tongue), first: &Word<'_>, next: Option<&Word<'_>>) -> Option<(usize, String)> {
    let (language, tongue) = known;
    let find = |text: &str| language.units.iter().find(|(short, ..)| *short == text);
    let split = first.core.find(|c: char| c.is_alphabetic() || c == '°');
    let joined = split.map(|at| first.core.split_at(at)).and_then(|(amount, short)| Some((amount, find(short)?, 1)));
    let spaced = || {
        let next = next.filter(|next| next.lead.is_empty() && first.trail.is_empty())?;
        Some((first.core, find(next.core)?, 2))
    };
    let (amount, (_, one, more), count) = joined.or_else(spaced)?;
    let number = number(language, amount)?;
    // Those of the feminine have another word for one; it is left to the synthesiser.
    let feminine = is_one(number) && matches!(*one, "Minute" | "Stunde" | "Kilowattstunde" | "minute");
    if feminine && !matches!(language.tag, "en" | "nl") {
        return None;
    }
    let spoken = if is_one(number) { tongue.before_noun(1)? } else { said(known, number)? };
    Some((count, format!("{spoken} {}", if is_one(number) { one } else { more })))
}

/// A number alone. Four digits may be a year or a code, and stay as they are.
fn plain(known: (&'static Language, Tongue), before: &[Word<'_>], words: &[Word<'_>]) -> Option<Reading> {
    let (language, _) = known;
    let word = words.first()?;
    if word.core == "&" && word.lead.is_empty() && word.trail.is_empty() {
        return Some(whole(words, 1, language.and));
    }
    let number = number(language, word.core)?;
    let year = !number.formed && word.core.len() == 4;
    if year {
        return years(known, before, number.units).map(|spoken| whole(words, 1, &spoken));
    }
    // "5." in German may be the fifth.
    if language.decimal_comma && word.trail.starts_with('.') && words.len() > 1 && !number.formed {
        return None;
    }
    // One is an article in these languages, and agrees with what follows.
    if number.units % 100 == 1 && !number.formed && words.len() > 1 && language.tag != "en" {
        return None;
    }
    let feminine = matches!(language.tag, "es" | "pt") && (number.units >= 200 || number.units % 10 == 2);
    if feminine && !number.formed && words.len() > 1 && word.trail.is_empty() {
        return None;
    }
    said(known, number).map(|spoken| whole(words, 1, &spoken))
}

/// A year behind "in", "since" and the like.
fn years((language, tongue): (&'static Language, Tongue), before: &[Word<'_>], year: u64) -> Option<String> {
    let cues: &[&str] = match language.tag {
        "en" => &["in", "since", "until", "year", "from"],
        "de" => &["jahr", "jahre", "seit", "anno", "ab", "bis", "in"],
        "fr" => &["en", "depuis"],
        "es" => &["en", "desde", "año"],
        "it" => &["nel", "dal", "del"],
        "pt" => &["em", "desde", "de"],
        "nl" => &["in", "sinds", "jaar"],
        _ => &[],
    };
    let cue = before.last().map(|word| word.core.to_lowercase())?;
    (cues.contains(&cue.as_str()) && (1800..2100).contains(&year)).then(|| tongue.year(year)).flatten()
}
