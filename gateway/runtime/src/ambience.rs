//! Beds of background sound: made or read once, shared by every call that has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use trunkline_api::ambience::Ambience;
use trunkline_dsp::ambience::{Bed, MOST_SECONDS};
use trunkline_dsp::resample::Resampler;
use trunkline_media::LegAmbience;

/// Most beds that are kept: one for each source and rate. Beyond them calls have none.
const MOST_BEDS: usize = 32;
/// Rates that recordings may have, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 8000..=48_000;
/// Largest file, in bytes: a minute of two channels of 32 bits at 48 kHz, and its head.
const MOST_BYTES: u64 = 24 * 1024 * 1024;

/// Beds by source and rate; `None` for what cannot be played, so that it is looked for once.
type Kept = BTreeMap<(String, u32), Option<Arc<Bed>>>;

/// Every bed in use.
pub(crate) struct Beds {
    folder: PathBuf,
    kept: Mutex<Kept>,
}

/// Why a recording is not played.
#[derive(Debug, thiserror::Error)]
enum BedError {
    #[error("it cannot be read: {0}; put a WAV file of that name there")]
    Read(#[from] std::io::Error),
    #[error("it is no WAV file that can be played: {0}; use PCM of 8 to 32 bits")]
    Wav(#[from] hound::Error),
    #[error("it is larger than 24 MiB; use at most 60 s")]
    TooLarge,
    #[error("it has {channels} channels at {rate} Hz; use one or two at 8000 to 48000 Hz")]
    Format { channels: u16, rate: u32 },
    #[error("it is silent or shorter than a second")]
    Empty,
}

impl Beds {
    /// With recordings from a folder, which need not be there.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, kept: Mutex::default() }
    }

    /// The sound a leg of `rate` Hz plays; nothing, and a line in the log, for a recording that cannot be played. The first
    /// call of a recording reads it, which takes some milliseconds.
    pub(crate) fn of(&self, wanted: &Ambience, rate: u32) -> Option<LegAmbience> {
        let bed = self.bed(wanted, rate)?;
        Some(LegAmbience { bed, level_dbfs: wanted.level_dbfs, duck_db: wanted.duck_db })
    }

    fn bed(&self, wanted: &Ambience, rate: u32) -> Option<Arc<Bed>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (wanted.source.clone(), rate);
        if let Some(bed) = kept.get(&key) {
            return bed.clone();
        }
        if kept.len() >= MOST_BEDS || !wanted.problems().is_empty() {
            return None;
        }
        let bed = match wanted.source.as_str() {
            "room" => Some(Bed::room(rate)),
            "office" => Some(Bed::office(rate)),
            name => {
                let path = self.folder.join(name);
                read(&path, rate)
                    .inspect_err(
                        |error| tracing::warn!(file = %path.display(), %error, "background sound is not played"),
                    )
                    .ok()
            }
        };
        let bed = bed.map(Arc::new);
        kept.insert(key, bed.clone());
        bed
    }
}

/// A loop of a file's sound: one channel at `rate` Hz.
fn read(path: &Path, rate: u32) -> Result<Bed, BedError> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.len() > MOST_BYTES {
        return Err(BedError::TooLarge);
    }
    let mut reader = hound::WavReader::new(std::io::BufReader::new(file))?;
    let format = reader.spec();
    let (channels, from) = (format.channels, format.sample_rate);
    let unknown = BedError::Format { channels, rate: from };
    if !(1..=2).contains(&channels) || !RATES.contains(&from) {
        return Err(unknown);
    }
    let most = from as usize * MOST_SECONDS * usize::from(channels);
    let samples: Vec<f32> = match format.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().take(most).collect::<Result<_, _>>()?,
        hound::SampleFormat::Int => {
            let full = f64::from(format.bits_per_sample.clamp(1, 32) - 1).exp2() as f32;
            let share = |sample: Result<i32, hound::Error>| sample.map(|sample| sample as f32 / full);
            reader.samples::<i32>().take(most).map(share).collect::<Result<_, _>>()?
        }
    };
    let one = |frame: &[f32]| frame.iter().sum::<f32>() / frame.len().max(1) as f32;
    let mono = samples.chunks_exact(usize::from(channels)).map(one);
    // Not-a-number becomes silence.
    let pcm: Vec<i16> = mono.map(|sample| (sample * 32767.0).clamp(-32768.0, 32767.0) as i16).collect();
    let mut resampler = Resampler::new(from, rate).map_err(|_| unknown)?;
    let mut out = Vec::with_capacity(pcm.len() * rate as usize / from as usize + 1024);
    // Blocks of a size that every filter takes.
    for block in pcm.chunks((from / 50) as usize) {
        let mut piece = [0; 2048];
        let count = resampler.process(block, &mut piece);
        out.extend_from_slice(&piece[..count.min(piece.len())]);
    }
    Bed::looped(rate, &out).ok_or(BedError::Empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(source: &str) -> Ambience {
        serde_json::from_value(serde_json::json!({ "source": source })).unwrap()
    }

    fn write(path: &Path, channels: u16, rate: u32, seconds: f32) {
        let format = hound::WavSpec {
            channels,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(path, format).unwrap();
        for n in 0..(rate as f32 * seconds) as usize {
            for _ in 0..channels {
                writer
                    .write_sample((8000.0 * (n as f32 * 440.0 * std::f32::consts::TAU / rate as f32).sin()) as i16)
                    .unwrap();
            }
        }
        writer.finalize().unwrap();
    }

    #[test]
    fn a_bed_is_made_or_read_once_for_each_rate() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().to_owned();
        write(&folder.join("stereo.wav"), 2, 48_000, 2.0);
        write(&folder.join("mono.wav"), 1, 11_025, 2.0);
        write(&folder.join("short.wav"), 1, 8000, 0.5);
        std::fs::write(folder.join("broken.wav"), b"RIFF").unwrap();
        let beds = Beds::new(folder);
        for source in ["room", "office", "stereo.wav", "mono.wav"] {
            for rate in [8000, 16_000] {
                let first = beds.of(&wanted(source), rate).unwrap();
                assert_eq!((first.bed.rate(), first.level_dbfs, first.duck_db), (rate, -45, 6));
                assert!(Arc::ptr_eq(&first.bed, &beds.of(&wanted(source), rate).unwrap().bed), "{source}");
            }
        }
        for source in ["short.wav", "broken.wav", "missing.wav", "../stereo.wav"] {
            assert!(beds.of(&wanted(source), 8000).is_none(), "{source}");
        }
    }
}
