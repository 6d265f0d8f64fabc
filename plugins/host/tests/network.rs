//! Connections as a guest sees them: pieces, windows, refusals, and secrets it never sees.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod crafted;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crafted::{Bench, Model, request, start, text_of};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use trunkline_plugin_host::{LlmEvent, SecretSource, SessionError};

const CANARY: &str = "canary-12345";

struct OneSecret;

impl SecretSource for OneSecret {
    fn secret(&self, plugin: &str, name: &str) -> Option<String> {
        (plugin == "crafted" && name == "key").then(|| CANARY.to_owned())
    }
}

/// Reads a request's head and answers with what `answer` makes of it.
async fn serve(listener: TcpListener, answer: fn(String) -> Vec<u8>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let head = read_head(&mut stream).await;
        stream.write_all(&answer(head)).await.unwrap();
        stream.shutdown().await.unwrap();
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn listen(bench: &Bench) -> (TcpListener, SocketAddr) {
    let listener = bench.runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A model that makes one GET and says what comes, piece by piece. With `secret`, `key` goes into `authorization`.
fn getter(url: &str, mode: u32, window: u32, secret: bool) -> Model {
    let url_len = url.len();
    let masked = u64::from_le_bytes(CANARY.as_bytes()[..8].try_into().unwrap()) ^ 0x5555_5555_5555_5555;
    Model {
        imports: format!(
            r#"(import "trunkline:plugin/http@0.1.0" "send" (func $send (param {})))
               (import "trunkline:plugin/http@0.1.0" "grant" (func $grant (param i32 i32)))"#,
            "i32 ".repeat(14)
        ),
        // A secret reference at 1400: name, placement, field, prefix.
        data: format!(
            r#"(data (i32.const 1200) "GET") (data (i32.const 1300) "key") (data (i32.const 1310) "authorization") (data (i32.const 1330) "Bearer ")
               (data (i32.const 1400) "\14\05\00\00\03\00\00\00\00\00\00\00\1e\05\00\00\0d\00\00\00\32\05\00\00\07\00\00\00")
               (data (i32.const 1500) "{url}") (data (i32.const 1190) "LEAK")"#
        ),
        functions: format!(
            "(func $leaked (result i32) (local $at i32)
               (loop $next
                 (if (i64.eq (i64.xor (i64.load (local.get $at)) (i64.const 0x5555555555555555)) (i64.const {masked:#x})) (then (return (i32.const 1))))
                 (local.set $at (i32.add (local.get $at) (i32.const 1)))
                 (br_if $next (i32.lt_u (local.get $at) (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 8)))))
               (i32.const 0))"
        ),
        start: format!(
            "(call $send (i32.const 1200) (i32.const 3) (i32.const 1500) (i32.const {url_len}) (i32.const 0) (i32.const 0)
               (i32.const 1400) (i32.const {}) (i32.const 0) (i32.const 0) (i32.const {mode}) (i32.const 5000) (i32.const {window}) (i32.const 512))
             (if (i32.load8_u (i32.const 512)) (then
               (global.set $word (i32.load (i32.const 520))) (global.set $word_len (i32.load (i32.const 524)))))",
            u32::from(secret)
        ),
        resume: "(if (global.get $word_len) (then
                   (call $text (i32.const 0) (global.get $word) (global.get $word_len)) (call $finish (i32.const 1))
                   (return (call $answer (i32.const 2) (i32.const 0)))))
                 (call $answer (i32.const 0) (i32.const 0))"
            .into(),
        event: "(if (call $leaked) (then (call $text (i32.const 0) (i32.const 1190) (i32.const 4)) (call $finish (i32.const 1)) (return (call $answer (i32.const 2) (i32.const 0)))))
                (if (i32.eqz (local.get $what)) (then (return (call $answer (i32.const 0) (i32.const 0)))))
                (if (i32.eq (local.get $what) (i32.const 3)) (then
                  (call $text (i32.const 0) (local.get $p3) (local.get $p4)) (return (call $answer (i32.const 1) (i32.const 0)))))
                (if (i32.eq (local.get $what) (i32.const 4)) (then (call $finish (i32.const 0)) (return (call $answer (i32.const 1) (i32.const 0)))))
                (if (i32.eq (local.get $what) (i32.const 5)) (then
                  (call $text (i32.const 0) (local.get $p1) (local.get $p2)) (call $finish (i32.const 1)) (return (call $answer (i32.const 2) (i32.const 0)))))
                (call $text (i32.const 0) (local.get $p0) (local.get $p1)) (call $answer (i32.const 1) (i32.const 0))"
            .into(),
        cancel: "(call $grant (i32.const 1) (i32.const 100))".into(),
        ..Model::default()
    }
}

fn run(bench: &Bench, model: &Model, extra: &str) -> Result<String, SessionError> {
    let plugin = bench.model(model, extra);
    let (begin, wakes) = start();
    let mut session = plugin.llm(&serde_json::json!({}), &request(), begin)?;
    text_of(&mut session, &wakes)
}

#[test]
fn a_secret_reaches_the_server_and_never_the_guest_even_when_it_is_echoed() {
    let (seen, heard) = std::sync::mpsc::channel::<String>();
    let bench = Bench::new(|config| {
        config.secrets = Arc::new(OneSecret);
        config.granted_hosts = vec!["http://127.0.0.1:*".parse().unwrap()];
    });
    let (listener, address) = listen(&bench);
    bench.runtime.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await;
        let answer =
            format!("HTTP/1.1 200 OK\r\nx-echo: {CANARY}\r\nconnection: close\r\n\r\ndata: you sent {CANARY}\n\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
        seen.send(head).unwrap();
    });
    let hosts =
        format!("hosts = [\"http://{address}\"]\nsecrets = [{{ name = \"key\", hosts = [\"http://{address}\"] }}]");
    let text = run(&bench, &getter(&format!("http://{address}/v1"), 3, 8, true), &hosts).unwrap();
    assert_eq!(text, "you sent ***");
    assert!(
        heard.recv_timeout(Duration::from_secs(5)).unwrap().contains(&format!("authorization: Bearer {CANARY}\r\n"))
    );
}

