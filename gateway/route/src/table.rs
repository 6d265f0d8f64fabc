//! The routing table: the objects that matter to a new call, parsed once and ordered.

use std::collections::BTreeMap;
use std::net::IpAddr;

use trunkline_api::cidr::Cidr;
use trunkline_api::dialled::Pattern;
use trunkline_api::e164::Numbering;
use trunkline_api::hours::Timetable;
use trunkline_api::object::{
    Body, CODECS, DialogPeers, MediaSource, NatPolicy, Object, Ringing, SrtpPolicy, StirPolicy, TrunkBody, is_codec,
};
use trunkline_api::outbound::{Destinations, OutboundLimits, OutboundRouteBody, OutboundUse};
use trunkline_api::routing::RouteBody;
use trunkline_api::trunk::{SipTransport, TrunkCredentials, TrunkServer};
use trunkline_api::{Id, SoundPolicy};

/// A tenant's limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Name.
    pub name: String,
    /// Most calls at once; 0 means no limit.
    pub max_calls: u32,
    /// How much it may call out.
    pub outbound: OutboundLimits,
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
    /// What its messages may come over; anything when empty.
    pub transports: Vec<SipTransport>,
    /// Names, one of which its certificate must be for.
    pub certificates: Vec<String>,
    /// The address that it reaches us at, when it is another than others do.
    pub advertise: Option<IpAddr>,
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
    /// How it writes telephone numbers.
    pub numbering: Numbering,
    /// Whether what it asserts about a caller is believed (RFC 3325).
    pub trusted: bool,
    /// Whether it is verified who calls.
    pub stir: StirPolicy,
    /// Where calls are placed to, and where it is registered.
    pub server: Option<TrunkServer>,
    /// What its calls must prove themselves with.
    pub auth: Option<TrunkCredentials>,
    /// Where our own requests within its calls go.
    pub nat: NatPolicy,
    /// Whose requests within its calls are believed.
    pub dialog_peers: DialogPeers,
}

impl Trunk {
    /// The ranges whose requests are believed within a call that came from `source`, beside `source` itself.
    #[must_use]
    pub fn dialog_ranges(&self, source: IpAddr) -> Vec<Cidr> {
        match self.dialog_peers {
            DialogPeers::Network => {
                let holding = self.peers.iter().filter(|range| range.contains(source));
                holding.max_by_key(|range| range.bits()).copied().into_iter().collect()
            }
            DialogPeers::Trunk => self.peers.clone(),
            DialogPeers::Address => Vec::new(),
        }
    }
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

/// A route. Everything that it says must hold.
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
    /// What headers must say, by name.
    pub headers: Vec<(String, Pattern)>,
    /// When it takes calls.
    pub hours: Timetable,
    /// Who answers: the first that can. At least one.
    pub targets: Vec<RouteTarget>,
}

/// One who may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTarget {
    /// The agent.
    pub agent: Id,
    /// Most calls of that agent at once; 0 means no limit.
    pub max_calls: u32,
}

