//! Desired state: signed, whole at first, then in deltas, within moments.

use std::time::Instant;

use serde_json::json;
use trunkline_api::object::{Kind, REVISION_FORMAT};
use trunkline_api::signature::{public_key, sha256_hex, verify};
use trunkline_control_plane::server;

use crate::harness::{Plane, agent, config};

#[tokio::test]
async fn a_change_reaches_the_stream_as_a_signed_delta_within_moments() {
    let plane = Plane::start().await;
    let gateway = plane.enrol().await;
    let mut follower = gateway.follow(None).await;
    let whole = follower.revision(&gateway).await;
    assert_eq!((whole.format, whole.base), (REVISION_FORMAT, None));
    assert_eq!(whole.upserts[0].kind, Kind::Tenant);

    let begun = Instant::now();
    let id = plane.agent().await;
    let delta = follower.revision(&gateway).await;
    assert!(begun.elapsed().as_millis() < 2000, "{:?}", begun.elapsed());
    assert_eq!(delta.base, Some(whole.rev));
    assert_eq!((delta.upserts.len(), &delta.upserts[0].id, delta.upserts[0].version), (1, &id, 1));
    assert!(delta.upserts[0].typed().is_ok());
    assert_eq!(delta.upserts[0].sha256, sha256_hex(delta.upserts[0].body.to_string().as_bytes()));

    plane.http.patch(&format!("/v1/agents/{id}"), &json!({ "name": "second" })).await;
    let next = follower.revision(&gateway).await;
    assert_eq!((next.base, next.upserts[0].version), (Some(delta.rev), 2));
    plane.http.delete(&format!("/v1/agents/{id}")).await;
    let gone = follower.revision(&gateway).await;
    assert_eq!((gone.upserts.len(), gone.removes[0].kind, &gone.removes[0].id), (0, Kind::Agent, &id));
}

#[tokio::test]
async fn a_draft_does_not_reach_gateways_until_it_is_published() {
    let plane = Plane::start().await;
    let gateway = plane.enrol().await;
    let rev = gateway.state("").await.unwrap().rev;
    let made = plane.http.post("/v1/agents?publish=false", &agent("draft")).await;
    assert_eq!(made.body["data"]["published_version"], json!(null));
    assert!(gateway.state(&format!("?after={rev}")).await.is_none());
    plane.http.post(&format!("{}/versions/1/publish", made.header("location")), &json!({})).await;
    assert_eq!(gateway.state(&format!("?after={rev}")).await.unwrap().upserts[0].version, 1);
}

#[tokio::test]
async fn a_reader_goes_on_where_it_was_and_one_that_has_all_waits() {
    let plane = Plane::start().await;
    let gateway = plane.enrol().await;
    let whole = gateway.state("").await.unwrap();
    let id = plane.agent().await;
    let mut follower = gateway.follow(Some(whole.rev)).await;
    let delta = follower.revision(&gateway).await;
    assert_eq!((delta.base, &delta.upserts[0].id), (Some(whole.rev), &id));
    assert!(gateway.state(&format!("?after={}&wait=0", delta.rev)).await.is_none());

    let query = format!("?after={}&wait=50", delta.rev);
    let (found, _) = tokio::join!(gateway.state(&query), async {
        plane.http.patch(&format!("/v1/agents/{id}"), &json!({ "greeting": "hi" })).await
    });
    assert_eq!(found.unwrap().upserts[0].version, 2);
    assert_eq!(gateway.http.get("/sync/v1/state?wait=51").await.status, 400);
    assert_eq!(gateway.http.get("/sync/v1/state?after=x").await.status, 400);
}

#[tokio::test]
async fn a_delta_holds_each_object_once_in_its_newest_form() {
    let plane = Plane::start().await;
    let gateway = plane.enrol().await;
    let rev = gateway.state("").await.unwrap().rev;
    let id = plane.agent().await;
    for n in 0..5 {
        plane.http.patch(&format!("/v1/agents/{id}"), &json!({ "name": format!("n{n}") })).await;
    }
    let delta = gateway.state(&format!("?after={rev}")).await.unwrap();
    assert_eq!((delta.upserts.len(), delta.upserts[0].version, delta.rev), (1, 6, rev + 6));
}

