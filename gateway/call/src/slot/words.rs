//! Words that stand for numbers, for yes and no, in the languages whose signs of listening are known, too.

/// A language's words for numbers up to ninety-nine.
struct Numbers {
    language: &'static str,
    /// Words for 0 to 19, several for one number parted by `|`; nothing where it is said in two words.
    small: [&'static str; 20],
    /// Words for 20, 30 and so on to 90.
    tens: [&'static str; 8],
    /// The word between ten and unit, or nothing.
    and: &'static str,
    hundred: &'static str,
    thousand: &'static str,
}

const NUMBERS: [Numbers; 7] = [
    Numbers {
        language: "en",
        small: [
            "zero|oh|o|nought|null",
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
        ],
        tens: ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"],
        and: "",
        hundred: "hundred",
        thousand: "thousand",
    },
    Numbers {
        language: "de",
        small: [
            "null",
            "eins|ein|eine",
            "zwei|zwo",
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
        ],
        tens: ["zwanzig", "dreißig|dreissig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"],
        and: "und",
        hundred: "hundert",
        thousand: "tausend",
    },
    Numbers {
        language: "fr",
        small: [
            "zéro|zero",
            "un|une",
            "deux",
            "trois",
            "quatre",
            "cinq",
            "six",
            "sept",
            "huit",
            "neuf",
            "dix",
            "onze",
            "douze",
            "treize",
            "quatorze",
            "quinze",
            "seize",
            "",
            "",
            "",
        ],
        tens: ["vingt", "trente", "quarante", "cinquante", "soixante", "septante", "huitante|octante", "nonante"],
        and: "et",
        hundred: "cent|cents",
        thousand: "mille",
    },
    Numbers {
        language: "es",
        small: [
            "cero",
            "uno|un|una",
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
            "dieciséis|dieciseis",
            "diecisiete",
            "dieciocho",
            "diecinueve",
        ],
        tens: ["veinte", "treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"],
        and: "y",
        hundred: "cien|ciento",
        thousand: "mil",
    },
    Numbers {
        language: "it",
        small: [
            "zero",
            "uno|un|una",
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
        ],
        tens: ["venti", "trenta", "quaranta", "cinquanta", "sessanta", "settanta", "ottanta", "novanta"],
        and: "",
        hundred: "cento",
        thousand: "mille|mila",
    },
    Numbers {
        language: "nl",
        small: [
            "nul",
            "een|één",
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
        ],
        tens: ["twintig", "dertig", "veertig", "vijftig", "zestig", "zeventig", "tachtig", "negentig"],
        and: "en",
        hundred: "honderd",
        thousand: "duizend",
    },
    Numbers {
        language: "pt",
        small: [
            "zero",
            "um|uma",
            "dois|duas",
            "três|tres",
            "quatro",
            "cinco",
            "seis|meia",
            "sete",
            "oito",
            "nove",
            "dez",
            "onze",
            "doze",
            "treze",
            "catorze|quatorze",
            "quinze",
            "dezesseis|dezasseis",
            "dezessete|dezassete",
            "dezoito",
            "dezenove|dezanove",
        ],
        tens: ["vinte", "trinta", "quarenta", "cinquenta", "sessenta", "setenta", "oitenta", "noventa"],
        and: "e",
        hundred: "cem|cento",
        thousand: "mil",
    },
];

/// Words for yes and for no.
const ANSWERS: [(&str, &[&str], &[&str]); 7] = [
    (
        "en",
        &["yes", "yeah", "yep", "yup", "correct", "right", "exactly", "sure"],
        &["no", "nope", "wrong", "not", "incorrect"],
    ),
    ("de", &["ja", "jawohl", "jep", "genau", "richtig", "stimmt", "korrekt"], &["nein", "nee", "falsch", "nicht"]),
    ("fr", &["oui", "ouais", "exact", "exactement", "correct", "daccord"], &["non", "faux", "pas"]),
    ("es", &["sí", "si", "correcto", "exacto", "claro", "eso"], &["no", "incorrecto", "mal"]),
    ("it", &["sì", "si", "esatto", "giusto", "corretto", "certo"], &["no", "sbagliato", "non"]),
    ("nl", &["ja", "klopt", "juist", "precies", "correct"], &["nee", "fout", "niet"]),
    ("pt", &["sim", "certo", "correto", "exato", "isso"], &["não", "nao", "errado"]),
];

/// A language's own words, English ones where it has none.
fn numbers(language: &str) -> &'static Numbers {
    let tag = tag(language);
    NUMBERS.iter().find(|numbers| numbers.language == tag).unwrap_or(&NUMBERS[0])
}

/// The first part of a BCP 47 tag.
pub(super) fn tag(language: &str) -> String {
    language.split('-').next().unwrap_or_default().to_lowercase()
}

/// Words for yes and for no.
pub(super) fn yes_and_no(language: &str) -> (&'static [&'static str], &'static [&'static str]) {
    let tag = tag(language);
    let (_, yes, no) = ANSWERS.iter().find(|(known, ..)| *known == tag).unwrap_or(&ANSWERS[0]);
    (yes, no)
}

