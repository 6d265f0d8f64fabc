//! Voice activity: does this frame hold speech?
//!
//! Five detectors stand behind [`VadBank`]. [`FusedBank`] is the fast one: levels above an adaptive noise floor,
//! periodicity and a small network of our own, fused to one confidence. [`SileroBank`] is the sure one, for recorded
//! noise, music and crowds; it takes longer and is asked only while something may be speech. [`SpectralBank`] knows
//! levels only; [`WebRtcBank`] and [`EarshotBank`] are the well-known engines to compare with.

mod decide;
mod decimate;
mod earshot;
mod features;
mod fused;
mod math;
mod net;
mod silero;
mod spectral;
mod webrtc;
mod weights;

pub use decide::VadConfig;
pub(crate) use decide::Verdict;
pub(crate) use decimate::{HalfBand, Halver};
pub use earshot::EarshotBank;
pub use fused::{FusedBank, FusedState};
pub use silero::{SILERO_LICENCE, SileroBank, SileroFrame, SileroState};
pub use spectral::SpectralBank;
pub use webrtc::{WebRtcBank, WebRtcMode};

pub use crate::bank::Slot;

/// What a detector says of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Activity {
    /// Speech, after hang-over.
    pub speech: bool,
    /// How sure the detector is that this very frame is speech, 0..=1, before hang-over.
    pub confidence: f32,
    /// Level of the frame in dBFS, -96..=0.
    pub level_dbfs: f32,
    /// Level of the background in dBFS, -96..=0.
    pub noise_dbfs: f32,
}

/// One call's frame in a batch.
#[derive(Debug)]
pub struct VadFrame<'a> {
    /// Whose it is.
    pub slot: Slot,
    /// Samples of -1..1 at the rate the slot was attached with; 10 or 20 ms.
    pub pcm: &'a [f32],
    /// The verdict, written by [`VadBank::process`].
    pub activity: Activity,
}

/// Voice activity detection for many calls.
pub trait VadBank {
    /// Takes a slot for sound at `rate` Hz; `None` when the bank is full or does not know the rate.
    fn attach(&mut self, rate: u32) -> Option<Slot>;
    /// Gives a slot back.
    fn detach(&mut self, slot: Slot);
    /// Judges the frames of a batch. A frame of a slot that is not attached is left alone.
    fn process(&mut self, batch: &mut [VadFrame<'_>]);
}
