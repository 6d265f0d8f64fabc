//! The two secrets of an installation: the pepper under which keys are hashed, and the seed that signs desired state.
//!
//! They are made once, at the first start. Later, a secret that is missing is an error: a new one would quietly make
//! every key, token and credential worthless, or every gateway refuse what it is sent.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::config::Secrets;
use crate::secret::{SecretError, random};

/// Longest text that may hold 32 bytes.
const LONGEST: u64 = 256;

/// The two secrets of an installation.
pub struct Keyring {
    pepper: [u8; 32],
    signing: [u8; 32],
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring(..)")
    }
}

/// Whether secrets of the state folder that are not there are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// At the first start.
    Make,
    /// When something depends on them.
    Refuse,
}

impl Keyring {
    /// Reads the secrets from where `from` says, or from `state`.
    pub fn open(state: &Path, from: &Secrets, missing: Missing) -> Result<Self, SecretError> {
        let one = |reference: &Option<String>, file: &str, consequence: &'static str| match reference {
            Some(reference) => referred(reference),
            None => kept(&state.join(file), missing, consequence),
        };
        Ok(Self {
            pepper: one(
                &from.pepper,
                "pepper.key",
                "then make a new admin key with `trunkline-control-plane admin-key`, and enrol every gateway again",
            )?,
            signing: one(&from.signing_key, "signing.key", "then enrol every gateway again")?,
        })
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

/// Whether the configured references lead to secrets. Credentials are left out where systemd gave none: a command typed
/// by hand cannot see those of the service.
pub fn check(from: &Secrets) -> Result<(), SecretError> {
    let seen = |reference: &&String| {
        !reference.starts_with("credential:") || std::env::var_os("CREDENTIALS_DIRECTORY").is_some()
    };
    let references = [&from.pepper, &from.signing_key].into_iter().flatten();
    references.filter(seen).try_for_each(|reference| referred(reference).map(drop))
}

/// A secret file of the state folder.
fn kept(path: &Path, missing: Missing, consequence: &'static str) -> Result<[u8; 32], SecretError> {
    let io = |source| SecretError::Io { path: path.to_owned(), source };
    match read(path, 0o077) {
        Err(SecretError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
        read => {
            let bytes = read?;
            return bytes.try_into().map_err(|_| SecretError::Size(path.to_owned()));
        }
    }
    if missing == Missing::Refuse {
        return Err(SecretError::Missing { path: path.to_owned(), consequence });
    }
    if trunkline_state_folder::create(path, &random::<32>()?).map_err(io)? {
        tracing::info!(path = %path.display(), "made a secret; keep a backup of it");
    }
    // Read back: another process may have been first.
    read(path, 0o077)?.try_into().map_err(|_| SecretError::Size(path.to_owned()))
}

fn read(path: &Path, exposed: u32) -> Result<Vec<u8>, SecretError> {
    let io = |source| SecretError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.permissions().mode() & exposed != 0 {
        return Err(SecretError::Exposed(path.to_owned()));
    }
    let mut bytes = Vec::new();
    (&mut file).take(LONGEST).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

/// A secret from a file, a systemd credential or a variable.
fn referred(reference: &str) -> Result<[u8; 32], SecretError> {
    let refused = |why: &str| SecretError::Reference { reference: reference.to_owned(), why: why.to_owned() };
    let bytes =
        match reference.split_once(':') {
            // A group may read it: that is how a package hands a file to a service.
            Some(("file", path)) => read(Path::new(path), 0o007)?,
            Some(("credential", name)) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY");
                let folder = folder.ok_or_else(|| refused(
                "systemd gave this process no credentials; run the command with them (`systemd-run --pipe --wait \
                 --property=LoadCredential=...`), or use the REST API",
            ))?;
                read(&PathBuf::from(folder).join(name), 0o007)?
            }
            Some(("env", name)) => {
                std::env::var_os(name).ok_or_else(|| refused("the variable is not set"))?.into_encoded_bytes()
            }
            _ => return Err(refused("it is no reference")),
        };
    thirty_two(&bytes).ok_or_else(|| refused("expected 32 bytes, raw, as 64 hexadecimal digits or as base64"))
}

fn thirty_two(bytes: &[u8]) -> Option<[u8; 32]> {
    if let Ok(raw) = bytes.try_into() {
        return Some(raw);
    }
    let text = std::str::from_utf8(bytes).ok()?.trim();
    if text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        let bytes = (0..32).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok());
        return bytes.collect::<Option<Vec<u8>>>()?.try_into().ok();
    }
    [STANDARD, URL_SAFE].iter().find_map(|base64| base64.decode(text).ok()?.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path, missing: Missing) -> Result<Keyring, SecretError> {
        Keyring::open(folder, &Secrets::default(), missing)
    }

    #[test]
    fn secrets_survive_a_restart_and_exposed_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path(), Missing::Make).unwrap();
        let second = open(folder.path(), Missing::Refuse).unwrap();
        assert_eq!(first.hash("x"), second.hash("x"));
        assert_eq!(first.signing_seed(), second.signing_seed());
        let pepper = folder.path().join("pepper.key");
        std::fs::set_permissions(&pepper, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(open(folder.path(), Missing::Make), Err(SecretError::Exposed(path)) if path == pepper));
    }

    #[test]
    fn a_secret_that_something_depends_on_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), Missing::Make).unwrap();
        for file in ["pepper.key", "signing.key"].map(|name| folder.path().join(name)) {
            let bytes = std::fs::read(&file).unwrap();
            std::fs::remove_file(&file).unwrap();
            let error = open(folder.path(), Missing::Refuse).unwrap_err().to_string();
            assert!(error.contains(file.to_str().unwrap()) && error.contains("backup"), "{error}");
            assert!(!file.exists());
            trunkline_state_folder::replace(&file, &bytes).unwrap();
        }
        std::fs::write(folder.path().join("pepper.key"), "short").unwrap();
        assert!(matches!(open(folder.path(), Missing::Make), Err(SecretError::Size(_))));
    }

    #[test]
    fn a_reference_gives_the_same_secret_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("seed");
        let reference = format!("file:{}", file.display());
        let hexadecimal = "a7".repeat(32);
        for text in [vec![0xa7; 32], format!("{hexadecimal}\n").into_bytes(), STANDARD.encode([0xa7; 32]).into_bytes()]
        {
            trunkline_state_folder::replace(&file, &text).unwrap();
            assert_eq!(referred(&reference).unwrap(), [0xa7; 32]);
        }
        trunkline_state_folder::replace(&file, b"too short").unwrap();
        assert!(matches!(referred(&reference), Err(SecretError::Reference { .. })));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o604)).unwrap();
        assert!(matches!(referred(&reference), Err(SecretError::Exposed(_))));
        let from = Secrets { signing_key: Some("env:TRUNKLINE_TEST_NOWHERE".to_owned()), pepper: None };
        let error = Keyring::open(folder.path(), &from, Missing::Make).unwrap_err().to_string();
        assert!(error.contains("env:TRUNKLINE_TEST_NOWHERE"), "{error}");
    }
}
