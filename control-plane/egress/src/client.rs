//! The client itself: one pool of connections, one guard, one set of trusted roots.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, HOST, LOCATION, PROXY_AUTHORIZATION};
use http::{Method, StatusCode, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;
use url::Url;

use crate::body::Body;
use crate::connect::{Guard, GuardedConnector};
use crate::error::EgressError;
use crate::pattern::HostPattern;
use crate::pin::{HandshakeFault, PinVerifier, PinnedAuthority, handshake_fault};
use crate::request::{Redirects, Request, Response};

/// What the operator decides about everything that leaves the machine.
#[derive(Debug, Clone)]
pub struct EgressConfig {
    /// Hosts that may be at private, loopback or link-local addresses; only exact hosts count.
    pub private_hosts: Vec<HostPattern>,
    /// Names with fixed addresses, lower case; they are checked like resolved ones.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// Name resolution and TCP connection together.
    pub connect_timeout: Duration,
    /// Idle connections kept per host.
    pub idle_per_host: usize,
    /// Root certificates (DER) trusted beside Mozilla's.
    pub extra_roots: Vec<Vec<u8>>,
    /// Trust in this authority alone, instead of any root, for a client that speaks to one service.
    pub pinned: Option<PinnedAuthority>,
    /// The `User-Agent` of requests that name none.
    pub user_agent: String,
}

impl Default for EgressConfig {
    /// Public addresses only, 5 s to connect, 8 idle connections per host.
    fn default() -> Self {
        Self {
            private_hosts: Vec::new(),
            hosts: BTreeMap::new(),
            connect_timeout: Duration::from_secs(5),
            idle_per_host: 8,
            extra_roots: Vec::new(),
            pinned: None,
            user_agent: concat!("trunkline/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// The outgoing client; clones share connections. Use it inside a tokio runtime.
#[derive(Clone, Debug)]
pub struct Egress {
    client: Client<HttpsConnector<GuardedConnector>, Full<Bytes>>,
    pub(crate) guard: Arc<Guard>,
    /// TLS without ALPN, for WebSockets.
    pub(crate) tls: Arc<ClientConfig>,
    user_agent: Arc<str>,
}

impl Egress {
    /// Builds the client; no connection is made.
    ///
    /// # Errors
    /// [`EgressError::Setup`] when an extra root is not a certificate or the pinned name not a DNS name.
    pub fn new(config: EgressConfig) -> Result<Self, EgressError> {
        let tls = tls(&config.extra_roots, config.pinned.as_ref())?;
        let guard = Arc::new(Guard {
            private: config.private_hosts,
            hosts: config.hosts,
            connect_timeout: config.connect_timeout,
        });
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.clone())
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(GuardedConnector(Arc::clone(&guard)));
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(config.idle_per_host)
            .http1_max_headers(100)
            .http1_max_buf_size(128 << 10)
            .http2_max_header_list_size(64 << 10)
            .build(connector);
        Ok(Self { client, guard, tls: Arc::new(tls), user_agent: config.user_agent.into() })
    }

    /// Sends a request and gives the response as soon as its head is there.
    ///
    /// # Errors
    /// Every [`EgressError`] but `Refused`; an HTTP error status is not an error here.
    pub async fn request(&self, request: Request) -> Result<Response, EgressError> {
        let limit = request.timeouts.head;
        let started = Instant::now();
        let timeout =
            EgressError::Timeout { what: "answer", limit_ms: limit.as_millis().try_into().unwrap_or(u64::MAX) };
        tokio::time::timeout(limit, self.follow(request, started)).await.map_err(|_| timeout)?
    }

    async fn follow(&self, mut request: Request, started: Instant) -> Result<Response, EgressError> {
        let mut hops = match request.redirects {
            Redirects::Return => None,
            Redirects::Follow(most) => Some(most),
        };
        loop {
            let response = self.once(&request, started).await?;
            let location = response.headers.get(LOCATION).and_then(|value| value.to_str().ok());
            let (Some(left), true, Some(location)) = (hops.as_mut(), is_redirect(response.status), location) else {
                return Ok(response);
            };
            if request.method != Method::GET && request.method != Method::HEAD {
                return Err(EgressError::Redirect("only GET and HEAD follow redirects"));
            }
            *left = left.checked_sub(1).ok_or(EgressError::Redirect("too many of them"))?;
            let next = request.url.join(location).map_err(|_| EgressError::Redirect("its target is not a URL"))?;
            if request.url.scheme() == "https" && next.scheme() != "https" {
                return Err(EgressError::Redirect("it leads from https to http"));
            }
            if next.origin() != request.url.origin() {
                for credential in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE] {
                    request.headers.remove(credential);
                }
            }
            request.url = next;
        }
    }

    async fn once(&self, request: &Request, started: Instant) -> Result<Response, EgressError> {
        check_url(&request.url, &["http", "https"], request.allow.as_deref())?;
        let uri: Uri = request
            .url
            .as_str()
            .parse()
            .map_err(|_| EgressError::Url { url: plain(&request.url), why: "it is not a URI" })?;
        let mut outgoing = http::Request::new(Full::new(request.body.clone()));
        *outgoing.method_mut() = request.method.clone();
        *outgoing.uri_mut() = uri;
        *outgoing.headers_mut() = request.headers.clone();
        outgoing.headers_mut().remove(HOST);
        if !outgoing.headers().contains_key(http::header::USER_AGENT)
            && let Ok(agent) = self.user_agent.parse()
        {
            outgoing.headers_mut().insert(http::header::USER_AGENT, agent);
        }
        let response = self.client.request(outgoing).await.map_err(|error| from_client(&error, &request.url))?;
        let (head, incoming) = response.into_parts();
        let deadline = request.timeouts.total.map(|limit| (started + limit, limit));
        let body = Body { incoming, seen: 0, max: request.max_body, idle: request.timeouts.idle, deadline };
        Ok(Response { status: head.status, headers: head.headers, url: request.url.clone(), body })
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn tls(extra_roots: &[Vec<u8>], pinned: Option<&PinnedAuthority>) -> Result<ClientConfig, EgressError> {
    let setup = |error: rustls::Error| EgressError::Setup(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(setup)?;
    if let Some(pin) = pinned {
        let not_a_name = || EgressError::Setup("the name beside the pinned key is not a DNS name".to_owned());
        let verifier = Arc::new(PinVerifier::new(pin, provider).ok_or_else(not_a_name)?);
        return Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth());
    }
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for der in extra_roots {
        roots.add(CertificateDer::from(der.clone())).map_err(setup)?;
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The checks that need no network.
pub(crate) fn check_url(url: &Url, schemes: &[&str], allow: Option<&[HostPattern]>) -> Result<(), EgressError> {
    let refused = |why| EgressError::Url { url: plain(url), why };
    if !schemes.contains(&url.scheme()) {
        return Err(refused("its scheme is not one of http, https, ws, wss as fits the call"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("it carries user information"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(refused("it has no host"));
    }
    match allow {
        Some(allow) if !allow.iter().any(|pattern| pattern.matches(url)) => {
            let origin = HostPattern::origin_of(url).map_or_else(|| plain(url), |origin| origin.to_string());
            Err(EgressError::NotAllowed { origin })
        }
        _ => Ok(()),
    }
}

/// A URL fit for a log: no user information, query or fragment.
pub(crate) fn plain(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or(""), url.path())
}

/// The guard's own refusal or that of the handshake, wherever hyper wrapped it.
fn from_client(error: &hyper_util::client::legacy::Error, url: &Url) -> EgressError {
    let mut current: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = current {
        if let Some(own) = error.downcast_ref::<EgressError>() {
            return own.clone();
        }
        current = error.source();
    }
    let host = || HostPattern::origin_of(url).map_or_else(|| plain(url), |origin| origin.to_string());
    match handshake_fault(error) {
        Some(HandshakeFault::NotPinned) => EgressError::NotPinned { host: host() },
        Some(HandshakeFault::Certificate(why)) => EgressError::Certificate { host: host(), why },
        Some(HandshakeFault::NotTls) => EgressError::NotTls { host: host() },
        None => EgressError::Protocol(chain(error)),
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
