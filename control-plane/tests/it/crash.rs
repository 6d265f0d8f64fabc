//! kill -9 of the server in the middle of uploads, again and again: in the end every record is there once.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use trunkline_api::sync::UploadAck;
use trunkline_api::usage::CallRecord;

use crate::harness::{Gateway, Http, agent, events_batch, record, started, usage_batch};

const KILLS: u32 = 12;
const CALLS: u64 = 2400;
const BATCH: usize = 15;

struct Server {
    child: Child,
    public: SocketAddr,
    sync: SocketAddr,
}

/// Reads the addresses once the server has written them.
async fn serve(folder: &Path, key: &mut Option<String>) -> Server {
    let endpoints = folder.join("endpoints.json");
    let _ = std::fs::remove_file(&endpoints);
    let mut child = Command::new(env!("CARGO_BIN_EXE_trunkline-control-plane"))
        .arg("serve")
        .env("TRUNKLINE_CP_STATE", folder)
        .env("TRUNKLINE_CP_LISTEN__PUBLIC", "127.0.0.1:0")
        .env("TRUNKLINE_CP_LISTEN__SYNC", "127.0.0.1:0")
        .env("TRUNKLINE_CP_LISTEN__METRICS", "127.0.0.1:0")
        .env("TRUNKLINE_CP_LOG", "warn")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok(text) = std::fs::read_to_string(&endpoints) {
            let value: Value = serde_json::from_str(&text).unwrap();
            let file = folder.join("admin.key");
            key.get_or_insert_with(|| std::fs::read_to_string(file).unwrap().trim().to_owned());
            let address = |name: &str| value[name].as_str().unwrap().parse().unwrap();
            return Server { child, public: address("public"), sync: address("sync") };
        }
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "the server serves in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Uploads batches from the acknowledged mark on until all are there or the server is gone.
async fn upload(gateway: &Http, mark: &mut u64, batches: impl Fn(u64) -> Option<Value>) -> bool {
    while let Some(batch) = batches(*mark) {
        let headers = [("content-type", "application/json")];
        let Ok(answer) = gateway.send(http::Method::POST, "/sync/v1/upload", &headers, batch.to_string().into()).await
        else {
            return false;
        };
        let Ok(body) = http_body_util::BodyExt::collect(answer.into_body()).await else { return false };
        let Ok(ack) = serde_json::from_slice::<UploadAck>(&body.to_bytes()) else { return false };
        assert!(ack.high_water >= *mark, "an acknowledged mark never goes back");
        *mark = ack.high_water;
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn records_uploaded_while_the_server_is_killed_again_and_again_are_there_once() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let mut key = None;
    let mut server = serve(folder.path(), &mut key).await;
    let key = &mut key;
    let http = Http::new(server.public, key.as_deref().unwrap());
    let made = http.post("/v1/agents", &agent("a")).await;
    let agent = made.body["data"]["id"].as_str().unwrap().parse().unwrap();
    let token = http.post("/v1/enrolment-tokens", &json!({})).await;
    let gateway = Gateway::enrol(server.sync, token.body["data"]["token"].as_str().unwrap()).await;
    let tenant = gateway.tenant().await;

    let records: Vec<CallRecord> = (1..=CALLS).map(|n| record(&tenant, &agent, n)).collect();
    let events: Vec<_> = (1..=CALLS).map(|n| started(&tenant, &agent, n)).collect();
    let usage = |mark: u64| {
        let rest = records.get(mark as usize..).filter(|rest| !rest.is_empty())?;
        Some(serde_json::to_value(usage_batch(77, mark + 1, &rest[..rest.len().min(BATCH)])).unwrap())
    };
    let timeline = |mark: u64| {
        let rest = events.get(mark as usize..).filter(|rest| !rest.is_empty())?;
        Some(serde_json::to_value(events_batch(77, mark + 1, &rest[..rest.len().min(BATCH)])).unwrap())
    };
    let (mut usage_mark, mut events_mark, mut interrupted) = (0, 0, 0);
    for round in 0..KILLS {
        let client = Http::new(server.sync, &gateway.http.token);
        // Where in a batch the kill lands differs from round to round.
        let pause = Duration::from_millis(u64::from(20 + round * 37 % 150));
        let pid = server.child.id().to_string();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(pause);
            Command::new("kill").args(["-9", &pid]).status().unwrap();
        });
        let whole = tokio::join!(upload(&client, &mut usage_mark, usage), upload(&client, &mut events_mark, timeline));
        // Interrupted with records still to come: the acknowledgement of the last batch may have been lost with it.
        interrupted += u32::from(!whole.0) + u32::from(!whole.1);
        tokio::task::spawn_blocking(move || killer.join().unwrap()).await.unwrap();
        server.child.wait().unwrap();
        server = serve(folder.path(), key).await;
    }
    assert!(interrupted >= KILLS / 2, "the kills hit uploads: {interrupted}");
    let client = Http::new(server.sync, &gateway.http.token);
    assert!(upload(&client, &mut usage_mark, usage).await && upload(&client, &mut events_mark, timeline).await);
    assert_eq!((usage_mark, events_mark), (CALLS, CALLS));
    // And once more from the first record on, as a gateway does that lost its marks.
    assert!(upload(&client, &mut 0, usage).await && upload(&client, &mut 0, timeline).await);

    let http = Http::new(server.public, key.as_deref().unwrap());
    let usage = http.get("/v1/tenants/me/usage?from=2026-01-01&to=2026-12-31&group_by=component&limit=100").await;
    let data = &usage.body["data"];
    assert_eq!(data["totals"][0]["calls"], CALLS);
    let mut units = trunkline_api::usage::Units::default();
    records.iter().for_each(|record| units.add(&record.total()));
    let sum = |unit: &str| -> u64 {
        let lines = data["lines"].as_array().unwrap().iter().filter(|line| line["component"]["unit"] == unit);
        lines.map(|line| line["quantity"].as_u64().unwrap()).sum()
    };
    assert_eq!(
        [sum("call_ms"), sum("asr_ms"), sum("tts_chars"), sum("tokens_in"), sum("plugin_us")],
        [units.call_ms, units.asr_ms, units.tts_chars, units.tokens_in, units.plugin_us]
    );
    let costs: i64 = data["lines"].as_array().unwrap().iter().map(|line| line["cost_micro"].as_i64().unwrap()).sum();
    assert_eq!(data["totals"][0]["cost_micro"], costs);
    assert_eq!(crate::harness::walk(&http, "/v1/calls", 100).await.len() as u64, CALLS);
    let shown = http.get(&format!("/v1/gateways/{}", gateway.id)).await;
    assert_eq!(shown.body["data"]["alarms"], json!([]), "nothing was sent in disorder");
    server.child.kill().unwrap();
    server.child.wait().unwrap();
}
