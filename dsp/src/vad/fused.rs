//! The detector of choice: band levels above an adaptive noise floor, periodicity and a small recurrent network, fused
//! to one confidence; up to eight calls in one pass, one in each lane of the vector registers.
//!
//! Per 10 ms and call: a 256-point transform of the newest 32 ms, 18 bands and their floors, the autocorrelation of
//! what stands above the floors, and a network of 11.3 thousand multiplications. The network is our own: see
//! `dsp/train/vad.py`. Trained with both classes weighing the same, so that a confidence of 0.5 is where misses and
//! false alarms cost the same.

use super::decide::Verdict;
use super::decimate::{HalfBand, Halver};
use super::features::{HOP, Memory, Tables, step};
use super::net::{Hidden, Net};
use super::{Activity, Slot, VadBank, VadConfig, VadFrame};
use crate::Simd;
use crate::level::{finite, power_dbfs};
use crate::simd::{Common, Fused, Instruction, dispatched};

/// Calls judged in one pass.
const LANES: usize = 8;
/// From this many calls on one pass of all lanes is cheaper than one pass each.
const WORTH_LANES: usize = 3;
/// Frames at `QUIET_DBFS` and below are never speech; the confidence fades in over the next `FADE_DB`.
const QUIET_DBFS: f32 = -70.0;
const FADE_DB: f32 = 6.0;
/// A step whose power is below this much of the floor's (3 dB above it) holds nothing.
const NOTHING: f32 = 1.25;
/// After this many steps that hold nothing the network is not believed: it holds on to an isolated word with a long
/// hiss for up to a second.
const OVER_STEPS: u32 = 30;
/// Longest frame, in steps of 10 ms; what is beyond is not judged.
const STEPS: usize = 6;

/// Detects speech for up to a fixed number of calls at 8 or 16 kHz.
///
/// Judges whole steps of 10 ms: frames of 10, 20, ... 60 ms; the rest of a frame that is not whole is left out. A
/// frame's confidence is the mean of its steps'. Wideband calls are judged by what is below 4 kHz. Samples that are not
/// finite count as silence.
#[derive(Debug)]
pub struct FusedBank {
    simd: Simd,
    /// Of calls that are attached without one of their own.
    config: VadConfig,
    engine: Box<Engine>,
    calls: Box<[Call]>,
    lanes: Box<State<LANES>>,
}

