//! From an INVITE to its answer: judged, journalled, rung for as long as its trunk says, given its media.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use trunkline_api::ambience::Ambience;
use trunkline_api::object::Ringing as RingingPolicy;
use trunkline_api::usage::{CALL_RECORD_FORMAT, CallDirection, CallRecord, EndReason};
use trunkline_api::{Failure, Id, Prefix};
use trunkline_call::RecordingFact;
use trunkline_edge_store::{Completion, Write};
use trunkline_leg::{CallTime, RingSizes, TapEnd};
use trunkline_media::{LegSound, LegStart, Link, MediaError, SourcePolicy};
use trunkline_route::{Request, Source, Target};
use trunkline_sip::CallKey;
use trunkline_sip::variables::Inbound;

use super::handing_over::Beginning;
use super::{BED_WAIT, DOWN_FRAMES, Intake, Leg, UP_FRAMES, sources, wall_us};
use crate::capacity::{Pool, Ticket};
use crate::line::Invite;
use crate::offer::Settled;
use crate::recording::CallRecordings;
use crate::refusal::{Refused, media_failure, overloaded};
use crate::routing;
use crate::serving::{ServedAgent, Serving};
use crate::shared::{Shared, random};
use crate::sound::leg_sound;

/// A call whose record is on its way to the disk.
pub(super) struct Opening {
    pub(super) invite: Invite,
    pub(super) began: Instant,
    pub(super) wall_us: u64,
    pub(super) serving: Arc<Serving>,
    pub(super) agent: ServedAgent,
    pub(super) target: Target,
    pub(super) settled: Settled,
    pub(super) ringing: RingingPolicy,
    pub(super) source: SourcePolicy,
    pub(super) sound: LegSound,
    pub(super) ambience: Option<Ambience>,
    pub(super) record: CallRecord,
    pub(super) recordings: CallRecordings,
    /// The recording that begins with the call, and what is told of it.
    pub(super) recording: Option<(TapEnd, RecordingFact)>,
    pub(super) ticket: Ticket,
    pub(super) written: Completion,
}

impl Opening {
    /// Whether its background sound is on its way and worth waiting for at `now`.
    pub(super) fn awaits_bed(&self, now: Instant, shared: &Shared) -> bool {
        let rate = self.settled.media.codec.sample_rate();
        now.saturating_duration_since(self.began) < BED_WAIT
            && self.ambience.as_ref().is_some_and(|ambience| shared.beds.is_making(ambience, rate))
    }
}

/// A call that rings, and its leg when that is up already.
pub(super) struct Rung {
    pub(super) opening: Opening,
    pub(super) early: Option<Leg>,
}

impl Intake {
    /// Everything up to the record's way to the disk: nothing here waits.
    pub(super) fn open(&self, invite: &Invite) -> Result<Opening, Refused> {
        let began = Instant::now();
        let wall_us = wall_us();
        let shared = &self.shared;
        let serving = shared.serving.load_full();
        let trunk = match &invite.trunk {
            Some(trunk) => serving.table.trunk_by_id(trunk),
            None => serving.table.trunk(invite.source),
        };
        let trunk = trunk.ok_or(Failure::UnknownPeer)?;
        let (called, calling) = (&invite.to_user, &invite.from_user);
        let headers = &[&invite.headers[..], &invite.findings[..]].concat();
        let request = Request { source: Source::Trunk(&trunk.id), called, calling, headers, wall_us };
        let decision = routing::decide(shared, &serving, self.draining.load(Ordering::Acquire), &request);
        tracing::debug!("{decision}");
        let target = decision.outcome?;
        let agent = serving.agent(&target.agent)?.clone();
        let ticket = shared
            .admission
            .admit([&target.trunk, &target.tenant, &target.agent], invite.offer.demand(agent.demand), began)
            .map_err(|pool| {
                tracing::warn!(pool = pool.name(), "a call was refused: the pool is used up");
                pool.failure()
            })?;

        shared.load.admit(agent.demand[Pool::HeavySessions], u32::from_le_bytes(random()?)).map_err(overloaded)?;
        self.plane.check_room().map_err(|error| media_failure(&error))?;
        let settled = invite.offer.settle(trunk, &self.plane, shared, wall_us)?;
        // A stream is connected already.
        let mut ringing = if settled.session.is_some() { trunk.ringing } else { RingingPolicy::default() };
        // Our offer goes out with the answer; before it there is no way for sound.
        ringing.early_media &= settled.session.as_ref().is_none_or(|session| !session.is_offering());
        let call = Id::mint(Prefix::Call, wall_us / 1000, random()?);
        let key = serving.recording_key(&target.tenant).cloned();
        let mut recordings = CallRecordings::new(call.clone(), agent.spec.recording.clone(), key);
        let rate = settled.media.codec.sample_rate();
        let recording = recordings.begin_with_call(&shared.recorder, &shared.config, rate)?;
        let told = recordings.path().map(str::to_owned);
        let record = CallRecord {
            format: CALL_RECORD_FORMAT,
            call,
            tenant: target.tenant.clone(),
            agent: target.agent.clone(),
            agent_version: agent.version,
            handed_to: Vec::new(),
            trunk: Some(target.trunk.clone()),
            direction: CallDirection::Inbound,
            from: invite.from_user.clone(),
            to: invite.to_user.clone(),
            answered_us: wall_us + u64::from(ringing.ms) * 1000,
            ended_us: None,
            end: None,
            failure: None,
            usage: Vec::new(),
            recording: told,
            turns: 0,
            stages: Vec::new(),
        };
        let ambience = agent.spec.sound.over(&trunk.sound).ambience;
        if let Some(ambience) = &ambience {
            shared.beds.prepare(ambience, rate);
        }
        let written = shared.store.submit(Write::OpenCall(Box::new(record.clone()))).map_err(|error| {
            tracing::error!(%error, "a call cannot be journalled");
            Failure::StoreUnavailable
        })?;
        let (source, sound) =
            (sources(trunk), leg_sound(&agent.spec.sound.over(&trunk.sound), &agent.spec.interruption));
        let invite = invite.clone();
        Ok(Opening {
            invite,
            began,
            wall_us,
            agent,
            target,
            settled,
            ringing,
            source,
            sound,
            ambience,
            record,
            recordings,
            recording,
            ticket,
            written,
            serving,
        })
    }

