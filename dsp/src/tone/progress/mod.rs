//! Call progress: what answers a call that was placed - a network's tones, a fax, a machine's beep, or a voice.
//!
//! Frames of 64 ms every 20 ms are told apart into tones of the country's plan, other single tones, voice and quiet;
//! their rhythm is the answer. Tones: ITU-T E.180 (supervisory and special information tones), GR-674/SR-2275 (the
//! four kinds of special information), T.30 (CNG, CED).

use super::cadence::Cadence;
use super::partials::{self, HOP, Partials, WINDOW};
use super::plan::{Meaning, Plan};
use super::{Fourier, Narrowband, UnknownRate};
use crate::Simd;

mod lone_tone;

pub use lone_tone::Sit;
use lone_tone::{LoneTones, Said};

/// Frames of the last 320 ms that must be voiced.
const VOICE_FRAMES: u32 = 8;
const VOICE_WINDOW: u32 = 0xffff;
/// Voice stands this much above the background, and never lies below this level.
const ABOVE_FLOOR_DB: f32 = 9.0;
const VOICE_DBFS: f32 = -42.0;
/// The background follows quieter frames quickly and louder ones by this much a frame.
const FLOOR_RISE_DB: f32 = 0.05;
/// Quiet after which [`Progress::Silence`] is said: longer than any pause of a ringback.
const SILENCE_FRAMES: u32 = 250;
/// Frames of voice after which a cadence is over.
const CADENCE_ENDS_FRAMES: u32 = 6;

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// Dial tone, for three seconds without a break.
    Dial,
    /// The called side is rung: after the first whole tone and most of a second of pause (or two tones of a pair);
    /// after a voice, when the second tone has come too.
    Ringback,
    /// Busy: after two whole tones.
    Busy,
    /// Congestion, also called reorder or fast busy: after two whole tones.
    Congestion,
    /// A special information tone; an announcement follows.
    Sit(Sit),
    /// A fax is calling: 1100 Hz for half a second (T.30).
    FaxCng,
    /// A fax or modem answers: 2100 Hz for half a second and more (T.30, V.25, V.8).
    FaxCed,
    /// One sustained tone of 350 to 2500 Hz and 80 to 2500 ms that no other tone follows: a machine begins to record. Below
    /// 500 Hz, where voices hum, it is at least 180 ms long.
    Beep {
        /// Its frequency in Hz, within 3.
        hz: f32,
        /// How long it sounded in ms, within 30.
        duration_ms: u32,
    },
    /// Somebody, or a recording, speaks (or music plays).
    Voice,
    /// Five seconds of quiet.
    Silence,
}

/// What was heard, and when it was clear.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProgressEvent {
    /// What it is.
    pub progress: Progress,
    /// Samples of the input up to the moment of the decision.
    pub at: u64,
}

/// Classifies what is heard of one call that was placed.
///
/// [`Progress::Dial`], `Ringback`, `Busy`, `Congestion`, `Voice` and `Silence` are states: each is said when it is
/// entered, and again only after another one. The others are said each time. All memory is in the struct (4.5 kB).
#[derive(Debug, Clone)]
pub struct Classifier {
    simd: Simd,
    narrowband: Narrowband,
    listener: Listener,
}

impl Classifier {
    /// A classifier of sound at `rate` Hz (8000, 16000 or 48000) from a network with the tones of `plan`.
    ///
    /// # Errors
    /// [`UnknownRate`] for any other rate.
    pub fn new(rate: u32, plan: &'static Plan) -> Result<Self, UnknownRate> {
        Self::with_simd(rate, plan, Simd::detect())
    }

    /// As [`Classifier::new`], with the instructions given; results are the same bit for bit.
    ///
    /// # Errors
    /// [`UnknownRate`] for a rate other than 8000, 16000 and 48000.
    pub fn with_simd(rate: u32, plan: &'static Plan, simd: Simd) -> Result<Self, UnknownRate> {
        let _ = Fourier::of_512();
        let narrowband = Narrowband::new(rate)?;
        let factor = u64::from(narrowband.factor());
        Ok(Self { simd, narrowband, listener: Listener::new(plan, factor) })
    }

