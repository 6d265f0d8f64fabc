//! Answers that need no state: built from the request's own headers (RFC 3261 8.2.6, 8.2.7).

use std::net::SocketAddr;

use super::check::MAX_VIAS;
use super::scan::{Message, Name};
use crate::address::split_outside;

/// What to answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused<'a> {
    pub(crate) status: u16,
    pub(crate) phrase: &'a str,
    /// Whole header lines, each with its CRLF.
    pub(crate) extra: &'a str,
}

/// The names of the headers of an answer, in their order.
const NAMES: [&str; 5] = ["Via", "From", "To", "Call-ID", "Content-Length"];
/// The same in few bytes (RFC 3261 7.3.3), for those who must not get more than they sent.
const COMPACT: [&str; 5] = ["v", "f", "t", "i", "l"];

/// The response, `None` when the request is an ACK or lacks what an answer is made of.
pub(crate) fn refusal(message: &Message<'_>, source: SocketAddr, tag: &str, refused: &Refused<'_>) -> Option<Vec<u8>> {
    response(message, source, tag, refused, NAMES)
}

/// The response in as few bytes as it can have.
pub(super) fn compact(message: &Message<'_>, source: SocketAddr, tag: &str, refused: &Refused<'_>) -> Option<Vec<u8>> {
    response(message, source, tag, refused, COMPACT)
}

fn response(
    message: &Message<'_>,
    source: SocketAddr,
    tag: &str,
    refused: &Refused<'_>,
    [via_name, from_name, to_name, call_id_name, length_name]: [&str; 5],
) -> Option<Vec<u8>> {
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
        text.push_str(via_name);
        text.push_str(": ");
        if index == 0 {
            text.push_str(&stamped(via, source));
        } else {
            text.push_str(via);
        }
        text.push_str("\r\n");
    }
    let behind = to.rsplit('>').next().unwrap_or(to);
    let tagged = split_outside(behind, b';')
        .into_iter()
        .any(|part| part.split_once('=').is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case("tag")));
    let tag = if tagged { String::new() } else { format!(";tag={tag}") };
    text.push_str(&format!(
        "{from_name}: {from}\r\n{to_name}: {to}{tag}\r\n{call_id_name}: {call_id}\r\nCSeq: {cseq}\r\n"
    ));
    text.push_str(refused.extra);
    text.push_str(&format!("{length_name}: 0\r\n\r\n"));
    Some(text.into_bytes())
}

/// The topmost Via with where the request really came from (RFC 3261 18.2.1, RFC 3581 4).
fn stamped(via: &str, source: SocketAddr) -> String {
    let mut values = split_outside(via, b',').into_iter();
    let mut text = String::with_capacity(via.len() + 48);
    let mut rport = false;
    for (index, part) in split_outside(values.next().unwrap_or(""), b';').into_iter().enumerate() {
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
    for other in values {
        text.push(',');
        text.push_str(other);
    }
    text
}
