//! What an engine says: sound that comes before its words are known, and words that are told for a stretch of it. So what
//! was heard is found by the stretches where the engine tells of them, and by proportion within one.

use crate::sentence::Sentences;
use crate::spoken::WHOLE;

/// Most bytes of the words of one item.
pub(crate) const MAX_ITEM_BYTES: usize = 16 * 1024;
/// Most stretches that are kept apart; further ones are one with the last.
const MAX_SPANS: usize = 1024;

/// Words up to there are said by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    bytes: usize,
    until_ms: u32,
}

/// The speech of an engine that a part of an utterance is.
#[derive(Debug, Clone)]
pub(crate) struct ItemSpeech {
    /// The session; none for a line that waits for one.
    pub(crate) session: u32,
    pub(crate) response: u32,
    /// The item, once its first sound is there.
    pub(crate) item: Option<u32>,
    /// A line of the agent's own, whose words are known.
    line: bool,
    spans: Vec<Span>,
    /// Words of it that are in no sentence yet that the timeline was told of.
    pub(crate) untold: Sentences,
    /// The leg was told to play it.
    pub(crate) is_played: bool,
    /// It was made to end sooner than the engine had it.
    pub(crate) shortened: bool,
    /// How much of it was heard, once that is known.
    pub(crate) heard_ms: u32,
}

impl ItemSpeech {
    /// An item of a response.
    pub(crate) fn reply(session: u32, response: u32, item: u32) -> Self {
        Self { item: Some(item), line: false, ..Self::line(session, response) }
    }

    /// A line that is to be said word by word.
    pub(crate) fn line(session: u32, response: u32) -> Self {
        Self {
            session,
            response,
            item: None,
            line: true,
            spans: Vec::new(),
            untold: Sentences::new(false),
            is_played: false,
            shortened: false,
            heard_ms: 0,
        }
    }

    /// A line that is to be said again.
    pub(crate) fn anew(&self) -> Self {
        Self::line(0, 0)
    }

    pub(crate) const fn is_line(&self) -> bool {
        self.line
    }

    /// Whether that session has been asked for it.
    pub(crate) const fn is_of(&self, session: u32) -> bool {
        self.session == session && session > 0
    }

    /// More words, which make so many bytes together and end with so many milliseconds of the sound.
    pub(crate) fn told(&mut self, bytes: usize, until_ms: Option<u32>) {
        let Some(until_ms) = until_ms else { return };
        let last = self.spans.last().map_or(0, |span| span.until_ms);
        if self.spans.len() >= MAX_SPANS {
            self.spans.pop();
        }
        self.spans.push(Span { bytes, until_ms: until_ms.max(last) });
    }

    /// How much of `text` is said in so many milliseconds, in thousandths; `None` where stretches do not tell.
    pub(crate) fn share_at(&self, text: &str, ms: u32) -> Option<u32> {
        let at = self.spans.iter().position(|span| span.until_ms > ms).unwrap_or(self.spans.len());
        let before = at.checked_sub(1).and_then(|at| self.spans.get(at)).copied();
        let before = before.unwrap_or(Span { bytes: 0, until_ms: 0 });
        let bytes = match self.spans.get(at) {
            Some(span) => {
                let length = u64::from(span.until_ms - before.until_ms).max(1);
                let part = (span.bytes - before.bytes) as u64 * u64::from(ms - before.until_ms) / length;
                before.bytes + part as usize
            }
            None if self.spans.is_empty() => return None,
            // Words that are not aligned yet are said later than all that are.
            None => before.bytes,
        };
        let end = (0..=bytes.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let (all, said) = (text.chars().count(), text[..end].chars().count());
        // Rounded up, so that the same cut comes out.
        Some(u32::try_from((said * WHOLE as usize).div_ceil(all.max(1))).unwrap_or(WHOLE))
    }

    /// How many milliseconds so many bytes of the text take; `None` where stretches do not tell.
    pub(crate) fn ms_of(&self, bytes: usize) -> Option<u32> {
        let at = self.spans.iter().position(|span| span.bytes >= bytes)?;
        let before = at.checked_sub(1).map_or(Span { bytes: 0, until_ms: 0 }, |at| self.spans[at]);
        let span = self.spans[at];
        let length = (span.bytes - before.bytes).max(1) as u64;
        let part = u64::from(span.until_ms - before.until_ms) * (bytes - before.bytes) as u64 / length;
        u32::try_from(u64::from(before.until_ms) + part).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spoken::{Part, Synthesis, cut, heard};

    fn item(pieces: &[(&str, Option<u32>)], audio_ms: u32) -> Part {
        let mut speech = ItemSpeech::reply(1, 1, 1);
        let mut text = String::new();
        for (piece, until_ms) in pieces {
            text.push_str(piece);
            speech.told(text.len(), *until_ms);
        }
        Part { item: Some(Box::new(speech)), audio_ms, synthesis: Synthesis::Done, ..Part::new(0, text, false) }
    }

    #[test]
    fn what_was_heard_is_found_by_the_stretch_it_ended_in() {
        let part = item(&[("Yes. ", Some(2000)), ("We are open until nine.", Some(3000))], 3000);
        let heard_at = |ms| {
            let share = heard(std::slice::from_ref(&part), ms)[0];
            cut(&part.text, share).0.to_owned()
        };
        assert_eq!(heard_at(1500), "");
        assert_eq!(heard_at(2000), "Yes.");
        assert_eq!(heard_at(2500), "Yes. We are open");
        assert_eq!(heard_at(3000), "Yes. We are open until nine.");
        assert_eq!((part.ms_of(5), part.ms_of(28)), (2000, 3000));
    }

    #[test]
    fn without_stretches_it_is_found_by_proportion() {
        let part = item(&[("One two three four five.", None)], 2400);
        let share = heard(std::slice::from_ref(&part), 800)[0];
        assert_eq!(cut(&part.text, share).0, "One two");
        assert_eq!(part.ms_of(12), 1200);
    }

    #[test]
    fn words_that_nothing_is_known_of_yet_were_not_heard() {
        let part = item(&[("One two.", Some(800)), (" Three four.", None)], 2000);
        let share = heard(std::slice::from_ref(&part), 1500)[0];
        assert_eq!(cut(&part.text, share).0, "One two.");
    }
}
