//! Broken JSON, unknown fields and unknown routes at the REST API answer problem+json, and the server goes on.

use trunkline_tests::control_plane::ControlPlane;

const AGENT: &str = r#"{"name":"a","pipeline":{"cascade":{"tts":[{"provider":"espeak"}]}}}"#;

#[test]
fn bad_requests_get_problems_and_cost_nothing_else() {
    let scratch = tempfile::tempdir().unwrap();
    let control_plane = ControlPlane::start(scratch.path()).unwrap();
    let rest = control_plane.rest();
    let unknown = AGENT.replace("\"name\"", "\"shiny\":1,\"name\"");
    let cases: [(&str, &str, Option<&str>, u16); 8] = [
        ("POST", "/v1/agents", Some("{\"name\": "), 400),
        ("POST", "/v1/agents", Some("[]"), 422),
        ("POST", "/v1/agents", Some(&unknown), 422),
        ("POST", "/v1/agents", Some("{\"name\":\"a\"}"), 422),
        ("GET", "/v1/agents/agt_nonsense", None, 404),
        ("GET", "/v1/calls?colour=blue", None, 400),
        ("GET", "/v1/nowhere", None, 404),
        ("DELETE", "/v1/calls", None, 405),
    ];
    for (method, path, body, expected) in cases {
        let answer = rest.send(method, path, body).unwrap();
        let what = format!("{method} {path} {body:?}: {answer:?}");
        assert!((400..500).contains(&answer.status), "{what}");
        if expected != 422 {
            assert_eq!(answer.status, expected, "{what}");
        }
        assert!(answer.content_type.starts_with("application/problem+json"), "{what}");
        assert!(answer.body["code"].is_string() && answer.body["request_id"].is_string(), "{what}");
    }
    let refused = rest.send("POST", "/v1/agents", Some(&unknown)).unwrap();
    assert_eq!(refused.body["errors"][0]["pointer"], "/shiny", "{refused:?}");
    let made = rest.send("POST", "/v1/agents", Some(AGENT)).unwrap();
    assert_eq!((made.status, &made.body["data"]["version"]), (201, &serde_json::json!(1)), "{made:?}");
}

#[test]
fn a_request_without_a_key_is_refused_but_health_answers() {
    let scratch = tempfile::tempdir().unwrap();
    let control_plane = ControlPlane::start(scratch.path()).unwrap();
    let stranger = trunkline_tests::rest::Rest::new(control_plane.public(), "");
    assert_eq!(stranger.send("GET", "/v1/agents", None).unwrap().status, 401);
    assert_eq!(stranger.get("/health").unwrap()["status"], "ok");
}
