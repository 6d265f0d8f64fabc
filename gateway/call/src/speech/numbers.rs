//! Numbers as words, in the languages that agents are written in most. What is beyond a language's table stays in digits.

mod dutch;
mod english;
mod french;
mod german;
mod italian;
mod portuguese;
mod spanish;

pub(super) use german::ordinal_stem as german_ordinal_stem;

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
            Self::English => english::cardinal(number),
            Self::German => german::cardinal(number, true),
            Self::French => french::cardinal(number, true),
            Self::Spanish => spanish::cardinal(number, false),
            Self::Italian => italian::cardinal(number),
            Self::Portuguese { brazil } => portuguese::cardinal(number, brazil),
            Self::Dutch => dutch::cardinal(number),
        })
    }

    /// A cardinal number before a masculine noun ("ein Euro", "veintiún euros"); the same as it is counted elsewhere.
    pub(super) fn before_noun(self, number: u64) -> Option<String> {
        match self {
            Self::German if number == 1 => Some("ein".to_owned()),
            Self::German if number <= MOST => Some(german::cardinal(number, true)),
            Self::Spanish if number <= MOST => Some(spanish::cardinal(number, true)),
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
            Self::English if (2000..2010).contains(&year) || year == 1000 => english::cardinal(year),
            Self::English if rest == 0 => format!("{} hundred", english::cardinal(century)),
            Self::English if rest < 10 => format!("{} oh {}", english::cardinal(century), english::cardinal(rest)),
            Self::English => format!("{} {}", english::cardinal(century), english::cardinal(rest)),
            Self::German if (1100..2000).contains(&year) => {
                let rest = if rest == 0 { String::new() } else { german::cardinal(rest, true) };
                format!("{}hundert{rest}", german::cardinal(century, false))
            }
            Self::Dutch if (1100..2000).contains(&year) => {
                let rest = if rest == 0 { String::new() } else { format!(" {}", dutch::cardinal(rest)) };
                format!("{}honderd{rest}", dutch::cardinal(century))
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
            Self::English => Some(english::ordinal(number)),
            Self::German => Some(format!("{}e", german::ordinal_stem(number))),
            Self::French if number == 1 => Some("premier".to_owned()),
            Self::French => Some(french::ordinal(number)),
            Self::Dutch => Some(dutch::ordinal(number)),
            Self::Spanish => table(&spanish::ORDINALS, number),
            Self::Italian => table(&italian::ORDINALS, number),
            Self::Portuguese { .. } => table(&portuguese::ORDINALS, number),
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
