//! Texts of models, with SSML and without, on their way to a synthesiser: nothing panics, and of letters none is lost.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline_api::agent::SpeechPolicy;
use trunkline_call::speech::{Piece, Rules, written};

fuzz_target!(|input: (u8, &str)| {
    let (choice, text) = input;
    let policies = ["{}", r#"{"normalize":"words"}"#, r#"{"normalize":"off"}"#, r#"{"ssml":["v"]}"#];
    let languages = ["en-US", "de", "fr", "es", "it", "pt", "nl", "zz"];
    let policy = policies[usize::from(choice) % policies.len()];
    let language = languages[usize::from(choice >> 2) % languages.len()];
    let policy: SpeechPolicy = serde_json::from_str(policy).expect("a policy");
    let pieces = Rules::new(&policy).render(text, language);
    let mut all = String::new();
    for piece in &pieces {
        if let Piece::Words(words) = piece {
            all.push_str(&words.written);
        }
    }
    let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).collect::<String>();
    assert_eq!(letters(&all), letters(&written(text)), "what is written is the same by either way");
});
