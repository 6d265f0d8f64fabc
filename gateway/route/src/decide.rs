//! The decision over a new call: whose it is, whether there is room, and who answers.

use std::fmt;
use std::net::IpAddr;

use trunkline_api::{Failure, Id};

use crate::choose::{self, Agents, Call, NoLoad};
use crate::explain::{Step, Verdict};
use crate::table::{Table, Trunk};

/// A new call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// Where it comes from.
    pub source: Source<'a>,
    /// What was dialled: the request-URI's user.
    pub called: &'a str,
    /// Who dialled: From's user.
    pub calling: &'a str,
    /// Headers of the INVITE, as received.
    pub headers: &'a [(String, String)],
    /// When, in microseconds since the Unix epoch.
    pub wall_us: u64,
}

/// Where a call comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source<'a> {
    /// A source address, still to be matched.
    Address(IpAddr),
    /// A trunk that was matched already.
    Trunk(&'a Id),
}

/// How busy the gateway is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// It takes no new calls.
    pub draining: bool,
    /// The edge store cannot write.
    pub store_unavailable: bool,
    /// Calls of the gateway now.
    pub gateway_calls: u32,
    /// Most calls of the gateway; 0 means no limit.
    pub gateway_max: u32,
    /// Calls of the trunk now.
    pub trunk_calls: u32,
    /// Calls of the tenant now.
    pub tenant_calls: u32,
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The agent.
    pub agent: Id,
    /// Its version in service.
    pub version: u32,
    /// Whose call it is.
    pub tenant: Id,
    /// The trunk it came over.
    pub trunk: Id,
    /// What led there.
    pub matched: Matched,
}

/// What led to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matched {
    /// A number.
    Number(Id),
    /// A route.
    Route(Id),
}

/// A decision with its explanation. `Display` prints the steps and the outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Who answers, or why nobody does: `UnknownPeer`, `GatewayDraining`, `StoreUnavailable`, `GatewayFull`,
    /// `AgentUnready` or `NoRoute`.
    pub outcome: Result<Target, Failure>,
    /// The trunk, when it was recognised.
    pub trunk: Option<Id>,
    /// Every step, in order; after a refusal the remaining ones still tell what would have come.
    pub steps: Vec<Step>,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        match &self.outcome {
            Ok(target) => write!(f, "=> {} version {}", target.agent, target.version),
            Err(failure) => write!(f, "=> {} ({}): {failure}", failure.name(), failure.sip_status()),
        }
    }
}

/// Decides about a new call as though every agent could take it; see [`decide_with`].
#[must_use]
pub fn decide(table: &Table, request: &Request<'_>, load: &Load) -> Decision {
    decide_with(table, request, load, &NoLoad)
}

/// Decides about a new call. Numbers come before routes; routes by order, then id; of a route the first target that can
/// take it; only the trunk's own tenant counts.
#[must_use]
pub fn decide_with(table: &Table, request: &Request<'_>, load: &Load, agents: &dyn Agents) -> Decision {
    let mut steps = Steps::default();
    let Some(trunk) = trunk(table, request, &mut steps) else {
        return Decision { outcome: Err(Failure::UnknownPeer), trunk: None, steps: steps.taken };
    };
    admit(table, trunk, load, &mut steps);
    let call = Call::new(trunk, request, &mut steps);
    let target = choose::agent(table, &call, agents, &mut steps);
    let outcome = match (steps.refusal, target) {
        (None, Some(target)) => Ok(target),
        (Some(failure), _) => Err(failure),
        (None, None) => Err(Failure::NoRoute),
    };
    Decision { outcome, trunk: Some(trunk.id.clone()), steps: steps.taken }
}

#[derive(Default)]
pub(crate) struct Steps {
    pub(crate) taken: Vec<Step>,
    /// The first refusal.
    pub(crate) refusal: Option<Failure>,
}

impl Steps {
    pub(crate) fn pass(&mut self, text: String) {
        self.taken.push(Step { verdict: Verdict::Pass, text });
    }

    pub(crate) fn skip(&mut self, text: String) {
        self.taken.push(Step { verdict: Verdict::Skip, text });
    }

    pub(crate) fn refuse(&mut self, failure: Failure, text: String) {
        self.taken.push(Step { verdict: Verdict::Refuse, text });
        self.refusal.get_or_insert(failure);
    }
}

fn trunk<'a>(table: &'a Table, request: &Request<'_>, steps: &mut Steps) -> Option<&'a Trunk> {
    match &request.source {
        Source::Address(address) => match table.trunk_and_range(*address) {
            Some((trunk, range)) => {
                steps.pass(format!("{address} is in {range} of trunk {} ({})", trunk.name, trunk.id));
                Some(trunk)
            }
            None => {
                let text = format!("{address} is in no trunk's peers; {} trunks were looked at", table.trunks.len());
                steps.refuse(Failure::UnknownPeer, text);
                None
            }
        },
        Source::Trunk(id) => match table.trunks.get(*id) {
            Some(trunk) => {
                steps.pass(format!("trunk {} ({})", trunk.name, trunk.id));
                Some(trunk)
            }
            None => {
                steps.refuse(Failure::UnknownPeer, format!("trunk {id} is not in service here"));
                None
            }
        },
    }
}

fn admit(table: &Table, trunk: &Trunk, load: &Load, steps: &mut Steps) {
    if load.draining {
        steps.refuse(Failure::GatewayDraining, "the gateway is draining".to_owned());
    }
    if load.store_unavailable {
        steps.refuse(Failure::StoreUnavailable, "the edge store cannot write".to_owned());
    }
    let tenant = table.tenants.get(&trunk.tenant);
    let tenant_name = tenant.map_or_else(|| trunk.tenant.to_string(), |tenant| tenant.name.clone());
    for (what, calls, most) in [
        ("the gateway".to_owned(), load.gateway_calls, load.gateway_max),
        (format!("trunk {}", trunk.name), load.trunk_calls, trunk.max_calls),
        (format!("tenant {tenant_name}"), load.tenant_calls, tenant.map_or(0, |tenant| tenant.max_calls)),
    ] {
        match most {
            0 => steps.pass(format!("{what} has {calls} calls and no limit")),
            most if calls < most => steps.pass(format!("{what} has {calls} of {most} calls")),
            most => steps.refuse(Failure::GatewayFull, format!("{what} is at its limit: {calls} of {most} calls")),
        }
    }
}