/// Words of a text in lower case, without what lies between them; apostrophes are left out.
pub(super) fn split(text: &str) -> Vec<String> {
    let text: String = text.chars().filter(|c| !matches!(c, '\'' | '’')).flat_map(char::to_lowercase).collect();
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn one_of(words: &str, word: &str) -> bool {
    !words.is_empty() && words.split('|').any(|known| known == word)
}

/// The number of one word below a hundred.
fn of_word(numbers: &Numbers, word: &str) -> Option<u32> {
    let small = numbers.small.iter().position(|words| one_of(words, word));
    if let Some(small) = small {
        return u32::try_from(small).ok();
    }
    if let Some(ten) = ten(numbers, word) {
        return Some(ten);
    }
    compound(numbers, word)
}

fn ten(numbers: &Numbers, word: &str) -> Option<u32> {
    let at = numbers.tens.iter().position(|words| one_of(words, word))?;
    u32::try_from(at * 10 + 20).ok()
}

/// Numbers that are one word made of two: "einundzwanzig", "eenentwintig", "ventuno", "veintiuno".
fn compound(numbers: &Numbers, word: &str) -> Option<u32> {
    let units = || {
        let units = numbers.small.iter().enumerate().skip(1).take(9);
        units.flat_map(|(unit, words)| words.split('|').map(move |word| (unit as u32, word)))
    };
    let tens = || {
        let tens = numbers.tens.iter().enumerate();
        tens.flat_map(|(ten, words)| words.split('|').map(move |word| (ten as u32 * 10 + 20, word)))
    };
    match numbers.language {
        "de" | "nl" => {
            // "tweeëntwintig" carries its marks only to be read.
            let plain: String = word.replace('ë', "e");
            units().find_map(|(unit, before)| {
                let ten = plain.strip_prefix(before)?.strip_prefix(numbers.and)?;
                tens().find(|(_, word)| *word == ten).map(|(ten, _)| ten + unit)
            })
        }
        "it" => tens().find_map(|(ten, before)| {
            // The last vowel goes before "uno" and "otto".
            let whole = word.strip_prefix(before);
            let short = word.strip_prefix(&before[..before.len() - 1]);
            let rest = whole.or(short).map(|rest| rest.replace('é', "e"))?;
            units().find(|(_, word)| *word == rest).map(|(unit, _)| ten + unit)
        }),
        "es" => {
            let rest = word.strip_prefix("veinti")?.replace('ú', "u").replace('ó', "o").replace('é', "e");
            units().find(|(_, word)| *word == rest).map(|(unit, _)| 20 + unit)
        }
        _ => None,
    }
}

/// The number below a hundred that words begin with, and how many words it takes.
pub(super) fn below_hundred(words: &[String], language: &str) -> Option<(u32, usize)> {
    let numbers = numbers(language);
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    if numbers.language == "fr" && word(0) == "quatre" && matches!(word(1), "vingt" | "vingts") {
        return Some(match of_word(numbers, word(2)) {
            Some(10) => match of_word(numbers, word(3)) {
                Some(unit @ 7..=9) => (90 + unit, 4),
                _ => (90, 3),
            },
            Some(unit @ 1..=16) => (80 + unit, 3),
            _ => (80, 2),
        });
    }
    let first = of_word(numbers, word(0))?;
    if numbers.language == "fr" && first == 10 {
        return Some(match of_word(numbers, word(1)) {
            Some(unit @ 7..=9) => (10 + unit, 2),
            _ => (10, 1),
        });
    }
    if ten(numbers, word(0)).is_none() {
        return Some((first, 1));
    }
    // French goes on from sixty to seventy-nine.
    let most = if numbers.language == "fr" && first == 60 { 16 } else { 9 };
    let joined = usize::from(!numbers.and.is_empty() && word(1) == numbers.and);
    if matches!(numbers.language, "de" | "nl") {
        return Some((first, 1));
    }
    Some(match of_word(numbers, word(1 + joined)) {
        Some(10) if most == 16 => match of_word(numbers, word(2 + joined)) {
            Some(unit @ 7..=9) => (70 + unit, 3 + joined),
            _ => (70, 2 + joined),
        },
        Some(unit) if (1..=most).contains(&unit) && (joined == 1 || !spaced_and(numbers)) => (first + unit, 2 + joined),
        _ => (first, 1),
    })
}

/// Whether ten and unit are always joined by a word: without it they are two numbers.
fn spaced_and(numbers: &Numbers) -> bool {
    matches!(numbers.language, "es" | "pt")
}

/// A number as it is written: digits, with a point before decimals and a minus where there is one.
pub(super) fn number(text: &str, language: &str) -> Option<String> {
    let plain = text.trim().replace('−', "-");
    let (negative, rest) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => match plain.to_lowercase().strip_prefix("minus ") {
            Some(_) => (true, plain.get("minus ".len()..)?),
            None => (false, plain.as_str()),
        },
    };
    let sign = if negative { "-" } else { "" };
    figures(rest.trim(), language).or_else(|| spelt(rest, language)).map(|number| format!("{sign}{number}"))
}

