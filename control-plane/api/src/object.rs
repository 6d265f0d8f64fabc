//! Desired state: the objects a gateway serves by, whether synced and signed or read from `conf.d/objects/*.toml`.

use std::net::IpAddr;

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent::AgentSpec;
use crate::e164::Numbering;
use crate::id::{Id, Prefix};
use crate::outbound::{OutboundLimits, OutboundRouteBody, is_host};
use crate::routing::RouteBody;
use crate::sound::SoundPolicy;
use crate::trunk::{SipTransport, TrunkCredentials, TrunkServer};

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
    /// Where calls may be placed to, and over which trunks.
    OutboundRoute,
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
    /// Whom recordings are sealed to, `x25519-public:` and 32 bytes in base 64 as `trunkline recording keygen` prints it;
    /// empty means nobody.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub recording_key: String,
    /// How much it may call out.
    #[serde(default, skip_serializing_if = "OutboundLimits::is_default")]
    pub outbound: OutboundLimits,
}

/// How a tenant's `recording_key` begins.
const RECORDING_KEY: &str = "x25519-public:";

impl TenantBody {
    /// What is wrong with its `recording_key`.
    #[must_use]
    pub fn recording_key_problem(&self) -> Option<String> {
        let bytes = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).ok();
        let fits =
            self.recording_key.strip_prefix(RECORDING_KEY).and_then(bytes).is_some_and(|bytes| bytes.len() == 32);
        (!self.recording_key.is_empty() && !fits).then(|| {
            format!(
                "`recording_key` is no public key; expected `{RECORDING_KEY}` and 32 bytes in base 64, the line that \
                 `trunkline recording keygen` prints"
            )
        })
    }
}

/// A SIP trunk's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct TrunkBody {
    /// Name.
    pub name: String,
    /// Source addresses that belong to it: `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32`.
    pub peers: Vec<String>,
    /// What its messages may come over; anything when empty. A trunk that says `tls` alone is unknown in clear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transports: Vec<SipTransport>,
    /// DNS names, one of which the certificate must be for that it shows over TLS (RFC 5922), at most 16. With them it is
    /// known by its certificate alone, from whatever address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
    /// The address that it reaches us at, for Via and Contact, when it is another than others do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub advertise: Option<IpAddr>,
    /// Codecs in order of preference, by RTP encoding name: `PCMU`, `PCMA`, `G722`, `opus`, `L16/8000`, `L16/16000`.
    #[serde(default = "g711")]
    pub codecs: Vec<String>,
    /// Encryption of the sound (SRTP with keys in the SDP).
    #[serde(default)]
    pub srtp: SrtpPolicy,
    /// Whose RTP is believed, and where sound is sent.
    #[serde(default)]
    pub source: MediaSource,
    /// Addresses its RTP may come from when `source` is `acl`; its `peers` when empty.
    #[serde(default)]
    pub media_peers: Vec<String>,
    /// How its calls ring before they are answered.
    #[serde(default, skip_serializing_if = "Ringing::is_off")]
    pub ringing: Ringing,
    /// Most calls at once; 0 means no limit of its own.
    #[serde(default)]
    pub max_calls: u32,
    /// What is done to the sound of its calls, where their agent does not say.
    #[serde(default, skip_serializing_if = "SoundPolicy::is_empty")]
    pub sound: SoundPolicy,
    /// How it writes telephone numbers.
    #[serde(default, skip_serializing_if = "Numbering::is_default")]
    pub numbering: Numbering,
    /// Whether it belongs to the same trust domain (RFC 3325): what it asserts about a caller is believed, and it is told
    /// who calls also when that is to be kept from others.
    #[serde(default, skip_serializing_if = "is_false")]
    pub trusted: bool,
    /// Whether it is verified who calls, by the Identity of its calls (STIR/SHAKEN, RFC 8224).
    #[serde(default, skip_serializing_if = "StirPolicy::is_default")]
    pub stir: StirPolicy,
    /// Where calls are placed to, and where it is registered; without it nothing leaves over the trunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<TrunkServer>,
    /// What its calls must prove themselves with, beside their address (RFC 3261 22, RFC 8760): user and name of a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<TrunkCredentials>,
    /// Where the gateway's own requests within a call go.
    #[serde(default, skip_serializing_if = "NatPolicy::is_default")]
    pub nat: NatPolicy,
    /// Whose requests within a call are believed.
    #[serde(default, skip_serializing_if = "DialogPeers::is_default")]
    pub dialog_peers: DialogPeers,
}

impl TrunkBody {
    /// What is out of range of its server and its passwords, each with its RFC 6901 pointer and what was expected.
    #[must_use]
    pub fn server_problems(&self) -> Vec<(&'static str, &'static str)> {
        let server = self.server.iter().flat_map(TrunkServer::problems);
        let names = self.certificates.len() <= 16 && self.certificates.iter().all(|name| is_host(name));
        let names = (!names).then_some(("/certificates", "expected at most 16 DNS names"));
        let reached = self.advertise.is_none_or(|ip| !ip.is_unspecified() && !ip.is_multicast());
        let reached = (!reached).then_some(("/advertise", "expected an address that it can send to"));
        let server = server.chain(names).chain(reached);
        server.chain(self.auth.iter().flat_map(TrunkCredentials::problems)).collect()
    }
}

const fn is_false(value: &bool) -> bool {
    !*value
}

/// How a call rings before it is answered.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(default, deny_unknown_fields)]
pub struct Ringing {
    /// For how long, 0 to 20 000 ms; 0 answers at once.
    pub ms: u32,
    /// Whether sound begins meanwhile: the caller is told 183 with a description and hears a ring-back tone (425 Hz, one
    /// second of five, ITU-T E.180), for networks that play none of their own. Otherwise it is told 180.
    pub early_media: bool,
}

