//! How much of its time a worker needs, and what it leaves out when that is too much.

use trunkline_dsp::chain::Shedding;

use super::{PHASE_US, PHASES};

/// Phases over which load is measured: a second.
const WINDOW: u32 = 200;
/// How often each phase is served in that time.
const VISITS: usize = WINDOW as usize / PHASES;
/// Of its visits in a second, the longest that are left out of a phase's load: a fifth. A worker that was interrupted in
/// them, by its machine or the machine's host, was not at work meanwhile; one with too much to do takes long in all.
const INTERRUPTED: usize = VISITS / 5;
/// Load of the fullest quarter of a tick above which more is left out, and what it must stay below with less left out,
/// both in thousandths of the quarter's 5 ms.
const TOO_MUCH: u32 = 800;
const COMFORTABLE: u32 = 650;
/// Load above which ticks are late, in thousandths.
const FULL: u32 = 1000;
/// Seconds of comfort before less is left out.
const PATIENCE: u32 = 5;
/// Seconds of too much, with nothing more to leave out, before calls are refused; at once when ticks are late. The
/// machine's own pauses are shorter.
const PRESSED: u32 = 3;
/// What a step was seen to bring is believed a little less with every second, by one part in this many: the load may
/// have fallen for another reason, and then only trying shows that less will do.
const DOUBT: u32 = 128;

/// What a worker leaves out, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Step {
    #[default]
    Nothing,
    Economy,
    NoDenoiser,
    /// It does not denoise and takes no new legs.
    Refuse,
}

impl Step {
    pub(crate) const fn shedding(self) -> Shedding {
        match self {
            Self::Nothing => Shedding::None,
            Self::Economy => Shedding::Economy,
            Self::NoDenoiser | Self::Refuse => Shedding::NoDenoiser,
        }
    }

    const fn more(self) -> Self {
        match self {
            Self::Nothing => Self::Economy,
            Self::Economy => Self::NoDenoiser,
            Self::NoDenoiser | Self::Refuse => Self::Refuse,
        }
    }

    const fn less(self) -> Self {
        match self {
            Self::Nothing | Self::Economy => Self::Nothing,
            Self::NoDenoiser => Self::Economy,
            Self::Refuse => Self::NoDenoiser,
        }
    }
}

/// How long the visits of a phase took in one second, in microseconds.
#[derive(Debug)]
struct Visits {
    took_us: [u32; VISITS],
    count: usize,
}

impl Default for Visits {
    fn default() -> Self {
        Self { took_us: [0; VISITS], count: 0 }
    }
}

impl Visits {
    /// One more than a second has is not counted: phases that were left out shift the count of others.
    fn add(&mut self, took_us: u64) {
        if let Some(visit) = self.took_us.get_mut(self.count) {
            *visit = u32::try_from(took_us).unwrap_or(u32::MAX);
            self.count += 1;
        }
    }

    /// The usual visit in thousandths of the time there is for one, and forgets them all.
    fn take_permille(&mut self) -> u32 {
        let took_us = &mut self.took_us[..std::mem::take(&mut self.count)];
        took_us.sort_unstable();
        let usual = &took_us[..took_us.len() - took_us.len() * INTERRUPTED / VISITS];
        let mean_us = usual.iter().map(|us| u64::from(*us)).sum::<u64>().checked_div(usual.len() as u64).unwrap_or(0);
        u32::try_from(mean_us * 1000 / PHASE_US).unwrap_or(u32::MAX)
    }
}

/// A worker's load, by phase.
#[derive(Debug, Default)]
pub(crate) struct Load {
    /// How long the visits of this second took, by phase.
    visits: [Visits; PHASES],
    served: u32,
    step: Step,
    /// Seconds for which less would do.
    calm: u32,
    /// Seconds for which it was too much though all was left out.
    pressed: u32,
    /// For each step the load before it was taken as a multiple of that after it, in thousandths: what going back costs.
    relief: [u32; 4],
    before: Option<u32>,
    fullest: u32,
    mean: u32,
}

impl Load {
    /// Takes note that phase `phase` was served in `busy_us`; true at the end of a second.
    pub(crate) fn measure(&mut self, phase: usize, busy_us: u64) -> bool {
        self.visits[phase].add(busy_us);
        self.served += 1;
        if self.served < WINDOW {
            return false;
        }
        let loads = self.visits.each_mut().map(Visits::take_permille);
        self.fullest = loads.iter().max().copied().unwrap_or(0);
        self.mean = loads.iter().sum::<u32>() / PHASES as u32;
        self.served = 0;
        self.decide();
        true
    }

    /// What is left out.
    pub(crate) const fn step(&self) -> Step {
        self.step
    }

    /// Load of the fullest quarter of a tick over the last second, in thousandths.
    pub(crate) const fn fullest(&self) -> u32 {
        self.fullest
    }

