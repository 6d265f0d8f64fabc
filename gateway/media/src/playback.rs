//! What the agent says, on its way to the wire: frames from the ring become exactly one frame per tick, at the leg's
//! rate, and every utterance is accounted for by facts.

use std::collections::VecDeque;

use trunkline_dsp::fade::{fade_in, fade_out};
use trunkline_dsp::resample::Resampler;
use trunkline_leg::{CallTime, DownHead, FrameConsumer, LegFact, MAX_FRAME_SAMPLES, Playout, Utterance};

use crate::facts::FactQueue;

/// Sound of a cut utterance still played, faded out, in milliseconds.
const FADE_MS: u32 = 5;
/// Ramps around a gap that the provider left, in milliseconds.
const RAMP_MS: u32 = 2;
/// Samples waiting at the leg's rate: a frame of 960 at 8 kHz on a 16 kHz leg, a filter's tail and a partial frame.
const QUEUE: usize = 2 * MAX_FRAME_SAMPLES + 1024;
/// Marks that may stand in the queue; more frames than that are never in it.
const MARKS: usize = 8;

/// Where the sound of a sent frame came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Played {
    /// Nothing: the frame is silent.
    Silence,
    /// Speech; `starts` when the frame before had none.
    Speech {
        /// First frame of a talkspurt.
        starts: bool,
    },
}

#[derive(Debug, Clone, Copy)]
struct Current {
    utterance: Utterance,
    /// Samples taken into the queue and sent, at the leg's rate.
    taken: u64,
    sent: u64,
    /// Whether its last frame was taken from the ring.
    complete: bool,
}

#[derive(Debug)]
pub(crate) struct Playback {
    rate: u32,
    ring: FrameConsumer<DownHead>,
    playout: Playout,
    resampler: Resampler,
    /// Sound of the current utterance at the leg's rate, `queue[from..to]`.
    queue: Box<[i16; QUEUE]>,
    from: usize,
    to: usize,
    current: Option<Current>,
    /// Marks of the current utterance and the samples of it after which they stand, in order.
    marks: VecDeque<(u32, u64)>,
    /// The highest utterance that was finished or cut.
    closed: Utterance,
    generation: u32,
    /// A partial frame was held back last tick, in the hope of the rest.
    held: bool,
    /// The frame before had sound.
    sounding: bool,
    paused: bool,
    /// An utterance began since it was asked.
    began: bool,
    dropped: u64,
    /// When the frame in work should leave.
    due: CallTime,
}

impl Playback {
    /// Plays at `rate` (8000 or 16000 Hz) what comes through `ring`.
    pub(crate) fn new(
        rate: u32,
        ring: FrameConsumer<DownHead>,
        playout: Playout,
    ) -> Result<Self, trunkline_dsp::resample::RateError> {
        Ok(Self {
            rate,
            ring,
            generation: playout.generation(),
            playout,
            resampler: Resampler::new(rate, rate)?,
            queue: Box::new([0; QUEUE]),
            from: 0,
            to: 0,
            current: None,
            marks: VecDeque::with_capacity(MARKS),
            closed: 0,
            held: false,
            sounding: false,
            paused: false,
            began: false,
            dropped: 0,
            due: CallTime::ZERO,
        })
    }

    /// Frames dropped because they were cleared.
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Records how long sound takes to the far ear, in microseconds; 0 is unknown.
    pub(crate) fn set_delay_us(&self, delay_us: u64) {
        self.playout.set_delay_us(delay_us);
    }

    /// Whether the agent wants the thinking sound to be heard where nothing is said.
    pub(crate) fn is_thinking(&self) -> bool {
        self.playout.is_thinking()
    }

    /// Whether an utterance began since the last call.
    pub(crate) fn take_began(&mut self) -> bool {
        std::mem::take(&mut self.began)
    }

