//! Telephone numbers: E.164 (ITU-T E.164 6), and what a trunk sends in its place, by the trunk's own rules of dialling.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Fewest and most digits, country code included.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Longest user that is looked at; whatever is longer stays as it was sent.
const MAX_USER: usize = 64;

/// A number of the international public numbering plan, such as `+4930123456`: 7 to 15 digits, the first not 0.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct E164(String);

/// Text that is no E.164 number. The text is not repeated: it may be somebody's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`+` and 7 to 15 digits are expected, the first of them not 0")]
pub struct E164Error;

impl E164 {
    /// Its digits, without `+`.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }

    fn from_digits(digits: &str) -> Option<Self> {
        let fits = DIGITS.contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        fits.then(|| Self(digits.to_owned()))
    }
}

impl FromStr for E164 {
    type Err = E164Error;

    fn from_str(text: &str) -> Result<Self, E164Error> {
        text.strip_prefix('+').and_then(Self::from_digits).ok_or(E164Error)
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

/// What a number without any prefix is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum BareNumber {
    /// Not looked into: an extension, or whatever the peer means by it.
    #[default]
    AsSent,
    /// A number of the country, area code included.
    National,
    /// A number with its country code, without `+`.
    International,
    /// A number of the area `area`.
    Subscriber,
}

/// How numbers are sent to a trunk.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SentNumber {
    /// `+4930123456`.
    #[default]
    Plus,
    /// `4930123456`.
    Digits,
    /// `030123456` within the country, `0033123456` to others, by `national` and `international`.
    Dialled,
}

/// How a trunk writes telephone numbers. Without `country` they are taken as they come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Numbering {
    /// Country code of 1 to 3 digits, `49`; empty takes numbers as they come.
    pub country: String,
    /// Area code without what is dialled before it, `30`; for `bare = "subscriber"`.
    pub area: String,
    /// What is dialled before a number of the country, `0`; empty where nothing is.
    pub national: String,
    /// What is dialled before a number of another country, `00` or `011`; empty where there is nothing but `+`.
    pub international: String,
    /// What the peer puts in front of every number, a technical prefix such as `9` or `1234#`; taken off first, put on
    /// again when numbers are sent.
    pub tech_prefix: String,
    /// What a number without any prefix is.
    pub bare: BareNumber,
    /// How numbers are sent to the trunk.
    pub send: SentNumber,
}

impl Default for Numbering {
    fn default() -> Self {
        Self {
            country: String::new(),
            area: String::new(),
            national: "0".to_owned(),
            international: "00".to_owned(),
            tech_prefix: String::new(),
            bare: BareNumber::AsSent,
            send: SentNumber::Plus,
        }
    }
}

impl Numbering {
    /// Whether nothing was chosen.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What is out of range, each with its RFC 6901 pointer and what was expected.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let digits = |text: &str, most: usize| text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
        let mut found = Vec::new();
        let mut expect = |holds: bool, pointer, message| {
            if !holds {
                found.push((pointer, message));
            }
        };
        let country = digits(&self.country, 3) && !self.country.starts_with('0');
        expect(country, "/numbering/country", "expected 1 to 3 digits, the first not 0, or nothing");
        expect(digits(&self.area, 6), "/numbering/area", "expected at most 6 digits");
        expect(digits(&self.national, 4), "/numbering/national", "expected at most 4 digits");
        expect(digits(&self.international, 6), "/numbering/international", "expected at most 6 digits");
        let tech = self.tech_prefix.len() <= 12
            && self.tech_prefix.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'*' | b'#'));
        expect(tech, "/numbering/tech_prefix", "expected at most 12 digits, `*` and `#`");
        let named = self.bare == BareNumber::AsSent || !self.country.is_empty();
        expect(named, "/numbering/country", "expected with `bare`: the country of such numbers");
        let area = self.bare != BareNumber::Subscriber || !self.area.is_empty();
        expect(area, "/numbering/area", "expected with `bare` `subscriber`: the area of such numbers");
        let dialled = self.send != SentNumber::Dialled || !self.country.is_empty() && !self.international.is_empty();
        expect(dialled, "/numbering/send", "expected with `country` and `international` when it is `dialled`");
        found
    }

    /// The number behind a URI's user, as this trunk writes it; `None` for an extension, a name, or anything that is not
    /// certainly a number. A number with `+` is one whatever the trunk's rules are.
    #[must_use]
    pub fn number(&self, user: &str) -> Option<E164> {
        if user.len() > MAX_USER {
            return None;
        }
        // `;` begins parameters of the user (RFC 3261 25.1), `#` is escaped there, and some peers escape the plus sign.
        let user = &user.split(';').next().unwrap_or_default().replace("%23", "#");
        let user = match user.get(..3) {
            Some(escaped) if escaped.eq_ignore_ascii_case("%2b") => format!("+{}", &user[3..]),
            _ => user.to_owned(),
        };
        let user = user.strip_prefix(self.tech_prefix.as_str()).filter(|rest| !rest.is_empty()).unwrap_or(&user);
        let dialled = dialled(user)?;
        if dialled.starts_with('+') {
            return dialled.parse().ok();
        }
        if self.country.is_empty() {
            return None;
        }
        let after = |prefix: &str| dialled.strip_prefix(prefix).filter(|_| !prefix.is_empty());
        let national = |rest: &str| E164::from_digits(&format!("{}{rest}", self.country));
        if let Some(rest) = after(&self.international) {
            return E164::from_digits(rest);
        }
        if let Some(rest) = after(&self.national) {
            return national(rest);
        }
        match self.bare {
            BareNumber::AsSent => None,
            BareNumber::National => national(&dialled),
            BareNumber::International => E164::from_digits(&dialled),
            BareNumber::Subscriber => national(&format!("{}{dialled}", self.area)),
        }
    }

    /// Whether a national number behind its prefix reads like an international one.
    fn goes_abroad(&self, rest: &str) -> bool {
        !self.international.is_empty() && format!("{}{rest}", self.national).starts_with(&self.international)
    }

    /// A number as it is sent to this trunk.
    #[must_use]
    pub fn sent(&self, number: &E164) -> String {
        let tech = &self.tech_prefix;
        match self.send {
            SentNumber::Plus => format!("{tech}{number}"),
            SentNumber::Digits => format!("{tech}{}", number.digits()),
            SentNumber::Dialled => match number.digits().strip_prefix(self.country.as_str()) {
                // What would begin like a call abroad is dialled as one, to its own country.
                Some(rest) if !self.country.is_empty() && !self.goes_abroad(rest) => {
                    format!("{tech}{}{rest}", self.national)
                }
                _ => format!("{tech}{}{}", self.international, number.digits()),
            },
        }
    }
}

