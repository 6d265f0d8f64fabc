//! What can be configured: one struct a section, every key with its default, unit and range.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use trunkline_api::trunk::SipTransport;
use trunkline_configuration::Profile;
use trunkline_runtime::LoadPolicy;
use trunkline_sip::DEFAULT_SCANNERS;

/// The whole configuration of a gateway.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// What becomes of values that are unsafe in service; also `--profile` and `TRUNKLINE_PROFILE`.
    pub(crate) profile: Profile,
    /// The gateway itself.
    pub(crate) gateway: Gateway,
    /// Signalling.
    pub(crate) sip: Sip,
    /// A capture server that SIP messages are shown to.
    pub(crate) hep: Hep,
    /// Media addresses.
    pub(crate) rtp: Rtp,
    /// Calls that Asterisk sends over TCP.
    pub(crate) audiosocket: AudioSocket,
    /// Media workers.
    pub(crate) media: Media,
    /// Health, metrics and the CLI's interface.
    pub(crate) admin: Admin,
    /// The control plane, when there is one.
    pub(crate) control_plane: ControlPlane,
    /// Plugins.
    pub(crate) plugins: Plugins,
    /// Limits.
    pub(crate) limits: Limits,
    /// Refusal of new calls by measured load.
    pub(crate) admission: Admission,
    /// Recordings.
    pub(crate) recording: Recording,
    /// What is kept of ended calls without a control plane.
    pub(crate) history: History,
    /// Logs.
    pub(crate) log: Log,
    /// Secrets by name; values are references, never the secret itself.
    pub(crate) secrets: BTreeMap<String, Secret>,
    /// Local objects, for a gateway without a control plane.
    pub(crate) objects: Objects,
    /// Test aids.
    pub(crate) testing: Testing,
}

/// The gateway itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Gateway {
    /// Name shown to operators, 1..=100 characters.
    #[schemars(length(min = 1, max = 100))]
    pub(crate) name: String,
    /// Where state is kept.
    pub(crate) state_dir: PathBuf,
    /// How long a shutdown waits for calls to end, in seconds, 0..=86400.
    #[schemars(range(min = 0, max = 86400))]
    pub(crate) drain_s: u32,
}

impl Default for Gateway {
    fn default() -> Self {
        Self { name: "gateway".to_owned(), state_dir: PathBuf::from("/var/lib/trunkline"), drain_s: 30 }
    }
}

/// What an unknown source gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UnknownPeer {
    /// One stateless 403 per request.
    #[default]
    Reject,
    /// Silence.
    Drop,
}

/// Signalling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sip {
    /// Address to listen on, for UDP and TCP; loopback until an operator says otherwise. Port 0 picks one.
    #[schemars(extend("format" = "socket-address"))]
    pub(crate) listen: SocketAddr,
    /// Address peers reach us at, for Contact; default: the one listened on.
    pub(crate) advertise: Option<IpAddr>,
    /// Whether TCP is served there, too.
    pub(crate) tcp: bool,
    /// Further places to listen, by names of your own, each with a transport of its own.
    pub(crate) listeners: BTreeMap<String, SipListener>,
    /// Certificates for TLS.
    pub(crate) tls: SipTls,
    /// Name servers that are asked for the servers of trunks, each an address and a port; default: those of the machine.
    /// At most 4.
    #[schemars(length(max = 4))]
    pub(crate) name_servers: Vec<SocketAddr>,
    /// Who is believed about who calls, on trunks with `stir`.
    pub(crate) stir: SipStir,
    /// What an unknown source gets.
    pub(crate) unknown_peer: UnknownPeer,
    /// Messages a second and trunk before datagrams are dropped, 1..=100000; those of its calls have as much again.
    #[schemars(range(min = 1, max = 100000))]
    pub(crate) source_rate: u32,
    /// Messages a trunk may send at once, 1..=100000.
    #[schemars(range(min = 1, max = 100000))]
    pub(crate) source_burst: u32,
    /// Seconds that the first ban of a source lasts, 1..=86400, each further one twice as long, up to a day; 0 bans
    /// nobody.
    #[schemars(range(min = 0, max = 86400))]
    pub(crate) ban_s: u32,
    /// Messages in a minute that a source of no trunk may send before it is banned, 1..=100000; a wrong password, also of
    /// a trunk that asks for one, counts as four.
    #[schemars(range(min = 1, max = 100000))]
    pub(crate) ban_after: u32,
    /// What scanners call themselves: a source of no trunk with such a text in the first line, User-Agent, From, To or
    /// Contact is banned at once. At most 64 of 5 to 64 characters.
    #[schemars(length(max = 64))]
    pub(crate) ban_scanners: Vec<String>,
}

