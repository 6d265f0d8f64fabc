//! What a chain does to the sound of its legs.

use crate::gain::AgcConfig;
use crate::gate::GateConfig;
use crate::ns::Gate;
use crate::vad::VadConfig;

/// Which engine takes the noise out of the uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Denoiser {
    /// None.
    Off,
    /// [`SonoraBank`](crate::ns::SonoraBank): WebRTC's suppressor, what a worker falls back to under load.
    Economy,
    /// [`LanesBank`](crate::ns::LanesBank): RNNoise's network for eight legs at a time.
    #[default]
    Lanes,
    /// [`NnnoiselessBank`](crate::ns::NnnoiselessBank): RNNoise's network a leg at a time, by which others are judged.
    Reference,
}

/// What the chains of a worker's legs do. The default is what a telephone leg wants: the noise taken out, the agent's
/// own echo told from the caller, nothing amplified.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChainConfig {
    /// Engine of the uplink's noise suppression.
    pub denoiser: Denoiser,
    /// Whether the denoiser may rest while there is nothing to clean.
    pub denoiser_gate: Gate,
    /// Tells the agent's own echo from a caller who interrupts, and turns echo down.
    pub echo_gate: bool,
    /// Speech that makes an interruption, in ms; see [`BargeIn`](crate::echo::BargeIn).
    pub barge_in_ms: u32,
    /// Confidence in speech from which a frame counts towards an interruption, 0..=1. Lower than where speech begins:
    /// a voice over the agent's echo is less clear, and what is echo does not count anyway.
    pub barge_in_confidence: f32,
    /// Brings the caller to a level; the default leaves levels alone.
    pub agc: Option<AgcConfig>,
    /// Turns down what lies between the caller's words; off by default, since recognisers prefer to hear it.
    pub noise_gate: Option<GateConfig>,
    /// Times and thresholds of voice activity.
    pub vad: VadConfig,
    /// Ceiling of what is played to the caller in dBFS, -40..=0.
    pub ceiling_dbfs: f32,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self {
            denoiser: Denoiser::default(),
            denoiser_gate: Gate::Auto,
            echo_gate: true,
            barge_in_ms: 100,
            barge_in_confidence: 0.35,
            agc: None,
            noise_gate: None,
            vad: VadConfig::default(),
            ceiling_dbfs: -1.0,
        }
    }
}
