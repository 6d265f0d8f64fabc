//! Noise suppression: takes the background out of speech, behind [`NoiseBank`](crate::NoiseBank).
//!
//! | bank | what it is | rates | use |
//! |---|---|---|---|
//! | [`LanesBank`] | RNNoise's network, eight calls at a time, at the call's own rate | 8, 16, 48 kHz | default |
//! | [`NnnoiselessBank`] | the same network at 48 kHz, one call at a time | 8, 16, 48 kHz | reference |
//! | [`SonoraBank`] | WebRTC's spectral suppressor | 8, 16 kHz | to compare with |
//!
//! Every bank works on steps of 10 ms and has a [`Gate`]: where there is nothing to clean nothing is computed.

mod activity;
mod lanes;
mod nnnoiseless;
mod slots;
mod sonora;

pub use activity::Gate;
pub use lanes::{Effort, LaneState, LanesBank, NetworkBank, WEIGHTS_LICENCE};
pub use nnnoiseless::NnnoiselessBank;
pub(crate) use nnnoiseless::{ReferenceCall, warm_up};
pub use sonora::SonoraBank;

/// RNNoise and WebRTC's suppressor count in 16-bit steps.
const FULL_SCALE: f32 = 32768.0;

/// How many steps of 10 ms `samples` are at `rate` Hz, when they are one or two.
fn steps(rate: u32, samples: usize) -> Option<usize> {
    let step = rate as usize / 100;
    match samples {
        len if len == step => Some(1),
        len if len == 2 * step => Some(2),
        _ => None,
    }
}

/// A sample an engine may keep in its state: finite, and not so loud that energies overflow.
#[inline(always)]
fn bounded(sample: f32) -> f32 {
    // Not-a-number fails both comparisons; so do both infinities, by being further away than the bound.
    if sample.abs() <= 8.0 {
        sample
    } else if sample.abs() < f32::INFINITY {
        8.0_f32.copysign(sample)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_or_two_steps() {
        assert_eq!(steps(8000, 80), Some(1));
        assert_eq!(steps(8000, 160), Some(2));
        assert_eq!(steps(48000, 960), Some(2));
        assert_eq!(steps(8000, 0), None);
        assert_eq!(steps(8000, 161), None);
    }

    #[test]
    fn a_bounded_sample_is_finite() {
        assert_eq!(bounded(0.5), 0.5);
        assert_eq!(bounded(-1e30), -8.0);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(bounded(bad), 0.0);
        }
    }
}
