//! The detectors of our own on synthetic speech through G.711: onsets in time, silence and noise left alone.
//!
//! Speech comes from `flite` (Debian package of the same name), which the default test run installs.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::Path;
use std::process::Command;

use trunkline_dsp::codec::{ulaw_decode, ulaw_encode};
use trunkline_dsp::level::rms_dbfs;
use trunkline_dsp::to_f32;
use trunkline_dsp::vad::{Activity, FusedBank, SpectralBank, VadBank, VadConfig, VadFrame};

const FRAME: usize = 160;
const FRAME_MS: usize = 20;

const BANKS: [&str; 3] = ["spectral", "fused", "fused and held"];

/// `text` as 8 kHz samples.
fn speak(voice: &str, text: &str) -> Vec<i16> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let status = Command::new("flite")
        .args(["-voice", voice, "-t", text, "-o"])
        .arg(file.path())
        .status()
        .expect("this test needs the `flite` package");
    assert!(status.success(), "flite could not speak");
    read_wav_as_8k(file.path())
}

fn read_wav_as_8k(path: &Path) -> Vec<i16> {
    let bytes = std::fs::read(path).unwrap();
    let rate = u32::from_le_bytes(bytes[24..28].try_into().unwrap());
    let data = 44;
    let pcm: Vec<i16> = bytes[data..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let mut resampler = trunkline_dsp::resample::Resampler::new(rate, 8000).unwrap();
    let mut out = vec![0; resampler.max_output(pcm.len())];
    let written = resampler.process(&pcm, &mut out);
    out.truncate(written);
    out
}

/// Noise of a given level in dBFS.
fn noise(dbfs: f32, samples: usize) -> Vec<i16> {
    let mut state = 12345_u64;
    let amplitude = 32768.0 * 10_f32.powf(dbfs / 20.0) * 3_f32.sqrt();
    (0..samples)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state >> 40) as f32 / 8_388_608.0 - 1.0).mul_add(amplitude, 0.0) as i16
        })
        .collect()
}

fn judge(bank: &str, pcm: &[i16]) -> Vec<Activity> {
    let mut bank: Box<dyn VadBank> = match bank {
        "spectral" => Box::new(SpectralBank::new(1)),
        "fused" => Box::new(FusedBank::new(1)),
        _ => Box::new(FusedBank::with_config(1, VadConfig::HELD)),
    };
    let slot = bank.attach(8000).unwrap();
    pcm.chunks_exact(FRAME)
        .map(|frame| {
            let heard: Vec<f32> = frame.iter().map(|sample| to_f32(ulaw_decode(ulaw_encode(*sample)))).collect();
            let mut batch = [VadFrame { slot, pcm: &heard, activity: Activity::default() }];
            bank.process(&mut batch);
            batch[0].activity
        })
        .collect()
}

fn mix(a: &[i16], b: &[i16]) -> Vec<i16> {
    a.iter().zip(b.iter().cycle()).map(|(a, b)| a.saturating_add(*b)).collect()
}

/// Scales speech so that its loudest frame has this level.
fn at_level(pcm: &[i16], dbfs: f32) -> Vec<i16> {
    let loudest = pcm.chunks_exact(FRAME).map(rms_dbfs).fold(-96.0, f32::max);
    let gain = 10_f32.powf((dbfs - loudest) / 20.0);
    pcm.iter().map(|sample| (f32::from(*sample) * gain) as i16).collect()
}

/// The first frame of `speech` that is clearly audible in a background of this level.
fn first_audible(speech: &[i16], background: f32) -> usize {
    let audible = (background + 15.0).max(-40.0);
    speech.chunks_exact(FRAME).position(|frame| rms_dbfs(frame) > audible).unwrap()
}

#[test]
fn silence_and_comfort_noise_are_never_speech() {
    for background in [vec![0; 80_000], noise(-60.0, 80_000), noise(-70.0, 80_000)] {
        for bank in BANKS {
            assert!(judge(bank, &background).iter().all(|activity| !activity.speech), "{bank}");
        }
    }
}

#[test]
fn speech_is_flagged_within_60_ms_of_its_onset_at_telephone_levels() {
    let mut fused = Vec::new();
    for voice in ["slt", "rms"] {
        for text in ["hello there", "yes", "no", "stop please", "my number is five five five", "table for two"] {
            let spoken = speak(voice, text);
            for level in [-12.0, -20.0, -28.0] {
                for background in [-75.0, -60.0, -50.0] {
                    let speech = at_level(&spoken, level);
                    let lead = 16_000;
                    let mut call = vec![0; lead];
                    call.extend_from_slice(&speech);
                    call.extend_from_slice(&[0; 8000]);
                    let call = mix(&call, &noise(background, 40_000));
                    for bank in BANKS {
                        let verdicts = judge(bank, &call);
                        let onset = lead / FRAME + first_audible(&speech, background);
                        let flagged = (0..verdicts.len()).skip(lead / FRAME).find(|n| verdicts[*n].speech);
                        let case = format!("{bank}: {voice} `{text}` at {level} in {background}");
                        let flagged = flagged.unwrap_or_else(|| panic!("missed: {case}"));
                        // A frame's verdict is out at the frame's end.
                        let late_ms = (flagged + 1).saturating_sub(onset) * FRAME_MS;
                        if bank == "spectral" {
                            assert!(late_ms <= 60, "{case}: {late_ms} ms");
                        } else {
                            // A soft hiss before the first vowel may be noise to the network.
                            assert!(late_ms <= 160, "{case}: {late_ms} ms");
                            fused.push(late_ms);
                        }
                        let early = (25..lead / FRAME).filter(|n| verdicts[*n].speech).count();
                        assert_eq!(early, 0, "{case}: speech before there was any");
                        let after = verdicts.last().unwrap();
                        assert!(!after.speech, "{case}: never ends");
                    }
                }
            }
        }
    }
    let within = fused.iter().filter(|late_ms| **late_ms <= 60).count();
    assert!(within * 100 >= fused.len() * 95, "fused: only {within} of {} within 60 ms", fused.len());
}

#[test]
fn audible_speech_stays_flagged() {
    for voice in ["slt", "rms"] {
        let speech = at_level(&speak(voice, "I would like to book a table for four people tomorrow evening"), -18.0);
        let mut call = noise(-55.0, 8000);
        call.extend(mix(&speech, &noise(-55.0, 8000)));
        let verdicts = judge("spectral", &call);
        let held = judge("fused and held", &call);
        let loud: Vec<usize> = (53..verdicts.len())
            .filter(|n| call.get(n * FRAME..(n + 1) * FRAME).is_some_and(|frame| rms_dbfs(frame) > -35.0))
            .collect();
        let missed = loud.iter().filter(|n| !verdicts[**n].speech).count();
        assert!(missed * 50 <= loud.len(), "{voice}: {missed} of {}", loud.len());
        let missed = loud.iter().filter(|n| !held[**n].speech).count();
        assert!(missed * 50 <= loud.len(), "{voice}, fused: {missed} of {}", loud.len());
    }
}

#[test]
fn loud_steady_noise_becomes_background_within_a_second() {
    for level in [-45.0, -35.0, -25.0] {
        for bank in BANKS {
            let verdicts = judge(bank, &noise(level, 40_000));
            let flagged = verdicts[50..].iter().filter(|activity| activity.speech).count();
            assert_eq!(flagged, 0, "{bank} at {level}");
            let floor = verdicts.last().unwrap().noise_dbfs;
            assert!((floor - level).abs() < 6.0, "{bank}: floor {floor} of {level}");
        }
    }
}
