//! Reliable provisional responses as the answering side sends them (RFC 3262 3): one at a time, sent again at doubling
//! intervals until its PRACK is here. Pure: time is an argument, in milliseconds from any beginning.

use std::collections::VecDeque;

/// Most provisional responses that wait for the one before them; what we send is 180 or 183, and once each.
const MOST: usize = 8;
/// So many T1 a response is sent again before the call is given up.
const T1S: u64 = 64;

/// The provisional responses of one INVITE. `R` is whatever a response is sent from.
#[derive(Debug)]
pub(crate) struct Reliable<R> {
    t1_ms: u64,
    cseq: u32,
    next_rseq: u32,
    unacknowledged: Option<Sent<R>>,
    waiting: VecDeque<R>,
}

#[derive(Debug)]
struct Sent<R> {
    rseq: u32,
    response: R,
    since_ms: u64,
    interval_ms: u64,
    again_ms: u64,
}

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due<R> {
    /// Send this once more.
    Again(u32, R),
    /// Nobody acknowledged it: refuse the call with 504.
    GiveUp,
}

impl<R: Clone> Reliable<R> {
    /// For an INVITE of that number. `first_rseq` is random, 1 to 2**31 - 1 (RFC 3262 3).
    pub(crate) fn new(cseq: u32, first_rseq: u32, t1_ms: u64) -> Self {
        let next_rseq = (first_rseq & 0x7fff_ffff).max(1);
        Self { t1_ms: t1_ms.max(1), cseq, next_rseq, unacknowledged: None, waiting: VecDeque::new() }
    }

    /// A response that is to be sent: at once with its RSeq, or when the one before it is acknowledged.
    pub(crate) fn send(&mut self, response: R, now_ms: u64) -> Option<(u32, R)> {
        if self.unacknowledged.is_some() {
            if self.waiting.len() < MOST {
                self.waiting.push_back(response);
            }
            return None;
        }
        let rseq = self.next_rseq;
        // It is at most 2**32 - 1 and there are few of them.
        self.next_rseq = self.next_rseq.saturating_add(1);
        let (interval_ms, again_ms) = (self.t1_ms, now_ms + self.t1_ms);
        self.unacknowledged = Some(Sent { rseq, response: response.clone(), since_ms: now_ms, interval_ms, again_ms });
        Some((rseq, response))
    }

    /// A PRACK with the value of its RAck: `None` when it acknowledges nothing that waits for it (481), else the next response
    /// that is to be sent, if any.
    pub(crate) fn prack(&mut self, rack: &str, now_ms: u64) -> Option<Option<(u32, R)>> {
        let mut parts = rack.split_ascii_whitespace();
        let [rseq, cseq] = [parts.next()?, parts.next()?].map(|number| number.parse::<u32>().ok());
        let is_invite = parts.next()? == "INVITE" && parts.next().is_none();
        let sent = self.unacknowledged.as_ref()?;
        if !is_invite || rseq != Some(sent.rseq) || cseq != Some(self.cseq) {
            return None;
        }
        self.unacknowledged = None;
        let next = self.waiting.pop_front();
        Some(next.and_then(|next| self.send(next, now_ms)))
    }

    /// Whether the call may be answered: what has not been acknowledged may carry an answer (RFC 3262 3).
    pub(crate) const fn is_settled(&self) -> bool {
        self.unacknowledged.is_none()
    }

    /// The call has its final response: nothing more is sent.
    pub(crate) fn end(&mut self) {
        self.unacknowledged = None;
        self.waiting.clear();
    }

    /// When it is to be looked at again.
    #[cfg(test)]
    fn poll_timeout(&self) -> Option<u64> {
        self.unacknowledged.as_ref().map(|sent| sent.again_ms)
    }

    /// The same as long as that response is the one that waits for its PRACK.
    pub(crate) fn due_of(&self, rseq: u32) -> Option<u64> {
        self.unacknowledged.as_ref().filter(|sent| sent.rseq == rseq).map(|sent| sent.again_ms)
    }

