//! What a call is to be placed to, read so that it can be understood in one way only: whoever asks may be a caller who
//! has talked an agent into it.

use std::fmt;

use trunkline_api::e164::{E164, Numbering};
use trunkline_api::outbound::{Destinations, is_host, is_user};

/// Most digits of an extension or short number.
const MOST_EXTENSION: usize = 20;
/// Longest text that is looked at.
const MOST_TEXT: usize = 320;

/// A destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A telephone number.
    Number(E164),
    /// Digits, `*` and `#` that are no telephone number: an extension, a short number, an emergency number.
    Extension(String),
    /// A user of a host.
    Uri {
        /// User, without escapes or parameters.
        user: String,
        /// Host, in lower case.
        host: String,
        /// Port, where the URI has one.
        port: Option<u16>,
        /// Whether it is a `sips:` URI.
        secure: bool,
    },
}

/// A text that names nobody who can be called, or names them in a way that could be read otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoDestination {
    /// Neither a number nor a URI.
    #[error("it is no number, extension, `tel:`, `sip:` or `sips:` URI of at most 320 characters")]
    Shape,
    /// The URI's user has escapes, parameters or a password.
    #[error("the URI's user is more than letters, digits and -_.!~*'()+")]
    User,
    /// The URI's host is none.
    #[error("the URI's host is no name or address, or its port no port")]
    Host,
    /// The URI has a parameter or header that says where else a call goes.
    #[error("the URI has headers, or parameters other than `user` and `transport`")]
    Parameters,
}

impl Destination {
    /// Reads a destination: a number as `numbering` writes it, an extension or a URI.
    ///
    /// # Errors
    /// When it could be read in more than one way, or in none.
    pub fn read(text: &str, numbering: &Numbering) -> Result<Self, NoDestination> {
        let text = text.trim();
        let plain = |c: char| !c.is_control() && !matches!(c, '<' | '>' | '"' | ',' | '\\');
        if text.is_empty() || text.len() > MOST_TEXT || !text.chars().all(plain) {
            return Err(NoDestination::Shape);
        }
        let scheme = |name: &str| {
            let head = text.get(..name.len()).filter(|head| head.eq_ignore_ascii_case(name))?;
            text.get(head.len()..)
        };
        if let Some(number) = scheme("tel:") {
            return if number.contains([';', '?', '@']) {
                Err(NoDestination::Parameters)
            } else {
                dialled(number, numbering).ok_or(NoDestination::Shape)
            };
        }
        match (scheme("sip:"), scheme("sips:")) {
            (Some(rest), _) => uri(rest, false),
            (_, Some(rest)) => uri(rest, true),
            _ => dialled(text, numbering).ok_or(NoDestination::Shape),
        }
    }

    /// Whether a list names it. A URI whose user could be dialled as a number must be named twice: by its host, and as
    /// that number, for the host would dial it. What is neither a number nor a name must be named as it stands.
    pub(crate) fn is_named(&self, list: &[Destinations], numbering: &Numbering) -> bool {
        let number = |text: &str| {
            list.iter().any(|one| matches!(one, Destinations::Numbers(pattern) if pattern.matches_as_written(text)))
        };
        match self {
            Self::Number(found) => number(&found.to_string()),
            Self::Extension(found) => number(found),
            Self::Uri { user, host, .. } => {
                let whole = list.iter().any(|one| match one {
                    Destinations::Uri { user: named, host: at } => named == user && at == host,
                    Destinations::Host(_) | Destinations::Numbers(_) => false,
                });
                let host = list.iter().any(|one| matches!(one, Destinations::Host(at) if at == host));
                let dialled = dialled(user, numbering);
                whole || host && dialled.map_or_else(|| is_name(user), |dialled| dialled.is_named(list, numbering))
            }
        }
    }

    /// Whether a list of what is denied names it: in any way is enough.
    pub(crate) fn is_denied(&self, list: &[Destinations], numbering: &Numbering) -> bool {
        let by_number = match self {
            Self::Uri { user, .. } => dialled(user, numbering),
            Self::Number(_) | Self::Extension(_) => None,
        };
        let by_host = list.iter().any(|one| match (self, one) {
            (Self::Uri { host, .. }, Destinations::Host(at)) => at == host,
            _ => false,
        });
        by_host || self.is_named(list, numbering) || by_number.is_some_and(|number| number.is_named(list, numbering))
    }