impl Ringing {
    /// The longest, in milliseconds.
    pub const MAX_MS: u32 = 20_000;

    /// Whether calls are answered at once.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.ms == 0 && !self.early_media
    }

    /// What is wrong with it.
    #[must_use]
    pub const fn problem(&self) -> Option<(&'static str, &'static str)> {
        if self.ms > Self::MAX_MS {
            Some(("/ringing/ms", "expected 0 to 20000 ms"))
        } else if self.early_media && self.ms == 0 {
            Some(("/ringing/early_media", "expected with `ms` above 0 only: the call is answered at once"))
        } else {
            None
        }
    }
}

/// Where the gateway's own requests within a call go (BYE, UPDATE), when the far end may be behind NAT.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum NatPolicy {
    /// To the Contact or the first Route, unless that cannot be reached from here: a private, loopback or link-local address
    /// that the call did not come from, or another port of the address that it came from. Then back to where it came from.
    #[default]
    Auto,
    /// To the Contact or the first Route, whatever it is (RFC 3261 12.2.1.1).
    Contact,
    /// Back to where the call came from (RFC 3581, RFC 5626), whatever it says.
    Source,
}

impl NatPolicy {
    /// Whether it is what holds when nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whose requests within a call are believed beside those from the very address that the call came from. They say the call's
/// tags, and whoever saw one message of it knows those.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum DialogPeers {
    /// Those from the range of `peers` that the call came from.
    #[default]
    Network,
    /// Those from any of the trunk's `peers`, for pairs of which one takes over the other's calls.
    Trunk,
    /// None.
    Address,
}

impl DialogPeers {
    /// Whether it is what holds when nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether it is verified who calls, by the Identity of a call (STIR, RFC 8224; SHAKEN, RFC 8588).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum StirPolicy {
    /// No: it is handed on as it came.
    #[default]
    Off,
    /// Yes: routes and agents are told, and the call is taken whatever is found.
    Note,
    /// Yes, and a call whose Identity is missing or does not hold is refused (RFC 8224 6.2.2).
    Require,
}

impl StirPolicy {
    /// Whether it is what holds when nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a trunk's sound is encrypted: SRTP with keys in the SDP (RFC 4568).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SrtpPolicy {
    /// Never: an offer that insists on it is refused.
    Off,
    /// Where the offer has a key that can be used.
    #[default]
    Optional,
    /// Always: an offer without one is refused.
    Required,
}

/// Codecs that gateways know, by RTP encoding name, with the clock rate where that alone tells two apart.
pub const CODECS: [&str; 6] = ["PCMU", "PCMA", "G722", "opus", "L16/8000", "L16/16000"];

/// Whether gateways know the codec of a name; case does not matter, and `L16` alone is the one at 16 kHz.
#[must_use]
pub fn is_codec(name: &str) -> bool {
    name.eq_ignore_ascii_case("L16") || CODECS.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn g711() -> Vec<String> {
    vec!["PCMU".to_owned(), "PCMA".to_owned()]
}

/// Whose RTP a leg believes. Packets from anywhere else are counted and not heard.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MediaSource {
    /// Only the address and port that SDP names.
    Strict,
    /// That address, or, for a peer behind NAT, where its sound comes from: the address that SDP or signalling names with
    /// any port, and within 3 s their neighbours. The named address takes precedence whenever it is heard.
    #[default]
    Learn,
    /// The address that SDP names, and any of `media_peers`.
    Acl,
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
    Trunk(Box<TrunkBody>),
    /// A number.
    Number(NumberBody),
    /// A route.
    Route(RouteBody),
    /// An outbound route.
    OutboundRoute(OutboundRouteBody),
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
            Kind::OutboundRoute => Some(Prefix::OutboundRoute),
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
            Kind::Tenant => self.tenant(),
            Kind::Trunk => self.parse().map(Box::new).map(Body::Trunk),
            Kind::Number => self.parse().map(Body::Number),
            Kind::Route => self.parse().map(Body::Route),
            Kind::OutboundRoute => self.parse().map(Body::OutboundRoute),
            Kind::Provider => self.parse().map(Body::Provider),
            Kind::Agent => self.agent(),
            Kind::Plugin | Kind::Quota | Kind::TrustedKey => Ok(Body::Kept(self.body.clone())),
        }
    }

    fn tenant(&self) -> Result<Body, ObjectError> {
        let tenant: TenantBody = self.parse()?;
        tenant.recording_key_problem().map_or(Ok(Body::Tenant(tenant)), |problem| Err(self.shape(problem)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_recording_key_is_a_public_key_or_nothing() {
        let typed = |key: Value| {
            let id: Id = format!("ten_{}", "0".repeat(26)).parse().unwrap();
            let body = serde_json::json!({ "name": "a", "recording_key": key });
            Object { kind: Kind::Tenant, id: id.clone(), tenant: id, version: 1, sha256: String::new(), body }.typed()
        };
        let zeros = base64::engine::general_purpose::STANDARD.encode([0; 32]);
        assert!(typed(format!("x25519-public:{zeros}").into()).is_ok() && typed("".into()).is_ok());
        for wrong in [zeros.clone(), format!("x25519-secret:{zeros}"), "x25519-public:AAAA".to_owned()] {
            let message = typed(wrong.into()).unwrap_err().to_string();
            assert!(message.contains("`recording_key`") && message.contains("keygen"), "{message}");
        }
    }
}
