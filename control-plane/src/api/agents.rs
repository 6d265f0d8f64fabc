//! `/v1/agents`: immutable versions, one of them in service.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::Value;
use trunkline_api::{AgentSpec, Id, Prefix};
use utoipa::ToSchema;

use crate::clock;
use crate::http::access::Caller;
use crate::http::body::{self, Raw};
use crate::http::envelope::{Answer, Envelope};
use crate::http::page::Page;
use crate::http::params::{Params, path_id};
use crate::http::problem::{Blocker, Fault, Problem, Result};
use crate::server::Shared;
use crate::store::agents::{self, Agent, Stats, Version};
use crate::store::{Tx, state};

/// Most versions of an agent.
const MOST_VERSIONS: i64 = 100_000;

/// An agent with its newest version.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AgentView {
    /// Id, `agt_...`.
    id: String,
    /// Name in the newest version.
    name: String,
    /// `active` or `archived`.
    status: String,
    /// Newest version.
    version: i64,
    /// Version in service; absent when none is.
    published_version: Option<i64>,
    /// The newest version's specification.
    #[schema(value_type = AgentSpec)]
    spec: Value,
    /// When it was made.
    created_at: String,
    /// When it last changed.
    updated_at: String,
    /// With `include=stats`.
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<StatsView>,
}

/// What an agent's calls came to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatsView {
    /// Calls ever.
    calls: i64,
    /// Calls in progress.
    active_calls: i64,
    /// Calls that a failure ended.
    failed_calls: i64,
    /// Share of ended calls that no failure ended, 0 to 1; absent without ended calls.
    success_rate: Option<f64>,
    /// Connected minutes.
    minutes: f64,
    /// Cost in micro-units of the price book's currency.
    cost_micro: i64,
    /// Median time from the caller's last word to the agent's first sound, ms.
    latency_p50_ms: Option<i64>,
    /// 95th percentile of the same.
    latency_p95_ms: Option<i64>,
}

/// A version of an agent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionView {
    /// The agent.
    agent_id: String,
    /// Number, from 1.
    version: i64,
    /// The specification.
    #[schema(value_type = AgentSpec)]
    spec: Value,
    /// When it was made.
    created_at: String,
}

/// An agent that was taken out of service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Archived {
    /// Id.
    id: String,
    /// `archived`.
    status: &'static str,
    /// Routes and numbers that led to it and were removed with it.
    removed: Vec<Blocker>,
}

fn view(agent: Agent, stats: Option<Stats>) -> AgentView {
    AgentView {
        id: agent.id.to_string(),
        name: agent.name,
        status: agent.status,
        version: agent.version,
        published_version: (agent.published > 0).then_some(agent.published),
        spec: agent.spec,
        created_at: clock::rfc3339(agent.created_us),
        updated_at: clock::rfc3339(agent.updated_us),
        stats: stats.map(stats_view),
    }
}

fn stats_view(stats: Stats) -> StatsView {
    let ended = stats.calls - stats.active;
    StatsView {
        calls: stats.calls,
        active_calls: stats.active,
        failed_calls: stats.failed,
        success_rate: (ended > 0).then(|| (ended - stats.failed) as f64 / ended as f64),
        minutes: stats.call_ms as f64 / 60_000.0,
        cost_micro: stats.cost_micro,
        latency_p50_ms: stats.latency_p50_ms,
        latency_p95_ms: stats.latency_p95_ms,
    }
}

fn version_view(id: &Id, version: Version) -> VersionView {
    VersionView {
        agent_id: id.to_string(),
        version: version.version,
        spec: version.spec,
        created_at: clock::rfc3339(version.created_us),
    }
}

fn etag(agent: &Agent) -> String {
    format!("\"{}.{}\"", agent.version, agent.published)
}

