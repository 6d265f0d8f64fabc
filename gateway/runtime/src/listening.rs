//! A call's hearing: the caller's recent sound, and the recogniser session it goes to.
//!
//! A recogniser behind a connection gets all sound, because its vendor expects a continuous stream. One inside the
//! box gets speech only, with a run-up, because silence would cost it as much as words.

use std::collections::VecDeque;

use trunkline_call::{AsrEvent, VoiceEdge};
use trunkline_leg::{CallTime, UpFrame};

use crate::session::{Input, Output, Place, Session};

/// Frames kept for a replay after fail-over: five seconds.
const KEPT_FRAMES: usize = 250;
/// Sound before the first frame of speech that a speech-only recogniser gets.
const RUN_UP_MS: u64 = 300;

struct Kept {
    arrival: CallTime,
    position_us: u64,
    rate: u32,
    pcm: Vec<i16>,
}

struct Open {
    id: u32,
    provider: String,
    session: Session,
    continuous: bool,
    gate: bool,
}

/// The caller's recent sound and the open recogniser.
#[derive(Default)]
pub(crate) struct Listening {
    kept: VecDeque<Kept>,
    open: Option<Open>,
}

impl Listening {
    /// Sound goes to `session` from now on, from `replay_from` when given.
    pub(crate) fn open(
        &mut self,
        id: u32,
        provider: String,
        session: Session,
        continuous: bool,
        replay_from: Option<CallTime>,
    ) {
        if let Some(from) = replay_from {
            for frame in self.kept.iter().filter(|frame| frame.arrival >= from) {
                session.push(frame.input());
            }
        }
        self.open = Some(Open { id, provider, session, continuous, gate: replay_from.is_some() });
    }

    /// Stores a frame and passes it on when the recogniser should hear it.
    pub(crate) fn frame(&mut self, frame: &UpFrame, edge: Option<VoiceEdge>) {
        if self.kept.len() >= KEPT_FRAMES {
            self.kept.pop_front();
        }
        self.kept.push_back(Kept {
            arrival: frame.arrival,
            position_us: frame.position.saturating_mul(1_000_000) / u64::from(frame.rate.max(1)),
            rate: frame.rate,
            pcm: frame.pcm().to_vec(),
        });
        let Some(open) = &mut self.open else { return };
        if open.continuous || open.gate {
            if let Some(latest) = self.kept.back() {
                open.session.push(latest.input());
            }
        } else if edge.is_some_and(|edge| edge.speech) {
            open.gate = true;
            let frames = usize::try_from(RUN_UP_MS / 20).unwrap_or(0) + 1;
            for frame in self.kept.iter().skip(self.kept.len().saturating_sub(frames)) {
                open.session.push(frame.input());
            }
        }
    }

    /// The caller stopped speaking.
    pub(crate) fn finalize(&mut self, id: u32) {
        if let Some(open) = self.open.as_mut().filter(|open| open.id == id) {
            open.gate = false;
            open.session.push(Input::Finalize);
        }
    }

    /// Lets go of the session.
    pub(crate) fn close(&mut self, id: u32, place: &Place) {
        if let Some(open) = self.open.take_if(|open| open.id == id) {
            open.session.close(place);
        }
    }

    /// Lets go of whatever is open.
    pub(crate) fn close_all(&mut self, place: &Place) {
        if let Some(open) = self.open.take() {
            open.session.close(place);
        }
    }

    /// Has the session run.
    pub(crate) fn serve(&self, place: &Place, now_us: u64) {
        if let Some(open) = &self.open {
            open.session.serve(place, now_us);
        }
    }

    /// What the session learned: its id, its provider and the output.
    pub(crate) fn poll(&mut self) -> Option<(u32, String, Output)> {
        let open = self.open.as_ref()?;
        let output = open.session.poll()?;
        let (id, provider) = (open.id, open.provider.clone());
        if matches!(output, Output::Failed { .. } | Output::Asr(AsrEvent::Ended)) {
            self.open = None;
        }
        Some((id, provider, output))
    }

    /// Inputs the session lost because it was too slow.
    pub(crate) fn dropped_inputs(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.session.dropped_inputs())
    }
}

impl Kept {
    fn input(&self) -> Input {
        Input::Sound { pcm: self.pcm.clone(), rate: self.rate, position_us: self.position_us }
    }
}
