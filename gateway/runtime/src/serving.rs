//! What new calls are served by: routing, agents and providers of one revision of desired state.

use std::collections::BTreeMap;
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
        (Self { table, agents, providers }, problems)
    }

    /// The version of `agent` in service.
    pub fn agent(&self, agent: &Id) -> Result<&ServedAgent, Failure> {
        self.agents.get(agent).ok_or(Failure::NoRoute)
    }

    /// Number of agents in service.
    #[must_use]
    pub fn agents(&self) -> usize {
        self.agents.len()
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
