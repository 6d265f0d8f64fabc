//! The owner's side of a leg: end it, change it, look at it.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use rtrb::{Consumer, Producer};
use trunkline_dsp::chain::SoundChange;
use trunkline_dsp::tone::Plan;
use trunkline_leg::{DtmfDigit, EndCause, MediaSpec, TapEnd};

use crate::conference::Conference;
use crate::config::{HeldSound, LegSound, SourcePolicy};
use crate::dtmf::{DtmfOrder, MAX_DIGIT_MS, MIN_DIGIT_MS};
use crate::error::MediaError;
use crate::leg::{Held, LegOrder, LegShared};
use crate::plane::check_packet_time;
use crate::stats::LegStats;
use crate::tones::Tones;

/// A codec whose rate no signal processing knows.
const UNKNOWN_RATE: MediaError =
    MediaError::Config { setting: "codec", problem: "has a rate that cannot be processed" };

/// Controls one leg from any thread. Dropping it ends the leg.
#[derive(Debug)]
#[must_use = "dropping the handle ends the leg"]
pub struct LegHandle {
    pub(crate) shared: Arc<LegShared>,
    pub(crate) owner: Mutex<Owner>,
    pub(crate) agent: usize,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) taps: Mutex<Producer<TapEnd>>,
}

/// What the owner knows of the leg, and its ends of the rings to the worker.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) orders: Producer<LegOrder>,
    /// What orders have replaced, dropped here.
    pub(crate) spent: Consumer<LegOrder>,
    /// Rate of the sound in Hz: that of the leg's first codec, whatever comes later.
    pub(crate) rate: u32,
    /// What was negotiated last.
    pub(crate) spec: MediaSpec,
    pub(crate) sound: LegSound,
}

impl Owner {
    fn order(&mut self, order: LegOrder) -> Result<(), MediaError> {
        while self.spent.pop().is_ok() {}
        self.orders.push(order).map_err(|_| MediaError::Busy)
    }
}

impl LegHandle {
    /// The worker whose [`PhaseSignal`](crate::PhaseSignal) tells of the leg's frames and facts: the one it began on,
    /// for as long as it lasts. Which one serves it now is [`LegHandle::media_worker`].
    #[must_use]
    pub const fn worker(&self) -> usize {
        self.agent
    }

    /// The worker that serves the leg now: legs move when one worker has much less to do than another.
    #[must_use]
    pub fn media_worker(&self) -> usize {
        self.shared.worker.load(Ordering::Acquire)
    }

    /// The address that RTP is bound to; `None` for a stream.
    #[must_use]
    pub const fn local_addr(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Ends the leg at its next tick: playback is cut, RTCP says BYE, and [`Ended`](trunkline_leg::LegFact::Ended)
    /// with `cause` is its last fact. The first cause wins; later calls do nothing.
    pub fn end(&self, cause: EndCause) {
        self.shared.ask_end(cause);
    }

    /// Whether the leg is over; its last facts may still wait in the ring.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.shared.is_over()
    }

    /// Applies a re-negotiated description at the next tick: addresses, direction, codec, payload types, packet time and
    /// keys. What it needs is made here, which may take a millisecond: not for a media thread.
    ///
    /// # Errors
    /// [`MediaError::Busy`] when four changes wait already, [`MediaError::Ended`] when the leg is over,
    /// [`MediaError::PacketTime`] for a packet time that the codec cannot be sent in, [`MediaError::Codec`] and
    /// [`MediaError::Keys`] for what cannot be made.
    pub fn update(&self, spec: MediaSpec) -> Result<(), MediaError> {
        check_packet_time(&spec)?;
        if self.ended() {
            return Err(MediaError::Ended);
        }
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        let order = LegOrder::media(&owner.spec, spec.clone(), owner.rate)?;
        owner.order(order)?;
        owner.spec = spec;
        Ok(())
    }

    /// Goes on with somebody else at the far end, at the next tick: what was agreed on with them, and whose packets are believed.
    /// What is said and heard, recorded and joined goes on; packets of who was there before are of a stranger from then on, and
    /// encryption begins anew, so that `spec` must not have keys that were in use. `signalling_ip` is where their
    /// signalling comes from. What it needs is made here: not for a media thread.
    ///
    /// # Errors
    /// As [`LegHandle::update`].
    pub fn follow(
        &self,
        spec: MediaSpec,
        source: SourcePolicy,
        signalling_ip: Option<IpAddr>,
    ) -> Result<(), MediaError> {
        check_packet_time(&spec)?;
        if self.ended() {
            return Err(MediaError::Ended);
        }
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        let order = LegOrder::far_end(&owner.spec, spec.clone(), owner.rate, source, signalling_ip)?;
        owner.order(order)?;
        owner.spec = spec;
        Ok(())
    }

