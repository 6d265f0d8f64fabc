//! The two ends of a leg whose sound comes over a stream and not over RTP: samples in order, and nobody's packets.
//!
//! A shell that owns a socket keeps the [`StreamPeer`], a media worker the [`StreamEnd`]. Whoever drops its end ends the
//! leg: the other finds its rings abandoned.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::fact::DtmfDigit;
use crate::frame::{Frame, FrameSizeError};
use crate::rings::{FrameConsumer, FrameProducer, RingFull, frame_ring};

/// Frames of 20 ms that may wait on either side: what a connection that stalls for half a second brings at once.
const FRAMES: usize = 25;

/// What comes with a frame of a stream's sound.
#[derive(Debug, Clone, Copy, Default)]
pub struct StreamHead {
    /// A digit, in the place of sound.
    pub digit: Option<DtmfDigit>,
}

/// The end of whoever owns the socket.
#[derive(Debug)]
pub struct StreamPeer {
    heard: FrameProducer<StreamHead>,
    said: FrameConsumer<StreamHead>,
    rate: u32,
    failed: Arc<AtomicBool>,
}

/// Media's end.
#[derive(Debug)]
pub struct StreamEnd {
    heard: FrameConsumer<StreamHead>,
    said: FrameProducer<StreamHead>,
    rate: u32,
    failed: Arc<AtomicBool>,
}

/// Makes the two ends of a stream of sound at `rate` Hz, 16-bit mono.
#[must_use]
pub fn stream_ends(rate: u32) -> (StreamPeer, StreamEnd) {
    let samples = FRAMES * (rate / 50) as usize;
    let (heard_in, heard_out) = frame_ring(FRAMES, samples);
    let (said_in, said_out) = frame_ring(FRAMES, samples);
    let failed = Arc::<AtomicBool>::default();
    (
        StreamPeer { heard: heard_in, said: said_out, rate, failed: Arc::clone(&failed) },
        StreamEnd { heard: heard_out, said: said_in, rate, failed },
    )
}

impl StreamPeer {
    /// Rate of the sound both ways in Hz.
    #[must_use]
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// Hands over up to 20 ms of the caller's sound.
    ///
    /// # Errors
    /// [`RingFull`] when half a second waits already, or for more than a frame holds.
    pub fn hear(&mut self, pcm: &[i16]) -> Result<(), RingFull> {
        let frame = Frame::with_head(StreamHead::default(), pcm).map_err(|FrameSizeError { .. }| RingFull)?;
        self.heard.push(frame)
    }

    /// Hands over a digit, in the order of the sound.
    ///
    /// # Errors
    /// [`RingFull`] when half a second of sound waits already.
    pub fn press(&mut self, digit: DtmfDigit) -> Result<(), RingFull> {
        let frame = Frame::silence(StreamHead { digit: Some(digit) }, 0).map_err(|FrameSizeError { .. }| RingFull)?;
        self.heard.push(frame)
    }

    /// The next 20 ms of what is said to the caller, or a digit with no samples.
    pub fn said(&mut self) -> Option<Frame<StreamHead>> {
        self.said.pop().ok()
    }

    /// Says that the far end did not hang up but failed; to be said before it is dropped.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Whether the leg is over and everything it said was taken.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.said.is_abandoned() && self.said.peek().is_err()
    }
}

impl StreamEnd {
    /// Rate of the sound both ways in Hz.
    #[must_use]
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// The next frame of the caller's sound, or a digit with no samples; allocates nothing.
    pub fn heard(&mut self) -> Option<Frame<StreamHead>> {
        self.heard.pop().ok()
    }

    /// Says a frame, or a digit with no samples; allocates nothing.
    ///
    /// # Errors
    /// [`RingFull`] when the socket does not take what is said.
    pub fn say(&mut self, frame: &Frame<StreamHead>) -> Result<(), RingFull> {
        self.said.push(frame)
    }

    /// Whether the far end [failed](StreamPeer::fail).
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Whether the far end is gone and everything it sent was taken.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.heard.is_abandoned() && self.heard.peek().is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_and_digits_cross_in_order_both_ways() {
        let (mut peer, mut end) = stream_ends(8000);
        peer.hear(&[1; 160]).unwrap();
        peer.press(DtmfDigit::from_char('5').unwrap()).unwrap();
        peer.hear(&[2; 160]).unwrap();
        assert_eq!(end.heard().unwrap().pcm(), [1; 160]);
        let digit = end.heard().unwrap();
        assert_eq!((digit.digit, digit.pcm().len()), (DtmfDigit::from_char('5'), 0));
        assert_eq!(end.heard().unwrap().pcm(), [2; 160]);
        assert!(end.heard().is_none());
        end.say(&Frame::with_head(StreamHead::default(), &[7; 160]).unwrap()).unwrap();
        assert_eq!(peer.said().unwrap().pcm(), [7; 160]);
        assert_eq!((peer.rate(), end.rate()), (8000, 8000));
    }

    #[test]
    fn whoever_is_gone_is_missed_once_all_it_sent_was_taken() {
        let (mut peer, mut end) = stream_ends(16_000);
        peer.hear(&[1; 320]).unwrap();
        assert!(!end.is_over());
        drop(peer);
        assert!(!end.is_over());
        assert!(end.heard().is_some() && end.is_over());
        let (mut peer, mut end) = stream_ends(16_000);
        end.say(&Frame::with_head(StreamHead::default(), &[1; 320]).unwrap()).unwrap();
        drop(end);
        assert!(!peer.is_over());
        assert!(peer.said().is_some() && peer.is_over());
    }

    #[test]
    fn half_a_second_waits_and_no_more() {
        let (mut peer, _end) = stream_ends(8000);
        assert_eq!((0..100).filter(|_| peer.hear(&[0; 160]).is_ok()).count(), FRAMES);
        assert!(peer.hear(&[0; 2000]).is_err(), "no frame is that long");
    }
}
