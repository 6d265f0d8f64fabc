//! The engines under comparison, by the names of their rows.

use anyhow::{Context as _, Result, bail};
use trunkline_dsp::NoiseBank;
use trunkline_dsp::ns::{Effort, LanesBank, NnnoiselessBank, SonoraBank};
use trunkline_dsp::vad::{EarshotBank, FusedBank, SileroBank, VadBank, VadConfig, WebRtcBank, WebRtcMode};

/// Noise suppression; the first is the reference.
pub(crate) const NOISE: [&str; 4] = ["nnnoiseless", "sonora", "economy", "lanes"];
/// The uplink as it ships: `lanes` where there is noise, and nothing where there is none.
pub(crate) const CHAIN: &str = "chain";
/// Voice activity.
pub(crate) const VOICE: [&str; 4] = ["webrtc", "earshot", "fused", "silero"];
/// The suppression in front of the detectors when they are judged behind one.
pub(crate) const IN_FRONT: &str = "lanes";

/// A noise bank of this name, as the product configures it.
pub(crate) fn noise(name: &str, slots: usize) -> Result<Box<dyn NoiseBank>> {
    Ok(match name {
        "nnnoiseless" => Box::new(NnnoiselessBank::new(slots)),
        "sonora" => Box::new(SonoraBank::new(slots)),
        "economy" => Box::new(LanesBank::new(slots).with_effort(Effort::Light)),
        "lanes" => Box::new(LanesBank::new(slots)),
        _ => bail!("no noise suppression of the name {name}"),
    })
}

/// A voice activity bank of this name, as the product configures it; WebRTC's in the mode that errs least in noise.
pub(crate) fn voice(name: &str, slots: usize) -> Result<Box<dyn VadBank>> {
    Ok(match name {
        "webrtc" => Box::new(WebRtcBank::new(slots, WebRtcMode::VeryAggressive, VadConfig::default())),
        "earshot" => Box::new(EarshotBank::new(slots, VadConfig::default())),
        "fused" => Box::new(FusedBank::new(slots)),
        "silero" => Box::new(SileroBank::new(slots)),
        _ => bail!("no voice activity detector of the name {name}"),
    })
}

/// How late sound leaves the noise bank of this name, as it documents, in microseconds; the chain is as late as its bank.
pub(crate) fn noise_delay_us(name: &str, rate: u32) -> Result<u64> {
    let name = if name == CHAIN { IN_FRONT } else { name };
    noise(name, 1)?.delay_us(rate).with_context(|| format!("{name} does not know {rate} Hz"))
}
