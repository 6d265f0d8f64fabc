//! DTMF heard in the sound itself, within the limits of ITU-T Q.24 and Bellcore GR-506.

use super::dual_tone::{self, Correlation, HOP, WINDOW};
use super::{HIGH_HZ, KEYS, LOW_HZ, Narrowband, UnknownRate};
use crate::Simd;

/// Full scale of G.711 is a sine of +3.17 dBm0 (A-law +3.14): mean square of a tone of 0 dBm0.
const MEAN_SQUARE_0_DBM0: f32 = 0.241;
/// Tones weaker than this are not keys: -36 dBm0, where Q.24 asks for -25 accepted and -55 refused.
const WEAKEST: f32 = MEAN_SQUARE_0_DBM0 * 2.511_886e-4;
/// How far a tone may lie from its frequency: between the 1.5 % to accept and the 3.5 % to refuse.
const TOLERANCE: f32 = 0.025;
/// Twist, in power: the low tone may be 10 dB above the high one (8 asked for), the high one 6 dB above (4 asked for).
const NORMAL_TWIST: f32 = 10.0;
const REVERSE_TWIST: f32 = 3.98;
/// Share of the frame's power that both tones together must hold; 0.75 is reached at 5 dB above noise.
const PURITY: f32 = 0.75;
/// What a tone of 1633 Hz that is 2.5 % off shows of its power, less a little.
const LEAST_RESPONSE: f32 = 0.5;
/// Power of a second harmonic above which a tone is taken for a voice, relative to the tone: -12 dB.
const SECOND_HARMONIC: f32 = 0.063;
/// A harmonic of the low tone nearer than this to the high tone cannot be told from it.
const TOO_NEAR_HZ: f32 = 130.0;
/// Windows in a row that must show the same key: of a tone of 32 ms all do, of one of 27 ms never as many.
const ON_WINDOWS: u32 = 5;
/// Windows in a row without the key that end it: a gap of 16 ms never, one of 23 ms always.
const OFF_WINDOWS: u32 = 5;
/// A window shows a tone when about 93 samples of it are filled, from either end; the mean of what hops leave open is
/// half a hop more. Where a tone began before the end of the first window that shows it, and ended before the last's.
const BEGAN_BEFORE: u64 = 93 + HOP as u64 / 2;
const ENDED_BEFORE: u64 = WINDOW as u64 - BEGAN_BEFORE;

/// A key that began or ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DtmfEvent {
    /// A key was recognised, 30 to 40 ms after it was pressed.
    Down {
        /// `0`-`9`, `*`, `#`, `A`-`D`.
        key: char,
        /// Where its tone began, in samples of the input since the detector was made; within 5 ms.
        at: u64,
        /// Level of both tones together in dBm0.
        level_dbm0: f32,
        /// Level of the low tone over that of the high one in dB.
        twist_db: f32,
    },
    /// The key of the last `Down` ended.
    Up {
        /// The same key.
        key: char,
        /// Where its tone ended, in samples of the input; within 5 ms.
        at: u64,
        /// How long it sounded, in samples of the input.
        duration: u64,
    },
}

/// Detects keys in one direction of a call.
///
/// Every 5 ms a Hann window of 16 ms is correlated with the eight frequencies; a frequency is measured by the advance
/// of its phase, which tells 1.5 % from 3.5 % within one window. Accepts tones of 40 ms with pauses of 40 ms, refuses
/// tones under 24 ms, bridges interruptions of 10 ms. Limits: frequency 2.5 %, twist +10/-6 dB (low over high), level
/// -36 dBm0 a tone, 5 dB above noise. No memory beyond the struct (3 kB).
#[derive(Debug, Clone)]
pub struct DtmfDetector {
    simd: Simd,
    narrowband: Narrowband,
    keys: Keys,
}

impl DtmfDetector {
    /// A detector of sound at `rate` Hz: 8000, 16000 or 48000.
    ///
    /// # Errors
    /// [`UnknownRate`] for any other.
    pub fn new(rate: u32) -> Result<Self, UnknownRate> {
        Self::with_simd(rate, Simd::detect())
    }

    /// As [`DtmfDetector::new`], with the instructions given; results are the same bit for bit.
    ///
    /// # Errors
    /// [`UnknownRate`] for a rate other than 8000, 16000 and 48000.
    pub fn with_simd(rate: u32, simd: Simd) -> Result<Self, UnknownRate> {
        dual_tone::prepare();
        let narrowband = Narrowband::new(rate)?;
        let factor = u64::from(narrowband.factor());
        Ok(Self { simd, narrowband, keys: Keys::new(factor) })
    }

    /// Listens to the next samples (-1..1, any number of them) and hands over what began or ended in them, in order.
    pub fn process(&mut self, pcm: &[f32], mut heard: impl FnMut(DtmfEvent)) {
        let Self { simd, narrowband, keys } = self;
        narrowband.process(pcm, |piece| keys.take(*simd, piece, &mut heard));
    }

