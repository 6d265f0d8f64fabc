//! What all calls together know of providers, so that no call pays again for one that others found dead. Two failures in a
//! row, of whichever calls, and a provider rests; when its rest is over it is up again, and one more failure makes it
//! rest twice as long.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use trunkline_api::words::ProviderKind;
use trunkline_api::{AgentSpec, Id};

/// Failures in a row after which a provider rests.
const ENOUGH: u32 = 2;
/// The first rest and the longest.
const REST_US: u64 = 10_000_000;
const LONGEST_REST_US: u64 = 120_000_000;
/// Providers that are kept in mind; there are no more than agents name.
const MOST: usize = 10_000;

/// Kinds of providers that an agent lists, so that there is another one to ask.
pub(crate) const LISTED: [ProviderKind; 4] =
    [ProviderKind::Asr, ProviderKind::Llm, ProviderKind::Tts, ProviderKind::Realtime];

type Key = (Id, ProviderKind, String);

#[derive(Debug, Clone, Copy)]
struct State {
    failures: u32,
    rest_us: u64,
    /// Until when it rests.
    until_us: Option<u64>,
}

/// What is known, for every tenant apart.
#[derive(Debug)]
pub(crate) struct Health {
    epoch: Instant,
    states: Mutex<BTreeMap<Key, State>>,
    /// Changes whenever a provider goes down or comes up.
    version: AtomicU64,
    /// When the next rest is over.
    next_us: AtomicU64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            states: Mutex::default(),
            version: AtomicU64::new(0),
            next_us: AtomicU64::new(u64::MAX),
        }
    }
}

impl Health {
    /// A provider failed a call.
    pub(crate) fn failed(&self, tenant: &Id, kind: ProviderKind, provider: &str) {
        self.failed_at(self.now_us(), tenant, kind, provider);
    }

    /// A provider did its work.
    pub(crate) fn worked(&self, tenant: &Id, kind: ProviderKind, provider: &str) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = states.remove(&(tenant.clone(), kind, provider.to_owned()))
            && state.until_us.is_some()
        {
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Changes whenever a provider went down or came up; cheap.
    pub(crate) fn version(&self) -> u64 {
        let now_us = self.now_us();
        if now_us >= self.next_us.load(Ordering::Acquire) {
            self.rests_are_over(now_us);
        }
        self.version.load(Ordering::Acquire)
    }

    /// Whether a provider is worth asking.
    pub(crate) fn is_up(&self, tenant: &Id, kind: ProviderKind, provider: &str) -> bool {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.get(&(tenant.clone(), kind, provider.to_owned())).is_none_or(|state| state.until_us.is_none())
    }

    fn failed_at(&self, now_us: u64, tenant: &Id, kind: ProviderKind, provider: &str) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (tenant.clone(), kind, provider.to_owned());
        if states.len() >= MOST && !states.contains_key(&key) {
            return;
        }
        let fresh = State { failures: 0, rest_us: REST_US, until_us: None };
        let state = states.entry(key).or_insert(fresh);
        state.failures += 1;
        if state.failures >= ENOUGH && state.until_us.is_none() {
            state.until_us = Some(now_us + state.rest_us);
            state.rest_us = (2 * state.rest_us).min(LONGEST_REST_US);
            self.version.fetch_add(1, Ordering::Release);
        }
        self.remember_next(&states);
    }

    fn rests_are_over(&self, now_us: u64) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        for state in states.values_mut().filter(|state| state.until_us.is_some_and(|until_us| until_us <= now_us)) {
            state.until_us = None;
            self.version.fetch_add(1, Ordering::Release);
        }
        self.remember_next(&states);
    }

    fn remember_next(&self, states: &BTreeMap<Key, State>) {
        let next_us = states.values().filter_map(|state| state.until_us).min();
        self.next_us.store(next_us.unwrap_or(u64::MAX), Ordering::Release);
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// What one call was told of its providers.
#[derive(Debug, Default)]
pub(crate) struct HealthWatch {
    seen: u64,
    /// Providers that it was told are down.
    down: Vec<(ProviderKind, String)>,
}

impl HealthWatch {
    /// Providers of an agent that went down or came up since this was asked.
    pub(crate) fn news(&mut self, health: &Health, tenant: &Id, spec: &AgentSpec) -> Vec<(ProviderKind, String, bool)> {
        let mut news = Vec::new();
        let version = health.version();
        if std::mem::replace(&mut self.seen, version) == version {
            return news;
        }
        for kind in LISTED {
            for provider in spec.providers(kind).map(|entry| &entry.provider) {
                let up = health.is_up(tenant, kind, provider);
                let known = self.down.iter().position(|(other, name)| *other == kind && name == provider);
                match (up, known) {
                    (false, None) => self.down.push((kind, provider.clone())),
                    (true, Some(at)) => drop(self.down.remove(at)),
                    (true, None) | (false, Some(_)) => continue,
                }
                news.push((kind, provider.clone(), up));
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use trunkline_api::Prefix;

    use super::*;

    #[test]
    fn a_call_hears_once_of_each_of_its_providers_that_goes_down_or_comes_up() {
        let (health, tenant) = (Health::default(), Id::mint(Prefix::Tenant, 1, [1; 10]));
        let pipeline = serde_json::json!({ "cascade": {
            "asr": [{ "provider": "a" }], "llm": [{ "provider": "a" }, { "provider": "b" }], "tts": [{ "provider": "c" }]
        } });
        let spec = serde_json::json!({ "name": "desk", "pipeline": pipeline });
        let spec: AgentSpec = serde_json::from_value(spec).unwrap();
        let mut watch = HealthWatch::default();
        let mut news = || watch.news(&health, &tenant, &spec);
        assert_eq!(news(), []);
        for (kind, provider) in [(ProviderKind::Llm, "b"), (ProviderKind::Tts, "stranger")] {
            (0..ENOUGH).for_each(|at| health.failed_at(u64::from(at), &tenant, kind, provider));
        }
        let told = |up| (ProviderKind::Llm, "b".to_owned(), up);
        assert_eq!((news(), news()), (vec![told(false)], vec![]));
        health.worked(&tenant, ProviderKind::Llm, "b");
        assert_eq!((news(), news()), (vec![told(true)], vec![]));
    }

    #[test]
    fn a_provider_rests_after_two_failures_in_a_row_and_longer_each_time() {
        let (health, kind) = (Health::default(), ProviderKind::Llm);
        let tenants = [1, 2].map(|n| Id::mint(Prefix::Tenant, n, [n as u8; 10]));
        let up = |tenant: usize| health.is_up(&tenants[tenant], kind, "a");
        health.failed_at(0, &tenants[0], kind, "a");
        health.worked(&tenants[0], kind, "a");
        health.failed_at(1, &tenants[0], kind, "a");
        assert!(up(0));
        let before = health.version();
        health.failed_at(2, &tenants[0], kind, "a");
        assert!(!up(0) && up(1) && health.version() > before, "another tenant has keys of its own");
        health.rests_are_over(2 + REST_US);
        assert!(up(0), "whoever comes next finds out");
        health.failed_at(3 + REST_US, &tenants[0], kind, "a");
        health.rests_are_over(3 + 2 * REST_US);
        assert!(!up(0), "this time it rests twice as long");
        health.rests_are_over(3 + 3 * REST_US);
        assert!(up(0));
        health.failed_at(4 + 3 * REST_US, &tenants[0], kind, "a");
        health.worked(&tenants[0], kind, "a");
        assert!(up(0));
    }
}
