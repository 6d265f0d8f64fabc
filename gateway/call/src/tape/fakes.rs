//! Names instead of words: every word gets one that is as long and looks alike, the same each time, drawn and not
//! computed, so that nothing of the word is in it. Words that turns are decided by stay what they are; of those that are
//! digits another digit takes the place.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use trunkline_api::Id;

use super::scripts::instead;
use crate::dialogue::{backchannel, patience, phrases, question};
use crate::sentence::ABBREVIATIONS;
use crate::speech::ssml;

/// Draws before a word may get a name that is another word of the call: there are few of one or two letters.
const DRAWS: usize = 200;
/// Texts within texts that are looked into: JSON in a string in JSON.
const MAX_DEPTH: usize = 24;
/// What JSON and its schemas are made of.
const JSON_WORDS: [&str; 3] = ["true", "false", "null"];

/// Names of a call's words.
#[derive(Debug)]
pub(super) struct Fakes {
    random: u64,
    names: BTreeMap<String, String>,
    /// Words of the call, which nobody gets as a name.
    words: BTreeSet<String>,
    given: BTreeSet<String>,
    kept: BTreeSet<&'static str>,
    ids: BTreeMap<String, String>,
    /// The key that begins and ends what is said, when there is one.
    talk_key: Option<char>,
    /// What each digit stands for, when what is pressed is compared with something.
    keys: Option<[char; 10]>,
}

impl Fakes {
    /// Nothing of a word can be told from its name without `seed`, and little with it.
    pub(super) fn new(seed: u64) -> Self {
        let kept = patience::words()
            .chain(backchannel::words())
            .chain(phrases::words())
            .chain(question::words())
            .chain(ABBREVIATIONS.iter().copied())
            .chain(JSON_WORDS)
            .chain(ssml::words());
        let kept = kept.filter(|word| !patience::NUMBER_WORDS.contains(word)).collect();
        Self {
            random: seed,
            names: BTreeMap::new(),
            words: BTreeSet::new(),
            given: BTreeSet::new(),
            kept,
            ids: BTreeMap::new(),
            talk_key: None,
            keys: None,
        }
    }

    /// A key that means something stays, and stands for no other.
    pub(super) fn keep_key(&mut self, key: &str) {
        self.talk_key = key.chars().next();
    }

