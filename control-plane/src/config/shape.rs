//! Checks what was set against the JSON Schema of [`Config`](super::Config), where a deserialiser would stop at the
//! first fault. It knows the part of JSON Schema that our own types generate.

use figment::value::Value as Set;
use serde_json::{Map, Value};

use super::Fault;
use super::layers::Layers;

/// A schema with its definitions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'a> {
    root: &'a Value,
    here: &'a Value,
}

/// What fits of the layers, as JSON; the rest is reported.
pub(super) fn fitting(schema: &Value, layers: &Layers, faults: &mut Vec<Fault>) -> Value {
    let mut fitting = Map::new();
    for (key, value) in &layers.values {
        if let Some(value) = Shape::new(schema).entry("", key, value, layers, faults) {
            fitting.insert(key.clone(), value);
        }
    }
    Value::Object(fitting)
}

impl<'a> Shape<'a> {
    /// The shape of a whole document.
    pub(super) const fn new(root: &'a Value) -> Self {
        Self { root, here: root }
    }

    /// The shape of a key below this one.
    pub(super) fn key(self, key: &str) -> Option<Self> {
        self.resolved().get("properties")?.get(key).map(|here| Self { root: self.root, here })
    }

    /// Names of the keys below this one.
    pub(super) fn keys(self) -> Vec<&'a str> {
        let known = self.resolved().get("properties").and_then(Value::as_object);
        known.into_iter().flat_map(Map::keys).map(String::as_str).collect()
    }

    /// The JSON types a value may have.
    pub(super) fn types(self) -> Vec<&'a str> {
        match self.resolved().get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ if self.constants().is_some() => vec!["string"],
            _ => Vec::new(),
        }
    }

    fn entry(self, above: &str, name: &str, value: &Set, layers: &Layers, faults: &mut Vec<Fault>) -> Option<Value> {
        let key = if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
        let place = || layers.place(&key, innermost(value).tag());
        let Some(shape) = self.key(name) else {
            let known = self.keys();
            let limit = (name.chars().count() / 3).max(1);
            let near = known.iter().map(|known| (strsim::osa_distance(name, known), *known));
            let meant = near.filter(|(distance, _)| *distance <= limit).min();
            let message = meant
                .map_or_else(|| "unknown key".to_owned(), |(_, meant)| format!("unknown key; did you mean `{meant}`?"));
            let expected = format!("one of {}", quoted(&known));
            faults.push(Fault { place: place(), key, message, expected });
            return None;
        };
        if let (Set::Dict(_, inner), true) = (value, shape.types().contains(&"object")) {
            let mut fitting = Map::new();
            for (name, value) in inner {
                if let Some(value) = shape.entry(&key, name, value, layers, faults) {
                    fitting.insert(name.clone(), value);
                }
            }
            return Some(Value::Object(fitting));
        }
        let json = serde_json::to_value(value).unwrap_or_default();
        if shape.holds(&json) {
            return Some(json);
        }
        let message = match &json {
            Value::Array(_) => "a list does not fit".to_owned(),
            Value::Object(_) => "a table does not fit".to_owned(),
            json => format!("`{json}` does not fit"),
        };
        faults.push(Fault { place: place(), key, message, expected: shape.expectation() });
        None
    }

    fn holds(self, json: &Value) -> bool {
        let here = self.resolved();
        let types = self.types();
        let limit = |name: &str| here.get(name).and_then(Value::as_f64);
        let between = |number: f64, least: &str, most: &str| {
            limit(least).is_none_or(|least| number >= least) && limit(most).is_none_or(|most| number <= most)
        };
        match json {
            Value::Bool(_) => types.contains(&"boolean"),
            Value::Number(number) => {
                types.contains(&"integer")
                    && (number.is_i64() || number.is_u64())
                    && number.as_f64().is_some_and(|number| between(number, "minimum", "maximum"))
            }
            Value::String(text) => {
                types.contains(&"string")
                    && between(text.chars().count() as f64, "minLength", "maxLength")
                    && self.constants().is_none_or(|names| names.contains(&text.as_str()))
                    && (here.get("format").and_then(Value::as_str) != Some("socket-address")
                        || text.parse::<std::net::SocketAddr>().is_ok())
            }
            Value::Array(items) => {
                let inner = here.get("items").map(|here| Self { root: self.root, here });
                types.contains(&"array")
                    && between(items.len() as f64, "minItems", "maxItems")
                    && items.iter().all(|item| inner.is_none_or(|inner| inner.holds(item)))
            }
            Value::Null | Value::Object(_) => false,
        }
    }

    /// What fits here, in words.
    fn expectation(self) -> String {
        let here = self.resolved();
        let limits = |least: &str, most: &str| here.get(least).zip(here.get(most));
        if let Some(names) = self.constants() {
            return format!("one of {}", quoted(&names));
        }
        match self.types().first().copied() {
            Some("string") if here.get("format").and_then(Value::as_str) == Some("socket-address") => {
                "an address and port such as `127.0.0.1:7000` or `[::]:7000`".to_owned()
            }
            Some("string") => match limits("minLength", "maxLength") {
                Some((least, most)) => format!("text of {least} to {most} characters"),
                None => "text in quotes".to_owned(),
            },
            Some("integer") => match limits("minimum", "maximum") {
                Some((least, most)) => format!("a whole number from {least} to {most}"),
                None => "a whole number".to_owned(),
            },
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("array") => "a list of texts such as `[\"a\", \"b\"]`".to_owned(),
            Some("object") => "a table".to_owned(),
            _ => String::new(),
        }
    }

    fn resolved(self) -> &'a Value {
        let mut here = self.here;
        for _ in 0..8 {
            let Some(path) = here.get("$ref").and_then(Value::as_str) else { break };
            let Some(target) = path.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)) else { break };
            here = target;
        }
        here
    }

    /// The texts that an enumeration allows.
    fn constants(self) -> Option<Vec<&'a str>> {
        let here = self.resolved();
        if let Some(names) = here.get("enum").and_then(Value::as_array) {
            return Some(names.iter().filter_map(Value::as_str).collect());
        }
        let variants = here.get("oneOf")?.as_array()?;
        variants.iter().map(|variant| variant.get("const").and_then(Value::as_str)).collect()
    }
}

/// A table has no place of its own when it was merged, but each of its values has.
fn innermost(value: &Set) -> &Set {
    match value {
        Set::Dict(_, inner) => inner.values().next().map_or(value, innermost),
        _ => value,
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
