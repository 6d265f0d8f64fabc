//! The real Fourier transform of eight calls at once: a Stockham transform of half the length, mixed radix 2, 3, 4, 5.

use std::f64::consts::TAU;

use super::vector::{Complex, Lanes};

/// Tables of a transform of `2 * half` real samples, `half` a product of 2, 3, 4 and 5.
#[derive(Debug)]
pub(super) struct Fft {
    half: usize,
    stages: Vec<Stage>,
    /// `e^(-i pi k / half)`, `k` in `0..=half`: what joins the even and odd samples.
    join: Vec<(f32, f32)>,
}

#[derive(Debug)]
struct Stage {
    radix: usize,
    /// Butterflies of this stage that have factors of their own.
    groups: usize,
    /// Elements that share a factor.
    stride: usize,
    /// `radix - 1` factors per group.
    factors: Vec<(f32, f32)>,
}

fn root(numerator: usize, denominator: usize) -> (f32, f32) {
    let angle = TAU * numerator as f64 / denominator as f64;
    (angle.cos() as f32, -angle.sin() as f32)
}

impl Fft {
    pub(super) fn new(half: usize) -> Self {
        let mut stages = Vec::new();
        let (mut length, mut stride) = (half, 1);
        for radix in [5, 4, 3, 2] {
            while length % radix == 0 {
                let groups = length / radix;
                let factors = (0..groups).flat_map(|group| (1..radix).map(move |k| root(group * k, length))).collect();
                stages.push(Stage { radix, groups, stride, factors });
                length = groups;
                stride *= radix;
            }
        }
        assert!(length == 1, "the length has other factors than 2, 3 and 5");
        Self { half, stages, join: (0..=half).map(|k| root(k, 2 * half)).collect() }
    }

    /// `work` holds the samples in pairs, even ones real, odd ones imaginary; `spectrum` gets bins `0..=half`, not
    /// normalised. Both `half` long but for `spectrum`'s one more; `work` is destroyed.
    #[inline(always)]
    pub(super) fn forward<const L: usize>(&self, work: &mut [Complex<L>], spectrum: &mut [Complex<L>]) {
        let half = self.half;
        let spectrum = &mut spectrum[..=half];
        let in_work = self.transform(work, &mut spectrum[..half]);
        if !in_work {
            work[..half].copy_from_slice(&spectrum[..half]);
        }
        let work = &work[..half];
        for k in 0..=half {
            let (here, there) = (work[k % half], work[(half - k) % half].conjugate());
            let (even, odd) = (here + there, here - there);
            // minus i times the factor
            let turned = odd.turned(self.join[k]);
            let out = Complex { re: even.re + turned.im, im: even.im - turned.re };
            spectrum[k] = Complex { re: out.re * 0.5, im: out.im * 0.5 };
        }
    }

    /// The inverse, scaled by `half`: `work` gets the samples in pairs as [`Fft::forward`] takes them. `spectrum` is
    /// destroyed.
    #[inline(always)]
    pub(super) fn inverse<const L: usize>(&self, spectrum: &mut [Complex<L>], work: &mut [Complex<L>]) {
        let half = self.half;
        let spectrum = &mut spectrum[..=half];
        let work = &mut work[..half];
        for k in 0..half {
            let (here, there) = (spectrum[k], spectrum[half - k].conjugate());
            let (even, odd) = (here + there, here - there);
            let (re, im) = self.join[k];
            let out = even + odd.turned((re, -im)).quarter();
            // The forward transform of the conjugate is the conjugate of the inverse.
            work[k] = Complex { re: out.re * 0.5, im: out.im * -0.5 };
        }
        let in_work = self.transform(work, &mut spectrum[..half]);
        if !in_work {
            work.copy_from_slice(&spectrum[..half]);
        }
        for value in work {
            *value = value.conjugate();
        }
    }

    /// The complex transform of `a` with `b` as room; true when the result is in `a`.
    #[inline(always)]
    fn transform<const L: usize>(&self, a: &mut [Complex<L>], b: &mut [Complex<L>]) -> bool {
        let (mut from, mut to) = (&mut a[..self.half], &mut b[..self.half]);
        for stage in &self.stages {
            match stage.radix {
                5 => stage.run::<L, 5>(from, to, five),
                4 => stage.run::<L, 4>(from, to, four),
                3 => stage.run::<L, 3>(from, to, three),
                _ => stage.run::<L, 2>(from, to, |[a, b]| [a + b, a - b]),
            }
            (from, to) = (to, from);
        }
        self.stages.len().is_multiple_of(2)
    }
}

