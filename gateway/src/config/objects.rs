//! Objects of a gateway without a control plane: `[[object]]` tables with `kind`, `id`, `tenant`, `version` and
//! `body`, checked by the same validator as synced ones, with every fault at its place.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use trunkline_api::agent::AgentSpec;
use trunkline_api::id::{Id, Prefix};
use trunkline_api::object::{Body, Kind, Object, ObjectError};

use super::diagnostic::{Diagnostic, Location};
use super::document::{Content, Node, dotted};
use super::layers;
use super::shape::{Shape, unknown_key};

/// Reads every object of a folder. `alone` says that no control plane sends further ones, so that what an object
/// refers to must be here.
pub(crate) fn load(folder: &Path, alone: bool, faults: &mut Vec<Diagnostic>) -> Vec<Object> {
    let agent = Value::from(schemars::schema_for!(AgentSpec));
    let mut reader = Reader { agent, faults, objects: Vec::new(), places: BTreeMap::new(), references: Vec::new() };
    let mut files = Vec::new();
    for path in layers::toml_files(folder, reader.faults) {
        files.extend(layers::file(&path, reader.faults));
    }
    for file in &files {
        reader.file(file);
    }
    if alone {
        reader.references_exist();
    }
    reader.objects
}

struct Reader<'a> {
    agent: Value,
    faults: &'a mut Vec<Diagnostic>,
    objects: Vec<Object>,
    places: BTreeMap<Id, Location>,
    references: Vec<(Location, String, Id)>,
}