impl Default for Sip {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 5060)),
            advertise: None,
            tcp: true,
            listeners: BTreeMap::new(),
            tls: SipTls::default(),
            name_servers: Vec::new(),
            stir: SipStir::default(),
            unknown_peer: UnknownPeer::Reject,
            source_rate: 2000,
            source_burst: 4000,
            ban_s: 600,
            ban_after: 20,
            ban_scanners: DEFAULT_SCANNERS.map(str::to_owned).into(),
        }
    }
}

/// A further place to listen for SIP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SipListener {
    /// What is served: udp, tcp, tls, ws or wss.
    pub(crate) transport: SipTransport,
    /// Address to listen on. Port 0 picks one.
    #[schemars(extend("format" = "socket-address"))]
    pub(crate) listen: SocketAddr,
    /// Address peers reach it at; default: the one listened on.
    pub(crate) advertise: Option<IpAddr>,
}

impl Default for SipListener {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 5061));
        Self { transport: SipTransport::Tls, listen, advertise: None }
    }
}

/// Certificates for SIP over TLS, files in PEM that are read anew when they change.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SipTls {
    /// Our certificate and those between it and its authority; presented to clients, and to servers that ask for it.
    pub(crate) cert: Option<PathBuf>,
    /// Its private key.
    pub(crate) key: Option<PathBuf>,
    /// Authorities whose clients' certificates are believed, for trunks with `certificates`; without it no client is asked
    /// for one.
    pub(crate) client_ca: Option<PathBuf>,
    /// Authorities whose servers' certificates are believed; default: those of the Web.
    pub(crate) server_ca: Option<PathBuf>,
}

/// Verification of callers by the Identity of their calls (STIR/SHAKEN: RFC 8224, RFC 8588), on trunks with `stir`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SipStir {
    /// Authorities whose certificates are believed, in PEM: those of the policy administrator. Without it nobody's are.
    pub(crate) roots: Option<PathBuf>,
    /// A folder of `*.pem` with certificates that need not be fetched, each behind a line with the https URL that an
    /// Identity names. It is read anew when it changes, as is `roots`.
    pub(crate) certificates: Option<PathBuf>,
    /// How old an Identity may be, and how far ahead of the clock, in seconds, 10..=600.
    #[schemars(range(min = 10, max = 600))]
    pub(crate) freshness_s: u32,
    /// Whether certificates that are not in the folder are fetched, over HTTPS and from public addresses, port 443 or 8443.
    pub(crate) fetch: bool,
    /// For how long a call waits for that, in milliseconds, 100..=5000.
    #[schemars(range(min = 100, max = 5000))]
    pub(crate) fetch_ms: u32,
    /// Hosts beyond those that certificates may be fetched from, `https://host:port`, at private addresses or other ports.
    pub(crate) grant_hosts: Vec<String>,
}

impl Default for SipStir {
    fn default() -> Self {
        Self { roots: None, certificates: None, freshness_s: 60, fetch: true, fetch_ms: 2000, grant_hosts: Vec::new() }
    }
}

/// A capture server (Homer, heplify-server) that every SIP message in and out is shown to, as HEP version 3 over UDP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Hep {
    /// UDP address of the server; nothing is shown without one. Numbers of callers go there unencrypted, keys of their
    /// sound and answers to passwords crossed out.
    #[schemars(extend("format" = "socket-address"))]
    pub(crate) collector: Option<SocketAddr>,
    /// Number of this gateway among those that capture, 1..=4294967295.
    #[schemars(range(min = 1, max = 4294967295_u32))]
    pub(crate) agent: u32,
    /// Name of the server's password among `[secrets]`; empty for none.
    pub(crate) secret: String,
}

