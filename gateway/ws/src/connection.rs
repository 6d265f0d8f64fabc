//! One `AudioSocket` connection without its socket: bytes and ticks in, a call and bytes out.

use std::time::Duration;

use trunkline_dialects::audiosocket::{Message, ProtocolError, Reader, write_dtmf, write_hang_up, write_sound};
use trunkline_leg::{StreamEnd, stream_ends};

use crate::sound::{Sound, leg_rate};

/// How long a connection may take to name its call.
pub const NAME_WITHIN: Duration = Duration::from_secs(5);
/// How long a named call's first sound, which tells its rate, is waited for.
pub const SOUND_WITHIN: Duration = Duration::from_secs(2);
/// How long a peer may leave unread what is said to it.
const STALL: Duration = Duration::from_secs(5);
/// Changes of rate in one call; a channel has a reason for one or two.
const MAX_CHANGES: u32 = 8;
/// The rate of a peer that says nothing.
const QUIET_RATE: u32 = 8000;

/// Why a connection is closed before its call is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The peer is no `AudioSocket`.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// It named no call in time.
    #[error("no call was named within {} s; is the peer an AudioSocket of Asterisk?", NAME_WITHIN.as_secs())]
    Unnamed,
    /// It does not read what is said to it.
    #[error("the peer does not read what is said to it; is its channel up?")]
    Stalled,
    /// Its sound has a rate that cannot be brought to a telephone's.
    #[error("sound of {0} Hz cannot be used; let the channel use 8, 16, 24, 32, 44.1 or 48 kHz")]
    Rate(u32),
    /// Its sound changes its rate all the time.
    #[error("the rate of the sound changed more than {MAX_CHANGES} times; is the peer an AudioSocket of Asterisk?")]
    Restless,
}

/// What a connection came to.
#[derive(Debug)]
pub enum Event {
    /// A call wants to begin.
    Call {
        /// Its UUID.
        name: String,
        /// The leg's side of it.
        end: StreamEnd,
    },
    /// The far end hung up.
    HungUp,
}

#[derive(Debug)]
enum State {
    /// Until this time.
    Unnamed(Duration),
    /// The call is known and its rate not yet.
    Named(String, Duration),
    Up(Box<Sound>),
    Over,
}

/// A connection. Times are since it was opened.
#[derive(Debug)]
pub struct Connection {
    reader: Reader,
    state: State,
    dropped: u64,
    changes: u32,
    /// Since when there has been no room for what is said.
    stalled: Option<Duration>,
}

impl Default for Connection {
    fn default() -> Self {
        Self { reader: Reader::new(), state: State::Unnamed(NAME_WITHIN), dropped: 0, changes: 0, stalled: None }
    }
}

impl Connection {
    /// Takes bytes, at most 64 KiB. What they came to is told in order; nothing follows a hang-up.
    ///
    /// # Errors
    /// [`Failed`]: close the connection.
    pub fn handle_bytes(&mut self, now: Duration, bytes: &[u8]) -> Result<Vec<Event>, Failed> {
        self.take(now, bytes).inspect_err(|_| self.fail())
    }

    /// The leg must not take a fault for a caller who hung up.
    fn fail(&mut self) {
        if let State::Up(sound) = &mut self.state {
            sound.leg().fail();
        }
    }

    fn take(&mut self, now: Duration, bytes: &[u8]) -> Result<Vec<Event>, Failed> {
        self.reader.handle_bytes(bytes)?;
        let mut events = Vec::new();
        while let Some(message) = self.reader.poll_message()? {
            match (message, &mut self.state) {
                (Message::Name(name), State::Unnamed(_)) => self.state = State::Named(uuid(&name), now + SOUND_WITHIN),
                (Message::Sound { samples: [], .. }, _) => {}
                (Message::Sound { rate, samples }, State::Named(name, _)) => {
                    let (mut sound, end) = begin(rate)?;
                    sound.hear(samples);
                    events.push(Event::Call { name: std::mem::take(name), end });
                    self.state = State::Up(sound);
                }
                (Message::Sound { rate, samples }, State::Up(sound)) => {
                    if rate != sound.rate() {
                        self.changes += 1;
                        if self.changes > MAX_CHANGES {
                            return Err(Failed::Restless);
                        }
                        if !sound.set_rate(rate) {
                            return Err(Failed::Rate(rate));
                        }
                    }
                    sound.hear(samples);
                    self.dropped += sound.take_dropped();
                }
                (Message::Dtmf(digit), State::Up(sound)) => {
                    self.dropped += u64::from(sound.leg().press(digit).is_err());
                }
                (Message::HangUp | Message::Failed(_), _) => {
                    self.state = State::Over;
                    events.push(Event::HungUp);
                    break;
                }
                // A second name, or what comes before the first sound.
                (Message::Name(_) | Message::Dtmf(_) | Message::Sound { .. }, _) => {}
            }
        }
        Ok(events)
    }

