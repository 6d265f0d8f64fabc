//! The format of recorded sessions: JSON lines, the first a header, the rest steps.
//!
//! ```text
//! {"world":"llm-provider","settings":{"base_url":"${peer}/v1","model":"m"},"ask":"hello"}
//! {"at_ms":0,"peer":{"status":200,"headers":[["content-type","text/event-stream"]]}}
//! {"at_ms":5,"peer":{"send":"data: [DONE]\n\n"}}
//! {"at_ms":5,"peer":"end"}
//! {"at_ms":10,"expect":"finished stop"}
//! ```
//!
//! `${peer}` in settings becomes the address of the scripted peer (`http://127.0.0.1:port`), `${ws-peer}` the same for
//! WebSockets. A peer step speaks on the connection opened last. An `expect` step holds when a line of what the host saw
//! begins with its text; lines are used up in order.

use std::io;

use serde::Deserialize;
use serde_json::Value;

/// How the session is opened.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// World, without version.
    pub world: String,
    /// The agent's settings.
    #[serde(default)]
    pub settings: Value,
    /// Seed of the session's randomness.
    #[serde(default)]
    pub seed: u64,
    /// For a model: the caller's message.
    #[serde(default)]
    pub ask: String,
    /// For a model: tool names it may call.
    #[serde(default)]
    pub tools: Vec<String>,
    /// For a tool: its name.
    #[serde(default)]
    pub tool: String,
    /// For a tool: JSON text.
    #[serde(default)]
    pub arguments: String,
    /// For a voice: its name.
    #[serde(default)]
    pub voice: String,
    /// Secrets by name, so that the plugin finds them configured.
    #[serde(default)]
    pub secrets: std::collections::BTreeMap<String, String>,
}

/// A step and its time.
#[derive(Debug, Clone, Deserialize)]
pub struct Step {
    /// Milliseconds since the session was opened.
    pub at_ms: u64,
    /// What happens.
    #[serde(flatten)]
    pub action: Action,
}

/// What happens at a step.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Recogniser: audio of the given length in 20 ms frames, a tone or silence.
    Audio {
        /// Length.
        ms: u32,
        /// Hz; absent means silence.
        tone_hz: Option<u32>,
    },
    /// Recogniser: the endpointer heard the end.
    Finalize {},
    /// Voice: text for a context.
    Speak {
        /// Context number.
        context: u32,
        /// Text.
        text: String,
        /// Whether it is the last of its context.
        #[serde(default)]
        end: bool,
    },
    /// Voice: drop a context; model and tool: stop.
    Cancel {
        /// Context number; not used by models and tools.
        #[serde(default)]
        context: u32,
    },
    /// Recogniser and voice: end.
    Close {},
    /// Redactor: text, whole and then in pieces; both must give the same.
    Redact {
        /// Text.
        text: String,
    },
    /// The scripted peer does something.
    Peer(Peer),
    /// Something must have been seen by now.
    Expect(String),
}

/// What a scripted peer does on its newest connection.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Peer {
    /// HTTP: the head of the answer.
    Head {
        /// Status.
        status: u16,
        /// Headers.
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// HTTP: body bytes; WebSocket: a text message.
    Send {
        /// Text.
        send: String,
    },
    /// `"end"`: the body or connection ends in order. `"cut"`: the socket closes in the middle.
    End(Ending),
}

/// How a peer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// In order.
    End,
    /// In the middle.
    Cut,
}

/// A whole recording.
#[derive(Debug, Clone)]
pub struct Recording {
    /// How the session is opened.
    pub header: Header,
    /// What happens then.
    pub steps: Vec<Step>,
}

impl Recording {
    /// Reads JSON lines; empty lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// With the number of the line that cannot be read, or whose time is before the line above it.
    pub fn parse(text: &str) -> io::Result<Self> {
        let bad = |line: usize, why: String| io::Error::new(io::ErrorKind::InvalidData, format!("line {line}: {why}"));
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let (number, first) = lines.next().ok_or_else(|| bad(1, "the recording is empty".to_owned()))?;
        let header = serde_json::from_str(first).map_err(|error| bad(number + 1, error.to_string()))?;
        let mut steps: Vec<Step> = Vec::new();
        for (number, line) in lines {
            let step: Step = serde_json::from_str(line).map_err(|error| bad(number + 1, error.to_string()))?;
            if steps.last().is_some_and(|last| last.at_ms > step.at_ms) {
                return Err(bad(number + 1, format!("{} ms is before the step above", step.at_ms)));
            }
            steps.push(step);
        }
        Ok(Self { header, steps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_every_kind_are_read_and_mistakes_name_their_line() {
        let text = r#"{"world":"llm-provider","ask":"hi"}
# a comment
{"at_ms":0,"peer":{"status":200}}
{"at_ms":1,"peer":{"send":"x"}}
{"at_ms":1,"peer":"cut"}
{"at_ms":2,"audio":{"ms":40,"tone_hz":null}}
{"at_ms":2,"expect":"finished"}"#;
        let recording = Recording::parse(text).unwrap();
        assert_eq!(recording.steps.len(), 5);
        assert_eq!(recording.steps[2].action, Action::Peer(Peer::End(Ending::Cut)));
        let late = Recording::parse("{\"world\":\"x\"}\n{\"at_ms\":5,\"close\":{}}\n{\"at_ms\":4,\"close\":{}}");
        assert!(late.unwrap_err().to_string().starts_with("line 3"));
        assert!(
            Recording::parse("{\"world\":\"x\"}\n{\"at_ms\":5,\"leap\":{}}")
                .unwrap_err()
                .to_string()
                .starts_with("line 2")
        );
    }
}
