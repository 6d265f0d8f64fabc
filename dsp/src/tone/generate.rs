//! Tones made: DTMF (ITU-T Q.23) for legs whose far end did not agree on telephone-event, and the supervisory tones
//! that a network would make (ITU-T E.180).

use super::plan::Pattern;
use super::{HIGH_HZ, KEYS, LOW_HZ};

/// Peak of each of the two tones in dBFS; their sum peaks at -4.
const TONE_DBFS: f32 = -10.0;
/// Peak of each tone of a supervisory signal in dBFS; E.180 asks for about -10 dBm0 in all.
const SUPERVISORY_DBFS: f32 = -16.0;

/// Makes the dual tone of one key, with ramps of 2 ms at both ends.
#[derive(Debug, Clone)]
pub struct DtmfTone {
    low: f32,
    high: f32,
    low_step: f32,
    high_step: f32,
    low_phase: f32,
    high_phase: f32,
    position: u32,
    length: u32,
    ramp: u32,
}

impl DtmfTone {
    /// The tone of `key` (`0`-`9`, `*`, `#`, `A`-`D`, upper case) for `duration_ms` at `rate` Hz; `None` for any
    /// other key. ITU-T Q.24 receivers need at least 40 ms.
    #[must_use]
    pub fn new(key: char, rate: u32, duration_ms: u32) -> Option<Self> {
        Self::with_levels(key, rate, duration_ms, TONE_DBFS, TONE_DBFS)
    }

    /// As [`DtmfTone::new`], with the peaks of the low and the high tone in dBFS (at most 0).
    #[must_use]
    pub fn with_levels(key: char, rate: u32, duration_ms: u32, low_dbfs: f32, high_dbfs: f32) -> Option<Self> {
        let (low_hz, high_hz) = KEYS
            .iter()
            .zip(LOW_HZ)
            .find_map(|(row, low)| row.iter().zip(HIGH_HZ).find(|(k, _)| **k == key).map(|(_, high)| (low, high)))?;
        let step = std::f32::consts::TAU / rate as f32;
        let amplitude = |dbfs: f32| 32768.0 * 10_f32.powf(dbfs.min(0.0) / 20.0);
        Some(Self {
            low: amplitude(low_dbfs),
            high: amplitude(high_dbfs),
            low_step: low_hz * step,
            high_step: high_hz * step,
            low_phase: 0.0,
            high_phase: 0.0,
            position: 0,
            length: (u64::from(rate) * u64::from(duration_ms) / 1000) as u32,
            ramp: (rate / 500).max(1),
        })
    }

    /// Writes the next samples of the tone into `out` and returns how many; fewer than asked at its end, then 0.
    pub fn fill(&mut self, out: &mut [i16]) -> usize {
        let count = out.len().min((self.length - self.position) as usize);
        for sample in &mut out[..count] {
            let edge = self.position.min(self.length - self.position - 1).min(self.ramp);
            let gain = edge as f32 / self.ramp as f32;
            *sample = (gain * (self.low * self.low_phase.sin() + self.high * self.high_phase.sin())) as i16;
            self.low_phase = (self.low_phase + self.low_step) % std::f32::consts::TAU;
            self.high_phase = (self.high_phase + self.high_step) % std::f32::consts::TAU;
            self.position += 1;
        }
        count
    }
}

/// Makes a network's supervisory tone with its cadence, for as long as it is asked for.
#[derive(Debug, Clone)]
pub struct SupervisoryTone {
    steps: [f32; 2],
    phases: [f32; 2],
    /// Tone and pause in turn, in samples; the first is 0 when there is no cadence.
    intervals: [u32; 4],
    interval: usize,
    position: u32,
    ramp: u32,
}

impl SupervisoryTone {
    /// The tone of `pattern` at `rate` Hz from the beginning of its cadence, -16 dBFS at the peak of each frequency.
    #[must_use]
    pub fn new(pattern: &Pattern, rate: u32) -> Self {
        let step = |hz: u16| f32::from(hz) * std::f32::consts::TAU / rate.max(1) as f32;
        Self {
            steps: pattern.hz.map(step),
            phases: [0.0; 2],
            intervals: pattern.cadence_ms.map(|ms| (u64::from(rate) * u64::from(ms) / 1000) as u32),
            interval: 0,
            position: 0,
            ramp: (rate / 200).max(1),
        }
    }

    /// Fills `out` with the next samples.
    pub fn fill(&mut self, out: &mut [i16]) {
        let amplitude = 32768.0 * 10_f32.powf(SUPERVISORY_DBFS / 20.0);
        for sample in out {
            let length = self.intervals[self.interval];
            let mut edge = self.position.min(self.ramp);
            if length > 0 {
                edge = edge.min((length - 1).saturating_sub(self.position));
            }
            let sounds = self.interval.is_multiple_of(2);
            let gain = if sounds { amplitude * edge as f32 / self.ramp as f32 } else { 0.0 };
            let mut sum = 0.0;
            for (phase, step) in self.phases.iter_mut().zip(self.steps) {
                // A frequency of 0 stands for none, and the sine of its phase stays 0.
                sum += phase.sin();
                *phase = (*phase + step) % std::f32::consts::TAU;
            }
            *sample = (gain * sum) as i16;
            self.position = self.position.saturating_add(1);
            if length > 0 && self.position >= length {
                self.position = 0;
                self.interval = (self.interval + 1) % 4;
                if self.intervals[self.interval] == 0 {
                    self.interval = 0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn power_at(pcm: &[i16], hz: f32, rate: f32) -> f32 {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in pcm.iter().enumerate() {
            let angle = std::f32::consts::TAU * hz * n as f32 / rate;
            re += f32::from(*sample) * angle.cos();
            im += f32::from(*sample) * angle.sin();
        }
        re * re + im * im
    }

    #[test]
    fn each_key_has_its_two_tones_and_no_other() {
        for (row, low) in KEYS.iter().zip(LOW_HZ) {
            for (key, high) in row.iter().zip(HIGH_HZ) {
                let mut pcm = [0; 800];
                assert_eq!(DtmfTone::new(*key, 8000, 100).unwrap().fill(&mut pcm), 800);
                for hz in LOW_HZ.iter().chain(&HIGH_HZ) {
                    let present = *hz == low || *hz == high;
                    let wanted = power_at(&pcm, low, 8000.0);
                    assert_eq!(power_at(&pcm, *hz, 8000.0) > wanted / 10.0, present, "{key} at {hz}");
                }
            }
        }
        assert!(DtmfTone::new('E', 8000, 100).is_none());
    }

    #[test]
    fn the_tone_ends_after_its_duration() {
        let mut tone = DtmfTone::new('5', 16000, 50).unwrap();
        let mut pcm = [0; 640];
        assert_eq!(tone.fill(&mut pcm), 640);
        assert_eq!(tone.fill(&mut pcm), 160);
        assert_eq!(tone.fill(&mut pcm), 0);
    }
}
