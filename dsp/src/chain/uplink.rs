//! The uplink: what the caller says, on its way to the agent.

use std::sync::atomic::{AtomicU64, Ordering};

use super::leg::Places;
use super::{ChainConfig, Denoiser, FRAME_MS, LegDsp, MAX_FRAME, PIECE, Shedding, SoundChange};
use crate::echo::{Interruption, Voice};
use crate::endpoint::EndpointEvent;
use crate::ns::{Effort, Gate, LanesBank, warm_up};
use crate::vad::{Activity, FusedBank, SileroBank, SileroFrame, VadBank, VadFrame};
use crate::{NoiseBank as _, Simd, Slot, to_f32, to_i16};

/// One leg's frame up.
#[derive(Debug)]
pub struct UplinkFrame<'a> {
    /// Whose it is.
    pub leg: &'a mut LegDsp,
    /// 20 ms at the leg's rate: in what was heard, out what was cleaned. A frame of another length is left as it is and
    /// not judged; an empty one says that nothing was heard.
    pub pcm: &'a mut [i16],
    /// Out: the same 20 ms with the agent's echo turned down and nothing else done to it, as late as the cleaned sound
    /// is. Of another length than `pcm` (empty, where nobody wants it) it is left as it is.
    pub raw: &'a mut [i16],
    /// What was found in it, written by [`UplinkChain::process`].
    pub report: UplinkReport,
}

/// What the uplink found in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct UplinkReport {
    /// Voice activity: levels and the quick detector's confidence in the cleaned sound, and whether there is speech by the
    /// sure detector, which judges the sound as it was heard.
    pub activity: Activity,
    /// How likely speech is by the sure detector, 0..=1; `None` while nothing may be speech.
    pub certainty: Option<f32>,
    /// What stands above the noise is the agent's own echo.
    pub echo: bool,
    /// Whether the caller interrupts whatever the agent says: each change once.
    pub interruption: Option<Interruption>,
    /// When with this frame speech begins: for how long it had been heard until it was clear that it is, in ms, at most
    /// 500.
    pub onset_ms: u32,
    /// Where the timers of speech and silence stand.
    pub endpoint: Endpoint,
}

/// Where a leg's timers of speech and silence stand at the end of a frame. They count ticks, so that they go on while
/// nothing is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Endpoint {
    /// Somebody speaks: for at least `min_speech_ms`, and not silent for `end_of_speech_ms` since.
    pub speaking: bool,
    /// Since when, in ms; 0 while nobody speaks.
    pub speech_ms: u32,
    /// Time since speech was heard last, or since the leg began, in ms; 0 on a frame that holds speech.
    pub silence_ms: u32,
    /// With this frame it was clear that somebody speaks.
    pub started: bool,
    /// With this frame it was clear that speech has ended.
    pub ended: bool,
    /// With this frame silence had lasted `silence_ms`, or that long again.
    pub silent: bool,
}

/// Cleans and judges the uplink of a worker's legs, a batch per phase.
#[derive(Debug)]
pub struct UplinkChain {
    id: u64,
    config: ChainConfig,
    shedding: Shedding,
    lanes: LanesBank,
    vad: FusedBank,
    sure: SileroBank,
    /// Sound of the piece in work as -1..1, a row of [`MAX_FRAME`] a leg: as it is cleaned, and as it was heard, as late.
    sound: Box<[f32]>,
    heard: Box<[f32]>,
}

/// Rates a chain knows, in Hz.
const RATES: [u32; 2] = [8000, 16_000];
/// Confidence of the quick detector from which the sure one is asked, and for how long it is asked after that: what is
/// quieter than this is no speech, and a pause between words must not make it forget what it knows.
const ASKS: f32 = 0.15;
const ASKED_MS: u32 = 640;
/// Longest time by which it may be clear later than it began that somebody speaks.
const MOST_ONSET_MS: u32 = 500;
/// Legs that may change lanes at the end of a batch.
const MOVES: usize = 2;
/// Longest delay that raw sound can be given, in microseconds: a frame.
const MOST_DELAY_US: u64 = FRAME_MS as u64 * 1000;