    /// Time passes: 20 ms or so. What the leg has said is appended to `out`, where what was not sent yet still lies; a call
    /// may begin whose peer is silent.
    ///
    /// # Errors
    /// [`Failed`]: close the connection.
    pub fn handle_timeout(&mut self, now: Duration, out: &mut Vec<u8>) -> Result<Option<Event>, Failed> {
        match &mut self.state {
            State::Unnamed(until) if now >= *until => return Err(Failed::Unnamed),
            State::Named(name, until) if now >= *until => {
                let (sound, end) = begin(QUIET_RATE)?;
                let event = Event::Call { name: std::mem::take(name), end };
                self.state = State::Up(sound);
                return Ok(Some(event));
            }
            State::Up(sound) => {
                while let Some(frame) = sound.leg().said() {
                    if let Some(digit) = frame.digit {
                        write_dtmf(digit, out);
                        continue;
                    }
                    let rate = sound.rate();
                    // Half a second of its 16-bit samples: more would be heard long after an interruption.
                    if out.len() > rate as usize {
                        self.stalled.get_or_insert(now);
                    } else {
                        self.stalled = None;
                        write_sound(rate, sound.say(frame.pcm()), out);
                    }
                }
                if sound.leg().is_over() {
                    write_hang_up(out);
                    self.state = State::Over;
                } else if self.stalled.is_some_and(|since| now.saturating_sub(since) >= STALL) {
                    sound.leg().fail();
                    return Err(Failed::Stalled);
                }
            }
            State::Unnamed(_) | State::Named(..) | State::Over => {}
        }
        Ok(None)
    }

    /// Whether the call is over.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Frames that came faster than they can be heard, since the last look.
    pub const fn take_dropped(&mut self) -> u64 {
        std::mem::replace(&mut self.dropped, 0)
    }
}

fn begin(rate: u32) -> Result<(Box<Sound>, StreamEnd), Failed> {
    let (peer, end) = stream_ends(leg_rate(rate));
    let sound = Sound::new(rate, peer).ok_or(Failed::Rate(rate))?;
    Ok((Box::new(sound), end))
}

