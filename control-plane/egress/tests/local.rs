//! The client against servers on loopback that behave and that do not.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use trunkline_egress::{
    Egress, EgressConfig, EgressError, HostPattern, Message, Redirects, Request, ServerSentEvents, Timeouts,
    WebSocketRequest,
};
use url::Url;

/// Serves one answer per connection, chosen by the request's path, and hands over the request heads.
async fn server(answer: fn(&str) -> Vec<u8>) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, heads) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            seen.send(head).unwrap();
            stream.write_all(&answer(&path)).await.unwrap();
            if path == "/stall" {
                // Held open until the client gives up.
                drop(stream.read_u8().await);
            }
        }
    });
    (address, heads)
}

fn plain(_: &str) -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello".to_vec()
}

fn client(address: SocketAddr) -> Egress {
    let private_hosts = ["http", "ws"].map(|scheme| format!("{scheme}://{address}").parse().unwrap()).to_vec();
    Egress::new(EgressConfig { private_hosts, ..EgressConfig::default() }).unwrap()
}

fn url(address: SocketAddr, path: &str) -> Url {
    Url::parse(&format!("http://{address}{path}")).unwrap()
}

#[tokio::test]
async fn private_addresses_are_refused_however_they_are_named_unless_exactly_that_host_is_allowed() {
    let (address, mut heads) = server(plain).await;
    let mut config = EgressConfig::default();
    config.hosts.insert("inside.test".to_owned(), vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    config.hosts.insert("mixed.test".to_owned(), vec!["192.0.78.9".parse().unwrap(), IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    let guarded = Egress::new(config.clone()).unwrap();
    let port = address.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "inside.test",
        "INSIDE.test.",
        "mixed.test",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
    ] {
        let request = Request::get(Url::parse(&format!("http://{host}:{port}/")).unwrap());
        let error = guarded.request(request).await.unwrap_err();
        assert!(matches!(error, EgressError::PrivateAddress { .. }), "{host}: {error}");
    }
    assert!(heads.try_recv().is_err(), "nothing was connected to");
    config.private_hosts = vec![format!("http://inside.test:{port}").parse().unwrap(), "http://*:*".parse().unwrap()];
    let allowed = Egress::new(config).unwrap();
    let response =
        allowed.request(Request::get(Url::parse(&format!("http://inside.test:{port}/")).unwrap())).await.unwrap();
    assert_eq!(response.body.bytes().await.unwrap(), "hello");
    let other = allowed.request(Request::get(url(address, "/"))).await;
    assert!(matches!(other, Err(EgressError::PrivateAddress { .. })), "a wildcard allows no private address");
}

#[tokio::test]
async fn the_allow_list_and_the_scheme_are_checked_before_anything_leaves() {
    let (address, mut heads) = server(plain).await;
    let client = client(address);
    let mut request = Request::get(url(address, "/"));
    request.allow = Some(Arc::from(vec!["https://api.test".parse::<HostPattern>().unwrap()]));
    assert_eq!(
        client.request(request).await.unwrap_err(),
        EgressError::NotAllowed { origin: format!("http://{address}") }
    );
    for bad in ["ftp://x/", "http://user@x/", "ws://x/"] {
        assert!(
            matches!(client.request(Request::get(Url::parse(bad).unwrap())).await, Err(EgressError::Url { .. })),
            "{bad}"
        );
    }
    assert!(heads.try_recv().is_err());
}

#[tokio::test]
async fn headers_and_bearer_arrive_and_the_host_header_is_the_urls() {
    let (address, mut heads) = server(plain).await;
    let request =
        Request::post_json(url(address, "/x?y=1"), "{}").bearer("tok").unwrap().header("host", "evil.test").unwrap();
    assert!(!format!("{request:?}").contains("tok"), "the token stays out of debug output");
    assert_eq!(client(address).request(request).await.unwrap().status, 200);
    let head = heads.recv().await.unwrap().to_ascii_lowercase();
    assert!(head.starts_with("post /x?y=1 http/1.1\r\n") && head.contains(&format!("host: {address}\r\n")));
    assert!(head.contains("authorization: bearer tok\r\n") && !head.contains("evil.test"));
    assert!(Request::get(url(address, "/")).bearer("a\r\nb").is_err());
}

#[tokio::test]
async fn redirects_are_returned_unless_asked_for_and_each_hop_is_checked() {
    fn answer(path: &str) -> Vec<u8> {
        match path {
            "/away" => b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
            "/loop" => b"HTTP/1.1 302 Found\r\nlocation: /loop\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
            "/near" => b"HTTP/1.1 307 X\r\nlocation: /end\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
            other => plain(other),
        }
    }
    let (address, _heads) = server(answer).await;
    let client = client(address);
    assert_eq!(client.request(Request::get(url(address, "/near"))).await.unwrap().status, 307);
    let follow = |path: &str| {
        let mut request = Request::get(url(address, path));
        request.redirects = Redirects::Follow(3);
        client.request(request)
    };
    assert_eq!(follow("/near").await.unwrap().url.path(), "/end");
    assert!(matches!(follow("/away").await, Err(EgressError::PrivateAddress { .. })));
    assert!(matches!(follow("/loop").await, Err(EgressError::Redirect(_))));
}

#[tokio::test]
async fn a_body_past_its_limit_and_a_server_that_falls_silent_end_the_request() {
    fn answer(path: &str) -> Vec<u8> {
        match path {
            "/stall" => b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec(),
            other => plain(other),
        }
    }
    let (address, _heads) = server(answer).await;
    let client = client(address);
    let mut small = Request::get(url(address, "/"));
    small.max_body = Some(4);
    let response = client.request(small).await.unwrap();
    assert!(matches!(response.body.bytes().await, Err(EgressError::TooLarge { limit: 4, .. })));
    let mut stall = Request::get(url(address, "/stall"));
    stall.timeouts = Timeouts { idle: Duration::from_millis(50), ..Timeouts::default() };
    let mut body = client.request(stall.clone()).await.unwrap().body;
    assert_eq!(body.chunk().await.unwrap().unwrap(), "half");
    assert!(matches!(body.chunk().await, Err(EgressError::Timeout { what: "data", .. })));
    drop(body);
    stall.timeouts = Timeouts { total: Some(Duration::from_millis(50)), ..Timeouts::default() };
    let body = client.request(stall).await.unwrap().body;
    assert!(matches!(body.bytes().await, Err(EgressError::Timeout { what: "whole response", .. })));
}

#[tokio::test]
async fn a_port_nobody_listens_on_and_a_name_that_is_none_are_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = client(address).request(Request::get(url(address, "/"))).await.unwrap_err();
    assert!(matches!(error, EgressError::Connect { .. }) && error.retryable(), "{error}");
}

#[tokio::test]
async fn an_event_stream_is_read_as_it_comes() {
    fn answer(_: &str) -> Vec<u8> {
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\nid: 7\ndat\r\n8\r\na: one\n\n\r\n0\r\n\r\n".to_vec()
    }
    let (address, mut heads) = server(answer).await;
    let request = Request::get(url(address, "/")).event_stream(Duration::from_secs(5));
    let mut response = client(address).request(request).await.unwrap();
    let mut events = ServerSentEvents::new(1024);
    let mut found = Vec::new();
    while let Some(piece) = response.body.chunk().await.unwrap() {
        events.push(&piece).unwrap();
        while let Some(event) = events.next_event().unwrap() {
            found.push((event.id, event.data));
        }
    }
    assert_eq!(found, [(Some("7".to_owned()), "one".to_owned())]);
    assert!(heads.recv().await.unwrap().contains("accept: text/event-stream\r\n"));
}

#[tokio::test]
async fn a_websocket_talks_both_ways_within_its_limits_and_a_refused_handshake_gives_its_status() {
    use futures_util::{SinkExt, StreamExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() || message.is_binary() {
                    socket.send(message).await.unwrap();
                }
            }
        }
    });
    let mut request = WebSocketRequest::new(Url::parse(&format!("ws://{address}/")).unwrap());
    request.max_message = 100;
    let client = client(address);
    let (mut sender, mut receiver) = client.connect_websocket(request.clone()).await.unwrap().split();
    sender.send(Message::Text("hi".into())).await.unwrap();
    assert_eq!(receiver.receive().await.unwrap(), Some(Message::Text("hi".into())));
    sender.send(Message::Close(1000, String::new())).await.unwrap();
    assert_eq!(receiver.receive().await.unwrap(), Some(Message::Close(1000, String::new())));
    assert_eq!(receiver.receive().await.unwrap(), None);
    let (mut sender, mut receiver) = client.connect_websocket(request).await.unwrap().split();
    sender.send(Message::Binary(vec![7; 101].into())).await.unwrap();
    assert!(matches!(receiver.receive().await, Err(EgressError::TooLarge { limit: 100, .. })));

    fn refuse(_: &str) -> Vec<u8> {
        b"HTTP/1.1 429 Slow down\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n".to_vec()
    }
    let (address, _heads) = server(refuse).await;
    let request = WebSocketRequest::new(Url::parse(&format!("ws://{address}/")).unwrap());
    let private = format!("ws://{address}").parse().unwrap();
    let client = Egress::new(EgressConfig { private_hosts: vec![private], ..EgressConfig::default() }).unwrap();
    let error = client.connect_websocket(request).await.unwrap_err();
    assert_eq!(error, EgressError::Refused { status: 429, retry_after_ms: Some(3000) });
}
