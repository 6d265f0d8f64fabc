//! Pure signal processing for voice.
//!
//! Nothing here reads a clock, does I/O or allocates per frame: time is a `u64` of microseconds on any clock the
//! caller likes, state is made once per call, and every kernel writes into the caller's buffer. The crate depends on
//! nothing and knows no call, no socket and no RTP library.
//!
//! Samples are `i16` at the borders (codecs, jitter buffer) and `f32` with a nominal range of -1..1 inside chains
//! (voice activity, later noise suppression). Enhancement is batch-first: a bank processes the frames of many calls
//! in one go, so that a later engine can put one call in each lane of a vector register.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

pub mod ambience;
mod bank;
pub mod chain;
pub mod codec;
pub mod comfort_noise;
pub mod echo;
pub mod endpoint;
pub mod fade;
pub mod gain;
pub mod gate;
pub mod jitter;
pub mod level;
pub mod mix;
pub mod ns;
pub mod prosody;
pub mod resample;
pub mod simd;
pub mod spectrum;
pub mod tone;
pub mod vad;

pub use bank::{NoiseBank, Slot};
pub use simd::Simd;

/// One 16-bit sample as the `f32` of the chains, -1..1.
#[must_use]
#[inline]
pub fn to_f32(sample: i16) -> f32 {
    f32::from(sample) * (1.0 / 32768.0)
}

/// One `f32` sample of the chains as 16 bits: rounded and saturated.
#[must_use]
#[inline]
pub fn to_i16(sample: f32) -> i16 {
    // Where ones are the last place, an addition rounds, ties to even; unlike `round_ties_even` it is one instruction on
    // every processor. Not-a-number becomes 0.
    const ONES: f32 = 12_582_912.0;
    let scaled = (sample * 32768.0).clamp(-32768.0, 32767.0);
    (scaled + ONES - ONES) as i16
}
