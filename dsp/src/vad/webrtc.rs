//! The detector of WebRTC (a Gaussian mixture over six bands, through `webrtc-vad`): cheap and well known; a baseline.

use super::decide::Verdict;
use super::{Activity, Slot, VadBank, VadConfig, VadFrame};
use crate::level::{NoiseFloor, mean_square, power_dbfs};
use crate::to_i16;

/// Samples of 10 ms at the highest rate.
const MAX_STEP: usize = 480;

/// How readily WebRTC's detector says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebRtcMode {
    /// Mode 0: misses least.
    Quality,
    /// Mode 1.
    LowBitrate,
    /// Mode 2.
    Aggressive,
    /// Mode 3: takes noise for speech least.
    #[default]
    VeryAggressive,
}

/// Runs WebRTC's detector for up to a fixed number of calls at 8, 16, 32 or 48 kHz, in steps of 10 ms. Its confidence
/// is 0 or 1, or the mean of those of a frame's steps.
#[derive(Debug)]
pub struct WebRtcBank {
    mode: WebRtcMode,
    config: VadConfig,
    calls: Box<[Call]>,
}

impl WebRtcBank {
    /// A bank for at most `slots` calls; all memory, of the C library too, is taken here.
    ///
    /// # Panics
    /// When the C library gets no memory.
    #[must_use]
    pub fn new(slots: usize, mode: WebRtcMode, config: VadConfig) -> Self {
        Self { mode, config, calls: (0..slots).map(|_| Call::new()).collect() }
    }
}

impl VadBank for WebRtcBank {
    fn attach(&mut self, rate: u32) -> Option<Slot> {
        let sample_rate = webrtc_vad::SampleRate::try_from(i32::try_from(rate).ok()?).ok()?;
        let free = self.calls.iter().position(|call| call.rate == 0)?;
        let call = &mut self.calls[free];
        call.rate = rate;
        call.floor = NoiseFloor::new();
        call.verdict = Verdict::default();
        call.engine.0.reset();
        call.engine.0.set_sample_rate(sample_rate);
        call.engine.0.set_mode(match self.mode {
            WebRtcMode::Quality => webrtc_vad::VadMode::Quality,
            WebRtcMode::LowBitrate => webrtc_vad::VadMode::LowBitrate,
            WebRtcMode::Aggressive => webrtc_vad::VadMode::Aggressive,
            WebRtcMode::VeryAggressive => webrtc_vad::VadMode::VeryAggressive,
        });
        Some(Slot(u32::try_from(free).ok()?))
    }

    fn detach(&mut self, slot: Slot) {
        if let Some(call) = self.calls.get_mut(slot.index()) {
            call.rate = 0;
        }
    }

    fn process(&mut self, batch: &mut [VadFrame<'_>]) {
        for frame in batch {
            if let Some(call) = self.calls.get_mut(frame.slot.index()).filter(|call| call.rate != 0) {
                call.judge(&self.config, frame);
            }
        }
    }
}

#[derive(Debug)]
struct Call {
    /// 0 when the slot is free.
    rate: u32,
    engine: Engine,
    floor: NoiseFloor,
    verdict: Verdict,
}

impl Call {
    fn new() -> Self {
        Self { rate: 0, engine: Engine(webrtc_vad::Vad::new()), floor: NoiseFloor::new(), verdict: Verdict::default() }
    }

    fn judge(&mut self, config: &VadConfig, frame: &mut VadFrame<'_>) {
        let samples = (self.rate / 100) as usize;
        let steps = frame.pcm.len() / samples;
        if steps == 0 {
            return;
        }
        let (mut active, mut speech, mut noise) = (0, false, 0.0);
        let mut pcm = [0; MAX_STEP];
        for piece in frame.pcm.chunks_exact(samples) {
            pcm.iter_mut().zip(piece).for_each(|(to, from)| *to = to_i16(*from));
            let voice = self.engine.0.is_voice_segment(&pcm[..samples]) == Ok(true);
            active += usize::from(voice);
            speech |= self.verdict.step(config, if voice { 1.0 } else { 0.0 }, 10);
            noise = self.floor.update(power_dbfs(mean_square(piece)));
        }
        frame.activity = Activity {
            speech,
            confidence: active as f32 / steps as f32,
            level_dbfs: power_dbfs(mean_square(frame.pcm)),
            noise_dbfs: noise,
        };
    }
}

/// The C detector, which its binding does not let move between threads.
struct Engine(webrtc_vad::Vad);

// SAFETY: the detector is one block from `malloc` that only this value points to. The C code (libfvad) has no
// thread-local and no mutable global data, and `free` may run on another thread than `malloc`. Every call takes
// `&mut self`, so that two threads never use one detector at once.
#[allow(unsafe_code, reason = "the named exception: the binding of the C detector is not Send")]
unsafe impl Send for Engine {}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}
