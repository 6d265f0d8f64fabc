//! Gateways, the tokens they enrol with, and the alarms about them.

use trunkline_api::sync::Heartbeat;
use trunkline_api::{Id, Prefix};

use super::{Db, Result, Row, Tx, args, mint};
use crate::keyring::Keyring;
use crate::secret::{self, Class};

/// A gateway.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) created_us: i64,
    pub(crate) last_seen_us: Option<i64>,
    pub(crate) applied_rev: i64,
    pub(crate) rejected: Option<(i64, String)>,
    pub(crate) calls: i64,
    pub(crate) revoked_us: Option<i64>,
}

fn gateway(row: &Row) -> Result<Gateway> {
    Ok(Gateway {
        id: row.id("id")?,
        name: row.text("name")?,
        version: row.text("version")?,
        created_us: row.int("created_us")?,
        last_seen_us: row.opt_int("last_seen_us")?,
        applied_rev: row.int("applied_rev")?,
        rejected: row.opt_int("rejected_rev")?.zip(row.opt_text("rejected_problem")?),
        calls: row.int("calls")?,
        revoked_us: row.opt_int("revoked_us")?,
    })
}

/// Makes a one-time token; the text is returned once and only its hash is stored.
pub(crate) async fn create_token(
    tx: &mut Tx,
    keyring: &Keyring,
    tenant: &Id,
    expires_us: i64,
    now_us: i64,
) -> Result<String> {
    let text = secret::mint(Class::Enrolment)?;
    // Tokens that are long over tell nothing any more.
    tx.exec(
        "DELETE FROM enrolment_tokens WHERE tenant_id = $1 AND expires_us < $2",
        args![tenant, now_us - 30 * 86_400_000_000],
    )
    .await?;
    tx.exec(
        "INSERT INTO enrolment_tokens (tenant_id, token_hash, created_us, expires_us) VALUES ($1, $2, $3, $4)",
        args![tenant, keyring.hash(&text), now_us, expires_us],
    )
    .await?;
    Ok(text)
}

/// Why a token enrols nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Nobody made it here.
    Unknown,
    /// It enrolled a gateway then.
    Used { at_us: i64 },
    /// It was good until then.
    Over { at_us: i64 },
}

/// Spends a token on a new gateway: its tenant, id and credential.
pub(crate) async fn enrol(
    tx: &mut Tx,
    keyring: &Keyring,
    token: &str,
    (name, version): (&str, &str),
    now_us: i64,
) -> Result<std::result::Result<(Id, Id, String), Refused>> {
    let id = mint(Prefix::Gateway, now_us)?;
    let spent = tx
        .row(
            "UPDATE enrolment_tokens SET used_us = $2, gateway_id = $3
             WHERE token_hash = $1 AND used_us IS NULL AND expires_us > $2 RETURNING tenant_id",
            args![keyring.hash(token), now_us, &id],
        )
        .await?;
    let Some(spent) = spent else {
        let known = tx
            .row(
                "SELECT tenant_id, used_us, expires_us FROM enrolment_tokens WHERE token_hash = $1",
                args![keyring.hash(token)],
            )
            .await?;
        let Some(known) = known else { return Ok(Err(Refused::Unknown)) };
        return Ok(Err(match known.opt_int("used_us")? {
            Some(at_us) => Refused::Used { at_us },
            None => Refused::Over { at_us: known.int("expires_us")? },
        }));
    };
    let tenant = spent.id("tenant_id")?;
    let credential = secret::mint(Class::Gateway)?;
    tx.exec(
        "INSERT INTO gateways (tenant_id, id, name, version, credential_hash, created_us, applied_rev, calls)
         VALUES ($1, $2, $3, $4, $5, $6, 0, 0)",
        args![&tenant, &id, name, version, keyring.hash(&credential), now_us],
    )
    .await?;
    Ok(Ok((tenant, id, credential)))
}

/// The tenant and gateway of a credential's hash, unless it was revoked.
pub(crate) async fn by_credential(db: &Db, hash: &str) -> Result<Option<(Id, Id)>> {
    let row = db
        .row("SELECT tenant_id, id FROM gateways WHERE credential_hash = $1 AND revoked_us IS NULL", args![hash])
        .await?;
    row.map(|row| Ok((row.id("tenant_id")?, row.id("id")?))).transpose()
}

