//! Checks a document against a JSON Schema and reports every fault at its place, where a deserialiser would stop at
//! the first. It knows the part of JSON Schema that our own types generate.

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, Location, did_you_mean};
use crate::document::{Content, Entry, Node, dotted};

/// A schema with its definitions.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    root: &'a Value,
    here: &'a Value,
}

impl<'a> Shape<'a> {
    /// The shape of a whole document.
    pub const fn new(root: &'a Value) -> Self {
        Self { root, here: root }
    }

    /// The shape of a key below this one, `None` when there is no such key.
    pub fn key(self, key: &str) -> Option<Self> {
        let here = self.resolved();
        let inner = here.get("properties").and_then(|properties| properties.get(key));
        let other = || here.get("additionalProperties").filter(|other| other.is_object());
        inner.or_else(other).map(|inner| Self { root: self.root, here: inner })
    }

    /// Names of the keys of a table, none when it has none of its own.
    pub fn names_of_keys(self) -> Vec<&'a str> {
        let known = self.resolved().get("properties").and_then(Value::as_object);
        known.into_iter().flat_map(Map::keys).map(String::as_str).collect()
    }

    /// The JSON types a value may have.
    pub fn types(self) -> Vec<&'a str> {
        match self.resolved().get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ if self.constants().is_some() => vec!["string"],
            _ => Vec::new(),
        }
    }

    /// Reports what is wrong with `node` and removes it from the document, so that the rest can be looked at as if it
    /// were absent. True when the node itself may stay.
    pub fn check(self, key: &str, node: &mut Node, faults: &mut Vec<Diagnostic>) -> bool {
        let shape = Self { root: self.root, here: self.resolved() };
        let Some(shape) = shape.variant(key, node, faults) else { return false };
        let types = shape.types();
        let fits = |name: &str| types.is_empty() || types.contains(&name);
        let well_typed = match &mut node.content {
            Content::Table(entries) if fits("object") => {
                let table = Self { root: shape.root, here: shape.here };
                // A key that was probably meant is not also reported as missing.
                let meant: Vec<&str> = entries.iter().filter_map(|entry| table.meant(&entry.key)).collect();
                entries.retain_mut(|entry| table.entry(key, entry, faults));
                return shape.required(key, node, &meant, faults);
            }
            Content::Array(items) if fits("array") => {
                if let Some(inner) = shape.here.get("items") {
                    let inner = Self { root: shape.root, here: inner };
                    let mut index = 0;
                    items.retain_mut(|item| {
                        index += 1;
                        inner.check(&format!("{key}[{}]", index - 1), item, faults)
                    });
                }
                shape.has_room_for(items.len())
            }
            Content::Table(_) | Content::Array(_) => false,
            Content::Leaf(Value::Bool(_)) => fits("boolean"),
            Content::Leaf(Value::String(_)) => fits("string"),
            Content::Leaf(Value::Number(number)) => fits("number") || (fits("integer") && number.is_i64()),
            Content::Leaf(_) => false,
        };
        if well_typed && shape.holds(node) {
            return true;
        }
        let message = match (&node.content, shape.constants()) {
            (Content::Leaf(Value::String(text)), Some(names)) => match did_you_mean(text, names.into_iter()) {
                Some(meant) => format!("{} does not fit; did you mean `{meant}`?", node.describe(key)),
                None => format!("{} does not fit", node.describe(key)),
            },
            _ => format!("{} does not fit", node.describe(key)),
        };
        let (location, key) = (node.at.clone(), key.to_owned());
        faults.push(Diagnostic { location, key, message, expected: shape.expectation() });
        false
    }

    /// What fits here, in words.
    pub fn expectation(self) -> String {
        let here = self.resolved();
        if let Some(names) = self.constants() {
            return format!("one of {}", quoted(names.into_iter()));
        }
        match (self.types().first().copied(), here.get("format").and_then(Value::as_str)) {
            (_, Some("ip")) => "an IP address such as `203.0.113.10`".to_owned(),
            (_, Some("socket-address")) => "an address and port such as `127.0.0.1:5060`".to_owned(),
            (Some("integer"), _) => match (here.get("minimum"), here.get("maximum")) {
                (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
                (Some(least), None) => format!("a whole number of at least {least}"),
                _ => "a whole number".to_owned(),
            },
            (Some("number"), _) => "a number".to_owned(),
            (Some("boolean"), _) => "`true` or `false`".to_owned(),
            (Some("string"), _) => match (here.get("minLength"), here.get("maxLength")) {
                (Some(least), Some(most)) => format!("text of {least} to {most} characters"),
                _ => "text in quotes".to_owned(),
            },
            (Some("array"), _) => match here.get("maxItems") {
                Some(most) => format!("a list such as `[\"a\", \"b\"]` of at most {most}"),
                None => "a list such as `[\"a\", \"b\"]`".to_owned(),
            },
            (Some("object"), _) => "a table".to_owned(),
            _ => String::new(),
        }
    }

    fn entry(self, key: &str, entry: &mut Entry, faults: &mut Vec<Diagnostic>) -> bool {
        let inner = dotted(key, &entry.key);
        if let Some(shape) = self.key(&entry.key) {
            return shape.check(&inner, &mut entry.value, faults);
        }
        let known = self.here.get("properties").and_then(Value::as_object);
        let open = known.is_none() && self.here.get("additionalProperties") != Some(&Value::Bool(false));
        if open {
            return true;
        }
        faults.push(unknown_key(inner, &entry.key, entry.key_at.clone(), known));
        false
    }

    /// The key of this table that an unknown one was probably meant to be.
    fn meant(self, name: &str) -> Option<&'a str> {
        let known = self.here.get("properties").and_then(Value::as_object)?;
        if known.contains_key(name) {
            return None;
        }
        did_you_mean(name, known.keys().map(String::as_str))
    }

    fn required(self, key: &str, node: &Node, meant: &[&str], faults: &mut Vec<Diagnostic>) -> bool {
        let required = self.here.get("required").and_then(Value::as_array).into_iter().flatten();
        let mut complete = true;
        for name in required.filter_map(Value::as_str) {
            // A key that was there and did not fit has been reported already, at its own place.
            let reported = |fault: &Diagnostic| fault.key.starts_with(&dotted(key, name));
            if node.get(name).is_none() && !meant.contains(&name) && !faults.iter().any(reported) {
                complete = false;
                faults.push(Diagnostic {
                    location: node.at.clone(),
                    key: dotted(key, name),
                    message: "is missing".to_owned(),
                    expected: self.key(name).map(Shape::expectation).unwrap_or_default(),
                });
            } else if node.get(name).is_none() {
                complete = false;
            }
        }
        complete
    }

    /// Follows references.
    fn resolved(self) -> &'a Value {
        let mut here = self.here;
        for _ in 0..8 {
            let Some(path) = here.get("$ref").and_then(Value::as_str) else { break };
            let Some(target) = path.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)) else { break };
            here = target;
        }
        here
    }

    /// The texts an enumeration allows.
    fn constants(self) -> Option<Vec<&'a str>> {
        let here = self.resolved();
        if let Some(names) = here.get("enum").and_then(Value::as_array) {
            return Some(names.iter().filter_map(Value::as_str).collect());
        }
        let mut names = Vec::new();
        for variant in here.get("oneOf")?.as_array()? {
            match (variant.get("const"), variant.get("enum").and_then(Value::as_array)) {
                (Some(Value::String(name)), _) => names.push(name.as_str()),
                (None, Some(several)) => names.extend(several.iter().filter_map(Value::as_str)),
                _ => return None,
            }
        }
        Some(names)
    }

    /// Of several shapes the one that `node` means: by the keys it must have and the constants it holds.
    fn variant(self, key: &str, node: &Node, faults: &mut Vec<Diagnostic>) -> Option<Self> {
        let several = self.here.get("oneOf").or_else(|| self.here.get("anyOf")).and_then(Value::as_array);
        let (Some(several), None) = (several, self.constants()) else { return Some(self) };
        let shapes = several.iter().map(|here| Self { root: self.root, here });
        let shapes: Vec<Self> = shapes.map(|shape| Self { root: self.root, here: shape.resolved() }).collect();
        if let Some(&meant) = shapes.iter().find(|shape| shape.is_meant(node)) {
            return Some(meant);
        }
        let names: Vec<&str> = shapes.iter().flat_map(|shape| shape.names()).collect();
        let expected = format!("one of {}", quoted(names.iter().copied()));
        let entries = if let Content::Table(entries) = &node.content { entries.as_slice() } else { &[] };
        let mut unknown = entries.iter().filter(|entry| !names.contains(&entry.key.as_str()));
        let meant = unknown.find_map(|entry| Some((entry, did_you_mean(&entry.key, names.iter().copied())?)));
        faults.push(match meant {
            Some((entry, meant)) => Diagnostic {
                location: entry.key_at.clone(),
                key: dotted(key, &entry.key),
                message: format!("unknown key; did you mean `{meant}`?"),
                expected,
            },
            None => {
                let message = format!("{} does not fit", node.describe(key));
                Diagnostic { location: node.at.clone(), key: key.to_owned(), message, expected }
            }
        });
        None
    }

    fn is_meant(self, node: &Node) -> bool {
        let Content::Table(_) = node.content else {
            return !self.types().contains(&"object") && self.types().iter().any(|name| *name != "null");
        };
        let required = self.here.get("required").and_then(Value::as_array).into_iter().flatten();
        let mut required = required.filter_map(Value::as_str).peekable();
        let tags: Vec<&str> = required.clone().filter(|name| self.tag(name).is_some()).collect();
        if tags.is_empty() {
            return required.peek().is_none() || required.all(|name| node.get(name).is_some());
        }
        tags.into_iter().all(|name| node.get(name).map(|entry| entry.value.to_json()).as_ref() == self.tag(name))
    }

    fn tag(self, name: &str) -> Option<&'a Value> {
        self.here.get("properties")?.get(name)?.get("const")
    }

    /// How a variant is recognised.
    fn names(self) -> Vec<&'a str> {
        let required = self.here.get("required").and_then(Value::as_array).into_iter().flatten();
        required.filter_map(Value::as_str).map(|name| self.tag(name).and_then(Value::as_str).unwrap_or(name)).collect()
    }

    /// Whether a list may be this long.
    fn has_room_for(self, items: usize) -> bool {
        let limit = |name: &str| self.here.get(name).and_then(Value::as_u64);
        limit("minItems").is_none_or(|least| items as u64 >= least)
            && limit("maxItems").is_none_or(|most| items as u64 <= most)
    }

    /// Ranges, lengths, enumerations and formats.
    fn holds(self, node: &Node) -> bool {
        let limit = |name: &str| self.here.get(name).and_then(Value::as_f64);
        match &node.content {
            Content::Leaf(Value::Number(number)) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                limit("minimum").is_none_or(|least| number >= least)
                    && limit("maximum").is_none_or(|most| number <= most)
            }
            Content::Leaf(Value::String(text)) => {
                let length = text.chars().count() as f64;
                let format = match self.here.get("format").and_then(Value::as_str) {
                    Some("ip") => text.parse::<std::net::IpAddr>().is_ok(),
                    Some("socket-address") => text.parse::<std::net::SocketAddr>().is_ok(),
                    _ => true,
                };
                format
                    && limit("minLength").is_none_or(|least| length >= least)
                    && limit("maxLength").is_none_or(|most| length <= most)
                    && self.constants().is_none_or(|names| names.contains(&text.as_str()))
            }
            _ => true,
        }
    }
}

/// A key that nobody knows, with the one that was probably meant.
pub fn unknown_key(key: String, name: &str, location: Location, known: Option<&Map<String, Value>>) -> Diagnostic {
    let names = || known.into_iter().flat_map(Map::keys).map(String::as_str);
    let message = match did_you_mean(name, names()) {
        Some(meant) => format!("unknown key; did you mean `{meant}`?"),
        None => "unknown key".to_owned(),
    };
    let expected = if names().next().is_some() { format!("one of {}", quoted(names())) } else { String::new() };
    Diagnostic { location, key, message, expected }
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
