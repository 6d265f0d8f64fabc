//! A request other than INVITE on its way: sent again until something comes, given up on after 64 T1 (RFC 3261 17.1.2).

use crate::transport::Hop;

/// T2 in T1: the longest pause between two tries (RFC 3261 17.1.2.2; 4 s of 500 ms).
const T2_T1S: u64 = 8;
/// Timer F in T1.
const GIVE_UP_T1S: u64 = 64;

/// A request other than INVITE.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) branch: String,
    pub(crate) text: String,
    pub(crate) to: Hop,
    t1_ms: u64,
    pause_ms: u64,
    again_ms: u64,
    until_ms: u64,
}

/// What is due of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Nothing yet.
    Waiting,
    /// It is to be sent again.
    Again,
    /// Nobody answered.
    GivenUp,
}

impl Asking {
    /// A request that is sent now.
    pub(crate) fn new(now_ms: u64, t1_ms: u64, branch: String, text: String, to: Hop) -> Self {
        let until_ms = now_ms + GIVE_UP_T1S * t1_ms;
        // Over a connection nothing is sent again (RFC 3261 17.1.2.2).
        let again_ms = if to.transport.is_reliable() { until_ms } else { now_ms + t1_ms };
        Self { branch, text, to, t1_ms, pause_ms: t1_ms, again_ms, until_ms }
    }

    /// A provisional response: from now on it is sent again seldom.
    pub(crate) const fn handle_provisional(&mut self) {
        self.pause_ms = T2_T1S * self.t1_ms;
    }

    /// What is due.
    pub(crate) fn handle_timeout(&mut self, now_ms: u64) -> Asked {
        if self.until_ms <= now_ms {
            return Asked::GivenUp;
        }
        if self.again_ms > now_ms {
            return Asked::Waiting;
        }
        self.pause_ms = (2 * self.pause_ms).min(T2_T1S * self.t1_ms);
        self.again_ms = now_ms + self.pause_ms;
        Asked::Again
    }

    /// When [`Asking::handle_timeout`] is to be called next.
    pub(crate) const fn poll_timeout(&self) -> u64 {
        if self.again_ms < self.until_ms { self.again_ms } else { self.until_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sent_again_at_growing_distances_and_given_up_on() {
        let mut asking =
            Asking::new(0, 500, "b".to_owned(), String::new(), Hop::udp("192.0.2.1:5060".parse().unwrap()));
        let mut at = Vec::new();
        let gone = loop {
            let now = asking.poll_timeout();
            match asking.handle_timeout(now) {
                Asked::Again => at.push(now),
                Asked::GivenUp => break now,
                Asked::Waiting => panic!("nothing was due"),
            }
        };
        // RFC 3261 17.1.2.2.
        assert_eq!(at, [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
        assert_eq!(gone, 32_000);
    }
}
