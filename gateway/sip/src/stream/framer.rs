//! Finds the messages in a stream of bytes (RFC 3261 7.5, 18.3) and the signs of life between them (RFC 5626 4.4.1), and
//! judges nothing else: that is the guard's, as it is for a datagram.

use std::ops::Range;

/// Ends a header section.
const BLANK: &[u8] = b"\r\n\r\n";

/// What is next in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A message, from its start line to the end of its body.
    Message(Vec<u8>),
    /// CRLF CRLF: asked whether we are there, to be answered by CRLF.
    Ping,
    /// CRLF: the answer to that question of ours, or what old peers send to keep a binding open.
    Pong,
}

/// Why a stream cannot be read on. Where its next message begins is not known, so that the connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unframed {
    /// A header section or a message is longer than messages may be.
    #[error("a message is longer than 16 KiB, the most that is read; the peer is to send shorter ones")]
    TooLong,
    /// No Content-Length, which a message in a stream must have.
    #[error("a message has no Content-Length, without which a stream cannot be divided; the peer is at fault")]
    NoLength,
    /// A Content-Length that is no number, or several that differ.
    #[error("the Content-Length of a message is no number, or there are several; the peer is at fault")]
    BadLength,
}

/// Divides one stream. Holds at most one message and what came with it.
#[derive(Debug)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Where in it the next piece begins.
    at: usize,
    /// How far a header section that is not complete was looked at already.
    scanned: usize,
    /// How long the next message is, once its header section is here.
    whole: Option<usize>,
    most: usize,
    failed: Option<Unframed>,
}

impl Framer {
    /// For messages of at most `most` bytes.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { buffer: Vec::new(), at: 0, scanned: 0, whole: None, most, failed: None }
    }

    /// More of the stream came. To be followed by [`Framer::poll_piece`] until there is none, so that it stays bounded.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            // What was taken goes once for all of it, not with each piece.
            self.buffer.drain(..std::mem::take(&mut self.at));
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Whether the stream stands in the middle of a message, whose rest is owed.
    #[must_use]
    pub const fn is_within(&self) -> bool {
        self.at < self.buffer.len()
    }

    /// The next whole piece, in order.
    ///
    /// # Errors
    /// When the stream cannot be divided; it says so from then on.
    pub fn poll_piece(&mut self) -> Result<Option<Piece>, Unframed> {
        if let Some(why) = self.failed {
            return Err(why);
        }
        self.next().inspect_err(|why| {
            self.failed = Some(*why);
            (self.buffer, self.at) = (Vec::new(), 0);
        })
    }

    fn next(&mut self) -> Result<Option<Piece>, Unframed> {
        match self.rest() {
            [b'\r', b'\n', b'\r', b'\n', ..] => {
                self.take(4);
                return Ok(Some(Piece::Ping));
            }
            // What follows may make it a question.
            [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => {
                self.take(2);
                return Ok(Some(Piece::Pong));
            }
            _ => {}
        }
        let Some(whole) = self.whole()? else {
            return if self.rest().len() > self.most { Err(Unframed::TooLong) } else { Ok(None) };
        };
        Ok((self.rest().len() >= whole).then(|| Piece::Message(self.take(whole))))
    }

    /// What was not taken yet.
    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let taken = self.rest().get(..length).unwrap_or_default().to_vec();
        self.at += taken.len();
        (self.scanned, self.whole) = (0, None);
        if !self.is_within() {
            (self.buffer, self.at) = (Vec::new(), 0);
        }
        taken
    }

    /// How long the next message is; `None` while its header section is on its way.
    fn whole(&mut self) -> Result<Option<usize>, Unframed> {
        if self.whole.is_none() {
            let from = self.scanned.saturating_sub(BLANK.len());
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            let found = rest.get(from..).and_then(|rest| rest.windows(BLANK.len()).position(|window| window == BLANK));
            self.scanned = rest.len();
            let Some(head) = found.map(|found| from + found + BLANK.len()) else { return Ok(None) };
            let length = content_length(&rest[..head])?;
            let whole = head.checked_add(length).filter(|whole| *whole <= self.most);
            self.whole = Some(whole.ok_or(Unframed::TooLong)?);
        }
        Ok(self.whole)
    }
}

/// The length of the body that a header section names.
fn content_length(head: &[u8]) -> Result<usize, Unframed> {
    let mut length = None;
    for line in lines(head).skip(1) {
        let Some(colon) = head[line.clone()].iter().position(|byte| *byte == b':') else { continue };
        let name = head[line.start..line.start + colon].trim_ascii();
        if !name.eq_ignore_ascii_case(b"content-length") && !name.eq_ignore_ascii_case(b"l") {
            continue;
        }
        let said = number(&head[line.start + colon + 1..line.end]).ok_or(Unframed::BadLength)?;
        if length.replace(said).is_some_and(|before| before != said) {
            return Err(Unframed::BadLength);
        }
    }
    length.ok_or(Unframed::NoLength)
}

/// Header lines, with what is folded onto them (RFC 3261 7.3.1).
fn lines(head: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at;
        while at < head.len() {
            let end = head[at..].windows(2).position(|pair| pair == b"\r\n").map_or(head.len(), |end| at + end);
            at = (end + 2).min(head.len());
            if !matches!(head.get(at), Some(b' ' | b'\t')) {
                return Some(begin..end);
            }
        }
        (begin < head.len()).then_some(begin..head.len())
    })
}

