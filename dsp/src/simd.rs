//! Which instructions a kernel may use: chosen once at run time, or forced down by an argument in tests and benches.
//!
//! A kernel is written once, as plain Rust that vectorises, and compiled once more for every instruction set by
//! `dispatched!`. Nothing is contracted or reordered between the copies, so that their results are the same bit for
//! bit; the scalar copy is the oracle of the others.

/// An instruction set that this processor has. Only [`Simd::detect`] makes the wider ones, so that holding one proves
/// that the processor runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Simd(Level);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// What every processor of the target has: SSE2 on x86-64, NEON on AArch64.
    Baseline,
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Simd {
    /// The target's common instructions only; the oracle.
    pub const BASELINE: Self = Self(Level::Baseline);

    /// The widest set that this processor has. Cheap: the answer is remembered.
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            return Self(Level::Avx2);
        }
        Self::BASELINE
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
        }
    }
}

impl Default for Simd {
    fn default() -> Self {
        Self::detect()
    }
}

/// Makes a function that runs an `#[inline(always)]` kernel with the instructions its first argument allows.
///
/// `dispatched!(pub(crate) fn add(a: &[f32], b: &mut [f32]) = add_kernel);` makes
/// `add(simd: Simd, a: &[f32], b: &mut [f32])`.
macro_rules! dispatched {
    ($(#[$doc:meta])* $visible:vis fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $out:ty)? = $kernel:expr) => {
        $(#[$doc])*
        #[inline]
        #[allow(unsafe_code, reason = "the one call of code for a wider processor, behind the check for it")]
        $visible fn $name(simd: $crate::simd::Simd, $($arg: $kind),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2($($arg: $kind),*) $(-> $out)? {
                $kernel($($arg),*)
            }
            match simd.level() {
                // SAFETY: `Simd` holds this level only when the processor was found to have it.
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

    #[test]
    fn every_level_gives_the_same_bits() {
        let input: Vec<f32> = (0..1000).map(|n| (n as f32 * 0.37).sin()).collect();
        let (mut narrow, mut wide) = (vec![0.0; 1000], vec![0.0; 1000]);
        scale(Simd::BASELINE, &input, 0.3, &mut narrow);
        scale(Simd::detect(), &input, 0.3, &mut wide);
        assert_eq!(narrow, wide);
    }
}
