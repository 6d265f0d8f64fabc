//! The connections that are open: found by where they lead, opened when somebody is to be reached, and no more of them
//! than there may be.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::broadcast;

use super::flow::Flow;
use super::tls::Tls;
use crate::guard::network;
use crate::shared::Shared;
use crate::stream;
use crate::transport::{Hop, Transport};

/// How long a connection may take to be opened, TLS included.
const OPENING: Duration = Duration::from_secs(4);
/// Connections whose far end has not shown yet that it belongs to a trunk: all of them, and those of one address, or of one
/// network of 64 bits.
const STRANGERS: usize = 256;
const STRANGERS_OF_ONE: usize = 8;
/// The same of far ends that are known by their addresses and are still about to prove more: strangers hold none of them.
const KNOWN: usize = 256;
const KNOWN_OF_ONE: usize = 64;
/// Certificate names that are remembered.
const NAMES: usize = 256;
/// Ends of connections that are told of and not looked at yet.
const ENDS: usize = 64;

pub(crate) struct Flows {
    table: Mutex<Table>,
    most: usize,
    pub(crate) tls: Option<Arc<Tls>>,
    /// Told of every connection of ours that ends.
    ended: broadcast::Sender<Hop>,
    /// Who serves what comes over a connection that is opened here.
    shared: OnceLock<Weak<Shared>>,
}

#[derive(Default)]
struct Table {
    open: HashMap<Hop, Arc<Flow>>,
    /// Whether they are known by their address, and the part of it that they cannot easily leave.
    strangers: HashMap<(bool, u128), usize>,
    /// By whom a connection to the same place is being opened already.
    opening: HashMap<Hop, Arc<tokio::sync::Mutex<()>>>,
    /// What the certificate of an address was for, so that a connection within a call can be opened anew.
    names: HashMap<IpAddr, String>,
}

/// A far end that has not shown yet that it belongs to a trunk; counted as long as this lives.
pub(crate) struct Stranger<'a> {
    flows: &'a Flows,
    owner: (bool, u128),
}

impl Drop for Stranger<'_> {
    fn drop(&mut self) {
        let mut table = self.flows.table();
        if let Some(count) = table.strangers.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                table.strangers.remove(&self.owner);
            }
        }
    }
}

impl Flows {
    pub(crate) fn new(most: usize, tls: Option<Arc<Tls>>) -> Self {
        Self { table: Mutex::default(), most, tls, ended: broadcast::channel(ENDS).0, shared: OnceLock::new() }
    }

    /// Whoever serves them; to be said once, before any is opened.
    pub(crate) fn served_by(&self, shared: &Arc<Shared>) {
        let _ = self.shared.set(Arc::downgrade(shared));
    }

    /// The ends of connections that we opened.
    pub(crate) fn ends(&self) -> broadcast::Receiver<Hop> {
        self.ended.subscribe()
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.table().open.len()
    }

    /// The one that leads there, if it is open.
    pub(crate) fn open(&self, hop: Hop) -> Option<Arc<Flow>> {
        self.table().open.get(&hop).filter(|flow| flow.is_open()).cloned()
    }

    /// The one that leads there, opened if it is not.
    pub(crate) async fn to(&self, hop: Hop, name: Option<&str>) -> io::Result<Arc<Flow>> {
        if let Some(flow) = self.open(hop) {
            return Ok(flow);
        }
        let turn = Arc::clone(self.table().opening.entry(hop).or_default());
        let opened = {
            let _turn = turn.lock().await;
            match self.open(hop) {
                Some(flow) => Ok(flow),
                None => match tokio::time::timeout(OPENING, self.connect(hop, name)).await {
                    Ok(opened) => opened,
                    Err(_) => Err(io::ErrorKind::TimedOut.into()),
                },
            }
        };
        let mut table = self.table();
        // Held here and in the table: nobody else waits.
        if Arc::strong_count(&turn) <= 2 {
            table.opening.remove(&hop);
        }
        drop(table);
        opened
    }

