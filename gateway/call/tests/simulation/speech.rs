//! How simulated agents speak: with codes, tags and other languages in what they say, by policies of every kind.

use serde_json::{Value, json};

use crate::random::Random;

/// Apart from the calls' own randomness, so that what they do stays what it was.
const APART: u64 = 0x5bee_c41a_7e57_0001;

/// `speech` of an agent.
pub(crate) fn policy(seed: u64) -> Value {
    let mut random = Random::new(seed ^ APART);
    let voices = if random.percent(40) { json!({ "de": { "provider": "anna" } }) } else { json!({}) };
    json!({
        "normalize": random.pick(&["off", "signs", "signs", "words"]),
        "first_clause": random.percent(40),
        "voices": voices,
        "ssml": if random.percent(20) { vec!["tts-0"] } else { Vec::new() },
        "dictionary": if random.percent(30) { json!([{ "written": "table", "spoken": "tay bell" }]) } else { json!([]) },
    })
}

/// A sentence as some models write it; `of` is what the call is known by.
pub(crate) fn dressed(of: u64, sentence: &str) -> String {
    let mut random = Random::new(of ^ APART);
    match random.below(12) {
        0 => format!("**{}** ", sentence.trim()),
        1 => format!("<break time=\"{}ms\"/>{sentence}", random.between(1, 1500)),
        2 => format!("<lang xml:lang=\"de\">Guten Tag, gerne.</lang> {sentence}"),
        3 => format!("{}<break/> ", sentence.trim()),
        4 => format!("Your code is {}. {sentence}", random.between(1000, 9_999_999)),
        5 => format!("<speak>{}", sentence),
        _ => sentence.to_owned(),
    }
}
