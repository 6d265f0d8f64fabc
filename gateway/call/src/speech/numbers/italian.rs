//! Numbers in Italian: one word up to a million, with vowels left out.

use super::word;

const SMALL: [&str; 20] = [
    "zero",
    "uno",
    "due",
    "tre",
    "quattro",
    "cinque",
    "sei",
    "sette",
    "otto",
    "nove",
    "dieci",
    "undici",
    "dodici",
    "tredici",
    "quattordici",
    "quindici",
    "sedici",
    "diciassette",
    "diciotto",
    "diciannove",
];
const TENS: [&str; 10] =
    ["", "", "venti", "trenta", "quaranta", "cinquanta", "sessanta", "settanta", "ottanta", "novanta"];
pub(super) const ORDINALS: [&str; 10] =
    ["primo", "secondo", "terzo", "quarto", "quinto", "sesto", "settimo", "ottavo", "nono", "decimo"];

pub(super) fn cardinal(number: u64) -> String {
    fn under_thousand(number: u64) -> String {
        let mut out = String::new();
        let (hundreds, rest) = (number / 100, number % 100);
        if hundreds > 0 {
            if hundreds > 1 {
                out.push_str(word(&SMALL, hundreds));
            }
            out.push_str("cento");
            if rest == 8 || rest / 10 == 8 {
                out.pop();
            }
        }
        match rest {
            0 => {}
            3 if hundreds > 0 => out.push_str("tré"),
            1..20 => out.push_str(word(&SMALL, rest)),
            _ => {
                out.push_str(word(&TENS, rest / 10));
                match rest % 10 {
                    0 => {}
                    unit @ (1 | 8) => {
                        out.pop();
                        out.push_str(word(&SMALL, unit));
                    }
                    3 => out.push_str("tré"),
                    unit => out.push_str(word(&SMALL, unit)),
                }
            }
        }
        out
    }
    if number == 0 {
        return "zero".to_owned();
    }
    let (mut left, mut parts) = (number, Vec::new());
    for (scale, one, more) in [(1_000_000_000, "un miliardo", "miliardi"), (1_000_000, "un milione", "milioni")] {
        match left / scale {
            0 => {}
            1 => parts.push(one.to_owned()),
            count => parts.push(format!("{} {more}", under_thousand(count))),
        }
        left %= scale;
    }
    let mut rest = String::new();
    match left / 1000 {
        0 => {}
        1 => rest.push_str("mille"),
        count => {
            let count = under_thousand(count);
            rest.push_str(count.strip_suffix("tré").map_or(count.clone(), |stem| format!("{stem}tre")).as_str());
            rest.push_str("mila");
        }
    }
    let small = under_thousand(left % 1000);
    if !rest.is_empty() && small == "tre" {
        rest.push_str("tré");
    } else {
        rest.push_str(&small);
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts.join(" ")
}
