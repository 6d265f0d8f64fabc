//! How loud the echo is in each band, and therefore how much of a frame it explains.

use super::bands::{BANDS, SILENCE, decibels, from_decibels};

/// Gain of the path in dB that is assumed before anything was heard, and its limits.
const FIRST_DB: f32 = 0.0;
const LIMITS_DB: (f32, f32) = (-60.0, 6.0);
/// Playout below this in a band tells nothing of the path.
const PLAYED_DB: f32 = -62.0;
/// Steps of the path's gain per hop of 10 ms: down and up while echo explains the frame, up while it does not, and down
/// while nothing comes back at all.
const DOWN_DB: f32 = 0.06;
const UP_DB: f32 = 0.20;
const UP_UNEXPLAINED_DB: f32 = 0.02;
const ABSENT_DB: f32 = 0.30;
/// The uplink stands out of its noise by this much when something is there.
const HEARD_DB: f32 = 6.0;
/// How fast an echo may die away, per hop: rooms of up to 0.4 s.
const DECAY: f32 = 0.7;
/// The floor of the uplink rises by this factor a hop, 2 dB a second.
const NOISE_RISE: f32 = 1.0046;

/// What comes back of one alignment of the reference.
#[derive(Debug, Clone)]
pub(super) struct EchoPath {
    gain_db: [f32; BANDS],
    tail: [f32; BANDS],
    levels: [f32; BANDS],
}

impl EchoPath {
    pub(super) fn new() -> Self {
        Self { gain_db: [FIRST_DB; BANDS], tail: [SILENCE; BANDS], levels: [SILENCE; BANDS] }
    }

    /// Power of the echo to be expected in each band of this hop.
    pub(super) fn expect(&mut self, reference: &[f32; BANDS]) -> [f32; BANDS] {
        self.levels = decibels(reference);
        for ((tail, power), gain) in self.tail.iter_mut().zip(reference).zip(&self.gain_db) {
            *tail = (power * from_decibels(*gain)).max(*tail * DECAY);
        }
        self.tail
    }

    /// Follows the path by what came back, in dB, above the uplink's noise.
    pub(super) fn learn(&mut self, uplink_db: &[f32; BANDS], noise_db: &[f32; BANDS], explained: bool) {
        for band in 0..BANDS {
            if self.levels[band] < PLAYED_DB {
                continue;
            }
            let gain = &mut self.gain_db[band];
            let ratio = uplink_db[band] - self.levels[band];
            let heard = uplink_db[band] > noise_db[band] + HEARD_DB;
            // An echo that would drown in the noise is not missed.
            let missed = self.levels[band] + *gain > noise_db[band] + HEARD_DB;
            let step = match (ratio > *gain, heard) {
                (true, true) if explained => UP_DB,
                (true, true) => UP_UNEXPLAINED_DB,
                (true, false) => 0.0,
                (false, true) => -DOWN_DB,
                (false, false) if missed => -ABSENT_DB,
                (false, false) => 0.0,
            };
            *gain = (*gain + step).clamp(LIMITS_DB.0, LIMITS_DB.1);
        }
    }

    /// Mean gain of the path in dB.
    pub(super) fn gain_db(&self) -> f32 {
        self.gain_db.iter().sum::<f32>() / BANDS as f32
    }
}

/// The noise that the uplink has anyway.
#[derive(Debug, Clone)]
pub(super) struct UplinkNoise {
    smooth: [f32; BANDS],
    floor: [f32; BANDS],
}

impl UplinkNoise {
    pub(super) fn new() -> Self {
        Self { smooth: [SILENCE; BANDS], floor: [SILENCE; BANDS] }
    }

    /// Takes a hop and returns the noise to be expected in each band.
    pub(super) fn step(&mut self, uplink: &[f32; BANDS]) -> [f32; BANDS] {
        for ((floor, smooth), power) in self.floor.iter_mut().zip(&mut self.smooth).zip(uplink) {
            *smooth += (power - *smooth) * 0.3;
            *floor = (*floor * NOISE_RISE).min(*smooth).max(SILENCE);
        }
        // The minimum of a smoothed noise lies below its mean.
        self.floor.map(|floor| floor * 2.0)
    }
}
