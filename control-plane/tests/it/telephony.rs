//! Trunks, routes, numbers and providers: checked against themselves and each other.

use http::Method;
use serde_json::json;

use crate::harness::Plane;

#[tokio::test]
async fn objects_are_made_read_replaced_and_deleted() {
    let plane = Plane::start().await;
    let made = plane.http.post("/v1/trunks", &json!({ "name": "pbx", "peers": ["127.0.0.1", "10.0.0.0/8"] })).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.body["data"]["codecs"], json!(["PCMU", "PCMA"]));
    assert_eq!(made.body["data"]["srtp"], json!("optional"));
    let path = made.header("location").to_owned();
    assert_eq!(plane.http.get(&path).await.body["data"], made.body["data"]);
    let change = json!({ "name": "pbx", "peers": ["127.0.0.1"], "max_calls": 5, "srtp": "required" });
    let replaced = plane.http.json(Method::PUT, &path, &change).await;
    assert_eq!((&replaced.body["data"]["version"], &replaced.body["data"]["max_calls"]), (&json!(2), &json!(5)));
    assert_eq!(replaced.body["data"]["srtp"], json!("required"));
    assert_eq!(plane.http.delete(&path).await.status, 204);
    assert_eq!(plane.http.get(&path).await.status, 404);
    assert_eq!(plane.http.delete(&path).await.status, 404);
    let again = plane.http.post("/v1/trunks", &json!({ "name": "pbx", "peers": ["127.0.0.1"] })).await;
    assert_eq!(again.status, 201, "the name is free again");
}

#[tokio::test]
async fn references_must_exist_and_hold_what_they_refer_to() {
    let plane = Plane::start().await;
    let nobody = "agt_01jd3v6m8k72h5r9xw4n7p0tza";
    let dangling = plane.http.post("/v1/routes", &json!({ "name": "r", "agent": nobody })).await;
    assert_eq!((dangling.status.as_u16(), dangling.pointers()), (422, vec!["/agent"]));
    let agent = plane.agent().await;
    let trunk = plane.http.post("/v1/trunks", &json!({ "name": "t", "peers": ["::1"] })).await;
    let trunk = trunk.body["data"]["id"].as_str().unwrap();
    let route = plane.http.post("/v1/routes", &json!({ "name": "r", "trunk": trunk, "agent": agent })).await;
    assert_eq!(route.status, 201, "{}", route.body);
    let held = plane.http.delete(&format!("/v1/trunks/{trunk}")).await;
    assert_eq!((held.status.as_u16(), held.code()), (409, "object_in_use"));
    assert_eq!(held.body["blockers"][0]["id"], route.body["data"]["id"]);
    let provider = plane.http.post("/v1/providers", &json!({ "name": "espeak", "plugin": "espeak" })).await;
    let held = plane.http.delete(provider.header("location")).await;
    assert_eq!(held.body["blockers"][0], json!({ "kind": "agent", "id": agent }));
    plane.http.delete(route.header("location")).await;
    assert_eq!(plane.http.delete(&format!("/v1/trunks/{trunk}")).await.status, 204);
}

#[tokio::test]
async fn wrong_addresses_patterns_and_taken_names_are_refused() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let bad =
        plane.http.post("/v1/trunks", &json!({ "name": "t", "peers": ["10.0.0.1", "pbx"], "codecs": [""] })).await;
    assert_eq!(bad.pointers(), ["/peers/1", "/codecs/0"]);
    let wide = json!({ "name": "t", "peers": ["::1"], "codecs": ["opus", "g722", "L16/16000", "G729"] });
    let bad = plane.http.post("/v1/trunks", &wide).await;
    assert_eq!(bad.pointers(), ["/codecs/3"]);
    assert!(bad.body.to_string().contains("PCMU, PCMA, G722, opus, L16/8000, L16/16000"), "{}", bad.body);
    let sometimes = json!({ "name": "t", "peers": ["::1"], "srtp": "sometimes" });
    assert_eq!(plane.http.post("/v1/trunks", &sometimes).await.status, 422);
    let bad = plane.http.post("/v1/routes", &json!({ "name": "r", "agent": agent, "called": "1*2" })).await;
    assert_eq!(bad.pointers(), ["/called"]);
    let number = json!({ "number": "+4930", "agent": agent });
    assert_eq!(plane.http.post("/v1/numbers", &number).await.status, 201);
    let taken = plane.http.post("/v1/numbers", &number).await;
    assert_eq!((taken.status.as_u16(), taken.code()), (409, "name_taken"));
    let unknown = plane.http.post("/v1/trunks", &json!({ "name": "t", "peers": ["::1"], "colour": "red" })).await;
    assert_eq!((unknown.status.as_u16(), unknown.pointers()), (422, vec!["/colour"]));
}

