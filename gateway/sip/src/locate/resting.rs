//! Servers that failed, and for how long they are tried last. They are never left out: when all have failed, the one
//! that failed first is as good as any.

use std::collections::BTreeMap;

use super::servers::Server;

/// For how long a server that failed is tried last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestingLimits {
    /// After its first failure, in milliseconds; doubles with each further one.
    pub first_ms: u64,
    /// At most, in milliseconds.
    pub most_ms: u64,
    /// Most servers that are remembered.
    pub servers: usize,
}

impl Default for RestingLimits {
    fn default() -> Self {
        Self { first_ms: 30_000, most_ms: 600_000, servers: 1000 }
    }
}

/// Servers that failed.
#[derive(Debug, Default)]
pub struct Resting {
    limits: RestingLimits,
    servers: BTreeMap<(std::net::SocketAddr, super::Transport), Failed>,
}

#[derive(Debug, Clone, Copy)]
struct Failed {
    until_ms: u64,
    times: u32,
}

impl Resting {
    /// None yet.
    #[must_use]
    pub fn new(limits: RestingLimits) -> Self {
        Self { limits, servers: BTreeMap::new() }
    }

    /// A server did not answer, could not be reached, or answered 503 (RFC 3263 4.3). `retry_after_s` is what it asked for.
    pub fn handle_failure(&mut self, now_ms: u64, server: &Server, retry_after_s: Option<u32>) {
        let RestingLimits { first_ms, most_ms, servers } = self.limits;
        let key = (server.address, server.transport);
        let times = self.servers.get(&key).map_or(0, |failed| failed.times).saturating_add(1);
        let doubled_ms = first_ms.saturating_mul(1 << (times - 1).min(16)).min(most_ms);
        let rest_ms = retry_after_s.map_or(doubled_ms, |seconds| (u64::from(seconds) * 1000).min(most_ms));
        self.servers.retain(|other, failed| *other == key || failed.until_ms + most_ms > now_ms);
        while self.servers.len() >= servers.max(1) && !self.servers.contains_key(&key) {
            let soonest = self.servers.iter().min_by_key(|(_, failed)| failed.until_ms).map(|(key, _)| *key);
            if let Some(soonest) = soonest {
                self.servers.remove(&soonest);
            }
        }
        self.servers.insert(key, Failed { until_ms: now_ms + rest_ms, times });
    }

    /// A server answered.
    pub fn handle_answer(&mut self, server: &Server) {
        self.servers.remove(&(server.address, server.transport));
    }

    /// The same servers: those that rest last, the one whose rest ends first before the others.
    #[must_use]
    pub fn ordered(&self, now_ms: u64, mut servers: Vec<Server>) -> Vec<Server> {
        servers.sort_by_key(|server| self.rests_until(now_ms, server).unwrap_or(0));
        servers
    }

    /// Until when a server is tried last.
    #[must_use]
    pub fn rests_until(&self, now_ms: u64, server: &Server) -> Option<u64> {
        let failed = self.servers.get(&(server.address, server.transport))?;
        (failed.until_ms > now_ms).then_some(failed.until_ms)
    }
}