    /// Listens to the next samples (-1..1, any number of them) and hands over what was understood, in order.
    pub fn process(&mut self, pcm: &[f32], mut heard: impl FnMut(ProgressEvent)) {
        let Self { simd, narrowband, listener } = self;
        narrowband.process(pcm, |piece| listener.take(*simd, piece, &mut heard));
    }

    /// The state that was said last: dial, ringback, busy, congestion, voice or silence.
    #[must_use]
    pub fn state(&self) -> Option<Progress> {
        self.listener.state
    }
}

#[derive(Debug, Clone)]
struct Listener {
    plan: &'static Plan,
    factor: u64,
    window: [f32; WINDOW],
    filled: usize,
    position: u64,
    cadence: Cadence,
    tones: LoneTones,
    floor_dbfs: f32,
    /// One bit a frame, the newest lowest.
    voiced: u32,
    quiet: u32,
    state: Option<Progress>,
}

impl Listener {
    fn new(plan: &'static Plan, factor: u64) -> Self {
        Self {
            plan,
            factor,
            window: [0.0; WINDOW],
            filled: WINDOW - HOP,
            position: 0,
            cadence: Cadence::default(),
            tones: LoneTones::default(),
            floor_dbfs: -60.0,
            voiced: 0,
            quiet: 0,
            state: None,
        }
    }

    fn take(&mut self, simd: Simd, mut piece: &[f32], heard: &mut impl FnMut(ProgressEvent)) {
        while !piece.is_empty() {
            let (now, rest) = piece.split_at(piece.len().min(WINDOW - self.filled));
            self.window[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            piece = rest;
            if self.filled == WINDOW {
                self.position += HOP as u64;
                let frame = partials::find(simd, self.plan, &self.window);
                self.frame(&frame, heard);
                self.window.copy_within(HOP.., 0);
                self.filled = WINDOW - HOP;
            }
        }
    }

    fn frame(&mut self, frame: &Partials, heard: &mut impl FnMut(ProgressEvent)) {
        let at = self.position * self.factor;
        let mut say = |progress| heard(ProgressEvent { progress, at });
        let tonal = frame.pure_hz.is_some() || frame.patterns != 0;
        self.follow_voice(frame, tonal);

        let spoke = self.state == Some(Progress::Voice);
        let cadence = self.cadence.step(self.plan, frame.patterns, spoke);
        if self.voiced.trailing_ones() >= CADENCE_ENDS_FRAMES {
            self.cadence.reset();
        }
        if let Some(said) = self.tones.step(frame, spoke) {
            say(match said {
                Said::Sit(kind) => Progress::Sit(kind),
                Said::FaxCng => Progress::FaxCng,
                Said::FaxCed => Progress::FaxCed,
                Said::Beep { hz, duration_ms } => Progress::Beep { hz, duration_ms },
            });
        }
        let state = match cadence {
            Some(Meaning::Dial) => Some(Progress::Dial),
            Some(Meaning::Ringback) => Some(Progress::Ringback),
            Some(Meaning::Busy) => Some(Progress::Busy),
            Some(Meaning::Congestion) => Some(Progress::Congestion),
            None if (self.voiced & VOICE_WINDOW).count_ones() >= VOICE_FRAMES => Some(Progress::Voice),
            None if self.quiet >= SILENCE_FRAMES => Some(Progress::Silence),
            None => None,
        };
        if state.is_some() && state != self.state {
            self.state = state;
            state.into_iter().for_each(say);
        }
    }

    fn follow_voice(&mut self, frame: &Partials, tonal: bool) {
        let level = frame.level_dbfs;
        let voiced = !tonal && frame.gathered && level > VOICE_DBFS.max(self.floor_dbfs + ABOVE_FLOOR_DB);
        self.voiced = self.voiced << 1 | u32::from(voiced);
        self.quiet = if tonal || level > VOICE_DBFS.max(self.floor_dbfs + ABOVE_FLOOR_DB) {
            0
        } else {
            self.quiet.saturating_add(1)
        };
        if level < self.floor_dbfs {
            self.floor_dbfs += (level - self.floor_dbfs) * 0.3;
        } else if !tonal {
            self.floor_dbfs += FLOOR_RISE_DB;
        }
        self.floor_dbfs = self.floor_dbfs.clamp(-75.0, -35.0);
    }
}
