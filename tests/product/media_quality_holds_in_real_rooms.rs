//! What is said of hearing in real rooms holds: the bench's figures, asserted.

use std::collections::HashMap;
use std::process::Command;

use trunkline_tests::process::from_environment;

/// The figures of a whole run by name, each with the one beside it.
fn figures() -> HashMap<String, (f64, Option<f64>)> {
    let scratch = tempfile::tempdir().unwrap();
    let json = scratch.path().join("quality.json");
    let status = Command::new(from_environment("TRUNKLINE_XTASK").unwrap())
        .args(["bench", "quality", "--json"])
        .arg(&json)
        .status();
    assert!(status.unwrap().success(), "the bench ran to its end");
    let rows: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let rows = rows.as_array().expect("an array of rows");
    let figure = |row: &serde_json::Value| (row["value"].as_f64().unwrap(), row["baseline"].as_f64());
    rows.iter().map(|row| (row["name"].as_str().unwrap().to_owned(), figure(row))).collect()
}

#[test]
#[ignore = "slow: the whole bench of sound, a quarter of an hour"]
fn nobody_is_cut_by_noise_nor_harmed_by_what_takes_it_out() {
    let figures = figures();
    let of = |name: &str| *figures.get(name).unwrap_or_else(|| panic!("no figure of the name {name}"));
    let mut wrong = Vec::new();
    let mut holds = |name: &str, within: std::ops::RangeInclusive<f64>| {
        let (value, _) = of(name);
        if !within.contains(&value) {
            wrong.push(format!("{name} is {value}, not within {within:?}"));
        }
    };
    let (published, _) = of("vad.silero_onnx.rooms.half_total_error_percent");
    holds("vad.silero.rooms.half_total_error_percent", 0.0..=published + 1.0);
    holds("vad.silero.largest_difference_from_onnxruntime", 0.0..=1e-3);
    holds("interruption.false_starts_per_minute.worst", 0.0..=0.5);
    let (_, theirs) = of("interruption.false_starts_per_minute.babble");
    holds("interruption.false_starts_per_minute.babble", 0.0..=theirs.expect("silero's figure"));
    holds("interruption.caught_percent", 98.0..=100.0);
    holds("interruption.duck_ms_p50", 0.0..=60.0);
    holds("interruption.cut_ms_p50", 0.0..=150.0);
    holds("ns.chain.clean_stoi_lost", -1.0..=0.005);
    holds("ns.chain.worst_talker_pesq_change", -0.02..=5.0);
    // The background of a clean recording is taken for noise until it is known for none; half of what the reference loses.
    let (reference, _) = of("ns.nnnoiseless.clean_worst_talker_pesq_change");
    holds("ns.chain.clean_worst_talker_pesq_change", (0.5 * reference)..=5.0);
    holds("ns.chain.alone.music.gain_spread_db", 0.0..=10.0);
    assert!(wrong.is_empty(), "{wrong:#?}");
}