    /// Keys are compared with those of menus: each stands for the same one all through the call.
    pub(super) fn compare_keys(&mut self) {
        let mut keys = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];
        // Fisher and Yates, but for the key that stays.
        let free: Vec<usize> = (0..keys.len()).filter(|at| self.talk_key != Some(keys[*at])).collect();
        for last in (1..free.len()).rev() {
            let other = self.draw(last as u64 + 1) as usize;
            keys.swap(free[last], free[other]);
        }
        self.keys = Some(keys);
    }

    /// Keys of a telephone.
    pub(super) fn keys(&mut self, keys: &str) -> String {
        keys.chars().map(|key| self.key(key)).collect()
    }

    /// Takes note of a text's words before any of them gets a name.
    pub(super) fn learn(&mut self, text: &str) {
        for word in words(text) {
            self.words.insert(word.to_lowercase());
        }
    }

    /// The text with names instead of its words. It has as many characters as it had.
    pub(super) fn text(&mut self, text: &str) -> String {
        self.nested(text, 0)
    }

    /// Another identifier of the kind, made at `unix_ms`.
    pub(super) fn id(&mut self, id: &Id, unix_ms: u64) -> String {
        let own = id.to_string();
        if let Some(known) = self.ids.get(&own) {
            return known.clone();
        }
        let mut random = [0; 10];
        random.fill_with(|| self.draw(256) as u8);
        let other = Id::mint(id.prefix(), unix_ms, random).to_string();
        self.ids.insert(own, other.clone());
        other
    }

    /// Texts that are one text in pieces.
    pub(super) fn pieces(&mut self, pieces: &[&str]) -> Vec<String> {
        let whole = self.plain(&pieces.concat());
        let mut characters = whole.chars();
        pieces.iter().map(|piece| characters.by_ref().take(piece.chars().count()).collect()).collect()
    }

    /// Another key of a telephone instead of a digit: each press by itself, since nothing is compared with it.
    pub(super) fn key(&mut self, key: char) -> char {
        if !key.is_ascii_digit() || self.talk_key == Some(key) {
            return key;
        }
        if let Some(named) = self.keys.zip(key.to_digit(10)).and_then(|(keys, digit)| keys.get(digit as usize).copied())
        {
            return named;
        }
        let others: Vec<char> = ('0'..='9').filter(|other| *other != key && self.talk_key != Some(*other)).collect();
        others[self.draw(others.len() as u64) as usize]
    }

    /// A number below `end`.
    pub(super) fn draw(&mut self, end: u64) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }

    fn nested(&mut self, text: &str, depth: usize) -> String {
        // Arguments of tools and what they answer are JSON, whose own words must stay what they are.
        if text.trim_start().starts_with(['{', '['])
            && depth < MAX_DEPTH
            && let Ok(value) = serde_json::from_str::<Value>(text)
        {
            return self.nested_value(&value, depth + 1).to_string();
        }
        self.plain(text)
    }

    fn nested_value(&mut self, value: &Value, depth: usize) -> Value {
        match value {
            Value::String(text) => Value::String(self.nested(text, depth)),
            Value::Array(values) if depth < MAX_DEPTH => {
                values.iter().map(|value| self.nested_value(value, depth + 1)).collect()
            }
            Value::Object(object) if depth < MAX_DEPTH => {
                object.iter().map(|(key, value)| (key.clone(), self.nested_value(value, depth + 1))).collect()
            }
            // Deeper than anybody's arguments: nothing of it stays.
            Value::Array(_) | Value::Object(_) => Value::Null,
            // A number in a tool's arguments is an account, an amount, a date.
            Value::Number(number) if depth > 0 && number.is_u64() => {
                self.plain(&number.to_string()).parse::<u64>().map_or(Value::Null, Value::from)
            }
            Value::Number(_) | Value::Bool(_) | Value::Null => value.clone(),
        }
    }

    fn plain(&mut self, text: &str) -> String {
        let all: Vec<&str> = words(text).collect();
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        for (at, word) in all.iter().enumerate() {
            let (between, behind) = rest.split_once(word).unwrap_or((rest, ""));
            out.push_str(between);
            rest = behind;
            let neighbours = [at.checked_sub(1).and_then(|at| all.get(at)), all.get(at + 1)];
            let spelled = is_letter(word) && neighbours.into_iter().flatten().any(|word| is_letter(word));
            // How many digits are asked for says nothing of which they are.
            let counts = all.get(at + 1).is_some_and(|next| question::counts_digits(&next.to_lowercase()))
                && patience::NUMBER_WORDS.contains(&word.to_lowercase().as_str());
            out.push_str(&if counts { (*word).to_owned() } else { self.name(word, spelled) });
        }
        out.push_str(rest);
        out
    }

    /// The name of a word, in its case. A single letter among others is one of a name that is being spelled.
    fn name(&mut self, word: &str, spelled: bool) -> String {
        let lower = word.to_lowercase();
        if self.kept.contains(lower.as_str()) && !spelled {
            return word.to_owned();
        }
        let name = match self.names.get(&lower) {
            Some(name) => name.clone(),
            None => {
                let name = self.drawn(&lower);
                self.given.insert(name.clone());
                self.names.insert(lower, name.clone());
                name
            }
        };
        let upper = |(letter, of): (char, char)| {
            let mut upper = letter.to_uppercase();
            if of.is_uppercase() && upper.len() == 1 { upper.next().unwrap_or(letter) } else { letter }
        };
        name.chars().zip(word.chars()).map(upper).collect()
    }

    fn drawn(&mut self, word: &str) -> String {
        let length = word.chars().count();
        let numbers: Vec<&str> = patience::NUMBER_WORDS
            .into_iter()
            .filter(|number| *number != word && number.chars().count() == length)
            .collect();
        if patience::NUMBER_WORDS.contains(&word) && !numbers.is_empty() {
            return numbers[self.draw(numbers.len() as u64) as usize].to_owned();
        }
        let mut name = String::new();
        for draw in 0..DRAWS {
            name = word
                .chars()
                .enumerate()
                .map(|(at, letter)| instead(letter, at == 0, &mut |end| self.draw(end)))
                .collect();
            let free = !self.words.contains(&name) && !self.given.contains(&name) && !self.kept.contains(name.as_str());
            if free || (draw > DRAWS / 2 && name != word && length <= 2) {
                break;
            }
        }
        name
    }
}

