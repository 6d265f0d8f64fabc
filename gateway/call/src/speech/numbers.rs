//! Numbers as words, in the languages that agents are written in most. What is beyond a language's table stays in digits.

/// Beyond this nothing is put into words.
pub(super) const MOST: u64 = 999_999_999_999;

/// A language that numbers can be said in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tongue {
    English,
    German,
    French,
    Spanish,
    Italian,
    /// As in Brazil, or as in Portugal.
    Portuguese {
        brazil: bool,
    },
    Dutch,
}

impl Tongue {
    /// A cardinal number up to [`MOST`], as it is counted.
    pub(super) fn cardinal(self, number: u64) -> Option<String> {
        if number > MOST {
            return None;
        }
        Some(match self {
            Self::English => english(number),
            Self::German => german(number, true),
            Self::French => french(number, true),
            Self::Spanish => spanish(number, false),
            Self::Italian => italian(number),
            Self::Portuguese { brazil } => portuguese(number, brazil),
            Self::Dutch => dutch(number),
        })
    }

    /// A cardinal number before a masculine noun ("ein Euro", "veintiún euros"); the same as it is counted elsewhere.
    pub(super) fn before_noun(self, number: u64) -> Option<String> {
        match self {
            Self::German if number == 1 => Some("ein".to_owned()),
            Self::German if number <= MOST => Some(german(number, true)),
            Self::Spanish if number <= MOST => Some(spanish(number, true)),
            Self::Italian if number == 1 => Some("un".to_owned()),
            Self::Dutch if number == 1 => Some("één".to_owned()),
            Self::English
            | Self::German
            | Self::French
            | Self::Spanish
            | Self::Italian
            | Self::Portuguese { .. }
            | Self::Dutch => self.cardinal(number),
        }
    }

    /// A year between 1000 and 2999.
    pub(super) fn year(self, year: u64) -> Option<String> {
        if !(1000..3000).contains(&year) {
            return None;
        }
        let (century, rest) = (year / 100, year % 100);
        Some(match self {
            Self::English if (2000..2010).contains(&year) || year == 1000 => english(year),
            Self::English if rest == 0 => format!("{} hundred", english(century)),
            Self::English if rest < 10 => format!("{} oh {}", english(century), english(rest)),
            Self::English => format!("{} {}", english(century), english(rest)),
            Self::German if (1100..2000).contains(&year) => {
                let rest = if rest == 0 { String::new() } else { german(rest, true) };
                format!("{}hundert{rest}", german(century, false))
            }
            Self::Dutch if (1100..2000).contains(&year) => {
                let rest = if rest == 0 { String::new() } else { format!(" {}", dutch(rest)) };
                format!("{}honderd{rest}", dutch(century))
            }
            Self::German | Self::French | Self::Spanish | Self::Italian | Self::Portuguese { .. } | Self::Dutch => {
                return self.cardinal(year);
            }
        })
    }

    /// An ordinal number, in the form a date or a floor has; nothing where its form would be a guess.
    pub(super) fn ordinal(self, number: u64) -> Option<String> {
        if number == 0 || number > 999_999 {
            return None;
        }
        match self {
            Self::English => Some(english_ordinal(number)),
            Self::German => Some(format!("{}e", german_ordinal(number))),
            Self::French if number == 1 => Some("premier".to_owned()),
            Self::French => Some(french_ordinal(number)),
            Self::Dutch => Some(dutch_ordinal(number)),
            Self::Spanish => table(&SPANISH_ORDINALS, number),
            Self::Italian => table(&ITALIAN_ORDINALS, number),
            Self::Portuguese { .. } => table(&PORTUGUESE_ORDINALS, number),
        }
    }

