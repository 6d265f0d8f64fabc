//! Maps an utterance's text to its sound, so that "what the caller heard" is a lookup.
//!
//! The leg knows how many milliseconds of an utterance were sent. Whole parts are counted by the length of their
//! sound; inside a part the position is proportional to its characters and moved back to the end of the last whole
//! word. Where what is spoken is another text than what is written ("1234567" is seven words), the position is found in
//! what is spoken, and what is written ends behind the last word of it that was spoken whole. A part whose sound is still
//! being made is taken to be at least as long as its text usually is, in the voice that speaks it as far as that was heard.

use crate::engine_speech::ItemSpeech;
use crate::speech::Spoken;

/// Microseconds a character usually takes to say: 150 words a minute.
const US_PER_CHARACTER: u64 = 66_000;
/// What voices take at least and at most, from the quickest that is understood to one that spells.
const US_PER_CHARACTER_RANGE: std::ops::RangeInclusive<u64> = 20_000..=400_000;
/// Characters that a pace is known by, at least and at most: a word alone is drawn out, and a voice may change.
const PACE_CHARACTERS: std::ops::RangeInclusive<u64> = 20..=2000;
/// A whole part, in thousandths.
pub(crate) const WHOLE: u32 = 1000;

/// How quickly a voice speaks, by what it has said.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    characters: u64,
    us: u64,
}

impl Pace {
    /// All the sound of a part is there.
    pub(crate) fn said(&mut self, part: &Part) {
        self.characters += part.words().chars().count() as u64;
        self.us += u64::from(part.audio_ms) * 1000;
        if self.characters > *PACE_CHARACTERS.end() {
            (self.characters, self.us) = (self.characters / 2, self.us / 2);
        }
    }

    /// Microseconds of a character.
    pub(crate) fn us_per_character(self) -> u64 {
        if self.characters < *PACE_CHARACTERS.start() {
            return US_PER_CHARACTER;
        }
        (self.us / self.characters).clamp(*US_PER_CHARACTER_RANGE.start(), *US_PER_CHARACTER_RANGE.end())
    }
}

/// How far a part's synthesis has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Synthesis {
    /// Handed over, no sound yet.
    Waiting,
    /// Some sound.
    Sounding,
    /// All its sound.
    Done,
}

/// A part of an utterance: a sentence, or a line said meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Its number in the utterance.
    pub(crate) number: u32,
    /// Its text as it is written; empty for silence, and for the sound of half a word.
    pub(crate) text: String,
    /// The same as it is spoken, where that is another text.
    pub(crate) spoken: Option<Box<Spoken>>,
    /// It is silence that nobody synthesises.
    pub(crate) pause: bool,
    /// Which list of voices it is spoken by, and the number of its voice.
    pub(crate) list: usize,
    pub(crate) index: usize,
    /// By which it was rendered beforehand, if it was.
    pub(crate) prompt: Option<String>,
    /// What is known of it as the speech of an engine, if it is that.
    pub(crate) item: Option<Box<ItemSpeech>>,
    /// Its sentence goes on in the next part.
    pub(crate) goes_on: bool,
    /// Whether the agent should not remember it (a bridge line).
    pub(crate) aside: bool,
    /// How far it has come.
    pub(crate) synthesis: Synthesis,
    /// Milliseconds of its sound so far.
    pub(crate) audio_ms: u32,
    /// Microseconds that a character is likely to take in its voice.
    pub(crate) us_per_character: u64,
    /// The message of the conversation it belongs to already.
    pub(crate) message: Option<u64>,
}

impl Part {
    /// A part just handed over.
    pub(crate) const fn new(number: u32, text: String, aside: bool) -> Self {
        Self {
            number,
            text,
            spoken: None,
            pause: false,
            list: 0,
            index: 0,
            prompt: None,
            item: None,
            goes_on: false,
            aside,
            synthesis: Synthesis::Waiting,
            audio_ms: 0,
            us_per_character: US_PER_CHARACTER,
            message: None,
        }
    }

    /// Silence of that many milliseconds.
    pub(crate) fn pause(number: u32, ms: u32, aside: bool) -> Self {
        Self { pause: true, audio_ms: ms, synthesis: Synthesis::Done, ..Self::new(number, String::new(), aside) }
    }

    /// Whether the agent should remember it.
    pub(crate) const fn is_remembered(&self) -> bool {
        !self.aside && !self.pause
    }

    /// What is said of it, without the marks of SSML.
    pub(crate) fn words(&self) -> &str {
        self.spoken.as_ref().map_or(&self.text, |spoken| &spoken.text)
    }

