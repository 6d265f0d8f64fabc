//! Questions to the name servers of this machine. Its configuration is read anew for each: a machine whose network has changed
//! needs no restart, and a trunk has few questions, at most one in ten seconds each.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};

use crate::locate::{Answers, Naptr, Question, Srv};

/// How long a name server may take for all its attempts together.
const LOOK_UP: Duration = Duration::from_secs(5);
/// How long an answer without records holds that does not say for how long.
const NONE_FOR_S: u32 = 60;

/// Asks a question: the records and their time to live in seconds, no records when there are none, `None` when nobody
/// answered in time. `servers` are asked, or those of this machine when it names none.
pub(super) async fn ask(question: &Question, servers: &[SocketAddr]) -> Option<(Answers, u32)> {
    let (name, kind) = match question {
        Question::Naptr(domain) => (domain, RecordType::NAPTR),
        Question::Srv(service) => (service, RecordType::SRV),
        Question::A(host) => (host, RecordType::A),
        Question::Aaaa(host) => (host, RecordType::AAAA),
    };
    let resolver = match resolver(servers) {
        Ok(resolver) => resolver,
        Err(error) => {
            tracing::warn!(%error, "the machine's name servers are not known; correct /etc/resolv.conf, or name some");
            return None;
        }
    };
    // What has a dot is the whole name, whatever the machine's domain is.
    let name = if name.contains('.') { format!("{name}.") } else { name.clone() };
    match tokio::time::timeout(LOOK_UP, resolver.lookup(name.as_str(), kind)).await {
        Ok(Ok(found)) => {
            let ttl = found.valid_until().saturating_duration_since(Instant::now()).as_secs();
            Some((answers(question, &found), u32::try_from(ttl).unwrap_or(u32::MAX)))
        }
        Ok(Err(NetError::Dns(DnsError::NoRecordsFound(none)))) => {
            Some((none_of(question), none.negative_ttl.unwrap_or(NONE_FOR_S)))
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, name, "a name server did not answer");
            None
        }
        Err(_) => None,
    }
}

fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder = if servers.is_empty() {
        Resolver::builder_tokio()?
    } else {
        let server = |address: &SocketAddr| {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            connections.iter_mut().for_each(|connection| connection.port = address.port());
            NameServerConfig::new(address.ip(), true, connections)
        };
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect());
        Resolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    // What is known is kept by whoever asks.
    options.cache_size = 0;
    options.timeout = LOOK_UP / 3;
    builder.build()
}

fn answers(question: &Question, found: &Lookup) -> Answers {
    let records = found.answers().iter().map(|record| &record.data);
    match question {
        Question::Naptr(_) => Answers::Naptr(records.filter_map(naptr).collect()),
        Question::Srv(_) => Answers::Srv(records.filter_map(srv).collect()),
        Question::A(_) | Question::Aaaa(_) => Answers::Addresses(records.filter_map(address).collect()),
    }
}

const fn none_of(question: &Question) -> Answers {
    match question {
        Question::Naptr(_) => Answers::Naptr(Vec::new()),
        Question::Srv(_) => Answers::Srv(Vec::new()),
        Question::A(_) | Question::Aaaa(_) => Answers::Addresses(Vec::new()),
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "of the DNS' many kinds of records these are asked for")]
fn naptr(data: &RData) -> Option<Naptr> {
    let RData::NAPTR(record) = data else { return None };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Naptr {
        order: record.order,
        preference: record.preference,
        flags: text(&record.flags),
        service: text(&record.services),
        regexp: text(&record.regexp),
        replacement: record.replacement.to_ascii(),
    })
}

fn srv(data: &RData) -> Option<Srv> {
    let RData::SRV(record) = data else { return None };
    let target = record.target.to_ascii();
    Some(Srv { priority: record.priority, weight: record.weight, port: record.port, target })
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(address.0.into()),
        RData::AAAA(address) => Some(address.0.into()),
        _ => None,
    }
}
