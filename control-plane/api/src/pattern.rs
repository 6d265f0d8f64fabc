//! What a rule looks for in a text: a phrase or a regular expression, compiled once for all calls of an agent's version
//! and searched in time linear in the text.

use std::fmt;
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most bytes of a phrase or pattern.
const MAX_PATTERN_BYTES: usize = 500;
/// Most bytes of a compiled one: `\w{1,200}` fits, a pattern made to fill memory does not.
const MAX_COMPILED_BYTES: usize = 1 << 20;

macro_rules! searched {
    ($name:ident, $doc:literal, $to_regex:expr) => {
        #[doc = $doc]
        #[derive(Clone, Default)]
        pub struct $name {
            source: String,
            compiled: OnceLock<Result<Regex, String>>,
        }

        impl $name {
            /// One that looks for `source`.
            #[must_use]
            pub fn new(source: impl Into<String>) -> Self {
                Self { source: source.into(), compiled: OnceLock::new() }
            }

            /// As it was written.
            #[must_use]
            pub fn source(&self) -> &str {
                &self.source
            }

            /// What is wrong with it, if anything is.
            #[must_use]
            pub fn problem(&self) -> Option<String> {
                if !(1..=MAX_PATTERN_BYTES).contains(&self.source.len()) {
                    return Some(format!("expected 1 to {MAX_PATTERN_BYTES} bytes"));
                }
                self.compiled().as_ref().err().cloned()
            }

            /// Whether it is found in a text. One that cannot be compiled is found in every text: a rule that nobody can
            /// read lets nothing through.
            #[must_use]
            pub fn is_in(&self, text: &str) -> bool {
                self.compiled().as_ref().map_or(true, |regex| regex.is_match(text))
            }

            /// The text with every occurrence replaced; the replacement is taken as it is.
            #[must_use]
            pub fn replaced(&self, text: &str, with: &str) -> String {
                match self.compiled() {
                    Ok(regex) => regex.replace_all(text, regex::NoExpand(with)).into_owned(),
                    Err(_) => with.to_owned(),
                }
            }

            fn compiled(&self) -> &Result<Regex, String> {
                self.compiled.get_or_init(|| {
                    let to_regex: fn(&str) -> String = $to_regex;
                    RegexBuilder::new(&to_regex(&self.source))
                        .case_insensitive(true)
                        .size_limit(MAX_COMPILED_BYTES)
                        .build()
                        .map_err(|error| format!("expected a regular expression that compiles: {}", last_line(&error)))
                })
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.source.fmt(f)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.source == other.source
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.source.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::new)
            }
        }
    };
}

searched!(Pattern, "A regular expression in the syntax of the `regex` crate, whatever the case.", str::to_owned);
searched!(Phrase, "Words, whatever their case and whatever stands between them.", words);

/// The expression that finds words as whole words. Scripts without spaces have no such borders: there it is found anywhere.
fn words(phrase: &str) -> String {
    let words: Vec<String> =
        phrase.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(regex::escape).collect();
    if words.is_empty() {
        return regex::escape(phrase);
    }
    let joined = words.join(r"\W+");
    let spaced = |c: Option<char>| c.is_some_and(|c| !is_unspaced(c));
    let begin = if spaced(phrase.chars().find(|c| c.is_alphanumeric())) { r"\b" } else { "" };
    let end = if spaced(phrase.chars().rev().find(|c| c.is_alphanumeric())) { r"\b" } else { "" };
    format!("{begin}{joined}{end}")
}

/// Whether a character is of a script that puts no spaces between words: Thai to Khmer, kana, Han, Hangul left out.
const fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}')
}

fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_is_found_as_whole_words_in_any_case() {
        let phrase = Phrase::new("credit card");
        assert!(phrase.is_in("My CREDIT-card is lost") && phrase.is_in("credit,  card"));
        assert!(!phrase.is_in("accredit cards") && !phrase.is_in("credit cards"));
        assert_eq!(phrase.replaced("the credit card here", "$1"), "the $1 here");
        assert!(Phrase::new("株価").is_in("今日の株価は"));
        assert!(Phrase::new("a.b").is_in("A b") && !Phrase::new("a.b").is_in("axb"));
    }

    #[test]
    fn a_pattern_that_does_not_compile_is_told_and_lets_nothing_through() {
        assert_eq!(Pattern::new(r"\d{4}").problem(), None);
        let broken = Pattern::new("(");
        assert!(broken.problem().unwrap().contains("unclosed group"), "{:?}", broken.problem());
        assert!(broken.is_in("anything"));
        assert!(Pattern::new(r"(\w{200}){200}").problem().unwrap().contains("size limit"));
        assert!(Pattern::new("").problem().is_some() && Phrase::new("x".repeat(501)).problem().is_some());
    }
}