#[test]
fn hosts_outside_the_manifest_private_addresses_and_foreign_secrets_are_refused() {
    let bench = Bench::new(|config| config.secrets = Arc::new(OneSecret));
    let (listener, address) = listen(&bench);
    bench.runtime.spawn(serve(listener, |_| b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()));
    let url = format!("http://{address}/");
    let text = run(&bench, &getter(&url, 0, 1, false), "hosts = [\"https://api.test\"]").unwrap();
    assert!(text.contains("is not among the hosts of the manifest"), "{text}");
    let text = run(&bench, &getter(&url, 0, 1, false), &format!("hosts = [\"http://{address}\"]")).unwrap();
    assert!(text.contains("not a public address"), "{text}");
    let foreign =
        format!("hosts = [\"http://{address}\"]\nsecrets = [{{ name = \"key\", hosts = [\"https://api.test\"] }}]");
    let text = run(&bench, &getter(&url, 0, 1, true), &foreign).unwrap();
    assert!(text.contains("may not be sent to this host"), "{text}");
    let text = run(&bench, &getter(&url, 0, 1, true), &format!("hosts = [\"http://{address}\"]")).unwrap();
    assert!(text.contains("is not configured for this plugin"), "{text}");
}

#[test]
fn server_sent_events_come_only_as_far_as_the_window_and_go_on_after_a_grant() {
    let bench = Bench::new(|config| config.granted_hosts = vec!["http://127.0.0.1:*".parse().unwrap()]);
    let (listener, address) = listen(&bench);
    bench.runtime.spawn(serve(listener, |_| {
        let events: String = (0..10).map(|number| format!("data: {number}\n\n")).collect();
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{events}").into_bytes()
    }));
    let plugin =
        bench.model(&getter(&format!("http://{address}/"), 3, 3, false), &format!("hosts = [\"http://{address}\"]"));
    let (begin, wakes) = start();
    let mut session = plugin.llm(&serde_json::json!({}), &request(), begin).unwrap();
    let mut text = String::new();
    let until = Instant::now() + Duration::from_secs(10);
    while text.len() < 3 && Instant::now() < until {
        wakes.recv_timeout(Duration::from_secs(5)).ok();
        session.handle_wake(0).unwrap();
        while let Some(LlmEvent::TextDelta(delta)) = session.poll_event() {
            text.push_str(&delta);
        }
    }
    assert_eq!(text, "012");
    while wakes.recv_timeout(Duration::from_millis(200)).is_ok() {
        session.handle_wake(0).unwrap();
        assert_eq!(session.poll_event(), None, "nothing more comes while the window is used up");
    }
    session.cancel(0).unwrap();
    assert_eq!(text_of(&mut session, &wakes).unwrap(), "3456789");
}

