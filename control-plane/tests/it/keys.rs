//! API keys: shown once, scoped, revoked at once, and not in the database.

use serde_json::json;

use crate::harness::{Plane, agent};

#[tokio::test]
async fn a_key_opens_what_its_scopes_say_and_nothing_after_it_was_revoked() {
    let plane = Plane::start().await;
    let wanted = json!({ "name": "reader", "scopes": ["agents:read", "keys:write"], "expires_in_days": 1 });
    let made = plane.http.post("/v1/auth/api-keys", &wanted).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let key = made.body["data"]["key"].as_str().unwrap();
    let reader = plane.with_token(key);
    assert_eq!(reader.get("/v1/agents").await.status, 200);
    let refused = reader.post("/v1/agents", &agent("a")).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (403, "forbidden"));
    let more = reader.post("/v1/auth/api-keys", &json!({ "name": "more", "scopes": ["admin"] })).await;
    assert_eq!(more.status, 403, "a key must not give what it does not have");
    let id = made.body["data"]["id"].as_str().unwrap();
    assert_eq!(plane.http.delete(&format!("/v1/auth/api-keys/{id}")).await.status, 204);
    assert_eq!(reader.get("/v1/agents").await.status, 401);
    assert_eq!(plane.with_token("tl_live_nonsense").get("/v1/agents").await.status, 401);
    assert_eq!(plane.http.get("/v1/agents").await.status, 200);
}

#[tokio::test]
async fn listed_keys_show_how_they_begin_and_end_only() {
    let plane = Plane::start().await;
    let listed = plane.http.get("/v1/auth/api-keys").await;
    let key = &listed.body["data"][0];
    let text = plane.http.token.as_str();
    assert!(text.starts_with(key["prefix"].as_str().unwrap()) && text.ends_with(key["last4"].as_str().unwrap()));
    assert!(!listed.body.to_string().contains(text));
    assert_eq!(key["scopes"], json!(["admin"]));
}

#[tokio::test]
async fn keys_outside_their_ranges_are_refused_with_pointers() {
    let plane = Plane::start().await;
    let wanted = json!({ "name": "", "scopes": ["agents:read", "fly"], "expires_in_days": 0 });
    let refused = plane.http.post("/v1/auth/api-keys", &wanted).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.pointers(), ["/name", "/scopes/1", "/expires_in_days"]);
    let unknown = plane.http.post("/v1/auth/api-keys", &json!({ "name": "x", "scopes": ["admin"], "y": 1 })).await;
    assert_eq!((unknown.status.as_u16(), unknown.pointers()), (422, vec!["/y"]));
}

#[tokio::test]
async fn no_file_of_the_state_folder_holds_a_usable_key() {
    let plane = Plane::start().await;
    let made = plane.http.post("/v1/auth/api-keys", &json!({ "name": "k", "scopes": ["admin"] })).await;
    let token = plane.http.post("/v1/enrolment-tokens", &json!({})).await;
    let gateway = plane.enrol().await;
    let secrets = [
        plane.http.token.clone(),
        made.body["data"]["key"].as_str().unwrap().to_owned(),
        token.body["data"]["token"].as_str().unwrap().to_owned(),
        gateway.http.token.clone(),
    ];
    let mut read = 0;
    // The first key waits in its own file until its owner has taken it.
    let first = plane.folder.path().join("admin.key");
    assert_eq!(std::fs::read_to_string(&first).unwrap().trim(), plane.http.token);
    std::fs::remove_file(first).unwrap();
    for file in std::fs::read_dir(plane.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        read += bytes.len();
        for secret in &secrets {
            // The random part alone would be enough to use it.
            let part = &secret.as_bytes()[12..secret.len() - 6];
            assert!(!bytes.windows(part.len()).any(|window| window == part));
        }
    }
    assert!(read > 50_000, "the database was read");
}

#[tokio::test]
async fn keys_survive_a_restart_and_a_second_server_is_refused() {
    let plane = Plane::start().await;
    let second = trunkline_control_plane::server::start(crate::harness::config(&plane.folder)).await;
    assert!(second.unwrap_err().to_string().contains("another control plane"));
    let plane = plane.restarted().await;
    assert_eq!(plane.http.get("/v1/agents").await.status, 200);
}