impl Stage {
    #[inline(always)]
    fn run<const L: usize, const R: usize>(
        &self,
        from: &[Complex<L>],
        to: &mut [Complex<L>],
        butterfly: impl Fn([Complex<L>; R]) -> [Complex<L>; R],
    ) {
        let Self { groups, stride, .. } = *self;
        for group in 0..groups {
            let factors = &self.factors[group * (R - 1)..(group + 1) * (R - 1)];
            for element in 0..stride {
                let mut values = [Complex::ZERO; R];
                for (j, value) in values.iter_mut().enumerate() {
                    *value = from[element + stride * (group + groups * j)];
                }
                let out = butterfly(values);
                let base = element + stride * R * group;
                to[base] = out[0];
                for k in 1..R {
                    to[base + stride * k] = out[k].turned(factors[k - 1]);
                }
            }
        }
    }
}

#[inline(always)]
fn three<const L: usize>([a, b, c]: [Complex<L>; 3]) -> [Complex<L>; 3] {
    const SIN: f32 = 0.866_025_4;
    let sum = b + c;
    let difference = b - c;
    let mid = Complex { re: a.re - sum.re * 0.5, im: a.im - sum.im * 0.5 };
    let side = Complex { re: difference.im * SIN, im: difference.re * -SIN };
    [a + sum, mid + side, mid - side]
}

#[inline(always)]
fn four<const L: usize>([a, b, c, d]: [Complex<L>; 4]) -> [Complex<L>; 4] {
    let (even, even_side) = (a + c, a - c);
    let (odd, odd_side) = (b + d, (b - d).quarter());
    [even + odd, even_side - odd_side, even - odd, even_side + odd_side]
}

#[inline(always)]
fn five<const L: usize>([a, b, c, d, e]: [Complex<L>; 5]) -> [Complex<L>; 5] {
    const COS_1: f32 = 0.309_017;
    const COS_2: f32 = -0.809_017;
    const SIN_1: f32 = 0.951_056_5;
    const SIN_2: f32 = 0.587_785_25;
    let (outer, outer_side) = (b + e, b - e);
    let (inner, inner_side) = (c + d, c - d);
    let blend = |outer: Lanes<L>, inner: Lanes<L>, x: f32, y: f32| outer * x + inner * y;
    let mid_1 =
        a + Complex { re: blend(outer.re, inner.re, COS_1, COS_2), im: blend(outer.im, inner.im, COS_1, COS_2) };
    let mid_2 =
        a + Complex { re: blend(outer.re, inner.re, COS_2, COS_1), im: blend(outer.im, inner.im, COS_2, COS_1) };
    // minus i times the weighted sides
    let side_1 = Complex {
        re: blend(outer_side.im, inner_side.im, SIN_1, SIN_2),
        im: blend(outer_side.re, inner_side.re, -SIN_1, -SIN_2),
    };
    let side_2 = Complex {
        re: blend(outer_side.im, inner_side.im, SIN_2, -SIN_1),
        im: blend(outer_side.re, inner_side.re, -SIN_2, SIN_1),
    };
    [a + outer + inner, mid_1 + side_1, mid_2 + side_2, mid_2 - side_2, mid_1 - side_1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(n: usize) -> f32 {
        ((n * n + 7 * n) as f32 * 0.37).sin() + 0.3
    }

    #[test]
    fn every_length_gives_the_transform_by_definition_and_back() {
        for half in [80, 160, 480] {
            let fft = Fft::new(half);
            let length = 2 * half;
            let pair = |n: usize| Complex { re: Lanes([signal(2 * n)]), im: Lanes([signal(2 * n + 1)]) };
            let mut work: Vec<Complex<1>> = (0..half).map(pair).collect();
            let mut spectrum = vec![Complex::ZERO; half + 1];
            fft.forward(&mut work, &mut spectrum);
            for (k, bin) in spectrum.iter().enumerate() {
                let (mut re, mut im) = (0.0, 0.0);
                for n in 0..length {
                    let angle = TAU * (k * n % length) as f64 / length as f64;
                    re += f64::from(signal(n)) * angle.cos();
                    im -= f64::from(signal(n)) * angle.sin();
                }
                assert!((f64::from(bin.re.0[0]) - re).abs() < 1e-3, "{half} {k}: {} {re}", bin.re.0[0]);
                assert!((f64::from(bin.im.0[0]) - im).abs() < 1e-3, "{half} {k}: {} {im}", bin.im.0[0]);
            }
            fft.inverse(&mut spectrum, &mut work);
            for (n, value) in work.iter().enumerate() {
                let scale = half as f32;
                assert!((value.re.0[0] / scale - signal(2 * n)).abs() < 1e-5);
                assert!((value.im.0[0] / scale - signal(2 * n + 1)).abs() < 1e-5);
            }
        }
    }
}
