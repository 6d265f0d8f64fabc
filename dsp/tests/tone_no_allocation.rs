//! Tones, gain and the echo gate allocate nothing once they are made; what the opt-in engines allocate is printed.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod tone_signals;

use tone_signals::{add, noise, place, sine, speech};
use trunkline_allocations::allocations;
use trunkline_dsp::echo::{BargeIn, EchoGate, SonoraAec, Voice};
use trunkline_dsp::gain::{Agc, AgcConfig, Limiter, SonoraAgc};
use trunkline_dsp::tone::progress::Classifier;
use trunkline_dsp::tone::{DtmfDetector, DtmfTone, Plan, SupervisoryTone};

/// Speech, keys, a beep and noise, so that every branch is taken.
fn everything(rate: u32) -> Vec<f32> {
    let second = rate as usize;
    let mut pcm = noise(-50.0, 12 * second, 1);
    add(&mut pcm, &speech(4 * second, rate, 0.9, 3));
    for (n, key) in "159D".chars().enumerate() {
        let mut tone = vec![0; second / 10];
        DtmfTone::new(key, rate, 80).unwrap().fill(&mut tone);
        let tone: Vec<f32> = tone.iter().map(|s| trunkline_dsp::to_f32(*s)).collect();
        place(&mut pcm, 4 * second + n * second / 4, &tone);
    }
    place(&mut pcm, 6 * second, &sine(1000.0, -12.0, second / 2, rate));
    let mut busy = vec![0; 3 * second];
    SupervisoryTone::new(&Plan::EU.patterns[2], rate).fill(&mut busy);
    let busy: Vec<f32> = busy.iter().map(|s| trunkline_dsp::to_f32(*s)).collect();
    place(&mut pcm, 8 * second, &busy);
    pcm
}

#[test]
fn nothing_is_allocated_per_frame() {
    for rate in [8000, 16000, 48000] {
        let mut pcm = everything(rate);
        let mut out = vec![0; rate as usize / 50];
        let mut dtmf = DtmfDetector::new(rate).unwrap();
        let mut classifier = Classifier::new(rate, &Plan::EU).unwrap();
        let mut gate = EchoGate::new(rate).unwrap();
        let mut agc = Agc::new(rate, AgcConfig::default()).unwrap();
        let mut limiter = Limiter::new(rate, -6.0).unwrap();
        let mut barge = BargeIn::default();
        let mut key = DtmfTone::new('7', rate, 100).unwrap();
        let mut ring = SupervisoryTone::new(&Plan::US.patterns[1], rate);
        let (mut keys, mut events) = (0, 0);
        let allocated = allocations(|| {
            for frame in pcm.chunks_mut(rate as usize / 50) {
                dtmf.process(frame, |_| keys += 1);
                classifier.process(frame, |_| events += 1);
                let verdict = gate.process(frame, frame);
                gate.suppress(frame, &verdict);
                barge.handle(Voice { quick: 0.9, sure: Some(0.9), steady: 0.0, echo: verdict.echo }, 20);
                agc.process(frame, 0.9);
                limiter.process(frame);
                key.fill(&mut out);
                ring.fill(&mut out);
            }
        });
        assert_eq!(allocated, 0, "at {rate}");
        assert_eq!(keys, 8, "at {rate}");
        assert!(events >= 3, "{events} at {rate}");
    }
}

#[test]
fn the_opt_in_engines_are_counted() {
    for rate in [8000_u32, 16000] {
        let pcm = everything(rate);
        let frame = rate as usize / 50;
        let frames = (pcm.len() / frame) as u64;
        let mut near = vec![0.0; frame];
        let mut agc = SonoraAgc::new(rate).unwrap();
        let mut aec = SonoraAec::new(rate).unwrap();
        let gain = allocations(|| {
            pcm.chunks_exact(frame).for_each(|f| {
                near.copy_from_slice(f);
                agc.process(&mut near, 1.0);
            })
        });
        let echo = allocations(|| {
            pcm.chunks_exact(frame).for_each(|f| {
                near.copy_from_slice(f);
                aec.process(f, &mut near);
            })
        });
        println!(
            "at {rate}, allocations and frees per 20 ms: AGC2 {:.1}, AEC3 {:.1}",
            gain as f64 / frames as f64,
            echo as f64 / frames as f64
        );
        // One that stops allocating belongs into the chains of the media worker: then say so in its documentation.
        assert!(gain > 0 && echo > 0, "at {rate}: AGC2 {gain}, AEC3 {echo}");
    }
}