/// Whether the gateway still may speak.
pub(crate) async fn admitted(db: &Db, tenant: &Id, id: &Id) -> Result<bool> {
    let row = db
        .row("SELECT 1 AS one FROM gateways WHERE tenant_id = $1 AND id = $2 AND revoked_us IS NULL", args![tenant, id])
        .await?;
    Ok(row.is_some())
}

pub(crate) async fn revoke(tx: &mut Tx, tenant: &Id, id: &Id, now_us: i64) -> Result<bool> {
    let touched = tx
        .exec(
            "UPDATE gateways SET revoked_us = COALESCE(revoked_us, $3) WHERE tenant_id = $1 AND id = $2",
            args![tenant, id, now_us],
        )
        .await?;
    Ok(touched == 1)
}

pub(crate) async fn heartbeat(tx: &mut Tx, tenant: &Id, id: &Id, beat: &Heartbeat, now_us: i64) -> Result<()> {
    let rev = |rev: u64| i64::try_from(rev).unwrap_or(i64::MAX);
    let rejected = beat.rejected.as_ref();
    tx.exec(
        "UPDATE gateways SET last_seen_us = $3, applied_rev = $4, rejected_rev = $5, rejected_problem = $6,
         calls = $7, version = $8 WHERE tenant_id = $1 AND id = $2",
        args![
            tenant,
            id,
            now_us,
            rev(beat.applied_rev),
            rejected.map(|rejected| rev(rejected.rev)),
            rejected.map(|rejected| rejected.problem.chars().take(1000).collect::<String>()),
            beat.calls,
            &beat.version
        ],
    )
    .await?;
    Ok(())
}

pub(crate) async fn get(db: &Db, tenant: &Id, id: &Id) -> Result<Option<Gateway>> {
    let row = db
        .row(
            "SELECT id, name, version, created_us, last_seen_us, applied_rev, rejected_rev, rejected_problem, calls,
             revoked_us FROM gateways WHERE tenant_id = $1 AND id = $2",
            args![tenant, id],
        )
        .await?;
    row.as_ref().map(gateway).transpose()
}

pub(crate) async fn list(db: &Db, tenant: &Id, before: Option<&str>, limit: i64) -> Result<Vec<Gateway>> {
    let rows = db
        .rows(
            "SELECT id, name, version, created_us, last_seen_us, applied_rev, rejected_rev, rejected_problem, calls,
             revoked_us FROM gateways WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
            args![tenant, before.unwrap_or("~"), limit],
        )
        .await?;
    rows.iter().map(gateway).collect()
}

/// An alarm about a gateway.
#[derive(Debug, Clone)]
pub(crate) struct Alarm {
    pub(crate) kind: String,
    pub(crate) detail: String,
    pub(crate) created_us: i64,
}

/// Records an alarm, keeping the newest hundred of the gateway.
pub(crate) async fn raise(tx: &mut Tx, tenant: &Id, gateway: &Id, kind: &str, detail: &str, now_us: i64) -> Result<()> {
    tx.exec(
        "INSERT INTO alarms (tenant_id, id, gateway_id, kind, detail, created_us) VALUES ($1, $2, $3, $4, $5, $6)",
        args![tenant, &mint(Prefix::Event, now_us)?, gateway, kind, detail, now_us],
    )
    .await?;
    tx.exec(
        "DELETE FROM alarms WHERE tenant_id = $1 AND gateway_id = $2 AND id <= (SELECT id FROM alarms
         WHERE tenant_id = $1 AND gateway_id = $2 ORDER BY id DESC LIMIT 1 OFFSET 100)",
        args![tenant, gateway],
    )
    .await?;
    Ok(())
}

/// The newest alarms of a gateway.
pub(crate) async fn alarms(db: &Db, tenant: &Id, gateway: &Id, limit: i64) -> Result<Vec<Alarm>> {
    let rows = db
        .rows(
            "SELECT kind, detail, created_us FROM alarms WHERE tenant_id = $1 AND gateway_id = $2
             ORDER BY id DESC LIMIT $3",
            args![tenant, gateway, limit],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Alarm { kind: row.text("kind")?, detail: row.text("detail")?, created_us: row.int("created_us")? })
        })
        .collect()
}
