//! The Opus encoder: what `opus-rs` leaves out is added here, and what it gets wrong is kept from it.
//!
//! Added: discontinuous transmission, and the choice of a bandwidth that suits the bit rate. Kept from it: in-band
//! redundancy whose price would lower the bandwidth, which `opus-rs` (0.1.40) announces in the packet without doing it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use opus_rs::{Application, OpusEncoder as Engine};

use super::packet::Packet;
use super::{OpusError, RATES};
use crate::codec::Encoder;
use crate::resample::Resampler;

/// Silence after which transmission may stop, and the time after which it sends a packet all the same, in
/// milliseconds: those of libopus.
const DTX_AFTER_MS: u32 = 200;
const DTX_REFRESH_MS: u32 = 400;
/// The largest packet of one frame (RFC 6716 3.4).
const MAX_PACKET: usize = 1276;

/// Sound of 24 or 48 kHz is coded as wideband below this bit rate, in bit/s: the full band would be starved.
const WIDEBAND_BELOW: u32 = 40_000;
const WIDEBAND: u32 = 16_000;
/// Samples of the longest frame at the wideband rate.
const WIDEBAND_FRAME: usize = 960;

/// How an [`OpusEncoder`] encodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusSettings {
    /// Rate of the sound in Hz: 8000, 12000, 16000, 24000 or 48000. Mono.
    pub rate: u32,
    /// Duration of every frame in milliseconds: 10, 20, 40 or 60.
    pub frame_ms: u32,
    /// Target bit rate in bit/s, 6000..=510000. Variable: silence takes less. From 40000 on sound of 24 and 48 kHz keeps
    /// its whole band; below, it is coded up to 8 kHz.
    pub bitrate: u32,
    /// Effort, 0 (least) ..=10.
    pub complexity: u8,
    /// In-band forward error correction: each packet also carries a coarse copy of the frame before it, where that
    /// frame had a voice and the bit rate affords it: from about 17 kbit/s at 8 kHz and 22 at
    /// more.
    pub fec: bool,
    /// Packet loss to prepare for in percent, 0..=100. Redundancy needs more than 0.
    pub loss_percent: u8,
    /// Discontinuous transmission: after 200 ms without a voice only one packet every 400 ms.
    pub dtx: bool,
}

impl OpusSettings {
    /// Speech at `rate` Hz: frames of 20 ms at 24 kbit/s, with redundancy for 10 % loss.
    #[must_use]
    pub const fn voice(rate: u32) -> Self {
        Self { rate, frame_ms: 20, bitrate: 24_000, complexity: 5, fec: true, loss_percent: 10, dtx: false }
    }
}

/// Opus encoder (RFC 6716), mono.
pub struct OpusEncoder {
    /// Large, and must not travel by value.
    engine: Box<Engine>,
    settings: OpusSettings,
    /// Samples of a frame.
    frame: usize,
    /// Rate the engine works at.
    engine_rate: u32,
    /// Brings wider sound down to the engine's rate.
    narrower: Option<Box<Resampler>>,
    /// Time without a voice, in milliseconds.
    quiet_ms: u32,
}

impl OpusEncoder {
    /// An encoder for `settings`. Allocates; encoding does not.
    ///
    /// # Errors
    /// [`OpusError`] naming the setting that is out of range.
    pub fn new(settings: OpusSettings) -> Result<Self, OpusError> {
        if !RATES.contains(&settings.rate) {
            return Err(OpusError::Rate);
        }
        if !matches!(settings.frame_ms, 10 | 20 | 40 | 60) {
            return Err(OpusError::Frame);
        }
        if !(6000..=510_000).contains(&settings.bitrate) {
            return Err(OpusError::Bitrate);
        }
        let wide = settings.rate > WIDEBAND && settings.bitrate < WIDEBAND_BELOW;
        let engine_rate = if wide { WIDEBAND } else { settings.rate };
        let narrower = if wide {
            Some(Box::new(Resampler::new(settings.rate, WIDEBAND).map_err(|_| OpusError::Rate)?))
        } else {
            None
        };
        let engine = Box::new(engine(engine_rate).ok_or(OpusError::Rate)?);
        let frame = (settings.rate / 1000 * settings.frame_ms) as usize;
        let mut encoder = Self { engine, settings, frame, engine_rate, narrower, quiet_ms: 0 };
        encoder.configure();
        Ok(encoder)
    }

