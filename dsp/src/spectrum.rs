//! Spectra: a real Fourier transform for one signal or for one signal per vector lane, and a frame's eight bands.
//!
//! The transform is the usual one: `2 * HALF` real samples are taken as `HALF` complex ones, transformed by radix-2
//! decimation in time, and taken apart again. It is generic over the number of lanes `L`: with `L` = 1 the butterflies
//! of a stage share a register, with `L` = 8 every signal has a lane of its own. The order of operations is the same,
//! so that a lane's result does not depend on `L`.

#![allow(clippy::needless_range_loop, reason = "lanes are counted so that every array of a loop has the same one")]

use crate::Simd;
use crate::level::{finite, power_dbfs};
use crate::simd::dispatched;

/// Number of bands.
pub const BANDS: usize = 8;

/// Edges of the bands in Hz; the last band ends at half the rate.
pub const EDGES_HZ: [u32; BANDS] = [50, 200, 400, 700, 1100, 1700, 2500, 3300];

/// The levels of eight bands of one call's frames.
#[derive(Debug, Clone)]
pub struct BandSpectrum {
    simd: Simd,
    plan: Plan,
}

/// A transform for each rate: 32 ms at 8 and 16 kHz, 21 ms at 48 kHz; frames of up to 20 ms are padded with silence.
#[derive(Debug, Clone)]
enum Plan {
    Narrow(Box<Bands<128>>),
    Wide(Box<Bands<256>>),
    Full(Box<Bands<512>>),
}

impl BandSpectrum {
    /// For sound at `rate` Hz: 8000, 16000 or 48000; `None` for another rate.
    #[must_use]
    pub fn new(rate: u32) -> Option<Self> {
        Self::with_simd(rate, Simd::detect())
    }

    /// The same with a given instruction set; results do not depend on it.
    #[must_use]
    pub fn with_simd(rate: u32, simd: Simd) -> Option<Self> {
        let plan = match rate {
            8000 => Plan::Narrow(Box::new(Bands::new(rate))),
            16000 => Plan::Wide(Box::new(Bands::new(rate))),
            48000 => Plan::Full(Box::new(Bands::new(rate))),
            _ => return None,
        };
        Some(Self { simd, plan })
    }

    /// Levels of the bands of a frame in dBFS, -96..=0: a full-scale sine is -3 in its band. Samples of -1..1; a frame
    /// longer than 20 ms is the mean of its pieces, an empty one is silence.
    pub fn measure(&mut self, pcm: &[f32]) -> [f32; BANDS] {
        match &mut self.plan {
            Plan::Narrow(bands) => narrow(self.simd, bands, pcm),
            Plan::Wide(bands) => wide(self.simd, bands, pcm),
            Plan::Full(bands) => full(self.simd, bands, pcm),
        }
    }
}

dispatched!(fn narrow(bands: &mut Bands<128>, pcm: &[f32]) -> [f32; BANDS] = Bands::measure);
dispatched!(fn wide(bands: &mut Bands<256>, pcm: &[f32]) -> [f32; BANDS] = Bands::measure);
dispatched!(fn full(bands: &mut Bands<512>, pcm: &[f32]) -> [f32; BANDS] = Bands::measure);

/// A transform with its window and room to work in.
#[derive(Debug, Clone)]
struct Bands<const HALF: usize> {
    fft: RealFft<HALF>,
    /// A raised cosine of 20 ms.
    window: Box<[f32]>,
    /// First bin of each band, and the one after the last.
    edges: [usize; BANDS + 1],
    work: Work<HALF, 1>,
    weighted: Box<[f32]>,
    power: Box<[[f32; 1]]>,
}

impl<const HALF: usize> Bands<HALF> {
    fn new(rate: u32) -> Self {
        let frame = (rate / 50) as usize;
        let bin_hz = rate as f32 / (2 * HALF) as f32;
        Self {
            fft: RealFft::new(),
            window: (0..frame)
                .map(|n| 0.5 - 0.5 * (std::f32::consts::TAU * (n as f32 + 0.5) / frame as f32).cos())
                .collect(),
            edges: std::array::from_fn(|band| {
                EDGES_HZ.get(band).map_or(HALF + 1, |edge| (*edge as f32 / bin_hz).round() as usize)
            }),
            work: Work::new(),
            weighted: vec![0.0; 2 * HALF].into_boxed_slice(),
            power: vec![[0.0]; HALF + 1].into_boxed_slice(),
        }
    }

