//! The rings between a media worker and an agent worker: single producer, single consumer, preallocated.

use std::borrow::Borrow;

use rtrb::{Consumer, PeekError, PopError, Producer, RingBuffer};

use crate::fact::{LegFact, LevelReport};
use crate::frame::{DownHead, Frame, MAX_FRAME_SAMPLES, UpHead};
use crate::playout::Playout;
use crate::ready::{ReadyMark, ReadySet, ReadySlot};

/// Frames of the highest rate that the ring down holds in any case: providers speak at rates of their own, and 120 ms
/// are more than an agent worker lets pass between two looks.
const LEAST_DOWN: usize = 6;

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
    /// The leg's own rate in Hz, for which the samples of `up` and `down` frames have room. Frames of a higher rate
    /// pass as well, fewer at a time.
    pub rate: u32,
}

impl Default for RingSizes {
    /// A second each way at 16 kHz.
    fn default() -> Self {
        Self { up: 50, down: 50, facts: 64, levels: 16, rate: 16_000 }
    }
}

/// The ring has no room for the frame; it was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingFull;

/// The end of a ring of frames that writes. Heads and samples lie in rings of their own, so that a frame takes the room
/// of its own samples and not of the most it could have.
#[derive(Debug)]
pub struct FrameProducer<H> {
    heads: Producer<(H, u16)>,
    samples: Producer<i16>,
}

/// The end of a ring of frames that reads.
#[derive(Debug)]
pub struct FrameConsumer<H> {
    heads: Consumer<(H, u16)>,
    samples: Consumer<i16>,
}

/// A ring for `frames` frames that have `samples` samples together, at least one whole frame's.
#[must_use]
pub fn frame_ring<H: Copy>(frames: usize, samples: usize) -> (FrameProducer<H>, FrameConsumer<H>) {
    let (heads_in, heads_out) = RingBuffer::new(frames);
    let (samples_in, samples_out) = RingBuffer::new(samples.max(MAX_FRAME_SAMPLES));
    (FrameProducer { heads: heads_in, samples: samples_in }, FrameConsumer { heads: heads_out, samples: samples_out })
}

impl<H: Copy> FrameProducer<H> {
    /// Whether a frame of `samples` samples has room now.
    #[must_use]
    pub fn has_room(&self, samples: usize) -> bool {
        self.heads.slots() > 0 && self.samples.slots() >= samples
    }

    /// Writes a frame; allocates nothing.
    ///
    /// # Errors
    /// [`RingFull`] when there is no room for all of it.
    pub fn push(&mut self, frame: impl Borrow<Frame<H>>) -> Result<(), RingFull> {
        let frame = frame.borrow();
        let pcm = frame.pcm();
        if self.heads.is_full() || self.samples.push_entire_slice(pcm).is_err() {
            return Err(RingFull);
        }
        // The samples come before the head that tells of them. A frame's length fits, and there was room.
        let len = u16::try_from(pcm.len()).map_err(|_| RingFull)?;
        self.heads.push((*frame.head(), len)).map_err(|_| RingFull)
    }
}

impl<H: Copy> FrameConsumer<H> {
    /// Takes the oldest frame; allocates nothing.
    ///
    /// # Errors
    /// [`PopError`] when there is none.
    pub fn pop(&mut self) -> Result<Frame<H>, PopError> {
        let (head, len) = self.heads.pop()?;
        // No frame is longer than a frame, and its samples were there before its head.
        let mut frame = Frame::silence(head, usize::from(len)).map_err(|_| PopError::Empty)?;
        self.samples.pop_entire_slice(frame.pcm_mut()).map_err(|_| PopError::Empty)?;
        Ok(frame)
    }

    /// Whether the end that writes is gone; what it wrote can still be read.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.heads.is_abandoned()
    }

    /// The head of the oldest frame, which stays.
    ///
    /// # Errors
    /// [`PeekError`] when there is none.
    pub fn peek(&self) -> Result<&H, PeekError> {
        self.heads.peek().map(|(head, _)| head)
    }
}

/// Media's end of a leg.
#[derive(Debug)]
pub struct MediaEnd {
    /// What the caller said.
    pub up: FrameProducer<UpHead>,
    /// What the agent says.
    pub down: FrameConsumer<DownHead>,
    /// Facts, never dropped: media keeps back what does not fit and retries at its next tick.
    pub facts: Producer<LegFact>,
    /// Levels, dropped when full.
    pub levels: Producer<LevelReport>,
    /// Position and generation.
    pub playout: Playout,
    /// To be marked in a tick that put a frame or a fact into the rings.
    pub ready: ReadyMark,
}

/// The agent's end of a leg.
#[derive(Debug)]
pub struct AgentEnd {
    /// What the caller said.
    pub up: FrameConsumer<UpHead>,
    /// What the agent says.
    pub down: FrameProducer<DownHead>,
    /// Facts of the leg.
    pub facts: Consumer<LegFact>,
    /// Levels of the caller's sound.
    pub levels: Consumer<LevelReport>,
    /// Position and generation.
    pub playout: Playout,
    /// The leg's place among those of its worker.
    pub slot: ReadySlot,
}

