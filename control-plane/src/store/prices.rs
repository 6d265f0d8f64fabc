//! Price book: versions of price rows. A version never changes; new prices are a new version, and every call keeps the
//! version it was priced with.

use trunkline_api::Id;

use super::{Db, Result, Row, StoreError, Tx, args};

/// What `quantity` of a unit costs: `micro` micro-units of the book's currency for every `per` units.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Price {
    /// `call`, `asr`, `llm`, `tts`, `tool`, `redactor` or `realtime`.
    pub(crate) kind: String,
    /// Provider name; `*` is any provider without a row of its own.
    pub(crate) provider: String,
    /// `call_ms`, `asr_ms`, `tts_chars`, `tokens_in`, `tokens_out`, `tokens_cached` or `plugin_us`.
    pub(crate) unit: String,
    /// Micro-units of the currency; negative is a discount.
    pub(crate) micro: i64,
    /// For so many units, at least 1.
    pub(crate) per: i64,
}

/// One version.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    pub(crate) version: i64,
    pub(crate) currency: String,
    pub(crate) created_us: i64,
    pub(crate) prices: Vec<Price>,
}

/// Prices of a new installation: plausible figures to replace by one's own.
pub(crate) fn seed() -> Vec<Price> {
    let row = |kind: &str, unit: &str, micro, per| Price {
        kind: kind.to_owned(),
        provider: "*".to_owned(),
        unit: unit.to_owned(),
        micro,
        per,
    };
    vec![
        row("call", "call_ms", 10_000, 60_000),
        row("asr", "asr_ms", 6_000, 60_000),
        row("llm", "tokens_in", 150_000, 1_000_000),
        // Cached tokens are counted among the input tokens as well, so their row is a discount.
        row("llm", "tokens_cached", -75_000, 1_000_000),
        row("llm", "tokens_out", 600_000, 1_000_000),
        row("tts", "tts_chars", 15_000, 1_000),
    ]
}

/// Adds the next version.
pub(crate) async fn add(tx: &mut Tx, tenant: &Id, currency: &str, prices: &[Price], now_us: i64) -> Result<i64> {
    let row = tx
        .row(
            "INSERT INTO price_books (tenant_id, version, currency, created_us)
             SELECT $1, COALESCE(MAX(version), 0) + 1, $2, $3 FROM price_books WHERE tenant_id = $1 RETURNING version",
            args![tenant, currency, now_us],
        )
        .await?;
    let version = row.ok_or(StoreError::Corrupt("price version"))?.int("version")?;
    for price in prices {
        tx.exec(
            "INSERT INTO price_rows (tenant_id, version, kind, provider, unit, micro, per)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            args![tenant, version, &price.kind, &price.provider, &price.unit, price.micro, price.per],
        )
        .await?;
    }
    Ok(version)
}

fn price(row: &Row) -> Result<Price> {
    Ok(Price {
        kind: row.text("kind")?,
        provider: row.text("provider")?,
        unit: row.text("unit")?,
        micro: row.int("micro")?,
        per: row.int("per")?,
    })
}

/// The version in force.
pub(crate) async fn newest(tx: &mut Tx, tenant: &Id) -> Result<Option<Book>> {
    let head = tx
        .row(
            "SELECT version, currency, created_us FROM price_books WHERE tenant_id = $1 ORDER BY version DESC LIMIT 1",
            args![tenant],
        )
        .await?;
    let Some(head) = head else { return Ok(None) };
    let version = head.int("version")?;
    let rows = tx
        .rows(
            "SELECT kind, provider, unit, micro, per FROM price_rows WHERE tenant_id = $1 AND version = $2
             ORDER BY kind, provider, unit",
            args![tenant, version],
        )
        .await?;
    let prices = rows.iter().map(price).collect::<Result<_>>()?;
    Ok(Some(Book { version, currency: head.text("currency")?, created_us: head.int("created_us")?, prices }))
}

/// Versions before `before`, newest first.
pub(crate) async fn list(db: &Db, tenant: &Id, before: i64, limit: i64) -> Result<Vec<Book>> {
    let heads = db
        .rows(
            "SELECT version, currency, created_us FROM price_books WHERE tenant_id = $1 AND version < $2
             ORDER BY version DESC LIMIT $3",
            args![tenant, before, limit],
        )
        .await?;
    let mut books = Vec::with_capacity(heads.len());
    for head in heads {
        let version = head.int("version")?;
        let rows = db
            .rows(
                "SELECT kind, provider, unit, micro, per FROM price_rows WHERE tenant_id = $1 AND version = $2
                 ORDER BY kind, provider, unit",
                args![tenant, version],
            )
            .await?;
        books.push(Book {
            version,
            currency: head.text("currency")?,
            created_us: head.int("created_us")?,
            prices: rows.iter().map(price).collect::<Result<_>>()?,
        });
    }
    Ok(books)
}
