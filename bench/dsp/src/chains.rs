//! Whole chains as calls per core: 20 ms divided by the processor time of one call's frame, both ways.
//!
//! A call is G.711 from the packet through jitter buffer and uplink chain to 16-bit samples, and from the agent's
//! samples through the downlink chain to G.711: what `dsp` does by default, speech over noise without a pause, and the
//! denoiser's gate forced open unless the row says otherwise.
//!
//! The rows that count are those of a worker with as many legs as a core can have, one chain for the four phases of its
//! tick, packets that come late and do not come, and legs that others made room for.

use anyhow::Context as _;
use trunkline_allocations::counted;
use trunkline_bench_results::{Measurement, Results};
use trunkline_dsp::chain::{
    ChainConfig, Denoiser, DownlinkChain, DownlinkFrame, LegDsp, Shedding, SonoraChain, Sound, UplinkBatch,
    UplinkChain, UplinkFrame, UplinkReport,
};
use trunkline_dsp::codec::{Encoder, UlawDecoder, UlawEncoder};
use trunkline_dsp::jitter::{JitterBuffer, JitterConfig, Packet};
use trunkline_dsp::ns::Gate;
use trunkline_dsp::to_f32;

use crate::signal::{Noise, noisy_speech};
use crate::stopwatch::Stopwatch;

/// Legs of a phase of a worker that has its core full, and of one that does not.
const FULL: usize = 217;
const FEW: usize = 16;
const PHASES: usize = 4;
const FRAME: usize = 160;
const TICK_US: u64 = 20_000;
const PHASE_US: u64 = TICK_US / PHASES as u64;
/// Ticks of sound before it begins anew.
const SOUND: usize = 100;
/// Ticks before anything is counted.
const WARM_UP: usize = 400;
/// What a network does to packets: share lost, and how late others are, in microseconds: this much in the mean, never
/// longer than the other.
const LOST: f32 = 0.03;
const LATE_US: f32 = 4000.0;
const LATEST_US: f32 = 35_000.0;

/// Measures them all.
pub(crate) fn measure(watch: &mut Stopwatch, results: &mut Results) -> anyhow::Result<()> {
    let worker = |denoiser, legs| Worker::new(denoiser, legs, Gate::Open, Speech::Continuous, Network::Perfect);
    let busy = |denoiser| Worker::new(denoiser, FULL, Gate::Open, Speech::Continuous, Network::Poor)?.after_churn();
    let reference = worker(Denoiser::Reference, FEW)?.measure(watch, "reference", results)?;
    let few = worker(Denoiser::Lanes, FEW)?.measure(watch, "denoised.few", results)?;
    let clean = worker(Denoiser::Lanes, FULL)?.measure(watch, "denoised.clean", results)?;
    let denoised = busy(Denoiser::Lanes)?.measure(watch, "denoised", results)?;
    let economy = busy(Denoiser::Economy)?.measure(watch, "economy", results)?;
    let mut shed = busy(Denoiser::Lanes)?;
    shed.uplink.set_shedding(Shedding::NoDenoiser);
    let shed = shed.measure(watch, "shed", results)?;
    let plain = busy(Denoiser::Off)?.measure(watch, "plain", results)?;
    let gated = Worker::new(Denoiser::Lanes, FULL, Gate::Auto, Speech::Conversation, Network::Poor)?
        .after_churn()?
        .measure(watch, "denoised.gated", results)?;
    let unit = "calls/core";
    results.add(Measurement::new("chain.denoised.calls_per_core", denoised, unit).against("nnnoiseless", reference));
    results.add(Measurement::new("chain.denoised.clean.calls_per_core", clean, unit).against("churned", denoised));
    results.add(Measurement::new("chain.denoised.few.calls_per_core", few, unit).against("a full core", clean));
    results.add(Measurement::new("chain.denoised.gated.calls_per_core", gated, unit).against("gate open", denoised));
    results.add(Measurement::new("chain.economy.calls_per_core", economy, unit).against("the network", denoised));
    results.add(Measurement::new("chain.shed.calls_per_core", shed, unit).against("the network", denoised));
    results.add(Measurement::new("chain.plain.calls_per_core", plain, unit).against("the network", denoised));
    results.add(Measurement::new("chain.reference.calls_per_core", reference, unit));
    sonora(watch, results)
}

/// What the callers do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speech {
    /// Speak over noise without a pause.
    Continuous,
    /// Are muted for half of the time, one after the other.
    Conversation,
}

/// What becomes of packets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Network {
    /// They come in time.
    Perfect,
    /// They come late, or not at all.
    Poor,
}

