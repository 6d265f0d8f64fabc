//! Whether what the caller heard is what the agent said: its words, told apart from all others that it might have said, where
//! loudness alone would also pass a tone.

use anyhow::ensure;
use trunkline_tests::ear::{Ear, Likeness};

use crate::scenario::{DIGITS, REQUESTS, Scenario};

/// What arrived resembles what was said at least this much; sentences that were not said stay well below.
const CLEAR: f64 = 0.8;

/// One sentence of the agent that differs from call to call, and what else might be in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// What the agent said.
    pub(crate) said: String,
    /// All that it might have said there, `said` among them.
    pub(crate) possible: Vec<String>,
}

/// What was heard in the place of one sentence.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    /// What the agent said.
    pub(crate) said: String,
    /// What arrived resembles this most.
    pub(crate) best: Likeness,
    /// And this second most.
    pub(crate) second: Likeness,
}

/// The sentences to tell apart: any request, every digit in its place, any key.
pub(crate) fn questions(scenario: &Scenario) -> Vec<Question> {
    let request = |request: &str| format!("You said {request} please.");
    let digits = |digits: &[&str]| format!("I heard {}.", digits.join(" "));
    let key = |key: char| format!("You pressed {key}.");
    let mut other_digits = vec![digits(&scenario.digits)];
    for place in 0..scenario.digits.len() {
        for digit in DIGITS.iter().filter(|digit| **digit != scenario.digits[place]) {
            let mut changed = scenario.digits.clone();
            changed[place] = digit;
            other_digits.push(digits(&changed));
        }
    }
    vec![
        Question { said: request(scenario.request), possible: REQUESTS.map(request).to_vec() },
        Question { said: digits(&scenario.digits), possible: other_digits },
        Question { said: key(scenario.key), possible: ('0'..='9').map(key).collect() },
    ]
}

/// Listens to 8 kHz samples for the answers to all questions.
pub(crate) fn listen(ear: &Ear, scenario: &Scenario, samples: &[i16]) -> anyhow::Result<Vec<Heard>> {
    let listen = |question: Question| {
        let mut likenesses = ear.compare(&question.possible, samples)?.into_iter();
        let nothing = || Likeness { sentence: String::new(), score: 0.0 };
        let (best, second) = (likenesses.next().unwrap_or_else(nothing), likenesses.next().unwrap_or_else(nothing));
        Ok(Heard { said: question.said, best, second })
    };
    questions(scenario).into_iter().map(listen).collect()
}

/// Whether every sentence that was said is the one that was heard, and clearly.
pub(crate) fn were_heard(scenario: &Scenario, heard: &[Heard]) -> anyhow::Result<()> {
    for question in questions(scenario) {
        let Some(Heard { best, .. }) = heard.iter().find(|heard| heard.said == question.said) else {
            anyhow::bail!("nobody listened for \"{}\"", question.said);
        };
        ensure!(
            best.sentence == question.said,
            "the agent said \"{}\", the caller heard \"{}\"",
            question.said,
            best.sentence
        );
        ensure!(
            best.score >= CLEAR,
            "the caller heard \"{}\" so badly that it is hardly like it: {:.2} of 1",
            best.sentence,
            best.score
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(scenario: &Scenario) -> Vec<Heard> {
        let likeness = |sentence: &str, score: f64| Likeness { sentence: sentence.to_owned(), score };
        let answer = |question: Question| {
            let second = question.possible.iter().find(|other| **other != question.said).unwrap();
            Heard { best: likeness(&question.said, 0.95), second: likeness(second, 0.7), said: question.said }
        };
        questions(scenario).into_iter().map(answer).collect()
    }

    #[test]
    fn every_question_has_its_answer_once_among_many() {
        for seed in 0..50 {
            let scenario = Scenario::of(seed);
            for question in questions(&scenario) {
                assert_eq!(question.possible.iter().filter(|other| **other == question.said).count(), 1);
                assert!(question.possible.len() >= 6);
            }
            assert!(were_heard(&scenario, &heard(&scenario)).is_ok());
        }
    }

    #[test]
    fn another_sentence_an_unclear_one_and_none_fail() {
        let scenario = Scenario::of(7);
        for place in 0..3 {
            let mut wrong = heard(&scenario);
            let Heard { best, second, .. } = &mut wrong[place];
            std::mem::swap(best, second);
            let why = were_heard(&scenario, &wrong).unwrap_err().to_string();
            assert!(why.contains("the caller heard") && why.contains(&wrong[place].best.sentence), "{why}");
            let mut unclear = heard(&scenario);
            unclear[place].best.score = 0.5;
            assert!(were_heard(&scenario, &unclear).unwrap_err().to_string().contains("hardly like it"));
            let mut missing = heard(&scenario);
            missing.remove(place);
            assert!(were_heard(&scenario, &missing).unwrap_err().to_string().contains("nobody listened"));
        }
    }
}
