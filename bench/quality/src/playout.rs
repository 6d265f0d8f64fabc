//! Runs the jitter buffer: concealment against that of others, and delay and loss over networks.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Serialize;
use trunkline_dsp::codec::{Decoder, UlawDecoder, ulaw_decode, ulaw_encode};
use trunkline_dsp::jitter::trace::Network;
use trunkline_dsp::jitter::{JitterBuffer, JitterConfig, Packet};

use crate::corpus::{Corpus, Entry};
use crate::marking::{Located, Marked};
use crate::network::{PACKET_US, burst_loss, transit};
use crate::random::Random;
use crate::tools::{Tools, filter};
use crate::{parallel, wav};

const FRAME: usize = 160;
/// What is played before this is not counted: every buffer has to learn its network first.
const WARM_UP_US: u64 = 2_000_000;
const PERCENTS: [u8; 4] = [1, 3, 5, 10];
const SEEDS: [&str; 2] = ["a", "b"];
/// How often a talker's stream is played over a network, one time after the other.
const ROUNDS: usize = 2;

/// Conceals the same losses with the buffer, with spandsp and with nothing, into `out/METHOD/TALKER-PERCENT-SEED.wav`.
pub(crate) fn concealment(corpus: &Corpus, tools: &Tools, out: &Path) -> Result<()> {
    let mut jobs = Vec::new();
    for entry in corpus.clean(8000) {
        for percent in PERCENTS {
            jobs.extend(SEEDS.map(|seed| (entry.clone(), percent, seed)));
        }
    }
    parallel::each("concealment", &jobs, |(entry, percent, seed)| {
        let coded = coded(corpus, entry)?;
        let key = format!("{}-{percent}-{seed}", entry.talker);
        let lost = burst_loss(coded.len() / FRAME, *percent, &mut Random::of(&format!("loss {key}")));
        let file = |method: &str| out.join(method).join(format!("{key}.wav"));

        let transit: Vec<Option<u64>> = lost.iter().map(|lost| (!lost).then_some(0)).collect();
        let payloads: Vec<Vec<u8>> = coded.chunks_exact(FRAME).map(<[u8]>::to_vec).collect();
        let played = play(UlawDecoder, &payloads, &transit, 0);
        wav::write(&file("ours"), 8000, &played.pcm)?;

        let sound: Vec<i16> = coded.iter().map(|&code| ulaw_decode(code)).collect();
        let mut zeroed = sound.clone();
        for (frame, _) in zeroed.chunks_exact_mut(FRAME).zip(&lost).filter(|(_, lost)| **lost) {
            frame.fill(0);
        }
        wav::write(&file("zero"), 8000, &zeroed)?;

        let mask = file("spandsp").with_extension("mask");
        std::fs::create_dir_all(mask.parent().context("no folder")?)?;
        std::fs::write(&mask, lost.iter().map(|lost| if *lost { '0' } else { '1' }).collect::<String>())?;
        let bytes: Vec<u8> = sound.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let concealed = filter(Command::new(tools.spandsp()).arg("plc").arg(&mask), &bytes).context("spandsp")?;
        let pcm: Vec<i16> = concealed.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        wav::write(&file("spandsp"), 8000, &pcm)
    })?;
    Ok(())
}

/// One talker over one network.
#[derive(Serialize)]
struct Run {
    network: &'static str,
    talker: String,
    /// How much later than the fastest packet each packet came, in milliseconds, after the warm-up; none when lost.
    jitter_ms: Vec<Option<f64>>,
    /// The fastest packet's time under way, and when the first one that came was sent and when it came.
    fastest_ms: f64,
    first_sent_ms: f64,
    first_arrival_ms: f64,
    /// When the first frame was pulled, before and after which one is pulled every 20 ms.
    phase_ms: f64,
    /// By how much each 10 ms of sound was played later than the fastest packet could have brought it.
    added_delay_ms: Vec<f64>,
    samples: u64,
    concealed_samples: u64,
    /// Packets that came and were never heard.
    late_packets: u64,
    packets: u64,
}