struct Call {
    number: u32,
    leg: LegDsp,
    jitter: JitterBuffer<UlawDecoder>,
    heard: [i16; FRAME],
    said: [i16; FRAME],
    payload: [u8; FRAME],
}

/// The signal processing of a media worker, without its sockets.
struct Worker {
    uplink: UplinkChain,
    downlink: DownlinkChain,
    batch: UplinkBatch,
    sound: Sound,
    phases: Vec<Vec<Box<Call>>>,
    arrangement: u64,
    /// Packets of the callers and sound of the agents.
    packets: Vec<[u8; FRAME]>,
    agent: Vec<[i16; FRAME]>,
    speech: Speech,
    network: Network,
    tick: u64,
    /// Frames, and those of them of which the sure detector was asked.
    heard: u64,
    asked: u64,
}

impl Worker {
    fn new(denoiser: Denoiser, legs: usize, gate: Gate, speech: Speech, network: Network) -> anyhow::Result<Self> {
        let sound = Sound { denoiser, ..Sound::default() };
        let mut uplink = UplinkChain::new(ChainConfig { denoiser_gate: gate, ..ChainConfig::new(PHASES * legs) });
        let mut numbers = 0..;
        let mut call = || {
            let mut leg = LegDsp::new(&sound, 8000).context("the chain knows 8 kHz")?;
            anyhow::ensure!(uplink.adopt(&mut leg), "the chain is full");
            Ok(Box::new(Call {
                number: numbers.next().unwrap_or_default(),
                leg,
                jitter: JitterBuffer::new(UlawDecoder, JitterConfig::default()),
                heard: [0; FRAME],
                said: [0; FRAME],
                payload: [0; FRAME],
            }))
        };
        let phases = (0..PHASES)
            .map(|_| (0..legs).map(|_| call()).collect())
            .collect::<anyhow::Result<Vec<Vec<Box<Call>>>>>()?;
        let frames = |seed| {
            let pcm = noisy_speech(8000, SOUND / 50, seed);
            pcm.chunks_exact(FRAME).filter_map(|frame| frame.try_into().ok()).collect::<Vec<[i16; FRAME]>>()
        };
        let packets = frames(31)
            .iter()
            .map(|frame| {
                let mut payload = [0; FRAME];
                UlawEncoder.encode(frame, &mut payload);
                payload
            })
            .collect();
        Ok(Self {
            uplink,
            downlink: DownlinkChain::new(),
            batch: UplinkBatch::new(legs),
            sound,
            phases,
            arrangement: 0,
            packets,
            agent: frames(32),
            speech,
            network,
            tick: 0,
            heard: 0,
            asked: 0,
        })
    }

    /// The same number of calls after many came and went, in phases that have nothing to do with their lanes.
    fn after_churn(mut self) -> anyhow::Result<Self> {
        let mut dice = Noise::new(71);
        let mut below = |limit: usize| ((dice.next() + 1.0) / 2.0 * limit as f32) as usize % limit;
        let legs = self.phases[0].len();
        for _ in 0..10 * PHASES * legs {
            let (phase, at) = (below(PHASES), below(legs));
            let leg = &mut self.phases[phase][at].leg;
            self.uplink.detach(leg);
            *leg = LegDsp::new(&self.sound, 8000).context("the chain knows 8 kHz")?;
            anyhow::ensure!(self.uplink.adopt(leg), "a place that was given back is taken again");
            let (other, there) = (below(PHASES), below(legs));
            if phase != other {
                let [one, two] = self.phases.get_disjoint_mut([phase, other]).context("these are two phases")?;
                std::mem::swap(&mut one[at], &mut two[there]);
            }
        }
        Ok(self)
    }

    /// One tick of every call: phase by phase, down and then up.
    fn tick(&mut self) {
        if self.uplink.arrangement() != self.arrangement {
            self.arrangement = self.uplink.arrangement();
            for phase in &mut self.phases {
                phase.sort_unstable_by_key(|call| self.uplink.order(&call.leg));
            }
        }
        for phase in 0..PHASES {
            self.phase(phase);
        }
        self.tick += 1;
    }