    /// Fills the frame that is sent at `now` and was due at `due`.
    pub(crate) fn next_frame(
        &mut self,
        now: CallTime,
        due: CallTime,
        facts: &mut FactQueue,
        out: &mut [i16],
    ) -> Played {
        self.due = due;
        let mut filled = 0;
        let generation = self.playout.generation();
        if generation != self.generation {
            filled = self.cut(generation, now, facts, out);
        }
        let pauses = self.playout.is_paused();
        if pauses && !self.paused {
            filled = self.fade_away(now, filled, facts, out);
        } else if !pauses {
            filled = self.play(now, filled, facts, out);
        }
        self.paused = pauses;
        out[filled..].fill(0);

        let speech = filled > 0;
        let starts = speech && !self.sounding;
        let ramp = (self.rate * RAMP_MS / 1000) as usize;
        if starts {
            fade_in(&mut out[..ramp.min(filled)]);
        }
        if speech && filled < out.len() {
            fade_out(&mut out[filled.saturating_sub(ramp)..filled]);
        }
        self.sounding = filled == out.len();
        if speech { Played::Speech { starts } } else { Played::Silence }
    }

    /// Cuts everything that was not played, as the leg's end: no fade, the leg is silent from now on.
    pub(crate) fn abandon(&mut self, now: CallTime, facts: &mut FactQueue) {
        if let Some(current) = self.current.take() {
            self.close(current, now, facts);
        }
        while let Ok(frame) = self.ring.pop() {
            self.drop_frame(frame.utterance, now, facts);
        }
    }

    /// Takes sound from the queue, refilling it from the ring, until `out` is full or nothing is left.
    fn play(&mut self, now: CallTime, mut filled: usize, facts: &mut FactQueue, out: &mut [i16]) -> usize {
        while filled < out.len() {
            let wanted = out.len() - filled;
            self.refill(wanted, now, facts);
            let Some(mut current) = self.current else { break };
            let ready = self.to - self.from;
            self.pass_marks(current, now, facts);
            if ready == 0 && current.complete {
                self.finish(current, now, facts);
                continue;
            }
            if ready == 0 {
                break;
            }
            if ready < wanted && !current.complete && !self.held && filled == 0 {
                // Wait one tick for the rest of the frame rather than tear the sound.
                self.held = true;
                break;
            }
            self.held = false;
            let count = ready.min(wanted);
            out[filled..filled + count].copy_from_slice(&self.queue[self.from..self.from + count]);
            self.from += count;
            if current.sent == 0 {
                facts.push(LegFact::PlaybackStarted { utterance: current.utterance, at: now });
                self.began = true;
            }
            current = self.sent(current, filled, count);
            filled += count;
            self.pass_marks(current, now, facts);
        }
        if let Some(current) = self.current
            && current.complete
            && self.from == self.to
        {
            self.finish(current, now, facts);
        }
        filled
    }

    /// Takes frames of the current utterance, or begins the next one, until `wanted` samples are ready.
    fn refill(&mut self, wanted: usize, now: CallTime, facts: &mut FactQueue) {
        if self.from > 0 {
            self.queue.copy_within(self.from..self.to, 0);
            self.to -= self.from;
            self.from = 0;
        }
        while self.to < wanted {
            let Ok(frame) = self.ring.peek() else { return };
            let newer = frame.generation.wrapping_sub(self.generation);
            if newer != 0 {
                if newer < u32::MAX / 2 {
                    // Cleared since this tick began: the next one cuts, then plays this.
                    return;
                }
                let utterance = frame.utterance;
                self.pop();
                self.drop_frame(utterance, now, facts);
                continue;
            }
            match &mut self.current {
                Some(current) if current.complete => return,
                Some(current) if current.utterance != frame.utterance => {
                    // The next one begins though the last frame was not marked.
                    current.complete = true;
                    self.flush_filter();
                    return;
                }
                Some(_) => {}
                None => {
                    self.current = Some(Current { utterance: frame.utterance, taken: 0, sent: 0, complete: false });
                    self.resampler.reset();
                }
            }
            if self.marks.len() == MARKS {
                return;
            }
            self.take_frame();
        }
    }

