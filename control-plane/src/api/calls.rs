//! `/v1/calls`: what happened, what it cost, and the timeline.

use axum::extract::{Path, State};
use serde::Serialize;
use serde_json::Value;
use trunkline_api::usage::HandedTo;
use trunkline_api::{Id, Prefix};
use utoipa::ToSchema;

use crate::clock;
use crate::http::access::Caller;
use crate::http::envelope::{Answer, Envelope};
use crate::http::page::Page;
use crate::http::params::{Params, path_id};
use crate::http::problem::{Problem, Result};
use crate::server::Shared;
use crate::store::calls::{self, Call, Cost, Filter, TimelineEvent};

/// A call.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallView {
    /// Id, `call_...`.
    id: String,
    /// `active`, `completed` or `failed`.
    status: String,
    /// `inbound` or `outbound`.
    direction: String,
    /// Calling number or URI user.
    from: String,
    /// Called number or URI user.
    to: String,
    /// The agent that answered.
    agent_id: String,
    /// The version it answered with.
    agent_version: i64,
    /// Agents that it was handed to since, in order.
    handed_to: Vec<HandedView>,
    /// The trunk.
    trunk_id: Option<String>,
    /// The gateway.
    gateway_id: String,
    /// When it began.
    started_at: String,
    /// When it was answered.
    answered_at: Option<String>,
    /// When it ended.
    ended_at: Option<String>,
    /// Milliseconds from answer to end.
    duration_ms: Option<i64>,
    /// How it ended.
    end_reason: Option<String>,
    /// The failure that ended it.
    failure: Option<String>,
    /// Number of turns.
    turns: Option<i64>,
    /// Recording, relative to the gateway's state folder.
    recording: Option<String>,
    /// What it cost; absent until its usage arrived. Components are listed with the single call only.
    cost: Option<CostView>,
    /// What was found out about it once it was over, for agents that ask for `analysis`: `summary`, `disposition`, `topics`,
    /// `sentiment`, `turns`; with the single call only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    analysis: Option<Value>,
}

/// An agent that a call was handed to by the one before.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HandedView {
    /// The agent.
    agent_id: String,
    /// The version it went on with.
    agent_version: u32,
    /// When.
    at: String,
}

/// What a call cost.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CostView {
    /// Currency, ISO 4217.
    currency: String,
    /// Micro-units of the currency; the sum of the components.
    total_micro: i64,
    /// Version of the price book it was priced with.
    price_version: i64,
    /// What it is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    components: Option<Vec<ComponentView>>,
}

/// One line of a cost.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ComponentView {
    /// `call`, `asr`, `llm`, `tts`, `tool`, `redactor` or `realtime`.
    kind: String,
    /// Provider; empty for the call itself.
    provider: String,
    /// Unit.
    unit: String,
    /// How many.
    quantity: i64,
    /// Whether the price book has a row for it; without one it costs nothing.
    priced: bool,
    /// Micro-units.
    cost_micro: i64,
}

/// One event of a call.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventView {
    /// Id, `evt_...`.
    id: String,
    /// Position in the call, from 1.
    seq: i64,
    /// Type, such as `transcript.final`.
    #[serde(rename = "type")]
    #[schema(rename = "type")]
    kind: String,
    /// When.
    at: String,
    /// Milliseconds since the call began.
    call_ms: f64,
    /// Leg.
    leg: Option<String>,
    /// Turn, from 1; 0 is the greeting.
    turn: Option<i64>,
    /// Data of the type.
    #[schema(value_type = Object)]
    data: Value,
}

fn view(call: Call, components: Option<Vec<Cost>>) -> CallView {
    let components = components.map(|parts| parts.into_iter().map(component).collect());
    let cost = match (call.cost_micro, call.currency, call.price_version) {
        (Some(total_micro), Some(currency), Some(price_version)) => {
            Some(CostView { currency, total_micro, price_version, components })
        }
        _ => None,
    };
    CallView {
        id: call.id.to_string(),
        status: call.status,
        direction: call.direction,
        from: call.from,
        to: call.to,
        agent_id: call.agent_id.to_string(),
        agent_version: call.agent_version,
        handed_to: call.handed_to.into_iter().map(handed).collect(),
        trunk_id: call.trunk_id,
        gateway_id: call.gateway_id.to_string(),
        started_at: clock::rfc3339(call.started_us),
        answered_at: call.answered_us.map(clock::rfc3339),
        ended_at: call.ended_us.map(clock::rfc3339),
        duration_ms: call.answered_us.zip(call.ended_us).map(|(answered, ended)| (ended - answered).max(0) / 1000),
        end_reason: call.end_reason,
        failure: call.failure,
        turns: call.turns,
        recording: call.recording,
        cost,
        analysis: None,
    }
}

