//! Constructors for `provider-error`, so that a plugin names what happened and does not repeat what follows from it.

use crate::{ErrorCode, ProviderError};

impl ProviderError {
    /// An error of `code`; retryable when trying again (here or elsewhere) can help.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let retryable =
            matches!(code, ErrorCode::RateLimited | ErrorCode::Unavailable | ErrorCode::Timeout | ErrorCode::Internal);
        Self { code, message: message.into(), retryable, retry_after_ms: None, vendor_code: None }
    }

    /// The operator has to change the plugin's settings.
    pub fn invalid_settings(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidSettings, message)
    }

    /// The other side did not keep to its protocol.
    pub fn protocol(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Protocol, message)
    }

    /// The plugin cannot do what was asked.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unsupported, message)
    }

    /// Adds the vendor's own name of the error.
    #[must_use]
    pub fn with_vendor_code(mut self, code: Option<String>) -> Self {
        self.vendor_code = code;
        self
    }

    /// Adds how long to wait before trying again, in milliseconds.
    #[must_use]
    pub fn with_retry_after_ms(mut self, after_ms: Option<u32>) -> Self {
        self.retry_after_ms = after_ms;
        self
    }
}
