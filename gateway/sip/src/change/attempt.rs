//! One re-INVITE on its way, as a machine (RFC 3261 17.1.1, RFC 6026 7.2): sent again until something comes, acknowledged as
//! often as it is answered, and taken back from a far end that cannot decide.

use std::collections::VecDeque;

use crate::client::{Answer, Asked, Asking, Transmit};
use crate::transport::Hop;

/// Timers B, D and M, and the wait behind a CANCEL, in T1.
const LONG_T1S: u64 = 64;
/// How long a far end may think about it, in milliseconds: somebody there may be asked.
const THINKS_MS: u64 = 60_000;

/// What it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Final {
    /// 2xx: it is to be acknowledged with [`Attempt::acknowledge`].
    Accepted,
    /// 300 to 699, acknowledged.
    Refused,
    /// Nobody answered.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing came yet.
    Calling {
        again_ms: u64,
        pause_ms: u64,
        until_ms: u64,
    },
    /// Something provisional came.
    Proceeding {
        until_ms: u64,
    },
    /// It is taken back; it may be accepted all the same.
    TakenBack {
        until_ms: u64,
    },
    /// A 2xx came, and may come again.
    Accepted {
        until_ms: u64,
    },
    /// A refusal came, and may come again.
    Refused {
        until_ms: u64,
    },
    Done,
}

/// One re-INVITE.
#[derive(Debug)]
pub(super) struct Attempt {
    branch: String,
    cseq: u32,
    text: String,
    to: Hop,
    detour: Option<Hop>,
    t1_ms: u64,
    state: State,
    /// The ACK of its 2xx.
    ack: Option<(String, Hop)>,
    cancel: Option<Asking>,
    transmits: VecDeque<Transmit>,
}

impl Attempt {
    /// Sends it, first to where it goes and then, when nobody can be reached there, the other way. `text` has `branch` in its
    /// Via and `cseq` for its number.
    pub(super) fn new(
        now_ms: u64,
        t1_ms: u64,
        branch: String,
        cseq: u32,
        text: String,
        (to, detour): (Hop, Option<Hop>),
    ) -> Self {
        let until_ms = now_ms + LONG_T1S * t1_ms;
        let first = Transmit { text: text.clone(), to, detour, branch: Some(branch.clone()) };
        // Over a connection nothing is sent again (RFC 3261 17.1.1.2).
        let again_ms = if to.transport.is_reliable() { until_ms } else { now_ms + t1_ms };
        let state = State::Calling { again_ms, pause_ms: t1_ms, until_ms };
        Self { branch, cseq, text, to, detour, t1_ms, state, ack: None, cancel: None, transmits: [first].into() }
    }

    /// Its branch.
    pub(super) fn branch(&self) -> &str {
        &self.branch
    }

    /// Its number.
    pub(super) const fn cseq(&self) -> u32 {
        self.cseq
    }

    /// A response of its branch came; what it came to, once.
    pub(super) fn handle_answer(&mut self, now_ms: u64, answer: &Answer) -> Option<Final> {
        if answer.branch != self.branch || answer.cseq != self.cseq {
            return None;
        }
        if answer.method == "CANCEL" {
            if !answer.is_provisional() {
                self.cancel = None;
            }
            return None;
        }
        let until_ms = now_ms + LONG_T1S * self.t1_ms;
        match (self.state, answer.status) {
            (State::Calling { .. }, ..=199) => {
                self.state = State::Proceeding { until_ms: now_ms + THINKS_MS };
                None
            }
            (State::Calling { .. } | State::Proceeding { .. } | State::TakenBack { .. }, 200..=299) => {
                self.state = State::Accepted { until_ms };
                self.cancel = None;
                Some(Final::Accepted)
            }
            (State::Calling { .. } | State::Proceeding { .. } | State::TakenBack { .. }, 300..) => {
                self.state = State::Refused { until_ms };
                self.cancel = None;
                self.refused(&answer.to);
                Some(Final::Refused)
            }
            (State::Accepted { .. }, 200..=299) => {
                self.acknowledged();
                None
            }
            (State::Refused { .. }, 300..) => {
                self.refused(&answer.to);
                None
            }
            _ => None,
        }
    }

    /// What its 2xx is acknowledged with, now and whenever that comes again (RFC 3261 13.2.2.4).
    pub(super) fn acknowledge(&mut self, text: String, to: Hop) {
        self.ack = Some((text, to));
        self.acknowledged();
    }

