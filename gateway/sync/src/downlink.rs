//! The way down: one stream or long poll at a time, and when to try the other.

use crate::backoff::Backoff;
use crate::protocol::{RequestId, Transmit, Trouble};

/// Longest wait for the stream's first answer, microseconds.
const OPEN_US: u64 = 15_000_000;
/// Longest silence of a stream; the control plane sends a comment every 15 s.
const SILENCE_US: u64 = 45_000_000;
/// How long the server may hold a long poll, seconds.
const HOLD_S: u32 = 25;
const POLL_US: u64 = (HOLD_S as u64 + 15) * 1_000_000;
/// Streams that failed in a row before long polls are used.
const STREAM_FAILURES: u32 = 2;
/// After this long on long polls a stream is tried again.
const STREAM_AGAIN_US: u64 = 300_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Until the wait is over.
    Waiting,
    /// Asked for a stream.
    Opening,
    Streaming,
    Polling,
}

#[derive(Debug)]
pub(crate) struct Downlink {
    stage: Stage,
    awaited: Option<RequestId>,
    due_us: u64,
    backoff: Backoff,
    stream_failures: u32,
    /// When long polls began to stand in for the stream.
    polling_since_us: Option<u64>,
    trouble: Option<String>,
}

impl Downlink {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            stage: Stage::Waiting,
            awaited: None,
            due_us: 0,
            backoff: Backoff::new(seed),
            stream_failures: 0,
            polling_since_us: None,
            trouble: None,
        }
    }

    pub(crate) const fn stage(&self) -> Stage {
        self.stage
    }

    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    pub(crate) fn due_us(&self) -> Option<u64> {
        Some(self.due_us)
    }

    /// Begins anew at once; says which request to abandon.
    pub(crate) fn restart(&mut self, now_us: u64) -> Option<RequestId> {
        self.stage = Stage::Waiting;
        self.due_us = now_us;
        self.backoff.succeeded();
        self.awaited.take()
    }

    /// The next request, when it is time.
    pub(crate) fn ask(&mut self, now_us: u64, id: RequestId, after: u64) -> Option<Transmit> {
        if self.stage != Stage::Waiting || now_us < self.due_us {
            return None;
        }
        self.awaited = Some(id);
        if self.polling_since_us.is_some_and(|since| now_us >= since + STREAM_AGAIN_US) {
            self.polling_since_us = None;
            self.stream_failures = STREAM_FAILURES - 1;
        }
        if self.stream_failures >= STREAM_FAILURES {
            self.polling_since_us.get_or_insert(now_us);
            self.stage = Stage::Polling;
            self.due_us = now_us + POLL_US;
            return Some(Transmit::LongPoll { id, after, wait_s: HOLD_S });
        }
        self.stage = Stage::Opening;
        self.due_us = now_us + OPEN_US;
        Some(Transmit::OpenStream { id, after })
    }

    pub(crate) fn opened(&mut self, now_us: u64, id: RequestId) {
        if self.awaited == Some(id) && self.stage == Stage::Opening {
            self.stage = Stage::Streaming;
            self.due_us = now_us + SILENCE_US;
        }
    }

    /// Something came over the stream; `false` when that stream is not listened to any more.
    pub(crate) fn alive(&mut self, now_us: u64, id: RequestId) -> bool {
        let awaited = self.awaited == Some(id) && matches!(self.stage, Stage::Opening | Stage::Streaming);
        if awaited {
            self.stage = Stage::Streaming;
            self.due_us = now_us + SILENCE_US;
            self.worked();
            self.stream_failures = 0;
        }
        awaited
    }

    /// A long poll was answered; `false` when it was not awaited.
    pub(crate) fn polled(&mut self, now_us: u64, id: RequestId) -> bool {
        let awaited = self.awaited == Some(id) && self.stage == Stage::Polling;
        if awaited {
            self.awaited = None;
            self.worked();
            self.stage = Stage::Waiting;
            // A server that answers at once must not be asked in a tight loop.
            self.due_us = now_us + 100_000 + self.backoff.next() % 100_000;
        }
        awaited
    }

    fn worked(&mut self) {
        self.backoff.succeeded();
        self.trouble = None;
    }

    /// The request `id` failed or its stream ended.
    pub(crate) fn failed(&mut self, now_us: u64, id: RequestId, trouble: &Trouble) {
        if self.awaited == Some(id) {
            self.fail(now_us, trouble);
        }
    }

    /// Whatever is in progress failed; says which request to abandon.
    pub(crate) fn fail(&mut self, now_us: u64, trouble: &Trouble) -> Option<RequestId> {
        if matches!(self.stage, Stage::Opening | Stage::Streaming) {
            self.stream_failures = self.stream_failures.saturating_add(1);
        }
        self.trouble = Some(trouble.detail.clone());
        self.stage = Stage::Waiting;
        self.due_us = now_us + self.backoff.failed(trouble.retry_after_us);
        self.awaited.take()
    }

    /// The request whose answer or sign of life is overdue, to be abandoned.
    pub(crate) fn overdue(&mut self, now_us: u64) -> Option<RequestId> {
        if self.stage == Stage::Waiting || now_us < self.due_us {
            return None;
        }
        let detail = match self.stage {
            Stage::Opening => "the control plane did not answer in time",
            Stage::Streaming => "the stream fell silent",
            Stage::Polling | Stage::Waiting => "a long poll was not answered in time",
        };
        self.fail(now_us, &Trouble { detail: detail.to_owned(), ..Trouble::default() })
    }
}
