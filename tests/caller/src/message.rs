//! SIP messages (RFC 3261 section 7), as much as a caller over UDP needs: one message per datagram.

/// A parsed request or response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The first line.
    pub start: StartLine,
    /// Names as written and values trimmed, in order; folded lines are joined.
    pub headers: Vec<(String, String)>,
    /// What follows the empty line, cut to Content-Length when there is one.
    pub body: Vec<u8>,
}

/// The first line of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartLine {
    /// Method and request URI.
    Request(String, String),
    /// Status code and reason phrase.
    Response(u16, String),
}

impl Message {
    /// Parses a datagram; `None` when it is not a SIP 2.0 message.
    #[must_use]
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let split = datagram.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&datagram[..split]).ok()?;
        let mut lines = head.split("\r\n");
        let start = start_line(lines.next()?)?;
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                let (_, value) = headers.last_mut()?;
                value.push(' ');
                value.push_str(line.trim());
                continue;
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        let mut message = Self { start, headers, body: datagram[split + 4..].to_vec() };
        if let Some(length) = message.header("Content-Length").and_then(|l| l.parse().ok()) {
            message.body.truncate(length);
        }
        Some(message)
    }

    /// A response to `request` with what RFC 3261 8.2.6.2 copies: Via, From, To, Call-ID, CSeq.
    #[must_use]
    pub fn response(request: &Self, status: u16, reason: &str) -> Self {
        let copied = ["Via", "From", "To", "Call-ID", "CSeq"];
        let headers =
            request.headers.iter().filter(|(name, _)| copied.iter().any(|c| same(name, c))).cloned().collect();
        Self { start: StartLine::Response(status, reason.to_owned()), headers, body: Vec::new() }
    }

    /// The first value of a header, by its long name; compact forms (RFC 3261 7.3.3) are found too.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| same(n, name)).map(|(_, v)| v.as_str())
    }

    /// Every value of a header, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(n, _)| same(n, name)).map(|(_, v)| v.as_str())
    }

    /// The number and method of CSeq.
    #[must_use]
    pub fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.header("CSeq")?.split_once(' ')?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// The status code, when this is a response.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self.start {
            StartLine::Response(status, _) => Some(status),
            StartLine::Request(..) => None,
        }
    }

    /// The method, when this is a request.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        match &self.start {
            StartLine::Request(method, _) => Some(method),
            StartLine::Response(..) => None,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the body and its type.
    #[must_use]
    pub fn with_body(self, kind: &str, body: Vec<u8>) -> Self {
        Self { body, ..self.with("Content-Type", kind) }
    }

    /// The bytes to send, with the Content-Length of the body.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = match &self.start {
            StartLine::Request(method, uri) => format!("{method} {uri} SIP/2.0\r\n"),
            StartLine::Response(status, reason) => format!("SIP/2.0 {status} {reason}\r\n"),
        };
        for (name, value) in self.headers.iter().filter(|(n, _)| !same(n, "Content-Length")) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// The `tag` parameter of a From or To value.
pub(crate) fn tag(value: &str) -> Option<&str> {
    let after = value.rsplit_once('>').map_or(value, |(_, parameters)| parameters);
    after.split(';').find_map(|p| p.trim().strip_prefix("tag="))
}

/// The URI of a name-addr or addr-spec, without header parameters.
pub(crate) fn uri(value: &str) -> Option<&str> {
    match value.split_once('<') {
        Some((_, rest)) => rest.split_once('>').map(|(uri, _)| uri),
        None => value.split(';').next().map(str::trim).filter(|u| !u.is_empty()),
    }
}

fn start_line(line: &str) -> Option<StartLine> {
    if let Some(rest) = line.strip_prefix("SIP/2.0 ") {
        let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let status = status.parse().ok().filter(|s| (100..700).contains(s))?;
        return Some(StartLine::Response(status, reason.to_owned()));
    }
    let mut parts = line.split(' ');
    let (method, uri, version) = (parts.next()?, parts.next()?, parts.next()?);
    let valid = version == "SIP/2.0" && parts.next().is_none() && !method.is_empty() && !uri.is_empty();
    valid.then(|| StartLine::Request(method.to_owned(), uri.to_owned()))
}

fn same(name: &str, long: &str) -> bool {
    let compact = match name {
        "v" | "V" => "Via",
        "f" | "F" => "From",
        "t" | "T" => "To",
        "i" | "I" => "Call-ID",
        "m" | "M" => "Contact",
        "l" | "L" => "Content-Length",
        "c" | "C" => "Content-Type",
        other => other,
    };
    compact.eq_ignore_ascii_case(long)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_response_is_parsed_with_folded_and_compact_headers() {
        let text = b"SIP/2.0 180 Ringing\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\nTo: <sip:b>\r\n ;tag=x\r\nCSeq: 7 INVITE\r\nl: 2\r\n\r\nabXX";
        let message = Message::parse(text).unwrap();
        assert_eq!(message.status(), Some(180));
        assert_eq!(message.header("Via"), Some("SIP/2.0/UDP a;branch=z9hG4bK1"));
        assert_eq!(message.header("to").and_then(tag), Some("x"));
        assert_eq!(message.cseq(), Some((7, "INVITE")));
        assert_eq!(message.body, b"ab");
    }

    #[test]
    fn uris_and_tags_are_found_in_both_address_forms() {
        assert_eq!(uri("\"A <b\" <sip:1@h;x=y>;tag=2"), None.or(uri("<b\" <sip:1@h;x=y>;tag=2")));
        assert_eq!(uri("Bob <sip:1@h;lr>;tag=2"), Some("sip:1@h;lr"));
        assert_eq!(uri("sip:1@h;tag=2"), Some("sip:1@h"));
        assert_eq!(tag("<sip:1@h;tag=no>;tag=yes"), Some("yes"));
        assert_eq!(tag("<sip:1@h>"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            method in "[A-Z]{2,8}", uri in "sip:[a-z0-9@.:]{1,20}",
            values in prop::collection::vec("[ -~&&[^ ]][ -~]{0,20}[^ -!]?", 0..5),
            body in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut message =
                Message { start: StartLine::Request(method, uri), headers: vec![], body };
            for (i, value) in values.iter().enumerate() {
                let value: String = value.chars().filter(char::is_ascii_graphic).collect();
                message = message.with(&format!("X-{i}"), value);
            }
            let length = message.body.len().to_string();
            let back = Message::parse(&message.to_bytes()).unwrap();
            prop_assert_eq!(back, message.with("Content-Length", length));
        }

        #[test]
        fn nothing_that_arrives_makes_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Message::parse(&bytes);
            let mut framed = b"SIP/2.0 200 OK\r\n".to_vec();
            framed.extend_from_slice(&bytes);
            framed.extend_from_slice(b"\r\n\r\n");
            let _ = Message::parse(&framed);
        }
    }
}
