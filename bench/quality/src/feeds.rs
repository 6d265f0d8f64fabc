//! Feeds: runs the chain as it ships over what is said to recognisers, and keeps what each of its feeds hands on.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use trunkline_dsp::chain::{
    ChainConfig, DownlinkChain, DownlinkFrame, LegDsp, Sound, UplinkChain, UplinkFrame, UplinkReport,
};

use crate::{parallel, wav};

const RATE: u32 = 8000;
const FRAME: usize = 160;

/// One file of the set.
#[derive(Debug, Clone, Deserialize)]
struct Said {
    file: String,
    /// For how long the agent speaks, in seconds.
    agent_until: f64,
}

/// Writes for every sentence of `folder` what was heard, what was left of it when the echo was turned down, and what was
/// left when noise was taken out too: `out/heard`, `out/gated` and `out/cleaned`.
pub(crate) fn run(folder: &Path, out: &Path) -> Result<()> {
    let list = folder.join("sentences.json");
    let sentences: Vec<Said> =
        serde_json::from_slice(&std::fs::read(&list).with_context(|| list.display().to_string())?)?;
    let agent = wav::read(&folder.join("agent.wav"))?;
    for feed in ["heard", "gated", "cleaned"] {
        std::fs::create_dir_all(out.join(feed))?;
    }
    parallel::each("feeds", &sentences, |said| {
        let heard = wav::read(&folder.join(&said.file))?;
        let name = Path::new(&said.file).file_name().context("no name")?;
        let (gated, cleaned) =
            feeds(&heard, &agent[..((said.agent_until * f64::from(RATE)) as usize).min(agent.len())])?;
        for (feed, pcm) in [("heard", &heard), ("gated", &gated), ("cleaned", &cleaned)] {
            wav::write(&out.join(feed).join(name), RATE, pcm)?;
        }
        Ok(())
    })?;
    let mut noises: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder.join("noise"))? {
        noises.push(entry?.path());
    }
    parallel::each("noise by itself", &noises, |noise| {
        let name = noise.file_name().context("no name")?;
        let (gated, cleaned) = feeds(&wav::read(noise)?, &[])?;
        wav::write(&out.join("noise/gated").join(name), RATE, &gated)?;
        wav::write(&out.join("noise/cleaned").join(name), RATE, &cleaned)
    })?;
    Ok(())
}

/// What the chain makes of `heard` while `agent` is played: without echo, and without noise too.
fn feeds(heard: &[i16], agent: &[i16]) -> Result<(Vec<i16>, Vec<i16>)> {
    let (mut uplink, mut downlink) = (UplinkChain::new(ChainConfig::new(1)), DownlinkChain::new());
    let mut leg = LegDsp::new(&Sound::default(), RATE).context("the chain knows 8 kHz")?;
    anyhow::ensure!(uplink.adopt(&mut leg), "the chain is full");
    let (mut gated, mut cleaned) = (Vec::with_capacity(heard.len()), Vec::with_capacity(heard.len()));
    let mut said = agent.chunks_exact(FRAME);
    for frame in heard.chunks_exact(FRAME) {
        let (mut pcm, mut raw) = (frame.to_vec(), vec![0; FRAME]);
        let mut says = said.next().map_or_else(|| vec![0; FRAME], <[i16]>::to_vec);
        downlink.process(&mut [DownlinkFrame { leg: &mut leg, pcm: &mut says }]);
        uplink.process(&mut [UplinkFrame {
            leg: &mut leg,
            pcm: &mut pcm,
            raw: &mut raw,
            report: UplinkReport::default(),
        }]);
        gated.extend(raw);
        cleaned.extend(pcm);
    }
    uplink.detach(&mut leg);
    Ok((gated, cleaned))
}
