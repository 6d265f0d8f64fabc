//! A call that writes down what it is told. Without a tape it is a call and nothing else.

use std::collections::VecDeque;

use serde_json::Value;
use trunkline_api::Event;
use trunkline_api::usage::CallRecord;
use trunkline_leg::CallTime;

use super::line::{End, FORMAT, Head, Line, MAX_LINE, Notes};
use crate::call::Call;
use crate::command::Command;
use crate::input::Input;
use crate::setup::CallSetup;
use crate::timers::Reason;

/// Where the lines of a log go.
pub trait Tape: Send {
    /// Takes a line, without its line break; false when it takes no more, of which it makes a note itself
    /// ([`super::end_line`]). It must not wait.
    fn write(&mut self, line: &str) -> bool;
}

/// A call, and its log when it is captured.
pub struct Taped {
    call: Call,
    scribe: Option<Box<Scribe>>,
    commands: VecDeque<Command>,
    events: VecDeque<Event>,
}

/// What writes a log.
struct Scribe {
    tape: Box<dyn Tape>,
    notes: Notes,
    inputs: u64,
    /// It took no more, or something could not be written.
    ended: bool,
}

impl Taped {
    /// A call that nobody captures.
    #[must_use]
    pub fn plain(setup: CallSetup) -> Self {
        Self { call: Call::new(setup), scribe: None, commands: VecDeque::new(), events: VecDeque::new() }
    }

    /// A call whose log goes to `tape`; `build` is the version of whoever writes it, and `redacted` says that the log is a
    /// copy without anybody's words.
    #[must_use]
    pub fn captured(setup: CallSetup, build: &str, redacted: bool, tape: Box<dyn Tape>) -> Self {
        let mut scribe = Scribe { tape, notes: Notes::default(), inputs: 0, ended: false };
        let (build, schema) = (build.to_owned(), setup.spec.schema.clone());
        let setup = scribe.head(Head { format: FORMAT, build, schema, redacted, setup });
        let mut taped = Self::plain(setup);
        taped.scribe = Some(Box::new(scribe));
        taped.note();
        taped
    }

    /// The call, to be looked at.
    #[must_use]
    pub const fn call(&self) -> &Call {
        &self.call
    }

    /// As [`Call::handle`].
    pub fn handle(&mut self, now: CallTime, input: Input) {
        let input = match &mut self.scribe {
            // Written before it is told: a call that does not survive it has it in its log.
            Some(scribe) => scribe.told(now, input),
            None => input,
        };
        self.call.handle(now, input);
        self.note();
    }

    /// As [`Call::poll_transmit`].
    pub fn poll_transmit(&mut self) -> Option<Command> {
        self.commands.pop_front().or_else(|| self.call.poll_transmit())
    }

    /// As [`Call::poll_event`].
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front().or_else(|| self.call.poll_event())
    }

    /// As [`Call::poll_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(CallTime, Reason)> {
        self.call.poll_timeout()
    }

    /// As [`Call::record`].
    #[must_use]
    pub const fn record(&self) -> &CallRecord {
        self.call.record()
    }

    /// As [`Call::checkpoint`].
    pub fn checkpoint(&mut self, now: CallTime) -> &CallRecord {
        let record = self.call.checkpoint(now);
        if let Some(scribe) = &mut self.scribe {
            let record = record_value(record);
            scribe.write(&Line::Checkpoint { at: now, record });
        }
        self.call.record()
    }

    /// As [`Call::is_over`].
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.call.is_over()
    }

    /// Ends the log here: from now on the caller says what nobody may write down.
    fn conceal(&mut self) {
        if let Some(mut scribe) = self.scribe.take() {
            scribe.put(&super::end_line("concealed"));
        }
    }

    /// Notes what the call made, and keeps it for whoever asks.
    fn note(&mut self) {
        let Some(scribe) = &mut self.scribe else { return };
        let mut hides = false;
        while let Some(command) = self.call.poll_transmit() {
            hides |= matches!(command, Command::Conceal { on: true, .. });
            scribe.notes.command(&command);
            self.commands.push_back(command);
        }
        while let Some(event) = self.call.poll_event() {
            scribe.notes.event(&event);
            self.events.push_back(event);
        }
        if let Some(made) = scribe.notes.settle(self.call.poll_timeout()) {
            scribe.write(&made);
        }
        if scribe.ended {
            self.scribe = None;
        }
        if hides {
            self.conceal();
        }
    }
}

impl Drop for Taped {
    fn drop(&mut self) {
        if let Some(mut scribe) = self.scribe.take() {
            let why = if self.call.is_over() { "over" } else { "given_up" };
            scribe.end(why, self.call.record());
        }
    }
}

impl std::fmt::Debug for Taped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Taped")
            .field("call", &self.call)
            .field("captured", &self.scribe.is_some())
            .finish_non_exhaustive()
    }
}

impl Scribe {
    /// The setup as its log has it.
    fn head(&mut self, head: Head) -> CallSetup {
        let line = Line::Capture(Box::new(head.clone()));
        if let Some(Line::Capture(again)) = self.write_and_read(&line) { again.setup } else { head.setup }
    }

    /// The input as its log has it.
    fn told(&mut self, at: CallTime, input: Input) -> Input {
        self.inputs += 1;
        let line = Line::Told { at, input: input.clone() };
        if let Some(Line::Told { input: again, .. }) = self.write_and_read(&line) { again } else { input }
    }

