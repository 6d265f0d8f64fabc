//! What a call begins with.

use std::sync::Arc;

use trunkline_api::usage::CallDirection;
use trunkline_api::{AgentSpec, Id};
use trunkline_leg::Anchor;

use crate::command::ToolBinding;

/// Everything a call is told once, before its first input. Texts are as routing saw them.
#[derive(Debug, Clone)]
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
    pub spec: Arc<AgentSpec>,
    /// The tools of the agent's tool plugins, resolved from the names in `spec.tools`. `hang_up` and `transfer` are
    /// built in and need none.
    pub tools: Vec<ToolBinding>,
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
    /// Ties call time to the wall clock.
    pub anchor: Anchor,
    /// Randomness for the identifiers of events; two calls with equal setups and inputs behave alike bit for bit.
    pub seed: u64,
    /// RTP encoding name of the negotiated codec.
    pub codec: String,
    /// Call-ID of the SIP dialog, when there is one.
    pub sip_call_id: Option<String>,
}
