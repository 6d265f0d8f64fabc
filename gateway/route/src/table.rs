//! The routing table: the objects that matter to a new call, parsed once and ordered.

use std::collections::BTreeMap;
use std::net::IpAddr;

use trunkline_api::cidr::Cidr;
use trunkline_api::object::{Body, CODECS, MediaSource, Object, Ringing, SrtpPolicy, is_codec};
use trunkline_api::{Id, SoundPolicy};

use crate::pattern::Pattern;

/// A tenant's limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Name.
    pub name: String,
    /// Most calls at once; 0 means no limit.
    pub max_calls: u32,
}

/// A trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trunk {
    /// Identifier.
    pub id: Id,
    /// Owning tenant.
    pub tenant: Id,
    /// Name.
    pub name: String,
    /// Address ranges.
    pub peers: Vec<Cidr>,
    /// Codecs in order of preference, by RTP encoding name; at least one of them is known.
    pub codecs: Vec<String>,
    /// Encryption of the sound.
    pub srtp: SrtpPolicy,
    /// Whose RTP is believed.
    pub source: MediaSource,
    /// Where its RTP may come from when `source` is [`MediaSource::Acl`].
    pub media_peers: Vec<Cidr>,
    /// How its calls ring before they are answered.
    pub ringing: Ringing,
    /// Most calls at once; 0 means no limit.
    pub max_calls: u32,
    /// What is done to the sound of its calls, where their agent does not say.
    pub sound: SoundPolicy,
}

/// A number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    /// Identifier.
    pub id: Id,
    /// Owning tenant.
    pub tenant: Id,
    /// What is dialled.
    pub number: Pattern,
    /// Who answers.
    pub agent: Id,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Identifier.
    pub id: Id,
    /// Owning tenant.
    pub tenant: Id,
    /// Name.
    pub name: String,
    /// Lower is tried first; of equals, the one with the lower id.
    pub order: u32,
    /// Only calls of this trunk.
    pub trunk: Option<Id>,
    /// What is dialled.
    pub called: Pattern,
    /// Who dials.
    pub calling: Pattern,
    /// Who answers.
    pub agent: Id,
}

/// An agent version in service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Owning tenant.
    pub tenant: Id,
    /// Name.
    pub name: String,
    /// Version.
    pub version: u32,
}

/// An object that could not be taken into the table, or that another one hides.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{object}: {message}")]
pub struct RouteProblem {
    /// Which object.
    pub object: Id,
    /// What is wrong and what to do.
    pub message: String,
}

/// The table. Iteration is in the order of ids, or of `order` for routes, so that every gateway decides alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    pub(crate) tenants: BTreeMap<Id, Tenant>,
    pub(crate) trunks: BTreeMap<Id, Trunk>,
    pub(crate) agents: BTreeMap<Id, Agent>,
    /// By id.
    pub(crate) numbers: Vec<Number>,
    /// By order, then id.
    pub(crate) routes: Vec<Route>,
}

impl Table {
    /// Builds a table. An object that does not parse is left out and reported; the others serve.
    #[must_use]
    pub fn build(objects: &[Object]) -> (Self, Vec<RouteProblem>) {
        let (mut table, mut problems) = (Self::default(), Vec::new());
        for object in objects {
            if let Err(message) = table.add(object) {
                problems.push(RouteProblem { object: object.id.clone(), message });
            }
        }
        table.numbers.sort_by(|a, b| a.id.cmp(&b.id));
        table.routes.sort_by(|a, b| (a.order, &a.id).cmp(&(b.order, &b.id)));
        problems.extend(table.dangling());
        problems.extend(table.overlapping());
        problems.extend(table.unknown_codecs());
        (table, problems)
    }

    /// The trunk whose range holds an address; the most specific range wins, of equals the lower id.
    #[must_use]
    pub fn trunk(&self, source: IpAddr) -> Option<&Trunk> {
        self.trunk_and_range(source).map(|(trunk, _)| trunk)
    }

    /// A trunk by its identifier.
    #[must_use]
    pub fn trunk_by_id(&self, id: &Id) -> Option<&Trunk> {
        self.trunks.get(id)
    }

    /// A tenant's limits.
    #[must_use]
    pub fn tenant(&self, id: &Id) -> Option<&Tenant> {
        self.tenants.get(id)
    }

    /// An agent version in service.
    #[must_use]
    pub fn agent(&self, id: &Id) -> Option<&Agent> {
        self.agents.get(id)
    }

    /// Every trunk, by id.
    pub fn trunks(&self) -> impl Iterator<Item = &Trunk> {
        self.trunks.values()
    }

    pub(crate) fn trunk_and_range(&self, source: IpAddr) -> Option<(&Trunk, &Cidr)> {
        let mut best: Option<(&Trunk, &Cidr)> = None;
        for trunk in self.trunks.values() {
            for range in trunk.peers.iter().filter(|range| range.contains(source)) {
                if best.is_none_or(|(_, other)| range.bits() > other.bits()) {
                    best = Some((trunk, range));
                }
            }
        }
        best
    }

