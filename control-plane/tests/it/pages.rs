//! Pages: ten thousand calls walked while more arrive, none missed, none twice.

use std::collections::BTreeSet;

use trunkline_api::usage::CallRecord;

use crate::harness::{Plane, call_id, record, usage_batch};

#[tokio::test]
async fn ten_thousand_calls_are_walked_without_gap_or_repeat_while_more_arrive() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let light = |n: u64| CallRecord { usage: vec![], ..record(&tenant, &agent, n) };
    // Even numbers first, so that what arrives during the walk lands between them as well as before them.
    let even: Vec<CallRecord> = (1..=10_000).map(|n| light(2 * n)).collect();
    for (index, chunk) in even.chunks(500).enumerate() {
        gateway.accepted(&usage_batch(9, index as u64 * 500 + 1, chunk)).await;
    }
    let mut seen: Vec<String> = Vec::new();
    let mut cursor = String::new();
    let (mut arrived, mut pages) = (0_u64, 0_u64);
    loop {
        let page = plane.http.get(&format!("/v1/calls?limit=100{cursor}")).await;
        let items = page.body["data"].as_array().unwrap();
        seen.extend(items.iter().map(|call| call["id"].as_str().unwrap().to_owned()));
        pages += 1;
        if pages.is_multiple_of(5) {
            let odd: Vec<CallRecord> = (0..40).map(|n| light(2 * ((arrived + n) * 13 % 10_400) + 1)).collect();
            gateway.accepted(&usage_batch(9, 10_001 + arrived, &odd)).await;
            arrived += 40;
        }
        match page.body["meta"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(arrived >= 800, "{arrived}");
    assert!(seen.is_sorted_by(|one, next| one > next), "newest first, none twice");
    let seen: BTreeSet<String> = seen.into_iter().collect();
    for n in 1..=10_000 {
        assert!(seen.contains(&call_id(2 * n).to_string()), "call {n} is missing");
    }
}

#[tokio::test]
async fn a_cursor_of_another_list_or_filter_is_refused() {
    let plane = Plane::start().await;
    for _ in 0..3 {
        plane.agent().await;
    }
    let page = plane.http.get("/v1/agents?limit=1").await;
    let cursor = page.body["meta"]["next_cursor"].as_str().unwrap();
    assert_eq!(plane.http.get(&format!("/v1/agents?limit=2&cursor={cursor}")).await.status, 200);
    for path in ["/v1/trunks?", "/v1/agents?status=archived&"] {
        let refused = plane.http.get(&format!("{path}cursor={cursor}")).await;
        assert_eq!((refused.status.as_u16(), refused.pointers()), (400, vec!["/cursor"]));
    }
}