/// A specification that this version can put into service.
fn accepted(value: &Value) -> Result<AgentSpec> {
    let spec: AgentSpec = body::shape(value)?;
    let mut faults: Vec<Fault> = spec
        .unknown_fields()
        .into_iter()
        .take(20)
        .map(|pointer| Fault::body(pointer, "unknown_field", "not known here"))
        .collect();
    faults.extend(
        spec.problems().into_iter().take(20).map(|found| Fault::body(found.pointer, "invalid_value", found.message)),
    );
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let unsupported = spec.unsupported();
    if unsupported.is_empty() {
        return Ok(spec);
    }
    let mut problem = Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "unsupported_feature",
        "This version cannot do what the agent asks for",
        format!("Not supported: {}.", unsupported.join(", ")),
    );
    for what in unsupported {
        let pointer = match what.as_str() {
            "`knowledge`" => "/knowledge",
            name if name.starts_with("analysis ") => "/analysis",
            "pipeline `realtime`" => "/pipeline/realtime",
            _ => "/requires",
        };
        problem = problem.and("body", pointer, "unsupported_feature", format!("{what} is not supported"));
    }
    Err(problem)
}

async fn present(tx: &mut Tx, tenant: &Id, id: &Id) -> Result<Agent> {
    agents::get_in(tx, tenant, id).await?.ok_or_else(|| Problem::not_found("agent"))
}

fn in_service(agent: &Agent) -> Result<()> {
    if agent.status == "active" {
        return Ok(());
    }
    Err(Problem::conflict("agent_archived", "The agent is archived and does not change any more."))
}

/// Refuses when `If-Match` names another state than the present one (RFC 9110 13.1.1).
fn matches(headers: &HeaderMap, current: &str) -> Result<()> {
    let Some(wanted) = headers.get(IF_MATCH) else { return Ok(()) };
    let fits = wanted.to_str().is_ok_and(|list| list.split(',').map(str::trim).any(|tag| tag == "*" || tag == current));
    if fits {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "precondition_failed",
        "It was changed meanwhile",
        format!("The present ETag is {current}; read it again and repeat the change on top."),
    ))
}

/// Makes an agent with version 1, in service unless `publish=false`.
#[utoipa::path(post, path = "/v1/agents", tag = "agents", security(("api_key" = ["agents:write"])),
    params(("publish" = Option<bool>, Query, description = "Whether version 1 goes into service; true by default")),
    request_body = AgentSpec,
    responses((status = 201, description = "Made, with its ETag", body = Envelope<AgentView>)))]
pub(crate) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    params: Params,
    Raw(value): Raw,
) -> Result<Answer<AgentView>> {
    let publish = params.only(&["publish"])?.flag("publish", true)?;
    let spec = accepted(&value)?;
    let now = clock::now_us();
    let mut tx = app.db.begin().await?;
    let id = agents::create(&mut tx, &caller.tenant, &spec, publish, now).await?;
    let agent = present(&mut tx, &caller.tenant, &id).await?;
    tx.commit().await?;
    app.changed(&caller.tenant);
    let tag = etag(&agent);
    Ok(Answer::created(view(agent, None), &format!("/v1/agents/{id}")).header(ETAG, &tag))
}

/// Lists agents, newest first.
#[utoipa::path(get, path = "/v1/agents", tag = "agents", security(("api_key" = ["agents:read"])),
    params(("status" = Option<String>, Query, description = "`active` (default) or `archived`"),
           ("limit" = Option<u32>, Query, description = "1 to 100, 20 by default"),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Envelope<Vec<AgentView>>)))]
pub(crate) async fn list(State(app): State<Shared>, caller: Caller, params: Params) -> Result<Answer<Vec<AgentView>>> {
    let params = params.only(&["status", "limit", "cursor"])?;
    let status = params.word("status", &["active", "archived"])?.unwrap_or_else(|| "active".to_owned());
    let page = Page::read(&params, &app.keyring, &caller.tenant, "agents", &["status"])?;
    let mut found = agents::list(&app.db, &caller.tenant, &status, page.after.as_deref(), page.probe()).await?;
    let next = page.cut(&mut found, &app.keyring, |agent| agent.id.to_string());
    Ok(Answer::page(found.into_iter().map(|agent| view(agent, None)).collect(), next))
}

