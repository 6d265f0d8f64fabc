//! An index of words by which passages are found: Okapi BM25 (Robertson, Zaragoza 2009, section 3.2), words as they stand in
//! the text without case, and scripts without spaces by pairs of characters.

use std::collections::BTreeMap;

use super::passages::cut;
use crate::input::Passage;

/// Most passages of a base; further ones are left out, and the driver says so.
pub const MAX_PASSAGES: usize = 50_000;
/// Most different words of a query that count.
const MAX_QUERY_WORDS: usize = 32;
/// How soon a word that comes again in a passage counts no more, and how much the length of a passage matters.
const K1: f64 = 1.2;
const B: f64 = 0.75;
/// Letters from which on a word is also looked for without its last two: plurals and cases.
const STEM_FROM: usize = 6;

/// Words of questions that say nothing of what is asked for, which a small base may hold but once.
const EMPTY: [&str; 80] = [
    "a", "an", "and", "are", "at", "be", "can", "could", "do", "does", "for", "have", "how", "i", "in", "is", "it",
    "me", "my", "of", "on", "or", "the", "there", "this", "to", "we", "what", "when", "where", "which", "who", "will",
    "with", "would", "you", "your", "aber", "auf", "bei", "bin", "das", "der", "die", "ein", "eine", "es", "für",
    "gibt", "haben", "ich", "ihr", "ist", "kann", "mit", "sie", "sind", "und", "von", "wann", "was", "wie", "wir",
    "wo", "zu", "zum", "avec", "dans", "de", "des", "est", "et", "la", "le", "les", "vous", "el", "los", "que", "un",
];

/// A knowledge base.
#[derive(Debug, Default)]
pub struct KnowledgeBase {
    passages: Vec<Passage>,
    /// Words of each passage.
    lengths: Vec<u32>,
    total: u64,
    /// By word: where it stands and how often.
    words: BTreeMap<String, Vec<(u32, u16)>>,
    left_out: usize,
}

impl KnowledgeBase {
    /// Adds a document; `name` is what its passages are called before their heading.
    pub fn add(&mut self, name: &str, text: &str) {
        for cut in cut(text) {
            let Ok(number) = u32::try_from(self.passages.len()) else { return };
            if self.passages.len() >= MAX_PASSAGES {
                self.left_out += 1;
                continue;
            }
            let mut counts: BTreeMap<String, u16> = BTreeMap::new();
            let mut length = 0;
            // The heading says what the passage is about, so that its words count twice.
            for word in words(&cut.heading).into_iter().flat_map(|word| [word.clone(), word]).chain(words(&cut.text)) {
                length += 1;
                let count = counts.entry(word).or_default();
                *count = count.saturating_add(1);
            }
            for (word, count) in counts {
                self.words.entry(word).or_default().push((number, count));
            }
            self.lengths.push(length);
            self.total += u64::from(length);
            let name = if cut.heading.is_empty() { name.to_owned() } else { format!("{name}: {}", cut.heading) };
            self.passages.push(Passage { name, text: cut.text });
        }
    }

    /// Number of passages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.passages.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.passages.is_empty()
    }

    /// Passages that were left out because there were too many.
    #[must_use]
    pub const fn left_out(&self) -> usize {
        self.left_out
    }

    /// The passages that fit `query` best, best first, each with its score. Of equal ones the first comes first.
    #[must_use]
    pub fn search(&self, query: &str, top: usize) -> Vec<(f64, &Passage)> {
        let mut scores: BTreeMap<u32, f64> = BTreeMap::new();
        let mut asked = words(query);
        asked.sort_unstable();
        asked.dedup();
        if asked.iter().any(|word| !EMPTY.contains(&word.as_str())) {
            asked.retain(|word| !EMPTY.contains(&word.as_str()));
        }
        let count = self.passages.len() as f64;
        let average = (self.total as f64 / count.max(1.0)).max(1.0);
        for word in asked.iter().take(MAX_QUERY_WORDS) {
            let Some(places) = self.words.get(word) else { continue };
            let found = places.len() as f64;
            let rarity = ((count - found + 0.5) / (found + 0.5)).ln_1p();
            for (number, times) in places {
                let times = f64::from(*times);
                let length = f64::from(self.lengths.get(*number as usize).copied().unwrap_or(0));
                let score = rarity * times * (K1 + 1.0) / (times + K1 * (1.0 - B + B * length / average));
                *scores.entry(*number).or_default() += score;
            }
        }
        let mut best: Vec<(u32, f64)> = scores.into_iter().collect();
        best.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        let passage = |(number, score): (u32, f64)| self.passages.get(number as usize).map(|passage| (score, passage));
        best.into_iter().take(top).filter_map(passage).collect()
    }
}

/// The words of a text, in lower case; long ones without their ending, too.
fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for run in text.split(|c: char| !c.is_alphanumeric()).filter(|run| !run.is_empty()) {
        let run: Vec<char> = run.chars().flat_map(char::to_lowercase).collect();
        if run.iter().any(|&c| is_unspaced(c)) {
            if run.len() == 1 {
                found.push(run.iter().collect());
            }
            found.extend(run.windows(2).map(|pair| pair.iter().collect()));
            continue;
        }
        if run.len() >= STEM_FROM && run.iter().all(|c| c.is_alphabetic()) {
            let stem: String = run[..run.len() - 2].iter().collect();
            found.push(format!("{stem}~"));
        }
        found.push(run.into_iter().collect());
    }
    found
}

/// Whether a character is of a script that puts no spaces between words.
const fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> KnowledgeBase {
        let mut base = KnowledgeBase::default();
        base.add(
            "hours.md",
            "# Opening hours\nWe open at nine and close at six.\n\n# Holidays\nOn public holidays the shop is closed.",
        );
        base.add("returns.txt", "You may return what you bought within thirty days. Bring the receipt with you.");
        base.add("ja.md", "# 営業時間\n午前九時から午後六時まで営業しています。");
        base
    }

    fn best(query: &str) -> Vec<String> {
        base().search(query, 2).into_iter().map(|(_, passage)| passage.name.clone()).collect()
    }

    #[test]
    fn the_passage_that_speaks_of_it_comes_first() {
        assert_eq!(best("When do you open in the morning?")[0], "hours.md: Opening hours");
        assert_eq!(best("are you open on a public holiday")[0], "hours.md: Holidays");
        assert_eq!(best("I lost my receipt"), ["returns.txt"]);
        assert_eq!(best("Can I make a return?")[0], "returns.txt");
        assert_eq!(best("営業時間は？")[0], "ja.md: 営業時間");
        assert_eq!(best("xylophone"), Vec::<String>::new());
        assert_eq!(best(""), Vec::<String>::new());
    }

    #[test]
    fn a_rare_word_counts_for_more_than_a_common_one() {
        let mut base = KnowledgeBase::default();
        for n in 0..50 {
            base.add(&format!("{n}"), "the shop sells the bread and the butter of the region");
        }
        base.add("cheese", "cheese from the valley");
        let found = base.search("the cheese of the region", 1);
        assert_eq!(found[0].1.name, "cheese");
    }
}
