//! Between a call and the disk: lines of one capture, as many as may wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use trunkline_api::Id;
use trunkline_call::tape::{MAX_LINE, Tape, end_line};
use trunkline_recording::PublicKey;

/// Bytes that may wait for the disk: the longest line twice, or some minutes of a lively call.
const MAX_WAITING: usize = 2 * MAX_LINE;
/// Bytes of one capture: a day of a lively call.
const MAX_BYTES: usize = 64 << 20;

/// What a call writes and the writer takes.
pub(super) struct Spool {
    pub(super) call: Id,
    /// Whom it is sealed to.
    pub(super) key: Option<PublicKey>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    taken: usize,
    /// Nothing follows.
    over: bool,
}

/// A call's end of it.
pub(super) struct CallTape(pub(super) Arc<Spool>);

impl Spool {
    pub(super) const fn new(call: Id, key: Option<PublicKey>) -> Self {
        Self { call, key, waiting: Mutex::new(Waiting { bytes: Vec::new(), taken: 0, over: false }) }
    }

    /// What waits, and whether nothing follows it.
    pub(super) fn take(&self) -> (Vec<u8>, bool) {
        let mut waiting = self.waiting();
        let bytes = std::mem::take(&mut waiting.bytes);
        waiting.taken += bytes.len();
        (bytes, waiting.over)
    }

    /// Ends the capture before its call; false when it has ended.
    pub(super) fn end(&self, why: &str) -> bool {
        let mut waiting = self.waiting();
        let goes_on = !waiting.over;
        if goes_on {
            waiting.end(why);
        }
        goes_on
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn line(&mut self, line: &str) {
        self.bytes.extend_from_slice(line.as_bytes());
        self.bytes.push(b'\n');
    }

    fn end(&mut self, why: &str) {
        self.line(&end_line(why));
        self.over = true;
    }
}

impl Tape for CallTape {
    fn write(&mut self, line: &str) -> bool {
        let mut waiting = self.0.waiting();
        if waiting.over {
            return false;
        }
        let (length, room) = (waiting.bytes.len() + line.len() + 1, MAX_WAITING);
        if length > room || waiting.taken + length > MAX_BYTES {
            let why = if length > room { "behind" } else { "too_large" };
            tracing::warn!(call = %self.0.call, why, "a capture ends before its call");
            waiting.end(why);
            return false;
        }
        waiting.line(line);
        true
    }
}

impl Drop for CallTape {
    fn drop(&mut self) {
        self.0.waiting().over = true;
    }
}
