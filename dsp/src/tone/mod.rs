//! DTMF by dual tone (ITU-T Q.23), for legs whose far end did not agree on telephone-event.

/// Peak of each of the two tones in dBFS; their sum peaks at -4.
const TONE_DBFS: f32 = -10.0;
const LOW_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH_HZ: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const KEYS: [[char; 4]; 4] = [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];

/// Makes the dual tone of one key, with ramps of 2 ms at both ends.
#[derive(Debug, Clone)]
pub struct DtmfTone {
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
        let (low_hz, high_hz) = KEYS
            .iter()
            .zip(LOW_HZ)
            .find_map(|(row, low)| row.iter().zip(HIGH_HZ).find(|(k, _)| **k == key).map(|(_, high)| (low, high)))?;
        let step = std::f32::consts::TAU / rate as f32;
        Some(Self {
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
        let amplitude = 32768.0 * 10_f32.powf(TONE_DBFS / 20.0);
        let count = out.len().min((self.length - self.position) as usize);
        for sample in &mut out[..count] {
            let edge = self.position.min(self.length - self.position - 1).min(self.ramp);
            let gain = amplitude * edge as f32 / self.ramp as f32;
            *sample = (gain * (self.low_phase.sin() + self.high_phase.sin())) as i16;
            self.low_phase = (self.low_phase + self.low_step) % std::f32::consts::TAU;
            self.high_phase = (self.high_phase + self.high_step) % std::f32::consts::TAU;
            self.position += 1;
        }
        count
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
