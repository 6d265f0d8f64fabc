//! The ends of one call: the one it began with, and whoever was dialled since. The conversation is with one of them, or with
//! nobody while two speak with each other; the others are listened to for facts alone.

use std::time::Instant;

use trunkline_api::{Failure, Id};
use trunkline_call::Input;
use trunkline_leg::{
    AgentEnd, CallTime, Direction, DtmfDigit, EndCause, LegFact, LegId, MediaSpec, RefusalCause, RingSizes,
};
use trunkline_media::{Conference, LegHandle, LegSocket, LegSound, LegStart, MediaPlane, SourcePolicy};
use trunkline_sip::ByeReason;

use super::overhearing::Overhearing;
use super::ports::{Ear, Ports, Wanted};
use crate::ambience::Beds;
use crate::line::Answering;
use crate::listening::Listening;
use crate::outbound::Placed;
use crate::speaking::Speaking;

/// News of a leg that was dialled, from whoever reads its signalling.
pub(crate) enum LegNews {
    /// It rings.
    Ringing,
    /// It is answered.
    Answered {
        /// Its dialog.
        line: Answering,
        /// What its sound goes by.
        media: Box<MediaSpec>,
    },
    /// It is over without an answer.
    Refused {
        /// Why.
        cause: RefusalCause,
        /// The SIP status behind it.
        status: Option<u16>,
    },
    /// Its far end ended the dialog.
    DialogEnded(EndCause),
    /// Its media changed.
    MediaChanged(Box<MediaSpec>),
    /// Its far end pressed a key and told it by signalling.
    Pressed(DtmfDigit),
    /// Its far end was told which ways sound goes, and took it, or refused with a status.
    Redirected {
        /// The ways.
        direction: Direction,
        /// The status.
        refused: Option<u16>,
    },
    /// How far it has come that was asked to dial, as a SIP status.
    Referral(u16),
    /// Its tenant has spent what it may: it ends.
    SpendReached,
    /// Its far end had somebody dialled who takes its place, or, with a SIP status, nobody does.
    Followed(Result<Box<Follower>, u16>),
}

/// Somebody who takes the place of a leg's far end.
pub(crate) struct Follower {
    /// Their dialog.
    pub(crate) line: Answering,
    /// Their place among calls that leave.
    pub(crate) placed: Placed,
    /// What their sound goes by.
    pub(crate) media: MediaSpec,
    /// Whose packets are believed to be theirs.
    pub(crate) source: SourcePolicy,
}

/// What the media of a leg is made with once it is answered.
pub(super) struct Terms {
    pub(super) socket: LegSocket,
    pub(super) source: SourcePolicy,
    pub(super) sound: LegSound,
    pub(super) media_timeout_ms: u32,
    /// Call time zero.
    pub(super) began: Instant,
}

/// The ends of a call.
pub(super) struct Legs {
    call: Id,
    first: Ports,
    /// Its place among calls that leave, when it is one.
    first_placed: Option<Placed>,
    others: Vec<Other>,
    attached: Option<LegId>,
    /// Whose sound is heard with that of the one whom the conversation is with.
    overhearing: Option<Overhearing>,
    /// Where two of them hear each other.
    bridge: Option<Conference>,
}

/// One that was dialled.
struct Other {
    id: LegId,
    /// Its place among calls that leave, for as long as it lasts.
    placed: Placed,
    state: State,
}

enum State {
    Ringing(Box<Terms>),
    Up(Box<Ports>),
    /// Its last fact was told.
    Over,
}

impl Legs {
    /// A call with the end it began with.
    pub(super) const fn new(call: Id, first: Ports, first_placed: Option<Placed>) -> Self {
        Self {
            call,
            first,
            first_placed,
            others: Vec::new(),
            attached: Some(LegId::FIRST),
            overhearing: None,
            bridge: None,
        }
    }

    /// The one whom the conversation is with; the first while it is with nobody, when nothing is said.
    fn with(&self) -> &Ports {
        self.attached.and_then(|leg| self.of(leg)).unwrap_or(&self.first)
    }

    /// One that is up.
    pub(super) fn of(&self, leg: LegId) -> Option<&Ports> {
        if leg == LegId::FIRST {
            return Some(&self.first);
        }
        self.others.iter().find_map(|other| match &other.state {
            State::Up(ports) if other.id == leg => Some(&**ports),
            _ => None,
        })
    }

    /// The place among calls that leave of one that was dialled.
    pub(super) fn placed(&self, leg: LegId) -> Option<&Placed> {
        if leg == LegId::FIRST {
            return self.first_placed.as_ref();
        }
        self.others.iter().find(|other| other.id == leg).map(|other| &other.placed)
    }

