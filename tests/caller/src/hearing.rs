//! What the caller can tell of the agent's voice by its loudness: when it speaks, since when, and since when not.

use trunkline_dsp::level::rms_dbfs;

/// A frame louder than this is speech; comfort noise and idle lines lie below.
const SPEECH_DBFS: f32 = -45.0;
/// Speech begins with this many loud frames in a row.
const ONSET_FRAMES: u32 = 2;
/// Speech is over after this long without a loud frame; pauses between words are shorter.
const RELEASE_US: u64 = 240_000;

/// A change of the agent's voice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Speech began at this time.
    Started(u64),
    /// Speech lasted from the first to the second time.
    Stopped(u64, u64),
}

/// Follows one voice; times are microseconds on the caller's clock.
#[derive(Debug, Default)]
pub(crate) struct Hearing {
    loud_frames: u32,
    began: Option<u64>,
    onset: u64,
    last_loud: u64,
}

impl Hearing {
    /// A frame of the agent's audio that arrived at `now` and lasts `length_us`.
    pub(crate) fn handle_frame(&mut self, now: u64, pcm: &[i16], length_us: u64) -> Option<Change> {
        if rms_dbfs(pcm) < SPEECH_DBFS {
            self.loud_frames = 0;
            return self.handle_time(now);
        }
        if self.loud_frames == 0 {
            self.onset = now;
        }
        self.loud_frames += 1;
        if self.began.is_some() {
            self.last_loud = now + length_us;
        } else if self.loud_frames >= ONSET_FRAMES {
            self.last_loud = now + length_us;
            self.began = Some(self.onset);
            return Some(Change::Started(self.onset));
        }
        None
    }

    /// Time passes, with or without packets.
    pub(crate) fn handle_time(&mut self, now: u64) -> Option<Change> {
        let began = self.began?;
        if now < self.last_loud + RELEASE_US {
            return None;
        }
        self.began = None;
        Some(Change::Stopped(began, self.last_loud))
    }

    /// Since when the agent has been speaking.
    pub(crate) const fn speaking_since(&self) -> Option<u64> {
        self.began
    }

    /// When the agent was last loud; 0 when never.
    pub(crate) const fn last_loud(&self) -> u64 {
        self.last_loud
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_reported_with_its_own_ends_not_with_the_moment_of_noticing() {
        let mut hearing = Hearing::default();
        let (loud, quiet) = ([8000_i16; 160], [0_i16; 160]);
        let mut changes = Vec::new();
        for frame in 0..100_u64 {
            let speaking = (10..50).contains(&frame) && !(20..26).contains(&frame);
            let pcm = if speaking { &loud } else { &quiet };
            changes.extend(hearing.handle_frame(frame * 20_000, pcm, 20_000));
        }
        assert_eq!(changes, [Change::Started(200_000), Change::Stopped(200_000, 1_000_000)]);
    }

    #[test]
    fn a_single_click_is_not_speech_and_lost_packets_end_it() {
        let mut hearing = Hearing::default();
        assert_eq!(hearing.handle_frame(0, &[8000; 160], 20_000), None);
        assert_eq!(hearing.handle_frame(20_000, &[0; 160], 20_000), None);
        hearing.handle_frame(40_000, &[8000; 160], 20_000);
        assert_eq!(hearing.handle_frame(60_000, &[8000; 160], 20_000), Some(Change::Started(40_000)));
        assert_eq!(hearing.handle_time(319_999), None);
        assert_eq!(hearing.handle_time(320_000), Some(Change::Stopped(40_000, 80_000)));
    }
}