/// A number in figures. A comma is a decimal point outside English; where three figures follow one it may be either.
fn figures(text: &str, language: &str) -> Option<String> {
    let compact: String = text.chars().filter(|c| !c.is_whitespace() && *c != '\'').collect();
    if !compact.starts_with(|c: char| c.is_ascii_digit()) || compact.len() > 20 {
        return None;
    }
    let (decimal, group) = if tag(language) == "en" { ('.', ',') } else { (',', '.') };
    let (whole, decimals) = match compact.split_once(decimal) {
        Some((whole, decimals)) => (whole.to_owned(), decimals.to_owned()),
        None => (compact.clone(), String::new()),
    };
    let groups: Vec<&str> = whole.split(group).collect();
    let grouped = groups.len() > 1 && groups.iter().skip(1).all(|group| group.len() == 3);
    let (whole, decimals) = if groups.len() == 2 && !grouped && decimals.is_empty() {
        // "3.5" is what it is in every language.
        (groups[0].to_owned(), groups[1].to_owned())
    } else if groups.len() == 1 || grouped {
        (groups.concat(), decimals)
    } else {
        return None;
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(&whole) || !digits(&decimals) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if decimals.is_empty() { whole.to_owned() } else { format!("{whole}.{decimals}") })
}

/// A number in words, below a million.
fn spelt(text: &str, language: &str) -> Option<String> {
    let numbers = numbers(language);
    let all = split(text);
    let (mut total, mut part, mut any) = (0_u32, 0_u32, false);
    let mut words = all.as_slice();
    while let Some(first) = words.first() {
        if one_of(numbers.hundred, first) && part < 10 {
            part = part.max(1) * 100;
            words = &words[1..];
        } else if one_of(numbers.thousand, first) && total == 0 {
            (total, part) = (part.max(1) * 1000, 0);
            words = &words[1..];
        } else if any && (*first == "and" || *first == numbers.and) {
            words = &words[1..];
            continue;
        } else {
            let (number, taken) = below_hundred(words, language)?;
            // Two numbers one after the other are no number.
            if part % 100 != 0 {
                return None;
            }
            part += number;
            words = words.get(taken..)?;
        }
        any = true;
    }
    any.then(|| (total + part).to_string())
}
