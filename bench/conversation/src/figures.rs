//! The columns of the tables.

use crate::score::{Score, percentile};

/// Whether less or more of something is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Less.
    Less,
    /// More.
    More,
}

impl Better {
    /// As a plot calls it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Less => "less",
            Self::More => "more",
        }
    }
}

/// A figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// What it is, for people.
    pub title: &'static str,
    /// What it is, for machines.
    pub name: &'static str,
    /// `%` or `ms`.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// The figure; `None` of nothing.
    pub value: Option<f64>,
    /// Of how many.
    pub of: usize,
}

impl Figure {
    /// Whether this one is better than the other; `None` where either is missing.
    #[must_use]
    pub fn beats(&self, other: &Self) -> Option<bool> {
        let (own, other) = (self.value?, other.value?);
        Some(if self.better == Better::Less { own < other } else { own > other })
    }
}

/// All columns of an engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// In the order of the tables.
    pub all: Vec<Figure>,
}

impl Figures {
    pub(crate) fn of(score: &Score) -> Self {
        let share = |title, name, better, part: u32, whole: u32| Figure {
            title,
            name,
            unit: "%",
            better,
            value: (whole > 0).then(|| 100.0 * f64::from(part) / f64::from(whole)),
            of: whole as usize,
        };
        let time = |title, name, values: &[u64], percent| Figure {
            title,
            name,
            unit: "ms",
            better: Better::Less,
            value: percentile(values, percent).map(|ms| ms as f64),
            of: values.len(),
        };
        let less = Better::Less;
        let all = vec![
            share("false cuts", "false_cuts", less, score.false_cuts, score.turns),
            share("talked over", "talked_over", less, score.talked_over, score.turns),
            share("missed turns", "missed_turns", less, score.missed, score.turns),
            share("words lost", "words_lost", less, score.lost, score.words),
            time("end of turn, half", "end_of_turn_p50", &score.end_ms, 50),
            time("end of turn, nine tenths", "end_of_turn_p90", &score.end_ms, 90),
            time("answer, half", "answer_p50", &score.answer_ms, 50),
            time("answer, nine tenths", "answer_p90", &score.answer_ms, 90),
            time("stops, half", "interruption_p50", &score.stop_ms, 50),
            time("stops, nine tenths", "interruption_p90", &score.stop_ms, 90),
            share("interruptions unheard", "interruptions_unheard", less, score.unheard, score.interruptions),
            share("false interruptions", "false_interruptions", less, score.silenced, score.asides),
            share("false stops", "false_stops", less, score.stopped, score.asides),
            share("resumed", "resumed", Better::More, score.resumed, score.stopped),
            time("falsely silent, half", "gap_p50", &score.gap_ms, 50),
        ];
        Self { all }
    }

    /// A figure by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Figure> {
        self.all.iter().find(|figure| figure.name == name)
    }
}
