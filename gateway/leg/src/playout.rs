//! What the caller has been sent, readable at any moment from the agent side without a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::frame::Utterance;

/// How far playback of the latest utterance has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlayoutPosition {
    /// The utterance last sent from; 0 before the first.
    pub utterance: Utterance,
    /// Milliseconds of it that were sent.
    pub sent_ms: u32,
}

/// Shared playout state of a leg: the position (written by media) and the generation (written by the agent side).
#[derive(Debug, Clone, Default)]
pub struct Playout(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    position: AtomicU64,
    generation: AtomicU32,
}

impl Playout {
    /// How far playback has come.
    #[must_use]
    pub fn position(&self) -> PlayoutPosition {
        let packed = self.0.position.load(Ordering::Acquire);
        PlayoutPosition { utterance: (packed >> 32) as u32, sent_ms: packed as u32 }
    }

    /// Records what was sent; media only.
    pub fn set_position(&self, position: PlayoutPosition) {
        let packed = (u64::from(position.utterance) << 32) | u64::from(position.sent_ms);
        self.0.position.store(packed, Ordering::Release);
    }

    /// The generation that frames must carry to be played.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Clears playback: frames of earlier generations are dropped at media's next tick. Returns the new generation.
    pub fn clear(&self) -> u32 {
        self.0.generation.fetch_add(1, Ordering::AcqRel).wrapping_add(1)
    }
}