    #[inline(always)]
    fn measure(&mut self, pcm: &[f32]) -> [f32; BANDS] {
        let mut sums = [0.0_f32; BANDS];
        for piece in pcm.chunks(self.window.len()) {
            self.weighted.fill(0.0);
            let mut squares = 0.0;
            for (n, (to, from)) in self.weighted.iter_mut().zip(piece).enumerate() {
                // A shorter piece is under a shorter window.
                let weight = self.window[n * self.window.len() / piece.len()];
                *to = finite(*from) * weight;
                squares += weight * weight;
            }
            let weighted = &self.weighted;
            self.fft.run(&mut self.work, |n| ([weighted[2 * n]], [weighted[2 * n + 1]]));
            self.fft.power(&self.work, &mut self.power);
            let share = piece.len() as f32 / pcm.len() as f32;
            let scale = share * 2.0 / ((2 * HALF) as f32 * squares.max(1e-6));
            for (band, sum) in sums.iter_mut().enumerate() {
                let bins = &self.power[self.edges[band]..self.edges[band + 1]];
                *sum += bins.iter().map(|[bin]| bin).sum::<f32>() * scale;
            }
        }
        sums.map(power_dbfs)
    }
}

/// Tables of a real transform of `2 * HALF` points; `HALF` is a power of two of at least 8.
#[derive(Debug, Clone)]
pub(crate) struct RealFft<const HALF: usize> {
    /// Where each complex sample goes before the first stage.
    mirrored: [u16; HALF],
    /// Turns of every stage from the second on, one stage after another: the stage of span `h` begins at `h - 2`.
    turns: [(f32, f32); HALF],
    /// Turns that take the two halves apart.
    apart: [(f32, f32); HALF],
}

/// The complex samples of a transform under way: real and imaginary parts, one value per lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work<const HALF: usize, const L: usize> {
    re: [[f32; L]; HALF],
    im: [[f32; L]; HALF],
}

impl<const HALF: usize, const L: usize> Work<HALF, L> {
    pub(crate) const fn new() -> Self {
        Self { re: [[0.0; L]; HALF], im: [[0.0; L]; HALF] }
    }
}

impl<const HALF: usize> RealFft<HALF> {
    pub(crate) fn new() -> Self {
        let bits = HALF.trailing_zeros();
        let turn = |angle: f64| (angle.cos() as f32, -angle.sin() as f32);
        let mut turns = [(1.0, 0.0); HALF];
        let mut half = 2;
        while half < HALF {
            for k in 0..half {
                turns[half - 2 + k] = turn(std::f64::consts::PI * k as f64 / half as f64);
            }
            half *= 2;
        }
        Self {
            mirrored: std::array::from_fn(|n| (n.reverse_bits() >> (usize::BITS - bits)) as u16),
            turns,
            apart: std::array::from_fn(|k| turn(std::f64::consts::PI * k as f64 / HALF as f64)),
        }
    }

    /// Loads real samples `2n` and `2n + 1` as `pair(n)` and runs the stages.
    #[inline(always)]
    pub(crate) fn run<const L: usize>(&self, work: &mut Work<HALF, L>, pair: impl Fn(usize) -> ([f32; L], [f32; L])) {
        for (n, place) in self.mirrored.iter().enumerate() {
            let place = usize::from(*place) & (HALF - 1);
            (work.re[place], work.im[place]) = pair(n);
        }
        for (re, im) in work.re.chunks_exact_mut(2).zip(work.im.chunks_exact_mut(2)) {
            for lane in 0..L {
                (re[0][lane], re[1][lane]) = (re[0][lane] + re[1][lane], re[0][lane] - re[1][lane]);
                (im[0][lane], im[1][lane]) = (im[0][lane] + im[1][lane], im[0][lane] - im[1][lane]);
            }
        }
        let mut half = 2;
        while half < HALF {
            let turns = &self.turns[half - 2..2 * half - 2];
            for (re, im) in work.re.chunks_exact_mut(2 * half).zip(work.im.chunks_exact_mut(2 * half)) {
                let ((re_a, re_b), (im_a, im_b)) = (re.split_at_mut(half), im.split_at_mut(half));
                for ((((ra, rb), ia), ib), (c, s)) in re_a.iter_mut().zip(re_b).zip(im_a).zip(im_b).zip(turns) {
                    for lane in 0..L {
                        let tr = rb[lane] * c - ib[lane] * s;
                        let ti = rb[lane] * s + ib[lane] * c;
                        (rb[lane], ib[lane]) = (ra[lane] - tr, ia[lane] - ti);
                        ra[lane] += tr;
                        ia[lane] += ti;
                    }
                }
            }
            half *= 2;
        }
    }

