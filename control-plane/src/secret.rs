//! Keys, tokens and credentials: how they look, how they are stored, and the two secrets of this installation.
//!
//! A key is shown once. What is stored is HMAC-SHA-256 (RFC 2104) under a pepper that lives beside the database, not
//! in it, so that a copy of the database holds nothing that opens a door. The text carries a checksum, so that a
//! mistyped key is refused without a look-up.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac as _};
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
    #[error("{0}: expected exactly 32 bytes; restore it from a backup, or delete it and enrol and issue keys again")]
    Size(PathBuf),
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

/// The two secrets of an installation, in files of mode 0600 in the state folder.
pub struct Keyring {
    pepper: [u8; 32],
    signing: [u8; 32],
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring(..)")
    }
}

impl Keyring {
    /// Reads the secrets from `state`, making those that are missing.
    pub fn open(state: &Path) -> Result<Self, SecretError> {
        Ok(Self { pepper: load(&state.join("pepper.key"))?, signing: load(&state.join("signing.key"))? })
    }

    /// What is stored of a secret text: lower-case hexadecimal HMAC-SHA-256.
    #[must_use]
    pub fn hash(&self, secret: &str) -> String {
        self.mac(b"secret", secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A short authentication tag over `text` for purpose `purpose`.
    #[must_use]
    pub fn tag(&self, purpose: &str, text: &[u8]) -> [u8; 12] {
        let mut tag = [0_u8; 12];
        tag.copy_from_slice(&self.mac(purpose.as_bytes(), text)[..12]);
        tag
    }

    /// The Ed25519 seed that signs desired state.
    #[must_use]
    pub const fn signing_seed(&self) -> &[u8; 32] {
        &self.signing
    }

    fn mac(&self, purpose: &[u8], text: &[u8]) -> [u8; 32] {
        // HMAC takes keys of any length, so this cannot fail; an empty MAC would match nothing stored.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.pepper) else { return [0; 32] };
        mac.update(purpose);
        mac.update(&[0]);
        mac.update(text);
        mac.finalize().into_bytes().into()
    }
}

fn load(path: &Path) -> Result<[u8; 32], SecretError> {
    let io = |source| SecretError::Io { path: path.to_owned(), source };
    match File::open(path) {
        Ok(mut file) => {
            if file.metadata().map_err(io)?.permissions().mode() & 0o077 != 0 {
                return Err(SecretError::Exposed(path.to_owned()));
            }
            let mut bytes = Vec::with_capacity(33);
            (&mut file).take(33).read_to_end(&mut bytes).map_err(io)?;
            bytes.try_into().map_err(|_| SecretError::Size(path.to_owned()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let bytes = random::<32>()?;
            // Written aside and renamed, so that a crash leaves either no secret or a whole one.
            let aside = path.with_extension("new");
            let _ = std::fs::remove_file(&aside);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).map_err(io)?;
            file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(io)?;
            std::fs::rename(&aside, path).map_err(io)?;
            if let Some(folder) = path.parent() {
                File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
            }
            Ok(bytes)
        }
        Err(error) => Err(io(error)),
    }
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

    #[test]
    fn secrets_survive_a_restart_and_exposed_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let first = Keyring::open(folder.path()).unwrap();
        let second = Keyring::open(folder.path()).unwrap();
        assert_eq!(first.hash("x"), second.hash("x"));
        assert_eq!(first.signing_seed(), second.signing_seed());
        let pepper = folder.path().join("pepper.key");
        std::fs::set_permissions(&pepper, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Keyring::open(folder.path()), Err(SecretError::Exposed(path)) if path == pepper));
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
