//! Calls: derived from events and usage in whatever order they come, filtered, with their timeline.

use serde_json::{Value, json};
use trunkline_api::event::EventType;
use trunkline_api::usage::{EndReason, HandedTo};
use trunkline_api::{Failure, Id};

use crate::harness::{BEGUN_US, Plane, call_id, event, events_batch, record, started, usage_batch, walk};

#[tokio::test]
async fn a_call_is_active_from_its_start_and_completed_at_its_end() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let path = format!("/v1/calls/{}", call_id(1));
    gateway.accepted(&events_batch(9, 1, &[started(&tenant, &agent, 1)])).await;
    let active = plane.http.get(&path).await.body["data"].clone();
    assert_eq!(
        (&active["status"], &active["from"], &active["cost"]),
        (&json!("active"), &json!("+4930"), &json!(null))
    );
    assert_eq!(active["agent_id"], agent.to_string());
    assert_eq!(active["gateway_id"], gateway.id.to_string());
    let rest = [
        event(&tenant, 1, 2, EventType::CallAnswered, None, json!({ "codec": "PCMU" })),
        event(&tenant, 1, 3, EventType::CallEnded, None, json!({ "reason": "caller_hung_up", "duration_ms": 1 })),
    ];
    gateway.accepted(&events_batch(9, 2, &rest)).await;
    let ended = plane.http.get(&path).await.body["data"].clone();
    assert_eq!((&ended["status"], &ended["end_reason"]), (&json!("completed"), &json!("caller_hung_up")));
    assert_eq!((&ended["started_at"], &ended["duration_ms"]), (&active["started_at"], &json!(1)));
    gateway.accepted(&usage_batch(9, 1, &[record(&tenant, &agent, 1)])).await;
    assert!(plane.http.get(&path).await.body["data"]["cost"]["total_micro"].as_i64().unwrap() > 0);
}

#[tokio::test]
async fn what_was_found_out_about_a_call_is_shown_with_it() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let found = json!({ "summary": "A table for two.", "topics": ["booking"], "took_ms": 900 });
    let events = [
        started(&tenant, &agent, 1),
        event(&tenant, 1, 2, EventType::CallEnded, None, json!({ "reason": "caller_hung_up", "duration_ms": 1 })),
        event(&tenant, 1, 3, EventType::CallAnalysed, None, found.clone()),
        started(&tenant, &agent, 2),
    ];
    gateway.accepted(&events_batch(9, 1, &events)).await;
    assert_eq!(plane.http.get(&format!("/v1/calls/{}", call_id(1))).await.body["data"]["analysis"], found);
    assert_eq!(plane.http.get(&format!("/v1/calls/{}", call_id(2))).await.body["data"].get("analysis"), None);
}

#[tokio::test]
async fn agents_that_a_call_was_handed_to_are_shown_with_it() {
    let plane = Plane::start().await;
    let (agent, billing, desk) = (plane.agent().await, plane.agent().await, plane.agent().await);
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let handed = |n: u64, seq: u64, to: &Id, version: u32| {
        let data = json!({ "to": "x", "agent": to, "agent_version": version, "carry": "full" });
        event(&tenant, n, seq, EventType::AgentHandedOff, Some(1), data)
    };
    let of = async |n: u64| {
        let call = plane.http.get(&format!("/v1/calls/{}", call_id(n))).await.body["data"].clone();
        let entries = call["handed_to"].as_array().unwrap().clone();
        let seen = |entry: &Value| {
            let agent = entry["agent_id"].as_str().unwrap().to_owned();
            (agent, entry["agent_version"].as_u64().unwrap(), entry["at"].as_str().unwrap().to_owned())
        };
        entries.iter().map(seen).collect::<Vec<_>>()
    };
    // While it lasts, from the events in whatever order they come.
    let first = [started(&tenant, &agent, 1), handed(1, 3, &desk, 9), handed(1, 2, &billing, 4)];
    gateway.accepted(&events_batch(9, 1, &first)).await;
    let seen = of(1).await;
    let whom: Vec<_> = seen.iter().map(|(agent, version, _)| (agent.clone(), *version)).collect();
    assert_eq!(whom, [(billing.to_string(), 4), (desk.to_string(), 9)]);
    assert!(seen[0].2 < seen[1].2, "{seen:?}");
    assert_eq!(plane.http.get("/v1/calls").await.body["data"][0]["agent_id"], agent.to_string());

    // Its record says the same for good, whichever of both comes first.
    let at_us = BEGUN_US + 7_000_000;
    let mut records = [record(&tenant, &agent, 1), record(&tenant, &agent, 2), record(&tenant, &agent, 3)];
    for record in &mut records[..2] {
        record.handed_to = vec![HandedTo { agent: billing.clone(), agent_version: 4, at_us }];
    }
    gateway.accepted(&usage_batch(9, 1, &records)).await;
    gateway.accepted(&events_batch(9, 4, &[started(&tenant, &agent, 2), handed(2, 2, &desk, 9)])).await;
    let one = vec![(billing.to_string(), 4, "2026-09-21T14:13:27.000000Z".to_owned())];
    assert_eq!((of(1).await, of(2).await, of(3).await), (one.clone(), one, vec![]));
}