    /// Changes the target bit rate in bit/s from the next frame on; held to 6000..=510000. Whether sound of 24 or 48 kHz
    /// is coded as wideband was decided by the rate at which the encoder was made.
    pub fn set_bitrate(&mut self, bitrate: u32) {
        self.settings.bitrate = bitrate.clamp(6000, 510_000);
        self.configure();
    }

    /// Changes the loss to prepare for, in percent, from the next frame on.
    pub fn set_loss_percent(&mut self, percent: u8) {
        self.settings.loss_percent = percent.min(100);
        self.configure();
    }

    /// The settings in force.
    #[must_use]
    pub const fn settings(&self) -> &OpusSettings {
        &self.settings
    }

    /// Samples of a frame, the only length [`Encoder::encode`] takes.
    #[must_use]
    pub const fn frame_samples(&self) -> usize {
        self.frame
    }

    /// Hands the settings to the engine.
    fn configure(&mut self) {
        self.engine.bitrate_bps = self.settings.bitrate.cast_signed();
        self.engine.complexity = i32::from(self.settings.complexity.min(10));
        self.engine.use_inband_fec = self.settings.fec;
        self.engine.packet_loss_perc = self.announced_loss().cast_signed();
    }

    /// The loss in percent that the engine is told: above 5 it would trade bandwidth for redundancy, so that it hears of
    /// no more where the bit rate does not pay for both. The arithmetic is that of libopus' `decide_fec`.
    fn announced_loss(&self) -> u32 {
        let affordable = |percent: u32| {
            let frames = 1000 / self.settings.frame_ms;
            let mut rate = self.settings.bitrate.saturating_sub(60 * frames.saturating_sub(50));
            rate = rate * (90 + u32::from(self.settings.complexity.min(10))) / 100;
            rate -= rate * percent / (12 * percent + 20);
            let threshold = match self.engine_rate {
                8000 => 0,
                12000 => 15_000,
                16000 => 17_000,
                24000 => 21_000,
                _ => 23_000,
            };
            // A margin of one per cent for the engine's fixed-point rounding.
            rate > threshold * (126 - percent.min(25)) / 100
        };
        let percent = u32::from(self.settings.loss_percent.min(100));
        if percent <= 5 || affordable(percent) { percent } else { 5 }
    }

    /// Whether this packet need not be sent. The encoder's own verdict on voice stands in the packet; sound that only
    /// CELT coded counts as voice unless it is digital silence.
    fn is_withheld(&mut self, packet: &[u8], silent: bool) -> bool {
        let voice = Packet::parse(packet).and_then(|packet| packet.has_voice()).unwrap_or(!silent);
        self.quiet_ms = if voice { 0 } else { self.quiet_ms + self.settings.frame_ms };
        if self.quiet_ms >= DTX_AFTER_MS + DTX_REFRESH_MS {
            self.quiet_ms = DTX_AFTER_MS;
        }
        self.quiet_ms > DTX_AFTER_MS
    }
}

fn engine(rate: u32) -> Option<Engine> {
    Engine::new(rate.cast_signed(), 1, Application::Voip).ok()
}

impl std::fmt::Debug for OpusEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpusEncoder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Encoder for OpusEncoder {
    fn rate(&self) -> u32 {
        self.settings.rate
    }

    /// Encodes one frame of [`OpusEncoder::frame_samples`] samples as one packet. 0: nothing is to be sent, because of
    /// discontinuous transmission, a frame of another length, or no room in `out` (1276 bytes always suffice).
    fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> usize {
        if pcm.len() != self.frame {
            return 0;
        }
        let room = out.len().min(MAX_PACKET);
        let mut narrow = [0; WIDEBAND_FRAME];
        let coded = match &mut self.narrower {
            Some(narrower) => {
                let samples = narrower.process(pcm, &mut narrow);
                &narrow[..samples.min(WIDEBAND_FRAME)]
            }
            None => pcm,
        };
        // As in the decoder: a fault in the engine costs a packet and not the thread.
        let coded = catch_unwind(AssertUnwindSafe(|| self.engine.encode_i16(coded, coded.len(), &mut out[..room])));
        let written = match coded {
            Ok(written) => written.unwrap_or(0).min(room),
            Err(_) => {
                if let Some(engine) = engine(self.engine_rate) {
                    *self.engine = engine;
                    self.configure();
                }
                0
            }
        };
        let silent = pcm.iter().all(|sample| *sample == 0);
        if self.settings.dtx && self.is_withheld(&out[..written], silent) { 0 } else { written }
    }
}
