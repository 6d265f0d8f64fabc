//! What the demo prints: the transcript as it grows, where each turn's time went, and what the REST API answers.

use std::io::IsTerminal as _;

use serde_json::Value;

use crate::waterfall;

/// Columns of a waterfall bar.
const BAR: usize = 60;
/// Colours of a waterfall's stages.
const COLOURS: [&str; 5] = ["34", "36", "35", "33", "32"];

/// Colours, when the output is a terminal.
pub(crate) struct Screen {
    colour: bool,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { colour: std::io::stdout().is_terminal() }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A stage of the demo.
    pub(crate) fn stage(&self, text: &str) {
        println!("\n{}", self.paint("1;36", &format!("== {text}")));
    }

    /// A fact.
    pub(crate) fn line(&self, text: &str) {
        println!("   {text}");
    }

    /// One event of the call, if it is one people want to read.
    pub(crate) fn event(&self, event: &Value) {
        let at = event["at"]["call_us"].as_f64().unwrap_or(0.0) / 1e6;
        let data = &event["data"];
        let text = |field: &str| data[field].as_str().unwrap_or_default().to_owned();
        let line = match event["type"].as_str().unwrap_or_default() {
            "call.answered" => self.paint("2", &format!("call answered, {}", text("codec"))),
            "agent.said" => format!("{} {}", self.paint("1;34", "agent "), text("text")),
            "transcript.final" => format!("{} {}", self.paint("1;32", "caller"), text("text")),
            "dtmf.received" => {
                format!("{} {}", self.paint("1;32", "caller"), self.paint("7", &format!(" {} ", text("digit"))))
            }
            "playback.cut" => self.paint(
                "33",
                &format!("interrupted after {} ms; the agent remembers saying \"{}\"", data["sent_ms"], text("heard")),
            ),
            "failure.raised" => self.paint("31", &format!("failure {}: {}", text("failure"), text("detail"))),
            "call.ended" => {
                self.paint("2", &format!("call ended: {} after {} ms", text("reason"), data["duration_ms"]))
            }
            _ => return,
        };
        println!("{at:>8.2} s  {line}");
    }

    /// A turn's waterfall: bars from the end of the caller's speech to the first packet out.
    pub(crate) fn waterfall(&self, events: &[Value]) {
        for event in events.iter().filter(|event| event["type"] == "turn.waterfall") {
            let data = &event["data"];
            let total = data["total_ms"].as_u64().or_else(|| data["first_packet_out_ms"].as_u64()).unwrap_or(0).max(1);
            println!("   turn {}  {total} ms from the end of speech to the first packet out", event["turn"]);
            // What does not add up is said by the checks; here it is only shown.
            for (stage, colour) in waterfall::stages(data).unwrap_or_default().into_iter().zip(COLOURS) {
                let scale = |ms: u64| (ms as usize * BAR / total as usize).min(BAR);
                let (start, end) = (scale(stage.from_ms), scale(stage.until_ms));
                let bar = self.paint(colour, &"█".repeat((end.saturating_sub(start)).max(1)));
                println!("     {:<26}{}{bar} {} ms", stage.name, " ".repeat(start), stage.until_ms - stage.from_ms);
            }
        }
    }

    /// JSON as the API answered it.
    pub(crate) fn json(&self, value: &Value) {
        for line in format!("{value:#}").lines() {
            println!("   {line}");
        }
    }
}
