//! Signs built plugins with a minisign key, so that a gateway loads them without being told to trust everything.
//!
//! Keys are read and made by the `minisign` crate. The signature itself is made here, because that crate mixes random
//! bytes into every one: here the nonce comes from key and message alone (RFC 8032 5.1.6), so that two builds of one
//! commit with one key are the same bytes.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blake2::{Blake2b512, Digest as _};
use ed25519_dalek::Signer as _;
use minisign::{KeyPair, PublicKey, SecretKey, SecretKeyBox};

use super::{Manifest, hex_digest, write_if_changed};

/// A minisign signature of a BLAKE2b-512 digest: what every minisign since 0.8 makes.
const PREHASHED: &[u8; 2] = b"ED";
/// Where the key's seed lies in minisign's binary form: after three algorithm names, salt, two limits and the key's id.
const SEED: std::ops::Range<usize> = 62..94;

/// A key that signs.
pub(crate) struct SigningKey {
    id: [u8; 8],
    key: ed25519_dalek::SigningKey,
    public: PublicKey,
}

impl SigningKey {
    /// Reads a secret key as `minisign -G` writes it; one with a password needs it.
    ///
    /// # Errors
    /// When the file is no secret key, or the password is missing or wrong.
    pub(crate) fn read(file: &Path, password: Option<String>) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read the key {}", file.display()))?;
        Self::parse(&text, password).with_context(|| format!("the key {}", file.display()))
    }

    fn parse(text: &str, password: Option<String>) -> Result<Self> {
        let secret = match password {
            // An empty password is what a script gives for a key without one.
            Some(password) if !password.is_empty() => {
                SecretKeyBox::from_string(text)?.into_secret_key(Some(password))?
            }
            _ => unencrypted(text).context(
                "is no minisign secret key without a password; give its password, or make one with `minisign -G -W`",
            )?,
        };
        Self::of(&secret)
    }

    fn of(secret: &SecretKey) -> Result<Self> {
        let bytes = secret.to_bytes();
        let seed = bytes.get(SEED).and_then(|seed| seed.try_into().ok()).context("the key is cut short")?;
        let id = secret.keynum().try_into()?;
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        let public = PublicKey::from_secret_key(secret)?;
        ensure!(public.to_bytes().ends_with(key.verifying_key().as_bytes()), "the halves of the key are of two keys");
        Ok(Self { id, key, public })
    }

    /// The key of this target directory, made once: `signing/development.key`, which only its owner may read, and
    /// beside it the folder whose keys the demo's and the tests' gateways trust.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(crate) fn development(target_dir: &Path) -> Result<Self> {
        let folder = target_dir.join("signing");
        let file = folder.join("development.key");
        fs::create_dir_all(trusted_dir(target_dir))?;
        if !file.exists() {
            let secret = KeyPair::generate_unencrypted_keypair()?.sk;
            let text = secret.to_box(Some("Trunkline development key, of this machine only"))?.into_string();
            put_once(&file, &text)?;
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        let key = Self::read(&file, None)?;
        let public = key.public_file()?;
        write_if_changed(&folder.join("development.pub"), public.as_bytes())?;
        write_if_changed(&trusted_dir(target_dir).join("development.pub"), public.as_bytes())?;
        Ok(key)
    }

    /// The text of the `.pub` file.
    ///
    /// # Errors
    /// Never for a key that was read.
    pub(crate) fn public_file(&self) -> Result<String> {
        Ok(self.public.to_box()?.into_string())
    }

    /// The text of the `.minisig` file for `bytes`; the trusted comment is signed too.
    ///
    /// # Errors
    /// When the comment is not one line.
    pub(crate) fn signature(&self, bytes: &[u8], trusted_comment: &str) -> Result<String> {
        ensure!(!trusted_comment.contains(['\n', '\r']), "a trusted comment is one line");
        let signature = self.key.sign(&Blake2b512::digest(bytes)).to_bytes();
        let global = self.key.sign(&[&signature[..], trusted_comment.as_bytes()].concat()).to_bytes();
        let line = [&PREHASHED[..], &self.id, &signature].concat();
        Ok(format!(
            "untrusted comment: signature from Trunkline's build\n{}\ntrusted comment: {trusted_comment}\n{}\n",
            STANDARD.encode(line),
            STANDARD.encode(global)
        ))
    }
}

