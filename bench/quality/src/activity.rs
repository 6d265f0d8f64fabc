//! Runs the voice activity detectors over the set, as it is and behind noise suppression.

use std::path::Path;

use anyhow::{Context as _, Result};
use trunkline_dsp::vad::{Activity, VadFrame};
use trunkline_dsp::{Slot, to_f32};

use crate::corpus::{Corpus, Entry};
use crate::suppression::BATCH;
use crate::{engines, parallel, wav};

/// Writes `out/INPUT/ENGINE/FILE.f32` for every 8 kHz file: for each 10 ms a 1 or 0 for speech, and the
/// confidence, as little-endian `f32`.
pub(crate) fn run(corpus: &Corpus, cleaned: &Path, out: &Path) -> Result<()> {
    let entries: Vec<&Entry> = corpus.entries.iter().filter(|entry| entry.rate == 8000).collect();
    let mut jobs = Vec::new();
    for (input, folder) in [("raw", corpus.folder.clone()), (engines::IN_FRONT, cleaned.join(engines::IN_FRONT))] {
        for engine in engines::VOICE {
            jobs.extend(entries.chunks(BATCH).map(|group| (input, folder.clone(), engine, group.to_vec())));
        }
    }
    parallel::each("voice activity", &jobs, |(input, folder, engine, group)| {
        let sounds: Vec<Vec<i16>> =
            group.iter().map(|entry| wav::read(&folder.join(&entry.file))).collect::<Result<_>>()?;
        let verdicts = judge(engine, &sounds).with_context(|| format!("{engine} at 8000 Hz"))?;
        for (entry, verdicts) in group.iter().zip(verdicts) {
            write(&out.join(input).join(engine).join(&entry.file).with_extension("f32"), &verdicts)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// Writes what a detector said of a file.
pub(crate) fn write(path: &Path, verdicts: &[Activity]) -> Result<()> {
    std::fs::create_dir_all(path.parent().context("no folder")?)?;
    let speech = |activity: &Activity| if activity.speech { 1.0_f32 } else { 0.0 };
    let pairs = verdicts.iter().flat_map(|activity| [speech(activity), activity.confidence]);
    let bytes: Vec<u8> = pairs.flat_map(f32::to_le_bytes).collect();
    std::fs::write(path, bytes).with_context(|| path.display().to_string())
}

/// What a detector says of every 10 ms of some sounds at 8 kHz.
pub(crate) fn judge(engine: &str, sounds: &[Vec<i16>]) -> Result<Vec<Vec<Activity>>> {
    const FRAME: usize = 80;
    let mut bank = engines::voice(engine, sounds.len())?;
    let slots: Vec<Slot> =
        sounds.iter().map(|_| bank.attach(8000).context("the bank refused a call")).collect::<Result<_>>()?;
    let floats: Vec<Vec<f32>> =
        sounds.iter().map(|sound| sound.iter().map(|&sample| to_f32(sample)).collect()).collect();
    let mut verdicts: Vec<Vec<Activity>> = vec![Vec::new(); sounds.len()];
    let longest = sounds.iter().map(Vec::len).max().unwrap_or(0);
    for at in (0..longest).step_by(FRAME) {
        let mut batch: Vec<VadFrame<'_>> = slots
            .iter()
            .zip(&floats)
            .filter_map(|(&slot, sound)| {
                Some(VadFrame { slot, pcm: sound.get(at..at + FRAME)?, activity: Activity::default() })
            })
            .collect();
        bank.process(&mut batch);
        for frame in batch {
            if let Some(place) = slots.iter().position(|&slot| slot == frame.slot) {
                verdicts[place].push(frame.activity);
            }
        }
    }
    Ok(verdicts)
}
