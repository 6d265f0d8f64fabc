//! Silero's detector for many calls: sure in noise, music and crowds, and 32 ms at a time. It is asked while something
//! may be speech and rests while nothing is; a call that it rests for costs the copying of its sound.
//!
//! The network is silero's, version 6, whose weights lie in the locked crate `silero-vad-rust` under the MIT licence.

mod network;

use network::{Lanes, Memory, Network};

use super::decide::Verdict;
use super::{Activity, Slot, VadBank, VadConfig, VadFrame};
use crate::level::{finite, power_dbfs};
use crate::{Simd, to_f32, to_i16};

/// The licence of the network.
pub const SILERO_LICENCE: &str = include_str!(concat!(env!("OUT_DIR"), "/silero.licence.txt"));

/// Calls judged in one pass, and in the last pass when there are not many left.
const MANY: usize = 16;
const FEW: usize = 8;
/// Samples that are kept of a call: judged ones as context, and those that are looked at when the detector is woken.
const RING: usize = 4096;
/// Judgements that are made up for when the detector is woken, so that it knows what the background is: 160 ms.
const RUN_UP: u64 = 5;
/// Longest frame: 60 ms at 16 kHz.
const MAX_FRAME: usize = 960;

/// One call's frame in a batch.
#[derive(Debug)]
pub struct SileroFrame<'a> {
    /// Whose it is.
    pub slot: Slot,
    /// Samples at the rate the slot was attached with, at most 60 ms; what is beyond is left out.
    pub pcm: &'a [i16],
    /// Whether anybody wants to know.
    pub asked: bool,
    /// How likely it is that the last 32 ms that were complete hold speech, 0..=1; `None` while nobody asks. Written by
    /// [`SileroBank::judge`].
    pub probability: Option<f32>,
}

/// Detects speech for up to a fixed number of calls at 8 or 16 kHz.
#[derive(Debug)]
pub struct SileroBank {
    simd: Simd,
    /// Of calls judged by way of [`VadBank`].
    config: VadConfig,
    calls: Box<[Call]>,
    many: Box<Lanes<MANY>>,
    few: Box<Lanes<FEW>>,
    /// Calls that have enough to be judged; room for all.
    ready: Box<[u32]>,
}

impl SileroBank {
    /// A bank for at most `slots` calls; all memory (10 kB a call) is taken here.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self::with_simd(slots, VadConfig::SURE, Simd::detect())
    }

    /// The same with a given instruction set; results do not depend on it. `config` is for [`VadBank`].
    #[must_use]
    pub fn with_simd(slots: usize, config: VadConfig, simd: Simd) -> Self {
        // Read once for all banks, and not on a worker's thread.
        let _ = [8000, 16_000].map(Network::of);
        Self {
            simd,
            config,
            calls: vec![Call::new(0); slots].into_boxed_slice(),
            many: Box::new(Lanes::new()),
            few: Box::new(Lanes::new()),
            ready: vec![0; slots].into_boxed_slice(),
        }
    }

    /// Copies out what is known of a call; nothing is saved for a slot that is not attached.
    pub fn save(&self, slot: Slot, state: &mut SileroState) {
        state.saved = false;
        if let Some(call) = self.calls.get(slot.index()).filter(|call| call.rate != 0) {
            (*state.call).clone_from(call);
            state.saved = true;
        }
    }

    /// Gives a call what was saved, by this bank or another, once. Without anything saved, or with what is of another
    /// rate, the call stays as it is.
    pub fn restore(&mut self, slot: Slot, state: &mut SileroState) {
        let saved = std::mem::replace(&mut state.saved, false);
        if let Some(call) = self.call(slot).filter(|call| saved && call.rate == state.call.rate) {
            call.clone_from(&*state.call);
        }
    }

    /// Makes a call as good as new.
    pub fn clear(&mut self, slot: Slot) {
        if let Some(call) = self.call(slot) {
            *call = Call::new(call.rate);
        }
    }

    /// Hears the frames of a batch and judges those that are asked about. Never allocates; a frame of a slot that is not
    /// attached is left alone. A call that is asked about after a while costs the judgement of its last 160 ms at once.
    pub fn judge(&mut self, batch: &mut [SileroFrame<'_>]) {
        for frame in batch.iter() {
            if let Some(call) = self.call(frame.slot) {
                call.hear(frame.pcm.iter().copied(), frame.asked);
            }
        }
        while self.judge_ready(batch.iter().map(|frame| frame.slot)) > 0 {}
        for frame in batch {
            frame.probability = self.call(frame.slot).and_then(|call| call.awake.then_some(call.probability));
        }
    }

    /// Judges the next 32 ms of every call that has them, and says how many had.
    fn judge_ready(&mut self, slots: impl Iterator<Item = Slot> + Clone) -> usize {
        let mut judged = 0;
        for rate in [8000, 16_000] {
            let Some(network) = Network::of(rate) else { continue };
            let mut ready = 0;
            for slot in slots.clone() {
                let waits = self.calls.get_mut(slot.index()).filter(|call| call.rate == rate && call.is_ready(network));
                if let Some((call, place)) = waits.zip(self.ready.get_mut(ready)) {
                    // A call that stands in the batch twice has one lane.
                    call.seated = true;
                    *place = slot.0;
                    ready += 1;
                }
            }
            for group in self.ready[..ready].chunks(MANY) {
                if group.len() > FEW {
                    pass(&mut self.calls, network, group, &mut self.many, |it| it.judge(self.simd, network));
                } else {
                    pass(&mut self.calls, network, group, &mut self.few, |it| it.judge(self.simd, network));
                }
            }
            judged += ready;
        }
        judged
    }

    fn call(&mut self, slot: Slot) -> Option<&mut Call> {
        self.calls.get_mut(slot.index()).filter(|call| call.rate != 0)
    }
}

