//! The caller's voice: speech synthesised by flite, or a recording.

use std::io::Cursor;
use std::path::Path;
use std::process::Command;
use trunkline_dsp::resample::Resampler;

/// Sound that could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpeechError {
    /// The synthesiser is not there.
    #[error("flite does not run ({0}); install it: apt-get install flite")]
    Missing(std::io::Error),
    /// The synthesiser failed.
    #[error("flite refused voice {voice:?} or the text: {message}; `flite -lv` lists its voices")]
    Refused {
        /// The voice asked for.
        voice: String,
        /// What it said.
        message: String,
    },
    /// The file is not a WAV file that can be played.
    #[error("{0}: give a WAV file of 16-bit mono samples at 8, 16, 32 or 48 kHz")]
    Wav(String),
}

/// `text` in flite's `voice`, at 8 kHz.
pub fn spoken(voice: &str, text: &str) -> Result<Vec<i16>, SpeechError> {
    // flite itself falls back to its worst voice without a word.
    let listed = Command::new("flite").arg("-lv").output().map_err(SpeechError::Missing)?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    if !voice.contains('/') && !listed.split_whitespace().any(|name| name == voice) {
        return Err(SpeechError::Refused { voice: voice.to_owned(), message: listed.trim().to_owned() });
    }
    let output = Command::new("flite")
        .args(["-voice", voice, "-t", text, "-o", "/dev/stdout"])
        .output()
        .map_err(SpeechError::Missing)?;
    if !output.status.success() || output.stdout.len() < 44 {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(SpeechError::Refused { voice: voice.to_owned(), message });
    }
    samples(hound::WavReader::new(Cursor::new(output.stdout)), "flite's output")
}

/// A WAV file, at 8 kHz.
pub fn from_wav(file: &Path) -> Result<Vec<i16>, SpeechError> {
    samples(hound::WavReader::open(file), &file.display().to_string())
}

/// Converts `pcm` from `rate` to 8 kHz, without the converter's delay; `None` for a rate it does not know.
#[must_use]
pub fn resample_to_8k(pcm: &[i16], rate: u32) -> Option<Vec<i16>> {
    let mut resampler = Resampler::new(rate, 8000).ok()?;
    let wanted = usize::try_from(pcm.len() as u64 * 8000 / u64::from(rate)).ok()?;
    let delay = usize::try_from(resampler.delay_us() * 8 / 1000).ok()?;
    let flush = vec![0; resampler.flush_inputs()];
    let mut out = vec![0; resampler.max_output(pcm.len()) + resampler.max_output(flush.len())];
    let mut written = resampler.process(pcm, &mut out);
    written += resampler.process(&flush, &mut out[written..]);
    out.truncate(written);
    Some(out.into_iter().skip(delay).take(wanted).collect())
}

fn samples<R: std::io::Read>(
    reader: Result<hound::WavReader<R>, hound::Error>,
    name: &str,
) -> Result<Vec<i16>, SpeechError> {
    let refuse = |why: String| SpeechError::Wav(format!("{name}: {why}"));
    let mut reader = reader.map_err(|e| refuse(e.to_string()))?;
    let spec = reader.spec();
    if spec.channels != 1 || spec.bits_per_sample != 16 || spec.sample_format != hound::SampleFormat::Int {
        return Err(refuse(format!("{spec:?}")));
    }
    // A synthesiser that writes to a pipe cannot know the length it announces: take what is there.
    let pcm: Vec<i16> = reader.samples::<i16>().map_while(Result::ok).collect();
    resample_to_8k(&pcm, spec.sample_rate).ok_or_else(|| refuse(format!("{} Hz", spec.sample_rate)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resampling_keeps_a_tone_in_place() {
        let tone = |rate: u32| -> Vec<i16> {
            (0..rate / 4)
                .map(|n| (f64::from(n) / f64::from(rate) * 440.0 * std::f64::consts::TAU).sin())
                .map(|s| (s * 8000.0) as i16)
                .collect()
        };
        let (reference, converted) = (tone(8000), resample_to_8k(&tone(16_000), 16_000).unwrap());
        assert_eq!(converted.len(), reference.len());
        let worst = reference[100..1900].iter().zip(&converted[100..1900]).map(|(a, b)| (a - b).abs()).max().unwrap();
        assert!(worst < 1600, "{worst}");
    }

    #[test]
    fn speech_is_synthesised_and_an_unknown_voice_is_refused_with_those_there_are() {
        let spoken_ms = spoken("slt", "yes please").unwrap().len() / 8;
        assert!((400..2000).contains(&spoken_ms), "{spoken_ms}");
        let refusal = spoken("nosuch", "yes").unwrap_err().to_string();
        assert!(refusal.contains("slt"), "{refusal}");
    }

    #[test]
    fn a_stereo_file_is_refused_with_what_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stereo.wav");
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        hound::WavWriter::create(&file, spec).unwrap().finalize().unwrap();
        let refusal = from_wav(&file).unwrap_err().to_string();
        assert!(refusal.contains("mono"), "{refusal}");
    }
}
