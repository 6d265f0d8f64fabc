//! Patterns over called and calling numbers.

use std::fmt;
use std::str::FromStr;

/// A pattern: exact, `prefix*`, or `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// Exactly this.
    Exact(String),
    /// Whatever begins so.
    Prefix(String),
    /// Anything, nothing included.
    Any,
}

/// Text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no pattern; an exact number or user, `prefix*` or `*` is expected, at most 128 characters")]
pub struct PatternError(String);

impl Pattern {
    /// Whether a number or user matches. Case counts; a leading `+` does not when the other side is all digits, since
    /// trunks send either.
    #[must_use]
    pub fn matches(&self, user: &str) -> bool {
        match self {
            Self::Exact(exact) => number(exact) == number(user),
            Self::Prefix(prefix) => number(user).starts_with(number(prefix)),
            Self::Any => true,
        }
    }
}

/// The digits of an E.164 number without its `+`; anything else as it is.
fn number(user: &str) -> &str {
    match user.strip_prefix('+') {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => digits,
        _ => user,
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let fits = !text.is_empty() && text.len() <= 128 && !text.contains(char::is_whitespace);
        match text.split_once('*') {
            _ if !fits => Err(PatternError(text.chars().take(128).collect())),
            Some(("", "")) => Ok(Self::Any),
            Some((prefix, "")) => Ok(Self::Prefix(prefix.to_owned())),
            Some(_) => Err(PatternError(text.to_owned())),
            None => Ok(Self::Exact(text.to_owned())),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => f.write_str(exact),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_they_say() {
        for (pattern, user, expected) in [
            ("+4930123", "+4930123", true),
            ("+4930123", "4930123", true),
            ("4930123", "+4930123", true),
            ("+4930123", "+49301234", false),
            ("+4930*", "+49301234", true),
            ("+4930*", "49301234", true),
            ("+4930*", "+4931", false),
            ("sales", "sales", true),
            ("sales", "Sales", false),
            ("*", "", true),
            ("+x", "x", false),
        ] {
            assert_eq!(pattern.parse::<Pattern>().unwrap().matches(user), expected, "{pattern} {user}");
        }
    }

    #[test]
    fn patterns_print_as_they_were_written_and_others_are_refused() {
        for text in ["+4930123", "+4930*", "*", "sales"] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
        }
        for text in ["", "a*b", "**", "a b", &"9".repeat(129)] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }
}
