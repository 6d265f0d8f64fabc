//! `/v1/auth/api-keys`: keys are made with scopes and an expiry, shown once, listed without their text, revoked.

use axum::extract::{Path, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use trunkline_api::Prefix;
use utoipa::ToSchema;

use crate::clock;
use crate::http::access::{Caller, SCOPES};
use crate::http::body::Input;
use crate::http::envelope::{Answer, Envelope};
use crate::http::page::Page;
use crate::http::params::{Params, path_id};
use crate::http::problem::{Fault, Problem, Result};
use crate::server::Shared;
use crate::store::keys::{self, Key};

/// Most usable keys of a tenant.
const MOST_KEYS: i64 = 500;
const DAY_US: i64 = 86_400_000_000;

/// A key to make.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    /// Name, 1 to 100 characters.
    name: String,
    /// What it may do; `admin` is everything.
    scopes: Vec<String>,
    /// Days until it ends, 1 to 3650.
    #[serde(default = "a_year")]
    expires_in_days: u32,
}

fn a_year() -> u32 {
    365
}

/// A key as it may be shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyView {
    /// Id, `key_...`.
    id: String,
    /// Name.
    name: String,
    /// How the key begins.
    prefix: String,
    /// How the key ends.
    last4: String,
    /// What it may do.
    scopes: Vec<String>,
    /// When it was made.
    created_at: String,
    /// When it ends.
    expires_at: Option<String>,
    /// When it was revoked.
    revoked_at: Option<String>,
}

/// A key that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeKey {
    /// The key itself, shown this once.
    key: String,
    #[serde(flatten)]
    view: KeyView,
}

fn view(key: Key) -> KeyView {
    KeyView {
        id: key.id.to_string(),
        name: key.name,
        prefix: key.prefix,
        last4: key.last4,
        scopes: key.scopes,
        created_at: clock::rfc3339(key.created_us),
        expires_at: key.expires_us.map(clock::rfc3339),
        revoked_at: key.revoked_us.map(clock::rfc3339),
    }
}

/// Makes a key. A key can only give scopes that it has itself.
#[utoipa::path(post, path = "/v1/auth/api-keys", tag = "keys", security(("api_key" = ["keys:write"])),
    request_body = NewKey,
    responses((status = 201, description = "Made; the key is shown this once", body = Envelope<MadeKey>)))]
pub(crate) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    Input(wanted): Input<NewKey>,
) -> Result<Answer<MadeKey>> {
    let mut faults = Vec::new();
    if !(1..=100).contains(&wanted.name.chars().count()) {
        faults.push(Fault::body("/name", "invalid_value", "expected 1 to 100 characters"));
    }
    if wanted.scopes.is_empty() || wanted.scopes.len() > SCOPES.len() {
        faults.push(Fault::body("/scopes", "invalid_value", "expected at least one scope, each once"));
    }
    for (index, scope) in wanted.scopes.iter().enumerate().take(SCOPES.len()) {
        if !SCOPES.contains(&scope.as_str()) {
            let message = format!("expected one of: {}", SCOPES.join(", "));
            faults.push(Fault::body(format!("/scopes/{index}"), "invalid_value", message));
        }
    }
    if !(1..=3650).contains(&wanted.expires_in_days) {
        faults.push(Fault::body("/expires_in_days", "invalid_value", "expected 1 to 3650"));
    }
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    if let Some(scope) = wanted.scopes.iter().find(|scope| !caller.may(scope)) {
        return Err(Problem::forbidden(format!("A key cannot give `{scope}`, which it does not have.")));
    }
    let now = clock::now_us();
    let expires = now + i64::from(wanted.expires_in_days) * DAY_US;
    let mut tx = app.db.begin().await?;
    if keys::count_usable(&mut tx, &caller.tenant, now).await? >= MOST_KEYS {
        return Err(Problem::conflict("too_many_keys", format!("There are {MOST_KEYS} keys; revoke one first.")));
    }
    let made = keys::create(&mut tx, &app.keyring, &caller.tenant, &wanted.name, &wanted.scopes, Some(expires), now);
    let (key, text) = made.await?;
    tx.commit().await?;
    let location = format!("/v1/auth/api-keys/{}", key.id);
    Ok(Answer::created(MadeKey { key: text, view: view(key) }, &location))
}

/// Lists keys, newest first.
#[utoipa::path(get, path = "/v1/auth/api-keys", tag = "keys", security(("api_key" = ["keys:read"])),
    params(("limit" = Option<u32>, Query, description = "1 to 100, 20 by default"),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Envelope<Vec<KeyView>>)))]
pub(crate) async fn list(State(app): State<Shared>, caller: Caller, params: Params) -> Result<Answer<Vec<KeyView>>> {
    let params = params.only(&["limit", "cursor"])?;
    let page = Page::read(&params, &app.keyring, &caller.tenant, "keys", &[])?;
    let mut found = keys::list(&app.db, &caller.tenant, page.after.as_deref(), page.probe()).await?;
    let next = page.cut(&mut found, &app.keyring, |key| key.id.to_string());
    Ok(Answer::page(found.into_iter().map(view).collect(), next))
}

/// Revokes a key; it is refused from the next request on.
#[utoipa::path(delete, path = "/v1/auth/api-keys/{id}", tag = "keys", security(("api_key" = ["keys:write"])),
    params(("id" = String, Path, description = "Id of the key")),
    responses((status = 204, description = "Revoked")))]
pub(crate) async fn revoke(State(app): State<Shared>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode> {
    let id = path_id(Prefix::ApiKey, &id, "key")?;
    let mut tx = app.db.begin().await?;
    if !keys::revoke(&mut tx, &caller.tenant, &id, clock::now_us()).await? {
        return Err(Problem::not_found("key"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
