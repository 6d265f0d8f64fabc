//! A tap: both voices of a leg, a tick at a time, from a media worker that never waits to somebody who may.
//!
//! The ring carries words of 16 bits. Each tick is one word that says what follows (samples a voice, muted, silent) and
//! then the samples of both voices, interleaved; a silent tick is that one word. So time is never lost: what found no
//! room is owed as silence, and silence nearly always finds room.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use rtrb::{Consumer, Producer, RingBuffer};

use crate::frame::MAX_FRAME_SAMPLES;

/// Ticks a second.
const TICKS_PER_S: u32 = 50;
/// Of the first word of a tick: samples a voice, and what is special about it.
const SAMPLES: i16 = 0x0fff;
const MUTED: i16 = 0x1000;
const SILENT: i16 = 0x2000;
/// Ticks of silence that are made up for in one tick at most.
const OWED_PER_TICK: u32 = 200;

/// The consent tone: 1400 Hz for 200 ms, as telephone companies have warned of recorders with, at about -16 dBFS.
const BEEP_HZ: f32 = 1400.0;
const BEEP_PEAK: f32 = 5200.0;
const BEEP_TICKS: u32 = 10;
/// Ticks from one tone to the next where it is repeated: 15 s.
const BEEP_EVERY: u32 = 15 * TICKS_PER_S;

/// When the caller hears that the call is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Beep {
    /// Never.
    #[default]
    Never,
    /// Once, when recording begins.
    Start,
    /// When recording begins, and every 15 s.
    Repeat,
}

/// What is wanted of a tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapMode {
    /// Both voices.
    Running,
    /// Silence in place of both voices.
    Muted,
    /// Nothing any more; for good.
    Stopped,
}

/// What became of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Tapped {
    /// It is on its way.
    Kept,
    /// There was no room; silence will stand for it.
    Dropped,
    /// Nobody wants it any more: the tap is to be dropped.
    Over,
}

#[derive(Debug, Default)]
struct Shared {
    mode: AtomicU8,
    /// Silence takes the place of what is heard, whatever the mode.
    concealed: AtomicBool,
    dropped: AtomicU64,
}

impl Shared {
    fn mode(&self) -> TapMode {
        match self.mode.load(Ordering::Relaxed) {
            0 => TapMode::Running,
            1 => TapMode::Muted,
            _ => TapMode::Stopped,
        }
    }

    /// Changes the mode unless the tap was stopped; true when it changed.
    fn change(&self, mode: TapMode) -> bool {
        let wanted = match mode {
            TapMode::Running => 0,
            TapMode::Muted => 1,
            TapMode::Stopped => 2,
        };
        let change = |now| (now != 2 && now != wanted).then_some(wanted);
        self.mode.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok()
    }
}

/// Media's end. Dropping it ends the tap and frees nothing while the feed is there.
#[derive(Debug)]
pub struct TapEnd {
    // Dropped before the ring, whose end the feed takes for the end of everything.
    shared: Arc<Shared>,
    beep: Beep,
    ticks: u32,
    /// Where the tone is, in turns.
    phase: f32,
    /// Ticks that are owed as silence.
    owed: u64,
    ring: Producer<i16>,
}

impl TapEnd {
    /// Mixes the consent tone into what the far end will hear, 20 ms at any rate, when it is due; true when it was.
    /// Belongs before [`Self::record`] of the same tick.
    pub fn mix_beep(&mut self, said: &mut [i16]) -> bool {
        let at = match self.beep {
            Beep::Never => return false,
            Beep::Start => self.ticks,
            Beep::Repeat => self.ticks % BEEP_EVERY,
        };
        if at >= BEEP_TICKS || said.is_empty() || self.shared.mode() != TapMode::Running {
            return false;
        }
        let length = said.len();
        let step = BEEP_HZ / (length as f32 * TICKS_PER_S as f32);
        for (n, sample) in said.iter_mut().enumerate() {
            // A quarter of a tick to rise and to fall, so that it does not click.
            let edge = match at {
                0 => n,
                _ if at == BEEP_TICKS - 1 => length - 1 - n,
                _ => length,
            };
            let gain = (4.0 * edge as f32 / length as f32).min(1.0);
            let tone = BEEP_PEAK * gain * (self.phase * std::f32::consts::TAU).sin();
            *sample = sample.saturating_add(tone as i16);
            self.phase = (self.phase + step).fract();
        }
        true
    }

