//! Which instructions a kernel may use: chosen once at run time, or forced down by an argument in tests and benches.
//!
//! A kernel is written once, as plain Rust that vectorises, and compiled once more for every instruction set by
//! `dispatched!`. Nothing is contracted or reordered between the copies, so that their results are the same bit for
//! bit; the scalar copy is the oracle of the others.
//!
//! Where a kernel multiplies and adds in one rounding, it says so in all of its copies ([`Fused`]): by an instruction
//! where there is one, and by double precision where there is none.

/// An instruction set that this processor has. Only [`Simd::detect`] makes the wider ones, so that holding one proves
/// that the processor runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Simd(Level);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// What every processor of the target has: SSE2 on x86-64, NEON on AArch64.
    Baseline,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 of processors that do not slow down for it.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Simd {
    /// The target's common instructions only; the oracle.
    pub const BASELINE: Self = Self(Level::Baseline);

    /// The widest set that this processor has. Cheap: the answer is remembered.
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2") && has!("fma") {
                let wide = has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
                return Self(if wide && has!("avx512vbmi2") { Level::Avx512 } else { Level::Avx2 });
            }
        }
        Self::BASELINE
    }

    /// All that this processor has, narrowest first: for tests and benches.
    #[must_use]
    pub fn all() -> Vec<Self> {
        match Self::detect().0 {
            Level::Baseline => vec![Self::BASELINE],
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => vec![Self::BASELINE, Self(Level::Avx2)],
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => vec![Self::BASELINE, Self(Level::Avx2), Self(Level::Avx512)],
        }
    }

    pub(crate) const fn level(self) -> Level {
        self.0
    }

    /// Its name, for tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Level::Baseline => "baseline",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
        }
    }
}

impl Default for Simd {
    fn default() -> Self {
        Self::detect()
    }
}

/// Products that are added in one rounding.
pub(crate) trait Fused {
    /// `a * b + c`, rounded once. Numbers must be finite.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
}

/// By the processor's instruction: for copies that are compiled for one that has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instruction;

impl Fused for Instruction {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

/// By double precision, for processors without the instruction. `f32::mul_add` would call a function of the C library for
/// each number there; this is branch-free and vectorises.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DoublePrecision;

impl Fused for DoublePrecision {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        // The product is exact. The sum is rounded to odd (Boldo and Melquiond, "Emulation of FMA and Correctly Rounded
        // Sums: Proved Algorithms Using Rounding to Odd", 2008), so that the second rounding decides alone.
        let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
        let sum = product + c;
        let back = sum - product;
        let rest = (product - (sum - back)) + (c - back);
        let bits = sum.to_bits();
        let odd = if (rest > 0.0) == (sum > 0.0) { bits | 1 } else { bits.wrapping_sub(!bits & 1) };
        f64::from_bits(if rest != 0.0 { odd } else { bits }) as f32
    }
}

/// What the target's common instructions have.
#[cfg(any(target_feature = "fma", target_arch = "aarch64"))]
pub(crate) type Common = Instruction;
#[cfg(not(any(target_feature = "fma", target_arch = "aarch64")))]
pub(crate) type Common = DoublePrecision;

/// Makes a function that runs an `#[inline(always)]` kernel with the instructions its first argument allows.
///
/// `dispatched!(pub(crate) fn add(a: &[f32], b: &mut [f32]) = add_kernel);` makes
/// `add(simd: Simd, a: &[f32], b: &mut [f32])`. A kernel that multiplies and adds in one rounding names its copies:
/// `= product::<Common>, product::<Instruction>`.
macro_rules! dispatched {
    ($(#[$doc:meta])* $visible:vis fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $out:ty)? = $kernel:expr) => {
        $crate::simd::dispatched!($(#[$doc])* $visible fn $name($($arg: $kind),*) $(-> $out)? = $kernel, $kernel);
    };
    ($(#[$doc:meta])* $visible:vis fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $out:ty)? = $kernel:expr, $wide:expr) => {
        $(#[$doc])*
        #[inline]
        #[allow(unsafe_code, reason = "the one call of code for a wider processor, behind the check for it")]
        $visible fn $name(simd: $crate::simd::Simd, $($arg: $kind),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $kind),*) $(-> $out)? {
                $wide($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512($($arg: $kind),*) $(-> $out)? {
                $wide($($arg),*)
            }
            match simd.level() {
                // SAFETY: as below.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Level::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: `Simd` holds these levels only when the processor was found to have them.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Level::Avx2 => unsafe { avx2($($arg),*) },
                $crate::simd::Level::Baseline => $kernel($($arg),*),
            }
        }
    };
}
pub(crate) use dispatched;

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(always)]
    fn scale_kernel(input: &[f32], by: f32, out: &mut [f32]) {
        for (out, sample) in out.iter_mut().zip(input) {
            *out = sample * by + 1.0;
        }
    }
    dispatched!(fn scale(input: &[f32], by: f32, out: &mut [f32]) = scale_kernel);

    #[inline(always)]
    fn product_kernel<F: Fused>(input: &[f32], by: f32, out: &mut [f32]) {
        for (out, sample) in out.iter_mut().zip(input) {
            *out = F::mul_add(*sample, by, *out);
        }
    }
    dispatched!(
        fn product(input: &[f32], by: f32, out: &mut [f32]) =
            product_kernel::<Common>, product_kernel::<Instruction>
    );

    #[test]
    fn every_level_gives_the_same_bits() {
        let input: Vec<f32> = (0..1000).map(|n| (n as f32 * 0.37).sin()).collect();
        for kernel in [scale, product] {
            let mut narrow = input.clone();
            kernel(Simd::BASELINE, &input, 0.3, &mut narrow);
            for simd in Simd::all() {
                let mut wide = input.clone();
                kernel(simd, &input, 0.3, &mut wide);
                assert_eq!(narrow, wide, "{}", simd.name());
            }
        }
    }

    #[test]
    fn double_precision_rounds_a_product_and_sum_as_the_instruction_does() {
        let mut seed = 1_u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 32) as u32
        };
        let check = |a: f32, b: f32, c: f32| {
            let (ours, theirs) = (DoublePrecision::mul_add(a, b, c), a.mul_add(b, c));
            assert_eq!(ours.to_bits(), theirs.to_bits(), "{a:e} * {b:e} + {c:e}: {ours:e} for {theirs:e}");
        };
        // Halves that only the part which does not fit decides, and numbers too small for their exponent.
        check(1.0 + f32::EPSILON, 1.0 + f32::EPSILON, 0.5_f32.powi(49));
        check(1.0 + f32::EPSILON, 0.5_f32.powi(24), 1.0);
        check(-1.0 - f32::EPSILON, 0.5_f32.powi(24), 1.0);
        check(1.0 + f32::EPSILON, f32::MIN_POSITIVE * 0.5_f32.powi(24), f32::MIN_POSITIVE * 0.5);
        check(0.0, -1.0, 0.0);
        check(-0.0, 1.0, -0.0);
        check(3.0, -5.0, 15.0);
        for _ in 0..2_000_000 {
            // Any bits, and sums whose parts are of about the same size.
            let [a, b, c] = [random(), random(), random()].map(f32::from_bits);
            let near = -(a * b) * (1.0 + (random() >> 8) as f32 * 1e-9);
            let far = a * b * f32::from_bits(0x3f80_0000 | random() & 0x7f_ffff) * 0.5_f32.powi((random() % 60) as i32);
            for c in [c, near, far] {
                if [a, b, c, a.mul_add(b, c)].iter().all(|number| number.is_finite()) {
                    check(a, b, c);
                }
            }
        }
    }
}
