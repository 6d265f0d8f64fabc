//! From a URI to the servers of a request, in the order they are to be tried (RFC 3263 4.1, 4.2).

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::order::by_priority_and_weight;
use super::records::{Found, Naptr, Question, Records, Srv};
use crate::draw::Draw;
use crate::transport::Transport;

/// Most NAPTR records, SRV records of a service, and addresses of a host that are looked at.
const MOST_RECORDS: usize = 32;
const MOST_ADDRESSES: usize = 8;
/// Most servers that are tried.
const MOST_SERVERS: usize = 64;

/// Where a request is to go, by its URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Host, or `maddr`: a name or an address, IPv6 with or without brackets.
    pub host: String,
    /// Port, where the URI has one.
    pub port: Option<u16>,
    /// `transport` parameter, where the URI has one.
    pub transport: Option<Transport>,
    /// A `sips:` URI.
    pub secure: bool,
}

/// Which address families are used, and which first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
    /// IPv4 before IPv6 of the same host.
    V4First,
    /// IPv6 before IPv4 of the same host.
    V6First,
}

/// What we can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Transports, the preferred one first.
    pub transports: Vec<Transport>,
    /// Address families.
    pub families: Families,
}

/// A server to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Address and port.
    pub address: SocketAddr,
    /// Transport.
    pub transport: Transport,
    /// The name that its certificate must be for: the URI's host, never what DNS made of it (RFC 5922 4).
    pub certificate_name: String,
}

/// Why there is no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// These records are to be looked up first; then ask again.
    #[error("records are to be looked up first")]
    Ask(Vec<Question>),
    /// We cannot speak what the URI or the domain asks for.
    #[error("the destination asks for a transport that is not served here; add it to the trunk's transports")]
    Transport,
    /// The host has no address of a family that is used.
    #[error("the destination has no address; correct the host, or look at the name server")]
    NoAddress,
}

/// The servers for a destination, in the order they are to be tried.
///
/// # Errors
/// What is to be looked up first, or why there is none.
pub fn servers(
    to: &Destination,
    policy: &Policy,
    records: &dyn Records,
    draw: &mut Draw,
) -> Result<Vec<Server>, LocateError> {
    let mut search = Search { to, policy, records, asks: BTreeSet::new(), found: Vec::new() };
    let plain = to.host.trim_start_matches('[').trim_end_matches(']');
    let allowed = |transport: &Transport| {
        policy.transports.contains(transport)
            && (!to.secure || transport.is_secure())
            && to.transport.is_none_or(|wanted| wanted == *transport || to.secure && secured(wanted) == *transport)
    };
    let usable: Vec<Transport> = policy.transports.iter().copied().filter(allowed).collect();
    if usable.is_empty() {
        return Err(LocateError::Transport);
    }
    // Without a word on the transport: UDP, or TLS for `sips:` (RFC 3263 4.1); whatever else we can where we cannot.
    let unsaid = if to.secure { Transport::Tls } else { Transport::Udp };
    let unsaid = usable.iter().copied().find(|transport| *transport == unsaid).or_else(|| usable.first().copied());
    let unsaid = unsaid.ok_or(LocateError::Transport)?;
    if let Ok(address) = plain.parse::<IpAddr>() {
        search.add(address, to.port, unsaid);
    } else if to.port.is_some() {
        search.host(plain, to.port, unsaid);
    } else {
        search.by_service(plain, &usable, unsaid, draw);
    }
    let Search { asks, mut found, .. } = search;
    if !asks.is_empty() {
        return Err(LocateError::Ask(asks.into_iter().collect()));
    }
    found.truncate(MOST_SERVERS);
    if found.is_empty() { Err(LocateError::NoAddress) } else { Ok(found) }
}

const fn secured(transport: Transport) -> Transport {
    match transport {
        Transport::Udp | Transport::Tcp | Transport::Tls => Transport::Tls,
        Transport::Ws | Transport::Wss => Transport::Wss,
    }
}

