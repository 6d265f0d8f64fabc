//! RNNoise's 22 triangular bands: energies and correlations in, gains per bin out.

use super::network::GAINS;
use super::rate::{EDGES, Rate};
use super::vector::{Complex, Lanes};

/// One number per band.
pub(super) type Bands<const L: usize> = [Lanes<L>; GAINS];

/// The correlation of two spectra in each band; with itself a spectrum's energy. Bands above the rate's half are 0.
#[inline(always)]
pub(super) fn correlation<const L: usize>(rate: &Rate, x: &[Complex<L>], y: &[Complex<L>]) -> Bands<L> {
    let mut out = [Lanes::ZERO; GAINS];
    for band in 0..rate.bands - 1 {
        let (first, last) = (EDGES[band], EDGES[band + 1]);
        let (mut falling, mut rising) = (out[band], Lanes::ZERO);
        for (at, (x, y)) in x[first..last].iter().zip(&y[first..last]).enumerate() {
            let part = at as f32 / (last - first) as f32;
            let product = x.re * y.re + x.im * y.im;
            falling += product * (1.0 - part);
            rising += product * part;
        }
        out[band] = falling;
        out[band + 1] = rising;
    }
    out[0] *= Lanes::splat(2.0);
    out[GAINS - 1] *= Lanes::splat(2.0);
    out
}

/// Scales every bin by the gain between its two bands' gains; what lies above the last band becomes silence.
#[inline(always)]
pub(super) fn scale<const L: usize>(rate: &Rate, gains: &Bands<L>, spectrum: &mut [Complex<L>]) {
    each_bin(rate, gains, spectrum.len(), |bin, gain| spectrum[bin] = spectrum[bin].scaled(gain));
}

/// Adds `other` to `spectrum`, scaled as by [`scale`].
#[inline(always)]
pub(super) fn add_scaled<const L: usize>(
    rate: &Rate,
    gains: &Bands<L>,
    other: &[Complex<L>],
    spectrum: &mut [Complex<L>],
) {
    each_bin(rate, gains, spectrum.len(), |bin, gain| spectrum[bin] = spectrum[bin] + other[bin].scaled(gain));
}

#[inline(always)]
fn each_bin<const L: usize>(rate: &Rate, gains: &Bands<L>, bins: usize, mut visit: impl FnMut(usize, Lanes<L>)) {
    for band in 0..rate.bands - 1 {
        let (first, last) = (EDGES[band], EDGES[band + 1]);
        for bin in first..last {
            let part = (bin - first) as f32 / (last - first) as f32;
            visit(bin, gains[band] * (1.0 - part) + gains[band + 1] * part);
        }
    }
    // At 8 and 16 kHz the last band's centre is the last bin; at 48 kHz it is at 20 kHz.
    let end = EDGES[rate.bands - 1];
    for bin in end..bins {
        visit(bin, if bins == end + 1 { gains[rate.bands - 1] } else { Lanes::ZERO });
    }
}

/// The cosine transform of 22 bands, by definition.
#[derive(Debug)]
pub(super) struct Cosines([[f32; GAINS]; GAINS]);

impl Cosines {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|band| {
            std::array::from_fn(|order| {
                let angle = (band as f64 + 0.5) * order as f64 * std::f64::consts::PI / GAINS as f64;
                let value = angle.cos() as f32;
                if order == 0 { value * 0.5_f32.sqrt() } else { value }
            })
        }))
    }

    /// The first `out.len()` orders.
    #[inline(always)]
    pub(super) fn transform<const L: usize>(&self, bands: &Bands<L>, out: &mut [Lanes<L>]) {
        let scale = (2.0 / GAINS as f64).sqrt();
        for (order, out) in out.iter_mut().enumerate() {
            let mut sum = Lanes::ZERO;
            for (value, row) in bands.iter().zip(&self.0) {
                sum += *value * row[order];
            }
            *out = sum.map(|sum| (f64::from(sum) * scale) as f32);
        }
    }
}
