//! The plugin's settings.

use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) base_url: String,
    pub(crate) model: String,
    pub(crate) temperature: Option<f32>,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) max_tokens_field: MaxTokensField,
    pub(crate) secret: Option<String>,
    pub(crate) timeout_ms: u32,
    pub(crate) stall_timeout_ms: u32,
    pub(crate) include_usage: bool,
    pub(crate) extra: Map<String, Value>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: "https://api.openai.com/v1".to_owned(),
            model: String::new(),
            temperature: None,
            max_tokens: None,
            max_tokens_field: MaxTokensField::MaxTokens,
            secret: Some("openai_api_key".to_owned()),
            timeout_ms: 60_000,
            stall_timeout_ms: 10_000,
            include_usage: true,
            extra: Map::new(),
        }
    }
}

/// What the server calls the limit of an answer's length.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MaxTokensField {
    MaxTokens,
    MaxCompletionTokens,
}

impl MaxTokensField {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}
