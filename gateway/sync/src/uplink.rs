//! The way up: one batch at a time, `usage` before `events`, again until it is acknowledged.

use trunkline_api::sync::{Stream, UploadAck, UploadBatch};

use crate::backoff::Backoff;
use crate::protocol::{RequestId, Trouble};

/// Longest wait for the answer to a batch, microseconds.
const ANSWER_US: u64 = 30_000_000;
/// How often the store is looked at when nobody says that something is new.
const LOOK_US: u64 = 2_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Until the time to look, beginning with this stream.
    Waiting,
    /// The store reads.
    Reading(Stream),
    /// The batch is on its way: stream, epoch, first and last number.
    Sending { id: RequestId, stream: Stream, epoch: u64, first: u64, last: u64 },
    /// The store drops.
    Dropping { ack: UploadAck, records: u64 },
}

/// What to do once the store has been read.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    /// To be sent.
    Batch(UploadBatch),
    /// This stream has nothing; to be read next.
    Next(Stream),
}

#[derive(Debug)]
pub(crate) struct Uplink {
    stage: Stage,
    due_us: u64,
    backoff: Backoff,
    trouble: Option<String>,
    uploaded: [u64; 2],
    /// Something new came while a batch was on its way.
    poked: bool,
}

impl Uplink {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            stage: Stage::Waiting,
            due_us: 0,
            backoff: Backoff::new(seed),
            trouble: None,
            uploaded: [0; 2],
            poked: false,
        }
    }

    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    pub(crate) const fn uploaded(&self) -> [u64; 2] {
        self.uploaded
    }

    /// While the store works there is nothing to wait for but the store.
    pub(crate) fn due_us(&self) -> Option<u64> {
        matches!(self.stage, Stage::Waiting | Stage::Sending { .. }).then_some(self.due_us)
    }

    pub(crate) fn restart(&mut self, now_us: u64) {
        if matches!(self.stage, Stage::Waiting | Stage::Sending { .. }) {
            self.stage = Stage::Waiting;
            self.due_us = now_us;
        }
        self.backoff.succeeded();
    }

    /// There is something new; a wait after a failure is still kept.
    pub(crate) fn poke(&mut self, now_us: u64) {
        match self.stage {
            Stage::Waiting if self.backoff.failures() == 0 => self.due_us = self.due_us.min(now_us),
            _ => self.poked = true,
        }
    }

    /// The stream to read, when it is time.
    pub(crate) fn ask(&mut self, now_us: u64) -> Option<Stream> {
        if now_us < self.due_us {
            return None;
        }
        match self.stage {
            Stage::Sending { .. } => {
                self.fail(now_us, None, "an upload was not answered in time");
                None
            }
            Stage::Waiting => {
                self.poked = false;
                self.stage = Stage::Reading(Stream::Usage);
                Some(Stream::Usage)
            }
            Stage::Reading(_) | Stage::Dropping { .. } => None,
        }
    }

    /// What the store has; a batch is to be sent as request `id`.
    pub(crate) fn read(
        &mut self,
        now_us: u64,
        stream: Stream,
        batch: Result<Option<UploadBatch>, String>,
        id: RequestId,
    ) -> Found {
        if self.stage != Stage::Reading(stream) {
            return Found::Nothing;
        }
        match batch {
            Ok(Some(batch)) if !batch.records.is_empty() => {
                let (first, last) = (batch.records[0].seq, batch.records[batch.records.len() - 1].seq);
                self.stage = Stage::Sending { id, stream, epoch: batch.epoch, first, last };
                self.due_us = now_us + ANSWER_US;
                Found::Batch(batch)
            }
            // Whatever failed before: events must not wait for usage that may be long in coming.
            Ok(_) if stream == Stream::Usage => {
                self.stage = Stage::Reading(Stream::Events);
                Found::Next(Stream::Events)
            }
            Ok(_) => {
                self.stage = Stage::Waiting;
                self.due_us = if self.poked { now_us } else { now_us + LOOK_US };
                Found::Nothing
            }
            Err(detail) => {
                self.fail(now_us, None, &detail);
                Found::Nothing
            }
        }
    }

    /// The control plane's marks; what to drop, if it got anything.
    pub(crate) fn answered(&mut self, now_us: u64, id: RequestId, ack: UploadAck) -> Option<UploadAck> {
        let Stage::Sending { id: awaited, stream, epoch, first, last } = self.stage else { return None };
        if awaited != id {
            return None;
        }
        if ack.stream != stream || ack.epoch != epoch || ack.high_water < first {
            let detail = format!(
                "the control plane answered {} to {} records {first}-{last}; its store may have gone back in time",
                ack.high_water,
                stream.as_str()
            );
            self.fail(now_us, None, &detail);
            return None;
        }
        self.backoff.succeeded();
        self.trouble = None;
        self.stage = Stage::Dropping { ack, records: ack.high_water.min(last) + 1 - first };
        Some(ack)
    }

    /// The store dropped what was acknowledged, or could not.
    pub(crate) fn acknowledged(&mut self, now_us: u64, ack: UploadAck, outcome: Result<(), String>) {
        let Stage::Dropping { ack: awaited, records } = self.stage else { return };
        if awaited != ack {
            return;
        }
        match outcome {
            Ok(()) => {
                self.uploaded[usize::from(ack.stream == Stream::Events)] += records;
                self.stage = Stage::Waiting;
                self.due_us = now_us;
            }
            Err(detail) => self.fail(now_us, None, &detail),
        }
    }

    pub(crate) fn failed(&mut self, now_us: u64, id: RequestId, trouble: &Trouble) {
        if let Stage::Sending { id: awaited, stream, first, last, .. } = self.stage
            && awaited == id
        {
            // Without an answer it is not about these records.
            let what = trouble.status.map(|_| format!("{} records {first}-{last}: ", stream.as_str()));
            let detail = format!("{}{}", what.unwrap_or_default(), trouble.detail);
            self.fail(now_us, trouble.retry_after_us, &detail);
        }
    }

    fn fail(&mut self, now_us: u64, asked_us: Option<u64>, detail: &str) {
        self.trouble = Some(detail.to_owned());
        self.stage = Stage::Waiting;
        self.due_us = now_us + self.backoff.failed(asked_us);
    }
}
