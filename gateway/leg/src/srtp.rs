//! What was agreed on for encrypted media: suites and master keys as SDES carries them (RFC 4568, RFC 7714).

use std::fmt;

use zeroize::Zeroizing;

/// The longest master key with its salt, in bytes.
pub const MAX_MASTER_KEY: usize = 44;

/// SRTP crypto suites, by their names in `a=crypto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SrtpSuite {
    /// AES-256 in Galois/counter mode (RFC 7714).
    AeadAes256Gcm,
    /// AES-128 in Galois/counter mode (RFC 7714).
    AeadAes128Gcm,
    /// AES-128 in counter mode, tags of 80 bits (RFC 4568 6.2.1).
    AesCm128HmacSha1_80,
    /// The same with tags of 32 bits on sound, and 80 on RTCP (RFC 4568 6.2.2).
    AesCm128HmacSha1_32,
}

impl SrtpSuite {
    /// Every suite, in the order in which we offer them.
    pub const ALL: [Self; 4] =
        [Self::AeadAes256Gcm, Self::AeadAes128Gcm, Self::AesCm128HmacSha1_80, Self::AesCm128HmacSha1_32];

    /// The name in `a=crypto`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    /// The suite of a name, ignoring case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name))
    }

    /// Bytes of the master key.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            Self::AeadAes128Gcm | Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 16,
        }
    }

    /// Bytes of the master salt, which follows the key.
    #[must_use]
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm | Self::AeadAes128Gcm => 12,
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 14,
        }
    }

    /// Bytes of key and salt together.
    #[must_use]
    pub const fn master_len(self) -> usize {
        self.key_len() + self.salt_len()
    }
}

/// A master key and its salt. Never printed, and wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    bytes: Zeroizing<[u8; MAX_MASTER_KEY]>,
    key: usize,
    end: usize,
}

impl MasterKey {
    /// The key that `bytes` hold for `suite`: key, then salt. `None` for another length.
    #[must_use]
    pub fn new(suite: SrtpSuite, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != suite.master_len() {
            return None;
        }
        let mut own = Zeroizing::new([0; MAX_MASTER_KEY]);
        own.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { bytes: own, key: suite.key_len(), end: bytes.len() })
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.bytes[..self.key]
    }

    /// The salt.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.bytes[self.key..self.end]
    }

    /// Key and salt, as `a=crypto` carries them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.end]
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// Our master keys of one call, one for each suite, so that no key is ever used with two.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpKeys(Zeroizing<[u8; Self::RANDOM]>);

impl SrtpKeys {
    /// Bytes of randomness that they are made of.
    pub const RANDOM: usize = 132;

    /// Keys made of `random` bytes, which must come from a source fit for keys and serve one call only.
    #[must_use]
    pub fn from_random(random: [u8; Self::RANDOM]) -> Self {
        Self(Zeroizing::new(random))
    }

    /// The key for `suite`.
    #[must_use]
    pub fn key(&self, suite: SrtpSuite) -> Option<MasterKey> {
        let mut rest = &self.0[..];
        for other in SrtpSuite::ALL {
            let (bytes, behind) = rest.split_at_checked(other.master_len())?;
            if other == suite {
                return MasterKey::new(suite, bytes);
            }
            rest = behind;
        }
        None
    }
}

impl fmt::Debug for SrtpKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SrtpKeys(..)")
    }
}

/// SRTP as agreed on for a leg: one suite, a key for each direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrtpSpec {
    /// The suite, the same both ways.
    pub suite: SrtpSuite,
    /// Our key: what we send is protected with it.
    pub send: MasterKey,
    /// Theirs: what they send is.
    pub receive: MasterKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_length_of_their_suite_and_are_never_printed() {
        for suite in SrtpSuite::ALL {
            assert_eq!(SrtpSuite::from_name(&suite.name().to_lowercase()), Some(suite));
            let bytes = vec![0xa5; suite.master_len()];
            let key = MasterKey::new(suite, &bytes).unwrap();
            assert_eq!((key.key().len(), key.salt().len()), (suite.key_len(), suite.salt_len()));
            assert_eq!(key.bytes(), bytes);
            assert_eq!(MasterKey::new(suite, &bytes[1..]), None);
            let spec = SrtpSpec { suite, send: key.clone(), receive: key };
            let printed = format!("{spec:?}");
            assert!(!printed.contains("165") && !printed.to_lowercase().contains("a5"), "{printed}");
        }
        assert_eq!(SrtpSuite::from_name("F8_128_HMAC_SHA1_80"), None);
    }

    #[test]
    fn every_suite_has_a_key_of_its_own() {
        assert_eq!(SrtpKeys::RANDOM, SrtpSuite::ALL.iter().map(|suite| suite.master_len()).sum());
        let keys = SrtpKeys::from_random(std::array::from_fn(|n| n as u8));
        let mut seen = Vec::new();
        for suite in SrtpSuite::ALL {
            seen.extend_from_slice(keys.key(suite).unwrap().bytes());
        }
        assert_eq!(seen, (0..132).collect::<Vec<u8>>());
        assert_eq!(format!("{keys:?}"), "SrtpKeys(..)");
    }
}