/// A key without a password. Not by the crate's own way, which insists on a checksum that minisign itself leaves out of
/// such keys; that its halves belong together is seen to later.
fn unencrypted(text: &str) -> Option<SecretKey> {
    let bytes = STANDARD.decode(text.lines().nth(1)?.trim()).ok()?;
    // The second of three algorithm names: how the rest was encrypted.
    if bytes.get(2..4)? != [0, 0] {
        return None;
    }
    SecretKey::from_bytes(&bytes).ok()
}

/// The folder of public keys that the demo's and the tests' gateways trust.
pub(crate) fn trusted_dir(target_dir: &Path) -> PathBuf {
    target_dir.join("signing/trusted")
}

/// Signs every plugin of a folder of built plugins, whatever signature they had.
///
/// # Errors
/// When a manifest does not name the very files beside it: a signature would vouch for something else.
pub(crate) fn sign(plugins: &Path, key: &SigningKey) -> Result<()> {
    let entries = fs::read_dir(plugins).with_context(|| format!("no plugins in {}", plugins.display()))?;
    let mut signed = 0;
    for entry in entries {
        let folder = entry?.path();
        if folder.join("plugin.toml").is_file() {
            sign_plugin(&folder, key).with_context(|| format!("signing {}", folder.display()))?;
            signed += 1;
        }
    }
    ensure!(signed > 0, "{} holds no plugin", plugins.display());
    Ok(())
}

/// Signs one built plugin.
pub(super) fn sign_plugin(folder: &Path, key: &SigningKey) -> Result<()> {
    let text = fs::read_to_string(folder.join("plugin.toml"))?;
    let manifest: Manifest = toml::from_str(&text)?;
    let files = [("plugin.wasm", &manifest.sha256), (manifest.settings.schema.as_str(), &manifest.settings.sha256)];
    for (name, expected) in files {
        let found = hex_digest(&fs::read(folder.join(name)).with_context(|| name.to_owned())?);
        ensure!(found == *expected, "the manifest names another {name}: its SHA-256 is {found}, not {expected}");
    }
    let comment = format!("plugin {} {}", manifest.name, manifest.version);
    let signature = key.signature(text.as_bytes(), &comment)?;
    write_if_changed(&folder.join("plugin.toml.minisig"), signature.as_bytes())?;
    Ok(())
}

