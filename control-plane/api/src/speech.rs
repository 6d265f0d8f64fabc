//! `speech`: how texts become speech. What is written and what is spoken are two texts.

use serde::{Deserialize, Serialize};

/// What is put into words before a synthesiser gets it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Nothing: texts go to the synthesiser as they are written, but for SSML and the dictionary.
    Off,
    /// What a synthesiser would read out sign by sign or as a number that it is not: markdown, emoji, web and e-mail
    /// addresses, telephone numbers and codes.
    #[default]
    Signs,
    /// Numbers, dates, times, money, percent, ordinals, units and abbreviations as well, in `en`, `de`, `es`, `fr`,
    /// `it`, `pt` and `nl`: for a synthesiser that reads them badly. What is unsure stays as it is written.
    Words,
}

/// How one word or phrase is spoken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pronunciation {
    /// As it is written, 1..=100 characters.
    pub written: String,
    /// As it is spelled to be spoken right, 0..=200 characters; empty leaves it as it is written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub spoken: String,
    /// As it is spoken in the International Phonetic Alphabet, 0..=200 characters, for synthesisers of `speech.ssml`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ipa: String,
    /// BCP 47 language in which it is; empty for every one. `de` counts in `de-AT`, too.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub language: String,
    /// Whether it is a word of its own and never part of another.
    #[serde(default = "yes")]
    pub whole_word: bool,
    /// Whether capital letters matter.
    #[serde(default)]
    pub case_sensitive: bool,
}

const fn yes() -> bool {
    true
}

/// Most entries of a dictionary: each is looked for in every sentence.
pub const MAX_DICTIONARY: usize = 500;
/// Most languages with a voice of their own.
pub const MAX_VOICES: usize = 16;

impl Pronunciation {
    /// Whether its lengths are in range and it says how.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let length = |text: &str| text.chars().count();
        (1..=100).contains(&length(self.written.trim()))
            && length(&self.spoken) <= 200
            && length(&self.ipa) <= 200
            && !(self.spoken.trim().is_empty() && self.ipa.trim().is_empty())
            && self.language.len() <= 35
    }
}

/// Whether a text has the form of a BCP 47 tag: subtags of letters and digits, 35 bytes at most.
#[must_use]
pub fn is_language_tag(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let primary = subtags.next().unwrap_or_default();
    tag.len() <= 35
        && (2..=8).contains(&primary.len())
        && primary.bytes().all(|byte| byte.is_ascii_alphabetic())
        && subtags.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_how_it_is_spoken() {
        let entry: Pronunciation = serde_json::from_str(r#"{"written":"GmbH","spoken":"Geh Em Be Ha"}"#).unwrap();
        assert!(entry.is_valid() && entry.whole_word && !entry.case_sensitive);
        for wrong in [r#"{"written":" ","spoken":"x"}"#, r#"{"written":"x"}"#, r#"{"written":"x","spoken":" "}"#] {
            assert!(!serde_json::from_str::<Pronunciation>(wrong).unwrap().is_valid(), "{wrong}");
        }
        assert!(serde_json::from_str::<Pronunciation>(r#"{"written":"x","say":"y"}"#).is_err());
    }

    #[test]
    fn languages_are_tags() {
        for tag in ["de", "en-GB", "zh-Hans-CN", "es-419", "sl-rozaj-1994"] {
            assert!(is_language_tag(tag), "{tag}");
        }
        for text in ["", "d", "German please", "de_DE", "de-", "-de", "12"] {
            assert!(!is_language_tag(text), "{text}");
        }
    }
}
