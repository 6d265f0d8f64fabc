//! A peer's HA1 as it lies in configuration and desired state: sealed to the gateway's key, since whoever has it can
//! register in the peer's name.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use zeroize::Zeroizing;

use super::algorithm::{Algorithm, Ha1};

const BEGIN: &str = "sealed-ha1:1:";
/// Bytes of the nonce before the sealed text, and of the tag behind it.
const NONCE: usize = 12;
const TAG: usize = 16;

/// `sealed-ha1:1:SHA-256:` and base 64: ChaCha20-Poly1305 over the HA1, bound to user, realm and algorithm.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedHa1 {
    algorithm: Algorithm,
    bytes: Vec<u8>,
}

/// Why an HA1 cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The text is none.
    #[error("it is no sealed HA1; expected `sealed-ha1:1:`, an algorithm and base 64")]
    Shape,
    /// Another key, user or realm, or damaged.
    #[error("it was sealed with another key, for another user or realm, or it is damaged; seal it again")]
    Key,
}

impl SealedHa1 {
    /// Seals an HA1. `random` must never repeat for a key.
    ///
    /// # Errors
    /// [`SealError::Key`], which does not happen with a text this short.
    pub fn seal(ha1: &Ha1, user: &str, realm: &str, key: &[u8; 32], random: [u8; NONCE]) -> Result<Self, SealError> {
        let aad = bound(ha1.algorithm, user, realm);
        let payload = Payload { msg: ha1.hex.as_bytes(), aad: &aad };
        let sealed = cipher(key).encrypt(&random.into(), payload).map_err(|_| SealError::Key)?;
        Ok(Self { algorithm: ha1.algorithm, bytes: [random.as_slice(), &sealed].concat() })
    }

    /// Opens it for the user and realm it was sealed for.
    ///
    /// # Errors
    /// [`SealError::Key`].
    pub fn open(&self, user: &str, realm: &str, key: &[u8; 32]) -> Result<Ha1, SealError> {
        let (random, sealed) = self.bytes.split_first_chunk::<NONCE>().ok_or(SealError::Shape)?;
        let aad = bound(self.algorithm, user, realm);
        let payload = Payload { msg: sealed, aad: &aad };
        let opened = cipher(key).decrypt(&(*random).into(), payload).map_err(|_| SealError::Key)?;
        let opened = Zeroizing::new(opened);
        std::str::from_utf8(&opened).ok().and_then(|hex| Ha1::from_hex(self.algorithm, hex)).ok_or(SealError::Key)
    }
}

fn cipher(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&(*key).into())
}

/// Lengths first, so that no user and realm can pass for others.
fn bound(algorithm: Algorithm, user: &str, realm: &str) -> Vec<u8> {
    format!("{}:{}:{user}:{}:{realm}", algorithm.name(), user.len(), realm.len()).into_bytes()
}

impl FromStr for SealedHa1 {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let (algorithm, bytes) =
            text.strip_prefix(BEGIN).and_then(|rest| rest.split_once(':')).ok_or(SealError::Shape)?;
        let algorithm = Algorithm::of(algorithm).ok_or(SealError::Shape)?;
        let bytes = STANDARD_NO_PAD.decode(bytes).map_err(|_| SealError::Shape)?;
        let length = NONCE + algorithm.hex_len() + TAG;
        (bytes.len() == length).then_some(Self { algorithm, bytes }).ok_or(SealError::Shape)
    }
}

impl fmt::Display for SealedHa1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{BEGIN}{}:{}", self.algorithm.name(), STANDARD_NO_PAD.encode(&self.bytes))
    }
}

impl fmt::Debug for SealedHa1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedHa1({})", self.algorithm.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_hash_opens_with_its_key_for_its_user_and_realm_only() {
        let ha1 = Ha1::of(Algorithm::Sha256, "alice", "pbx", "secret");
        let sealed = SealedHa1::seal(&ha1, "alice", "pbx", &[1; 32], [9; 12]).unwrap();
        let text = sealed.to_string();
        assert!(text.starts_with("sealed-ha1:1:SHA-256:") && !text.contains(ha1.hex.as_str()));
        let read: SealedHa1 = text.parse().unwrap();
        assert_eq!(read.open("alice", "pbx", &[1; 32]).unwrap().hex, ha1.hex);
        for (user, realm, key) in [("bob", "pbx", 1), ("alice", "sip", 1), ("alice", "pbx", 2), ("alice:3", "pbx", 1)] {
            assert_eq!(read.open(user, realm, &[key; 32]).unwrap_err(), SealError::Key);
        }
        for wrong in ["", "sealed-ha1:1:SHA-256:AAAA", "sealed-ha1:2:MD5:", &text.replace("SHA-256", "MD5")] {
            assert_eq!(wrong.parse::<SealedHa1>(), Err(SealError::Shape), "{wrong}");
        }
    }
}
