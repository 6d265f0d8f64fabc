//! From an INVITE to a call: route, admit, answer, journal, then hand over to the worker of the call's media.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use trunkline_api::usage::{CALL_RECORD_FORMAT, CallDirection, CallRecord, EndReason};
use trunkline_api::{Failure, Id, Prefix};
use trunkline_call::{Call, CallSetup};
use trunkline_leg::{Anchor, Codec, EndCause, RingSizes};
use trunkline_media::{LegStart, MediaError, MediaPlane};
use trunkline_route::{Load, Request, Source, decide};
use trunkline_sdp::{LocalMedia, Session};
use trunkline_sip::{CallKey, IncomingInvite, Refusal, Reoffer, SipEvent, SipEvents};

use crate::active::NewCall;
use crate::beats::IntakePulse;
use crate::counters::count;
use crate::directory::CallInfo;
use crate::shared::Shared;
use crate::worker::{Order, Worker};

/// Rings of a call: half a second up, 400 ms down, so that a call costs little memory and a clear drops little.
const RINGS: RingSizes = RingSizes { up: 25, down: 20, facts: 64, levels: 16 };

struct Dialog {
    call: Id,
    worker: usize,
    sdp: Session,
}

/// Takes calls.
pub(crate) struct Intake {
    pub(crate) shared: Arc<Shared>,
    pub(crate) plane: MediaPlane,
    pub(crate) workers: Vec<Worker>,
    pub(crate) draining: Arc<AtomicBool>,
    /// Looked up by key only.
    dialogs: HashMap<CallKey, Dialog>,
}

impl Intake {
    /// An intake without calls.
    pub(crate) fn new(shared: Arc<Shared>, plane: MediaPlane, workers: Vec<Worker>, draining: Arc<AtomicBool>) -> Self {
        Self { shared, plane, workers, draining, dialogs: HashMap::new() }
    }

    /// Serves SIP events until the endpoint is gone.
    pub(crate) fn run(mut self, mut events: SipEvents, pulse: &IntakePulse) {
        while let Some(event) = events.blocking_recv() {
            pulse.begin();
            match event {
                SipEvent::Invite(invite) => self.invite(&invite),
                SipEvent::ReInvite(reoffer) => self.reoffer(*reoffer),
                SipEvent::Bye { call, .. } => self.ended(&call, EndCause::RemoteHangUp),
                SipEvent::Cancelled { call } => self.ended(&call, EndCause::Cancelled),
                SipEvent::NoAck { call } => self.ended(&call, EndCause::NoAck),
                SipEvent::Failed { call, .. } => self.ended(&call, EndCause::Failed),
                SipEvent::Acked { .. } => {}
            }
            // Calls that the agent hung up have no further event; forget them once they are over.
            if self.dialogs.len() > 64 && self.dialogs.len() > 2 * self.shared.directory.active() {
                let shared = Arc::clone(&self.shared);
                self.dialogs.retain(|_, dialog| shared.directory.worker(&dialog.call).is_some());
            }
            pulse.end();
        }
    }

    fn invite(&mut self, invite: &IncomingInvite) {
        if let Err(failure) = self.take(invite) {
            count(&self.shared.counters.refused);
            self.shared.counters.failed(failure);
            tracing::info!(status = failure.sip_status(), failure = failure.name(), "call refused: {failure}");
            let refusal = Refusal { q850: Some(failure.q850_cause()), ..Refusal::status(failure.sip_status()) };
            if let Err(error) = invite.handle.reject(&refusal) {
                tracing::debug!(%error, "the caller was gone before the refusal");
            }
        }
    }

