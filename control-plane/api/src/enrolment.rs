//! The text an operator carries from the control plane to a gateway: a secret good for one enrolment, and the
//! fingerprint by which the gateway knows the control plane before it says the secret.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that every certificate of a control plane's own authority carries, so that a gateway that pinned the
/// authority's key reaches it under any address.
pub const CONTROL_PLANE_NAME: &str = "control-plane.trunkline.internal";

/// SHA-256 over the DER of a certificate authority's SubjectPublicKeyInfo (RFC 7469 2.4); 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Fingerprint(pub [u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 64 hexadecimal digits; copy the token whole")]
pub struct FingerprintError;

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digits: Vec<u8> = text
            .chars()
            .map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok()))
            .collect::<Option<_>>()
            .ok_or(FingerprintError)?;
        let mut bytes = [0; 32];
        if digits.len() != 64 {
            return Err(FingerprintError);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |value, digit| (value << 4) | digit);
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = FingerprintError;

    fn try_from(text: String) -> Result<Self, FingerprintError> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// An enrolment token as handed over: `SECRET` or `SECRET.FINGERPRINT`.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolmentToken {
    /// What is sent to the control plane once it is known to be the right one.
    pub secret: String,
    /// The control plane's authority. None when the way is plain loopback, or when its certificate comes from a public
    /// authority.
    pub control_plane: Option<Fingerprint>,
}

impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentToken").field("control_plane", &self.control_plane).finish_non_exhaustive()
    }
}

impl fmt::Display for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.secret)?;
        self.control_plane.iter().try_for_each(|fingerprint| write!(f, ".{fingerprint}"))
    }
}

impl FromStr for EnrolmentToken {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        Ok(match text.split_once('.') {
            Some((secret, fingerprint)) => {
                Self { secret: secret.to_owned(), control_plane: Some(fingerprint.parse()?) }
            }
            None => Self { secret: text.to_owned(), control_plane: None },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_come_back_as_they_were_written(secret in "[0-9A-Za-z_]{1,60}", bytes: Option<[u8; 32]>) {
            let token = EnrolmentToken { secret, control_plane: bytes.map(Fingerprint) };
            prop_assert_eq!(token.to_string().parse::<EnrolmentToken>().unwrap(), token);
        }

        #[test]
        fn any_text_is_read_without_panic(text: String) {
            let _ = text.parse::<EnrolmentToken>();
        }
    }

    #[test]
    fn a_token_that_was_not_copied_whole_is_refused_and_its_secret_is_not_shown() {
        let token = EnrolmentToken { secret: "tl_enrol_x".to_owned(), control_plane: Some(Fingerprint([0xa7; 32])) };
        let text = token.to_string();
        assert_eq!(text.len(), "tl_enrol_x".len() + 65);
        for cut in 1..64 {
            assert_eq!(text[..text.len() - cut].parse::<EnrolmentToken>(), Err(FingerprintError));
        }
        assert!(!format!("{token:?}").contains("tl_enrol_x"));
    }
}
