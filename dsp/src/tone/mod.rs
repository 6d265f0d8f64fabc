//! Tones: DTMF made and heard, and what a network or a machine says in tones while a call is set up.
//!
//! Detection runs on the telephone band: sound of 16 or 48 kHz is brought to 8 kHz first (1 and 3 ms late), and
//! positions are counted in samples of the input. Samples that are not numbers count as silence.

mod cadence;
mod dtmf;
mod dual_tone;
mod fourier;
mod generate;
mod narrowband;
mod partials;
mod plan;
pub mod progress;

pub use dtmf::{DtmfDetector, DtmfEvent};
pub use generate::{DtmfTone, SupervisoryTone};
pub use plan::{Meaning, Pattern, Plan};

pub(crate) use fourier::Fourier;
pub(crate) use narrowband::{Narrowband, numeric};

/// A rate that tones, gain or echo are not worked on at; 8000 and 16000 Hz always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownRate(pub u32);

impl std::fmt::Display for UnknownRate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} Hz is not a rate taken here; bring the sound to 8000 or 16000 Hz first", self.0)
    }
}

impl std::error::Error for UnknownRate {}

/// Low and high group of ITU-T Q.23 in Hz.
pub(crate) const LOW_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
pub(crate) const HIGH_HZ: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
pub(crate) const KEYS: [[char; 4]; 4] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];
