//! Calls, their costs and timelines, as derived from what gateways uploaded.

use serde_json::Value;
use trunkline_api::usage::HandedTo;
use trunkline_api::{EventType, Id};

use super::{Arg, Db, Result, Row, StoreError, args};

/// A call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) id: Id,
    pub(crate) status: String,
    pub(crate) direction: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) agent_id: Id,
    pub(crate) agent_version: i64,
    pub(crate) trunk_id: Option<String>,
    pub(crate) gateway_id: Id,
    pub(crate) started_us: i64,
    pub(crate) answered_us: Option<i64>,
    pub(crate) ended_us: Option<i64>,
    pub(crate) end_reason: Option<String>,
    pub(crate) failure: Option<String>,
    pub(crate) turns: Option<i64>,
    pub(crate) recording: Option<String>,
    pub(crate) cost_micro: Option<i64>,
    pub(crate) currency: Option<String>,
    pub(crate) price_version: Option<i64>,
    pub(crate) handed_to: Vec<HandedTo>,
}

fn call(row: &Row) -> Result<Call> {
    Ok(Call {
        id: row.id("id")?,
        status: row.text("status")?,
        direction: row.text("direction")?,
        from: row.text("from_party")?,
        to: row.text("to_party")?,
        agent_id: row.id("agent_id")?,
        agent_version: row.int("agent_version")?,
        trunk_id: row.opt_text("trunk_id")?,
        gateway_id: row.id("gateway_id")?,
        started_us: row.int("started_us")?,
        answered_us: row.opt_int("answered_us")?,
        ended_us: row.opt_int("ended_us")?,
        end_reason: row.opt_text("end_reason")?,
        failure: row.opt_text("failure")?,
        turns: row.opt_int("turns")?,
        recording: row.opt_text("recording")?,
        cost_micro: row.opt_int("cost_micro")?,
        currency: row.opt_text("currency")?,
        price_version: row.opt_int("price_version")?,
        handed_to: serde_json::from_value(row.json("handed_to")?).map_err(|_| StoreError::Corrupt("handed_to"))?,
    })
}

/// What to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) status: Option<String>,
    pub(crate) agent: Option<Id>,
    pub(crate) direction: Option<String>,
    /// Started at or after, microseconds.
    pub(crate) from_us: Option<i64>,
    /// Started before, microseconds.
    pub(crate) to_us: Option<i64>,
}

/// Newest first. Call ids sort by when the call began and never change, so they are the key of the page.
pub(crate) async fn list(db: &Db, tenant: &Id, filter: &Filter, before: Option<&str>, limit: i64) -> Result<Vec<Call>> {
    let mut sql = String::from("SELECT * FROM calls WHERE tenant_id = $1 AND id < $2");
    let mut values: Vec<Arg> = args![tenant, before.unwrap_or("~")];
    let mut also = |condition: &str, value: Option<Arg>| {
        if let Some(value) = value {
            values.push(value);
            sql.push_str(&format!(" AND {condition} ${}", values.len()));
        }
    };
    also("status =", filter.status.as_ref().map(Arg::from));
    also("agent_id =", filter.agent.as_ref().map(Arg::from));
    also("direction =", filter.direction.as_ref().map(Arg::from));
    also("started_us >=", filter.from_us.map(Arg::from));
    also("started_us <", filter.to_us.map(Arg::from));
    values.push(Arg::from(limit));
    sql.push_str(&format!(" ORDER BY id DESC LIMIT ${}", values.len()));
    db.rows_of(sql, values).await?.iter().map(call).collect()
}

pub(crate) async fn get(db: &Db, tenant: &Id, id: &Id) -> Result<Option<Call>> {
    let row = db.row("SELECT * FROM calls WHERE tenant_id = $1 AND id = $2", args![tenant, id]).await?;
    row.as_ref().map(call).transpose()
}

/// One line of a call's cost.
#[derive(Debug, Clone)]
pub(crate) struct Cost {
    pub(crate) kind: String,
    pub(crate) provider: String,
    pub(crate) unit: String,
    pub(crate) quantity: i64,
    pub(crate) priced: bool,
    pub(crate) cost_micro: i64,
}

pub(crate) async fn costs(db: &Db, tenant: &Id, id: &Id) -> Result<Vec<Cost>> {
    let rows = db
        .rows(
            "SELECT kind, provider, unit, quantity, priced, cost_micro FROM call_costs
             WHERE tenant_id = $1 AND call_id = $2 ORDER BY kind, provider, unit",
            args![tenant, id],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Cost {
                kind: row.text("kind")?,
                provider: row.text("provider")?,
                unit: row.text("unit")?,
                quantity: row.int("quantity")?,
                priced: row.int("priced")? != 0,
                cost_micro: row.int("cost_micro")?,
            })
        })
        .collect()
}

/// What was found out about a call once it was over: data of its `call.analysed`. It is among the last events of a call,
/// so that only those are looked at.
pub(crate) async fn analysis(db: &Db, tenant: &Id, id: &Id) -> Result<Option<Value>> {
    let rows = db
        .rows(
            "SELECT type, data FROM call_events WHERE tenant_id = $1 AND call_id = $2 ORDER BY seq DESC LIMIT 8",
            args![tenant, id],
        )
        .await?;
    for row in &rows {
        if row.text("type")? == EventType::CallAnalysed.name() {
            return row.json("data").map(Some);
        }
    }
    Ok(None)
}

/// One event of a timeline.
#[derive(Debug, Clone)]
pub(crate) struct TimelineEvent {
    pub(crate) id: Id,
    pub(crate) seq: i64,
    pub(crate) kind: String,
    pub(crate) wall_us: i64,
    pub(crate) call_us: i64,
    pub(crate) leg: Option<String>,
    pub(crate) turn: Option<i64>,
    pub(crate) data: Value,
}

/// Events after `after`, in order of `seq`.
pub(crate) async fn timeline(db: &Db, tenant: &Id, id: &Id, after: i64, limit: i64) -> Result<Vec<TimelineEvent>> {
    let rows = db
        .rows(
            "SELECT id, seq, type, wall_us, call_us, leg, turn, data FROM call_events
             WHERE tenant_id = $1 AND call_id = $2 AND seq > $3 ORDER BY seq LIMIT $4",
            args![tenant, id, after, limit],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(TimelineEvent {
                id: row.id("id")?,
                seq: row.int("seq")?,
                kind: row.text("type")?,
                wall_us: row.int("wall_us")?,
                call_us: row.int("call_us")?,
                leg: row.opt_text("leg")?,
                turn: row.opt_int("turn")?,
                data: row.json("data")?,
            })
        })
        .collect()
}
