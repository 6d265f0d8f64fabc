//! What crosses between a leg's owner and its worker without a message: the wish to end, the end, and the counters.

use std::sync::atomic::{AtomicU8, Ordering};

use trunkline_leg::EndCause;

use crate::stats::SharedLegStats;

/// What the owner of a leg and its worker share.
#[derive(Debug, Default)]
pub(crate) struct LegShared {
    /// 0, or the cause to end with, plus 1.
    end: AtomicU8,
    /// 0, or 1 once the leg is over.
    over: AtomicU8,
    pub(crate) stats: SharedLegStats,
}

const CAUSES: [EndCause; 6] = [
    EndCause::RemoteHangUp,
    EndCause::Cancelled,
    EndCause::NoAck,
    EndCause::MediaTimeout,
    EndCause::Local,
    EndCause::Failed,
];

impl LegShared {
    /// Asks the leg to end; the first cause wins.
    pub(crate) fn ask_end(&self, cause: EndCause) {
        let code = CAUSES.iter().position(|known| *known == cause).map_or(CAUSES.len(), |at| at + 1) as u8;
        let _ = self.end.compare_exchange(0, code, Ordering::AcqRel, Ordering::Relaxed);
    }

    pub(super) fn asked_end(&self) -> Option<EndCause> {
        let code = usize::from(self.end.load(Ordering::Acquire));
        CAUSES.get(code.checked_sub(1)?).copied()
    }

    pub(super) fn set_over(&self) {
        self.over.store(1, Ordering::Release);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire) != 0
    }
}
