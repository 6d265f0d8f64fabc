//! The rules a message must keep before the stack may see it, each with the status it is refused by.

use super::scan::{Message, Name, StartLine, is_token, parameter};
use crate::address::{NameAddr, split_outside};
use crate::stats::Dropped;
use crate::transport::Transport;

/// Most header lines.
const MAX_HEADERS: usize = 128;
/// Most Via values: as many hops as Max-Forwards begins with (RFC 3261 8.1.1.6).
pub(super) const MAX_VIAS: usize = 70;
/// Longest Call-ID, tag and branch in bytes: they are keys of our tables.
const MAX_KEY: usize = 256;
/// Methods the stack can carry; others are answered 501 here.
pub(crate) const METHODS: &[&str] = &[
    "ACK",
    "BYE",
    "CANCEL",
    "INFO",
    "INVITE",
    "MESSAGE",
    "NOTIFY",
    "OPTIONS",
    "PRACK",
    "PUBLISH",
    "REFER",
    "REGISTER",
    "SUBSCRIBE",
    "UPDATE",
];
/// The methods the endpoint serves: the truth for Allow.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, PRACK, NOTIFY, REFER";
const ALLOW_LINE: &str = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, PRACK, NOTIFY, REFER\r\n";

/// Why a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    pub(crate) phrase: &'static str,
    pub(crate) extra: &'static str,
    pub(crate) reason: Dropped,
}

const fn bad(phrase: &'static str) -> Fault {
    Fault { status: 400, phrase, extra: "", reason: Dropped::Malformed }
}

/// A message of a trunk that is larger than is read (RFC 3261 21.5.7).
pub(super) const TOO_LARGE: Fault =
    Fault { status: 513, phrase: "Message Too Large", extra: "", reason: Dropped::TooLarge };

/// Applies every rule to a message that came over a transport.
pub(crate) fn check(message: &Message<'_>, transport: Transport) -> Result<(), Fault> {
    let method = match message.start {
        StartLine::Request { method, uri, version } => {
            request_line(method, uri, version)?;
            Some(method)
        }
        StartLine::Response { version, status } => {
            let code = status.parse::<u16>().unwrap_or(0);
            if !version.eq_ignore_ascii_case("SIP/2.0") || !(100..700).contains(&code) {
                return Err(bad("Bad Status Line"));
            }
            None
        }
    };
    if message.headers.len() > MAX_HEADERS {
        return Err(bad("Too Many Headers"));
    }
    for (name, phrase) in [
        (Name::CallId, "One Call-ID Expected"),
        (Name::CSeq, "One CSeq Expected"),
        (Name::From, "One From Expected"),
        (Name::To, "One To Expected"),
    ] {
        if message.values(name).count() != 1 {
            return Err(bad(phrase));
        }
    }
    for (name, phrase) in [
        (Name::ContentLength, "One Content-Length Expected"),
        (Name::ContentType, "One Content-Type Expected"),
        (Name::MaxForwards, "One Max-Forwards Expected"),
    ] {
        if message.values(name).count() > 1 {
            return Err(bad(phrase));
        }
    }
    vias(message, transport)?;
    call_id(message)?;
    cseq(message, method)?;
    addresses(message)?;
    if let Some(hops) = message.value(Name::MaxForwards)
        && digits(hops, 255).is_none()
    {
        return Err(bad("Bad Max-Forwards"));
    }
    if let Some(length) = message.value(Name::ContentLength) {
        let length = digits(length, 1 << 20).ok_or(bad("Bad Content-Length"))?;
        if length > message.body.len() as u64 {
            return Err(bad("Content-Length Beyond Datagram"));
        }
    }
    Ok(())
}

fn request_line(method: &str, uri: &str, version: &str) -> Result<(), Fault> {
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(Fault { status: 505, phrase: "Version Not Supported", extra: "", reason: Dropped::Unsupported });
    }
    if !METHODS.contains(&method) {
        return Err(Fault { status: 501, phrase: "Not Implemented", extra: ALLOW_LINE, reason: Dropped::Unsupported });
    }
    let (scheme, rest) = uri.split_once(':').ok_or(bad("Bad Request-URI"))?;
    if rest.is_empty() || uri.len() > 1024 || !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad("Bad Request-URI"));
    }
    if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(is_scheme) {
        return Err(bad("Bad Request-URI"));
    }
    if !["sip", "sips", "tel"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(Fault { status: 416, phrase: "Unsupported URI Scheme", extra: "", reason: Dropped::Unsupported });
    }
    // A question mark may be in the user part; behind it headers begin, which a Request-URI cannot have (19.1.1).
    if rest.rsplit('@').next().is_some_and(|host| host.contains('?')) {
        return Err(bad("Headers In Request-URI"));
    }
    Ok(())
}

