//! Background sound under an agent's voice: beds that loop without a seam, made here or from somebody's recording, and
//! the level they are played at.
//!
//! A bed is made once for a rate and shared by every call of that rate; each call only keeps its place in it.

mod music;

use std::f32::consts::TAU;

/// RMS level that every bed is made to have, in dBFS: loud enough for 16 bits, with room for its peaks.
pub const BED_DBFS: f32 = -26.0;
/// Longest bed, in seconds: more is cut off.
pub const MOST_SECONDS: usize = 60;
/// Shortest sound a bed can be made of, in milliseconds: a shorter one would be heard to repeat.
pub const LEAST_MS: usize = 1000;
/// Over this time the end of a bed goes over into its beginning, in milliseconds.
const SEAM_MS: usize = 200;

/// Sound that loops.
#[derive(Clone, PartialEq, Eq)]
pub struct Bed {
    rate: u32,
    pcm: Box<[i16]>,
}

impl std::fmt::Debug for Bed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Bed({} samples at {} Hz)", self.pcm.len(), self.rate)
    }
}

impl Bed {
    /// An empty room: soft noise that is darker the further up it goes, as ventilation and walls make it. 10 s.
    #[must_use]
    pub fn room(rate: u32) -> Self {
        let mut sound = vec![0.0; seconds(rate, 10)];
        air(rate, &mut sound, &mut Random(0x5eed_0001));
        Self::made(rate, sound)
    }

    /// An office at some distance: the room, voices too far away to be understood, and keys now and then. 30 s. All of it
    /// is synthesis: noise through moving resonances, no recording of anybody.
    #[must_use]
    pub fn office(rate: u32) -> Self {
        /// How loud its parts are beside one another.
        const AIR: f32 = 0.35;
        const MURMUR: f32 = 0.6;
        const KEYS: f32 = 0.12;
        let mut random = Random(0x5eed_0002);
        let mut sound = vec![0.0; seconds(rate, 30)];
        let mut layer = vec![0.0; sound.len()];
        let mut lay = |level: f32, make: &mut dyn FnMut(&mut [f32])| {
            layer.fill(0.0);
            make(&mut layer);
            let gain = level / rms(&layer).max(1e-9);
            sound.iter_mut().zip(&layer).for_each(|(sample, part)| *sample += part * gain);
        };
        lay(AIR, &mut |part| air(rate, part, &mut random));
        for syllables_hz in [2.9, 3.7, 4.4] {
            lay(MURMUR, &mut |part| murmur(rate, part, &mut random, syllables_hz));
        }
        lay(KEYS, &mut |part| keys(rate, part, &mut random));
        Self::made(rate, sound)
    }

    /// A loop of a recording of one channel at `rate` Hz. `None` for one of less than a second, and for silence.
    #[must_use]
    pub fn looped(rate: u32, pcm: &[i16]) -> Option<Self> {
        let length = pcm.len().min(rate as usize * MOST_SECONDS);
        let long_enough = length >= rate as usize * LEAST_MS / 1000;
        let sound: Vec<f32> = pcm[..length].iter().map(|sample| f32::from(*sample) / 32768.0).collect();
        (long_enough && rms(&sound) > 1e-5).then(|| Self::made(rate, sound))
    }

    /// Rate in Hz.
    #[must_use]
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// Its samples; after the last comes the first.
    #[must_use]
    pub fn pcm(&self) -> &[i16] {
        &self.pcm
    }

    /// Closes the loop and brings the sound to its level.
    fn made(rate: u32, mut sound: Vec<f32>) -> Self {
        let seam = (rate as usize * SEAM_MS / 1000).min(sound.len() / 2);
        let length = sound.len() - seam;
        for n in 0..seam {
            // Two noises that know nothing of each other add up by their power.
            let done = n as f32 / seam as f32;
            sound[n] = sound[n] * done.sqrt() + sound[length + n] * (1.0 - done).sqrt();
        }
        sound.truncate(length);
        let gain = amplitude(BED_DBFS) / rms(&sound).max(1e-9);
        let pcm = sound.iter().map(|sample| (sample * gain * 32768.0).clamp(-32768.0, 32767.0) as i16).collect();
        Self { rate, pcm }
    }
}

/// Gain that brings a bed to a level in dBFS, 0..=1.
#[must_use]
pub fn gain(level_dbfs: f32) -> f32 {
    if level_dbfs.is_nan() { 0.0 } else { amplitude(level_dbfs - BED_DBFS).clamp(0.0, 1.0) }
}