    fn phase(&mut self, phase: usize) {
        let Self { uplink, downlink, batch, phases, packets, agent, heard, asked, .. } = self;
        let calls = &mut phases[phase];
        let now = self.tick * TICK_US + phase as u64 * PHASE_US;
        let silence = [trunkline_dsp::codec::ULAW_SILENCE; FRAME];
        for call in calls.iter_mut() {
            // Every call is at a place of its own in the sound.
            let own = call.number as usize * 7;
            call.said = agent[(self.tick as usize + own) % SOUND];
            for seq in self.tick.saturating_sub(2)..=self.tick {
                let sent = seq * TICK_US + phase as u64 * PHASE_US;
                let Some(arrival) = self.network.arrival(call.number, seq, sent) else { continue };
                if arrival > now || arrival + TICK_US <= now {
                    continue;
                }
                let at = seq as usize + own;
                let muted = self.speech == Speech::Conversation && (at / SOUND).is_multiple_of(2);
                let payload: &[u8] = if muted { &silence } else { &packets[at % SOUND] };
                let timestamp = (seq as u32).wrapping_mul(160);
                call.jitter.insert(&Packet { seq: seq as u16, timestamp, arrival, marker: false, payload });
            }
        }
        for call in calls.iter_mut() {
            downlink.process(&mut [DownlinkFrame { leg: &mut call.leg, pcm: &mut call.said }]);
            UlawEncoder.encode(&call.said, &mut call.payload);
        }
        for call in calls.iter_mut() {
            call.jitter.get(now + 2000, &mut call.heard);
        }
        let frames = calls.iter_mut().map(|call| UplinkFrame {
            leg: &mut call.leg,
            pcm: &mut call.heard,
            raw: &mut [],
            report: UplinkReport::default(),
        });
        batch.with(frames, |row| {
            uplink.process(row);
            *heard += row.len() as u64;
            *asked += row.iter().filter(|frame| frame.report.certainty.is_some()).count() as u64;
        });
    }

    /// Calls per core; adds what was allocated per frame.
    fn measure(mut self, watch: &mut Stopwatch, name: &str, results: &mut Results) -> anyhow::Result<f64> {
        let calls = (PHASES * self.phases[0].len()) as f64;
        for _ in 0..WARM_UP {
            self.tick();
        }
        let taken = counted(|| {
            for _ in 0..SOUND {
                self.tick();
            }
        });
        let per_frame = taken.taken as f64 / (SOUND as f64 * calls);
        let ns = watch.median_ns(&format!("chain.{name}"), || self.tick())? / calls;
        results.add(Measurement::new(format!("chain.{name}.ns_per_frame"), ns, "ns"));
        results.add(Measurement::new(format!("chain.{name}.allocations_per_frame"), per_frame, "allocations"));
        let asked = 100.0 * self.asked as f64 / self.heard.max(1) as f64;
        results.add(Measurement::new(format!("chain.{name}.second_stage_percent"), asked, "%"));
        Ok(TICK_US as f64 * 1000.0 / ns)
    }
}

impl Network {
    /// When a call's packet comes that was sent then; `None` when it does not.
    fn arrival(self, call: u32, seq: u64, sent: u64) -> Option<u64> {
        if self == Self::Perfect {
            return Some(sent);
        }
        let mut dice = Noise::new(u64::from(call) << 32 | seq);
        dice.next();
        let (lost, late) = ((dice.next() + 1.0) / 2.0, (dice.next() + 1.0) / 2.0);
        let late_us = (-LATE_US * (1.0 - late).max(1e-6).ln()).min(LATEST_US);
        (lost >= LOST).then_some(sent + late_us as u64)
    }
}

/// The opt-in chain that may allocate and runs off the media worker.
fn sonora(watch: &mut Stopwatch, results: &mut Results) -> anyhow::Result<()> {
    let mut chain = SonoraChain::new(8000).context("the chain knows 8 kHz")?;
    let sound: Vec<f32> = noisy_speech(8000, 2, 33).iter().map(|sample| to_f32(*sample)).collect();
    let frames: Vec<&[f32]> = sound.chunks_exact(FRAME).collect();
    let mut pcm = [0.0; FRAME];
    let mut n = 0;
    let mut tick = || {
        pcm.copy_from_slice(frames[(n + 13) % frames.len()]);
        chain.process(frames[n % frames.len()], &mut pcm, 0.9);
        n += 1;
    };
    for _ in 0..SOUND {
        tick();
    }
    let asked = counted(|| {
        for _ in 0..SOUND {
            tick();
        }
    });
    results.add(Measurement::new(
        "chain.sonora.allocations_per_frame",
        asked.taken as f64 / SOUND as f64,
        "allocations",
    ));
    let ns = watch.median_ns("chain.sonora", tick)?;
    results.add(Measurement::new("chain.sonora.ns_per_frame", ns, "ns"));
    Ok(())
}