    /// Does what is due; what it came to, once.
    pub(super) fn handle_timeout(&mut self, now_ms: u64) -> Option<Final> {
        if let Some(cancel) = &mut self.cancel {
            match cancel.handle_timeout(now_ms) {
                Asked::Waiting => {}
                // That of the INVITE is waited for nevertheless.
                Asked::GivenUp => self.cancel = None,
                Asked::Again => {
                    let (text, to) = (cancel.text.clone(), cancel.to);
                    self.transmits.push_back(Transmit { text, to, detour: self.detour, branch: None });
                }
            }
        }
        match self.state {
            State::Calling { until_ms, .. } | State::TakenBack { until_ms } if until_ms <= now_ms => {
                self.state = State::Done;
                Some(Final::Nothing)
            }
            State::Calling { again_ms, pause_ms, until_ms } if again_ms <= now_ms => {
                let pause_ms = 2 * pause_ms;
                self.state = State::Calling { again_ms: now_ms + pause_ms, pause_ms, until_ms };
                let branch = Some(self.branch.clone());
                self.transmits.push_back(Transmit {
                    text: self.text.clone(),
                    to: self.to,
                    detour: self.detour,
                    branch,
                });
                None
            }
            State::Proceeding { until_ms } if until_ms <= now_ms => {
                let text = derived(&self.text, "CANCEL", None);
                self.transmits.push_back(Transmit {
                    text: text.clone(),
                    to: self.to,
                    detour: self.detour,
                    branch: None,
                });
                self.cancel = Some(Asking::new(now_ms, self.t1_ms, self.branch.clone(), text, self.to));
                self.state = State::TakenBack { until_ms: now_ms + LONG_T1S * self.t1_ms };
                None
            }
            State::Accepted { until_ms } | State::Refused { until_ms } if until_ms <= now_ms => {
                self.state = State::Done;
                None
            }
            _ => None,
        }
    }

    /// When [`Attempt::handle_timeout`] is to be called next.
    pub(super) fn poll_timeout(&self) -> Option<u64> {
        let due = match self.state {
            State::Calling { again_ms, until_ms, .. } => again_ms.min(until_ms),
            State::Proceeding { until_ms }
            | State::TakenBack { until_ms }
            | State::Accepted { until_ms }
            | State::Refused { until_ms } => until_ms,
            State::Done => return None,
        };
        Some(self.cancel.as_ref().map_or(due, |cancel| due.min(cancel.poll_timeout())))
    }

    /// What is to be sent, in order.
    pub(super) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    fn acknowledged(&mut self) {
        if let Some((text, to)) = self.ack.clone() {
            self.transmits.push_back(Transmit { text, to, detour: self.detour, branch: None });
        }
    }

    fn refused(&mut self, to: &str) {
        let text = derived(&self.text, "ACK", Some(to));
        self.transmits.push_back(Transmit { text, to: self.to, detour: self.detour, branch: None });
    }
}

