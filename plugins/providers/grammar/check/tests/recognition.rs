//! The built component hears synthetic speech through telephone quality, and stays silent about everything else.
//!
//! Needs flite, sox and the built plugin in `$TRUNKLINE_PLUGINS/grammar` (`cargo xtask plugins` builds it; without the
//! variable it is looked for beside the test's own target directory).
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use grammar_check::corpus::{OUTSIDE, VOICES, telephone};
use grammar_check::hear::{Heard, Recogniser, wav};
use grammar_check::measure::word_errors;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

static RECOGNISER: LazyLock<Recogniser> = LazyLock::new(|| {
    let beside = || Path::new(env!("CARGO_TARGET_TMPDIR")).join("../plugins");
    let folder = std::env::var_os("TRUNKLINE_PLUGINS").map_or_else(beside, PathBuf::from).join("grammar");
    assert!(folder.join("plugin.wasm").exists(), "{} has no plugin.wasm: cargo xtask plugins", folder.display());
    Recogniser::load(&folder).unwrap()
});

/// `text` spoken by flite's `voice`, through 8 kHz mu-law, with silence around it.
fn speech(voice: &str, text: &str) -> Vec<i16> {
    static SPOKEN: AtomicUsize = AtomicUsize::new(0);
    let name = format!("{}-{}.wav", std::process::id(), SPOKEN.fetch_add(1, Ordering::Relaxed));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    telephone(&file, voice, text, "1.0", "-6").unwrap();
    let samples = wav(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    samples
}

/// The texts of the final transcripts of one utterance, and everything else that was reported.
fn recognise(settings: &str, keyterms: &[&str], samples: &[i16]) -> (Vec<String>, Heard) {
    let mut session = RECOGNISER.open(settings, false, keyterms).unwrap();
    let mut heard = Heard::default();
    session.push(samples, &mut heard).unwrap();
    session.finalize(&mut heard).unwrap();
    (heard.transcripts.iter().map(|t| t.text.clone()).collect(), heard)
}

#[test]
fn the_component_imports_nothing_but_the_contract() {
    let imports = RECOGNISER.imports();
    assert!(!imports.is_empty());
    assert!(imports.iter().all(|i| i.starts_with("trunkline:plugin/")), "{imports:?}");
}

#[test]
fn words_are_final_timed_and_accounted_for() {
    let samples = speech("rms", "my account number is five nine zero one");
    let (texts, heard) = recognise("{}", &[], &samples);
    assert_eq!(texts, ["my account number is five nine zero one"]);
    let transcript = &heard.transcripts[0];
    assert!(transcript.is_final && transcript.speech_final);
    assert_eq!(transcript.words.len(), 8);
    assert!(transcript.words.windows(2).all(|w| w[0].start < w[0].end && w[0].end <= w[1].start));
    assert!(transcript.words[0].start >= 200, "the recording begins with 300 ms of silence");
    assert!(u64::from(transcript.end) <= samples.len() as u64 / 8);
    assert!(transcript.confidence.unwrap() > 0.5);
    assert_eq!(heard.audio_in_ms, samples.len() as u64 / 8);
    assert_eq!(heard.ready, 1);
}

#[test]
fn both_voices_stay_under_an_eighth_of_word_errors() {
    let lines = [
        "yes please",
        "no",
        "operator",
        "billing",
        "balance",
        "repeat",
        "goodbye",
        "stop",
        "continue",
        "i need support",
        "i want sales",
        "support please",
        "the code is two four five nine",
        "seven one one four",
        "three zero eight two four six",
        "one five nine zero",
        "eight three zero one",
        "account number three two one two",
    ];
    for voice in ["slt", "rms"] {
        let (mut words, mut errors) = (0, 0);
        for line in lines {
            let (texts, _) = recognise("{}", &[], &speech(voice, line));
            words += line.split(' ').count();
            errors += word_errors(line, &texts.join(" "));
        }
        assert!(errors * 8 <= words, "{voice}: {errors} errors in {words} words");
    }
}

#[test]
fn silence_and_noise_give_one_empty_transcript() {
    let silence = vec![0; 16_000];
    let mut state = 1_u32;
    let hiss: Vec<i16> = (0..16_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            i16::try_from(state >> 24).unwrap() - 128
        })
        .collect();
    for samples in [silence, hiss] {
        let (texts, heard) = recognise("{}", &[], &samples);
        assert_eq!(texts, [""]);
        assert!(heard.transcripts[0].words.is_empty() && heard.transcripts[0].confidence.is_none());
        assert_eq!(heard.audio_in_ms, 2000);
    }
}

