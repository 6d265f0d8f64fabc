//! Both directions of a call on one time axis, from the moment it was answered.

use crate::rtp::{FRAME, Received};
use std::io;
use std::path::Path;
use trunkline_dsp::level::rms_dbfs;

/// Samples per microsecond of 8 kHz audio, inverted: 125 us a sample.
const SAMPLE_US: u64 = 125;
/// Ten minutes; a call that lasts longer is recorded no further.
const LONGEST: usize = 8000 * 600;
/// A packet that its timestamp puts this far from its arrival begins a new time base.
const DRIFT: u64 = 8000;

/// An audio packet of the agent's, as it came in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival {
    /// Microseconds since the INVITE was sent.
    pub at_us: u64,
    /// Its RTP timestamp, in samples at 8 kHz.
    pub timestamp: u32,
    /// Its loudness, root mean square, in dBFS.
    pub level_dbfs: f32,
    /// Where its first sample lies in the agent's side of the recording.
    pub sample: usize,
}

/// Collects samples; times are microseconds on the caller's clock.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    began: u64,
    caller: Vec<i16>,
    agent: Vec<i16>,
    base: Option<Base>,
    /// Audio packets received, and sequence numbers missed.
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) longest_gap_us: u64,
    last_arrival: Option<u64>,
    /// When the INVITE was sent.
    invited: u64,
    /// Every packet, in the order they came.
    pub(crate) arrivals: Vec<Arrival>,
}

#[derive(Debug)]
struct Base {
    ssrc: u32,
    timestamp: u32,
    at: u64,
    highest: u16,
}

impl Recording {
    /// Of a call whose INVITE is sent at `now`.
    pub(crate) fn new(now: u64) -> Self {
        Self { invited: now, ..Self::default() }
    }

    /// The call was answered.
    pub(crate) fn begin(&mut self, now: u64) {
        self.began = now;
    }

    /// 20 ms that the caller sent.
    pub(crate) fn caller(&mut self, pcm: &[i16; FRAME]) {
        if self.caller.len() < LONGEST {
            self.caller.extend_from_slice(pcm);
        }
    }

    /// A packet of the agent's, placed where its timestamp says.
    pub(crate) fn agent(&mut self, now: u64, packet: &Received) {
        self.received += 1;
        if let Some(before) = self.last_arrival.replace(now) {
            self.longest_gap_us = self.longest_gap_us.max(now - before);
        }
        let arrived = now.saturating_sub(self.began) / SAMPLE_US;
        let mut at = arrived;
        match &mut self.base {
            Some(base) if base.ssrc == packet.ssrc => {
                let step = packet.sequence.wrapping_sub(base.highest);
                if step > 0 && step < 0x8000 {
                    self.lost += u64::from(step - 1);
                    base.highest = packet.sequence;
                } else if step != 0 {
                    // It was late, not lost.
                    self.lost = self.lost.saturating_sub(1);
                }
                let offset = packet.timestamp.wrapping_sub(base.timestamp).cast_signed();
                at = base.at.saturating_add_signed(i64::from(offset));
                if at.abs_diff(arrived) > DRIFT {
                    (base.timestamp, base.at) = (packet.timestamp, arrived);
                    at = arrived;
                }
            }
            _ => {
                self.base = Some(Base { ssrc: packet.ssrc, timestamp: packet.timestamp, at, highest: packet.sequence });
            }
        }
        let Ok(at) = usize::try_from(at) else { return };
        if self.arrivals.len() < LONGEST / FRAME {
            let at_us = now.saturating_sub(self.invited);
            let Received { timestamp, pcm, .. } = packet;
            self.arrivals.push(Arrival { at_us, timestamp: *timestamp, level_dbfs: rms_dbfs(pcm), sample: at });
        }
        let end = at + packet.pcm.len();
        if end > LONGEST {
            return;
        }
        if self.agent.len() < end {
            self.agent.resize(end, 0);
        }
        self.agent[at..end].copy_from_slice(&packet.pcm);
    }

    /// The caller's and the agent's samples, equally long.
    pub(crate) fn finish(mut self) -> (Vec<i16>, Vec<i16>) {
        let length = self.caller.len().max(self.agent.len());
        self.caller.resize(length, 0);
        self.agent.resize(length, 0);
        (self.caller, self.agent)
    }
}

/// Writes 8 kHz, 16-bit stereo: the caller left, the agent right.
pub fn write_wav(file: &Path, caller: &[i16], agent: &[i16]) -> io::Result<()> {
    let spec =
        hound::WavSpec { channels: 2, sample_rate: 8000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(file, spec).map_err(io::Error::other)?;
    for (&left, &right) in caller.iter().zip(agent) {
        writer.write_sample(left).map_err(io::Error::other)?;
        writer.write_sample(right).map_err(io::Error::other)?;
    }
    writer.finalize().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16, timestamp: u32, level: i16) -> Received {
        Received { sequence, timestamp, ssrc: 9, pcm: vec![level; FRAME] }
    }

    #[test]
    fn packets_lie_where_their_timestamps_say_and_gaps_are_counted_once() {
        let mut recording = Recording::new(400_000);
        recording.begin(1_000_000);
        recording.agent(1_020_000, &packet(65_535, u32::MAX - 159, 1));
        recording.agent(1_075_000, &packet(2, 320, 4));
        recording.agent(1_080_000, &packet(1, 160, 3));
        assert_eq!((recording.received, recording.lost), (3, 1));
        assert_eq!(recording.longest_gap_us, 55_000);
        let arrived: Vec<u64> = recording.arrivals.iter().map(|arrival| arrival.at_us).collect();
        assert_eq!(arrived, [620_000, 675_000, 680_000], "as they came, since the INVITE");
        let lie: Vec<usize> = recording.arrivals.iter().map(|arrival| arrival.sample).collect();
        assert_eq!(lie, [160, 640, 480]);
        let (caller, agent) = recording.finish();
        assert_eq!(caller.len(), agent.len());
        let starts: Vec<i16> = agent.chunks(FRAME).map(|c| c[0]).collect();
        assert_eq!(starts, [0, 1, 0, 3, 4]);
    }
}