    /// Squared magnitudes of bins `0..=HALF` into `power`, which holds at least `HALF + 1`.
    #[inline(always)]
    pub(crate) fn power<const L: usize>(&self, work: &Work<HALF, L>, power: &mut [[f32; L]]) {
        let Some(power) = power.get_mut(..=HALF) else { return };
        for lane in 0..L {
            let (sum, difference) = (work.re[0][lane] + work.im[0][lane], work.re[0][lane] - work.im[0][lane]);
            power[0][lane] = sum * sum;
            power[HALF][lane] = difference * difference;
        }
        for k in 1..=HALF / 2 {
            let m = HALF - k;
            let (c, s) = self.apart[k];
            for lane in 0..L {
                let (er, ei) =
                    (0.5 * (work.re[k][lane] + work.re[m][lane]), 0.5 * (work.im[k][lane] - work.im[m][lane]));
                let (or, oi) =
                    (0.5 * (work.im[k][lane] + work.im[m][lane]), 0.5 * (work.re[m][lane] - work.re[k][lane]));
                let (tr, ti) = (or * c - oi * s, or * s + oi * c);
                let (xr, xi, yr, yi) = (er + tr, ei + ti, er - tr, ei - ti);
                power[k][lane] = xr * xr + xi * xi;
                power[m][lane] = yr * yr + yi * yi;
            }
        }
    }

    /// Real parts of bins `0..real.len()`, at most `HALF` of them.
    #[inline(always)]
    pub(crate) fn real<const L: usize>(&self, work: &Work<HALF, L>, real: &mut [[f32; L]]) {
        for (k, real) in real.iter_mut().enumerate().take(HALF) {
            let m = (HALF - k) & (HALF - 1);
            let (c, s) = self.apart[k];
            for lane in 0..L {
                let er = 0.5 * (work.re[k][lane] + work.re[m][lane]);
                let or = 0.5 * (work.im[k][lane] + work.im[m][lane]);
                let oi = 0.5 * (work.re[m][lane] - work.re[k][lane]);
                real[lane] = er + (or * c - oi * s);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(n: usize) -> f32 {
        ((n * n * 7 + n * 3) % 101) as f32 / 50.0 - 1.0
    }

    fn check<const HALF: usize>() {
        let fft = RealFft::<HALF>::new();
        let mut work = Work::<HALF, 1>::new();
        fft.run(&mut work, |n| ([signal(2 * n)], [signal(2 * n + 1)]));
        let (mut power, mut real) = (vec![[0.0]; HALF + 1], vec![[0.0]; HALF]);
        fft.power(&work, &mut power);
        fft.real(&work, &mut real);
        for bin in 0..=HALF {
            let (mut re, mut im) = (0.0_f64, 0.0_f64);
            for n in 0..2 * HALF {
                let angle = std::f64::consts::PI * (bin * n % (2 * HALF)) as f64 / HALF as f64;
                re += f64::from(signal(n)) * angle.cos();
                im -= f64::from(signal(n)) * angle.sin();
            }
            assert!((f64::from(power[bin][0]) - re * re - im * im).abs() < 1e-3 * (1.0 + re * re + im * im));
            assert!(bin == HALF || (f64::from(real[bin][0]) - re).abs() < 1e-2);
        }
    }

    #[test]
    fn the_transform_equals_its_definition() {
        check::<8>();
        check::<128>();
        check::<256>();
        check::<512>();
    }

    #[test]
    fn a_lane_of_eight_equals_one_alone() {
        let fft = RealFft::<128>::new();
        let (mut eight, mut one) = (Work::<128, 8>::new(), Work::<128, 1>::new());
        fft.run(&mut eight, |n| {
            (std::array::from_fn(|l| signal(2 * n + l * 999)), std::array::from_fn(|l| signal(2 * n + 1 + l * 999)))
        });
        let mut powers = [[0.0; 8]; 129];
        fft.power(&eight, &mut powers);
        for lane in 0..8 {
            fft.run(&mut one, |n| ([signal(2 * n + lane * 999)], [signal(2 * n + 1 + lane * 999)]));
            let mut power = [[0.0; 1]; 129];
            fft.power(&one, &mut power);
            assert!(powers.iter().zip(&power).all(|(all, [alone])| all[lane].to_bits() == alone.to_bits()));
        }
    }
}
