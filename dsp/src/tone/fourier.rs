//! Power spectrum of a windowed real frame: one table per size for the whole process, nothing per call.

use std::sync::LazyLock;

use crate::simd::{Simd, dispatched};

/// Half of the largest frame.
const MAX_HALF: usize = 256;

/// Tables of the power spectrum of a real frame under a Hann window.
#[derive(Debug)]
pub(crate) struct Fourier {
    points: usize,
    window: Box<[f32]>,
    /// Where each complex value of the half-length transform goes.
    mirrored: Box<[u16]>,
    /// Twiddles of each stage behind each other: 1, 2, 4... values.
    stage_cos: Box<[f32]>,
    stage_sin: Box<[f32]>,
    /// Twiddles that part the real spectrum from the half-length one.
    split_cos: Box<[f32]>,
    split_sin: Box<[f32]>,
}

static FOURIER_512: LazyLock<Fourier> = LazyLock::new(|| Fourier::new(512));

impl Fourier {
    /// Frames of 512 values.
    pub(crate) fn of_512() -> &'static Self {
        &FOURIER_512
    }

    fn new(points: usize) -> Self {
        let half = points / 2;
        let bits = half.trailing_zeros();
        let turn = |k: usize, of: usize| std::f64::consts::TAU * k as f64 / of as f64;
        let stages = || (0..bits).flat_map(|stage| (0..1_usize << stage).map(move |k| (k, 2_usize << stage)));
        Self {
            points,
            window: (0..points).map(|n| (0.5 - 0.5 * turn(2 * n + 1, 2 * points).cos()) as f32).collect(),
            mirrored: (0..half).map(|n| (n.reverse_bits() >> (usize::BITS - bits)) as u16).collect(),
            stage_cos: stages().map(|(k, of)| turn(k, of).cos() as f32).collect(),
            stage_sin: stages().map(|(k, of)| -turn(k, of).sin() as f32).collect(),
            split_cos: (0..half).map(|k| turn(k, points).cos() as f32).collect(),
            split_sin: (0..half).map(|k| -turn(k, points).sin() as f32).collect(),
        }
    }

    /// Writes the power of bins `0..points / 2` of `frame`, scaled so that a sine of amplitude `a` that lies on a bin
    /// has `a * a` there. Both slices have to have their full lengths; otherwise nothing is written.
    pub(crate) fn power(&self, simd: Simd, frame: &[f32], power: &mut [f32]) {
        if frame.len() == self.points && power.len() == self.points / 2 {
            spectrum(simd, self, frame, power);
        }
    }
}

dispatched!(fn spectrum(tables: &Fourier, frame: &[f32], power: &mut [f32]) = spectrum_kernel);

#[inline(always)]
fn spectrum_kernel(tables: &Fourier, frame: &[f32], power: &mut [f32]) {
    let half = tables.points / 2;
    let (mut re, mut im) = ([0.0_f32; MAX_HALF], [0.0_f32; MAX_HALF]);
    let pairs = frame.chunks_exact(2).zip(tables.window.chunks_exact(2));
    for ((sample, weight), to) in pairs.zip(&tables.mirrored) {
        // The mask says what the table promises: no index leaves the array.
        let to = usize::from(*to) & (MAX_HALF - 1);
        re[to] = sample[0] * weight[0];
        im[to] = sample[1] * weight[1];
    }
    let (re_half, im_half) = (&mut re[..half], &mut im[..half]);
    stage::<1>(tables, re_half, im_half);
    stage::<2>(tables, re_half, im_half);
    stage::<4>(tables, re_half, im_half);
    stage::<8>(tables, re_half, im_half);
    stage::<16>(tables, re_half, im_half);
    stage::<32>(tables, re_half, im_half);
    stage::<64>(tables, re_half, im_half);
    stage::<128>(tables, re_half, im_half);
    // The window halves a sine's mean, and half of the sine lies at the negative frequency.
    let scale = (4.0 / tables.points as f32) * (4.0 / tables.points as f32);
    power[0] = (re[0] + im[0]) * (re[0] + im[0]) * scale;
    let forward = re[1..half].iter().zip(&im[1..half]);
    let backward = re[1..half].iter().rev().zip(im[1..half].iter().rev());
    let turns = tables.split_cos[1..].iter().zip(&tables.split_sin[1..]);
    for (((power, (re, im)), (back_re, back_im)), (cos, sin)) in
        power[1..].iter_mut().zip(forward).zip(backward).zip(turns)
    {
        let (even_re, even_im) = ((re + back_re) * 0.5, (im - back_im) * 0.5);
        let (odd_re, odd_im) = ((im + back_im) * 0.5, (back_re - re) * 0.5);
        let real = even_re + odd_re * cos - odd_im * sin;
        let imaginary = even_im + odd_re * sin + odd_im * cos;
        *power = (real * real + imaginary * imaginary) * scale;
    }
}

