//! Redaction: which texts go through the redactor, and for how long each is waited for.

use std::collections::VecDeque;

use trunkline_api::agent::Redaction;
use trunkline_api::words::RedactionChannel;
use trunkline_leg::CallTime;

/// Longest wait for the redactor.
pub(crate) const WAIT_MS: u64 = 1000;

/// Texts that are being redacted, oldest first.
#[derive(Debug)]
pub(crate) struct Redactions {
    channels: Vec<RedactionChannel>,
    ticket: u64,
    open: VecDeque<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    ticket: u64,
    channel: RedactionChannel,
    until: CallTime,
}

impl Redactions {
    /// What an agent's policy says.
    pub(crate) fn new(policy: &Redaction) -> Self {
        let channels = if policy.redactor.is_empty() { Vec::new() } else { policy.channels.clone() };
        Self { channels, ticket: 0, open: VecDeque::new() }
    }

    /// Whether texts of a channel are redacted.
    pub(crate) fn covers(&self, channel: RedactionChannel) -> bool {
        self.channels.contains(&channel)
    }

    /// A ticket for a text; `None` when its channel is not redacted.
    pub(crate) fn ask(&mut self, now: CallTime, channel: RedactionChannel, text: &str) -> Option<u64> {
        if text.is_empty() || !self.covers(channel) {
            return None;
        }
        self.ticket += 1;
        self.open.push_back(Open { ticket: self.ticket, channel, until: now.plus_ms(WAIT_MS) });
        Some(self.ticket)
    }

    /// Takes a ticket back: where its text is going.
    pub(crate) fn close(&mut self, ticket: u64) -> Option<RedactionChannel> {
        let at = self.open.iter().position(|open| open.ticket == ticket)?;
        self.open.remove(at).map(|open| open.channel)
    }

    /// Nobody waits for texts any more but the timeline.
    pub(crate) fn for_the_timeline_only(&mut self) {
        self.open.retain(|open| open.channel == RedactionChannel::Transcript);
    }

    /// Until when the oldest text is waited for.
    pub(crate) fn oldest_until(&self) -> Option<CallTime> {
        self.open.front().map(|open| open.until)
    }

    /// A text that was waited for too long at `now`.
    pub(crate) fn overdue(&self, now: CallTime) -> Option<u64> {
        self.open.front().filter(|open| open.until <= now).map(|open| open.ticket)
    }
}