    /// Changes what is done to the leg's sound, at its next tick and without a click. Allocates here, so that the worker
    /// need not: not for a media thread.
    ///
    /// # Errors
    /// [`MediaError::Busy`] when four changes wait already, [`MediaError::Ended`] when the leg is over.
    pub fn set_sound(&self, sound: LegSound) -> Result<(), MediaError> {
        if self.ended() {
            return Err(MediaError::Ended);
        }
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        let change = SoundChange::new(&sound.chain, owner.rate).map_err(|_| UNKNOWN_RATE)?;
        owner.order(LegOrder::Sound { sound, change: Box::new(change) })?;
        owner.sound = sound;
        Ok(())
    }

    /// Puts the leg into a conference at its next tick, out of any other: it hears all others and they it, beside what its
    /// agent says. What others hear of it is its cleaned sound.
    ///
    /// # Errors
    /// [`MediaError::ConferenceFull`], [`MediaError::Busy`] when four changes wait already, [`MediaError::Ended`] when the
    /// leg is over.
    pub fn join(&self, conference: &Conference) -> Result<(), MediaError> {
        self.sit(Some(conference))
    }

    /// Whether the others in its conference do not hear the leg, from its next tick on; also of the next conference.
    pub fn mute(&self, on: bool) {
        self.shared.mute(on);
    }

    /// Takes the leg out of its conference at its next tick.
    ///
    /// # Errors
    /// [`MediaError::Busy`] when four changes wait already, [`MediaError::Ended`] when the leg is over.
    pub fn leave(&self) -> Result<(), MediaError> {
        self.sit(None)
    }

    fn sit(&self, conference: Option<&Conference>) -> Result<(), MediaError> {
        if self.ended() {
            return Err(MediaError::Ended);
        }
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        let seat = conference.map(|conference| conference.seat(owner.rate).map(Box::new)).transpose()?;
        owner.order(LegOrder::Conference(seat))
    }

    /// Has the far end hear that where nothing is said, from the next tick on, as on hold; with `None` no more. What it needs is
    /// made here: not for a media thread.
    ///
    /// # Errors
    /// [`MediaError::Config`] for music of another rate than the leg's, [`MediaError::Busy`] when four changes wait already,
    /// [`MediaError::Ended`] when the leg is over.
    pub fn hold_sound(&self, sound: Option<&HeldSound>) -> Result<(), MediaError> {
        if self.ended() {
            return Err(MediaError::Ended);
        }
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        let held = sound.map(|sound| Held::new(sound, owner.rate).map(Box::new).ok_or(UNKNOWN_RATE)).transpose()?;
        owner.order(LegOrder::Held(held))
    }

    /// Rate of the leg's sound in Hz.
    #[must_use]
    pub fn rate(&self) -> u32 {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner).rate
    }

    /// What is done to the leg's sound, as it was asked for last.
    #[must_use]
    pub fn sound(&self) -> LegSound {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner).sound
    }

    /// Sends a digit for `duration_ms` (40..=1000, others are taken to the nearer end) after those that wait: as a
    /// telephone event (RFC 4733) where that was agreed on, else as a tone. Playback waits meanwhile.
    ///
    /// # Errors
    /// [`MediaError::Busy`] when 32 digits wait already, [`MediaError::Ended`] when the leg is over.
    pub fn send_dtmf(&self, digit: DtmfDigit, duration_ms: u16) -> Result<(), MediaError> {
        if self.ended() {
            return Err(MediaError::Ended);
        }
        let duration_ms = duration_ms.clamp(MIN_DIGIT_MS, MAX_DIGIT_MS);
        self.shared.order_digit(DtmfOrder { digit, duration_ms }).map_err(|_| MediaError::Busy)
    }

    /// Tells of the tones of networks and machines in what is heard (fact `Tone`), from the next tick on, where the network
    /// has the tones of `plan`; with `None` no more. A leg that nobody asks about pays nothing for it. What it needs is made
    /// here: not for a media thread.
    ///
    /// # Errors
    /// [`MediaError::Busy`] when four changes wait already, [`MediaError::Ended`] when the leg is over.
    pub fn listen_for_tones(&self, plan: Option<&'static Plan>) -> Result<(), MediaError> {
        if self.ended() {
            return Err(MediaError::Ended);
        }
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        let tones = plan.map(|plan| Tones::new(owner.rate, plan).map(Box::new)).transpose();
        owner.order(LegOrder::Tones(tones.map_err(|_| UNKNOWN_RATE)?))
    }

    /// Counters as of the leg's last tick.
    #[must_use]
    pub fn stats(&self) -> LegStats {
        self.shared.stats.load()
    }

    /// Lets `tap` have both voices from the next tick on, in place of the one that had them.
    ///
    /// # Errors
    /// [`MediaError::Busy`] when two taps wait already, [`MediaError::Ended`] when the leg is over.
    pub fn tap(&self, tap: TapEnd) -> Result<(), MediaError> {
        if self.ended() {
            return Err(MediaError::Ended);
        }
        let mut taps = self.taps.lock().unwrap_or_else(PoisonError::into_inner);
        taps.push(tap).map_err(|_| MediaError::Busy)
    }
}

impl Drop for LegHandle {
    fn drop(&mut self) {
        self.shared.ask_end(EndCause::Local);
    }
}
