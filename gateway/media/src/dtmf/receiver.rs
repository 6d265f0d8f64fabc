//! Telephone events (RFC 4733): a digit is many packets, and is reported once, at the first that arrives.

use trunkline_leg::DtmfDigit;

/// Sequence numbers behind the last event packet that are reordering (RFC 3550 A.1); further back, the sender began
/// anew.
const MAX_MISORDER: u16 = 100;

/// What a telephone-event packet means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A digit that was not reported yet.
    Digit(DtmfDigit),
    /// More of one that was, or an event that is no digit.
    Known,
    /// Shorter than the four bytes of an event.
    Malformed,
}

/// Recognises digits; one per synchronisation source.
#[derive(Debug, Default)]
pub struct DtmfReceiver {
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    seq: u16,
    code: u8,
    timestamp: u32,
    duration: u16,
    ended: bool,
}

impl DtmfReceiver {
    /// Takes a payload with its RTP sequence number, which says what is older, and its RTP timestamp, which is the
    /// same for every packet of an event and may go backward from one event to the next.
    pub fn handle(&mut self, seq: u16, timestamp: u32, payload: &[u8]) -> Event {
        let Some((&[code, flags, high, low], _)) = payload.split_first_chunk::<4>() else {
            return Event::Malformed;
        };
        let now = Last { seq, code, timestamp, duration: u16::from_be_bytes([high, low]), ended: flags & 0x80 != 0 };
        if let Some(last) = &mut self.last {
            let is_older = (1..=MAX_MISORDER).contains(&last.seq.wrapping_sub(seq));
            if timestamp == last.timestamp && (code == last.code || is_older) {
                // Reordered packets of one event may carry a shorter duration or lack the end bit.
                last.duration = last.duration.max(now.duration);
                last.ended |= now.ended;
                if !is_older {
                    last.seq = seq;
                }
                return Event::Known;
            }
            if is_older {
                return Event::Known; // an older event's straggler
            }
            // An event longer than its duration field goes on in a new segment (RFC 4733 2.5.1.3).
            let continues = timestamp.wrapping_sub(last.timestamp) == u32::from(last.duration);
            if code == last.code && !last.ended && continues {
                self.last = Some(now);
                return Event::Known;
            }
        }
        self.last = Some(now);
        DtmfDigit::from_event(code).map_or(Event::Known, Event::Digit)
    }

    /// Forgets the last event: another source starts its own timestamps.
    pub fn reset(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn payload(code: u8, end: bool, duration: u16) -> [u8; 4] {
        let [high, low] = duration.to_be_bytes();
        [code, if end { 0x8a } else { 0x0a }, high, low]
    }

    /// Digits of packets with their sequence numbers.
    fn numbered(packets: impl IntoIterator<Item = (u16, u32, [u8; 4])>) -> String {
        let mut receiver = DtmfReceiver::default();
        packets
            .into_iter()
            .filter_map(|(seq, timestamp, payload)| match receiver.handle(seq, timestamp, &payload) {
                Event::Digit(digit) => Some(digit.as_char()),
                Event::Known | Event::Malformed => None,
            })
            .collect()
    }

    /// Digits of packets in order.
    fn digits(packets: &[(u32, [u8; 4])]) -> String {
        numbered(packets.iter().enumerate().map(|(n, (timestamp, payload))| (n as u16, *timestamp, *payload)))
    }

    /// The packets of a digit as a phone sends them: six of it, three times its end.
    fn key(seq: &mut u16, timestamp: u32, code: u8) -> Vec<(u16, u32, [u8; 4])> {
        (1..=9_u16)
            .map(|n| {
                *seq = seq.wrapping_add(1);
                (*seq, timestamp, payload(code, n > 6, n.min(7) * 160))
            })
            .collect()
    }

    #[test]
    fn an_event_of_many_packets_is_one_digit() {
        let mut packets: Vec<_> = (1..=5).map(|n| (8000, payload(5, false, n * 160))).collect();
        packets.extend([(8000, payload(5, true, 960)); 3]);
        packets.extend([(9600, payload(5, false, 160)), (9600, payload(5, true, 320))]);
        assert_eq!(digits(&packets), "55");
    }

    #[test]
    fn a_lost_beginning_still_gives_the_digit_and_stragglers_do_not() {
        let packets = [
            (1, 1600, payload(1, true, 800)),
            (8, 3200, payload(11, false, 160)),
            (2, 1600, payload(1, true, 800)),
            (9, 3200, payload(11, true, 400)),
        ];
        assert_eq!(numbered(packets), "1#");
    }

    #[test]
    fn timestamps_that_go_backward_do_not_silence_the_keys_that_follow() {
        let mut seq = 65_530;
        let packets: Vec<_> = [(3_000_000_000, 1), (500, 2), (8_000, 3), (4_000, 3), (u32::MAX - 7, 4), (100, 5)]
            .into_iter()
            .flat_map(|(timestamp, code)| key(&mut seq, timestamp, code))
            .collect();
        assert_eq!(numbered(packets), "123345");
    }

    #[test]
    fn a_sender_that_begins_its_sequence_anew_is_heard() {
        let (mut before, mut after) = (40_000, 10);
        let packets = key(&mut before, 900_000, 7).into_iter().chain(key(&mut after, 1_000, 8));
        assert_eq!(numbered(packets), "78");
    }

    #[test]
    fn a_key_held_beyond_the_duration_field_is_one_digit() {
        let packets =
            [(0_u32, payload(7, false, 0xffff)), (0xffff, payload(7, false, 160)), (0xffff, payload(7, true, 4000))];
        assert_eq!(digits(&packets), "7");
    }

    #[test]
    fn flash_and_other_events_are_no_digits_and_short_payloads_are_malformed() {
        assert_eq!(digits(&[(0, payload(16, false, 160)), (1600, payload(255, true, 160))]), "");
        assert_eq!(DtmfReceiver::default().handle(0, 0, &[1, 2, 3]), Event::Malformed);
    }

    proptest! {
        /// Keys of any timestamps through a network that loses, doubles and swaps neighbours: each is heard once, if
        /// any of its packets came.
        #[test]
        fn every_key_is_heard_once(
            keys in prop::collection::vec((0..16_u8, 1_000..100_000_u32, any::<bool>()), 1..20),
            first: u16,
            fates in prop::collection::vec(0..10_u8, 180),
        ) {
            let (mut seq, mut timestamp) = (first, 5_000_000_u32);
            let mut sent = String::new();
            let mut packets = Vec::new();
            for (code, step, backward) in keys {
                timestamp = if backward { timestamp.wrapping_sub(step) } else { timestamp.wrapping_add(step) };
                sent.push(DtmfDigit::from_event(code).unwrap().as_char());
                // Audio between keys uses up sequence numbers.
                seq = seq.wrapping_add(5);
                packets.extend(key(&mut seq, timestamp, code).into_iter().enumerate());
            }
            let mut arrived = Vec::new();
            for (n, (place, packet)) in packets.into_iter().enumerate() {
                match fates[n % fates.len()] {
                    // The fifth always comes, and in its place.
                    0 | 1 if place != 4 => {}
                    2 => arrived.extend([packet, packet]),
                    3 if place > 4 && !arrived.is_empty() => arrived.insert(arrived.len() - 1, packet),
                    _ => arrived.push(packet),
                }
            }
            prop_assert_eq!(numbered(arrived), sent);
        }

        #[test]
        fn any_payload_is_taken(packets in prop::collection::vec((any::<u16>(), any::<u32>(), any::<[u8; 4]>()), 0..50)) {
            let _ = numbered(packets);
        }
    }
}
