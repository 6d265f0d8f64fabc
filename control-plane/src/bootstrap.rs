//! The first run: a tenant, its price book, its object in the desired state, and a key that may do everything.

use trunkline_api::object::{Kind, Object, TenantBody};
use trunkline_api::{Id, Prefix};

use crate::clock;
use crate::secret::Keyring;
use crate::store::{Db, StoreError, args, keys, mint, prices, state};

/// Makes the first tenant when there is none; the text of its admin key, to be shown once.
pub(crate) async fn first_run(db: &Db, keyring: &Keyring, name: &str) -> Result<Option<String>, StoreError> {
    let now = clock::now_us();
    let mut tx = db.begin().await?;
    if tx.row("SELECT id FROM tenants LIMIT 1", vec![]).await?.is_some() {
        return Ok(None);
    }
    let tenant = mint(Prefix::Tenant, now)?;
    tx.exec("INSERT INTO tenants (id, name, max_calls, created_us) VALUES ($1, $2, 0, $3)", args![&tenant, name, now])
        .await?;
    let body = serde_json::to_value(TenantBody { name: name.to_owned(), max_calls: 0 })
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
    tx.commit().await?;
    Ok(Some(text))
}

/// The oldest tenant, which the command line works for.
pub(crate) async fn first_tenant(db: &Db) -> Result<Option<Id>, StoreError> {
    let row = db.row("SELECT id FROM tenants ORDER BY id LIMIT 1", vec![]).await?;
    row.map(|row| row.id("id")).transpose()
}
