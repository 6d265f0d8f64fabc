//! The product's own noise suppressor: RNNoise's network and signal path, eight calls at a time, one per SIMD lane.

mod bands;
mod features;
mod fft;
mod gather;
mod group;
mod network;
mod pitch;
mod rate;
mod state;
mod step;
mod vector;
mod weights;
mod whiten;

use group::Group;
use rate::Rate;
use step::{Job, Room};
use vector::Lanes;
pub use weights::WEIGHTS_LICENCE;

use super::activity::Gate;
use super::steps;
use crate::simd::dispatched;
use crate::{NoiseBank, Simd, Slot};

/// Rates the bank knows, in Hz.
const RATES: [u32; 3] = [8000, 16000, 48000];

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
/// when half of a rate's lanes are free all move together. Groups for `slots` calls at 8 kHz, some 6 kB a call, are
/// made by [`NetworkBank::new`] and others by [`NetworkBank::reserve`]; only beyond these does
/// [`attach`](NoiseBank::attach) allocate.
#[derive(Debug)]
pub struct NetworkBank<const L: usize> {
    rates: Vec<Rate>,
    groups: Vec<Group<L>>,
    places: Box<[Option<Place>]>,
    room: Box<Room<L>>,
    /// Room for the states of calls without a frame.
    kept: Vec<Lanes<L>>,
    /// Room for the states of two calls that change places.
    moved: Vec<f32>,
    gate: Gate,
    simd: Simd,
    run: fn(Simd, &mut Job<'_, L>),
}

/// Where a slot's call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    group: usize,
    lane: usize,
}

dispatched!(fn run_8(job: &mut Job<'_, 8>) = step::run::<8>);
dispatched!(fn run_1(job: &mut Job<'_, 1>) = step::run::<1>);

impl NetworkBank<8> {
    /// A bank for at most `slots` calls, with [`Gate::Auto`] and [`Simd::detect`].
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self::of(slots, run_8)
    }
}

impl NetworkBank<1> {
    /// A bank of single lanes for at most `slots` calls, with [`Gate::Auto`] and [`Simd::detect`].
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self::of(slots, run_1)
    }
}

impl<const L: usize> NetworkBank<L> {
    /// The same bank with a gate of the caller's choice.
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Self {
        self.gate = gate;
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
            self.groups.push(Group::new(rate, &self.rates[rate]));
        }
    }

    fn of(slots: usize, run: fn(Simd, &mut Job<'_, L>)) -> Self {
        let rates: Vec<_> = RATES.iter().filter_map(|rate| Rate::new(*rate)).collect();
        let largest = rates.iter().map(state::size).max().unwrap_or(0);
        let mut bank = Self {
            rates,
            groups: Vec::new(),
            places: vec![None; slots].into(),
            room: Box::new(Room::new()),
            kept: vec![Lanes::ZERO; largest],
            moved: vec![0.0; 2 * largest],
            gate: Gate::Auto,
            simd: Simd::detect(),
            run,
        };
        bank.reserve(RATES[0], slots);
        bank
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
        let free = |group: &Group<L>| group.rate == rate && group.calls() < L;
        let group = self.groups.iter().position(free).unwrap_or_else(|| {
            self.groups.push(Group::new(rate, &self.rates[rate]));
            self.groups.len() - 1
        });
        let lane = self.groups[group].first_free()?;
        self.groups[group].admit(lane, slot);
        self.places[index] = Some(Place { group, lane });
        Some(slot)
    }

    fn detach(&mut self, slot: Slot) {
        let Some(place) = self.place(slot) else { return };
        self.groups[place.group].release(place.lane);
        self.places[slot.index()] = None;
        self.compact(self.groups[place.group].rate);
    }

    fn process(&mut self, batch: &mut [(Slot, &mut [f32])]) {
        for group in &mut self.groups {
            group.frames = [None; L];
        }
        for (index, (slot, frame)) in batch.iter().enumerate() {
            let Some(place) = self.place(*slot) else { continue };
            let group = &mut self.groups[place.group];
            if steps(RATES[group.rate], frame.len()).is_some() && group.frames[place.lane].is_none() {
                group.frames[place.lane] = Some(index);
            }
        }
        self.gather();
        for group in &mut self.groups {
            let rate = &self.rates[group.rate];
            for step in 0..2 {
                let Some((present, open)) = group.load(rate, self.gate, step, batch, &mut self.room.samples) else {
                    break;
                };
                let kept = group.keep(present, &mut self.kept);
                (self.run)(self.simd, &mut Job { rate, block: &mut group.block, open, room: &mut self.room });
                group.restore(kept, &self.kept);
                group.store(rate, present, step, batch, &self.room.samples);
            }
        }
    }

    fn delay_us(&self, rate: u32) -> Option<u64> {
        // One step of overlap.
        RATES.contains(&rate).then_some(10_000)
    }

    fn voice_probability(&self, slot: Slot) -> Option<f32> {
        let place = self.place(slot)?;
        let group = &self.groups[place.group];
        Some(group.block[state::voice_row(&self.rates[group.rate])].0[place.lane])
    }
}
