//! Agents and their immutable versions. Publishing a version makes it the agent's object in the desired state.

use serde_json::Value;
use trunkline_api::object::{Kind, Object};
use trunkline_api::words::ProviderKind;
use trunkline_api::{AgentSpec, Id, Prefix};

use super::{Db, Result, Row, StoreError, Tx, args, mint, state};

/// An agent with its newest version.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) version: i64,
    /// The version in service; 0 when none is.
    pub(crate) published: i64,
    pub(crate) spec: Value,
    pub(crate) created_us: i64,
    pub(crate) updated_us: i64,
}

/// One immutable version.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) version: i64,
    pub(crate) spec: Value,
    pub(crate) created_us: i64,
}

fn agent(row: &Row) -> Result<Agent> {
    Ok(Agent {
        id: row.id("id")?,
        name: row.text("name")?,
        status: row.text("status")?,
        version: row.int("version")?,
        published: row.int("published")?,
        spec: row.json("spec")?,
        created_us: row.int("created_us")?,
        updated_us: row.int("updated_us")?,
    })
}

fn version(row: &Row) -> Result<Version> {
    Ok(Version { version: row.int("version")?, spec: row.json("spec")?, created_us: row.int("created_us")? })
}

fn text(spec: &AgentSpec) -> Result<String> {
    serde_json::to_string(spec).map_err(|_| StoreError::Corrupt("agent"))
}

async fn publish_spec(tx: &mut Tx, tenant: &Id, id: &Id, version: i64, spec: &AgentSpec, now_us: i64) -> Result<()> {
    let body = serde_json::to_value(spec).map_err(|_| StoreError::Corrupt("agent"))?;
    let mut refs: Vec<(&str, String)> = Vec::new();
    for kind in [ProviderKind::Asr, ProviderKind::Llm, ProviderKind::Tts, ProviderKind::Realtime] {
        refs.extend(spec.pipeline.providers(kind).iter().map(|entry| ("provider", entry.provider.clone())));
    }
    let object = Object {
        kind: Kind::Agent,
        id: id.clone(),
        tenant: tenant.clone(),
        version: u32::try_from(version).unwrap_or(u32::MAX),
        sha256: String::new(),
        body,
    };
    state::put(tx, &object, None, &refs, now_us).await?;
    Ok(())
}

/// Makes an agent with version 1.
pub(crate) async fn create(tx: &mut Tx, tenant: &Id, spec: &AgentSpec, publish: bool, now_us: i64) -> Result<Id> {
    let id = mint(Prefix::Agent, now_us)?;
    tx.exec(
        "INSERT INTO agents (tenant_id, id, name, status, version, published, created_us, updated_us)
         VALUES ($1, $2, $3, 'active', 1, $4, $5, $5)",
        args![tenant, &id, &spec.name, i64::from(publish), now_us],
    )
    .await?;
    insert_version(tx, tenant, &id, 1, spec, now_us).await?;
    if publish {
        publish_spec(tx, tenant, &id, 1, spec, now_us).await?;
    }
    Ok(id)
}

async fn insert_version(tx: &mut Tx, tenant: &Id, id: &Id, version: i64, spec: &AgentSpec, now_us: i64) -> Result<()> {
    tx.exec(
        "INSERT INTO agent_versions (tenant_id, agent_id, version, spec, created_us) VALUES ($1, $2, $3, $4, $5)",
        args![tenant, id, version, text(spec)?, now_us],
    )
    .await?;
    Ok(())
}

/// Adds the version after `current`, publishing it when asked.
pub(crate) async fn add_version(
    tx: &mut Tx,
    tenant: &Id,
    current: &Agent,
    spec: &AgentSpec,
    publish: bool,
    now_us: i64,
) -> Result<()> {
    let next = current.version + 1;
    insert_version(tx, tenant, &current.id, next, spec, now_us).await?;
    tx.exec(
        "UPDATE agents SET name = $3, version = $4, published = $5, updated_us = $6 WHERE tenant_id = $1 AND id = $2",
        args![tenant, &current.id, &spec.name, next, if publish { next } else { current.published }, now_us],
    )
    .await?;
    if publish {
        publish_spec(tx, tenant, &current.id, next, spec, now_us).await?;
    }
    Ok(())
}

/// Puts an existing version into service.
pub(crate) async fn publish(
    tx: &mut Tx,
    tenant: &Id,
    id: &Id,
    version: i64,
    spec: &AgentSpec,
    now_us: i64,
) -> Result<()> {
    tx.exec(
        "UPDATE agents SET published = $3, updated_us = $4 WHERE tenant_id = $1 AND id = $2",
        args![tenant, id, version, now_us],
    )
    .await?;
    publish_spec(tx, tenant, id, version, spec, now_us).await
}

/// Takes an agent out of service for good; its versions stay for the calls that name them.
pub(crate) async fn archive(tx: &mut Tx, tenant: &Id, id: &Id, now_us: i64) -> Result<()> {
    tx.exec(
        "UPDATE agents SET status = 'archived', published = 0, updated_us = $3 WHERE tenant_id = $1 AND id = $2",
        args![tenant, id, now_us],
    )
    .await?;
    state::remove(tx, tenant, Kind::Agent, id, now_us).await?;
    Ok(())
}

pub(crate) async fn get(db: &Db, tenant: &Id, id: &Id) -> Result<Option<Agent>> {
    let row = db
        .row(
            "SELECT a.id, a.name, a.status, a.version, a.published, v.spec, a.created_us, a.updated_us
             FROM agents a JOIN agent_versions v
             ON v.tenant_id = a.tenant_id AND v.agent_id = a.id AND v.version = a.version
             WHERE a.tenant_id = $1 AND a.id = $2",
            args![tenant, id],
        )
        .await?;
    row.as_ref().map(agent).transpose()
}