    /// Ends a part with the sound there is of it; returns the part that is missing.
    pub(crate) fn break_off(&mut self) -> Self {
        let share = self.share_at(self.audio_ms);
        let item = self.item.as_ref().filter(|item| item.is_line()).map(|item| Box::new(item.anew()));
        let mut missing = Self { audio_ms: 0, synthesis: Synthesis::Waiting, prompt: None, item, ..self.clone() };
        if let Some(spoken) = self.spoken.take() {
            let (written, said) = spoken.cut(share);
            let end = word_end(&self.text, written);
            let rest = self.text[end..].trim_start();
            let mut left = spoken.rest((written, said));
            left.skip_written(self.text.len() - rest.len() - written);
            (missing.text, missing.spoken) = (rest.to_owned(), Some(Box::new(left)));
            self.text.truncate(end);
        } else {
            let (said, rest) = cut(&self.text, share);
            let (said, rest) = (said.to_owned(), rest.to_owned());
            (self.text, missing.text) = (said, rest);
        }
        (self.synthesis, self.goes_on) = (Synthesis::Done, true);
        missing
    }

    /// How much of its written text is said in so many milliseconds of its sound, in thousandths; never all of it.
    fn share_at(&self, ms: u32) -> u32 {
        if let Some(share) = self.item.as_ref().and_then(|item| item.share_at(&self.text, ms)) {
            return share.min(WHOLE - 1);
        }
        let thousandths = u64::from(ms) * u64::from(WHOLE) / u64::from(self.expected_ms().max(1));
        u32::try_from(thousandths).unwrap_or(WHOLE).min(WHOLE - 1)
    }

    /// How many milliseconds of its sound so many bytes of its text take.
    pub(crate) fn ms_of(&self, bytes: usize) -> u32 {
        if let Some(ms) = self.item.as_ref().and_then(|item| item.ms_of(bytes)) {
            return ms;
        }
        let (all, said) = (self.text.chars().count(), self.text.get(..bytes).map_or(0, |said| said.chars().count()));
        u32::try_from(u64::from(self.expected_ms()) * said as u64 / all.max(1) as u64).unwrap_or(u32::MAX)
    }

    /// Turns a share of its sound into one of its written text.
    fn written_share(&self, share: u32) -> u32 {
        let Some(spoken) = self.spoken.as_ref().filter(|_| share < WHOLE) else { return share };
        let end = word_end(&self.text, spoken.cut(share).0);
        let (all, said) = (self.text.chars().count(), self.text[..end].chars().count());
        // Rounded up, so that the same cut comes out.
        u32::try_from((said * WHOLE as usize).div_ceil(all.max(1))).unwrap_or(WHOLE).min(WHOLE - 1)
    }

    fn expected_ms(&self) -> u32 {
        match self.synthesis {
            Synthesis::Done => self.audio_ms,
            Synthesis::Waiting | Synthesis::Sounding => {
                let usual_us = (self.words().chars().count() as u64).saturating_mul(self.us_per_character);
                self.audio_ms.max(u32::try_from(usual_us / 1000).unwrap_or(u32::MAX))
            }
        }
    }
}

/// How much of each part was heard, in thousandths of its written text; parts beyond the end were not heard at all.
pub(crate) fn heard(parts: &[Part], sent_ms: u32) -> Vec<u32> {
    let mut begin: u32 = 0;
    parts
        .iter()
        .map(|part| {
            let played = sent_ms.saturating_sub(begin);
            let length = part.expected_ms();
            begin = begin.saturating_add(length);
            if part.synthesis == Synthesis::Done && played >= length {
                WHOLE
            } else {
                part.written_share(part.share_at(played))
            }
        })
        .collect()
}

/// Where the word ends that byte `at` is in or behind.
fn word_end(text: &str, at: usize) -> usize {
    if at == 0 {
        return 0;
    }
    text.get(at..).and_then(|rest| rest.find(char::is_whitespace)).map_or(text.len(), |more| at + more)
}

/// Cuts `text` where `thousandths` of it were said, behind the last whole word: what was said, and the rest.
pub(crate) fn cut(text: &str, thousandths: u32) -> (&str, &str) {
    if thousandths >= WHOLE {
        return (text, "");
    }
    let characters = text.chars().count() as u64;
    let said = (characters * u64::from(thousandths) / u64::from(WHOLE)) as usize;
    let here = text.char_indices().nth(said).map_or(text.len(), |(at, _)| at);
    let behind_word = |at: usize| text[at..].chars().next().is_none_or(char::is_whitespace);
    let end = if behind_word(here) { here } else { text[..here].rfind(char::is_whitespace).unwrap_or(0) };
    let (said, rest) = text.split_at(end);
    (said.trim_end(), rest.trim_start())
}