    fn add(&mut self, object: &Object) -> Result<(), String> {
        let (id, tenant) = (object.id.clone(), object.tenant.clone());
        match object.typed().map_err(|error| error.to_string())? {
            Body::Tenant(body) => {
                self.tenants.insert(id, Tenant { name: body.name, max_calls: body.max_calls });
            }
            Body::Agent(spec) => {
                self.agents.insert(id, Agent { tenant, name: spec.name, version: object.version });
            }
            Body::Trunk(body) => {
                let peers = ranges("peers", &body.peers)?;
                let media_peers = ranges("media_peers", &body.media_peers)?;
                if body.source != MediaSource::Acl && !media_peers.is_empty() {
                    return Err(
                        "media_peers: they are believed with `source = \"acl\"` only; set that, or leave them out"
                            .to_owned(),
                    );
                }
                if let Some((pointer, message)) = body.ringing.problem().as_ref().or(body.sound.problems().first()) {
                    return Err(format!("{}: {message}", pointer.trim_start_matches('/').replace('/', ".")));
                }
                if !body.codecs.iter().any(|name| is_codec(name)) {
                    return Err(format!("codecs: at least one of {} is expected", CODECS.join(", ")));
                }
                let trunk = Trunk {
                    id: id.clone(),
                    tenant,
                    name: body.name,
                    media_peers: if media_peers.is_empty() { peers.clone() } else { media_peers },
                    peers,
                    codecs: body.codecs,
                    srtp: body.srtp,
                    source: body.source,
                    ringing: body.ringing,
                    max_calls: body.max_calls,
                    sound: body.sound,
                };
                self.trunks.insert(id, trunk);
            }
            Body::Number(body) => {
                if body.number.contains('*') {
                    return Err("number: an exact number is expected; a route takes patterns".to_owned());
                }
                let number = body.number.parse().map_err(|error| format!("number: {error}"))?;
                self.numbers.push(Number { id, tenant, number, agent: body.agent });
            }
            Body::Route(body) => {
                let called = body.called.parse().map_err(|error| format!("called: {error}"))?;
                let calling = body.calling.parse().map_err(|error| format!("calling: {error}"))?;
                let (name, order, trunk, agent) = (body.name, body.order, body.trunk, body.agent);
                self.routes.push(Route { id, tenant, name, order, trunk, called, calling, agent });
            }
            Body::Provider(_) | Body::Kept(_) => {}
        }
        Ok(())
    }

    /// Numbers and routes whose agent or trunk is not here, or is another tenant's.
    fn dangling(&self) -> Vec<RouteProblem> {
        let problem = |object: &Id, message: String| RouteProblem { object: object.clone(), message };
        let wrong_agent = |agent: &Id, tenant: &Id| match self.agents.get(agent) {
            Some(found) if found.tenant == *tenant => None,
            Some(_) => Some(format!("agent: {agent} belongs to another tenant; name one of {tenant}")),
            None => Some(format!("agent: {agent} is not in service here; publish it or name another")),
        };
        let numbers = self
            .numbers
            .iter()
            .filter_map(|number| Some(problem(&number.id, wrong_agent(&number.agent, &number.tenant)?)));
        let routes = self.routes.iter().flat_map(|route| {
            let agent = wrong_agent(&route.agent, &route.tenant).map(|message| problem(&route.id, message));
            let trunk =
                route.trunk.as_ref().filter(|id| self.trunks.get(*id).is_none_or(|trunk| trunk.tenant != route.tenant));
            let trunk = trunk.map(|id| problem(&route.id, format!("trunk: the tenant has no trunk {id}")));
            agent.into_iter().chain(trunk)
        });
        numbers.chain(routes).collect()
    }

    /// Codecs that this build does not know: a trunk serves with the others.
    fn unknown_codecs(&self) -> Vec<RouteProblem> {
        let unknown = |trunk: &Trunk| {
            let names: Vec<&str> = trunk.codecs.iter().map(String::as_str).filter(|name| !is_codec(name)).collect();
            let message = format!("codecs: {} is not known here; known are {}", names.join(", "), CODECS.join(", "));
            (!names.is_empty()).then(|| RouteProblem { object: trunk.id.clone(), message })
        };
        self.trunks.values().filter_map(unknown).collect()
    }

    /// Trunks that share a range: the one with the higher id never gets a call from it.
    fn overlapping(&self) -> Vec<RouteProblem> {
        let mut owners: BTreeMap<Cidr, &Id> = BTreeMap::new();
        let mut problems = Vec::new();
        for trunk in self.trunks.values() {
            for range in &trunk.peers {
                match owners.get(range) {
                    Some(owner) if **owner != trunk.id => problems.push(RouteProblem {
                        object: trunk.id.clone(),
                        message: format!("peers: {range} belongs to {owner} already, which gets its calls"),
                    }),
                    Some(_) => {}
                    None => {
                        owners.insert(*range, &trunk.id);
                    }
                }
            }
        }
        problems
    }
}

fn ranges(field: &str, texts: &[String]) -> Result<Vec<Cidr>, String> {
    let ranges: Result<Vec<Cidr>, _> = texts.iter().map(|text| text.parse()).collect();
    ranges.map_err(|error: crate::CidrError| format!("{field}: {error}"))
}