/// Makes the two ends of a leg that takes its place in the worker's `slot`.
#[must_use]
pub fn leg_rings_at(sizes: RingSizes, slot: ReadySlot) -> (MediaEnd, AgentEnd) {
    let frame = (sizes.rate / 50) as usize;
    let (up_in, up_out) = frame_ring(sizes.up, sizes.up * frame);
    let (down_in, down_out) = frame_ring(sizes.down, (sizes.down * frame).max(LEAST_DOWN * MAX_FRAME_SAMPLES));
    let (facts_in, facts_out) = RingBuffer::new(sizes.facts);
    let (levels_in, levels_out) = RingBuffer::new(sizes.levels);
    let playout = Playout::default();
    let ready = slot.mark();
    (
        MediaEnd { up: up_in, down: down_out, facts: facts_in, levels: levels_in, playout: playout.clone(), ready },
        AgentEnd { up: up_out, down: down_in, facts: facts_out, levels: levels_out, playout, slot },
    )
}

/// Makes the two ends of a leg whose agent looks by itself, without a worker's list.
#[must_use]
pub fn leg_rings(sizes: RingSizes) -> (MediaEnd, AgentEnd) {
    leg_rings_at(sizes, ReadySet::alone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{DownFrame, UpFrame};
    use crate::playout::PlayoutPosition;
    use crate::time::CallTime;

    #[test]
    fn frames_and_positions_cross_between_the_ends() {
        let (mut media, mut agent) = leg_rings(RingSizes::default());
        media.up.push(UpFrame::new(&[1, 2, 3], 8000, 0, CallTime::ZERO).unwrap()).unwrap();
        assert_eq!(agent.up.pop().unwrap().pcm(), &[1, 2, 3]);
        media.playout.sent(7, 0, 420_000, CallTime::ZERO);
        assert_eq!(agent.playout.position(), PlayoutPosition { utterance: 7, sent_ms: 420 });
        let generation = agent.playout.clear();
        assert_eq!(media.playout.generation(), generation);
    }

    #[test]
    fn a_full_ring_refuses_rather_than_grows() {
        let (mut media, _agent) = leg_rings(RingSizes { up: 1, ..RingSizes::default() });
        let frame = UpFrame::new(&[0; 160], 8000, 0, CallTime::ZERO).unwrap();
        assert!(media.up.push(frame).is_ok());
        assert_eq!(media.up.push(frame), Err(RingFull));
        assert!(UpFrame::new(&[0; 961], 48000, 0, CallTime::ZERO).is_err());
    }

    #[test]
    fn frames_take_the_room_of_their_own_samples() {
        let sizes = RingSizes { up: 25, down: 20, rate: 8000, ..RingSizes::default() };
        let (mut media, mut agent) = leg_rings(sizes);
        let up = UpFrame::new(&[1; 160], 8000, 0, CallTime::ZERO).unwrap();
        assert_eq!(std::iter::from_fn(|| media.up.push(up).ok()).count(), 25, "half a second of the leg's rate");
        assert!(media.up.push(up).is_err());
        // A codec of a higher rate gets fewer frames into the same room, and never a part of one.
        while agent.up.pop().is_ok() {}
        let wide = UpFrame::new(&[2; 320], 16_000, 0, CallTime::ZERO).unwrap();
        assert_eq!(std::iter::from_fn(|| media.up.push(wide).ok()).count(), 12);
        assert!((0..12).all(|_| agent.up.pop().unwrap().pcm() == [2; 320]));
        assert!(agent.up.pop().is_err());
        // A provider that speaks at 48 kHz to a leg of 8 kHz.
        let down = DownFrame::new(&[3; 960], 48_000, 1, 0, 0).unwrap();
        assert_eq!(std::iter::from_fn(|| agent.down.push(down).ok()).count(), LEAST_DOWN);
        assert!(!agent.down.has_room(1));
        assert_eq!(media.down.peek().unwrap().utterance, 1);
        assert_eq!(media.down.pop().unwrap().pcm(), [3; 960]);
        assert!(agent.down.has_room(960) && !agent.down.has_room(961));
    }

    #[test]
    fn frames_of_any_length_cross_whole_and_in_order() {
        let (mut input, mut output) = frame_ring(7, 1000);
        let (mut sent, mut received) = (0_u64, 0_u64);
        let frame = |n: u64| {
            let pcm: Vec<i16> = (0..n * 37 % 961).map(|sample| (sample + n) as i16).collect();
            UpFrame::new(&pcm, 8000, n, CallTime::ZERO).unwrap()
        };
        let writer = std::thread::spawn(move || {
            while sent < 500 {
                match input.push(frame(sent)) {
                    Ok(()) => sent += 1,
                    Err(RingFull) => std::thread::yield_now(),
                }
            }
        });
        while received < 500 {
            match output.pop() {
                Ok(got) => {
                    assert_eq!(got.position, received);
                    assert_eq!(got.pcm(), frame(received).pcm());
                    received += 1;
                }
                Err(_) => std::thread::yield_now(),
            }
        }
        writer.join().unwrap();
    }
}
