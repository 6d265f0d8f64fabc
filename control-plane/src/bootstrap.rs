//! The first run: a tenant, its price book, its object in the desired state, and a key that may do everything.

use std::path::Path;

use trunkline_api::object::{Kind, Object, TenantBody};
use trunkline_api::outbound::OutboundLimits;
use trunkline_api::{Id, Prefix};

use crate::keyring::Keyring;
use crate::store::{Db, StoreError, args, keys, mint, prices, state};
use crate::{FolderError, clock};

/// The admin key's file in the state folder.
pub(crate) const ADMIN_KEY: &str = "admin.key";

/// Why there is no first tenant or no new key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootstrapError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key's file cannot be written.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// Makes the first tenant when there is none; the text of its admin key, which is in `admin.key` by then.
///
/// The file is durable before the transaction is: a crash between the two leaves a file whose key opens nothing and no
/// tenant, and the next start makes both anew. The other order could leave a tenant whose only key nobody has.
pub(crate) async fn first_run(
    db: &Db,
    keyring: &Keyring,
    name: &str,
    state: &Path,
) -> Result<Option<String>, BootstrapError> {
    let now = clock::now_us();
    let mut tx = db.begin().await?;
    if tx.row("SELECT id FROM tenants LIMIT 1", vec![]).await?.is_some() {
        return Ok(None);
    }
    let tenant = mint(Prefix::Tenant, now)?;
    tx.exec("INSERT INTO tenants (id, name, max_calls, created_us) VALUES ($1, $2, 0, $3)", args![&tenant, name, now])
        .await?;
    let body = serde_json::to_value(TenantBody {
        name: name.to_owned(),
        max_calls: 0,
        recording_key: String::new(),
        outbound: OutboundLimits::default(),
    })
    .map_err(|_| StoreError::Corrupt("tenant"))?;
    let object = Object {
        kind: Kind::Tenant,
        id: tenant.clone(),
        tenant: tenant.clone(),
        version: 1,
        sha256: String::new(),
        body,
    };
    state::put(&mut tx, &object, None, &[], now).await?;
    prices::add(&mut tx, &tenant, "USD", &prices::seed(), now).await?;
    let (_, text) =
        keys::create(&mut tx, keyring, &tenant, "first admin key", &["admin".to_owned()], None, now).await?;
    keep(state, &text)?;
    tx.commit().await?;
    Ok(Some(text))
}

/// Makes another admin key for `tenant`; with `state`, it is in `admin.key` before it opens anything.
pub(crate) async fn another_key(
    db: &Db,
    keyring: &Keyring,
    tenant: &Id,
    state: Option<&Path>,
) -> Result<String, BootstrapError> {
    let mut tx = db.begin().await?;
    let scopes = ["admin".to_owned()];
    let (_, text) = keys::create(&mut tx, keyring, tenant, "admin key", &scopes, None, clock::now_us()).await?;
    if let Some(state) = state {
        keep(state, &text)?;
    }
    tx.commit().await?;
    Ok(text)
}

fn keep(state: &Path, key: &str) -> Result<(), FolderError> {
    let path = state.join(ADMIN_KEY);
    trunkline_state_folder::replace(&path, format!("{key}\n").as_bytes())
        .map_err(|source| FolderError::Io { path, source })
}

/// The oldest tenant, which the command line works for.
pub(crate) async fn first_tenant(db: &Db) -> Result<Option<Id>, StoreError> {
    let row = db.row("SELECT id FROM tenants ORDER BY id LIMIT 1", vec![]).await?;
    row.map(|row| row.id("id")).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secrets;
    use crate::keyring::Missing;

    #[tokio::test]
    async fn a_crash_before_the_commit_loses_neither_key_nor_tenant() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::open(folder.path(), &Secrets::default(), Missing::Make).unwrap();
        let db = Db::open(&folder.path().join("cp.db")).await.unwrap();
        let file = folder.path().join(ADMIN_KEY);
        // What a crash between file and commit leaves: a key that opens nothing.
        std::fs::write(&file, "tl_live_of_the_crash\n").unwrap();
        let key = first_run(&db, &keyring, "default", folder.path()).await.unwrap().unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), key);
        assert!(keys::by_hash(&db, &keyring.hash(&key)).await.unwrap().is_some());
        assert_eq!(first_run(&db, &keyring, "default", folder.path()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_key_that_cannot_be_written_down_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::open(folder.path(), &Secrets::default(), Missing::Make).unwrap();
        let db = Db::open(&folder.path().join("cp.db")).await.unwrap();
        let nowhere = folder.path().join("nowhere");
        assert!(first_run(&db, &keyring, "default", &nowhere).await.is_err());
        assert_eq!(first_tenant(&db).await.unwrap(), None);
        assert!(first_run(&db, &keyring, "default", folder.path()).await.unwrap().is_some());
    }
}
