//! A scene: one short call, arranged to the sample. Who says what when is known, so what the agent should do is known.

use crate::voices::Phrase;

/// What a sound of the caller's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A part of a turn. Whether the caller has more to say in it.
    Turn { goes_on: bool },
    /// "Mhm": asks for nothing.
    Backchannel,
    /// A cough, a knock, a stretch of noise, somebody else in the room: nothing that is meant for the agent.
    Noise,
    /// Words while the agent speaks, which are for the agent.
    Interruption,
}

/// When something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// So many milliseconds after the agent has ended its n-th utterance.
    After { utterance: u32, ms: u64 },
    /// So many milliseconds after the first sound of the agent's n-th utterance.
    Into { utterance: u32, ms: u64 },
    /// So many milliseconds after the end of what was said before.
    Then { ms: u64 },
}

/// Something that comes from the caller's side.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) role: Role,
    pub(crate) when: When,
    pub(crate) phrase: Phrase,
}

/// A call.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    /// What is tried, with the talker.
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) held_out: bool,
    /// Whether people said it, not synthesisers.
    pub(crate) recorded: bool,
    /// BCP 47.
    pub(crate) language: &'static str,
    pub(crate) greeting: String,
    pub(crate) reply: String,
    pub(crate) said: Vec<Said>,
    /// Behind everything, over and over.
    pub(crate) background: Vec<i16>,
    /// Share of the caller's packets that never come, in bursts.
    pub(crate) loss: f64,
    /// How the agent comes back: gain and delay in milliseconds.
    pub(crate) echo: Option<(f64, u64)>,
}
