//! Resolve, check, connect to exactly what was checked.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::address::{AddressClass, classify};
use crate::error::EgressError;
use crate::pattern::{HostPattern, default_port};

/// The guard in front of every outgoing connection.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Hosts that may be at an address which is not public.
    pub(crate) private: Vec<HostPattern>,
    /// Names the operator fixed; the resolver is not asked for them.
    pub(crate) hosts: BTreeMap<String, Vec<IpAddr>>,
    pub(crate) connect_timeout: Duration,
}

impl Guard {
    /// A TCP connection to the place a URL names, or why not.
    pub(crate) async fn connect(&self, scheme: &str, host: &str, port: u16) -> Result<TcpStream, EgressError> {
        let limit = self.connect_timeout;
        let timeout =
            || EgressError::Timeout { what: "connection", limit_ms: limit.as_millis().try_into().unwrap_or(u64::MAX) };
        tokio::time::timeout(limit, self.connect_untimed(scheme, host, port)).await.map_err(|_| timeout())?
    }

    async fn connect_untimed(&self, scheme: &str, host: &str, port: u16) -> Result<TcpStream, EgressError> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let addresses = self.resolve(bare, port).await?;
        self.check(scheme, bare, port, &addresses)?;
        let mut last = "it has no address".to_owned();
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(|error| EgressError::Protocol(error.to_string()))?;
                    return Ok(stream);
                }
                Err(error) => last = format!("{address}: {error}"),
            }
        }
        Err(EgressError::Connect { host: bare.to_owned(), why: last })
    }

    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, EgressError> {
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if let Some(fixed) = self.hosts.get(&name) {
            return Ok(fixed.iter().map(|&address| SocketAddr::new(address, port)).collect());
        }
        if let Ok(literal) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(literal, port)]);
        }
        let found = tokio::net::lookup_host((host, port)).await;
        found
            .map(Iterator::collect)
            .map_err(|error| EgressError::Resolve { host: host.to_owned(), why: error.to_string() })
    }

    /// One address that is not public condemns the name, so that an answer of mixed addresses gains nothing.
    fn check(&self, scheme: &str, host: &str, port: u16, addresses: &[SocketAddr]) -> Result<(), EgressError> {
        if self.private.iter().any(|pattern| pattern.is_exact() && pattern.matches_parts(scheme, host, port)) {
            return Ok(());
        }
        match addresses.iter().find(|address| classify(address.ip()) != AddressClass::Public) {
            Some(address) => Err(EgressError::PrivateAddress { host: host.to_owned(), address: address.ip() }),
            None => Ok(()),
        }
    }
}

/// The guard as hyper's connector.
#[derive(Clone, Debug)]
pub(crate) struct GuardedConnector(pub(crate) Arc<Guard>);

impl tower_service::Service<Uri> for GuardedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = EgressError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, EgressError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), EgressError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let scheme = uri.scheme_str().unwrap_or("http");
            let no_host = || EgressError::Url { url: uri.path().to_owned(), why: "it has no host" };
            let host = uri.host().ok_or_else(no_host)?;
            let port = uri.port_u16().or_else(|| default_port(scheme)).ok_or_else(no_host)?;
            guard.connect(scheme, host, port).await.map(TokioIo::new)
        })
    }
}
