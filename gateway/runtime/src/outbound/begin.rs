//! A call that an operator places: an agent calls somebody, and speaks with whoever answers.

use std::sync::Arc;
use std::time::Duration;

use trunkline_api::outbound::OutboundUse;
use trunkline_api::usage::{CALL_RECORD_FORMAT, CallDirection, CallRecord, EndReason};
use trunkline_api::{Failure, Id, Prefix};
use trunkline_edge_store::Write;
use trunkline_leg::LegId;

use super::{MediaOf, Wanted, Whose, request, wall_us};
use crate::capacity::Ticket;
use crate::serving::{ServedAgent, Serving};
use crate::shared::{Shared, random};

/// How long the disk may take to journal a call before it is placed.
const JOURNAL: Duration = Duration::from_secs(5);
/// Max-Forwards of a call that begins here.
const HOPS: u8 = 70;

/// A call that is to be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialOrder {
    /// Number, extension or SIP URI.
    pub to: String,
    /// Who speaks: the agent's id, or its name where only one has it.
    pub agent: String,
    /// The only trunk it may leave over, by id or name; any that an outbound route names when it is not said.
    pub trunk: Option<String>,
    /// Number to show; the trunk's own when it is not said.
    pub from: Option<String>,
    /// For how long it may ring, in milliseconds.
    pub ring_ms: u32,
}

/// Why a call was not placed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialRefused {
    /// No agent of that name is in service.
    #[error("no agent, or more than one, is called `{0}`; give its id, as `trunkline check` lists it")]
    Agent(String),
    /// No trunk of that name is in service.
    #[error("no trunk of the agent's tenant is called `{0}`")]
    Trunk(String),
    /// No new calls.
    #[error("the gateway drains and takes no new calls")]
    Draining,
    /// A named failure.
    #[error("{}: {} ({why})", failure.name(), failure)]
    Failed {
        /// Which.
        failure: Failure,
        /// What was behind it.
        why: String,
    },
}

/// A call that begins once it is answered.
pub(crate) struct Dialled {
    pub(crate) agent: ServedAgent,
    pub(crate) agent_id: Id,
    pub(crate) trunk: Id,
    pub(crate) serving: Arc<Serving>,
    pub(crate) record: CallRecord,
    pub(crate) ticket: Ticket,
    /// Its place among calls that leave, and its sockets; there as soon as it is on its way.
    pub(crate) way: Option<(super::Placed, trunkline_media::LegSocket)>,
}

