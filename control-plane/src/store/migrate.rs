//! Schema steps, applied once each in order, each in its own transaction.

use super::{Db, Result, StoreError, args};
use crate::clock;

const STEPS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_first.sql"),
    include_str!("../../migrations/sqlite/0002_handed_to.sql"),
    include_str!("../../migrations/sqlite/0003_renderings.sql"),
];

pub(super) async fn run(db: &Db) -> Result<()> {
    apply(db, STEPS).await
}

async fn apply(db: &Db, steps: &'static [&'static str]) -> Result<()> {
    let mut tx = db.begin().await?;
    tx.script("CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT PRIMARY KEY, applied_us BIGINT NOT NULL)")
        .await?;
    let row = tx.row("SELECT COALESCE(MAX(version), 0) AS version FROM schema_migrations", vec![]).await?;
    let found = row.ok_or(StoreError::Corrupt("schema version"))?.int("version")?;
    let known = steps.len() as i64;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    tx.commit().await?;
    for (version, step) in (1..=known).zip(steps).skip(usize::try_from(found).unwrap_or_default()) {
        let mut tx = db.begin().await?;
        tx.script(step).await?;
        tx.exec("INSERT INTO schema_migrations (version, applied_us) VALUES ($1, $2)", args![version, clock::now_us()])
            .await?;
        tx.commit().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every table with its columns, in order of their names.
    async fn columns(db: &Db) -> Vec<String> {
        let sql =
            "SELECT m.name || '.' || c.name || ' ' || c.type AS line FROM sqlite_master m, pragma_table_info(m.name) c
                   WHERE m.type = 'table' ORDER BY 1";
        db.rows(sql, vec![]).await.unwrap().iter().map(|row| row.text("line").unwrap()).collect()
    }

    #[tokio::test]
    async fn a_database_of_each_step_becomes_one_of_today_and_keeps_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let today = columns(&Db::open(&folder.path().join("today.db")).await.unwrap()).await;
        for step in 1..=STEPS.len() {
            let path = folder.path().join(format!("{step}.db"));
            let old = Db::connect(&path).await.unwrap();
            apply(&old, &STEPS[..step]).await.unwrap();
            let mut tx = old.begin().await.unwrap();
            tx.exec(
                "INSERT INTO calls (tenant_id, id, status, direction, from_party, to_party, agent_id, agent_version,
                 gateway_id, started_us) VALUES ($1, 'call', 'active', 'inbound', '1', '2', 'agt', 7, 'gw', 5)",
                args!["ten"],
            )
            .await
            .unwrap();
            tx.commit().await.unwrap();
            old.close().await;
            let new = Db::open(&path).await.unwrap();
            assert_eq!(columns(&new).await, today, "from step {step}");
            let call = new.row("SELECT * FROM calls WHERE tenant_id = $1", args!["ten"]).await.unwrap().unwrap();
            assert_eq!((call.int("agent_version").unwrap(), call.text("handed_to").unwrap().as_str()), (7, "[]"));
        }
    }

    #[tokio::test]
    async fn a_database_of_a_later_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later.db");
        let db = Db::open(&path).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        tx.exec("INSERT INTO schema_migrations (version, applied_us) VALUES (99, 1)", vec![]).await.unwrap();
        tx.commit().await.unwrap();
        db.close().await;
        assert!(matches!(Db::open(&path).await, Err(StoreError::Newer { found: 99, .. })));
    }
}
