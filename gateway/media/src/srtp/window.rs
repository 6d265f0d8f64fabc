//! Which packet of a stream this is, and whether it came before (RFC 3711 3.3.1, 3.3.2 and appendix A).

/// Packets behind the newest that are still taken; RFC 3711 asks for 64 at least.
const WINDOW: u64 = 128;

/// Indices that were seen: 48 bits of an RTP packet (rollover counter and sequence number), 31 of an RTCP packet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    /// The highest, once there is one.
    highest: Option<u64>,
    /// Bit n: `highest - n` was seen.
    seen: u128,
}

impl Window {
    /// The index that a sequence number most likely has; `None` for one from before the first packet there was.
    pub(super) fn estimate(&self, seq: u16) -> Option<u64> {
        let Some(highest) = self.highest else { return Some(u64::from(seq)) };
        let step = i64::from(seq.wrapping_sub(highest as u16) as i16);
        highest.checked_add_signed(step).filter(|index| *index < 1 << 48)
    }

    /// Whether the packet of this index may still come: it did not yet, and is not too old to tell.
    pub(super) fn is_open(&self, index: u64) -> bool {
        let Some(highest) = self.highest else { return true };
        match highest.checked_sub(index) {
            None => true,
            Some(age) => age < WINDOW && self.seen >> age & 1 == 0,
        }
    }

    /// The packet of this index came and is genuine.
    pub(super) fn enter(&mut self, index: u64) {
        match self.highest {
            Some(highest) if index <= highest => {
                let age = highest - index;
                if age < WINDOW {
                    self.seen |= 1 << age;
                }
            }
            Some(highest) => {
                let step = index - highest;
                self.seen = if step < WINDOW { self.seen << step | 1 } else { 1 };
                self.highest = Some(index);
            }
            None => {
                self.seen = 1;
                self.highest = Some(index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_rollover_counter_follows_the_sequence_numbers_both_ways() {
        let mut window = Window::default();
        assert_eq!(window.estimate(65_530), Some(65_530));
        window.enter(65_530);
        assert_eq!(window.estimate(3), Some(0x1_0003));
        window.enter(0x1_0003);
        assert_eq!(window.estimate(65_535), Some(65_535), "a straggler from before the turn");
        assert_eq!(window.estimate(4), Some(0x1_0004));
        let mut young = Window::default();
        young.enter(2);
        assert_eq!(young.estimate(65_535), None, "there was nothing before the first turn");
    }

    #[test]
    fn a_packet_comes_once_and_not_too_late() {
        let mut window = Window::default();
        assert!(window.is_open(1000));
        window.enter(1000);
        assert!(!window.is_open(1000) && window.is_open(999) && window.is_open(873) && !window.is_open(872));
        window.enter(999);
        assert!(!window.is_open(999));
        window.enter(5000);
        assert!(!window.is_open(1000) && !window.is_open(5000) && window.is_open(4999));
    }

    proptest! {
        #[test]
        fn no_index_is_ever_taken_twice(steps in prop::collection::vec(-200_i64..200, 1..400)) {
            let (mut window, mut taken, mut at) = (Window::default(), Vec::new(), 100_000_u64);
            for step in steps {
                at = at.saturating_add_signed(step);
                if window.is_open(at) {
                    prop_assert!(!taken.contains(&at));
                    window.enter(at);
                    taken.push(at);
                }
            }
        }
    }
}
