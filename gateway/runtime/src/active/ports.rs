//! What a call drives outside of the process: its leg, whose rings and facts it reads, and its SIP dialog, which it hangs
//! up once.

use std::net::IpAddr;
use std::sync::Arc;

use trunkline_api::ambience::Ambience;
use trunkline_api::{Failure, Id};
use trunkline_call::{Input, VoiceEdge};
use trunkline_leg::{AgentEnd, CallTime, Direction, DtmfDigit, EndCause, LegFact, LegId, MediaSpec, PlayoutPosition};
use trunkline_media::{Conference, HeldSound, LegHandle, MediaError, SourcePolicy};
use trunkline_sip::ByeReason;

use crate::ambience::Beds;
use crate::echo::Echo;
use crate::line::Line;
use crate::listening::Listening;
use crate::speaking::Speaking;

/// The leg and the line of one call.
pub(super) struct Ports {
    /// Whose they are, for logs.
    call: Id,
    /// Which leg of the call.
    id: LegId,
    leg: AgentEnd,
    handle: LegHandle,
    line: Arc<dyn Line>,
    /// The position that the call knows.
    playout: PlayoutPosition,
    /// Speaks in the agent's place, where load is measured.
    echo: Option<Echo>,
    /// A frame may say two things; this is the second.
    also: Option<Input>,
    bye_sent: bool,
    leg_over: bool,
    keys: Option<Keys>,
    /// What the leg was too busy to change to.
    change: Option<Change>,
    /// Where it is to be while it is too busy to go there: in a conference, or in none.
    seat: Option<Option<Conference>>,
    /// What its far end is to hear on hold, where it does not yet.
    wanted: Option<Wanted>,
}

/// What was agreed on, and where somebody else is at the far end whose packets are believed, and where they signal from.
struct Change {
    spec: MediaSpec,
    far_end: Option<(SourcePolicy, Option<IpAddr>)>,
}

/// What a far end is to hear where nothing is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// What the conversation says.
    Nothing,
    /// Music on hold.
    Music(Ambience),
    /// The tone of somebody who is being rung.
    Ringback,
}

/// How the far end tells its keys. Some tell each twice, as an event or a tone in the sound and by signalling; whichever came
/// first in a call is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys {
    InSound,
    BySignalling,
}

impl Ports {
    /// A leg whose facts nobody has read, and a dialog that is up.
    pub(super) fn new(
        call: Id,
        id: LegId,
        leg: AgentEnd,
        handle: LegHandle,
        line: Arc<dyn Line>,
        echo: Option<Echo>,
    ) -> Self {
        let playout = PlayoutPosition::default();
        Self {
            call,
            id,
            leg,
            handle,
            line,
            playout,
            echo,
            also: None,
            bye_sent: false,
            leg_over: false,
            keys: None,
            change: None,
            seat: None,
            wanted: None,
        }
    }

    /// The next thing the leg has to say: facts first, then what its sound says, then how far playback is. The sound itself
    /// goes to `ears`; nobody listens without them. `None` once there is nothing more.
    pub(super) fn hear(&mut self, ears: Option<&mut Listening>) -> Option<Input> {
        let also = self.also.take();
        if let Some(input) = also.filter(|_| ears.is_some()) {
            return Some(input);
        }
        while let Ok(fact) = self.leg.facts.pop() {
            if let LegFact::Ended { cause, .. } = fact {
                self.leg_over = true;
                if matches!(cause, EndCause::MediaTimeout | EndCause::Failed) {
                    self.bye(Some(Failure::MediaTimeout));
                }
            }
            if matches!(fact, LegFact::Dtmf { .. }) && *self.keys.get_or_insert(Keys::InSound) != Keys::InSound {
                continue;
            }
            if self.echo.is_none() || !Echo::is_own(&fact) {
                return Some(self.told(fact));
            }
        }
        let Some(ears) = ears else {
            while self.leg.up.pop().is_ok() {}
            while self.leg.levels.pop().is_ok() {}
            return None;
        };
        while let Ok(frame) = self.leg.up.pop() {
            if let Some(echo) = &mut self.echo {
                echo.hear(&frame, &mut self.leg);
            }
            let vad = frame.vad;
            // The sure detector is late; speech began when the sound did, and ended when it did.
            let ago_us = u64::from(if vad.speech { vad.onset_ms } else { vad.held_ms }) * 1000;
            let at = CallTime(frame.arrival.0.saturating_sub(ago_us));
            let edge = VoiceEdge { speech: vad.speech, at, level_dbfs: vad.level_dbfs };
            let edge = vad.changed.then_some(edge);
            ears.frame(&frame, edge);
            let interrupts = vad.interrupts.then_some(Input::Interrupts);
            match edge {
                Some(edge) => {
                    self.also = interrupts;
                    return Some(Input::Voice(edge));
                }
                None if interrupts.is_some() => return interrupts,
                None => {}
            }
        }
        while self.leg.levels.pop().is_ok() {}
        let playout = self.leg.playout.position();
        if playout != self.playout && self.echo.is_none() {
            self.playout = playout;
            return Some(Input::Playout(playout));
        }
        None
    }

