//! Single tones that stand alone or in threes: special information, fax, and the beep of a machine.

use crate::tone::partials::Partials;

const STEP_MS: u32 = 20;
/// What the analysis window adds to a tone in ms.
const LENGTHENED_MS: u32 = 25;
/// A tone moves no further than this from one frame to the next, in Hz: a voice does.
const STEADY_HZ: f32 = 8.0;
/// Nor further than this from its mean.
const WANDER_HZ: f32 = 12.0;
/// A machine's tone is pure and steady from frame to frame, but for its edges; a hum of a voice is not.
const BEEP_PURITY: f32 = 0.9;
const BEEP_STEADY_HZ: f32 = 2.5;
const BEEP_STEADY_DB: f32 = 1.5;
const BEEP_EDGE_FRAMES: u32 = 6;
/// Pitches of beeps.
const BEEP_HZ: [f32; 2] = [348.0, 2500.0];
/// A beep is this long at least, and longer where a voice may hum.
const BEEP_MS: u32 = 80;
const HUM_HZ: f32 = 500.0;
const HUM_MS: u32 = 180;
/// Frames without the tone that end it; the phase reversals of V.25 are shorter.
const END_FRAMES: u32 = 4;
/// Frames after which a tone is one, and takes the place of the tone before.
const BEGIN_FRAMES: u32 = 3;

/// Kind of a special information tone, by the pitch and length of its first two tones (GR-674).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sit {
    /// The number is not in service, or was changed (IC).
    Intercept,
    /// The code leads nowhere (VC).
    VacantCode,
    /// The network is out of order or the number incomplete (RO).
    Reorder,
    /// All circuits are busy (NC).
    NoCircuit,
    /// The three tones of E.180, which say no more than that the call failed.
    Unspecified,
}

/// What lone tones said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Said {
    Sit(Sit),
    FaxCng,
    FaxCed,
    Beep { hz: f32, duration_ms: u32 },
}

#[derive(Debug, Clone, Copy, Default)]
struct Tone {
    hz: f32,
    frames: u32,
    /// The latest frame, and how many frames were like the one before.
    last_hz: f32,
    last_dbfs: f32,
    steady: u32,
    /// Some frames were also a tone of the plan.
    supervisory: bool,
    /// Frames of another sound since its last one; for a tone that ended, since then.
    gap: u32,
}

impl Tone {
    fn follow(&mut self, hz: f32, frame: &Partials, memory: u32) {
        // Frames of an interruption that is over belong to the tone.
        self.frames += 1 + self.gap;
        self.gap = 0;
        self.hz += (hz - self.hz) / self.frames.min(memory) as f32;
        let alike =
            (hz - self.last_hz).abs() < BEEP_STEADY_HZ && (frame.level_dbfs - self.last_dbfs).abs() < BEEP_STEADY_DB;
        self.steady += u32::from(alike && frame.purity > BEEP_PURITY);
        (self.last_hz, self.last_dbfs) = (hz, frame.level_dbfs);
        self.supervisory |= frame.patterns != 0;
    }

    fn ms(&self) -> u32 {
        (self.frames * STEP_MS).saturating_sub(LENGTHENED_MS)
    }

    /// How long it must have been to be a beep.
    fn least_ms(&self) -> u32 {
        if self.hz < HUM_HZ { HUM_MS } else { BEEP_MS }
    }

    fn is(&self, hz: f32, within: f32) -> bool {
        (self.hz - hz).abs() <= within
    }
}

/// Follows single tones, frame by frame.
#[derive(Debug, Clone, Default)]
pub(super) struct LoneTones {
    /// The tone that sounds, if any frames.
    now: Tone,
    /// A tone that may take its place.
    next: Tone,
    /// The latest tones that ended, oldest first; 0 frames where there is none.
    ended: [Tone; 3],
    /// The last one waits to be called a beep.
    pending: bool,
    said_ced: bool,
}

