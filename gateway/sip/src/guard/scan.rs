//! Splits a datagram into start line, headers and body (RFC 3261 7), judging nothing but the shape.

use std::borrow::Cow;

use crate::stats::Dropped;

/// Longest header line in bytes.
const MAX_LINE: usize = 8192;
/// Most header lines kept while scanning; `check` refuses fewer.
const MAX_SCANNED: usize = 256;

/// Header names that matter here; compact forms are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Via,
    From,
    To,
    CallId,
    CSeq,
    MaxForwards,
    ContentLength,
    ContentType,
    Contact,
    Other,
}

impl Name {
    fn of(name: &str) -> Self {
        const NAMES: &[(&str, &str, Name)] = &[
            ("via", "v", Name::Via),
            ("from", "f", Name::From),
            ("to", "t", Name::To),
            ("call-id", "i", Name::CallId),
            ("cseq", "cseq", Name::CSeq),
            ("max-forwards", "max-forwards", Name::MaxForwards),
            ("content-length", "l", Name::ContentLength),
            ("content-type", "c", Name::ContentType),
            ("contact", "m", Name::Contact),
        ];
        NAMES
            .iter()
            .find(|(long, compact, _)| name.eq_ignore_ascii_case(long) || name.eq_ignore_ascii_case(compact))
            .map_or(Self::Other, |(_, _, name)| *name)
    }
}

/// The first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartLine<'a> {
    Request { method: &'a str, uri: &'a str, version: &'a str },
    Response { version: &'a str, status: &'a str },
}

/// A datagram in its parts.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) line: &'a str,
    pub(crate) start: StartLine<'a>,
    pub(crate) headers: Vec<(Name, Cow<'a, str>)>,
    pub(crate) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The method of a request.
    pub(crate) const fn method(&self) -> Option<&'a str> {
        match self.start {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => None,
        }
    }

    /// All values of a header, in order.
    pub(crate) fn values(&self, name: Name) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(other, _)| *other == name).map(|(_, value)| value.as_ref())
    }

    /// The first value of a header.
    pub(crate) fn value(&self, name: Name) -> Option<&str> {
        self.values(name).next()
    }

    /// The topmost Via, without those that share its line.
    pub(crate) fn top_via(&self) -> Option<&str> {
        self.value(Name::Via).map(|value| value.split(',').next().unwrap_or(value).trim())
    }

    /// The topmost Via's branch.
    pub(crate) fn top_via_branch(&self) -> Option<&str> {
        parameter(self.top_via()?, "branch")
    }
}

/// The value of `;name=value` in a header value without quoted parts.
pub(crate) fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Splits a datagram.
pub(crate) fn scan(datagram: &[u8]) -> Result<Message<'_>, Dropped> {
    let end = datagram.windows(4).position(|window| window == b"\r\n\r\n").ok_or(Dropped::Unparsable)?;
    let head = std::str::from_utf8(&datagram[..end]).map_err(|_| Dropped::Unparsable)?;
    if head.contains('\0') {
        return Err(Dropped::Unparsable);
    }
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or("");
    let start = start_line(line).ok_or(Dropped::Unparsable)?;
    let mut headers: Vec<(Name, Cow<'_, str>)> = Vec::new();
    for line in lines {
        // A bare CR or LF would let two parsers see two different messages.
        if line.len() > MAX_LINE || line.contains(['\r', '\n']) || headers.len() >= MAX_SCANNED {
            return Err(Dropped::Unparsable);
        }
        if line.starts_with([' ', '\t']) {
            let (_, value) = headers.last_mut().ok_or(Dropped::Unparsable)?;
            let folded = value.to_mut();
            folded.push(' ');
            folded.push_str(line.trim());
            continue;
        }
        let (name, value) = line.split_once(':').ok_or(Dropped::Unparsable)?;
        let name = name.trim_end_matches([' ', '\t']);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(Dropped::Unparsable);
        }
        headers.push((Name::of(name), Cow::Borrowed(value.trim())));
    }
    Ok(Message { line, start, headers, body: &datagram[end + 4..] })
}

fn start_line(line: &str) -> Option<StartLine<'_>> {
    if line.contains(['\r', '\n', '\t']) || line.len() > MAX_LINE {
        return None;
    }
    let mut parts = line.splitn(3, ' ');
    let (first, second) = (parts.next()?, parts.next()?);
    if first.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("SIP/")) {
        return Some(StartLine::Response { version: first, status: second });
    }
    let version = parts.next()?;
    let method_fits = !first.is_empty() && first.len() <= 32 && first.bytes().all(is_token);
    (method_fits && !second.is_empty() && !version.contains(' ')).then_some(StartLine::Request {
        method: first,
        uri: second,
        version,
    })
}

/// Bytes of an RFC 3261 token.
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}