fn is_letter(word: &str) -> bool {
    let mut characters = word.chars();
    characters.next().is_some_and(char::is_alphabetic) && characters.next().is_none()
}

/// Runs of letters and digits.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fakes(known: &[&str]) -> Fakes {
        let mut fakes = Fakes::new(7);
        known.iter().for_each(|text| fakes.learn(text));
        fakes
    }

    #[test]
    fn a_word_has_one_name_in_every_text_and_in_every_case() {
        let mut fakes = fakes(&["Berlin berlin BERLIN 4711"]);
        let text = fakes.text("To Berlin, please. berlin! BERLIN 4711, yes?");
        let name = fakes.text("berlin");
        let (number, upper) = (fakes.text("4711"), name.to_uppercase());
        let capital = format!("{}{}", &upper[..1], &name[1..]);
        assert_eq!(text, format!("To {capital}, please. {name}! {upper} {number}, yes?"));
        assert!(name != "berlin" && number != "4711" && number.parse::<u32>().is_ok());
    }

    #[test]
    fn what_is_spelled_or_said_digit_by_digit_does_not_stay() {
        let mut fakes = fakes(&["a b o four seven quattro"]);
        let spelled = fakes.text("A B O, four seven");
        assert!(!spelled.contains("A B") && !spelled.contains("four") && !spelled.contains("seven"), "{spelled}");
        assert_eq!(spelled.len(), "A B O, four seven".len());
        assert!(words(&spelled).skip(3).all(|word| patience::NUMBER_WORDS.contains(&word)), "{spelled}");
        assert_eq!(fakes.text("I see a"), "I see a", "by itself it says nothing of anybody");
    }

    #[test]
    fn json_in_a_text_stays_json() {
        let mut fakes = fakes(&["Straße Zürich 10115"]);
        let told = r#"{"city":"Zürich","street":"Stra\u00dfe","zip":10115,"known":true,"more":["Zürich"]}"#;
        let value: Value = serde_json::from_str(&fakes.text(told)).unwrap();
        assert_eq!((&value["known"], value["city"].as_str().unwrap().chars().count()), (&Value::Bool(true), 6));
        assert_eq!(value["more"][0], value["city"]);
        assert!(value["zip"].as_u64().is_some_and(|zip| (10_000..100_000).contains(&zip) && zip != 10_115));
    }

    proptest! {
        #[test]
        fn no_word_is_left_and_every_text_stays_as_long(text in "[ a-zA-Z0-9äöüßéÉяЖ日本語,.?'-]{0,120}") {
            let mut fakes = fakes(&[&text]);
            let name = fakes.text(&text);
            prop_assert_eq!(name.chars().count(), text.chars().count());
            let own: BTreeSet<String> = words(&text).map(str::to_lowercase).collect();
            for word in words(&name).map(str::to_lowercase).filter(|word| word.chars().count() > 3) {
                prop_assert!(!own.contains(&word) || fakes.kept.contains(word.as_str()), "{} in {}", word, name);
            }
            prop_assert_eq!(fakes.text(&text), name);
        }

        #[test]
        fn a_text_in_pieces_is_the_text(text in "[ a-zA-Z0-9é,.]{0,80}", size in 1_usize..9) {
            let characters: Vec<char> = text.chars().collect();
            let pieces: Vec<String> = characters.chunks(size).map(|piece| piece.iter().collect()).collect();
            let mut fakes = fakes(&[&text]);
            let pieces = fakes.pieces(&pieces.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(pieces.concat(), fakes.text(&text));
        }
    }
}
