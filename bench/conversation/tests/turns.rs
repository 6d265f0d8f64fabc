//! On real sound the engine takes turns better than a time-out of 700 ms. The figures are those of
//! `cargo xtask bench conversation` on a part of its set.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::Path;

use trunkline_bench_conversation::{Engine, Figures, Options, Part, draw, kept, run};

fn options(talkers: &[&str], kinds: &[&str]) -> Options {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Options {
        folder: kept(Path::new(env!("CARGO_TARGET_TMPDIR"))),
        rounds: 1,
        talkers: owned(talkers),
        kinds: owned(kinds),
        engines: Vec::new(),
        listens: false,
        noise: false,
        verbose: false,
    }
}

fn value(figures: &Figures, name: &str) -> f64 {
    figures.get(name).and_then(|figure| figure.value).unwrap_or_else(|| panic!("nothing is known of {name}"))
}

/// What must be better in each of these, and what must not be worse.
fn better(ours: &Figures, plain: &Figures, better: &[&str], no_worse: &[&str]) {
    for name in better {
        let beats = ours.get(name).unwrap().beats(plain.get(name).unwrap());
        assert_eq!(beats, Some(true), "{name}: {} against {}", value(ours, name), value(plain, name));
    }
    for name in no_worse {
        assert!(value(ours, name) <= value(plain, name), "{name}: {} of {}", value(ours, name), value(plain, name));
    }
}

#[test]
fn a_thought_is_let_finish_and_mhm_stops_nobody() {
    let engines = vec![Engine::Ours, Engine::Plain];
    let kinds = ["thinking", "digits", "answer", "backchannel", "interruption"];
    let report = run(&Options { engines, ..options(&["flite kal"], &kinds) }).unwrap();
    println!("{}", draw::tables(&report));
    let of = |engine| report.of(engine, Part::All).unwrap();
    let (ours, plain) = (of(Engine::Ours), of(Engine::Plain));
    better(ours, plain, &["false_cuts"], &["missed_turns", "words_lost", "interruptions_unheard"]);
    // Sound was stopped for nothing by both, and by one of them for good.
    assert!(value(ours, "false_interruptions") == 0.0 && value(plain, "false_interruptions") > 0.0);
}

#[test]
#[ignore = "slow: a hundred calls by four engines"]
fn the_engine_beats_a_plain_time_out() {
    let talkers = ["flite", "allison", "june"];
    let report = run(&Options { noise: true, ..options(&talkers, &[]) }).unwrap();
    println!("{}", draw::tables(&report));
    for part in [Part::All, Part::Watched, Part::HeldOut] {
        let of = |engine| report.of(engine, part).unwrap();
        let columns =
            ["false_cuts", "end_of_turn_p50", "answer_p50", "false_interruptions", "resumed", "interruption_p50"];
        better(of(Engine::Ours), of(Engine::Plain), &columns, &["missed_turns", "words_lost", "interruptions_unheard"]);
        better(of(Engine::Ours), of(Engine::PlainSameEars), &["false_cuts", "false_interruptions"], &[]);
    }
}
