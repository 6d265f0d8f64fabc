//! Digits out, one after the other: as telephone events (RFC 4733 2.5.1) or as tones in place of sound.
//!
//! While a digit is sent no sound is: an event's packets all carry the time of its start, and audio packets between
//! them would carry later ones. Playback waits meanwhile.

use rtrb::Consumer;
use trunkline_dsp::tone::DtmfTone;
use trunkline_leg::DtmfDigit;

/// Shortest and longest digit in milliseconds: what ITU-T Q.24 receivers need, and what a duration field holds at
/// 48 kHz with room to spare.
pub const MIN_DIGIT_MS: u16 = 40;
/// As above.
pub const MAX_DIGIT_MS: u16 = 1000;
/// Ticks between two digits: 60 ms, of which the repeats of an event's end take 40.
const PAUSE_TICKS: u8 = 3;
/// The end of an event is sent three times (RFC 4733 2.5.1.4).
const END_PACKETS: u8 = 3;
/// Level of our digits: -10 dBm0 (RFC 4733 2.3.4), as that of our tones.
const VOLUME: u8 = 10;
const END: u8 = 0x80;

/// A digit to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DtmfOrder {
    pub(crate) digit: DtmfDigit,
    /// [`MIN_DIGIT_MS`]`..=`[`MAX_DIGIT_MS`].
    pub(crate) duration_ms: u16,
}

/// How digits go to the far end, as of this tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Telephone events. `timestamp` is that of the sound this tick would have been, `step` its length on the event's
    /// clock.
    Events { timestamp: u32, step: u32 },
    /// Tones at `rate` Hz.
    Tones { rate: u32 },
}

/// What goes out in place of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyed {
    /// One packet of the telephone event.
    Event { marker: bool, timestamp: u32, payload: [u8; 4] },
    /// The frame, which holds a tone or the pause after it.
    Tone,
}

#[derive(Debug, Clone)]
enum State {
    Idle,
    Event { code: u8, timestamp: u32, elapsed: u32, total: u32, ends: u8 },
    Tone(DtmfTone),
    Pause { ticks: u8 },
}

/// Sends digits; called once a tick.
#[derive(Debug)]
pub(crate) struct DtmfSender {
    orders: Consumer<DtmfOrder>,
    state: State,
    sent: u64,
}

impl DtmfSender {
    pub(crate) const fn new(orders: Consumer<DtmfOrder>) -> Self {
        Self { orders, state: State::Idle, sent: 0 }
    }

    /// Digits begun.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// The leg cannot send now: what was being sent is cut off, what waits goes on waiting.
    pub(crate) fn interrupt(&mut self) {
        self.state = State::Idle;
    }

    /// What this tick carries, if it is not sound. `frame` is filled for [`Keyed::Tone`].
    pub(crate) fn tick(&mut self, way: Way, frame: &mut [i16]) -> Option<Keyed> {
        if let State::Pause { ticks } = &mut self.state {
            if let Some(left) = ticks.checked_sub(1) {
                *ticks = left;
                return self.pause(way, frame);
            }
            self.state = State::Idle;
        }
        // A digit whose way was negotiated away is over.
        match (&self.state, way) {
            (State::Event { .. }, Way::Tones { .. }) | (State::Tone(_), Way::Events { .. }) => self.state = State::Idle,
            _ => {}
        }
        if matches!(self.state, State::Idle) {
            self.begin(way)?;
            return self.next(way, frame, true);
        }
        self.next(way, frame, false)
    }

    fn begin(&mut self, way: Way) -> Option<()> {
        let order = self.orders.pop().ok()?;
        let duration_ms = order.duration_ms.clamp(MIN_DIGIT_MS, MAX_DIGIT_MS);
        self.state = match way {
            Way::Events { timestamp, step } => {
                // A tick is 20 ms; the end is at the end of one.
                let ticks = u32::from(duration_ms).div_ceil(20);
                let total = (ticks * step).min(u32::from(u16::MAX));
                State::Event { code: order.digit.event(), timestamp, elapsed: 0, total, ends: 0 }
            }
            Way::Tones { rate } => State::Tone(DtmfTone::new(order.digit.as_char(), rate, u32::from(duration_ms))?),
        };
        self.sent += 1;
        Some(())
    }

    fn next(&mut self, way: Way, frame: &mut [i16], marker: bool) -> Option<Keyed> {
        match &mut self.state {
            State::Event { code, timestamp, elapsed, total, ends } => {
                let Way::Events { step, .. } = way else { return None };
                *elapsed = (*elapsed + step).min(*total);
                let ended = *elapsed == *total;
                *ends += u8::from(ended);
                let [high, low] = (*elapsed as u16).to_be_bytes();
                let payload = [*code, VOLUME | if ended { END } else { 0 }, high, low];
                let packet = Keyed::Event { marker, timestamp: *timestamp, payload };
                if *ends == END_PACKETS {
                    self.state = State::Pause { ticks: PAUSE_TICKS - (END_PACKETS - 1) };
                }
                Some(packet)
            }
            State::Tone(tone) => {
                let filled = tone.fill(frame);
                frame[filled..].fill(0);
                if filled < frame.len() {
                    self.state = State::Pause { ticks: PAUSE_TICKS };
                }
                Some(Keyed::Tone)
            }
            State::Idle | State::Pause { .. } => None,
        }
    }