    /// The same, to be changed.
    pub(super) fn of_mut(&mut self, leg: LegId) -> Option<&mut Ports> {
        if leg == LegId::FIRST {
            return Some(&mut self.first);
        }
        self.others.iter_mut().find_map(|other| match &mut other.state {
            State::Up(ports) if other.id == leg => Some(&mut **ports),
            _ => None,
        })
    }

    /// Whether any beside the first is there: media wakes nobody for it, so that it is looked at unasked.
    pub(super) fn has_others(&self) -> bool {
        !self.others.is_empty()
    }

    /// The next thing that any of them has to say; the sound of the one whom the conversation is with goes to `ears`.
    pub(super) fn hear(&mut self, ears: &mut Listening) -> Option<Input> {
        self.others.retain(|other| !matches!(other.state, State::Over));
        let attached = self.attached;
        let ear = Self::ear(attached, LegId::FIRST, ears, &mut self.overhearing);
        if let Some(input) = self.first.hear(ear) {
            return Some(input);
        }
        for other in &mut self.others {
            let State::Up(ports) = &mut other.state else { continue };
            let heard = ports.hear(Self::ear(attached, other.id, ears, &mut self.overhearing));
            if let Some(Input::Leg { fact: LegFact::Ended { .. }, .. }) = &heard {
                other.state = State::Over;
            }
            if heard.is_some() {
                return heard;
            }
        }
        None
    }

