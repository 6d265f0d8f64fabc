//! Numbers in Portuguese: joined by "e", as in Brazil or as in Portugal.

use super::word;

const SMALL: [&str; 20] = [
    "zero",
    "um",
    "dois",
    "três",
    "quatro",
    "cinco",
    "seis",
    "sete",
    "oito",
    "nove",
    "dez",
    "onze",
    "doze",
    "treze",
    "catorze",
    "quinze",
    "dezesseis",
    "dezessete",
    "dezoito",
    "dezenove",
];
const TENS: [&str; 10] =
    ["", "", "vinte", "trinta", "quarenta", "cinquenta", "sessenta", "setenta", "oitenta", "noventa"];
const HUNDREDS: [&str; 10] = [
    "",
    "cento",
    "duzentos",
    "trezentos",
    "quatrocentos",
    "quinhentos",
    "seiscentos",
    "setecentos",
    "oitocentos",
    "novecentos",
];
pub(super) const ORDINALS: [&str; 10] =
    ["primeiro", "segundo", "terceiro", "quarto", "quinto", "sexto", "sétimo", "oitavo", "nono", "décimo"];

pub(super) fn cardinal(number: u64, brazil: bool) -> String {
    let small = |number: u64| match number {
        16 if !brazil => "dezasseis".to_owned(),
        17 if !brazil => "dezassete".to_owned(),
        19 if !brazil => "dezanove".to_owned(),
        0..20 => word(&SMALL, number).to_owned(),
        _ if number.is_multiple_of(10) => word(&TENS, number / 10).to_owned(),
        _ => format!("{} e {}", word(&TENS, number / 10), word(&SMALL, number % 10)),
    };
    let hundreds = |number: u64| match (number / 100, number % 100) {
        (0, rest) => small(rest),
        (1, 0) => "cem".to_owned(),
        (count, 0) => word(&HUNDREDS, count).to_owned(),
        (count, rest) => format!("{} e {}", word(&HUNDREDS, count), small(rest)),
    };
    let joined = |rest: u64| if rest < 100 || rest.is_multiple_of(100) { " e " } else { " " };
    let thousands = |number: u64| match (number / 1000, number % 1000) {
        (0, rest) => hundreds(rest),
        (1, 0) => "mil".to_owned(),
        (1, rest) => format!("mil{}{}", joined(rest), hundreds(rest)),
        (count, 0) => format!("{} mil", hundreds(count)),
        (count, rest) => format!("{} mil{}{}", hundreds(count), joined(rest), hundreds(rest)),
    };
    let mut parts = Vec::new();
    let mut left = number;
    for (scale, one, more) in [(1_000_000_000, "um bilhão", "bilhões"), (1_000_000, "um milhão", "milhões")] {
        if scale == 1_000_000_000 && !brazil {
            // A thousand millions there.
            continue;
        }
        match left / scale {
            0 => {}
            1 => parts.push(one.to_owned()),
            count => parts.push(format!("{} {more}", thousands(count))),
        }
        left %= scale;
    }
    if left > 0 || parts.is_empty() {
        let joins = !parts.is_empty() && (left < 100 || (left < 1000 && left.is_multiple_of(100)));
        parts.push(if joins { format!("e {}", thousands(left)) } else { thousands(left) });
    }
    parts.join(" ")
}
