//! What one call of an agent takes: sockets and files, memory, and a plugin session for each thing it does at a time.

use trunkline_api::agent::ProviderRef;
use trunkline_plugin_host::{Plugin, PluginRegistry};

use crate::capacity::{Amounts, Pool};
use crate::health::LISTED;
use crate::serving::{ServedAgent, Serving};
use crate::session::is_online;
use crate::shared::BUILT_IN_TOOLS;

/// Memory of a call without its plugins in KiB: media, the conversation and its timeline.
const CALL_KIB: u32 = 400;
/// RTP and RTCP.
const SOCKETS: u32 = 2;
/// Any call may be recorded, if not by its agent's policy then by an operator's order.
const RECORDING: u32 = 1;

/// What a call takes before its plugins are counted.
pub(crate) fn without_plugins() -> Amounts {
    let mut demand = Amounts::default();
    demand[Pool::Calls] = 1;
    demand[Pool::MediaPorts] = 1;
    demand[Pool::Descriptors] = SOCKETS + RECORDING;
    demand[Pool::Memory] = CALL_KIB;
    demand
}

/// What a call of an agent takes with the plugins in service, whoever of those it may be handed to has it.
pub(crate) fn of(serving: &Serving, agent: &ServedAgent, plugins: &PluginRegistry) -> Amounts {
    let own = alone(serving, agent, plugins);
    let others = serving.reachable(agent);
    others.values().map(|(_, other)| alone(serving, other, plugins)).fold(own, Amounts::max)
}

/// What an agent's own part of a call takes. Of each list one entry works at a time, whichever it is.
fn alone(serving: &Serving, agent: &ServedAgent, plugins: &PluginRegistry) -> Amounts {
    let mut demand = without_plugins();
    let spec = &agent.spec;
    let plugin = |entry: &ProviderRef| plugins.get(&serving.resolve(&agent.tenant, entry).plugin);
    for kind in LISTED {
        add(&mut demand, spec.providers(kind).filter_map(plugin).map(|plugin| session(&plugin)));
    }
    let tools = spec.tools.iter().filter(|tool| !BUILT_IN_TOOLS.contains(&tool.name.as_str()));
    let tools = tools.map(|tool| ProviderRef { provider: tool.name.clone(), settings: tool.settings.clone() });
    add(&mut demand, tools.filter_map(|tool| plugin(&tool)).map(|plugin| session(&plugin)));
    add(&mut demand, plugins.get(&spec.redaction.redactor).iter().map(|plugin| session(plugin)));
    demand
}

/// A session of `plugin`; one with connections has one open at a time.
fn session(plugin: &Plugin) -> Amounts {
    let mut demand = Amounts::default();
    demand[Pool::Descriptors] = u32::from(is_online(plugin));
    demand[Pool::Memory] = plugin.session_kib();
    demand[if plugin.is_heavy() { Pool::HeavySessions } else { Pool::MediaSessions }] = 1;
    demand
}

/// Adds the largest of each.
fn add(demand: &mut Amounts, sessions: impl Iterator<Item = Amounts>) {
    let largest = sessions.fold(Amounts::default(), Amounts::max);
    for pool in Pool::ALL {
        demand[pool] += largest[pool];
    }
}
