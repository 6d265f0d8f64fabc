//! Two tenants in one database: neither sees, changes nor pays for what is the other's.

use http::Method;
use serde_json::{Value, json};
use sqlx::Connection as _;
use trunkline_api::{Id, Prefix};
use trunkline_control_plane::config::Secrets;
use trunkline_control_plane::keyring::{Keyring, Missing};
use trunkline_control_plane::secret::{Class, mint};

use crate::harness::{Http, Plane, events_batch, record, started, usage_batch};

/// Adds a tenant with an admin key beside the first one, as an installation with many tenants has them.
async fn another(plane: &Plane) -> (Id, Http) {
    let file = plane.folder.path().join("control-plane.db");
    let mut db = sqlx::SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    let tenant = Id::mint(Prefix::Tenant, 1_790_000_000_000, [9; 10]);
    let key = mint(Class::ApiKey).unwrap();
    let hash = Keyring::open(plane.folder.path(), &Secrets::default(), Missing::Refuse).unwrap().hash(&key);
    for (sql, values) in [
        ("INSERT INTO tenants (id, name, max_calls, created_us) VALUES ($1, 'other', 0, 0)", vec![tenant.to_string()]),
        ("INSERT INTO state_heads (tenant_id, rev, floor) VALUES ($1, 0, 0)", vec![tenant.to_string()]),
        (
            "INSERT INTO api_keys (tenant_id, id, name, key_hash, prefix, last4, scopes, created_us)
             VALUES ($1, $2, 'k', $3, '', '', '[\"admin\"]', 0)",
            vec![tenant.to_string(), Id::mint(Prefix::ApiKey, 1, [9; 10]).to_string(), hash],
        ),
    ] {
        let mut query = sqlx::query(sql);
        for value in values {
            query = query.bind(value);
        }
        query.execute(&mut db).await.unwrap();
    }
    (tenant, plane.with_token(&key))
}

#[tokio::test]
async fn a_tenant_finds_nothing_of_another() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let trunk = plane.http.post("/v1/trunks", &json!({ "name": "t", "peers": ["::1"] })).await;
    let route = plane.http.post("/v1/routes", &json!({ "name": "r", "agent": agent })).await;
    let number = plane.http.post("/v1/numbers", &json!({ "number": "+4930", "agent": agent })).await;
    let provider = plane.http.post("/v1/providers", &json!({ "name": "p", "plugin": "p" })).await;
    let call = record(&tenant, &agent, 1);
    gateway.accepted(&usage_batch(9, 1, std::slice::from_ref(&call))).await;
    gateway.accepted(&events_batch(9, 1, &[started(&tenant, &agent, 2)])).await;
    let keys = plane.http.get("/v1/auth/api-keys").await.body["data"][0]["id"].clone();

    let (other_id, other) = another(&plane).await;
    let mut items = vec![
        format!("/v1/agents/{agent}"),
        format!("/v1/agents/{agent}/versions"),
        format!("/v1/agents/{agent}/versions/1"),
        format!("/v1/calls/{}", call.call),
        format!("/v1/calls/{}/timeline", call.call),
        format!("/v1/gateways/{}", gateway.id),
        format!("/v1/tenants/{tenant}"),
        format!("/v1/tenants/{tenant}/usage"),
    ];
    items.extend([&trunk, &route, &number, &provider].map(|made| made.header("location").to_owned()));
    for path in &items {
        assert_eq!(plane.http.get(path).await.status, 200, "{path}");
        assert_eq!(other.get(path).await.status, 404, "{path}");
    }
    for list in ["agents", "trunks", "routes", "numbers", "providers", "calls", "gateways", "prices"] {
        assert_eq!(other.get(&format!("/v1/{list}")).await.body["data"], json!([]), "{list}");
    }
    assert_eq!(other.get("/v1/auth/api-keys").await.body["data"].as_array().unwrap().len(), 1);
    let usage = other.get(&format!("/v1/tenants/{other_id}/usage?from=2026-01-01&to=2026-12-31")).await;
    assert_eq!((&usage.body["data"]["lines"], &usage.body["data"]["totals"]), (&json!([]), &json!([])));

    for (method, path, body) in [
        (Method::PATCH, format!("/v1/agents/{agent}"), json!({ "name": "mine" })),
        (Method::DELETE, format!("/v1/agents/{agent}?force=true"), Value::Null),
        (Method::POST, format!("/v1/agents/{agent}/versions/1/publish"), json!({})),
        (Method::DELETE, trunk.header("location").to_owned(), Value::Null),
        (Method::PUT, trunk.header("location").to_owned(), json!({ "name": "x", "peers": ["::1"] })),
        (Method::PUT, format!("/v1/tenants/{tenant}/recording-key"), json!({ "recording_key": "" })),
        (Method::PUT, format!("/v1/tenants/{tenant}/outbound"), json!({ "max_calls": 1 })),
        (Method::DELETE, route.header("location").to_owned(), Value::Null),
        (Method::DELETE, format!("/v1/gateways/{}", gateway.id), Value::Null),
        (Method::DELETE, format!("/v1/auth/api-keys/{}", keys.as_str().unwrap()), Value::Null),
    ] {
        assert_eq!(other.json(method, &path, &body).await.status, 404, "{path}");
    }
    let dangling = other.post("/v1/routes", &json!({ "name": "r", "agent": agent })).await;
    assert_eq!(dangling.pointers(), ["/agent"], "another's agent cannot be referred to");
    assert_eq!(other.post("/v1/numbers", &json!({ "number": "+4930", "agent": agent })).await.status, 422);
    for path in &items {
        assert_eq!(plane.http.get(path).await.status, 200, "{path} is as it was");
    }
}

#[tokio::test]
async fn a_change_of_one_tenant_is_not_in_the_other_tenants_state() {
    let plane = Plane::start().await;
    let (_, other) = another(&plane).await;
    let token = other.post("/v1/enrolment-tokens", &json!({})).await;
    let token = token.body["data"]["token"].as_str().unwrap();
    let theirs = crate::harness::Gateway::enrol(plane.running.sync, token).await;
    let agent = plane.agent().await;
    let ours = plane.enrol().await;
    let ids: Vec<Id> = ours.state("").await.unwrap().upserts.into_iter().map(|object| object.id).collect();
    assert!(ids.contains(&agent));
    assert_eq!(theirs.state("").await.unwrap().upserts, []);
    assert_eq!(plane.tenant().await, ids[0]);
}
