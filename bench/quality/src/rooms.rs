//! Real rooms: runs the chain as it ships over recorded people and noises while the agent speaks without a pause, and
//! notes what it takes for interruptions.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use trunkline_dsp::Slot;
use trunkline_dsp::chain::{
    ChainConfig, DownlinkChain, DownlinkFrame, LegDsp, Sound, UplinkChain, UplinkFrame, UplinkReport,
};
use trunkline_dsp::echo::Interruption;
use trunkline_dsp::vad::{SileroBank, SileroFrame, VadBank as _};

use crate::tools::Tools;
use crate::{activity, engines, parallel, wav};

const RATE: u32 = 8000;
const FRAME: usize = 160;
/// Frames until the agent, once cut, begins to speak again.
const SPEAKS_AGAIN: usize = 50;

/// One file of the set.
#[derive(Debug, Clone, Deserialize)]
struct Room {
    file: String,
}

const RECIPE: &str = "recipe.txt";

/// The set in `work/rooms`, made now unless it is there and of the same recipe.
pub(crate) fn made(work: &Path, tools: &Tools) -> Result<PathBuf> {
    let folder = work.join("rooms");
    let recipe = tools.rooms_recipe()?;
    if std::fs::read_to_string(folder.join(RECIPE)).is_ok_and(|known| known == recipe) {
        println!("rooms: as made before, in {}", folder.display());
        return Ok(folder);
    }
    println!("rooms: making the set in {} (about a minute)", folder.display());
    let _ = std::fs::remove_dir_all(&folder);
    let mut make = tools.python("rooms.py");
    crate::tools::run(make.arg(&folder)).context("making the rooms")?;
    crate::tools::run(tools.python("sentences.py").arg(&folder)).context("making what is said to recognisers")?;
    std::fs::write(folder.join(RECIPE), recipe)?;
    Ok(folder)
}

/// Writes for every file of `folder` what the chain makes of it, `out/FILE.events`: a byte a frame, 1 where somebody was
/// suspected to interrupt, 2 where that was confirmed and 4 where it was dismissed; 8 while there is speech, and 16 while
/// the sure detector works. And what every detector makes of it by itself, `out/ENGINE/FILE.f32`, as in [`activity`].
pub(crate) fn run(folder: &Path, out: &Path) -> Result<()> {
    let list = folder.join("rooms.json");
    let rooms: Vec<Room> = serde_json::from_slice(&std::fs::read(&list).with_context(|| list.display().to_string())?)?;
    let agent = wav::read(&folder.join("agent.wav"))?;
    let jobs: Vec<_> = engines::VOICE.iter().flat_map(|engine| rooms.iter().map(move |room| (*engine, room))).collect();
    parallel::each("voice activity in rooms", &jobs, |(engine, room)| {
        let heard = wav::read(&folder.join(&room.file))?;
        activity::write(
            &out.join(engine).join(&room.file).with_extension("f32"),
            &activity::judge(engine, &[heard])?[0],
        )
    })?;
    parallel::each("interruptions in rooms", &rooms, |room| {
        let heard = wav::read(&folder.join(&room.file))?;
        let path = out.join(&room.file).with_extension("events");
        std::fs::create_dir_all(path.parent().context("no folder")?)?;
        std::fs::write(&path, events(&heard, &agent)?).with_context(|| path.display().to_string())
    })?;
    Ok(())
}

/// Processor time that the sure detector takes for 20 ms of a call, in microseconds, when sixteen are judged together.
pub(crate) fn silero_us(folder: &Path) -> Result<f64> {
    const CALLS: usize = 16;
    let heard = wav::read(&folder.join("agent.wav"))?;
    let mut bank = SileroBank::new(CALLS);
    let slots: Vec<Slot> = (0..CALLS).map_while(|_| bank.attach(RATE)).collect();
    let begun = processor_us();
    let mut frames = 0_u32;
    for pcm in heard.chunks_exact(FRAME) {
        let asks = |slot: &Slot| SileroFrame { slot: *slot, pcm, asked: true, probability: None };
        let mut batch: Vec<SileroFrame<'_>> = slots.iter().map(asks).collect();
        bank.judge(&mut batch);
        frames += CALLS as u32;
    }
    Ok((processor_us() - begun) / f64::from(frames.max(1)))
}

/// Processor time of this thread.
fn processor_us() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

fn events(heard: &[i16], agent: &[i16]) -> Result<Vec<u8>> {
    let (mut uplink, mut downlink) = (UplinkChain::new(ChainConfig::new(1)), DownlinkChain::new());
    let mut leg = LegDsp::new(&Sound::default(), RATE).context("the chain knows 8 kHz")?;
    anyhow::ensure!(uplink.adopt(&mut leg), "the chain is full");
    let mut silent = 0;
    let mut said = agent.chunks_exact(FRAME).cycle();
    let mut found = Vec::with_capacity(heard.len() / FRAME);
    for frame in heard.chunks_exact(FRAME) {
        let mut pcm = frame.to_vec();
        let mut says = if silent > 0 { vec![0; FRAME] } else { said.next().unwrap_or_default().to_vec() };
        downlink.process(&mut [DownlinkFrame { leg: &mut leg, pcm: &mut says }]);
        let mut batch = [UplinkFrame { leg: &mut leg, pcm: &mut pcm, raw: &mut [], report: UplinkReport::default() }];
        uplink.process(&mut batch);
        let report = batch[0].report;
        let event = match report.interruption {
            Some(Interruption::Suspected) => 1,
            Some(Interruption::Confirmed) => 2,
            Some(Interruption::Dismissed) => 4,
            None => 0,
        };
        found.push(event | u8::from(report.activity.speech) << 3 | u8::from(report.certainty.is_some()) << 4);
        // Whoever is cut says something else a second later.
        if silent > 0 {
            silent -= 1;
            if silent == 0 {
                leg.rearm();
            }
        }
        if event == 2 {
            silent = SPEAKS_AGAIN;
        }
    }
    Ok(found)
}
