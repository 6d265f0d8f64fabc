//! What tones a frame is made of: the strongest partial, and which of a plan's tones it could be.

use super::fourier::Fourier;
use super::plan::Plan;
use crate::Simd;
use crate::level::power_dbfs;

/// Samples of 8 kHz in a window, 64 ms: 440 and 480 Hz have to stand apart.
pub(super) const WINDOW: usize = 512;
/// Samples between windows, 20 ms.
pub(super) const HOP: usize = 160;
const BIN_HZ: f32 = 8000.0 / WINDOW as f32;
/// The band that is looked at: 125 to 3400 Hz.
const FIRST_BIN: usize = 8;
const LAST_BIN: usize = 217;
/// Quieter frames hold no tone.
const TONE_DBFS: f32 = -46.0;
/// Share of the frame's power that a tone must have.
const PURITY: f32 = 0.75;
/// Of a plan's two tones each must have this share, within about a bin.
const EACH: f32 = 0.1;
/// A sound that spreads over less of the band than this has partials: voiced speech does, noise does not.
const SPREAD: f32 = 0.15;

/// What one frame is made of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Partials {
    /// Level of the whole band in dBFS.
    pub(super) level_dbfs: f32,
    /// The single tone that the frame is, in Hz.
    pub(super) pure_hz: Option<f32>,
    /// Share of the frame's power that the strongest partial has, 0..=1.
    pub(super) purity: f32,
    /// Bit `n` is set when the frame is the tone of the plan's pattern `n`.
    pub(super) patterns: u8,
    /// The frame's power is gathered in few places.
    pub(super) gathered: bool,
}

/// Looks at a window of [`WINDOW`] samples.
pub(super) fn find(simd: Simd, plan: &Plan, window: &[f32; WINDOW]) -> Partials {
    let mut power = [0.0; WINDOW / 2];
    Fourier::of_512().power(simd, window, &mut power);
    let band = &power[FIRST_BIN..=LAST_BIN];
    let (total, squares) = totals(band);
    // A tone shows one and a half times its power, twice its mean square.
    let level_dbfs = power_dbfs(total / 3.0);
    if level_dbfs < TONE_DBFS || total <= 0.0 {
        return Partials { level_dbfs, ..Partials::default() };
    }
    let mut found = Partials {
        level_dbfs,
        gathered: total * total < squares * (SPREAD * band.len() as f32),
        ..Partials::default()
    };
    for (bit, pattern) in plan.patterns.iter().take(8).enumerate() {
        if is_tone(&power, total, pattern.hz) {
            found.patterns |= 1 << bit;
        }
    }
    let peak = (FIRST_BIN + 2..LAST_BIN - 1).max_by(|a, b| power[*a].total_cmp(&power[*b])).unwrap_or(FIRST_BIN + 2);
    let lobe: f32 = power[peak - 2..=peak + 2].iter().sum();
    found.purity = lobe / total;
    if found.purity > PURITY {
        let side = if power[peak + 1] > power[peak - 1] { 1.0 } else { -1.0 };
        let ratio = (power[peak + 1].max(power[peak - 1]) / power[peak]).sqrt();
        let offset = side * ((2.0 * ratio - 1.0) / (ratio + 1.0)).clamp(0.0, 0.6);
        found.pure_hz = Some((peak as f32 + offset) * BIN_HZ);
    }
    found
}

/// Sum of the powers, and of their squares.
fn totals(band: &[f32]) -> (f32, f32) {
    let (mut sums, mut squares) = ([0.0_f32; 8], [0.0_f32; 8]);
    for powers in band.chunks(8) {
        for ((sum, square), power) in sums.iter_mut().zip(&mut squares).zip(powers) {
            *sum += power;
            *square += power * power;
        }
    }
    (sums.iter().sum(), squares.iter().sum())
}

fn is_tone(power: &[f32; WINDOW / 2], total: f32, hz: [u16; 2]) -> bool {
    let around = |hz: u16, bins: f32| {
        let center = f32::from(hz) / BIN_HZ;
        ((center - bins).ceil().max(0.0) as usize, ((center + bins).floor() as usize).min(WINDOW / 2 - 1))
    };
    let sum = |(from, to): (usize, usize)| power.get(from..=to).map_or(0.0, |bins| bins.iter().sum::<f32>());
    let (first, second) = (around(hz[0], 2.2), around(hz[1], 2.2));
    if hz[1] == 0 {
        return sum(first) > total * PURITY;
    }
    let both = if second.0 <= first.1 { sum((first.0, second.1)) } else { sum(first) + sum(second) };
    both > total * PURITY && sum(around(hz[0], 1.2)) > total * EACH && sum(around(hz[1], 1.2)) > total * EACH
}
