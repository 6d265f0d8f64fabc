//! What new calls are served by: routing, agents and providers of one revision of desired state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trunkline_api::agent::{AgentSpec, ProviderRef};
use trunkline_api::object::{Body, Object, ProviderBody};
use trunkline_api::{Failure, Id};
use trunkline_route::Table;

/// An agent version in service.
#[derive(Debug, Clone)]
pub struct ServedAgent {
    /// Its version.
    pub version: u32,
    /// What it is.
    pub spec: Arc<AgentSpec>,
}

/// One revision, indexed. New calls use the latest; calls in progress keep what they began with.
#[derive(Debug, Default)]
pub struct Serving {
    /// Trunks, numbers and routes.
    pub table: Table,
    agents: BTreeMap<Id, ServedAgent>,
    providers: BTreeMap<String, ProviderBody>,
    /// Agents whose plugins are missing or do not take their settings.
    unready: BTreeSet<Id>,
}

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
        let (mut agents, mut providers) = (BTreeMap::new(), BTreeMap::new());
        for object in objects {
            match object.typed() {
                Ok(Body::Agent(spec)) => {
                    agents.insert(object.id.clone(), ServedAgent { version: object.version, spec: Arc::from(spec) });
                }
                Ok(Body::Provider(provider)) => {
                    providers.insert(provider.name.clone(), provider);
                }
                Ok(_) => {}
                Err(error) => problems.push(error.to_string()),
            }
        }
        problems.sort();
        problems.dedup();
        (Self { table, agents, providers, unready: BTreeSet::new() }, problems)
    }

    /// The version of `agent` in service.
    ///
    /// # Errors
    /// [`Failure::NoRoute`] when there is none, [`Failure::AgentUnready`] when its plugins cannot serve it.
    pub fn agent(&self, agent: &Id) -> Result<&ServedAgent, Failure> {
        let found = self.agents.get(agent).ok_or(Failure::NoRoute)?;
        if self.unready.contains(agent) { Err(Failure::AgentUnready) } else { Ok(found) }
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

    pub(crate) fn set_unready(&mut self, agents: BTreeSet<Id>) {
        self.unready = agents;
    }

    /// The plugin and settings behind an entry of an agent's pipeline: a configured provider of that name, else a
    /// plugin of that name.
    #[must_use]
    pub fn resolve(&self, entry: &ProviderRef) -> ResolvedProvider {
        let Some(provider) = self.providers.get(&entry.provider) else {
            return ResolvedProvider { plugin: entry.provider.clone(), settings: entry.settings.clone().into() };
        };
        let mut settings = provider.settings.clone();
        for (key, value) in &entry.settings {
            settings.insert(key.clone(), value.clone());
        }
        ResolvedProvider { plugin: provider.plugin.clone(), settings: settings.into() }
    }
}
