//! A TOML document whose every key and value knows where it was written.

use std::sync::Arc;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Location, Source};
use crate::secret::is_secret;

/// Most syntax faults reported for one file.
const MAX_SYNTAX_FAULTS: usize = 20;

/// A value and where it was written.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it begins.
    pub at: Location,
    /// What it holds.
    pub content: Content,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// Anything but a table or an array.
    Leaf(Value),
    /// An array.
    Array(Vec<Node>),
    /// A table, in the order of its keys.
    Table(Vec<Entry>),
}

/// A key of a table.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key, without those above it.
    pub key: String,
    /// Where the key stands.
    pub key_at: Location,
    /// What is set.
    pub value: Node,
}

impl Node {
    /// The value without its places.
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Leaf(value) => value.clone(),
            Content::Array(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Content::Table(entries) => {
                Value::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect())
            }
        }
    }

    /// What kind of value it is, for messages about `key`: shortened, and below `secrets` not shown, because what does
    /// not fit there may be the secret itself.
    pub fn describe(&self, key: &str) -> String {
        /// Characters of a value that are enough to find it.
        const SHOWN: usize = 60;
        match &self.content {
            Content::Leaf(_) if is_secret(key) => "what is written there".to_owned(),
            Content::Leaf(Value::String(text)) if text.chars().nth(SHOWN).is_some() => {
                let shown: String = text.chars().take(SHOWN).collect();
                format!("the text {shown:?}...")
            }
            Content::Leaf(Value::String(text)) => format!("the text {text:?}"),
            Content::Leaf(value) => format!("`{value}`"),
            Content::Array(_) => "a list".to_owned(),
            Content::Table(_) => "a table".to_owned(),
        }
    }

    /// An entry of a table.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Table(entries) => entries.iter().find(|entry| entry.key == key),
            Content::Leaf(_) | Content::Array(_) => None,
        }
    }

    /// The nearest place to an RFC 6901 pointer: of the value itself, else of the closest thing around it.
    pub fn near(&self, pointer: &str) -> Location {
        let mut node = self;
        let mut at = self.at.clone();
        for token in pointer.split('/').skip(1) {
            let inner = match &node.content {
                Content::Table(_) => node.get(token).map(|entry| (&entry.value, entry.key_at.clone())),
                Content::Array(items) => {
                    token.parse().ok().and_then(|index: usize| items.get(index)).map(|item| (item, item.at.clone()))
                }
                Content::Leaf(_) => None,
            };
            let Some((inner, place)) = inner else { break };
            (node, at) = (inner, place);
        }
        at
    }

    /// Calls `each` with the dotted key and place of every leaf and list.
    pub fn leaves(&self, key: &str, each: &mut impl FnMut(&str, &Location)) {
        match &self.content {
            Content::Leaf(_) | Content::Array(_) => each(key, &self.at),
            Content::Table(entries) => {
                for entry in entries {
                    entry.value.leaves(&dotted(key, &entry.key), each);
                }
            }
        }
    }
}

/// A key below another.
pub fn dotted(key: &str, inner: &str) -> String {
    if key.is_empty() { inner.to_owned() } else { format!("{key}.{inner}") }
}

/// Parses a file's text; every syntax fault is reported, and then nothing else of the file is.
pub(crate) fn parse(source: &Arc<Source>) -> Result<Node, Vec<Diagnostic>> {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    if errors.is_empty() {
        return Ok(node(source, table.span().start, &DeValue::Table(table.into_inner())));
    }
    let mut errors: Vec<_> =
        errors.into_iter().map(|error| (error.span().map_or(0, |span| span.start), error)).collect();
    errors.sort_by_key(|(offset, _)| *offset);
    // Nesting beyond the parser's limit is told again at each level.
    errors.dedup_by(|later, earlier| later.1.message() == earlier.1.message());
    let diagnostic = |(offset, error): (usize, toml::de::Error)| Diagnostic {
        location: Location::At(Arc::clone(source), offset),
        key: String::new(),
        message: format!("not TOML: {}", error.message().replace('\n', ", ")),
        expected: String::new(),
    };
    Err(errors.into_iter().take(MAX_SYNTAX_FAULTS).map(diagnostic).collect())
}

/// Parses a value on its own, as in an environment variable; `None` when it is not TOML.
pub(crate) fn value(text: &str, at: &Location) -> Option<Node> {
    let value = DeValue::parse(text).ok()?;
    let source = Arc::new(Source { name: String::new(), text: String::new() });
    let mut node = node(&source, 0, value.get_ref());
    place(&mut node, at);
    Some(node)
}

fn place(node: &mut Node, at: &Location) {
    node.at = at.clone();
    match &mut node.content {
        Content::Leaf(_) => {}
        Content::Array(items) => items.iter_mut().for_each(|item| place(item, at)),
        Content::Table(entries) => {
            for entry in entries {
                entry.key_at = at.clone();
                place(&mut entry.value, at);
            }
        }
    }
}

fn node(source: &Arc<Source>, offset: usize, value: &DeValue<'_>) -> Node {
    let inner = |value: &Spanned<DeValue<'_>>| node(source, value.span().start, value.get_ref());
    let content = match value {
        DeValue::String(text) => Content::Leaf(Value::String(text.to_string())),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(&number.as_str().replace('_', ""), number.radix());
            Content::Leaf(parsed.map_or_else(|_| Value::String(number.to_string()), Value::from))
        }
        DeValue::Float(number) => {
            let parsed = number.as_str().replace('_', "").parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            Content::Leaf(parsed.map_or_else(|| Value::String(number.to_string()), Value::Number))
        }
        DeValue::Boolean(flag) => Content::Leaf(Value::Bool(*flag)),
        DeValue::Datetime(at) => Content::Leaf(Value::String(at.to_string())),
        DeValue::Array(items) => Content::Array(items.iter().map(inner).collect()),
        DeValue::Table(table) => {
            let entries = table.iter().map(|(key, value)| Entry {
                key: key.get_ref().to_string(),
                key_at: Location::At(Arc::clone(source), key.span().start),
                value: inner(value),
            });
            Content::Table(entries.collect())
        }
    };
    Node { at: Location::At(Arc::clone(source), offset), content }
}
