//! Ways in which the outside goes wrong, applied to any recording that has a peer.

use std::fmt;
use std::str::FromStr;

use crate::recording::{Action, Ending, Peer, Recording, Step};

/// A fault to inject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The peer answers 429 with `Retry-After: 1`.
    RateLimited,
    /// The peer answers its head, then nothing for ever.
    Stall,
    /// The peer's socket closes in the middle of the first piece of its answer.
    HalfClose,
    /// The peer accepts the connection and says nothing at all.
    Silence,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 4] = [Self::RateLimited, Self::Stall, Self::HalfClose, Self::Silence];

    /// The recording with the fault in it. What it expected no longer holds, so expectations are dropped: under a fault
    /// the plugin must end with a failure of its own and break no rule.
    #[must_use]
    pub fn apply(self, recording: &Recording) -> Recording {
        let mut bent = recording.clone();
        let mut peers = 0;
        bent.steps = recording.steps.iter().filter_map(|step| self.bend(step, &mut peers)).flatten().collect();
        bent
    }

    fn bend(self, step: &Step, peers: &mut u32) -> Option<Vec<Step>> {
        let at = |action| Step { at_ms: step.at_ms, action: Action::Peer(action) };
        match &step.action {
            Action::Expect(_) => None,
            Action::Peer(_) if self == Self::Silence => None,
            Action::Peer(Peer::Head { .. }) if self == Self::RateLimited => {
                let headers = vec![("retry-after".to_owned(), "1".to_owned())];
                Some(vec![at(Peer::Head { status: 429, headers }), at(Peer::End(Ending::End))])
            }
            Action::Peer(Peer::Head { .. }) => Some(vec![step.clone()]),
            Action::Peer(Peer::Send { send }) if self == Self::HalfClose => {
                *peers += 1;
                let half = send.char_indices().nth(send.chars().count() / 2).map_or(0, |(half, _)| half);
                (*peers == 1)
                    .then(|| vec![at(Peer::Send { send: send[..half].to_owned() }), at(Peer::End(Ending::Cut))])
            }
            Action::Peer(_) => None,
            _ => Some(vec![step.clone()]),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RateLimited => "429",
            Self::Stall => "stall",
            Self::HalfClose => "half-close",
            Self::Silence => "silence",
        })
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|fault| fault.to_string() == text)
            .ok_or_else(|| format!("`{text}` is none of 429, stall, half-close, silence"))
    }
}
