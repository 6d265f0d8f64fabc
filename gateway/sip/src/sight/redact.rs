//! What must not be seen with a message: keys that sound is encrypted with, answers to passwords; and in logs, numbers.

use trunkline_api::e164::masked;

/// A message in which the keys of SRTP and the responses of digests are crossed out, byte for byte, so that every length
/// in it still holds.
#[must_use]
pub fn redact(message: &[u8]) -> Vec<u8> {
    let mut out = message.to_vec();
    let mut at = 0;
    for line in lines(message) {
        let begins = |name: &[u8]| line.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
        if begins(b"a=crypto:") || begins(b"a=key-mgmt:") || begins(b"k=") {
            let from = position(line, b"inline:").map_or(usize::from(begins(b"k=")) * 2, |found| found + 7);
            cross_out(&mut out, at + from.max(2), at + line.len());
        } else if begins(b"Authorization") || begins(b"Proxy-Authorization") {
            let value_at = position(line, b":").map_or(0, |found| found + 1);
            let mut from = value_at;
            // A user may be called so as well.
            while let Some(found) = line.get(from..).and_then(|rest| position(rest, b"response")) {
                from += found + 8;
                let value = line.get(from..).unwrap_or_default();
                let rest = value.iter().position(|byte| *byte == b',').unwrap_or(value.len());
                cross_out(&mut out, at + from, at + from + rest);
            }
            if from == value_at {
                cross_out(&mut out, at + from, at + line.len());
            }
        }
        at += line.len();
    }
    out
}

/// The lines of a message, each with what is folded onto it (RFC 3261 7.3.1).
fn lines(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = message;
    std::iter::from_fn(move || {
        let mut ends = rest.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        let end = ends.find(|end| !matches!(rest.get(*end), Some(b' ' | b'\t')));
        let (line, others) = rest.split_at(end.unwrap_or(rest.len()));
        rest = others;
        (!line.is_empty()).then_some(line)
    })
}

/// Crosses out everything that a key or a hash can be made of.
fn cross_out(out: &mut [u8], from: usize, to: usize) {
    for byte in out.get_mut(from..to).unwrap_or_default() {
        if !matches!(byte, b'\r' | b'\n' | b' ' | b'"' | b'=' | b',') {
            *byte = b'x';
        }
    }
}

fn position(line: &[u8], wanted: &[u8]) -> Option<usize> {
    line.windows(wanted.len()).position(|window| window.eq_ignore_ascii_case(wanted))
}

/// A text in which the users of `sip:`, `sips:` and `tel:` URIs are masked: `sip:+493*****56@pbx.example`.
#[must_use]
pub fn masked_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, scheme, after)) = next_uri(rest) {
        out.push_str(before);
        out.push_str(scheme);
        let end = after.find(|c: char| matches!(c, '@' | '>' | ';' | '?' | ',' | '"') || c.is_whitespace());
        let (user, others) = after.split_at(end.unwrap_or(after.len()));
        // A SIP URI without a user names a host.
        let is_user = others.starts_with('@') || scheme.eq_ignore_ascii_case("tel:");
        out.push_str(&if is_user { masked(user) } else { user.to_owned() });
        rest = others;
    }
    out.push_str(rest);
    out
}

/// What stands before the next URI, its scheme, and the rest.
fn next_uri(text: &str) -> Option<(&str, &str, &str)> {
    let scheme_at = |at: usize| {
        let rest = text.get(at..)?;
        let name = ["sips:", "sip:", "tel:"]
            .into_iter()
            .find(|name| rest.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name)))?;
        let inside_a_word = text.get(..at)?.chars().next_back().is_some_and(|c| c.is_alphanumeric());
        (!inside_a_word).then_some(name.len())
    };
    let (at, length) = text.char_indices().find_map(|(at, _)| Some((at, scheme_at(at)?)))?;
    Some((text.get(..at)?, text.get(at..at + length)?, text.get(at + length..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_and_answers_to_passwords_are_crossed_out_in_place() {
        let message = "INVITE sip:1@x SIP/2.0\r\n\
            Authorization: Digest username=\"a\", response=\"6629fae49393a05397450978507c4ef1\", uri=\"sip:x\"\r\n\
            \r\n\
            a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20\r\n\
            k=clear:secret\r\na=sendrecv\r\n";
        let shown = String::from_utf8(redact(message.as_bytes())).unwrap();
        assert_eq!(shown.len(), message.len());
        for gone in ["6629fae4", "WVNfX19z", "secret"] {
            assert!(!shown.contains(gone), "{shown}");
        }
        for kept in ["username=\"a\"", "uri=\"sip:x\"", "AES_CM_128_HMAC_SHA1_80 inline:xxx", "a=sendrecv\r\n"] {
            assert!(shown.contains(kept), "{kept} expected in {shown}");
        }
    }

    #[test]
    fn an_answer_to_a_password_is_crossed_out_wherever_it_stands() {
        for proof in [
            "Authorization: Digest username=\"a\",\r\n response=\"6629fae4\",\r\n\turi=\"sip:x\"\r\n",
            "proxy-authorization:\r\n Digest username=\"response\", uri=\"sip:x\", response = \"6629fae4\"\r\n",
            "Authorization: Basic 6629fae4\r\n",
        ] {
            let message = format!("INVITE sip:1@x SIP/2.0\r\n{proof}Subject: response=plain\r\n folded\r\n\r\n");
            let shown = String::from_utf8(redact(message.as_bytes())).unwrap();
            assert!(!shown.contains("6629fae4") && shown.len() == message.len(), "{shown}");
            assert!(shown.contains("Subject: response=plain\r\n folded\r\n"), "{shown}");
        }
    }

    #[test]
    fn numbers_in_a_text_are_masked_and_hosts_are_not() {
        for (text, shown) in [
            ("INVITE sip:+4930123456@pbx.example SIP/2.0", "INVITE sip:+493*****56@pbx.example SIP/2.0"),
            ("\"Anna\" <SIPS:anna@a.example;x=y>", "\"Anna\" <SIPS:a**a@a.example;x=y>"),
            ("REGISTER sip:pbx.example SIP/2.0", "REGISTER sip:pbx.example SIP/2.0"),
            ("<tel:+4930123456>, <sip:200@x>", "<tel:+493*****56>, <sip:2*0@x>"),
            ("gossip:anna@x", "gossip:anna@x"),
        ] {
            assert_eq!(masked_text(text), shown);
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_or_changes_a_length(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "(sip:|tel:|\\PC){0,40}") {
            prop_assert_eq!(redact(&bytes).len(), bytes.len());
            prop_assert!(masked_text(&text).chars().count() <= text.chars().count());
        }
    }
}