struct Search<'a> {
    to: &'a Destination,
    policy: &'a Policy,
    records: &'a dyn Records,
    asks: BTreeSet<Question>,
    found: Vec<Server>,
}

impl Search<'_> {
    /// A name without a port: NAPTR where the transport is open, then SRV, then addresses.
    fn by_service(&mut self, domain: &str, usable: &[Transport], unsaid: Transport, draw: &mut Draw) {
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        let mut services: Vec<(Transport, String)> = Vec::new();
        let mut by_naptr = false;
        if self.to.transport.is_none() {
            let naptr = self.known(self.records.naptr(&domain), Question::Naptr(domain.clone()));
            services = named_services(naptr, usable);
            by_naptr = !services.is_empty();
        }
        if services.is_empty() {
            services =
                usable.iter().map(|&transport| (transport, format!("{}.{domain}", transport.service()))).collect();
        }
        let mut any_service = false;
        for (transport, service) in services {
            let found = self.known(self.records.srv(&service), Question::Srv(service.clone()));
            any_service |= !found.is_empty();
            let there: Vec<Srv> = found.into_iter().filter(|srv| !matches!(srv.target.as_str(), "." | "")).collect();
            for srv in by_priority_and_weight(there, draw) {
                let target = srv.target.trim_end_matches('.').to_ascii_lowercase();
                self.host(&target, Some(srv.port), transport);
            }
        }
        // A domain that says that a service is not there means it.
        if !any_service && !by_naptr && self.asks.is_empty() {
            self.host(&domain, None, unsaid);
        }
    }

    fn host(&mut self, host: &str, port: Option<u16>, transport: Transport) {
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.add(address, port, transport);
        }
        let host = host.to_ascii_lowercase();
        let families: &[bool] = match self.policy.families {
            Families::V4 => &[false],
            Families::V6 => &[true],
            Families::V4First => &[false, true],
            Families::V6First => &[true, false],
        };
        for &v6 in families {
            let question = if v6 { Question::Aaaa(host.clone()) } else { Question::A(host.clone()) };
            let addresses = self.known(self.records.addresses(&host, v6), question);
            for address in addresses.into_iter().filter(|address| address.is_ipv6() == v6).take(MOST_ADDRESSES) {
                self.add(address, port, transport);
            }
        }
    }

    fn add(&mut self, address: IpAddr, port: Option<u16>, transport: Transport) {
        let wanted = match self.policy.families {
            Families::V4 => address.is_ipv4(),
            Families::V6 => address.is_ipv6(),
            Families::V4First | Families::V6First => true,
        };
        let address = SocketAddr::new(address, port.unwrap_or_else(|| transport.default_port()));
        let server = Server { address, transport, certificate_name: self.to.host.clone() };
        if wanted && port != Some(0) && self.found.len() < MOST_SERVERS && !self.found.contains(&server) {
            self.found.push(server);
        }
    }

    fn known<T>(&mut self, found: Found<T>, question: Question) -> Vec<T> {
        match found {
            Found::Known(mut records) => {
                records.truncate(MOST_RECORDS);
                records
            }
            Found::Unknown => {
                self.asks.insert(question);
                Vec::new()
            }
            Found::Failed => Vec::new(),
        }
    }
}

/// The services that NAPTR records name and that we can use, in their order (RFC 3263 4.1).
fn named_services(mut naptr: Vec<Naptr>, usable: &[Transport]) -> Vec<(Transport, String)> {
    naptr.sort_by_key(|record| (record.order, record.preference));
    let services = naptr.into_iter().filter_map(|record| {
        let transport = Transport::of_naptr(&record.service).filter(|transport| usable.contains(transport))?;
        let by_srv = record.flags.eq_ignore_ascii_case("s") && record.regexp.is_empty();
        by_srv.then(|| (transport, record.replacement.trim_end_matches('.').to_ascii_lowercase()))
    });
    services.collect()
}