    /// Moves the frame at the ring's head into the queue.
    fn take_frame(&mut self) {
        let Ok(frame) = self.ring.pop() else { return };
        if frame.rate != self.resampler.from() {
            // Filters exist since the plane started, so this allocates nothing; an impossible rate is silence.
            match Resampler::new(frame.rate, self.rate) {
                Ok(resampler) => self.resampler = resampler,
                Err(_) => self.dropped += u64::from(!frame.pcm().is_empty()),
            }
        }
        let before = self.to;
        if frame.rate == self.resampler.from() {
            self.to += self.resampler.process(frame.pcm(), &mut self.queue[self.to..]);
        }
        if let Some(current) = &mut self.current {
            current.taken += (self.to - before) as u64;
            current.complete |= frame.last;
            if frame.mark != 0 && self.marks.len() < MARKS {
                self.marks.push_back((frame.mark, current.taken));
            }
        }
        if frame.last {
            self.flush_filter();
        }
    }

    /// Pushes the end of the utterance out of the resampler.
    fn flush_filter(&mut self) {
        let zeros = [0; 160];
        let flush = self.resampler.flush_inputs().min(zeros.len());
        self.to += self.resampler.process(&zeros[..flush], &mut self.queue[self.to..]);
    }

    /// Ends the current utterance with a short fade into `out` and follows the new generation.
    fn cut(&mut self, generation: u32, now: CallTime, facts: &mut FactQueue, out: &mut [i16]) -> usize {
        self.generation = generation;
        self.held = false;
        let mut filled = 0;
        if let Some(mut current) = self.current {
            let fade = ((self.rate * FADE_MS / 1000) as usize).min(out.len());
            let next_belongs = |frame: &DownHead| frame.utterance == current.utterance;
            if current.sent > 0 && self.to - self.from < fade && self.ring.peek().is_ok_and(next_belongs) {
                self.queue.copy_within(self.from..self.to, 0);
                (self.from, self.to) = (0, self.to - self.from);
                self.take_frame();
                self.dropped += 1;
            }
            if current.sent > 0 && self.sounding {
                filled = fade.min(self.to - self.from);
                out[..filled].copy_from_slice(&self.queue[self.from..self.from + filled]);
                fade_out(&mut out[..filled]);
                current = self.sent(current, 0, filled);
            }
            self.current = None;
            self.close(current, now, facts);
        }
        self.marks.clear();
        (self.from, self.to) = (0, 0);
        self.resampler.reset();
        filled
    }

    /// Pauses: what is being said fades away within this frame and goes on behind it later.
    fn fade_away(&mut self, now: CallTime, filled: usize, facts: &mut FactQueue, out: &mut [i16]) -> usize {
        let fade = ((self.rate * FADE_MS / 1000) as usize).min(out.len() - filled);
        if !self.sounding || self.current.is_none_or(|current| current.sent == 0) {
            return filled;
        }
        self.refill(fade, now, facts);
        let Some(current) = self.current else { return filled };
        let count = fade.min(self.to - self.from);
        out[filled..filled + count].copy_from_slice(&self.queue[self.from..self.from + count]);
        fade_out(&mut out[filled..filled + count]);
        self.from += count;
        self.sent(current, filled, count);
        filled + count
    }

    /// Takes note that `count` samples of the current utterance are in the frame in work, from `filled` on.
    fn sent(&mut self, mut current: Current, filled: usize, count: usize) -> Current {
        let us = |samples: u64| samples * 1_000_000 / u64::from(self.rate);
        let before = current.sent;
        current.sent += count as u64;
        self.current = Some(current);
        let (from_us, until_us) = (us(before), us(current.sent));
        self.playout.sent(current.utterance, from_us, until_us, self.due + us(filled as u64));
        current
    }

