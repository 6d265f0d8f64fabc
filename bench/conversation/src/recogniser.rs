//! A recogniser that knows what was said, and says it as late as real ones do: how turns are taken is judged, not words.

use anyhow::Result;
use trunkline_call::AsrEvent;
use trunkline_leg::CallTime;

use crate::line::FRAME;
use crate::listener::Listeners;
use crate::listening::Listening;
use crate::room::Log;
use crate::voices::Word;

/// From the end of a word until it is among the interim words, and from the order to give the last words to these. Without
/// marks: bare words, as most recognisers give while somebody speaks.
pub(crate) const INTERIM_MS: u64 = 300;
pub(crate) const FINAL_MS: u64 = 150;

/// Which recogniser a call has.
#[derive(Debug)]
pub(crate) enum Recogniser<'a> {
    /// One that knows the words.
    Knows(Knowing),
    /// One that listens.
    Listens(Listening<'a>),
}

impl<'a> Recogniser<'a> {
    pub(crate) fn new(interim: bool, listeners: Option<&'a Listeners>) -> Self {
        match listeners {
            Some(listeners) => Self::Listens(Listening::new(listeners, interim)),
            None => Self::Knows(Knowing::new(interim)),
        }
    }

    /// The sound of a tick.
    pub(crate) fn hear(&mut self, now: CallTime, pcm: &[i16; FRAME], speech: bool) {
        if let Self::Listens(listening) = self {
            listening.hear(now, pcm, speech);
        }
    }

    /// The turn seems to be over: what ends by now is final.
    pub(crate) fn finalize(&mut self, now: CallTime, log: &Log) -> Result<()> {
        match self {
            Self::Knows(knowing) => knowing.finalize(now, words(log)),
            Self::Listens(listening) => listening.finalize(now)?,
        }
        Ok(())
    }

    /// What it says now.
    pub(crate) fn poll(&mut self, now: CallTime, log: &Log) -> Result<Option<AsrEvent>> {
        match self {
            Self::Knows(knowing) => Ok(knowing.poll(now, words(log))),
            Self::Listens(listening) => listening.poll(now),
        }
    }
}

/// Words that were said so far or are being said, with their places, in order.
fn words(log: &Log) -> impl Iterator<Item = &Word> + Clone {
    log.said.iter().flat_map(|said| &said.words)
}

/// A recogniser that knows the words.
#[derive(Debug)]
pub(crate) struct Knowing {
    /// Whether it gives interim words.
    interim: bool,
    /// Words that are final already.
    done: usize,
    told: String,
    /// When it will give its last words, and how many words will be final by then.
    owed: Option<(u64, usize)>,
}

impl Knowing {
    const fn new(interim: bool) -> Self {
        Self { interim, done: 0, told: String::new(), owed: None }
    }

    /// The turn seems to be over: what ends by now is final.
    fn finalize<'a>(&mut self, now: CallTime, words: impl Iterator<Item = &'a Word>) {
        let now = now.as_ms();
        let count = words.take_while(|word| word.to_ms <= now).count();
        self.owed = Some((now + FINAL_MS, count.max(self.done)));
    }

    /// What it says now.
    fn poll<'a>(&mut self, now: CallTime, words: impl Iterator<Item = &'a Word> + Clone) -> Option<AsrEvent> {
        let now = now.as_ms();
        if let Some((_, count)) = self.owed.take_if(|(due, _)| now >= *due) {
            let text = joined(words.take(count).skip(self.done));
            self.done = count;
            self.told.clear();
            return Some(AsrEvent::Final { text, confidence: Some(0.9), finalized: true });
        }
        if !self.interim || self.owed.is_some() {
            return None;
        }
        let text = joined(words.skip(self.done).take_while(|word| word.to_ms + INTERIM_MS <= now));
        if text == self.told {
            return None;
        }
        self.told.clone_from(&text);
        Some(AsrEvent::Partial { text })
    }
}

fn joined<'a>(words: impl Iterator<Item = &'a Word>) -> String {
    words.map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<Word> {
        let word = |text: &str, to_ms| Word { text: text.to_owned(), from_ms: to_ms - 200, to_ms };
        vec![word("my", 1000), word("name", 1300), word("is", 1500)]
    }

    #[test]
    fn words_come_as_late_as_they_would() {
        let (words, mut recogniser) = (some(), Knowing::new(true));
        let mut at = |ms| recogniser.poll(CallTime::from_ms(ms), words.iter());
        assert_eq!(at(1299), None);
        assert_eq!(at(1300), Some(AsrEvent::Partial { text: "my".to_owned() }));
        assert_eq!(at(1320), None);
        assert_eq!(at(1600), Some(AsrEvent::Partial { text: "my name".to_owned() }));
    }

    #[test]
    fn last_words_are_those_that_were_over_when_they_were_asked_for() {
        let (words, mut recogniser) = (some(), Knowing::new(false));
        recogniser.finalize(CallTime::from_ms(1400), words.iter());
        assert_eq!(recogniser.poll(CallTime::from_ms(1500), words.iter()), None);
        let last = |text: &str| Some(AsrEvent::Final { text: text.to_owned(), confidence: Some(0.9), finalized: true });
        assert_eq!(recogniser.poll(CallTime::from_ms(1560), words.iter()), last("my name"));
        recogniser.finalize(CallTime::from_ms(2000), words.iter());
        assert_eq!(recogniser.poll(CallTime::from_ms(2160), words.iter()), last("is"));
    }
}
