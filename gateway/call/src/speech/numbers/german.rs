//! Numbers in German: units before tens, in one word up to a million.

use super::word;

const SMALL: [&str; 20] = [
    "null",
    "ein",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
];
const TENS: [&str; 10] =
    ["", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"];

/// `counted` says whether a one at the end is "eins".
pub(super) fn cardinal(number: u64, counted: bool) -> String {
    let mut out = String::new();
    let mut left = number;
    for (scale, one, more) in
        [(1_000_000_000, "eine Milliarde", "Milliarden"), (1_000_000, "eine Million", "Millionen")]
    {
        let count = left / scale;
        left %= scale;
        if count > 0 {
            if !out.is_empty() {
                out.push(' ');
            }
            if count == 1 { out.push_str(one) } else { out.push_str(&format!("{} {more}", cardinal(count, true))) }
        }
    }
    if left == 0 && number > 0 {
        return out;
    }
    if !out.is_empty() {
        out.push(' ');
    }
    if left >= 1000 {
        out.push_str(&cardinal(left / 1000, false));
        out.push_str("tausend");
        left %= 1000;
    }
    if left >= 100 {
        out.push_str(word(&SMALL, left / 100));
        out.push_str("hundert");
        left %= 100;
    }
    match left {
        0 if number > 0 => {}
        1 if counted => out.push_str("eins"),
        0..20 => out.push_str(word(&SMALL, left)),
        _ if left.is_multiple_of(10) => out.push_str(word(&TENS, left / 10)),
        _ => {
            out.push_str(word(&SMALL, left % 10));
            out.push_str("und");
            out.push_str(word(&TENS, left / 10));
        }
    }
    out
}

/// German ordinal without its ending: "dritt", "zwanzigst".
pub(in crate::speech) fn ordinal_stem(number: u64) -> String {
    match number {
        1 => "erst".to_owned(),
        3 => "dritt".to_owned(),
        7 => "siebt".to_owned(),
        8 => "acht".to_owned(),
        _ => {
            let (rest, word) = (number % 100, cardinal(number, true));
            match rest {
                1 => format!("{}erst", word.trim_end_matches("eins")),
                3 => format!("{}dritt", word.trim_end_matches("drei")),
                7 => format!("{}siebt", word.trim_end_matches("sieben")),
                8 => word,
                2..=19 => format!("{word}t"),
                _ => format!("{word}st"),
            }
        }
    }
}