#[tokio::test]
async fn usage_that_arrives_before_the_events_is_not_undone_by_them() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let mut crashed = record(&tenant, &agent, 1);
    (crashed.end, crashed.failure) = (Some(EndReason::Failed), Some(Failure::GatewayCrashed));
    gateway.accepted(&usage_batch(9, 1, &[crashed])).await;
    let ended = event(&tenant, 1, 2, EventType::CallEnded, None, json!({ "reason": "drained", "duration_ms": 1 }));
    gateway.accepted(&events_batch(9, 1, &[started(&tenant, &agent, 1), ended])).await;
    let call = plane.http.get(&format!("/v1/calls/{}", call_id(1))).await.body["data"].clone();
    assert_eq!((&call["status"], &call["failure"]), (&json!("failed"), &json!("gateway_crashed")));
    assert_eq!(call["started_at"], "2026-09-21T14:13:21.001000Z");
    assert_eq!(plane.http.get("/v1/calls?status=active").await.body["data"], json!([]));
}

#[tokio::test]
async fn the_timeline_is_in_order_of_seq_however_it_arrived() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let digits: Vec<_> = (2..=60)
        .map(|seq| event(&tenant, 1, seq, EventType::DtmfReceived, Some(1), json!({ "digit": (seq % 10).to_string() })))
        .collect();
    let mut shuffled: Vec<_> = digits.into_iter().rev().collect();
    shuffled.push(started(&tenant, &agent, 1));
    gateway.accepted(&events_batch(9, 1, &shuffled)).await;
    let path = format!("/v1/calls/{}/timeline", call_id(1));
    let seqs: Vec<i64> = walk(&plane.http, &path, 7).await.iter().map(|event| event["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..=60).collect::<Vec<i64>>());
    let first = plane.http.get(&format!("{path}?limit=1")).await.body["data"][0].clone();
    assert_eq!((&first["type"], &first["call_ms"]), (&json!("call.started"), &json!(1.0)));
    assert_eq!(plane.http.get(&format!("/v1/calls/{}/timeline", call_id(2))).await.status, 404);
}

#[tokio::test]
async fn filters_select_and_unknown_ones_are_refused() {
    let plane = Plane::start().await;
    let (one, two) = (plane.agent().await, plane.agent().await);
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let mut records: Vec<_> = (1..=30).map(|n| record(&tenant, if n <= 10 { &one } else { &two }, n)).collect();
    records[4].failure = Some(Failure::MediaTimeout);
    gateway.accepted(&usage_batch(9, 1, &records)).await;
    let count = async |query: &str| walk(&plane.http, &format!("/v1/calls?{query}"), 100).await.len();
    assert_eq!(count("").await, 30);
    assert_eq!(count(&format!("agent_id={one}")).await, 10);
    assert_eq!(count("direction=outbound").await, 10);
    assert_eq!(count("status=failed").await, 1);
    assert_eq!(count(&format!("status=completed&agent_id={one}&direction=inbound")).await, 6);
    // Without events a call's start is its answer, two seconds after BEGUN_US + n seconds.
    assert_eq!(count("from=2026-09-21T14:13:27Z&to=2026-09-21T14:13:37Z").await, 10);
    for (query, pointer) in [
        ("colour=red", "/colour"),
        ("status=lost", "/status"),
        ("agent_id=call_1", "/agent_id"),
        ("from=yesterday", "/from"),
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("cursor=abc", "/cursor"),
        ("limit=1&limit=2", "/limit"),
    ] {
        let refused = plane.http.get(&format!("/v1/calls?{query}")).await;
        assert_eq!((refused.status.as_u16(), refused.pointers()), (400, vec![pointer]), "{query}");
    }
}

#[tokio::test]
async fn an_agents_statistics_equal_a_recount_of_its_calls() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let mut records: Vec<_> = (1..=20).map(|n| record(&tenant, &agent, n)).collect();
    records[0].failure = Some(Failure::AsrUnavailable);
    gateway.accepted(&usage_batch(9, 1, &records)).await;
    let mut events: Vec<_> = (1..=20)
        .map(|n| event(&tenant, n, 2, EventType::TurnWaterfall, Some(1), json!({ "total_ms": n * 10 })))
        .collect();
    events.push(started(&tenant, &agent, 21));
    gateway.accepted(&events_batch(9, 1, &events)).await;
    let stats = plane.http.get(&format!("/v1/agents/{agent}?include=stats")).await.body["data"]["stats"].clone();
    let calls = walk(&plane.http, &format!("/v1/calls?agent_id={agent}"), 100).await;
    let cost: i64 = calls.iter().filter_map(|call| call["cost"]["total_micro"].as_i64()).sum();
    let ms: i64 = calls.iter().filter_map(|call| call["duration_ms"].as_i64()).sum();
    assert_eq!((&stats["calls"], &stats["active_calls"], &stats["failed_calls"]), (&json!(21), &json!(1), &json!(1)));
    assert_eq!(stats["cost_micro"], cost);
    assert!((stats["minutes"].as_f64().unwrap() - ms as f64 / 60_000.0).abs() < 1e-9);
    assert_eq!((&stats["latency_p50_ms"], &stats["latency_p95_ms"]), (&json!(100), &json!(190)));
    assert_eq!(stats["success_rate"], json!(0.95));
    let plain: Value = plane.http.get(&format!("/v1/agents/{agent}")).await.body["data"]["stats"].clone();
    assert_eq!(plain, Value::Null);
}
