//! Decisions over calls as the gateway is now: its load, its agents, the objects in service.

use std::net::IpAddr;

use trunkline_api::{Failure, Id};
use trunkline_route::{Agents, Availability, Decision, Load, Request, Source, decide_with};

use crate::capacity::{Admission, Pool};
use crate::serving::Serving;
use crate::shared::Shared;

/// Decides over a new call.
pub(crate) fn decide(shared: &Shared, serving: &Serving, draining: bool, request: &Request<'_>) -> Decision {
    let trunk = match &request.source {
        Source::Address(address) => serving.table.trunk(*address),
        Source::Trunk(id) => serving.table.trunk_by_id(id),
    };
    let (gateway_calls, trunk_calls, tenant_calls) =
        trunk.map_or((0, 0, 0), |trunk| shared.admission.load(&trunk.id, &trunk.tenant));
    // Whoever was dialled as a leg of another call takes a place of the trunk as well.
    let legs = trunk.filter(|trunk| trunk.max_calls > 0).map_or(0, |trunk| shared.outbound.legs_of(&trunk.id));
    let load = Load {
        draining,
        store_unavailable: !shared.store.health().available,
        gateway_calls,
        gateway_max: shared.config.capacity[Pool::Calls],
        trunk_calls: trunk_calls.saturating_add(legs),
        tenant_calls,
    };
    decide_with(&serving.table, request, &load, &AgentsNow { admission: &shared.admission, serving })
}

/// What agents are doing, as far as their calls on this gateway and their plugins go.
struct AgentsNow<'a> {
    admission: &'a Admission,
    serving: &'a Serving,
}

impl Agents for AgentsNow<'_> {
    fn availability(&self, agent: &Id) -> Availability {
        match self.serving.agent(agent) {
            Err(Failure::AgentUnready) => Availability::Unready,
            // Of one that is not in service the table knows.
            _ => Availability::Ready { calls: self.admission.calls_of(agent) },
        }
    }
}

/// A question about a call that could come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundQuestion {
    /// The address it would come from; nothing where `trunk` says it.
    pub source: Option<IpAddr>,
    /// The trunk it would come over.
    pub trunk: Option<Id>,
    /// What would be dialled.
    pub called: String,
    /// Who would dial.
    pub calling: String,
    /// Headers it would have.
    pub headers: Vec<(String, String)>,
    /// When, in microseconds since the Unix epoch.
    pub wall_us: u64,
}

impl InboundQuestion {
    /// As a request; `None` when neither a source nor a trunk is named.
    #[must_use]
    pub fn request(&self) -> Option<Request<'_>> {
        let source = match (&self.trunk, self.source) {
            (Some(trunk), _) => Source::Trunk(trunk),
            (None, Some(source)) => Source::Address(source),
            (None, None) => return None,
        };
        let (called, calling, headers) = (&self.called, &self.calling, &self.headers);
        Some(Request { source, called, calling, headers, wall_us: self.wall_us })
    }
}
