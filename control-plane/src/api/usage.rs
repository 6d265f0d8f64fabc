//! `/v1/tenants/{id}/usage`: roll-ups per day, agent and component, which add up to the usage records.

use axum::extract::{Path, State};
use serde::Serialize;
use trunkline_api::Prefix;
use utoipa::ToSchema;

use crate::clock;
use crate::http::access::Caller;
use crate::http::envelope::{Answer, Envelope};
use crate::http::page::Page;
use crate::http::params::{Params, path_id};
use crate::http::problem::{Problem, Result};
use crate::server::Shared;
use crate::store::usage::{self, Grouping, Line};

const DAY_US: i64 = 86_400_000_000;
/// Most days of a report.
const MOST_DAYS: i64 = 366;

/// Usage of a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageView {
    /// First day, UTC.
    from: String,
    /// Last day, UTC.
    to: String,
    /// Calls and cost of the whole range, whatever the page, one entry a currency.
    totals: Vec<TotalView>,
    /// The page's lines.
    lines: Vec<LineView>,
}

/// A sum.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TotalView {
    /// Currency, ISO 4217.
    currency: String,
    /// Calls that ended in the range.
    calls: i64,
    /// Micro-units.
    cost_micro: i64,
}

/// A line; what it is not grouped by is absent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LineView {
    /// Day on which the calls ended, or lines were rendered beforehand, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<String>,
    /// Agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    /// Component: kind, provider and unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<UnitView>,
    /// Units; only where lines are grouped by component, since different units do not add up.
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<i64>,
    /// Calls with this component; only where lines are grouped by component, since a call has several. What lines rendered
    /// beforehand took is in the quantity and in no call.
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<i64>,
    /// Currency, ISO 4217.
    currency: String,
    /// Micro-units.
    cost_micro: i64,
}

/// What was used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnitView {
    /// `call`, `asr`, `llm`, `tts`, `tool`, `redactor` or `realtime`.
    kind: String,
    /// Provider; empty for the call itself.
    provider: String,
    /// Unit.
    unit: String,
}

fn line(line: Line, grouping: Grouping) -> LineView {
    let [day, agent, kind, provider, unit, currency] = line.place;
    LineView {
        day: grouping.day.then_some(day),
        agent_id: grouping.agent.then_some(agent),
        component: grouping.component.then_some(UnitView { kind, provider, unit }),
        quantity: grouping.component.then_some(line.quantity),
        calls: grouping.component.then_some(line.calls),
        currency,
        cost_micro: line.cost_micro,
    }
}

fn grouping(text: &str) -> Option<Grouping> {
    let mut grouping = Grouping { day: false, agent: false, component: false };
    for word in text.split(',') {
        match word {
            "day" => grouping.day = true,
            "agent" => grouping.agent = true,
            "component" => grouping.component = true,
            _ => return None,
        }
    }
    Some(grouping)
}

/// Usage of a tenant, by the day on which calls ended. By default the last 30 days by day, agent and component.
#[utoipa::path(get, path = "/v1/tenants/{id}/usage", tag = "usage", security(("api_key" = ["usage:read"])),
    params(("id" = String, Path, description = "Id of the tenant, or `me`"),
           ("from" = Option<String>, Query, description = "First day, `2026-11-01`"),
           ("to" = Option<String>, Query, description = "Last day, at most 366 days after the first"),
           ("group_by" = Option<String>, Query, description = "Some of `day,agent,component`"),
           ("limit" = Option<u32>, Query, description = "1 to 100, 20 by default"),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Envelope<UsageView>)))]
pub(crate) async fn report(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Answer<UsageView>> {
    if id != "me" && path_id(Prefix::Tenant, &id, "tenant")? != caller.tenant {
        return Err(Problem::not_found("tenant"));
    }
    let params = params.only(&["from", "to", "group_by", "limit", "cursor"])?;
    let expected = "expected a day, such as 2026-11-21";
    let to = params.parsed("to", expected, clock::parse_day)?.unwrap_or_else(clock::now_us);
    let from = params.parsed("from", expected, clock::parse_day)?.unwrap_or(to - 29 * DAY_US);
    if from > to || to - from > MOST_DAYS * DAY_US {
        let message = format!("expected a day before `to`, at most {MOST_DAYS} days");
        return Err(Problem::parameter("invalid_parameter", "from", message));
    }
    let words = "expected some of day, agent and component, separated by commas";
    let all = Grouping { day: true, agent: true, component: true };
    let grouping = params.parsed("group_by", words, grouping)?.unwrap_or(all);
    let (from, to) = (clock::day(from), clock::day(to));
    let page = Page::read(&params, &app.keyring, &caller.tenant, "usage", &["from", "to", "group_by"])?;
    let after = page.after.as_deref().map(serde_json::from_str).transpose().map_err(|_| Problem::internal())?;
    let days = (from.as_str(), to.as_str());
    let mut found = usage::report(&app.db, &caller.tenant, days, grouping, after.as_ref(), page.probe()).await?;
    let next = page.cut(&mut found, &app.keyring, |line| serde_json::json!(line.place).to_string());
    let totals = usage::totals(&app.db, &caller.tenant, days).await?;
    let totals =
        totals.into_iter().map(|(currency, calls, cost_micro)| TotalView { currency, calls, cost_micro }).collect();
    let lines = found.into_iter().map(|found| line(found, grouping)).collect();
    Ok(Answer::page(UsageView { from, to, totals, lines }, next))
}