    /// Leaves 20 ms of both voices, at whatever rate they have, for whoever listens. Never waits and never allocates.
    /// Voices longer than [`MAX_FRAME_SAMPLES`] are cut.
    pub fn record(&mut self, heard: &[i16], said: &[i16]) -> Tapped {
        self.ticks = self.ticks.wrapping_add(1);
        let samples = heard.len().min(said.len()).min(MAX_FRAME_SAMPLES);
        let length = samples as i16;
        let mode = self.shared.mode();
        if mode == TapMode::Stopped {
            return Tapped::Over;
        }
        for _ in 0..OWED_PER_TICK {
            if self.owed == 0 || self.ring.push(length | SILENT).is_err() {
                break;
            }
            self.owed -= 1;
        }
        let kept = self.owed == 0
            && match mode {
                TapMode::Running => {
                    let concealed = self.shared.concealed.load(Ordering::Relaxed);
                    self.write(length, &heard[..samples], &said[..samples], concealed)
                }
                TapMode::Muted | TapMode::Stopped => self.ring.push(length | SILENT | MUTED).is_ok(),
            };
        if kept {
            return Tapped::Kept;
        }
        self.owed += 1;
        self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        Tapped::Dropped
    }

    /// `ticks` never happened: silence stands for them.
    pub fn skip(&mut self, ticks: u64) {
        self.owed = self.owed.saturating_add(ticks);
        self.ticks = self.ticks.wrapping_add(ticks as u32);
    }

    fn write(&mut self, header: i16, heard: &[i16], said: &[i16], concealed: bool) -> bool {
        let Ok(chunk) = self.ring.write_chunk_uninit(1 + 2 * heard.len()) else { return false };
        let pairs = heard.iter().zip(said).flat_map(|(heard, said)| [if concealed { 0 } else { *heard }, *said]);
        chunk.fill_from_iter(std::iter::once(header).chain(pairs));
        true
    }
}

/// A tick of both voices.
#[derive(Debug, Clone)]
pub struct TapFrame {
    samples: usize,
    muted: bool,
    heard: [i16; MAX_FRAME_SAMPLES],
    said: [i16; MAX_FRAME_SAMPLES],
}

impl TapFrame {
    /// An empty one, to be read into.
    #[must_use]
    pub const fn new() -> Self {
        Self { samples: 0, muted: false, heard: [0; MAX_FRAME_SAMPLES], said: [0; MAX_FRAME_SAMPLES] }
    }

    /// Rate of the sound in Hz.
    #[must_use]
    pub const fn rate(&self) -> u32 {
        self.samples as u32 * TICKS_PER_S
    }

    /// Whether silence was asked for.
    #[must_use]
    pub const fn muted(&self) -> bool {
        self.muted
    }

    /// What came from the far end.
    #[must_use]
    pub fn heard(&self) -> &[i16] {
        &self.heard[..self.samples]
    }

    /// What was sent to it.
    #[must_use]
    pub fn said(&self) -> &[i16] {
        &self.said[..self.samples]
    }
}

impl Default for TapFrame {
    fn default() -> Self {
        Self::new()
    }
}

/// The listener's end.
#[derive(Debug)]
pub struct TapFeed {
    ring: Consumer<i16>,
}

impl TapFeed {
    /// Reads the next tick into `frame`; false when there is none yet.
    pub fn read(&mut self, frame: &mut TapFrame) -> bool {
        let Ok(header) = self.ring.peek().copied() else { return false };
        let samples = usize::from((header & SAMPLES).cast_unsigned()).min(MAX_FRAME_SAMPLES);
        let silent = header & SILENT != 0;
        let words = if silent { 1 } else { 1 + 2 * samples };
        let Ok(chunk) = self.ring.read_chunk(words) else { return false };
        frame.samples = samples;
        frame.muted = header & MUTED != 0;
        if silent {
            frame.heard[..samples].fill(0);
            frame.said[..samples].fill(0);
            chunk.commit_all();
        } else {
            let mut words = chunk.into_iter().skip(1);
            for (heard, said) in frame.heard.iter_mut().zip(&mut frame.said).take(samples) {
                *heard = words.next().unwrap_or_default();
                *said = words.next().unwrap_or_default();
            }
        }
        true
    }

