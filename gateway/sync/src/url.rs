//! Where the control plane is, and the rule that plain HTTP never leaves the machine.

use std::net::IpAddr;

use trunkline_egress::HostPattern;
use url::{Host, Url};

use crate::SyncError;

/// A checked base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// Checks what was configured. Plain `http` is accepted for `localhost` and loopback addresses only; then both
    /// ends are loopback, since a connection to a loopback address begins at one.
    pub fn parse(text: &str) -> Result<Self, SyncError> {
        let refuse = |why| SyncError::Url { url: text.to_owned(), why };
        let mut url = Url::parse(text).map_err(|_| refuse("it is not a URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("it carries user information"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it has a query or a fragment"));
        }
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
            Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
            Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
            None => return Err(refuse("it has no host")),
        };
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            "http" => return Err(SyncError::PlainHttp { url: text.to_owned() }),
            _ => return Err(refuse("its scheme is neither https nor http")),
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Self(url))
    }

    /// The URL of a route below `/sync/v1/`.
    pub(crate) fn route(&self, route: &str) -> Result<Url, SyncError> {
        let joined = self.0.join("sync/v1/").and_then(|base| base.join(route));
        joined.map_err(|_| SyncError::Url { url: self.0.to_string(), why: "its path cannot be extended" })
    }

    /// Whether the other side has to prove who it is.
    pub(crate) fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The only origin the client may reach.
    pub(crate) fn origin(&self) -> Option<HostPattern> {
        HostPattern::origin_of(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_only() {
        for url in ["http://127.0.0.1:7001", "http://localhost:7001/", "http://[::1]:7001", "https://cp.example.com"] {
            assert!(BaseUrl::parse(url).is_ok(), "{url}");
        }
        for url in [
            "http://10.0.0.7:7001",
            "http://cp.example.com:7001",
            "http://localhost.example.com",
            "http://0.0.0.0:7001",
        ] {
            assert!(matches!(BaseUrl::parse(url), Err(SyncError::PlainHttp { .. })), "{url}");
        }
        for url in
            ["cp.example.com", "ftp://cp.example.com", "https://u:p@cp.example.com", "https://cp.example.com?x=1"]
        {
            assert!(matches!(BaseUrl::parse(url), Err(SyncError::Url { .. })), "{url}");
        }
    }

    #[test]
    fn routes_are_below_the_base_path() {
        let base = BaseUrl::parse("https://example.com/trunkline").unwrap();
        assert_eq!(base.route("upload").unwrap().as_str(), "https://example.com/trunkline/sync/v1/upload");
    }
}
