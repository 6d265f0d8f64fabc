//! Uploads: once, in order, whole, whatever is sent again.

use serde_json::{Value, json};
use trunkline_api::event::EventType;
use trunkline_api::sync::{Stream, StreamRecord, UploadBatch};
use trunkline_api::usage::CallRecord;

use crate::harness::{Gateway, Plane, event, events_batch, record, started, usage_batch};

async fn calls_total(plane: &Plane) -> (i64, i64) {
    let usage = plane.http.get("/v1/tenants/me/usage?from=2026-01-01&to=2026-12-31").await;
    let total = &usage.body["data"]["totals"][0];
    (total["calls"].as_i64().unwrap_or(0), total["cost_micro"].as_i64().unwrap_or(0))
}

async fn alarms(plane: &Plane, gateway: &Gateway) -> Vec<Value> {
    let shown = plane.http.get(&format!("/v1/gateways/{}", gateway.id)).await;
    shown.body["data"]["alarms"].as_array().unwrap().clone()
}

#[tokio::test]
async fn sending_a_batch_again_changes_nothing() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let records: Vec<CallRecord> = (1..=30).map(|n| record(&tenant, &agent, n)).collect();
    assert_eq!(gateway.accepted(&usage_batch(9, 1, &records[..20])).await, 20);
    let after_first = calls_total(&plane).await;
    assert_eq!(gateway.accepted(&usage_batch(9, 1, &records[..20])).await, 20);
    assert_eq!(calls_total(&plane).await, after_first);
    assert_eq!(gateway.accepted(&usage_batch(9, 11, &records[10..])).await, 30, "half known, half new");
    assert_eq!(calls_total(&plane).await.0, 30);
    let empty = UploadBatch { epoch: 9, stream: Stream::Usage, records: vec![] };
    assert_eq!(gateway.accepted(&empty).await, 30, "an empty batch asks for the mark");
}

#[tokio::test]
async fn a_gap_and_a_reused_number_are_refused_whole_with_an_alarm() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let records: Vec<CallRecord> = (1..=9).map(|n| record(&tenant, &agent, n)).collect();
    gateway.accepted(&usage_batch(9, 1, &records[..3])).await;
    let before = calls_total(&plane).await;
    let gap = gateway.upload(&usage_batch(9, 5, &records[4..6])).await;
    assert_eq!((gap.status.as_u16(), gap.code()), (409, "upload_gap"));
    // Records 3 to 5, where 3 was another one: nothing of the batch may stay.
    let reused = gateway.upload(&usage_batch(9, 3, &records[6..9])).await;
    assert_eq!((reused.status.as_u16(), reused.code()), (409, "upload_reused"));
    assert_eq!(calls_total(&plane).await, before);
    let kinds: Vec<Value> = alarms(&plane, &gateway).await.iter().map(|alarm| alarm["kind"].clone()).collect();
    assert_eq!(kinds, [json!("upload_reused"), json!("upload_gap")]);
    assert_eq!(gateway.accepted(&usage_batch(9, 4, &records[3..6])).await, 6, "the right numbers go on");
}

#[tokio::test]
async fn a_new_epoch_counts_from_one_but_never_counts_a_call_twice() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let records: Vec<CallRecord> = (1..=6).map(|n| record(&tenant, &agent, n)).collect();
    gateway.accepted(&usage_batch(u64::MAX, 1, &records[..4])).await;
    let before = calls_total(&plane).await;
    // A restored disk: a new epoch that begins with calls the old one had uploaded.
    assert_eq!(gateway.accepted(&usage_batch(3, 1, &records[2..])).await, 4);
    let after = calls_total(&plane).await;
    assert_eq!((before.0, after.0), (4, 6));
    assert_eq!(alarms(&plane, &gateway).await.len(), 2);
}

