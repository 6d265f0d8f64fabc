//! Logarithm and squashing functions that vectorise: the same bits on every instruction set and in every lane.

/// Base-2 logarithm of a positive finite number, within 1e-4; anything smaller than 2^-126 counts as that.
#[inline(always)]
pub(super) fn log2(x: f32) -> f32 {
    let bits = x.max(f32::MIN_POSITIVE).to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let m = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000);
    // log2(m) on 1..2 by the series of the inverse hyperbolic tangent, which converges quickly around sqrt(2).
    let t = (m - std::f32::consts::SQRT_2) / (m + std::f32::consts::SQRT_2);
    let t2 = t * t;
    exponent as f32 + 0.5 + t * (2.885_39 + t2 * (0.961_796_7 + t2 * 0.577_078))
}

/// 2 to the power of `x`, within 1e-4 relative, for -126..=126.
#[inline(always)]
pub(super) fn exp2(x: f32) -> f32 {
    let x = x.clamp(-126.0, 126.0);
    // Adding and taking away 1.5 * 2^23 rounds to the nearest whole number.
    let whole = (x + 12_582_912.0) - 12_582_912.0;
    let y = (x - whole) * std::f32::consts::LN_2;
    let fraction = 1.0 + y * (1.0 + y * (0.5 + y * (1.0 / 6.0 + y * (1.0 / 24.0 + y * (1.0 / 120.0)))));
    fraction * f32::from_bits(((whole as i32 + 127) as u32) << 23)
}

/// Hyperbolic tangent, within 1e-4: a continued fraction, clamped.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let x = x.clamp(-4.9, 4.9);
    let x2 = x * x;
    x * (135_135.0 + x2 * (17_325.0 + x2 * (378.0 + x2))) / (135_135.0 + x2 * (62_370.0 + x2 * (3_150.0 + x2 * 28.0)))
}

/// The logistic function, within 1e-4.
#[inline(always)]
pub(super) fn logistic(x: f32) -> f32 {
    0.5 + 0.5 * tanh(0.5 * x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn approximations_are_close() {
        for n in -4000..4000 {
            let x = n as f32 * 0.005;
            assert!((f64::from(tanh(x)) - f64::from(x).tanh()).abs() < 2e-4, "tanh {x}");
            let exact = f64::from(x).exp2();
            assert!((f64::from(exp2(x)) - exact).abs() < 1e-4 * exact, "exp2 {x}");
            assert!((log2(x.exp2()) - x).abs() < 1e-4, "log2 {x}");
        }
    }
}