    /// Reports the marks up to which the utterance was sent.
    fn pass_marks(&mut self, current: Current, now: CallTime, facts: &mut FactQueue) {
        while let Some((mark, _)) = self.marks.pop_front_if(|(_, at)| *at <= current.sent) {
            facts.push(LegFact::MarkReached { utterance: current.utterance, mark, at: now });
        }
    }

    fn finish(&mut self, current: Current, now: CallTime, facts: &mut FactQueue) {
        facts.push(LegFact::PlaybackFinished { utterance: current.utterance, at: now });
        self.closed = self.closed.max(current.utterance);
        self.current = None;
    }

    fn close(&mut self, current: Current, now: CallTime, facts: &mut FactQueue) {
        let sent_ms = self.sent_ms(current);
        facts.push(LegFact::PlaybackCut { utterance: current.utterance, sent_ms, at: now });
        self.closed = self.closed.max(current.utterance);
    }

    /// Counts a cleared frame; an utterance that never began is reported as cut at 0.
    fn drop_frame(&mut self, utterance: Utterance, now: CallTime, facts: &mut FactQueue) {
        self.dropped += 1;
        if utterance > self.closed && self.current.is_none_or(|current| current.utterance != utterance) {
            self.closed = utterance;
            facts.push(LegFact::PlaybackCut { utterance, sent_ms: 0, at: now });
        }
    }

    fn pop(&mut self) {
        // What was peeked is there.
        let _ = self.ring.pop();
    }

