//! Elementary functions for all lanes at once, as exact as single precision lets them be and without a table: looking
//! eight numbers up costs more than computing them.

use super::vector::Lanes;
use crate::simd::Fused;

/// 2 to the power of `x`, within 3e-7 relative, for -126..=126; beyond, that of the nearest. Not-a-number is taken for 126.
#[inline(always)]
pub(super) fn exp2<const L: usize, F: Fused>(x: Lanes<L>) -> Lanes<L> {
    /// Added and taken away again it leaves the nearest whole number.
    const SHIFT: f32 = 12_582_912.0;
    const TERMS: [f32; 7] =
        [1.540_353e-4, 1.333_355_8e-3, 9.618_129e-3, 5.550_411e-2, 2.402_265e-1, std::f32::consts::LN_2, 1.0];
    let x = x.map(|x| if x < 126.0 { x } else { 126.0 }).map(|x| if x > -126.0 { x } else { -126.0 });
    let whole = (x + SHIFT) - SHIFT;
    let rest = x - whole;
    let mut power = Lanes::splat(TERMS[0]);
    for term in &TERMS[1..] {
        power = Lanes::splat(*term).plus_product::<F>(power, rest);
    }
    power * whole.map(|whole| f32::from_bits(((whole as i32 + 127) as u32) << 23))
}

/// The common logarithm of positive numbers that are not too small for their exponent, within 1e-6 of its value and 1e-6.
#[inline(always)]
pub(super) fn log10<const L: usize, F: Fused>(x: Lanes<L>) -> Lanes<L> {
    /// The bits of the square root of a half, from which on a number counts with the next power of two.
    const ROOT: u32 = 0x3f35_04f3;
    /// Of twice the inverse hyperbolic tangent, over the logarithm of 10.
    const TERMS: [f32; 5] = [0.096_509_88, 0.124_084_14, 0.173_717_8, 0.289_529_65, 0.868_589];
    let exponent = x.map(|x| (x.to_bits().wrapping_sub(ROOT).cast_signed() >> 23) as f32);
    let mantissa = x.map(|x| {
        let bits = x.to_bits();
        f32::from_bits(bits.wrapping_sub(bits.wrapping_sub(ROOT) & 0xff80_0000))
    });
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let mut series = Lanes::splat(TERMS[0]);
    for term in &TERMS[1..] {
        series = Lanes::splat(*term).plus_product::<F>(series, square);
    }
    (exponent * std::f32::consts::LOG10_2).plus_product::<F>(series, t)
}

/// The hyperbolic tangent within 3e-7. What is beyond 8, or not a number, counts as 8 with its sign.
#[inline(always)]
pub(super) fn tanh<const L: usize, F: Fused>(x: Lanes<L>) -> Lanes<L> {
    let size = x.map(|x| if x.abs() < 8.0 { x.abs() } else { 8.0 });
    let grown = exp2::<L, F>(size * (2.0 * std::f32::consts::LOG2_E));
    (Lanes::splat(1.0) - Lanes::splat(2.0) / (grown + 1.0)).zip(x, f32::copysign)
}

/// The logistic function within 2e-7, with the limits of [`tanh`].
#[inline(always)]
pub(super) fn sigmoid<const L: usize, F: Fused>(x: Lanes<L>) -> Lanes<L> {
    tanh::<L, F>(x * 0.5) * 0.5 + 0.5
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Common, Instruction};

    fn every<F: Fused>() {
        for n in -40_000..40_000 {
            let x = n as f32 * 0.003;
            let one = |made: Lanes<1>| f64::from(made.0[0]);
            let exact = f64::from(x).exp2();
            assert!((one(exp2::<1, F>(Lanes([x]))) / exact - 1.0).abs() < 3e-7, "2^{x}");
            let tangent = f64::from(x).tanh();
            assert!((one(tanh::<1, F>(Lanes([x]))) - tangent).abs() < 3e-7, "tanh {x}");
            let odds = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((one(sigmoid::<1, F>(Lanes([x]))) - odds).abs() < 2e-7, "sigmoid {x}");
            let number = x.exp2();
            let logarithm = f64::from(number).log10();
            let most = 1e-6 + 1e-6 * logarithm.abs();
            assert!((one(log10::<1, F>(Lanes([number]))) - logarithm).abs() < most, "log {number}");
        }
        assert_eq!(tanh::<3, F>(Lanes([f32::NAN, f32::INFINITY, -1e30])), tanh::<3, F>(Lanes([8.0, 8.0, -8.0])));
    }

    #[test]
    fn elementary_functions_are_what_they_say() {
        every::<Common>();
        every::<Instruction>();
    }
}
