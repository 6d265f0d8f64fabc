//! `a=crypto` (RFC 4568): which of the far end's keys can be used, and how ours are written.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sdp_types::Media;
use trunkline_leg::{MasterKey, SrtpKeys, SrtpSuite};
use zeroize::Zeroizing;

use crate::payload::printable;

/// Most `a=crypto` lines read.
const MAX_LINES: usize = 16;
/// How a key stands in a line, in upper or lower case.
const INLINE: &str = "inline:";
/// Most digits of a tag.
const MAX_TAG: usize = 9;

/// Keys are of whole bytes, so that padding says nothing; some leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What we say and take of SRTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSrtp {
    /// Plain media is refused. Else media is encrypted when the far end offers it.
    pub required: bool,
    /// Our keys.
    pub keys: SrtpKeys,
}

/// A line that we can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crypto {
    pub(crate) tag: u32,
    pub(crate) suite: SrtpSuite,
    pub(crate) key: MasterKey,
}

/// The most preferred line that can be used; the one who wrote them put it first (RFC 4568 5.1.1).
pub(crate) fn usable(media: &Media) -> Option<Crypto> {
    all_usable(media).next()
}

/// Every line that can be used, in its order.
pub(crate) fn all_usable(media: &Media) -> impl Iterator<Item = Crypto> {
    lines(media).filter_map(parse)
}

/// The suites that were offered, for an operator.
pub(crate) fn describe(media: &Media) -> String {
    let names: Vec<String> =
        lines(media).map(|line| printable(line.split_ascii_whitespace().nth(1).unwrap_or("?"))).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Writes a line of ours.
pub(crate) fn write(text: &mut String, crypto: &Crypto) {
    let key = Zeroizing::new(BASE64.encode(crypto.key.bytes()));
    let _ = write!(text, "a=crypto:{} {} inline:{}\r\n", crypto.tag, crypto.suite.name(), *key);
}

/// The description with its keys left out, for whoever prints it.
#[must_use]
pub fn redacted(sdp: &str) -> String {
    let mut text = String::with_capacity(sdp.len());
    for line in sdp.split_inclusive('\n') {
        let method = |window: &[u8]| window.eq_ignore_ascii_case(INLINE.as_bytes());
        // It is ASCII, so that it begins where a character does.
        match line.as_bytes().windows(INLINE.len()).position(method).and_then(|at| line.get(..at)) {
            Some(head) => text.push_str(&format!("{head}{INLINE}..\r\n")),
            None => text.push_str(line),
        }
    }
    text
}

fn lines(media: &Media) -> impl Iterator<Item = &str> {
    media
        .attributes
        .iter()
        .filter(|attribute| attribute.attribute.eq_ignore_ascii_case("crypto"))
        .filter_map(|attribute| attribute.value.as_deref())
        .take(MAX_LINES)
}

/// `<tag> <suite> inline:<key>[|<lifetime>] [<session parameter> ..]`. What asks for an MKI, several keys, key derivation
/// or less protection than the suite's is none of ours.
fn parse(line: &str) -> Option<Crypto> {
    let mut words = line.split_ascii_whitespace();
    let tag = words.next().filter(|tag| tag.len() <= MAX_TAG && tag.bytes().all(|byte| byte.is_ascii_digit()))?;
    let tag = tag.parse().ok()?;
    let suite = SrtpSuite::from_name(words.next()?)?;
    let parameters = words.next()?;
    // Window size hints bind nobody, and a leading dash marks what may be left out (RFC 4568 6.3.7).
    if !words.all(|word| word.starts_with("WSH=") || word.starts_with('-')) {
        return None;
    }
    let (method, info) = parameters.split_once(':')?;
    if !method.eq_ignore_ascii_case("inline") || info.contains(';') {
        return None;
    }
    let mut fields = info.split('|');
    let key = fields.next()?;
    match (fields.next(), fields.next()) {
        (None, None) => {}
        (Some(lifetime), None) if is_lifetime(lifetime) => {}
        _ => return None,
    }
    let mut bytes = Zeroizing::new([0; 64]);
    let length = BASE64.decode_slice(key, &mut bytes[..]).ok()?;
    let key = MasterKey::new(suite, bytes.get(..length)?)?;
    Some(Crypto { tag, suite, key })
}

/// `2^20` or a number of packets.
fn is_lifetime(text: &str) -> bool {
    let number = text.strip_prefix("2^").unwrap_or(text);
    (1..=15).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4568 4.1 and 9.1: keys as the standard's examples write them.
    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    #[test]
    fn lines_of_the_standard_and_of_peers_are_read() {
        for line in [
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1048576 WSH=64 -x"),
            format!("1 aes_cm_128_hmac_sha1_80 INLINE:{KEY}"),
        ] {
            let crypto = parse(&line).unwrap();
            assert_eq!((crypto.tag, crypto.suite), (1, SrtpSuite::AesCm128HmacSha1_80), "{line}");
            assert_eq!(crypto.key.bytes(), b"YS___semctl () {\t220;}\n}\nunles");
            let mut again = String::new();
            write(&mut again, &crypto);
            assert_eq!(again, format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\r\n"));
        }
        let padded = parse("12 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==").unwrap();
        let bare = parse("12 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw").unwrap();
        assert_eq!((padded.key.salt(), padded.key.key()), (bare.key.salt(), bare.key.key()));
        assert_eq!(padded.key.salt(), (16..28).collect::<Vec<u8>>());
    }

    #[test]
    fn lines_that_ask_for_more_or_less_than_the_suite_are_passed_over() {
        for line in [
            String::new(),
            format!("x AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1234567890 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 F8_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AEAD_AES_128_GCM inline:{KEY}"),
            "1 AES_CM_128_HMAC_SHA1_80".to_owned(),
            "1 AES_CM_128_HMAC_SHA1_80 inline:".to_owned(),
            "1 AES_CM_128_HMAC_SHA1_80 inline:!!!!".to_owned(),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{}", "A".repeat(400)),
            format!("1 AES_CM_128_HMAC_SHA1_80 uri:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY};inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} KDR=1"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNAUTHENTICATED_SRTP"),
        ] {
            assert_eq!(parse(&line), None, "{line}");
        }
    }

    #[test]
    fn a_printed_description_has_no_key() {
        let sdp = format!("v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20\r\na=sendrecv\r\n");
        let printed = redacted(&sdp);
        assert_eq!(printed, "v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:..\r\na=sendrecv\r\n");
        let shouted = redacted(&sdp.replace("inline:", "InLine:"));
        assert!(!shouted.contains(KEY) && shouted.ends_with("a=sendrecv\r\n"), "{shouted}");
    }
}
