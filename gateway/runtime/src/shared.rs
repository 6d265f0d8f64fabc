//! What every worker of a runtime knows.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use trunkline_api::agent::ProviderRef;
use trunkline_api::{Failure, Id};
use trunkline_call::ToolBinding;
use trunkline_edge_store::EdgeStore;
use trunkline_plugin_host::{Plugin, PluginRegistry};
use trunkline_recording::Recorder;

use crate::capacity::{Admission, Amounts};
use crate::counters::Counters;
use crate::directory::Directory;
use crate::health::Health;
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
    pub(crate) recorder: Recorder,
}

impl Shared {
    /// The plugin of a name, as it is in service now.
    pub(crate) fn plugin(&self, name: &str) -> Result<Arc<Plugin>, (Failure, String)> {
        self.plugins.get(name).ok_or_else(|| {
            (Failure::PluginRefused, format!("no plugin `{name}` is loaded; `trunkline check` says why"))
        })
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
                });
            }
        }
        bindings
    }
}

/// Tools that calls have without a plugin.
pub(crate) const BUILT_IN_TOOLS: [&str; 2] = ["hang_up", "transfer"];

/// Random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Failure::Internal)?;
    Ok(bytes)
}