impl FusedBank {
    /// A bank for at most `slots` calls; all memory (about 1.5 kB a call) is taken here.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self::with_simd(slots, VadConfig::default(), Simd::detect())
    }

    /// The same with thresholds and times of one's own.
    #[must_use]
    pub fn with_config(slots: usize, config: VadConfig) -> Self {
        Self::with_simd(slots, config, Simd::detect())
    }

    /// The same with a given instruction set; results do not depend on it.
    #[must_use]
    pub fn with_simd(slots: usize, config: VadConfig, simd: Simd) -> Self {
        Self {
            simd,
            config,
            engine: Box::new(Engine { tables: Tables::new(), net: Net::new(), half_band: HalfBand::new() }),
            calls: vec![Call::new(0, config); slots].into_boxed_slice(),
            lanes: Box::new(State::new()),
        }
    }

    /// As [`VadBank::attach`], with thresholds and times of the call's own.
    pub fn attach_with(&mut self, rate: u32, config: VadConfig) -> Option<Slot> {
        if !matches!(rate, 8000 | 16000) {
            return None;
        }
        let free = self.calls.iter().position(|call| call.rate == 0)?;
        self.calls[free] = Call::new(rate, config);
        Some(Slot(u32::try_from(free).ok()?))
    }

    /// Other thresholds and times for a call, from its next frame on.
    pub fn set_config(&mut self, slot: Slot, config: VadConfig) {
        if let Some(call) = self.call(slot) {
            call.config = config;
        }
    }

    /// Copies out what is known of a call; nothing is saved for a slot that is not attached.
    pub fn save(&self, slot: Slot, state: &mut FusedState) {
        state.saved = false;
        if let Some(call) = self.calls.get(slot.index()).filter(|call| call.rate != 0) {
            state.call.clone_from(call);
            state.saved = true;
        }
    }

    /// Gives a call what was saved, by this bank or another, once; its thresholds and times stay its own. Without
    /// anything saved, or with what is of another rate, the call stays as it is.
    pub fn restore(&mut self, slot: Slot, state: &mut FusedState) {
        let saved = std::mem::replace(&mut state.saved, false);
        if let Some(call) = self.call(slot).filter(|call| saved && call.rate == state.call.rate) {
            let config = call.config;
            call.clone_from(&state.call);
            call.config = config;
        }
    }

    /// Makes a call as good as new; its thresholds and times stay.
    pub fn clear(&mut self, slot: Slot) {
        if let Some(call) = self.call(slot) {
            *call = Call::new(call.rate, call.config);
        }
    }

    fn call(&mut self, slot: Slot) -> Option<&mut Call> {
        self.calls.get_mut(slot.index()).filter(|call| call.rate != 0)
    }

    /// How many steps the frames of a group have, when they can be judged in one pass: attached, of as many steps,
    /// each of another call.
    fn steps_together(&self, group: &[VadFrame<'_>]) -> Option<usize> {
        let steps = |frame: &VadFrame<'_>| {
            let call = self.calls.get(frame.slot.index()).filter(|call| call.rate != 0)?;
            Some(frame.pcm.len() / call.samples()).filter(|steps| (1..=STEPS).contains(steps))
        };
        let all = steps(group.first()?)?;
        let fit = group.len() >= WORTH_LANES
            && group
                .iter()
                .enumerate()
                .all(|(n, frame)| steps(frame) == Some(all) && group[..n].iter().all(|other| other.slot != frame.slot));
        fit.then_some(all)
    }

    fn judge_together(&mut self, group: &mut [VadFrame<'_>], steps: usize) {
        for (lane, frame) in group.iter().enumerate() {
            if let Some(call) = self.calls.get(frame.slot.index()) {
                self.lanes.memory.gather(lane, &call.state.memory);
                self.lanes.hidden.gather(lane, &call.state.hidden);
            }
        }
        let mut sums = [Sums::default(); LANES];
        for n in 0..steps {
            let mut hop = [[0.0; LANES]; HOP];
            for (lane, frame) in group.iter().enumerate() {
                if let Some(call) = self.calls.get_mut(frame.slot.index()) {
                    let piece = call.hop(&self.engine.half_band, frame.pcm, n);
                    for (to, from) in hop.iter_mut().zip(&piece) {
                        to[lane] = *from;
                    }
                }
            }
            let heard = advance_lanes(self.simd, &self.engine, &mut self.lanes, &hop);
            for (lane, frame) in group.iter().enumerate() {
                if let Some(call) = self.calls.get_mut(frame.slot.index()) {
                    let (power, noise) = (heard.power[lane], heard.noise[lane]);
                    let idle = call.is_idle(power, noise);
                    let speech = if idle { 0.0 } else { heard.speech[lane] };
                    sums[lane].add(&call.config, &mut call.verdict, speech, power, noise);
                }
            }
        }
        for (lane, frame) in group.iter_mut().enumerate() {
            if let Some(call) = self.calls.get_mut(frame.slot.index()) {
                self.lanes.memory.scatter(lane, &mut call.state.memory);
                self.lanes.hidden.scatter(lane, &mut call.state.hidden);
            }
            frame.activity = sums[lane].activity(steps);
        }
    }

    fn judge_alone(&mut self, frame: &mut VadFrame<'_>) {
        let simd = self.simd;
        let Some(call) = self.calls.get_mut(frame.slot.index()).filter(|call| call.rate != 0) else { return };
        let steps = (frame.pcm.len() / call.samples()).min(STEPS);
        let mut sums = Sums::default();
        for n in 0..steps {
            let piece = call.hop(&self.engine.half_band, frame.pcm, n);
            let hop = std::array::from_fn(|sample| [piece[sample]]);
            let heard = advance_one(simd, &self.engine, &mut call.state, &hop);
            let idle = call.is_idle(heard.power[0], heard.noise[0]);
            let speech = if idle { 0.0 } else { heard.speech[0] };
            sums.add(&call.config, &mut call.verdict, speech, heard.power[0], heard.noise[0]);
        }
        if steps > 0 {
            frame.activity = sums.activity(steps);
        }
    }
}

impl VadBank for FusedBank {
    fn attach(&mut self, rate: u32) -> Option<Slot> {
        self.attach_with(rate, self.config)
    }

    fn detach(&mut self, slot: Slot) {
        if let Some(call) = self.call(slot) {
            call.rate = 0;
        }
    }