impl UplinkChain {
    /// A chain; the banks' memory is taken here, about 22 kB a leg. Make it on the worker's own thread, where the
    /// reference engine wants a table.
    #[must_use]
    pub fn new(config: ChainConfig) -> Self {
        static CHAINS: AtomicU64 = AtomicU64::new(0);
        warm_up();
        Self {
            id: CHAINS.fetch_add(1, Ordering::Relaxed),
            config,
            shedding: Shedding::None,
            lanes: LanesBank::for_rates(config.slots, &RATES).with_gate(config.denoiser_gate),
            vad: FusedBank::new(config.slots),
            sure: SileroBank::new(config.slots),
            sound: vec![0.0; PIECE * MAX_FRAME].into_boxed_slice(),
            heard: vec![0.0; PIECE * MAX_FRAME].into_boxed_slice(),
        }
    }

    /// Takes a leg in, with whatever the chain it was detached from knew of its sound; `false` when there is no room, or
    /// when the leg still has its places elsewhere. Does not allocate.
    pub fn adopt(&mut self, leg: &mut LegDsp) -> bool {
        if leg.places.is_some() {
            return false;
        }
        let Some(vad) = self.vad.attach(leg.rate) else { return false };
        let Some(sure) = self.sure.attach(leg.rate) else {
            self.vad.detach(vad);
            return false;
        };
        self.vad.restore(vad, &mut leg.activity);
        self.sure.restore(sure, &mut leg.certainty);
        leg.places = Some(Places { chain: self.id, noise: None, vad, sure });
        self.seat(leg);
        match leg.places.and_then(|places| places.noise) {
            Some(slot) => self.lanes.restore(slot, &leg.noise),
            None if self.effort(leg).is_some() => {
                self.detach(leg);
                return false;
            }
            None => {}
        }
        leg.noise.forget();
        true
    }

    /// Gives a leg's places back and keeps in the leg what the banks knew of its sound; without places its frames are
    /// left as they are. For the end of a call, and before the leg moves to another worker. Does not allocate.
    pub fn detach(&mut self, leg: &mut LegDsp) {
        let Some(places) = self.places(leg) else { return };
        leg.places = None;
        self.vad.save(places.vad, &mut leg.activity);
        self.vad.detach(places.vad);
        self.sure.save(places.sure, &mut leg.certainty);
        self.sure.detach(places.sure);
        leg.noise.forget();
        if let Some(slot) = places.noise {
            self.lanes.save(slot, &mut leg.noise);
            self.lanes.detach(slot);
        }
    }

    /// Takes up a changed sound in mid-call; `false`, and nothing is changed, when it was made for another rate or the
    /// leg is in another chain. What the leg needs no more is left in `change`, to be dropped elsewhere: this neither
    /// allocates nor frees.
    pub fn apply(&mut self, leg: &mut LegDsp, change: &mut SoundChange) -> bool {
        if change.rate != leg.rate || leg.places.is_some_and(|places| places.chain != self.id) {
            return false;
        }
        leg.change(change);
        if self.places(leg).is_some() {
            self.seat(leg);
        }
        true
    }

    /// What to leave out from the next batch on.
    pub const fn set_shedding(&mut self, shedding: Shedding) {
        self.shedding = shedding;
    }

    /// What is left out.
    #[must_use]
    pub const fn shedding(&self) -> Shedding {
        self.shedding
    }

    /// The engine that takes the noise out of a leg here: that of its sound, less what is shed.
    #[must_use]
    pub fn denoiser(&self, leg: &LegDsp) -> Denoiser {
        match self.asked_for(leg) {
            Some(Effort::Full) => Denoiser::Lanes,
            Some(Effort::Light) => Denoiser::Economy,
            Some(Effort::Through) => Denoiser::Off,
            None if leg.engine.is_some() => Denoiser::Reference,
            None => Denoiser::Off,
        }
    }

