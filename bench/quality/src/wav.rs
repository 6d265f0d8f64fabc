//! Sound files: 16-bit mono in and out.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// Reads a file of 16-bit mono samples.
pub(crate) fn read(path: &Path) -> Result<Vec<i16>> {
    let mut reader = hound::WavReader::open(path).with_context(|| path.display().to_string())?;
    let spec = reader.spec();
    ensure!(spec.channels == 1 && spec.bits_per_sample == 16, "{} is not 16-bit mono", path.display());
    reader.samples::<i16>().collect::<Result<_, _>>().with_context(|| path.display().to_string())
}

/// Writes a file of 16-bit mono samples, with its folders.
pub(crate) fn write(path: &Path, rate: u32, pcm: &[i16]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let spec =
        hound::WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).with_context(|| path.display().to_string())?;
    let mut samples = writer.get_i16_writer(u32::try_from(pcm.len())?);
    for &sample in pcm {
        samples.write_sample(sample);
    }
    samples.flush()?;
    writer.finalize().with_context(|| path.display().to_string())
}
