//! One trunk that is looked after, as a machine: which of its servers answer, whether it is registered, and what to send.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::config::{Kept, KeptRegistration, MOST_HOSTS};
use super::names::Names;
use crate::address::NameAddr;
use crate::client::{Answer, Asked, Asking, Ourselves, Transmit};
use crate::draw::Draw;
use crate::health::{Health, HealthConfig, HealthEvent, HealthReason, HealthState, Ping};
use crate::locate::{Answers, Destination, Families, LocateError, Policy, Question, Server, servers};
use crate::registration::{
    Bindings, RegisterAnswer, RegisterRequest, RegistrationConfig, RegistrationEvent, RegistrationTimers,
};
use crate::transport::{Hop, Transport};

/// What is spoken to a server whose transport nobody said, as far as the DNS names no other order (RFC 3263 4.1).
const UNSAID: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

/// News of a trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrunkNews {
    /// One of its servers answers, or does so no more.
    Health {
        /// The server, as it was configured.
        host: String,
        /// What it was.
        from: HealthState,
        /// What it is.
        to: HealthState,
        /// Why.
        why: HealthReason,
    },
    /// Its registration is there, or not.
    Registration(RegistrationEvent),
}

/// How one of its servers is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostStatus {
    /// As it was configured.
    pub host: String,
    /// Its addresses in the order they are tried; none while its name is unknown.
    pub servers: Vec<Server>,
    /// What it says to OPTIONS; `None` when it is not asked.
    pub health: Option<HealthState>,
}

/// A trunk that is looked after.
#[derive(Debug)]
pub struct KeptTrunk {
    us: Ourselves,
    kept: Kept,
    policy: Policy,
    draw: Draw,
    names: Names,
    hosts: Vec<Host>,
    bindings: Option<Bindings>,
    asking: Vec<(For, Asking)>,
    /// The last REGISTER of each binding.
    registering: BTreeMap<usize, RegisterRequest>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<TrunkNews>,
    stopping: bool,
}

#[derive(Debug)]
struct Host {
    /// As it was configured.
    name: String,
    destination: Destination,
    /// Where it is, as far as that is known: what was known before while anything is asked. Our own requests go to the first,
    /// until it does not answer.
    servers: Vec<Server>,
    /// The same as the next call is to try them.
    drawn: Vec<Server>,
    /// How many of them were silent to the same REGISTER.
    silent: usize,
    health: Option<Health>,
    /// Call-ID and From tag of its OPTIONS.
    call_id: String,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Health(usize, Ping),
    Registration { binding: usize, host: usize, cseq: u32 },
}

impl KeptTrunk {
    /// Begins to look after a trunk. `families` are those that the socket reaches.
    #[must_use]
    pub fn new(now_ms: u64, us: Ourselves, mut kept: Kept, families: Families, mut draw: Draw) -> Self {
        kept.hosts.truncate(MOST_HOSTS);
        let policy =
            Policy { transports: kept.transport.map_or(UNSAID.to_vec(), |transport| vec![transport]), families };
        let hosts = kept.hosts.iter().map(|(host, port)| {
            let config = HealthConfig { interval_ms: kept.ping_ms.unwrap_or_default(), ..HealthConfig::default() };
            Host {
                name: port.map_or_else(|| host.clone(), |port| format!("{host}:{port}")),
                destination: Destination { host: host.clone(), port: *port, transport: kept.transport, secure: false },
                servers: Vec::new(),
                drawn: Vec::new(),
                silent: 0,
                health: kept.ping_ms.map(|_| Health::new(config, now_ms, Draw::new(&seed(&mut draw)))),
                call_id: hex(draw.bytes()),
            }
        });
        let hosts: Vec<Host> = hosts.collect();
        let bindings = kept.registration.as_ref().map(|registration| {
            let call_id = hex(draw.bytes());
            Bindings::new(&registration_config(&us, &kept, registration, call_id), 1, &mut draw)
        });
        let mut new = Self {
            us,
            kept,
            policy,
            draw,
            names: Names::default(),
            hosts,
            bindings,
            asking: Vec::new(),
            registering: BTreeMap::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            stopping: false,
        };
        new.locate(now_ms);
        new.start(now_ms);
        new
    }

    /// Takes its registration back, and asks nothing any more.
    pub fn stop(&mut self, now_ms: u64) {
        self.stopping = true;
        self.asking.retain(|(what, _)| matches!(what, For::Registration { .. }));
        if let Some(bindings) = &mut self.bindings {
            bindings.each().for_each(|binding| binding.stop(now_ms));
        }
        self.collect(now_ms);
    }

