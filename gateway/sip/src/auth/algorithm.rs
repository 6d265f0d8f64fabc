//! The digest itself: hash functions, HA1, and the response over a request (RFC 7616 3.4).

use std::fmt;

use md5::Md5;
use sha2::{Sha256, Sha512_256};
use zeroize::Zeroizing;

/// A hash function of digest authentication. Later is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// MD5 (RFC 2617), for peers that know no other.
    Md5,
    /// SHA-512/256 (RFC 7616).
    Sha512_256,
    /// SHA-256 (RFC 7616, RFC 8760): what every newer peer must know.
    Sha256,
}

impl Algorithm {
    /// Its name in headers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha512_256 => "SHA-512-256",
            Self::Sha256 => "SHA-256",
        }
    }

    /// The algorithm of a name; `None` for one that is not served, session variants (`-sess`) among them.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::Md5, Self::Sha512_256, Self::Sha256].into_iter().find(|known| known.name().eq_ignore_ascii_case(name))
    }

    /// The hash of some text, in lower-case hexadecimal.
    pub(crate) fn hex(self, parts: &[&str]) -> Zeroizing<String> {
        let joined = Zeroizing::new(parts.join(":"));
        match self {
            Self::Md5 => {
                use md5::Digest as _;
                hex(&Md5::digest(joined.as_bytes()))
            }
            Self::Sha256 => {
                use sha2::Digest as _;
                hex(&Sha256::digest(joined.as_bytes()))
            }
            Self::Sha512_256 => {
                use sha2::Digest as _;
                hex(&Sha512_256::digest(joined.as_bytes()))
            }
        }
    }

    /// Characters of a hash in hexadecimal.
    pub(crate) const fn hex_len(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha512_256 | Self::Sha256 => 64,
        }
    }
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}

/// The hash of user, realm and password: as good as the password within its realm, so it is never printed.
#[derive(Clone)]
pub struct Ha1 {
    pub(crate) algorithm: Algorithm,
    pub(crate) hex: Zeroizing<String>,
}

impl Ha1 {
    /// Of a password.
    #[must_use]
    pub fn of(algorithm: Algorithm, user: &str, realm: &str, password: &str) -> Self {
        Self { algorithm, hex: algorithm.hex(&[user, realm, password]) }
    }

    /// Of the hexadecimal text that provisioning systems keep; `None` when its length is not the algorithm's.
    #[must_use]
    pub fn from_hex(algorithm: Algorithm, text: &str) -> Option<Self> {
        let fits = text.len() == algorithm.hex_len() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| Self { algorithm, hex: Zeroizing::new(text.to_ascii_lowercase()) })
    }

    /// Its algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The response over a request with `qop=auth`.
    pub(crate) fn response(&self, method: &str, uri: &str, nonce: &str, nc: &str, cnonce: &str) -> Zeroizing<String> {
        let ha2 = self.algorithm.hex(&[method, uri]);
        self.algorithm.hex(&[&self.hex, nonce, nc, cnonce, "auth", &ha2])
    }

    /// The response to a challenge without `qop` (RFC 2069).
    pub(crate) fn response_without_qop(&self, method: &str, uri: &str, nonce: &str) -> Zeroizing<String> {
        let ha2 = self.algorithm.hex(&[method, uri]);
        self.algorithm.hex(&[&self.hex, nonce, &ha2])
    }
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ha1").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2617 3.5.
    #[test]
    fn the_example_of_rfc_2617_holds() {
        let ha1 = Ha1::of(Algorithm::Md5, "Mufasa", "testrealm@host.com", "Circle Of Life");
        assert_eq!(ha1.hex.as_str(), "939e7578ed9e3c518a452acee763bce9");
        let nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
        let response = ha1.response("GET", "/dir/index.html", nonce, "00000001", "0a4f113b");
        assert_eq!(response.as_str(), "6629fae49393a05397450978507c4ef1");
        let old = ha1.response_without_qop("GET", "/dir/index.html", nonce);
        assert_eq!(old.as_str(), "670fd8c2df070c60b045671b8b24ff02");
    }

    /// RFC 7616 3.9.1.
    #[test]
    fn the_examples_of_rfc_7616_hold() {
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (algorithm, expected) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let ha1 = Ha1::of(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life");
            let response = ha1.response("GET", "/dir/index.html", nonce, "00000001", cnonce);
            assert_eq!(response.as_str(), expected);
        }
    }

    /// RFC 7616 3.9.2 with the response as its erratum 4897 corrects it.
    #[test]
    fn sha_512_256_is_the_hash_of_that_name_and_no_truncated_sha_512() {
        let ha1 = Ha1::of(Algorithm::Sha512_256, "J\u{e4}s\u{f8}n Doe", "api@example.org", "Secret, or not?");
        let (nonce, cnonce) =
            ("5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v");
        let response = ha1.response("GET", "/doe.json", nonce, "00000001", cnonce);
        assert_eq!(response.as_str(), "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5");
    }

    #[test]
    fn a_kept_hash_is_taken_and_never_printed() {
        let ha1 = Ha1::from_hex(Algorithm::Md5, "939E7578ED9E3C518A452ACEE763BCE9").unwrap();
        assert_eq!(ha1.hex.as_str(), "939e7578ed9e3c518a452acee763bce9");
        assert!(!format!("{ha1:?}").contains("939e"));
        assert!(Ha1::from_hex(Algorithm::Sha256, "939e7578ed9e3c518a452acee763bce9").is_none());
        assert!(Ha1::from_hex(Algorithm::Md5, "939e7578ed9e3c518a452acee763bceX").is_none());
        assert_eq!((Algorithm::of("sha-256"), Algorithm::of("MD5-sess")), (Some(Algorithm::Sha256), None));
    }
}
