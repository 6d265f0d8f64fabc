//! Gain: brings speech to one level, and keeps it below a ceiling.
//!
//! [`Agc`] is ours and allocates nothing; [`SonoraAgc`] is WebRTC's AGC2, opt-in.

mod agc;
mod limiter;
mod sonora;

pub use agc::{Agc, AgcConfig};
pub use limiter::Limiter;
pub use sonora::SonoraAgc;

pub use crate::tone::UnknownRate;

fn ratio(db: f32) -> f32 {
    10_f32.powf(db / 20.0)
}
