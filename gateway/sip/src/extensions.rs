//! Extensions of SIP by their option tags: what we serve and say so (RFC 3261 20.37), what the far end requires and knows.

use rsipstack::sip::headers::Headers;

/// What is served: the truth for Supported.
pub(crate) const SUPPORTED: &str = "timer, 100rel";
/// RFC 4028.
pub(crate) const TIMER: &str = "timer";
/// RFC 3262.
pub(crate) const RELIABLE: &str = "100rel";

/// The first value of a header.
pub(crate) fn value<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    values(headers, name).next()
}

/// The values of a header in its lines.
fn values<'a>(headers: &'a Headers, name: &str) -> impl Iterator<Item = &'a str> {
    headers.iter().filter(move |header| header.name().eq_ignore_ascii_case(name)).map(|header| header.value())
}

/// Whether a header that lists tokens names one.
pub(crate) fn names(headers: &Headers, name: &str, token: &str) -> bool {
    values(headers, name).flat_map(|value| value.split(',')).any(|other| other.trim().eq_ignore_ascii_case(token))
}

/// What Require names that is not served, for Unsupported (RFC 3261 8.2.2.3).
pub(crate) fn unsupported(headers: &Headers) -> Option<String> {
    let served = |tag: &&str| SUPPORTED.split(", ").any(|served| served.eq_ignore_ascii_case(tag));
    let tags: Vec<&str> = values(headers, "Require")
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|tag| !tag.is_empty() && !served(tag))
        .collect();
    (!tags.is_empty()).then(|| tags.join(", "))
}
