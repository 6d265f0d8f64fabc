//! What every worker of a runtime knows.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use trunkline_api::agent::ProviderRef;
use trunkline_api::{Failure, Id};
use trunkline_call::{OtherAgent, ToolBinding};
use trunkline_edge_store::EdgeStore;
use trunkline_plugin_host::{Plugin, PluginRegistry};
use trunkline_recording::Recorder;

use crate::ambience::Beds;
use crate::capacity::{Admission, Amounts, Pool};
use crate::captures::Captures;
use crate::conferences::Conferences;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::health::Health;
use crate::load::{Gauges, LoadPolicy};
use crate::lookups::Librarian;
use crate::outbound::Outbound;
use crate::prompts::Prompts;
use crate::redirections::Redirections;
use crate::serving::{ServedAgent, Serving};

/// How calls are taken.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// This gateway, once it has an identity.
    pub gateway: Option<Id>,
    /// What calls may use up together.
    pub capacity: Amounts,
    /// Microseconds between checkpoints of a call's usage.
    pub checkpoint_us: u64,
    /// Where recordings go.
    pub recordings: PathBuf,
    /// What recordings' paths are told relative to.
    pub state_dir: PathBuf,
    /// Address put into SDP.
    pub media_addr: std::net::IpAddr,
    /// Milliseconds without media before a call ends.
    pub media_timeout_ms: u32,
    /// Threads of the side pool for heavy plugins.
    pub heavy_workers: usize,
    /// How much of their time may be used before new calls are refused.
    pub load: LoadPolicy,
    /// Every call is answered by an echo instead of its agent's voice: for measuring load.
    pub echo: bool,
}

/// What every worker knows.
pub(crate) struct Shared {
    pub(crate) config: RuntimeConfig,
    pub(crate) store: Arc<dyn EdgeStore>,
    pub(crate) plugins: Arc<PluginRegistry>,
    pub(crate) serving: Arc<ArcSwap<Serving>>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) directory: Directory,
    pub(crate) counters: Counters,
    pub(crate) health: Health,
    pub(crate) load: Gauges,
    pub(crate) recorder: Recorder,
    pub(crate) prompts: Arc<Prompts>,
    pub(crate) beds: Beds,
    pub(crate) librarian: Librarian,
    pub(crate) captures: Captures,
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) redirections: Redirections,
    pub(crate) conferences: Arc<Conferences>,
}

impl Shared {
    /// The plugin of a name, as it is in service now.
    pub(crate) fn plugin(&self, name: &str) -> Result<Arc<Plugin>, (Failure, String)> {
        self.plugins.get(name).ok_or_else(|| {
            (Failure::PluginRefused, format!("no plugin `{name}` is loaded; `trunkline check` says why"))
        })
    }

    /// Takes a sample of the load if it is time; says how long it is until the next.
    pub(crate) fn sample_load(&self) -> Duration {
        let pools = self.admission.pools();
        let used = |wanted: Pool| pools.iter().find(|(pool, ..)| *pool == wanted).map_or(0, |(.., used)| *used);
        self.load.sample(used(Pool::Calls), used(Pool::HeavySessions))
    }

    /// The tools of an agent's tool plugins, as a model is told of them. A plugin that is not loaded has none.
    pub(crate) fn tool_bindings(&self, agent: &ServedAgent, serving: &Serving) -> Vec<ToolBinding> {
        let mut bindings = Vec::new();
        let ServedAgent { tenant, spec, .. } = agent;
        for tool in spec.tools.iter().filter(|tool| !BUILT_IN_TOOLS.contains(&tool.name.as_str())) {
            let entry = ProviderRef { provider: tool.name.clone(), settings: tool.settings.clone() };
            let resolved = serving.resolve(tenant, &entry);
            let Ok(plugin) = self.plugin(&resolved.plugin) else {
                tracing::warn!(tool = %tool.name, "no tool plugin of that name is loaded");
                continue;
            };
            for definition in plugin.tool_definitions() {
                bindings.push(ToolBinding {
                    plugin: resolved.plugin.clone(),
                    settings: resolved.settings.as_object().cloned().unwrap_or_default(),
                    definition: definition.clone(),
                    policy: tool.policy.clone(),
                });
            }
        }
        bindings
    }

    /// Agents that a call may be handed to, directly or by way of others. Those that cannot serve are left out.
    pub(crate) fn others(&self, agent: &ServedAgent, serving: &Serving) -> BTreeMap<String, Arc<OtherAgent>> {
        let other = |(id, served): (&Id, &ServedAgent)| {
            let tools = self.tool_bindings(served, serving);
            OtherAgent { agent: id.clone(), version: served.version, spec: Arc::clone(&served.spec), tools }
        };
        serving.reachable(agent).into_iter().map(|(name, found)| (name, Arc::new(other(found)))).collect()
    }
}

/// Tools that calls have without a plugin.
pub(crate) const BUILT_IN_TOOLS: [&str; 6] =
    ["hang_up", "transfer", "open_menu", "set_language", "send_dtmf", "request_callback"];

/// Random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Failure::Internal)?;
    Ok(bytes)
}
