//! What a refusal means: the status, the server's own words, and when to come back.

use serde::Deserialize;
use trunkline_plugin_kit::{ErrorCode, ProviderError, ResponseHead};

const LONGEST_MESSAGE: usize = 300;

/// The error object of the API; servers differ in how much of it they fill in.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ApiError {
    #[serde(default)]
    message: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    code: Option<serde_json::Value>,
}

impl ApiError {
    fn name(&self) -> Option<String> {
        let code = match &self.code {
            Some(serde_json::Value::String(code)) => Some(code.clone()),
            Some(serde_json::Value::Number(code)) => Some(code.to_string()),
            _ => None,
        };
        code.or_else(|| self.kind.clone())
    }
}

/// An answer other than success.
pub(crate) fn refusal(head: &ResponseHead, body: &str) -> ProviderError {
    let error = read(body);
    let name = error.name();
    let code = match head.status {
        _ if is_quota(&name) => ErrorCode::QuotaExceeded,
        401 | 403 => ErrorCode::Unauthorized,
        402 => ErrorCode::QuotaExceeded,
        404 => ErrorCode::InvalidSettings,
        408 | 504 | 524 => ErrorCode::Timeout,
        429 => ErrorCode::RateLimited,
        500..=599 => ErrorCode::Unavailable,
        300..=399 => ErrorCode::InvalidSettings,
        _ => ErrorCode::Protocol,
    };
    let said = error.message.as_deref().unwrap_or(body).trim();
    let said = if said.is_empty() { "no explanation" } else { said };
    let advice = match code {
        ErrorCode::Unauthorized => "; check the secret that the settings name",
        ErrorCode::InvalidSettings => "; check base_url and model",
        _ => "",
    };
    ProviderError::new(code, format!("the server answered {}: {}{advice}", head.status, shorten(said)))
        .with_vendor_code(name)
        .with_retry_after_ms(retry_after_ms(head))
}

/// An error that arrives in the middle of an answer.
pub(crate) fn midway(error: &ApiError) -> ProviderError {
    let name = error.name();
    let code = match name.as_deref() {
        _ if is_quota(&name) => ErrorCode::QuotaExceeded,
        Some("rate_limit_exceeded" | "429") => ErrorCode::RateLimited,
        Some("invalid_api_key" | "401" | "403") => ErrorCode::Unauthorized,
        _ => ErrorCode::Unavailable,
    };
    let said = error.message.as_deref().unwrap_or("no explanation");
    ProviderError::new(code, format!("the server broke off: {}", shorten(said))).with_vendor_code(name)
}

fn is_quota(name: &Option<String>) -> bool {
    matches!(name.as_deref(), Some("insufficient_quota" | "billing_hard_limit_reached"))
}

/// `{"error": {...}}`, `{"error": "..."}`, or the object by itself.
fn read(body: &str) -> ApiError {
    let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_str(body) else {
        return ApiError::default();
    };
    match fields.remove("error") {
        Some(serde_json::Value::String(message)) => ApiError { message: Some(message), ..ApiError::default() },
        Some(error) => serde_json::from_value(error).unwrap_or_default(),
        None => serde_json::from_value(serde_json::Value::Object(fields)).unwrap_or_default(),
    }
}

/// `Retry-After` in seconds (RFC 9110 section 10.2.3) or the API's own `retry-after-ms`. A date would need a wall
/// clock, which a plugin does not have.
fn retry_after_ms(head: &ResponseHead) -> Option<u32> {
    let header = |name: &str| {
        head.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .and_then(|(_, value)| value.trim().parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0))
    };
    let ms = header("retry-after-ms").or_else(|| header("retry-after").map(|seconds| seconds * 1000.0))?;
    Some(ms.min(3_600_000.0) as u32)
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
