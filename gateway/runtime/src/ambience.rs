//! Beds of background sound: made or read once, shared by every call that has them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// Beds that may wait to be made.
const MOST_WAITING: usize = MOST_BEDS;

/// Which sound at which rate.
type Key = (String, u32);

/// What is known of a bed.
enum State {
    /// It is being made, or waits to be.
    Making,
    /// It is there; `None` for what cannot be played, so that it is looked for once.
    Made(Option<Arc<Bed>>),
}

/// Beds by source and rate.
type Kept = Mutex<BTreeMap<Key, State>>;

/// Every bed in use, and the thread that makes them: a disk may be slow, and whoever takes calls does not wait for it.
pub(crate) struct Beds {
    kept: Arc<Kept>,
    orders: SyncSender<Key>,
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
    pub(crate) fn start(folder: PathBuf) -> std::io::Result<Self> {
        let (orders, wanted) = sync_channel(MOST_WAITING);
        let kept = Arc::<Kept>::default();
        let made = Arc::clone(&kept);
        std::thread::Builder::new().name("ambience".to_owned()).spawn(move || make(&folder, &wanted, &made))?;
        Ok(Self { kept, orders })
    }

    /// Has the sound that a leg of `rate` Hz will play made, if it is not there.
    pub(crate) fn prepare(&self, wanted: &Ambience, rate: u32) {
        let key = (wanted.source.clone(), rate);
        let mut kept = held(&self.kept);
        let known = kept.contains_key(&key) || kept.len() >= MOST_BEDS;
        if !known && wanted.problems().is_empty() && self.orders.try_send(key.clone()).is_ok() {
            kept.insert(key, State::Making);
        }
    }

    /// Whether it is worth waiting for it.
    pub(crate) fn is_making(&self, wanted: &Ambience, rate: u32) -> bool {
        matches!(held(&self.kept).get(&(wanted.source.clone(), rate)), Some(State::Making))
    }

    /// The sound a leg of `rate` Hz plays; nothing for one that is not there.
    pub(crate) fn of(&self, wanted: &Ambience, rate: u32) -> Option<LegAmbience> {
        let kept = held(&self.kept);
        let Some(State::Made(Some(bed))) = kept.get(&(wanted.source.clone(), rate)) else { return None };
        Some(LegAmbience { bed: Arc::clone(bed), level_dbfs: wanted.level_dbfs, duck_db: wanted.duck_db })
    }
}

fn held(kept: &Kept) -> MutexGuard<'_, BTreeMap<Key, State>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes beds, one after the other, until nobody can ask for any more.
fn make(folder: &Path, wanted: &Receiver<Key>, kept: &Kept) {
    while let Ok((source, rate)) = wanted.recv() {
        let bed = catch_unwind(AssertUnwindSafe(|| bed(folder, &source, rate))).unwrap_or_else(|_| {
            tracing::error!(source, "background sound could not be made; see the panic above");
            None
        });
        held(kept).insert((source, rate), State::Made(bed.map(Arc::new)));
    }
}

/// A bed, or nothing and a line in the log.
fn bed(folder: &Path, source: &str, rate: u32) -> Option<Bed> {
    match source {
        "room" => Some(Bed::room(rate)),
        "office" => Some(Bed::office(rate)),
        "music" => Some(Bed::music(rate)),
        name => {
            let path = folder.join(name);
            read(&path, rate)
                .inspect_err(|error| tracing::warn!(file = %path.display(), %error, "background sound is not played"))
                .ok()
        }
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
    use crate::rig::until;

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
        let beds = Beds::start(folder).unwrap();
        let ready = |wanted: &Ambience, rate| {
            beds.prepare(wanted, rate);
            until("the bed", || !beds.is_making(wanted, rate));
            beds.of(wanted, rate)
        };
        for source in ["room", "office", "music", "stereo.wav", "mono.wav"] {
            for rate in [8000, 16_000] {
                let first = ready(&wanted(source), rate).unwrap();
                assert_eq!((first.bed.rate(), first.level_dbfs, first.duck_db), (rate, -45, 6));
                assert!(Arc::ptr_eq(&first.bed, &ready(&wanted(source), rate).unwrap().bed), "{source}");
            }
        }
        for source in ["short.wav", "broken.wav", "missing.wav", "../stereo.wav"] {
            assert!(ready(&wanted(source), 8000).is_none(), "{source}");
        }
    }
}