    /// By how many microseconds a leg's sound, cleaned and raw, leaves the chain later than it entered: the denoiser's
    /// delay.
    #[must_use]
    pub fn delay_us(&self, leg: &LegDsp) -> u64 {
        let delay = match self.effort(leg) {
            Some(_) => self.lanes.delay_us(leg.rate).unwrap_or(0),
            None => leg.engine.as_ref().map_or(0, |engine| engine.delay_us()),
        };
        delay.min(MOST_DELAY_US)
    }

    /// Where a leg is to stand among those it shares a batch with: by rate, then by the lanes that are computed together.
    /// Sorted by this a batch costs the least; in any order it sounds the same. A leg without lanes comes after those of
    /// its rate that have some, one that is not here comes last.
    #[must_use]
    pub fn order(&self, leg: &LegDsp) -> u32 {
        const NOWHERE: u32 = (1 << 30) - 1;
        let Some(places) = self.places(leg) else { return u32::MAX };
        let lane = places.noise.and_then(|slot| self.lanes.position(slot)).map_or(NOWHERE, |lane| lane.min(NOWHERE));
        u32::from(leg.rate != RATES[0]) << 30 | lane
    }

    /// Changes whenever the [order](Self::order) of any leg may have.
    #[must_use]
    pub fn arrangement(&self) -> u64 {
        self.lanes.arrangement()
    }

    /// Makes a leg's part of the chain as good as new after a panic in [`UplinkChain::process`], without allocating. What
    /// was known of its sound is forgotten; its places, sound and end point timers stay.
    pub fn recover(&mut self, leg: &mut LegDsp) {
        leg.clear();
        let Some(places) = self.places(leg) else { return };
        self.vad.clear(places.vad);
        self.sure.clear(places.sure);
        if let Some(slot) = places.noise {
            self.lanes.clear(slot);
        }
    }

    /// Processes the frames of one phase, each of another leg of this chain; others are left as they are. Give every leg
    /// a frame in every tick, an empty one where nothing was heard: what was played in a tick without any is missing
    /// from the echo gate's memory. Legs that share batches find each other's lanes within some ticks.
    pub fn process(&mut self, batch: &mut [UplinkFrame<'_>]) {
        let mut rest = &mut *batch;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at_mut(self.piece(rest));
            for frame in piece.iter_mut() {
                self.seat(frame.leg);
            }
            self.tell_echo(piece);
            self.take_noise_out(piece);
            // Judged before its level is changed: a floor that rose with the gain would be none.
            self.judge(piece);
            self.blend_in_what_was_heard(piece);
            self.bring_to_level(piece);
            self.put_back(piece);
            rest = after;
        }
        let id = self.id;
        let mut slots = batch.iter().filter_map(|frame| frame.leg.places.filter(|places| places.chain == id)?.noise);
        self.lanes.settle(&mut slots, MOVES);
    }

    fn places(&self, leg: &LegDsp) -> Option<Places> {
        leg.places.filter(|places| places.chain == self.id)
    }

    /// How much is done for a leg in the lanes; `None` when it has none. Where there is nothing to take out, nothing is:
    /// speech without noise loses by it, if only a little.
    fn effort(&self, leg: &LegDsp) -> Option<Effort> {
        let effort = self.asked_for(leg)?;
        let rests = leg.calm.rests() && self.config.denoiser_gate == Gate::Auto;
        Some(if rests { Effort::Through } else { effort })
    }

    /// How much is asked for, whether it is needed or not.
    fn asked_for(&self, leg: &LegDsp) -> Option<Effort> {
        let shedding =
            if self.config.economy || self.shedding != Shedding::Economy { self.shedding } else { Shedding::None };
        match (leg.sound.denoiser, shedding) {
            (Denoiser::Off, _) | (Denoiser::Reference, Shedding::None) => None,
            (_, Shedding::NoDenoiser) => Some(Effort::Through),
            (Denoiser::Lanes, Shedding::None) => Some(Effort::Full),
            (Denoiser::Economy, _) | (_, Shedding::Economy) => Some(Effort::Light),
        }
    }

