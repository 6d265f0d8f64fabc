//! What became of a scene, and the figures of many.

use crate::room::{Heard, Log, Placed};
use crate::scene::{Role, Scene};
use crate::voices::DIGITS;

/// A turn is missed when it was not taken to be over so long after it was.
const MISSED_MS: u64 = 4000;
/// An interruption that the agent heeds later than this was not heard.
const UNHEARD_MS: u64 = 2000;
/// A gap in what the agent says that is longer than this is a stop.
const STOP_MS: u64 = 60;

/// What became of scenes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Score {
    /// Turns, those that were cut while the caller had more to say, those in which the agent spoke over it, and missed.
    pub(crate) turns: u32,
    pub(crate) false_cuts: u32,
    pub(crate) talked_over: u32,
    pub(crate) missed: u32,
    /// Words for the agent, and those it never got.
    pub(crate) words: u32,
    pub(crate) lost: u32,
    /// From the last word to the decision, and to the answer's first sound.
    pub(crate) end_ms: Vec<u64>,
    pub(crate) answer_ms: Vec<u64>,
    /// From an interruption's first sound until the agent is silent; and those it did not heed.
    pub(crate) interruptions: u32,
    pub(crate) stop_ms: Vec<u64>,
    pub(crate) unheard: u32,
    /// What asks for nothing while the agent speaks: how often it fell silent, went on, and lost the rest.
    pub(crate) asides: u32,
    pub(crate) stopped: u32,
    pub(crate) resumed: u32,
    pub(crate) silenced: u32,
    /// For how long it fell silent when it went on.
    pub(crate) gap_ms: Vec<u64>,
}

impl Score {
    /// Adds another's scenes.
    pub(crate) fn add(&mut self, other: &Self) {
        self.turns += other.turns;
        self.false_cuts += other.false_cuts;
        self.talked_over += other.talked_over;
        self.missed += other.missed;
        self.words += other.words;
        self.lost += other.lost;
        self.end_ms.extend(&other.end_ms);
        self.answer_ms.extend(&other.answer_ms);
        self.interruptions += other.interruptions;
        self.stop_ms.extend(&other.stop_ms);
        self.unheard += other.unheard;
        self.asides += other.asides;
        self.stopped += other.stopped;
        self.resumed += other.resumed;
        self.silenced += other.silenced;
        self.gap_ms.extend(&other.gap_ms);
    }

    /// Of one scene.
    pub(crate) fn of(scene: &Scene, log: &Log) -> Self {
        let mut score = Self::default();
        // Parts that go on belong to the turn whose last part ends it.
        let mut begun: Option<&Placed> = None;
        for placed in &log.said {
            match placed.role {
                Role::Turn { goes_on } => {
                    let first = *begun.get_or_insert(placed);
                    if !goes_on {
                        score.turn(first, placed, log);
                        begun = None;
                    }
                }
                Role::Interruption => score.interruption(placed, log),
                Role::Backchannel | Role::Noise => score.aside(placed, log),
            }
        }
        let said = log.said.iter().filter(|placed| !matches!(placed.role, Role::Backchannel | Role::Noise));
        let said: Vec<&str> = said.flat_map(|placed| &placed.words).map(|word| word.text.as_str()).collect();
        score.words += said.len() as u32;
        score.lost += lost(&said, &log.decided) as u32;
        let missing = scene.said.len() - log.said.len();
        // What could not be said because the agent did something else is the agent's miss.
        score.missed += missing as u32;
        score.turns += missing as u32;
        score
    }

    fn turn(&mut self, first: &Placed, last: &Placed, log: &Log) {
        self.turns += 1;
        let (begin, end) = (first.from_ms, last.to_ms);
        if log.decided.iter().any(|(at, _)| *at > begin && *at < end) {
            self.false_cuts += 1;
        }
        // What the agent was saying when the turn began is no answer to it.
        let own = |heard: &&Heard| heard.from_ms > begin && heard.from_ms < end;
        let spoke_before = log.heard.iter().rfind(|heard| heard.from_ms <= begin).map(|heard| heard.utterance);
        if log.heard.iter().filter(own).any(|heard| Some(heard.utterance) != spoke_before) {
            self.talked_over += 1;
        }
        let Some(decided) = log.decided.iter().map(|(at, _)| *at).find(|at| *at >= end && *at <= end + MISSED_MS)
        else {
            self.missed += 1;
            return;
        };
        self.end_ms.push(decided - end);
        let answer = log.heard.iter().find(|heard| heard.from_ms >= decided && Some(heard.utterance) != spoke_before);
        self.answer_ms.extend(answer.map(|heard| heard.from_ms - end));
    }