    /// Load over the last second, in thousandths.
    pub(crate) const fn mean(&self) -> u32 {
        self.mean
    }

    fn decide(&mut self) {
        let relief = &mut self.relief[self.step as usize];
        if let Some(before) = self.before.take() {
            *relief = (before * 1000).checked_div(self.fullest).unwrap_or(4000).clamp(1000, 4000);
        } else {
            *relief = 1000 + relief.saturating_sub(1000) * (DOUBT - 1) / DOUBT;
        }
        let going_back = u64::from(self.fullest) * u64::from(*relief) / 1000;
        if self.fullest > TOO_MUCH {
            self.calm = 0;
            self.pressed += 1;
            match self.step {
                Step::Nothing | Step::Economy => {
                    self.before = Some(self.fullest);
                    self.step = self.step.more();
                    self.pressed = 0;
                }
                // Refusing brings nothing at once: what it brought is not asked.
                Step::NoDenoiser if self.pressed >= PRESSED || self.fullest > FULL => self.step = self.step.more(),
                Step::NoDenoiser | Step::Refuse => {}
            }
            return;
        }
        self.pressed = 0;
        if self.step != Step::Nothing && going_back < u64::from(COMFORTABLE) {
            self.calm += 1;
            if self.calm >= PATIENCE {
                self.calm = 0;
                self.step = self.step.less();
            }
        } else {
            self.calm = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second in which every phase takes `busy_us`.
    fn second(load: &mut Load, busy_us: u64) -> Step {
        for n in 0..WINDOW as usize {
            assert_eq!(load.measure(n % PHASES, busy_us), n + 1 == WINDOW as usize);
        }
        load.step()
    }

    #[test]
    fn too_much_work_is_shed_in_order_and_taken_up_again() {
        let mut load = Load::default();
        assert_eq!(second(&mut load, 3_900), Step::Nothing);
        assert_eq!(load.fullest(), 780);
        let steps: Vec<Step> = (0..6).map(|_| second(&mut load, 4_500)).collect();
        let waiting = Step::NoDenoiser;
        assert_eq!(steps, [Step::Economy, waiting, waiting, waiting, Step::Refuse, Step::Refuse]);
        let steps: Vec<Step> = (0..16).map(|_| second(&mut load, 500)).collect();
        assert_eq!(
            (steps[3], steps[4], steps[9], steps[14]),
            (Step::Refuse, Step::NoDenoiser, Step::Economy, Step::Nothing)
        );
    }

    #[test]
    fn a_worker_does_not_go_back_to_what_was_too_much() {
        let mut load = Load::default();
        assert_eq!(second(&mut load, 4_500), Step::Economy);
        // The economy engine halves the work: going back would be too much again.
        for _ in 0..60 {
            assert_eq!(second(&mut load, 2_250), Step::Economy);
        }
        // Half of the calls have ended.
        for _ in 0..PATIENCE {
            second(&mut load, 1_100);
        }
        assert_eq!(load.step(), Step::Nothing);
    }

    #[test]
    fn a_pause_of_the_machine_is_forgotten() {
        let mut load = Load::default();
        // Nothing runs for seconds: ticks are late, and no call can be taken.
        let steps: Vec<Step> = (0..3).map(|_| second(&mut load, 9_000)).collect();
        assert_eq!(steps, [Step::Economy, Step::NoDenoiser, Step::Refuse]);
        // It is over. That the load fell is not what leaving out has brought.
        let steps: Vec<Step> = (0..600).map(|_| second(&mut load, 2_000)).collect();
        assert!(steps[5] < Step::Refuse, "calls are taken again within seconds: {:?}", &steps[..10]);
        assert_eq!(steps[599], Step::Nothing, "and all is done for them within minutes");
    }

    #[test]
    fn a_machine_that_is_taken_away_for_moments_is_no_load() {
        let mut load = Load::default();
        // One visit in six is interrupted for 30 ms; the work in it is what it always is.
        for n in 0..60 * WINDOW as usize {
            load.measure(n % PHASES, if (n / PHASES) % 6 == 3 { 31_500 } else { 1_500 });
        }
        assert_eq!((load.step(), load.fullest()), (Step::Nothing, 300));
        // Work that takes long in every visit is load, whatever interrupts it.
        for n in 0..WINDOW as usize {
            load.measure(n % PHASES, if (n / PHASES) % 6 == 3 { 34_500 } else { 4_500 });
        }
        assert_eq!((load.step(), load.fullest()), (Step::Economy, 900));
    }

    #[test]
    fn one_full_quarter_is_enough() {
        let mut load = Load::default();
        for n in 0..WINDOW as usize {
            load.measure(n % PHASES, if n % PHASES == 2 { 4_800 } else { 100 });
        }
        assert_eq!((load.step(), load.fullest(), load.mean()), (Step::Economy, 960, 255));
    }
}
