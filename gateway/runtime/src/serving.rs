//! What new calls are served by: routing, agents and providers of one revision of desired state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trunkline_api::agent::{AgentSpec, ProviderRef};
use trunkline_api::object::{Body, Object, ProviderBody};
use trunkline_api::{Failure, Id};
use trunkline_recording::PublicKey;
use trunkline_route::Table;

use crate::capacity::Amounts;
use crate::demand;
use crate::knowledge::Library;

/// An agent version in service.
#[derive(Debug, Clone)]
pub struct ServedAgent {
    /// Whose it is.
    pub tenant: Id,
    /// Its version.
    pub version: u32,
    /// What it is.
    pub spec: Arc<AgentSpec>,
    /// What one of its calls takes.
    pub demand: Amounts,
}

/// One revision, indexed. New calls use the latest; calls in progress keep what they began with.
#[derive(Debug, Default)]
pub struct Serving {
    /// Trunks, numbers and routes.
    pub table: Table,
    agents: BTreeMap<Id, ServedAgent>,
    /// By tenant and name: two tenants may call two things the same.
    providers: BTreeMap<(Id, String), ProviderBody>,
    /// Whom tenants' recordings are sealed to.
    recording_keys: BTreeMap<Id, PublicKey>,
    /// Agents whose plugins are missing or do not take their settings.
    unready: BTreeSet<Id>,
    library: Arc<Library>,
}

/// Most agents that a call may be handed to, directly or by way of others.
const MOST_OTHERS: usize = 32;

/// A plugin with the settings an agent gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedProvider {
    /// Name of the plugin.
    pub plugin: String,
    /// Settings: the provider's own under the agent's.
    pub settings: serde_json::Value,
}

impl Serving {
    /// Indexes objects. Objects that do not validate are left out and named.
    #[must_use]
    pub fn build(objects: &[Object]) -> (Self, Vec<String>) {
        let (table, problems) = Table::build(objects);
        let mut problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let (mut agents, mut providers, mut recording_keys) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for object in objects {
            match object.typed() {
                Ok(Body::Agent(spec)) => {
                    let (version, spec) = (object.version, Arc::from(spec));
                    let demand = demand::without_plugins();
                    let tenant = object.tenant.clone();
                    agents.insert(object.id.clone(), ServedAgent { tenant, version, spec, demand });
                }
                Ok(Body::Provider(provider)) => {
                    providers.insert((object.tenant.clone(), provider.name.clone()), provider);
                }
                Ok(Body::Tenant(tenant)) if !tenant.recording_key.is_empty() => {
                    match tenant.recording_key.parse::<PublicKey>() {
                        Ok(key) => {
                            recording_keys.insert(object.id.clone(), key);
                        }
                        Err(error) => problems.push(format!("tenant {}: recording_key: {error}", object.id)),
                    }
                }
                Ok(_) => {}
                Err(error) => problems.push(error.to_string()),
            }
        }
        problems.sort();
        problems.dedup();
        let (unready, library) = Default::default();
        (Self { table, agents, providers, recording_keys, unready, library }, problems)
    }

    /// The same with knowledge bases.
    #[must_use]
    pub fn knowing(self, library: Arc<Library>) -> Self {
        Self { library, ..self }
    }

    pub(crate) const fn library(&self) -> &Arc<Library> {
        &self.library
    }

    /// The agent of a tenant that `name` names, by its id or by its own name; `None` when there is none, or more than one.
    pub(crate) fn named(&self, tenant: &Id, name: &str) -> Option<(&Id, &ServedAgent)> {
        let ours = || self.agents.iter().filter(|(_, agent)| agent.tenant == *tenant);
        if let Some(found) = ours().find(|(id, _)| id.to_string() == name) {
            return Some(found);
        }
        let mut found = ours().filter(|(_, agent)| agent.spec.name == name);
        found.next().filter(|_| found.next().is_none())
    }

    /// The agent that `name` names, by its id or, where only one of all tenants has it, by its own name.
    pub(crate) fn agent_called(&self, name: &str) -> Option<(&Id, &ServedAgent)> {
        if let Some(found) = self.agents.iter().find(|(id, _)| id.to_string() == name) {
            return Some(found);
        }
        let mut found = self.agents.iter().filter(|(_, agent)| agent.spec.name == name);
        found.next().filter(|_| found.next().is_none())
    }

    /// Agents in service that calls of an agent may be handed to, directly or by way of others, by the name they are
    /// asked for by.
    pub(crate) fn reachable(&self, agent: &ServedAgent) -> BTreeMap<String, (&Id, &ServedAgent)> {
        let mut found = BTreeMap::new();
        let mut look = vec![agent];
        while let Some(agent) = look.pop() {
            for target in &agent.spec.handoff.agents {
                if found.len() >= MOST_OTHERS || found.contains_key(&target.agent) {
                    continue;
                }
                let other = self.named(&agent.tenant, &target.agent).filter(|(id, _)| !self.unready.contains(*id));
                if let Some(other) = other {
                    found.insert(target.agent.clone(), other);
                    look.push(other.1);
                }
            }
        }
        found
    }

