//! A stream's sound at whatever rate its peer has, in the frames and at the rate of its leg.

use trunkline_dsp::resample::Resampler;
use trunkline_leg::StreamPeer;

/// The rate of a leg for a peer's: its own where a leg has it, else the nearest that loses nothing of speech.
pub(crate) const fn leg_rate(peer: u32) -> u32 {
    if peer < 16_000 { 8000 } else { 16_000 }
}

/// Both ways of a stream's sound.
#[derive(Debug)]
pub(crate) struct Sound {
    peer_rate: u32,
    leg: StreamPeer,
    /// Between the two rates, up and down; `None` where they are the same.
    resamplers: Option<[Resampler; 2]>,
    /// Less than a frame, at the leg's rate.
    pending: Vec<i16>,
    scratch: Vec<i16>,
    dropped: u64,
}

impl Sound {
    /// Sound between `leg` and a peer of `peer_rate` Hz; `None` for a rate that there is no filter for.
    pub(crate) fn new(peer_rate: u32, leg: StreamPeer) -> Option<Self> {
        let mut sound = Self { peer_rate, leg, resamplers: None, pending: Vec::new(), scratch: Vec::new(), dropped: 0 };
        sound.set_rate(peer_rate).then_some(sound)
    }

    /// The peer goes on at another rate; false when there is no filter for it.
    pub(crate) fn set_rate(&mut self, peer: u32) -> bool {
        let leg = self.leg.rate();
        self.resamplers = if peer == leg {
            None
        } else {
            let (Ok(up), Ok(down)) = (Resampler::new(peer, leg), Resampler::new(leg, peer)) else { return false };
            Some([up, down])
        };
        self.peer_rate = peer;
        true
    }

    pub(crate) const fn rate(&self) -> u32 {
        self.peer_rate
    }

    pub(crate) const fn leg(&mut self) -> &mut StreamPeer {
        &mut self.leg
    }

    /// Samples of the peer, 16-bit little-endian. What comes faster than it can be heard is dropped and counted.
    pub(crate) fn hear(&mut self, samples: &[u8]) {
        let pcm = samples.chunks_exact(2).map(|bytes| i16::from_le_bytes([bytes[0], bytes[1]]));
        match &mut self.resamplers {
            None => self.pending.extend(pcm),
            Some([up, _]) => {
                self.scratch.clear();
                self.scratch.extend(pcm);
                let begin = self.pending.len();
                self.pending.resize(begin + up.max_output(self.scratch.len()), 0);
                let made = up.process(&self.scratch, &mut self.pending[begin..]);
                self.pending.truncate(begin + made);
            }
        }
        let frame = (self.leg.rate() / 50) as usize;
        let mut frames = self.pending.chunks_exact(frame);
        for frame in &mut frames {
            self.dropped += u64::from(self.leg.hear(frame).is_err());
        }
        let rest = frames.remainder().len();
        self.pending.drain(..self.pending.len() - rest);
    }

    /// `pcm` of the leg at the peer's rate.
    pub(crate) fn say<'a>(&'a mut self, pcm: &'a [i16]) -> &'a [i16] {
        let Some([_, down]) = &mut self.resamplers else { return pcm };
        self.scratch.resize(down.max_output(pcm.len()), 0);
        let made = down.process(pcm, &mut self.scratch);
        &self.scratch[..made]
    }

    /// Frames dropped since the last look.
    pub(crate) const fn take_dropped(&mut self) -> u64 {
        std::mem::replace(&mut self.dropped, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_leg::stream_ends;

    fn bytes(samples: usize) -> Vec<u8> {
        (0..samples).flat_map(|n| ((n % 100) as i16).to_le_bytes()).collect()
    }

    #[test]
    fn messages_of_any_length_become_whole_frames() {
        let (peer, mut end) = stream_ends(8000);
        let mut sound = Sound::new(8000, peer).unwrap();
        for piece in bytes(1000).chunks(2 * 37) {
            sound.hear(piece);
        }
        let heard: Vec<i16> = std::iter::from_fn(|| end.heard()).flat_map(|frame| frame.pcm().to_vec()).collect();
        assert_eq!(heard.len(), 960);
        assert!(heard.iter().enumerate().all(|(n, sample)| *sample == (n % 100) as i16));
        assert_eq!(sound.take_dropped(), 0);
    }

    #[test]
    fn a_flood_is_dropped_and_counted() {
        let (peer, _end) = stream_ends(8000);
        let mut sound = Sound::new(8000, peer).unwrap();
        sound.hear(&bytes(160 * 40));
        assert_eq!((sound.take_dropped(), sound.take_dropped()), (15, 0));
    }

    #[test]
    fn other_rates_are_brought_to_the_legs_and_back() {
        for rate in [24_000, 32_000, 44_100, 48_000] {
            let (peer, mut end) = stream_ends(leg_rate(rate));
            let mut sound = Sound::new(rate, peer).unwrap();
            for _ in 0..20 {
                sound.hear(&bytes(rate as usize / 50));
            }
            let frames = std::iter::from_fn(|| end.heard()).count();
            assert!((18..=20).contains(&frames), "{rate}: {frames}");
            let said: usize = (0..20).map(|_| sound.say(&vec![0; leg_rate(rate) as usize / 50]).len()).sum();
            assert!(said.abs_diff(rate as usize * 2 / 5) <= 40, "{rate}: {said}");
        }
        assert!(Sound::new(12_000, stream_ends(8000).0).is_none());
    }
}
