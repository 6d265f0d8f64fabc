//! A call's hearing: the caller's recent sound, and the recogniser session it goes to.
//!
//! A recogniser behind a connection gets all sound, because its vendor expects a continuous stream. One inside the
//! box gets speech only, with a run-up, because silence would cost it as much as words.

use std::collections::VecDeque;

use trunkline_call::{AsrEvent, VoiceEdge};
use trunkline_leg::{CallTime, UpFrame};

use crate::session::{Input, Output, Session, Sound};

/// Frames kept for a replay after fail-over: five seconds.
const KEPT_FRAMES: usize = 250;
/// Length of a frame.
const FRAME_MS: u32 = 20;
/// Frames before the first one of speech that a speech-only recogniser gets: half a second. A detector is sure of a word
/// that begins softly after 200 ms, and over an agent's voice later.
const RUN_UP_FRAMES: usize = 25;

/// Frames that wait for an engine at most: ten seconds.
const MOST_INPUT_FRAMES: usize = 500;

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
    /// Nothing is kept for a call that was never listened to.
    recent: Option<Recent>,
    listens: bool,
    /// Nobody hears the caller, now or later.
    concealed: bool,
    open: Option<Open>,
    /// Sound for an engine that it has not been given, while an input goes on.
    input: Option<VecDeque<(u32, Vec<i16>)>>,
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
        self.listens = true;
        if let (Some(from), Some(recent)) = (replay_from, &self.recent) {
            for (_, sound) in recent.last(KEPT_FRAMES).filter(|(arrival, _)| *arrival >= from) {
                session.hear(sound);
            }
        }
        self.open = Some(Open { id, provider, session, continuous, gate: replay_from.is_some() });
    }

    /// Stores a frame and passes it on when the recogniser should hear it. Allocates nothing, but for the first frame of
    /// a rate and for a session that is too slow.
    pub(crate) fn frame(&mut self, frame: &UpFrame, edge: Option<VoiceEdge>) {
        if !self.listens || self.concealed {
            return;
        }
        let recent = match &mut self.recent {
            Some(recent) if recent.takes(frame) => recent,
            other => other.insert(Recent::of(frame)),
        };
        recent.keep(frame);
        if let Some(input) = self.input.as_mut().filter(|input| input.len() < MOST_INPUT_FRAMES) {
            input.push_back((frame.rate, frame.pcm().to_vec()));
        }
        let Some(open) = &mut self.open else { return };
        let frames = if open.continuous || open.gate {
            1
        } else if edge.is_some_and(|edge| edge.speech) {
            open.gate = true;
            RUN_UP_FRAMES + (frame.vad.onset_ms / FRAME_MS) as usize + 1
        } else {
            0
        };
        for (_, sound) in recent.last(frames) {
            open.session.hear(sound);
        }
    }

    /// The caller's recent sound is kept for an engine.
    pub(crate) const fn keep(&mut self) {
        self.listens = true;
    }

    /// An engine hears the caller from now on, with what there is of the sound since then and a run-up.
    pub(crate) fn begin_input(&mut self, from: CallTime) {
        let from = CallTime(from.0.saturating_sub(RUN_UP_FRAMES as u64 * u64::from(FRAME_MS) * 1000));
        let recent = self.recent.iter().flat_map(|recent| recent.last(KEPT_FRAMES));
        let since = recent.filter(|(arrival, _)| *arrival >= from && !self.concealed);
        self.input = Some(since.map(|(_, sound)| (sound.rate, sound.pcm.to_vec())).collect());
    }

    /// It hears nothing any more.
    pub(crate) fn end_input(&mut self) {
        self.input = None;
    }

    /// The next sound for it.
    pub(crate) fn next_input(&mut self) -> Option<(u32, Vec<i16>)> {
        self.input.as_mut()?.pop_front()
    }

    /// From here on nobody hears the caller, or somebody does again. What was said meanwhile is not kept.
    pub(crate) const fn conceal(&mut self, on: bool) {
        self.concealed = on;
    }

    /// The caller's turn is over, whether or not the caller speaks on.
    pub(crate) fn finalize(&mut self, id: u32, goes_on: bool) {
        if let Some(open) = self.open.as_mut().filter(|open| open.id == id) {
            open.gate = goes_on;
            open.session.push(Input::Finalize);
        }
    }

    /// Gives up the session, with its provider.
    pub(crate) fn close(&mut self, id: u32) -> Option<(String, Session)> {
        self.open.take_if(|open| open.id == id).map(|open| (open.provider, open.session))
    }

    /// Gives up whatever is open.
    pub(crate) fn close_all(&mut self) -> Option<(String, Session)> {
        self.open.take().map(|open| (open.provider, open.session))
    }

    /// The open session.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.open.as_ref().map(|open| &open.session)
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