#[test]
fn most_speech_outside_the_grammar_is_not_turned_into_words() {
    let believed = VOICES
        .iter()
        .flat_map(|voice| OUTSIDE.iter().map(move |line| recognise("{}", &[], &speech(voice, line)).0.concat()))
        .filter(|text| !text.is_empty())
        .count();
    let spoken = VOICES.len() * OUTSIDE.len();
    assert!(believed * 5 <= spoken * 2, "{believed} of {spoken} were heard as words");
}

#[test]
fn a_session_hears_one_utterance_after_another() {
    let mut session = RECOGNISER.open("{}", false, &[]).unwrap();
    let mut heard = Heard::default();
    for line in ["billing", "seven one one four", "goodbye"] {
        session.push(&speech("rms", line), &mut heard).unwrap();
        session.finalize(&mut heard).unwrap();
    }
    session.close(&mut heard).unwrap();
    let texts: Vec<&str> = heard.transcripts.iter().map(|t| t.text.as_str()).collect();
    assert_eq!(texts, ["billing", "seven one one four", "goodbye"]);
    assert!(heard.transcripts.windows(2).all(|t| t[0].end <= t[1].start), "offsets count from the session's start");
    assert_eq!(heard.ended, 1);
}

#[test]
fn the_same_sound_gives_the_same_words_however_it_is_cut() {
    let samples = speech("slt", "i want sales");
    let (smooth, _) = recognise("{}", &[], &samples);
    let mut session = RECOGNISER.open("{}", false, &[]).unwrap();
    let mut heard = Heard::default();
    session.push_at_once(&samples, &mut heard).unwrap();
    session.finalize(&mut heard).unwrap();
    assert_eq!(heard.transcripts.iter().map(|t| t.text.clone()).collect::<Vec<_>>(), smooth);
}

#[test]
fn interim_transcripts_come_only_when_asked_for() {
    let samples = speech("rms", "three zero eight two four six");
    let mut session = RECOGNISER.open("{}", true, &[]).unwrap();
    let mut heard = Heard::default();
    session.push(&samples, &mut heard).unwrap();
    let interim = heard.transcripts.len();
    assert!(interim >= 2, "{interim}");
    assert!(heard.transcripts.iter().all(|t| !t.is_final && !t.text.is_empty()));
    session.finalize(&mut heard).unwrap();
    assert!(heard.transcripts.last().unwrap().is_final);
    assert_eq!(recognise("{}", &[], &samples).1.transcripts.len(), 1);
}

#[test]
fn settings_choose_rules_and_add_phrases() {
    let samples = speech("rms", "order status");
    let phrases = r#"{"rules": ["answers"], "phrases": ["order status", "opening hours"]}"#;
    assert_eq!(recognise(phrases, &[], &samples).0, ["order status"]);
    assert_eq!(recognise("{}", &["order status"], &samples).0, ["order status"]);
    let grammar = r##"{"grammar": "#JSGF V1.0;\ngrammar g;\npublic <g> = order ( status | number );"}"##;
    assert_eq!(recognise(grammar, &[], &samples).0, ["order status"]);
    let digits = speech("rms", "seven one one four");
    assert_eq!(recognise(r#"{"rules": ["numbers"]}"#, &[], &digits).0, ["seven one one four"]);
}

#[test]
fn wrong_settings_are_refused_by_name() {
    for (settings, named) in [
        (r#"{"colour": 1}"#, "colour"),
        (r#"{"min_confidence": 2}"#, "min_confidence"),
        (r#"{"interim_every_ms": "soon"}"#, "interim_every_ms"),
        (r#"{"rules": ["letters"]}"#, "rules"),
        (r#"{"rules": []}"#, "rules"),
        (r#"{"phrases": ["a | b"]}"#, "phrases"),
        (r#"{"phrases": ["xyzzyq"]}"#, "xyzzyq"),
        (r#"{"grammar": "not jsgf"}"#, "JSGF"),
        (r#"{"grammar": "x", "rules": ["answers"]}"#, "grammar"),
        ("[]", "object"),
        ("{", "object"),
    ] {
        let refusal = RECOGNISER.open(settings, false, &[]).err().map(|e| e.to_string());
        assert!(refusal.as_ref().is_some_and(|r| r.contains(named)), "{settings}: {refusal:?}");
    }
}

#[test]
fn key_terms_without_a_pronunciation_are_left_out_and_the_call_goes_on() {
    let samples = speech("rms", "operator");
    assert_eq!(recognise("{}", &["xyzzyq", "c3po"], &samples).0, ["operator"]);
    let session = RECOGNISER.open("{}", false, &["xyzzyq"]).unwrap();
    assert!(session.logged().iter().any(|l| l.contains("key terms")), "{:?}", session.logged());
}
