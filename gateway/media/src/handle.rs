//! The owner's side of a leg: end it, change it, look at it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rtrb::Producer;
use trunkline_leg::{EndCause, MediaSpec};

use crate::error::MediaError;
use crate::leg::LegShared;
use crate::plane::check_packet_time;
use crate::recorder::RecordingStatus;
use crate::stats::LegStats;

/// Controls one leg from any thread. Dropping it ends the leg.
#[derive(Debug)]
#[must_use = "dropping the handle ends the leg"]
pub struct LegHandle {
    pub(crate) shared: Arc<LegShared>,
    pub(crate) updates: Mutex<Producer<MediaSpec>>,
    pub(crate) worker: usize,
    pub(crate) address: SocketAddr,
    pub(crate) recording: Option<Arc<RecordingStatus>>,
}

impl LegHandle {
    /// The worker that the leg lives on: its [`PhaseSignal`](crate::PhaseSignal) tells of the leg's frames and facts.
    #[must_use]
    pub const fn worker(&self) -> usize {
        self.worker
    }

    /// The address that RTP is bound to.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
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

    /// Applies a re-negotiated description at the next tick: remote address, direction, codec, payload types and
    /// packet time.
    ///
    /// # Errors
    /// [`MediaError::Busy`] when four changes wait already, [`MediaError::Ended`] when the leg is over,
    /// [`MediaError::PacketTime`] for a packet time that is not 10 to 60 ms in steps of 10.
    pub fn update(&self, spec: MediaSpec) -> Result<(), MediaError> {
        check_packet_time(spec.ptime_ms)?;
        if self.ended() {
            return Err(MediaError::Ended);
        }
        let mut updates = self.updates.lock().unwrap_or_else(PoisonError::into_inner);
        updates.push(spec).map_err(|_| MediaError::Busy)?;
        Ok(())
    }

    /// Counters as of the leg's last tick.
    #[must_use]
    pub fn stats(&self) -> LegStats {
        self.shared.stats.load()
    }

    /// The recording, when the leg has one.
    #[must_use]
    pub fn recording(&self) -> Option<&Arc<RecordingStatus>> {
        self.recording.as_ref()
    }
}

impl Drop for LegHandle {
    fn drop(&mut self) {
        self.shared.ask_end(EndCause::Local);
    }
}
