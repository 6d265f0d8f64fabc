//! Whether a call may leave, and which way: the rules alone, without the counting that a ledger does.

use std::fmt;

use trunkline_api::Id;
use trunkline_api::e164::{Numbering, masked};
use trunkline_api::outbound::OutboundUse;

use super::audit::{OutboundFact, Reason};
use super::destination::Destination;
use crate::decide::Steps;
use crate::explain::Step;
use crate::table::{OutboundRoute, Table};

/// A call that is to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundRequest<'a> {
    /// Whose call.
    pub tenant: &'a Id,
    /// Who wants it.
    pub r#use: OutboundUse,
    /// The agent, when one of its calls wants it.
    pub agent: Option<&'a Id>,
    /// Where to: a number, an extension or a URI, as it was given.
    pub to: &'a str,
    /// When, in microseconds since the Unix epoch.
    pub wall_us: u64,
}

/// What trunks are doing now.
pub trait Trunks {
    /// Whether a trunk can be reached, and how many calls it has in both directions.
    fn state(&self, trunk: &Id) -> TrunkState;
}

/// What a trunk is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrunkState {
    /// Calls can be placed.
    Up {
        /// Its calls now.
        calls: u32,
    },
    /// Its health check or registration says that it cannot be reached.
    Down,
}

/// Trunks that can all be reached.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTrunkLoad;

impl Trunks for NoTrunkLoad {
    fn state(&self, _trunk: &Id) -> TrunkState {
        TrunkState::Up { calls: 0 }
    }
}

/// The way a call leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The route.
    pub route: Id,
    /// The trunk.
    pub trunk: Id,
    /// Where to.
    pub destination: Destination,
    /// User of the request-URI, as the trunk wants it.
    pub user: String,
    /// What a minute that has begun costs, in millionths of the tenant's currency.
    pub price_micro_per_minute: u64,
}

/// A decision with its explanation. `Display` prints the steps and the outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundDecision {
    /// The way, or why there is none.
    pub outcome: Result<Way, Reason>,
    /// Every step, in order.
    pub steps: Vec<Step>,
    /// What the audit log keeps of it.
    pub fact: OutboundFact,
}

impl fmt::Display for OutboundDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        match &self.outcome {
            Ok(way) => write!(f, "=> {} by trunk {}", way.user, way.trunk),
            Err(reason) => write!(f, "=> {} ({}): {}", reason.failure().name(), reason.name(), reason.failure()),
        }
    }
}

/// Whether a call may leave as far as routes and trunks go, and which way; counts and costs are a ledger's to judge.
#[must_use]
pub fn way(table: &Table, request: &OutboundRequest<'_>, trunks: &dyn Trunks) -> OutboundDecision {
    let mut steps = Steps::default();
    let outcome = find(table, request, trunks, &mut |_, _| Ok(()), &mut steps);
    decision(request, outcome, steps)
}

pub(super) fn decision(request: &OutboundRequest<'_>, outcome: Result<Way, Reason>, steps: Steps) -> OutboundDecision {
    let way = outcome.as_ref().ok();
    let fact = OutboundFact {
        at_us: request.wall_us,
        tenant: request.tenant.clone(),
        r#use: request.r#use,
        agent: request.agent.cloned(),
        destination: masked(request.to.trim()),
        route: way.map(|way| way.route.clone()),
        trunk: way.map(|way| way.trunk.clone()),
        refused: outcome.as_ref().err().copied(),
    };
    OutboundDecision { outcome, steps: steps.taken, fact }
}

