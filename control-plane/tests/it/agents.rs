//! Agents: versions, publishing, ETags, strict bodies, safe deletion.

use http::Method;
use serde_json::json;

use crate::harness::{Plane, agent, events_batch, started};

#[tokio::test]
async fn a_patch_makes_the_next_version_and_old_ones_never_change() {
    let plane = Plane::start().await;
    let made = plane.http.post("/v1/agents", &agent("one")).await;
    assert_eq!(made.status, 201);
    assert_eq!((&made.body["data"]["version"], &made.body["data"]["published_version"]), (&json!(1), &json!(1)));
    let path = made.header("location").to_owned();
    let first = plane.http.get(&format!("{path}/versions/1")).await.body["data"]["spec"].clone();

    let patched = plane.http.patch(&path, &json!({ "name": "two", "turn": { "end_silence_ms": 900 } })).await;
    assert_eq!(patched.status, 200, "{}", patched.body);
    let data = &patched.body["data"];
    assert_eq!((&data["name"], &data["version"], &data["published_version"]), (&json!("two"), &json!(2), &json!(2)));
    let mut turn = first["turn"].clone();
    turn["end_silence_ms"] = json!(900);
    assert_eq!(data["spec"]["turn"], turn, "what the patch does not name stays");

    let draft = plane.http.patch(&format!("{path}?publish=false"), &json!({ "greeting": "hello" })).await;
    assert_eq!(draft.body["data"]["version"], 3);
    assert_eq!(draft.body["data"]["published_version"], 2);
    assert_eq!(plane.http.get(&format!("{path}/versions/1")).await.body["data"]["spec"], first);
    let numbers: Vec<i64> = plane.http.get(&format!("{path}/versions")).await.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version["version"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, [3, 2, 1]);

    let back = plane.http.post(&format!("{path}/versions/1/publish"), &json!({})).await;
    assert_eq!((&back.body["data"]["version"], &back.body["data"]["published_version"]), (&json!(3), &json!(1)));
}

#[tokio::test]
async fn a_stale_etag_is_refused_and_the_present_one_is_accepted() {
    let plane = Plane::start().await;
    let made = plane.http.post("/v1/agents", &agent("one")).await;
    let (path, old) = (made.header("location").to_owned(), made.header("etag").to_owned());
    let change = |name: &str| json!({ "name": name }).to_string().into();
    let with = |tag: &str| {
        [("content-type".to_owned(), "application/json".to_owned()), ("if-match".to_owned(), tag.to_owned())]
    };
    let send = async |tag: &str, name: &str| {
        let headers = with(tag);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        plane.http.raw(Method::PATCH, &path, &headers, change(name)).await
    };
    let first = send(&old, "two").await;
    assert_eq!(first.status, 200);
    let stale = send(&old, "three").await;
    assert_eq!((stale.status.as_u16(), stale.code()), (412, "precondition_failed"));
    assert_eq!(plane.http.get(&path).await.body["data"]["name"], "two");
    assert_eq!(send(first.header("etag"), "three").await.status, 200);
    assert_eq!(plane.http.get(&path).await.header("etag"), "\"3.3\"");
}

#[tokio::test]
async fn unknown_fields_wrong_values_and_unbuilt_features_are_named() {
    let plane = Plane::start().await;
    let mut spec = agent("a");
    spec["shiny"] = json!(1);
    let refused = plane.http.post("/v1/agents", &spec).await;
    assert_eq!((refused.status.as_u16(), refused.pointers()), (422, vec!["/shiny"]));
    let mut spec = agent("a");
    spec["turn"] = json!({ "end_silence_ms": 600, "patience": 1 });
    assert_eq!(plane.http.post("/v1/agents", &spec).await.pointers(), ["/turn/patience"]);
    let mut spec = agent("");
    spec["turn"] = json!({ "end_silence_ms": 1 });
    assert_eq!(plane.http.post("/v1/agents", &spec).await.pointers(), ["/name", "/turn/end_silence_ms"]);
    let mut spec = agent("a");
    spec["limits"] = json!({ "max_call_s": "long" });
    assert_eq!(plane.http.post("/v1/agents", &spec).await.pointers(), ["/limits/max_call_s"]);
    let mut spec = agent("a");
    spec["requires"] = json!(["teleport"]);
    let refused = plane.http.post("/v1/agents", &spec).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, "unsupported_feature"));
    assert!(refused.body["detail"].as_str().unwrap().contains("teleport"));
    assert_eq!(plane.http.get("/v1/agents").await.body["data"], json!([]), "nothing was kept");
}

#[tokio::test]
async fn deleting_an_agent_in_use_lists_the_blockers_and_force_archives_it() {
    let plane = Plane::start().await;
    let id = plane.agent().await;
    let route = plane.http.post("/v1/routes", &json!({ "name": "all", "agent": id })).await;
    let number = plane.http.post("/v1/numbers", &json!({ "number": "+4930", "agent": id })).await;
    assert_eq!((route.status.as_u16(), number.status.as_u16()), (201, 201), "{}", route.body);
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let call = started(&tenant, &id, 1);
    gateway.accepted(&events_batch(5, 1, std::slice::from_ref(&call))).await;

    let refused = plane.http.delete(&format!("/v1/agents/{id}")).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "agent_in_use"));
    let blockers = refused.body["blockers"].as_array().unwrap();
    assert!(blockers.contains(&json!({ "kind": "call", "id": call.call })));
    assert!(blockers.contains(&json!({ "kind": "route", "id": route.body["data"]["id"] })));
    assert!(blockers.contains(&json!({ "kind": "number", "id": number.body["data"]["id"] })));

    let forced = plane.http.delete(&format!("/v1/agents/{id}?force=true")).await;
    assert_eq!(forced.status, 200, "{}", forced.body);
    assert_eq!(forced.body["data"]["removed"].as_array().unwrap().len(), 2);
    assert_eq!(plane.http.get(&format!("/v1/agents/{id}")).await.body["data"]["status"], "archived");
    assert_eq!(plane.http.get("/v1/agents").await.body["data"], json!([]));
    let change = plane.http.patch(&format!("/v1/agents/{id}"), &json!({ "name": "x" })).await;
    assert_eq!((change.status.as_u16(), change.code()), (409, "agent_archived"));
    let kinds: Vec<_> = gateway.state("").await.unwrap().upserts.into_iter().map(|object| object.kind).collect();
    assert_eq!(kinds, [trunkline_api::object::Kind::Tenant], "gateways lose it and what led to it");
}

#[tokio::test]
async fn an_agent_nothing_refers_to_is_archived_at_once() {
    let plane = Plane::start().await;
    let id = plane.agent().await;
    assert_eq!(plane.http.delete(&format!("/v1/agents/{id}")).await.status, 200);
    assert_eq!(plane.http.get("/v1/agents?status=archived").await.body["data"][0]["id"], id.to_string());
}
