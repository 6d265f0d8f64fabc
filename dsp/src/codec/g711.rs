//! G.711 (ITU-T G.711, RFC 3551 4.5.14): 8-bit companded speech at 8 kHz, without tables so that it stays in
//! registers and vectorises.

use super::companding::{alaw_decode_frame, alaw_encode_frame, ulaw_decode_frame, ulaw_encode_frame};
use super::{Decoder, Encoder};
use crate::simd::Simd;

/// The mu-law code of silence (+0).
pub const ULAW_SILENCE: u8 = 0xff;
/// The A-law code of the smallest positive level, which stands for silence.
pub const ALAW_SILENCE: u8 = 0xd5;

const RATE: u32 = 8000;
/// Added before the segment search so that every segment starts at a power of two.
const ULAW_BIAS: i32 = 0x84;
/// The largest magnitude that still fits after the bias.
const ULAW_CLIP: i32 = 32635;

/// Encodes one sample as mu-law; magnitudes above 32635 saturate.
#[must_use]
#[inline]
pub const fn ulaw_encode(sample: i16) -> u8 {
    let wide = sample as i32;
    let sign = (wide >> 31) & 0x80;
    let magnitude = wide.abs();
    let biased = (if magnitude > ULAW_CLIP { ULAW_CLIP } else { magnitude }) + ULAW_BIAS;
    let segment = 24 - biased.leading_zeros() as i32;
    let mantissa = (biased >> (segment + 3)) & 0x0f;
    !(sign | (segment << 4) | mantissa) as u8
}

/// Decodes one mu-law code to a sample of +-32124.
#[must_use]
#[inline]
pub const fn ulaw_decode(code: u8) -> i16 {
    let code = !code as i32;
    let magnitude = ((((code & 0x0f) << 3) + ULAW_BIAS) << ((code & 0x70) >> 4)) - ULAW_BIAS;
    let sign = -((code >> 7) & 1);
    ((magnitude ^ sign) - sign) as i16
}

/// Encodes one sample as A-law.
#[must_use]
#[inline]
pub const fn alaw_encode(sample: i16) -> u8 {
    let wide = sample as i32;
    let negative = wide >> 31;
    // One's complement, as the standard folds the negative half; 12 bits of magnitude remain.
    let magnitude = (wide ^ negative) >> 4;
    let segment = 28 - (magnitude | 0x0f).leading_zeros() as i32;
    // Segments 0 and 1 share a step; from 2 on each doubles it.
    let shift = if segment > 1 { segment - 1 } else { 0 };
    let code = (segment << 4) | ((magnitude >> shift) & 0x0f);
    ((code | (!negative & 0x80)) ^ 0x55) as u8
}

/// Decodes one A-law code to a sample of +-32256.
#[must_use]
#[inline]
pub const fn alaw_decode(code: u8) -> i16 {
    let code = (code ^ 0x55) as i32;
    let segment = (code >> 4) & 7;
    let implied = if segment > 0 { 0x10 } else { 0 };
    let shift = if segment > 1 { segment - 1 } else { 0 };
    let magnitude = ((((code & 0x0f) | implied) << 4) + 8) << shift;
    if code & 0x80 == 0 { -magnitude as i16 } else { magnitude as i16 }
}

macro_rules! g711 {
    ($encoder:ident, $decoder:ident, $encode_frame:ident, $decode_frame:ident, $name:literal) => {
        #[doc = concat!($name, " encoder, 8 kHz, one byte a sample.")]
        #[derive(Debug, Clone, Copy, Default)]
        pub struct $encoder;

        impl Encoder for $encoder {
            fn rate(&self) -> u32 {
                RATE
            }

            fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
                $encode_frame(Simd::detect(), pcm, out);
                pcm.len().min(out.len())
            }
        }

        #[doc = concat!($name, " decoder, 8 kHz, one sample a byte.")]
        #[derive(Debug, Clone, Copy, Default)]
        pub struct $decoder;

        impl Decoder for $decoder {
            fn rate(&self) -> u32 {
                RATE
            }

            fn samples(&self, payload: &[u8]) -> usize {
                payload.len()
            }

            fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
                $decode_frame(Simd::detect(), payload, out);
                payload.len().min(out.len())
            }
        }
    };
}

g711!(UlawEncoder, UlawDecoder, ulaw_encode_frame, ulaw_decode_frame, "G.711 mu-law");
g711!(AlawEncoder, AlawDecoder, alaw_encode_frame, alaw_decode_frame, "G.711 A-law");

