//! Patterns over called and calling numbers: exact, by prefix, or a regular expression that is matched in linear time.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};

/// Most characters of a pattern that is no expression.
const MAX_CHARACTERS: usize = 128;
/// Most bytes of a regular expression.
const MAX_EXPRESSION_BYTES: usize = 256;
/// Most bytes of a compiled one, and of what is kept while it matches: `\+49[0-9]{2,12}` takes a hundredth of it.
const MAX_COMPILED_BYTES: usize = 1 << 18;
/// Deepest nesting of a regular expression.
const MAX_NESTING: u32 = 16;

/// A pattern: exact, `prefix*`, `/regular expression/`, or `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// Exactly this.
    Exact(String),
    /// Whatever begins so.
    Prefix(String),
    /// What a regular expression takes as a whole.
    Expression(Expression),
    /// Anything, nothing included.
    Any,
}

/// A regular expression over a whole number or user. Two of them are equal when they are written alike.
#[derive(Debug, Clone)]
pub struct Expression {
    source: String,
    regex: Regex,
}

/// Text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Neither of the forms.
    #[error(
        "`{0}` is no pattern; an exact number or user, `prefix*`, `/regular expression/` or `*` is expected, at most 128 \
         characters"
    )]
    Shape(String),
    /// Between slashes, but no regular expression, or one that is too large.
    #[error(
        "`/{source_text}/` is no regular expression of at most 256 bytes that compiles to at most 256 KiB: {reason}"
    )]
    Expression {
        /// What stands between the slashes.
        source_text: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Pattern {
    /// Whether a number or user matches. Case counts; a leading `+` does not when the rest is all digits, since trunks
    /// send either. An expression sees the text as it is.
    #[must_use]
    pub fn matches(&self, user: &str) -> bool {
        match self {
            Self::Exact(exact) => number(exact) == number(user),
            Self::Prefix(prefix) => number(user).starts_with(number(prefix)),
            Self::Expression(expression) => expression.takes(user),
            Self::Any => true,
        }
    }

    /// Whether a text matches as it is written, its `+` included: `1*` is an extension that begins with 1, and no number
    /// of North America.
    #[must_use]
    pub fn matches_as_written(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == text,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Expression(expression) => expression.takes(text),
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

impl Expression {
    fn new(source: &str) -> Result<Self, PatternError> {
        let wrong = |reason: String| PatternError::Expression {
            source_text: source.chars().take(MAX_EXPRESSION_BYTES).collect(),
            reason,
        };
        if !(1..=MAX_EXPRESSION_BYTES).contains(&source.len()) {
            return Err(wrong(format!("it has {} bytes", source.len())));
        }
        let compile = |text: &str| {
            RegexBuilder::new(text)
                .size_limit(MAX_COMPILED_BYTES)
                .dfa_size_limit(MAX_COMPILED_BYTES)
                .nest_limit(MAX_NESTING)
                .build()
                .map_err(|error| wrong(last_line(&error)))
        };
        // By itself first: `a)|(?:b` would slip out of the group that makes it stand for the whole text.
        compile(source)?;
        Ok(Self { source: source.to_owned(), regex: compile(&format!(r"\A(?:{source})\z"))? })
    }

    /// Whether it takes the whole text.
    #[must_use]
    pub fn takes(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

fn last_line(error: &regex::Error) -> String {
    error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Expression {}

impl PartialOrd for Expression {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Expression {
    fn cmp(&self, other: &Self) -> Ordering {
        self.source.cmp(&other.source)
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let inner = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        if let Some(source) = inner.filter(|source| !source.is_empty()) {
            return Expression::new(source).map(Self::Expression);
        }
        let fits = !text.is_empty()
            && text.chars().count() <= MAX_CHARACTERS
            && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        match text.split_once('*') {
            _ if !fits => Err(PatternError::Shape(text.chars().take(MAX_CHARACTERS).collect())),
            Some(("", "")) => Ok(Self::Any),
            Some((prefix, "")) => Ok(Self::Prefix(prefix.to_owned())),
            Some(_) => Err(PatternError::Shape(text.to_owned())),
            None => Ok(Self::Exact(text.to_owned())),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(exact) => f.write_str(exact),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::Expression(expression) => write!(f, "/{}/", expression.source),
            Self::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn patterns_match_what_they_say() {
        for (text, user, expected) in [
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
            (r"/\+49(30|40)[0-9]{4,8}/", "+49301234", true),
            (r"/\+49(30|40)[0-9]{4,8}/", "+493012", false),
            (r"/\+49(30|40)[0-9]{4,8}/", "x+49301234", false),
            (r"/a|b/", "ab", false),
        ] {
            assert_eq!(pattern(text).matches(user), expected, "{text} {user}");
        }
    }

    #[test]
    fn as_written_an_extension_is_not_a_number_abroad() {
        assert!(pattern("1*").matches("+1900555") && !pattern("1*").matches_as_written("+1900555"));
        assert!(pattern("+1*").matches_as_written("+1900555") && pattern("200").matches_as_written("200"));
        assert!(!pattern("200").matches_as_written("+200"));
    }

    #[test]
    fn patterns_print_as_they_were_written_and_others_are_refused() {
        for text in ["+4930123", "+4930*", "*", "sales", "/", r"/[0-9]+/"] {
            assert_eq!(pattern(text).to_string(), text);
        }
        for text in ["", "a*b", "**", "a b", &"9".repeat(129)] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_expression_is_bounded_and_cannot_slip_out_of_the_whole_text() {
        for text in ["/(/", "/a)|(?:b/", "/(?x)a #/", r"/(\w{200}){200}/", &format!("/{}/", "a".repeat(257))] {
            let error = text.parse::<Pattern>().unwrap_err().to_string();
            assert!(error.contains("is no regular expression"), "{text}: {error}");
        }
        assert!("/((((((((((((((((((((a))))))))))))))))))))/".parse::<Pattern>().is_err(), "nested too deep");
    }
}
