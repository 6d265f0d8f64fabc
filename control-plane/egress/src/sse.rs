//! Server-sent events (WHATWG HTML 9.2) out of a byte stream, without any I/O.

use crate::lines::{LineEnding, Lines, TooLong};

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerSentEvent {
    /// The `event` field; `None` means "message".
    pub event: Option<String>,
    /// The `data` fields joined by LF.
    pub data: String,
    /// The last event id seen so far, which is what `Last-Event-ID` wants on a reconnect.
    pub id: Option<String>,
}

/// The parser. Push bytes, take events; an event without its blank line at the end of the stream is dropped, as the
/// standard wants.
#[derive(Debug)]
pub struct ServerSentEvents {
    lines: Lines,
    limit: usize,
    first: bool,
    event: Option<String>,
    data: String,
    has_data: bool,
    id: Option<String>,
    retry_ms: Option<u64>,
}

impl ServerSentEvents {
    /// Events whose data is at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let lines = Lines::new(LineEnding::NewlineOrReturn, limit.saturating_add(16));
        Self { lines, limit, first: true, event: None, data: String::new(), has_data: false, id: None, retry_ms: None }
    }

    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// [`TooLong`] when a line passes the limit.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        self.lines.push(bytes)
    }

    /// The next whole event.
    ///
    /// # Errors
    /// [`TooLong`] when the data fields of an event together pass the limit.
    pub fn next_event(&mut self) -> Result<Option<ServerSentEvent>, TooLong> {
        while let Some(line) = self.lines.next_line() {
            let line = String::from_utf8_lossy(&line);
            let line =
                if std::mem::take(&mut self.first) { line.strip_prefix('\u{feff}').unwrap_or(&line) } else { &line };
            if line.is_empty() {
                let event = self.event.take();
                let data = std::mem::take(&mut self.data);
                if std::mem::take(&mut self.has_data) {
                    return Ok(Some(ServerSentEvent { event, data, id: self.id.clone() }));
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => self.event = (!value.is_empty()).then(|| value.to_owned()),
                "data" => {
                    if self.data.len() + value.len() + 1 > self.limit.saturating_add(1) {
                        return Err(TooLong { limit: self.limit });
                    }
                    if std::mem::replace(&mut self.has_data, true) {
                        self.data.push('\n');
                    }
                    self.data.push_str(value);
                }
                "id" if !value.contains('\0') => self.id = (!value.is_empty()).then(|| value.to_owned()),
                "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                    self.retry_ms = value.parse().ok();
                }
                // A comment (empty field name) or a field of the future.
                _ => {}
            }
        }
        Ok(None)
    }

    /// The server's last `retry` field: milliseconds to wait before a reconnect.
    #[must_use]
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(pieces: &[&[u8]]) -> Vec<ServerSentEvent> {
        let mut parser = ServerSentEvents::new(4096);
        let mut out = Vec::new();
        for piece in pieces {
            parser.push(piece).unwrap();
            while let Some(event) = parser.next_event().unwrap() {
                out.push(event);
            }
        }
        out
    }

    fn event(event: Option<&str>, data: &str, id: Option<&str>) -> ServerSentEvent {
        ServerSentEvent { event: event.map(str::to_owned), data: data.to_owned(), id: id.map(str::to_owned) }
    }

    #[test]
    fn the_examples_of_the_standard_parse_as_it_says() {
        assert_eq!(parse(&[b"data: YHOO\ndata: +2\ndata: 10\n\n"]), [event(None, "YHOO\n+2\n10", None)]);
        assert_eq!(
            parse(&[b"\xef\xbb\xbf: test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"]),
            [event(None, "first event", Some("1")), event(None, "second event", None), event(None, " third event", None)]
        );
        assert_eq!(parse(&[b"data\n\ndata\ndata\n\ndata:"]), [event(None, "", None), event(None, "\n", None)]);
        assert_eq!(
            parse(&[b"event: add\r\ndata: 7\r\n\r\nevent: lost\n\ndata: 8\n\n"]),
            [event(Some("add"), "7", None), event(None, "8", None)]
        );
    }

    #[test]
    fn the_servers_retry_time_is_kept_and_nonsense_in_it_ignored() {
        let mut parser = ServerSentEvents::new(64);
        parser.push(b"retry: 1500\nretry: 1x\n\n").unwrap();
        assert_eq!(parser.next_event(), Ok(None));
        assert_eq!(parser.retry_ms(), Some(1500));
    }

    #[test]
    fn data_past_the_limit_ends_the_stream_instead_of_growing() {
        let mut parser = ServerSentEvents::new(8);
        parser.push(b"data: 1234\ndata: 56789\n\n").unwrap();
        assert_eq!(parser.next_event(), Err(TooLong { limit: 8 }));
        assert_eq!(ServerSentEvents::new(8).push(&[b'x'; 100]), Err(TooLong { limit: 24 }));
    }

    proptest! {
        #[test]
        fn where_the_stream_was_split_never_shows(
            fields in proptest::collection::vec(("(data|event|id|retry|:|x)?", "[ :a\u{e9}\u{1f600}0-9]{0,6}", "(\n|\r|\r\n|\n\n|\r\n\r\n)"), 0..20),
            at in proptest::collection::vec(0usize..400, 0..8),
        ) {
            let text: String = fields.iter().map(|(name, value, end)| format!("{name}:{value}{end}")).collect();
            let text = text.as_bytes();
            let mut at: Vec<usize> = at.into_iter().map(|cut| cut.min(text.len())).collect();
            at.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for to in at {
                pieces.push(&text[from..to]);
                from = to;
            }
            pieces.push(&text[from..]);
            prop_assert_eq!(parse(&pieces), parse(&[text]));
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            parse(&[&bytes]);
        }
    }
}
