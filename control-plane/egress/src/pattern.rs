//! How operators and manifests write down a place that may be reached: `scheme://host:port`.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// `scheme://host[:port]`. The host may be exact, `*.example.com` (one or more labels below it, never itself) or `*`;
/// the port may be `*`, or left out for the scheme's own (80 or 443). Schemes: http, https, ws, wss.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPattern {
    scheme: String,
    host: Host,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Host {
    Exact(String),
    Below(String),
    Any,
}

/// A pattern that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a host pattern: write scheme://host:port with scheme http, https, ws or wss and a wildcard only as the leftmost label"
)]
pub struct PatternError(pub String);

/// The port a scheme implies.
pub(crate) fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

impl HostPattern {
    /// The pattern that matches exactly the origin of a URL; `None` for other schemes or no host.
    #[must_use]
    pub fn origin_of(url: &Url) -> Option<Self> {
        let scheme = url.scheme();
        let port = Some(url.port().or_else(|| default_port(scheme))?);
        Some(Self { scheme: scheme.to_owned(), host: Host::Exact(bare(url.host_str()?)), port })
    }

    /// Whether it names one host, without a wildcard.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        matches!(self.host, Host::Exact(_))
    }

    /// Whether the URL's scheme, host and port are covered.
    #[must_use]
    pub fn matches(&self, url: &Url) -> bool {
        let port = url.port().or_else(|| default_port(url.scheme()));
        match (url.host_str(), port) {
            (Some(host), Some(port)) => self.matches_parts(url.scheme(), host, port),
            _ => false,
        }
    }

    /// Whether scheme, host (with or without the brackets of an IPv6 literal) and port are covered.
    #[must_use]
    pub fn matches_parts(&self, scheme: &str, host: &str, port: u16) -> bool {
        let host = bare(host);
        self.scheme == scheme
            && self.port.is_none_or(|own| own == port)
            && match &self.host {
                Host::Exact(own) => *own == host,
                Host::Below(domain) => {
                    host.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
                }
                Host::Any => true,
            }
    }

    /// Whether everything `other` covers is covered by this one too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let port = self.port.is_none() || self.port == other.port;
        let host = match (&self.host, &other.host) {
            (Host::Any, _) => true,
            (Host::Exact(own), Host::Exact(theirs)) => own == theirs,
            (Host::Below(own), Host::Exact(theirs) | Host::Below(theirs)) => {
                (matches!(other.host, Host::Below(_)) && own == theirs)
                    || theirs.strip_suffix(own.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            _ => false,
        };
        self.scheme == other.scheme && port && host
    }
}

/// Lower case, without IPv6 brackets and without the root's dot.
fn bare(host: &str) -> String {
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

impl FromStr for HostPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let refused = || PatternError(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(refused)?;
        let own_port = default_port(scheme).ok_or_else(refused)?;
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let port = match port {
            Some("*") => None,
            Some(digits) => Some(digits.parse().ok().filter(|&port: &u16| port != 0).ok_or_else(refused)?),
            None => Some(own_port),
        };
        let exact = |host: &str| -> Result<String, PatternError> {
            let url = Url::parse(&format!("http://{host}/")).map_err(|_| refused())?;
            let parsed = url.host_str().map(bare).ok_or_else(refused)?;
            let plain = url.path() == "/" && url.username().is_empty() && url.port().is_none();
            if plain && !host.is_empty() && !host.contains('*') { Ok(parsed) } else { Err(refused()) }
        };
        let host = match host {
            "*" => Host::Any,
            host => match host.strip_prefix("*.") {
                Some(domain) => Host::Below(exact(domain)?),
                None => Host::Exact(exact(host)?),
            },
        };
        Ok(Self { scheme: scheme.to_owned(), host, port })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        match &self.host {
            Host::Exact(host) if host.contains(':') => write!(f, "[{host}]")?,
            Host::Exact(host) => f.write_str(host)?,
            Host::Below(domain) => write!(f, "*.{domain}")?,
            Host::Any => f.write_str("*")?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => f.write_str(":*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covers(pattern: &str, url: &str) -> bool {
        pattern.parse::<HostPattern>().unwrap().matches(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_pattern_covers_its_scheme_host_and_port_and_nothing_else() {
        assert!(covers("https://api.example.com", "https://API.example.com/v1?x"));
        assert!(covers("https://api.example.com:443", "https://api.example.com./"));
        assert!(!covers("https://api.example.com", "http://api.example.com:443/"));
        assert!(!covers("https://api.example.com", "https://api.example.com:8443/"));
        assert!(!covers("https://api.example.com", "https://api.example.com.evil.test/"));
        assert!(!covers("https://api.example.com", "https://api.example.com@evil.test/"));
        assert!(covers("wss://*.example.com", "wss://a.b.example.com/"));
        assert!(!covers("wss://*.example.com", "wss://example.com/"));
        assert!(!covers("wss://*.example.com", "wss://badexample.com/"));
        assert!(covers("http://127.0.0.1:*", "http://127.0.0.1:1234/"));
        assert!(covers("http://[::1]:8080", "http://[0:0::1]:8080/"));
        assert!(covers("https://*:*", "https://anything:1/"));
    }

    #[test]
    fn a_wider_pattern_covers_a_narrower_one() {
        let pattern = |text: &str| text.parse::<HostPattern>().unwrap();
        assert!(pattern("https://*.a.test:*").covers(&pattern("https://x.a.test")));
        assert!(pattern("https://*.a.test").covers(&pattern("https://*.b.a.test")));
        assert!(!pattern("https://*.b.a.test").covers(&pattern("https://*.a.test")));
        assert!(!pattern("https://a.test").covers(&pattern("https://*:443")));
        assert!(!pattern("https://*.a.test").covers(&pattern("https://a.test")));
    }

    #[test]
    fn patterns_that_could_be_misread_are_refused() {
        for text in [
            "api.example.com",
            "ftp://x",
            "https://",
            "https://a.*.com",
            "https://x:0",
            "https://x:99999",
            "https://x/y",
            "https://u@x",
            "https://*x",
        ] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_is_read_prints_back(text in ".{0,40}") {
            if let Ok(pattern) = text.parse::<HostPattern>() {
                prop_assert_eq!(pattern.to_string().parse::<HostPattern>(), Ok(pattern));
            }
        }
    }
}
