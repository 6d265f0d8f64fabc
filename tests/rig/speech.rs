//! Words for callers, spoken by a Debian voice.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::wav::Wav;

/// `text` as 8 kHz samples in flite's voice `voice` (`slt`, `rms`).
pub fn speak(scratch: &Path, voice: &str, text: &str) -> anyhow::Result<Vec<i16>> {
    let file = scratch.join(format!("{voice}-{}.wav", text.replace(|c: char| !c.is_ascii_alphanumeric(), "-")));
    let output = Command::new("flite")
        .args(["-voice", voice, "-t", text, "-o"])
        .arg(&file)
        .output()
        .context("flite is not installed: apt-get install flite")?;
    ensure!(output.status.success(), "flite: {}", String::from_utf8_lossy(&output.stderr));
    let wav = Wav::read(&file)?;
    let samples = wav.channels.first().context("flite made no sound")?;
    Ok(to_8_khz(samples, wav.rate))
}

/// Halves 16 kHz with a short low-pass; 8 kHz passes.
fn to_8_khz(samples: &[i16], rate: u32) -> Vec<i16> {
    if rate == 8000 {
        return samples.to_vec();
    }
    // Windowed sinc at a quarter of the rate, 31 taps.
    let taps: Vec<f64> = (-15..=15)
        .map(|n| {
            let x = f64::from(n);
            let sinc = if n == 0 { 0.46 } else { (0.46 * std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
            sinc * (0.54 + 0.46 * (std::f64::consts::PI * x / 16.0).cos())
        })
        .collect();
    (0..samples.len() / 2)
        .map(|index| {
            let centre = index as isize * 2;
            let sum: f64 = taps
                .iter()
                .enumerate()
                .filter_map(|(tap, gain)| {
                    let at = usize::try_from(centre + tap as isize - 15).ok()?;
                    samples.get(at).map(|sample| f64::from(*sample) * gain)
                })
                .sum();
            sum.clamp(-32768.0, 32767.0) as i16
        })
        .collect()
}
