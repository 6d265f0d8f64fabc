//! What crosses between a leg's owner and its worker without a message: the wish to end, the end, and the counters.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rtrb::{Consumer, Producer, RingBuffer};
use trunkline_leg::EndCause;

use crate::dtmf::DtmfOrder;
use crate::stats::SharedLegStats;

/// Digits that may wait to be sent.
const DIGITS: usize = 32;

/// What the owner of a leg and its worker share.
#[derive(Debug)]
pub(crate) struct LegShared {
    /// Digits to send; locked by owners only, the worker has the other end.
    digits: Mutex<Producer<DtmfOrder>>,
    /// 0, or the cause to end with, plus 1.
    end: AtomicU8,
    /// 0, or 1 once the leg is over.
    over: AtomicU8,
    /// 0, or 1 while the others in its conference do not hear it.
    muted: AtomicU8,
    /// The media worker that serves the leg now.
    pub(crate) worker: AtomicUsize,
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
    /// With the worker's end of the digits to send.
    pub(crate) fn new() -> (Self, Consumer<DtmfOrder>) {
        let (digits, waiting) = RingBuffer::new(DIGITS);
        let shared = Self {
            digits: Mutex::new(digits),
            end: AtomicU8::default(),
            over: AtomicU8::default(),
            muted: AtomicU8::default(),
            worker: AtomicUsize::default(),
            stats: SharedLegStats::default(),
        };
        (shared, waiting)
    }

    /// Puts a digit in line; gives it back when there is no room.
    pub(crate) fn order_digit(&self, order: DtmfOrder) -> Result<(), DtmfOrder> {
        let mut digits = self.digits.lock().unwrap_or_else(PoisonError::into_inner);
        digits.push(order).map_err(|rtrb::PushError::Full(order)| order)
    }

    /// Asks the leg to end; the first cause wins.
    pub(crate) fn ask_end(&self, cause: EndCause) {
        let code = CAUSES.iter().position(|known| *known == cause).map_or(CAUSES.len(), |at| at + 1) as u8;
        let _ = self.end.compare_exchange(0, code, Ordering::AcqRel, Ordering::Relaxed);
    }

    pub(super) fn asked_end(&self) -> Option<EndCause> {
        let code = usize::from(self.end.load(Ordering::Acquire));
        CAUSES.get(code.checked_sub(1)?).copied()
    }

    pub(crate) fn mute(&self, on: bool) {
        self.muted.store(u8::from(on), Ordering::Release);
    }

    pub(super) fn is_muted(&self) -> bool {
        self.muted.load(Ordering::Acquire) != 0
    }

    pub(super) fn set_over(&self) {
        self.over.store(1, Ordering::Release);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire) != 0
    }
}
