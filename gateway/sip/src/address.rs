//! Addresses in From, To and Contact, and the user in a URI (RFC 3261 20.10, 25.1).

use std::net::SocketAddr;

/// A name-addr or addr-spec with its header parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameAddr<'a> {
    display: &'a str,
    /// The URI, without angle brackets.
    pub(crate) uri: &'a str,
    parameters: &'a str,
}

impl<'a> NameAddr<'a> {
    /// Parses a header value.
    pub(crate) fn parse(value: &'a str) -> Option<Self> {
        let value = value.trim();
        let rest = after_quoted(value)?;
        let quoted = value.len() - rest.len();
        let parsed = match rest.find('<') {
            Some(open) => {
                let open = quoted + open;
                let close = open + value[open..].find('>')?;
                Self {
                    display: value[..open].trim(),
                    uri: value[open + 1..close].trim(),
                    parameters: &value[close + 1..],
                }
            }
            None if quoted > 0 => return None,
            None => {
                let end = value.find(';').unwrap_or(value.len());
                Self { display: "", uri: value[..end].trim(), parameters: &value[end..] }
            }
        };
        let (scheme, specific) = parsed.uri.split_once(':')?;
        let sound = !scheme.is_empty()
            && !specific.is_empty()
            && parsed.uri.bytes().all(|byte| byte.is_ascii_graphic())
            && (parsed.parameters.is_empty() || parsed.parameters.trim_start().starts_with(';'));
        sound.then_some(parsed)
    }

    /// A header parameter's value.
    pub(crate) fn parameter(&self, name: &str) -> Option<&'a str> {
        split_outside(self.parameters, b';').into_iter().skip(1).find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The display name, unquoted, at most 128 characters.
    pub(crate) fn display(&self) -> Option<String> {
        let plain = match self.display.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(quoted) => {
                let mut escaped = false;
                let keep = |character: &char| {
                    escaped = *character == '\\' && !escaped;
                    !escaped
                };
                quoted.chars().filter(keep).take(128).collect()
            }
            None => self.display.chars().take(128).collect::<String>(),
        };
        (!plain.is_empty()).then_some(plain)
    }
}

/// What follows a leading quoted string; the whole when there is none, `None` when it does not end.
fn after_quoted(value: &str) -> Option<&str> {
    let Some(inner) = value.strip_prefix('"') else { return Some(value) };
    let mut escaped = false;
    for (index, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return inner.get(index + 1..),
            _ => {}
        }
    }
    None
}

/// The user part of a SIP URI or the number of a `tel:` URI, with its escapes resolved, at most 128 characters; empty
/// when the URI has none. Parameters of a number are no part of it (RFC 3261 19.1.6).
pub(crate) fn user(uri: &str) -> String {
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    let part = if scheme.eq_ignore_ascii_case("tel") {
        rest.split(';').next().unwrap_or("")
    } else {
        match rest.split_once('@') {
            Some((user, _)) => number(user.split(':').next().unwrap_or("")),
            None => "",
        }
    };
    unescaped(part)
}

/// What stands before the parameters of a number; the whole of what is none.
fn number(user: &str) -> &str {
    let (number, _) = user.split_once(';').unwrap_or((user, ""));
    let digits = number.strip_prefix('+').or_else(|| number.strip_prefix("%2B")).or_else(|| number.strip_prefix("%2b"));
    let mut digits = digits.unwrap_or(number).bytes();
    if digits.len() > 0 && digits.all(|byte| byte.is_ascii_digit() || b"-.()*#".contains(&byte)) {
        number
    } else {
        user
    }
}

/// The values of a comma-separated header, split outside quotes and angle brackets.
pub(crate) fn list(value: &str) -> Vec<&str> {
    let mut values: Vec<&str> = split_outside(value, b',').into_iter().map(str::trim).collect();
    values.retain(|value| !value.is_empty());
    values
}

/// What stands between separators outside quotes and angle brackets; at least one part.
pub(crate) fn split_outside(value: &str, separator: u8) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped, mut angle) = (0, false, false, false);
    for (index, byte) in value.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'<' if !quoted => angle = true,
            b'>' if !quoted => angle = false,
            _ if byte == separator && !quoted && !angle => {
                parts.push(&value[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&value[start..]);
    parts
}

/// The value of a parameter of a URI, empty when it has none; those of its user part are not meant.
pub(crate) fn parameter_of_uri<'a>(uri: &'a str, name: &str) -> Option<&'a str> {
    let host = uri.rsplit('@').next()?.split('?').next()?;
    host.split(';').skip(1).find_map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Where a SIP URI points, when its host is an address; with this port when it names none.
