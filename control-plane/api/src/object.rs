//! Desired state: the objects a gateway serves by, whether synced and signed or read from `conf.d/objects/*.toml`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent::AgentSpec;
use crate::id::{Id, Prefix};

/// Format number of [`Revision`]; readers take this and the one before.
pub const REVISION_FORMAT: u32 = 1;

/// Kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Tenant: limits, recording key.
    Tenant,
    /// Agent version in service.
    Agent,
    /// SIP trunk.
    Trunk,
    /// Number.
    Number,
    /// Route.
    Route,
    /// Configured provider.
    Provider,
    /// Plugin to have installed.
    Plugin,
    /// Quota lease.
    Quota,
    /// Key that may sign plugins or state.
    TrustedKey,
}

/// One object of desired state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Object {
    /// Kind.
    pub kind: Kind,
    /// Identifier.
    #[schemars(with = "String")]
    pub id: Id,
    /// Owning tenant.
    #[schemars(with = "String")]
    pub tenant: Id,
    /// Version, from 1.
    #[serde(default = "first")]
    pub version: u32,
    /// SHA-256 of the body's JSON text as sent, lower-case hexadecimal; empty for local objects.
    #[serde(default)]
    pub sha256: String,
    /// The body; see [`Body`].
    pub body: Value,
}

fn first() -> u32 {
    1
}

/// Names an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ObjectRef {
    /// Kind.
    pub kind: Kind,
    /// Identifier.
    #[schemars(with = "String")]
    pub id: Id,
}

/// A step of desired state: a delta on `base`, or the whole when `base` is absent. Sent as [`crate::signature::Signed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Revision {
    /// [`REVISION_FORMAT`].
    pub format: u32,
    /// The gateway it is for.
    #[schemars(with = "String")]
    pub gateway: Id,
    /// Revision number; grows.
    pub rev: u64,
    /// The revision it builds on; `None` replaces everything.
    pub base: Option<u64>,
    /// Objects made or changed.
    #[serde(default)]
    pub upserts: Vec<Object>,
    /// Objects gone.
    #[serde(default)]
    pub removes: Vec<ObjectRef>,
}

/// A tenant's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct TenantBody {
    /// Name.
    pub name: String,
    /// Most calls at once; 0 means no limit of its own.
    #[serde(default)]
    pub max_calls: u32,
}

/// A SIP trunk's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct TrunkBody {
    /// Name.
    pub name: String,
    /// Source addresses that belong to it: `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32`.
    pub peers: Vec<String>,
    /// Codecs in order of preference, by RTP encoding name.
    #[serde(default = "g711")]
    pub codecs: Vec<String>,
    /// Most calls at once; 0 means no limit of its own.
    #[serde(default)]
    pub max_calls: u32,
}

fn g711() -> Vec<String> {
    vec!["PCMU".to_owned(), "PCMA".to_owned()]
}

/// A number's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct NumberBody {
    /// E.164 with `+`, or a URI user as the trunk sends it.
    pub number: String,
    /// The agent that answers it.
    #[schema(value_type = String)]
    #[schemars(with = "String")]
    pub agent: Id,
}

/// A route's body: what is called over which trunk goes to which agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct RouteBody {
    /// Name.
    pub name: String,
    /// Lower is tried first.
    #[serde(default)]
    pub order: u32,
    /// Only calls of this trunk.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    #[schemars(with = "Option<String>")]
    pub trunk: Option<Id>,
    /// Called number or URI user: exact, `prefix*`, or `*`.
    #[serde(default = "any")]
    pub called: String,
    /// Calling number: exact, `prefix*`, or `*`.
    #[serde(default = "any")]
    pub calling: String,
    /// The agent that answers.
    #[schema(value_type = String)]
    #[schemars(with = "String")]
    pub agent: Id,
}

fn any() -> String {
    "*".to_owned()
}

/// A configured provider's body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct ProviderBody {
    /// Name that agents use.
    pub name: String,
    /// The plugin behind it.
    pub plugin: String,
    /// Settings under the agent's own.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub settings: serde_json::Map<String, Value>,
}

/// An object's body, typed. Kinds without a variant here are kept as they are.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A tenant.
    Tenant(TenantBody),
    /// An agent.
    Agent(Box<AgentSpec>),
    /// A trunk.
    Trunk(TrunkBody),
    /// A number.
    Number(NumberBody),
    /// A route.
    Route(RouteBody),
    /// A provider.
    Provider(ProviderBody),
    /// A kind this build keeps but does not act on.
    Kept(Value),
}

/// Why an object was refused; the last known good one stays in service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// The body does not have its kind's shape.
    #[error("{kind:?} {id}: {message}")]
    Shape {
        /// Kind.
        kind: Kind,
        /// Identifier.
        id: Id,
        /// What was expected.
        message: String,
    },
    /// The identifier's prefix does not fit the kind.
    #[error("{kind:?} {id}: the id should begin with `{expected}_`")]
    WrongId {
        /// Kind.
        kind: Kind,
        /// Identifier.
        id: Id,
        /// The right prefix.
        expected: &'static str,
    },
    /// It requires what this build cannot do.
    #[error("{kind:?} {id}: unsupported_feature: {what}; upgrade the gateway or change the object")]
    UnsupportedFeature {
        /// Kind.
        kind: Kind,
        /// Identifier.
        id: Id,
        /// What is not supported.
        what: String,
    },
}

impl Object {
    /// The typed body, validated. This one validator serves synced and local objects.
    pub fn typed(&self) -> Result<Body, ObjectError> {
        let expected = match self.kind {
            Kind::Tenant => Some(Prefix::Tenant),
            Kind::Agent => Some(Prefix::Agent),
            Kind::Trunk => Some(Prefix::Trunk),
            Kind::Number => Some(Prefix::Number),
            Kind::Route => Some(Prefix::Route),
            Kind::Provider => Some(Prefix::Provider),
            Kind::Plugin => Some(Prefix::Plugin),
            Kind::Quota | Kind::TrustedKey => None,
        };
        if let Some(prefix) = expected
            && prefix != self.id.prefix()
        {
            return Err(ObjectError::WrongId { kind: self.kind, id: self.id.clone(), expected: prefix.as_str() });
        }
        match self.kind {
            Kind::Tenant => self.parse().map(Body::Tenant),
            Kind::Trunk => self.parse().map(Body::Trunk),
            Kind::Number => self.parse().map(Body::Number),
            Kind::Route => self.parse().map(Body::Route),
            Kind::Provider => self.parse().map(Body::Provider),
            Kind::Agent => self.agent(),
            Kind::Plugin | Kind::Quota | Kind::TrustedKey => Ok(Body::Kept(self.body.clone())),
        }
    }

    fn agent(&self) -> Result<Body, ObjectError> {
        let spec: AgentSpec = self.parse()?;
        if let Some(problem) = spec.problems().into_iter().next() {
            return Err(self.shape(format!("{}: {}", problem.pointer, problem.message)));
        }
        match spec.unsupported().first() {
            Some(what) => {
                Err(ObjectError::UnsupportedFeature { kind: self.kind, id: self.id.clone(), what: what.clone() })
            }
            None => Ok(Body::Agent(Box::new(spec))),
        }
    }

    fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, ObjectError> {
        T::deserialize(&self.body).map_err(|error| self.shape(error.to_string()))
    }

    fn shape(&self, message: String) -> ObjectError {
        ObjectError::Shape { kind: self.kind, id: self.id.clone(), message }
    }
}