/// A group of calls through the network.
fn pass<const L: usize>(
    calls: &mut [Call],
    network: &Network,
    group: &[u32],
    lanes: &mut Lanes<L>,
    judge: impl Fn(&mut Lanes<L>) -> [f32; L],
) {
    for (lane, slot) in group.iter().enumerate() {
        if let Some(call) = calls.get(*slot as usize) {
            lanes.seat(lane, &call.memory, call.samples(network));
        }
    }
    let found = judge(lanes);
    for (lane, (slot, probability)) in group.iter().zip(found).enumerate() {
        if let Some(call) = calls.get_mut(*slot as usize) {
            lanes.leave(lane, &mut call.memory);
            call.judged += network.samples() as u64;
            (call.probability, call.seated) = (probability, false);
        }
    }
}

impl VadBank for SileroBank {
    fn attach(&mut self, rate: u32) -> Option<Slot> {
        Network::of(rate)?;
        let free = self.calls.iter().position(|call| call.rate == 0)?;
        self.calls[free] = Call::new(rate);
        Some(Slot(u32::try_from(free).ok()?))
    }

    fn detach(&mut self, slot: Slot) {
        if let Some(call) = self.call(slot) {
            call.rate = 0;
        }
    }

    /// Every frame counts as asked about. The level of the background is not known.
    fn process(&mut self, batch: &mut [VadFrame<'_>]) {
        for frame in batch.iter() {
            if let Some(call) = self.call(frame.slot) {
                call.hear(frame.pcm.iter().map(|sample| to_i16(finite(*sample))), true);
            }
        }
        while self.judge_ready(batch.iter().map(|frame| frame.slot)) > 0 {}
        let config = self.config;
        for frame in batch {
            let Some(call) = self.call(frame.slot) else { continue };
            let steps = (frame.pcm.len() * 100 / call.rate as usize).max(1);
            let confidence = call.probability;
            let speech = (0..steps).fold(false, |any, _| call.verdict.step(&config, confidence, 10) || any);
            let power =
                frame.pcm.iter().map(|sample| finite(*sample).powi(2)).sum::<f32>() / frame.pcm.len().max(1) as f32;
            frame.activity =
                Activity { speech, confidence, level_dbfs: power_dbfs(power), noise_dbfs: crate::level::SILENCE_DBFS };
        }
    }
}

/// Room for what is known of one call, so that it can go on in another [`SileroBank`] where it was.
#[derive(Debug, Clone)]
pub struct SileroState {
    call: Box<Call>,
    saved: bool,
}

impl SileroState {
    /// Empty room.
    #[must_use]
    pub fn new() -> Self {
        Self { call: Box::new(Call::new(0)), saved: false }
    }
}

impl Default for SileroState {
    fn default() -> Self {
        Self::new()
    }
}

/// One call's sound and memory.
#[derive(Debug, Clone)]
struct Call {
    /// 0 when the slot is free.
    rate: u32,
    /// Sample `n` of the call stands at `n % RING`.
    ring: [i16; RING],
    /// Samples that were heard, and those that were judged. They begin beyond a ring of silence.
    heard: u64,
    judged: u64,
    memory: Memory<1>,
    probability: f32,
    awake: bool,
    /// It has a lane in the pass in work.
    seated: bool,
    verdict: Verdict,
}

impl Call {
    fn new(rate: u32) -> Self {
        Self {
            rate,
            ring: [0; RING],
            heard: RING as u64,
            judged: RING as u64,
            memory: Memory::new(),
            probability: 0.0,
            awake: false,
            seated: false,
            verdict: Verdict::default(),
        }
    }

    fn hear(&mut self, pcm: impl Iterator<Item = i16>, asked: bool) {
        if asked && !self.awake {
            let run_up = Network::of(self.rate).map_or(0, |network| RUN_UP * network.samples() as u64);
            self.judged = self.heard.saturating_sub(run_up).max(RING as u64);
            self.memory = Memory::new();
            self.probability = 0.0;
        }
        self.awake = asked;
        for sample in pcm.take(MAX_FRAME) {
            self.ring[self.heard as usize % RING] = sample;
            self.heard += 1;
        }
    }

    fn is_ready(&self, network: &Network) -> bool {
        self.awake && !self.seated && self.heard - self.judged >= network.samples() as u64
    }

    /// What the network looks at next: context, and what is to be judged.
    fn samples(&self, network: &Network) -> impl Iterator<Item = f32> {
        let from = self.judged - network.context() as u64;
        (from..self.judged + network.samples() as u64).map(|n| to_f32(self.ring[n as usize % RING]))
    }
}
