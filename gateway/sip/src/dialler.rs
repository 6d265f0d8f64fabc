//! The endpoint as those see it who place calls and look after trunks: it may be held for as long as anybody likes, and
//! does nothing any more once the endpoint has stopped.

use std::sync::Arc;

use crate::admission::TrunkToken;
use crate::client::{self, DialError, DialHandle, Outgoing};
use crate::keep::{Kept, TrunkStatus};
use crate::shared::Shared;

/// Places calls and looks after trunks. Cheap to clone; nothing here blocks.
#[derive(Clone)]
pub struct Dialler(pub(crate) Arc<Shared>);

impl Dialler {
    /// Places a call: returns at once, and tells what becomes of it by [`crate::SipEvent::Outgoing`]. Names are looked up
    /// before; nothing here waits for a name server.
    ///
    /// # Errors
    /// When nothing is sent: there is no server to send it to, something cannot stand in a message, or the gateway is full.
    pub fn dial(&self, call: Outgoing) -> Result<DialHandle, DialError> {
        client::dial(&self.0, call)
    }

    /// Looks after these trunks from now on, and no more after others: looks their servers up, asks them with OPTIONS, and
    /// keeps their registrations. A trunk that has not changed is left alone; one that goes is unregistered.
    pub fn keep(&self, trunks: Vec<Kept>) {
        self.0.keeping.keep(&self.0, trunks);
    }

    /// How the trunks are that are looked after.
    #[must_use]
    pub fn trunks(&self) -> Vec<TrunkStatus> {
        self.0.keeping.status()
    }

    /// How one of them is.
    #[must_use]
    pub fn trunk(&self, trunk: &TrunkToken) -> Option<TrunkStatus> {
        self.0.keeping.of(trunk)
    }
}

impl std::fmt::Debug for Dialler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialler").field("local_addr", &self.0.local).finish_non_exhaustive()
    }
}
