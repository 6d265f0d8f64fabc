//! Numbers in Spanish: one word up to twenty-nine, and "un" before a noun.

use super::word;

const SMALL: [&str; 30] = [
    "cero",
    "uno",
    "dos",
    "tres",
    "cuatro",
    "cinco",
    "seis",
    "siete",
    "ocho",
    "nueve",
    "diez",
    "once",
    "doce",
    "trece",
    "catorce",
    "quince",
    "dieciséis",
    "diecisiete",
    "dieciocho",
    "diecinueve",
    "veinte",
    "veintiuno",
    "veintidós",
    "veintitrés",
    "veinticuatro",
    "veinticinco",
    "veintiséis",
    "veintisiete",
    "veintiocho",
    "veintinueve",
];
const TENS: [&str; 10] = ["", "", "", "treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"];
const HUNDREDS: [&str; 10] = [
    "",
    "ciento",
    "doscientos",
    "trescientos",
    "cuatrocientos",
    "quinientos",
    "seiscientos",
    "setecientos",
    "ochocientos",
    "novecientos",
];
pub(super) const ORDINALS: [&str; 10] =
    ["primero", "segundo", "tercero", "cuarto", "quinto", "sexto", "séptimo", "octavo", "noveno", "décimo"];

/// `noun` says that a masculine noun follows: "un", "veintiún".
pub(super) fn cardinal(number: u64, noun: bool) -> String {
    let small = |number: u64, noun: bool| match number {
        1 if noun => "un".to_owned(),
        21 if noun => "veintiún".to_owned(),
        0..30 => word(&SMALL, number).to_owned(),
        _ => match (number / 10, number % 10) {
            (tens, 0) => word(&TENS, tens).to_owned(),
            (tens, 1) if noun => format!("{} y un", word(&TENS, tens)),
            (tens, unit) => format!("{} y {}", word(&TENS, tens), word(&SMALL, unit)),
        },
    };
    let hundreds = |number: u64, noun: bool| match (number / 100, number % 100) {
        (0, rest) => small(rest, noun),
        (1, 0) => "cien".to_owned(),
        (count, 0) => word(&HUNDREDS, count).to_owned(),
        (count, rest) => format!("{} {}", word(&HUNDREDS, count), small(rest, noun)),
    };
    let thousands = |number: u64, noun: bool| match (number / 1000, number % 1000) {
        (0, rest) => hundreds(rest, noun),
        (1, 0) => "mil".to_owned(),
        (1, rest) => format!("mil {}", hundreds(rest, noun)),
        (count, 0) => format!("{} mil", hundreds(count, true)),
        (count, rest) => format!("{} mil {}", hundreds(count, true), hundreds(rest, noun)),
    };
    match (number / 1_000_000, number % 1_000_000) {
        (0, rest) => thousands(rest, noun),
        (1, 0) => "un millón".to_owned(),
        (1, rest) => format!("un millón {}", thousands(rest, noun)),
        (count, 0) => format!("{} millones", thousands(count, true)),
        (count, rest) => format!("{} millones {}", thousands(count, true), thousands(rest, noun)),
    }
}
