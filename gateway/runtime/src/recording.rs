//! A call's recordings: what the agent's policy and the tenant's key make of them, and what operators order.

use std::path::PathBuf;
use std::sync::Arc;
use std::task::Waker;

use serde::Serialize;
use trunkline_api::agent::{Recording, RecordingBeep, RecordingFormat, WithoutKey};
use trunkline_api::{Failure, Id};
use trunkline_call::RecordingFact;
use trunkline_leg::{Beep, TapControl, TapEnd};
use trunkline_media::{LegHandle, MediaError};
use trunkline_recording::{Container, Fault, Plan, PublicKey, Recorder, RecordingError, RecordingStatus, Started};

use crate::shared::RuntimeConfig;

const MIB: u64 = 1 << 20;
/// Recordings of a call that may be on their way to the disk before another begins.
const MAX_ENDING: usize = 8;

/// What an operator orders of a call's recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingOrder {
    /// Begin one.
    Start,
    /// Silence in place of both voices, until resumed.
    Pause,
    /// Both voices again.
    Resume,
    /// End it.
    Stop,
}

/// How a call's recording is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordingState {
    /// The file, relative to the state folder.
    pub path: String,
    /// `recording`, `paused` or `stopped`.
    pub state: &'static str,
    /// Whether it is sealed to the tenant's key.
    pub sealed: bool,
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingRefused {
    /// There is no such call.
    #[error("no call of that id is in progress")]
    NoCall,
    /// One is in progress.
    #[error("the call is being recorded already; stop that recording first")]
    Already,
    /// Too many of the call's earlier ones are not yet on the disk.
    #[error("{MAX_ENDING} recordings of the call are still being written; try again in a moment")]
    StillWriting,
    /// None is in progress.
    #[error("the call is not being recorded; start a recording first")]
    NotRecording,
    /// It is as ordered already.
    #[error("the recording is {0} already")]
    Unchanged(&'static str),
    /// The tenant has no key and the agent wants none in clear.
    #[error(
        "the tenant has no `recording_key` and the agent's `recording.without_key` is `refuse`; give the tenant a key \
         (`trunkline recording keygen`)"
    )]
    NoKey,
    /// The recorder has its reasons.
    #[error(transparent)]
    Recorder(#[from] RecordingError),
    /// The leg does not take it.
    #[error(transparent)]
    Leg(#[from] MediaError),
    /// The worker of the call did not answer.
    #[error("the call's worker did not answer in time; look at `trunkline doctor`")]
    NoAnswer,
}

/// One call's recordings.
#[derive(Debug)]
pub(crate) struct CallRecordings {
    call: Id,
    policy: Recording,
    key: Option<PublicKey>,
    begun: u32,
    /// Woken when one has ended, so that its call is looked at.
    waker: Option<Waker>,
    current: Option<Current>,
    /// Stopped, and on their way to the disk.
    ending: Vec<Current>,
    /// Silence takes the caller's place, whoever begins or resumes one.
    concealed: bool,
    /// The current one was begun for a message and ends with it.
    for_message: bool,
}

#[derive(Debug)]
struct Current {
    path: String,
    rate: u32,
    control: TapControl,
    status: Arc<RecordingStatus>,
}

impl CallRecordings {
    /// Recordings of `call` by its agent's policy, sealed to its tenant's key.
    pub(crate) const fn new(call: Id, policy: Recording, key: Option<PublicKey>) -> Self {
        Self {
            call,
            policy,
            key,
            begun: 0,
            waker: None,
            current: None,
            ending: Vec::new(),
            concealed: false,
            for_message: false,
        }
    }

    /// Has `waker` woken whenever a recording has ended, be it the one that began with the call or a later one.
    pub(crate) fn wake(&mut self, waker: Waker) {
        if let Some(current) = &self.current {
            current.status.wake_when_finished(&waker);
        }
        self.waker = Some(waker);
    }

    /// Begins the recording that the agent's policy asks for with the answer; nothing when it asks for none. An agent whose
    /// calls are recorded takes none that cannot be.
    ///
    /// # Errors
    /// [`Failure::RecordingUnavailable`], the reason being in the log.
    pub(crate) fn begin_with_call(
        &mut self,
        recorder: &Recorder,
        config: &RuntimeConfig,
        rate: u32,
    ) -> Result<Option<(TapEnd, RecordingFact)>, Failure> {
        if !self.policy.enabled {
            return Ok(None);
        }
        self.begin(recorder, config, rate).map(Some).map_err(|error| {
            tracing::warn!(call = %self.call, %error, "a call that would be recorded is refused");
            Failure::RecordingUnavailable
        })
    }

    /// Puts silence in the caller's place, or lets the caller through again. Operators' orders do not change that.
    pub(crate) fn conceal(&mut self, on: bool) {
        self.concealed = on;
        for recording in self.current.iter().chain(&self.ending) {
            recording.control.conceal(on);
        }
    }

    /// Records a message that the caller leaves, unless the call is recorded already, or ends that again. What there is to
    /// tell, and how the recording is now.
    pub(crate) fn message(
        &mut self,
        on: bool,
        recorder: &Recorder,
        config: &RuntimeConfig,
        rate: u32,
        leg: &LegHandle,
    ) -> (Option<RecordingFact>, Option<RecordingState>) {
        let nothing_to_do = if on { self.current.is_some() } else { !self.for_message };
        if nothing_to_do {
            return (None, None);
        }
        self.for_message = on;
        let order = if on { RecordingOrder::Start } else { RecordingOrder::Stop };
        match self.order(order, recorder, config, rate, leg) {
            Ok((state, fact)) => (fact, Some(state)),
            // An operator ended it meanwhile.
            Err(RecordingRefused::NotRecording) => (None, None),
            Err(error) => {
                self.for_message = false;
                let fact = RecordingFact::Ended {
                    path: String::new(),
                    reason: "refused".into(),
                    duration_ms: 0,
                    muted_ms: 0,
                    failure: Some(error.to_string()),
                };
                (Some(fact), None)
            }
        }
    }

    /// The file of the recording that began with the call, as it is told.
    pub(crate) fn path(&self) -> Option<&str> {
        self.current.as_ref().map(|current| current.path.as_str())
    }

    /// Carries out an operator's order; also what there is to tell of it at once.
    pub(crate) fn order(
        &mut self,
        order: RecordingOrder,
        recorder: &Recorder,
        config: &RuntimeConfig,
        rate: u32,
        leg: &LegHandle,
    ) -> Result<(RecordingState, Option<RecordingFact>), RecordingRefused> {
        if order == RecordingOrder::Start {
            if self.current.is_some() {
                return Err(RecordingRefused::Already);
            }
            if self.ending.len() >= MAX_ENDING {
                return Err(RecordingRefused::StillWriting);
            }
            let (tap, fact) = self.begin(recorder, config, rate)?;
            if let Err(error) = leg.tap(tap) {
                self.current = None;
                return Err(error.into());
            }
            return self.state("recording").map(|state| (state, Some(fact))).ok_or(RecordingRefused::NotRecording);
        }
        let current = self.current.as_ref().ok_or(RecordingRefused::NotRecording)?;
        let path = current.path.clone();
        let (changed, name, fact) = match order {
            RecordingOrder::Pause => (current.control.mute(), "paused", Some(RecordingFact::Paused { path })),
            RecordingOrder::Resume => (current.control.unmute(), "recording", Some(RecordingFact::Resumed { path })),
            RecordingOrder::Stop | RecordingOrder::Start => (current.control.stop(), "stopped", None),
        };
        let state = self.state(name).ok_or(RecordingRefused::NotRecording)?;
        if order == RecordingOrder::Stop {
            self.ending.extend(self.current.take());
        }
        if changed { Ok((state, fact)) } else { Err(RecordingRefused::Unchanged(name)) }
    }

    /// What there is to tell of a recording that has ended, when its file is complete or given up, and how it is now if
    /// nobody ordered that.
    pub(crate) fn poll(&mut self) -> Option<(RecordingFact, Option<RecordingState>)> {
        let over = |current: &Current| current.status.is_finished();
        if self.current.as_ref().is_some_and(over) {
            let state = self.state("stopped");
            return Some((self.current.take()?.ended(), state));
        }
        let ended = self.ending.remove(self.ending.iter().position(over)?);
        Some((ended.ended(), None))
    }

    /// Whether every one is complete or given up, and was told.
    pub(crate) const fn is_settled(&self) -> bool {
        self.current.is_none() && self.ending.is_empty()
    }

    /// How the recording is that began with the call.
    pub(crate) fn now(&self) -> Option<RecordingState> {
        self.state("recording")
    }

    fn state(&self, state: &'static str) -> Option<RecordingState> {
        let current = self.current.as_ref()?;
        Some(RecordingState { path: current.path.clone(), state, sealed: self.key.is_some() })
    }

    fn permitted(&self) -> Result<(), RecordingRefused> {
        if self.key.is_none() && self.policy.without_key == WithoutKey::Refuse {
            return Err(RecordingRefused::NoKey);
        }
        Ok(())
    }

    const fn container(&self) -> Container {
        match self.policy.format {
            RecordingFormat::Wav => Container::Wav,
            RecordingFormat::Opus => Container::Opus,
        }
    }

    fn begin(
        &mut self,
        recorder: &Recorder,
        config: &RuntimeConfig,
        rate: u32,
    ) -> Result<(TapEnd, RecordingFact), RecordingRefused> {
        self.permitted()?;
        let number = self.begun + 1;
        let plan = Plan {
            name: if number == 1 { self.call.to_string() } else { format!("{}-{number}", self.call) },
            container: self.container(),
            rate,
            key: self.key.clone(),
            beep: match self.policy.beep {
                RecordingBeep::Never => Beep::Never,
                RecordingBeep::Start => Beep::Start,
                RecordingBeep::Repeat => Beep::Repeat,
            },
            max_s: self.policy.max_s,
            max_bytes: u64::from(self.policy.max_mib) * MIB,
        };
        let Started { tap, control, status, name } = recorder.begin(&plan)?;
        control.conceal(self.concealed);
        self.begun = number;
        if let Some(waker) = &self.waker {
            status.wake_when_finished(waker);
        }
        let path = told(config, name);
        self.current = Some(Current { path: path.clone(), rate: plan.rate, control, status });
        let format = plan.container.extension();
        Ok((tap, RecordingFact::Started { path, format: format.into(), sealed: plan.key.is_some() }))
    }
}

impl Current {
    fn ended(&self) -> RecordingFact {
        let fault = self.status.fault();
        let failure = fault.filter(|fault| !fault.is_limit()).map(|fault| fault.advice().to_owned());
        let ms = |samples: u64| samples * 1000 / u64::from(self.rate.max(1));
        let muted = self.status.muted().iter().map(|span| span.to - span.from).sum();
        RecordingFact::Ended {
            path: self.path.clone(),
            reason: fault.map_or("stopped", Fault::name).into(),
            duration_ms: ms(self.status.samples()),
            muted_ms: ms(muted),
            failure,
        }
    }
}

/// A file's path as it is told: relative to the state folder where it lies below it.
fn told(config: &RuntimeConfig, name: PathBuf) -> String {
    let path = config.recordings.join(name);
    path.strip_prefix(&config.state_dir).unwrap_or(&path).to_string_lossy().into_owned()
}
