//! One INVITE of a call of ours, as a machine: sent again until something comes, taken back when nobody is wanted any more,
//! listened to for as long as its answer may come again (RFC 3261 17.1.1, RFC 6026 7.2).

use super::call::{LONG_T1S, Transmit};
use super::request::Invite;
use crate::transport::Hop;

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// Nothing came yet.
    Calling { again_ms: u64, pause_ms: u64, until_ms: u64 },
    /// Something provisional came.
    Proceeding,
    /// A 2xx came; others may until then.
    Accepted { until_ms: u64 },
    /// It was refused; the refusal may come again until then.
    Completed { until_ms: u64 },
    /// Nobody answered; somebody may yet.
    Gone,
    /// Nothing more is heard of it.
    Done,
}

/// Whether it is to be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    No,
    /// As soon as something comes: before that there may be nobody to take it back from (RFC 3261 9.1).
    Wanted,
    /// CANCEL was sent; the INVITE is given up on then.
    Sent {
        until_ms: u64,
    },
}

/// What is due of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing.
    Nothing,
    /// It is to be sent again.
    Again,
    /// Nobody has answered.
    GivenUp,
}

/// One INVITE: each server and each password makes a new one.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) branch: String,
    pub(super) cseq: u32,
    pub(super) to: Hop,
    text: String,
    pub(super) authorization: Option<(&'static str, String)>,
    pub(super) sent: Sent,
    pub(super) taken: Taken,
}

impl Attempt {
    /// One that is sent now; `text` has `branch` in its Via and `cseq` for its number.
    pub(super) fn new(
        (now_ms, t1_ms): (u64, u64),
        (branch, cseq): (String, u32),
        (text, to): (String, Hop),
        authorization: Option<(&'static str, String)>,
    ) -> Self {
        let until_ms = now_ms + LONG_T1S * t1_ms;
        // Over a connection nothing is sent again (RFC 3261 17.1.1.2).
        let again_ms = if to.transport.is_reliable() { until_ms } else { now_ms + t1_ms };
        let sent = Sent::Calling { again_ms, pause_ms: t1_ms, until_ms };
        Self { branch, cseq, to, text, authorization, sent, taken: Taken::No }
    }

    /// The INVITE itself.
    pub(super) fn transmit(&self) -> Transmit {
        Transmit { text: self.text.clone(), to: self.to, detour: None, branch: Some(self.branch.clone()) }
    }

    /// What its ACK and its CANCEL share with it.
    pub(super) fn named<'a>(&'a self, call_id: &'a str, from_tag: &'a str) -> Invite<'a> {
        let authorization = self.authorization.as_ref();
        let (branch, cseq) = (self.branch.as_str(), self.cseq);
        Invite { to: self.to, branch, call_id, from_tag, cseq, authorization, session: "" }
    }

    /// Whether an answer to it is waited for.
    pub(super) const fn waits(&self) -> bool {
        matches!(self.sent, Sent::Calling { .. } | Sent::Proceeding)
    }

    /// Whether nothing is left to say of it, or to hear.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.sent, Sent::Gone | Sent::Done)
    }

    /// What is due.
    pub(super) fn handle_timeout(&mut self, now_ms: u64) -> Due {
        if matches!(self.taken, Taken::Sent { until_ms } if until_ms <= now_ms) && self.sent == Sent::Proceeding {
            self.sent = Sent::Done;
        }
        match &mut self.sent {
            Sent::Calling { until_ms, .. } if *until_ms <= now_ms => {
                self.sent = Sent::Gone;
                return Due::GivenUp;
            }
            Sent::Calling { again_ms, pause_ms, .. } if *again_ms <= now_ms => {
                // Timer A doubles without a bound but timer B's (RFC 3261 17.1.1.2).
                *pause_ms *= 2;
                *again_ms = now_ms + *pause_ms;
                return Due::Again;
            }
            Sent::Accepted { until_ms } | Sent::Completed { until_ms } if *until_ms <= now_ms => self.sent = Sent::Done,
            _ => {}
        }
        Due::Nothing
    }

    /// When [`Attempt::handle_timeout`] is to be called next.
    pub(super) fn poll_timeout(&self) -> Option<u64> {
        match (self.sent, self.taken) {
            (Sent::Calling { again_ms, until_ms, .. }, _) => Some(again_ms.min(until_ms)),
            (Sent::Accepted { until_ms } | Sent::Completed { until_ms }, _)
            | (Sent::Proceeding, Taken::Sent { until_ms }) => Some(until_ms),
            (Sent::Proceeding | Sent::Gone | Sent::Done, _) => None,
        }
    }
}