    /// Moves the voice's sound into the leg as far as there is room.
    pub(super) fn pump(&mut self, speaking: &mut Speaking) {
        speaking.pump(&mut self.leg);
    }

    /// The agent's end of the leg.
    pub(super) const fn leg(&self) -> &AgentEnd {
        &self.leg
    }

    /// Its signalling.
    pub(super) fn line(&self) -> &dyn Line {
        &*self.line
    }

    /// Control of the leg.
    pub(super) const fn handle(&self) -> &LegHandle {
        &self.handle
    }

    /// Stops sending, keeping what is queued; says what was heard until then.
    pub(super) fn pause(&self, now: CallTime) -> Input {
        self.leg.playout.pause();
        self.heard(now)
    }

    /// Goes on with what was paused.
    pub(super) fn resume(&self) {
        self.leg.playout.resume();
    }

    /// Whether whoever waits hears that somebody is there.
    pub(super) fn think(&self, on: bool) {
        self.leg.playout.think(on);
    }

    /// What the caller has heard.
    pub(super) fn heard(&self, now: CallTime) -> Input {
        Input::Heard(self.leg.playout.heard(now))
    }

    /// The far end changed the media; the call is to hear which way sound goes now.
    pub(super) fn media_changed(&mut self, spec: MediaSpec, at: CallTime) -> Input {
        let input = self.told(LegFact::Direction { direction: direction(&spec), at });
        // Somebody who has just come stays the one who has.
        let far_end = self.change.take().and_then(|change| change.far_end);
        self.change = Some(Change { spec, far_end });
        self.change_media();
        input
    }

    /// Whether it was hung up, or its far end is gone.
    pub(super) const fn is_leaving(&self) -> bool {
        self.bye_sent || self.leg_over
    }

    /// Somebody else is at the far end from now on, whom `line` hangs up; the call is to hear which way sound goes now.
    pub(super) fn follow(&mut self, line: Arc<dyn Line>, spec: MediaSpec, source: SourcePolicy, at: CallTime) -> Input {
        let input = self.told(LegFact::Direction { direction: direction(&spec), at });
        let far_end = Some((source, line.source()));
        self.line = line;
        self.keys = None;
        self.change = Some(Change { spec, far_end });
        self.change_media();
        input
    }

    /// Has the leg change to what was agreed on last. The far end was told so: where the leg is busy with earlier changes it is
    /// tried again, and only the last counts. True while it is busy.
    pub(super) fn change_media(&mut self) -> bool {
        if let Some(Change { spec, far_end }) = self.change.take() {
            let changed = match far_end.clone() {
                Some((source, signalling_ip)) => self.handle.follow(spec.clone(), source, signalling_ip),
                None => self.handle.update(spec.clone()),
            };
            match changed {
                Ok(()) => {}
                Err(MediaError::Busy) => self.change = Some(Change { spec, far_end }),
                Err(error) => tracing::warn!(call = %self.call, %error, "media could not be changed"),
            }
        }
        if let Some(seat) = self.seat.take()
            && let Err(error) = self.sit(seat)
        {
            tracing::debug!(call = %self.call, %error, "a leg was over before it came into a conference, or out of it");
        }
        self.change.is_some() || self.seat.is_some()
    }

