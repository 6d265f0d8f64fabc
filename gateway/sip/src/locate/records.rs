//! Records of the DNS, as far as SIP looks at them, and the cache they come from.

use std::net::IpAddr;

/// A question to a name server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// NAPTR records of a domain.
    Naptr(String),
    /// SRV records of a service.
    Srv(String),
    /// A records of a host.
    A(String),
    /// AAAA records of a host.
    Aaaa(String),
}

/// What a cache knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<T> {
    /// These records; none when there are none, or no such name.
    Known(Vec<T>),
    /// It was never asked, or too long ago.
    Unknown,
    /// The name server did not answer, or failed: as though there were none, for now.
    Failed,
}

/// What a name server said to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answers {
    /// To [`Question::Naptr`].
    Naptr(Vec<Naptr>),
    /// To [`Question::Srv`].
    Srv(Vec<Srv>),
    /// To [`Question::A`] and [`Question::Aaaa`].
    Addresses(Vec<IpAddr>),
}

/// A cache of records. Names are in lower case, without a dot at the end.
pub trait Records {
    /// NAPTR records.
    fn naptr(&self, domain: &str) -> Found<Naptr>;
    /// SRV records.
    fn srv(&self, service: &str) -> Found<Srv>;
    /// Addresses: A records, or AAAA records when `v6`.
    fn addresses(&self, host: &str, v6: bool) -> Found<IpAddr>;
}

/// A NAPTR record (RFC 3403).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naptr {
    /// Lower is looked at first.
    pub order: u16,
    /// Of equals, lower is preferred.
    pub preference: u16,
    /// `s` says that the replacement has SRV records.
    pub flags: String,
    /// `SIP+D2U`, `SIP+D2T`, `SIPS+D2T`, `SIP+D2W`, `SIPS+D2W`.
    pub service: String,
    /// A rule to rewrite by; SIP uses none.
    pub regexp: String,
    /// What to look for next.
    pub replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Srv {
    /// Lower is tried first.
    pub priority: u16,
    /// Of equals, its share of what is tried first.
    pub weight: u16,
    /// Port.
    pub port: u16,
    /// Host; `.` or nothing says that the service is not there.
    pub target: String,
}