#[tokio::test]
async fn routes_by_more_than_prefixes_are_checked_and_kept() {
    let plane = Plane::start().await;
    let (first, second) = (plane.agent().await, plane.agent().await);
    let route = json!({
        "name": "r", "agent": first, "called": r"/\+49(30|40)[0-9]+/", "headers": { "X-Campaign": "summer*" },
        "hours": { "time_zone": "Europe/Berlin", "open": ["Mon-Fri 09:00-17:30"] },
        "max_calls": 5, "overflow": [{ "agent": second }],
    });
    let made = plane.http.post("/v1/routes", &route).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.body["data"]["overflow"], json!([{ "agent": second, "max_calls": 0 }]));
    let wrong = json!({
        "name": "r", "agent": first, "called": "/(/", "headers": { "X Y": "*" }, "hours": { "open": ["always"] },
        "overflow": [{ "agent": first }],
    });
    let refused = plane.http.post("/v1/routes", &wrong).await;
    assert_eq!(refused.pointers(), ["/called", "/headers/X Y", "/hours/open/0", "/overflow/0/agent"]);
    let nobody = json!({ "name": "r", "agent": first, "overflow": [{ "agent": "agt_01jd3v6m8k72h5r9xw4n7p0tza" }] });
    assert_eq!(plane.http.post("/v1/routes", &nobody).await.pointers(), ["/overflow"]);
    let numbering = json!({ "name": "t", "peers": ["::1"], "numbering": { "country": "049" } });
    assert_eq!(plane.http.post("/v1/trunks", &numbering).await.pointers(), ["/numbering/country"]);
}

#[tokio::test]
async fn calls_leave_by_outbound_routes_that_are_checked_and_hold_their_trunks() {
    let plane = Plane::start().await;
    let trunk = plane.http.post("/v1/trunks", &json!({ "name": "t", "peers": ["::1"] })).await;
    let trunk = trunk.body["data"]["id"].as_str().unwrap();
    let wrong = json!({ "name": "o", "destinations": ["*"], "trunks": [trunk], "uses": [] });
    assert_eq!(plane.http.post("/v1/outbound-routes", &wrong).await.pointers(), ["/destinations/0", "/uses"]);
    let home = json!({ "name": "o", "destinations": ["+49*"], "denied": ["+49900*"], "trunks": [trunk] });
    let made = plane.http.post("/v1/outbound-routes", &home).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.body["data"]["uses"], json!(["dial", "transfer"]));
    let held = plane.http.delete(&format!("/v1/trunks/{trunk}")).await;
    assert_eq!((held.status.as_u16(), held.code()), (409, "object_in_use"));
    assert_eq!(held.body["blockers"][0]["kind"], "outbound-route");
    let path = "/v1/tenants/me/outbound";
    let many = plane.http.json(Method::PUT, path, &json!({ "max_calls": 100_001 })).await;
    assert_eq!((many.status.as_u16(), many.pointers()), (422, vec!["/max_calls"]));
    let few = plane.http.json(Method::PUT, path, &json!({ "max_calls": 2, "spend_micro_per_day": 0 })).await;
    assert_eq!((few.status.as_u16(), &few.body["data"]["outbound"]["max_calls"]), (200, &json!(2)));
    assert_eq!(few.body["data"]["outbound"]["calls_per_minute"], json!(30));
    assert_eq!(plane.http.delete(made.header("location")).await.status, 204);
    assert_eq!(plane.http.delete(&format!("/v1/trunks/{trunk}")).await.status, 204);
}

#[tokio::test]
async fn an_address_belongs_to_one_trunk_only() {
    let plane = Plane::start().await;
    let first = plane.http.post("/v1/trunks", &json!({ "name": "a", "peers": ["10.0.0.0/8", "127.0.0.1"] })).await;
    let taken = plane.http.post("/v1/trunks", &json!({ "name": "b", "peers": ["192.0.2.1", "127.0.0.1/32"] })).await;
    assert_eq!((taken.status.as_u16(), taken.code(), taken.pointers()), (409, "range_taken", vec!["/peers/1"]));
    assert_eq!(taken.body["blockers"][0], json!({ "kind": "trunk", "id": first.body["data"]["id"] }));
    let detail = taken.body["detail"].as_str().unwrap();
    assert!(detail.contains("127.0.0.1/32") && detail.contains(first.body["data"]["id"].as_str().unwrap()), "{detail}");
    // A part of a range may be another trunk's: the more specific one gets the call.
    let second = plane.http.post("/v1/trunks", &json!({ "name": "b", "peers": ["10.1.0.0/16"] })).await;
    assert_eq!(second.status, 201, "{}", second.body);
    let wider = json!({ "name": "b", "peers": ["10.200.0.7/8"] });
    let taken = plane.http.json(Method::PUT, second.header("location"), &wider).await;
    assert_eq!((taken.status.as_u16(), taken.code()), (409, "range_taken"), "as the gateway reads it");
    // Its own ranges are no obstacle, the same one twice neither, and what is given up is free.
    let kept = json!({ "name": "a", "peers": ["10.0.0.0/8", "10.0.0.0/8"] });
    assert_eq!(plane.http.json(Method::PUT, first.header("location"), &kept).await.status, 200);
    assert_eq!(plane.http.delete(first.header("location")).await.status, 204);
    let both = json!({ "name": "c", "peers": ["127.0.0.1", "10.0.0.0/8"] });
    assert_eq!(plane.http.post("/v1/trunks", &both).await.status, 201);
}
