//! Maps an utterance's text to its sound, so that "what the caller heard" is a lookup.
//!
//! The leg knows how many milliseconds of an utterance were sent. Whole parts are counted by the length of their
//! sound; inside a part the position is proportional to its characters and moved back to the end of the last whole
//! word. A part whose sound is still being made is taken to be at least as long as its text usually is.

/// Milliseconds a character usually takes to say: 150 words a minute.
const MS_PER_CHARACTER: u32 = 66;
/// A whole part, in thousandths.
pub(crate) const WHOLE: u32 = 1000;

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
    /// Its text; empty for the sound of half a word.
    pub(crate) text: String,
    /// Whether the agent should not remember it (a bridge line).
    pub(crate) aside: bool,
    /// How far it has come.
    pub(crate) synthesis: Synthesis,
    /// Milliseconds of its sound so far.
    pub(crate) audio_ms: u32,
    /// The message of the conversation it belongs to already.
    pub(crate) message: Option<u64>,
}

impl Part {
    /// A part just handed over.
    pub(crate) const fn new(number: u32, text: String, aside: bool) -> Self {
        Self { number, text, aside, synthesis: Synthesis::Waiting, audio_ms: 0, message: None }
    }

    /// Ends a part with the sound there is of it; returns the text that is missing.
    pub(crate) fn break_off(&mut self) -> String {
        let thousandths = u64::from(self.audio_ms) * u64::from(WHOLE) / u64::from(self.expected_ms().max(1));
        let share = u32::try_from(thousandths).unwrap_or(WHOLE).min(WHOLE - 1);
        let (said, rest) = cut(&self.text, share);
        let (said, rest) = (said.to_owned(), rest.to_owned());
        (self.text, self.synthesis) = (said, Synthesis::Done);
        rest
    }

    fn expected_ms(&self) -> u32 {
        match self.synthesis {
            Synthesis::Done => self.audio_ms,
            Synthesis::Waiting | Synthesis::Sounding => {
                let usual = u32::try_from(self.text.chars().count()).unwrap_or(u32::MAX);
                self.audio_ms.max(usual.saturating_mul(MS_PER_CHARACTER))
            }
        }
    }
}

/// How much of each part was heard, in thousandths; parts beyond the end were not heard at all.
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
                let thousandths = u64::from(played) * u64::from(WHOLE) / u64::from(length.max(1));
                u32::try_from(thousandths).unwrap_or(WHOLE).min(WHOLE - 1)
            }
        })
        .collect()
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

    use super::*;

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
    fn a_part_that_breaks_off_keeps_what_there_is_sound_of() {
        let mut part = Part::new(0, "One two three four five.".to_owned(), false);
        (part.audio_ms, part.synthesis) = (800, Synthesis::Sounding);
        assert_eq!(part.break_off(), "three four five.");
        assert_eq!((part.text.as_str(), part.synthesis), ("One two", Synthesis::Done));
        assert_eq!(heard(&[part], 800), [WHOLE]);
        let mut silent = Part::new(0, "One two.".to_owned(), false);
        assert_eq!((silent.break_off().as_str(), silent.text.as_str()), ("One two.", ""));
    }

    proptest! {
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