    async fn connect(&self, hop: Hop, name: Option<&str>) -> io::Result<Arc<Flow>> {
        let shared = self.shared.get().and_then(Weak::upgrade).ok_or(io::ErrorKind::NotConnected)?;
        if self.count() >= self.most {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "there are as many connections as there may be"));
        }
        let tcp = TcpStream::connect(hop.address).await?;
        keep_alive(&tcp);
        match hop.transport {
            Transport::Tcp => stream::serve_ours(&shared, tcp, hop).await,
            Transport::Tls => {
                let tls = self.tls.as_ref().ok_or_else(|| io::Error::other("there is no TLS here"))?;
                let known = self.table().names.get(&hop.address.ip()).cloned();
                let name = name.map(str::to_owned).or(known).unwrap_or_else(|| hop.address.ip().to_string());
                let tls = tls.connect(&name, tcp).await?;
                self.remember(hop.address.ip(), name);
                stream::serve_ours(&shared, tls, hop).await
            }
            Transport::Udp | Transport::Ws | Transport::Wss => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn remember(&self, address: IpAddr, name: String) {
        let mut table = self.table();
        if table.names.len() >= NAMES {
            table.names.clear();
        }
        table.names.insert(address, name);
    }

    /// Counts a far end that has not shown yet who it is, apart from that by its address; `None` when there are too many.
    pub(crate) fn stranger(&self, address: IpAddr, by_address: bool) -> Option<Stranger<'_>> {
        let owner = (by_address, network(address));
        let (most, most_of_one) = if by_address { (KNOWN, KNOWN_OF_ONE) } else { (STRANGERS, STRANGERS_OF_ONE) };
        let mut table = self.table();
        let alike = table.strangers.iter().filter(|((known, _), _)| *known == by_address);
        let all: usize = alike.map(|(_, count)| count).sum();
        let of_one = table.strangers.get(&owner).copied().unwrap_or(0);
        (all < most && of_one < most_of_one).then(|| {
            table.strangers.insert(owner, of_one + 1);
            Stranger { flows: self, owner }
        })
    }

    /// A connection is open; false when there are too many.
    pub(crate) fn add(&self, flow: &Arc<Flow>) -> bool {
        let mut table = self.table();
        let room = table.open.len() < self.most;
        if room {
            table.open.insert(flow.hop, Arc::clone(flow));
        }
        room
    }

    /// It is closed.
    pub(crate) fn remove(&self, flow: &Arc<Flow>) {
        let mut table = self.table();
        if table.open.get(&flow.hop).is_some_and(|other| Arc::ptr_eq(other, flow)) {
            table.open.remove(&flow.hop);
        }
        drop(table);
        if flow.is_ours {
            // Nobody may be listening.
            let _ = self.ended.send(flow.hop);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the system notice that a far end is gone, and send at once what is to be sent.
pub(crate) fn keep_alive(tcp: &TcpStream) {
    let alive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));
    let set = socket2::SockRef::from(tcp).set_tcp_keepalive(&alive).and_then(|()| tcp.set_nodelay(true));
    if let Err(error) = set {
        tracing::debug!(%error, "a connection keeps the system's own settings");
    }
}

/// The far end's address, an IPv4 one as such.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_is_one_stranger_and_those_who_are_known_are_counted_apart() {
        let flows = Flows::new(10, None);
        let from = |network: u64, host: u64, known: bool| {
            let bits = (0x2001_0db8_u128 << 96) | (u128::from(network) << 64) | u128::from(host);
            flows.stranger(IpAddr::V6(std::net::Ipv6Addr::from_bits(bits)), known)
        };
        let taken = |network, known| (0..).map_while(|host| from(network, host, known)).collect::<Vec<_>>();
        let of_one = taken(0, false);
        assert_eq!(of_one.len(), STRANGERS_OF_ONE);
        let others: Vec<_> = (1..100).flat_map(|network| taken(network, false)).collect();
        assert_eq!(of_one.len() + others.len(), STRANGERS);
        assert_eq!(taken(0, true).len(), KNOWN_OF_ONE);
        drop((of_one, others));
        assert!(flows.table().strangers.is_empty(), "nothing is kept of whoever is gone");
    }
}