impl Default for Hep {
    fn default() -> Self {
        Self { collector: None, agent: 2001, secret: String::new() }
    }
}

/// Calls that Asterisk's AudioSocket sends as sound over TCP.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AudioSocket {
    /// TCP address to listen on; nothing is listened on without one. Port 0 picks one. The protocol has neither keys
    /// nor encryption: only addresses of a trunk's `peers` may connect.
    #[schemars(extend("format" = "socket-address"))]
    pub(crate) listen: Option<SocketAddr>,
}

/// Media addresses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rtp {
    /// Address media sockets bind to.
    pub(crate) bind: IpAddr,
    /// Address peers send media to; default: `bind`.
    pub(crate) advertise: Option<IpAddr>,
    /// Lowest port, even, 1024..=65534.
    #[schemars(range(min = 1024, max = 65534))]
    pub(crate) port_min: u16,
    /// Highest port, above `port_min`, up to 65535.
    #[schemars(range(min = 1025, max = 65535))]
    pub(crate) port_max: u16,
    /// Milliseconds without media before a call ends, 1000..=3600000.
    #[schemars(range(min = 1000, max = 3600000))]
    pub(crate) timeout_ms: u32,
}

impl Default for Rtp {
    fn default() -> Self {
        Self {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            advertise: None,
            port_min: 16384,
            port_max: 32767,
            timeout_ms: 30_000,
        }
    }
}

/// Media workers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Media {
    /// Media worker threads, 0..=256; 0 means cores - 1, at least 1.
    #[schemars(range(min = 0, max = 256))]
    pub(crate) workers: usize,
    /// Threads of the side pool for heavy plugins, 0..=256; 0 means cores - 1, at least 1.
    #[schemars(range(min = 0, max = 256))]
    pub(crate) heavy_workers: usize,
    /// Whether to ask for real-time priority.
    pub(crate) realtime: bool,
}

/// Health, metrics and the CLI's interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admin {
    /// Address of the admin API; loopback only.
    #[schemars(extend("format" = "socket-address"))]
    pub(crate) listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7081)) }
    }
}

/// The control plane, when there is one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ControlPlane {
    /// Base URL of its sync listener, for example `https://control.example:7001`; empty means standalone.
    pub(crate) url: String,
}

/// Plugins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Plugins {
    /// A folder with one folder a plugin.
    pub(crate) dir: PathBuf,
    /// Where precompiled code is kept; default: `cache/plugins` under the state folder.
    pub(crate) cache_dir: Option<PathBuf>,
    /// Load plugins that carry no signature; for development.
    pub(crate) allow_unsigned: bool,
    /// A folder of minisign public keys: plugins signed by any `*.pub` in it are loaded. The packages put theirs there.
    pub(crate) trusted_keys_dir: PathBuf,
    /// Further minisign public keys whose plugins are loaded.
    pub(crate) trusted_keys: Vec<String>,
    /// Hosts beyond a manifest's own that the operator grants, `scheme://host:port`; also the only way to a
    /// private or loopback address.
    pub(crate) grant_hosts: Vec<String>,
    /// Sessions of heavy plugins that calls may have open together, 0..=100000; 0 means four for each of
    /// `limits.max_calls`. A call takes one for each thing a heavy plugin does for it: hear, think, speak, use a tool.
    #[schemars(range(min = 0, max = 100000))]
    pub(crate) heavy_sessions: u32,
    /// The same of plugins that are not heavy, 0..=100000; 0 means five for each of `limits.max_calls`.
    #[schemars(range(min = 0, max = 100000))]
    pub(crate) media_sessions: u32,
}

