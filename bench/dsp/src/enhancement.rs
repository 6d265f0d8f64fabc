//! Noise suppression, voice activity, gain, echo and tones: one 20 ms frame of one call, in nanoseconds.

use std::hint::black_box;

use anyhow::{Context as _, anyhow};
use trunkline_bench_results::{Measurement, Results};
use trunkline_dsp::echo::EchoGate;
use trunkline_dsp::gain::{Agc, AgcConfig};
use trunkline_dsp::level::LevelMeter;
use trunkline_dsp::ns::{Gate, LanesBank, NnnoiselessBank, SonoraBank};
use trunkline_dsp::tone::progress::Classifier;
use trunkline_dsp::tone::{DtmfDetector, Plan};
use trunkline_dsp::vad::{
    Activity, EarshotBank, FusedBank, SileroBank, VadBank, VadConfig, VadFrame, WebRtcBank, WebRtcMode,
};
use trunkline_dsp::{NoiseBank, Slot, to_f32};

use crate::native::Native;
use crate::signal::Frames;
use crate::stopwatch::Stopwatch;

const UNIT: &str = "ns/frame";
/// Calls in a batch: several full groups of lanes.
const CALLS: usize = 32;

/// Measures them all.
pub(crate) fn measure(watch: &mut Stopwatch, native: &Native, results: &mut Results) -> anyhow::Result<()> {
    noise_suppression(watch, native, results)?;
    voice_activity(watch, results)?;
    single_call(watch, results)
}

/// A frame of noisy speech for each call, each a little further into the sound.
fn sound(rate: u32) -> Vec<Vec<f32>> {
    let mut frames = Frames::speech(rate, 11);
    (0..CALLS).map(|_| frames.next().iter().map(|sample| to_f32(*sample)).collect()).collect()
}

fn noise_suppression(watch: &mut Stopwatch, native: &Native, results: &mut Results) -> anyhow::Result<()> {
    for rate in [8000, 16_000] {
        let engines: [(&str, Box<dyn NoiseBank>); 3] = [
            ("lanes", Box::new(LanesBank::new(CALLS).with_gate(Gate::Open))),
            ("sonora", Box::new(SonoraBank::new(CALLS).with_gate(Gate::Open))),
            ("nnnoiseless", Box::new(NnnoiselessBank::new(CALLS).with_gate(Gate::Open))),
        ];
        let mut costs = Vec::new();
        for (name, mut bank) in engines {
            let source = sound(rate);
            let slots: Vec<Slot> = (0..CALLS).map_while(|_| bank.attach(rate)).collect();
            anyhow::ensure!(slots.len() == CALLS, "{name} takes no {CALLS} calls at {rate} Hz");
            let mut frames = source.clone();
            let ns = watch.median_ns(&format!("ns.{name}.{rate}"), || {
                for (frame, source) in frames.iter_mut().zip(&source) {
                    frame.copy_from_slice(source);
                }
                let mut calls = slots.iter().copied().zip(frames.iter_mut());
                let mut batch: [(Slot, &mut [f32]); CALLS] = std::array::from_fn(|_| {
                    calls.next().map_or((slots[0], &mut [][..]), |(slot, pcm)| (slot, &mut pcm[..]))
                });
                bank.process(black_box(&mut batch));
            })?;
            let delay_us = bank.delay_us(rate).unwrap_or(0);
            results.add(Measurement::new(format!("ns.{name}.{rate}.delay"), delay_us as f64 / 1000.0, "ms"));
            costs.push((name, ns / CALLS as f64));
        }
        let reference = costs.last().map_or(0.0, |(_, ns)| *ns);
        for (name, ns) in &costs[..2] {
            results.add(Measurement::new(format!("ns.{name}.{rate}"), *ns, UNIT).against("nnnoiseless", reference));
        }
        let mut speex = native.speex_denoiser(rate)?;
        let (mut source, mut frame) = (Frames::speech(rate, 12), vec![0_i16; rate as usize / 50]);
        let speex_ns = watch.median_ns(&format!("ns.speexdsp.{rate}"), || {
            frame.copy_from_slice(source.next());
            speex(black_box(&mut frame));
        })?;
        let lanes = costs[0].1;
        results.add(
            Measurement::new(format!("ns.lanes.{rate}.beside_speexdsp"), lanes, UNIT).against("speexdsp", speex_ns),
        );
    }
    Ok(())
}

