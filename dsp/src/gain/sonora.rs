//! WebRTC's adaptive digital gain, for calls that opted into it.

use sonora_agc2::adaptive_digital_gain_controller::{AdaptiveDigitalGainController, FrameInfo};
use sonora_agc2::common::{
    ADJACENT_SPEECH_FRAMES_THRESHOLD, MIN_LEVEL_DBFS, SATURATION_PROTECTOR_INITIAL_HEADROOM_DB, float_s16_to_dbfs,
};
use sonora_agc2::limiter::Limiter;
use sonora_agc2::noise_level_estimator::NoiseLevelEstimator;
use sonora_agc2::saturation_protector::SaturationProtector;
use sonora_agc2::speech_level_estimator::{AdaptiveDigitalConfig, SpeechLevelEstimator};

use super::UnknownRate;

/// Controls gain with `sonora-agc2`, a port of WebRTC's AGC2: adaptive digital gain, then its limiter.
///
/// **It allocates in every step of 10 ms**, in its limiter: run it off the media worker. Its own voice activity network
/// is left out; it takes the confidence of our detector instead, and believes speech from 0.95 on, for 120 ms.
#[derive(Debug)]
pub struct SonoraAgc {
    step: usize,
    speech: SpeechLevelEstimator,
    noise: NoiseLevelEstimator,
    saturation: SaturationProtector,
    controller: AdaptiveDigitalGainController,
    limiter: Limiter,
}

impl SonoraAgc {
    /// Control of sound at `rate` Hz (8000, 16000 or 48000) with WebRTC's own settings: at most 50 dB of gain, 15 to
    /// begin with, 6 dB a second, 5 dB of headroom, background at most -50 dBFS.
    ///
    /// # Errors
    /// [`UnknownRate`] for any other rate.
    pub fn new(rate: u32) -> Result<Self, UnknownRate> {
        if !matches!(rate, 8000 | 16000 | 48000) {
            return Err(UnknownRate(rate));
        }
        let config = AdaptiveDigitalConfig::default();
        let adjacent = ADJACENT_SPEECH_FRAMES_THRESHOLD;
        let step = rate as usize / 100;
        Ok(Self {
            step,
            speech: SpeechLevelEstimator::new(&config, adjacent),
            noise: NoiseLevelEstimator::default(),
            saturation: SaturationProtector::new(SATURATION_PROTECTOR_INITIAL_HEADROOM_DB, adjacent),
            controller: AdaptiveDigitalGainController::new(config, adjacent),
            limiter: Limiter::new(step),
        })
    }

    /// Controls a frame in place: samples of -1..1, whole steps of 10 ms; what is left over at the end is left alone.
    /// `confidence` is that of the voice activity detector for this frame, 0..=1.
    pub fn process(&mut self, pcm: &mut [f32], confidence: f32) {
        let confidence = if confidence.is_nan() { 0.0 } else { confidence.clamp(0.0, 1.0) };
        for piece in pcm.chunks_exact_mut(self.step) {
            // AGC2 counts in 16-bit units.
            for sample in piece.iter_mut() {
                *sample = crate::tone::numeric(*sample) * 32768.0;
            }
            let noise_dbfs = self.noise.analyze(&[piece]);
            let squares: f32 = piece.iter().map(|sample| sample * sample).sum();
            let peak = piece.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
            let rms_dbfs = float_s16_to_dbfs((squares / piece.len() as f32).sqrt()).max(MIN_LEVEL_DBFS);
            self.speech.update(rms_dbfs, confidence);
            self.saturation.analyze(confidence, float_s16_to_dbfs(peak), self.speech.level_dbfs());
            let info = FrameInfo {
                speech_probability: confidence,
                speech_level_dbfs: self.speech.level_dbfs(),
                speech_level_reliable: self.speech.is_confident(),
                noise_rms_dbfs: noise_dbfs,
                headroom_db: self.saturation.headroom_db(),
                limiter_envelope_dbfs: float_s16_to_dbfs(self.limiter.last_audio_level()),
            };
            self.controller.process(&info, &mut [piece]);
            self.limiter.process(&mut [piece]);
            for sample in piece.iter_mut() {
                *sample *= 1.0 / 32768.0;
            }
        }
    }
}
