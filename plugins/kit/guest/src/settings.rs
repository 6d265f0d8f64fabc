//! Reads the agent's settings into a plugin's own type.

use serde::de::DeserializeOwned;

use crate::{Host, ProviderError};

/// Parses the session's settings; an absent document is the same as `{}`.
///
/// # Errors
/// `invalid-settings` with the JSON path's line and column and what was expected there.
pub fn parse_settings<T: DeserializeOwned>(host: &mut dyn Host) -> Result<T, ProviderError> {
    let text = host.settings();
    let text = if text.trim().is_empty() || text.trim() == "null" { "{}" } else { &text };
    serde_json::from_str(text)
        .map_err(|error| ProviderError::invalid_settings(format!("the plugin's settings: {error}")))
}