/// The same inside a transaction, so that what is checked is what is changed.
pub(crate) async fn get_in(tx: &mut Tx, tenant: &Id, id: &Id) -> Result<Option<Agent>> {
    let row = tx
        .row(
            "SELECT a.id, a.name, a.status, a.version, a.published, v.spec, a.created_us, a.updated_us
             FROM agents a JOIN agent_versions v
             ON v.tenant_id = a.tenant_id AND v.agent_id = a.id AND v.version = a.version
             WHERE a.tenant_id = $1 AND a.id = $2",
            args![tenant, id],
        )
        .await?;
    row.as_ref().map(agent).transpose()
}

pub(crate) async fn list(db: &Db, tenant: &Id, status: &str, before: Option<&str>, limit: i64) -> Result<Vec<Agent>> {
    let rows = db
        .rows(
            "SELECT a.id, a.name, a.status, a.version, a.published, v.spec, a.created_us, a.updated_us
             FROM agents a JOIN agent_versions v
             ON v.tenant_id = a.tenant_id AND v.agent_id = a.id AND v.version = a.version
             WHERE a.tenant_id = $1 AND a.status = $2 AND a.id < $3 ORDER BY a.id DESC LIMIT $4",
            args![tenant, status, before.unwrap_or("~"), limit],
        )
        .await?;
    rows.iter().map(agent).collect()
}

pub(crate) async fn versions(db: &Db, tenant: &Id, id: &Id, before: i64, limit: i64) -> Result<Vec<Version>> {
    let rows = db
        .rows(
            "SELECT version, spec, created_us FROM agent_versions
             WHERE tenant_id = $1 AND agent_id = $2 AND version < $3 ORDER BY version DESC LIMIT $4",
            args![tenant, id, before, limit],
        )
        .await?;
    rows.iter().map(version).collect()
}

pub(crate) async fn get_version(db: &Db, tenant: &Id, id: &Id, number: i64) -> Result<Option<Version>> {
    let row = db
        .row(
            "SELECT version, spec, created_us FROM agent_versions
             WHERE tenant_id = $1 AND agent_id = $2 AND version = $3",
            args![tenant, id, number],
        )
        .await?;
    row.as_ref().map(version).transpose()
}

/// What an agent's calls came to, counted from the call records.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stats {
    pub(crate) calls: i64,
    pub(crate) active: i64,
    pub(crate) failed: i64,
    pub(crate) call_ms: i64,
    pub(crate) cost_micro: i64,
    pub(crate) latency_p50_ms: Option<i64>,
    pub(crate) latency_p95_ms: Option<i64>,
}

pub(crate) async fn stats(db: &Db, tenant: &Id, id: &Id) -> Result<Stats> {
    let row = db
        .row(
            "SELECT COUNT(*) AS calls, COALESCE(SUM(CASE WHEN status = 'active' THEN 1 ELSE 0 END), 0) AS active,
             COALESCE(SUM(CASE WHEN status = 'failed' THEN 1 ELSE 0 END), 0) AS failed,
             COALESCE(SUM(CASE WHEN ended_us IS NOT NULL AND answered_us IS NOT NULL
                               THEN (ended_us - answered_us) / 1000 ELSE 0 END), 0) AS call_ms,
             COALESCE(SUM(cost_micro), 0) AS cost_micro
             FROM calls WHERE tenant_id = $1 AND agent_id = $2",
            args![tenant, id],
        )
        .await?;
    let Some(row) = row else { return Ok(Stats::default()) };
    let turns = db
        .row(
            "SELECT COUNT(*) AS n FROM call_turns t JOIN calls c ON c.tenant_id = t.tenant_id AND c.id = t.call_id
             WHERE c.tenant_id = $1 AND c.agent_id = $2",
            args![tenant, id],
        )
        .await?;
    let turns = turns.map_or(Ok(0), |row| row.int("n"))?;
    Ok(Stats {
        calls: row.int("calls")?,
        active: row.int("active")?,
        failed: row.int("failed")?,
        call_ms: row.int("call_ms")?,
        cost_micro: row.int("cost_micro")?,
        latency_p50_ms: percentile(db, tenant, id, turns, 50).await?,
        latency_p95_ms: percentile(db, tenant, id, turns, 95).await?,
    })
}

/// Nearest-rank percentile of the turns' total time.
async fn percentile(db: &Db, tenant: &Id, id: &Id, turns: i64, percent: i64) -> Result<Option<i64>> {
    if turns == 0 {
        return Ok(None);
    }
    let rank = (turns * percent + 99) / 100 - 1;
    let row = db
        .row(
            "SELECT t.total_ms FROM call_turns t JOIN calls c ON c.tenant_id = t.tenant_id AND c.id = t.call_id
             WHERE c.tenant_id = $1 AND c.agent_id = $2 ORDER BY t.total_ms LIMIT 1 OFFSET $3",
            args![tenant, id, rank],
        )
        .await?;
    row.map(|row| row.int("total_ms")).transpose()
}

/// Active calls of an agent, at most 100.
pub(crate) async fn active_calls(tx: &mut Tx, tenant: &Id, id: &Id) -> Result<Vec<Id>> {
    let rows = tx
        .rows(
            "SELECT id FROM calls WHERE tenant_id = $1 AND agent_id = $2 AND status = 'active' LIMIT 100",
            args![tenant, id],
        )
        .await?;
    rows.iter().map(|row| row.id("id")).collect()
}
