//! G.711 a frame at a time: the companding laws of `g711.rs` in 16-bit lanes, without tables and without the shifts by a
//! variable that vectors lack.
//!
//! A segment number is three bits, so that finding it (encoding) and shifting by it (decoding) are three steps, each of
//! which shifts every lane by 4, 2 or 1 or leaves it alone.

use crate::simd::dispatched;

/// Added before the segment search of mu-law.
const ULAW_BIAS: i16 = 0x84;
/// The largest mu-law magnitude that still fits after the bias.
const ULAW_CLIP: i16 = 32635;

#[inline(always)]
fn ulaw_encode(sample: i16) -> u8 {
    let negative = sample >> 15;
    // One's complement first, so that -32768 stays in range; the sign's 1 comes back before the clip.
    let folded = (sample ^ negative).min(ULAW_CLIP - 1).wrapping_sub(negative).min(ULAW_CLIP);
    let biased = folded.wrapping_add(ULAW_BIAS);
    let (segment, normal) = segment_of(biased);
    let code = (negative & 0x80) | (segment << 4) | ((normal >> 10) & 0x0f);
    !(code as u8)
}

#[inline(always)]
fn alaw_encode(sample: i16) -> u8 {
    let negative = sample >> 15;
    // 15 bits of magnitude; below 256 (segment 0) the step is that of segment 1 and no bit is implied.
    let magnitude = sample ^ negative;
    let (segment, normal) = segment_of(magnitude);
    let code = if magnitude < 256 { magnitude >> 4 } else { (segment << 4) | ((normal >> 10) & 0x0f) };
    ((code | (!negative & 0x80)) ^ 0x55) as u8
}

/// The segment of a magnitude of at least 128, 0..=7 (the place of its highest bit, less 7), and the magnitude shifted
/// up until that bit is bit 14.
#[inline(always)]
fn segment_of(magnitude: i16) -> (i16, i16) {
    let (mut segment, mut normal) = (7, magnitude);
    for (shift, limit) in [(4, 1 << 11), (2, 1 << 13), (1, 1 << 14)] {
        let low = normal < limit;
        normal = if low { normal << shift } else { normal };
        segment -= if low { shift } else { 0 };
    }
    (segment, normal)
}

/// `value` shifted up by the segment number in bits 4..=6 of `code`.
#[inline(always)]
fn scale(value: i16, code: i16) -> i16 {
    let value = value.wrapping_add(if code & 0x10 != 0 { value } else { 0 });
    let value = if code & 0x20 != 0 { value << 2 } else { value };
    if code & 0x40 != 0 { value << 4 } else { value }
}

#[inline(always)]
fn ulaw_decode(code: u8) -> i16 {
    let code = i16::from(!code);
    let magnitude = scale(((code << 3) & 0x78).wrapping_add(ULAW_BIAS), code).wrapping_sub(ULAW_BIAS);
    let sign = if code > 0x7f { -1 } else { 0 };
    (magnitude ^ sign).wrapping_sub(sign)
}

#[inline(always)]
fn alaw_decode(code: u8) -> i16 {
    let code = i16::from(code);
    // The line's inversion of every second bit is undone where each bit is used. From segment 1 on the leading bit is
    // implied, and segment 1 is a shift by 0: halve, then shift by the segment.
    let half = ((code << 3) & 0x78) ^ ((0x05 << 3) | 0x84);
    let linear = if code & 0x70 == 0x50 { half.wrapping_sub(0x100) } else { 0 };
    let magnitude = scale(half.wrapping_add(linear), code ^ 0x50);
    let sign = if code > 0x7f { 0 } else { -1 };
    (magnitude ^ sign).wrapping_sub(sign)
}

macro_rules! kernels {
    ($encode_frame:ident, $encode_kernel:ident, $encode:ident, $decode_frame:ident, $decode_kernel:ident, $decode:ident, $law:literal) => {
        #[inline(always)]
        fn $encode_kernel(pcm: &[i16], out: &mut [u8]) {
            for (code, sample) in out.iter_mut().zip(pcm) {
                *code = $encode(*sample);
            }
        }
        dispatched!(
            #[doc = concat!("Encodes as many samples as `out` has room for in ", $law, ", one byte each.")]
            pub fn $encode_frame(pcm: &[i16], out: &mut [u8]) = $encode_kernel
        );

        #[inline(always)]
        fn $decode_kernel(payload: &[u8], out: &mut [i16]) {
            for (sample, code) in out.iter_mut().zip(payload) {
                *sample = $decode(*code);
            }
        }
        dispatched!(
            #[doc = concat!("Decodes as many bytes of ", $law, " as `out` has room for, one sample each.")]
            pub fn $decode_frame(payload: &[u8], out: &mut [i16]) = $decode_kernel
        );
    };
}

kernels!(
    ulaw_encode_frame,
    ulaw_encode_kernel,
    ulaw_encode,
    ulaw_decode_frame,
    ulaw_decode_kernel,
    ulaw_decode,
    "mu-law"
);
kernels!(
    alaw_encode_frame,
    alaw_encode_kernel,
    alaw_encode,
    alaw_decode_frame,
    alaw_decode_kernel,
    alaw_decode,
    "A-law"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::g711;
    use crate::simd::Simd;

    /// Lengths around the width of a vector, so that whole vectors and the rest are both met.
    const LENGTHS: [usize; 5] = [1, 15, 31, 160, 65536];

    #[test]
    fn every_sample_encodes_as_the_scalar_law_says_on_every_level() {
        let all: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        for simd in [Simd::BASELINE, Simd::detect()] {
            for length in LENGTHS {
                for pcm in all.chunks(length) {
                    let mut codes = vec![0; pcm.len()];
                    ulaw_encode_frame(simd, pcm, &mut codes);
                    assert!(pcm.iter().zip(&codes).all(|(x, code)| g711::ulaw_encode(*x) == *code));
                    alaw_encode_frame(simd, pcm, &mut codes);
                    assert!(pcm.iter().zip(&codes).all(|(x, code)| g711::alaw_encode(*x) == *code));
                }
            }
        }
    }

    #[test]
    fn every_code_decodes_as_the_scalar_law_says_on_every_level() {
        let all: Vec<u8> = (0..=255).collect();
        for simd in [Simd::BASELINE, Simd::detect()] {
            for length in LENGTHS {
                for codes in all.chunks(length) {
                    let mut pcm = vec![0; codes.len()];
                    ulaw_decode_frame(simd, codes, &mut pcm);
                    assert!(codes.iter().zip(&pcm).all(|(code, x)| g711::ulaw_decode(*code) == *x));
                    alaw_decode_frame(simd, codes, &mut pcm);
                    assert!(codes.iter().zip(&pcm).all(|(code, x)| g711::alaw_decode(*code) == *x));
                }
            }
        }
    }
}
