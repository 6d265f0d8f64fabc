//! The product's own noise suppressor: RNNoise's network and signal path, eight calls at a time, one per SIMD lane.

mod bands;
mod carry;
mod elementary;
mod features;
mod fft;
mod gather;
mod group;
mod network;
mod pitch;
mod rate;
mod spectral;
mod state;
mod step;
mod vector;
mod weights;
mod whiten;

use std::ops::Range;

pub use carry::LaneState;
use group::Group;
use rate::Rate;
use step::{Job, Room};
use vector::Lanes;
pub use weights::WEIGHTS_LICENCE;

use super::activity::Gate;
use super::steps;
use crate::simd::{Common, Instruction, dispatched};
use crate::{NoiseBank, Simd, Slot};

/// Rates the bank knows, in Hz.
const RATES: [u32; 3] = [8000, 16000, 48000];

/// How much a bank does for a call. Every effort delays the sound alike, and a change of it is blended over 10 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Effort {
    /// The network takes the noise out.
    #[default]
    Full,
    /// A spectral suppressor does, at a fraction of the network's cost.
    Light,
    /// Nothing is taken out; what is lowest (24 Hz) is filtered all the same.
    Through,
}

/// RNNoise for up to eight calls in the work of one: the default [`NoiseBank`].
pub type LanesBank = NetworkBank<8>;

/// A [`NoiseBank`] that runs RNNoise's network (Valin, "A Hybrid DSP/Deep Learning Approach to Real-Time Full-Band
/// Speech Enhancement", 2018) for `L` calls at a time, one call per lane of a vector register: [`LanesBank`] has
/// eight; one lane is the same source without neighbours, and the oracle in tests.
///
/// Sound at 48 kHz goes the reference's way. Sound at 8 and 16 kHz is processed at its own rate: windows are 20 ms at
/// every rate, so that the same bins of 50 Hz make the same bands; bands above the rate's half are empty, as they are
/// for the reference when it is given such sound at 48 kHz. Only pitch is searched at a rate of its own, 24 kHz.
///
/// Calls are kept in groups of `L` by rate. A group costs the same whether one or all of its calls have a frame in
/// the batch, so that calls move: those whose frames come in the same batches find each other, one move a batch, and
/// when half of a rate's lanes are free all move together. Groups for `slots` calls at 8 kHz, some 7 kB a call, are
/// made by [`NetworkBank::new`], for calls at any of several rates by [`NetworkBank::for_rates`], and others by
/// [`NetworkBank::reserve`]; only beyond these does [`attach`](NoiseBank::attach) allocate.
///
/// How much is done for a call may change from frame to frame: see [`Effort`].
#[derive(Debug)]
pub struct NetworkBank<const L: usize> {
    rates: Vec<Rate>,
    groups: Vec<Group<L>>,
    places: Box<[Option<Place>]>,
    /// Groups that may have calls with frames in the batch.
    marked: Range<usize>,
    /// Counts the changes of place.
    arrangement: u64,
    /// Counts whole batches, so that calls of one can be told from those of another while they are absent.
    batches: u64,
    room: Box<Room<L>>,
    /// Room for the states of calls without a frame.
    kept: Vec<Lanes<L>>,
    /// Room for the states of two calls that change places.
    moved: Vec<f32>,
    gate: Gate,
    /// Of calls that are attached.
    effort: Effort,
    simd: Simd,
    run: fn(Simd, &mut Job<'_, L>),
}

/// Where a slot's call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    group: usize,
    lane: usize,
}