    /// Whether it was stopped and nothing is left to be said.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.stopping && self.bindings.as_ref().is_none_or(Bindings::is_ended) && self.transmits.is_empty()
    }

    /// How its servers are.
    #[must_use]
    pub fn hosts(&self) -> Vec<HostStatus> {
        let status = self.hosts.iter().map(|host| HostStatus {
            host: host.name.clone(),
            servers: host.drawn.clone(),
            health: host.health.as_ref().map(Health::state),
        });
        status.collect()
    }

    /// Whether calls come by its registration; `None` without one.
    #[must_use]
    pub fn is_registered(&self) -> Option<bool> {
        self.bindings.as_ref().map(Bindings::is_registered)
    }

    /// What a name server is to be asked.
    pub fn poll_question(&mut self, now_ms: u64) -> Option<Question> {
        if self.stopping { None } else { self.names.poll_question(now_ms) }
    }

    /// It answered, with the records' time to live in seconds; `None` when nobody did.
    pub fn handle_found(&mut self, now_ms: u64, question: &Question, found: Option<(Answers, u32)>) {
        self.names.handle_found(now_ms, question, found);
        self.locate(now_ms);
        self.start(now_ms);
    }

    /// Draws anew which of several servers of the same priority are the first: each call has its own order (RFC 2782).
    pub fn handle_call(&mut self, now_ms: u64) {
        self.locate(now_ms);
    }

    /// What is to be sent.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// What changed.
    pub fn poll_event(&mut self) -> Option<TrunkNews> {
        self.events.pop_front()
    }

    /// A response came whose branch is of one of our requests.
    pub fn handle_answer(&mut self, now_ms: u64, answer: &Answer) {
        let Some(at) = self.asking.iter().position(|(_, asking)| asking.branch == answer.branch) else { return };
        if answer.is_provisional() {
            if let Some((_, asking)) = self.asking.get_mut(at) {
                asking.handle_provisional();
            }
            return;
        }
        let (what, _) = self.asking.remove(at);
        match what {
            For::Health(host, ping) => {
                if let Some(health) = self.health(host) {
                    health.handle_answer(now_ms, ping, answer.status, answer.retry_after_s);
                }
            }
            For::Registration { binding, host, cseq } => {
                if let Some(host) = self.hosts.get_mut(host) {
                    host.silent = 0;
                }
                if let Some(binding) = self.binding(binding) {
                    binding.handle_answer(now_ms, &register_answer(answer, cseq));
                }
            }
        }
        self.collect(now_ms);
    }

    /// A connection that we had opened is closed: calls came by it, if it led to a registrar (RFC 5626 4.4).
    pub fn handle_flow_lost(&mut self, now_ms: u64, hop: Hop) {
        let led_to = |host: &HostStatus| {
            host.servers.iter().any(|server| server.address == hop.address && server.transport == hop.transport)
        };
        if self.stopping || !self.hosts().iter().any(led_to) {
            return;
        }
        if let Some(bindings) = &mut self.bindings {
            bindings.each().for_each(|binding| binding.handle_flow_lost(now_ms));
        }
        self.collect(now_ms);
    }

    /// A request could not be sent.
    pub fn handle_not_sent(&mut self, now_ms: u64, branch: &str) {
        if let Some(at) = self.asking.iter().position(|(_, asking)| asking.branch == branch) {
            let (what, _) = self.asking.remove(at);
            self.no_answer(now_ms, what);
            self.collect(now_ms);
        }
    }

    /// Carries out what is due.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        let transmits = &mut self.transmits;
        let mut given_up = Vec::new();
        self.asking.retain_mut(|(what, asking)| match asking.handle_timeout(now_ms) {
            Asked::Waiting => true,
            Asked::Again => {
                let (text, branch) = (asking.text.clone(), Some(asking.branch.clone()));
                transmits.push_back(Transmit { text, to: asking.to, detour: None, branch });
                true
            }
            Asked::GivenUp => {
                given_up.push(*what);
                false
            }
        });
        for what in given_up {
            self.no_answer(now_ms, what);
        }
        if !self.stopping {
            self.hosts
                .iter_mut()
                .filter_map(|host| host.health.as_mut())
                .for_each(|health| health.handle_timeout(now_ms));
        }
        if let Some(bindings) = &mut self.bindings {
            bindings.each().for_each(|binding| binding.handle_timeout(now_ms));
        }
        self.collect(now_ms);
    }

    /// When [`KeptTrunk::handle_timeout`] and [`KeptTrunk::poll_question`] are to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let asking = self.asking.iter().map(|(_, asking)| asking.poll_timeout());
        let bindings = self.bindings.iter().filter_map(Bindings::poll_timeout);
        let serving = !self.stopping;
        let health = self.hosts.iter().filter_map(|host| host.health.as_ref()).map(Health::poll_timeout);
        let names = self.names.poll_timeout();
        let others = health.chain(names).filter(|_| serving);
        asking.chain(bindings).chain(others).min()
    }

    /// Finds the servers of each host, and what is to be asked for it. A host keeps those it had while anything is unknown.
    fn locate(&mut self, now_ms: u64) {
        let look = self.names.look();
        for host in &mut self.hosts {
            match servers(&host.destination, &self.policy, &look, &mut self.draw) {
                Ok(found) => {
                    if found.len() != host.servers.len() || !host.servers.iter().all(|server| found.contains(server)) {
                        host.servers.clone_from(&found);
                    }
                    host.drawn = found;
                }
                Err(LocateError::Ask(_)) => {}
                Err(LocateError::NoAddress | LocateError::Transport) => {
                    host.servers.clear();
                    host.drawn.clear();
                }
            }
        }
        let sought = look.sought();
        self.names.handle_sought(now_ms, sought);
    }

    /// Registers as soon as there is somewhere to register.
    fn start(&mut self, now_ms: u64) {
        let known = self.hosts().iter().any(|host| !host.servers.is_empty());
        if known && !self.stopping {
            if let Some(bindings) = &mut self.bindings {
                bindings.each().for_each(|binding| binding.start(now_ms));
            }
            self.collect(now_ms);
        }
    }

    fn health(&mut self, host: usize) -> Option<&mut Health> {
        self.hosts.get_mut(host)?.health.as_mut()
    }

    fn binding(&mut self, at: usize) -> Option<&mut crate::registration::Registration> {
        self.bindings.as_mut()?.each().nth(at)
    }

    /// What is asked of a host next goes to another of its servers (RFC 3263 4.3).
    fn next_server(&mut self, host: usize) {
        if let Some(host) = self.hosts.get_mut(host)
            && !host.servers.is_empty()
        {
            host.servers.rotate_left(1);
        }
    }

    /// Whether a registrar's host has a server that was not asked yet.
    fn another_server(&mut self, host: usize) -> bool {
        let Some(host) = self.hosts.get_mut(host) else { return false };
        host.silent += 1;
        if host.silent < host.servers.len() {
            return true;
        }
        host.silent = 0;
        false
    }

    fn no_answer(&mut self, now_ms: u64, what: For) {
        match what {
            For::Health(host, ping) => {
                self.next_server(host);
                if let Some(health) = self.health(host) {
                    health.handle_no_answer(now_ms, ping);
                }
            }
            For::Registration { binding, host, cseq } => {
                self.next_server(host);
                if self.another_server(host)
                    && let Some(request) = self.registering.get(&binding).cloned()
                {
                    return self.register(now_ms, binding, &request);
                }
                if let Some(binding) = self.binding(binding) {
                    binding.handle_no_answer(now_ms, cseq);
                }
            }
        }
    }

    /// Takes what the machines within want sent and told.
    fn collect(&mut self, now_ms: u64) {
        for at in 0..self.hosts.len() {
            while let Some(ping) = self.health(at).and_then(Health::poll_transmit) {
                self.ping(now_ms, at, ping);
            }
            while let Some(HealthEvent { from, to, why }) = self.health(at).and_then(Health::poll_event) {
                let host = self.hosts.get(at).map(|host| host.name.clone()).unwrap_or_default();
                self.events.push_back(TrunkNews::Health { host, from, to, why });
            }
        }
        for at in 0..self.bindings.as_mut().map_or(0, |bindings| bindings.each().count()) {
            // What cannot be sent is answered at once, which may bring the next request: one for each registrar at most.
            for _ in 0..=MOST_HOSTS {
                let Some(request) = self.binding(at).and_then(|binding| binding.poll_transmit()) else { break };
                self.register(now_ms, at, &request);
            }
            while let Some(event) = self.binding(at).and_then(|binding| binding.poll_event()) {
                self.events.push_back(TrunkNews::Registration(event));
            }
        }
    }

    fn ping(&mut self, now_ms: u64, at: usize, ping: Ping) {
        // The one before was given up on.
        self.asking.retain(|(what, _)| !matches!(what, For::Health(host, _) if *host == at));
        let Some(to) = self.server(at) else { return self.no_answer(now_ms, For::Health(at, ping)) };
        let branch = self.branch();
        let Some(host) = self.hosts.get(at) else { return };
        let domain = &self.kept.domain;
        let head = self.head("OPTIONS", &format!("sip:{domain}"), (to, &branch), &host.call_id, ping.0);
        let text = format!(
            "{head}From: <sip:{}>;tag={}\r\nTo: <sip:{domain}>\r\nContact: <{}>\r\n\
             Accept: application/sdp\r\nContent-Length: 0\r\n\r\n",
            self.us.locals.advertised(to),
            host.call_id.get(..16).unwrap_or_default(),
            self.us.locals.uri(to)
        );
        self.ask(now_ms, For::Health(at, ping), branch, text, to);
    }

    fn register(&mut self, now_ms: u64, at: usize, request: &RegisterRequest) {
        self.asking.retain(|(what, _)| !matches!(what, For::Registration { binding, .. } if *binding == at));
        let what = For::Registration { binding: at, host: request.at, cseq: request.cseq };
        let Some(to) = self.server(request.at) else { return self.no_answer(now_ms, what) };
        self.registering.insert(at, request.clone());
        let branch = self.branch();
        let head = self.head("REGISTER", &request.registrar, (to, &branch), &request.call_id, request.cseq);
        let proof = request.authorization.as_ref().map(|(name, value)| format!("{name}: {value}\r\n"));
        let tag = hex(self.draw.bytes());
        let text = format!(
            "{head}From: <{address}>;tag={}\r\nTo: <{address}>\r\nContact: {}\r\nExpires: {}\r\n{}\
             Content-Length: 0\r\n\r\n",
            tag.get(..16).unwrap_or_default(),
            request.contact,
            request.expires_s,
            proof.unwrap_or_default(),
            address = request.address,
        );
        self.ask(now_ms, what, branch, text, to);
    }

    fn head(&self, method: &str, uri: &str, (to, branch): (Hop, &str), call_id: &str, cseq: u32) -> String {
        format!(
            "{method} {uri} SIP/2.0\r\nVia: {}\r\nMax-Forwards: 70\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n\
             User-Agent: {}\r\n",
            self.us.locals.via(to, branch),
            self.us.user_agent
        )
    }

    fn ask(&mut self, now_ms: u64, what: For, branch: String, text: String, to: Hop) {
        self.transmits.push_back(Transmit { text: text.clone(), to, detour: None, branch: Some(branch.clone()) });
        self.asking.push((what, Asking::new(now_ms, self.us.t1_ms, branch, text, to)));
    }

    /// The first address of a host.
    fn server(&self, at: usize) -> Option<Hop> {
        let server = self.hosts.get(at)?.servers.first()?;
        Some(Hop::new(server.transport, server.address))
    }

    fn branch(&mut self) -> String {
        let random = hex(self.draw.bytes());
        format!("{}{}", self.us.branch_prefix, random.get(..24).unwrap_or(&random))
    }
}

