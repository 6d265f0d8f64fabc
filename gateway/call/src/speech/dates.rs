//! Dates and clock times in words.

use super::languages::Language;
use super::numbers::{Tongue, german_ordinal_stem};
use super::words::{Reader, Reading, Word, whole};

type Known = (&'static Language, Tongue);

pub(super) fn read(reader: Reader, known: Known, before: &[Word<'_>], words: &[Word<'_>]) -> Option<Reading> {
    clock(reader, known, words)
        .or_else(|| numeric(reader, known, before, words))
        .or_else(|| named(known, before, words))
}

/// "3:30 pm", "15:30 Uhr", "15h30".
fn clock(reader: Reader, (language, tongue): Known, words: &[Word<'_>]) -> Option<Reading> {
    let first = words.first()?;
    let core = first.core;
    let separator = if language.tag == "fr" && core.contains('h') { 'h' } else { ':' };
    let (hours, minutes) = core.split_once(separator)?;
    let pair = |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    // "3:30pm"
    let letters = minutes.find(|c: char| c.is_alphabetic()).unwrap_or(minutes.len());
    let (minutes, joined) = minutes.split_at(letters);
    let bare = separator == 'h' && minutes.is_empty();
    if !pair(hours) || !(bare || (pair(minutes) && minutes.len() == 2)) {
        return None;
    }
    let (hour, minute): (u64, u64) = (hours.parse().ok()?, if bare { 0 } else { minutes.parse().ok()? });
    if hour > 24 || minute > 59 {
        return None;
    }
    let next = words.get(1).filter(|_| first.trail.is_empty());
    if reader.twelve_hours {
        let half = |text: &str| match text.to_lowercase().replace('.', "").as_str() {
            "am" => Some("a m"),
            "pm" => Some("p m"),
            _ => None,
        };
        let (count, half) = match (half(joined), next.and_then(|next| half(next.core))) {
            (Some(said), _) => (1, Some(said)),
            (None, _) if !joined.is_empty() => return None,
            (None, Some(said)) => (2, Some(said)),
            (None, None) => (1, None),
        };
        return english(tongue, hour, minute, half).map(|spoken| stop(words, count, &spoken));
    }
    if !joined.is_empty() {
        return None;
    }
    let followed = |word: &str| next.is_some_and(|next| next.core.eq_ignore_ascii_case(word));
    let number = |number| tongue.cardinal(number);
    let (count, spoken) = match language.tag {
        "de" => {
            let hour = if hour == 1 { "ein".to_owned() } else { number(hour)? };
            let minutes = if minute == 0 { String::new() } else { format!(" {}", number(minute)?) };
            (1 + usize::from(followed("Uhr")), format!("{hour} Uhr{minutes}"))
        }
        "fr" => {
            let feminine = |text: String| if text.ends_with("un") { format!("{text}e") } else { text };
            let name = if hour <= 1 { "heure" } else { "heures" };
            let minutes = if minute == 0 { String::new() } else { format!(" {}", feminine(number(minute)?)) };
            (1, format!("{} {name}{minutes}", feminine(number(hour)?)))
        }
        "nl" => {
            let hour = if hour == 1 { "één".to_owned() } else { number(hour)? };
            let minutes = if minute == 0 { String::new() } else { format!(" {}", number(minute)?) };
            (1 + usize::from(followed("uur")), format!("{hour} uur{minutes}"))
        }
        // The hour is feminine in these.
        "es" | "it" | "pt" => {
            let feminine = |hour: u64| {
                let text = number(hour)?;
                Some(match (language.tag, hour) {
                    ("it", 1) => "una".to_owned(),
                    ("es", 1 | 21) => text.replace("uno", "una"),
                    ("pt", 1 | 21) => text.replace("um", "uma"),
                    ("pt", 2 | 22) => text.replace("dois", "duas"),
                    _ => text,
                })
            };
            let hours = feminine(hour)?;
            let name = match (language.tag, hour) {
                ("es", 1) => " hora",
                ("es", _) => " horas",
                ("pt", 1) => " hora",
                ("pt", _) => " horas",
                _ => "",
            };
            let spoken = match (minute, language.tag) {
                (0, _) => format!("{hours}{name}"),
                (_, "es") => format!("{hours} {}", number(minute)?),
                _ => format!("{hours} e {}", number(minute)?),
            };
            (1 + usize::from(!name.is_empty() && minute == 0 && followed(name.trim())), spoken)
        }
        _ => return None,
    };
    Some(whole(words, count, &spoken))
}

/// The reading, with the sentence's full stop when it stood behind "p.m.".
fn stop(words: &[Word<'_>], count: usize, spoken: &str) -> Reading {
    let mut reading = whole(words, count, spoken);
    let inner_stop = words.get(count - 1).is_some_and(|word| word.core.contains('.') && word.trail == ".");
    if inner_stop
        && words.len() > count
        && let Some(last) = reading.last_mut()
    {
        last.pop();
    }
    reading
}

fn english(tongue: Tongue, hour: u64, minute: u64, half: Option<&str>) -> Option<String> {
    let (hour, half) = match (hour, half) {
        (1..=12, half) => (hour, half),
        (0 | 24, None) => (12, Some("a m")),
        (13..=23, None) => (hour - 12, Some("p m")),
        // "15:30 pm": as written.
        _ => return None,
    };
    let hour = tongue.cardinal(hour)?;
    let minutes = match minute {
        0 if half.is_none() => " o'clock".to_owned(),
        0 => String::new(),
        1..=9 => format!(" oh {}", tongue.cardinal(minute)?),
        _ => format!(" {}", tongue.cardinal(minute)?),
    };
    Some(half.map_or_else(|| format!("{hour}{minutes}"), |half| format!("{hour}{minutes} {half}")))
}

/// "2026-11-22", "22.11.2026", "11/22/2026".
fn numeric(reader: Reader, known: Known, before: &[Word<'_>], words: &[Word<'_>]) -> Option<Reading> {
    let first = words.first()?;
    let separator = ['-', '.', '/'].into_iter().find(|sign| first.core.matches(*sign).count() == 2)?;
    let mut parts = first.core.split(separator);
    let (a, b, c) = (parts.next()?, parts.next()?, parts.next()?);
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let short = |text: &str| (1..=2).contains(&text.len());
    let (year, month, day) = if a.len() == 4 && separator == '-' && b.len() == 2 && c.len() == 2 {
        (number(a)?, number(b)?, number(c)?)
    } else if short(a) && short(b) && c.len() == 4 {
        let (one, two, year) = (number(a)?, number(b)?, number(c)?);
        match (known.0.tag, separator) {
            ("en", _) if two > 12 => (year, one, two),
            ("en", _) if one > 12 => (year, two, one),
            // Which is the month depends on where one is.
            ("en", _) if !reader.month_first && one != two => return None,
            ("en", _) if reader.month_first => (year, one, two),
            _ => (year, two, one),
        }
    } else {
        return None;
    };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let month = known.0.months.get(usize::try_from(month).ok()? - 1)?;
    let spoken = date(known, before, day, month, Some(year))?;
    Some(whole(words, 1, &spoken))
}

/// "November 22, 2026", "22 November 2026", "22. November".
fn named(known: Known, before: &[Word<'_>], words: &[Word<'_>]) -> Option<Reading> {
    let (language, _) = known;
    let (first, second) = (words.first()?, words.get(1)?);
    let month = |word: &Word<'_>| language.months.iter().find(|month| month.eq_ignore_ascii_case(word.core));
    let day = |word: &Word<'_>| {
        let bare = word.core.trim_end_matches(|c: char| c.is_alphabetic() || c == 'º');
        let ending = &word.core[bare.len()..];
        let fits = matches!(ending, "" | "st" | "nd" | "rd" | "th" | "er" | "º") && !bare.is_empty();
        bare.parse::<u64>().ok().filter(|day| fits && (1..=31).contains(day))
    };
    let year = |word: Option<&Word<'_>>| {
        let word = word.filter(|word| word.core.len() == 4 && word.lead.is_empty())?;
        word.core.parse::<u64>().ok().filter(|year| (1000..3000).contains(year))
    };
    // "Mai" and "March" are words, too: only with a day is it a date.
    if let (Some(month), Some(day), "en") = (month(first), day(second), language.tag) {
        let with_year = if matches!(second.trail, "" | ",") { year(words.get(2)) } else { None };
        let count = if with_year.is_some() { 3 } else { 2 };
        return date(known, before, day, month, with_year).map(|spoken| whole(words, count, &spoken));
    }
    let dotted = matches!(first.trail, "" | ".");
    // "de" stands between them in some languages.
    let of = matches!(language.tag, "es" | "pt") && second.core == "de" && second.trail.is_empty();
    let at = if of { 2 } else { 1 };
    let named = words.get(at)?;
    let (month, day) = (month(named)?, day(first).filter(|_| dotted && first.lead.is_empty())?);
    let of_year =
        of && words.get(at + 1).is_some_and(|word| matches!(word.core, "de" | "del") && word.trail.is_empty());
    let year_at = at + 1 + usize::from(of_year);
    let with_year = if named.trail.is_empty() { year(words.get(year_at)) } else { None };
    let count = if with_year.is_some() { year_at + 1 } else { at + 1 };
    date(known, before, day, month, with_year).map(|spoken| whole(words, count, &spoken))
}

fn date((language, tongue): Known, before: &[Word<'_>], day: u64, month: &str, year: Option<u64>) -> Option<String> {
    let year = match year {
        Some(year) => Some(tongue.year(year)?),
        None => None,
    };
    let behind = |link: &str| year.as_ref().map_or_else(String::new, |year| format!("{link}{year}"));
    Some(match language.tag {
        "en" => format!("{month} {}{}", tongue.ordinal(day)?, behind(", ")),
        "de" => {
            let cue = before.last().map(|word| word.core.to_lowercase()).unwrap_or_default();
            // "am zweiten", "der zweite", "zweiter".
            let ending = match cue.as_str() {
                "der" | "die" | "das" => "e",
                "am" | "vom" | "zum" | "dem" | "den" | "bis" | "ab" | "seit" | "im" => "en",
                _ => "er",
            };
            format!("{}{ending} {month}{}", german_ordinal_stem(day), behind(" "))
        }
        "fr" => {
            let day = if day == 1 { tongue.ordinal(1)? } else { tongue.cardinal(day)? };
            format!("{day} {month}{}", behind(" "))
        }
        "es" => {
            let day = if day == 1 { "uno".to_owned() } else { tongue.cardinal(day)? };
            format!("{day} de {month}{}", behind(" de "))
        }
        "pt" => {
            let day = if day == 1 { "primeiro".to_owned() } else { tongue.cardinal(day)? };
            format!("{day} de {month}{}", behind(" de "))
        }
        "it" => {
            let day = if day == 1 { "primo".to_owned() } else { tongue.cardinal(day)? };
            format!("{day} {month}{}", behind(" "))
        }
        _ => format!("{} {month}{}", tongue.cardinal(day)?, behind(" ")),
    })
}
