//! A value of Identity (RFC 8224 4): a signed token, where its certificate is, and what kind it is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::finding::Fault;
use crate::address::split_outside;

/// Longest URL of a certificate.
const MOST_URL: usize = 512;

/// What a PASSporT is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Who calls whom (RFC 8225).
    Plain,
    /// The same, and how well the signer knows the caller (RFC 8588).
    Shaken,
    /// That a call was sent on to another number (RFC 8946).
    Div,
    /// Anything else.
    Other,
}

impl Kind {
    /// By `ppt`.
    fn named(ppt: Option<&str>) -> Self {
        match ppt {
            None => Self::Plain,
            Some(ppt) if ppt.eq_ignore_ascii_case("shaken") => Self::Shaken,
            Some(ppt) if ppt.eq_ignore_ascii_case("div") || ppt.eq_ignore_ascii_case("div-o") => Self::Div,
            Some(_) => Self::Other,
        }
    }
}

/// A token with its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// Header and payload in base 64, as they are signed; nothing in the compact form, which leaves both to the reader.
    pub(super) written: Option<(&'a str, &'a str)>,
    /// Two numbers of 32 bytes.
    pub(super) signature: [u8; 64],
    /// Where the certificate is.
    pub(super) url: &'a str,
    pub(super) kind: Kind,
    /// Algorithm, where it is said.
    pub(super) alg: Option<&'a str>,
}

impl<'a> Token<'a> {
    pub(super) fn parse(value: &'a str) -> Result<Self, Fault> {
        let (token, parameters) = value.split_once(';').unwrap_or((value, ""));
        let parts: Vec<&str> = token.trim().split('.').collect();
        let &[head, payload, signature] = parts.as_slice() else {
            return Err(Fault::Malformed("three parts with dots between them are expected"));
        };
        let written = match (head.is_empty(), payload.is_empty()) {
            (false, false) => Some((head, payload)),
            (true, true) => None,
            _ => return Err(Fault::Malformed("one of header and payload is missing")),
        };
        let (mut url, mut ppt, mut alg) = (None, None, None);
        for parameter in split_outside(parameters, b';') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let (name, value) = (name.trim(), value.trim());
            let known = match name.to_ascii_lowercase().as_str() {
                "info" => &mut url,
                "ppt" => &mut ppt,
                "alg" => &mut alg,
                _ => continue,
            };
            if known.replace(value).is_some() {
                return Err(Fault::Malformed("a parameter is said twice"));
            }
        }
        let kind = Kind::named(ppt.map(unquoted));
        let url = url.and_then(|url| url.strip_prefix('<')?.strip_suffix('>')).map(str::trim);
        let url = url.ok_or(Fault::Malformed("`info` with a URL between angle brackets is expected"))?;
        if !is_place(url) {
            return Err(Fault::Malformed("`info` is no https URL of at most 512 characters"));
        }
        let alg = alg.map(unquoted);
        // Of a kind that is not read its signature may be of any kind, too.
        let signature = match decoded(signature).ok().map(<[u8; 64]>::try_from) {
            Some(Ok(signature)) => signature,
            _ if kind == Kind::Other => [0; 64],
            _ if alg.is_some_and(|alg| alg != "ES256") => return Err(Fault::Algorithm),
            _ => return Err(Fault::Malformed("a signature of 64 bytes in base 64 is expected (RFC 7518 3.4)")),
        };
        Ok(Self { written, signature, url, kind, alg })
    }
}

/// Base 64 of URLs, without padding (RFC 7515 2).
pub(super) fn decoded(text: &str) -> Result<Vec<u8>, Fault> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Fault::Malformed("a part is no base64url without padding"))
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// Whether a certificate may be looked for there.
pub(super) fn is_place(url: &str) -> bool {
    let Some(rest) = url.get(..8).filter(|scheme| scheme.eq_ignore_ascii_case("https://")).and(url.get(8..)) else {
        return false;
    };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"<>\"\\^`{|}#".contains(&byte);
    url.len() <= MOST_URL && !host.is_empty() && !host.contains('@') && url.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(parameters: &str) -> String {
        format!("e30.e30.{};{parameters}", URL_SAFE_NO_PAD.encode([7; 64]))
    }

    #[test]
    fn both_forms_are_read() {
        let full = token("info=<https://cert.example/a,b.pem>;alg=ES256;ppt=\"shaken\"");
        let full = Token::parse(&full).unwrap();
        assert_eq!((full.written, full.url), (Some(("e30", "e30")), "https://cert.example/a,b.pem"));
        assert_eq!((full.kind, full.alg, full.signature), (Kind::Shaken, Some("ES256"), [7; 64]));
        let compact = format!("..{} ; info=<https://c.example/> ;ppt=div", URL_SAFE_NO_PAD.encode([1; 64]));
        let compact = Token::parse(&compact).unwrap();
        assert_eq!((compact.written, compact.kind, compact.alg), (None, Kind::Div, None));
        let other = Token::parse("a.b.c;info=<https://c.example>;ppt=rcd").unwrap();
        assert_eq!(other.kind, Kind::Other);
    }

    #[test]
    fn what_is_none_is_refused() {
        let short = format!("e30.e30.{};info=<https://c.example>", URL_SAFE_NO_PAD.encode([7; 63]));
        let twice = token("info=<https://c.example>;info=<https://d.example>");
        let half = token("info=<https://c.example>").replacen("e30.", ".", 1);
        for wrong in
            ["", "a.b;info=<https://c.example>", &short, &twice, &half, &token("info=https://c.example"), &token("")]
        {
            assert!(matches!(Token::parse(wrong), Err(Fault::Malformed(_))), "{wrong}");
        }
        let rsa = format!("e30.e30.{};info=<https://c.example>;alg=RS256", URL_SAFE_NO_PAD.encode([7; 256]));
        assert_eq!(Token::parse(&rsa), Err(Fault::Algorithm));
        for place in [
            "http://c.example/",
            "https://",
            "https://a@c.example/",
            "https:///x",
            "https://c/#f",
            "ftp://c",
            "\u{e4}https://c",
        ] {
            assert!(!is_place(place), "{place}");
        }
        assert!(is_place("HTTPS://c.example:8443/x?y=1"));
        assert!(!is_place(&format!("https://c.example/{}", "a".repeat(512))));
    }
}
