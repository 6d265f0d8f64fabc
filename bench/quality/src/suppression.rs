//! Runs the noise suppressors over the set, several calls at a time as the gateway does.

use std::path::Path;

use anyhow::{Context as _, Result};
use trunkline_dsp::chain::{ChainConfig, LegDsp, Sound, UplinkChain, UplinkFrame, UplinkReport};
use trunkline_dsp::{Slot, to_f32, to_i16};

use crate::corpus::{Corpus, Entry};
use crate::{engines, parallel, wav};

/// Calls in a batch.
pub(crate) const BATCH: usize = 8;

/// Cleans every file into `out/ENGINE/FILE`.
pub(crate) fn run(corpus: &Corpus, out: &Path) -> Result<()> {
    let mut jobs = Vec::new();
    for rate in [8000, 16000] {
        let entries: Vec<&Entry> = corpus.entries.iter().filter(|entry| entry.rate == rate).collect();
        for engine in engines::NOISE.into_iter().chain([engines::CHAIN]) {
            jobs.extend(entries.chunks(BATCH).map(|group| (engine, rate, group.to_vec())));
        }
    }
    parallel::each("noise suppression", &jobs, |(engine, rate, group)| {
        let sounds: Vec<Vec<i16>> =
            group.iter().map(|entry| wav::read(&corpus.folder.join(&entry.file))).collect::<Result<_>>()?;
        let cleaned = if *engine == engines::CHAIN { chain(*rate, &sounds) } else { clean(engine, *rate, &sounds) };
        let cleaned = cleaned.with_context(|| format!("{engine} at {rate} Hz"))?;
        for (entry, pcm) in group.iter().zip(cleaned) {
            wav::write(&out.join(engine).join(&entry.file), *rate, &pcm)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// What the uplink leaves of some sounds, each in a leg of its own.
fn chain(rate: u32, sounds: &[Vec<i16>]) -> Result<Vec<Vec<i16>>> {
    let mut uplink = UplinkChain::new(ChainConfig::new(sounds.len()));
    let mut cleaned = sounds.to_vec();
    let mut legs = Vec::new();
    for _ in sounds {
        let mut leg = LegDsp::new(&Sound::default(), rate).context("the chain knows the rate")?;
        anyhow::ensure!(uplink.adopt(&mut leg), "the chain is full");
        legs.push(leg);
    }
    let frame = rate as usize / 50;
    let longest = sounds.iter().map(Vec::len).max().unwrap_or(0);
    for at in (0..longest).step_by(frame) {
        let mut batch: Vec<UplinkFrame<'_>> = legs
            .iter_mut()
            .zip(&mut cleaned)
            .filter_map(|(leg, sound)| {
                let pcm = sound.get_mut(at..at + frame)?;
                Some(UplinkFrame { leg, pcm, raw: &mut [], report: UplinkReport::default() })
            })
            .collect();
        uplink.process(&mut batch);
    }
    legs.iter_mut().for_each(|leg| uplink.detach(leg));
    Ok(cleaned)
}

fn clean(engine: &str, rate: u32, sounds: &[Vec<i16>]) -> Result<Vec<Vec<i16>>> {
    let mut bank = engines::noise(engine, sounds.len())?;
    let slots: Vec<Slot> =
        sounds.iter().map(|_| bank.attach(rate).context("the bank refused a call")).collect::<Result<_>>()?;
    let frame = rate as usize / 50;
    let mut floats: Vec<Vec<f32>> =
        sounds.iter().map(|sound| sound.iter().map(|&sample| to_f32(sample)).collect()).collect();
    let longest = sounds.iter().map(Vec::len).max().unwrap_or(0);
    for at in (0..longest).step_by(frame) {
        let mut batch: Vec<(Slot, &mut [f32])> = slots
            .iter()
            .zip(&mut floats)
            .filter_map(|(&slot, sound)| Some((slot, sound.get_mut(at..at + frame)?)))
            .collect();
        bank.process(&mut batch);
    }
    Ok(floats.iter().map(|sound| sound.iter().map(|&sample| to_i16(sample)).collect()).collect())
}