    /// Puts the leg into a conference, or takes it out. Where it is busy with earlier changes it is tried again: who was taken
    /// out is to hear nobody any more, and who was connected is to be heard.
    ///
    /// # Errors
    /// As [`LegHandle::join`], but for [`MediaError::Busy`].
    pub(super) fn sit(&mut self, conference: Option<Conference>) -> Result<(), MediaError> {
        let sat = conference.as_ref().map_or_else(|| self.handle.leave(), |room| self.handle.join(room));
        // Of two wishes only the last counts.
        self.seat = matches!(sat, Err(MediaError::Busy)).then_some(conference);
        if self.seat.is_some() { Ok(()) } else { sat }
    }

    /// From now on the far end hears that where nothing is said.
    pub(super) fn is_to_hear(&mut self, wanted: Wanted, beds: &Beds) {
        if let Wanted::Music(music) = &wanted {
            beds.prepare(music, self.handle.rate());
        }
        self.wanted = Some(wanted);
        self.entertain(beds);
    }

    /// Has it hear that as soon as it is there and the leg takes it; true while it is not. Music that cannot be had is none.
    pub(super) fn entertain(&mut self, beds: &Beds) -> bool {
        let Some(wanted) = self.wanted.take() else { return false };
        let sound = match &wanted {
            Wanted::Nothing => None,
            Wanted::Ringback => Some(HeldSound::Ringback),
            Wanted::Music(music) => match beds.of(music, self.handle.rate()) {
                None if beds.is_making(music, self.handle.rate()) => {
                    self.wanted = Some(wanted);
                    return true;
                }
                bed => bed.map(HeldSound::Music),
            },
        };
        match self.handle.hold_sound(sound.as_ref()) {
            Err(MediaError::Busy) => self.wanted = Some(wanted),
            Ok(()) | Err(MediaError::Ended) => {}
            Err(error) => tracing::warn!(call = %self.call, %error, "there is no sound on hold"),
        }
        self.wanted.is_some()
    }

    /// The far end told a key by signalling.
    pub(super) fn pressed(&mut self, digit: DtmfDigit, at: CallTime) -> Option<Input> {
        let believed = *self.keys.get_or_insert(Keys::BySignalling) == Keys::BySignalling;
        believed.then(|| self.told(LegFact::Dtmf { digit, at }))
    }

    /// The far end ended the dialog: there is nobody to say goodbye to.
    pub(super) fn dialog_ended(&mut self, cause: EndCause) {
        self.bye_sent = true;
        self.handle.end(cause);
    }

    /// Hangs up, unless that was done, for `failure` or in order.
    pub(super) fn hang_up(&mut self, failure: Option<Failure>, cause: EndCause) {
        self.bye(failure);
        self.handle.end(cause);
    }

    /// Hangs up if the leg is still there.
    pub(super) fn let_go(&mut self) {
        if !self.leg_over {
            self.hang_up(None, EndCause::Local);
        }
    }

    /// A fact of this leg.
    const fn told(&self, fact: LegFact) -> Input {
        Input::Leg { leg: self.id, fact }
    }

    fn bye(&mut self, failure: Option<Failure>) {
        if std::mem::replace(&mut self.bye_sent, true) {
            return;
        }
        let reason = failure.map_or_else(ByeReason::normal, |failure| ByeReason {
            q850: failure.q850_cause(),
            text: failure.name().to_owned(),
        });
        if let Err(error) = self.line.bye(&reason) {
            tracing::debug!(call = %self.call, %error, "the dialog was already over");
        }
    }
}

/// A fact of the leg that a call began with.
pub(super) const fn of_leg(fact: LegFact) -> Input {
    Input::Leg { leg: LegId::FIRST, fact }
}

/// Which ways sound goes: hold as before RFC 3264 leaves no address to send to.
fn direction(spec: &MediaSpec) -> Direction {
    let nowhere = spec.remote.ip().is_unspecified() || spec.remote.port() == 0;
    match spec.direction {
        Direction::SendRecv if nowhere => Direction::RecvOnly,
        Direction::SendOnly if nowhere => Direction::Inactive,
        direction => direction,
    }
}

#[cfg(test)]
mod tests {
    use trunkline_api::Prefix;
    use trunkline_leg::Codec;
    use trunkline_media::LegStart;

    use super::*;
    use crate::rig::{self, FakeLine, SlowStore, Told};

