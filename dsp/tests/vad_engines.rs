//! The engines beside the fused detector: each hears a voice, none hears silence, and a bank moves between threads.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use trunkline_dsp::vad::{
    Activity, EarshotBank, FusedBank, SpectralBank, VadBank, VadConfig, VadFrame, WebRtcBank, WebRtcMode,
};

fn banks(slots: usize) -> Vec<(&'static str, Box<dyn VadBank + Send>)> {
    vec![
        ("spectral", Box::new(SpectralBank::new(slots))),
        ("fused", Box::new(FusedBank::new(slots))),
        ("webrtc", Box::new(WebRtcBank::new(slots, WebRtcMode::Quality, VadConfig::default()))),
        ("earshot", Box::new(EarshotBank::new(slots, VadConfig::default()))),
    ]
}

/// A vowel-like voice with vibrato, in syllables.
fn voice(rate: u32, ms: usize) -> Vec<f32> {
    let mut phase = 0.0_f32;
    (0..rate as usize * ms / 1000)
        .map(|n| {
            let t = n as f32 / rate as f32;
            phase += std::f32::consts::TAU * (120.0 + 15.0 * (t * 9.0).sin()) / rate as f32;
            let formant = |hz: f32, width: f32, k: f32| 1.0 / (1.0 + ((120.0 * k - hz) / width).powi(2));
            let tone: f32 = (1..24)
                .map(|k| {
                    let k = k as f32;
                    (phase * k).sin() * (formant(700.0, 120.0, k) + 0.5 * formant(1200.0, 150.0, k) + 0.05)
                })
                .sum();
            let syllable = (std::f32::consts::TAU * 4.0 * t).sin().max(0.0);
            tone * syllable * 0.15
        })
        .collect()
}

fn judge(bank: &mut dyn VadBank, slot: trunkline_dsp::vad::Slot, pcm: &[f32]) -> Activity {
    let mut batch = [VadFrame { slot, pcm, activity: Activity::default() }];
    bank.process(&mut batch);
    batch[0].activity
}

#[test]
fn every_engine_hears_a_voice_and_not_silence_at_both_rates() {
    for rate in [8000, 16000] {
        for (name, mut bank) in banks(1) {
            let slot = bank.attach(rate).unwrap();
            let frame = rate as usize / 50;
            let silent = vec![0.0; frame];
            for _ in 0..50 {
                assert!(!judge(&mut *bank, slot, &silent).speech, "{name} at {rate}: silence is speech");
            }
            let spoken = voice(rate, 2000);
            let flagged = spoken.chunks_exact(frame).filter(|pcm| judge(&mut *bank, slot, pcm).speech).count();
            assert!(flagged > 50, "{name} at {rate}: only {flagged} of 100");
            for _ in 0..60 {
                judge(&mut *bank, slot, &silent);
            }
            let after = judge(&mut *bank, slot, &silent);
            assert!(!after.speech, "{name} at {rate}: never ends");
            assert!(after.level_dbfs < -90.0);
        }
    }
}

#[test]
fn slots_are_bounded_given_back_and_begin_afresh() {
    for (name, mut bank) in banks(2) {
        assert!(bank.attach(44100).is_none(), "{name}");
        let first = bank.attach(8000).unwrap();
        let second = bank.attach(16000).unwrap();
        assert_ne!(first, second);
        assert!(bank.attach(8000).is_none());
        let spoken = voice(8000, 500);
        for pcm in spoken.chunks_exact(160) {
            judge(&mut *bank, first, pcm);
        }
        bank.detach(first);
        let untouched = judge(&mut *bank, first, &spoken[..160]);
        assert_eq!(untouched, Activity::default(), "{name}: judged without being attached");
        assert_eq!(bank.attach(8000), Some(first));
        assert!(!judge(&mut *bank, first, &[0.0; 160]).speech, "{name}: remembers the call before");
    }
}

#[test]
fn bad_samples_and_odd_frames_do_no_harm() {
    for (name, mut bank) in banks(1) {
        let slot = bank.attach(16000).unwrap();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, 7.0] {
            for length in [0, 1, 159, 160, 320, 333] {
                let activity = judge(&mut *bank, slot, &vec![bad; length]);
                assert!((0.0..=1.0).contains(&activity.confidence), "{name}: {activity:?}");
            }
        }
    }
}

#[test]
fn banks_move_between_threads() {
    for (name, mut bank) in banks(1) {
        let slot = bank.attach(8000).unwrap();
        let heard = std::thread::spawn(move || {
            voice(8000, 1000).chunks_exact(160).filter(|pcm| judge(&mut *bank, slot, pcm).speech).count()
        });
        assert!(heard.join().unwrap() > 10, "{name}");
    }
}