    /// The version of `agent` in service.
    ///
    /// # Errors
    /// [`Failure::NoRoute`] when there is none, [`Failure::AgentUnready`] when its plugins cannot serve it.
    pub fn agent(&self, agent: &Id) -> Result<&ServedAgent, Failure> {
        let found = self.agents.get(agent).ok_or(Failure::NoRoute)?;
        if self.unready.contains(agent) { Err(Failure::AgentUnready) } else { Ok(found) }
    }

    /// Whom recordings of `tenant`'s calls are sealed to.
    #[must_use]
    pub fn recording_key(&self, tenant: &Id) -> Option<&PublicKey> {
        self.recording_keys.get(tenant)
    }

    /// Whether some tenant has a key that recordings are sealed to.
    #[must_use]
    pub fn has_recording_key(&self) -> bool {
        !self.recording_keys.is_empty()
    }

    /// Number of agents, ready or not.
    #[must_use]
    pub fn agents(&self) -> usize {
        self.agents.len()
    }

    /// Number of agents whose calls are answered.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.agents.len() - self.unready.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Id, &ServedAgent)> {
        self.agents.iter()
    }

    /// The most that one call takes of each pool, whichever agent answers it.
    #[must_use]
    pub fn largest_demand(&self) -> Amounts {
        self.agents.values().fold(Amounts::default(), |most, agent| most.max(agent.demand))
    }

    pub(crate) fn set_demands(&mut self, demands: Vec<(Id, Amounts)>) {
        for (agent, demand) in demands {
            if let Some(agent) = self.agents.get_mut(&agent) {
                agent.demand = demand;
            }
        }
    }

    pub(crate) fn set_unready(&mut self, agents: BTreeSet<Id>) {
        self.unready = agents;
    }

    /// The plugin and settings behind an entry of an agent's pipeline: a provider that its tenant has configured under
    /// that name, else a plugin of that name.
    #[must_use]
    pub fn resolve(&self, tenant: &Id, entry: &ProviderRef) -> ResolvedProvider {
        let Some(provider) = self.providers.get(&(tenant.clone(), entry.provider.clone())) else {
            return ResolvedProvider { plugin: entry.provider.clone(), settings: entry.settings.clone().into() };
        };
        let mut settings = provider.settings.clone();
        for (key, value) in &entry.settings {
            settings.insert(key.clone(), value.clone());
        }
        ResolvedProvider { plugin: provider.plugin.clone(), settings: settings.into() }
    }
}

#[cfg(test)]
mod tests {
    use trunkline_api::object::Kind;
    use trunkline_recording::SecretKey;

    use super::*;

    fn tenant(recording_key: &str) -> Object {
        let id: Id = format!("ten_{}", "0".repeat(26)).parse().unwrap();
        let body = serde_json::json!({ "name": "a", "recording_key": recording_key });
        Object { kind: Kind::Tenant, id: id.clone(), tenant: id, version: 1, sha256: String::new(), body }
    }

    #[test]
    fn two_tenants_may_call_two_providers_the_same() {
        let id = |kind: &str, n: char| -> Id { format!("{kind}_{}", n.to_string().repeat(26)).parse().unwrap() };
        let provider = |tenant: char, key: &str| Object {
            kind: Kind::Provider,
            id: id("prv", tenant),
            tenant: id("ten", tenant),
            version: 1,
            sha256: String::new(),
            body: serde_json::json!({ "name": "voice", "plugin": "openai", "settings": { "account": key } }),
        };
        let (serving, problems) = Serving::build(&[provider('1', "one"), provider('2', "two")]);
        assert_eq!(problems, Vec::<String>::new());
        let entry = ProviderRef { provider: "voice".to_owned(), settings: Default::default() };
        for (tenant, account) in [('1', "one"), ('2', "two")] {
            assert_eq!(serving.resolve(&id("ten", tenant), &entry).settings["account"], account);
        }
        let stranger = serving.resolve(&id("ten", '3'), &entry);
        assert_eq!((stranger.plugin.as_str(), stranger.settings), ("voice", serde_json::json!({})));
    }

    #[test]
    fn the_key_that_keygen_prints_is_one_that_recordings_are_sealed_to() {
        let public = SecretKey::generate().unwrap().public();
        let object = tenant(&public.to_string());
        let (serving, problems) = Serving::build(std::slice::from_ref(&object));
        assert_eq!((serving.recording_key(&object.id), problems), (Some(&public), Vec::new()));
        let object = tenant("x25519-public:AAAA");
        let (serving, problems) = Serving::build(std::slice::from_ref(&object));
        assert_eq!(serving.recording_key(&object.id), None);
        assert!(problems.iter().any(|problem| problem.contains("recording_key")), "{problems:?}");
    }
}
