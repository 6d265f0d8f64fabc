//! Desired state: the objects of a tenant, each with the revision that last changed it.
//!
//! A delta from revision `b` is every object whose revision is greater than `b`; removed objects stay as tombstones
//! until the log window has passed, after which a reader so far behind gets a whole snapshot.

use serde_json::Value;
use trunkline_api::object::{Kind, Object, ObjectRef};
use trunkline_api::signature::sha256_hex;
use trunkline_api::{Id, Prefix};

use super::{Db, Result, Row, StoreError, Tx, args};

/// Revisions a reader may be behind and still get a delta.
pub(crate) const WINDOW: i64 = 10_000;

/// The id prefix of a kind whose objects REST handles.
pub(crate) const fn prefix(kind: Kind) -> Prefix {
    match kind {
        Kind::Tenant => Prefix::Tenant,
        Kind::Agent => Prefix::Agent,
        Kind::Trunk => Prefix::Trunk,
        Kind::Number => Prefix::Number,
        Kind::Route => Prefix::Route,
        Kind::OutboundRoute => Prefix::OutboundRoute,
        Kind::Provider => Prefix::Provider,
        Kind::Plugin => Prefix::Plugin,
        Kind::Quota => Prefix::Lease,
        Kind::TrustedKey => Prefix::ApiKey,
    }
}

/// The stored name of a kind, the same as on the wire.
pub(crate) const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Tenant => "tenant",
        Kind::Agent => "agent",
        Kind::Trunk => "trunk",
        Kind::Number => "number",
        Kind::Route => "route",
        Kind::OutboundRoute => "outbound-route",
        Kind::Provider => "provider",
        Kind::Plugin => "plugin",
        Kind::Quota => "quota",
        Kind::TrustedKey => "trusted-key",
    }
}

/// The kind of a stored name.
pub(crate) fn kind(text: &str) -> Result<Kind> {
    serde_json::from_value(Value::String(text.to_owned())).map_err(|_| StoreError::Corrupt("object kind"))
}

/// An object with when it was made and changed.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) id: Id,
    pub(crate) version: i64,
    pub(crate) body: Value,
    pub(crate) created_us: i64,
    pub(crate) updated_us: i64,
}

fn stored(row: &Row) -> Result<Stored> {
    Ok(Stored {
        id: row.id("id")?,
        version: row.int("version")?,
        body: row.json("body")?,
        created_us: row.int("created_us")?,
        updated_us: row.int("updated_us")?,
    })
}

