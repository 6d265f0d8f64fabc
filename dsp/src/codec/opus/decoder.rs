//! The Opus decoder: any packet a network may hand over becomes sound or nothing, never a panic and never more than
//! it says.

use std::panic::{AssertUnwindSafe, catch_unwind};

use opus_rs::OpusDecoder as Engine;

use super::packet::Packet;
use super::{OpusError, RATES};
use crate::codec::Decoder;
use crate::to_i16;

/// Samples of the longest packet: 120 ms at 48 kHz.
const MAX_SAMPLES: usize = 5760;

/// Opus decoder (RFC 6716), mono; stereo packets are mixed down.
pub struct OpusDecoder {
    /// 175 kB, which must not travel by value.
    engine: Box<Engine>,
    rate: u32,
    /// Sound of the packet in work.
    pcm: Box<[f32; MAX_SAMPLES]>,
    /// A packet was decoded, so that there is something to conceal from.
    started: bool,
}

impl OpusDecoder {
    /// A decoder that makes sound at `rate` Hz: 8000, 12000, 16000, 24000 or 48000. Allocates; decoding does not.
    ///
    /// # Errors
    /// [`OpusError::Rate`] for another rate.
    pub fn new(rate: u32) -> Result<Self, OpusError> {
        let engine = Box::new(engine(rate).ok_or(OpusError::Rate)?);
        Ok(Self { engine, rate, pcm: Box::new([0.0; MAX_SAMPLES]), started: false })
    }

    /// Runs `work` on the engine and writes what it made to `out`. A decoder from elsewhere may have a fault that only
    /// a hostile packet finds: that must cost this packet, not the calls of the whole thread.
    fn run(
        &mut self,
        out: &mut [i16],
        work: impl FnOnce(&mut Engine, &mut [f32]) -> Result<usize, &'static str>,
    ) -> usize {
        let made = catch_unwind(AssertUnwindSafe(|| work(&mut self.engine, &mut self.pcm[..])));
        let made = match made {
            Ok(made) => made.unwrap_or(0),
            Err(_) => {
                self.reset();
                0
            }
        };
        let made = made.min(out.len()).min(MAX_SAMPLES);
        for (sample, pcm) in out.iter_mut().zip(&self.pcm[..made]) {
            *sample = to_i16(*pcm);
        }
        made
    }

    /// `samples` rounded up to a multiple of the 2.5 ms that Opus counts in; `None` beyond the longest packet.
    fn whole_ticks(&self, samples: usize) -> Option<usize> {
        let length = samples.checked_next_multiple_of(self.rate as usize / 400)?;
        (0 < length && length <= self.rate as usize * 12 / 100).then_some(length)
    }
}

fn engine(rate: u32) -> Option<Engine> {
    RATES.contains(&rate).then(|| Engine::new(rate.cast_signed(), 1).ok()).flatten()
}

impl std::fmt::Debug for OpusDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpusDecoder").field("rate", &self.rate).finish_non_exhaustive()
    }
}

impl Decoder for OpusDecoder {
    fn rate(&self) -> u32 {
        self.rate
    }

    /// 0 for what is not an Opus packet, and at most 120 ms.
    fn samples(&self, payload: &[u8]) -> usize {
        Packet::parse(payload).map_or(0, |packet| packet.samples(self.rate))
    }

    /// Decodes a packet. A packet of one byte is the sender's silence and is concealed; what is not Opus gives 0.
    fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> usize {
        let samples = self.samples(payload);
        if samples == 0 {
            return 0;
        }
        let made = self.run(out, |engine, pcm| engine.decode(payload, samples, &mut pcm[..samples]));
        self.started |= made > 0;
        made
    }

    /// Conceals up to 120 ms in the last packet's mode; `None` before the first packet. A length that is no multiple of
    /// 2.5 ms is cut from the next longer one.
    fn decode_lost(&mut self, out: &mut [i16]) -> Option<usize> {
        let samples = self.whole_ticks(out.len()).filter(|_| self.started)?;
        Some(self.run(out, |engine, pcm| engine.decode(&[], samples, &mut pcm[..samples]))).filter(|made| *made > 0)
    }

    /// Rebuilds the end of `out` from the redundancy (LBRR) of `next`, as much as one frame of `next` lasts, and
    /// conceals what came before it. `None`: `next` has no redundancy, or `out` is shorter than its frame, no multiple
    /// of 2.5 ms, or longer than 120 ms.
    fn decode_fec(&mut self, next: &[u8], out: &mut [i16]) -> Option<usize> {
        let packet = Packet::parse(next).filter(Packet::has_fec)?;
        let samples = self.whole_ticks(out.len()).filter(|samples| *samples == out.len())?;
        if samples < packet.frame_samples(self.rate) {
            return None;
        }
        let made = self.run(out, |engine, pcm| engine.decode_fec(next, samples, &mut pcm[..samples]));
        self.started |= made > 0;
        Some(made).filter(|made| *made > 0)
    }

    fn reset(&mut self) {
        if let Some(engine) = engine(self.rate) {
            *self.engine = engine;
        }
        self.started = false;
    }
}