dispatched!(
    fn run_8(job: &mut Job<'_, 8>) =
        step::run::<8, Common>, step::run::<8, Instruction>
);
dispatched!(fn run_1(job: &mut Job<'_, 1>) = step::run::<1, Common>, step::run::<1, Instruction>);

impl NetworkBank<8> {
    /// A bank for at most `slots` calls, with [`Gate::Auto`] and [`Simd::detect`].
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self::for_rates(slots, &RATES[..1])
    }

    /// A bank for at most `slots` calls at any of `rates` in Hz, in any mixture: attaching them allocates nothing.
    #[must_use]
    pub fn for_rates(slots: usize, rates: &[u32]) -> Self {
        Self::with_rates(slots, rates, run_8)
    }
}

impl NetworkBank<1> {
    /// A bank of single lanes for at most `slots` calls, with [`Gate::Auto`] and [`Simd::detect`].
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self::for_rates(slots, &RATES[..1])
    }

    /// As [`LanesBank::for_rates`], of single lanes.
    #[must_use]
    pub fn for_rates(slots: usize, rates: &[u32]) -> Self {
        Self::with_rates(slots, rates, run_1)
    }
}

impl<const L: usize> NetworkBank<L> {
    /// The same bank with a gate of the caller's choice.
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Self {
        self.gate = gate;
        self
    }

    /// The same bank with another effort for calls that are attached to it.
    #[must_use]
    pub fn with_effort(mut self, effort: Effort) -> Self {
        self.effort = effort;
        self
    }

    /// The same bank with instructions of the caller's choice; results are the same with any.
    #[must_use]
    pub fn with_simd(mut self, simd: Simd) -> Self {
        self.simd = simd;
        self
    }

    /// Makes room for `calls` at `rate` Hz beyond what there is, so that attaching them allocates nothing. Does
    /// nothing for a rate the bank does not know.
    pub fn reserve(&mut self, rate: u32, calls: usize) {
        let Some(rate) = RATES.iter().position(|known| *known == rate) else { return };
        for _ in 0..calls.div_ceil(L) {
            self.groups.push(Group::new(rate, &self.rates[rate], 0));
        }
    }

    /// A bank for at most `slots` calls at any of `rates`, in any mixture, without another allocation.
    fn with_rates(slots: usize, rates: &[u32], run: fn(Simd, &mut Job<'_, L>)) -> Self {
        let mut bank = Self::of(slots, run);
        let known: Vec<usize> = (0..RATES.len()).filter(|rate| rates.contains(&RATES[*rate])).collect();
        let room = known.iter().map(|rate| state::size(&bank.rates[*rate])).max().unwrap_or(0);
        if let Some(first) = known.first() {
            // Each rate may leave lanes of one group free, however close its calls lie.
            for _ in 0..slots.div_ceil(L) + known.len() - 1 {
                bank.groups.push(Group::new(*first, &bank.rates[*first], room));
            }
        }
        bank
    }

    fn of(slots: usize, run: fn(Simd, &mut Job<'_, L>)) -> Self {
        let rates: Vec<_> = RATES.iter().filter_map(|rate| Rate::new(*rate)).collect();
        let largest = rates.iter().map(state::size).max().unwrap_or(0);
        Self {
            rates,
            groups: Vec::new(),
            places: vec![None; slots].into(),
            marked: 0..0,
            arrangement: 0,
            batches: 0,
            room: Box::new(Room::new()),
            kept: vec![Lanes::ZERO; largest],
            moved: vec![0.0; 2 * largest],
            gate: Gate::Auto,
            effort: Effort::Full,
            simd: Simd::detect(),
            run,
        }
    }

    /// How much is done for a call from its next frame on.
    pub fn set_effort(&mut self, slot: Slot, effort: Effort) {
        if let Some(place) = self.place(slot) {
            let group = &mut self.groups[place.group];
            group.set_effort(&self.rates[group.rate], place.lane, effort);
        }
    }

    /// Counts the changes of place: while it stays, so does every call's [position](Self::position).
    #[must_use]
    pub const fn arrangement(&self) -> u64 {
        self.arrangement
    }

    /// Where a call is among the lanes of all groups: what has neighbouring positions is processed together.
    #[must_use]
    pub fn position(&self, slot: Slot) -> Option<u32> {
        let place = self.place(slot)?;
        u32::try_from(place.group * L + place.lane).ok()
    }

    /// Which calls a call is processed together with: those of the same group.
    #[must_use]
    pub fn group_of(&self, slot: Slot) -> Option<usize> {
        Some(self.place(slot)?.group)
    }

    /// As [`NoiseBank::process`], but nobody changes place: for batches that are cut into pieces, of which each alone
    /// says too little of who belongs together.
    pub fn process_in_place(&mut self, batch: &mut [(Slot, &mut [f32])]) {
        self.mark_frames(batch);
        self.run_marked(batch);
    }

    /// Lets at most `moves` calls of each rate find those they share batches with; `slots` is a whole batch.
    pub fn settle(&mut self, slots: impl Iterator<Item = Slot>, moves: usize) {
        self.unmark();
        self.batches += 1;
        for slot in slots {
            self.mark(slot, 0);
        }
        for _ in 0..moves {
            if !self.gather() {
                break;
            }
        }
        self.unmark();
    }

    fn mark_frames(&mut self, batch: &[(Slot, &mut [f32])]) {
        self.unmark();
        for (index, (slot, frame)) in batch.iter().enumerate() {
            let known = self.place(*slot).map(|place| RATES[self.groups[place.group].rate]);
            if known.is_some_and(|rate| steps(rate, frame.len()).is_some()) {
                self.mark(*slot, index);
            }
        }
    }

    fn mark(&mut self, slot: Slot, frame: usize) {
        let Some(place) = self.place(slot) else { return };
        self.groups[place.group].mark(place.lane, frame, self.batches);
        let Range { start, end } = self.marked;
        self.marked =
            if start == end { place.group..place.group + 1 } else { start.min(place.group)..end.max(place.group + 1) };
    }

    fn unmark(&mut self) {
        for group in &mut self.groups[self.marked.clone()] {
            group.frames = [None; L];
        }
        self.marked = 0..0;
    }

    fn run_marked(&mut self, batch: &mut [(Slot, &mut [f32])]) {
        for group in &mut self.groups[self.marked.clone()] {
            let rate = &self.rates[group.rate];
            for step in 0..2 {
                let Some(asked) = group.load(rate, self.gate, step, batch, &mut self.room.samples) else {
                    break;
                };
                let kept = group.keep(asked.present, &mut self.kept);
                (self.run)(self.simd, &mut Job { rate, block: group.block(), asked, room: &mut self.room });
                group.restore(kept, &self.kept);
                group.store(rate, asked.present, step, batch, &self.room.samples);
            }
        }
        self.unmark();
    }

    /// The group that a new call of a rate goes to.
    fn group_for(&mut self, rate: usize) -> usize {
        let partly = |group: &Group<L>| group.rate == rate && (1..L).contains(&group.calls());
        if let Some(found) = self.groups.iter().position(partly).or_else(|| self.empty_group(rate)) {
            return found;
        }
        // Calls of other rates may sit in more groups than they need.
        for other in 0..self.rates.len() {
            self.pack(other);
        }
        self.empty_group(rate).unwrap_or_else(|| {
            self.groups.push(Group::new(rate, &self.rates[rate], 0));
            self.groups.len() - 1
        })
    }

    /// A group without calls that is now one of this rate.
    fn empty_group(&mut self, rate: usize) -> Option<usize> {
        let tables = &self.rates[rate];
        self.groups.iter_mut().position(|group| group.dedicate(rate, tables))
    }

    fn place(&self, slot: Slot) -> Option<Place> {
        *self.places.get(slot.index())?
    }
}

impl<const L: usize> NoiseBank for NetworkBank<L> {
    fn attach(&mut self, rate: u32) -> Option<Slot> {
        let rate = RATES.iter().position(|known| *known == rate)?;
        let index = self.places.iter().position(Option::is_none)?;
        let slot = Slot(u32::try_from(index).ok()?);
        let group = self.group_for(rate);
        let lane = self.groups[group].first_free()?;
        self.groups[group].admit(lane, slot, self.effort);
        self.places[index] = Some(Place { group, lane });
        self.arrangement += 1;
        Some(slot)
    }

    fn detach(&mut self, slot: Slot) {
        let Some(place) = self.place(slot) else { return };
        self.groups[place.group].release(place.lane);
        self.places[slot.index()] = None;
        self.arrangement += 1;
        self.compact(self.groups[place.group].rate);
    }

    fn process(&mut self, batch: &mut [(Slot, &mut [f32])]) {
        self.batches += 1;
        self.mark_frames(batch);
        self.gather();
        self.run_marked(batch);
    }

    fn delay_us(&self, rate: u32) -> Option<u64> {
        // One step of overlap.
        RATES.contains(&rate).then_some(10_000)
    }

    fn voice_probability(&self, slot: Slot) -> Option<f32> {
        let place = self.place(slot)?;
        Some(self.groups[place.group].voice(place.lane))
    }
}