    /// What is due by now.
    pub(crate) fn handle_timeout(&mut self, now_ms: u64) -> Option<Due<R>> {
        let sent = self.unacknowledged.as_mut().filter(|sent| now_ms >= sent.again_ms)?;
        if now_ms - sent.since_ms >= T1S * self.t1_ms {
            self.end();
            return Some(Due::GiveUp);
        }
        sent.interval_ms *= 2;
        sent.again_ms = (now_ms + sent.interval_ms).min(sent.since_ms + T1S * self.t1_ms);
        Some(Due::Again(sent.rseq, sent.response.clone()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_response_is_sent_again_at_doubling_intervals_and_given_up_after_64_t1() {
        let mut reliable = Reliable::new(7, 1000, 500);
        assert_eq!(reliable.send("180", 0), Some((1000, "180")));
        let mut sent = Vec::new();
        let outcome = loop {
            let now_ms = reliable.poll_timeout().unwrap();
            match reliable.handle_timeout(now_ms).unwrap() {
                Due::Again(1000, "180") => sent.push(now_ms),
                other => break (now_ms, other),
            }
        };
        assert_eq!(sent, [500, 1500, 3500, 7500, 15_500, 31_500]);
        assert_eq!(outcome, (32_000, Due::GiveUp));
        assert_eq!(reliable.poll_timeout(), None);
    }

    #[test]
    fn a_prack_acknowledges_what_it_names_and_nothing_else() {
        let mut reliable = Reliable::new(7, 41, 500);
        assert_eq!(reliable.prack("41 7 INVITE", 0), None, "nothing was sent");
        reliable.send("183", 0);
        for other in ["40 7 INVITE", "41 8 INVITE", "41 7 UPDATE", "41 7", "41 7 INVITE x", "", "x y z", "41 7 invite"]
        {
            assert_eq!(reliable.prack(other, 0), None, "{other}");
        }
        assert!(!reliable.is_settled());
        assert_eq!(reliable.prack(" 41  7\tINVITE ", 0), Some(None));
        assert!(reliable.is_settled());
        assert_eq!(reliable.prack("41 7 INVITE", 0), None, "once");
    }

    #[test]
    fn the_next_response_waits_for_the_prack_of_the_one_before() {
        let mut reliable = Reliable::new(1, 5, 500);
        assert_eq!(reliable.send("180", 0), Some((5, "180")));
        assert_eq!(reliable.send("183", 10), None);
        assert_eq!(reliable.prack("5 1 INVITE", 20), Some(Some((6, "183"))));
        assert_eq!(reliable.poll_timeout(), Some(520));
        reliable.end();
        assert!(reliable.is_settled() && reliable.handle_timeout(9999).is_none());
    }

    #[test]
    fn the_first_number_is_one_that_can_be_counted_on_from() {
        for (first, expected) in [(0, 1), (u32::MAX, 0x7fff_ffff), (0x8000_0000, 1), (9, 9)] {
            assert_eq!(Reliable::new(1, first, 500).send((), 0), Some((expected, ())));
        }
    }

    proptest! {
        /// Whatever comes and when: one response at a time is out, numbers grow by one, nothing is sent after its PRACK, and
        /// everything has its end within 64 T1.
        #[test]
        fn responses_are_out_one_at_a_time(events in proptest::collection::vec((0u64..2000, 0..4u8), 1..200)) {
            let mut reliable = Reliable::new(3, 100, 500);
            let (mut now_ms, mut out, mut last) = (0, None, 99);
            for (later_ms, what) in events {
                now_ms += later_ms;
                match what {
                    0 => if let Some((rseq, ())) = reliable.send((), now_ms) {
                        prop_assert_eq!((out, rseq), (None, last + 1));
                        (out, last) = (Some((rseq, now_ms)), rseq);
                    },
                    1 => {
                        let rack = format!("{last} 3 INVITE");
                        let taken = reliable.prack(&rack, now_ms);
                        prop_assert_eq!(taken.is_some(), out.is_some());
                        if let Some(next) = taken {
                            out = next.map(|(rseq, ())| (rseq, now_ms));
                            if let Some((rseq, _)) = out {
                                prop_assert_eq!(rseq, last + 1);
                                last = rseq;
                            }
                        }
                    }
                    2 => match reliable.handle_timeout(now_ms) {
                        Some(Due::Again(rseq, ())) => {
                            let (expected, since_ms) = out.unwrap();
                            prop_assert_eq!(rseq, expected);
                            prop_assert!(now_ms - since_ms < 32_000);
                        }
                        Some(Due::GiveUp) => {
                            prop_assert!(now_ms - out.unwrap().1 >= 32_000);
                            out = None;
                        }
                        None => {}
                    },
                    _ => { prop_assert_eq!(reliable.is_settled(), out.is_none()); }
                }
            }
        }
    }
}