/// Appends a piece of text behind a space.
pub(crate) fn join(text: &mut String, more: &str) {
    let more = more.trim();
    if !more.is_empty() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(more);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use trunkline_api::agent::SpeechPolicy;

    use super::*;
    use crate::speech::{Piece, Rules};

    fn done(text: &str, audio_ms: u32) -> Part {
        Part { synthesis: Synthesis::Done, audio_ms, ..Part::new(0, text.to_owned(), false) }
    }

    #[test]
    fn whole_parts_count_by_their_sound_and_words_by_proportion() {
        let parts = [done("Hello there.", 1000), done("One two three four.", 2000)];
        assert_eq!(heard(&parts, 1000), [WHOLE, 0]);
        let shares = heard(&parts, 2000);
        assert_eq!(shares, [WHOLE, 500]);
        assert_eq!(cut(&parts[1].text, shares[1]), ("One two", "three four."));
        assert_eq!(heard(&parts, 9000), [WHOLE, WHOLE]);
    }

    #[test]
    fn a_part_still_being_made_is_not_heard_to_its_end() {
        let mut part = Part::new(0, "A sentence that goes on for a while".to_owned(), false);
        part.synthesis = Synthesis::Sounding;
        part.audio_ms = 200;
        assert!(heard(&[part], 200)[0] < 200);
    }

    #[test]
    fn a_voice_that_is_known_to_be_slow_is_not_taken_to_be_further_than_it_is() {
        let text = "One word follows another and more come after them";
        let mut pace = Pace::default();
        let heard_of = |pace: Pace| {
            let mut part = Part::new(0, text.to_owned(), false);
            (part.synthesis, part.audio_ms) = (Synthesis::Sounding, 2000);
            part.us_per_character = pace.us_per_character();
            let share = heard(&[part], 2000)[0];
            cut(text, share).0.to_owned()
        };
        assert_eq!(heard_of(pace), "One word follows another and");
        pace.said(&done("Hi.", 900));
        assert_eq!(pace.us_per_character(), US_PER_CHARACTER, "a word alone says nothing");
        pace.said(&done("A sentence of 30 characters it", 4500));
        assert_eq!((heard_of(pace).as_str(), pace.us_per_character()), ("One word", 163_636));
        (0..99).for_each(|_| pace.said(&done("A sentence of 30 characters it", 1500)));
        assert!((50_000..56_000).contains(&pace.us_per_character()), "{pace:?}");
    }

    #[test]
    fn a_part_that_breaks_off_keeps_what_there_is_sound_of() {
        let mut part = Part::new(0, "One two three four five.".to_owned(), false);
        (part.audio_ms, part.synthesis) = (800, Synthesis::Sounding);
        assert_eq!(part.break_off().text, "three four five.");
        assert_eq!((part.text.as_str(), part.synthesis), ("One two", Synthesis::Done));
        assert_eq!(heard(&[part], 800), [WHOLE]);
        let mut silent = Part::new(0, "One two.".to_owned(), false);
        assert_eq!((silent.break_off().text.as_str(), silent.text.as_str()), ("One two.", ""));
    }

    #[test]
    fn what_was_heard_is_found_by_what_is_spoken() {
        let rules = Rules::new(&SpeechPolicy::default());
        let Some(Piece::Words(words)) = rules.render("Your code is 1234567 my friend", "en").pop() else { panic!() };
        let spoken = words.spoken.unwrap();
        assert_eq!(spoken.text, "Your code is one two three four five six seven my friend");
        let mut part = Part { spoken: Some(Box::new(spoken)), ..Part::new(0, words.written, false) };
        (part.synthesis, part.audio_ms) = (Synthesis::Done, 5600);
        let heard_at = |ms| {
            let share = heard(&[part.clone()], ms)[0];
            cut(&part.text, share).0.to_owned()
        };
        // 100 ms a character: half of the sound is in the middle of the digits.
        assert_eq!(heard_at(1250), "Your code is");
        assert_eq!(heard_at(2800), "Your code is");
        assert_eq!(heard_at(4750), "Your code is 1234567");
        assert_eq!(heard_at(5599), "Your code is 1234567 my");
        assert_eq!(heard_at(5600), "Your code is 1234567 my friend");
        (part.synthesis, part.audio_ms) = (Synthesis::Sounding, 3100);
        let rest = part.break_off();
        assert_eq!((part.text.as_str(), rest.text.as_str()), ("Your code is 1234567", "my friend"));
        assert_eq!(rest.words(), "my friend");
    }

    proptest! {
        #[test]
        fn what_breaks_off_keeps_every_word_once(text in "[a-z0-9@*_. ]{1,80}", made_ms in 1_u32..6000) {
            let rules = Rules::new(&SpeechPolicy::default());
            for piece in rules.render(&text, "en") {
                let Piece::Words(words) = piece else { continue };
                let mut part = Part { spoken: words.spoken.map(Box::new), ..Part::new(0, words.written.clone(), false) };
                (part.synthesis, part.audio_ms) = (Synthesis::Sounding, made_ms);
                let before = part.words().to_owned();
                let rest = part.break_off();
                let both = format!("{} {}", part.text, rest.text);
                prop_assert!(both.split_whitespace().eq(words.written.split_whitespace()), "{both} of {}", words.written);
                prop_assert!(before.ends_with(rest.words()));
            }
        }

        #[test]
        fn a_cut_keeps_every_word_once(text in "[a-zé ,.]{0,80}", thousandths in 0_u32..=1000) {
            let (said, rest) = cut(&text, thousandths);
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let mut both = words(said);
            both.extend(words(rest));
            prop_assert_eq!(both, words(&text));
        }
    }
}