#[test]
fn lines_and_buffered_bodies_arrive_as_asked() {
    let bench = Bench::new(|config| config.granted_hosts = vec!["http://127.0.0.1:*".parse().unwrap()]);
    let (listener, address) = listen(&bench);
    bench.runtime.spawn(serve(listener, |_| b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\none\r\ntwo\nend".to_vec()));
    let (url, hosts) = (format!("http://{address}/"), format!("hosts = [\"http://{address}\"]"));
    assert_eq!(run(&bench, &getter(&url, 2, 8, false), &hosts).unwrap(), "onetwoend");
    assert_eq!(run(&bench, &getter(&url, 0, 8, false), &hosts).unwrap(), "one\r\ntwo\nend");
}

#[test]
fn a_connection_that_breaks_is_told_as_a_failure() {
    let bench = Bench::new(|config| config.granted_hosts = vec!["http://127.0.0.1:*".parse().unwrap()]);
    let (listener, address) = listen(&bench);
    bench.runtime.spawn(serve(listener, |_| b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".to_vec()));
    let text =
        run(&bench, &getter(&format!("http://{address}/"), 1, 8, false), &format!("hosts = [\"http://{address}\"]"))
            .unwrap();
    assert!(text.starts_with("short") && text.contains("the connection failed"), "{text}");
}

#[test]
fn hosts_named_by_settings_need_the_operators_grant() {
    let bench = Bench::new(|config| config.granted_hosts = vec!["http://127.0.0.1:9".parse().unwrap()]);
    let dir = bench.dir.path().join("plugin");
    crafted::folder(
        &dir,
        "llm-provider",
        &crafted::model("llm-provider", &crafted::polite()),
        "hosts = [\"settings:/base_url\"]",
    );
    crafted::with_schema(&dir, r#"{"type":"object","properties":{"base_url":{"default":"https://api.test/v1"}}}"#);
    let plugin = bench.host.load(&dir).unwrap();
    let open = |url: &str| plugin.llm(&serde_json::json!({ "base_url": url }), &request(), start().0).map(drop);
    assert_eq!(open("http://127.0.0.1:9/v1"), Ok(()));
    assert!(
        matches!(open("http://169.254.169.254/"), Err(SessionError::HostNotGranted { origin }) if origin == "http://169.254.169.254:80")
    );
    let by_default = plugin.llm(&serde_json::json!({}), &request(), start().0).map(drop);
    assert!(matches!(by_default, Err(SessionError::HostNotGranted { origin }) if origin == "https://api.test:443"));
}

#[test]
fn a_host_of_settings_that_the_manifest_names_too_needs_no_further_grant() {
    let bench = Bench::new(|_| {});
    let dir = bench.dir.path().join("plugin");
    let model = crafted::model("llm-provider", &crafted::polite());
    crafted::folder(&dir, "llm-provider", &model, "hosts = [\"https://api.test\", \"settings:/base_url\"]");
    crafted::with_schema(&dir, r#"{"type":"object","properties":{"base_url":{"default":"https://api.test/v1"}}}"#);
    let plugin = bench.host.load(&dir).unwrap();
    assert_eq!(plugin.admits(&serde_json::json!({})), Ok(()));
    assert_eq!(plugin.admits(&serde_json::json!({ "base_url": "https://api.test/v2" })), Ok(()));
    let other = plugin.admits(&serde_json::json!({ "base_url": "https://other.test/" }));
    assert!(matches!(other, Err(SessionError::HostNotGranted { origin }) if origin == "https://other.test:443"));
}

#[test]
fn a_websocket_opens_echoes_and_closes() {
    let bench = Bench::new(|config| config.granted_hosts = vec!["ws://127.0.0.1:*".parse().unwrap()]);
    let (listener, address) = listen(&bench);
    bench.runtime.spawn(async move {
        use futures_util::{SinkExt, StreamExt};
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() {
                socket.send(message).await.unwrap();
            }
        }
    });
    let url = format!("ws://{address}/talk");
    let url_len = url.len();
    let model = Model {
        imports: format!(
            r#"(import "trunkline:plugin/websocket@0.1.0" "connect" (func $connect (param {})))
               (import "trunkline:plugin/websocket@0.1.0" "send" (func $send (param i32 i32 i32 i32 i32)))
               (import "trunkline:plugin/websocket@0.1.0" "close" (func $close (param i32 i32 i32 i32)))"#,
            "i32 ".repeat(11)
        ),
        data: format!(r#"(data (i32.const 1200) "marco polo") (data (i32.const 1500) "{url}")"#),
        start: format!(
            "(call $connect (i32.const 1500) (i32.const {url_len}) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
               (i32.const 5000) (i32.const 4) (i32.const 512))
             (if (i32.load8_u (i32.const 512)) (then (unreachable)))"
        ),
        event: "(if (i32.eqz (local.get $what)) (then
                  (call $send (local.get $id) (i32.const 0) (i32.const 1200) (i32.const 10) (i32.const 512))
                  (return (call $answer (i32.const 0) (i32.const 0)))))
                (if (i32.eq (local.get $what) (i32.const 1)) (then
                  (call $close (local.get $id) (i32.const 1000) (i32.const 0) (i32.const 0))
                  (call $text (i32.const 0) (local.get $p1) (local.get $p2)) (return (call $answer (i32.const 1) (i32.const 0)))))
                (if (i32.and (i32.eq (local.get $what) (i32.const 2)) (i32.eq (local.get $p0) (i32.const 1000))) (then
                  (call $finish (i32.const 0)) (return (call $answer (i32.const 1) (i32.const 0)))))
                (unreachable)"
            .into(),
        ..Model::default()
    };
    assert_eq!(run(&bench, &model, &format!("hosts = [\"ws://{address}\"]")).unwrap(), "marco polo");
}
