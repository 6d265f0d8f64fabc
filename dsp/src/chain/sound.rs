//! What is done to the sound of one leg.

use crate::echo::BargeInConfig;
use crate::endpoint::EndpointConfig;
use crate::gain::AgcConfig;
use crate::gate::GateConfig;
use crate::vad::VadConfig;

/// Which engine takes the noise out of the uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Denoiser {
    /// None.
    Off,
    /// A spectral suppressor in the same lanes as [`Denoiser::Lanes`], at a fraction of its cost: what a worker falls
    /// back to under load. Weaker on noise that changes. The delay is the same.
    Economy,
    /// [`LanesBank`](crate::ns::LanesBank): RNNoise's network for eight legs at a time.
    #[default]
    Lanes,
    /// [`NnnoiselessBank`](crate::ns::NnnoiselessBank)'s engine: RNNoise's network a leg at a time, by which others are
    /// judged. 40 kB a leg, and six times the time.
    Reference,
}

/// What is done to the sound of one leg. The default is what a telephone leg wants: the noise taken out, the agent's
/// own echo told from the caller, nothing amplified.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sound {
    /// Engine of the uplink's noise suppression.
    pub denoiser: Denoiser,
    /// Tells the agent's own echo from a caller who interrupts, and turns echo down.
    pub echo_gate: bool,
    /// What makes an interruption. The quick detector's suspicion begins lower than its speech: a voice over the agent's
    /// echo is less clear, what is echo does not count anyway, and a suspicion can be taken back.
    pub barge_in: BargeInConfig,
    /// Brings the caller to a level; the default leaves levels alone.
    pub agc: Option<AgcConfig>,
    /// Turns down what lies between the caller's words; off by default, since recognisers prefer to hear it.
    pub noise_gate: Option<GateConfig>,
    /// Where speech begins and ends by the sure detector, and how long it is held.
    pub vad: VadConfig,
    /// Ceiling of what is played to the caller in dBFS, -40..=0.
    pub ceiling_dbfs: f32,
    /// When speech has begun and ended, and when silence is worth a word.
    pub endpoint: EndpointConfig,
}

impl Default for Sound {
    fn default() -> Self {
        Self {
            denoiser: Denoiser::default(),
            echo_gate: true,
            barge_in: BargeInConfig::default(),
            agc: None,
            noise_gate: None,
            vad: VadConfig::SURE,
            ceiling_dbfs: -1.0,
            endpoint: EndpointConfig::default(),
        }
    }
}