    fn take(&mut self, invite: &IncomingInvite) -> Result<(), Failure> {
        let began = Instant::now();
        let wall_us = wall_us();
        let serving = self.shared.serving.load_full();
        let trunk = serving.table.trunk(invite.source.ip()).ok_or(Failure::UnknownPeer)?;
        let (gateway_calls, trunk_calls, tenant_calls) = self.shared.directory.load(&trunk.id, &trunk.tenant);
        let load = Load {
            draining: self.draining.load(Ordering::Acquire),
            store_unavailable: !self.shared.store.health().available,
            gateway_calls,
            gateway_max: self.shared.config.max_calls,
            trunk_calls,
            tenant_calls,
        };
        let source = Source::Address(invite.source.ip());
        let request = Request { source, called: &invite.to_user, calling: &invite.from_user };
        let decision = decide(&serving.table, &request, &load);
        tracing::debug!("{decision}");
        let target = decision.outcome?;
        let agent = serving.agent(&target.agent)?.clone();

        let socket = self.plane.allocate().map_err(|error| media_failure(&error))?;
        let local = LocalMedia {
            addr: self.shared.config.media_addr,
            port: socket.rtp_port(),
            codecs: trunk.codecs.iter().filter_map(|name| name.parse::<Codec>().ok()).collect(),
            dtmf: true,
            session_id: wall_us,
            version: wall_us,
            ptime_ms: 20,
        };
        let offer = invite.offer.as_deref().ok_or(Failure::NoCommonCodec)?;
        let mut sdp = Session::new(local);
        let answer = sdp.answer(offer).map_err(|error| {
            tracing::info!(%error, "the offer cannot be answered");
            Failure::NoCommonCodec
        })?;

        let call = Id::mint(Prefix::Call, wall_us / 1000, random()?);
        let recording = agent.spec.recording.enabled.then(|| self.shared.config.recordings.join(format!("{call}.wav")));
        let told = recording.as_ref().map(|path| {
            path.strip_prefix(&self.shared.config.state_dir).unwrap_or(path).to_string_lossy().into_owned()
        });
        let record = CallRecord {
            format: CALL_RECORD_FORMAT,
            call: call.clone(),
            tenant: target.tenant.clone(),
            agent: target.agent.clone(),
            agent_version: agent.version,
            trunk: Some(target.trunk.clone()),
            direction: CallDirection::Inbound,
            from: invite.from_user.clone(),
            to: invite.to_user.clone(),
            answered_us: wall_us,
            ended_us: None,
            end: None,
            failure: None,
            usage: Vec::new(),
            recording: told.clone(),
            turns: 0,
        };
        self.shared.store.open_call(&record).map_err(|error| {
            tracing::error!(%error, "a call cannot be journalled");
            Failure::StoreUnavailable
        })?;

        let codec = answer.media.codec.name().to_owned();
        let mut start = LegStart::new(answer.media, began);
        start.recording = recording;
        start.media_timeout_ms = self.shared.config.media_timeout_ms;
        start.rings = RINGS;
        let attached = self.plane.attach(socket, start);
        let (leg, handle) = attached.map_err(|error| {
            self.close_unanswered(record.clone(), Failure::GatewayFull);
            media_failure(&error)
        })?;

        let setup = CallSetup {
            call: call.clone(),
            tenant: target.tenant.clone(),
            agent: target.agent.clone(),
            agent_version: agent.version,
            tools: self.shared.tool_bindings(&agent.spec, &serving),
            spec: agent.spec,
            trunk: Some(target.trunk.clone()),
            gateway: self.shared.config.gateway.clone(),
            direction: CallDirection::Inbound,
            from: invite.from_user.clone(),
            to: invite.to_user.clone(),
            anchor: Anchor { wall_us, call_us: 0 },
            seed: u64::from_le_bytes(random()?),
            codec,
            sip_call_id: Some(invite.call_id.clone()),
        };
        let mut machine = Call::new(setup.clone());
        if let Some(path) = &told {
            machine.handle_recording(path.clone());
        }
        if let Err(error) = invite.handle.accept(answer.sdp) {
            tracing::debug!(%error, "the caller was gone before the answer");
            drop(handle);
            self.close_unanswered(record, Failure::Internal);
            return Ok(());
        }
        let worker = handle.worker();
        self.shared.directory.began(
            CallInfo {
                id: call.clone(),
                tenant: target.tenant,
                agent: target.agent,
                agent_version: agent.version,
                from: invite.from_user.clone(),
                to: invite.to_user.clone(),
                trunk: target.trunk,
                sip_call_id: invite.call_id.clone(),
                answered_us: wall_us,
                ended: false,
                recording: told,
            },
            worker,
        );
        count(&self.shared.counters.answered);
        tracing::info!(%call, agent_version = agent.version, "call answered");
        self.dialogs.insert(invite.handle.key(), Dialog { call: call.clone(), worker, sdp });
        let new =
            NewCall { id: call.clone(), call: machine, setup, leg, handle, sip: invite.handle.clone(), serving, began };
        if !self.workers[worker].order(Order::Begin(Box::new(new))) {
            self.shared.directory.ended(&call);
            self.close_unanswered(record, Failure::GatewayFull);
            tracing::error!(%call, "the agent worker is swamped; the call was given up");
            let _ = invite.handle.bye(&trunkline_sip::ByeReason {
                q850: Failure::GatewayFull.q850_cause(),
                text: Failure::GatewayFull.name().to_owned(),
            });
        }
        Ok(())
    }

    /// Closes the record of a call that never had a conversation, so that the journal does not keep it.
    fn close_unanswered(&self, mut record: CallRecord, failure: Failure) {
        record.ended_us = Some(record.answered_us);
        record.end = Some(EndReason::Failed);
        record.failure = Some(failure);
        if let Err(error) = self.shared.store.close_call(record) {
            tracing::warn!(%error, "the record of a refused call stays in the journal");
        }
    }

    fn reoffer(&mut self, reoffer: Reoffer) {
        let Some(dialog) = self.dialogs.get_mut(&reoffer.call) else {
            reoffer.handle.refuse(481);
            return;
        };
        let offer = reoffer.offer.as_deref().unwrap_or_default();
        match dialog.sdp.answer(offer) {
            Ok(answer) => {
                self.workers[dialog.worker].order(Order::MediaChanged(dialog.call.clone(), answer.media));
                reoffer.handle.answer(answer.sdp);
            }
            Err(error) => reoffer.handle.refuse(error.sip_status()),
        }
    }

    fn ended(&mut self, call: &CallKey, cause: EndCause) {
        if let Some(dialog) = self.dialogs.remove(call) {
            self.workers[dialog.worker].order(Order::DialogEnded(dialog.call, cause));
        }
    }
}

fn media_failure(error: &MediaError) -> Failure {
    tracing::warn!(%error, "no media for a call");
    Failure::GatewayFull
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Failure::Internal)?;
    Ok(bytes)
}

fn wall_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
