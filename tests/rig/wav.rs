//! Just enough of RIFF WAVE to look into recordings: 16-bit PCM, any channels.

use std::path::Path;

use anyhow::{Context as _, bail};

/// Sound read from a file.
#[derive(Debug, Clone)]
pub struct Wav {
    /// Samples per second.
    pub rate: u32,
    /// One vector a channel.
    pub channels: Vec<Vec<i16>>,
}

impl Wav {
    /// Reads a 16-bit PCM file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
            bail!("{} is not a WAVE file", path.display());
        }
        let (mut at, mut format) = (12, None);
        while let Some(header) = bytes.get(at..at + 8) {
            let size = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
            let body = &bytes[at + 8..(at + 8 + size).min(bytes.len())];
            match &header[..4] {
                b"fmt " if body.len() >= 16 => {
                    let word = |index: usize| u16::from_le_bytes([body[index], body[index + 1]]);
                    let rate = u32::from_le_bytes([body[4], body[5], body[6], body[7]]);
                    if word(14) != 16 {
                        bail!("{} is not 16-bit", path.display());
                    }
                    format = Some((usize::from(word(2)), rate));
                }
                b"data" => {
                    let (count, rate) = format.context("data before format")?;
                    let mut channels = vec![Vec::with_capacity(body.len() / 2 / count); count];
                    for (index, sample) in body.chunks_exact(2).enumerate() {
                        channels[index % count].push(i16::from_le_bytes([sample[0], sample[1]]));
                    }
                    return Ok(Self { rate, channels });
                }
                _ => {}
            }
            at += 8 + size + size % 2;
        }
        bail!("{} has no sound", path.display())
    }

    /// Writes mono 16-bit PCM.
    pub fn write_mono(path: &Path, rate: u32, samples: &[i16]) -> anyhow::Result<()> {
        let size = u32::try_from(samples.len() * 2)?;
        let mut bytes = Vec::with_capacity(44 + samples.len() * 2);
        bytes.extend_from_slice(b"RIFF");
        bytes.extend_from_slice(&(36 + size).to_le_bytes());
        bytes.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
        bytes.extend_from_slice(&rate.to_le_bytes());
        bytes.extend_from_slice(&(rate * 2).to_le_bytes());
        bytes.extend_from_slice(b"\x02\0\x10\0data");
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        Ok(std::fs::write(path, bytes)?)
    }

    /// Milliseconds of a channel that are louder than `dbfs`, in 20 ms steps.
    #[must_use]
    pub fn loud_ms(&self, channel: usize, dbfs: f64) -> usize {
        let step = self.rate as usize / 50;
        self.channels
            .get(channel)
            .map_or(0, |samples| samples.chunks(step).filter(|chunk| level_dbfs(chunk) > dbfs).count() * 20)
    }
}

/// Root-mean-square level of samples in dBFS.
#[must_use]
pub fn level_dbfs(samples: &[i16]) -> f64 {
    if samples.is_empty() {
        return -96.0;
    }
    let sum: f64 = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    (10.0 * (sum / samples.len() as f64 / 32768.0_f64.powi(2)).log10()).max(-96.0)
}