#[tokio::test]
async fn a_record_that_cannot_be_used_is_set_aside_and_holds_nothing_back() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let mut foreign = record(&tenant, &agent, 2);
    foreign.tenant = trunkline_api::Id::mint(trunkline_api::Prefix::Tenant, 1, [1; 10]);
    let mut open = record(&tenant, &agent, 3);
    open.ended_us = None;
    let mut huge = record(&tenant, &agent, 4);
    huge.usage[0].units.call_ms = u64::MAX;
    let mut batch = usage_batch(9, 1, &[record(&tenant, &agent, 1), foreign, open, huge]);
    batch.records.push(StreamRecord { seq: 5, body: json!("nonsense") });
    batch.records.push(StreamRecord { seq: 6, body: serde_json::to_value(record(&tenant, &agent, 6)).unwrap() });
    assert_eq!(gateway.accepted(&batch).await, 6);
    assert_eq!(calls_total(&plane).await.0, 2);
    let details: Vec<String> =
        alarms(&plane, &gateway).await.iter().map(|alarm| alarm["detail"].as_str().unwrap().to_owned()).collect();
    for reason in ["foreign_tenant", "call_not_closed", "quantity_out_of_range", "not_a_usage_record"] {
        assert!(details.iter().any(|detail| detail.ends_with(reason)), "{reason}: {details:?}");
    }
}

#[tokio::test]
async fn a_record_with_a_nul_character_is_set_aside_and_the_ones_around_it_arrive() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let said = |seq, text: &str| {
        event(&tenant, 1, seq, EventType::AgentSaid, Some(0), json!({ "text": text, "utterance": 1 }))
    };
    let events = [started(&tenant, &agent, 1), said(2, "Hello wor\0ld"), said(3, "Goodbye.")];
    assert_eq!(gateway.accepted(&events_batch(9, 1, &events)).await, 3);
    let shown = plane.http.get(&format!("/v1/calls/{}/timeline", events[0].call)).await;
    let seqs: Vec<&Value> = shown.body["data"].as_array().unwrap().iter().map(|event| &event["seq"]).collect();
    assert_eq!(seqs, [&json!(1), &json!(3)], "{}", shown.body);
    let mut named = record(&tenant, &agent, 2);
    named.from = "anonymous\0".to_owned();
    assert_eq!(gateway.accepted(&usage_batch(9, 1, &[named, record(&tenant, &agent, 3)])).await, 2);
    assert_eq!(calls_total(&plane).await.0, 1);
    let raised = alarms(&plane, &gateway).await;
    let details: Vec<&str> = raised.iter().map(|alarm| alarm["detail"].as_str().unwrap()).collect();
    assert!(details.iter().all(|detail| detail.ends_with("nul_character")) && details.len() == 2, "{details:?}");
}

#[tokio::test]
async fn fields_of_a_later_version_are_no_reason_to_refuse() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let mut batch = usage_batch(9, 1, &[record(&tenant, &agent, 1)]);
    batch.records[0].body["mood"] = json!("good");
    assert_eq!(gateway.accepted(&batch).await, 1);
    assert_eq!(calls_total(&plane).await.0, 1);
}

#[tokio::test]
async fn disordered_or_oversized_batches_are_refused_before_anything_is_written() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let event = started(&tenant, &agent, 1);
    let mut batch = events_batch(9, 1, &[event.clone(), event.clone()]);
    batch.records[1].seq = 3;
    assert_eq!(gateway.upload(&batch).await.pointers(), ["/records/1/seq"]);
    batch.records[0].seq = 0;
    assert_eq!(gateway.upload(&batch).await.pointers(), ["/records/0/seq"]);
    let many = events_batch(9, 1, &vec![event; 501]);
    assert_eq!(gateway.upload(&many).await.pointers(), ["/records"]);
    assert_eq!(plane.http.get("/v1/calls").await.body["data"], json!([]));
}

#[tokio::test]
async fn parallel_copies_of_a_batch_are_taken_in_once() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let records: Vec<CallRecord> = (1..=50).map(|n| record(&tenant, &agent, n)).collect();
    let batch = serde_json::to_value(usage_batch(9, 1, &records)).unwrap();
    let mut sending = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (http, batch) = (gateway.http.clone(), batch.clone());
        sending.spawn(async move { http.post("/sync/v1/upload", &batch).await.body["high_water"].clone() });
    }
    assert_eq!(sending.join_all().await, vec![json!(50); 6]);
    assert_eq!(calls_total(&plane).await.0, 50);
}
