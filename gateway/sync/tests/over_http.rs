//! The shell over real HTTP on loopback: enrol, stream, apply, upload, and the fall back to long polls.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use trunkline_api::object::{Kind, Object, Revision};
use trunkline_api::signature::{Signed, public_key, sign};
use trunkline_api::sync::{EnrolAnswer, EnrolRequest, Heartbeat, Stream, StreamRecord, UploadBatch};
use trunkline_api::{Id, Prefix};
use trunkline_sync::{Link, Spool, SpoolError, SyncClient, SyncConfig, SyncError, enrol};

const KEY: [u8; 32] = [7; 32];
const PATIENCE: Duration = Duration::from_secs(20);

type Sent = UnsyncBoxBody<Bytes, Infallible>;

fn gateway() -> Id {
    Id::mint(Prefix::Gateway, 5, [5; 10])
}

fn revision(rev: u64, peers: serde_json::Value) -> Signed {
    let trunk = Object {
        kind: Kind::Trunk,
        id: Id::mint(Prefix::Trunk, 1, [1; 10]),
        tenant: Id::mint(Prefix::Tenant, 1, [1; 10]),
        version: 1,
        sha256: String::new(),
        body: json!({ "name": "t", "peers": peers }),
    };
    let revision = Revision { format: 1, gateway: gateway(), rev, base: None, upserts: vec![trunk], removes: vec![] };
    sign(&KEY, serde_json::to_string(&revision).unwrap())
}

struct Server {
    streams: bool,
    offered: watch::Sender<Signed>,
    uploads: Mutex<Vec<UploadBatch>>,
    heartbeats: watch::Sender<Option<Heartbeat>>,
    polls: watch::Sender<u32>,
}

impl Server {
    async fn start(streams: bool) -> (Arc<Self>, SocketAddr) {
        let server = Arc::new(Self {
            streams,
            offered: watch::channel(revision(3, json!(["127.0.0.1"]))).0,
            uploads: Mutex::default(),
            heartbeats: watch::channel(None).0,
            polls: watch::channel(0).0,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let server = Arc::clone(&serving);
                tokio::spawn(async move {
                    let answer = service_fn(move |request| {
                        let server = Arc::clone(&server);
                        async move { Ok::<_, Infallible>(server.answer(request).await) }
                    });
                    let _ =
                        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), answer).await;
                });
            }
        });
        (server, address)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Sent> {
        let path = request.uri().path().to_owned();
        let bearer = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        if path != "/sync/v1/enrol" && bearer.as_deref() != Some("Bearer the-credential") {
            return reply(401, &json!({ "title": "who are you" }));
        }
        let query = request.uri().query().unwrap_or_default().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        match path.as_str() {
            "/sync/v1/enrol" => {
                let asked: EnrolRequest = serde_json::from_slice(&body).unwrap();
                if asked.token != "once" {
                    return reply(403, &json!({ "title": "token used" }));
                }
                let identity = EnrolAnswer {
                    gateway: gateway(),
                    credential: "the-credential".to_owned(),
                    trusted_keys: vec![public_key(&KEY)],
                    control_plane: None,
                };
                reply(200, &serde_json::to_value(identity).unwrap())
            }
            "/sync/v1/stream" if self.streams => self.stream(),
            "/sync/v1/state" => {
                self.polls.send_modify(|polls| *polls += 1);
                assert!(query.starts_with("after="), "{query}");
                reply(200, &serde_json::to_value(&*self.offered.borrow()).unwrap())
            }
            "/sync/v1/upload" => {
                let batch: UploadBatch = serde_json::from_slice(&body).unwrap();
                let high_water = batch.records.last().unwrap().seq;
                let ack = json!({ "epoch": batch.epoch, "stream": batch.stream, "high_water": high_water });
                self.uploads.lock().unwrap().push(batch);
                reply(200, &ack)
            }
            "/sync/v1/heartbeat" => {
                self.heartbeats.send_replace(Some(serde_json::from_slice(&body).unwrap()));
                reply(200, &json!({ "server_time_us": 1_700_000_000_000_000_u64 }))
            }
            _ => reply(404, &json!({})),
        }
    }

    fn stream(&self) -> Response<Sent> {
        let offered = self.offered.subscribe();
        let frames = futures_util::stream::unfold((offered, true), |(mut offered, first)| async move {
            if !first {
                offered.changed().await.ok()?;
            }
            let signed = serde_json::to_string(&*offered.borrow_and_update()).unwrap();
            let text = format!(": hello\n\nevent: revision\nid: 1\ndata: {signed}\n\n");
            Some((Ok(Frame::data(Bytes::from(text))), (offered, false)))
        });
        let response = Response::builder().header("content-type", "text/event-stream");
        response.body(UnsyncBoxBody::new(StreamBody::new(frames))).unwrap()
    }
}

fn reply(status: u16, body: &serde_json::Value) -> Response<Sent> {
    Response::builder().status(status).body(Full::new(Bytes::from(body.to_string())).boxed_unsync()).unwrap()
}

#[derive(Default)]
struct Memory {
    identity: Mutex<Option<EnrolAnswer>>,
    applied: Mutex<(u64, Vec<Object>)>,
    usage: Mutex<Vec<StreamRecord>>,
}

impl Spool for Memory {
    fn identity(&self) -> Result<Option<EnrolAnswer>, SpoolError> {
        Ok(self.identity.lock().unwrap().clone())
    }

    fn put_identity(&self, identity: &EnrolAnswer) -> Result<(), SpoolError> {
        *self.identity.lock().unwrap() = Some(identity.clone());
        Ok(())
    }

    fn objects(&self) -> Result<(u64, Vec<Object>), SpoolError> {
        Ok(self.applied.lock().unwrap().clone())
    }