/// Writes a file that only its owner may read, unless another process was faster.
fn put_once(file: &Path, text: &str) -> Result<()> {
    let fresh = file.with_extension(format!("new-{}", std::process::id()));
    let _ = fs::remove_file(&fresh);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(&fresh)?.write_all(text.as_bytes())?;
    let linked = fs::hard_link(&fresh, file);
    fs::remove_file(&fresh)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(anyhow!(error).context(format!("cannot write {}", file.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
mod tests {
    use super::*;

    fn key() -> (SigningKey, PublicKey) {
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        (SigningKey::of(&pair.sk).unwrap(), pair.pk)
    }

    fn verifies(public: &PublicKey, bytes: &[u8], signature: &str) -> bool {
        let signature = minisign::SignatureBox::from_string(signature).unwrap();
        minisign::verify(public, &signature, std::io::Cursor::new(bytes), true, false, false).is_ok()
    }

    #[test]
    fn minisign_itself_accepts_a_signature_for_exactly_its_bytes() {
        let (key, public) = key();
        let signature = key.signature(b"a manifest", "plugin x 1.0.0").unwrap();
        assert!(verifies(&public, b"a manifest", &signature));
        assert!(!verifies(&public, b"a manifesT", &signature));
        let comment = signature.replace("plugin x 1.0.0", "plugin x 9.9.9");
        assert!(!verifies(&public, b"a manifest", &comment), "the trusted comment is signed too");
        assert!(!verifies(&self::key().1, b"a manifest", &signature));
    }

    #[test]
    fn one_key_signs_the_same_bytes_the_same_way_every_time() {
        let (key, _) = key();
        assert_eq!(key.signature(b"x", "c").unwrap(), key.signature(b"x", "c").unwrap());
        assert!(key.signature(b"x", "two\nlines").is_err());
    }

    #[test]
    fn a_key_with_a_password_is_read_with_it_and_refused_without() {
        let pair = KeyPair::generate_encrypted_keypair(Some("correct".to_owned())).unwrap();
        let text = pair.sk.to_box(None).unwrap().into_string();
        assert!(SigningKey::parse(&text, None).is_err());
        assert!(SigningKey::parse(&text, Some("wrong".to_owned())).is_err());
        let key = SigningKey::parse(&text, Some("correct".to_owned())).unwrap();
        assert!(verifies(&pair.pk, b"x", &key.signature(b"x", "c").unwrap()));
        assert!(SigningKey::parse("garbage", None).is_err());
    }

    #[test]
    fn a_key_without_a_password_is_read_as_minisign_writes_it_without_a_checksum() {
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        let text = pair.sk.to_box(None).unwrap().into_string();
        let mut bytes = STANDARD.decode(text.lines().nth(1).unwrap()).unwrap();
        let checksum = bytes.len() - 32;
        bytes[checksum..].fill(0);
        let minisigns = format!("untrusted comment: minisign encrypted secret key\n{}\n", STANDARD.encode(&bytes));
        for text in [&text, &minisigns] {
            let key = SigningKey::parse(text, None).unwrap();
            assert!(verifies(&pair.pk, b"x", &key.signature(b"x", "c").unwrap()));
        }
        bytes[100] ^= 1;
        let damaged = format!("untrusted comment: x\n{}\n", STANDARD.encode(&bytes));
        assert!(SigningKey::parse(&damaged, None).is_err());
    }

    #[test]
    fn the_development_key_is_made_once_and_only_its_owner_may_read_it() {
        let target = std::env::temp_dir().join(format!("trunkline-signing-{}", std::process::id()));
        let first = SigningKey::development(&target).unwrap().public_file().unwrap();
        let file = target.join("signing/development.key");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let second = SigningKey::development(&target).unwrap().public_file().unwrap();
        assert_eq!(first, second);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(trusted_dir(&target).join("development.pub")).unwrap(), first);
        fs::remove_dir_all(&target).unwrap();
    }

    #[test]
    fn a_plugin_is_signed_only_when_its_manifest_names_the_files_beside_it() {
        let plugins = std::env::temp_dir().join(format!("trunkline-sign-{}", std::process::id()));
        let folder = plugins.join("x");
        fs::create_dir_all(&folder).unwrap();
        let text = format!(
            "name = \"x\"\nversion = \"1.0.0\"\nworld = \"w\"\nlicense = \"MIT\"\nsha256 = \"{}\"\ndescription = \"\"\n\
             [capabilities]\nhosts = []\nsecrets = []\nactions = []\n\
             [limits]\nmemory_mib = 1\ndeadline_ms = 1\nheavy = false\n\
             [settings]\nschema = \"s.json\"\nsha256 = \"{}\"\n",
            hex_digest(b"component"),
            hex_digest(b"{}")
        );
        fs::write(folder.join("plugin.toml"), &text).unwrap();
        fs::write(folder.join("plugin.wasm"), "component").unwrap();
        fs::write(folder.join("s.json"), "{}").unwrap();
        let (key, public) = key();
        sign(&plugins, &key).unwrap();
        let signature = fs::read_to_string(folder.join("plugin.toml.minisig")).unwrap();
        assert!(verifies(&public, text.as_bytes(), &signature));
        fs::write(folder.join("s.json"), "{ }").unwrap();
        assert!(format!("{:#}", sign(&plugins, &key).unwrap_err()).contains("another s.json"));
        fs::remove_dir_all(&plugins).unwrap();
    }
}
