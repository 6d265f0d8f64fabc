//! A client that trusts one key: who has it is spoken to under any address, everybody else gets nothing.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use trunkline_egress::{Egress, EgressConfig, EgressError, PinnedAuthority, Request, key_sha256};
use url::Url;

const FIXED: &str = "service.test.internal";

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn pin(&self) -> [u8; 32] {
        key_sha256(&self.certificate).unwrap()
    }

    /// A server's chain and key, as `change` made it.
    fn server(&self, change: impl Fn(&mut CertificateParams)) -> Presented {
        let mut params = CertificateParams::new(vec![FIXED.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Presented { chain: vec![certificate.der().clone(), self.certificate.clone()], key }
    }
}

struct Presented {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

/// Serves over TLS; counts the requests that got through a handshake.
async fn serve(presented: Presented) -> (SocketAddr, Arc<AtomicUsize>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(presented.key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(presented.chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            if stream.read_u8().await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await.unwrap();
                stream.shutdown().await.unwrap();
            }
        }
    });
    (address, seen)
}

async fn ask(address: SocketAddr, host: &str, pin: [u8; 32], also_named: Option<&str>) -> Result<(), EgressError> {
    let url = Url::parse(&format!("https://{host}:{}/", address.port())).unwrap();
    let pinned = Some(PinnedAuthority { key_sha256: pin, also_named: also_named.map(str::to_owned) });
    let private_hosts = vec![url.as_str().trim_end_matches('/').parse().unwrap()];
    let egress = Egress::new(EgressConfig { pinned, private_hosts, ..EgressConfig::default() })?;
    egress.request(Request::get(url)).await.map(|answer| assert_eq!(answer.status, 200))
}

#[tokio::test]
async fn the_holder_of_the_pinned_key_is_reached_under_any_address() {
    let authority = Authority::new();
    let (address, seen) = serve(authority.server(|_| {})).await;
    ask(address, "127.0.0.1", authority.pin(), Some(FIXED)).await.unwrap();
    ask(address, "localhost", authority.pin(), Some(FIXED)).await.unwrap();
    assert_eq!(seen.load(Ordering::SeqCst), 2);
    let error = ask(address, "localhost", authority.pin(), None).await.unwrap_err();
    assert!(matches!(error, EgressError::Certificate { .. }), "{error}");
    assert_eq!(seen.load(Ordering::SeqCst), 2, "nothing was sent");
}

#[tokio::test]
async fn another_key_is_refused_by_name_and_gets_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (address, seen) = serve(other.server(|_| {})).await;
    let error = ask(address, "127.0.0.1", authority.pin(), Some(FIXED)).await.unwrap_err();
    assert_eq!(error, EgressError::NotPinned { host: format!("https://{address}") });
    assert_eq!(seen.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn showing_the_authority_without_its_signature_gains_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let mut forged = other.server(|_| {});
    forged.chain[1] = authority.certificate.clone();
    let (address, seen) = serve(forged).await;
    let error = ask(address, "127.0.0.1", authority.pin(), Some(FIXED)).await.unwrap_err();
    assert!(matches!(error, EgressError::Certificate { .. }), "{error}");
    assert_eq!(seen.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_certificate_that_is_over_or_for_another_purpose_is_refused() {
    let authority = Authority::new();
    let over = authority.server(|params| params.not_after = date_time_ymd(2020, 1, 1));
    let (address, _) = serve(over).await;
    let error = ask(address, "127.0.0.1", authority.pin(), Some(FIXED)).await.unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
    let client = authority.server(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let (address, seen) = serve(client).await;
    let error = ask(address, "127.0.0.1", authority.pin(), Some(FIXED)).await.unwrap_err();
    assert!(matches!(error, EgressError::Certificate { .. }), "{error}");
    assert_eq!(seen.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_port_without_tls_is_said_to_be_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let error = ask(address, "127.0.0.1", [0; 32], Some(FIXED)).await.unwrap_err();
    assert_eq!(error, EgressError::NotTls { host: format!("https://{address}") });
}