impl Reader<'_> {
    fn file(&mut self, file: &Node) {
        let Content::Table(entries) = &file.content else { return };
        let known = json!({ "object": {} });
        for entry in entries {
            match &entry.value.content {
                Content::Array(objects) if entry.key == "object" => {
                    for (index, object) in objects.iter().enumerate() {
                        self.object(&format!("object[{index}]"), object);
                    }
                }
                _ if entry.key == "object" => self.fault(&entry.key_at, "object", "a single table", "`[[object]]`"),
                _ => {
                    let known = known.as_object();
                    self.faults.push(unknown_key(entry.key.clone(), &entry.key, entry.key_at.clone(), known));
                }
            }
        }
    }

    fn object(&mut self, key: &str, node: &Node) {
        let known = json!({ "kind": {}, "id": {}, "tenant": {}, "version": {}, "body": {} });
        if let Content::Table(entries) = &node.content {
            for entry in entries.iter().filter(|entry| known.get(&entry.key).is_none()) {
                let key = dotted(key, &entry.key);
                self.faults.push(unknown_key(key, &entry.key, entry.key_at.clone(), known.as_object()));
            }
        }
        let kind = self.field(
            key,
            node,
            "kind",
            |value| serde_json::from_value::<Kind>(value.clone()).ok(),
            "a kind: \
            `tenant`, `agent`, `trunk`, `number`, `route`, `provider`, `plugin`, `quota` or `trusted-key`",
        );
        let id = |value: &Value| value.as_str().and_then(|text| text.parse::<Id>().ok());
        let of_tenant = |value: &Value| id(value).filter(|id| id.prefix() == Prefix::Tenant);
        let id = self.field(key, node, "id", id, "an id such as `agt_` and 26 characters");
        let tenant = self.field(key, node, "tenant", of_tenant, "an id such as `ten_` and 26 characters");
        let whole = |value: &Value| value.as_u64().and_then(|version| u32::try_from(version).ok()).filter(|&v| v > 0);
        let version = match node.get("version") {
            None => Some(1),
            Some(_) => self.field(key, node, "version", whole, "a whole number from 1"),
        };
        let table = |value: &Value| value.is_object().then(|| value.clone());
        let body = self.field(key, node, "body", table, "a table, `[object.body]`");
        let (Some(kind), Some(id), Some(tenant), Some(version), Some(body)) = (kind, id, tenant, version, body) else {
            return;
        };
        let Some(entry) = node.get("body") else { return };
        let object = Object { kind, id, tenant, version, sha256: String::new(), body };
        if self.body(&dotted(key, "body"), &entry.value, &object, node) {
            self.keep(key, node, object);
        }
    }

    /// Checks a body; true when the object may be served.
    fn body(&mut self, key: &str, node: &Node, object: &Object, whole: &Node) -> bool {
        let before = self.faults.len();
        if object.kind == Kind::Agent {
            Shape::new(&self.agent).check(key, &mut node.clone(), self.faults);
            if let Ok(spec) = serde_json::from_value::<AgentSpec>(object.body.clone()) {
                for problem in spec.problems() {
                    let (message, expected) = problem.message.split_once("expected ").unwrap_or((&problem.message, ""));
                    let message = if message.is_empty() { "does not fit" } else { message };
                    let key = format!("{key}{}", problem.pointer.replace('/', "."));
                    self.fault(&node.near(&problem.pointer), &key, message, expected);
                }
            }
            if self.faults.len() > before {
                return false;
            }
        }
        match object.typed() {
            Ok(body) => {
                self.unknown_keys(key, node, &body);
                self.refers(key, node, &body);
            }
            Err(ObjectError::WrongId { expected, .. }) => {
                let message = format!("{} is not the id of such an object", object.id);
                self.fault(&whole.near("/id"), key, &message, &format!("`{expected}_` and 26 characters"));
            }
            Err(ObjectError::Shape { message, .. }) => {
                let named = message.split('`').nth(1).unwrap_or("");
                self.fault(&node.near(&format!("/{named}")), key, &message, "");
            }
            Err(error @ ObjectError::UnsupportedFeature { .. }) => self.fault(&node.at, key, &error.to_string(), ""),
        }
        self.faults.len() == before
    }

    /// Readers of synced objects keep keys they do not know; in a file of one's own such a key is a slip.
    fn unknown_keys(&mut self, key: &str, node: &Node, body: &Body) {
        let known = match body {
            Body::Tenant(body) => serde_json::to_value(body),
            Body::Trunk(body) => serde_json::to_value(body),
            Body::Number(body) => serde_json::to_value(body),
            Body::Route(body) => serde_json::to_value(body),
            Body::Provider(body) => serde_json::to_value(body),
            Body::Agent(_) | Body::Kept(_) => return,
        };
        let (Ok(Value::Object(known)), Content::Table(entries)) = (known, &node.content) else { return };
        for entry in entries.iter().filter(|entry| !known.contains_key(&entry.key)) {
            let key = dotted(key, &entry.key);
            self.faults.push(unknown_key(key, &entry.key, entry.key_at.clone(), Some(&known)));
        }
    }

    fn refers(&mut self, key: &str, node: &Node, body: &Body) {
        let mut refer = |name: &str, id: &Id| {
            self.references.push((node.near(&format!("/{name}")), dotted(key, name), id.clone()));
        };
        match body {
            Body::Number(number) => refer("agent", &number.agent),
            Body::Route(route) => {
                refer("agent", &route.agent);
                if let Some(trunk) = &route.trunk {
                    refer("trunk", trunk);
                }
            }
            _ => {}
        }
    }

    fn keep(&mut self, key: &str, node: &Node, object: Object) {
        let at = node.near("/id");
        match self.places.insert(object.id.clone(), at.clone()) {
            None => self.objects.push(object),
            Some(first) => {
                self.fault(&at, &dotted(key, "id"), &format!("{} is defined at {first} already", object.id), "");
            }
        }
    }

    fn references_exist(&mut self) {
        for (at, key, id) in std::mem::take(&mut self.references) {
            if !self.places.contains_key(&id) {
                self.fault(&at, &key, &format!("there is no object {id}"), "the id of an object of these files");
            }
        }
    }

    fn field<T>(
        &mut self,
        key: &str,
        node: &Node,
        name: &str,
        read: impl FnOnce(&Value) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        let key = dotted(key, name);
        let Some(entry) = node.get(name) else {
            self.fault(&node.at, &key, "is missing", expected);
            return None;
        };
        let found = read(&entry.value.to_json());
        if found.is_none() {
            let message = format!("{} does not fit", entry.value.describe());
            self.fault(&entry.value.at, &key, &message, expected);
        }
        found
    }

    fn fault(&mut self, at: &Location, key: &str, message: &str, expected: &str) {
        self.faults.push(Diagnostic {
            location: at.clone(),
            key: key.to_owned(),
            message: message.to_owned(),
            expected: expected.to_owned(),
        });
    }
}
