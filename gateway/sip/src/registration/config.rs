//! What is registered, where, and how patiently.

use crate::auth::Credentials;

/// What is registered where.
#[derive(Debug, Clone)]
pub struct RegistrationConfig {
    /// The address of record, `sip:alice@pbx.example`.
    pub address: String,
    /// Registrars in order of preference: request-URIs, `sip:pbx.example`. At least one.
    pub registrars: Vec<String>,
    /// The URI that calls are to be sent to.
    pub contact: String,
    /// `+sip.instance`, a URN, and whether several bindings are told apart by `reg-id` (RFC 5626 4.2).
    pub instance: Option<String>,
    /// How long a binding is asked for, in seconds; 60 to 86 400.
    pub expires_s: u32,
    /// User and password.
    pub credentials: Option<Credentials>,
    /// Call-IDs begin so; each registrar has its own.
    pub call_id: String,
    /// Times.
    pub timers: RegistrationTimers,
}

/// Times of a registration, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrationTimers {
    /// The shortest pause after every registrar failed; doubles with every round (RFC 5626 4.5).
    pub retry_min_ms: u64,
    /// The longest.
    pub retry_max_ms: u64,
    /// How long an answer may take before the registrar counts as failed: a little more than a transaction lasts.
    pub answer_ms: u64,
    /// How long unregistering may take at the end.
    pub goodbye_ms: u64,
}

impl Default for RegistrationTimers {
    fn default() -> Self {
        Self { retry_min_ms: 30_000, retry_max_ms: 1_800_000, answer_ms: 35_000, goodbye_ms: 4_000 }
    }
}