/// An outbound route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundRoute {
    /// Identifier.
    pub id: Id,
    /// Owning tenant.
    pub tenant: Id,
    /// Name.
    pub name: String,
    /// Lower is tried first; of equals, the one with the lower id.
    pub order: u32,
    /// What may be called.
    pub destinations: Vec<Destinations>,
    /// What may not.
    pub denied: Vec<Destinations>,
    /// Over which trunks, in order.
    pub trunks: Vec<Id>,
    /// Who may use it.
    pub uses: Vec<OutboundUse>,
    /// Only calls of these agents; of everybody when empty.
    pub agents: Vec<Id>,
    /// Most calls at once over it; 0 means no limit of its own.
    pub max_calls: u32,
    /// What a minute that has begun costs, in millionths of the tenant's currency.
    pub price_micro_per_minute: u64,
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
    /// By order, then id.
    pub(crate) outbound: Vec<OutboundRoute>,
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
        table.outbound.sort_by(|a, b| (a.order, &a.id).cmp(&(b.order, &b.id)));
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

    /// The trunk that a message is of: by a name of the certificate that the far end has proven, else by its address. What
    /// came over a transport that the trunk does not use is of none.
    #[must_use]
    pub fn trunk_of(&self, source: IpAddr, transport: SipTransport, names: &[String]) -> Option<&Trunk> {
        let proven = |trunk: &&Trunk| {
            trunk.certificates.iter().any(|name| names.iter().any(|other| other.eq_ignore_ascii_case(name)))
        };
        let by_address = || self.trunk(source).filter(|trunk| trunk.certificates.is_empty());
        let trunk = self.trunks.values().find(proven).or_else(by_address)?;
        (trunk.transports.is_empty() || trunk.transports.contains(&transport)).then_some(trunk)
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

    /// Every tenant, by id.
    pub fn tenants(&self) -> impl Iterator<Item = (&Id, &Tenant)> {
        self.tenants.iter()
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
                first(body.outbound.problems())?;
                let tenant = Tenant { name: body.name, max_calls: body.max_calls, outbound: body.outbound };
                self.tenants.insert(id, tenant);
            }
            Body::Agent(spec) => {
                self.agents.insert(id, Agent { tenant, name: spec.name, version: object.version });
            }
            Body::Trunk(body) => {
                self.trunks.insert(id.clone(), trunk(id, tenant, *body)?);
            }
            Body::Number(body) => {
                if body.number.contains('*') {
                    return Err("number: an exact number is expected; a route takes patterns".to_owned());
                }
                let number = body.number.parse().map_err(|error| format!("number: {error}"))?;
                self.numbers.push(Number { id, tenant, number, agent: body.agent });
            }
            Body::Route(body) => self.routes.push(route(id, tenant, body)?),
            Body::OutboundRoute(body) => self.outbound.push(outbound(id, tenant, body)?),
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
        let wrong_trunk = |trunk: &Id, tenant: &Id| {
            let ours = self.trunks.get(trunk).is_some_and(|found| found.tenant == *tenant);
            (!ours).then(|| format!("the tenant has no trunk {trunk}"))
        };
        let routes = self.routes.iter().flat_map(|route| {
            let agents = route.targets.iter().enumerate().filter_map(|(at, target)| {
                let message = wrong_agent(&target.agent, &route.tenant)?;
                Some(problem(&route.id, if at == 0 { message } else { format!("overflow/{}/{message}", at - 1) }))
            });
            let trunk = route.trunk.as_ref().and_then(|trunk| wrong_trunk(trunk, &route.tenant));
            agents.chain(trunk.map(|message| problem(&route.id, format!("trunk: {message}")))).collect::<Vec<_>>()
        });
        let outbound = self.outbound.iter().flat_map(|route| {
            let trunks = route.trunks.iter().enumerate().filter_map(|(at, trunk)| {
                Some(problem(&route.id, format!("trunks/{at}: {}", wrong_trunk(trunk, &route.tenant)?)))
            });
            let agents = route.agents.iter().enumerate().filter_map(|(at, agent)| {
                let message = wrong_agent(agent, &route.tenant)?;
                Some(problem(&route.id, message.replacen("agent:", &format!("agents/{at}:"), 1)))
            });
            trunks.chain(agents).collect::<Vec<_>>()
        });
        numbers.chain(routes).chain(outbound).collect()
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

fn trunk(id: Id, tenant: Id, body: TrunkBody) -> Result<Trunk, String> {
    let peers = ranges("peers", &body.peers)?;
    let media_peers = ranges("media_peers", &body.media_peers)?;
    if body.source != MediaSource::Acl && !media_peers.is_empty() {
        return Err(
            "media_peers: they are believed with `source = \"acl\"` only; set that, or leave them out".to_owned()
        );
    }
    first(body.ringing.problem())?;
    first(body.sound.problems())?;
    first(body.numbering.problems())?;
    first(body.server_problems())?;
    if !body.codecs.iter().any(|name| is_codec(name)) {
        return Err(format!("codecs: at least one of {} is expected", CODECS.join(", ")));
    }
    Ok(Trunk {
        id,
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
        numbering: body.numbering,
        trusted: body.trusted,
        stir: body.stir,
        server: body.server,
        auth: body.auth,
        nat: body.nat,
        dialog_peers: body.dialog_peers,
        transports: body.transports,
        certificates: body.certificates,
        advertise: body.advertise,
    })
}

fn route(id: Id, tenant: Id, body: RouteBody) -> Result<Route, String> {
    first(body.problems())?;
    let pattern = |name: &str, text: &str| text.parse::<Pattern>().map_err(|error| format!("{name}: {error}"));
    let headers = body.headers.iter().map(|(name, text)| Ok((name.clone(), pattern(name, text)?)));
    let first = RouteTarget { agent: body.agent, max_calls: body.max_calls };
    let others =
        body.overflow.into_iter().map(|target| RouteTarget { agent: target.agent, max_calls: target.max_calls });
    Ok(Route {
        called: pattern("called", &body.called)?,
        calling: pattern("calling", &body.calling)?,
        headers: headers.collect::<Result<_, String>>()?,
        hours: body.hours.timetable().ok_or("hours: a time zone and hours are expected")?,
        targets: [first].into_iter().chain(others).collect(),
        id,
        tenant,
        name: body.name,
        order: body.order,
        trunk: body.trunk,
    })
}

fn outbound(id: Id, tenant: Id, body: OutboundRouteBody) -> Result<OutboundRoute, String> {
    first(body.problems())?;
    let parsed = |list: &[String]| -> Result<Vec<Destinations>, String> {
        list.iter().map(|text| text.parse().map_err(|error| format!("destinations: {error}"))).collect()
    };
    Ok(OutboundRoute {
        destinations: parsed(&body.destinations)?,
        denied: parsed(&body.denied)?,
        id,
        tenant,
        name: body.name,
        order: body.order,
        trunks: body.trunks,
        uses: body.uses,
        agents: body.agents,
        max_calls: body.max_calls,
        price_micro_per_minute: body.price_micro_per_minute,
    })
}

/// The first problem of a body, as `key: message`.
fn first<P: AsRef<str>, M: std::fmt::Display>(problems: impl IntoIterator<Item = (P, M)>) -> Result<(), String> {
    match problems.into_iter().next() {
        Some((pointer, message)) => {
            let key = pointer.as_ref().trim_start_matches('/').replace('/', ".");
            Err(format!("{key}: {message}"))
        }
        None => Ok(()),
    }
}
