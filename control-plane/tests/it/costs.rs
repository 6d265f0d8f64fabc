//! Money: every component from its units and its price row, every sum equal to its parts.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trunkline_api::sync::{Stream, StreamRecord, UploadBatch};
use trunkline_api::usage::{CallRecord, ProviderUsage, RenderingRecord, Units};
use trunkline_api::{Id, Prefix};

use crate::harness::{BEGUN_US, Plane, record, usage_batch, walk};

/// An independent pricing: floating point is exact enough for what these tests use, and shares no code.
fn priced(record: &CallRecord, prices: &[Value]) -> BTreeMap<(String, String, String), (i64, i64)> {
    let mut lines = BTreeMap::new();
    for entry in &record.usage {
        let Value::Object(units) = serde_json::to_value(entry.units).unwrap() else { unreachable!() };
        for (unit, quantity) in units.into_iter().filter(|(_, quantity)| quantity != 0) {
            let row = |provider: &str| {
                prices
                    .iter()
                    .find(|row| row["kind"] == entry.kind && row["unit"] == unit && row["provider"] == provider)
            };
            let price = row(&entry.provider).or_else(|| row("*"));
            let quantity = quantity.as_i64().unwrap();
            let cost = price
                .map_or(0.0, |row| quantity as f64 * row["micro"].as_f64().unwrap() / row["per"].as_f64().unwrap());
            lines.insert((entry.kind.clone(), entry.provider.clone(), unit), (quantity, cost.round() as i64));
        }
    }
    lines
}

#[tokio::test]
async fn a_recount_from_the_records_and_the_price_book_gives_every_figure() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let book = plane.http.get("/v1/prices").await.body["data"][0].clone();
    assert_eq!((&book["version"], &book["currency"]), (&json!(1), &json!("USD")));
    let records: Vec<CallRecord> = (1..=60).map(|n| record(&tenant, &agent, n)).collect();
    gateway.accepted(&usage_batch(9, 1, &records)).await;

    let mut whole = 0;
    let mut units: BTreeMap<(String, String, String), (i64, i64, i64)> = BTreeMap::new();
    for record in &records {
        let expected = priced(record, book["prices"].as_array().unwrap());
        let cost = plane.http.get(&format!("/v1/calls/{}", record.call)).await.body["data"]["cost"].clone();
        let text = |line: &Value, field: &str| line[field].as_str().unwrap().to_owned();
        let found: BTreeMap<_, _> = cost["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| {
                let key = (text(line, "kind"), text(line, "provider"), text(line, "unit"));
                (key, (line["quantity"].as_i64().unwrap(), line["cost_micro"].as_i64().unwrap()))
            })
            .collect();
        assert_eq!(found, expected);
        let sum: i64 = found.values().map(|(_, cost)| cost).sum();
        assert_eq!(cost["total_micro"], sum);
        whole += sum;
        for (key, (quantity, cost)) in found {
            let entry = units.entry(key).or_default();
            *entry = (entry.0 + 1, entry.1 + quantity, entry.2 + cost);
        }
    }

    let range = "from=2026-09-01&to=2026-09-30";
    let report = plane.http.get(&format!("/v1/tenants/{tenant}/usage?{range}&group_by=component&limit=100")).await;
    let data = &report.body["data"];
    assert_eq!(data["totals"], json!([{ "currency": "USD", "calls": 60, "cost_micro": whole }]));
    let lines = data["lines"].as_array().unwrap();
    assert_eq!(lines.len(), units.len());
    for line in lines {
        let part = |field: &str| line["component"][field].as_str().unwrap().to_owned();
        let (calls, quantity, cost) = units[&(part("kind"), part("provider"), part("unit"))];
        assert_eq!(
            (&line["calls"], &line["quantity"], &line["cost_micro"]),
            (&json!(calls), &json!(quantity), &json!(cost))
        );
    }
    for grouping in ["day", "agent", "day,agent", "day,agent,component"] {
        let path = format!("/v1/tenants/me/usage?{range}&group_by={grouping}&limit=3");
        let (mut sum, mut cursor) = (0, String::new());
        loop {
            let page = plane.http.get(&format!("{path}{cursor}")).await;
            sum += page.body["data"]["lines"]
                .as_array()
                .unwrap()
                .iter()
                .map(|line| line["cost_micro"].as_i64().unwrap())
                .sum::<i64>();
            match page.body["meta"]["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(sum, whole, "{grouping}");
    }
}

#[tokio::test]
async fn lines_that_were_rendered_beforehand_are_in_the_sums_once_and_in_no_call() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let book = plane.http.get("/v1/prices").await.body["data"][0].clone();
    let price = book["prices"].as_array().unwrap().iter().find(|price| price["unit"] == "tts_chars").unwrap().clone();
    let call = record(&tenant, &agent, 1);
    let rendering = |n: u64, tts_chars: u64| RenderingRecord {
        format: 1,
        rendering: Id::mint(Prefix::Rendering, n, [n as u8; 10]),
        tenant: tenant.clone(),
        agent: agent.clone(),
        agent_version: 1,
        rendered_us: BEGUN_US,
        usage: vec![ProviderUsage {
            provider: "voice".to_owned(),
            kind: "tts".to_owned(),
            units: Units { tts_chars, ..Units::default() },
        }],
    };
    gateway.accepted(&usage_batch(9, 1, std::slice::from_ref(&call))).await;
    let used = plane.http.get("/v1/tenants/me/usage?from=2026-09-01&to=2026-09-30").await.body["data"].clone();
    let upload = |epoch, first: u64, records: &[RenderingRecord]| UploadBatch {
        epoch,
        stream: Stream::Usage,
        records: (first..).zip(records).map(|(seq, of)| StreamRecord { seq, body: json!(of) }).collect(),
    };
    let lines = [rendering(1, 70_000), rendering(2, 30_000)];
    gateway.accepted(&upload(9, 2, &lines)).await;
    // A restored disk uploads again what was there before.
    gateway.accepted(&upload(10, 1, &lines[1..])).await;

    let cost = 100_000 * price["micro"].as_i64().unwrap() / price["per"].as_i64().unwrap();
    assert!(cost > 0, "{price}");
    let after = plane.http.get("/v1/tenants/me/usage?from=2026-09-01&to=2026-09-30").await.body["data"].clone();
    let whole = |data: &Value| {
        (data["totals"][0]["calls"].as_i64().unwrap(), data["totals"][0]["cost_micro"].as_i64().unwrap())
    };
    assert_eq!(whole(&after), (1, whole(&used).1 + cost));
    let voice =
        after["lines"].as_array().unwrap().iter().find(|line| line["component"]["provider"] == "voice").unwrap();
    assert_eq!((&voice["quantity"], &voice["calls"], &voice["agent_id"]), (&json!(100_000), &json!(0), &json!(agent)));
    let sum: i64 = after["lines"].as_array().unwrap().iter().map(|line| line["cost_micro"].as_i64().unwrap()).sum();
    assert_eq!(sum, whole(&after).1);
    assert_eq!(walk(&plane.http, "/v1/calls?", 100).await.len(), 1);
}

