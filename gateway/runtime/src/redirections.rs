//! Legs whose far ends are to be told which ways sound goes, on their way from the workers, which order it, to intake, which keeps
//! what was agreed on with each.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::Thread;

use trunkline_api::Id;
use trunkline_leg::{Direction, LegId};

/// What is wanted of legs. Of two wishes for a leg only the last counts, so that there are never more than legs.
#[derive(Default)]
pub(crate) struct Redirections {
    wanted: Mutex<BTreeMap<(Id, LegId), Direction>>,
    intake: OnceLock<Thread>,
}

impl Redirections {
    /// The thread that calls it is woken by wishes from now on.
    pub(crate) fn serve(&self) {
        let _ = self.intake.set(std::thread::current());
    }

    /// A leg's far end is to be told.
    pub(crate) fn want(&self, call: &Id, leg: LegId, direction: Direction) {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).insert((call.clone(), leg), direction);
        if let Some(intake) = self.intake.get() {
            intake.unpark();
        }
    }

    /// What is wanted since it was asked last.
    pub(crate) fn take(&self) -> BTreeMap<(Id, LegId), Direction> {
        std::mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
