//! Reads a log that anybody may hand in: as far as it is whole, and with the line that is wrong when one is.

use trunkline_leg::CallTime;

use super::line::{End, FORMAT, Head, Line, MAX_LINE};
use crate::input::Input;

/// Most lines of a log: more than a call of a day has.
const MAX_LINES: usize = 20_000_000;

/// Why a log cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// It does not begin as a log does.
    NotALog,
    /// It has a format this build does not know.
    Format(u32),
    /// A line that is not the last one makes no sense to this build.
    Line {
        /// Which, from 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
    /// It is beyond every size a log has.
    TooLarge,
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotALog => f.write_str("this is no capture of a call; `trunkline capture get` writes one"),
            Self::Format(format) => {
                write!(f, "the capture has format {format} and this build reads {FORMAT}; replay it with a newer one")
            }
            Self::Line { number, why } => {
                write!(
                    f,
                    "line {number} of the capture cannot be read by this build: {why}; was it changed, or written by a newer one?"
                )
            }
            Self::TooLarge => write!(f, "the capture is larger than any; a line has {MAX_LINE} bytes at most"),
        }
    }
}

impl std::error::Error for ReadError {}

/// How a log ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// With its last line.
    Whole(Box<End>),
    /// In the middle of a line or without a last one: the gateway stopped, or somebody cut it.
    Torn,
}

/// A log in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// What it says about itself.
    pub head: Head,
    /// How it ends.
    pub ending: Ending,
    /// Its lines between head and end, with their numbers.
    pub(super) lines: Vec<(usize, Line)>,
}

impl Log {
    /// What the call was told, and when.
    pub fn inputs(&self) -> impl Iterator<Item = (CallTime, &Input)> {
        self.lines
            .iter()
            .filter_map(|(_, line)| if let Line::Told { at, input } = line { Some((*at, input)) } else { None })
    }

    /// What the call made: values of [`crate::Command`] and of [`trunkline_api::Event`], those that are long by length and
    /// sum.
    pub fn outputs(&self) -> impl Iterator<Item = &serde_json::Value> {
        self.lines
            .iter()
            .flat_map(|(_, line)| if let Line::Made { outputs, .. } = line { outputs.as_slice() } else { &[] })
    }
}

/// Reads a log in clear. What stands behind its last whole line is left out, as in a log that a kill has torn.
///
/// # Errors
/// [`ReadError`] naming the line.
pub fn read(bytes: &[u8]) -> Result<Log, ReadError> {
    let mut parts = bytes.split_inclusive(|byte| *byte == b'\n').enumerate().map(|(n, part)| (n + 1, part));
    let head = parts.next().and_then(|(_, first)| whole(first)).ok_or(ReadError::NotALog)?;
    let head = match serde_json::from_slice::<Line>(head) {
        Ok(Line::Capture(head)) => *head,
        other => return Err(not_a_head(head, other.err())),
    };
    if head.format != FORMAT {
        return Err(ReadError::Format(head.format));
    }
    let mut log = Log { head, ending: Ending::Torn, lines: Vec::new() };
    for (number, part) in parts {
        if part.len() > MAX_LINE + 1 || number > MAX_LINES {
            return Err(ReadError::TooLarge);
        }
        let Some(text) = whole(part) else { break };
        let wrong = |why: &str| ReadError::Line { number, why: why.to_owned() };
        if matches!(log.ending, Ending::Whole(_)) {
            return Err(wrong("it stands behind the last one"));
        }
        match serde_json::from_slice(text).map_err(|error| wrong(&error.to_string()))? {
            Line::Capture(_) => return Err(wrong("it begins another capture")),
            Line::End(end) => log.ending = Ending::Whole(end),
            line @ (Line::Told { .. } | Line::Made { .. } | Line::Checkpoint { .. }) => log.lines.push((number, line)),
        }
    }
    Ok(log)
}

/// A line without its break; nothing when it was cut.
fn whole(part: &[u8]) -> Option<&[u8]> {
    part.strip_suffix(b"\n")
}

/// Says of a first line that is none whether a later build wrote it.
fn not_a_head(text: &[u8], error: Option<serde_json::Error>) -> ReadError {
    let format = serde_json::from_slice::<serde_json::Value>(text).ok().and_then(|value| {
        let format = value.get("capture")?.get("format")?.as_u64()?;
        u32::try_from(format).ok()
    });
    match (format, error) {
        (None, _) => ReadError::NotALog,
        (Some(FORMAT), Some(error)) => ReadError::Line { number: 1, why: error.to_string() },
        (Some(format), _) => ReadError::Format(format),
    }
}
