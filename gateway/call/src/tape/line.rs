//! The lines of a log, and how an output is noted in one.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use trunkline_api::Event;
use trunkline_leg::CallTime;

use crate::command::Command;
use crate::input::Input;
use crate::setup::CallSetup;
use crate::timers::Reason;

/// The format written here. A reader takes this one and the one before.
pub const FORMAT: u32 = 1;
/// Longest line in bytes that is written or read: a setup with long prompts, and to spare.
pub const MAX_LINE: usize = 4 << 20;
/// An output longer than this, in bytes, is noted by its length and sum.
const LONG: usize = 16 << 10;

/// What a log says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Format of the log, [`FORMAT`].
    pub format: u32,
    /// Version of the build that wrote it.
    pub build: String,
    /// Schema of the agent in it.
    pub schema: String,
    /// Whether it is a copy without anybody's words.
    pub redacted: bool,
    /// What the call began with.
    pub setup: CallSetup,
}

/// How a log ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// `over` when the call was; else why the log ends before it: `stopped`, `too_large`, `behind`, `disk`, `concealed`,
    /// `unwritable`, `given_up`.
    pub why: String,
    /// Inputs before it.
    #[serde(default)]
    pub inputs: u64,
    /// Sum over every output, by which two builds can be compared at a glance.
    #[serde(default)]
    pub sum: String,
    /// The call's record at that time.
    #[serde(default)]
    pub record: Value,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// The first.
    Capture(Box<Head>),
    /// The call was told something.
    Told { at: CallTime, input: Input },
    /// What it made of that.
    Made {
        outputs: Vec<Value>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<(CallTime, String)>,
    },
    /// The driver asked for its record, which counts the time up to then.
    Checkpoint { at: CallTime, record: Value },
    /// The last.
    End(Box<End>),
}

/// The last line of a log that the driver ends before its call.
#[must_use]
pub fn end_line(why: &str) -> String {
    let end = End { why: why.to_owned(), inputs: 0, sum: String::new(), record: Value::Null };
    serde_json::to_string(&Line::End(Box::new(end))).unwrap_or_default()
}

/// What an input made, as it is noted.
#[derive(Debug, Default)]
pub(super) struct Notes {
    sum: Sum,
    outputs: Vec<Value>,
    due: Option<(CallTime, Reason)>,
}

impl Notes {
    pub(super) fn command(&mut self, command: &Command) {
        self.output(serde_json::to_string(command), "command");
    }

    pub(super) fn event(&mut self, event: &Event) {
        self.output(serde_json::to_string(event), "type");
    }

    /// Ends what an input made; nothing when there is nothing to note.
    pub(super) fn settle(&mut self, due: Option<(CallTime, Reason)>) -> Option<Line> {
        let moved = std::mem::replace(&mut self.due, due) != due;
        if self.outputs.is_empty() && !moved {
            return None;
        }
        let due = due.map(|(at, reason)| (at, format!("{reason:?}")));
        Some(Line::Made { outputs: std::mem::take(&mut self.outputs), due })
    }

    /// The sum so far, as text.
    pub(super) fn sum(&self) -> String {
        format!("{:016x}", self.sum.0)
    }

    /// Noted as what its text reads as, so that what is compared went the same way on both sides.
    fn output(&mut self, text: serde_json::Result<String>, kind: &str) {
        let text = text.unwrap_or_else(|error| json!({ "unwritable": error.to_string() }).to_string());
        self.sum.add(text.as_bytes());
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        self.outputs.push(if text.len() > LONG {
            let mut own = Sum::default();
            own.add(text.as_bytes());
            json!({ kind: value[kind], "long": text.len(), "sum": format!("{:016x}", own.0) })
        } else {
            value
        });
    }
}

/// FNV-1a of 64 bits: tells outputs apart, and protects nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sum(u64);

impl Default for Sum {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
