//! What the endpoint is told at start: where it listens, how it presents itself, and every bound it keeps.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::bans::DEFAULT_SCANNERS;
use crate::session_timer::{LEAST_S, Wanted};
use crate::sight::HepConfig;
use crate::transport::Transport;

/// Configuration of a [`crate::SipEndpoint`].
#[derive(Debug, Clone)]
pub struct SipConfig {
    /// UDP address to bind, and TCP as well unless `tcp` says no; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether TCP is served at the same address (RFC 3261 18.2.1).
    pub tcp: bool,
    /// Further places to listen.
    pub listeners: Vec<Listener>,
    /// Certificates, for TLS and WebSocket over TLS.
    pub tls: TlsFiles,
    /// Address that Contact and Via carry, when it differs from the bound one (NAT, `0.0.0.0`).
    pub advertised: Option<IpAddr>,
    /// Value of User-Agent and Server.
    pub user_agent: String,
    /// What a request from an address of no trunk gets.
    pub unknown_peer: UnknownPeer,
    /// Who is not listened to for a while.
    pub bans: Bans,
    /// Bounds.
    pub limits: SipLimits,
    /// Protocol timers.
    pub timers: SipTimers,
    /// The name servers that are asked for the servers of trunks; without any, those of this machine.
    pub name_servers: Vec<SocketAddr>,
    /// The capture server that every message is shown to; `None` for none.
    pub hep: Option<HepConfig>,
}

impl SipConfig {
    /// Defaults of the product for a listen address.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            tcp: true,
            listeners: Vec::new(),
            tls: TlsFiles::default(),
            advertised: None,
            user_agent: format!("Trunkline/{}", env!("CARGO_PKG_VERSION")),
            unknown_peer: UnknownPeer::default(),
            bans: Bans::default(),
            limits: SipLimits::default(),
            timers: SipTimers::default(),
            name_servers: Vec::new(),
            hep: None,
        }
    }
}

/// A place to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// For what.
    pub transport: Transport,
    /// Address to bind; port 0 takes a free one.
    pub address: SocketAddr,
    /// Address that peers reach it at, when it differs from the bound one.
    pub advertised: Option<IpAddr>,
}

/// Files of certificates, all in PEM; they are read anew when they change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our chain and our private key: presented to clients, and to servers that ask for it.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Authorities whose clients' certificates are believed; without them no client is asked for one.
    pub client_ca: Option<PathBuf>,
    /// Authorities whose servers' certificates are believed; without them those of the Web.
    pub server_ca: Option<PathBuf>,
}

/// What a request from an address of no trunk gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownPeer {
    /// 403, at most once per request and within the unknown rate; ACK never.
    #[default]
    Reject,
    /// Nothing.
    Drop,
}

/// Who is not listened to for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bans {
    /// How long the first ban of a source lasts, in seconds; each further one twice as long, up to a day. 0 bans nobody.
    pub for_s: u32,
    /// Messages in a minute that a source of no trunk may send after which it is banned; a wrong password counts as four.
    pub after: u32,
    /// What scanners call themselves ([`crate::is_pattern`]): a source of no trunk with it in a message is banned at once.
    pub scanners: Vec<String>,
}

impl Default for Bans {
    fn default() -> Self {
        Self { for_s: 600, after: 20, scanners: DEFAULT_SCANNERS.map(str::to_owned).into() }
    }
}

/// Bounds. Everything beyond them is refused or dropped, and counted.
#[derive(Debug, Clone)]
pub struct SipLimits {
    /// Calls at once, ringing and answered; an INVITE beyond gets 503 with Retry-After.
    pub max_calls: usize,
    /// Transactions at once, and four times as many with those that ended within 64 T1; a request beyond gets a stateless
    /// 503. Requests within calls have a quarter of it on top.
    pub max_transactions: usize,
    /// Connections at once (TCP, TLS, WebSocket); further ones are closed at once.
    pub max_connections: usize,
    /// Largest message in bytes, at most 65 507.
    pub max_message: usize,
    /// Datagrams a second of one trunk, whichever of its addresses they come from; messages of its calls have as much
    /// again. `None` switches the limit off.
    pub trunk_rate: Option<Rate>,
    /// Answers a second to one address of no trunk.
    pub unknown_rate: Rate,
    /// Answers a second to all addresses of no trunk together.
    pub unknown_total_rate: Rate,
    /// Calls whose signalling is kept for `trunkline trace`, oldest forgotten first.
    pub max_traces: usize,
    /// Events the driver may be behind; an INVITE beyond gets 503.
    pub event_queue: usize,
    /// Share of its time that the busiest of the endpoint's threads may work, in thousandths; beyond it for two seconds, an
    /// INVITE of a new call gets 503. `None` switches the limit off.
    pub busy_permille: Option<u32>,
}

impl Default for SipLimits {
    fn default() -> Self {
        Self {
            max_calls: 2000,
            max_transactions: 8000,
            max_connections: 4000,
            max_message: 16 * 1024,
            trunk_rate: Some(Rate { per_second: 2000, burst: 4000 }),
            unknown_rate: Rate { per_second: 5, burst: 20 },
            unknown_total_rate: Rate { per_second: 200, burst: 400 },
            max_traces: 256,
            event_queue: 4096,
            busy_permille: None,
        }
    }
}

/// A token bucket's rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens a second.
    pub per_second: u32,
    /// Most tokens saved up.
    pub burst: u32,
}

/// Protocol timers (RFC 3261 17).
#[derive(Debug, Clone)]
pub struct SipTimers {
    /// Round-trip estimate T1; 64 of it is how long an ACK is awaited before the call is ended by BYE.
    pub t1: Duration,
    /// Longest time the driver may take to answer a re-INVITE or UPDATE before it gets 500.
    pub reoffer_answer: Duration,
    /// Longest time a call may ring before it gets 480.
    pub max_ringing: Duration,
    /// After how long without a refresh a session ends, where the far end knows session timers and leaves it to us, in
    /// seconds (RFC 4028); 0 asks for none.
    pub session_expires_s: u32,
    /// The shortest such time that is agreed to, in seconds; a request for a shorter one gets 422. The standard's least
    /// is 90.
    pub min_se_s: u32,
}

impl SipTimers {
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted { expires_s: self.session_expires_s, least_s: self.min_se_s.max(1) }
    }
}

impl Default for SipTimers {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            reoffer_answer: Duration::from_secs(4),
            max_ringing: Duration::from_secs(180),
            session_expires_s: 1800,
            min_se_s: LEAST_S,
        }
    }
}