fn registration_config(
    us: &Ourselves,
    kept: &Kept,
    registration: &KeptRegistration,
    call_id: String,
) -> RegistrationConfig {
    let KeptRegistration { user, expires_s, credentials } = registration;
    RegistrationConfig {
        address: format!("sip:{user}@{}", kept.domain),
        registrars: kept.hosts.iter().map(|_| format!("sip:{}", kept.domain)).collect(),
        contact: us.locals.uri_of(user, Hop::new(kept.transport.unwrap_or(Transport::Udp), somewhere(kept))),
        instance: None,
        expires_s: *expires_s,
        credentials: credentials.clone(),
        call_id,
        timers: RegistrationTimers::default(),
    }
}

/// An address of the family that the first host is of, as far as that is known before its name is looked up.
fn somewhere(kept: &Kept) -> SocketAddr {
    let first = kept.hosts.first().and_then(|(host, _)| host.trim_matches(['[', ']']).parse().ok());
    SocketAddr::new(first.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), 0)
}

fn register_answer(answer: &Answer, cseq: u32) -> RegisterAnswer {
    let contact = |value: &String| {
        let contact = NameAddr::parse(value)?;
        Some((contact.uri.to_owned(), contact.parameter("expires").and_then(|expires| expires.parse().ok())))
    };
    RegisterAnswer {
        status: answer.status,
        cseq,
        contacts: answer.contacts.iter().filter_map(contact).collect(),
        expires_s: answer.expires_s,
        min_expires_s: answer.min_expires_s,
        retry_after_s: answer.retry_after_s,
        challenges: answer.challenges.clone(),
    }
}

fn seed(draw: &mut Draw) -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(&draw.bytes());
    seed[16..].copy_from_slice(&draw.bytes());
    seed
}

fn hex(bytes: [u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether calls can be placed over a trunk whose servers and registration are so.
pub(super) fn takes_calls(hosts: &[HostStatus], registered: Option<bool>) -> bool {
    let usable = |host: &&HostStatus| !host.servers.is_empty() && host.health != Some(HealthState::Down);
    let pinged = hosts.iter().any(|host| host.health.is_some());
    hosts.iter().any(|host| usable(&host)) && (pinged || registered.unwrap_or(true))
}