#[cfg(test)]
mod tests {
    use super::*;

    /// The decision values of the standard's tables above zero: `first` steps of `step`, then 16 steps a segment, each
    /// segment's step twice the one before.
    fn decisions(first: usize, step: i32, segments: usize) -> Vec<i32> {
        let mut values = vec![step / 2 * i32::from(first == 15)];
        let mut size = step;
        for segment in 0..segments {
            for _ in 0..if segment == 0 { first } else { 16 } {
                values.push(values[values.len() - 1] + size);
            }
            size *= 2;
        }
        values
    }

    #[test]
    fn every_sample_falls_between_the_decision_values_of_ulaw() {
        // Table 2a in 14 bits: 1, 3, .. 31, 35, .. 95, .. 8159.
        let decisions = decisions(15, 2, 8);
        assert_eq!((decisions[0], decisions[15], decisions[31], *decisions.last().unwrap()), (1, 31, 95, 8159));
        for sample in i16::MIN..=i16::MAX {
            let magnitude = i32::from(sample).abs();
            let index = decisions.iter().filter(|value| **value * 4 <= magnitude).count().min(127) as u8;
            let sign = if sample < 0 { 0x80 } else { 0 };
            assert_eq!(ulaw_encode(sample), !(sign | index), "sample {sample}");
        }
    }

    #[test]
    fn every_sample_falls_between_the_decision_values_of_alaw() {
        // Table 1a in 13 bits: 2, 4, .. 64, 68, .. 128, .. 4096; the first two segments share a step.
        let decisions = decisions(32, 2, 7);
        assert_eq!((decisions[1], decisions[32], decisions[48], *decisions.last().unwrap()), (2, 64, 128, 4096));
        for sample in i16::MIN..=i16::MAX {
            let magnitude = i32::from(if sample < 0 { !sample } else { sample });
            let index = decisions[1..].iter().filter(|value| **value * 8 <= magnitude).count().min(127) as u8;
            let sign = if sample < 0 { 0 } else { 0x80 };
            assert_eq!(alaw_encode(sample), (sign | index) ^ 0x55, "sample {sample}");
        }
    }

    #[test]
    fn every_level_lies_in_the_middle_of_its_interval() {
        for sample in i16::MIN..=i16::MAX {
            for level in [ulaw_decode(ulaw_encode(sample)), alaw_decode(alaw_encode(sample))] {
                let error = (i32::from(level) - i32::from(sample)).abs();
                assert!(error <= (i32::from(sample).abs() / 30).max(8) + 4, "sample {sample} became {level}");
            }
        }
    }

    #[test]
    fn every_code_survives_a_round_trip() {
        for code in 0..=255_u8 {
            let expected = if code == 0x7f { 0xff } else { code }; // mu-law has two zeros
            assert_eq!(ulaw_encode(ulaw_decode(code)), expected);
            assert_eq!(alaw_encode(alaw_decode(code)), code);
        }
    }

    #[test]
    fn codes_match_the_values_of_the_standard() {
        // ITU-T G.711 tables 1 and 2, scaled to 16 bits: the ends of the first and the last segment.
        assert_eq!([0x80, 0x00, 0xff, 0xf0, 0xef].map(ulaw_decode), [32124, -32124, 0, 120, 132]);
        assert_eq!([0xaa, 0x2a, 0xd5, 0x55, 0xc5].map(alaw_decode), [32256, -32256, 8, -8, 264]);
        assert_eq!(ulaw_encode(i16::MIN), 0x00);
        assert_eq!(ulaw_encode(i16::MAX), 0x80);
        assert_eq!(alaw_encode(i16::MIN), 0x2a);
        assert_eq!(alaw_encode(i16::MAX), 0xaa);
        assert_eq!(ulaw_encode(0), ULAW_SILENCE);
        assert_eq!(alaw_encode(0), ALAW_SILENCE);
    }

    #[test]
    fn a_short_output_is_filled_and_no_more() {
        let mut out = [0_u8; 3];
        assert_eq!(UlawEncoder.encode(&[0; 5], &mut out), 3);
        let mut pcm = [1_i16; 4];
        assert_eq!(AlawDecoder.decode(&[ALAW_SILENCE; 2], &mut pcm), 2);
        assert_eq!(pcm, [8, 8, 1, 1]);
    }
}