fn number(text: &[u8]) -> Option<usize> {
    let text = text.trim_ascii();
    let digits = !text.is_empty() && text.len() <= 9 && text.iter().all(u8::is_ascii_digit);
    digits.then(|| text.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 2000;

    fn message(body: &str) -> String {
        format!("MESSAGE sip:a SIP/2.0\r\nCall-ID: 1\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    /// All that is in a stream which comes in one piece.
    fn divided(stream: &[u8]) -> (Vec<Piece>, Option<Unframed>) {
        let mut framer = Framer::new(MOST);
        framer.handle_bytes(stream);
        rest_of(&mut framer)
    }

    fn rest_of(framer: &mut Framer) -> (Vec<Piece>, Option<Unframed>) {
        let mut pieces = Vec::new();
        loop {
            match framer.poll_piece() {
                Ok(Some(piece)) => pieces.push(piece),
                Ok(None) => return (pieces, None),
                Err(why) => return (pieces, Some(why)),
            }
        }
    }

    fn whole(text: &str) -> Piece {
        Piece::Message(text.as_bytes().to_vec())
    }

    #[test]
    fn messages_follow_each_other_by_their_length() {
        let (first, second) = (message("v=0\r\n\r\nINVITE sip:b SIP/2.0\r\n\r\n"), message(""));
        let (pieces, why) = divided(format!("{first}{second}").as_bytes());
        assert_eq!((pieces, why), (vec![whole(&first), whole(&second)], None));
    }

    #[test]
    fn the_length_may_be_compact_folded_and_said_twice() {
        for header in
            ["l: 3", "L:3", "Content-Length :  3 ", "content-length:\r\n 3", "CONTENT-LENGTH: 003", "l: 3\r\nl: 3"]
        {
            let text = format!("BYE sip:a SIP/2.0\r\n{header}\r\nSubject: l: 9\r\n\r\nabc");
            assert_eq!(divided(text.as_bytes()), (vec![whole(&text)], None), "{header}");
        }
    }

    #[test]
    fn a_length_that_is_none_ends_the_stream() {
        let bad = Some(Unframed::BadLength);
        for (header, why) in [
            ("Subject: x", Some(Unframed::NoLength)),
            ("Content-Length: -1", bad),
            ("Content-Length: 1 2", bad),
            ("Content-Length:", bad),
            ("Content-Length: 0x10", bad),
            ("Content-Length: 9999999999", bad),
            ("l: 3\r\nContent-Length: 4", bad),
            ("Content-Length: 999999999", Some(Unframed::TooLong)),
        ] {
            let text = format!("BYE sip:a SIP/2.0\r\n{header}\r\n\r\nabc");
            assert_eq!(divided(text.as_bytes()), (vec![], why), "{header}");
        }
    }

    #[test]
    fn a_stream_that_failed_takes_nothing_and_says_so_for_good() {
        let mut framer = Framer::new(MOST);
        framer.handle_bytes(b"BYE sip:a SIP/2.0\r\n\r\n");
        assert_eq!(framer.poll_piece(), Err(Unframed::NoLength));
        framer.handle_bytes(message("x").as_bytes());
        assert_eq!(framer.poll_piece(), Err(Unframed::NoLength));
        assert!(!framer.is_within());
    }

    #[test]
    fn what_never_ends_is_given_up_at_the_limit() {
        let mut framer = Framer::new(MOST);
        framer.handle_bytes(b"INVITE sip:a SIP/2.0\r\n");
        let mut sent = 0;
        while framer.poll_piece() == Ok(None) {
            framer.handle_bytes(b"X: y\r\n");
            sent += 6;
            assert!(sent < 2 * MOST);
        }
        assert_eq!(framer.poll_piece(), Err(Unframed::TooLong));
    }

    #[test]
    fn signs_of_life_stand_between_messages() {
        let text = message("abc");
        let stream = format!("\r\n\r\n{text}\r\n\r\n\r\n{text}\r\n");
        let (pieces, why) = divided(stream.as_bytes());
        assert_eq!(pieces, [Piece::Ping, whole(&text), Piece::Ping, Piece::Pong, whole(&text)]);
        assert_eq!(why, None, "whether the last is half a question is not known yet");
    }

    #[test]
    fn signs_of_life_cost_what_they_are_long_however_many_come_at_once() {
        let mut framer = Framer::new(MOST);
        framer.handle_bytes(&b"\r\n".repeat(2_000_000));
        framer.handle_bytes(message("").as_bytes());
        let (pieces, why) = rest_of(&mut framer);
        assert_eq!((pieces.len(), why), (1_000_001, None));
    }

    proptest! {
        #[test]
        fn however_a_stream_is_cut_its_pieces_are_the_same(
            bodies in prop::collection::vec("[ -~\r\n]{0,40}", 0..5),
            alive in prop::collection::vec(0..3_usize, 5),
            cuts in prop::collection::vec(1..50_usize, 1..40),
        ) {
            let signs = ["", "\r\n\r\n", "\r\n\r\n\r\n\r\n"];
            let stream: String =
                bodies.iter().zip(&alive).map(|(body, sign)| format!("{}{}", signs[*sign], message(body))).collect();
            let at_once = divided(stream.as_bytes());
            let (mut framer, mut pieces, mut rest) = (Framer::new(MOST), Vec::new(), stream.as_bytes());
            for cut in cuts.into_iter().cycle().take(2 * stream.len() + 1) {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                framer.handle_bytes(now);
                let (more, why) = rest_of(&mut framer);
                prop_assert_eq!(why, None);
                pieces.extend(more);
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(pieces, at_once.0);
        }

        #[test]
        fn any_bytes_are_divided_or_given_up_without_a_panic(
            stream in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
        ) {
            let mut framer = Framer::new(MOST);
            for bytes in stream {
                framer.handle_bytes(&bytes);
                let (_, why) = rest_of(&mut framer);
                if why.is_some() {
                    break;
                }
                prop_assert!(framer.buffer.len() <= MOST);
            }
        }
    }
}
