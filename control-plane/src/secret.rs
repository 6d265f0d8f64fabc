//! Keys, tokens and credentials: how they look and how they are stored.
//!
//! A key is shown once. What is stored is HMAC-SHA-256 (RFC 2104) under a pepper that lives beside the database, not
//! in it, so that a copy of the database holds nothing that opens a door. The text carries a checksum, so that a
//! mistyped key is refused without a look-up.

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters of the random part: 43 base-62 digits carry 256 bits.
const BODY: usize = 43;
const CHECK: usize = 6;

/// Why the installation's secrets cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// A secret file cannot be read or written.
    #[error("{path}: {source}; check that the state folder exists and belongs to this user")]
    Io {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// Others may read a secret file.
    #[error("{0}: readable by others; run `chmod 600` on it and consider its secret known")]
    Exposed(PathBuf),
    /// A secret file has the wrong size.
    #[error("{0}: expected exactly 32 bytes; restore it from a backup")]
    Size(PathBuf),
    /// A secret that something depends on is not there.
    #[error(
        "{path} is missing, and the database has tenants whose keys and gateways depend on it; restore it from a \
         backup. If it is lost for good: `(umask 077; head -c 32 /dev/urandom > {path})`, {consequence}"
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// What has to be done after a new one was made.
        consequence: &'static str,
    },
    /// A reference leads to no secret.
    #[error("secret `{reference}`: {why}")]
    Reference {
        /// The reference, as configured.
        reference: String,
        /// What is wrong.
        why: String,
    },
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system: {0}")]
    Random(String),
}

/// What a secret text is for; its prefix says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// REST API key.
    ApiKey,
    /// One-time enrolment token.
    Enrolment,
    /// A gateway's credential on the sync listener.
    Gateway,
}

impl Class {
    /// How texts of this class begin.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::ApiKey => "tl_live_",
            Self::Enrolment => "tl_enrol_",
            Self::Gateway => "tl_gw_",
        }
    }
}

/// Fills an array from the operating system's generator.
pub fn random<const N: usize>() -> Result<[u8; N], SecretError> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(|error| SecretError::Random(error.to_string()))?;
    Ok(bytes)
}

fn base62(bytes: &[u8], digits: usize) -> String {
    let mut number: Vec<u8> = bytes.to_vec();
    let mut text = Vec::with_capacity(digits);
    for _ in 0..digits {
        let mut remainder = 0_u32;
        for byte in &mut number {
            let value = (remainder << 8) | u32::from(*byte);
            *byte = (value / 62) as u8;
            remainder = value % 62;
        }
        text.push(char::from(BASE62[remainder as usize]));
    }
    text.into_iter().rev().collect()
}

fn check(head: &str) -> String {
    base62(&Sha256::digest(head.as_bytes())[..8], CHECK)
}

/// Makes a new secret text: prefix, 256 random bits in base 62, six check characters.
pub fn mint(class: Class) -> Result<String, SecretError> {
    let head = format!("{}{}", class.prefix(), base62(&random::<32>()?, BODY));
    let check = check(&head);
    Ok(head + &check)
}

/// Whether `text` could be a secret of `class`; only such texts are worth a look-up.
#[must_use]
pub fn plausible(class: Class, text: &str) -> bool {
    text.is_ascii()
        && text.len() == class.prefix().len() + BODY + CHECK
        && text.starts_with(class.prefix())
        && text.split_at_checked(text.len() - CHECK).is_some_and(|(head, tail)| check(head) == tail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn minted_keys_differ_and_are_plausible_only_for_their_class() {
        let (one, two) = (mint(Class::ApiKey).unwrap(), mint(Class::ApiKey).unwrap());
        assert_ne!(one, two);
        assert!(plausible(Class::ApiKey, &one) && !plausible(Class::Gateway, &one));
    }

    proptest! {
        #[test]
        fn a_changed_character_is_noticed(index in 8_usize..57, replacement in "[0-9A-Za-z]") {
            let key = mint(Class::ApiKey).unwrap();
            let mut changed = key.clone();
            changed.replace_range(index..=index, &replacement);
            prop_assert_eq!(plausible(Class::ApiKey, &changed), changed == key);
        }

        #[test]
        fn any_text_is_judged_without_panic(text: String) {
            prop_assert!(!plausible(Class::Enrolment, &text));
        }
    }
}
