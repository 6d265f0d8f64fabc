//! Schema steps, applied once each in order, each in its own transaction.

use super::{Db, Result, StoreError, args};
use crate::clock;

const STEPS: &[&str] = &[include_str!("../../migrations/sqlite/0001_first.sql")];

pub(super) async fn run(db: &Db) -> Result<()> {
    let mut tx = db.begin().await?;
    tx.script("CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT PRIMARY KEY, applied_us BIGINT NOT NULL)")
        .await?;
    let row = tx.row("SELECT COALESCE(MAX(version), 0) AS version FROM schema_migrations", vec![]).await?;
    let found = row.ok_or(StoreError::Corrupt("schema version"))?.int("version")?;
    let known = STEPS.len() as i64;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    tx.commit().await?;
    for (version, step) in (1..=known).zip(STEPS).skip(usize::try_from(found).unwrap_or_default()) {
        let mut tx = db.begin().await?;
        tx.script(step).await?;
        tx.exec("INSERT INTO schema_migrations (version, applied_us) VALUES ($1, $2)", args![version, clock::now_us()])
            .await?;
        tx.commit().await?;
    }
    Ok(())
}