/// Plays every talker over every network, into `out/NETWORK/TALKER.wav` and `out/runs.json`.
pub(crate) fn networks(corpus: &Corpus, out: &Path) -> Result<()> {
    let mut jobs = Vec::new();
    for (name, network) in Network::ALL {
        jobs.extend(corpus.clean(8000).into_iter().map(|entry| (name, network, entry)));
    }
    let runs = parallel::each("networks", &jobs, |(name, network, entry)| {
        let once = coded(corpus, entry)?;
        let coded: Vec<u8> = once.iter().copied().cycle().take(once.len() * ROUNDS).collect();
        let mut random = Random::of(&format!("network {name} {}", entry.talker));
        let transit = transit(*network, coded.len() / FRAME, &mut random);
        let phase = random.bits() % PACKET_US;
        let payloads = Marked::payloads(&coded);
        let played = play(Marked, &payloads, &transit, phase);
        wav::write(&out.join(name).join(format!("{}.wav", entry.talker)), 8000, &played.pcm)?;
        Ok(summed(name, &entry.talker, &transit, &played, &Located::of(coded.len())))
    })?;
    std::fs::write(out.join("runs.json"), serde_json::to_vec(&runs)?)?;
    Ok(())
}

fn summed(network: &'static str, talker: &str, transit: &[Option<u64>], played: &Played, located: &Located) -> Run {
    let warm_packets = (WARM_UP_US / PACKET_US) as usize;
    let counted = transit.get(warm_packets..).unwrap_or_default();
    let fastest = counted.iter().flatten().min().copied().unwrap_or(0);
    let millis = |micros: u64| micros as f64 / 1000.0;
    let (first, first_transit) =
        transit.iter().enumerate().find_map(|(index, transit)| Some((index, (*transit)?))).unwrap_or((0, 0));
    let first_sent = first as u64 * PACKET_US;
    let mut added_delay_ms = Vec::new();
    let mut last = None;
    let mut heard = vec![false; transit.len()];
    for (at, position) in located.positions(&played.pcm) {
        if let Some(packet) = heard.get_mut(position / FRAME) {
            *packet = true;
        }
        let now = played.begun_us + at as u64 * 125;
        if now < WARM_UP_US || last.is_some_and(|last| at < last + 80) {
            continue;
        }
        last = Some(at);
        added_delay_ms.push(now as f64 / 1000.0 - position as f64 / 8.0 - millis(fastest));
    }
    Run {
        network,
        talker: talker.to_owned(),
        jitter_ms: counted.iter().map(|transit| transit.map(|micros| millis(micros - fastest))).collect(),
        fastest_ms: millis(fastest),
        first_sent_ms: millis(first_sent),
        first_arrival_ms: millis(first_sent + first_transit),
        phase_ms: millis(played.begun_us),
        added_delay_ms,
        samples: played.samples,
        concealed_samples: played.concealed,
        late_packets: transit.iter().zip(heard).filter(|(transit, heard)| transit.is_some() && !heard).count() as u64,
        packets: transit.len() as u64,
    }
}

/// A talker's clean stream as mu-law.
fn coded(corpus: &Corpus, entry: &Entry) -> Result<Vec<u8>> {
    Ok(wav::read(&corpus.folder.join(&entry.file))?.into_iter().map(ulaw_encode).collect())
}

/// What came out of a buffer.
struct Played {
    pcm: Vec<i16>,
    /// When the first sample was played.
    begun_us: u64,
    /// Samples after the warm-up, and how many of them no packet supplied.
    samples: u64,
    concealed: u64,
}

/// Sends packet `n` at `n` times 20 ms and pulls a frame every 20 ms, beginning `phase` after the first was sent.
fn play<D: Decoder>(decoder: D, payloads: &[Vec<u8>], transit: &[Option<u64>], phase: u64) -> Played {
    let mut arrivals: Vec<(u64, usize)> = transit
        .iter()
        .enumerate()
        .filter_map(|(index, transit)| Some((index as u64 * PACKET_US + (*transit)?, index)))
        .collect();
    arrivals.sort_unstable();
    let mut arrivals = arrivals.into_iter().peekable();
    let mut buffer = JitterBuffer::new(decoder, JitterConfig::default());
    let mut played = Played { pcm: Vec::new(), begun_us: phase, samples: 0, concealed: 0 };
    // Half a second more than was sent, for what waits in the buffer.
    for tick in 0..payloads.len() as u64 + 25 {
        let now = phase + tick * PACKET_US;
        while let Some((arrival, index)) = arrivals.next_if(|(arrival, _)| *arrival <= now) {
            buffer.insert(&Packet {
                seq: index as u16,
                timestamp: (index * FRAME) as u32,
                arrival,
                marker: index == 0,
                payload: &payloads[index],
            });
        }
        let mut frame = [0; FRAME];
        let info = buffer.get(now, &mut frame);
        played.pcm.extend(frame);
        if now >= WARM_UP_US && now < payloads.len() as u64 * PACKET_US {
            played.samples += FRAME as u64;
            played.concealed += u64::from(info.concealed);
        }
    }
    played
}