/// The first way that is open. `room` is asked of every route that fits, and says what stands against it.
pub(super) fn find(
    table: &Table,
    request: &OutboundRequest<'_>,
    trunks: &dyn Trunks,
    room: &mut dyn FnMut(&OutboundRoute, &mut Steps) -> Result<(), Reason>,
    steps: &mut Steps,
) -> Result<Way, Reason> {
    // The reason that came nearest to a way: whoever is over a limit should not be told that there is no route.
    let mut nearest = None;
    let mut readable = false;
    for route in table.outbound.iter().filter(|route| route.tenant == *request.tenant) {
        let what = format!("outbound route {} ({}, order {})", route.name, route.id, route.order);
        let numbering = numbering_of(table, route);
        let destination = match Destination::read(request.to, numbering) {
            Ok(destination) => destination,
            Err(error) => {
                steps.skip(format!("{what}: {error}"));
                continue;
            }
        };
        readable = true;
        let open = applies(route, request, &destination, numbering, &what, steps)
            .and_then(|()| room(route, steps))
            .and_then(|()| trunk(table, route, trunks, &what, steps));
        match open {
            Ok(trunk) => {
                let numbering = &table.trunks.get(&trunk).map_or(numbering, |trunk| &trunk.numbering);
                return Ok(Way {
                    route: route.id.clone(),
                    user: destination.user(numbering),
                    trunk,
                    destination,
                    price_micro_per_minute: route.price_micro_per_minute,
                });
            }
            Err(reason) => nearest = nearest.max(Some(reason)),
        }
    }
    let none_at_all = || match Destination::read(request.to, &Numbering::default()) {
        Err(error) => (Reason::NoDestination, format!("the destination cannot be called: {error}")),
        Ok(_) if readable => (Reason::NoRoute, "no outbound route of the tenant names the destination".to_owned()),
        Ok(_) => (Reason::NoRoute, "the tenant has no outbound route".to_owned()),
    };
    let (reason, text) = match nearest {
        Some(reason) if reason > Reason::NoRoute => (reason, "no outbound route lets it through".to_owned()),
        _ => none_at_all(),
    };
    steps.refuse(reason.failure(), text);
    Err(reason)
}

fn numbering_of<'a>(table: &'a Table, route: &OutboundRoute) -> &'a Numbering {
    static AS_WRITTEN: std::sync::LazyLock<Numbering> = std::sync::LazyLock::new(Numbering::default);
    let first = route.trunks.iter().find_map(|trunk| table.trunks.get(trunk));
    first.map_or(&AS_WRITTEN, |trunk| &trunk.numbering)
}

fn applies(
    route: &OutboundRoute,
    request: &OutboundRequest<'_>,
    destination: &Destination,
    numbering: &Numbering,
    what: &str,
    steps: &mut Steps,
) -> Result<(), Reason> {
    if !destination.is_named(&route.destinations, numbering) {
        steps.skip(format!("{what} does not name the destination"));
        return Err(Reason::NoRoute);
    }
    if destination.is_denied(&route.denied, numbering) {
        steps.skip(format!("{what} denies the destination"));
        return Err(Reason::Denied);
    }
    if !route.uses.contains(&request.r#use) {
        steps.skip(format!("{what} is not for {:?}", request.r#use));
        return Err(Reason::Use);
    }
    if !route.agents.is_empty() && !request.agent.is_some_and(|agent| route.agents.contains(agent)) {
        steps.skip(format!("{what} is for other agents"));
        return Err(Reason::Agent);
    }
    steps.pass(format!("{what} names the destination"));
    Ok(())
}

fn trunk(
    table: &Table,
    route: &OutboundRoute,
    trunks: &dyn Trunks,
    what: &str,
    steps: &mut Steps,
) -> Result<Id, Reason> {
    for id in &route.trunks {
        let Some(trunk) = table.trunks.get(id).filter(|trunk| trunk.tenant == route.tenant) else {
            steps.skip(format!("{what}: trunk {id} is not in service for this tenant"));
            continue;
        };
        match trunks.state(id) {
            TrunkState::Down => steps.skip(format!("{what}: trunk {} cannot be reached", trunk.name)),
            TrunkState::Up { calls } if trunk.max_calls > 0 && calls >= trunk.max_calls => {
                steps.skip(format!("{what}: trunk {} has {calls} of {} calls", trunk.name, trunk.max_calls));
            }
            TrunkState::Up { .. } => {
                steps.pass(format!("{what} leaves over trunk {} ({id})", trunk.name));
                return Ok(id.clone());
            }
        }
    }
    Err(Reason::Trunks)
}