    /// After an event sound may go on; after a tone a detector needs silence.
    fn pause(&self, way: Way, frame: &mut [i16]) -> Option<Keyed> {
        match way {
            Way::Events { .. } => None,
            Way::Tones { .. } => {
                frame.fill(0);
                Some(Keyed::Tone)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtmf::{DtmfReceiver, Event, InbandDigits};
    use proptest::prelude::*;
    use rtrb::RingBuffer;

    fn sender(digits: &str, duration_ms: u16) -> DtmfSender {
        let (mut orders, waiting) = RingBuffer::new(32);
        for digit in digits.chars() {
            orders.push(DtmfOrder { digit: DtmfDigit::from_char(digit).unwrap(), duration_ms }).unwrap();
        }
        DtmfSender::new(waiting)
    }

    /// What `ticks` ticks of 8 kHz carry, with the timestamp of each.
    fn events(sender: &mut DtmfSender, ticks: u32) -> Vec<(u32, Option<Keyed>)> {
        (0..ticks)
            .map(|n| {
                let timestamp = 5_000 + 160 * n;
                (timestamp, sender.tick(Way::Events { timestamp, step: 160 }, &mut [0; 160]))
            })
            .collect()
    }

    #[test]
    fn an_event_has_a_marker_updates_and_three_ends_at_the_time_of_its_start() {
        let sent = events(&mut sender("5", 100), 12);
        let packets: Vec<_> = sent.iter().map_while(|(_, keyed)| *keyed).collect();
        let expected = [(160, 0), (320, 0), (480, 0), (640, 0), (800, END), (800, END), (800, END)];
        assert_eq!(packets.len(), expected.len());
        for (n, (packet, (duration, end))) in packets.iter().zip(expected).enumerate() {
            let [high, low] = u16::to_be_bytes(duration);
            let payload = [5, VOLUME | end, high, low];
            assert_eq!(*packet, Keyed::Event { marker: n == 0, timestamp: 5_000, payload });
        }
        assert!(sent[7..].iter().all(|(_, keyed)| keyed.is_none()), "then sound goes on");
    }

    #[test]
    fn digits_follow_each_other_with_a_pause_and_are_what_was_ordered() {
        let mut sender = sender("0123456789*#ABCD", 80);
        let mut receiver = DtmfReceiver::default();
        let (mut heard, mut seq, mut last_end) = (String::new(), 0_u16, None);
        for (timestamp, keyed) in events(&mut sender, 200) {
            seq += 1;
            let Some(Keyed::Event { marker, timestamp: start, payload }) = keyed else { continue };
            if marker {
                assert_eq!(start, timestamp);
                assert!(last_end.is_none_or(|end| start - end >= 480), "60 ms between two digits");
            }
            let duration = u32::from(u16::from_be_bytes([payload[2], payload[3]]));
            last_end = Some(start + duration);
            if let Event::Digit(digit) = receiver.handle(seq, start, &payload) {
                heard.push(digit.as_char());
            }
        }
        assert_eq!(heard, "0123456789*#ABCD");
        assert_eq!(sender.sent(), 16);
    }

    #[test]
    fn tones_are_heard_as_the_digits_they_are() {
        for rate in [8000_u32, 16_000] {
            let mut sender = sender("159D*0#7733", 60);
            let mut detector = InbandDigits::new(rate).unwrap();
            let mut heard = String::new();
            let mut frame = vec![0_i16; rate as usize / 50];
            for n in 0..150 {
                frame.fill(0);
                let keyed = sender.tick(Way::Tones { rate }, &mut frame);
                assert!(matches!(keyed, None | Some(Keyed::Tone)), "{n}");
                detector.listen(&frame, |digit, _| heard.push(digit.as_char()));
            }
            assert_eq!(heard, "159D*0#7733", "{rate}");
        }
    }

    #[test]
    fn a_hold_cuts_a_digit_and_the_rest_waits() {
        let mut sender = sender("12", 100);
        events(&mut sender, 3);
        sender.interrupt();
        let Some(Keyed::Event { marker: true, payload: [2, ..], .. }) = events(&mut sender, 1)[0].1 else {
            panic!("the second digit begins");
        };
    }

    proptest! {
        /// Whatever is ordered, durations stay within the field and never shrink, and each event ends three times.
        #[test]
        fn every_event_is_well_formed(
            digits in prop::collection::vec((0..16_u8, any::<u16>()), 1..20),
            step in prop::sample::select(vec![160_u32, 320, 960]),
            start: u32,
        ) {
            let (mut orders, waiting) = RingBuffer::new(32);
            for (code, duration_ms) in &digits {
                orders.push(DtmfOrder { digit: DtmfDigit::from_event(*code).unwrap(), duration_ms: *duration_ms }).unwrap();
            }
            let mut sender = DtmfSender::new(waiting);
            let mut sequence: Vec<(u32, bool, [u8; 4])> = Vec::new();
            for n in 0..20 * 60_u32 {
                let timestamp = start.wrapping_add(n * step);
                if let Some(Keyed::Event { marker, timestamp, payload }) =
                    sender.tick(Way::Events { timestamp, step }, &mut [])
                {
                    sequence.push((timestamp, marker, payload));
                }
            }
            let mut codes = Vec::new();
            for event in sequence.chunk_by(|a, b| a.0 == b.0) {
                prop_assert!(event[0].1 && event[1..].iter().all(|(_, marker, _)| !marker));
                let ends = event.iter().filter(|(_, _, payload)| payload[1] & END != 0).count();
                prop_assert_eq!(ends, 3);
                prop_assert!(event[event.len() - 3..].iter().all(|(_, _, payload)| payload[1] & END != 0));
                let lengths: Vec<u16> = event.iter().map(|(_, _, p)| u16::from_be_bytes([p[2], p[3]])).collect();
                prop_assert!(lengths.is_sorted());
                codes.push(event[0].2[0]);
            }
            prop_assert_eq!(codes, digits.iter().map(|(code, _)| *code).collect::<Vec<_>>());
        }
    }
}