/// An agent, with statistics on request.
#[utoipa::path(get, path = "/v1/agents/{id}", tag = "agents", security(("api_key" = ["agents:read"])),
    params(("id" = String, Path, description = "Id of the agent"),
           ("include" = Option<String>, Query, description = "`stats`")),
    responses((status = 200, description = "The agent, with its ETag", body = Envelope<AgentView>)))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Answer<AgentView>> {
    let id = path_id(Prefix::Agent, &id, "agent")?;
    let include = params.only(&["include"])?.word("include", &["stats"])?;
    let agent = agents::get(&app.db, &caller.tenant, &id).await?.ok_or_else(|| Problem::not_found("agent"))?;
    let stats = match include {
        Some(_) => Some(agents::stats(&app.db, &caller.tenant, &id).await?),
        None => None,
    };
    let tag = etag(&agent);
    Ok(Answer::ok(view(agent, stats)).header(ETAG, &tag))
}

/// Changes an agent by JSON merge patch (RFC 7396) on its newest version; the result is the next version, in service
/// unless `publish=false`. Calls in progress keep the version they were answered with.
#[utoipa::path(patch, path = "/v1/agents/{id}", tag = "agents", security(("api_key" = ["agents:write"])),
    params(("id" = String, Path, description = "Id of the agent"),
           ("publish" = Option<bool>, Query, description = "Whether the version goes into service; true by default"),
           ("If-Match" = Option<String>, Header, description = "ETag the change builds on")),
    request_body(content = Object, description = "Fields of the specification to change; null removes one"),
    responses((status = 200, description = "The agent with its new version", body = Envelope<AgentView>),
              (status = 412, description = "It was changed meanwhile")))]
pub(crate) async fn patch(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
    Raw(change): Raw,
) -> Result<Answer<AgentView>> {
    let id = path_id(Prefix::Agent, &id, "agent")?;
    let publish = params.only(&["publish"])?.flag("publish", true)?;
    if !change.is_object() {
        return Err(Problem::invalid(vec![Fault::body("", "invalid_value", "expected an object")]));
    }
    let mut tx = app.db.begin().await?;
    let current = present(&mut tx, &caller.tenant, &id).await?;
    in_service(&current)?;
    matches(&headers, &etag(&current))?;
    if current.version >= MOST_VERSIONS {
        return Err(Problem::conflict("too_many_versions", "The agent has too many versions; make a new agent."));
    }
    let mut next = current.spec.clone();
    body::merge(&mut next, &change);
    let spec = accepted(&next)?;
    agents::add_version(&mut tx, &caller.tenant, &current, &spec, publish, clock::now_us()).await?;
    let agent = present(&mut tx, &caller.tenant, &id).await?;
    tx.commit().await?;
    if publish {
        app.changed(&caller.tenant);
    }
    let tag = etag(&agent);
    Ok(Answer::ok(view(agent, None)).header(ETAG, &tag))
}

/// Takes an agent out of service. Refused while calls, routes or numbers refer to it; with `force=true` its routes and
/// numbers are removed with it and calls in progress end as they would have.
#[utoipa::path(delete, path = "/v1/agents/{id}", tag = "agents", security(("api_key" = ["agents:write"])),
    params(("id" = String, Path, description = "Id of the agent"),
           ("force" = Option<bool>, Query, description = "Whether to remove what refers to it; false by default"),
           ("If-Match" = Option<String>, Header, description = "ETag the change builds on")),
    responses((status = 200, description = "Archived", body = Envelope<Archived>),
              (status = 409, description = "`blockers` lists what refers to it")))]
pub(crate) async fn delete(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Answer<Archived>> {
    let id = path_id(Prefix::Agent, &id, "agent")?;
    let force = params.only(&["force"])?.flag("force", false)?;
    let now = clock::now_us();
    let mut tx = app.db.begin().await?;
    let current = present(&mut tx, &caller.tenant, &id).await?;
    matches(&headers, &etag(&current))?;
    let mut removed = Vec::new();
    if current.status == "active" {
        let mut blockers: Vec<Blocker> = agents::active_calls(&mut tx, &caller.tenant, &id)
            .await?
            .into_iter()
            .map(|call| Blocker { kind: "call".to_owned(), id: call.to_string() })
            .collect();
        let referring = state::referring(&mut tx, &caller.tenant, "agent", &id.to_string()).await?;
        let referring = referring.into_iter().map(|(kind, id)| Blocker { kind, id: id.to_string() });
        blockers.extend(referring);
        if !blockers.is_empty() && !force {
            let detail = "Calls, routes or numbers refer to the agent; see `blockers`, or pass `force=true`.";
            return Err(Problem::conflict("agent_in_use", detail).with_blockers(blockers));
        }
        // The list of blockers is bounded, so what refers to the agent is removed in rounds.
        loop {
            let referring = state::referring(&mut tx, &caller.tenant, "agent", &id.to_string()).await?;
            if referring.is_empty() {
                break;
            }
            for (kind, object) in referring {
                state::remove(&mut tx, &caller.tenant, state::kind(&kind)?, &object, now).await?;
                removed.push(Blocker { kind, id: object.to_string() });
            }
        }
        agents::archive(&mut tx, &caller.tenant, &id, now).await?;
    }
    tx.commit().await?;
    app.changed(&caller.tenant);
    Ok(Answer::ok(Archived { id: id.to_string(), status: "archived", removed }))
}

/// Lists an agent's versions, newest first.
#[utoipa::path(get, path = "/v1/agents/{id}/versions", tag = "agents", security(("api_key" = ["agents:read"])),
    params(("id" = String, Path, description = "Id of the agent"),
           ("limit" = Option<u32>, Query, description = "1 to 100, 20 by default"),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Envelope<Vec<VersionView>>)))]
