//! The keys that recordings are sealed to and opened with: X25519 pairs as text of one line.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, Serializable as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::error::{KeyError, RecordingError};

/// The key encapsulation that file keys are wrapped by (RFC 9180, DHKEM(X25519, HKDF-SHA256)).
pub(crate) type KeyWrap = X25519HkdfSha256;

const PUBLIC: &str = "x25519-public:";
const SECRET: &str = "x25519-secret:";

/// Whom a recording is sealed to.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(<KeyWrap as Kem>::PublicKey);

impl PublicKey {
    pub(crate) const fn inner(&self) -> &<KeyWrap as Kem>::PublicKey {
        &self.0
    }

    /// The first eight bytes of the key's SHA-256, by which a recording names whom it is sealed to.
    #[must_use]
    pub fn id(&self) -> [u8; 8] {
        let hash = Sha256::digest(self.0.to_bytes());
        std::array::from_fn(|n| hash[n])
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", STANDARD.encode(self.0.to_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = bytes(text, PUBLIC)?;
        let key = <KeyWrap as Kem>::PublicKey::from_bytes(&bytes[..]).map_err(|_| KeyError::Bytes(PUBLIC))?;
        // Some numbers are nobody's key, zero among them (RFC 7748 6.1): found out here and not in the first call.
        KeyWrap::encap(&key, None).map_err(|_| KeyError::Nobodys)?;
        Ok(Self(key))
    }
}

/// What opens recordings. It never comes near a gateway.
#[derive(Clone)]
pub struct SecretKey(<KeyWrap as Kem>::PrivateKey);

impl SecretKey {
    /// A new pair's secret half.
    ///
    /// # Errors
    /// [`RecordingError::Randomness`] when the operating system gives none.
    pub fn generate() -> Result<Self, RecordingError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut seed[..]).map_err(|error| RecordingError::Randomness(error.to_string()))?;
        Ok(Self(KeyWrap::derive_keypair(&seed[..]).0))
    }

    /// The half that recordings are sealed to.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(KeyWrap::sk_to_pk(&self.0))
    }

    /// The key as one line, to be kept safe.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new(self.0.to_bytes().to_vec());
        let encoded = Zeroizing::new(STANDARD.encode(&bytes[..]));
        Zeroizing::new(format!("{SECRET}{}", *encoded))
    }

    pub(crate) const fn inner(&self) -> &<KeyWrap as Kem>::PrivateKey {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = bytes(text, SECRET)?;
        <KeyWrap as Kem>::PrivateKey::from_bytes(&bytes[..]).map(Self).map_err(|_| KeyError::Bytes(SECRET))
    }
}

fn bytes(text: &str, prefix: &'static str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let encoded = text.trim().strip_prefix(prefix).ok_or(KeyError::Prefix(prefix))?;
    let bytes = STANDARD.decode(encoded).map(Zeroizing::new).map_err(|_| KeyError::Bytes(prefix))?;
    if bytes.len() == 32 { Ok(bytes) } else { Err(KeyError::Bytes(prefix)) }
}

/// A key's id as people read it.
pub(crate) fn hexadecimal(id: &[u8; 8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_one_line_of_text_and_come_back_the_same() {
        let secret = SecretKey::generate().unwrap();
        let again: SecretKey = format!("  {}\n", *secret.to_text()).parse().unwrap();
        assert_eq!(again.public(), secret.public());
        let public: PublicKey = secret.public().to_string().parse().unwrap();
        assert_eq!(public.id(), secret.public().id());
        assert_ne!(SecretKey::generate().unwrap().public(), public);
        assert!(!format!("{secret:?}").contains(&secret.to_text()["x25519-secret:".len()..]));
    }

    #[test]
    fn what_is_no_key_is_refused_by_name() {
        let secret = SecretKey::generate().unwrap();
        let swapped = secret.to_text().parse::<PublicKey>();
        assert_eq!(swapped.unwrap_err(), KeyError::Prefix(PUBLIC));
        let zero = format!("x25519-public:{}", STANDARD.encode([0; 32]));
        assert_eq!(zero.parse::<PublicKey>().unwrap_err(), KeyError::Nobodys);
        assert_eq!("x25519-public:AAAA".parse::<PublicKey>().unwrap_err(), KeyError::Bytes(PUBLIC));
        assert_eq!("x25519-secret:!".parse::<SecretKey>().unwrap_err(), KeyError::Bytes(SECRET));
    }
}