    /// The user of the request-URI by which a trunk is asked for it.
    #[must_use]
    pub fn user(&self, numbering: &Numbering) -> String {
        match self {
            Self::Number(number) => numbering.sent(number),
            Self::Extension(extension) => extension.clone(),
            Self::Uri { user, .. } => user.clone(),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Extension(extension) => f.write_str(extension),
            Self::Uri { user, host, port, secure } => {
                write!(f, "{}:{user}@{host}", if *secure { "sips" } else { "sip" })?;
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
        }
    }
}

/// Whether the user of a URI is a name, which nobody would dial: it begins with a letter. Hosts leave out what they cannot
/// dial, and networks the digits that are too many: `+499001234567890123` rings at `+49900...`.
#[must_use]
pub fn is_name(user: &str) -> bool {
    user.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// A number or an extension.
fn dialled(text: &str, numbering: &Numbering) -> Option<Destination> {
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '+' | '*' | '#' | '-' | '.' | '(' | ')' | ' ');
    if !text.chars().all(plain) {
        return None;
    }
    if let Some(number) = numbering.number(text) {
        return Some(Destination::Number(number));
    }
    let digits: String = text.chars().filter(|c| c.is_ascii_digit() || matches!(c, '*' | '#')).collect();
    // What begins with a plus and is no number is nothing.
    let fits = (1..=MOST_EXTENSION).contains(&digits.len()) && !text.contains('+');
    fits.then_some(Destination::Extension(digits))
}

/// What follows `sip:`.
fn uri(rest: &str, secure: bool) -> Result<Destination, NoDestination> {
    if rest.contains('?') {
        return Err(NoDestination::Parameters);
    }
    let (user, rest) = rest.split_once('@').ok_or(NoDestination::User)?;
    let mut parts = rest.split(';');
    let host = parts.next().unwrap_or_default();
    // `maddr`, `lr` and whatever else there may be say where a request goes: that is the route's to say.
    let known = |parameter: &str| {
        let name = parameter.split('=').next().unwrap_or_default();
        name.eq_ignore_ascii_case("user") || name.eq_ignore_ascii_case("transport")
    };
    if !parts.all(known) {
        return Err(NoDestination::Parameters);
    }
    if !is_user(user) {
        return Err(NoDestination::User);
    }
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse::<u16>().ok().filter(|port| digits && *port > 0).ok_or(NoDestination::Host)?;
            (host, Some(port))
        }
        _ => (host, None),
    };
    if !is_host(host) {
        return Err(NoDestination::Host);
    }
    Ok(Destination::Uri { user: user.to_owned(), host: host.to_ascii_lowercase(), port, secure })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, NoDestination> {
        let germany = Numbering { country: "49".to_owned(), ..Numbering::default() };
        Destination::read(text, &germany).map(|found| found.to_string())
    }

    #[test]
    fn a_destination_is_read_in_one_way_only() {
        for (text, expected) in [
            ("+49 30 123456", "+4930123456"),
            ("030/123456", ""),
            ("030123456", "+4930123456"),
            ("tel:+4930123456", "+4930123456"),
            ("200", "200"),
            ("*21#", "*21#"),
            ("sip:sales@PBX.example;transport=tcp", "sip:sales@pbx.example"),
            ("SIPS:sales@[2001:db8::1]:5061;user=phone", "sips:sales@[2001:db8::1]:5061"),
            ("sip:+4990012345@pbx.example", "sip:+4990012345@pbx.example"),
        ] {
            assert_eq!(read(text).unwrap_or_default(), expected, "{text}");
        }
        for (text, why) in [
            ("", NoDestination::Shape),
            ("+0301234567", NoDestination::Shape),
            ("+4930123456\r\nX: y", NoDestination::Shape),
            ("sip:a@b,sip:c@d", NoDestination::Shape),
            ("anna", NoDestination::Shape),
            ("tel:200;phone-context=+1900", NoDestination::Parameters),
            ("sip:a@b?Replaces=x", NoDestination::Parameters),
            ("sip:a@b;maddr=evil.example", NoDestination::Parameters),
            ("sip:a@b;lr", NoDestination::Parameters),
            ("sip:a%40evil.example@b", NoDestination::User),
            ("sip:a:b@c", NoDestination::User),
            ("sip:a;x=y@c", NoDestination::User),
            ("sip:pbx.example", NoDestination::User),
            ("sip:a@b:0", NoDestination::Host),
            ("sip:a@b:+50", NoDestination::Host),
            ("sip:a@", NoDestination::Host),
            ("sip:a@b@c", NoDestination::Host),
        ] {
            assert_eq!(read(text), Err(why), "{text}");
        }
    }

    #[test]
    fn a_number_does_not_leave_dressed_as_a_user_of_a_host() {
        let numbering = Numbering { country: "49".to_owned(), ..Numbering::default() };
        let list = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Destinations>>();
        let named = |text: &str, names: &[&str]| {
            Destination::read(text, &numbering).unwrap().is_named(&list(names), &numbering)
        };
        assert!(named("sip:sales@pbx.example", &["sip:*@pbx.example"]));
        assert!(!named("sip:sales@evil.example", &["sip:*@pbx.example"]));
        assert!(!named("sip:+4990012345@pbx.example", &["sip:*@pbx.example"]));
        assert!(!named("sip:0049900123456@pbx.example", &["sip:*@pbx.example"]));
        assert!(named("sip:+4930123456@pbx.example", &["sip:*@pbx.example", "+4930*"]));
        assert!(named("sip:+4990012345@pbx.example", &["sip:+4990012345@pbx.example"]), "the very URI was allowed");
        for user in [
            "+499001234567890123",
            "+0049900123456",
            "0049900123456000000000",
            "+49900123456*",
            "0049900123456!",
            "0049900123456a",
            "(0049)900123456x",
        ] {
            let uri = format!("sip:{user}@pbx.example");
            assert!(!named(&uri, &["sip:*@pbx.example", "+4930*"]), "{uri}: the host may dial what it makes of it");
            assert!(named(&uri, &[&uri]), "{uri}: the very URI was allowed");
        }
        assert!(!named("+19001234567", &["1*"]), "an extension that begins with 1 is no country");
        let denied = |text: &str, names: &[&str]| {
            Destination::read(text, &numbering).unwrap().is_denied(&list(names), &numbering)
        };
        assert!(denied("sip:+4990012345@pbx.example", &["+49900*"]));
        assert!(denied("0900 12345 67", &["+49900*"]) && !denied("+4930123456", &["+49900*"]));
    }
}
