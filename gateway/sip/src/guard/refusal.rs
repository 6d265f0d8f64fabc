//! Answers that need no state: built from the request's own headers (RFC 3261 8.2.6, 8.2.7).

use std::net::SocketAddr;

use super::check::MAX_VIAS;
use super::scan::{Message, Name};

/// What to answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused<'a> {
    pub(crate) status: u16,
    pub(crate) phrase: &'a str,
    /// Whole header lines, each with its CRLF.
    pub(crate) extra: &'a str,
}

/// The response, `None` when the request is an ACK or lacks what an answer is made of.
pub(crate) fn refusal(message: &Message<'_>, source: SocketAddr, tag: &str, refused: &Refused<'_>) -> Option<Vec<u8>> {
    if matches!(message.method(), None | Some("ACK")) {
        return None;
    }
    // More lines than hops that may be are not worth copying back.
    if message.values(Name::Via).count() > MAX_VIAS {
        return None;
    }
    let (from, to) = (message.value(Name::From)?, message.value(Name::To)?);
    let (call_id, cseq) = (message.value(Name::CallId)?, message.value(Name::CSeq)?);
    let mut text = format!("SIP/2.0 {} {}\r\n", refused.status, refused.phrase);
    for (index, via) in message.values(Name::Via).enumerate() {
        text.push_str("Via: ");
        if index == 0 {
            text.push_str(&stamped(via, source))
        } else {
            text.push_str(via)
        }
        text.push_str("\r\n");
    }
    let tagged = to.rsplit('>').next().unwrap_or(to).split(';').any(|part| part.trim_start().starts_with("tag="));
    let tag = if tagged { String::new() } else { format!(";tag={tag}") };
    text.push_str(&format!("From: {from}\r\nTo: {to}{tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n"));
    text.push_str(refused.extra);
    text.push_str("Content-Length: 0\r\n\r\n");
    Some(text.into_bytes())
}

/// The topmost Via with where the request really came from (RFC 3261 18.2.1, RFC 3581 4).
fn stamped(via: &str, source: SocketAddr) -> String {
    let (top, others) = match via.split_once(',') {
        Some((top, others)) => (top, Some(others)),
        None => (via, None),
    };
    let mut text = String::with_capacity(via.len() + 48);
    let mut rport = false;
    for (index, part) in top.split(';').enumerate() {
        let name = part.split('=').next().unwrap_or("").trim();
        if index > 0 && name.eq_ignore_ascii_case("received") {
            continue;
        }
        if index > 0 && name.eq_ignore_ascii_case("rport") {
            rport = true;
            continue;
        }
        if index > 0 {
            text.push(';');
        }
        text.push_str(part.trim());
    }
    text.push_str(&format!(";received={}", source.ip()));
    if rport {
        text.push_str(&format!(";rport={}", source.port()));
    }
    if let Some(others) = others {
        text.push(',');
        text.push_str(others);
    }
    text
}
