//! Usage roll-ups per day, agent and component, kept in step with the usage records by the same transaction.

use trunkline_api::Id;

use super::rating::Component;
use super::{Db, Result, Tx, args};

/// Adds components to the day's roll-ups, those of a call (`calls` 1) or of what was used in none (0).
pub(crate) async fn add(
    tx: &mut Tx,
    tenant: &Id,
    day: &str,
    agent: &Id,
    currency: &str,
    components: &[Component],
    calls: i64,
) -> Result<()> {
    for part in components {
        tx.exec(
            "INSERT INTO usage_rollups
             (tenant_id, day, agent_id, kind, provider, unit, currency, calls, quantity, cost_micro)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $10, $8, $9)
             ON CONFLICT (tenant_id, day, agent_id, kind, provider, unit, currency) DO UPDATE SET
             calls = usage_rollups.calls + excluded.calls, quantity = usage_rollups.quantity + excluded.quantity,
             cost_micro = usage_rollups.cost_micro + excluded.cost_micro",
            args![
                tenant,
                day,
                agent,
                &part.kind,
                &part.provider,
                part.unit,
                currency,
                part.quantity,
                part.cost_micro,
                calls
            ],
        )
        .await?;
    }
    Ok(())
}

/// How to group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grouping {
    pub(crate) day: bool,
    pub(crate) agent: bool,
    pub(crate) component: bool,
}

/// Position in the report: day, agent, kind, provider, unit, currency; parts that are not grouped by are empty.
pub(crate) type Place = [String; 6];

/// One line of the report.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) place: Place,
    pub(crate) calls: i64,
    pub(crate) quantity: i64,
    pub(crate) cost_micro: i64,
}

/// Lines after `after` for days `from..=to`, in order of their place.
pub(crate) async fn report(
    db: &Db,
    tenant: &Id,
    (from, to): (&str, &str),
    grouping: Grouping,
    after: Option<&Place>,
    limit: i64,
) -> Result<Vec<Line>> {
    let place = after.cloned().unwrap_or_default();
    let rows = db
        .rows(
            "SELECT day, agent, kind, provider, unit, currency, calls, quantity, cost_micro FROM
             (SELECT CASE WHEN $4 = 1 THEN day ELSE '' END AS day,
                     CASE WHEN $5 = 1 THEN agent_id ELSE '' END AS agent,
                     CASE WHEN $6 = 1 THEN kind ELSE '' END AS kind,
                     CASE WHEN $6 = 1 THEN provider ELSE '' END AS provider,
                     CASE WHEN $6 = 1 THEN unit ELSE '' END AS unit,
                     currency, SUM(calls) AS calls, SUM(quantity) AS quantity, SUM(cost_micro) AS cost_micro
              FROM usage_rollups WHERE tenant_id = $1 AND day >= $2 AND day <= $3
              GROUP BY 1, 2, 3, 4, 5, 6) AS report
             WHERE $7 = 0 OR (day, agent, kind, provider, unit, currency) > ($8, $9, $10, $11, $12, $13)
             ORDER BY day, agent, kind, provider, unit, currency LIMIT $14",
            args![
                tenant,
                from,
                to,
                i64::from(grouping.day),
                i64::from(grouping.agent),
                i64::from(grouping.component),
                i64::from(after.is_some()),
                &place[0],
                &place[1],
                &place[2],
                &place[3],
                &place[4],
                &place[5],
                limit
            ],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Line {
                place: [
                    row.text("day")?,
                    row.text("agent")?,
                    row.text("kind")?,
                    row.text("provider")?,
                    row.text("unit")?,
                    row.text("currency")?,
                ],
                calls: row.int("calls")?,
                quantity: row.int("quantity")?,
                cost_micro: row.int("cost_micro")?,
            })
        })
        .collect()
}

/// Calls and cost of the days `from..=to`, counted from the usage records, the calls and the renderings themselves:
/// currency, calls, cost.
pub(crate) async fn totals(db: &Db, tenant: &Id, (from, to): (&str, &str)) -> Result<Vec<(String, i64, i64)>> {
    let rows = db
        .rows(
            "SELECT currency, SUM(calls) AS calls, SUM(cost) AS cost FROM
             (SELECT COALESCE(c.currency, '') AS currency, COUNT(*) AS calls, COALESCE(SUM(c.cost_micro), 0) AS cost
              FROM usage_records u JOIN calls c ON c.tenant_id = u.tenant_id AND c.id = u.call_id
              WHERE u.tenant_id = $1 AND u.day >= $2 AND u.day <= $3 GROUP BY 1
              UNION ALL
              SELECT r.currency AS currency, 0 AS calls, SUM(r.cost_micro) AS cost
              FROM renderings r WHERE r.tenant_id = $1 AND r.day >= $2 AND r.day <= $3 GROUP BY 1) AS sums
             GROUP BY 1 ORDER BY 1",
            args![tenant, from, to],
        )
        .await?;
    rows.iter().map(|row| Ok((row.text("currency")?, row.int("calls")?, row.int("cost")?))).collect()
}
