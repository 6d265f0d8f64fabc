//! Asterisk's AudioSocket: a TCP connection a call, opened by Asterisk, with sound as signed linear samples.
//!
//! A message is its kind (one byte), the length of its payload (two bytes, big-endian) and the payload. The first one
//! names the call by a UUID; samples are 16-bit little-endian, one channel. Asterisk plays what comes at once and keeps
//! no queue, so that an interruption is simply not sending on. See `res_audiosocket` in Asterisk's documentation.

use trunkline_leg::DtmfDigit;

/// Bytes before a payload: kind and length.
const HEADER: usize = 3;
/// Length of the UUID that names a call.
const UUID: usize = 16;
/// The longest payload the length can tell.
pub const MAX_PAYLOAD: usize = u16::MAX as usize;

/// Bytes held at most: a message that is not complete, and as much again.
const MAX_HELD: usize = 2 * (HEADER + MAX_PAYLOAD);

const HANG_UP: u8 = 0x00;
const NAME: u8 = 0x01;
const DTMF: u8 = 0x03;
const ERROR: u8 = 0xff;
/// Sound at 8 kHz; the kinds that follow have the rates of [`RATES`] in order.
const SOUND: u8 = 0x10;
/// Sample rates of the kinds of sound in Hz, from [`SOUND`] on.
const RATES: [u32; 9] = [8000, 12_000, 16_000, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000];

/// What a peer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// The call is over.
    HangUp,
    /// Which call it is; the first message of a connection.
    Name([u8; UUID]),
    /// A digit was pressed.
    Dtmf(DtmfDigit),
    /// Sound of the caller.
    Sound {
        /// Its rate in Hz.
        rate: u32,
        /// Samples, 16-bit little-endian; an odd last byte belongs to no sample and is left out.
        samples: &'a [u8],
    },
    /// The peer failed; what its numbers mean it does not say.
    Failed(Option<u8>),
}

/// Why a connection cannot go on: where one message ends and the next begins is lost, or the peer is no AudioSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The first message must name the call.
    #[error("the first message is of kind {0:#04x} and not the call's name; is the peer an AudioSocket of Asterisk?")]
    Unnamed(u8),
    /// A name that is no UUID.
    #[error("the call's name has {0} bytes instead of 16; is the peer an AudioSocket of Asterisk?")]
    NameLength(usize),
    /// More arrived than was taken out.
    #[error("{0} bytes wait to be read; take the messages out before handing over more bytes")]
    Overrun(usize),
}

/// Takes the bytes of a connection apart into messages. Holds at most one message that is not complete.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    /// The first byte not yet read.
    begin: usize,
    named: bool,
    skipped: u64,
}

impl Reader {
    /// A reader of a new connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes of the connection, in any pieces. At most 64 KiB at once always find room, provided that all
    /// messages were taken out before.
    ///
    /// # Errors
    /// [`ProtocolError::Overrun`] when they find none; nothing of them is taken.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        let waiting = self.buffer.len() - self.begin;
        if waiting + bytes.len() > MAX_HELD {
            return Err(ProtocolError::Overrun(waiting));
        }
        self.buffer.drain(..self.begin);
        self.begin = 0;
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole message; `None` until more bytes arrive. Messages of a kind that is not known are skipped, since
    /// their length is.
    ///
    /// # Errors
    /// [`ProtocolError`] when the peer does not begin as an AudioSocket begins; the connection is of no use then.
    pub fn poll_message(&mut self) -> Result<Option<Message<'_>>, ProtocolError> {
        loop {
            let waiting = &self.buffer[self.begin..];
            let [kind, high, low, rest @ ..] = waiting else { return Ok(None) };
            let kind = *kind;
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if !self.named && kind != NAME && kind != ERROR {
                return Err(ProtocolError::Unnamed(kind));
            }
            if kind == NAME && length != UUID {
                return Err(ProtocolError::NameLength(length));
            }
            if rest.len() < length {
                return Ok(None);
            }
            let from = self.begin + HEADER;
            self.begin = from + length;
            if self.is_known(kind, from, length) {
                let payload = &self.buffer[from..from + length];
                self.named |= kind == NAME;
                return Ok(Some(message(kind, payload)));
            }
            self.skipped += 1;
        }
    }

    /// Messages of unknown kind, and digits that are none, so far.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    fn is_known(&self, kind: u8, from: usize, length: usize) -> bool {
        match kind {
            HANG_UP | NAME | ERROR => true,
            DTMF => length == 1 && DtmfDigit::from_char(char::from(self.buffer[from])).is_some(),
            _ => rate(kind).is_some(),
        }
    }
}

/// A message of a known kind.
fn message(kind: u8, payload: &[u8]) -> Message<'_> {
    if let Some(rate) = rate(kind) {
        return Message::Sound { rate, samples: &payload[..payload.len() & !1] };
    }
    match (kind, payload) {
        (HANG_UP, _) => Message::HangUp,
        (NAME, name) => Message::Name(std::array::from_fn(|n| name.get(n).copied().unwrap_or(0))),
        (DTMF, [digit]) => DtmfDigit::from_char(char::from(*digit)).map_or(Message::Failed(None), Message::Dtmf),
        (_, payload) => Message::Failed(payload.first().copied()),
    }
}

fn rate(kind: u8) -> Option<u32> {
    RATES.get(usize::from(kind.checked_sub(SOUND)?)).copied()
}

