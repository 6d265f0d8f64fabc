//! Splits a datagram into start line, headers and body (RFC 3261 7), judging nothing but the shape.

use std::borrow::Cow;

use crate::address::split_outside;
use crate::stats::Dropped;

/// Most header lines kept while scanning; `check` refuses fewer.
const MAX_SCANNED: usize = 256;
/// Longest method in bytes.
const MAX_METHOD: usize = 128;

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
    pub(crate) headers: Vec<Header<'a>>,
    pub(crate) body: &'a [u8],
    /// Whether a header goes over several lines (RFC 3261 7.3.1).
    pub(super) folded: bool,
}

/// One header, its folds taken out.
#[derive(Debug)]
pub(crate) struct Header<'a> {
    pub(crate) name: Name,
    /// The name as it was written.
    pub(crate) written: &'a str,
    pub(crate) value: Cow<'a, str>,
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
        self.headers.iter().filter(move |header| header.name == name).map(|header| header.value.as_ref())
    }

    /// The first value of a header.
    pub(crate) fn value(&self, name: Name) -> Option<&str> {
        self.values(name).next()
    }

    /// The topmost Via, without those that share its line and without the white space that may stand between its parts.
    pub(crate) fn top_via(&self) -> Option<String> {
        let value = self.value(Name::Via)?;
        split_outside(value, b',').first().map(|top| tight(top, b"/;=:"))
    }

    /// The topmost Via's branch.
    pub(crate) fn top_via_branch(&self) -> Option<String> {
        parameter(&self.top_via()?, "branch").map(str::to_owned)
    }
}

/// The value of `;name=value` in a header value.
pub(crate) fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    split_outside(value, b';').into_iter().skip(1).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A header value without white space around `separators`, and with one space where there is more: the same value to any
/// reader of RFC 3261 25.1. Quoted strings and what is in angle brackets stay as they are.
pub(super) fn tight(value: &str, separators: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    let (mut quoted, mut escaped, mut angle, mut space) = (false, false, false, false);
    for character in value.trim().chars() {
        let inside = quoted || angle;
        let separator = !inside && u8::try_from(character).is_ok_and(|byte| separators.contains(&byte));
        if !inside && matches!(character, ' ' | '\t') {
            space = true;
            continue;
        }
        let behind = text.bytes().last().is_some_and(|last| separators.contains(&last));
        if std::mem::take(&mut space) && !separator && !behind {
            text.push(' ');
        }
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if !angle => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            _ => {}
        }
        text.push(character);
    }
    text
}

/// Splits a datagram.
pub(crate) fn scan(datagram: &[u8]) -> Result<Message<'_>, Dropped> {
    let end = datagram.windows(4).position(|window| window == b"\r\n\r\n").ok_or(Dropped::Unparsable)?;
    let head = std::str::from_utf8(&datagram[..end]).map_err(|_| Dropped::Unparsable)?;
    // Within a quoted string even this one may be quoted (RFC 3261 25.1).
    if head.as_bytes().iter().enumerate().any(|(at, byte)| *byte == 0 && (at == 0 || head.as_bytes()[at - 1] != b'\\'))
    {
        return Err(Dropped::Unparsable);
    }
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or("");
    let start = start_line(line).ok_or(Dropped::Unparsable)?;
    let mut headers: Vec<Header<'_>> = Vec::new();
    let mut folded = false;
    for line in lines {
        // A bare CR or LF would let two parsers see two different messages.
        if line.contains(['\r', '\n']) || headers.len() >= MAX_SCANNED {
            return Err(Dropped::Unparsable);
        }
        if line.starts_with([' ', '\t']) {
            let value = headers.last_mut().ok_or(Dropped::Unparsable)?.value.to_mut();
            if !value.is_empty() {
                value.push(' ');
            }
            value.push_str(line.trim());
            folded = true;
            continue;
        }
        let (written, value) = line.split_once(':').ok_or(Dropped::Unparsable)?;
        let written = written.trim_end_matches([' ', '\t']);
        if written.is_empty() || !written.bytes().all(is_token) {
            return Err(Dropped::Unparsable);
        }
        headers.push(Header { name: Name::of(written), written, value: Cow::Borrowed(value.trim()) });
    }
    Ok(Message { line, start, headers, body: &datagram[end + 4..], folded })
}

/// The first line. White space where none belongs ends up in the URI, where `check` finds it.
fn start_line(line: &str) -> Option<StartLine<'_>> {
    if line.contains(['\r', '\n', '\t']) {
        return None;
    }
    let (first, rest) = line.split_once(' ')?;
    if first.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("SIP/")) {
        return Some(StartLine::Response { version: first, status: rest.split(' ').next().unwrap_or("") });
    }
    let trimmed = rest.trim_end_matches(' ');
    let (uri, version) = trimmed.rsplit_once(' ')?;
    // A space too many behind the version is one too many in the URI.
    let uri = if trimmed.len() == rest.len() { uri } else { rest };
    let method_fits = !first.is_empty() && first.len() <= MAX_METHOD && first.bytes().all(is_token);
    (method_fits && !uri.is_empty()).then_some(StartLine::Request { method: first, uri, version })
}

/// Bytes of an RFC 3261 token.
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}