/// The ACK of a refusal, or a CANCEL: the INVITE's own URI, Via, Route, From, Call-ID and number (RFC 3261 9.1, 17.1.1.3).
fn derived(invite: &str, method: &str, to: Option<&str>) -> String {
    const KEPT: [&str; 7] = ["via", "max-forwards", "route", "from", "call-id", "user-agent", "to"];
    let head = invite.split("\r\n\r\n").next().unwrap_or_default();
    let mut lines = head.split("\r\n");
    let rest = lines.next().and_then(|line| line.split_once(' ')).map_or("", |(_, rest)| rest);
    let mut text = format!("{method} {rest}\r\n");
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let name_is = |other: &str| name.eq_ignore_ascii_case(other);
        match to {
            Some(to) if name_is("to") => text.push_str(&format!("To: {to}\r\n")),
            _ if name_is("cseq") => {
                let number = value.split_ascii_whitespace().next().unwrap_or_default();
                text.push_str(&format!("CSeq: {number} {method}\r\n"));
            }
            _ if KEPT.iter().any(|kept| name_is(kept)) => text.push_str(&format!("{line}\r\n")),
            _ => {}
        }
    }
    text.push_str("Content-Length: 0\r\n\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const T1: u64 = 500;

    fn to() -> Hop {
        Hop::udp("192.0.2.1:5060".parse().unwrap())
    }

    fn attempt() -> Attempt {
        let text = "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP gw;branch=z9hG4bKx\r\nMax-Forwards: 70\r\nRoute: <sip:p;lr>\r\n\
                    From: <sip:100@gw>;tag=l\r\nTo: <sip:a@b>;tag=r\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\nContact: <sip:gw>\r\n\
                    Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n";
        Attempt::new(0, T1, "z9hG4bKx".to_owned(), 7, text.to_owned(), (to(), None))
    }

    fn answer(status: u16, method: &str) -> Answer {
        Answer {
            status,
            branch: "z9hG4bKx".to_owned(),
            cseq: 7,
            method: method.to_owned(),
            call_id: "c".to_owned(),
            from_tag: "l".to_owned(),
            to: "<sip:a@b>;tag=r".to_owned(),
            to_tag: Some("r".to_owned()),
            contacts: Vec::new(),
            record_routes: Vec::new(),
            rseq: None,
            challenges: Vec::new(),
            retry_after_s: None,
            expires_s: None,
            min_expires_s: None,
            session_expires: None,
            min_se_s: None,
            takes_update: false,
            reason: None,
            sdp: None,
            source: to(),
        }
    }

    /// First lines of what is to be sent.
    fn sent(attempt: &mut Attempt) -> Vec<String> {
        let texts = std::iter::from_fn(|| attempt.poll_transmit());
        texts.map(|transmit| transmit.text.split(' ').next().unwrap().to_owned()).collect()
    }

    /// Lives until the machine says what it came to.
    fn live(attempt: &mut Attempt) -> (u64, Option<Final>, Vec<(u64, String)>) {
        let mut all = Vec::new();
        loop {
            let Some(now) = attempt.poll_timeout() else { return (0, None, all) };
            let came = attempt.handle_timeout(now);
            all.extend(sent(attempt).into_iter().map(|method| (now, method)));
            if came.is_some() {
                return (now, came, all);
            }
        }
    }

    #[test]
    fn it_is_sent_again_until_nobody_is_left_who_could_answer() {
        let mut attempt = attempt();
        assert_eq!(sent(&mut attempt), ["INVITE"]);
        let (at, came, all) = live(&mut attempt);
        assert_eq!((at, came), (64 * T1, Some(Final::Nothing)));
        assert_eq!(all.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [500, 1500, 3500, 7500, 15_500, 31_500]);
        assert_eq!(attempt.poll_timeout(), None);
    }

    #[test]
    fn what_is_accepted_is_acknowledged_as_often_as_it_is_said() {
        let mut attempt = attempt();
        sent(&mut attempt);
        assert_eq!(attempt.handle_answer(10, &answer(100, "INVITE")), None);
        assert_eq!(attempt.handle_answer(20, &answer(200, "INVITE")), Some(Final::Accepted));
        assert_eq!(sent(&mut attempt), [""; 0]);
        attempt.acknowledge("ACK sip:a@b SIP/2.0\r\n\r\n".to_owned(), to());
        assert_eq!(sent(&mut attempt), ["ACK"]);
        for _ in 0..3 {
            assert_eq!(attempt.handle_answer(500, &answer(200, "INVITE")), None, "it is told once");
            assert_eq!(sent(&mut attempt), ["ACK"]);
        }
        assert_eq!(attempt.handle_answer(600, &answer(488, "INVITE")), None, "nobody refuses what it has accepted");
        assert_eq!(attempt.poll_timeout(), Some(20 + 64 * T1));
        assert_eq!(attempt.handle_timeout(20 + 64 * T1), None);
        assert_eq!(attempt.poll_timeout(), None);
    }

    #[test]
    fn a_refusal_is_acknowledged_by_the_invites_own_branch_route_and_number() {
        let mut attempt = attempt();
        sent(&mut attempt);
        let mut refusal = answer(491, "INVITE");
        refusal.to = "<sip:a@b>;tag=other".to_owned();
        assert_eq!(attempt.handle_answer(10, &refusal), Some(Final::Refused));
        let ack = attempt.poll_transmit().unwrap();
        assert_eq!(
            ack.text,
            "ACK sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP gw;branch=z9hG4bKx\r\nMax-Forwards: 70\r\nRoute: <sip:p;lr>\r\n\
             From: <sip:100@gw>;tag=l\r\nTo: <sip:a@b>;tag=other\r\nCall-ID: c\r\nCSeq: 7 ACK\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(attempt.handle_answer(500, &refusal), None);
        assert_eq!(sent(&mut attempt), ["ACK"]);
    }

    #[test]
    fn one_that_cannot_decide_has_it_taken_back_and_may_accept_it_nevertheless() {
        let mut attempt = attempt();
        sent(&mut attempt);
        attempt.handle_answer(10, &answer(180, "INVITE"));
        assert_eq!(attempt.poll_timeout(), Some(10 + THINKS_MS));
        assert_eq!(attempt.handle_timeout(10 + THINKS_MS), None);
        let cancel = attempt.poll_transmit().unwrap();
        assert!(cancel.text.starts_with("CANCEL sip:a@b SIP/2.0\r\n") && cancel.text.contains("CSeq: 7 CANCEL\r\n"));
        assert!(cancel.text.contains("To: <sip:a@b>;tag=r\r\n"));
        attempt.handle_timeout(10 + THINKS_MS + T1);
        assert_eq!(sent(&mut attempt), ["CANCEL"], "it is sent again");
        attempt.handle_answer(70_000, &answer(200, "CANCEL"));
        assert_eq!(attempt.handle_timeout(75_000), None);
        assert_eq!(sent(&mut attempt), [""; 0]);
        assert_eq!(attempt.handle_answer(75_000, &answer(200, "INVITE")), Some(Final::Accepted));
    }

    #[test]
    fn answers_of_other_requests_are_none_of_its() {
        let mut attempt = attempt();
        let others: [fn(&mut Answer); 2] = [|answer| answer.cseq = 6, |answer| answer.branch.push('y')];
        for change in others {
            let mut other = answer(200, "INVITE");
            change(&mut other);
            assert_eq!(attempt.handle_answer(10, &other), None);
        }
    }
}