    /// The digits, one by one.
    pub(super) const fn digits(self) -> &'static [&'static str; 10] {
        match self {
            Self::English => &["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
            Self::German => &["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"],
            Self::French => &["zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"],
            Self::Spanish => &["cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"],
            Self::Italian => &["zero", "uno", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove"],
            Self::Portuguese { .. } => {
                &["zero", "um", "dois", "três", "quatro", "cinco", "seis", "sete", "oito", "nove"]
            }
            Self::Dutch => &["nul", "een", "twee", "drie", "vier", "vijf", "zes", "zeven", "acht", "negen"],
        }
    }
}

/// German ordinal without its ending: "dritt", "zwanzigst".
pub(super) fn german_ordinal(number: u64) -> String {
    match number {
        1 => "erst".to_owned(),
        3 => "dritt".to_owned(),
        7 => "siebt".to_owned(),
        8 => "acht".to_owned(),
        _ => {
            let (rest, word) = (number % 100, german(number, true));
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

fn table(words: &[&str], number: u64) -> Option<String> {
    let at = usize::try_from(number).ok()?.checked_sub(1)?;
    words.get(at).map(|word| (*word).to_owned())
}

fn word(words: &[&'static str], number: u64) -> &'static str {
    usize::try_from(number).ok().and_then(|at| words.get(at)).copied().unwrap_or("")
}

/// Puts the parts of a number together: `scales` from the largest, each with the word for one and for more.
fn scaled(number: u64, scales: &[(u64, &str, &str)], small: impl Fn(u64) -> String) -> String {
    let (mut left, mut parts) = (number, Vec::new());
    for (scale, one, more) in scales {
        let count = left / scale;
        left %= scale;
        match count {
            0 => {}
            1 => parts.push((*one).to_owned()),
            _ => parts.push(format!("{} {more}", small(count))),
        }
    }
    if left > 0 || parts.is_empty() {
        parts.push(small(left));
    }
    parts.join(" ")
}

const EN: [&str; 20] = [
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
const EN_TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

fn english(number: u64) -> String {
    let small = |number: u64| match number {
        0..20 => word(&EN, number).to_owned(),
        20..100 if number.is_multiple_of(10) => word(&EN_TENS, number / 10).to_owned(),
        20..100 => format!("{}-{}", word(&EN_TENS, number / 10), word(&EN, number % 10)),
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

fn english_ordinal(number: u64) -> String {
    let word = english(number);
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

const DE: [&str; 20] = [
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
const DE_TENS: [&str; 10] =
    ["", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"];

/// `counted` says whether a one at the end is "eins".
fn german(number: u64, counted: bool) -> String {
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
            if count == 1 { out.push_str(one) } else { out.push_str(&format!("{} {more}", german(count, true))) }
        }
    }
    if left == 0 && number > 0 {
        return out;
    }
    if !out.is_empty() {
        out.push(' ');
    }
    if left >= 1000 {
        out.push_str(&german(left / 1000, false));
        out.push_str("tausend");
        left %= 1000;
    }
    if left >= 100 {
        out.push_str(word(&DE, left / 100));
        out.push_str("hundert");
        left %= 100;
    }
    match left {
        0 if number > 0 => {}
        1 if counted => out.push_str("eins"),
        0..20 => out.push_str(word(&DE, left)),
        _ if left.is_multiple_of(10) => out.push_str(word(&DE_TENS, left / 10)),
        _ => {
            out.push_str(word(&DE, left % 10));
            out.push_str("und");
            out.push_str(word(&DE_TENS, left / 10));
        }
    }
    out
}

const FR: [&str; 20] = [
    "zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze", "treize",
    "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf",
];
const FR_TENS: [&str; 10] = ["", "", "vingt", "trente", "quarante", "cinquante", "soixante", "", "", ""];

/// `last` says that nothing follows that would take the plural's s of "vingts" and "cents".
fn french(number: u64, last: bool) -> String {
    let small = |number: u64, last: bool| match number {
        0..20 => word(&FR, number).to_owned(),
        80 if last => "quatre-vingts".to_owned(),
        80 => "quatre-vingt".to_owned(),
        81..100 => format!("quatre-vingt-{}", word(&FR, number - 80)),
        71 => "soixante et onze".to_owned(),
        70..80 => format!("soixante-{}", word(&FR, number - 60)),
        _ => match number % 10 {
            0 => word(&FR_TENS, number / 10).to_owned(),
            1 => format!("{} et un", word(&FR_TENS, number / 10)),
            unit => format!("{}-{}", word(&FR_TENS, number / 10), word(&FR, unit)),
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

fn french_ordinal(number: u64) -> String {
    let word = french(number, false);
    if let Some(stem) = word.strip_suffix("cinq") {
        return format!("{stem}cinquième");
    }
    if let Some(stem) = word.strip_suffix("neuf") {
        return format!("{stem}neuvième");
    }
    format!("{}ième", word.strip_suffix('e').unwrap_or(&word))
}

const ES: [&str; 30] = [
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
const ES_TENS: [&str; 10] =
    ["", "", "", "treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"];
const ES_HUNDREDS: [&str; 10] = [
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
const SPANISH_ORDINALS: [&str; 10] =
    ["primero", "segundo", "tercero", "cuarto", "quinto", "sexto", "séptimo", "octavo", "noveno", "décimo"];

/// `noun` says that a masculine noun follows: "un", "veintiún".
fn spanish(number: u64, noun: bool) -> String {
    let small = |number: u64, noun: bool| match number {
        1 if noun => "un".to_owned(),
        21 if noun => "veintiún".to_owned(),
        0..30 => word(&ES, number).to_owned(),
        _ => match (number / 10, number % 10) {
            (tens, 0) => word(&ES_TENS, tens).to_owned(),
            (tens, 1) if noun => format!("{} y un", word(&ES_TENS, tens)),
            (tens, unit) => format!("{} y {}", word(&ES_TENS, tens), word(&ES, unit)),
        },
    };
    let hundreds = |number: u64, noun: bool| match (number / 100, number % 100) {
        (0, rest) => small(rest, noun),
        (1, 0) => "cien".to_owned(),
        (count, 0) => word(&ES_HUNDREDS, count).to_owned(),
        (count, rest) => format!("{} {}", word(&ES_HUNDREDS, count), small(rest, noun)),
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

const IT: [&str; 20] = [
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
const IT_TENS: [&str; 10] =
    ["", "", "venti", "trenta", "quaranta", "cinquanta", "sessanta", "settanta", "ottanta", "novanta"];
const ITALIAN_ORDINALS: [&str; 10] =
    ["primo", "secondo", "terzo", "quarto", "quinto", "sesto", "settimo", "ottavo", "nono", "decimo"];

fn italian(number: u64) -> String {
    fn under_thousand(number: u64) -> String {
        let mut out = String::new();
        let (hundreds, rest) = (number / 100, number % 100);
        if hundreds > 0 {
            if hundreds > 1 {
                out.push_str(word(&IT, hundreds));
            }
            out.push_str("cento");
            if rest == 8 || rest / 10 == 8 {
                out.pop();
            }
        }
        match rest {
            0 => {}
            3 if hundreds > 0 => out.push_str("tré"),
            1..20 => out.push_str(word(&IT, rest)),
            _ => {
                out.push_str(word(&IT_TENS, rest / 10));
                match rest % 10 {
                    0 => {}
                    unit @ (1 | 8) => {
                        out.pop();
                        out.push_str(word(&IT, unit));
                    }
                    3 => out.push_str("tré"),
                    unit => out.push_str(word(&IT, unit)),
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

const PT: [&str; 20] = [
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
const PT_TENS: [&str; 10] =
    ["", "", "vinte", "trinta", "quarenta", "cinquenta", "sessenta", "setenta", "oitenta", "noventa"];
const PT_HUNDREDS: [&str; 10] = [
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
const PORTUGUESE_ORDINALS: [&str; 10] =
    ["primeiro", "segundo", "terceiro", "quarto", "quinto", "sexto", "sétimo", "oitavo", "nono", "décimo"];

fn portuguese(number: u64, brazil: bool) -> String {
    let small = |number: u64| match number {
        16 if !brazil => "dezasseis".to_owned(),
        17 if !brazil => "dezassete".to_owned(),
        19 if !brazil => "dezanove".to_owned(),
        0..20 => word(&PT, number).to_owned(),
        _ if number.is_multiple_of(10) => word(&PT_TENS, number / 10).to_owned(),
        _ => format!("{} e {}", word(&PT_TENS, number / 10), word(&PT, number % 10)),
    };
    let hundreds = |number: u64| match (number / 100, number % 100) {
        (0, rest) => small(rest),
        (1, 0) => "cem".to_owned(),
        (count, 0) => word(&PT_HUNDREDS, count).to_owned(),
        (count, rest) => format!("{} e {}", word(&PT_HUNDREDS, count), small(rest)),
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

const NL: [&str; 20] = [
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
const NL_TENS: [&str; 10] =
    ["", "", "twintig", "dertig", "veertig", "vijftig", "zestig", "zeventig", "tachtig", "negentig"];

fn dutch(number: u64) -> String {
    fn under_thousand(number: u64) -> String {
        let mut out = String::new();
        let (hundreds, rest) = (number / 100, number % 100);
        if hundreds > 0 {
            if hundreds > 1 {
                out.push_str(word(&NL, hundreds));
            }
            out.push_str("honderd");
        }
        match rest {
            0 => {}
            1..20 => out.push_str(word(&NL, rest)),
            _ if rest.is_multiple_of(10) => out.push_str(word(&NL_TENS, rest / 10)),
            _ => {
                let unit = word(&NL, rest % 10);
                out.push_str(unit);
                out.push_str(if unit.ends_with('e') { "ën" } else { "en" });
                out.push_str(word(&NL_TENS, rest / 10));
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

fn dutch_ordinal(number: u64) -> String {
    let (rest, word) = (number % 100, dutch(number));
    match rest {
        1 => format!("{}eerste", word.trim_end_matches("een")),
        3 => format!("{}derde", word.trim_end_matches("drie")),
        8 => format!("{word}ste"),
        2..=19 => format!("{word}de"),
        _ => format!("{word}ste"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PT_BR: Tongue = Tongue::Portuguese { brazil: true };

    fn counts(tongue: Tongue, rows: &[(u64, &str)]) {
        for (number, words) in rows {
            assert_eq!(tongue.cardinal(*number).as_deref(), Some(*words), "{tongue:?} {number}");
        }
    }

    #[test]
    fn numbers_are_counted_in_every_language() {
        counts(
            Tongue::English,
            &[
                (0, "zero"),
                (13, "thirteen"),
                (21, "twenty-one"),
                (100, "one hundred"),
                (342, "three hundred forty-two"),
                (1001, "one thousand one"),
                (15_000, "fifteen thousand"),
                (2_500_000, "two million five hundred thousand"),
                (1_000_000_001, "one billion one"),
            ],
        );
        counts(
            Tongue::German,
            &[
                (0, "null"),
                (1, "eins"),
                (16, "sechzehn"),
                (17, "siebzehn"),
                (21, "einundzwanzig"),
                (30, "dreißig"),
                (101, "einhunderteins"),
                (1000, "eintausend"),
                (2026, "zweitausendsechsundzwanzig"),
                (21_000, "einundzwanzigtausend"),
                (1_000_000, "eine Million"),
                (2_000_001, "zwei Millionen eins"),
                (3_500_000, "drei Millionen fünfhunderttausend"),
            ],
        );
        counts(
            Tongue::French,
            &[
                (17, "dix-sept"),
                (21, "vingt et un"),
                (70, "soixante-dix"),
                (71, "soixante et onze"),
                (80, "quatre-vingts"),
                (81, "quatre-vingt-un"),
                (99, "quatre-vingt-dix-neuf"),
                (200, "deux cents"),
                (201, "deux cent un"),
                (1000, "mille"),
                (80_000, "quatre-vingt mille"),
                (1_999, "mille neuf cent quatre-vingt-dix-neuf"),
                (2_000_000, "deux millions"),
                (200_000_000, "deux cents millions"),
            ],
        );
        counts(
            Tongue::Spanish,
            &[
                (16, "dieciséis"),
                (21, "veintiuno"),
                (31, "treinta y uno"),
                (100, "cien"),
                (101, "ciento uno"),
                (500, "quinientos"),
                (1000, "mil"),
                (21_000, "veintiún mil"),
                (1_999, "mil novecientos noventa y nueve"),
                (1_000_000, "un millón"),
                (3_000_000_000, "tres mil millones"),
            ],
        );
        counts(
            Tongue::Italian,
            &[
                (3, "tre"),
                (21, "ventuno"),
                (23, "ventitré"),
                (28, "ventotto"),
                (100, "cento"),
                (103, "centotré"),
                (108, "centotto"),
                (180, "centottanta"),
                (1000, "mille"),
                (2000, "duemila"),
                (1_999, "millenovecentonovantanove"),
                (1_000_000, "un milione"),
                (2_000_000, "due milioni"),
            ],
        );
        counts(
            PT_BR,
            &[
                (16, "dezesseis"),
                (21, "vinte e um"),
                (100, "cem"),
                (101, "cento e um"),
                (1000, "mil"),
                (1100, "mil e cem"),
                (1_999, "mil novecentos e noventa e nove"),
                (2026, "dois mil e vinte e seis"),
                (2_000_000, "dois milhões"),
            ],
        );
        counts(Tongue::Portuguese { brazil: false }, &[(16, "dezasseis"), (19, "dezanove")]);
        counts(
            Tongue::Dutch,
            &[
                (14, "veertien"),
                (21, "eenentwintig"),
                (22, "tweeëntwintig"),
                (80, "tachtig"),
                (101, "honderdeen"),
                (1000, "duizend"),
                (2026, "tweeduizend zesentwintig"),
                (1_000_000, "een miljoen"),
            ],
        );
    }

    #[test]
    fn years_and_ordinals_have_their_own_forms() {
        let year = |tongue: Tongue, year| tongue.year(year).unwrap();
        assert_eq!(year(Tongue::English, 1999), "nineteen ninety-nine");
        assert_eq!(year(Tongue::English, 1905), "nineteen oh five");
        assert_eq!(year(Tongue::English, 1900), "nineteen hundred");
        assert_eq!(year(Tongue::English, 2005), "two thousand five");
        assert_eq!(year(Tongue::English, 2026), "twenty twenty-six");
        assert_eq!(year(Tongue::German, 1989), "neunzehnhundertneunundachtzig");
        assert_eq!(year(Tongue::German, 2026), "zweitausendsechsundzwanzig");
        assert_eq!(year(Tongue::Dutch, 1999), "negentienhonderd negenennegentig");
        assert_eq!(year(Tongue::French, 1999), "mille neuf cent quatre-vingt-dix-neuf");
        assert_eq!(Tongue::English.year(999), None);
        let ordinal = |tongue: Tongue, number| tongue.ordinal(number).unwrap();
        let english: Vec<String> = [1, 2, 3, 5, 8, 9, 12, 20, 22, 31].map(|n| ordinal(Tongue::English, n)).into();
        assert_eq!(
            english,
            [
                "first",
                "second",
                "third",
                "fifth",
                "eighth",
                "ninth",
                "twelfth",
                "twentieth",
                "twenty-second",
                "thirty-first"
            ]
        );
        let german: Vec<String> = [1, 3, 7, 8, 19, 20, 31, 101].map(|n| ordinal(Tongue::German, n)).into();
        assert_eq!(
            german,
            ["erste", "dritte", "siebte", "achte", "neunzehnte", "zwanzigste", "einunddreißigste", "einhunderterste"]
        );
        let french: Vec<String> = [1, 2, 4, 5, 9, 21].map(|n| ordinal(Tongue::French, n)).into();
        assert_eq!(french, ["premier", "deuxième", "quatrième", "cinquième", "neuvième", "vingt et unième"]);
        let dutch: Vec<String> = [1, 2, 3, 8, 20, 21].map(|n| ordinal(Tongue::Dutch, n)).into();
        assert_eq!(dutch, ["eerste", "tweede", "derde", "achtste", "twintigste", "eenentwintigste"]);
        assert_eq!((ordinal(Tongue::Spanish, 3), Tongue::Spanish.ordinal(11)), ("tercero".to_owned(), None));
        assert_eq!((ordinal(Tongue::Italian, 8), ordinal(PT_BR, 7)), ("ottavo".to_owned(), "sétimo".to_owned()));
    }

    #[test]
    fn every_number_has_words_and_none_is_too_large_to_refuse() {
        let all = [
            Tongue::English,
            Tongue::German,
            Tongue::French,
            Tongue::Spanish,
            Tongue::Italian,
            PT_BR,
            Tongue::Portuguese { brazil: false },
            Tongue::Dutch,
        ];
        for tongue in all {
            let mut seen = std::collections::BTreeSet::new();
            for number in (0..3000).chain((2..400).map(|step| step * 2_499_999_937)) {
                let words = tongue.cardinal(number).unwrap();
                assert!(!words.is_empty() && !words.contains("  ") && words.trim() == words, "{number} {words}");
                assert!(seen.insert(words.clone()), "{tongue:?} says {number} as another: {words}");
            }
            assert_eq!(tongue.cardinal(MOST + 1), None);
            for number in 1..=366 {
                assert!(tongue.ordinal(number).is_none_or(|word| !word.is_empty()));
            }
        }
    }
}