    /// Whether media has let go of the tap. What it left before can still be read: ask before reading.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ring.is_abandoned()
    }
}

/// Decides, from any thread, what a tap carries from the next tick on.
#[derive(Debug, Clone)]
pub struct TapControl {
    shared: Arc<Shared>,
}

impl TapControl {
    /// Puts silence in place of both voices; false when it was so already or the tap was stopped.
    pub fn mute(&self) -> bool {
        self.shared.change(TapMode::Muted)
    }

    /// Lets both voices through again; false when they were or the tap was stopped.
    pub fn unmute(&self) -> bool {
        self.shared.change(TapMode::Running)
    }

    /// Puts silence in place of what comes from the far end, or lets it through again; what is sent to it stays. That is
    /// apart from [`Self::mute`] and [`Self::unmute`], which do not change it.
    pub fn conceal(&self, on: bool) {
        self.shared.concealed.store(on, Ordering::Relaxed);
    }

    /// Ends the tap; false when it was stopped already.
    pub fn stop(&self) -> bool {
        self.shared.change(TapMode::Stopped)
    }

    /// What was asked for last.
    #[must_use]
    pub fn mode(&self) -> TapMode {
        self.shared.mode()
    }

    /// Ticks of 20 ms that found no room, so that silence stands for them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

/// Makes a tap whose ring holds `ring_ms` of both voices at `rate` Hz.
#[must_use]
pub fn tap(rate: u32, ring_ms: u32, beep: Beep) -> (TapEnd, TapFeed, TapControl) {
    let ticks = (ring_ms * TICKS_PER_S).div_ceil(1000).max(1);
    let words = ticks * (1 + 2 * rate / TICKS_PER_S);
    let (producer, consumer) = RingBuffer::new(words as usize);
    let shared = Arc::<Shared>::default();
    let end = TapEnd { shared: Arc::clone(&shared), beep, ticks: 0, phase: 0.0, owed: 0, ring: producer };
    (end, TapFeed { ring: consumer }, TapControl { shared })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticks(feed: &mut TapFeed) -> Vec<TapFrame> {
        let mut frame = TapFrame::new();
        std::iter::from_fn(|| feed.read(&mut frame).then(|| frame.clone())).collect()
    }

    #[test]
    fn both_voices_cross_at_whatever_rate_they_have() {
        let (mut end, mut feed, _control) = tap(16_000, 100, Beep::Never);
        assert_eq!(end.record(&[1; 160], &[-1; 160]), Tapped::Kept);
        assert_eq!(end.record(&[2; 320], &[-2; 320]), Tapped::Kept);
        let ticks = ticks(&mut feed);
        assert_eq!(ticks.iter().map(TapFrame::rate).collect::<Vec<_>>(), [8000, 16_000]);
        assert_eq!((ticks[0].heard(), ticks[0].said()), (&[1; 160][..], &[-1; 160][..]));
        assert_eq!((ticks[1].heard(), ticks[1].said()), (&[2; 320][..], &[-2; 320][..]));
        assert!(!feed.is_over());
        drop(end);
        assert!(feed.is_over());
    }

    #[test]
    fn what_finds_no_room_and_what_never_happened_is_silence_in_its_place() {
        let (mut end, mut feed, control) = tap(8000, 100, Beep::Never);
        let dropped = (0..8).filter(|_| end.record(&[7; 160], &[7; 160]) == Tapped::Dropped).count();
        assert_eq!((dropped, control.dropped()), (3, 3));
        let before = ticks(&mut feed).len();
        end.skip(4);
        assert_eq!(end.record(&[9; 160], &[9; 160]), Tapped::Kept);
        let after = ticks(&mut feed);
        assert_eq!((before, after.len()), (5, 3 + 4 + 1));
        assert!(after[..7].iter().all(|tick| tick.heard() == [0; 160] && !tick.muted()));
        assert_eq!(after[7].heard(), [9; 160]);
    }

    #[test]
    fn muting_takes_effect_at_once_and_is_told_and_stopping_is_for_good() {
        let (mut end, mut feed, control) = tap(8000, 1000, Beep::Never);
        assert!(control.mute() && !control.mute());
        assert_eq!(end.record(&[5; 160], &[5; 160]), Tapped::Kept);
        assert!(control.unmute());
        assert_eq!(end.record(&[6; 160], &[6; 160]), Tapped::Kept);
        let ticks = ticks(&mut feed);
        assert!(ticks[0].muted() && ticks[0].heard() == [0; 160] && ticks[0].said() == [0; 160]);
        assert!(!ticks[1].muted() && ticks[1].said() == [6; 160]);
        assert!(control.stop() && !control.unmute() && !control.stop());
        assert_eq!(end.record(&[6; 160], &[6; 160]), Tapped::Over);
        assert_eq!(control.mode(), TapMode::Stopped);
    }

    #[test]
    fn what_is_concealed_stays_so_whoever_unmutes_and_the_other_voice_is_there() {
        let (mut end, mut feed, control) = tap(8000, 1000, Beep::Never);
        control.conceal(true);
        assert_eq!(end.record(&[5; 160], &[6; 160]), Tapped::Kept);
        assert!(control.mute() && control.unmute());
        assert_eq!(end.record(&[5; 160], &[6; 160]), Tapped::Kept);
        control.conceal(false);
        assert_eq!(end.record(&[5; 160], &[6; 160]), Tapped::Kept);
        let ticks = ticks(&mut feed);
        let voices: Vec<(i16, i16)> = ticks.iter().map(|tick| (tick.heard()[0], tick.said()[0])).collect();
        assert_eq!(voices, [(0, 6), (0, 6), (5, 6)]);
        assert!(!ticks[0].muted(), "one of the voices is there");
    }

    #[test]
    fn the_consent_tone_is_1400_hz_for_a_fifth_of_a_second_and_comes_back_when_asked_to() {
        for (beep, tones) in [(Beep::Never, 0), (Beep::Start, 10), (Beep::Repeat, 20)] {
            let (mut end, mut feed, _control) = tap(8000, 100, beep);
            let (mut heard, mut crossings, mut last) = (0, 0, 0);
            for _ in 0..1000 {
                let mut said = [0; 160];
                heard += usize::from(end.mix_beep(&mut said));
                for sample in said {
                    crossings += usize::from(last < 0 && sample >= 0);
                    last = sample;
                }
                let _ = end.record(&[0; 160], &said);
                assert_eq!(ticks(&mut feed).pop().unwrap().said(), said, "the tone is recorded as well");
            }
            assert_eq!(heard, tones, "{beep:?}");
            assert!(crossings.abs_diff(1400 * heard / 50) <= 2 * tones / 10, "{beep:?}: {crossings}");
        }
    }

    proptest! {
        /// However listener and worker interleave, every tick is there once, in order, as sound or as silence.
        #[test]
        fn no_tick_is_ever_lost(reads in prop::collection::vec(any::<bool>(), 1..300)) {
            let (mut end, mut feed, control) = tap(8000, 60, Beep::Never);
            let mut got = Vec::new();
            for (n, read) in reads.iter().enumerate() {
                let _ = end.record(&[n as i16 + 1; 160], &[0; 160]);
                if *read {
                    got.extend(ticks(&mut feed).iter().map(|tick| tick.heard()[0]));
                }
            }
            got.extend(ticks(&mut feed).iter().map(|tick| tick.heard()[0]));
            let silent = got.iter().filter(|value| **value == 0).count() as u64;
            prop_assert!(silent <= control.dropped());
            prop_assert!(got.iter().enumerate().all(|(n, value)| *value == 0 || *value == n as i16 + 1));
            prop_assert!(got.len() <= reads.len() && got.len() as u64 + control.dropped() >= reads.len() as u64);
        }
    }
}
