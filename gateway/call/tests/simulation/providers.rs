//! Providers: each request of one behaves in some way, mostly well.

use trunkline_api::Failure;
use trunkline_api::words::{FinishReason, ToolCall};
use trunkline_call::{AsrEvent, LlmEvent};

use crate::random::Random;
use crate::speech::dressed;

/// How a synthesiser says one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// Its first sound after some time, all of it a while later.
    Speaks {
        first_ms: u64,
        rest_ms: u64,
    },
    /// Sound of some share of the part, in percent, and nothing more.
    BreaksOff {
        first_ms: u64,
        percent: u64,
    },
    Stalls,
    Mute,
    Fails,
}

impl Voice {
    pub(crate) fn of(random: &mut Random, ill: bool) -> Self {
        if ill {
            return match random.below(5) {
                0 => Self::BreaksOff { first_ms: random.between(50, 400), percent: random.between(5, 80) },
                1 => Self::Stalls,
                2 => Self::Mute,
                3 => Self::Fails,
                _ => Self::Speaks { first_ms: random.between(600, 1400), rest_ms: random.between(0, 900) },
            };
        }
        Self::Speaks { first_ms: random.between(20, 300), rest_ms: random.between(0, 600) }
    }
}

/// What a model says to one request, each with the milliseconds since the one before; `own` says that it may call tools of
/// the call's own.
pub(crate) fn reply(random: &mut Random, ill: bool, may_call: bool, own: bool) -> Vec<(u64, LlmEvent)> {
    const SENTENCES: [&str; 6] = [
        "Yes, we are open until nine. ",
        "Would you like to book a table? ",
        "That costs four euros and fifty cents. ",
        "One moment. ",
        "I have written that down for you, and somebody will call you back tomorrow in the morning. ",
        "Fine. ",
    ];
    let failed = |failure| LlmEvent::Failed { failure, detail: "no".to_owned() };
    let mut script = Vec::new();
    if ill && random.percent(50) {
        // Nothing at all, or an error.
        if random.percent(50) {
            script.push((random.between(5, 900), failed(Failure::LlmUnavailable)));
        }
        return script;
    }
    let calls = may_call && random.percent(20);
    let sentences = if calls && random.percent(50) { 0 } else { random.between(1, 4) };
    let mut wait = random.between(80, 700);
    for _ in 0..sentences {
        let sentence = *random.pick(&SENTENCES);
        script.push((wait, LlmEvent::TextDelta(dressed(wait * 97 + sentence.len() as u64, sentence))));
        wait = random.between(10, 600);
    }
    if ill {
        // It breaks off in the middle.
        if random.percent(50) {
            script.push((wait, failed(Failure::ProviderProtocol)));
        }
        return script;
    }
    if calls {
        for n in 0..random.between(1, 3) {
            let name = (*random.pick(&["weather", "weather", "booking", "hang_up", "teleport"])).to_owned();
            let call = ToolCall { id: format!("c{n}"), name, arguments: "{}".to_owned() };
            let call = if own && random.percent(30) { own_call(random, n) } else { call };
            script.push((wait, LlmEvent::ToolCall(call)));
        }
        script.push((5, LlmEvent::Finished(FinishReason::ToolCalls)));
    } else {
        script.push((5, LlmEvent::Finished(FinishReason::Stop)));
    }
    if random.percent(2) {
        // It says its end twice.
        script.push((30, LlmEvent::Finished(FinishReason::Stop)));
    }
    script
}

/// A call of a tool of the call's own.
fn own_call(random: &mut Random, n: u64) -> ToolCall {
    const CALLS: [(&str, &str); 6] = [
        ("collect", r#"{"slot":"people","value":"four"}"#),
        ("collect", r#"{"slot":"people","value":"lots"}"#),
        ("confirm", r#"{"slot":"people","right":true}"#),
        ("collect_secure", r#"{"slot":"card"}"#),
        ("collect_secure", r#"{"slot":"pin"}"#),
        ("open_menu", r#"{"menu":"other"}"#),
    ];
    let (name, arguments) = *random.pick(&CALLS);
    ToolCall { id: format!("c{n}"), name: name.to_owned(), arguments: arguments.to_owned() }
}

/// How a recogniser session behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ear {
    Hears {
        late_ms: u64,
        partials: bool,
    },
    Stalls,
    /// Fails after some time.
    Fails(u64),
    /// Its finals come after the wait for them is over, and twice.
    Late,
}

impl Ear {
    pub(crate) fn of(random: &mut Random, ill: bool) -> Self {
        if ill {
            return match random.below(3) {
                0 => Self::Stalls,
                1 => Self::Fails(random.between(5, 8000)),
                _ => Self::Late,
            };
        }
        Self::Hears { late_ms: random.between(30, 400), partials: random.percent(60) }
    }

    pub(crate) fn failure() -> AsrEvent {
        AsrEvent::Failed { failure: Failure::AsrUnavailable, detail: "gone".to_owned() }
    }
}
