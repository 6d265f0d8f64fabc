//! Server-sent events out of bytes that may be cut anywhere (WHATWG HTML section 9.2.6).
//!
//! The plugin asks the host for plain chunks and not for events, because a server that refuses answers with JSON, and
//! its words belong in the error the operator reads.

/// A line longer than this is no chat completion.
const LONGEST_LINE: usize = 1 << 20;

/// A line grew beyond all bounds.
#[derive(Debug, PartialEq)]
pub(crate) struct TooLong;

/// Collects bytes until events are complete.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    line: Vec<u8>,
    data: Option<String>,
    after_cr: bool,
    started: bool,
}

impl Decoder {
    /// Adds bytes and returns the data of the events that are now complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' if std::mem::take(&mut self.after_cr) => {}
                b'\n' | b'\r' => {
                    self.after_cr = *byte == b'\r';
                    events.extend(self.end_line());
                }
                _ if self.line.len() >= LONGEST_LINE => return Err(TooLong),
                _ => {
                    self.after_cr = false;
                    self.line.push(*byte);
                }
            }
            if self.data.as_ref().is_some_and(|data| data.len() > LONGEST_LINE) {
                return Err(TooLong);
            }
        }
        Ok(events)
    }

    /// The stream is over: servers that leave out the last blank line are forgiven.
    pub(crate) fn finish(&mut self) -> Option<String> {
        self.end_line().or_else(|| self.data.take())
    }

    fn end_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let mut line = String::from_utf8_lossy(&line);
        if !std::mem::replace(&mut self.started, true)
            && let Some(rest) = line.strip_prefix('\u{feff}')
        {
            line = rest.to_owned().into();
        }
        if line.is_empty() {
            return self.data.take();
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        if field == "data" {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(pieces: &[&[u8]]) -> Vec<String> {
        let mut decoder = Decoder::default();
        let mut events: Vec<String> = pieces.iter().flat_map(|piece| decoder.push(piece).unwrap()).collect();
        events.extend(decoder.finish());
        events
    }

    #[test]
    fn reads_every_line_ending_comment_and_continuation() {
        let text = "\u{feff}: hello\r\ndata: one\r\n\r\nevent: x\rdata:two\rdata: lines\r\rid: 7\n\ndata\n\ndata: last";
        assert_eq!(decode(&[text.as_bytes()]), ["one", "two\nlines", "", "last"]);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.push(&vec![b'x'; LONGEST_LINE]), Ok(Vec::new()));
        assert_eq!(decoder.push(b"x"), Err(TooLong));
    }

    proptest! {
        #[test]
        fn events_do_not_depend_on_where_bytes_are_cut(
            text in "(data: \\PC{0,8}|: \\PC{0,4}|event: a|\\PC{0,6})?(\r\n|\n|\r)((data: \\PC{0,8}|id: 1)?(\r\n|\n|\r)){0,12}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(decode(&pieces), decode(&[bytes]));
        }
    }
}
