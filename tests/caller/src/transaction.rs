//! Client transactions over UDP (RFC 3261 17.1): what is sent again, how often, and when to give up.

/// Round-trip estimate T1 in microseconds.
const T1: u64 = 500_000;
/// The longest interval T2 between retransmissions of anything but INVITE.
const T2: u64 = 4_000_000;
/// Timers B and F: 64 * T1.
const PATIENCE: u64 = 64 * T1;

/// One request on its way.
#[derive(Debug)]
pub(crate) struct Client {
    bytes: Vec<u8>,
    invite: bool,
    interval: u64,
    next: Option<u64>,
    gives_up: Option<u64>,
}

/// What a due timer asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Resend(Vec<u8>),
    GiveUp,
}

impl Client {
    /// `bytes` were sent at `now`.
    pub(crate) const fn new(now: u64, bytes: Vec<u8>, invite: bool) -> Self {
        Self { bytes, invite, interval: T1, next: Some(now + T1), gives_up: Some(now + PATIENCE) }
    }

    /// A provisional response: an INVITE is not sent again and may ring for as long as it likes (17.1.1.2), any other
    /// request is sent again every T2 (17.1.2.2).
    pub(crate) const fn handle_provisional(&mut self, now: u64) {
        if self.invite {
            self.next = None;
            self.gives_up = None;
        } else {
            self.interval = T2;
            self.next = Some(now + T2);
        }
    }

    /// A final response, or the transaction no longer matters.
    pub(crate) const fn finish(&mut self) {
        self.next = None;
        self.gives_up = None;
    }

    /// When [`Self::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<u64> {
        [self.next, self.gives_up].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: u64) -> Due {
        if self.gives_up.is_some_and(|at| now >= at) {
            self.finish();
            return Due::GiveUp;
        }
        if self.next.is_none_or(|at| now < at) {
            return Due::Nothing;
        }
        self.interval = if self.invite { self.interval * 2 } else { (self.interval * 2).min(T2) };
        self.next = Some(now + self.interval);
        Due::Resend(self.bytes.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(mut client: Client) -> (Vec<u64>, Option<u64>) {
        let mut sent = Vec::new();
        while let Some(now) = client.poll_timeout() {
            match client.handle_timeout(now) {
                Due::Resend(_) => sent.push(now / 1000),
                Due::GiveUp => return (sent, Some(now / 1000)),
                Due::Nothing => panic!("nothing was due"),
            }
        }
        (sent, None)
    }

    #[test]
    fn an_invite_is_sent_seven_times_and_given_up_after_32_seconds() {
        let (sent, gave_up) = times(Client::new(0, vec![1], true));
        assert_eq!(sent, [500, 1500, 3500, 7500, 15_500, 31_500]);
        assert_eq!(gave_up, Some(32_000));
    }

    #[test]
    fn other_requests_are_sent_every_four_seconds_at_last() {
        let (sent, gave_up) = times(Client::new(0, vec![1], false));
        assert_eq!(sent[..4], [500, 1500, 3500, 7500]);
        assert!(sent[3..].windows(2).all(|w| w[1] - w[0] == 4000));
        assert_eq!(gave_up, Some(32_000));
    }

    #[test]
    fn a_ringing_call_is_waited_for() {
        let mut client = Client::new(0, vec![1], true);
        client.handle_provisional(100);
        assert_eq!(client.poll_timeout(), None);
    }
}
