//! Whole chains as calls per core: 20 ms divided by the processor time of one call's frame, both ways.
//!
//! A call is G.711 from the packet through jitter buffer and uplink chain to 16-bit samples, and from the agent's
//! samples through the downlink chain to G.711: the chain that `dsp` offers with its defaults, a batch of calls a tick,
//! speech over noise without a pause, and the denoiser's gate forced open unless the row says otherwise.

use anyhow::Context as _;
use trunkline_allocations::counted;
use trunkline_bench_results::{Measurement, Results};
use trunkline_dsp::chain::{
    ChainConfig, Denoiser, DownlinkChain, DownlinkFrame, LegDsp, SonoraChain, UplinkChain, UplinkFrame, UplinkReport,
};
use trunkline_dsp::codec::{Encoder, UlawDecoder, UlawEncoder};
use trunkline_dsp::jitter::{JitterBuffer, JitterConfig, Packet};
use trunkline_dsp::ns::Gate;
use trunkline_dsp::to_f32;

use crate::signal::{Noise, noisy_speech};
use crate::stopwatch::Stopwatch;

/// Calls of a tick, as many as a worker may have in one phase.
const CALLS: usize = 64;
/// Frames handed to a chain at once.
const BATCH: usize = 16;
const FRAME: usize = 160;
const TICK_US: u64 = 20_000;
/// Ticks of sound before it begins anew.
const SOUND: usize = 100;
/// Ticks before anything is counted.
const WARM_UP: usize = 150;

/// Measures them all.
pub(crate) fn measure(watch: &mut Stopwatch, results: &mut Results) -> anyhow::Result<()> {
    let open = |denoiser| ChainConfig { denoiser, denoiser_gate: Gate::Open, ..ChainConfig::default() };
    let plain = Worker::new(open(Denoiser::Off), Speech::Continuous)?.measure(watch, "plain", results)?;
    let reference = Worker::new(open(Denoiser::Reference), Speech::Continuous)?.measure(watch, "reference", results)?;
    let economy = Worker::new(open(Denoiser::Economy), Speech::Continuous)?.measure(watch, "economy", results)?;
    let lanes = Worker::new(open(Denoiser::Lanes), Speech::Continuous)?.measure(watch, "denoised", results)?;
    let churned = Worker::new(open(Denoiser::Lanes), Speech::Continuous)?.after_churn()?.measure(
        watch,
        "denoised.churned",
        results,
    )?;
    let gated = Worker::new(ChainConfig::default(), Speech::Conversation)?.measure(watch, "denoised.gated", results)?;
    let unit = "calls/core";
    results.add(Measurement::new("chain.plain.calls_per_core", plain, unit));
    results.add(Measurement::new("chain.denoised.calls_per_core", lanes, unit).against("nnnoiseless", reference));
    results.add(Measurement::new("chain.economy.calls_per_core", economy, unit).against("nnnoiseless", reference));
    results.add(Measurement::new("chain.reference.calls_per_core", reference, unit));
    results.add(Measurement::new("chain.denoised.churned.calls_per_core", churned, unit).against("in order", lanes));
    results.add(Measurement::new("chain.denoised.gated.calls_per_core", gated, unit).against("gate open", lanes));
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

struct Call {
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
    calls: Vec<Call>,
    /// Packets of the callers and sound of the agents.
    packets: Vec<[u8; FRAME]>,
    agent: Vec<[i16; FRAME]>,
    speech: Speech,
    tick: u64,
}

impl Worker {
    fn new(config: ChainConfig, speech: Speech) -> anyhow::Result<Self> {
        let mut uplink = UplinkChain::new(config, CALLS);
        let calls = (0..CALLS)
            .map(|_| {
                Some(Call {
                    leg: uplink.attach(8000)?,
                    jitter: JitterBuffer::new(UlawDecoder, JitterConfig::default()),
                    heard: [0; FRAME],
                    said: [0; FRAME],
                    payload: [0; FRAME],
                })
            })
            .collect::<Option<Vec<_>>>()
            .context("the chain is full")?;
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
        Ok(Self { uplink, downlink: DownlinkChain::new(), calls, packets, agent: frames(32), speech, tick: 0 })
    }

    /// The same number of calls after many came and went, in an order that has nothing to do with their lanes.
    fn after_churn(mut self) -> anyhow::Result<Self> {
        let mut dice = Noise::new(71);
        for _ in 0..10 * CALLS {
            let at = ((dice.next() + 1.0) / 2.0 * CALLS as f32) as usize % CALLS;
            let call = &mut self.calls[at];
            self.uplink.detach(&mut call.leg);
            call.leg = self.uplink.attach(8000).context("a place that was given back is taken again")?;
            let other = ((dice.next() + 1.0) / 2.0 * CALLS as f32) as usize % CALLS;
            self.calls.swap(at, other);
        }
        Ok(self)
    }

    /// One tick of every call, down and then up.
    fn tick(&mut self) {
        let now = self.tick * TICK_US;
        let silence = [trunkline_dsp::codec::ULAW_SILENCE; FRAME];
        for (n, call) in self.calls.iter_mut().enumerate() {
            // Every call is at a place of its own in the sound.
            let at = self.tick as usize + n * 7;
            call.said = self.agent[at % SOUND];
            let muted = self.speech == Speech::Conversation && (at / SOUND).is_multiple_of(2);
            let payload: &[u8] = if muted { &silence } else { &self.packets[at % SOUND] };
            let (seq, timestamp) = (self.tick as u16, (self.tick as u32).wrapping_mul(160));
            call.jitter.insert(&Packet { seq, timestamp, arrival: now, marker: false, payload });
        }
        for group in self.calls.chunks_exact_mut(BATCH) {
            let mut calls = group.iter_mut();
            let mut batch: [Option<DownlinkFrame<'_>>; BATCH] = std::array::from_fn(|_| {
                calls.next().map(|call| DownlinkFrame { leg: &mut call.leg, pcm: &mut call.said })
            });
            for frame in batch.iter_mut().flatten() {
                self.downlink.process(std::slice::from_mut(frame));
            }
        }
        for call in &mut self.calls {
            UlawEncoder.encode(&call.said, &mut call.payload);
            call.jitter.get(now + 5000, &mut call.heard);
        }
        for group in self.calls.chunks_exact_mut(BATCH) {
            let Ok(group) = <&mut [Call; BATCH]>::try_from(group) else { continue };
            let mut batch = group.each_mut().map(|call| UplinkFrame {
                leg: &mut call.leg,
                pcm: &mut call.heard,
                report: UplinkReport::default(),
            });
            self.uplink.process(&mut batch);
        }
        self.tick += 1;
    }

    /// Calls per core; adds what was allocated per frame.
    fn measure(mut self, watch: &mut Stopwatch, name: &str, results: &mut Results) -> anyhow::Result<f64> {
        for _ in 0..WARM_UP {
            self.tick();
        }
        let asked = counted(|| {
            for _ in 0..SOUND {
                self.tick();
            }
        });
        let per_frame = asked.taken as f64 / (SOUND * CALLS) as f64;
        let ns = watch.median_ns(&format!("chain.{name}"), || self.tick())? / CALLS as f64;
        results.add(Measurement::new(format!("chain.{name}.ns_per_frame"), ns, "ns"));
        results.add(Measurement::new(format!("chain.{name}.allocations_per_frame"), per_frame, "allocations"));
        Ok(TICK_US as f64 * 1000.0 / ns)
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
    for _ in 0..WARM_UP {
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
