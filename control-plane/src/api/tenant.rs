//! `/v1/tenants/{id}`, its recording key (whom gateways seal recordings to) and how much it may call out.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use trunkline_api::object::{Kind, Object, TenantBody};
use trunkline_api::outbound::OutboundLimits;
use trunkline_api::{Id, Prefix};
use utoipa::ToSchema;

use crate::clock;
use crate::http::access::Caller;
use crate::http::body::Input;
use crate::http::envelope::{Answer, Envelope};
use crate::http::params::path_id;
use crate::http::problem::{Fault, Problem, Result};
use crate::server::Shared;
use crate::store::state::{self, Stored};

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TenantView {
    /// Id.
    id: String,
    /// Version, from 1; grows with every change.
    version: i64,
    /// The tenant.
    #[serde(flatten)]
    body: TenantBody,
    /// When it last changed.
    updated_at: String,
}

/// Whom recordings are sealed to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordingKey {
    /// The public key that `trunkline recording keygen` prints; empty means that recordings are not sealed.
    recording_key: String,
}

fn view(stored: Stored) -> Result<Answer<TenantView>> {
    let body = serde_json::from_value(stored.body).map_err(|_| Problem::internal())?;
    let (id, updated_at) = (stored.id.to_string(), clock::rfc3339(stored.updated_us));
    Ok(Answer::ok(TenantView { id, version: stored.version, body, updated_at }))
}

/// The tenant that `id` names, which is the caller's own or nobody's.
fn own(caller: &Caller, id: &str) -> Result<Id> {
    if id != "me" && path_id(Prefix::Tenant, id, "tenant")? != caller.tenant {
        return Err(Problem::not_found("tenant"));
    }
    Ok(caller.tenant.clone())
}

/// A tenant.
#[utoipa::path(get, path = "/v1/tenants/{id}", tag = "tenants", security(("api_key" = ["telephony:read"])),
    params(("id" = String, Path, description = "Id of the tenant, or `me`")),
    responses((status = 200, description = "It", body = Envelope<TenantView>)))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer<TenantView>> {
    let id = own(&caller, &id)?;
    let found = state::get(&app.db, &id, Kind::Tenant, &id).await?;
    view(found.ok_or_else(|| Problem::not_found("tenant"))?)
}

/// Sets whom recordings of the tenant's calls are sealed to, from the next call on. What was sealed to the key before
/// still needs that one.
#[utoipa::path(put, path = "/v1/tenants/{id}/recording-key", tag = "tenants", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "Id of the tenant, or `me`")),
    request_body = RecordingKey,
    responses((status = 200, description = "The tenant", body = Envelope<TenantView>)))]
pub(crate) async fn put_recording_key(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Input(key): Input<RecordingKey>,
) -> Result<Answer<TenantView>> {
    change(&app, own(&caller, &id)?, |body| {
        body.recording_key = key.recording_key;
        let problem = body.recording_key_problem();
        problem.map(|problem| Fault::body("/recording_key", "invalid_value", problem)).into_iter().collect()
    })
    .await
}

/// Sets how much the tenant may call out on a gateway, from the next call on. Zero is nothing.
#[utoipa::path(put, path = "/v1/tenants/{id}/outbound", tag = "tenants", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "Id of the tenant, or `me`")),
    request_body = OutboundLimits,
    responses((status = 200, description = "The tenant", body = Envelope<TenantView>)))]
pub(crate) async fn put_outbound(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Input(limits): Input<OutboundLimits>,
) -> Result<Answer<TenantView>> {
    change(&app, own(&caller, &id)?, |body| {
        body.outbound = limits;
        let problems = limits.problems().into_iter();
        // Here the limits are the whole body.
        let pointer = |pointer: &'static str| pointer.strip_prefix("/outbound").unwrap_or(pointer);
        problems.map(|(at, message)| Fault::body(pointer(at), "invalid_value", message)).collect()
    })
    .await
}

/// Makes a new version of a tenant, unless the change says what is wrong with it.
async fn change(
    app: &Shared,
    id: Id,
    change: impl FnOnce(&mut TenantBody) -> Vec<Fault>,
) -> Result<Answer<TenantView>> {
    let mut tx = app.db.begin().await?;
    let current = state::get_in(&mut tx, &id, Kind::Tenant, &id).await?.ok_or_else(|| Problem::not_found("tenant"))?;
    let mut body: TenantBody = serde_json::from_value(current.body).map_err(|_| Problem::internal())?;
    let faults = change(&mut body);
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let object = Object {
        kind: Kind::Tenant,
        id: id.clone(),
        tenant: id.clone(),
        version: u32::try_from(current.version + 1).unwrap_or(u32::MAX),
        sha256: String::new(),
        body: serde_json::to_value(body).map_err(|_| Problem::internal())?,
    };
    state::put(&mut tx, &object, None, &[], clock::now_us()).await?;
    let stored = state::get_in(&mut tx, &id, Kind::Tenant, &id).await?.ok_or_else(Problem::internal)?;
    tx.commit().await?;
    app.changed(&id);
    view(stored)
}
