//! Reads a text word by word: each reader looks at the words that are left and says how the first of them are spoken.

use super::languages::{self, Language};
use super::numbers::Tongue;
use super::{addresses, codes, dates, quantities};

/// A word: the signs before and behind it, and where it ends in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'a> {
    pub(super) lead: &'a str,
    pub(super) core: &'a str,
    pub(super) trail: &'a str,
    /// All of it.
    pub(super) whole: &'a str,
    /// Where it begins and ends, in bytes of the text.
    pub(super) begin: usize,
    pub(super) end: usize,
    /// Whether there is space before it.
    pub(super) spaced: bool,
}

/// How some words are spoken: a text for each of them. One that is empty is spoken with the next, and the caller has
/// not heard it before that one.
pub(super) type Reading = Vec<String>;

/// What readers go by.
#[derive(Clone, Copy)]
pub(super) struct Reader {
    /// Words of the language; nothing where it is not known.
    pub(super) known: Option<(&'static Language, Tongue)>,
    /// Months come before days.
    pub(super) month_first: bool,
    /// Clock times are said in twelve hours.
    pub(super) twelve_hours: bool,
}

impl Reader {
    pub(super) fn of(tag: &str) -> Self {
        let known = languages::of(tag);
        let upper = tag.to_ascii_uppercase();
        let english = known.is_some_and(|(language, _)| language.tag == "en");
        let region = upper.split('-').nth(1).unwrap_or("");
        Self { known, month_first: english && matches!(region, "US" | "PH"), twelve_hours: english }
    }

    /// What a synthesiser would read out sign by sign.
    pub(super) fn signs(self, before: &[Word<'_>], words: &[Word<'_>]) -> Option<Reading> {
        // Most words are only words.
        let first = words.first()?;
        if !first.core.contains(['.', '@']) && !has_digit(first) {
            return None;
        }
        addresses::read(self, words).or_else(|| codes::read(self, before, words))
    }

    /// What has words of its own.
    pub(super) fn words(self, before: &[Word<'_>], words: &[Word<'_>]) -> Option<Reading> {
        let known = self.known?;
        // Without a digit in it, or in the next where that is a day, there is no quantity.
        if !words.iter().take(2).any(has_digit) && words.first().is_some_and(|word| word.core != "&") {
            return abbreviation(known.0, words);
        }
        dates::read(self, known, before, words)
            .or_else(|| quantities::read(known, before, words))
            .or_else(|| abbreviation(known.0, words))
    }

    /// Digits one by one; where nothing is known of the language they are spaced.
    pub(super) fn digits(self, text: &str) -> String {
        let mut out = String::new();
        for digit in text.chars().filter_map(|c| c.to_digit(10)) {
            if !out.is_empty() {
                out.push(' ');
            }
            match self.known.and_then(|(_, tongue)| tongue.digits().get(digit as usize)) {
                Some(word) => out.push_str(word),
                None => out.extend(char::from_digit(digit, 10)),
            }
        }
        out
    }
}

fn has_digit(word: &Word<'_>) -> bool {
    word.whole.bytes().any(|byte| byte.is_ascii_digit())
}

/// Cuts a text into words.
pub(super) fn cut(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut at = 0;
    for whole in text.split(char::is_whitespace) {
        let (begin, end) = (at, at + whole.len());
        at = end + text[end..].chars().next().map_or(0, char::len_utf8);
        if whole.is_empty() {
            continue;
        }
        let inner = whole.trim_start_matches(is_lead);
        let lead = &whole[..whole.len() - inner.len()];
        let core = inner.trim_end_matches(is_trail);
        let trail = &inner[core.len()..];
        words.push(Word { lead, core, trail, whole, begin, end, spaced: begin > 0 });
    }
    words
}

const fn is_lead(c: char) -> bool {
    matches!(c, '(' | '[' | '{' | '"' | '\'' | '“' | '„' | '‚' | '‘' | '’' | '«' | '»' | '¿' | '¡' | '<' | '…')
}

const fn is_trail(c: char) -> bool {
    matches!(
        c,
        ')' | ']'
            | '}'
            | '"'
            | '\''
            | '”'
            | '“'
            | '’'
            | '»'
            | '«'
            | '>'
            | '.'
            | ','
            | ':'
            | ';'
            | '!'
            | '?'
            | '…'
            | '。'
            | '、'
    )
}

/// The reading of words that are one thing: spoken with the last, between the signs around them.
pub(super) fn whole(words: &[Word<'_>], count: usize, spoken: &str) -> Reading {
    let mut reading = vec![String::new(); count];
    let lead = words.first().map_or("", |word| word.lead);
    let trail = count.checked_sub(1).and_then(|last| words.get(last)).map_or("", |word| word.trail);
    if let Some(last) = reading.last_mut() {
        *last = format!("{lead}{spoken}{trail}");
    }
    reading
}

fn abbreviation(language: &Language, words: &[Word<'_>]) -> Option<Reading> {
    let first = words.first()?;
    let dotted = first.whole.get(first.lead.len()..)?;
    // "z. B." is "z.B.".
    let spaced = words.get(1).map(|next| format!("{dotted}{}", next.whole)).unwrap_or_default();
    let two =
        language.abbreviations.iter().find(|(short, _)| short.matches('.').count() == 2 && spaced.starts_with(short));
    if let Some((short, long)) = two
        && dotted.len() < short.len()
        && dotted.ends_with('.')
    {
        let rest = &spaced[short.len()..];
        let end = words.get(2).is_none() && rest.is_empty();
        return Some(vec![String::new(), format!("{}{long}{rest}{}", first.lead, if end { "." } else { "" })]);
    }
    let (short, long) = language
        .abbreviations
        .iter()
        .find(|(short, _)| dotted.strip_prefix(short).is_some_and(|rest| rest.chars().all(is_trail)))?;
    let rest = &dotted[short.len()..];
    let next = words.get(1);
    let before_name = next.is_some_and(|next| next.core.starts_with(char::is_uppercase));
    if languages::TITLES.contains(short) && !before_name {
        return None;
    }
    // The full stop of the last word is the sentence's, too.
    let stop = if next.is_none() && rest.is_empty() && short.ends_with('.') { "." } else { "" };
    Some(vec![format!("{}{long}{rest}{stop}", first.lead)])
}