    fn apply_revision(&self, revision: &Revision, _: &Signed) -> Result<(), SpoolError> {
        *self.applied.lock().unwrap() = (revision.rev, revision.upserts.clone());
        Ok(())
    }

    fn pending(&self, stream: Stream, max: usize) -> Result<Option<UploadBatch>, SpoolError> {
        let records: Vec<StreamRecord> = match stream {
            Stream::Usage => self.usage.lock().unwrap().iter().take(max).cloned().collect(),
            Stream::Events => Vec::new(),
        };
        Ok((!records.is_empty()).then_some(UploadBatch { epoch: 4, stream, records }))
    }

    fn acknowledge(&self, _: Stream, _: u64, high_water: u64) -> Result<(), SpoolError> {
        self.usage.lock().unwrap().retain(|record| record.seq > high_water);
        Ok(())
    }
}

fn config(address: SocketAddr) -> SyncConfig {
    SyncConfig { url: format!("http://{address}"), extra_roots: Vec::new(), version: "0.1.0".to_owned() }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

#[tokio::test]
async fn a_token_becomes_an_identity_once() {
    let (_server, address) = Server::start(true).await;
    let refused = enrol(&config(address), "used", "edge-1").await.unwrap_err();
    assert!(matches!(refused, SyncError::Refused { status: 403, .. }), "{refused}");
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let nobody = enrol(&config(free), "once", "edge-1").await.unwrap_err();
    assert!(matches!(nobody, SyncError::Unreachable(_)), "{nobody}");
    let identity = enrol(&config(address), "once", "edge-1").await.unwrap();
    assert_eq!((identity.gateway, identity.control_plane), (gateway(), None));
}

#[tokio::test]
async fn plain_http_to_another_machine_does_not_start() {
    let config = SyncConfig { url: "http://192.0.2.7:7001".to_owned(), ..config(([127, 0, 0, 1], 1).into()) };
    let refused = SyncClient::start(config, Arc::new(Memory::default()), &Handle::current()).err().unwrap();
    assert!(matches!(refused, SyncError::PlainHttp { .. }), "{refused}");
}

#[tokio::test]
async fn state_comes_down_usage_goes_up_and_a_bad_revision_changes_nothing() {
    let (server, address) = Server::start(true).await;
    let memory = Arc::new(Memory::default());
    let client = SyncClient::start(config(address), memory.clone(), &Handle::current()).unwrap();
    assert_eq!(client.status().link, Link::Unenrolled);

    memory.put_identity(&enrol(&config(address), "once", "edge-1").await.unwrap()).unwrap();
    client.enrolled();
    let mut state = client.state();
    within("revision 3", state.wait_for(|state| state.rev == 3)).await.unwrap();
    assert_eq!(memory.objects().unwrap().0, 3, "what serves is stored first");

    let bodies = (1..=3).map(|seq| StreamRecord { seq, body: json!({ "n": seq }) });
    memory.usage.lock().unwrap().extend(bodies);
    client.new_records();
    let mut status = client.watch_status();
    within("the upload", status.wait_for(|status| status.uploaded[0] == 3)).await.unwrap();
    assert!(memory.usage.lock().unwrap().is_empty(), "acknowledged records are dropped");
    assert_eq!(server.uploads.lock().unwrap()[0].records.len(), 3);

    client.set_calls(17);
    server.offered.send_replace(revision(4, json!("not a list")));
    within("the refusal", status.wait_for(|status| status.rejected.is_some())).await.unwrap();
    let mut heartbeats = server.heartbeats.subscribe();
    let reported =
        within("the report", heartbeats.wait_for(|beat| beat.as_ref().is_some_and(|beat| beat.rejected.is_some())))
            .await
            .unwrap()
            .clone()
            .unwrap();
    assert_eq!((reported.applied_rev, reported.rejected.unwrap().rev, reported.calls), (3, 4, 17));
    assert_eq!(client.state().borrow().rev, 3);

    server.offered.send_replace(revision(5, json!(["127.0.0.1"])));
    within("revision 5", state.wait_for(|state| state.rev == 5)).await.unwrap();
    within("the all-clear", status.wait_for(|status| status.rejected.is_none())).await.unwrap();
    assert!(client.clock_offset_us() < 0, "this machine's clock is later than 2023");
}

#[tokio::test]
async fn without_streams_the_state_comes_by_long_poll() {
    let (server, address) = Server::start(false).await;
    let memory = Arc::new(Memory::default());
    memory.put_identity(&enrol(&config(address), "once", "edge-1").await.unwrap()).unwrap();
    let client = SyncClient::start(config(address), memory, &Handle::current()).unwrap();
    let mut state = client.state();
    within("revision 3", state.wait_for(|state| state.rev == 3)).await.unwrap();
    assert!(*server.polls.borrow() > 0);
    assert!(client.status().downlink_trouble.is_none(), "{:?}", client.status());
}

#[tokio::test]
async fn the_last_known_good_state_serves_while_nobody_answers() {
    let memory = Arc::new(Memory::default());
    let trunk = serde_json::from_str::<Revision>(&revision(8, json!(["127.0.0.1"])).payload).unwrap().upserts;
    *memory.applied.lock().unwrap() = (8, trunk);
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    memory
        .put_identity(&EnrolAnswer {
            gateway: gateway(),
            credential: "x".to_owned(),
            trusted_keys: Vec::new(),
            control_plane: None,
        })
        .unwrap();
    let client = SyncClient::start(config(free), memory, &Handle::current()).unwrap();
    assert_eq!(client.state().borrow().rev, 8);
    let mut status = client.watch_status();
    within("the back-off", status.wait_for(|status| status.link == Link::BackingOff)).await.unwrap();
    assert!(client.status().downlink_trouble.is_some());
}