/// The last frames of a rate, each in a place of its own that is written over and over.
struct Recent {
    rate: u32,
    /// Samples of a place.
    whole: usize,
    pcm: Box<[i16]>,
    marks: Box<[Mark]>,
    /// Frames ever kept.
    kept: usize,
}

#[derive(Clone, Copy, Default)]
struct Mark {
    arrival: CallTime,
    position_us: u64,
    len: usize,
}

impl Recent {
    /// Room for frames like this one.
    fn of(frame: &UpFrame) -> Self {
        let whole = frame.pcm().len().max((frame.rate / 50) as usize);
        Self {
            rate: frame.rate,
            whole,
            pcm: vec![0; whole * KEPT_FRAMES].into_boxed_slice(),
            marks: vec![Mark::default(); KEPT_FRAMES].into_boxed_slice(),
            kept: 0,
        }
    }

    fn takes(&self, frame: &UpFrame) -> bool {
        frame.rate == self.rate && frame.pcm().len() <= self.whole
    }

    fn keep(&mut self, frame: &UpFrame) {
        let place = self.kept % KEPT_FRAMES;
        let pcm = frame.pcm();
        self.pcm[place * self.whole..][..pcm.len()].copy_from_slice(pcm);
        self.marks[place] = Mark {
            arrival: frame.arrival,
            position_us: frame.position.saturating_mul(1_000_000) / u64::from(frame.rate.max(1)),
            len: pcm.len(),
        };
        self.kept += 1;
    }