#[tokio::test]
async fn new_prices_are_a_new_version_and_old_calls_keep_theirs() {
    let plane = Plane::start().await;
    let agent = plane.agent().await;
    let gateway = plane.enrol().await;
    let tenant = gateway.tenant().await;
    let records: Vec<CallRecord> = (1..=2).map(|n| record(&tenant, &agent, n)).collect();
    gateway.accepted(&usage_batch(9, 1, &records[..1])).await;
    let before = plane.http.get(&format!("/v1/calls/{}", records[0].call)).await.body["data"]["cost"].clone();
    let prices = json!({ "currency": "EUR", "prices": [
        { "kind": "tts", "provider": "*", "unit": "tts_chars", "micro": 5, "per": 1 },
        { "kind": "tts", "provider": "espeak", "unit": "tts_chars", "micro": 2, "per": 1 },
    ] });
    let made = plane.http.post("/v1/prices", &prices).await;
    assert_eq!((made.status.as_u16(), &made.body["data"]["version"]), (201, &json!(2)), "{}", made.body);
    gateway.accepted(&usage_batch(9, 2, &records[1..])).await;
    let after = plane.http.get(&format!("/v1/calls/{}", records[1].call)).await.body["data"]["cost"].clone();
    assert_eq!(
        (&after["price_version"], &after["currency"], &after["total_micro"]),
        (&json!(2), &json!("EUR"), &json!(6))
    );
    let old = plane.http.get(&format!("/v1/calls/{}", records[0].call)).await.body["data"]["cost"].clone();
    assert_eq!(old, before);
    assert_eq!(walk(&plane.http, "/v1/prices", 1).await.len(), 2);
    let doubled = json!({ "currency": "eur", "prices": [prices["prices"][0], prices["prices"][0]] });
    assert_eq!(plane.http.post("/v1/prices", &doubled).await.pointers(), ["/currency", "/prices/1"]);
}