    fn ports() -> (Ports, Arc<FakeLine>, trunkline_media::MediaPlane) {
        let plane = rig::plane(1);
        let media = MediaSpec::new(Codec::Pcmu, 0, "127.0.0.1:9".parse().unwrap());
        let start = LegStart::new(media, std::time::Instant::now());
        let (leg, handle) = plane.attach(plane.allocate().unwrap(), start).unwrap();
        let line = FakeLine::new("caller", &Arc::new(SlowStore::default()));
        let call = Id::mint(Prefix::Call, 1, [1; 10]);
        (Ports::new(call, LegId::FIRST, leg, handle, Arc::clone(&line) as _, None), line, plane)
    }

    fn told(line: &FakeLine) -> Vec<Told> {
        line.told.lock().unwrap().clone()
    }

    #[test]
    fn goodbye_is_said_once_whoever_wants_to_and_never_to_who_is_gone() {
        let (mut ports, line, _plane) = ports();
        ports.hang_up(Some(Failure::Internal), EndCause::Failed);
        ports.hang_up(None, EndCause::Local);
        ports.let_go();
        assert_eq!(told(&line), [Told::Bye]);

        let (mut ports, line, _plane) = self::ports();
        ports.dialog_ended(EndCause::RemoteHangUp);
        ports.let_go();
        assert_eq!(told(&line), []);
    }

    #[test]
    fn the_end_of_the_leg_is_heard_and_nothing_is_let_go_of_twice() {
        let (mut ports, line, _plane) = ports();
        ports.dialog_ended(EndCause::RemoteHangUp);
        ports.bye_sent = false;
        let mut ears = Listening::default();
        rig::until("the leg to end", || {
            std::iter::from_fn(|| ports.hear(Some(&mut ears)))
                .any(|input| matches!(input, Input::Leg { fact: LegFact::Ended { .. }, .. }))
        });
        ports.let_go();
        assert_eq!(told(&line), []);
    }

    #[test]
    fn of_many_changes_of_media_at_once_the_last_is_in_force() {
        let (mut ports, _line, _plane) = ports();
        let to = |port: u16| MediaSpec::new(Codec::Pcmu, 0, (std::net::Ipv4Addr::LOCALHOST, port).into());
        for port in 4000..4100 {
            let _ = ports.media_changed(to(port), CallTime::default());
        }
        rig::until("the leg to take the last", || !ports.change_media());
        assert!(matches!(ports.handle.update(to(4100)), Ok(()) | Err(MediaError::Busy)), "it is still there");
    }

    #[test]
    fn who_is_taken_out_of_a_conference_leaves_it_however_busy_their_leg_is() {
        let (mut ports, _line, _plane) = ports();
        let room = Conference::new(2);
        ports.sit(Some(room.clone())).unwrap();
        rig::until("the leg to be there", || !ports.change_media() && room.legs() == 1);
        let to = |port: u16| MediaSpec::new(Codec::Pcmu, 0, (std::net::Ipv4Addr::LOCALHOST, port).into());
        rig::until("the leg to have no room for an order", || {
            while ports.handle.update(to(4000)).is_ok() {}
            ports.sit(None).unwrap();
            let is_busy = ports.seat.is_some();
            if !is_busy {
                let _ = ports.sit(Some(room.clone()));
            }
            is_busy
        });
        rig::until("the leg to be gone", || !ports.change_media() && room.legs() == 0);
    }

    #[test]
    fn keys_are_believed_the_way_they_first_came() {
        let seven = DtmfDigit::from_char('7').unwrap();
        let (mut ports, _line, _plane) = ports();
        assert!(ports.pressed(seven, CallTime::default()).is_some());
        assert!(ports.pressed(seven, CallTime::default()).is_some(), "each is a key of its own");
        let (mut ports, _line, _plane) = self::ports();
        ports.keys = Some(Keys::InSound);
        assert!(ports.pressed(seven, CallTime::default()).is_none(), "the sound has told it already");
    }

    #[test]
    fn an_address_of_nowhere_is_a_hold_as_old_phones_ask_for_it() {
        let way = |to: &str, way| {
            let mut spec = MediaSpec::new(Codec::Pcmu, 0, to.parse().unwrap());
            spec.direction = way;
            direction(&spec)
        };
        assert_eq!(way("0.0.0.0:4000", Direction::SendRecv), Direction::RecvOnly);
        assert_eq!(way("192.0.2.1:0", Direction::SendOnly), Direction::Inactive);
        assert_eq!(way("192.0.2.1:4000", Direction::SendRecv), Direction::SendRecv);
    }
}
