//! The text of an object file: comments of one width, values quoted as TOML wants them.

use serde_json::Value;
use trunkline_api::Id;
use trunkline_api::object::Kind;

/// Longest line of a comment.
const WIDTH: usize = 118;

/// The word for a kind, as in files and commands.
pub(super) const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Tenant => "tenant",
        Kind::Agent => "agent",
        Kind::Trunk => "trunk",
        Kind::Number => "number",
        Kind::Route => "route",
        Kind::OutboundRoute => "outbound-route",
        Kind::Provider => "provider",
        Kind::Plugin => "plugin",
        Kind::Quota => "quota",
        Kind::TrustedKey => "trusted-key",
    }
}

/// A name as a part of a file's: lower-case letters, digits and dashes.
pub(super) fn slug(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let words: String = name.chars().map(plain).collect();
    let words = words.split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
    if words.is_empty() { "unnamed".to_owned() } else { words.chars().take(60).collect() }
}

/// A text as TOML.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Texts as a list.
pub(super) fn list(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
}

/// A JSON value as TOML on one line; `None` for what TOML cannot say.
pub(super) fn inline(value: &Value) -> Option<String> {
    toml::Value::try_from(value).ok().map(|value| value.to_string())
}

/// An object file in the making.
pub(super) struct File(String);

impl File {
    /// With the lines that every object begins with.
    pub(super) fn of(kind_of: Kind, about: &str, id: &Id, tenant: &Id) -> Self {
        let mut file = Self(String::new());
        file.comment(about);
        file.comment(
            "Keys that are comments show their defaults, or an example where there is none. `trunkline check` looks at every change; the gateway \
                      takes it at its next start.",
        );
        file.line("");
        file.line("[[object]]");
        file.key("What this is.", "kind", &quoted(kind(kind_of)));
        file.key(
            "Minted once; other objects and call records refer to it. Never give it to another object.",
            "id",
            &quoted(&id.to_string()),
        );
        if id != tenant {
            file.key("The tenant it belongs to.", "tenant", &quoted(&tenant.to_string()));
        } else {
            file.key("A tenant belongs to itself.", "tenant", &quoted(&tenant.to_string()));
        }
        file.key("Raise it with every change that call records should show.", "version", "1");
        file.section("", "object.body");
        file
    }

    /// A table with a comment above it.
    pub(super) fn section(&mut self, about: &str, name: &str) {
        self.line("");
        self.comment(about);
        self.line(&format!("[{name}]"));
    }

    /// An entry of a list of tables.
    pub(super) fn entry(&mut self, about: &str, name: &str) {
        self.line("");
        self.comment(about);
        self.line(&format!("[[{name}]]"));
    }

    /// A key with a comment above it.
    pub(super) fn key(&mut self, about: &str, key: &str, value: &str) {
        self.comment(about);
        self.line(&format!("{key} = {value}"));
    }

    /// A key that keeps its default, shown as a comment.
    pub(super) fn default(&mut self, about: &str, key: &str, value: &str) {
        self.comment(about);
        self.line(&format!("# {key} = {value}"));
    }

    /// Comment lines.
    pub(super) fn comment(&mut self, text: &str) {
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() && line.chars().count() + word.chars().count() + 3 > WIDTH {
                self.line(&format!("# {line}"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            self.line(&format!("# {line}"));
        }
    }

    /// A line as it is.
    pub(super) fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    pub(super) fn text(self) -> String {
        self.0
    }
}