    /// Writes a line, and what a reader will make of it. A line that nobody could read ends the log instead.
    fn write_and_read(&mut self, line: &Line) -> Option<Line> {
        let text = serde_json::to_string(line).unwrap_or_default();
        let again = serde_json::from_str(&text).ok();
        self.put(if again.is_some() { &text } else { "" });
        again
    }

    fn write(&mut self, line: &Line) {
        self.put(&serde_json::to_string(line).unwrap_or_default());
    }

    fn put(&mut self, text: &str) {
        if self.ended {
            return;
        }
        let why = match text.len() {
            0 => Some("unwritable"),
            length if length > MAX_LINE => Some("too_large"),
            _ => None,
        };
        // A tape that panics is not written to again, by the end of the call above all.
        self.ended = true;
        let more = self.tape.write(&why.map_or_else(|| text.to_owned(), super::end_line));
        self.ended = why.is_some() || !more;
    }

    fn end(&mut self, why: &str, record: &CallRecord) {
        let (why, inputs, sum) = (why.to_owned(), self.inputs, self.notes.sum());
        self.write(&Line::End(Box::new(End { why, inputs, sum, record: record_value(record) })));
    }
}

/// A record as a log has it.
pub(super) fn record_value(record: &CallRecord) -> Value {
    serde_json::to_value(record).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;
    use trunkline_api::usage::CallDirection;
    use trunkline_api::{Id, Prefix};
    use trunkline_leg::{Anchor, DtmfDigit, LegFact, LegId};

    use super::*;
    use crate::input::{AsrEvent, VoiceEdge};
    use crate::tape::{Ending, Log, read, replay};

    #[derive(Clone, Default)]
    struct Reel(Arc<Mutex<String>>);

    impl Tape for Reel {
        fn write(&mut self, line: &str) -> bool {
            let mut text = self.0.lock().unwrap();
            *text += line;
            text.push('\n');
            true
        }
    }

    fn captured() -> (Taped, Reel) {
        let id = |prefix| Id::mint(prefix, 1, [1; 10]);
        let spec = json!({
            "name": "taped", "pipeline": { "cascade": {
                "asr": [{ "provider": "asr" }], "llm": [{ "provider": "llm" }], "tts": [{ "provider": "tts" }],
            } },
        });
        let setup = CallSetup {
            call: id(Prefix::Call),
            tenant: id(Prefix::Tenant),
            agent: id(Prefix::Agent),
            agent_version: 1,
            spec: Arc::new(serde_json::from_value(spec).unwrap()),
            tools: Vec::new(),
            trunk: None,
            gateway: None,
            direction: CallDirection::Inbound,
            others: Default::default(),
            from: "1".to_owned(),
            to: "2".to_owned(),
            variables: Default::default(),
            anchor: Anchor { wall_us: 0, call_us: 0 },
            seed: 1,
            codec: "PCMA".to_owned(),
            sip_call_id: None,
        };
        let reel = Reel::default();
        let mut call = Taped::captured(setup, "test", false, Box::new(reel.clone()));
        call.handle(CallTime::ZERO, Input::Answered);
        (call, reel)
    }

    fn log(reel: &Reel) -> (Log, String) {
        let text = reel.0.lock().unwrap().clone();
        let log = read(text.as_bytes()).unwrap();
        assert_eq!(replay(&log, None, &mut |_| {}).divergence, None);
        let why = if let Ending::Whole(end) = &log.ending { end.why.clone() } else { "torn".to_owned() };
        (log, why)
    }

    #[test]
    fn what_nobody_may_write_down_is_not_in_the_log() {
        let (mut call, reel) = captured();
        call.conceal();
        let at = CallTime::from_ms(10);
        let digit = DtmfDigit::from_char('7').unwrap();
        call.handle(at, Input::Leg { leg: LegId::FIRST, fact: LegFact::Dtmf { digit, at } });
        assert!(std::iter::from_fn(|| call.poll_event()).any(|event| event.data["digit"] == "7"), "the call has it");
        drop(call);
        let (log, why) = log(&reel);
        assert_eq!((log.inputs().count(), why.as_str()), (1, "concealed"));
    }

    #[test]
    fn a_call_is_told_what_its_log_can_hold() {
        let (mut call, reel) = captured();
        let event = AsrEvent::Final { text: "yes".to_owned(), confidence: Some(f32::NAN), finalized: false };
        call.handle(CallTime::from_ms(1), Input::Asr { session: 1, event });
        drop(call);
        let (log, why) = log(&reel);
        let told = log.inputs().last().unwrap().1.clone();
        assert!(
            matches!(told, Input::Asr { event: AsrEvent::Final { confidence: None, .. }, .. }),
            "JSON knows no NaN"
        );
        assert_eq!(why, "given_up", "the call was not over");
    }

    #[test]
    fn what_cannot_be_written_ends_the_log_and_not_the_call() {
        let (mut call, reel) = captured();
        let edge = VoiceEdge { speech: true, at: CallTime::ZERO, level_dbfs: f32::NAN };
        call.handle(CallTime::from_ms(1), Input::Voice(edge));
        call.handle(CallTime::from_ms(2), Input::Drain);
        assert!(std::iter::from_fn(|| call.poll_event()).any(|event| event.kind == "speech.started"));
        drop(call);
        let (log, why) = log(&reel);
        assert_eq!((log.inputs().count(), why.as_str()), (1, "unwritable"));
    }
}