/// Places a call; its id. Waits for the disk, since a call must not ring that is not on record.
pub(crate) fn dial(shared: &Arc<Shared>, draining: bool, order: &DialOrder) -> Result<Id, DialRefused> {
    if draining {
        return Err(DialRefused::Draining);
    }
    let serving = shared.serving.load_full();
    let found = serving.agent_called(&order.agent).ok_or_else(|| DialRefused::Agent(order.agent.clone()))?;
    let (agent_id, tenant) = (found.0.clone(), found.1.tenant.clone());
    let failed = |failure: Failure, why: &str| DialRefused::Failed { failure, why: why.to_owned() };
    let agent = serving.agent(&agent_id).map_err(|failure| failed(failure, "its plugins cannot serve it"))?.clone();
    let only = order.trunk.as_ref().map(|name| {
        let mut trunks = serving.table.trunks().filter(|trunk| trunk.tenant == tenant);
        let found = trunks.find(|trunk| trunk.name == *name || trunk.id.to_string() == *name);
        found.map(|trunk| trunk.id.clone()).ok_or_else(|| DialRefused::Trunk(name.clone()))
    });
    let only = only.transpose()?;
    let bytes = random().map_err(|failure| failed(failure, "no randomness"))?;
    let call = Id::mint(Prefix::Call, wall_us() / 1000, bytes);
    // Whether it may leave at all is asked before anything is written or taken.
    let wanted = request(&tenant, &agent_id, OutboundUse::Dial, &order.to);
    let trunk = match shared.outbound.foresee(shared, &serving, &wanted, only.as_ref()).outcome {
        Ok(way) => way.trunk,
        Err(reason) => {
            // It is judged again, so that it is counted and told of as every other.
            let whose = Whose { call, leg: LegId::FIRST, worker: None };
            let wanted = want(order, &tenant, &agent_id, only.as_ref());
            let judged = shared.outbound.place(shared, &serving, wanted, whose);
            let why = judged.map_or_else(|not| not.why, |_| reason.name().to_owned());
            return Err(failed(reason.failure(), &why));
        }
    };
    let (_, _, calls) = shared.admission.load(&trunk, &tenant);
    let most = serving.table.tenant(&tenant).map_or(0, |tenant| tenant.max_calls);
    if most > 0 && calls >= most {
        shared.counters.failed(Failure::GatewayFull);
        return Err(failed(Failure::GatewayFull, &format!("the tenant has {calls} of {most} calls")));
    }
    let counted = [&trunk, &tenant, &agent_id];
    let ticket = shared
        .admission
        .admit(counted, agent.demand, std::time::Instant::now())
        .map_err(|pool| failed(pool.failure(), &format!("the pool {} is used up", pool.name())))?;
    let record = CallRecord {
        format: CALL_RECORD_FORMAT,
        call: call.clone(),
        tenant: tenant.clone(),
        agent: agent_id.clone(),
        agent_version: agent.version,
        handed_to: Vec::new(),
        trunk: Some(trunk.clone()),
        direction: CallDirection::Outbound,
        from: order.from.clone().unwrap_or_default(),
        to: order.to.clone(),
        answered_us: wall_us(),
        ended_us: None,
        end: None,
        failure: None,
        usage: Vec::new(),
        recording: None,
        turns: 0,
        stages: Vec::new(),
    };
    let written = shared.store.submit(Write::OpenCall(Box::new(record.clone())));
    let outcome = written.map_or(Some(false), |written| written.wait_for(JOURNAL).map(|outcome| outcome.is_ok()));
    if outcome != Some(true) {
        if outcome.is_none() {
            // It may be written yet; what the disk refused is not there to be closed.
            close(shared, record, Failure::StoreUnavailable);
        }
        return Err(failed(Failure::StoreUnavailable, "it could not be journalled"));
    }
    let dialled = Dialled {
        agent,
        agent_id: agent_id.clone(),
        trunk: trunk.clone(),
        serving: Arc::clone(&serving),
        record: record.clone(),
        ticket,
        way: None,
    };
    let whose = Whose { call: call.clone(), leg: LegId::FIRST, worker: None };
    let wanted = want(order, &tenant, &agent_id, Some(&trunk));
    shared.outbound.place_own(shared, &serving, wanted, whose, dialled).map_err(|not| {
        close(shared, record, not.failure);
        failed(not.failure, &not.why)
    })?;
    Ok(call)
}

/// Closes the record of a call that was not placed.
fn close(shared: &Shared, mut record: CallRecord, failure: Failure) {
    record.ended_us = Some(record.answered_us);
    (record.end, record.failure) = (Some(EndReason::Failed), Some(failure));
    let call = record.call.clone();
    if let Err(error) = shared.store.submit(Write::CloseCall(Box::new(record))) {
        tracing::warn!(%call, %error, "the record of a call that was not placed is closed at the next start");
    }
}

fn want<'a>(order: &'a DialOrder, tenant: &'a Id, agent: &'a Id, only: Option<&'a Id>) -> Wanted<'a> {
    Wanted {
        request: request(tenant, agent, OutboundUse::Dial, &order.to),
        only,
        from: order.from.as_deref(),
        variables: Default::default(),
        referred_by: None,
        headers: Vec::new(),
        media: MediaOf::Own,
        ring_ms: order.ring_ms,
        hops: HOPS,
    }
}