    fn sent_ms(&self, current: Current) -> u32 {
        u32::try_from(current.sent * 1000 / u64::from(self.rate)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtrb::{Consumer, RingBuffer};
    use trunkline_leg::{DownFrame, FrameProducer, PlayoutPosition, frame_ring};

    struct Rig {
        playback: Playback,
        agent: FrameProducer<DownHead>,
        facts: FactQueue,
        seen: Consumer<LegFact>,
        playout: Playout,
        now: CallTime,
    }

    impl Rig {
        fn new() -> Self {
            let (agent, ring) = frame_ring(50, 50 * MAX_FRAME_SAMPLES);
            let (facts, seen) = RingBuffer::new(64);
            let playout = Playout::default();
            Self {
                playback: Playback::new(8000, ring, playout.clone()).unwrap(),
                agent,
                facts: FactQueue::new(facts),
                seen,
                playout,
                now: CallTime::ZERO,
            }
        }

        fn say(&mut self, utterance: u32, rate: u32, samples: &[i16], last: bool) {
            let generation = self.playout.generation();
            let frame = rate as usize / 50;
            let count = samples.chunks(frame).count();
            for (n, piece) in samples.chunks(frame).enumerate() {
                let mut frame = DownFrame::new(piece, rate, utterance, (n * frame) as u64, generation).unwrap();
                frame.last = last && n + 1 == count;
                self.agent.push(frame).unwrap();
            }
        }

        fn tick(&mut self) -> ([i16; 160], Played) {
            let mut out = [7; 160];
            let played = self.playback.next_frame(self.now, self.now, &mut self.facts, &mut out);
            self.now = self.now.plus_ms(20);
            (out, played)
        }

        fn facts(&mut self) -> Vec<LegFact> {
            std::iter::from_fn(|| self.seen.pop().ok()).collect()
        }
    }

    #[test]
    fn an_utterance_is_played_whole_and_reported_at_its_ends() {
        let mut rig = Rig::new();
        rig.say(1, 8000, &[1000; 400], true);
        assert_eq!(rig.tick().1, Played::Speech { starts: true });
        assert_eq!(rig.tick().1, Played::Speech { starts: false });
        assert_eq!(rig.facts(), [LegFact::PlaybackStarted { utterance: 1, at: CallTime::ZERO }]);
        let (out, played) = rig.tick();
        assert_eq!(played, Played::Speech { starts: false });
        assert_eq!((out[0], out[80]), (1000, 0));
        assert_eq!(rig.facts(), [LegFact::PlaybackFinished { utterance: 1, at: CallTime::from_ms(40) }]);
        assert_eq!(rig.playout.position(), PlayoutPosition { utterance: 1, sent_ms: 50 });
        assert_eq!(rig.tick(), ([0; 160], Played::Silence));
    }

    #[test]
    fn a_clear_stops_within_one_frame_and_says_how_much_was_sent() {
        let mut rig = Rig::new();
        rig.say(1, 8000, &[8000; 1600], true);
        rig.tick();
        rig.tick();
        rig.playout.clear();
        let (out, _) = rig.tick();
        assert!(out[40..].iter().all(|sample| *sample == 0), "silent after the fade");
        assert!(out[..40].is_sorted_by(|a, b| a >= b) && out[0] > 7000, "fades without a step");
        assert_eq!(rig.tick(), ([0; 160], Played::Silence));
        let facts = rig.facts();
        assert_eq!(facts[1], LegFact::PlaybackCut { utterance: 1, sent_ms: 45, at: CallTime::from_ms(40) });
        assert_eq!(facts.len(), 2, "each utterance ends once");
    }

    #[test]
    fn utterances_behind_a_cut_one_are_cut_at_zero_and_new_ones_play_at_once() {
        let mut rig = Rig::new();
        rig.say(1, 8000, &[8000; 320], true);
        rig.say(2, 8000, &[8000; 320], true);
        rig.tick();
        rig.playout.clear();
        rig.say(3, 8000, &[500; 160], true);
        let (out, _) = rig.tick();
        assert_eq!(out[159], 500, "the rest of the frame is the new utterance");
        rig.tick();
        let at = CallTime::from_ms(20);
        assert_eq!(
            rig.facts(),
            [
                LegFact::PlaybackStarted { utterance: 1, at: CallTime::ZERO },
                LegFact::PlaybackCut { utterance: 1, sent_ms: 25, at },
                LegFact::PlaybackCut { utterance: 2, sent_ms: 0, at },
                LegFact::PlaybackStarted { utterance: 3, at },
                LegFact::PlaybackFinished { utterance: 3, at: CallTime::from_ms(40) },
            ]
        );
    }

    #[test]
    fn sound_of_other_rates_keeps_its_length() {
        for rate in [16000, 22050, 24000, 44100, 48000, 11025] {
            let mut rig = Rig::new();
            let second: Vec<i16> = (0..rate / 2).map(|n| if n % 40 < 20 { 4000 } else { -4000 }).collect();
            rig.say(1, rate, &second, true);
            let mut frames = 0;
            while rig.tick().1 != Played::Silence {
                frames += 1;
            }
            // Half a second, and the 3 ms that the filter holds back.
            assert_eq!(frames, 26, "{rate}");
            let facts = rig.facts();
            assert!(matches!(facts[..], [LegFact::PlaybackStarted { .. }, LegFact::PlaybackFinished { .. }]));
            assert_eq!(rig.playout.position().sent_ms, 503);
        }
    }

    #[test]
    fn a_provider_that_pauses_leaves_silence_and_continues() {
        let mut rig = Rig::new();
        rig.say(1, 8000, &[1000; 240], false);
        rig.tick();
        assert_eq!(rig.tick().1, Played::Silence, "a partial frame waits one tick for its rest");
        assert!(matches!(rig.tick().1, Played::Speech { starts: true }));
        assert_eq!(rig.tick().1, Played::Silence);
        rig.say(1, 8000, &[1000; 160], true);
        assert!(matches!(rig.tick().1, Played::Speech { starts: true }));
        assert_eq!(rig.facts().len(), 2);
        assert_eq!(rig.playout.position().sent_ms, 50);
    }

    #[test]
    fn an_empty_last_frame_finishes_and_a_missing_one_is_implied_by_the_next_utterance() {
        let mut rig = Rig::new();
        rig.say(1, 8000, &[1000; 160], false);
        let mut end = DownFrame::new(&[], 8000, 1, 160, 0).unwrap();
        end.last = true;
        rig.agent.push(end).unwrap();
        rig.say(2, 8000, &[1000; 160], false);
        rig.say(3, 8000, &[1000; 160], true);
        for _ in 0..4 {
            rig.tick();
        }
        let finished: Vec<u32> = rig
            .facts()
            .into_iter()
            .filter_map(|fact| match fact {
                LegFact::PlaybackFinished { utterance, .. } => Some(utterance),
                _ => None,
            })
            .collect();
        assert_eq!(finished, [1, 2, 3]);
    }

    #[test]
    fn a_pause_fades_within_a_frame_and_nothing_of_the_utterance_is_lost() {
        let mut rig = Rig::new();
        let ramp: Vec<i16> = (1..=1600).collect();
        rig.say(1, 8000, &ramp, true);
        let mut heard = rig.tick().0.to_vec();
        rig.playout.pause();
        let (out, _) = rig.tick();
        assert!(out[40..].iter().all(|sample| *sample == 0) && out[0] > 150);
        heard.extend(&out[..40]);
        for _ in 0..10 {
            assert_eq!(rig.tick(), ([0; 160], Played::Silence));
        }
        assert_eq!(rig.playout.position(), PlayoutPosition { utterance: 1, sent_ms: 25 });
        rig.playout.resume();
        let (out, played) = rig.tick();
        assert_eq!(played, Played::Speech { starts: true });
        assert_eq!((out[0], out[159]), (0, 360), "goes on where it faded, from silence");
        while let (out, Played::Speech { .. }) = rig.tick() {
            heard.extend(out);
        }
        assert_eq!(rig.playout.position().sent_ms, 200);
        assert!(matches!(rig.facts()[..], [LegFact::PlaybackStarted { .. }, LegFact::PlaybackFinished { .. }]));
    }

    #[test]
    fn a_clear_during_a_pause_cuts() {
        let mut rig = Rig::new();
        rig.say(1, 8000, &[1000; 1600], true);
        rig.tick();
        rig.playout.pause();
        rig.tick();
        rig.playout.clear();
        rig.say(2, 8000, &[500; 160], true);
        assert_eq!(rig.tick(), ([0; 160], Played::Silence), "still paused");
        rig.playout.resume();
        assert_eq!(rig.tick().0[159], 500, "what follows the clear");
        let facts = rig.facts();
        assert_eq!(facts[1], LegFact::PlaybackCut { utterance: 1, sent_ms: 25, at: CallTime::from_ms(40) });
        assert!(matches!(facts[3], LegFact::PlaybackFinished { utterance: 2, .. }), "{facts:?}");
    }

    #[test]
    fn marks_are_reported_once_their_frames_were_sent_and_cut_ones_never() {
        let mut rig = Rig::new();
        for n in 1..=5_u32 {
            let mut frame = DownFrame::new(&[1000; 240], 8000, 1, 0, 0).unwrap();
            frame.mark = n;
            rig.agent.push(frame).unwrap();
        }
        for _ in 0..5 {
            rig.tick();
        }
        let marks = |facts: Vec<LegFact>| -> Vec<(u32, u64)> {
            let reached = |fact| match fact {
                LegFact::MarkReached { mark, at, utterance: 1 } => Some((mark, at.as_ms())),
                _ => None,
            };
            facts.into_iter().filter_map(reached).collect()
        };
        assert_eq!(marks(rig.facts()), [(1, 20), (2, 40), (3, 80)]);
        rig.playout.clear();
        rig.tick();
        assert_eq!(marks(rig.facts()), []);
    }
}