fn vias(message: &Message<'_>, transport: Transport) -> Result<(), Fault> {
    let mut count = 0;
    for value in message.values(Name::Via) {
        let parts = split_outside(value, b',');
        if parts.iter().any(|part| part.trim().is_empty()) {
            return Err(bad("Bad Via"));
        }
        count += parts.len();
    }
    if count == 0 {
        return Err(bad("Via Expected"));
    }
    if count > MAX_VIAS {
        return Err(bad("Too Many Vias"));
    }
    let top = message.top_via().unwrap_or_default();
    let mut parts = top.splitn(2, ' ');
    let protocol = parts.next().unwrap_or("");
    let sent_by = parts.next().unwrap_or("").split(';').next().unwrap_or("");
    // A response says what our request was sent over.
    let said = protocol.get(..8).filter(|name| name.eq_ignore_ascii_case("SIP/2.0/")).and_then(|_| protocol.get(8..));
    let said = said.and_then(Transport::named);
    let fits = said.is_some_and(|said| said == transport || message.method().is_none());
    if !fits || sent_by.is_empty() || sent_by.contains([' ', '"']) {
        return Err(bad("Bad Via"));
    }
    branch(parameter(&top, "branch"))
}

/// A branch names a transaction; one without the cookie, and none, is of RFC 2543, whose transactions are told apart by
/// their other headers (RFC 3261 17.2.3). The cookie alone names nothing.
fn branch(branch: Option<&str>) -> Result<(), Fault> {
    let Some(branch) = branch else { return Ok(()) };
    let fits = (1..=MAX_KEY).contains(&branch.len()) && branch.bytes().all(is_branch);
    if !fits || branch.eq_ignore_ascii_case("z9hG4bK") {
        return Err(bad("Bad Branch"));
    }
    Ok(())
}

fn call_id(message: &Message<'_>) -> Result<(), Fault> {
    let value = message.value(Name::CallId).unwrap_or("");
    if value.is_empty() || value.len() > MAX_KEY || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad("Bad Call-ID"));
    }
    Ok(())
}

/// CSeq: below 2**31, and of the request's own method (RFC 3261 8.1.1.5).
fn cseq(message: &Message<'_>, method: Option<&str>) -> Result<(), Fault> {
    let mut parts = message.value(Name::CSeq).unwrap_or("").split_ascii_whitespace();
    let number = parts.next().and_then(|number| digits(number, (1 << 31) - 1));
    let named = parts.next();
    if number.is_none() || named.is_none() || parts.next().is_some() {
        return Err(bad("Bad CSeq"));
    }
    if method.is_some() && named != method {
        return Err(bad("CSeq Method Differs"));
    }
    Ok(())
}

fn addresses(message: &Message<'_>) -> Result<(), Fault> {
    let from = message.value(Name::From).and_then(NameAddr::parse).ok_or(bad("Bad From"))?;
    let to = message.value(Name::To).and_then(NameAddr::parse).ok_or(bad("Bad To"))?;
    let tag_fits = |tag: &str| !tag.is_empty() && tag.len() <= MAX_KEY && tag.bytes().all(is_token);
    if !from.parameter("tag").is_some_and(tag_fits) {
        return Err(bad("From Tag Expected"));
    }
    if to.parameter("tag").is_some_and(|tag| !tag_fits(tag)) {
        return Err(bad("Bad To Tag"));
    }
    Ok(())
}

const fn is_branch(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\')
}

/// Bytes of a URI's scheme (RFC 3986 3.1).
const fn is_scheme(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// A number of ASCII digits only, at most `most`.
fn digits(text: &str, most: u64) -> Option<u64> {
    let fits = !text.is_empty() && text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| fits && *number <= most)
}
