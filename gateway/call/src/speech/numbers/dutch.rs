//! Numbers in Dutch: units before tens, with a diaeresis where vowels meet.

use super::word;

const SMALL: [&str; 20] = [
    "nul",
    "een",
    "twee",
    "drie",
    "vier",
    "vijf",
    "zes",
    "zeven",
    "acht",
    "negen",
    "tien",
    "elf",
    "twaalf",
    "dertien",
    "veertien",
    "vijftien",
    "zestien",
    "zeventien",
    "achttien",
    "negentien",
];
const TENS: [&str; 10] =
    ["", "", "twintig", "dertig", "veertig", "vijftig", "zestig", "zeventig", "tachtig", "negentig"];

pub(super) fn cardinal(number: u64) -> String {
    fn under_thousand(number: u64) -> String {
        let mut out = String::new();
        let (hundreds, rest) = (number / 100, number % 100);
        if hundreds > 0 {
            if hundreds > 1 {
                out.push_str(word(&SMALL, hundreds));
            }
            out.push_str("honderd");
        }
        match rest {
            0 => {}
            1..20 => out.push_str(word(&SMALL, rest)),
            _ if rest.is_multiple_of(10) => out.push_str(word(&TENS, rest / 10)),
            _ => {
                let unit = word(&SMALL, rest % 10);
                out.push_str(unit);
                out.push_str(if unit.ends_with('e') { "ën" } else { "en" });
                out.push_str(word(&TENS, rest / 10));
            }
        }
        out
    }
    if number == 0 {
        return "nul".to_owned();
    }
    let (mut left, mut parts) = (number, Vec::new());
    for (scale, name) in [(1_000_000_000, "miljard"), (1_000_000, "miljoen")] {
        let count = left / scale;
        if count > 0 {
            parts.push(format!("{} {name}", under_thousand(count)));
        }
        left %= scale;
    }
    let thousands = left / 1000;
    if thousands == 1 {
        parts.push("duizend".to_owned());
    } else if thousands > 1 {
        parts.push(format!("{}duizend", under_thousand(thousands)));
    }
    if !left.is_multiple_of(1000) {
        parts.push(under_thousand(left % 1000));
    }
    parts.join(" ")
}

pub(super) fn ordinal(number: u64) -> String {
    let (rest, word) = (number % 100, cardinal(number));
    match rest {
        1 => format!("{}eerste", word.trim_end_matches("een")),
        3 => format!("{}derde", word.trim_end_matches("drie")),
        8 => format!("{word}ste"),
        2..=19 => format!("{word}de"),
        _ => format!("{word}ste"),
    }
}