#[tokio::test]
async fn a_gateway_that_is_ahead_of_a_restored_database_gets_a_whole_with_a_later_number() {
    let plane = Plane::start().await;
    let gateway = plane.enrol().await;
    let whole = gateway.state("?after=5000").await.unwrap();
    assert_eq!((whole.base, whole.rev), (None, 5001));
    let mut follower = gateway.follow(Some(whole.rev)).await;
    plane.agent().await;
    assert_eq!(follower.revision(&gateway).await.rev, 5002);
    assert_eq!(gateway.http.get("/sync/v1/state?after=9000000000000").await.status, 400);
}

#[tokio::test]
async fn another_key_or_a_changed_byte_does_not_verify() {
    let plane = Plane::start().await;
    let gateway = plane.enrol().await;
    let answer = gateway.http.get("/sync/v1/state").await;
    let signed: trunkline_api::signature::Signed = serde_json::from_value(answer.body).unwrap();
    assert!(verify(&signed, &gateway.trusted).is_ok());
    assert!(verify(&signed, &[public_key(&[1; 32])]).is_err());
    let mut changed = signed;
    changed.payload.push(' ');
    assert!(verify(&changed, &gateway.trusted).is_err());
}

#[tokio::test]
async fn the_signing_key_survives_a_restart() {
    let plane = Plane::start().await;
    let gateway = plane.enrol().await;
    let plane = plane.restarted().await;
    let again = crate::harness::Http::new(plane.running.sync, &gateway.http.token).get("/sync/v1/state").await;
    gateway.opened(&serde_json::from_value(again.body).unwrap());
}

#[tokio::test]
async fn a_revoked_gateways_stream_ends_and_it_is_refused() {
    let plane = Plane::start().await;
    let gateway = plane.enrol().await;
    let mut follower = gateway.follow(None).await;
    follower.revision(&gateway).await;
    assert_eq!(plane.http.delete(&format!("/v1/gateways/{}", gateway.id)).await.status, 204);
    assert_eq!(follower.next().await, None);
    assert_eq!(gateway.http.get("/sync/v1/state").await.status, 401);
}

#[tokio::test]
async fn a_quiet_stream_carries_keep_alive_comments() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.limits.keep_alive_ms = 100;
    let running = server::start(config).await.unwrap();
    let http = crate::harness::Http::new(running.public, running.admin_key.as_deref().unwrap());
    let plane = Plane { running, folder, http };
    let gateway = plane.enrol().await;
    let mut follower = gateway.follow(None).await;
    assert!(follower.comment().await.starts_with(':'));
}

#[tokio::test]
async fn a_tenants_recording_key_reaches_its_gateways_and_only_a_public_key_is_one() {
    let plane = Plane::start().await;
    let gateway = plane.enrol().await;
    let mut follower = gateway.follow(None).await;
    follower.revision(&gateway).await;
    let key = "x25519-public:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let path = "/v1/tenants/me/recording-key";
    let set = plane.http.json(http::Method::PUT, path, &json!({ "recording_key": key })).await;
    assert_eq!((set.status.as_u16(), &set.body["data"]["version"]), (200, &json!(2)), "{}", set.body);
    let delta = follower.revision(&gateway).await;
    assert_eq!((delta.upserts[0].kind, &delta.upserts[0].body["recording_key"]), (Kind::Tenant, &json!(key)));
    assert!(delta.upserts[0].typed().is_ok());
    assert_eq!(plane.http.get("/v1/tenants/me").await.body["data"]["recording_key"], key);

    let secret = key.replace("public", "secret");
    let wrong = plane.http.json(http::Method::PUT, path, &json!({ "recording_key": secret })).await;
    assert_eq!((wrong.status.as_u16(), wrong.pointers()), (422, vec!["/recording_key"]));
    let other = "/v1/tenants/ten_00000000000000000000000009/recording-key";
    assert_eq!(plane.http.json(http::Method::PUT, other, &json!({ "recording_key": key })).await.status, 404);
    let none = plane.http.json(http::Method::PUT, path, &json!({ "recording_key": "" })).await;
    assert_eq!(none.body["data"].get("recording_key"), None);
}