/// Adds `count` samples of a bed from `at` on to `out`, at a gain that goes in a straight line from `from` to `to`; where the
/// bed goes on.
pub fn add(bed: &Bed, at: usize, from: f32, to: f32, out: &mut [f32]) -> usize {
    if bed.pcm.is_empty() {
        return 0;
    }
    let step = (to - from) / out.len().max(1) as f32;
    let mut at = at % bed.pcm.len();
    let mut done = 0;
    while done < out.len() {
        let run = (out.len() - done).min(bed.pcm.len() - at);
        let (out, sound) = (&mut out[done..done + run], &bed.pcm[at..at + run]);
        if from.to_bits() == to.to_bits() {
            for (sample, sound) in out.iter_mut().zip(sound) {
                *sample += f32::from(*sound) * to;
            }
        } else {
            let from = from + step * done as f32;
            for ((sample, sound), n) in out.iter_mut().zip(sound).zip(0_i32..) {
                *sample += f32::from(*sound) * (from + step * n as f32);
            }
        }
        done += run;
        at = if at + run == bed.pcm.len() { 0 } else { at + run };
    }
    at
}

fn amplitude(db: f32) -> f32 {
    10.0_f32.powf(db / 20.0)
}

/// Samples of a bed, with those of its seam.
const fn seconds(rate: u32, seconds: usize) -> usize {
    rate as usize * seconds + rate as usize * SEAM_MS / 1000
}

fn rms(sound: &[f32]) -> f32 {
    (sound.iter().map(|sample| sample * sample).sum::<f32>() / sound.len().max(1) as f32).sqrt()
}

/// Numbers that are as good as random and the same every time.
struct Random(u32);

impl Random {
    /// -1..1.
    fn noise(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as i32 as f32 / 2_147_483_648.0
    }

    /// 0..1.
    fn share(&mut self) -> f32 {
        self.noise().mul_add(0.5, 0.5)
    }
}

/// One-pole low pass: the share of the new sample for a corner in Hz.
fn corner(rate: u32, hz: f32) -> f32 {
    1.0 - (-TAU * hz / rate as f32).exp()
}

/// Ventilation: noise, dark, without what is only felt.
fn air(rate: u32, sound: &mut [f32], random: &mut Random) {
    let (dark, soft, rumble) = (corner(rate, 250.0), corner(rate, 1800.0), corner(rate, 60.0));
    let (mut low, mut high, mut dc) = (0.0, 0.0, 0.0);
    for sample in sound {
        let noise = random.noise();
        low += dark * (noise - low);
        high += soft * (noise - high);
        let both = low + 0.15 * high;
        dc += rumble * (both - dc);
        *sample += both - dc;
    }
}

/// A voice in another room: a buzz and breath through two resonances that wander, in phrases and syllables.
fn murmur(rate: u32, sound: &mut [f32], random: &mut Random, syllables_hz: f32) {
    let step = 1.0 / rate as f32;
    let (mut speaks, mut left, mut level) = (false, 0_usize, 0.0_f32);
    let (mut buzz, mut syllable, mut vowel) = (0.0_f32, random.share(), 0.5_f32);
    let mut resonances = [(0.0_f32, 0.0_f32); 2];
    let (muffle, slow) = (corner(rate, 700.0), corner(rate, 8.0));
    let mut far = 0.0;
    for sample in sound {
        if left == 0 {
            speaks = !speaks;
            let length_s = if speaks { 0.8 + 2.2 * random.share() } else { 1.0 + 5.0 * random.share() };
            left = (length_s * rate as f32) as usize;
        }
        left -= 1;
        syllable += step * syllables_hz;
        if syllable >= 1.0 {
            syllable -= 1.0;
            vowel = random.share();
        }
        let open = if speaks { (syllable * TAU / 2.0).sin() } else { 0.0 };
        level += slow * (open - level);
        buzz = (buzz + step * (95.0 + 30.0 * vowel)).fract();
        let source = (buzz - 0.5 + 0.3 * random.noise()) * level;
        let mut voiced = 0.0;
        for (resonance, hz) in resonances.iter_mut().zip([350.0 + 350.0 * vowel, 1000.0 + 900.0 * vowel]) {
            let angle = TAU * hz * step;
            let next = source + 1.94 * angle.cos() * resonance.0 - 0.94 * resonance.1;
            *resonance = (next, resonance.0);
            voiced += next;
        }
        far += muffle * (voiced - far);
        *sample += far;
    }
}

