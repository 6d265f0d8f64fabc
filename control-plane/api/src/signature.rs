//! Ed25519 signatures (RFC 8032) over desired state: the exact text that was sent is what is signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey, Verifier as _, VerifyingKey};
use serde::{Deserialize, Serialize};

/// Why signed text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The key is not one the gateway trusts.
    #[error("signed by unknown key `{0}`; enrol the gateway again or add the key to its trusted keys")]
    UnknownKey(String),
    /// The signature does not match.
    #[error("signature does not match the text; it was changed on the way or signed by another key")]
    Mismatch,
    /// A key or signature is not well-formed.
    #[error("malformed key or signature: {0}")]
    Malformed(&'static str),
}

/// Text with its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Signed {
    /// The text that was signed, byte for byte.
    pub payload: String,
    /// Identifier of the key, see [`key_id`].
    pub key_id: String,
    /// Signature, standard base64.
    pub signature: String,
}

/// A public key a gateway trusts, standard base64 of the 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TrustedKey {
    /// Standard base64 of the 32 bytes.
    pub public: String,
}

/// Short name of a public key: the first 16 hexadecimal digits of its SHA-256.
#[must_use]
pub fn key_id(public: &[u8; 32]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(public).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Lower-case hexadecimal SHA-256 of `bytes`.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Signs `payload` with the 32-byte seed `secret`.
#[must_use]
pub fn sign(secret: &[u8; 32], payload: String) -> Signed {
    let key = SigningKey::from_bytes(secret);
    let signature = STANDARD.encode(key.sign(payload.as_bytes()).to_bytes());
    Signed { payload, key_id: key_id(key.verifying_key().as_bytes()), signature }
}

/// The public key of the 32-byte seed `secret`.
#[must_use]
pub fn public_key(secret: &[u8; 32]) -> TrustedKey {
    TrustedKey { public: STANDARD.encode(SigningKey::from_bytes(secret).verifying_key().as_bytes()) }
}

/// Verifies `signed` against the trusted keys and returns its text.
pub fn verify<'s>(signed: &'s Signed, trusted: &[TrustedKey]) -> Result<&'s str, SignatureError> {
    for key in trusted {
        let bytes = STANDARD.decode(&key.public).map_err(|_| SignatureError::Malformed("trusted key is not base64"))?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| SignatureError::Malformed("trusted key is not 32 bytes"))?;
        if key_id(&bytes) != signed.key_id {
            continue;
        }
        let key =
            VerifyingKey::from_bytes(&bytes).map_err(|_| SignatureError::Malformed("trusted key is not a point"))?;
        let raw =
            STANDARD.decode(&signed.signature).map_err(|_| SignatureError::Malformed("signature is not base64"))?;
        let raw: [u8; 64] = raw.try_into().map_err(|_| SignatureError::Malformed("signature is not 64 bytes"))?;
        let signature = ed25519_dalek::Signature::from_bytes(&raw);
        return match key.verify(signed.payload.as_bytes(), &signature) {
            Ok(()) => Ok(&signed.payload),
            Err(_) => Err(SignatureError::Mismatch),
        };
    }
    Err(SignatureError::UnknownKey(signed.key_id.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_or_a_foreign_key_is_refused() {
        let signed = sign(&[7; 32], "{\"rev\":1}".to_owned());
        let trusted = [public_key(&[7; 32])];
        assert_eq!(verify(&signed, &trusted), Ok("{\"rev\":1}"));
        let changed = Signed { payload: "{\"rev\":2}".to_owned(), ..signed.clone() };
        assert_eq!(verify(&changed, &trusted), Err(SignatureError::Mismatch));
        assert!(matches!(verify(&signed, &[public_key(&[8; 32])]), Err(SignatureError::UnknownKey(_))));
    }
}
