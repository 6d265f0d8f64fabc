//! Remembers which requests were answered, in constant memory, so that a stranger gets one answer per request.

/// How long an answer counts: as long as a client may retransmit (64 T1 of RFC 3261).
const REMEMBERED_US: u64 = 32_000_000;

/// A fixed table of fingerprints.
#[derive(Debug)]
pub(crate) struct AnsweredOnce {
    slots: Vec<Option<(u64, u64)>>,
}

impl AnsweredOnce {
    /// A table of so many requests.
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots: vec![None; slots.max(1)] }
    }

    /// Whether this is the first time, and remembers it.
    pub(crate) fn first(&mut self, fingerprint: u64, now_us: u64) -> bool {
        let len = self.slots.len() as u64;
        let Some(slot) = usize::try_from(fingerprint % len).ok().and_then(|index| self.slots.get_mut(index)) else {
            return false;
        };
        let known =
            slot.is_some_and(|(seen, at_us)| seen == fingerprint && now_us.saturating_sub(at_us) < REMEMBERED_US);
        if !known {
            *slot = Some((fingerprint, now_us));
        }
        !known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_new_once_until_it_is_forgotten() {
        let mut answered = AnsweredOnce::new(8);
        assert!(answered.first(5, 0));
        assert!(!answered.first(5, REMEMBERED_US - 1));
        assert!(answered.first(5, REMEMBERED_US));
        assert!(answered.first(13, REMEMBERED_US), "another request of the same slot is new");
    }
}