/// What an object says about others: `(kind, key)`, where the key is an id or a provider's name.
pub(crate) type Refs<'a> = &'a [(&'a str, String)];

async fn next_rev(tx: &mut Tx, tenant: &Id) -> Result<i64> {
    let row = tx
        .row(
            "INSERT INTO state_heads (tenant_id, rev, floor) VALUES ($1, 1, 0)
             ON CONFLICT (tenant_id) DO UPDATE SET rev = state_heads.rev + 1 RETURNING rev",
            args![tenant],
        )
        .await?;
    row.ok_or(StoreError::Corrupt("state head"))?.int("rev")
}

/// Makes or replaces an object; the new revision.
pub(crate) async fn put(
    tx: &mut Tx,
    object: &Object,
    name_key: Option<&str>,
    refs: Refs<'_>,
    now_us: i64,
) -> Result<i64> {
    let rev = next_rev(tx, &object.tenant).await?;
    let body = object.body.to_string();
    let digest = sha256_hex(body.as_bytes());
    let kind = name(object.kind);
    tx.exec(
        "INSERT INTO state_objects
         (tenant_id, kind, id, name_key, version, sha256, body, rev, created_us, updated_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
         ON CONFLICT (tenant_id, kind, id) DO UPDATE SET name_key = excluded.name_key, version = excluded.version,
         sha256 = excluded.sha256, body = excluded.body, rev = excluded.rev, updated_us = excluded.updated_us",
        args![&object.tenant, kind, &object.id, name_key, object.version, digest, body, rev, now_us],
    )
    .await?;
    forget_refs(tx, &object.tenant, kind, &object.id).await?;
    for (ref_kind, key) in refs {
        tx.exec(
            "INSERT INTO object_refs (tenant_id, kind, id, ref_kind, ref_key) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING",
            args![&object.tenant, kind, &object.id, *ref_kind, key],
        )
        .await?;
    }
    Ok(rev)
}

async fn forget_refs(tx: &mut Tx, tenant: &Id, kind: &str, id: &Id) -> Result<()> {
    tx.exec("DELETE FROM object_refs WHERE tenant_id = $1 AND kind = $2 AND id = $3", args![tenant, kind, id]).await?;
    Ok(())
}

/// Removes an object; false when it is not there.
pub(crate) async fn remove(tx: &mut Tx, tenant: &Id, kind: Kind, id: &Id, now_us: i64) -> Result<bool> {
    if !exists(tx, tenant, kind, id).await? {
        return Ok(false);
    }
    let rev = next_rev(tx, tenant).await?;
    tx.exec(
        "UPDATE state_objects SET body = NULL, name_key = NULL, sha256 = '', rev = $4, updated_us = $5
         WHERE tenant_id = $1 AND kind = $2 AND id = $3",
        args![tenant, name(kind), id, rev, now_us],
    )
    .await?;
    forget_refs(tx, tenant, name(kind), id).await?;
    let floor = rev - WINDOW;
    if floor > 0 {
        tx.exec("DELETE FROM state_objects WHERE tenant_id = $1 AND body IS NULL AND rev <= $2", args![tenant, floor])
            .await?;
        tx.exec("UPDATE state_heads SET floor = $2 WHERE tenant_id = $1 AND floor < $2", args![tenant, floor]).await?;
    }
    Ok(true)
}

pub(crate) async fn exists(tx: &mut Tx, tenant: &Id, kind: Kind, id: &Id) -> Result<bool> {
    let row = tx
        .row(
            "SELECT 1 AS one FROM state_objects WHERE tenant_id = $1 AND kind = $2 AND id = $3 AND body IS NOT NULL",
            args![tenant, name(kind), id],
        )
        .await?;
    Ok(row.is_some())
}

/// Whether another object of the kind already has the name.
pub(crate) async fn name_taken(tx: &mut Tx, tenant: &Id, kind: Kind, name_key: &str) -> Result<Option<Id>> {
    let row = tx
        .row(
            "SELECT id FROM state_objects
             WHERE tenant_id = $1 AND kind = $2 AND name_key = $3 AND body IS NOT NULL",
            args![tenant, name(kind), name_key],
        )
        .await?;
    row.map(|row| row.id("id")).transpose()
}

/// Live objects of a kind.
pub(crate) async fn count(tx: &mut Tx, tenant: &Id, kind: Kind) -> Result<i64> {
    let row = tx
        .row(
            "SELECT COUNT(*) AS n FROM state_objects WHERE tenant_id = $1 AND kind = $2 AND body IS NOT NULL",
            args![tenant, name(kind)],
        )
        .await?;
    row.map_or(Ok(0), |row| row.int("n"))
}

/// Objects that name `(ref_kind, key)`, at most 100.
pub(crate) async fn referring(tx: &mut Tx, tenant: &Id, ref_kind: &str, key: &str) -> Result<Vec<(String, Id)>> {
    let rows = tx
        .rows(
            "SELECT kind, id FROM object_refs WHERE tenant_id = $1 AND ref_kind = $2 AND ref_key = $3
             ORDER BY kind, id LIMIT 100",
            args![tenant, ref_kind, key],
        )
        .await?;
    rows.iter().map(|row| Ok((row.text("kind")?, row.id("id")?))).collect()
}

/// One live object, read inside a transaction.
pub(crate) async fn get_in(tx: &mut Tx, tenant: &Id, kind: Kind, id: &Id) -> Result<Option<Stored>> {
    let row = tx
        .row(
            "SELECT id, version, body, created_us, updated_us FROM state_objects
             WHERE tenant_id = $1 AND kind = $2 AND id = $3 AND body IS NOT NULL",
            args![tenant, name(kind), id],
        )
        .await?;
    row.as_ref().map(stored).transpose()
}

pub(crate) async fn get(db: &Db, tenant: &Id, kind: Kind, id: &Id) -> Result<Option<Stored>> {
    let row = db
        .row(
            "SELECT id, version, body, created_us, updated_us FROM state_objects
             WHERE tenant_id = $1 AND kind = $2 AND id = $3 AND body IS NOT NULL",
            args![tenant, name(kind), id],
        )
        .await?;
    row.as_ref().map(stored).transpose()
}

pub(crate) async fn list(db: &Db, tenant: &Id, kind: Kind, before: Option<&str>, limit: i64) -> Result<Vec<Stored>> {
    let rows = db
        .rows(
            "SELECT id, version, body, created_us, updated_us FROM state_objects
             WHERE tenant_id = $1 AND kind = $2 AND id < $3 AND body IS NOT NULL ORDER BY id DESC LIMIT $4",
            args![tenant, name(kind), before.unwrap_or("~"), limit],
        )
        .await?;
    rows.iter().map(stored).collect()
}

/// Objects that lead from one revision to another.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) rev: i64,
    /// `None` when the step is the whole.
    pub(crate) base: Option<i64>,
    pub(crate) upserts: Vec<Object>,
    pub(crate) removes: Vec<ObjectRef>,
}

/// The newest revision, and the oldest from which deltas can be made.
pub(crate) async fn head(db: &Db, tenant: &Id) -> Result<(i64, i64)> {
    let head = db.row("SELECT rev, floor FROM state_heads WHERE tenant_id = $1", args![tenant]).await?;
    head.map_or(Ok((0, 0)), |row| Ok((row.int("rev")?, row.int("floor")?)))
}

/// What a reader at `after` lacks; `None` when it lacks nothing. Without `after`, or when the window has passed, the
/// whole.
pub(crate) async fn step(db: &Db, tenant: &Id, after: Option<i64>) -> Result<Option<Step>> {
    let (rev, floor) = head(db, tenant).await?;
    let base = after.filter(|&after| after >= floor && after <= rev && after > 0);
    if base == Some(rev) {
        return Ok(None);
    }
    // One statement is one snapshot: a change made since the head was read is in it whole, and lifts the step's revision.
    let rows = db
        .rows(
            "SELECT kind, id, version, sha256, body, rev FROM state_objects
             WHERE tenant_id = $1 AND rev > $2 ORDER BY rev",
            args![tenant, base.unwrap_or(0)],
        )
        .await?;
    let mut step = Step { rev, base, upserts: Vec::new(), removes: Vec::new() };
    for row in rows {
        step.rev = step.rev.max(row.int("rev")?);
        let (kind, id) = (kind(&row.text("kind")?)?, row.id("id")?);
        match row.opt_text("body")? {
            Some(body) => {
                let body: Value = serde_json::from_str(&body).map_err(|_| StoreError::Corrupt("object body"))?;
                step.upserts.push(Object {
                    kind,
                    id,
                    tenant: tenant.clone(),
                    version: u32::try_from(row.int("version")?).unwrap_or(u32::MAX),
                    sha256: sha256_hex(body.to_string().as_bytes()),
                    body,
                });
            }
            None if base.is_some() => step.removes.push(ObjectRef { kind, id }),
            None => {}
        }
    }
    Ok(Some(step))
}

/// Lifts the head above a revision that a gateway already has: this database was restored from an older copy, and
/// revisions must not be used twice.
pub(crate) async fn lift(tx: &mut Tx, tenant: &Id, seen: i64) -> Result<()> {
    tx.exec(
        "UPDATE state_heads SET rev = $2 + 1, floor = $2 + 1 WHERE tenant_id = $1 AND rev < $2",
        args![tenant, seen],
    )
    .await?;
    Ok(())
}
