//! Telephone events (RFC 4733): a digit is many packets, and is reported once, at the first that arrives.

use trunkline_leg::DtmfDigit;

/// What a telephone-event packet means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A digit that was not reported yet.
    Digit(DtmfDigit),
    /// More of one that was, or an event that is no digit.
    Known,
    /// Shorter than the four bytes of an event.
    Malformed,
}

/// Recognises digits; one per synchronisation source.
#[derive(Debug, Default)]
pub(crate) struct DtmfReceiver {
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    code: u8,
    timestamp: u32,
    duration: u16,
    ended: bool,
}

impl DtmfReceiver {
    /// Takes a payload with its RTP timestamp, which is the same for every packet of an event.
    pub(crate) fn handle(&mut self, timestamp: u32, payload: &[u8]) -> Event {
        let Some((&[code, flags, high, low], _)) = payload.split_first_chunk::<4>() else {
            return Event::Malformed;
        };
        let now = Last { code, timestamp, duration: u16::from_be_bytes([high, low]), ended: flags & 0x80 != 0 };
        if let Some(last) = self.last {
            let step = timestamp.wrapping_sub(last.timestamp);
            if step == 0 {
                // Reordered packets of one event may carry a shorter duration or lack the end bit.
                let duration = now.duration.max(last.duration);
                self.last = Some(Last { duration, ended: now.ended || last.ended, ..last });
                return Event::Known;
            }
            if step > u32::MAX / 2 {
                return Event::Known; // an older event's straggler
            }
            // An event longer than its duration field goes on in a new segment (RFC 4733 2.5.1.3).
            if code == last.code && !last.ended && step == u32::from(last.duration) {
                self.last = Some(now);
                return Event::Known;
            }
        }
        self.last = Some(now);
        DtmfDigit::from_event(code).map_or(Event::Known, Event::Digit)
    }

    /// Forgets the last event: another source starts its own timestamps.
    pub(crate) fn reset(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(code: u8, end: bool, duration: u16) -> [u8; 4] {
        let [high, low] = duration.to_be_bytes();
        [code, if end { 0x8a } else { 0x0a }, high, low]
    }

    fn digits(packets: &[(u32, [u8; 4])]) -> String {
        let mut receiver = DtmfReceiver::default();
        packets
            .iter()
            .filter_map(|(timestamp, payload)| match receiver.handle(*timestamp, payload) {
                Event::Digit(digit) => Some(digit.as_char()),
                Event::Known | Event::Malformed => None,
            })
            .collect()
    }

    #[test]
    fn an_event_of_many_packets_is_one_digit() {
        let mut packets: Vec<_> = (1..=5).map(|n| (8000, payload(5, false, n * 160))).collect();
        packets.extend([(8000, payload(5, true, 960)); 3]);
        packets.extend([
            (9600, payload(5, false, 160)),
            (9600, payload(5, true, 320)),
            (u32::MAX, payload(9, true, 9)),
        ]);
        assert_eq!(digits(&packets), "55");
    }

    #[test]
    fn a_lost_beginning_still_gives_the_digit_and_stragglers_do_not() {
        let packets = [
            (1600, payload(1, true, 800)),
            (3200, payload(11, false, 160)),
            (1600, payload(1, true, 800)),
            (3200, payload(11, true, 400)),
        ];
        assert_eq!(digits(&packets), "1#");
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
        assert_eq!(DtmfReceiver::default().handle(0, &[1, 2, 3]), Event::Malformed);
    }
}
