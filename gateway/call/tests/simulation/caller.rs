//! Callers: what one does next, given what is going on.

use crate::random::Random;

/// Something a caller does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Says words for so long.
    Says {
        words: &'static str,
        for_ms: u64,
    },
    /// Makes a sound that is no words.
    Mumbles {
        for_ms: u64,
    },
    Presses(char),
    /// Puts the call on hold for so long.
    Holds {
        for_ms: u64,
    },
    Waits,
    HangsUp,
}

/// How a caller is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Temper {
    /// In percent of occasions.
    interrupts: u64,
    mumbles: u64,
    silent: u64,
    pub(crate) acts: u64,
}

impl Temper {
    pub(crate) fn of(random: &mut Random) -> Self {
        Self {
            interrupts: *random.pick(&[5, 20, 60]),
            mumbles: *random.pick(&[5, 15, 40]),
            silent: *random.pick(&[5, 5, 50]),
            acts: random.between(1, 6),
        }
    }

    /// What happens at an occasion, and after how many milliseconds there is another.
    pub(crate) fn act(&self, random: &mut Random, agent_speaks: bool) -> (Act, u64) {
        const WORDS: [&str; 10] = [
            "are you open",
            "yes",
            "no",
            "I would like to book a table for",
            "four two seven one",
            "stop",
            "mhm",
            "what does it cost?",
            "my name is",
            "that is all thank you",
        ];
        if agent_speaks && !random.percent(self.interrupts) {
            return (Act::Waits, random.between(200, 1500));
        }
        if random.percent(self.silent) {
            return (Act::Waits, random.between(500, 15_000));
        }
        let act = match random.below(100) {
            n if n < self.mumbles => Act::Mumbles { for_ms: random.between(60, 1500) },
            n if n < self.mumbles + 6 => Act::Presses(*random.pick(&['1', '4', '#', '*', '9'])),
            n if n < self.mumbles + 9 => Act::Holds { for_ms: random.between(500, 20_000) },
            n if n < self.mumbles + 12 => Act::HangsUp,
            _ => Act::Says { words: WORDS[random.below(10) as usize], for_ms: random.between(200, 2500) },
        };
        let length = match act {
            Act::Says { for_ms, .. } | Act::Mumbles { for_ms } | Act::Holds { for_ms } => for_ms,
            Act::Presses(_) | Act::Waits | Act::HangsUp => 0,
        };
        (act, length + random.between(100, 4000))
    }
}