    /// Sees to it that a leg has the lane it needs, and none that it does not.
    fn seat(&mut self, leg: &mut LegDsp) {
        let Some(mut places) = self.places(leg) else { return };
        match (self.effort(leg), places.noise) {
            (Some(effort), Some(slot)) => self.lanes.set_effort(slot, effort),
            (Some(effort), None) => {
                places.noise = self.lanes.attach(leg.rate);
                if let Some(slot) = places.noise {
                    self.lanes.set_effort(slot, effort);
                }
            }
            (None, Some(slot)) => {
                self.lanes.detach(slot);
                places.noise = None;
            }
            (None, None) => {}
        }
        leg.places = Some(places);
    }

    /// How many frames to take at once: as many as there are rows, but a group of lanes is not parted, because a group
    /// that two pieces share is computed twice.
    fn piece(&self, rest: &[UplinkFrame<'_>]) -> usize {
        let group = |at: usize| self.places(rest[at].leg)?.noise.and_then(|slot| self.lanes.group_of(slot));
        if rest.len() <= PIECE {
            return rest.len();
        }
        (PIECE / 2..=PIECE).rev().find(|end| group(*end).is_none() || group(end - 1) != group(*end)).unwrap_or(PIECE)
    }

    /// Samples in, and what of them is echo. It is turned down last: a caller who begins to speak over it must reach
    /// the detector at full level.
    fn tell_echo(&mut self, piece: &mut [UplinkFrame<'_>]) {
        let late: [usize; PIECE] = std::array::from_fn(|at| {
            piece.get(at).map_or(0, |frame| (self.delay_us(frame.leg) * u64::from(frame.leg.rate) / 1_000_000) as usize)
        });
        let rows = self.sound.chunks_exact_mut(MAX_FRAME).zip(self.heard.chunks_exact_mut(MAX_FRAME));
        for (((row, before), frame), late) in rows.zip(piece).zip(late) {
            let heard = whole(self.id, frame).is_some();
            let UplinkFrame { leg, pcm, raw, report } = frame;
            *report = UplinkReport::default();
            let row = &mut row[..leg.frame()];
            if heard {
                for (out, sample) in row.iter_mut().zip(pcm.iter()) {
                    *out = to_f32(*sample);
                }
                let delayed = leg.before[pcm.len() - late..].iter().chain(&pcm[..pcm.len() - late]);
                if raw.len() == pcm.len() {
                    raw.iter_mut().zip(delayed.clone()).for_each(|(raw, sample)| *raw = *sample);
                }
                before.iter_mut().zip(delayed).for_each(|(before, sample)| *before = to_f32(*sample));
                leg.before.copy_from_slice(pcm);
                leg.calm.hear(row);
                leg.steady.hear(pcm);
            } else {
                row.fill(0.0);
            }
            if let Some(gate) = &mut leg.echo {
                let verdict = gate.process(&leg.reference, row);
                report.echo = heard && verdict.echo;
                leg.verdict = heard.then_some(verdict);
            }
            // Played once: a tick without a downlink frame must not be compared with the one before.
            leg.reference.fill(0.0);
        }
    }

    fn take_noise_out(&mut self, piece: &mut [UplinkFrame<'_>]) {
        let (id, gate) = (self.id, self.config.denoiser_gate);
        let mut batch: [(Slot, &mut [f32]); PIECE] = std::array::from_fn(|_| (Slot(u32::MAX), &mut [][..]));
        let mut filled = 0;
        for (row, frame) in self.sound.chunks_exact_mut(MAX_FRAME).zip(piece) {
            let Some(places) = whole(id, frame) else { continue };
            let row = &mut row[..frame.pcm.len()];
            if let Some(slot) = places.noise {
                batch[filled] = (slot, row);
                filled += 1;
            } else if let Some(engine) = &mut frame.leg.engine {
                engine.process(gate, row);
            }
        }
        self.lanes.process_in_place(&mut batch[..filled]);
    }

    /// The quick detector first, and the sure one on what it does not rule out.
    fn judge(&mut self, piece: &mut [UplinkFrame<'_>]) {
        let quick = self.judge_quickly(piece);
        for (frame, activity) in piece.iter_mut().zip(&quick) {
            let Some(activity) = activity else { continue };
            let asked_ms = frame.leg.asked_ms.saturating_sub(FRAME_MS);
            frame.leg.asked_ms = if activity.confidence >= ASKS { ASKED_MS } else { asked_ms };
        }
        let sure = self.judge_surely(piece);
        let simd = Simd::detect();
        for ((frame, quick), sure) in piece.iter_mut().zip(quick).zip(sure) {
            if self.places(frame.leg).is_none() {
                continue;
            }
            let UplinkFrame { leg, report, .. } = frame;
            let activity = quick.map(|mut activity| {
                leg.confidence = activity.confidence;
                leg.noise_dbfs = activity.noise_dbfs;
                activity.speech = leg.speech.step(&leg.sound.vad, sure.unwrap_or(0.0), FRAME_MS);
                report.activity = activity;
                report.certainty = sure;
                leg.calm.judge(sure.is_some_and(|sure| sure >= leg.sound.vad.on));
                let weighs = leg.barge_in.weighs(sure, report.echo);
                let steady = if weighs { leg.steady.share(simd) } else { 0.0 };
                let voice = Voice { quick: activity.confidence, sure, steady, echo: report.echo };
                report.interruption = leg.barge_in.handle(voice, FRAME_MS);
                // Counted until it is clear, and anew after that; in noise as far back as a word may be.
                let may_be = !report.echo && voice.quick >= leg.sound.barge_in.suspicion;
                let onset_ms = if may_be {
                    (leg.onset_ms + FRAME_MS).min(MOST_ONSET_MS)
                } else {
                    leg.onset_ms.saturating_sub(FRAME_MS)
                };
                report.onset_ms = onset_ms;
                leg.onset_ms = if activity.speech { 0 } else { onset_ms };
                activity
            });
            report.endpoint = leg.time_passes(activity.as_ref());
        }
    }

    /// What the quick detector says of the cleaned sound.
    fn judge_quickly(&mut self, piece: &[UplinkFrame<'_>]) -> [Option<Activity>; PIECE] {
        let mut batch: [VadFrame<'_>; PIECE] =
            std::array::from_fn(|_| VadFrame { slot: Slot(u32::MAX), pcm: &[], activity: Activity::default() });
        let mut places = [None; PIECE];
        let mut filled = 0;
        for (at, (row, frame)) in self.sound.chunks_exact(MAX_FRAME).zip(piece).enumerate() {
            if let Some(own) = whole(self.id, frame) {
                batch[filled].slot = own.vad;
                batch[filled].pcm = &row[..frame.pcm.len()];
                places[at] = Some(filled);
                filled += 1;
            }
        }
        self.vad.process(&mut batch[..filled]);
        places.map(|place| Some(batch.get(place?)?.activity))
    }

    /// What the sure detector says of the sound as it was heard, where it is asked.
    fn judge_surely(&mut self, piece: &[UplinkFrame<'_>]) -> [Option<f32>; PIECE] {
        let mut batch: [SileroFrame<'_>; PIECE] =
            std::array::from_fn(|_| SileroFrame { slot: Slot(u32::MAX), pcm: &[], asked: false, probability: None });
        let mut places = [None; PIECE];
        let mut filled = 0;
        for (at, frame) in piece.iter().enumerate() {
            if let Some(own) = whole(self.id, frame) {
                let (slot, asked) = (own.sure, frame.leg.asked_ms > 0);
                batch[filled] = SileroFrame { slot, pcm: &frame.leg.before, asked, probability: None };
                places[at] = Some(filled);
                filled += 1;
            }
        }
        self.sure.judge(&mut batch[..filled]);
        places.map(|place| batch.get(place?)?.probability)
    }

    /// Brings back what was heard, where there was nothing to take out of it and where it was taken out in turns.
    fn blend_in_what_was_heard(&mut self, piece: &mut [UplinkFrame<'_>]) {
        let efforts: [(bool, bool); PIECE] = std::array::from_fn(|at| {
            piece.get(at).map_or((false, false), |frame| {
                let cleaned = self.denoiser(frame.leg) != Denoiser::Off;
                (cleaned, cleaned && self.effort(frame.leg) == Some(Effort::Through))
            })
        });
        let rows = self.sound.chunks_exact_mut(MAX_FRAME).zip(self.heard.chunks_exact(MAX_FRAME));
        for (((row, heard), frame), (cleaned, rests)) in rows.zip(piece).zip(efforts) {
            if whole(self.id, frame).is_none() || !cleaned {
                continue;
            }
            let (row, heard) = (&mut row[..frame.pcm.len()], &heard[..frame.pcm.len()]);
            let voice = frame.report.certainty.is_some_and(|certainty| certainty >= frame.leg.sound.vad.off);
            let (had, left) = (power(heard), power(row));
            let LegDsp { pumping, calm, .. } = &mut *frame.leg;
            for blend in [pumping.hear(had, left, voice), calm.blend(rests)].into_iter().flatten() {
                blend.apply(row, heard);
            }
        }
    }

    fn bring_to_level(&mut self, piece: &mut [UplinkFrame<'_>]) {
        for (row, frame) in self.sound.chunks_exact_mut(MAX_FRAME).zip(piece) {
            if whole(self.id, frame).is_some() {
                let confidence = frame.leg.confidence;
                if let Some(agc) = &mut frame.leg.agc {
                    agc.process(&mut row[..frame.pcm.len()], confidence);
                }
            }
        }
    }

    fn put_back(&mut self, piece: &mut [UplinkFrame<'_>]) {
        for (row, frame) in self.sound.chunks_exact_mut(MAX_FRAME).zip(piece) {
            if whole(self.id, frame).is_none() {
                continue;
            }
            let UplinkFrame { leg, pcm, raw, .. } = frame;
            let row = &mut row[..pcm.len()];
            if let (Some(gate), Some(verdict)) = (&mut leg.echo, leg.verdict.take()) {
                let gains = gate.gains(&verdict, row.len());
                gains.scale(row);
                if raw.len() == pcm.len() {
                    gains.scale_i16(raw);
                }
            }
            let noise_dbfs = leg.noise_dbfs;
            if let Some(gate) = &mut leg.gate {
                gate.process(row, noise_dbfs);
            }
            for (sample, cleaned) in pcm.iter_mut().zip(row.iter()) {
                *sample = to_i16(*cleaned);
            }
        }
    }
}

/// Mean square.
pub(super) fn power(sound: &[f32]) -> f32 {
    sound.iter().map(|sample| sample * sample).sum::<f32>() / sound.len().max(1) as f32
}

/// The places of a frame's leg in this chain, when it has some and the frame is 20 ms of its rate.
fn whole(chain: u64, frame: &UplinkFrame<'_>) -> Option<Places> {
    frame.leg.places.filter(|places| places.chain == chain && frame.pcm.len() == frame.leg.frame())
}

impl LegDsp {
    /// A tick of the end point timers, with what was found in it.
    fn time_passes(&mut self, activity: Option<&Activity>) -> Endpoint {
        self.clock_us += u64::from(FRAME_MS) * 1000;
        match activity {
            Some(activity) => self.endpointer.handle_activity(self.clock_us, activity),
            None => self.endpointer.handle_timeout(self.clock_us),
        }
        let ms = |us: u64| u32::try_from(us / 1000).unwrap_or(u32::MAX);
        let mut now = Endpoint {
            speaking: self.endpointer.is_speech(),
            speech_ms: ms(self.endpointer.speech_us()),
            silence_ms: ms(self.endpointer.silence_us()),
            ..Endpoint::default()
        };
        while let Some(event) = self.endpointer.poll_event() {
            match event {
                EndpointEvent::SpeechStarted { .. } => now.started = true,
                EndpointEvent::SpeechEnded { .. } => now.ended = true,
                EndpointEvent::Silence { .. } => now.silent = true,
            }
        }
        now
    }
}
