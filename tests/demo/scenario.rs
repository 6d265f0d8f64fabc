//! The conversation a seed picks: what the caller asks for, the digits, the key; and the agent that can hold it.

use serde_json::{Value, json};

/// Commands the recogniser tells apart well on a telephone voice.
pub(crate) const REQUESTS: [&str; 6] = ["billing", "sales", "support", "balance", "operator", "continue"];
/// Digits by their value.
pub(crate) const DIGITS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
/// Those that it tells apart well: it takes "four" for "five", "six" for "eight" and now and then "zero" and "seven" for
/// others, whoever speaks; of eighty rows of the rest, said by the caller's voice, it took none wrong.
const CLEAR: [usize; 6] = [1, 2, 3, 5, 8, 9];

/// What one seed picks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scenario {
    /// The seed.
    pub(crate) seed: u64,
    /// What the caller asks for.
    pub(crate) request: &'static str,
    /// Digits the caller says.
    pub(crate) digits: Vec<&'static str>,
    /// The key the caller presses.
    pub(crate) key: char,
}

impl Scenario {
    /// The scenario of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xd1b5_4a32_d192_ed03;
        let mut pick = |among: usize| {
            // xorshift64* (Vigna 2016).
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % among
        };
        let request = REQUESTS[pick(REQUESTS.len())];
        let digits = (0..4).map(|_| DIGITS[CLEAR[pick(CLEAR.len())]]).collect();
        let key = char::from(b'0' + pick(10) as u8);
        Self { seed, request, digits, key }
    }

    /// The digits as the caller says them.
    pub(crate) fn spoken_digits(&self) -> String {
        self.digits.join(" ")
    }
}

/// The agent of the demo: it hears a closed grammar, thinks by rules and speaks with eSpeak's voice, all offline.
pub(crate) fn agent() -> Value {
    json!({
        "name": "Demo desk",
        "language": "en",
        "pipeline": { "cascade": {
            "asr": [{ "provider": "grammar" }],
            "llm": [{ "provider": "scripted", "settings": {
                "first_token_delay_ms": 60, "event_interval_ms": 15,
                "rules": [
                    { "when": { "dtmf": "any" }, "say": "You pressed {dtmf}. Thank you for calling. Goodbye.", "hang_up": true },
                    { "when": { "any": REQUESTS },
                      "say": "You said {heard}. I can help you with that. Let me first tell you how this works, step by step, so that you know what to expect. To begin with, I need your customer number, and after that there are quite a few other questions." },
                    { "when": { "any": DIGITS }, "say": "I heard {heard}. Please press a key now." },
                ],
                "fallback": { "say": "I heard {heard}, but I do not know what to do with it. Please say it again." },
            } }],
            "tts": [{ "provider": "espeak" }],
        } },
        "prompt": "You are the desk of a small company. Be brief.",
        "greeting": "Hello, this is Trunkline. How can I help you?",
        "recording": { "enabled": true },
        "tools": [{ "name": "hang_up" }],
        "turn": { "end_silence_ms": 500 },
        "redaction": { "redactor": "pii", "channels": ["transcript", "llm-input"] },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seeds_pick_two_conversations_and_one_seed_always_the_same() {
        assert_eq!(Scenario::of(7), Scenario::of(7));
        assert_ne!(Scenario::of(7).spoken_digits(), Scenario::of(8).spoken_digits());
    }
}
