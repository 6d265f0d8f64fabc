//! Where a configuration comes from, and where in it each value was written.

use std::collections::BTreeMap;
use std::path::Path;

use figment::providers::{Format as _, Serialized, Toml};
use figment::value::{Dict, Map, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};
use toml::de::{DeTable, DeValue};

use super::shape::Shape;
use super::{ENV_PREFIX, Fault};

/// Variables of the prefix that are no configuration: the binary under test, the file's name, the log's filter.
const NOT_KEYS: [&str; 3] = ["bin", "config", "log"];

/// The merged layers.
pub(super) struct Layers {
    figment: Figment,
    /// Every value that was set.
    pub(super) values: Dict,
    file: Option<(String, String)>,
}

impl Layers {
    /// Merges file, variables and profile; what cannot be read is a fault and left out.
    pub(super) fn read(
        file: Option<&Path>,
        environment: BTreeMap<String, String>,
        profile: Option<&str>,
        schema: &serde_json::Value,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let mut figment = Figment::new();
        let mut kept = None;
        if let Some(file) = file {
            let fault = |message: String| Fault {
                place: file.display().to_string(),
                key: String::new(),
                message,
                expected: String::new(),
            };
            match std::fs::read_to_string(file) {
                Err(error) => faults.push(fault(format!("cannot be read: {error}"))),
                Ok(text) => {
                    match toml::de::DeTable::parse(&text) {
                        Ok(_) => figment = figment.merge(Toml::file_exact(file)),
                        Err(error) => {
                            let line = line_at(&text, error.span().map_or(0, |span| span.start));
                            let place = format!("{}:{line}", file.display());
                            let message = format!("not TOML: {}", error.message().replace('\n', ", "));
                            faults.push(Fault { place, ..fault(message) });
                        }
                    }
                    kept = Some((file.display().to_string(), text));
                }
            }
        }
        figment = figment.merge(Variables { values: variables(environment, Shape::new(schema)) });
        if let Some(profile) = profile {
            figment = figment.merge(Serialized::default("profile", profile));
        }
        let values = figment.data().unwrap_or_default().remove(&Profile::Default).unwrap_or_default();
        Self { figment, values, file: kept }
    }

    /// Where `key` with a value of `tag` was written.
    pub(super) fn place(&self, key: &str, tag: Tag) -> String {
        match self.figment.get_metadata(tag) {
            Some(metadata) if metadata.name == VARIABLES => {
                format!("environment variable {ENV_PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))
            }
            Some(metadata) if matches!(metadata.source, Some(Source::File(_))) => {
                self.file.as_ref().map_or_else(String::new, |(name, text)| match line_of(text, key) {
                    Some(line) => format!("{name}:{line}"),
                    None => name.clone(),
                })
            }
            Some(_) => "command line".to_owned(),
            None => "defaults".to_owned(),
        }
    }

    /// Where `key` was written, or that it is a default.
    pub(super) fn place_of(&self, key: &str) -> String {
        let mut keys = key.split('.');
        let mut found = keys.next().and_then(|key| self.values.get(key));
        for key in keys {
            found = found.and_then(Value::as_dict).and_then(|dict| dict.get(key));
        }
        found.map_or_else(|| "defaults".to_owned(), |value| self.place(key, value.tag()))
    }
}

const VARIABLES: &str = "environment";

/// The variables as a layer.
struct Variables {
    values: Dict,
}

impl Provider for Variables {
    fn metadata(&self) -> Metadata {
        Metadata::named(VARIABLES)
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// Values of the variables, each of the type that its key has: text stays text, a list is split at commas, everything
/// else is read as TOML would.
fn variables(environment: BTreeMap<String, String>, shape: Shape<'_>) -> Dict {
    let mut values = Dict::new();
    for (name, text) in environment {
        let Some(rest) = name.strip_prefix(ENV_PREFIX).map(str::to_ascii_lowercase) else { continue };
        if NOT_KEYS.contains(&rest.as_str()) {
            continue;
        }
        let keys: Vec<&str> = rest.split("__").collect();
        let found = keys.iter().try_fold(shape, |shape, key| shape.key(key));
        let types = found.map(Shape::types).unwrap_or_default();
        let value = if types.contains(&"array") && !text.trim_start().starts_with('[') {
            Value::from(text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect::<Vec<_>>())
        } else if types.is_empty() || types.contains(&"string") {
            Value::from(text)
        } else {
            // Never fails: what is nothing else is text.
            text.parse().unwrap_or_else(|_| Value::from(text.clone()))
        };
        put(&mut values, &keys, value);
    }
    values
}

fn put(values: &mut Dict, keys: &[&str], value: Value) {
    match keys {
        [] => {}
        [key] => {
            values.insert((*key).to_owned(), value);
        }
        [key, rest @ ..] => {
            let inner = values.entry((*key).to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// The line on which a dotted key stands.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut table = root.get_ref();
    let mut at = None;
    for key in key.split('.') {
        let (name, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
        at = Some(line_at(text, name.span().start));
        let DeValue::Table(inner) = value.get_ref() else { break };
        table = inner;
    }
    at
}