/// The bytes of `samples` at `rate` Hz as one message, appended to `out`; `false`, and nothing is written, for a rate
/// that AudioSocket has no kind for or for more samples than a message holds (32 767).
pub fn write_sound(rate: u32, samples: &[i16], out: &mut Vec<u8>) -> bool {
    let kind = RATES.iter().position(|known| *known == rate).and_then(|n| u8::try_from(n).ok());
    let (Some(kind), Ok(length)) = (kind, u16::try_from(samples.len() * 2)) else { return false };
    out.push(SOUND + kind);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    true
}

/// The message that ends a call, appended to `out`.
pub fn write_hang_up(out: &mut Vec<u8>) {
    out.extend_from_slice(&[HANG_UP, 0, 0]);
}

/// A digit for the far end, appended to `out`.
pub fn write_dtmf(digit: DtmfDigit, out: &mut Vec<u8>) {
    // Every digit is an ASCII character.
    out.extend_from_slice(&[DTMF, 0, 1, digit.as_char() as u8]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CALL: [u8; 16] = *b"\x01\x02\x03\x04\x05\x06\x47\x08\x89\x0a\x0b\x0c\x0d\x0e\x0f\x10";

    fn named() -> Vec<u8> {
        let mut bytes = vec![NAME, 0, 16];
        bytes.extend_from_slice(&CALL);
        bytes
    }

    /// Everything that is said, each message as text, and the error that ends it.
    fn read(bytes: &[u8], piece: usize) -> (Vec<String>, Option<ProtocolError>) {
        let (mut reader, mut said) = (Reader::new(), Vec::new());
        for piece in bytes.chunks(piece.max(1)) {
            reader.handle_bytes(piece).unwrap();
            loop {
                match reader.poll_message() {
                    Ok(Some(message)) => said.push(format!("{message:?}")),
                    Ok(None) => break,
                    Err(error) => return (said, Some(error)),
                }
            }
        }
        (said, None)
    }

    #[test]
    fn a_call_is_named_heard_and_ended() {
        let mut bytes = named();
        assert!(write_sound(8000, &[1, -2], &mut bytes) && write_sound(48_000, &[3], &mut bytes));
        write_dtmf(DtmfDigit::from_char('#').unwrap(), &mut bytes);
        bytes.extend_from_slice(&[ERROR, 0, 1, 4]);
        write_hang_up(&mut bytes);
        let said = [
            format!("{:?}", Message::Name(CALL)),
            format!("{:?}", Message::Sound { rate: 8000, samples: &[1, 0, 0xfe, 0xff] }),
            format!("{:?}", Message::Sound { rate: 48_000, samples: &[3, 0] }),
            "Dtmf(DtmfDigit('#'))".to_owned(),
            "Failed(Some(4))".to_owned(),
            "HangUp".to_owned(),
        ];
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(read(&bytes, piece), (said.to_vec(), None), "in pieces of {piece}");
        }
    }

    #[test]
    fn who_is_no_audiosocket_is_told_at_the_first_message() {
        assert_eq!(read(b"GET / HTTP/1.1\r\n", 100).1, Some(ProtocolError::Unnamed(b'G')));
        assert_eq!(read(&[SOUND, 1, 64], 100).1, Some(ProtocolError::Unnamed(SOUND)));
        assert_eq!(read(&[NAME, 0, 36], 100).1, Some(ProtocolError::NameLength(36)));
    }

    #[test]
    fn unknown_kinds_digits_that_are_none_and_half_a_sample_do_no_harm() {
        let mut bytes = named();
        bytes.extend_from_slice(&[0x42, 0, 2, 9, 9, DTMF, 0, 1, b'x', DTMF, 0, 0, 0x19, 0, 0, SOUND, 0, 3, 1, 2, 3]);
        let mut reader = Reader::new();
        reader.handle_bytes(&bytes).unwrap();
        assert_eq!(reader.poll_message(), Ok(Some(Message::Name(CALL))));
        assert_eq!(reader.poll_message(), Ok(Some(Message::Sound { rate: 8000, samples: &[1, 2] })));
        assert_eq!(reader.poll_message(), Ok(None));
        assert_eq!(reader.skipped(), 4);
    }

    #[test]
    fn what_does_not_fit_is_not_sent() {
        let mut out = Vec::new();
        assert!(!write_sound(11_025, &[0], &mut out) && !write_sound(8000, &[0; 32_768], &mut out));
        assert!(out.is_empty());
        assert!(write_sound(192_000, &[0; 32_767], &mut out));
        assert_eq!(out.len(), HEADER + 65_534);
    }

    #[test]
    fn sound_that_nobody_takes_out_is_refused_and_not_stored_without_end() {
        let mut reader = Reader::new();
        let piece = [0; MAX_PAYLOAD];
        let taken = (0..10).take_while(|_| reader.handle_bytes(&piece).is_ok()).count();
        assert_eq!(taken, 2);
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_say_the_same(bytes: Vec<u8>, piece in 1..300_usize, with_name: bool) {
            let mut stream = if with_name { named() } else { Vec::new() };
            stream.extend_from_slice(&bytes);
            prop_assert_eq!(read(&stream, piece), read(&stream, stream.len()));
        }

        #[test]
        fn sound_survives_the_way(samples in prop::collection::vec(any::<i16>(), 0..1000), kind in 0..RATES.len()) {
            let mut bytes = named();
            prop_assert!(write_sound(RATES[kind], &samples, &mut bytes));
            let expected: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            let said = format!("{:?}", Message::Sound { rate: RATES[kind], samples: &expected });
            prop_assert_eq!(read(&bytes, 50).0.pop(), Some(said));
        }
    }
}
