//! A server on free ports with a temporary state folder, and a client that speaks to it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;
use trunkline_api::event::{Event, EventTime, EventType};
use trunkline_api::object::Revision;
use trunkline_api::signature::{Signed, TrustedKey, verify};
use trunkline_api::sync::{EnrolAnswer, Stream, StreamRecord, UploadAck, UploadBatch};
use trunkline_api::usage::{CallDirection, CallRecord, EndReason, ProviderUsage, Units};
use trunkline_api::{Id, Prefix};
use trunkline_control_plane::config::Config;
use trunkline_control_plane::server::{self, Running};

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn pointers(&self) -> Vec<&str> {
        self.body["errors"].as_array().unwrap().iter().map(|fault| fault["pointer"].as_str().unwrap()).collect()
    }
}

/// An HTTP client bound to one address and token.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

impl Http {
    pub(crate) fn new(address: SocketAddr, token: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, address, token: token.to_owned() }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<http::Response<Incoming>, hyper_util::client::legacy::Error> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        tokio::time::timeout(DEADLINE, self.client.request(request.body(Full::new(body)).unwrap()))
            .await
            .expect("an answer in time")
    }

    pub(crate) async fn raw(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Reply {
        let answer = self.send(method, path, headers, body).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Reply { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.raw(Method::GET, path, &[], Bytes::new()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.raw(Method::DELETE, path, &[], Bytes::new()).await
    }

    pub(crate) async fn json(&self, method: Method, path: &str, body: &Value) -> Reply {
        self.raw(method, path, &[("content-type", "application/json")], body.to_string().into()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.json(Method::POST, path, body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.json(Method::PATCH, path, body).await
    }
}

pub(crate) struct Plane {
    pub(crate) running: Running,
    pub(crate) folder: TempDir,
    pub(crate) http: Http,
}

pub(crate) fn config(folder: &TempDir) -> Config {
    let mut config = Config { state: folder.path().to_owned(), ..Config::default() };
    let free = "127.0.0.1:0".parse().unwrap();
    (config.listen.public, config.listen.sync, config.listen.metrics) = (free, free, free);
    config.limits.drain_s = 5;
    config
}

impl Plane {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let running = server::start(config(&folder)).await.unwrap();
        let key = running.admin_key.clone().unwrap();
        let http = Http::new(running.public, &key);
        Self { running, folder, http }
    }

    /// The same state folder behind a new server.
    pub(crate) async fn restarted(self) -> Self {
        self.running.stop().await;
        let running = server::start(config(&self.folder)).await.unwrap();
        assert_eq!(running.admin_key, None, "the key is shown once");
        let http = Http::new(running.public, &self.http.token);
        Self { running, folder: self.folder, http }
    }

    pub(crate) fn with_token(&self, token: &str) -> Http {
        Http::new(self.running.public, token)
    }

    pub(crate) async fn agent(&self) -> Id {
        let made = self.http.post("/v1/agents", &agent("greeter")).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.body["data"]["id"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) async fn enrol(&self) -> Gateway {
        let made = self.http.post("/v1/enrolment-tokens", &json!({})).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let token = made.body["data"]["token"].as_str().unwrap();
        Gateway::enrol(self.running.sync, token).await
    }

    pub(crate) async fn tenant(&self) -> Id {
        let gateway = self.enrol().await;
        gateway.tenant().await
    }
}

pub(crate) fn agent(name: &str) -> Value {
    json!({ "name": name, "pipeline": { "cascade": { "tts": [{ "provider": "espeak" }] } } })
}

/// A gateway that enrolled.
pub(crate) struct Gateway {
    pub(crate) http: Http,
    pub(crate) id: Id,
    pub(crate) trusted: Vec<TrustedKey>,
}

impl Gateway {
    pub(crate) async fn enrol(sync: SocketAddr, token: &str) -> Self {
        let wanted = json!({ "token": token, "name": "edge-1", "version": "0.1.0" });
        let answer = Http::new(sync, "").post("/sync/v1/enrol", &wanted).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer: EnrolAnswer = serde_json::from_value(answer.body).unwrap();
        Self { http: Http::new(sync, &answer.credential), id: answer.gateway, trusted: answer.trusted_keys }
    }

    /// A signed revision, verified and for this gateway.
    pub(crate) fn opened(&self, signed: &Signed) -> Revision {
        let revision: Revision = serde_json::from_str(verify(signed, &self.trusted).unwrap()).unwrap();
        assert_eq!(revision.gateway, self.id);
        revision
    }

    pub(crate) async fn state(&self, query: &str) -> Option<Revision> {
        let answer = self.http.get(&format!("/sync/v1/state{query}")).await;
        if answer.status == 204 {
            return None;
        }
        assert_eq!(answer.status, 200, "{}", answer.body);
        Some(self.opened(&serde_json::from_value(answer.body).unwrap()))
    }

    pub(crate) async fn tenant(&self) -> Id {
        self.state("").await.unwrap().upserts[0].tenant.clone()
    }

    pub(crate) async fn upload(&self, batch: &UploadBatch) -> Reply {
        self.http.post("/sync/v1/upload", &serde_json::to_value(batch).unwrap()).await
    }

    pub(crate) async fn accepted(&self, batch: &UploadBatch) -> u64 {
        let answer = self.upload(batch).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let ack: UploadAck = serde_json::from_value(answer.body).unwrap();
        assert_eq!((ack.epoch, ack.stream), (batch.epoch, batch.stream));
        ack.high_water
    }

    /// Follows the stream of desired state.
    pub(crate) async fn follow(&self, last: Option<u64>) -> Follower {
        let last = last.map(|rev| rev.to_string());
        let headers: Vec<(&str, &str)> = last.iter().map(|rev| ("last-event-id", rev.as_str())).collect();
        let answer = self.http.send(Method::GET, "/sync/v1/stream", &headers, Bytes::new()).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Follower { body: answer.into_body(), text: String::new() }
    }
}

pub(crate) struct Follower {
    body: Incoming,
    text: String,
}

impl Follower {
    /// The next block of the stream that is not a comment, or `None` at its end.
    pub(crate) async fn next(&mut self) -> Option<Vec<String>> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let lines: Vec<String> = block.lines().map(str::to_owned).collect();
                self.text = rest.to_owned();
                if lines.iter().any(|line| !line.starts_with(':')) {
                    return Some(lines);
                }
                continue;
            }
            let frame = tokio::time::timeout(DEADLINE, self.body.frame()).await.expect("the stream goes on in time")?;
            let data = frame.ok()?.into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    pub(crate) async fn revision(&mut self, gateway: &Gateway) -> Revision {
        let lines = self.next().await.expect("the stream has not ended");
        let field = |name: &str| {
            let line =
                lines.iter().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {lines:?}"));
            line[name.len()..].trim().to_owned()
        };
        assert_eq!(field("event:"), "revision");
        let revision = gateway.opened(&serde_json::from_str(&field("data:")).unwrap());
        assert_eq!(field("id:"), revision.rev.to_string());
        revision
    }

    /// Reads comments until one came.
    pub(crate) async fn comment(&mut self) -> String {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                if block.starts_with(':') {
                    return block;
                }
                continue;
            }
            let frame = tokio::time::timeout(DEADLINE, self.body.frame()).await.expect("a comment in time");
            let data = frame.expect("the stream goes on").unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }
}

/// The n-th call of a test, begun n seconds after a fixed time.
pub(crate) fn call_id(n: u64) -> Id {
    Id::mint(Prefix::Call, 1_790_000_000_000 + n * 1000, [7; 10])
}

pub(crate) const BEGUN_US: u64 = 1_790_000_000_000_000;

/// A closed record with usage that depends on `n`.
pub(crate) fn record(tenant: &Id, agent: &Id, n: u64) -> CallRecord {
    let entry = |provider: &str, kind: &str, units| ProviderUsage {
        provider: provider.to_owned(),
        kind: kind.to_owned(),
        units,
    };
    let begun = BEGUN_US + n * 1_000_000;
    CallRecord {
        format: 1,
        call: call_id(n),
        tenant: tenant.clone(),
        agent: agent.clone(),
        agent_version: 1,
        handed_to: Vec::new(),
        trunk: None,
        direction: if n.is_multiple_of(3) { CallDirection::Outbound } else { CallDirection::Inbound },
        from: format!("+49301{n:06}"),
        to: "+49305550".to_owned(),
        answered_us: begun + 2_000_000,
        ended_us: Some(begun + 2_000_000 + (n % 97 + 1) * 1_000_000),
        end: Some(EndReason::CallerHungUp),
        failure: None,
        usage: vec![
            entry("", "call", Units { call_ms: (n % 97 + 1) * 1000, ..Units::default() }),
            entry("grammar", "asr", Units { asr_ms: n * 13 % 9000 + 1, ..Units::default() }),
            entry(
                "openai",
                "llm",
                Units {
                    tokens_in: n * 7 % 4000 + 1,
                    tokens_out: n % 300 + 1,
                    tokens_cached: n % 100,
                    ..Units::default()
                },
            ),
            entry("espeak", "tts", Units { tts_chars: n % 500 + 1, plugin_us: n * 31, ..Units::default() }),
        ],
        recording: None,
        turns: 2,
        stages: Vec::new(),
    }
}

pub(crate) fn usage_batch(epoch: u64, first: u64, records: &[CallRecord]) -> UploadBatch {
    let body = |(seq, record)| StreamRecord { seq, body: serde_json::to_value(record).unwrap() };
    UploadBatch { epoch, stream: Stream::Usage, records: (first..).zip(records).map(body).collect() }
}

/// An event of call `n`.
pub(crate) fn event(tenant: &Id, n: u64, seq: u64, kind: EventType, turn: Option<u32>, data: Value) -> Event {
    assert_eq!(kind.violations(&data), Vec::<String>::new());
    Event {
        id: Id::mint(Prefix::Event, 1_790_000_000_000 + n * 1000 + seq, [(seq % 251) as u8; 10]),
        v: 1,
        tenant: tenant.clone(),
        call: call_id(n),
        seq,
        kind: kind.name().to_owned(),
        at: EventTime { wall_us: BEGUN_US + n * 1_000_000 + seq * 1000, call_us: seq * 1000 },
        leg: None,
        turn,
        data,
    }
}

pub(crate) fn started(tenant: &Id, agent: &Id, n: u64) -> Event {
    let data = json!({ "agent": agent, "agent_version": 1, "direction": "inbound", "from": "+4930", "to": "+4931" });
    event(tenant, n, 1, EventType::CallStarted, None, data)
}

pub(crate) fn events_batch(epoch: u64, first: u64, events: &[Event]) -> UploadBatch {
    let body = |(seq, event)| StreamRecord { seq, body: serde_json::to_value(event).unwrap() };
    UploadBatch { epoch, stream: Stream::Events, records: (first..).zip(events).map(body).collect() }
}

/// Walks a list to its end.
pub(crate) async fn walk(http: &Http, path: &str, limit: u32) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let mark = if path.contains('?') { '&' } else { '?' };
        let page = http.get(&format!("{path}{mark}limit={limit}{cursor}")).await;
        assert_eq!(page.status, 200, "{}", page.body);
        items.extend(page.body["data"].as_array().unwrap().iter().cloned());
        match page.body["meta"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}