impl Default for Plugins {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("/usr/lib/trunkline/plugins"),
            cache_dir: None,
            allow_unsigned: false,
            trusted_keys_dir: PathBuf::from("/usr/lib/trunkline/trusted-keys"),
            trusted_keys: Vec::new(),
            grant_hosts: Vec::new(),
            heavy_sessions: 0,
            media_sessions: 0,
        }
    }
}

/// Limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    /// Most calls at once, 1..=8000.
    #[schemars(range(min = 1, max = 8000))]
    pub(crate) max_calls: u32,
    /// Seconds between checkpoints of a call's usage, 1..=600.
    #[schemars(range(min = 1, max = 600))]
    pub(crate) checkpoint_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_calls: 200, checkpoint_s: 30 }
    }
}

/// Refusal of new calls by measured load, so that those that are up are not made late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admission {
    /// Share of the time of agent workers, and of the side pool's threads, that calls may be expected to need, in percent,
    /// 10..=100; 0 for no limit.
    #[schemars(range(min = 0, max = 100))]
    pub(crate) busy_percent: u32,
    /// How late rounds of agent workers and turns of sessions may come, in milliseconds, 20..=10000; 0 for no limit. When
    /// they are later for a second, new calls are refused until they have been in time for two.
    #[schemars(range(min = 0, max = 10000))]
    pub(crate) late_ms: u32,
    /// Sessions of heavy plugins that a thread of the side pool takes on before it has measured what one costs it,
    /// 1..=100000.
    #[schemars(range(min = 1, max = 100000))]
    pub(crate) untried_sessions: u32,
}

impl Default for Admission {
    fn default() -> Self {
        let LoadPolicy { busy_permille, late_ms, untried_sessions } = LoadPolicy::default();
        Self { busy_percent: busy_permille / 10, late_ms, untried_sessions }
    }
}

impl Admission {
    /// As calls are admitted by it.
    pub(crate) const fn policy(&self) -> LoadPolicy {
        let Self { busy_percent, late_ms, untried_sessions } = *self;
        let busy_permille = if busy_percent == 0 { u32::MAX } else { busy_percent * 10 };
        LoadPolicy { busy_permille, late_ms, untried_sessions }
    }
}

/// Recordings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Recording {
    /// Where recordings go; default: `recordings` under the state folder.
    pub(crate) dir: Option<PathBuf>,
    /// MiB that must stay free there, 16..=1048576: with less, calls that would be recorded are refused; with less than a
    /// quarter of it, recordings in progress end.
    #[schemars(range(min = 16, max = 1048576))]
    pub(crate) min_free_mib: u32,
    /// Threads that write recordings, 2..=64.
    #[schemars(range(min = 2, max = 64))]
    pub(crate) writers: usize,
}

impl Default for Recording {
    fn default() -> Self {
        Self { dir: None, min_free_mib: 512, writers: 4 }
    }
}

/// What is kept of ended calls without a control plane, oldest given up first; with one, everything is kept until it is
/// there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct History {
    /// Timelines of ended calls (`trunkline trace`), in MiB on disk, 16..=1048576.
    #[schemars(range(min = 16, max = 1048576))]
    pub(crate) events_mib: u32,
    /// Usage records of ended calls (`trunkline usage`), in MiB on disk, 16..=1048576; of older ones the sums are kept.
    #[schemars(range(min = 16, max = 1048576))]
    pub(crate) usage_mib: u32,
}

impl Default for History {
    fn default() -> Self {
        Self { events_mib: 512, usage_mib: 256 }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// Filter, for example `info` or `info,trunkline_sip=debug`.
    pub(crate) level: String,
    /// How lines look.
    pub(crate) format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secret {
    /// `env:NAME`, `file:/path` or `credential:name` (systemd).
    pub(crate) from: String,
}

/// Local objects, for a gateway without a control plane.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Objects {
    /// Folder of `*.toml` object files; default: `conf.d/objects` beside the configuration file.
    pub(crate) dir: Option<PathBuf>,
}

/// Test aids.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Testing {
    /// Every call is answered by an echo instead of its agent's voice, so that load can be measured without any plugin.
    pub(crate) echo: bool,
}
