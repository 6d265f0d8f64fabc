//! A call that is up gets its conversation: the worker of its media has it from then on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use trunkline_api::Failure;
use trunkline_api::Id;
use trunkline_api::usage::{CallRecord, EndReason};
use trunkline_call::{CallSetup, Input, RecordingFact};
use trunkline_leg::{AgentEnd, Anchor, CallTime, Codec, LegId};
use trunkline_media::LegHandle;
use trunkline_sdp::Session;
use trunkline_sip::{ByeReason, CallKey};

use super::Intake;
use super::dialogs::Dialog;
use crate::active::NewCall;
use crate::capacity::Ticket;
use crate::counters::count;
use crate::directory::CallInfo;
use crate::line::Line;
use crate::outbound::Placed;
use crate::recording::CallRecordings;
use crate::serving::{ServedAgent, Serving};
use crate::shared::random;
use crate::worker::Order;

/// A call that is up and has its media.
pub(super) struct Beginning {
    pub(super) key: CallKey,
    pub(super) line: Arc<dyn Line>,
    pub(super) sip_call_id: String,
    pub(super) from: String,
    pub(super) to: String,
    /// What is handed over with it.
    pub(super) variables: BTreeMap<String, String>,
    pub(super) hops: u8,
    pub(super) began: Instant,
    /// When it began, in microseconds since the Unix epoch.
    pub(super) wall_us: u64,
    pub(super) serving: Arc<Serving>,
    pub(super) agent: ServedAgent,
    pub(super) trunk: Id,
    pub(super) codec: Codec,
    pub(super) suite: Option<&'static str>,
    pub(super) session: Option<Session>,
    pub(super) record: CallRecord,
    pub(super) recordings: CallRecordings,
    /// The recording that began with it, and when.
    pub(super) recording: Option<(CallTime, RecordingFact)>,
    pub(super) ticket: Ticket,
    pub(super) leg: AgentEnd,
    pub(super) handle: LegHandle,
    /// Its place among calls that leave, when it is one.
    pub(super) placed: Option<Placed>,
}

impl Intake {
    /// A call that is up goes to the worker of its media.
    pub(super) fn hand_over(&mut self, beginning: Beginning) {
        let Beginning {
            key,
            line,
            sip_call_id,
            from,
            to,
            variables,
            hops,
            began,
            wall_us,
            serving,
            agent,
            trunk,
            codec,
            suite,
            session,
            record,
            recordings,
            recording,
            ticket,
            leg,
            handle,
            placed,
        } = beginning;
        let (call, tenant, agent_id) = (record.call.clone(), record.tenant.clone(), record.agent.clone());
        let setup = CallSetup {
            call: call.clone(),
            tenant: tenant.clone(),
            agent: agent_id.clone(),
            agent_version: agent.version,
            tools: self.shared.tool_bindings(&agent, &serving),
            others: self.shared.others(&agent, &serving),
            spec: agent.spec,
            trunk: Some(trunk.clone()),
            gateway: self.shared.config.gateway.clone(),
            direction: record.direction,
            from: from.clone(),
            to: to.clone(),
            variables,
            anchor: Anchor { wall_us, call_us: 0 },
            // Event identifiers follow from it; they need not be secret.
            seed: random().map_or(wall_us, u64::from_le_bytes),
            codec: codec.to_string(),
            sip_call_id: Some(sip_call_id.clone()).filter(|id| !id.is_empty()),
        };
        let recording_key = serving.recording_key(&tenant);
        let mut machine = self.shared.captures.call(setup.clone(), &serving, recording_key);
        if let Some((at, began)) = recording {
            // It begins with the answer, as the tap does; the call's time with the INVITE.
            machine.handle(at, Input::Recording(began));
        }
        let worker = handle.worker();
        let over = trunk.clone();
        let info = CallInfo {
            id: call.clone(),
            tenant,
            agent: agent_id,
            agent_version: agent.version,
            from,
            to,
            trunk,
            sip_call_id,
            answered_us: record.answered_us,
            ended: false,
            recording: record.recording.clone(),
            recording_state: recordings.now(),
        };
        let entry = self.shared.directory.began(info, worker);
        count(&self.shared.counters.answered);
        tracing::info!(%call, agent_version = agent.version, codec = setup.codec, srtp = suite, "call answered");
        if let Some(sdp) = session {
            let (call, rate, line) = (call.clone(), codec.sample_rate(), Arc::clone(&line));
            let dialog = Dialog::new(call, LegId::FIRST, worker, sdp, rate, line);
            self.dialogs.insert(key, dialog.over(Some(over), hops));
        }
        let goodbye = Arc::clone(&line);
        let new = NewCall {
            id: call.clone(),
            call: machine,
            setup,
            leg,
            handle,
            recordings,
            line,
            serving,
            entry,
            ticket,
            began,
            hops,
            placed,
        };
        if let Err(Order::Begin(new)) = self.workers[worker].give(Order::Begin(Box::new(new))) {
            tracing::error!(%call, "the agent worker is swamped; the call was given up");
            self.shared.directory.ended(&call);
            let (failure, NewCall { ticket, .. }) = (Failure::GatewayFull, *new);
            self.close_unanswered(record, ticket, (EndReason::Failed, Some(failure)));
            let _ = goodbye.bye(&ByeReason { q850: failure.q850_cause(), text: failure.name().to_owned() });
        }
    }
}
