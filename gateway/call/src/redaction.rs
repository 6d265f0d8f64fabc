//! Redaction: which texts go through the redactor, and what happens when it does not answer (they are withheld).

use std::collections::VecDeque;

use serde_json::Value;
use trunkline_api::agent::{FailureAction, Redaction};
use trunkline_api::{EventType, Failure};
use trunkline_leg::CallTime;

use crate::call::{Call, Life};
use crate::command::{Channel, Command};
use crate::input::Redacted;
use crate::timeline::{WITHHELD, redaction_data};
use crate::timers::Reason;

/// Longest wait for the redactor.
const WAIT_MS: u64 = 1000;

/// Texts that are being redacted, oldest first.
#[derive(Debug)]
pub(crate) struct Redactions {
    channels: Vec<Channel>,
    ticket: u64,
    open: VecDeque<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    ticket: u64,
    channel: Channel,
    until: CallTime,
}

impl Redactions {
    /// What an agent's policy says.
    pub(crate) fn new(policy: &Redaction) -> Self {
        let configured = |channel: &Channel| {
            !policy.redactor.is_empty() && policy.channels.iter().any(|name| name == channel.name())
        };
        let all = [Channel::LlmInput, Channel::LlmOutput, Channel::Transcript];
        Self { channels: all.into_iter().filter(configured).collect(), ticket: 0, open: VecDeque::new() }
    }

    /// Whether texts of a channel are redacted.
    pub(crate) fn covers(&self, channel: Channel) -> bool {
        self.channels.contains(&channel)
    }

    /// Asks for the redaction of a text that goes into the timeline.
    pub(crate) fn for_timeline(&mut self, now: CallTime, text: &str, commands: &mut VecDeque<Command>) -> Option<u64> {
        self.ask(now, Channel::Transcript, text, commands)
    }

    /// Asks for a redaction; `None` when the channel is not redacted.
    fn ask(&mut self, now: CallTime, channel: Channel, text: &str, commands: &mut VecDeque<Command>) -> Option<u64> {
        if !self.covers(channel) {
            return None;
        }
        self.ticket += 1;
        self.open.push_back(Open { ticket: self.ticket, channel, until: now.plus_ms(WAIT_MS) });
        commands.push_back(Command::Redact { ticket: self.ticket, channel, text: text.to_owned() });
        Some(self.ticket)
    }

    fn close(&mut self, ticket: u64) -> Option<Channel> {
        let at = self.open.iter().position(|open| open.ticket == ticket)?;
        self.open.remove(at).map(|open| open.channel)
    }
}

impl Call {
    /// A text was redacted, or could not be and is withheld; the error says why, for operators.
    pub fn handle_redacted(&mut self, now: CallTime, ticket: u64, result: Result<Redacted, String>) {
        self.at(now);
        self.redacted(ticket, result);
        self.watch_redactor();
        self.settle();
    }

    /// Asks for the redaction of a text; `None` when its channel is not redacted.
    pub(crate) fn redact(&mut self, channel: Channel, text: &str) -> Option<u64> {
        let ticket = self.redactions.ask(self.now, channel, text, &mut self.commands);
        self.watch_redactor();
        ticket
    }

    pub(crate) fn watch_redactor(&mut self) {
        match self.redactions.open.front() {
            Some(oldest) => self.timers.set(Reason::Redactor, oldest.until),
            None => self.timers.clear(Reason::Redactor),
        }
    }

    pub(crate) fn redactor_overdue(&mut self) {
        while let Some(oldest) = self.redactions.open.front().copied() {
            if oldest.until > self.now {
                break;
            }
            self.redacted(oldest.ticket, Err(format!("no answer within {WAIT_MS} ms")));
        }
        self.watch_redactor();
    }

    fn redacted(&mut self, ticket: u64, result: Result<Redacted, String>) {
        let Some(channel) = self.redactions.close(ticket) else { return };
        if channel == Channel::Transcript {
            self.timeline.handle_redacted(ticket, result.as_ref().ok());
        } else if self.life != Life::Over {
            // Nobody thinks any more once the call is over, and nothing happens after its last event.
            let text = result.as_ref().map_or(WITHHELD, |redacted| redacted.text.as_str()).to_owned();
            if let Ok(Redacted { counts, .. }) = &result
                && !counts.is_empty()
            {
                let data: Value = redaction_data(channel, counts);
                self.turn_event(EventType::Redacted, data);
            }
            self.thought_redacted(ticket, text);
        }
        if let Err(why) = result
            && self.life != Life::Over
        {
            let redactor = Some(self.setup.spec.redaction.redactor.clone());
            self.raise(Failure::RedactorFailed, redactor, why, "fail_closed");
            if let Some(action @ (FailureAction::HangUp { .. } | FailureAction::Transfer { .. })) =
                self.setup.spec.failures.get(&Failure::RedactorFailed).cloned()
            {
                self.act(Failure::RedactorFailed, action);
            }
        }
    }
}