/// Somebody types at some distance: short clicks in runs.
fn keys(rate: u32, sound: &mut [f32], random: &mut Random) {
    let (mut wait, mut run, mut decay) = (rate as usize, 0_u32, 0.0_f32);
    let (mut dull, soft) = (0.0, corner(rate, 2200.0));
    let fade = (-1.0 / (0.004 * rate as f32)).exp();
    for sample in sound {
        if wait == 0 {
            decay = 0.4 + 0.6 * random.share();
            run = if run == 0 { 4 + (random.share() * 14.0) as u32 } else { run - 1 };
            let pause_s = if run == 0 { 3.0 + 6.0 * random.share() } else { 0.09 + 0.14 * random.share() };
            wait = (pause_s * rate as f32) as usize;
        }
        wait = wait.saturating_sub(1);
        decay *= fade;
        dull += soft * (random.noise() * decay - dull);
        *sample += dull;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dbfs(pcm: &[i16]) -> f32 {
        let sound: Vec<f32> = pcm.iter().map(|sample| f32::from(*sample) / 32768.0).collect();
        20.0 * rms(&sound).log10()
    }

    /// The largest step from sample to sample.
    fn step(pcm: &[i16]) -> u16 {
        pcm.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap_or(0)
    }

    #[test]
    fn beds_have_their_level_and_no_seam() {
        for rate in [8000, 16_000] {
            // An office is louder at one time than at another; a room is not.
            for (bed, varies) in [(Bed::room(rate), 6.0), (Bed::office(rate), 15.0)] {
                assert!((dbfs(bed.pcm()) - BED_DBFS).abs() < 0.5, "{bed:?}: {}", dbfs(bed.pcm()));
                let edge = 400;
                let mut turn = bed.pcm()[bed.pcm().len() - edge..].to_vec();
                turn.extend(&bed.pcm()[..edge]);
                let inside = step(bed.pcm());
                assert!(step(&turn) <= inside && inside < 12_000, "{} of {inside}", step(&turn));
                assert!((dbfs(&turn) - dbfs(bed.pcm())).abs() < varies, "as loud where it turns: {}", dbfs(&turn));
            }
        }
        assert_eq!(Bed::office(8000), Bed::office(8000), "the same every time");
        assert_ne!(Bed::office(8000), Bed::room(8000));
    }

    #[test]
    fn an_office_is_livelier_than_a_room() {
        let spread = |bed: &Bed| {
            let levels: Vec<f32> = bed.pcm().chunks_exact(800).map(dbfs).collect();
            let (low, high) =
                levels.iter().fold((0.0_f32, -99.0_f32), |(low, high), level| (low.min(*level), high.max(*level)));
            high - low
        };
        let (room, office) = (spread(&Bed::room(8000)), spread(&Bed::office(8000)));
        assert!(room < 8.0 && office > room + 3.0, "{room} {office}");
    }

    #[test]
    fn a_recording_loops_without_a_click_wherever_it_was_cut() {
        // A tone whose length is no whole number of its periods.
        let tone: Vec<i16> = (0..20_011).map(|n| (8000.0 * (n as f32 * 0.1).sin()) as i16).collect();
        let bed = Bed::looped(8000, &tone).unwrap();
        let mut turn = bed.pcm()[bed.pcm().len() - 100..].to_vec();
        turn.extend(&bed.pcm()[..100]);
        // The largest step of the tone, whose ends may add up in the seam.
        let usual = (f32::from(i16::MAX) * amplitude(BED_DBFS) * 2.0 * 1.1 * 0.1) as u16;
        assert!(step(&turn) <= usual, "{} {usual}", step(&turn));
        assert_eq!(Bed::looped(8000, &tone[..7999]), None);
        assert_eq!(Bed::looped(8000, &[0; 16_000]), None);
        assert!(Bed::looped(8000, &vec![100; 8000 * 70]).unwrap().pcm().len() < 8000 * MOST_SECONDS);
    }

    #[test]
    fn what_is_added_goes_on_where_it_stopped() {
        let bed = Bed::room(8000);
        let mut all = vec![0.0; bed.pcm().len() + 320];
        add(&bed, 0, 1.0, 1.0, &mut all);
        let (mut at, mut pieces) = (0, Vec::new());
        while pieces.len() < all.len() {
            let mut frame = vec![0.0; 160.min(all.len() - pieces.len())];
            at = add(&bed, at, 1.0, 1.0, &mut frame);
            pieces.extend(frame);
        }
        assert_eq!(all, pieces);
        assert_eq!(all[bed.pcm().len()], f32::from(bed.pcm()[0]));
        let mut ramp = vec![0.0; 160];
        add(&bed, 0, 0.0, 1.0, &mut ramp);
        assert_eq!(ramp[0], 0.0);
        assert!((gain(-46.0) - 0.1).abs() < 1e-6 && gain(0.0) == 1.0 && gain(f32::NAN) == 0.0);
    }
}
