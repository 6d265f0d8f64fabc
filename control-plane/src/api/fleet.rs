//! `/v1/gateways` and `/v1/enrolment-tokens`.

use axum::extract::{Path, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use trunkline_api::Prefix;
use trunkline_api::enrolment::EnrolmentToken;
use utoipa::ToSchema;

use crate::clock;
use crate::http::access::Caller;
use crate::http::body::Input;
use crate::http::envelope::{Answer, Envelope};
use crate::http::page::Page;
use crate::http::params::{Params, path_id};
use crate::http::problem::{Fault, Problem, Result};
use crate::server::Shared;
use crate::store::fleet::{self, Alarm, Gateway};
use crate::store::state;

/// A gateway that was silent for longer is offline.
const ONLINE_WITHIN_US: i64 = 45_000_000;

/// A gateway.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GatewayView {
    /// Id, `gw_...`.
    id: String,
    /// Name it enrolled with.
    name: String,
    /// Its version.
    version: String,
    /// `online`, `offline`, `never_seen` or `revoked`.
    status: &'static str,
    /// When it enrolled.
    enrolled_at: String,
    /// Its last heartbeat.
    last_seen_at: Option<String>,
    /// Revision in service there; 0 before the first.
    applied_rev: i64,
    /// Newest revision of the desired state.
    desired_rev: i64,
    /// A revision that it refused.
    rejected: Option<RejectedView>,
    /// Calls in progress at its last heartbeat.
    calls: i64,
    /// Newest alarms, with the single gateway only.
    #[serde(skip_serializing_if = "Option::is_none")]
    alarms: Option<Vec<AlarmView>>,
}

/// A revision that a gateway refused; the one in service stays.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RejectedView {
    /// The revision.
    rev: i64,
    /// Why.
    problem: String,
}

/// An alarm about a gateway.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlarmView {
    /// `upload_gap`, `upload_reused` or `record_set_aside`.
    kind: String,
    /// What happened.
    detail: String,
    /// When.
    at: String,
}

/// A token to make.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// Seconds for which it is good, 1 to 604800.
    #[serde(default = "an_hour")]
    expires_in_s: u32,
}

fn an_hour() -> u32 {
    3600
}

/// A token that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeToken {
    /// The token, shown this once and good for one gateway. It names the key by which the gateway knows this control
    /// plane.
    token: String,
    /// When it ends.
    expires_at: String,
}

fn view(gateway: Gateway, desired_rev: i64, alarms: Option<Vec<Alarm>>) -> GatewayView {
    let status = match (gateway.revoked_us, gateway.last_seen_us) {
        (Some(_), _) => "revoked",
        (None, None) => "never_seen",
        (None, Some(seen)) if clock::now_us() - seen <= ONLINE_WITHIN_US => "online",
        (None, Some(_)) => "offline",
    };
    let alarm =
        |alarm: Alarm| AlarmView { kind: alarm.kind, detail: alarm.detail, at: clock::rfc3339(alarm.created_us) };
    GatewayView {
        id: gateway.id.to_string(),
        name: gateway.name,
        version: gateway.version,
        status,
        enrolled_at: clock::rfc3339(gateway.created_us),
        last_seen_at: gateway.last_seen_us.map(clock::rfc3339),
        applied_rev: gateway.applied_rev,
        desired_rev,
        rejected: gateway.rejected.map(|(rev, problem)| RejectedView { rev, problem }),
        calls: gateway.calls,
        alarms: alarms.map(|alarms| alarms.into_iter().map(alarm).collect()),
    }
}

/// Lists gateways, newest first.
#[utoipa::path(get, path = "/v1/gateways", tag = "fleet", security(("api_key" = ["fleet:read"])),
    params(("limit" = Option<u32>, Query, description = "1 to 100, 20 by default"),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Envelope<Vec<GatewayView>>)))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    params: Params,
) -> Result<Answer<Vec<GatewayView>>> {
    let params = params.only(&["limit", "cursor"])?;
    let page = Page::read(&params, &app.keyring, &caller.tenant, "gateways", &[])?;
    let (rev, _) = state::head(&app.db, &caller.tenant).await?;
    let mut found = fleet::list(&app.db, &caller.tenant, page.after.as_deref(), page.probe()).await?;
    let next = page.cut(&mut found, &app.keyring, |gateway| gateway.id.to_string());
    Ok(Answer::page(found.into_iter().map(|gateway| view(gateway, rev, None)).collect(), next))
}

/// A gateway with its newest alarms.
#[utoipa::path(get, path = "/v1/gateways/{id}", tag = "fleet", security(("api_key" = ["fleet:read"])),
    params(("id" = String, Path, description = "Id of the gateway")),
    responses((status = 200, description = "The gateway", body = Envelope<GatewayView>)))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer<GatewayView>> {
    let id = path_id(Prefix::Gateway, &id, "gateway")?;
    let gateway = fleet::get(&app.db, &caller.tenant, &id).await?.ok_or_else(|| Problem::not_found("gateway"))?;
    let (rev, _) = state::head(&app.db, &caller.tenant).await?;
    let alarms = fleet::alarms(&app.db, &caller.tenant, &id, 20).await?;
    Ok(Answer::ok(view(gateway, rev, Some(alarms))))
}

/// Revokes a gateway's credential; its stream ends at once. It may enrol again with a new token.
#[utoipa::path(delete, path = "/v1/gateways/{id}", tag = "fleet", security(("api_key" = ["fleet:write"])),
    params(("id" = String, Path, description = "Id of the gateway")),
    responses((status = 204, description = "Revoked")))]
pub(crate) async fn revoke(State(app): State<Shared>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode> {
    let id = path_id(Prefix::Gateway, &id, "gateway")?;
    let mut tx = app.db.begin().await?;
    if !fleet::revoke(&mut tx, &caller.tenant, &id, clock::now_us()).await? {
        return Err(Problem::not_found("gateway"));
    }
    tx.commit().await?;
    app.changed(&caller.tenant);
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a one-time token that one gateway enrols with.
#[utoipa::path(post, path = "/v1/enrolment-tokens", tag = "fleet", security(("api_key" = ["fleet:write"])),
    request_body = NewToken,
    responses((status = 201, description = "Made; the token is shown this once", body = Envelope<MadeToken>)))]
pub(crate) async fn token(
    State(app): State<Shared>,
    caller: Caller,
    Input(wanted): Input<NewToken>,
) -> Result<Answer<MadeToken>> {
    if !(1..=604_800).contains(&wanted.expires_in_s) {
        let fault = Fault::body("/expires_in_s", "invalid_value", "expected 1 to 604800");
        return Err(Problem::invalid(vec![fault]));
    }
    let now = clock::now_us();
    let expires = now + i64::from(wanted.expires_in_s) * 1_000_000;
    let mut tx = app.db.begin().await?;
    let token = fleet::create_token(&mut tx, &app.keyring, &caller.tenant, expires, now).await?;
    tx.commit().await?;
    let token = EnrolmentToken { secret: token, control_plane: app.pin }.to_string();
    Ok(Answer::created(MadeToken { token, expires_at: clock::rfc3339(expires) }, "/v1/gateways"))
}