impl LoneTones {
    /// Takes a frame; `spoke` says that a voice was heard before, without which a tone of the plan is never a beep.
    pub(super) fn step(&mut self, frame: &Partials, spoke: bool) -> Option<Said> {
        for tone in &mut self.ended {
            tone.gap = tone.gap.saturating_add(1);
        }
        if let Some(hz) = frame.pure_hz {
            if self.now.frames > 0 && same(&self.now, hz) {
                self.now.follow(hz, frame, 8);
                self.next.frames = 0;
                return self.sounding();
            }
            if self.next.frames > 0 && same(&self.next, hz) {
                self.next.follow(hz, frame, u32::MAX);
            } else {
                self.next = Tone { hz, last_hz: hz, last_dbfs: frame.level_dbfs, ..Tone::default() };
                self.next.follow(hz, frame, 1);
            }
        } else {
            self.next.frames = 0;
        }
        let mut said = None;
        if self.now.frames > 0 {
            self.now.gap += 1;
            if self.now.gap >= END_FRAMES || self.next.frames >= BEGIN_FRAMES {
                said = self.end();
            }
        }
        if self.now.frames == 0 && self.next.frames >= BEGIN_FRAMES {
            // A tone right behind another is no beep, and makes the one before none.
            self.pending = false;
            self.now = std::mem::take(&mut self.next);
            self.said_ced = false;
        }
        said.or_else(|| self.wait(spoke))
    }

    /// Answer tones are told while they sound.
    fn sounding(&mut self) -> Option<Said> {
        if !self.said_ced && self.now.is(2100.0, 20.0) && self.now.ms() >= 500 {
            self.said_ced = true;
            return Some(Said::FaxCed);
        }
        None
    }

    fn end(&mut self) -> Option<Said> {
        let tone = std::mem::take(&mut self.now);
        self.ended.rotate_left(1);
        self.ended[2] = tone;
        self.pending = false;
        if let Some(kind) = self.special_information() {
            self.ended = [Tone::default(); 3];
            return Some(Said::Sit(kind));
        }
        if tone.is(1100.0, 42.0) && (400..=600).contains(&tone.ms()) {
            return Some(Said::FaxCng);
        }
        let alone = self.ended[1].frames == 0 || self.ended[1].gap > tone.frames + 10;
        let steady = tone.steady >= tone.frames.saturating_sub(BEEP_EDGE_FRAMES).max(2);
        self.pending = alone
            && steady
            && !self.said_ced
            && (tone.least_ms()..=2500).contains(&(tone.ms() + STEP_MS))
            && (BEEP_HZ[0]..=BEEP_HZ[1]).contains(&tone.hz);
        None
    }

    /// A tone is a beep when no other followed for a while; one of the plan, when it is no busy tone either.
    fn wait(&mut self, spoke: bool) -> Option<Said> {
        let tone = self.ended[2];
        if !self.pending || self.next.frames > 0 || self.now.frames > 0 {
            return None;
        }
        if tone.supervisory && !spoke {
            self.pending = false;
            return None;
        }
        let frames = if tone.supervisory { 40 } else { 8 };
        if tone.gap < frames {
            return None;
        }
        self.pending = false;
        Some(Said::Beep { hz: tone.hz, duration_ms: tone.ms() })
    }

    fn special_information(&self) -> Option<Sit> {
        let [first, second, third] = &self.ended;
        let lengths = [first, second, third].map(Tone::ms);
        let close = first.gap <= second.frames + third.frames + 14 && second.gap <= third.frames + 9;
        let pitched = first.is(950.0, 50.0) && second.is(1400.0, 50.0) && third.is(1800.0, 50.0);
        if !close || !pitched || lengths.iter().any(|ms| !(190..=450).contains(ms)) {
            return None;
        }
        let long = |ms: u32| ms >= 330;
        let high_low = |tone: &Tone, low: f32, high: f32| match tone.hz {
            hz if (hz - low).abs() < 16.0 => Some(false),
            hz if (hz - high).abs() < 16.0 => Some(true),
            _ => None,
        };
        Some(match (high_low(first, 913.8, 985.2), high_low(second, 1370.6, 1428.5)) {
            (Some(false), Some(false)) if long(lengths[0]) && long(lengths[1]) => Sit::NoCircuit,
            (Some(false), Some(false)) => Sit::Intercept,
            (Some(true), Some(true)) => Sit::NoCircuit,
            (Some(false), Some(true)) => Sit::Reorder,
            (Some(true), Some(false)) if long(lengths[0]) => Sit::VacantCode,
            (Some(true), Some(false)) => Sit::Reorder,
            _ => Sit::Unspecified,
        })
    }
}

fn same(tone: &Tone, hz: f32) -> bool {
    (tone.hz - hz).abs() <= if tone.frames < 3 { STEADY_HZ } else { WANDER_HZ }
}