    /// The last `frames` frames, oldest first, each with its arrival.
    fn last(&self, frames: usize) -> impl Iterator<Item = (CallTime, Sound<'_>)> {
        let frames = frames.min(self.kept).min(KEPT_FRAMES);
        (self.kept - frames..self.kept).map(move |number| {
            let place = number % KEPT_FRAMES;
            let Mark { arrival, position_us, len } = self.marks[place];
            let pcm = &self.pcm[place * self.whole..][..len];
            (arrival, Sound { pcm, rate: self.rate, position_us })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use super::*;
    use crate::session::seat::{Body, Seat};
    use trunkline_allocations::{Counts, counted};

    /// Notes the position and first sample of what it hears.
    struct Ear(Arc<Mutex<Vec<(u64, i16)>>>);

    impl Body for Ear {
        fn handle(&mut self, _: u64, _: Input) {}

        fn hear(&mut self, _: u64, sound: Sound<'_>) {
            self.0.lock().unwrap().push((sound.position_us / 1000, sound.pcm[0]));
        }

        fn wake(&mut self, _: u64) {}

        fn wants_step(&self) -> bool {
            false
        }

        fn poll(&mut self) -> Option<Output> {
            None
        }

        fn timeout_us(&self) -> Option<u64> {
            None
        }

        fn is_over(&self) -> bool {
            false
        }
    }

    type Heard = Arc<Mutex<Vec<(u64, i16)>>>;

    fn session() -> (Session, Arc<Seat>, Heard) {
        let heard = Heard::default();
        heard.lock().unwrap().reserve(10_000);
        let ear = Ear(Arc::clone(&heard));
        let seat = Seat::new(Instant::now(), Box::new(move |_| Ok(Box::new(ear) as Box<dyn Body>)));
        (Session::light(Arc::clone(&seat)), seat, heard)
    }

    fn frame(n: u64) -> UpFrame {
        UpFrame::new(&[n as i16; 160], 8000, n * 160, CallTime::from_ms(n * 20)).unwrap()
    }

    fn run(seat: &Seat) {
        seat.run(std::time::Duration::from_secs(1));
    }

    #[test]
    fn a_recogniser_inside_the_box_hears_speech_with_a_run_up() {
        let (session, seat, heard) = session();
        let mut listening = Listening::default();
        listening.open(1, "ear".to_owned(), session, false, None);
        let speech = VoiceEdge { speech: true, at: CallTime::ZERO, level_dbfs: -20.0 };
        for n in 0..100 {
            listening.frame(&frame(n), (n == 50).then_some(speech));
        }
        listening.finalize(1, false);
        listening.frame(&frame(100), None);
        run(&seat);
        let positions: Vec<u64> = heard.lock().unwrap().iter().map(|(ms, _)| *ms / 20).collect();
        assert_eq!(positions, (25..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_recogniser_that_was_finalized_in_mid_speech_goes_on_hearing() {
        let (session, seat, heard) = session();
        let mut listening = Listening::default();
        listening.open(1, "ear".to_owned(), session, false, None);
        let speech = VoiceEdge { speech: true, at: CallTime::ZERO, level_dbfs: -20.0 };
        (0..60).for_each(|n| listening.frame(&frame(n), (n == 50).then_some(speech)));
        // The caller's turn was long enough, and the caller speaks on without a new onset.
        listening.finalize(1, true);
        (60..100).for_each(|n| listening.frame(&frame(n), None));
        run(&seat);
        assert_eq!(heard.lock().unwrap().last().unwrap().0 / 20, 99);
    }

    #[test]
    fn what_was_said_before_it_was_clear_that_somebody_speaks_is_heard_too() {
        let (session, seat, heard) = session();
        let mut listening = Listening::default();
        listening.open(1, "ear".to_owned(), session, false, None);
        let speech = VoiceEdge { speech: true, at: CallTime::ZERO, level_dbfs: -20.0 };
        for n in 0..100 {
            let mut frame = frame(n);
            frame.vad.onset_ms = if n == 50 { 360 } else { 0 };
            listening.frame(&frame, (n == 50).then_some(speech));
        }
        run(&seat);
        assert_eq!(
            heard.lock().unwrap().first().unwrap().0 / 20,
            50 - 25 - 18,
            "from half a second before the onset on"
        );
    }

    #[test]
    fn the_next_recogniser_hears_again_what_the_one_before_owed() {
        let (first, _, _) = session();
        let mut listening = Listening::default();
        listening.open(1, "one".to_owned(), first, true, None);
        (0..400).for_each(|n| listening.frame(&frame(n), None));
        let (second, seat, heard) = session();
        listening.open(2, "two".to_owned(), second, false, Some(CallTime::from_ms(300 * 20)));
        run(&seat);
        assert_eq!(*heard.lock().unwrap(), (300..400).map(|n| (n * 20, n as i16)).collect::<Vec<_>>());
        // Five seconds are all there is.
        let (third, seat, heard) = session();
        listening.open(3, "three".to_owned(), third, true, Some(CallTime::ZERO));
        run(&seat);
        assert_eq!(heard.lock().unwrap().first(), Some(&(150 * 20, 150)));
    }

    #[test]
    fn what_is_concealed_is_heard_by_nobody_then_or_later() {
        let (first, seat, heard) = session();
        let mut listening = Listening::default();
        listening.open(1, "one".to_owned(), first, true, None);
        (0..10).for_each(|n| listening.frame(&frame(n), None));
        listening.conceal(true);
        (10..20).for_each(|n| listening.frame(&frame(n), None));
        listening.conceal(false);
        (20..30).for_each(|n| listening.frame(&frame(n), None));
        run(&seat);
        let expected: Vec<(u64, i16)> = (0..10).chain(20..30).map(|n| (n * 20, n as i16)).collect();
        assert_eq!(*heard.lock().unwrap(), expected);
        let (second, seat, heard) = session();
        listening.open(2, "two".to_owned(), second, true, Some(CallTime::ZERO));
        run(&seat);
        assert_eq!(*heard.lock().unwrap(), expected, "nor by one that hears again what was said");
    }

    #[test]
    fn a_frame_allocates_nothing_from_the_ring_to_the_session() {
        let (session, seat, heard) = session();
        let mut listening = Listening::default();
        listening.open(1, "ear".to_owned(), session, true, None);
        let mut go = |range: std::ops::Range<u64>| {
            for n in range {
                listening.frame(&frame(n), None);
                run(&seat);
            }
        };
        go(0..10);
        assert_eq!(counted(|| go(10..1000)), Counts::NONE);
        assert_eq!(heard.lock().unwrap().len(), 1000);
    }

    #[test]
    fn a_call_nobody_listens_to_keeps_no_sound() {
        let mut listening = Listening::default();
        assert_eq!(counted(|| listening.frame(&frame(1), None)), Counts::NONE);
        assert!(listening.recent.is_none());
    }
}
