//! Half total error of every detector on the set that `dsp/train/vad.py set` mixes: a tool, not part of the test run.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use trunkline_dsp::to_f32;
use trunkline_dsp::vad::{
    Activity, EarshotBank, FusedBank, SpectralBank, VadBank, VadConfig, VadFrame, WebRtcBank, WebRtcMode,
};

const HOP: usize = 80;
const COLLAR: usize = 2;

fn bank(name: &str, config: VadConfig) -> Box<dyn VadBank> {
    match name {
        "fused" => Box::new(FusedBank::with_config(1, config)),
        "earshot" => Box::new(EarshotBank::new(1, config)),
        "webrtc" => Box::new(WebRtcBank::new(1, WebRtcMode::VeryAggressive, config)),
        _ => Box::new(SpectralBank::new(1)),
    }
}

#[derive(Default, Clone, Copy)]
struct Counts {
    speech: f64,
    missed: f64,
    pause: f64,
    false_alarms: f64,
}

impl Counts {
    fn half_total_error_percent(&self) -> f64 {
        50.0 * (self.missed / self.speech.max(1.0) + self.false_alarms / self.pause.max(1.0))
    }

    fn add(&mut self, labels: &[u8], verdicts: &[bool]) {
        for (n, (label, verdict)) in labels.iter().zip(verdicts).enumerate() {
            let around = &labels[n.saturating_sub(COLLAR)..(n + COLLAR + 1).min(labels.len())];
            if around.iter().any(|other| other != label) {
                continue;
            }
            if *label == 1 {
                self.speech += 1.0;
                self.missed += f64::from(u8::from(!verdict));
            } else {
                self.pause += 1.0;
                self.false_alarms += f64::from(u8::from(*verdict));
            }
        }
    }
}

/// From the labelled beginning of speech after half a second of pause to the end of the first frame that is flagged.
fn onsets_ms(labels: &[u8], verdicts: &[bool], out: &mut Vec<usize>) {
    for n in 50..labels.len().saturating_sub(30) {
        let begins = labels[n] == 1 && labels[n - 50..n].iter().all(|label| *label == 0);
        if begins && labels[n..n + 20].iter().filter(|label| **label == 1).count() >= 16 && !verdicts[n - 1] {
            let late = verdicts[n..n + 30].iter().position(|verdict| *verdict).unwrap_or(99);
            out.push((late + 1) * 10);
        }
    }
}

#[test]
#[ignore = "tool: dsp/train/vad.py, which mixes the set that this reads"]
fn every_detector_on_the_mixed_set() {
    let directory = PathBuf::from(std::env::var("TRUNKLINE_VAD_TEST").unwrap());
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "raw"))
        .collect();
    files.sort();
    let engines = [
        ("fused", VadConfig::default()),
        ("fused", VadConfig::HELD),
        ("earshot", VadConfig::default()),
        ("webrtc", VadConfig::default()),
        ("spectral", VadConfig::HELD),
    ];
    let mut table: BTreeMap<String, [Counts; 5]> = BTreeMap::new();
    let mut onsets: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for file in files {
        let pcm: Vec<f32> =
            std::fs::read(&file).unwrap().chunks_exact(2).map(|b| to_f32(i16::from_le_bytes([b[0], b[1]]))).collect();
        let labels = std::fs::read(file.with_extension("label")).unwrap();
        let stem = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let condition = stem.rsplit_once('-').unwrap().0.to_owned();
        for (column, (name, config)) in engines.iter().enumerate() {
            let mut bank = bank(name, *config);
            let slot = bank.attach(8000).unwrap();
            let verdicts: Vec<bool> = pcm
                .chunks_exact(HOP)
                .map(|pcm| {
                    let mut batch = [VadFrame { slot, pcm, activity: Activity::default() }];
                    bank.process(&mut batch);
                    batch[0].activity.speech
                })
                .collect();
            table.entry(condition.clone()).or_default()[column].add(&labels, &verdicts);
            if column == 0 {
                onsets_ms(&labels, &verdicts, onsets.entry(condition.clone()).or_default());
            }
        }
    }
    println!("half total error, %   fused (miss false)  fused+hang  earshot  webrtc3  spectral   onset ms p50 p90");
    let mut means = [0.0; 5];
    let mut counted = 0.0;
    for (condition, counts) in &table {
        let errors = counts.map(|counts| counts.half_total_error_percent());
        if ["clean", "white", "pink", "car", "babble"].iter().any(|name| condition.starts_with(name)) {
            means.iter_mut().zip(errors).for_each(|(mean, error)| *mean += error);
            counted += 1.0;
        }
        let plain = &counts[0];
        let late = onsets.get_mut(condition).unwrap();
        late.sort_unstable();
        let at = |share: usize| late.get(late.len().saturating_sub(1) * share / 100).copied().unwrap_or_default();
        println!(
            "{condition:20} {:6.1} ({:4.1} {:4.1}) {:10.1} {:9.1} {:8.1} {:8.1} {:12} {:4}",
            errors[0],
            100.0 * plain.missed / plain.speech,
            100.0 * plain.false_alarms / plain.pause,
            errors[1],
            errors[2],
            errors[3],
            errors[4],
            at(50),
            at(90),
        );
    }
    println!("mean of clean and four noises: {:.2?}", means.map(|mean| mean / counted));
    assert!(means[0] < means[2] && means[0] < means[3]);
}