    /// The record is durable: the call is answered, or rings first.
    pub(super) fn ring(&mut self, now: Instant, key: CallKey, mut opening: Opening) {
        if opening.ringing.ms == 0 {
            return self.answer(Rung { opening, early: None });
        }
        let (mut early, mut described) = (None, None);
        if opening.ringing.early_media {
            match self.attach(&mut opening, None) {
                Ok(leg) => early = Some(leg),
                Err(failure) => return self.fail(opening, failure),
            }
            described = Some(opening.settled.answer.clone());
        }
        if let Err(error) = opening.invite.line.ring(described) {
            return self.gone(opening, &error);
        }
        let due = now + Duration::from_millis(opening.ringing.ms.into());
        self.ringing.begin(key, due, Rung { opening, early });
    }

    /// Media of an opening, with what it is recorded by.
    pub(super) fn attach(&self, opening: &mut Opening, tap: Option<TapEnd>) -> Result<Leg, Failure> {
        let settled = &mut opening.settled;
        let rate = settled.media.codec.sample_rate();
        let mut start = LegStart::new(settled.media.clone(), opening.began);
        if settled.session.is_some() {
            start.source = opening.source.clone();
        }
        start.signalling_ip = Some(opening.invite.source);
        start.tap = tap;
        start.media_timeout_ms = self.shared.config.media_timeout_ms;
        start.ringback_ms = if opening.ringing.early_media { opening.ringing.ms } else { 0 };
        start.sound = opening.sound;
        start.ambience = opening.ambience.as_ref().and_then(|ambience| self.shared.beds.of(ambience, rate));
        start.rings = RingSizes { up: UP_FRAMES, down: DOWN_FRAMES, rate, ..RingSizes::default() };
        let attached = settled.link.take().ok_or(MediaError::Ended).and_then(|link| self.plane.attach(link, start));
        attached.map_err(|error| media_failure(&error))
    }

    /// An opening that media cannot serve.
    pub(super) fn fail(&mut self, opening: Opening, failure: Failure) {
        self.refuse(&opening.invite, failure);
        self.close_unanswered(opening.record, opening.ticket, (EndReason::Failed, Some(failure)));
    }

    /// An opening whose caller is gone.
    pub(super) fn gone(&mut self, opening: Opening, why: &dyn std::fmt::Display) {
        tracing::info!(call = %opening.record.call, %why, "the caller was gone before the answer");
        self.close_unanswered(opening.record, opening.ticket, (EndReason::CallerHungUp, None));
    }

    /// The call has rung for long enough: media, the 200 OK, and the agent.
    pub(super) fn answer(&mut self, Rung { mut opening, early }: Rung) {
        if early.is_none() && opening.settled.link.as_ref().is_some_and(Link::is_over) {
            return self.gone(opening, &"its stream is over");
        }
        let (tap, recording_began) = opening.recording.take().unzip();
        let attached = match early {
            // What was said while it rang was said to nobody, and is not recorded.
            Some((mut leg, handle)) => {
                while leg.up.pop().is_ok() {}
                tap.map_or(Ok(()), |tap| handle.tap(tap)).map(|()| (leg, handle)).map_err(|error| media_failure(&error))
            }
            None => self.attach(&mut opening, tap),
        };
        let (leg, handle) = match attached {
            Ok(attached) => attached,
            Err(failure) => return self.fail(opening, failure),
        };
        let answer = std::mem::take(&mut opening.settled.answer);
        if let Err(error) = opening.invite.line.accept(answer) {
            return self.gone(opening, &error);
        }
        let ringing = opening.ringing;
        let Opening { invite, began, wall_us, serving, agent, target, settled, record, recordings, ticket, .. } =
            opening;
        let recording = recording_began.map(|began| (CallTime::from_ms(ringing.ms.into()), began));
        let (codec, session) = (settled.media.codec, settled.session);
        let suite = settled.media.srtp.as_ref().map(|srtp| srtp.suite.name());
        let trusted = serving.table.trunk_by_id(&target.trunk).is_some_and(|trunk| trunk.trusted);
        let mut variables = Inbound::read(&invite.from, &invite.headers, trusted).variables();
        variables.extend(invite.findings);
        self.hand_over(Beginning {
            key: invite.key,
            line: invite.line,
            sip_call_id: invite.call_id,
            from: invite.from_user,
            to: invite.to_user,
            variables,
            // A call that was passed on for ever ends some day.
            hops: invite.hops,
            began,
            wall_us,
            serving,
            agent,
            trunk: target.trunk,
            codec,
            suite,
            session,
            record,
            recordings,
            recording,
            ticket,
            leg,
            handle,
            placed: None,
        });
    }
}
