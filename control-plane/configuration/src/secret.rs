//! How a configuration names a secret without holding it.

/// Whether what is set at `key`, dotted, may be a secret though only a reference belongs there.
pub(crate) fn is_secret(key: &str) -> bool {
    key == "secrets" || key.starts_with("secrets.")
}

/// Whether `text` is `env:NAME`, `file:/path` or `credential:name`. Anything else may be the secret itself and is not
/// repeated in messages.
#[must_use]
pub fn is_secret_reference(text: &str) -> bool {
    match text.split_once(':') {
        Some(("env" | "credential", name)) => !name.is_empty() && !name.contains('/'),
        Some(("file", path)) => path.starts_with('/'),
        _ => false,
    }
}