    /// The key that is down now.
    #[must_use]
    pub fn down(&self) -> Option<char> {
        self.keys.down.map(|down| down.key)
    }
}

#[derive(Debug, Clone, Copy)]
struct Down {
    key: char,
    from: u64,
    until: u64,
    misses: u32,
}

/// What one window shows.
#[derive(Debug, Clone, Copy)]
struct Hit {
    key: char,
    power: f32,
    twist: f32,
}

#[derive(Debug, Clone)]
struct Keys {
    factor: u64,
    window: [f32; WINDOW],
    filled: usize,
    /// Samples of 8 kHz up to the end of the window.
    position: u64,
    before: Correlation,
    run: u32,
    running: Option<char>,
    run_from: u64,
    down: Option<Down>,
}

impl Keys {
    fn new(factor: u64) -> Self {
        Self {
            factor,
            window: [0.0; WINDOW],
            filled: WINDOW - HOP,
            position: 0,
            before: Correlation::default(),
            run: 0,
            running: None,
            run_from: 0,
            down: None,
        }
    }

    fn take(&mut self, simd: Simd, mut piece: &[f32], heard: &mut impl FnMut(DtmfEvent)) {
        while !piece.is_empty() {
            let (now, rest) = piece.split_at(piece.len().min(WINDOW - self.filled));
            self.window[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            piece = rest;
            if self.filled == WINDOW {
                self.position += HOP as u64;
                let hit = self.judge(simd);
                self.follow(hit, heard);
                self.window.copy_within(HOP.., 0);
                self.filled = WINDOW - HOP;
            }
        }
    }

    fn judge(&mut self, simd: Simd) -> Option<Hit> {
        let now = dual_tone::fundamentals(simd, &self.window);
        let before = std::mem::replace(&mut self.before, now);
        if now.power < WEAKEST {
            return None;
        }
        let loudest = |from: usize| (from..from + 4).max_by(|a, b| now.tone(*a).total_cmp(&now.tone(*b)));
        let (low, high) = (loudest(0)?, loudest(4)?);
        // Most sound is turned away here, before anything costly: at the edge of the tolerance a tone shows this share.
        if now.tone(low) + now.tone(high) < now.power * (PURITY * LEAST_RESPONSE) {
            return None;
        }
        let (low_hz, high_hz) = (LOW_HZ[low], HIGH_HZ[high - 4]);
        let (low_off, high_off) = (now.offset_hz(&before, low), now.offset_hz(&before, high));
        if low_off.abs() > low_hz * TOLERANCE || high_off.abs() > high_hz * TOLERANCE {
            return None;
        }
        let low_power = now.tone(low) / dual_tone::response(low_off);
        let high_power = now.tone(high) / dual_tone::response(high_off);
        if low_power.min(high_power) < WEAKEST
            || low_power > high_power * NORMAL_TWIST
            || high_power > low_power * REVERSE_TWIST
            || low_power + high_power < now.power * PURITY
        {
            return None;
        }
        let harmonics = dual_tone::second_harmonics(simd, &self.window);
        let apart = (2.0 * low_hz - high_hz).abs() > TOO_NEAR_HZ;
        if harmonics.tone(high) > high_power * SECOND_HARMONIC
            || (apart && harmonics.tone(low) > low_power * SECOND_HARMONIC)
        {
            return None;
        }
        Some(Hit { key: KEYS[low][high - 4], power: low_power + high_power, twist: low_power / high_power })
    }

    fn follow(&mut self, hit: Option<Hit>, heard: &mut impl FnMut(DtmfEvent)) {
        let key = hit.map(|hit| hit.key);
        if key != self.running {
            self.running = key;
            self.run = 0;
            self.run_from = self.position.saturating_sub(BEGAN_BEFORE);
        }
        self.run += 1;
        if let Some(down) = &mut self.down {
            if key == Some(down.key) {
                down.misses = 0;
                down.until = self.position.saturating_sub(ENDED_BEFORE);
                return;
            }
            down.misses += 1;
        }
        let pressed = hit.filter(|_| self.run == ON_WINDOWS);
        if let Some(down) = self.down.filter(|down| pressed.is_some() || down.misses >= OFF_WINDOWS) {
            self.down = None;
            heard(DtmfEvent::Up {
                key: down.key,
                at: down.until * self.factor,
                duration: (down.until - down.from.min(down.until)) * self.factor,
            });
        }
        if let Some(hit) = pressed {
            let until = self.position.saturating_sub(ENDED_BEFORE);
            self.down = Some(Down { key: hit.key, from: self.run_from, until, misses: 0 });
            heard(DtmfEvent::Down {
                key: hit.key,
                at: self.run_from * self.factor,
                level_dbm0: 10.0 * (hit.power / MEAN_SQUARE_0_DBM0).log10(),
                twist_db: 10.0 * hit.twist.log10(),
            });
        }
    }
}
