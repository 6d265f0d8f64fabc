//! The rings between a media worker and an agent worker: single producer, single consumer, preallocated.

use rtrb::{Consumer, Producer, RingBuffer};

use crate::fact::{LegFact, LevelReport};
use crate::frame::{DownFrame, UpFrame};
use crate::playout::Playout;

/// Capacities of a leg's rings, in entries.
#[derive(Debug, Clone, Copy)]
pub struct RingSizes {
    /// Up frames (20 ms each).
    pub up: usize,
    /// Down frames (20 ms each): how far ahead of playback a provider may run.
    pub down: usize,
    /// Facts.
    pub facts: usize,
    /// Level reports.
    pub levels: usize,
}

impl Default for RingSizes {
    fn default() -> Self {
        Self { up: 50, down: 50, facts: 64, levels: 16 }
    }
}

/// Media's end of a leg.
#[derive(Debug)]
pub struct MediaEnd {
    /// What the caller said.
    pub up: Producer<UpFrame>,
    /// What the agent says.
    pub down: Consumer<DownFrame>,
    /// Facts, never dropped: media keeps back what does not fit and retries at its next tick.
    pub facts: Producer<LegFact>,
    /// Levels, dropped when full.
    pub levels: Producer<LevelReport>,
    /// Position and generation.
    pub playout: Playout,
}

/// The agent's end of a leg.
#[derive(Debug)]
pub struct AgentEnd {
    /// What the caller said.
    pub up: Consumer<UpFrame>,
    /// What the agent says.
    pub down: Producer<DownFrame>,
    /// Facts of the leg.
    pub facts: Consumer<LegFact>,
    /// Levels of the caller's sound.
    pub levels: Consumer<LevelReport>,
    /// Position and generation.
    pub playout: Playout,
}

/// Makes the two ends of a leg.
#[must_use]
pub fn leg_rings(sizes: RingSizes) -> (MediaEnd, AgentEnd) {
    let (up_in, up_out) = RingBuffer::new(sizes.up);
    let (down_in, down_out) = RingBuffer::new(sizes.down);
    let (facts_in, facts_out) = RingBuffer::new(sizes.facts);
    let (levels_in, levels_out) = RingBuffer::new(sizes.levels);
    let playout = Playout::default();
    (
        MediaEnd { up: up_in, down: down_out, facts: facts_in, levels: levels_in, playout: playout.clone() },
        AgentEnd { up: up_out, down: down_in, facts: facts_out, levels: levels_out, playout },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playout::PlayoutPosition;
    use crate::time::CallTime;

    #[test]
    fn frames_and_positions_cross_between_the_ends() {
        let (mut media, mut agent) = leg_rings(RingSizes::default());
        media.up.push(UpFrame::new(&[1, 2, 3], 8000, 0, CallTime::ZERO).unwrap()).unwrap();
        assert_eq!(agent.up.pop().unwrap().pcm(), &[1, 2, 3]);
        media.playout.set_position(PlayoutPosition { utterance: 7, sent_ms: 420 });
        assert_eq!(agent.playout.position(), PlayoutPosition { utterance: 7, sent_ms: 420 });
        let generation = agent.playout.clear();
        assert_eq!(media.playout.generation(), generation);
    }

    #[test]
    fn a_full_ring_refuses_rather_than_grows() {
        let (mut media, _agent) = leg_rings(RingSizes { up: 1, ..RingSizes::default() });
        let frame = UpFrame::new(&[0; 160], 8000, 0, CallTime::ZERO).unwrap();
        assert!(media.up.push(frame).is_ok());
        assert!(media.up.push(frame).is_err());
        assert!(UpFrame::new(&[0; 961], 48000, 0, CallTime::ZERO).is_err());
    }
}
