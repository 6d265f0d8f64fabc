//! Numbers in English: twenty-one, one hundred five; ordinals by the last word.

use super::{scaled, word};

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

pub(super) fn cardinal(number: u64) -> String {
    let small = |number: u64| match number {
        0..20 => word(&SMALL, number).to_owned(),
        20..100 if number.is_multiple_of(10) => word(&TENS, number / 10).to_owned(),
        20..100 => format!("{}-{}", word(&TENS, number / 10), word(&SMALL, number % 10)),
        _ => String::new(),
    };
    let hundreds = |number: u64| match (number / 100, number % 100) {
        (0, rest) => small(rest),
        (count, 0) => format!("{} hundred", small(count)),
        (count, rest) => format!("{} hundred {}", small(count), small(rest)),
    };
    let scales = [
        (1_000_000_000, "one billion", "billion"),
        (1_000_000, "one million", "million"),
        (1000, "one thousand", "thousand"),
    ];
    scaled(number, &scales, hundreds)
}

pub(super) fn ordinal(number: u64) -> String {
    let word = cardinal(number);
    let at = word.rfind([' ', '-']).map_or(0, |at| at + 1);
    let (head, last) = word.split_at(at);
    let last = match last {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        tens if tens.ends_with('y') => format!("{}ieth", tens.trim_end_matches('y')),
        other => format!("{other}th"),
    };
    format!("{head}{last}")
}
