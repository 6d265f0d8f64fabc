//! Whose plugins are believed: minisign public keys, each with where it came from, and what a signature by one proves.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::{PublicKey, Signature};

/// Most bytes of a key's file; one is 114.
const MAX_KEY: u64 = 4 << 10;
/// Most keys of a folder.
const MAX_KEYS: usize = 256;

/// Why a key is not one to trust.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A folder or file of keys cannot be read.
    #[error("trusted keys: {path} cannot be read: {why}", path = path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// The system's reason.
        why: String,
    },
    /// Not a public key.
    #[error(
        "trusted key {origin} is not a minisign public key: {why}; it must be the .pub file of `minisign -G`, or its second line"
    )]
    NoKey {
        /// The file, or the place in the configuration.
        origin: String,
        /// The reason.
        why: String,
    },
    /// Anyone on this machine could have put the key there.
    #[error("trusted key {path} may be changed by every user of this machine; chmod o-w it", path = path.display())]
    WritableByAll {
        /// The file or its folder.
        path: PathBuf,
    },
}

/// Why a signature proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SignatureFault {
    /// It is by a key that is not trusted here.
    Stranger {
        /// Its id, as minisign shows it.
        key: String,
        /// The keys that are trusted.
        trusted: String,
    },
    /// It is no signature, or not of these bytes.
    Wrong(String),
}

#[derive(Debug, Clone)]
struct TrustedKey {
    id: [u8; 8],
    key: PublicKey,
    origin: String,
}

/// Public keys whose plugins are loaded.
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys(Vec<TrustedKey>);

impl TrustedKeys {
    /// Trusts a key: the text of its `.pub` file or only the second line of it. `origin` names it in messages.
    ///
    /// # Errors
    /// [`TrustError::NoKey`].
    pub fn add(&mut self, text: &str, origin: &str) -> Result<(), TrustError> {
        let no_key = |why: String| TrustError::NoKey { origin: origin.to_owned(), why };
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = lines.rfind(|line| !line.starts_with("untrusted comment:")).unwrap_or_default();
        let key = PublicKey::from_base64(line).map_err(|error| no_key(error.to_string()))?;
        let id = key_id(line).ok_or_else(|| no_key("it is too short".to_owned()))?;
        self.0.push(TrustedKey { id, key, origin: origin.to_owned() });
        Ok(())
    }

    /// Trusts every `*.pub` of a folder; other files are not looked at.
    ///
    /// # Errors
    /// [`TrustError`] names the file that is no key, cannot be read, or could have been put there by anyone.
    pub fn add_folder(&mut self, folder: &Path) -> Result<(), TrustError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |why: std::io::Error| TrustError::Unreadable { path, why: why.to_string() }
        };
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
            let path = entry.map_err(unreadable(folder))?.path();
            if path.extension().is_some_and(|extension| extension == "pub") {
                files.push(path);
            }
        }
        if files.len() > MAX_KEYS {
            let why = format!("it holds {} keys, more than {MAX_KEYS}", files.len());
            return Err(TrustError::Unreadable { path: folder.to_owned(), why });
        }
        files.sort();
        for path in files.iter().map(PathBuf::as_path) {
            for place in [folder, path] {
                // The sticky bit does not help: it keeps others from removing a key, not from adding one.
                if fs::metadata(place).map_err(unreadable(place))?.mode() & 0o002 != 0 {
                    return Err(TrustError::WritableByAll { path: place.to_owned() });
                }
            }
            let bytes = crate::files::read(path, MAX_KEY).map_err(unreadable(path))?;
            let origin = path.display().to_string();
            let no_key = |_| TrustError::NoKey { origin: origin.clone(), why: "it is not text".to_owned() };
            self.add(std::str::from_utf8(&bytes).map_err(no_key)?, &origin)?;
        }
        Ok(())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no key is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `signature`, the text of a `.minisig` file, is by a trusted key and of exactly these bytes.
    pub(crate) fn verify(&self, bytes: &[u8], signature: &str) -> Result<(), SignatureFault> {
        let wrong = |error: minisign_verify::Error| SignatureFault::Wrong(error.to_string());
        let decoded = Signature::decode(signature).map_err(wrong)?;
        let id = signature.lines().nth(1).and_then(key_id).unwrap_or_default();
        let mut outcome = Err(SignatureFault::Stranger { key: shown(id), trusted: self.listed() });
        for trusted in self.0.iter().filter(|trusted| trusted.id == id) {
            outcome = trusted.key.verify(bytes, &decoded, false).map_err(wrong);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    fn listed(&self) -> String {
        let mut list = String::new();
        for trusted in &self.0 {
            let comma = if list.is_empty() { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(list, "{comma}{} of {}", shown(trusted.id), trusted.origin);
        }
        if list.is_empty() { "none".to_owned() } else { list }
    }
}

/// The id in the base64 of a key or signature: eight bytes after the algorithm's two.
fn key_id(base64: &str) -> Option<[u8; 8]> {
    STANDARD.decode(base64.trim()).ok()?.get(2..10)?.try_into().ok()
}

/// An id as minisign prints it.
fn shown(id: [u8; 8]) -> String {
    format!("{:016X}", u64::from_le_bytes(id))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const KEY: &str = "RWRUUlVOS0tFWWmP/rrzZDhlJy2UdTjnvLjMQVuwDUQPhY+BF/iGu2NN";

    #[test]
    fn a_key_is_read_from_its_file_and_from_its_line_alone() {
        let mut keys = TrustedKeys::default();
        keys.add(KEY, "a").unwrap();
        keys.add(&format!("untrusted comment: minisign public key 59454B4B4E555254\n{KEY}\n"), "b").unwrap();
        assert_eq!(keys.listed(), "59454B4B4E555254 of a, 59454B4B4E555254 of b");
        for garbage in ["", "garbage", &KEY[..40], "untrusted comment: only this"] {
            let error = keys.add(garbage, "the third").unwrap_err();
            assert!(matches!(&error, TrustError::NoKey { origin, .. } if origin == "the third"), "{error}");
        }
        assert_eq!(keys.len(), 2);
    }

    #[test]
    fn only_pub_files_of_a_folder_are_read_and_a_bad_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("good.pub"), KEY).unwrap();
        fs::write(folder.path().join("README"), "not a key").unwrap();
        let read = || {
            let mut keys = TrustedKeys::default();
            keys.add_folder(folder.path()).map(|()| keys.len())
        };
        assert_eq!(read(), Ok(1));
        let bad = folder.path().join("bad.pub");
        for garbage in [&b"garbage"[..], b"\xff\xfe", &[b'A'; 8192]] {
            fs::write(&bad, garbage).unwrap();
            assert!(read().unwrap_err().to_string().contains("bad.pub"));
        }
        fs::write(&bad, KEY).unwrap();
        fs::set_permissions(&bad, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(read(), Err(TrustError::WritableByAll { path: bad.clone() }));
        fs::remove_file(&bad).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(read(), Err(TrustError::WritableByAll { path: folder.path().to_owned() }));
        let missing = TrustedKeys::default().add_folder(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/at/all"));
    }
}
