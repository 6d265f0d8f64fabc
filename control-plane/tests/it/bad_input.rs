//! Whatever is sent to whatever route: an answer, never a failure of the server, and always a problem when refused.

use bytes::Bytes;
use http::Method;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::harness::{Http, Plane};

fn any_json() -> impl Strategy<Value = Value> {
    let names = prop_oneof![
        Just("name"),
        Just("pipeline"),
        Just("cascade"),
        Just("tts"),
        Just("provider"),
        Just("agent"),
        Just("peers"),
        Just("scopes"),
        Just("prices"),
        Just("currency"),
        Just("epoch"),
        Just("stream"),
        Just("records"),
        Just("seq"),
        Just("token"),
        Just("limits"),
        Just("expires_in_s"),
        Just("number"),
        Just("body"),
        Just("")
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop_oneof![Just("usage"), Just("events"), Just("admin"), Just("127.0.0.1"), Just("a\0b")]
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..6)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// Bodies of the right shape with one thing broken are what gets furthest into a handler.
fn nearly_right() -> impl Strategy<Value = Value> {
    let right = prop_oneof![
        Just(json!({ "name": "a", "pipeline": { "cascade": { "tts": [{ "provider": "espeak" }] } } })),
        Just(json!({ "name": "t", "peers": ["::1"] })),
        Just(json!({ "name": "k", "scopes": ["agents:read"], "expires_in_days": 3 })),
        Just(
            json!({ "currency": "USD", "prices": [{ "kind": "llm", "provider": "*", "unit": "tokens_in", "micro": 1, "per": 1 }] })
        ),
        Just(json!({ "epoch": 1, "stream": "usage", "records": [{ "seq": 1, "body": {} }] })),
        Just(json!({ "epoch": 1, "stream": "events", "records": [{ "seq": 1, "body": { "type": "call.started" } }] })),
        Just(json!({ "applied_rev": 1, "rejected": null, "calls": 1, "version": "1" })),
    ];
    (right, any_json(), any::<prop::sample::Index>()).prop_map(|(mut right, broken, index)| {
        if let Value::Object(fields) = &mut right {
            let names: Vec<String> = fields.keys().cloned().collect();
            fields.insert(index.get(&names).clone(), broken);
        }
        right
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_requests_are_answered_and_refusals_are_problems() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let document = plane.http.get("/openapi.json").await.body;
    let mut targets: Vec<(Http, Method, String)> = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let method: Method = method.to_ascii_uppercase().parse().unwrap();
            // Revoking the key or gateway in use would end the test early, not find a fault.
            if method != Method::DELETE {
                targets.push((plane.http.clone(), method, path.clone()));
            }
        }
    }
    for (method, path) in
        [(Method::POST, "enrol"), (Method::GET, "state"), (Method::POST, "upload"), (Method::POST, "heartbeat")]
    {
        targets.push((gateway.http.clone(), method, format!("/sync/v1/{path}")));
    }
    assert!(targets.len() > 35);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[42; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let bodies = prop_oneof![
        4 => nearly_right().prop_map(|value| value.to_string().into_bytes()),
        4 => any_json().prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ];
    let ids = prop_oneof![
        Just(agent.to_string()),
        Just("1".to_owned()),
        "[a-z0-9_%]{1,30}".prop_map(|text| text.replace('%', "%25"))
    ];
    let queries = prop_oneof![
        Just(String::new()),
        "[a-z_]{1,8}=[a-zA-Z0-9:_-]{0,20}".prop_map(|query| format!("?{query}")),
        "(limit|cursor|from|to|status|include|publish|after|wait)=[0-9A-Za-z:-]{0,12}"
            .prop_map(|query| format!("?{query}")),
        Just("?%ff%fe=1".to_owned()),
    ];
    let (mut answered, mut refused) = (0, 0);
    for round in 0..16 {
        for (http, method, path) in &targets {
            let body = bodies.new_tree(&mut runner).unwrap().current();
            let id = ids.new_tree(&mut runner).unwrap().current();
            let query = queries.new_tree(&mut runner).unwrap().current();
            if query.contains("wait=") {
                continue;
            }
            let path = path.replace("{id}", &id).replace("{version}", &id) + &query;
            let headers: &[(&str, &str)] = if round % 8 == 7 { &[] } else { &[("content-type", "application/json")] };
            let body = if *method == Method::GET { Bytes::new() } else { Bytes::from(body) };
            let reply = http.raw(method.clone(), &path, headers, body.clone()).await;
            answered += 1;
            assert!(!reply.status.is_server_error(), "{method} {path} {body:?}: {} {}", reply.status, reply.body);
            if reply.status.is_client_error() {
                refused += 1;
                assert_eq!(
                    reply.header("content-type"),
                    "application/problem+json",
                    "{method} {path}: {}",
                    reply.status
                );
                assert_eq!(reply.body["request_id"], reply.header("x-request-id"));
                assert_eq!(reply.body["status"], reply.status.as_u16());
            }
        }
    }
    assert!(answered > 500 && refused > 300, "{answered} {refused}");
    assert_eq!(plane.http.get("/readyz").await.status, 200);
}
