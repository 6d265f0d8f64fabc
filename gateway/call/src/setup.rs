//! What a call begins with.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use trunkline_api::usage::CallDirection;
use trunkline_api::{AgentSpec, Id};
use trunkline_leg::Anchor;

use crate::command::ToolBinding;

/// Everything a call is told once, before its first input. Texts are as routing saw them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallSetup {
    /// The call.
    pub call: Id,
    /// Its tenant.
    pub tenant: Id,
    /// The agent that answers it.
    pub agent: Id,
    /// The agent's version.
    pub agent_version: u32,
    /// What the agent is; shared by every call of that version.
    #[serde(with = "shared")]
    pub spec: Arc<AgentSpec>,
    /// The tools of the agent's tool plugins, resolved from the names in `spec.tools`. `hang_up`, `transfer`,
    /// `send_dtmf` and `request_callback` are built in and need none.
    pub tools: Vec<ToolBinding>,
    /// Agents that the call may be handed to, directly or by way of others, by the name that `handoff.agents` of a spec
    /// gives in `agent`. One that is missing cannot be reached.
    #[serde(default, with = "shared_others")]
    pub others: BTreeMap<String, Arc<OtherAgent>>,
    /// The trunk it came or goes by.
    pub trunk: Option<Id>,
    /// The gateway that serves it.
    pub gateway: Option<Id>,
    /// Which way it goes.
    pub direction: CallDirection,
    /// Calling number or URI user.
    pub from: String,
    /// Called number or URI user.
    pub to: String,
    /// What whoever calls, or placed the call, hands over: variables by name, such as `x_campaign_id`. They go before the
    /// agent's own of the same name, and what goes to the model goes by way of the redactor.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Ties call time to the wall clock.
    pub anchor: Anchor,
    /// Randomness for the identifiers of events; two calls with equal setups and inputs behave alike bit for bit.
    pub seed: u64,
    /// RTP encoding name of the negotiated codec.
    pub codec: String,
    /// Call-ID of the SIP dialog, when there is one.
    pub sip_call_id: Option<String>,
}

/// An agent that a call may be handed to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OtherAgent {
    /// The agent.
    pub agent: Id,
    /// Its version.
    pub version: u32,
    /// What it is.
    #[serde(with = "shared")]
    pub spec: Arc<AgentSpec>,
    /// The tools of its tool plugins.
    pub tools: Vec<ToolBinding>,
}

/// A spec is written down with the call, whoever else it serves.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use trunkline_api::AgentSpec;

    pub(super) fn serialize<S: Serializer>(spec: &Arc<AgentSpec>, serializer: S) -> Result<S::Ok, S::Error> {
        (**spec).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<AgentSpec>, D::Error> {
        AgentSpec::deserialize(deserializer).map(Arc::new)
    }
}

/// The same of agents by name.
mod shared_others {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::OtherAgent;

    type Others = BTreeMap<String, Arc<OtherAgent>>;

    pub(super) fn serialize<S: Serializer>(others: &Others, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(others.iter().map(|(name, other)| (name, &**other)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Others, D::Error> {
        let others = BTreeMap::<String, OtherAgent>::deserialize(deserializer)?;
        Ok(others.into_iter().map(|(name, other)| (name, Arc::new(other))).collect())
    }
}
