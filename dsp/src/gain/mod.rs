//! Gain: brings speech to one level, and keeps it below a ceiling.
//!
//! [`Agc`] is ours and allocates nothing; [`SonoraAgc`] is WebRTC's AGC2, opt-in.

mod agc;
mod limiter;
mod sonora;

pub use agc::{Agc, AgcConfig};
pub use limiter::Limiter;
pub use sonora::SonoraAgc;

/// A rate that gain is not controlled at; give 8000, 16000 or 48000 Hz.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownRate(pub u32);

impl std::fmt::Display for UnknownRate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "gain is not controlled at {} Hz; use 8000, 16000 or 48000 Hz", self.0)
    }
}

impl std::error::Error for UnknownRate {}

fn ratio(db: f32) -> f32 {
    10_f32.powf(db / 20.0)
}
