//! Redaction of personal data: what a `pii-redactor` implements. Pure: there is no host to call.

pub use crate::bindings::redactor::exports::trunkline::plugin::redactor::{Channel, Count, Policy, Redaction};

/// One call's redactor.
pub trait Redactor: Sized + 'static {
    /// Checks what does not depend on a session; an error keeps the plugin out of service.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn init() -> Result<(), String> {
        Ok(())
    }
    /// Opens a session for a policy.
    ///
    /// # Errors
    /// A sentence for the operator; redaction fails closed.
    fn open(policy: Policy) -> Result<Self, String>;
    /// Redacts a whole text.
    ///
    /// # Errors
    /// A sentence for the operator; redaction fails closed.
    fn redact(&mut self, channel: Channel, text: &str) -> Result<Redaction, String>;
    /// Redacts a stream, holding back a bounded tail that may still turn into an entity until `end`.
    ///
    /// # Errors
    /// A sentence for the operator; redaction fails closed.
    fn redact_delta(&mut self, channel: Channel, delta: &str, end: bool) -> Result<Redaction, String>;
}
