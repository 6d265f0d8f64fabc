//! Tells a log to a call of this build and finds the first place where that one does something else.

use serde_json::Value;
use trunkline_leg::CallTime;

use super::line::{End, Line, Notes};
use super::read::{Ending, Log};
use super::taped::record_value;
use crate::call::Call;
use crate::input::Input;

/// What a replay shows as it goes.
#[derive(Debug, Clone, Copy)]
pub enum Moment<'a> {
    /// The call is told something.
    Told(CallTime, &'a Input),
    /// It made that of it: commands and events, as a log has them.
    Made(CallTime, &'a [Value]),
}

/// The first place where a call does not what its log says.
#[derive(Debug, Clone, PartialEq)]
pub struct Divergence {
    /// Line of the log, from 1.
    pub line: usize,
    /// Number of the input, from 1; 0 before the first.
    pub input: u64,
    /// Its time.
    pub at: CallTime,
    /// The input as JSON text.
    pub told: String,
    /// What the log has there and this build has not, each as JSON text; empty where this build made more.
    pub expected: Vec<String>,
    /// What this build has there and the log has not.
    pub got: Vec<String>,
}

/// How a replay went.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Inputs that were told.
    pub inputs: u64,
    /// Commands and events that were compared.
    pub outputs: u64,
    /// The time of the last input.
    pub at: CallTime,
    /// Sum over every output, as the log's last line has it.
    pub sum: String,
    /// The first difference; `None` for a replay that is identical.
    pub divergence: Option<Divergence>,
}

/// When the call wants to be woken, and why.
type Due = Option<(CallTime, String)>;

/// A replay on its way.
struct Replay<'a> {
    call: Call,
    notes: Notes,
    outcome: Outcome,
    line: usize,
    told: Option<&'a Input>,
}

/// Lives a log again, up to `until` when it is given. `seen` is shown everything as it happens.
pub fn replay(log: &Log, until: Option<CallTime>, seen: &mut dyn FnMut(Moment<'_>)) -> Outcome {
    let outcome = Outcome { inputs: 0, outputs: 0, at: CallTime::ZERO, sum: String::new(), divergence: None };
    let call = Call::new(log.head.setup.clone());
    let mut replay = Replay { call, notes: Notes::default(), outcome, line: 1, told: None };
    let mut lines = log.lines.iter().peekable();
    let mut first = true;
    loop {
        // What an input made stands behind it; before the first input that is what the call began with.
        if !std::mem::take(&mut first) {
            let Some((number, line)) = lines.next() else { break };
            replay.line = *number;
            match line {
                Line::Told { at, input } => {
                    if until.is_some_and(|until| *at > until) {
                        break;
                    }
                    replay.tell(*at, input, seen);
                }
                Line::Checkpoint { at, record } => {
                    let own = record_value(replay.call.checkpoint(*at));
                    if !replay.is_same(std::slice::from_ref(record), &[own]) {
                        break;
                    }
                    continue;
                }
                // It stands where no input is before it.
                Line::Made { outputs, .. } => {
                    replay.differs(outputs, &[]);
                    break;
                }
                Line::Capture(_) | Line::End(_) => continue,
            }
        }
        let expected = match lines.peek() {
            Some((_, Line::Made { outputs, due })) => Some((outputs.as_slice(), due)),
            // The log was cut behind the input: what it made is not known.
            None if log.is_cut() => break,
            Some((_, Line::Told { .. } | Line::Checkpoint { .. } | Line::Capture(_) | Line::End(_))) | None => None,
        };
        if expected.is_some() {
            lines.next();
        }
        if !replay.compare(expected, seen) {
            break;
        }
    }
    if let (None, None, Some(end)) = (&replay.outcome.divergence, until, log.end()) {
        let own = record_value(replay.call.record());
        replay.is_same(std::slice::from_ref(&end.record), &[own]);
    }
    replay.outcome.sum = replay.notes.sum();
    replay.outcome
}

impl Log {
    /// Whether it ends before its call did, so that nothing is known of what its last input made.
    fn is_cut(&self) -> bool {
        self.end().is_none()
    }

    /// The end that the call itself wrote.
    fn end(&self) -> Option<&End> {
        if let Ending::Whole(end) = &self.ending {
            Some(end).filter(|end| !end.record.is_null()).map(AsRef::as_ref)
        } else {
            None
        }
    }
}

impl<'a> Replay<'a> {
    fn tell(&mut self, at: CallTime, input: &'a Input, seen: &mut dyn FnMut(Moment<'_>)) {
        self.outcome.inputs += 1;
        self.outcome.at = at;
        self.told = Some(input);
        seen(Moment::Told(at, input));
        self.call.handle(at, input.clone());
    }

    /// Compares what the call made with what its log has; false once they differ.
    fn compare(&mut self, expected: Option<(&[Value], &Due)>, seen: &mut dyn FnMut(Moment<'_>)) -> bool {
        while let Some(command) = self.call.poll_transmit() {
            self.notes.command(&command);
        }
        while let Some(event) = self.call.poll_event() {
            self.notes.event(&event);
        }
        let (made, due) = match self.notes.settle(self.call.poll_timeout()) {
            Some(Line::Made { outputs, due }) => (outputs, Some(due)),
            Some(Line::Capture(_) | Line::Told { .. } | Line::Checkpoint { .. } | Line::End(_)) | None => {
                (Vec::new(), None)
            }
        };
        if !made.is_empty() {
            seen(Moment::Made(self.outcome.at, &made));
        }
        self.outcome.outputs += made.len() as u64;
        let (outputs, expected_due) = expected.map_or((&[][..], None), |(outputs, due)| (outputs, Some(due)));
        if !self.is_same(outputs, &made) {
            return false;
        }
        if expected_due != due.as_ref() {
            let told = |due: Option<&Due>| match due {
                Some(Some((at, reason))) => format!("to be woken at {} us for {reason}", at.as_us()),
                Some(None) => "no deadline".to_owned(),
                None => "the deadline as before".to_owned(),
            };
            let (expected, got) = (told(expected_due), told(due.as_ref()));
            self.diverged(vec![expected], vec![got]);
            return false;
        }
        true
    }

    fn is_same(&mut self, expected: &[Value], own: &[Value]) -> bool {
        // The log's values went through text once more than these have.
        let as_read = |value: &Value| serde_json::from_str::<Value>(&value.to_string()).unwrap_or_default();
        let same =
            expected.len() == own.len() && expected.iter().zip(own).all(|(expected, own)| *expected == as_read(own));
        if !same {
            self.differs(expected, own);
        }
        same
    }

    /// Leaves out what both begin and end with.
    fn differs(&mut self, expected: &[Value], own: &[Value]) {
        let (mut expected, mut own): (Vec<String>, Vec<String>) =
            (expected.iter().map(ToString::to_string).collect(), own.iter().map(ToString::to_string).collect());
        let begin = expected.iter().zip(&own).take_while(|(left, right)| left == right).count();
        expected.drain(..begin);
        own.drain(..begin);
        while let (Some(left), Some(right)) = (expected.last(), own.last())
            && left == right
        {
            expected.pop();
            own.pop();
        }
        self.diverged(expected, own);
    }

    fn diverged(&mut self, expected: Vec<String>, got: Vec<String>) {
        let told = self.told.and_then(|input| serde_json::to_string(input).ok()).unwrap_or_default();
        let (line, input, at) = (self.line, self.outcome.inputs, self.outcome.at);
        self.outcome.divergence = Some(Divergence { line, input, at, told, expected, got });
    }
}
