//! What the stack gets of a message: the same one in its plainest form, so that it and we cannot read it differently.

use std::borrow::Cow;

use super::scan::{Header, Message, Name, StartLine, tight};

/// The datagram itself where it is plain already. Else every header on a line of its own, no white space around the parts of
/// Via, From, To and CSeq, `SIP/2.0` as such, and a Content-Length: UDP lets it out, the body is then the rest of the
/// datagram (RFC 3261 18.3).
pub(super) fn plain<'a>(datagram: &'a [u8], message: &Message<'_>) -> Cow<'a, [u8]> {
    let values: Vec<Cow<'_, str>> = message.headers.iter().map(value).collect();
    let length = message.body.is_empty() || message.value(Name::ContentLength).is_some();
    let line = line(message);
    let as_it_is = values.iter().all(|value| matches!(value, Cow::Borrowed(_)));
    if length && as_it_is && !message.folded && line == message.line {
        return Cow::Borrowed(datagram);
    }
    let mut text = format!("{line}\r\n");
    for (header, value) in message.headers.iter().zip(&values) {
        text.push_str(header.written);
        text.push_str(": ");
        text.push_str(value);
        text.push_str("\r\n");
    }
    if !length {
        text.push_str(&format!("Content-Length: {}\r\n", message.body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(message.body);
    Cow::Owned(bytes)
}

fn line<'a>(message: &Message<'a>) -> Cow<'a, str> {
    match message.start {
        StartLine::Request { method, uri, version } if version != "SIP/2.0" => {
            Cow::Owned(format!("{method} {uri} SIP/2.0"))
        }
        StartLine::Response { version, .. } if version != "SIP/2.0" => {
            Cow::Owned(message.line.replacen(version, "SIP/2.0", 1))
        }
        StartLine::Request { .. } | StartLine::Response { .. } => Cow::Borrowed(message.line),
    }
}

fn value<'a>(header: &'a Header<'_>) -> Cow<'a, str> {
    let tightened = match header.name {
        Name::Via => tight(&header.value, b"/;=:,"),
        Name::From | Name::To => tight(&header.value, b";="),
        Name::CSeq => tight(&header.value, b""),
        _ => return Cow::Borrowed(&header.value),
    };
    if tightened == *header.value { Cow::Borrowed(&header.value) } else { Cow::Owned(tightened) }
}
