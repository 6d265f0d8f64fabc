//! Detectors, meter, gate, endpointer and prosody take all their memory when made: counted in Rust's allocator.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use trunkline_allocations::allocations;
use trunkline_dsp::endpoint::{EndpointConfig, Endpointer};
use trunkline_dsp::gate::{GateConfig, NoiseGate};
use trunkline_dsp::level::LevelMeter;
use trunkline_dsp::prosody::Prosody;
use trunkline_dsp::vad::{
    Activity, EarshotBank, FusedBank, SpectralBank, VadBank, VadConfig, VadFrame, WebRtcBank, WebRtcMode,
};

#[test]
fn banks_attach_judge_and_detach_without_allocating() {
    let banks: [(&str, Box<dyn VadBank>); 4] = [
        ("spectral", Box::new(SpectralBank::new(9))),
        ("fused", Box::new(FusedBank::new(9))),
        ("webrtc", Box::new(WebRtcBank::new(9, WebRtcMode::Quality, VadConfig::default()))),
        ("earshot", Box::new(EarshotBank::new(9, VadConfig::default()))),
    ];
    let narrow: Vec<f32> = (0..160).map(|n| (n as f32 * 0.3).sin() * 0.3).collect();
    let wide: Vec<f32> = (0..320).map(|n| (n as f32 * 0.15).sin() * 0.3).collect();
    for (name, mut bank) in banks {
        let counted = allocations(|| {
            for _ in 0..3 {
                let slots: [_; 9] =
                    std::array::from_fn(|n| bank.attach(if n % 4 == 3 { 16000 } else { 8000 }).unwrap());
                for _ in 0..50 {
                    let mut batch: [VadFrame<'_>; 9] = std::array::from_fn(|n| VadFrame {
                        slot: slots[n],
                        pcm: if n % 4 == 3 { &wide } else { &narrow },
                        activity: Activity::default(),
                    });
                    bank.process(&mut batch);
                }
                slots.into_iter().for_each(|slot| bank.detach(slot));
            }
        });
        assert_eq!(counted, 0, "{name}");
    }
}

#[test]
fn meter_gate_endpointer_and_prosody_do_not_allocate() {
    let mut meter = LevelMeter::new(8000).unwrap();
    let mut gate = NoiseGate::new(8000, GateConfig::default());
    let mut endpointer = Endpointer::new(EndpointConfig::default(), 0);
    let mut prosody = Prosody::new(8000).unwrap();
    let counted = allocations(|| {
        for tick in 0..500_u64 {
            let mut pcm: [f32; 160] = std::array::from_fn(|n| ((n as f32 + tick as f32) * 0.11).sin() * 0.2);
            let levels = meter.measure(&pcm);
            gate.process(&mut pcm, levels.noise_dbfs);
            prosody.push(&pcm);
            std::hint::black_box(prosody.features());
            let speech = tick % 100 < 50;
            endpointer.handle_activity(tick * 20_000, &Activity { speech, ..Activity::default() });
            while let Some(event) = endpointer.poll_event() {
                std::hint::black_box(event);
            }
        }
    });
    assert_eq!(counted, 0);
}
