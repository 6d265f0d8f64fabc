//! One number of each of `L` calls, in the lanes of a vector register.

use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Sub};

use crate::simd::Fused;

/// `L` numbers, one per call. Every operation is the same in each lane and in the order written, so that a call's
/// result does not depend on its neighbours or on `L`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(32))]
pub(super) struct Lanes<const L: usize>(pub(super) [f32; L]);

impl<const L: usize> Lanes<L> {
    pub(super) const ZERO: Self = Self([0.0; L]);

    #[inline(always)]
    pub(super) fn splat(value: f32) -> Self {
        Self([value; L])
    }

    #[inline(always)]
    pub(super) fn map(self, f: impl Fn(f32) -> f32) -> Self {
        let mut out = self;
        for lane in 0..L {
            out.0[lane] = f(self.0[lane]);
        }
        out
    }

    #[inline(always)]
    pub(super) fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut out = self;
        for lane in 0..L {
            out.0[lane] = f(self.0[lane], other.0[lane]);
        }
        out
    }

    /// This and a product with a number that is the same in all lanes, in one rounding.
    #[inline(always)]
    pub(super) fn plus<F: Fused>(self, value: Self, by: f32) -> Self {
        let mut out = self;
        for lane in 0..L {
            out.0[lane] = F::mul_add(value.0[lane], by, self.0[lane]);
        }
        out
    }

    /// This and a product, in one rounding.
    #[inline(always)]
    pub(super) fn plus_product<F: Fused>(self, one: Self, other: Self) -> Self {
        let mut out = self;
        for lane in 0..L {
            out.0[lane] = F::mul_add(one.0[lane], other.0[lane], self.0[lane]);
        }
        out
    }

    #[inline(always)]
    pub(super) fn sqrt(self) -> Self {
        self.map(f32::sqrt)
    }

    /// The larger of two numbers; `self` must be one.
    #[inline(always)]
    pub(super) fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if b > a { b } else { a })
    }

    /// The smaller of two numbers; `self` must be one.
    #[inline(always)]
    pub(super) fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if b < a { b } else { a })
    }

    /// This where the mask is set, else `other`.
    #[inline(always)]
    pub(super) fn or(self, mask: Mask<L>, other: Self) -> Self {
        let mut out = self;
        for lane in 0..L {
            let (this, other) = (self.0[lane].to_bits() & mask.0[lane], other.0[lane].to_bits() & !mask.0[lane]);
            out.0[lane] = f32::from_bits(this | other);
        }
        out
    }

    /// Where this is larger than `other`.
    #[inline(always)]
    pub(super) fn above(self, other: Self) -> Mask<L> {
        let mut out = Mask::NONE;
        for lane in 0..L {
            out.0[lane] = if self.0[lane] > other.0[lane] { u32::MAX } else { 0 };
        }
        out
    }
}

/// A decision per call: all bits or none, so that choosing is arithmetic too and never a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mask<const L: usize>([u32; L]);

impl<const L: usize> Mask<L> {
    pub(super) const NONE: Self = Self([0; L]);

    #[inline(always)]
    pub(super) fn of(decide: impl Fn(usize) -> bool) -> Self {
        Self(std::array::from_fn(|lane| if decide(lane) { u32::MAX } else { 0 }))
    }

    pub(super) fn set(&mut self, lane: usize, value: bool) {
        self.0[lane] = if value { u32::MAX } else { 0 };
    }

    #[inline(always)]
    pub(super) fn has(self, lane: usize) -> bool {
        self.0[lane] != 0
    }

    #[inline(always)]
    pub(super) fn any(self) -> bool {
        self != Self::NONE
    }

    #[inline(always)]
    pub(super) fn all(self) -> bool {
        self == Self([u32::MAX; L])
    }

    /// Where either is set.
    #[inline(always)]
    pub(super) fn or(self, other: Self) -> Self {
        let mut out = self;
        for lane in 0..L {
            out.0[lane] |= other.0[lane];
        }
        out
    }

    /// Where both are set.
    #[inline(always)]
    pub(super) fn and(self, other: Self) -> Self {
        let mut out = self;
        for lane in 0..L {
            out.0[lane] &= other.0[lane];
        }
        out
    }
}

macro_rules! lane_by_lane {
    ($($trait:ident $method:ident $op:tt),*) => {$(
        impl<const L: usize> $trait for Lanes<L> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                let mut out = self;
                for lane in 0..L {
                    out.0[lane] = self.0[lane] $op other.0[lane];
                }
                out
            }
        }
        impl<const L: usize> $trait<f32> for Lanes<L> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: f32) -> Self {
                let mut out = self;
                for lane in 0..L {
                    out.0[lane] = self.0[lane] $op other;
                }
                out
            }
        }
    )*};
}
lane_by_lane!(Add add +, Sub sub -, Mul mul *, Div div /);

impl<const L: usize> AddAssign for Lanes<L> {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl<const L: usize> MulAssign for Lanes<L> {
    #[inline(always)]
    fn mul_assign(&mut self, other: Self) {
        *self = *self * other;
    }
}

/// One complex number of each call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Complex<const L: usize> {
    pub(super) re: Lanes<L>,
    pub(super) im: Lanes<L>,
}

impl<const L: usize> Complex<L> {
    pub(super) const ZERO: Self = Self { re: Lanes::ZERO, im: Lanes::ZERO };

    /// Times a number that is the same in all lanes.
    #[inline(always)]
    pub(super) fn turned(self, (re, im): (f32, f32)) -> Self {
        Self { re: self.re * re - self.im * im, im: self.re * im + self.im * re }
    }

    #[inline(always)]
    pub(super) fn conjugate(self) -> Self {
        Self { re: self.re, im: self.im * -1.0 }
    }

    /// Times the imaginary unit.
    #[inline(always)]
    pub(super) fn quarter(self) -> Self {
        Self { re: self.im * -1.0, im: self.re }
    }

    #[inline(always)]
    pub(super) fn scaled(self, by: Lanes<L>) -> Self {
        Self { re: self.re * by, im: self.im * by }
    }
}

impl<const L: usize> Add for Complex<L> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }
}

impl<const L: usize> Sub for Complex<L> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self { re: self.re - other.re, im: self.im - other.im }
    }
}
