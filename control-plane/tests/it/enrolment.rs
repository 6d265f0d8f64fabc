//! Enrolment: one token, one gateway, once.

use std::time::Duration;

use serde_json::json;
use trunkline_control_plane::server;

use crate::harness::{Gateway, Http, Plane, config};

#[tokio::test]
async fn a_token_enrols_one_gateway_even_when_many_ask_at_once() {
    let plane = Plane::start().await;
    let made = plane.http.post("/v1/enrolment-tokens", &json!({ "expires_in_s": 60 })).await;
    let wanted = json!({ "token": made.body["data"]["token"], "name": "edge", "version": "1" });
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (http, wanted) = (Http::new(plane.running.sync, ""), wanted.clone());
        asking.spawn(async move { http.post("/sync/v1/enrol", &wanted).await.status.as_u16() });
    }
    let mut answers = asking.join_all().await;
    answers.sort_unstable();
    assert_eq!(answers, [200, 401, 401, 401, 401, 401, 401, 401]);
    assert_eq!(plane.http.get("/v1/gateways").await.body["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn nonsense_and_missing_credentials_are_refused() {
    let plane = Plane::start().await;
    let http = Http::new(plane.running.sync, "");
    let wanted = json!({ "token": "tl_enrol_x", "name": "edge", "version": "1" });
    assert_eq!(http.post("/sync/v1/enrol", &wanted).await.status, 401);
    let minted = trunkline_control_plane::secret::mint(trunkline_control_plane::secret::Class::Enrolment).unwrap();
    let unknown = http.post("/sync/v1/enrol", &json!({ "token": minted, "name": "edge", "version": "1" })).await;
    assert!(unknown.status == 401 && unknown.body["detail"].as_str().unwrap().contains("unknown"), "{}", unknown.body);
    for path in ["/sync/v1/stream", "/sync/v1/state"] {
        assert_eq!(http.get(path).await.status, 401);
    }
    let admin = Http::new(plane.running.sync, &plane.http.token);
    assert_eq!(admin.get("/sync/v1/state").await.status, 401, "a REST key is no gateway");
    let gateway = plane.enrol().await;
    assert_eq!(plane.with_token(&gateway.http.token).get("/v1/agents").await.status, 401, "nor the other way round");
}

#[tokio::test]
async fn the_command_lines_token_works_beside_a_running_server() {
    let plane = Plane::start().await;
    let token = server::enrolment_token(&config(&plane.folder), Duration::from_secs(60)).await.unwrap();
    let gateway = Gateway::enrol(plane.running.sync, &token).await;
    assert!(gateway.state("").await.is_some());
}

#[tokio::test]
async fn a_token_that_is_over_enrols_nobody() {
    let plane = Plane::start().await;
    let token = server::enrolment_token(&config(&plane.folder), Duration::ZERO).await.unwrap();
    let wanted = json!({ "token": token, "name": "edge", "version": "1" });
    let refused = Http::new(plane.running.sync, "").post("/sync/v1/enrol", &wanted).await;
    assert!(refused.status == 401 && refused.body["detail"].as_str().unwrap().contains("expired on 20"));
    let token = server::enrolment_token(&config(&plane.folder), Duration::from_secs(60)).await.unwrap();
    Gateway::enrol(plane.running.sync, &token).await;
    let wanted = json!({ "token": token, "name": "edge", "version": "1" });
    let again = Http::new(plane.running.sync, "").post("/sync/v1/enrol", &wanted).await;
    assert!(again.status == 401 && again.body["detail"].as_str().unwrap().contains("used on 20"), "{}", again.body);
}

#[tokio::test]
async fn heartbeats_show_what_a_gateway_serves_and_what_it_refused() {
    let plane = Plane::start().await;
    let gateway = plane.enrol().await;
    let path = format!("/v1/gateways/{}", gateway.id);
    assert_eq!(plane.http.get(&path).await.body["data"]["status"], "never_seen");
    let beat = json!({ "applied_rev": 1, "rejected": { "rev": 2, "problem": "no such codec" }, "calls": 3,
                       "version": "0.2.0", "later": true });
    let answer = gateway.http.post("/sync/v1/heartbeat", &beat).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body["server_time_us"].as_u64().unwrap() > 1_700_000_000_000_000);
    let seen = plane.http.get(&path).await.body["data"].clone();
    assert_eq!((&seen["status"], &seen["version"]), (&json!("online"), &json!("0.2.0")));
    assert_eq!((&seen["applied_rev"], &seen["calls"]), (&json!(1), &json!(3)));
    assert_eq!(seen["rejected"], json!({ "rev": 2, "problem": "no such codec" }));
}