pub(crate) async fn versions(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Answer<Vec<VersionView>>> {
    let id = path_id(Prefix::Agent, &id, "agent")?;
    let params = params.only(&["limit", "cursor"])?;
    let page = Page::read(&params, &app.keyring, &caller.tenant, &format!("versions {id}"), &[])?;
    let before = page.after_number()?.unwrap_or(i64::MAX);
    let mut found = agents::versions(&app.db, &caller.tenant, &id, before, page.probe()).await?;
    if found.is_empty() && page.after.is_none() {
        return Err(Problem::not_found("agent"));
    }
    let next = page.cut(&mut found, &app.keyring, |version| version.version.to_string());
    Ok(Answer::page(found.into_iter().map(|version| version_view(&id, version)).collect(), next))
}

fn number(text: &str) -> Result<i64> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| Problem::not_found("version"))
}

/// One version of an agent; it never changes.
#[utoipa::path(get, path = "/v1/agents/{id}/versions/{version}", tag = "agents",
    security(("api_key" = ["agents:read"])),
    params(("id" = String, Path, description = "Id of the agent"),
           ("version" = i64, Path, description = "Number of the version")),
    responses((status = 200, description = "The version", body = Envelope<VersionView>)))]
pub(crate) async fn version(
    State(app): State<Shared>,
    caller: Caller,
    Path((id, version)): Path<(String, String)>,
) -> Result<Answer<VersionView>> {
    let id = path_id(Prefix::Agent, &id, "agent")?;
    let found = agents::get_version(&app.db, &caller.tenant, &id, number(&version)?).await?;
    found.map(|found| Answer::ok(version_view(&id, found))).ok_or_else(|| Problem::not_found("version"))
}

/// Puts a version into service: a draft, or an older one to go back to.
#[utoipa::path(post, path = "/v1/agents/{id}/versions/{version}/publish", tag = "agents",
    security(("api_key" = ["agents:write"])),
    params(("id" = String, Path, description = "Id of the agent"),
           ("version" = i64, Path, description = "Number of the version"),
           ("If-Match" = Option<String>, Header, description = "ETag the change builds on")),
    responses((status = 200, description = "The agent", body = Envelope<AgentView>)))]
pub(crate) async fn publish(
    State(app): State<Shared>,
    caller: Caller,
    Path((id, version)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let id = path_id(Prefix::Agent, &id, "agent")?;
    let version = number(&version)?;
    let found = agents::get_version(&app.db, &caller.tenant, &id, version).await?;
    let spec = accepted(&found.ok_or_else(|| Problem::not_found("version"))?.spec)?;
    let mut tx = app.db.begin().await?;
    let current = present(&mut tx, &caller.tenant, &id).await?;
    in_service(&current)?;
    matches(&headers, &etag(&current))?;
    agents::publish(&mut tx, &caller.tenant, &id, version, &spec, clock::now_us()).await?;
    let agent = present(&mut tx, &caller.tenant, &id).await?;
    tx.commit().await?;
    app.changed(&caller.tenant);
    let tag = etag(&agent);
    Ok(Answer::ok(view(agent, None)).header(ETAG, &tag).into_response())
}
