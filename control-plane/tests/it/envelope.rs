//! The frame of every answer: envelope, problem, request id, alias, health, reference.

use bytes::Bytes;
use http::Method;
use serde_json::json;

use crate::harness::{Http, Plane, Reply};

#[track_caller]
fn is_problem(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.body);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(reply.code(), code);
    assert_eq!(reply.body["status"], status);
    assert_eq!(reply.body["type"], format!("urn:trunkline:problem:{code}"));
    assert!(!reply.body["title"].as_str().unwrap().is_empty() && !reply.body["detail"].as_str().unwrap().is_empty());
    assert_eq!(reply.body["request_id"], reply.header("x-request-id"));
}

#[tokio::test]
async fn every_kind_of_refusal_is_a_problem() {
    let plane = Plane::start().await;
    let http = &plane.http;
    is_problem(&http.get("/nowhere").await, 404, "not_found");
    is_problem(&http.get("/v1/agents/agt_nonsense").await, 404, "not_found");
    let wrong_method = http.json(Method::PUT, "/v1/agents", &json!({})).await;
    is_problem(&wrong_method, 405, "method_not_allowed");
    assert!(wrong_method.header("allow").contains("POST"));
    let plain = http.raw(Method::POST, "/v1/agents", &[("content-type", "text/plain")], "{}".into()).await;
    is_problem(&plain, 415, "unsupported_media_type");
    is_problem(&http.raw(Method::POST, "/v1/agents", &[], "{}".into()).await, 415, "unsupported_media_type");
    let as_form = [("content-type", "application/x-www-form-urlencoded")];
    let body = json!({ "name": "k", "scopes": ["agents:read"] }).to_string();
    let made = http.raw(Method::POST, "/v1/auth/api-keys", &as_form, body.into()).await;
    assert_eq!(made.status, 201, "as `curl -d` sends it: {}", made.body);
    is_problem(&http.raw(Method::POST, "/v1/agents", &as_form, "name=a".into()).await, 415, "unsupported_media_type");
    is_problem(&http.raw(Method::POST, "/v1/agents", &as_form, "{\"name\":".into()).await, 400, "malformed_json");
    let json_type = [("content-type", "application/json")];
    is_problem(&http.raw(Method::POST, "/v1/agents", &json_type, "{\"name\":".into()).await, 400, "malformed_json");
    let large = Bytes::from(vec![b' '; 1024 * 1024 + 1]);
    is_problem(&http.raw(Method::POST, "/v1/agents", &json_type, large).await, 413, "body_too_large");
    let deep = Bytes::from("[".repeat(100_000));
    is_problem(&http.raw(Method::POST, "/v1/agents", &json_type, deep).await, 400, "malformed_json");
    is_problem(&Http::new(plane.running.public, "").get("/v1/agents").await, 401, "unauthorized");
    is_problem(&http.post("/v1/agents", &json!([1])).await, 422, "validation_failed");
}

#[tokio::test]
async fn the_request_id_is_the_senders_when_it_is_plain_and_ours_otherwise() {
    let plane = Plane::start().await;
    let taken = plane.http.raw(Method::GET, "/healthz", &[("x-request-id", "abc-1")], Bytes::new()).await;
    assert_eq!((taken.header("x-request-id"), &taken.body["meta"]["request_id"]), ("abc-1", &json!("abc-1")));
    let minted = plane.http.raw(Method::GET, "/healthz", &[("x-request-id", "a b\"")], Bytes::new()).await;
    assert!(minted.header("x-request-id").starts_with("req_"));
    assert_eq!(minted.body["meta"]["request_id"], minted.header("x-request-id"));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traced = plane.http.raw(Method::GET, "/healthz", &[("traceparent", trace)], Bytes::new()).await;
    assert_eq!(traced.header("traceparent"), trace);
}

#[tokio::test]
async fn health_and_reference_need_no_key_and_the_alias_reaches_the_api() {
    let plane = Plane::start().await;
    let open = Http::new(plane.running.public, "");
    for path in ["/healthz", "/readyz", "/health"] {
        let answer = open.get(path).await;
        assert_eq!((answer.status.as_u16(), &answer.body["data"]["status"]), (200, &json!("ok")));
    }
    let document = open.get("/openapi.json").await;
    assert!(document.body["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document.body["paths"]["/v1/agents"]["post"].is_object());
    assert_eq!(open.get("/docs").await.status, 200);
    assert_eq!(plane.http.get("/api/v1/agents?limit=1").await.status, 200);
    assert_eq!(plane.http.get("/api/v2/agents").await.status, 404);
}

#[tokio::test]
async fn metrics_count_requests_by_route() {
    let plane = Plane::start().await;
    plane.http.get("/v1/agents").await;
    plane.http.get("/v1/agents/agt_nonsense").await;
    let metrics = Http::new(plane.running.metrics, "");
    let answer = metrics.send(Method::GET, "/metrics", &[], Bytes::new()).await.unwrap();
    let text = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert!(text.contains(r#"route="/v1/agents",method="GET",status="200"} 1"#), "{text}");
    assert!(text.contains(r#"route="/v1/agents/{id}",method="GET",status="404"} 1"#), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn an_orderly_stop_ends_streams_and_keeps_what_was_written() {
    let plane = Plane::start().await;
    let gateway = plane.enrol().await;
    let mut follower = gateway.follow(None).await;
    follower.revision(&gateway).await;
    let agent = plane.agent().await;
    follower.revision(&gateway).await;
    let plane = plane.restarted().await;
    assert_eq!(follower.next().await, None);
    assert_eq!(plane.http.get(&format!("/v1/agents/{agent}")).await.status, 200);
}
