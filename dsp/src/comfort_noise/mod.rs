//! Comfort noise (RFC 3389): silence that sounds like the line it comes from.
//!
//! A payload is a level and up to ten reflection coefficients, which colour white noise through an all-pole lattice.
//! [`ComfortNoiseEncoder`] measures a line and makes payloads, [`ComfortNoiseDecoder`] makes the noise.

mod analyser;
mod generator;

pub use analyser::ComfortNoiseEncoder;
pub use generator::{ComfortNoiseDecoder, LOUDEST_DBOV};

/// The most reflection coefficients that are made or heeded; further ones in a payload are left out, which smooths the
/// noise's spectrum.
pub const MAX_ORDER: usize = 10;

/// The quietest level that a payload can say, in dBov.
const QUIETEST: f32 = -127.0;
/// The code of the coefficient 0, and the largest code; 255 is reserved.
const ZERO: u8 = 127;
const LARGEST: u8 = 254;
/// Step between two codes of a coefficient.
const STEP: f32 = 258.0 / 32768.0;

/// Parameters of comfort noise, quantised as on the wire (RFC 3389 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComfortNoise {
    /// Level below overload, 0..=127.
    level: u8,
    /// Coefficients that count in `codes`.
    order: u8,
    codes: [u8; MAX_ORDER],
}

impl ComfortNoise {
    /// Noise of `level_dbov` (0 is a square wave of full scale; held to -127..=0, not-a-number is -127) with reflection
    /// coefficients of -1..1, of which at most [`MAX_ORDER`] count.
    #[must_use]
    pub fn new(level_dbov: f32, reflection: &[f32]) -> Self {
        let level = if level_dbov.is_nan() { QUIETEST } else { level_dbov.clamp(QUIETEST, 0.0) };
        let mut noise = Self { level: (-level).round() as u8, order: 0, codes: [ZERO; MAX_ORDER] };
        for (code, coefficient) in noise.codes.iter_mut().zip(reflection) {
            // Not-a-number casts to 0.
            let steps = (coefficient / STEP).round() as i32;
            *code = (i32::from(ZERO) + steps.clamp(-127, 127)) as u8;
            noise.order += 1;
        }
        noise
    }

    /// Reads a payload; `None` when it is empty.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (level, codes) = payload.split_first()?;
        let mut noise = Self { level: level & 0x7f, order: 0, codes: [ZERO; MAX_ORDER] };
        for (slot, code) in noise.codes.iter_mut().zip(codes) {
            *slot = (*code).min(LARGEST);
            noise.order += 1;
        }
        Some(noise)
    }

    /// Writes the payload, at most 11 bytes, and returns the bytes written. Coefficients beyond `out` are left out; an
    /// empty `out` takes nothing.
    pub fn write(&self, out: &mut [u8]) -> usize {
        let codes = &self.codes[..usize::from(self.order)];
        let mut written = 0;
        for (slot, byte) in out.iter_mut().zip(std::iter::once(&self.level).chain(codes)) {
            *slot = *byte;
            written += 1;
        }
        written
    }

    /// Level in dBov, -127..=0.
    #[must_use]
    pub fn level_dbov(&self) -> f32 {
        -f32::from(self.level)
    }

    /// The reflection coefficients, each within -1..1; those that the payload does not have are 0.
    #[must_use]
    pub fn reflection(&self) -> [f32; MAX_ORDER] {
        self.codes.map(|code| (f32::from(code) - f32::from(ZERO)) * STEP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn payloads_follow_the_layout_of_the_standard() {
        let noise = ComfortNoise::new(-43.4, &[0.5, -0.9, 0.0]);
        let mut payload = [9; 16];
        assert_eq!(noise.write(&mut payload), 4);
        assert_eq!(payload[..5], [43, 127 + 64, 127 - 114, 127, 9]);
        assert_eq!(ComfortNoise::parse(&payload[..4]), Some(noise));
        assert_eq!(ComfortNoise::parse(&[]), None);
        assert_eq!(ComfortNoise::parse(&[0x80 | 20]).unwrap().level_dbov(), -20.0, "the reserved bit is not read");
        assert!(ComfortNoise::parse(&[20, 255]).unwrap().reflection()[0] < 1.0, "the reserved code is held back");
        assert_eq!(noise.write(&mut payload[..2]), 2);
        assert_eq!(noise.write(&mut []), 0);
    }

    #[test]
    fn values_that_are_no_numbers_become_quiet_white_noise() {
        let noise = ComfortNoise::new(f32::NAN, &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
        assert_eq!(noise.level_dbov(), -127.0);
        let reflection = noise.reflection();
        assert!(reflection[0] == 0.0 && reflection[1] < 1.0 && reflection[2] > -1.0);
    }

    proptest! {
        #[test]
        fn any_payload_gives_a_stable_filter_and_survives_the_round_trip(payload in prop::collection::vec(any::<u8>(), 1..40)) {
            let noise = ComfortNoise::parse(&payload).unwrap();
            prop_assert!(noise.reflection().iter().all(|k| k.abs() < 1.0));
            let mut out = [0; 11];
            let written = noise.write(&mut out);
            prop_assert_eq!(written, payload.len().min(11));
            prop_assert_eq!(ComfortNoise::parse(&out[..written]), Some(noise));
        }

        #[test]
        fn coefficients_are_off_by_half_a_step_at_most(k in -0.999_f32..0.999) {
            let quantised = ComfortNoise::new(-50.0, &[k]).reflection()[0];
            prop_assert!((quantised - k).abs() <= 0.0041);
        }
    }
}
