//! Cuts a byte stream into lines wherever the packets happened to be split.

use std::collections::VecDeque;

/// Which bytes end a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnding {
    /// LF or CR LF, as newline-delimited JSON has it.
    Newline,
    /// LF, CR LF or CR alone, as WHATWG HTML 9.2 has it.
    NewlineOrReturn,
}

/// Something was longer than its limit; the stream cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("longer than {limit} bytes")]
pub struct TooLong {
    /// The limit in bytes.
    pub limit: usize,
}

/// A sans-IO line parser. Push bytes, take lines; at the end [`Lines::finish`] gives the unterminated rest.
#[derive(Debug)]
pub struct Lines {
    ending: LineEnding,
    limit: usize,
    partial: Vec<u8>,
    /// The last byte was a CR: an LF right after it belongs to the same ending.
    after_return: bool,
    ready: VecDeque<Vec<u8>>,
}

impl Lines {
    /// Lines of at most `limit` bytes, their ending not counted.
    #[must_use]
    pub fn new(ending: LineEnding, limit: usize) -> Self {
        Self { ending, limit, partial: Vec::new(), after_return: false, ready: VecDeque::new() }
    }

    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// [`TooLong`] when a line passes the limit; lines before it can still be taken.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        for &byte in bytes {
            let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match (byte, self.ending) {
                (b'\n', LineEnding::NewlineOrReturn) if after_return => {}
                (b'\r', LineEnding::NewlineOrReturn) => self.ready.push_back(std::mem::take(&mut self.partial)),
                (b'\n', LineEnding::NewlineOrReturn) => self.ready.push_back(std::mem::take(&mut self.partial)),
                (b'\n', LineEnding::Newline) => {
                    if after_return {
                        self.partial.pop();
                    }
                    self.ready.push_back(std::mem::take(&mut self.partial));
                }
                _ => {
                    // A CR may be half of an ending, so it does not count until something follows it.
                    let pending_return = usize::from(byte == b'\r');
                    if self.partial.len() >= self.limit + pending_return {
                        return Err(TooLong { limit: self.limit });
                    }
                    self.partial.push(byte);
                }
            }
        }
        Ok(())
    }

    /// The next whole line, without its ending.
    pub fn next_line(&mut self) -> Option<Vec<u8>> {
        self.ready.pop_front()
    }

    /// The stream ended: what came after the last ending, if anything did.
    pub fn finish(&mut self) -> Option<Vec<u8>> {
        (!self.partial.is_empty()).then(|| std::mem::take(&mut self.partial))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(ending: LineEnding, pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lines = Lines::new(ending, 1000);
        let mut out = Vec::new();
        for piece in pieces {
            lines.push(piece).unwrap();
            out.extend(std::iter::from_fn(|| lines.next_line()));
        }
        out.extend(lines.finish());
        out
    }

    #[test]
    fn endings_of_each_kind_are_understood() {
        assert_eq!(cut(LineEnding::Newline, &[b"a\r\nb\rc\n\nd"]), [&b"a"[..], b"b\rc", b"", b"d"]);
        assert_eq!(
            cut(LineEnding::NewlineOrReturn, &[b"a\r", b"\nb\rc\n\n", b"d"]),
            [&b"a"[..], b"b", b"c", b"", b"d"]
        );
    }

    #[test]
    fn a_line_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
        let mut lines = Lines::new(LineEnding::Newline, 4);
        lines.push(b"four\r\n").unwrap();
        assert_eq!(lines.next_line().as_deref(), Some(&b"four"[..]));
        assert_eq!(lines.push(b"fivee"), Err(TooLong { limit: 4 }));
    }

    proptest! {
        #[test]
        fn where_the_stream_was_split_never_shows(
            text in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'a'), any::<u8>()], 0..200),
            at in proptest::collection::vec(0usize..200, 0..8),
            bare_return: bool,
        ) {
            let ending = if bare_return { LineEnding::NewlineOrReturn } else { LineEnding::Newline };
            let mut at: Vec<usize> = at.into_iter().map(|cut| cut.min(text.len())).collect();
            at.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for to in at {
                pieces.push(&text[from..to]);
                from = to;
            }
            pieces.push(&text[from..]);
            prop_assert_eq!(cut(ending, &pieces), cut(ending, &[&text]));
        }
    }
}