/// A number without its visual separators (RFC 3966 5.1.1); `None` when it holds anything else.
fn dialled(user: &str) -> Option<String> {
    let mut digits = String::with_capacity(user.len());
    for (at, character) in user.char_indices() {
        match character {
            '0'..='9' => digits.push(character),
            '+' if at == 0 => digits.push('+'),
            '-' | '.' | '(' | ')' | ' ' => {}
            _ => return None,
        }
    }
    (!digits.is_empty()).then_some(digits)
}

/// A number with all but its first four and last two digits hidden, for logs: `+493*****56`. Whatever is no number keeps
/// its first and last character.
#[must_use]
pub fn masked(user: &str) -> String {
    let characters: Vec<char> = user.chars().take(MAX_USER).collect();
    let numeric = characters.iter().all(|c| c.is_ascii_digit() || matches!(c, '+' | '*' | '#'));
    let (head, tail) = match (numeric, characters.len()) {
        (_, 0..=2) => (0, 0),
        (true, 3..=7) | (false, _) => (1, 1),
        (true, _) => (4, 2),
    };
    let hidden = |at: usize| at >= head && at + tail < characters.len();
    characters.iter().enumerate().map(|(at, &c)| if hidden(at) || c.is_control() { '*' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn germany() -> Numbering {
        Numbering { country: "49".to_owned(), area: "30".to_owned(), ..Numbering::default() }
    }

    fn number(numbering: &Numbering, user: &str) -> Option<String> {
        numbering.number(user).map(|number| number.to_string())
    }

    #[test]
    fn a_trunk_s_way_of_dialling_becomes_e164() {
        let germany = germany();
        for (user, expected) in [
            ("+49 30 123-456", Some("+4930123456")),
            ("030123456", Some("+4930123456")),
            ("0033123456789", Some("+33123456789")),
            ("%2B4930123456", Some("+4930123456")),
            ("+4930123456;phone-context=x", Some("+4930123456")),
            ("200", None),
            ("4930123456", None),
            ("sales", None),
            ("+0301234567", None),
            ("+49", None),
            ("+1234567890123456", None),
            ("", None),
            ("030123456\r\nX: y", None),
        ] {
            assert_eq!(number(&germany, user).as_deref(), expected, "{user:?}");
        }
        let america = Numbering {
            country: "1".to_owned(),
            national: "1".to_owned(),
            international: "011".to_owned(),
            bare: BareNumber::National,
            ..Numbering::default()
        };
        assert_eq!(number(&america, "2125550100").as_deref(), Some("+12125550100"));
        assert_eq!(number(&america, "12125550100").as_deref(), Some("+12125550100"));
        assert_eq!(number(&america, "011493012345").as_deref(), Some("+493012345"));
        let carrier = Numbering { bare: BareNumber::International, tech_prefix: "99#".to_owned(), ..germany.clone() };
        assert_eq!(number(&carrier, "99#4930123456").as_deref(), Some("+4930123456"));
        assert_eq!(number(&carrier, "99%234930123456").as_deref(), Some("+4930123456"));
        let local = Numbering { bare: BareNumber::Subscriber, ..germany };
        assert_eq!(number(&local, "123456").as_deref(), Some("+4930123456"));
        assert_eq!(number(&Numbering::default(), "030123456"), None, "without a country nothing is guessed");
        assert_eq!(number(&Numbering::default(), "+4930123456").as_deref(), Some("+4930123456"));
    }

    #[test]
    fn numbers_are_sent_as_a_trunk_wants_them() {
        let number: E164 = "+4930123456".parse().unwrap();
        let abroad: E164 = "+33123456789".parse().unwrap();
        for (send, home, foreign) in [
            (SentNumber::Plus, "+4930123456", "+33123456789"),
            (SentNumber::Digits, "4930123456", "33123456789"),
            (SentNumber::Dialled, "030123456", "0033123456789"),
        ] {
            let numbering = Numbering { send, ..germany() };
            assert_eq!((numbering.sent(&number).as_str(), numbering.sent(&abroad).as_str()), (home, foreign));
        }
        let american = Numbering { international: "011".to_owned(), send: SentNumber::Dialled, ..germany() };
        let number: E164 = "+4911234567".parse().unwrap();
        assert_eq!(american.sent(&number), "0114911234567", "0 and 11234567 would be another country's number");
        assert_eq!(american.number("0114911234567"), Some(number));
    }

    #[test]
    fn what_cannot_be_dialled_by_is_named() {
        let pointers = |numbering: Numbering| {
            numbering.problems().into_iter().map(|(pointer, _)| pointer.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(pointers(germany()), Vec::<String>::new());
        let wrong = Numbering {
            country: "049".to_owned(),
            area: "x".to_owned(),
            tech_prefix: "+".to_owned(),
            ..Numbering::default()
        };
        assert_eq!(pointers(wrong), ["/numbering/country", "/numbering/area", "/numbering/tech_prefix"]);
        let bare = Numbering { bare: BareNumber::Subscriber, send: SentNumber::Dialled, ..Numbering::default() };
        assert_eq!(pointers(bare), ["/numbering/country", "/numbering/area", "/numbering/send"]);
    }

    #[test]
    fn a_masked_number_shows_where_it_is_from_and_no_more() {
        for (user, shown) in [
            ("+4930123456", "+493*****56"),
            ("200", "2*0"),
            ("anna", "a**a"),
            ("12", "**"),
            ("", ""),
            ("a\r\nb", "a**b"),
        ] {
            assert_eq!(masked(user), shown);
        }
    }

    fn any_numbering() -> impl Strategy<Value = Numbering> {
        let bare = prop_oneof![
            Just(BareNumber::AsSent),
            Just(BareNumber::National),
            Just(BareNumber::International),
            Just(BareNumber::Subscriber)
        ];
        let send = prop_oneof![Just(SentNumber::Plus), Just(SentNumber::Digits), Just(SentNumber::Dialled)];
        ("[1-9][0-9]{0,2}", "[1-9][0-9]{0,3}", "0", "00|011", "([0-9*#]{0,3}#)?", bare, send).prop_map(
            |(country, area, national, international, tech_prefix, bare, send)| Numbering {
                country,
                area,
                national,
                international,
                tech_prefix,
                bare,
                send,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_dialled_a_number_is_e164_and_stays_itself(numbering in any_numbering(), user in "\\PC{0,24}|[+]?[0-9 .()-]{0,20}") {
            if let Some(number) = numbering.number(&user) {
                let text = number.to_string();
                prop_assert!((8..=16).contains(&text.len()));
                prop_assert_eq!(text.parse::<E164>(), Ok(number.clone()));
                prop_assert_eq!(numbering.number(&text), Some(number));
            }
        }

        #[test]
        fn what_is_sent_to_a_trunk_is_read_back_as_the_same_number(numbering in any_numbering(), digits in "[1-9][0-9]{6,14}") {
            let number: E164 = format!("+{digits}").parse().unwrap();
            let sent = numbering.sent(&number);
            prop_assert!(sent.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'*' | b'#')));
            // Digits alone are read back where the trunk says that bare numbers are international, and where no prefix of
            // its own could be mistaken for a country.
            if numbering.send == SentNumber::Plus {
                prop_assert_eq!(numbering.number(&sent), Some(number));
            } else if numbering.send == SentNumber::Dialled && !digits[numbering.country.len().min(digits.len())..].starts_with('0') {
                prop_assert_eq!(numbering.number(&sent), Some(number));
            }
        }
    }
}
