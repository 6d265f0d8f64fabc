//! TLS of the public and the sync listener: ordinary clients that have the authority's certificate, gateways that have
//! its fingerprint, and those who have neither.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;
use trunkline_api::enrolment::{CONTROL_PLANE_NAME, EnrolmentToken};
use trunkline_control_plane::config::TlsMode;
use trunkline_control_plane::server::{self, Running};
use trunkline_egress::{Egress, EgressConfig, EgressError, PinnedAuthority, Request, key_sha256};
use url::Url;

use crate::harness::{DEADLINE, Http, config};

async fn encrypted(folder: &TempDir) -> Running {
    let mut config = config(folder);
    config.tls.mode = TlsMode::Always;
    server::start(config).await.unwrap()
}

fn authority(folder: &TempDir) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(folder.path().join("ca.crt")).unwrap()
}

/// A client that trusts one key.
fn pinning(address: SocketAddr, key_sha256: [u8; 32]) -> Egress {
    let pinned = Some(PinnedAuthority { key_sha256, also_named: Some(CONTROL_PLANE_NAME.to_owned()) });
    let private_hosts = vec![format!("https://{address}").parse().unwrap()];
    Egress::new(EgressConfig { pinned, private_hosts, ..EgressConfig::default() }).unwrap()
}

fn url(address: SocketAddr, path: &str) -> Url {
    Url::parse(&format!("https://{address}{path}")).unwrap()
}

async fn token(running: &Running, pin: [u8; 32]) -> EnrolmentToken {
    let key = running.admin_key.as_deref().unwrap();
    let request = Request::post_json(url(running.public, "/v1/enrolment-tokens"), "{}").bearer(key).unwrap();
    let answer = pinning(running.public, pin).request(request).await.unwrap();
    assert_eq!(answer.status, 201);
    let body: serde_json::Value = serde_json::from_slice(&answer.body.bytes().await.unwrap()).unwrap();
    body["data"]["token"].as_str().unwrap().parse().unwrap()
}

/// The server's certificate as a client sees it that knows the authority and the name.
async fn seen_by_an_ordinary_client(address: SocketAddr, folder: &TempDir) -> CertificateDer<'static> {
    let mut roots = RootCertStore::empty();
    roots.add(authority(folder)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn a_token_names_the_key_by_which_a_gateway_knows_the_control_plane() {
    let folder = tempfile::tempdir().unwrap();
    let running = encrypted(&folder).await;
    let pin = key_sha256(&authority(&folder)).unwrap();
    let token = token(&running, pin).await;
    assert_eq!(token.control_plane.unwrap().0, pin);
    let mut config = config(&folder);
    config.tls.mode = TlsMode::Always;
    let typed = server::enrolment_token(&config, DEADLINE).await.unwrap();
    assert_eq!(typed.parse::<EnrolmentToken>().unwrap().control_plane, token.control_plane);

    let wanted = json!({ "token": token.secret, "name": "edge", "version": "1" }).to_string();
    let enrol = || Request::post_json(url(running.sync, "/sync/v1/enrol"), wanted.clone());
    let error = pinning(running.sync, [1; 32]).request(enrol()).await.unwrap_err();
    assert!(matches!(error, EgressError::NotPinned { .. }), "{error}");
    // The token was not spent on whoever answered there.
    assert_eq!(pinning(running.sync, pin).request(enrol()).await.unwrap().status, 200);
}

#[tokio::test]
async fn plain_loopback_needs_no_fingerprint_and_plain_http_to_tls_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let running = server::start(config(&folder)).await.unwrap();
    let http = Http::new(running.public, running.admin_key.as_deref().unwrap());
    let made = http.post("/v1/enrolment-tokens", &json!({})).await;
    assert!(!made.body["data"]["token"].as_str().unwrap().contains('.'));
    assert!(!folder.path().join("ca.key").exists(), "no authority is made that nobody needs");
    running.stop().await;

    let running = encrypted(&folder).await;
    for address in [running.public, running.sync] {
        let answer = Http::new(address, "").send(Method::GET, "/healthz", &[], Bytes::new()).await.unwrap();
        assert_eq!(answer.status(), 400);
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("https://"));
    }
    assert_eq!(Http::new(running.metrics, "").get("/metrics").await.status, 200, "loopback, and without TLS");
    // Neither a client that says nothing nor one that talks nonsense keeps it from ending.
    let _silent = TcpStream::connect(running.sync).await.unwrap();
    tokio::time::timeout(DEADLINE, running.stop()).await.unwrap();
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_open_ones_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let running = encrypted(&folder).await;
    let pin = key_sha256(&authority(&folder)).unwrap();
    let first = seen_by_an_ordinary_client(running.sync, &folder).await;
    let held = pinning(running.public, pin);
    let health = || Request::get(url(running.public, "/healthz"));
    assert!(!held.request(health()).await.unwrap().body.bytes().await.unwrap().is_empty());
    running.renew_certificate();
    let begun = std::time::Instant::now();
    while seen_by_an_ordinary_client(running.sync, &folder).await == first {
        assert!(begun.elapsed() < DEADLINE, "the certificate is exchanged in time");
        tokio::task::yield_now().await;
    }
    assert_eq!(held.request(health()).await.unwrap().status, 200);
    assert_eq!(pinning(running.public, pin).request(health()).await.unwrap().status, 200);
}