/// The butterflies of one stage; nothing when the transform is too short for it.
#[inline(always)]
fn stage<const SPAN: usize>(tables: &Fourier, re: &mut [f32], im: &mut [f32]) {
    let twiddles = SPAN - 1..2 * SPAN - 1;
    let (Some(cos), Some(sin)) = (tables.stage_cos.get(twiddles.clone()), tables.stage_sin.get(twiddles)) else {
        return;
    };
    let (Ok(cos), Ok(sin)) = (<&[f32; SPAN]>::try_from(cos), <&[f32; SPAN]>::try_from(sin)) else { return };
    for (re, im) in re.chunks_exact_mut(2 * SPAN).zip(im.chunks_exact_mut(2 * SPAN)) {
        let ((re_a, re_b), (im_a, im_b)) = (re.split_at_mut(SPAN), im.split_at_mut(SPAN));
        // Whole arrays in and out, so that nothing has to be proved about overlaps.
        let (mut low_re, mut low_im) = ([0.0_f32; SPAN], [0.0_f32; SPAN]);
        let (mut high_re, mut high_im) = ([0.0_f32; SPAN], [0.0_f32; SPAN]);
        for k in 0..SPAN {
            let real = re_b[k] * cos[k] - im_b[k] * sin[k];
            let imaginary = re_b[k] * sin[k] + im_b[k] * cos[k];
            (low_re[k], low_im[k]) = (re_a[k] + real, im_a[k] + imaginary);
            (high_re[k], high_im[k]) = (re_a[k] - real, im_a[k] - imaginary);
        }
        re_a.copy_from_slice(&low_re);
        im_a.copy_from_slice(&low_im);
        re_b.copy_from_slice(&high_re);
        im_b.copy_from_slice(&high_im);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spectrum_equals_its_definition_at_every_width() {
        for tables in [&Fourier::new(128), Fourier::of_512()] {
            let points = tables.points;
            let frame: Vec<f32> = (0..points).map(|n| ((n * n * 7 + n * 3) % 101) as f32 / 50.0 - 1.0).collect();
            let (mut narrow, mut wide) = (vec![0.0; points / 2], vec![0.0; points / 2]);
            tables.power(Simd::BASELINE, &frame, &mut narrow);
            tables.power(Simd::detect(), &frame, &mut wide);
            assert_eq!(narrow, wide);
            for (bin, power) in narrow.iter().enumerate() {
                let (mut re, mut im) = (0.0_f64, 0.0_f64);
                for (n, sample) in frame.iter().enumerate() {
                    let angle = std::f64::consts::TAU * (bin * n) as f64 / points as f64;
                    let window = 0.5 - 0.5 * (std::f64::consts::TAU * (n as f64 + 0.5) / points as f64).cos();
                    re += f64::from(*sample) * window * angle.cos();
                    im -= f64::from(*sample) * window * angle.sin();
                }
                let expected = (re * re + im * im) * (4.0 / points as f64).powi(2);
                assert!((f64::from(*power) - expected).abs() < 1e-6 + expected * 1e-4, "{bin}: {power} {expected}");
            }
        }
    }
}
