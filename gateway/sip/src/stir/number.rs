//! Telephone numbers as PASSporTs compare them (RFC 8224 8.3): digits alone, country code first where the trunk's rules of
//! dialling tell it.

use trunkline_api::e164::Numbering;

/// Longest number that is looked at.
const MOST: usize = 32;

/// The number behind the user of a URI, as a trunk writes it; `None` for what is no number.
pub(super) fn canonical(user: &str, numbering: &Numbering) -> Option<String> {
    if let Some(number) = numbering.number(user) {
        return Some(number.digits().to_owned());
    }
    signed(user)
}

/// A number as it is signed. RFC 8225 5.2.1 has digits alone; `+` and what is put between digits are let pass.
pub(super) fn signed(text: &str) -> Option<String> {
    let text = text.split(';').next().unwrap_or_default();
    let text = text.strip_prefix('+').unwrap_or(text);
    let mut digits = String::with_capacity(text.len().min(MOST));
    for character in text.chars() {
        match character {
            '0'..='9' | '*' | '#' if digits.len() < MOST => digits.push(character),
            '-' | '.' | '(' | ')' | ' ' => {}
            _ => return None,
        }
    }
    (!digits.is_empty()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_with_the_country_where_it_is_known() {
        let home = Numbering { country: "49".to_owned(), ..Numbering::default() };
        for (user, numbering, expected) in [
            ("+49 30 12-34.56", &home, Some("4930123456")),
            ("030123456", &home, Some("4930123456")),
            ("0033123456789", &home, Some("33123456789")),
            ("+12155551212;verstat=No-TN-Validation", &Numbering::default(), Some("12155551212")),
            ("12155551212", &Numbering::default(), Some("12155551212")),
            ("2000", &Numbering::default(), Some("2000")),
            ("anna", &home, None),
            ("", &home, None),
            ("+", &home, None),
        ] {
            assert_eq!(canonical(user, numbering).as_deref(), expected, "{user}");
        }
        assert_eq!(signed(&"1".repeat(33)), None);
    }
}
