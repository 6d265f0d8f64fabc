//! What the chain of a worker has room for, and how far it may fall back when time is short.

use crate::ns::Gate;

/// What a worker's chain has room for; what is done to a leg is its own [`Sound`](super::Sound).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainConfig {
    /// Legs at most.
    pub slots: usize,
    /// Whether denoisers may rest while there is nothing to clean.
    pub denoiser_gate: Gate,
    /// Whether legs may fall back to [`Denoiser::Economy`](super::Denoiser::Economy) before they go without; when not,
    /// [`Shedding::Economy`] changes nothing.
    pub economy: bool,
}

impl ChainConfig {
    /// Room for `slots` legs; engines rest while there is nothing to clean, and may fall back to economy.
    #[must_use]
    pub const fn new(slots: usize) -> Self {
        Self { slots, denoiser_gate: Gate::Auto, economy: true }
    }
}

/// What a chain that is short of time leaves out, in order. No step changes the delay of a leg or makes a click: both
/// steps happen in the denoiser's own overlapping windows. A leg with the reference engine is the exception: from the
/// first step on it is served in lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Shedding {
    /// Nothing: every leg has the engine its sound asks for.
    #[default]
    None,
    /// The economy engine for all legs that are denoised.
    Economy,
    /// No noise is taken out of any leg.
    NoDenoiser,
}