    /// Where a leg's sound goes.
    fn ear<'a>(
        attached: Option<LegId>,
        leg: LegId,
        ears: &'a mut Listening,
        overhearing: &'a mut Option<Overhearing>,
    ) -> Ear<'a> {
        match overhearing {
            overhearing if attached == Some(leg) => Ear::Agent(ears, overhearing.as_mut()),
            Some(overhearing) if overhearing.leg() == leg => Ear::Beside(overhearing),
            _ => Ear::Nobody,
        }
    }

    /// Has the sound of one heard with that of whom the conversation is with.
    pub(super) fn overhear(&mut self, leg: Option<LegId>) {
        let rate = self.with().handle().rate();
        self.overhearing = leg.map(|leg| Overhearing::new(leg, rate));
    }

    /// A leg is being dialled.
    pub(super) fn dialled(&mut self, id: LegId, placed: Placed, terms: Terms) {
        self.others.push(Other { id, placed, state: State::Ringing(Box::new(terms)) });
    }

    /// It was answered: it gets its media; what the call is told.
    pub(super) fn answered(
        &mut self,
        now: CallTime,
        leg: LegId,
        plane: Option<&MediaPlane>,
        line: Answering,
        media: MediaSpec,
    ) -> Option<LegFact> {
        let ringing = |other: &&mut Other| other.id == leg && matches!(other.state, State::Ringing(_));
        let other = self.others.iter_mut().find(ringing);
        let taken = other.and_then(|other| match std::mem::replace(&mut other.state, State::Over) {
            State::Ringing(terms) => Some((terms, &mut other.state)),
            State::Up(_) | State::Over => None,
        });
        // Where it was let go of meanwhile it is hung up.
        let (Some((terms, state)), Some(plane)) = (taken, plane) else { return None };
        let line = line.take()?;
        let mut start = LegStart::new(media, terms.began);
        start.rings = RingSizes { rate: start.spec.codec.sample_rate(), ..RingSizes::default() };
        start.signalling_ip = line.source();
        (start.source, start.sound, start.media_timeout_ms) = (terms.source, terms.sound, terms.media_timeout_ms);
        match plane.attach(terms.socket, start) {
            Ok((end, handle)) => {
                *state = State::Up(Box::new(Ports::new(self.call.clone(), leg, end, handle, line, None)));
                Some(LegFact::Answered { at: now })
            }
            Err(error) => {
                let failure = crate::refusal::media_failure(&error);
                let text = failure.name().to_owned();
                let _ = line.bye(&ByeReason { q850: failure.q850_cause(), text });
                Some(LegFact::Refused { cause: RefusalCause::Failed, status: None, at: now })
            }
        }
    }

    /// It was not: whether it was still wanted.
    pub(super) fn refused(&mut self, leg: LegId) -> bool {
        let ringing = |other: &&mut Other| other.id == leg && matches!(other.state, State::Ringing(_));
        let other = self.others.iter_mut().find(ringing);
        other.map(|other| other.state = State::Over).is_some()
    }

    /// Gives up on one that rings.
    pub(super) fn cancel(&self, leg: LegId) {
        if let Some(other) = self.others.iter().find(|other| other.id == leg) {
            other.placed.dialling.cancel();
        }
    }

    /// The conversation is with that one from now on.
    pub(super) fn attach(&mut self, leg: Option<LegId>) {
        self.attached = leg;
    }

    /// Two of them hear each other.
    pub(super) fn bridge(&mut self, a: LegId, b: LegId) {
        let room = Conference::new(2);
        for leg in [a, b] {
            if let Some(Err(error)) = self.of_mut(leg).map(|ports| ports.sit(Some(room.clone()))) {
                tracing::warn!(call = %self.call, leg = leg.0, %error, "a leg could not be joined to the other");
            }
        }
        self.bridge = Some(room);
    }

    /// They do so no more.
    pub(super) fn unbridge(&mut self, a: LegId, b: LegId) {
        for leg in [a, b] {
            // One that is over has left already.
            if let Some(Err(error)) = self.of_mut(leg).map(|ports| ports.sit(None)) {
                tracing::debug!(call = %self.call, leg = leg.0, %error, "a leg had left the other");
            }
        }
        self.bridge = None;
    }

    /// The agent's end of the one whom the conversation is with.
    pub(super) fn leg(&self) -> &AgentEnd {
        self.with().leg()
    }

    /// Control of the first, which is the one that is recorded.
    pub(super) const fn handle(&self) -> &LegHandle {
        self.first.handle()
    }

    /// Moves the voice's sound into the one whom the conversation is with.
    pub(super) fn pump(&mut self, speaking: &mut Speaking) {
        match self.attached.unwrap_or(LegId::FIRST) {
            LegId::FIRST => self.first.pump(speaking),
            leg => {
                if let Some(ports) = self.of_mut(leg) {
                    ports.pump(speaking);
                }
            }
        }
    }

    /// Stops sending, keeping what is queued; says what was heard until then.
    pub(super) fn pause(&self, now: CallTime) -> Input {
        self.with().pause(now)
    }

    /// Goes on with what was paused.
    pub(super) fn resume(&self) {
        self.with().resume();
    }

    /// Whether whoever waits hears that somebody is there.
    pub(super) fn think(&self, on: bool) {
        self.with().think(on);
    }

    /// What the one whom the conversation is with has heard.
    pub(super) fn heard(&self, now: CallTime) -> Input {
        self.with().heard(now)
    }

    /// A far end changed the media.
    pub(super) fn media_changed(&mut self, leg: LegId, spec: MediaSpec, at: CallTime) -> Option<Input> {
        self.of_mut(leg).map(|ports| ports.media_changed(spec, at))
    }

    /// Somebody takes the place of a leg's far end; `None`, and they are hung up, where the leg is over.
    pub(super) fn followed(&mut self, leg: LegId, follower: Follower, at: CallTime) -> Option<Input> {
        let Follower { line, placed, media, source } = follower;
        let ports = self.of_mut(leg).filter(|ports| !ports.is_leaving())?;
        let input = ports.follow(line.take()?, media, source, at);
        if leg == LegId::FIRST {
            self.first_placed = Some(placed);
        } else if let Some(other) = self.others.iter_mut().find(|other| other.id == leg) {
            other.placed = placed;
        }
        Some(input)
    }

    /// Has legs change that were busy with earlier changes, or whose sound of a hold was not there yet. True when some still are.
    pub(super) fn change_media(&mut self, beds: &Beds) -> bool {
        let mut waits = self.first.change_media();
        waits |= self.first.entertain(beds);
        for other in &mut self.others {
            if let State::Up(ports) = &mut other.state {
                waits |= ports.change_media();
                waits |= ports.entertain(beds);
            }
        }
        waits
    }

    /// Puts one on hold, where it hears `sound`, or takes it back.
    pub(super) fn hold(&mut self, leg: LegId, on: bool, sound: Wanted, beds: &Beds) -> bool {
        let Some(ports) = self.of_mut(leg) else { return false };
        ports.leg().playout.hold(on);
        ports.is_to_hear(sound, beds);
        true
    }

    /// A far end told a key by signalling.
    pub(super) fn pressed(&mut self, leg: LegId, digit: DtmfDigit, at: CallTime) -> Option<Input> {
        self.of_mut(leg)?.pressed(digit, at)
    }

    /// A far end ended its dialog.
    pub(super) fn dialog_ended(&mut self, leg: LegId, cause: EndCause) {
        if let Some(ports) = self.of_mut(leg) {
            ports.dialog_ended(cause);
        }
    }

    /// Hangs one up, unless that was done.
    pub(super) fn hang_up(&mut self, leg: LegId, failure: Option<Failure>, cause: EndCause) {
        match self.of_mut(leg) {
            Some(ports) => ports.hang_up(failure, cause),
            None => self.cancel(leg),
        }
    }

    /// Lets go of all that are still there.
    pub(super) fn let_go(&mut self) {
        self.first.let_go();
        for other in &mut self.others {
            match &mut other.state {
                State::Up(ports) => ports.let_go(),
                State::Ringing(_) => {
                    other.placed.dialling.cancel();
                    // Its answer may be on its way.
                    other.state = State::Over;
                }
                State::Over => {}
            }
        }
    }
}
