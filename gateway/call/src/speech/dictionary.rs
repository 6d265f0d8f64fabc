//! An agent's own pronunciations: the longest entry that fits wins.

use std::collections::BTreeMap;

use trunkline_api::speech::{MAX_DICTIONARY, Pronunciation};

/// Entries by their first letter, in lower case; the longest first.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    entries: BTreeMap<char, Vec<Entry>>,
}

/// How something is spoken.
#[derive(Debug)]
pub(super) struct Entry {
    letters: Vec<char>,
    pub(super) spoken: String,
    pub(super) ipa: String,
    language: String,
    whole_word: bool,
    case_sensitive: bool,
}

impl Dictionary {
    pub(super) fn new(entries: &[Pronunciation]) -> Self {
        let mut dictionary = Self::default();
        for entry in entries.iter().filter(|entry| entry.is_valid()).take(MAX_DICTIONARY) {
            let written = entry.written.trim();
            let spoken = if entry.spoken.trim().is_empty() { written } else { entry.spoken.trim() };
            let Some(first) = written.chars().flat_map(char::to_lowercase).next() else { continue };
            dictionary.entries.entry(first).or_default().push(Entry {
                letters: written.chars().collect(),
                spoken: spoken.to_owned(),
                ipa: entry.ipa.trim().to_owned(),
                language: entry.language.to_ascii_lowercase(),
                whole_word: entry.whole_word,
                case_sensitive: entry.case_sensitive,
            });
        }
        // Of equals the first counts: sorting keeps their order.
        dictionary
            .entries
            .values_mut()
            .for_each(|entries| entries.sort_by_key(|entry| std::cmp::Reverse(entry.letters.len())));
        dictionary
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry for what stands at byte `at` of a text in that language, and the length of what it stands for.
    pub(super) fn find(&self, text: &str, at: usize, language: &str) -> Option<(&Entry, usize)> {
        let rest = text.get(at..)?;
        let first = rest.chars().flat_map(char::to_lowercase).next()?;
        let begins = text[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric());
        self.entries.get(&first)?.iter().find_map(|entry| {
            if (entry.whole_word && !begins) || !entry.speaks(language) {
                return None;
            }
            let length = entry.matches(rest)?;
            let ends = rest[length..].chars().next().is_none_or(|behind| !behind.is_alphanumeric());
            (ends || !entry.whole_word).then_some((entry, length))
        })
    }
}

impl Entry {
    fn speaks(&self, language: &str) -> bool {
        let language = language.to_ascii_lowercase();
        self.language.is_empty()
            || language.strip_prefix(&self.language).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }

    /// Bytes of `text` that are this entry.
    fn matches(&self, text: &str) -> Option<usize> {
        let mut length = 0;
        let mut characters = text.chars();
        for letter in &self.letters {
            let character = characters.next()?;
            let same = *letter == character
                || (!self.case_sensitive && letter.to_lowercase().eq(character.to_lowercase()))
                || (letter.is_whitespace() && character.is_whitespace());
            if !same {
                return None;
            }
            length += character.len_utf8();
        }
        Some(length)
    }
}
