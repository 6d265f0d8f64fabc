//! Numbers in French: by twenties from seventy to ninety-nine, with the plurals of "vingts" and "cents".

use super::word;

const SMALL: [&str; 20] = [
    "zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze", "treize",
    "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf",
];
const TENS: [&str; 10] = ["", "", "vingt", "trente", "quarante", "cinquante", "soixante", "", "", ""];

/// `last` says that nothing follows that would take the plural's s of "vingts" and "cents".
pub(super) fn cardinal(number: u64, last: bool) -> String {
    let small = |number: u64, last: bool| match number {
        0..20 => word(&SMALL, number).to_owned(),
        80 if last => "quatre-vingts".to_owned(),
        80 => "quatre-vingt".to_owned(),
        81..100 => format!("quatre-vingt-{}", word(&SMALL, number - 80)),
        71 => "soixante et onze".to_owned(),
        70..80 => format!("soixante-{}", word(&SMALL, number - 60)),
        _ => match number % 10 {
            0 => word(&TENS, number / 10).to_owned(),
            1 => format!("{} et un", word(&TENS, number / 10)),
            unit => format!("{}-{}", word(&TENS, number / 10), word(&SMALL, unit)),
        },
    };
    let hundreds = |number: u64, last: bool| match (number / 100, number % 100) {
        (0, rest) => small(rest, last),
        (1, 0) => "cent".to_owned(),
        (1, rest) => format!("cent {}", small(rest, last)),
        (count, 0) if last => format!("{} cents", small(count, false)),
        (count, 0) => format!("{} cent", small(count, false)),
        (count, rest) => format!("{} cent {}", small(count, false), small(rest, last)),
    };
    let thousands = |number: u64, last: bool| match (number / 1000, number % 1000) {
        (0, rest) => hundreds(rest, last),
        (1, 0) => "mille".to_owned(),
        (1, rest) => format!("mille {}", hundreds(rest, last)),
        (count, 0) => format!("{} mille", hundreds(count, false)),
        (count, rest) => format!("{} mille {}", hundreds(count, false), hundreds(rest, last)),
    };
    // Million and milliard are nouns, before which hundreds have their plural.
    let (mut left, mut parts) = (number, Vec::new());
    for (scale, one, more) in [(1_000_000_000, "un milliard", "milliards"), (1_000_000, "un million", "millions")] {
        match left / scale {
            0 => {}
            1 => parts.push(one.to_owned()),
            count => parts.push(format!("{} {more}", hundreds(count, true))),
        }
        left %= scale;
    }
    if left > 0 || parts.is_empty() {
        parts.push(thousands(left, last));
    }
    parts.join(" ")
}

pub(super) fn ordinal(number: u64) -> String {
    let word = cardinal(number, false);
    if let Some(stem) = word.strip_suffix("cinq") {
        return format!("{stem}cinquième");
    }
    if let Some(stem) = word.strip_suffix("neuf") {
        return format!("{stem}neuvième");
    }
    format!("{}ième", word.strip_suffix('e').unwrap_or(&word))
}