/// RFC 9562 4.
fn uuid(bytes: &[u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_leg::{DtmfDigit, Frame, StreamHead};

    const ZERO: Duration = Duration::ZERO;

    fn named() -> Vec<u8> {
        let mut bytes = vec![1, 0, 16];
        bytes.extend(0x10..0x20);
        bytes
    }

    fn sound(rate: u32, samples: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        assert!(write_sound(rate, &vec![9; samples], &mut bytes));
        bytes
    }

    fn call(connection: &mut Connection, rate: u32) -> StreamEnd {
        let bytes = [named(), sound(rate, rate as usize / 50)].concat();
        let mut events = connection.handle_bytes(ZERO, &bytes).unwrap();
        assert_eq!(events.len(), 1);
        let Some(Event::Call { name, end }) = events.pop() else { panic!("no call") };
        assert_eq!(name, "10111213-1415-1617-1819-1a1b1c1d1e1f");
        end
    }

    #[test]
    fn a_named_call_begins_with_its_first_sound_at_that_rate_and_both_hear_each_other() {
        for (rate, legs) in [(8000, 8000), (16_000, 16_000), (48_000, 16_000)] {
            let mut connection = Connection::default();
            let mut end = call(&mut connection, rate);
            assert_eq!(end.rate(), legs);
            connection.handle_bytes(ZERO, &sound(rate, rate as usize / 50)).unwrap();
            connection.handle_bytes(ZERO, &[3, 0, 1, b'7']).unwrap();
            let heard: Vec<_> = std::iter::from_fn(|| end.heard()).collect();
            assert_eq!(heard.last().unwrap().digit, DtmfDigit::from_char('7'));
            end.say(&Frame::with_head(StreamHead::default(), &vec![5; legs as usize / 50]).unwrap()).unwrap();
            let mut out = Vec::new();
            assert!(connection.handle_timeout(ZERO, &mut out).unwrap().is_none());
            let first = out[0];
            assert_eq!(first, sound(rate, 1)[0], "said at the peer's own rate");
        }
    }

    #[test]
    fn whoever_hangs_up_the_other_is_told() {
        let mut connection = Connection::default();
        let end = call(&mut connection, 8000);
        let events = connection.handle_bytes(ZERO, &[0, 0, 0]).unwrap();
        assert!(matches!(events[..], [Event::HungUp]) && connection.is_over());
        assert!(!end.is_over(), "its last sound waits");
        let mut end = end;
        while end.heard().is_some() {}
        assert!(end.is_over());

        let mut connection = Connection::default();
        drop(call(&mut connection, 8000));
        let mut out = Vec::new();
        assert!(connection.handle_timeout(ZERO, &mut out).unwrap().is_none() && connection.is_over());
        assert_eq!(out, [0, 0, 0]);
    }

    #[test]
    fn a_silent_peer_is_called_all_the_same_and_one_without_a_name_is_not() {
        let mut connection = Connection::default();
        assert!(connection.handle_bytes(ZERO, &named()).unwrap().is_empty());
        let out = &mut Vec::new();
        assert!(connection.handle_timeout(SOUND_WITHIN - Duration::from_millis(1), out).unwrap().is_none());
        assert!(matches!(connection.handle_timeout(SOUND_WITHIN, out).unwrap(), Some(Event::Call { .. })));
        let mut connection = Connection::default();
        assert_eq!(connection.handle_timeout(NAME_WITHIN, out).unwrap_err(), Failed::Unnamed);
        assert!(matches!(connection.handle_bytes(ZERO, b"GET / HTTP/1.1"), Err(Failed::Protocol(_))));
    }

    #[test]
    fn who_does_not_read_hears_half_a_second_late_at_most_and_is_given_up() {
        let mut connection = Connection::default();
        let mut end = call(&mut connection, 16_000);
        let frame = Frame::with_head(StreamHead::default(), &[5; 320]).unwrap();
        let (mut out, mut gave_up) = (Vec::new(), None);
        for tick in 0..1000_u32 {
            end.say(&frame).unwrap();
            if let Err(why) = connection.handle_timeout(Duration::from_millis(20) * tick, &mut out) {
                gave_up = Some((tick, why));
                break;
            }
            assert!(out.len() <= 16_000 + 700, "{} bytes wait", out.len());
        }
        let (tick, why) = gave_up.unwrap();
        assert_eq!(why, Failed::Stalled);
        assert!((270..280).contains(&tick), "five seconds after the first half: tick {tick}");
        drop(connection);
        while end.heard().is_some() {}
        assert!(end.is_over() && end.has_failed(), "which is no hang-up");
    }

    #[test]
    fn who_changes_the_rate_all_the_time_is_left() {
        let mut connection = Connection::default();
        let _end = call(&mut connection, 8000);
        let restless = (0..10).map(|n| connection.handle_bytes(ZERO, &sound([16_000, 24_000][n % 2], 2)));
        assert_eq!(restless.filter(Result::is_err).count(), 1, "the ninth change");
        let mut connection = Connection::default();
        let _end = call(&mut connection, 8000);
        let empty = [0x12, 0, 0, 0x13, 0, 0].repeat(100);
        assert!(connection.handle_bytes(ZERO, &empty).is_ok(), "what has no samples has no rate");
    }
}
