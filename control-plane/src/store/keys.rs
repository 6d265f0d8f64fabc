//! API keys: made, listed, revoked, and found again by their hash.

use trunkline_api::{Id, Prefix};

use super::{Db, Result, Row, StoreError, Tx, args, mint};
use crate::keyring::Keyring;
use crate::secret::{self, Class};

/// A key as it may be shown.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) last4: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) created_us: i64,
    pub(crate) expires_us: Option<i64>,
    pub(crate) revoked_us: Option<i64>,
}

fn read(row: &Row) -> Result<Key> {
    let scopes = serde_json::from_value(row.json("scopes")?).map_err(|_| StoreError::Corrupt("scopes"))?;
    Ok(Key {
        id: row.id("id")?,
        name: row.text("name")?,
        prefix: row.text("prefix")?,
        last4: row.text("last4")?,
        scopes,
        created_us: row.int("created_us")?,
        expires_us: row.opt_int("expires_us")?,
        revoked_us: row.opt_int("revoked_us")?,
    })
}

/// Makes a key; the text is returned once and only its hash is stored.
pub(crate) async fn create(
    tx: &mut Tx,
    keyring: &Keyring,
    tenant: &Id,
    name: &str,
    scopes: &[String],
    expires_us: Option<i64>,
    now_us: i64,
) -> Result<(Key, String)> {
    let text = secret::mint(Class::ApiKey)?;
    let shown: String = text.chars().take(12).collect();
    let last4: String = text.chars().skip(text.len() - 4).collect();
    let id = mint(Prefix::ApiKey, now_us)?;
    let stored = serde_json::to_string(scopes).map_err(|_| StoreError::Corrupt("scopes"))?;
    tx.exec(
        "INSERT INTO api_keys (tenant_id, id, name, key_hash, prefix, last4, scopes, created_us, expires_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        args![tenant, &id, name, keyring.hash(&text), &shown, &last4, stored, now_us, expires_us],
    )
    .await?;
    let key = Key {
        id,
        name: name.to_owned(),
        prefix: shown,
        last4,
        scopes: scopes.to_vec(),
        created_us: now_us,
        expires_us,
        revoked_us: None,
    };
    Ok((key, text))
}

/// The key with this hash and its tenant, whether or not it still opens anything.
pub(crate) async fn by_hash(db: &Db, hash: &str) -> Result<Option<(Id, Key)>> {
    let row = db
        .row(
            "SELECT tenant_id, id, name, prefix, last4, scopes, created_us, expires_us, revoked_us
             FROM api_keys WHERE key_hash = $1",
            args![hash],
        )
        .await?;
    row.map(|row| Ok((row.id("tenant_id")?, read(&row)?))).transpose()
}

pub(crate) async fn list(db: &Db, tenant: &Id, before: Option<&str>, limit: i64) -> Result<Vec<Key>> {
    let rows = db
        .rows(
            "SELECT id, name, prefix, last4, scopes, created_us, expires_us, revoked_us
             FROM api_keys WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
            args![tenant, before.unwrap_or("~"), limit],
        )
        .await?;
    rows.iter().map(read).collect()
}

pub(crate) async fn count_usable(tx: &mut Tx, tenant: &Id, now_us: i64) -> Result<i64> {
    let row = tx
        .row(
            "SELECT COUNT(*) AS n FROM api_keys
             WHERE tenant_id = $1 AND revoked_us IS NULL AND (expires_us IS NULL OR expires_us > $2)",
            args![tenant, now_us],
        )
        .await?;
    row.map_or(Ok(0), |row| row.int("n"))
}

/// Revokes a key; false when there is none of this id.
pub(crate) async fn revoke(tx: &mut Tx, tenant: &Id, id: &Id, now_us: i64) -> Result<bool> {
    let touched = tx
        .exec(
            "UPDATE api_keys SET revoked_us = COALESCE(revoked_us, $3) WHERE tenant_id = $1 AND id = $2",
            args![tenant, id, now_us],
        )
        .await?;
    Ok(touched == 1)
}
