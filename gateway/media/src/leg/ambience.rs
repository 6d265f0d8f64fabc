//! Background sound under what the agent says, for as long as the leg sends: faded in, turned down while the agent speaks.

use trunkline_dsp::ambience::{add, gain};
use trunkline_dsp::fade::{DuckSettings, Ducker};

use super::TICK_SAMPLES;
use crate::config::LegAmbience;

/// Ticks over which it comes up, at the beginning and after a hold.
const FADE_TICKS: f32 = 25.0;
/// How quickly it goes down under the agent and comes back.
const ATTACK_MS: u32 = 120;
const RELEASE_MS: u32 = 600;
const HOLD_MS: u32 = 300;

/// A bed on its way to a leg.
#[derive(Debug)]
pub(crate) struct Ambience {
    sound: LegAmbience,
    /// Where in the bed it is.
    at: usize,
    gain: f32,
    full: f32,
    ducker: Ducker,
}

impl Ambience {
    /// For a leg at `rate` Hz; nothing for a bed of another rate.
    pub(super) fn new(sound: &LegAmbience, rate: u32) -> Option<Self> {
        let duck = DuckSettings {
            depth_db: f32::from(sound.duck_db),
            attack_ms: ATTACK_MS,
            hold_ms: HOLD_MS,
            release_ms: RELEASE_MS,
        };
        (sound.bed.rate() == rate).then(|| Self {
            at: 0,
            gain: 0.0,
            full: gain(f32::from(sound.level_dbfs)),
            ducker: Ducker::new(rate, duck),
            sound: sound.clone(),
        })
    }

    /// Adds it to a frame; `speaks` while the agent says something.
    pub(super) fn mix(&mut self, speaks: bool, frame: &mut [i16]) {
        let mut bed = [0.0; TICK_SAMPLES];
        let Some(bed) = bed.get_mut(..frame.len()) else { return };
        let next = (self.gain + self.full / FADE_TICKS).min(self.full);
        self.at = add(&self.sound.bed, self.at, self.gain, next, bed);
        self.gain = next;
        self.ducker.process_f32(speaks, bed);
        for (sample, bed) in frame.iter_mut().zip(bed) {
            // A bed has 16 bits and is never turned up; the sum may have more.
            *sample = sample.saturating_add(*bed as i32 as i16);
        }
    }

    /// Nothing is sent in this tick: what follows fades in.
    pub(super) const fn rest(&mut self) {
        self.gain = 0.0;
    }
}
