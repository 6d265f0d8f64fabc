//! A small radix-2 Fourier transform for the detector's spectrum: 128 or 256 points, tables made once a bank.

/// Largest transform.
pub(super) const MAX_POINTS: usize = 256;

#[derive(Debug, Clone)]
pub(super) struct Fft {
    points: usize,
    cos: [f32; MAX_POINTS / 2],
    sin: [f32; MAX_POINTS / 2],
}

impl Fft {
    /// Tables for `points`, a power of two up to [`MAX_POINTS`].
    pub(super) fn new(points: usize) -> Self {
        let angle = |n: usize| std::f32::consts::TAU * n as f32 / points as f32;
        Self { points, cos: std::array::from_fn(|n| angle(n).cos()), sin: std::array::from_fn(|n| -angle(n).sin()) }
    }

    /// Transforms the first `points` values in place.
    pub(super) fn forward(&self, re: &mut [f32; MAX_POINTS], im: &mut [f32; MAX_POINTS]) {
        let bits = self.points.trailing_zeros();
        for n in 0..self.points {
            let mirrored = n.reverse_bits() >> (usize::BITS - bits);
            if mirrored > n {
                re.swap(n, mirrored);
                im.swap(n, mirrored);
            }
        }
        let mut half = 1;
        while half < self.points {
            let stride = self.points / (2 * half);
            for start in (0..self.points).step_by(2 * half) {
                for k in 0..half {
                    let (c, s) = (self.cos[k * stride], self.sin[k * stride]);
                    let (a, b) = (start + k, start + k + half);
                    let (tr, ti) = (re[b] * c - im[b] * s, re[b] * s + im[b] * c);
                    (re[b], im[b]) = (re[a] - tr, im[a] - ti);
                    re[a] += tr;
                    im[a] += ti;
                }
            }
            half *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transform_equals_its_definition() {
        for points in [128, 256] {
            let signal: Vec<f32> = (0..points).map(|n| ((n * n * 7 + n * 3) % 101) as f32 / 50.0 - 1.0).collect();
            let (mut re, mut im) = ([0.0; MAX_POINTS], [0.0; MAX_POINTS]);
            re[..points].copy_from_slice(&signal);
            Fft::new(points).forward(&mut re, &mut im);
            for bin in 0..points {
                let (mut expected_re, mut expected_im) = (0.0_f64, 0.0_f64);
                for (n, x) in signal.iter().enumerate() {
                    let angle = std::f64::consts::TAU * (bin * n % points) as f64 / points as f64;
                    expected_re += f64::from(*x) * angle.cos();
                    expected_im -= f64::from(*x) * angle.sin();
                }
                assert!((f64::from(re[bin]) - expected_re).abs() < 1e-3);
                assert!((f64::from(im[bin]) - expected_im).abs() < 1e-3);
            }
        }
    }
}