fn handed(to: HandedTo) -> HandedView {
    let at = clock::rfc3339(i64::try_from(to.at_us).unwrap_or_default());
    HandedView { agent_id: to.agent.to_string(), agent_version: to.agent_version, at }
}

fn component(cost: Cost) -> ComponentView {
    ComponentView {
        kind: cost.kind,
        provider: cost.provider,
        unit: cost.unit,
        quantity: cost.quantity,
        priced: cost.priced,
        cost_micro: cost.cost_micro,
    }
}

fn event(event: TimelineEvent) -> EventView {
    EventView {
        id: event.id.to_string(),
        seq: event.seq,
        kind: event.kind,
        at: clock::rfc3339(event.wall_us),
        call_ms: event.call_us as f64 / 1000.0,
        leg: event.leg,
        turn: event.turn,
        data: event.data,
    }
}

const FILTERS: [&str; 5] = ["status", "agent_id", "direction", "from", "to"];

/// Lists calls, newest first. `from` and `to` are a time range: started at or after `from` and before `to`.
#[utoipa::path(get, path = "/v1/calls", tag = "calls", security(("api_key" = ["calls:read"])),
    params(("status" = Option<String>, Query, description = "`active`, `completed` or `failed`"),
           ("agent_id" = Option<String>, Query, description = "Calls of this agent"),
           ("direction" = Option<String>, Query, description = "`inbound` or `outbound`"),
           ("from" = Option<String>, Query, description = "Started at or after, RFC 3339"),
           ("to" = Option<String>, Query, description = "Started before, RFC 3339"),
           ("limit" = Option<u32>, Query, description = "1 to 100, 20 by default"),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Envelope<Vec<CallView>>)))]
pub(crate) async fn list(State(app): State<Shared>, caller: Caller, params: Params) -> Result<Answer<Vec<CallView>>> {
    let params = params.only(&["status", "agent_id", "direction", "from", "to", "limit", "cursor"])?;
    let expected = "expected a time, such as 2026-11-21T00:00:00Z";
    let filter = Filter {
        status: params.word("status", &["active", "completed", "failed"])?,
        agent: params.id("agent_id", Prefix::Agent)?,
        direction: params.word("direction", &["inbound", "outbound"])?,
        from_us: params.parsed("from", expected, clock::parse_rfc3339)?,
        to_us: params.parsed("to", expected, clock::parse_rfc3339)?,
    };
    let page = Page::read(&params, &app.keyring, &caller.tenant, "calls", &FILTERS)?;
    let mut found = calls::list(&app.db, &caller.tenant, &filter, page.after.as_deref(), page.probe()).await?;
    let next = page.cut(&mut found, &app.keyring, |call| call.id.to_string());
    Ok(Answer::page(found.into_iter().map(|call| view(call, None)).collect(), next))
}

async fn present(app: &Shared, caller: &Caller, id: &str) -> Result<(Id, Call)> {
    let id = path_id(Prefix::Call, id, "call")?;
    let call = calls::get(&app.db, &caller.tenant, &id).await?.ok_or_else(|| Problem::not_found("call"))?;
    Ok((id, call))
}

/// A call with the components of its cost.
#[utoipa::path(get, path = "/v1/calls/{id}", tag = "calls", security(("api_key" = ["calls:read"])),
    params(("id" = String, Path, description = "Id of the call")),
    responses((status = 200, description = "The call", body = Envelope<CallView>)))]
pub(crate) async fn get(State(app): State<Shared>, caller: Caller, Path(id): Path<String>) -> Result<Answer<CallView>> {
    let (id, call) = present(&app, &caller, &id).await?;
    let costs = calls::costs(&app.db, &caller.tenant, &id).await?;
    let analysis = calls::analysis(&app.db, &caller.tenant, &id).await?;
    Ok(Answer::ok(CallView { analysis, ..view(call, Some(costs)) }))
}

/// A call's events, in the order in which they happened.
#[utoipa::path(get, path = "/v1/calls/{id}/timeline", tag = "calls", security(("api_key" = ["calls:read"])),
    params(("id" = String, Path, description = "Id of the call"),
           ("limit" = Option<u32>, Query, description = "1 to 100, 20 by default"),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Envelope<Vec<EventView>>)))]
pub(crate) async fn timeline(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Answer<Vec<EventView>>> {
    let params = params.only(&["limit", "cursor"])?;
    let (id, _) = present(&app, &caller, &id).await?;
    let page = Page::read(&params, &app.keyring, &caller.tenant, &format!("timeline {id}"), &[])?;
    let after = page.after_number()?.unwrap_or(0);
    let mut found = calls::timeline(&app.db, &caller.tenant, &id, after, page.probe()).await?;
    let next = page.cut(&mut found, &app.keyring, |event| event.seq.to_string());
    Ok(Answer::page(found.into_iter().map(event).collect(), next))
}
