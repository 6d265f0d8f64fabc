//! How late packets of a 20 ms clock leave, seen from outside.
//!
//! A packet's arrival less its timestamp is a constant for a sender that keeps its clock. The constant is not known,
//! and it changes when the sender moves a call to another place in its tick; so the yardstick of a packet is the
//! earliest of its neighbours before and after, whichever is later, and a move counts as no lateness on either side.

use crate::figures::Histogram;

/// Neighbours looked at on each side: 200 ms, longer than any single hold-up.
const AROUND: usize = 10;
/// Packets judged at once.
const BATCH: usize = 256;

/// Follows one sender.
#[derive(Debug, Default)]
pub(crate) struct Lateness {
    offsets: Vec<i64>,
}

impl Lateness {
    /// A packet that arrived at `arrival_us` with a timestamp of `media_us`.
    pub(crate) fn handle(&mut self, arrival_us: u64, media_us: u64, late: &mut Histogram) {
        self.offsets.push(arrival_us.cast_signed() - media_us.cast_signed());
        if self.offsets.len() == BATCH {
            self.judge(late);
            // The last ones are judged with their successors, and are neighbours of those.
            self.offsets.drain(..BATCH - 2 * AROUND);
        }
    }

    /// Judges what is left, and forgets it: the sender begins anew, or nothing more comes.
    pub(crate) fn settle(&mut self, late: &mut Histogram) {
        self.judge(late);
        self.offsets.clear();
    }

    fn judge(&self, late: &mut Histogram) {
        if self.offsets.len() <= 2 * AROUND {
            return;
        }
        let earliest = |neighbours: &[i64]| neighbours.iter().copied().min().unwrap_or_default();
        for index in AROUND..self.offsets.len() - AROUND {
            let before = earliest(&self.offsets[index - AROUND..=index]);
            let after = earliest(&self.offsets[index..=index + AROUND]);
            late.add((self.offsets[index] - before.max(after)) as f64 / 1000.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_packet_is_late_and_a_move_is_not() {
        let (mut lateness, mut late) = (Lateness::default(), Histogram::default());
        for packet in 0..2000_u64 {
            let moved = if packet < 1000 { 0 } else { 5000 };
            let held_up = if packet == 500 { 12_000 } else { 0 };
            lateness.handle(1_000_000 + packet * 20_000 + moved + held_up, packet * 20_000, &mut late);
        }
        lateness.settle(&mut late);
        // But for the first and the last ones, which have no neighbours.
        assert_eq!(late.count(), 2000 - 2 * AROUND as u64);
        assert_eq!(late.above(1.0), 1);
        assert!((late.highest() - 12.0).abs() < 0.2, "{}", late.highest());
    }
}