    fn interruption(&mut self, placed: &Placed, log: &Log) {
        self.interruptions += 1;
        let onset = placed.from_ms;
        let speaks = log.heard.iter().find(|heard| heard.from_ms <= onset && heard.to_ms > onset);
        let Some(speaks) = speaks else { return };
        // It must fall silent, and for good.
        let goes_on = log.heard.iter().any(|heard| heard.utterance == speaks.utterance && heard.from_ms > onset);
        if speaks.to_ms > onset + UNHEARD_MS || goes_on || log.finished.contains(&speaks.utterance) {
            self.unheard += 1;
        } else {
            self.stop_ms.push(speaks.to_ms - onset);
        }
    }

    fn aside(&mut self, placed: &Placed, log: &Log) {
        let onset = placed.from_ms;
        let Some(speaks) = log.heard.iter().find(|heard| heard.from_ms <= onset && heard.to_ms > onset) else { return };
        self.asides += 1;
        let same = |heard: &&Heard| heard.utterance == speaks.utterance && heard.from_ms > onset;
        let after = log.heard.iter().find(same);
        let finished = log.finished.contains(&speaks.utterance);
        let cut = log.cut.iter().any(|(utterance, _)| *utterance == speaks.utterance);
        let gap_ms = after.map(|after| after.from_ms - speaks.to_ms).filter(|gap| *gap > STOP_MS);
        if cut || gap_ms.is_some() {
            self.stopped += 1;
        }
        if finished && gap_ms.is_some() {
            self.resumed += 1;
            self.gap_ms.extend(gap_ms);
        }
        if !finished {
            self.silenced += 1;
        }
    }
}

/// How many of the words are in no turn that was decided. A turn that begins with the words of the one before replaces it.
fn lost(said: &[&str], decided: &[(u64, String)]) -> usize {
    let mut turns: Vec<&str> = Vec::new();
    for (_, text) in decided {
        if turns.last().is_some_and(|before| text.starts_with(before.trim_end_matches(['.', '?', '!', ',']))) {
            turns.pop();
        }
        turns.push(text);
    }
    let mut got: Vec<String> = turns.iter().flat_map(|turn| compared(turn)).collect();
    let mut lost = 0;
    for word in said.iter().flat_map(|word| compared(word)) {
        match got.iter().position(|known| *known == word) {
            Some(at) => {
                got.swap_remove(at);
            }
            None => lost += 1,
        }
    }
    lost
}

/// A text as words that can be compared, whoever wrote it: without marks, numbers digit by digit.
fn compared(text: &str) -> Vec<String> {
    let mut plain = String::new();
    for letter in text.to_lowercase().replace('\u{2019}', "'").chars() {
        match letter.to_digit(10) {
            Some(digit) => {
                plain.push(' ');
                plain.push_str(DIGITS[0].1[digit as usize]);
                plain.push(' ');
            }
            None if letter.is_alphabetic() || letter == '\'' => plain.push(letter),
            None => plain.push(' '),
        }
    }
    plain.split_whitespace().map(str::to_owned).collect()
}

/// The value that so many of a hundred do not exceed; none of nothing.
pub(crate) fn percentile(values: &[u64], percent: usize) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_turn_that_was_taken_up_again_count_once() {
        let decided = |texts: &[&str]| texts.iter().map(|text| (0, (*text).to_owned())).collect::<Vec<_>>();
        let said = ["my", "name", "is", "is", "ann"];
        assert_eq!(lost(&said, &decided(&["my name is", "my name is is ann"])), 0);
        assert_eq!(lost(&said, &decided(&["my name is", "ann"])), 1);
        assert_eq!(lost(&said, &[]), 5);
        assert_eq!(lost(&["it", "is", "four", "two"], &decided(&["It is 42."])), 0);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        assert_eq!(
            (percentile(&[3, 1, 2], 50), percentile(&[3, 1, 2], 90), percentile(&[], 50)),
            (Some(2), Some(3), None)
        );
    }
}
