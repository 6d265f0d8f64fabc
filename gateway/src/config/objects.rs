//! Objects of a gateway without a control plane: `[[object]]` tables with `kind`, `id`, `tenant`, `version` and
//! `body`, checked by the same validator as synced ones, with every fault at its place and all of them at once.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use trunkline_api::agent::AgentSpec;
use trunkline_api::id::{Id, Prefix};
use trunkline_api::object::{Body, Kind, NumberBody, Object, ObjectError, ProviderBody, TenantBody, TrunkBody};
use trunkline_api::outbound::OutboundRouteBody;
use trunkline_api::routing::RouteBody;
use trunkline_configuration::{Content, Diagnostic, Location, Node, Shape, dotted, layers, unknown_key};
use trunkline_route::Table;

/// Reads every object of a folder. `alone` says that no control plane sends further ones, so that what an object
/// refers to must be here.
pub(crate) fn load(folder: &Path, alone: bool, faults: &mut Vec<Diagnostic>) -> Vec<Object> {
    let mut reader = Reader {
        schemas: schemas(),
        faults,
        objects: Vec::new(),
        places: BTreeMap::new(),
        bodies: BTreeMap::new(),
        references: Vec::new(),
    };
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
    reader.routes_hold(alone);
    reader.objects
}

/// The shape of each kind's body that has one.
fn schemas() -> BTreeMap<Kind, Value> {
    BTreeMap::from([
        (Kind::Tenant, schemars::schema_for!(TenantBody).into()),
        (Kind::Agent, schemars::schema_for!(AgentSpec).into()),
        (Kind::Trunk, schemars::schema_for!(TrunkBody).into()),
        (Kind::Number, schemars::schema_for!(NumberBody).into()),
        (Kind::Route, schemars::schema_for!(RouteBody).into()),
        (Kind::OutboundRoute, schemars::schema_for!(OutboundRouteBody).into()),
        (Kind::Provider, schemars::schema_for!(ProviderBody).into()),
    ])
}

struct Reader<'a> {
    schemas: BTreeMap<Kind, Value>,
    faults: &'a mut Vec<Diagnostic>,
    objects: Vec<Object>,
    places: BTreeMap<Id, Location>,
    /// Bodies as written, with the key they lie at.
    bodies: BTreeMap<Id, (String, Node)>,
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
            `tenant`, `agent`, `trunk`, `number`, `route`, `outbound-route`, `provider`, `plugin`, `quota` or `trusted-key`",
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
        let Some((kind, entry)) = kind.zip(node.get("body")) else { return };
        let fits = body.as_ref().is_some_and(|body| self.shape(&dotted(key, "body"), kind, body, &entry.value));
        let (Some(id), Some(tenant), Some(version), Some(body)) = (id, tenant, version, body) else { return };
        let object = Object { kind, id, tenant, version, sha256: String::new(), body };
        if fits && self.means(&dotted(key, "body"), &entry.value, &object, node) {
            self.keep(key, node, object);
        }
    }

    /// Checks a body against the shape of its kind; true when it fits. Readers of synced objects keep keys they do not
    /// know; in a file of one's own such a key is a slip.
    fn shape(&mut self, key: &str, kind: Kind, body: &Value, node: &Node) -> bool {
        let before = self.faults.len();
        if let Some(schema) = self.schemas.get(&kind) {
            Shape::new(schema).check(key, &mut node.clone(), self.faults);
        }
        if kind == Kind::Agent
            && let Ok(spec) = serde_json::from_value::<AgentSpec>(body.clone())
        {
            for problem in spec.problems() {
                let (message, expected) = problem.message.split_once("expected ").unwrap_or((&problem.message, ""));
                let message = if message.is_empty() { "does not fit" } else { message };
                let key = format!("{key}{}", problem.pointer.replace('/', "."));
                self.fault(&node.near(&problem.pointer), &key, message, expected);
            }
        }
        self.faults.len() == before
    }

    /// Checks what a shape cannot say; true when the object may be served.
    fn means(&mut self, key: &str, node: &Node, object: &Object, whole: &Node) -> bool {
        let before = self.faults.len();
        match object.typed() {
            Ok(body) => self.refers(key, node, &body),
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

    fn refers(&mut self, key: &str, node: &Node, body: &Body) {
        let mut refer = |name: &str, id: &Id| {
            let place = dotted(key, &name.replace('/', "."));
            self.references.push((node.near(&format!("/{name}")), place, id.clone()));
        };
        match body {
            Body::Number(number) => refer("agent", &number.agent),
            Body::Route(route) => {
                refer("agent", &route.agent);
                if let Some(trunk) = &route.trunk {
                    refer("trunk", trunk);
                }
                for (at, target) in route.overflow.iter().enumerate() {
                    refer(&format!("overflow/{at}/agent"), &target.agent);
                }
            }
            Body::OutboundRoute(route) => {
                for (at, trunk) in route.trunks.iter().enumerate() {
                    refer(&format!("trunks/{at}"), trunk);
                }
                for (at, agent) in route.agents.iter().enumerate() {
                    refer(&format!("agents/{at}"), agent);
                }
            }
            _ => {}
        }
    }

    fn keep(&mut self, key: &str, node: &Node, object: Object) {
        let at = node.near("/id");
        match self.places.insert(object.id.clone(), at.clone()) {
            None => {
                if let Some(body) = node.get("body") {
                    self.bodies.insert(object.id.clone(), (dotted(key, "body"), body.value.clone()));
                }
                self.objects.push(object);
            }
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

    /// What only the routing table knows: addresses, patterns, trunks that hide each other. Without a control plane
    /// also what numbers and routes refer to.
    fn routes_hold(&mut self, alone: bool) {
        let (_, problems) = Table::build(&self.objects);
        for problem in problems {
            let Some((key, body)) = self.bodies.get(&problem.object).cloned() else { continue };
            let (name, message) = problem.message.split_once(": ").unwrap_or(("", &problem.message));
            let missing = name.split('/').any(|part| matches!(part, "agent" | "trunk" | "agents" | "trunks"));
            let pointer = name.replace('.', "/");
            let (at, key) = (body.near(&format!("/{pointer}")), dotted(&key, &pointer.replace('/', ".")));
            let reported =
                self.faults.iter().any(|fault| fault.key == key && fault.location.to_string() == at.to_string());
            if !reported && (alone || !missing) {
                self.fault(&at, &key, message, "");
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
            let message = format!("{} does not fit", entry.value.describe(&key));
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