    fn process(&mut self, batch: &mut [VadFrame<'_>]) {
        for group in batch.chunks_mut(LANES) {
            match self.steps_together(group) {
                Some(steps) => self.judge_together(group, steps),
                None => group.iter_mut().for_each(|frame| self.judge_alone(frame)),
            }
        }
    }
}

/// Room for what is known of one call, so that it can go on in another [`FusedBank`] where it was.
#[derive(Debug, Clone)]
pub struct FusedState {
    call: Call,
    saved: bool,
}

impl FusedState {
    /// Empty room.
    #[must_use]
    pub fn new() -> Self {
        Self { call: Call::new(0, VadConfig::default()), saved: false }
    }
}

impl Default for FusedState {
    fn default() -> Self {
        Self::new()
    }
}

/// What all calls share.
#[derive(Debug, Clone)]
struct Engine {
    tables: Tables,
    net: Net,
    half_band: HalfBand,
}

/// What is remembered of `L` calls.
#[derive(Debug, Clone, Copy)]
struct State<const L: usize> {
    memory: Memory<L>,
    hidden: Hidden<L>,
}

impl<const L: usize> State<L> {
    const fn new() -> Self {
        Self { memory: Memory::new(), hidden: Hidden::new() }
    }
}

/// One call's memory.
#[derive(Debug, Clone)]
struct Call {
    /// 0 when the slot is free.
    rate: u32,
    config: VadConfig,
    state: State<1>,
    halver: Halver,
    verdict: Verdict,
    /// Steps in a row that held nothing.
    nothing: u32,
}

impl Call {
    fn new(rate: u32, config: VadConfig) -> Self {
        Self { rate, config, state: State::new(), halver: Halver::new(), verdict: Verdict::default(), nothing: 0 }
    }

    /// Takes a step's power and the floor's, and says whether there was nothing for so long that speech is over.
    fn is_idle(&mut self, power: f32, noise: f32) -> bool {
        self.nothing = if power < NOTHING * noise { self.nothing.saturating_add(1) } else { 0 };
        self.nothing >= OVER_STEPS
    }

    /// Samples of a step at the call's rate.
    const fn samples(&self) -> usize {
        if self.rate == 16000 { 2 * HOP } else { HOP }
    }

    /// Step `n` of a frame, at 8 kHz and finite. A step beyond the frame is silence.
    fn hop(&mut self, half_band: &HalfBand, pcm: &[f32], n: usize) -> [f32; HOP] {
        let piece = pcm.chunks_exact(self.samples()).nth(n).unwrap_or_default();
        if self.rate == 16000 {
            let mut wide = [0.0; 2 * HOP];
            wide.iter_mut().zip(piece).for_each(|(to, from)| *to = finite(*from));
            self.halver.halve(half_band, &wide)
        } else {
            let mut narrow = [0.0; HOP];
            narrow.iter_mut().zip(piece).for_each(|(to, from)| *to = finite(*from));
            narrow
        }
    }
}

/// A step's result, by lane.
#[derive(Debug, Clone, Copy)]
struct Heard<const L: usize> {
    speech: [f32; L],
    power: [f32; L],
    noise: [f32; L],
}

#[inline(always)]
fn advance<const L: usize, F: Fused>(engine: &Engine, state: &mut State<L>, hop: &[[f32; L]; HOP]) -> Heard<L> {
    let step = step(&engine.tables, &mut state.memory, hop);
    let speech = engine.net.step::<L, F>(&mut state.hidden, &step.features);
    Heard { speech, power: step.power, noise: step.noise }
}

dispatched!(
    fn advance_lanes(engine: &Engine, state: &mut State<LANES>, hop: &[[f32; LANES]; HOP]) -> Heard<LANES> =
        advance::<LANES, Common>, advance::<LANES, Instruction>
);
dispatched!(
    fn advance_one(engine: &Engine, state: &mut State<1>, hop: &[[f32; 1]; HOP]) -> Heard<1> =
        advance::<1, Common>, advance::<1, Instruction>
);

/// A frame's steps together.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    confidence: f32,
    power: f32,
    noise: f32,
    speech: bool,
}

impl Sums {
    fn add(&mut self, config: &VadConfig, verdict: &mut Verdict, speech: f32, power: f32, noise: f32) {
        let confidence = speech * ((power_dbfs(power) - QUIET_DBFS) / FADE_DB).clamp(0.0, 1.0);
        self.confidence += confidence;
        self.power += power;
        self.noise = noise;
        self.speech |= verdict.step(config, confidence, 10);
    }

    fn activity(&self, steps: usize) -> Activity {
        Activity {
            speech: self.speech,
            confidence: self.confidence / steps as f32,
            level_dbfs: power_dbfs(self.power / steps as f32),
            noise_dbfs: power_dbfs(self.noise),
        }
    }
}