pub(crate) fn socket_addr(uri: &str, default_port: u16) -> Option<SocketAddr> {
    let (_, rest) = uri.split_once(':')?;
    let rest = rest.rsplit('@').next()?;
    let host = rest.split([';', '?', '>']).next()?.trim();
    host.parse()
        .ok()
        .or_else(|| host.parse().ok().map(|ip| SocketAddr::new(ip, default_port)))
        .or_else(|| {
            let bare = host.strip_prefix('[')?.strip_suffix(']')?;
            bare.parse().ok().map(|ip| SocketAddr::new(ip, default_port))
        })
        .filter(|address| address.port() != 0)
}

/// Resolves `%2B` and its like where the result is printable ASCII.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len().min(128));
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if plain.len() >= 128 {
            break;
        }
        let code = rest.strip_prefix('%').and_then(|rest| u8::from_str_radix(rest.get(..2)?, 16).ok());
        match code.filter(u8::is_ascii_graphic) {
            Some(code) => {
                plain.push(char::from(code));
                rest = rest.get(3..).unwrap_or("");
            }
            None => {
                plain.push(character);
                rest = rest.get(character.len_utf8()..).unwrap_or("");
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_every_form() {
        let quoted = NameAddr::parse(r#""A. <B> \"C\"" <sip:+4930@host;user=phone>;tag=x1;y"#).unwrap();
        assert_eq!(quoted.display().as_deref(), Some(r#"A. <B> "C""#));
        assert_eq!((quoted.uri, quoted.parameter("TAG")), ("sip:+4930@host;user=phone", Some("x1")));
        let bare = NameAddr::parse("sip:bob@host;tag=7").unwrap();
        assert_eq!((bare.display(), bare.uri, bare.parameter("tag")), (None, "sip:bob@host", Some("7")));
        let token = NameAddr::parse("Bob <tel:+4930;phone-context=x>").unwrap();
        assert_eq!((token.display().as_deref(), token.parameter("tag")), (Some("Bob"), None));
        for bad in ["", "\"never closed <sip:a@b>", "<sip:a@b", "nothing", "<sip:a@b>junk", "<>", "\"x\" sip:a@b"] {
            assert_eq!(NameAddr::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn lists_are_split_outside_quotes_and_brackets() {
        assert_eq!(
            list(r#"<sip:a;x=1,2>, "b, c" <sip:d>;lr ,,sip:e"#),
            ["<sip:a;x=1,2>", r#""b, c" <sip:d>;lr"#, "sip:e"]
        );
        assert!(list("").is_empty());
    }

    #[test]
    fn a_uri_points_somewhere_when_its_host_is_an_address() {
        for (uri, expected) in [
            ("sip:gw@192.0.2.1:5080;transport=udp", Some("192.0.2.1:5080")),
            ("sip:192.0.2.1;lr", Some("192.0.2.1:5060")),
            ("sip:a@[2001:db8::1]:5062", Some("[2001:db8::1]:5062")),
            ("sip:a@[2001:db8::1]", Some("[2001:db8::1]:5060")),
            ("sip:a@proxy.example", None),
            ("sip:a@192.0.2.1:0", None),
            ("192.0.2.1", None),
        ] {
            assert_eq!(socket_addr(uri, 5060), expected.map(|address| address.parse().unwrap()), "{uri}");
        }
    }

    #[test]
    fn the_user_is_what_was_dialled() {
        for (uri, expected) in [
            ("sip:+49301234@gw.example", "+49301234"),
            ("sip:%2B49301234@gw.example;user=phone", "+49301234"),
            ("sip:support:secret@gw", "support"),
            ("sip:+49-30;verstat=No-TN-Validation@gw;user=phone", "+49-30"),
            ("sip:%2b4930;phone-context=x:secret@gw", "+4930"),
            ("sip:anna;team=a@gw", "anna;team=a"),
            ("sip:;x@gw", ";x"),
            ("tel:+49-30;phone-context=example", "+49-30"),
            ("sip:gw.example", ""),
            ("sip:50%@gw", "50%"),
            ("sip:a%00b@gw", "a%00b"),
        ] {
            assert_eq!(user(uri), expected, "{uri}");
        }
    }
}
