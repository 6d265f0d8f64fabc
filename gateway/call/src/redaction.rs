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
    /// Since when the redactor waits for this host, so that nothing it owes is late by its fault.
    still_since: Option<CallTime>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    ticket: u64,
    channel: RedactionChannel,
    asked: CallTime,
    until: CallTime,
}

impl Redactions {
    /// What an agent's policy says.
    pub(crate) fn new(policy: &Redaction) -> Self {
        let channels = if policy.redactor.is_empty() { Vec::new() } else { policy.channels.clone() };
        Self { channels, ticket: 0, open: VecDeque::new(), still_since: None }
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
        self.open.push_back(Open { ticket: self.ticket, channel, asked: now, until: now.plus_ms(WAIT_MS) });
        Some(self.ticket)
    }

    /// Takes a ticket back: where its text is going.
    pub(crate) fn close(&mut self, ticket: u64) -> Option<RedactionChannel> {
        let at = self.open.iter().position(|open| open.ticket == ticket)?;
        self.open.remove(at).map(|open| open.channel)
    }

    /// Lets nothing become late from `now` on, or has the time go on that was left of each wait then.
    pub(crate) fn stand_still(&mut self, now: CallTime, still: bool) {
        match (self.still_since, still) {
            (None, true) => self.still_since = Some(now),
            (Some(since), false) => {
                for open in &mut self.open {
                    open.until = open.until + now.since_us(since.max(open.asked));
                }
                self.still_since = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    /// Nobody waits for texts any more but the timeline, and it does not wait for this host.
    pub(crate) fn for_the_timeline_only(&mut self, now: CallTime) {
        self.stand_still(now, false);
        self.open.retain(|open| open.channel == RedactionChannel::Transcript);
    }

    /// Until when the oldest text is waited for; `None` also while nothing becomes late.
    pub(crate) fn oldest_until(&self) -> Option<CallTime> {
        self.open.front().filter(|_| self.still_since.is_none()).map(|open| open.until)
    }

    /// A text that was waited for too long at `now`.
    pub(crate) fn overdue(&self, now: CallTime) -> Option<u64> {
        self.open.front().filter(|open| self.still_since.is_none() && open.until <= now).map(|open| open.ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_goes_on_where_it_stood_still_whenever_it_began() {
        let policy = serde_json::json!({ "redactor": "pii", "channels": ["transcript"] });
        let mut redactions = Redactions::new(&serde_json::from_value(policy).unwrap());
        let at = CallTime::from_ms;
        let ask = |redactions: &mut Redactions, ms| redactions.ask(at(ms), RedactionChannel::Transcript, "a").unwrap();
        let first = ask(&mut redactions, 0);
        redactions.stand_still(at(400), true);
        redactions.stand_still(at(500), true);
        let second = ask(&mut redactions, 3000);
        assert_eq!((redactions.oldest_until(), redactions.overdue(at(9000))), (None, None));
        redactions.stand_still(at(5400), false);
        assert_eq!(redactions.oldest_until(), Some(at(6000)));
        assert_eq!(redactions.overdue(at(6000)), Some(first));
        redactions.close(first);
        assert_eq!((redactions.overdue(at(6399)), redactions.overdue(at(6400))), (None, Some(second)));
        // What is left for the timeline is waited for as ever.
        redactions.stand_still(at(6390), true);
        redactions.for_the_timeline_only(at(6395));
        assert_eq!(redactions.overdue(at(6405)), Some(second));
    }
}
