//! What every part of a call writes to: commands for the driver, events for the timeline, deadlines, texts to redact. A
//! part gets it for the length of one input and keeps nothing of it.

use std::collections::VecDeque;

use serde_json::{Value, json};
use trunkline_api::usage::EndReason;
use trunkline_api::words::RedactionChannel;
use trunkline_api::{Event, EventType, Failure};
use trunkline_leg::CallTime;

use crate::command::Command;
use crate::legs::Legs;
use crate::redaction::Redactions;
use crate::timeline::{Entry, Timeline, Words};
use crate::timers::{Reason, Timers};

/// An end of the call that a part asks for.
#[derive(Debug)]
pub(crate) struct Close {
    /// Said first, when it is not empty.
    pub(crate) line: String,
    pub(crate) reason: EndReason,
    pub(crate) failure: Option<Failure>,
    /// There is nobody who could say anything.
    pub(crate) at_once: bool,
}

/// Commands, events and deadlines of a call.
#[derive(Debug)]
pub(crate) struct Effects {
    now: CallTime,
    turn: u32,
    commands: VecDeque<Command>,
    timeline: Timeline,
    timers: Timers,
    redactions: Redactions,
    legs: Legs,
    close: Option<Close>,
}

impl Effects {
    pub(crate) fn new(timeline: Timeline, redactions: Redactions) -> Self {
        Self {
            now: CallTime::ZERO,
            turn: 0,
            commands: VecDeque::new(),
            timeline,
            timers: Timers::default(),
            redactions,
            legs: Legs::default(),
            close: None,
        }
    }

    /// Time never goes back, whatever the driver's clock does.
    pub(crate) fn at(&mut self, now: CallTime) {
        self.now = self.now.max(now);
        self.timers.at(self.now);
    }

    pub(crate) const fn now(&self) -> CallTime {
        self.now
    }

    /// The wall clock now, in microseconds since the Unix epoch.
    pub(crate) const fn wall_us(&self) -> u64 {
        self.timeline.wall_us(self.now)
    }

    /// The turn that events belong to, counted from 1; 0 is the greeting.
    pub(crate) const fn turn(&self) -> u32 {
        self.turn
    }

    /// The next turn has begun.
    pub(crate) const fn next_turn(&mut self) -> u32 {
        self.turn += 1;
        self.turn
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.commands.push_back(command);
    }

    pub(crate) fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.timeline.poll()
    }

    /// Whether no event is held back.
    pub(crate) fn is_settled(&self) -> bool {
        self.timeline.is_settled()
    }

    /// The legs beside the first.
    pub(crate) const fn legs(&mut self) -> &mut Legs {
        &mut self.legs
    }

    pub(crate) const fn timers(&mut self) -> &mut Timers {
        &mut self.timers
    }

    pub(crate) fn next_timer(&self) -> Option<(CallTime, Reason)> {
        self.timers.next()
    }

    /// Sets a deadline, in milliseconds from now.
    pub(crate) fn set_in(&mut self, reason: Reason, ms: u64) {
        self.timers.set(reason, self.now.plus_ms(ms));
    }

    pub(crate) fn clear(&mut self, reason: Reason) {
        self.timers.clear(reason);
    }

    /// Asks for the end of the call. The first one counts.
    pub(crate) fn close(&mut self, line: &str, reason: EndReason, failure: Option<Failure>, at_once: bool) {
        self.close.get_or_insert(Close { line: line.to_owned(), reason, failure, at_once });
    }

    pub(crate) fn take_close(&mut self) -> Option<Close> {
        self.close.take()
    }

    /// An event of now that belongs to no turn.
    pub(crate) fn event(&mut self, kind: EventType, data: Value) {
        self.event_at(self.now, kind, None, data);
    }

    /// An event of this turn.
    pub(crate) fn turn_event(&mut self, kind: EventType, data: Value) {
        self.event_at(self.now, kind, Some(self.turn), data);
    }

    pub(crate) fn event_at(&mut self, at: CallTime, kind: EventType, turn: Option<u32>, mut data: Value) {
        if turn.is_some() {
            self.name_leg(&mut data);
        }
        self.timeline.push(Entry { at: at.min(self.now), kind, turn, data });
    }

    /// An event of this turn whose `field` holds somebody's words.
    pub(crate) fn words_event(&mut self, kind: EventType, data: Value, field: &'static str, words: Words) {
        self.words_event_at(self.now, self.turn, kind, data, field, words);
    }

    pub(crate) fn words_event_at(
        &mut self,
        at: CallTime,
        turn: u32,
        kind: EventType,
        mut data: Value,
        field: &'static str,
        words: Words,
    ) {
        self.name_leg(&mut data);
        let entry = Entry { at: at.min(self.now), kind, turn: Some(turn), data };
        let (redactions, commands, now) = (&mut self.redactions, &mut self.commands, self.now);
        let mut ask = |text: &str| {
            let ticket = redactions.ask(now, RedactionChannel::Transcript, text)?;
            commands.push_back(Command::Redact {
                ticket,
                channel: RedactionChannel::Transcript,
                text: text.to_owned(),
            });
            Some(ticket)
        };
        self.timeline.push_words(entry, field, words, &mut ask);
        self.watch_redactor();
    }

    /// What happens on a leg beside the first carries its number.
    fn name_leg(&self, data: &mut Value) {
        if let Some(leg) = self.legs.told_as() {
            data["leg"] = leg.into();
        }
    }

    /// Writes a failure into the timeline, with what is done about it.
    pub(crate) fn raise(&mut self, failure: Failure, provider: &str, detail: &str, action: &str) {
        let mut data = json!({ "failure": failure.name(), "action": action });
        if !provider.is_empty() {
            data["provider"] = provider.into();
        }
        if !detail.is_empty() {
            data["detail"] = bounded(detail).into();
        }
        self.turn_event(EventType::FailureRaised, data);
    }

    /// Whether texts of a channel are redacted.
    pub(crate) fn redacts(&self, channel: RedactionChannel) -> bool {
        self.redactions.covers(channel)
    }

    /// Asks for the redaction of a text; `None` when its channel is not redacted.
    pub(crate) fn redact(&mut self, channel: RedactionChannel, text: &str) -> Option<u64> {
        let ticket = self.redactions.ask(self.now, channel, text)?;
        self.commands.push_back(Command::Redact { ticket, channel, text: text.to_owned() });
        self.watch_redactor();
        Some(ticket)
    }

    pub(crate) const fn redactions(&mut self) -> &mut Redactions {
        &mut self.redactions
    }

    pub(crate) const fn timeline(&mut self) -> &mut Timeline {
        &mut self.timeline
    }

    pub(crate) fn watch_redactor(&mut self) {
        match self.redactions.oldest_until() {
            Some(until) => self.timers.set(Reason::Redactor, until),
            None => self.timers.clear(Reason::Redactor),
        }
    }

    /// The redactor waits for this host, or waits no more.
    pub(crate) fn redactor_behind(&mut self, behind: bool) {
        self.redactions.stand_still(self.now, behind);
        self.watch_redactor();
    }

    /// Forgets every deadline but those of texts that are still being redacted for the timeline.
    pub(crate) fn clear_timers(&mut self) {
        self.timers.clear_all();
        self.redactions.for_the_timeline_only(self.now);
        self.watch_redactor();
    }
}

/// A vendor's text may be of any length; an event's may not.
fn bounded(detail: &str) -> &str {
    const MAX_BYTES: usize = 1000;
    let end = (0..=MAX_BYTES.min(detail.len())).rev().find(|&at| detail.is_char_boundary(at)).unwrap_or(0);
    &detail[..end]
}