fn voice_activity(watch: &mut Stopwatch, results: &mut Results) -> anyhow::Result<()> {
    let config = VadConfig::default();
    let engines: [(&str, Box<dyn VadBank>); 4] = [
        ("fused", Box::new(FusedBank::new(CALLS))),
        ("webrtc", Box::new(WebRtcBank::new(CALLS, WebRtcMode::VeryAggressive, config))),
        ("earshot", Box::new(EarshotBank::new(CALLS, config))),
        ("silero", Box::new(SileroBank::new(CALLS))),
    ];
    let mut costs = Vec::new();
    for (name, mut bank) in engines {
        let source = sound(8000);
        let slots: Vec<Slot> = (0..CALLS).map_while(|_| bank.attach(8000)).collect();
        anyhow::ensure!(slots.len() == CALLS, "{name} takes no {CALLS} calls");
        let ns = watch.median_ns(&format!("vad.{name}"), || {
            let mut calls = slots.iter().copied().zip(&source);
            let mut batch: [VadFrame<'_>; CALLS] = std::array::from_fn(|_| {
                let (slot, pcm) = calls.next().map_or((slots[0], &[][..]), |(slot, pcm)| (slot, &pcm[..]));
                VadFrame { slot, pcm, activity: Activity::default() }
            });
            bank.process(black_box(&mut batch));
        })?;
        costs.push(ns / CALLS as f64);
    }
    results.add(Measurement::new("vad.fused", costs[0], UNIT).against("webrtc-vad", costs[1]));
    results.add(Measurement::new("vad.fused.beside_earshot", costs[0], UNIT).against("earshot", costs[2]));
    results.add(Measurement::new("vad.silero", costs[3], UNIT).against("fused", costs[0]));
    Ok(())
}

fn single_call(watch: &mut Stopwatch, results: &mut Results) -> anyhow::Result<()> {
    let (source, mut next) = (sound(8000), 0);
    let mut frame = move || {
        next = (next + 1) % source.len();
        source[next].clone()
    };
    let quiet = watch.median_ns("frame", || {
        black_box(frame());
    })?;
    let mut add = |name: &str, work: &mut dyn FnMut(&mut [f32])| -> anyhow::Result<()> {
        let ns = watch.median_ns(name, || {
            let mut pcm = frame();
            work(&mut pcm);
            black_box(&pcm);
        })?;
        // What the frame's own copy costs is taken off.
        results.add(Measurement::new(name, (ns - quiet).max(0.0), UNIT));
        Ok(())
    };
    let unknown = |error| anyhow!("{error}");
    let mut agc = Agc::new(8000, AgcConfig::default()).map_err(unknown)?;
    add("gain.agc", &mut |pcm| agc.process(pcm, 0.9))?;
    let mut gate = EchoGate::new(8000).map_err(unknown)?;
    let played = sound(8000);
    let mut tick = 0;
    add("echo.gate", &mut |pcm| {
        tick = (tick + 1) % played.len();
        black_box(gate.process(&played[tick], pcm));
    })?;
    let mut dtmf = DtmfDetector::new(8000).map_err(unknown)?;
    add("tone.dtmf", &mut |pcm| dtmf.process(pcm, |_| {}))?;
    let mut progress = Classifier::new(8000, &Plan::US).map_err(unknown)?;
    add("tone.progress", &mut |pcm| progress.process(pcm, |_| {}))?;
    let mut meter = LevelMeter::new(8000).context("the meter knows 8 kHz")?;
    add("level.meter", &mut |pcm| {
        black_box(meter.measure(pcm));
    })
}
