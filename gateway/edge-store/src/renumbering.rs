//! Under which numbers records go up once this gateway has become another one.
//!
//! Numbers belong to `(gateway, epoch)`, and a control plane takes an epoch from record 1 only. A gateway that was
//! deleted there and enrolled again is another one, whose backlog begins in the middle. Nothing of it is written anew:
//! with the new identity, in the same commit, each epoch on disk gets an epoch of its own for the wire, whose record 1
//! is the oldest that is not acknowledged. What the control plane had taken from the gateway before it recognises by the
//! call and by the event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trunkline_api::sync::{EnrolAnswer, Stream};

use crate::StoreError;
use crate::durable::random_epoch;
use crate::log::StreamLog;
use crate::writer::Writer;

/// How the records of one epoch on disk are numbered on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Numbering {
    /// The epoch they go up in.
    pub(crate) epoch: u64,
    /// The last record that is not part of it: the one behind it is record 1.
    pub(crate) behind: u64,
}

/// A stream's epochs on disk that are numbered otherwise on the wire.
pub(crate) type Renumbered = BTreeMap<u64, Numbering>;

impl StreamLog {
    /// How an epoch's records go up.
    pub(crate) fn numbering(&self, epoch: u64) -> Numbering {
        self.renumbered.get(&epoch).copied().unwrap_or(Numbering { epoch, behind: 0 })
    }

    /// The epoch and record on disk that a mark of the control plane means; none when that epoch has been renumbered
    /// since.
    pub(crate) fn on_disk(&self, epoch: u64, high_water: u64) -> Option<(u64, u64)> {
        match self.renumbered.iter().find(|(_, numbering)| numbering.epoch == epoch) {
            Some((&own, numbering)) => Some((own, high_water.saturating_add(numbering.behind))),
            None if self.renumbered.contains_key(&epoch) => None,
            None => Some((epoch, high_water)),
        }
    }

    /// Numbers for another gateway. An epoch of which nobody was offered anything keeps its own.
    fn renumber(&self) -> Result<Renumbered, StoreError> {
        let mut renumbered = Renumbered::new();
        for epoch in self.epochs() {
            let marks = self.marks(epoch);
            if marks.acked.max(marks.offered) > 0 {
                renumbered.insert(epoch, Numbering { epoch: random_epoch()?, behind: marks.acked });
            }
        }
        Ok(renumbered)
    }
}

impl Writer {
    /// Stores who this gateway is, and with it how the backlog of the one it was goes up.
    pub(crate) fn put_identity(&mut self, identity: &EnrolAnswer) -> Result<(), StoreError> {
        let state = self.shared.state()?;
        match state.identity() {
            Ok(Some(known)) if known.gateway == identity.gateway => {
                self.state_changed();
                return state.put_identity(identity);
            }
            Ok(None) => self.leave_history()?,
            // One that cannot be read was another's as well.
            Ok(Some(_)) | Err(StoreError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
        let [usage, events] = [Stream::Usage, Stream::Events].map(|stream| self.shared.log(stream).renumber());
        let renumbered = [(Stream::Usage, usage?), (Stream::Events, events?)];
        self.state_changed();
        state.put_other_identity(identity, &renumbered)?;
        for (stream, renumbered) in renumbered {
            let keep_from = self.needed_from(stream);
            let mut log = self.shared.log(stream);
            log.set_renumbered(renumbered);
            log.seal();
            log.delete_acknowledged(keep_from).map_err(StoreError::unavailable)?;
        }
        Ok(())
    }
}
