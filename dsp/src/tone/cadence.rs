//! Which supervisory tone a rhythm of tones and pauses is.

use super::plan::{Meaning, Pattern, Plan};

/// Length of a step, and what the analysis window adds to every tone and takes from every pause, in ms.
const STEP_MS: u32 = 20;
const LENGTHENED_MS: u32 = 25;
/// A pause of one step, or a tone of one, is a flaw.
const FLAW_STEPS: u32 = 2;
/// A continuous tone is believed after this; every cadenced tone is shorter.
const CONTINUOUS_MS: u32 = 3000;
/// A pause this long belongs to no busy or congestion tone, and makes the tone before it a ringback.
const LONG_PAUSE_MS: u32 = 1000;
const TELLING_PAUSE_MS: u32 = 700;

#[derive(Debug, Clone, Copy, Default)]
struct Interval {
    ms: u32,
    /// Patterns that this tone was; all of them for a pause.
    patterns: u8,
}

/// Follows tones and pauses, step by step.
#[derive(Debug, Clone, Default)]
pub(super) struct Cadence {
    /// The latest whole intervals, oldest first.
    intervals: [Interval; 3],
    sounding: bool,
    steps: u32,
    /// How many of `steps` were each pattern.
    counts: [u32; 8],
    /// Steps that contradict `sounding`.
    flaws: u32,
    flaw_patterns: [u32; 8],
}

impl Cadence {
    /// Forgets everything.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Takes the next step: bit `n` of `patterns` is set when the plan's pattern `n` sounds. Returns what is heard now.
    /// After somebody `spoke` one long tone may be a machine's, and a ringback needs two.
    pub(super) fn step(&mut self, plan: &Plan, patterns: u8, spoke: bool) -> Option<Meaning> {
        if (patterns != 0) == self.sounding {
            self.steps += self.flaws + 1;
            self.flaws = 0;
            self.flaw_patterns = [0; 8];
            count(&mut self.counts, patterns);
        } else {
            self.flaws += 1;
            count(&mut self.flaw_patterns, patterns);
            if self.flaws == FLAW_STEPS {
                self.turn();
            }
        }
        plan.patterns
            .iter()
            .take(8)
            .enumerate()
            .find(|(bit, pattern)| self.is(*bit, pattern, spoke))
            .map(|(_, pattern)| pattern.meaning)
    }

    /// A tone became a pause, or the other way round.
    fn turn(&mut self) {
        let whole = self.run();
        self.intervals.rotate_left(1);
        self.intervals[2] = whole;
        self.sounding = !self.sounding;
        self.steps = self.flaws;
        self.counts = self.flaw_patterns;
        self.flaws = 0;
        self.flaw_patterns = [0; 8];
    }

    /// The interval that has not ended.
    fn run(&self) -> Interval {
        let ms = self.steps.saturating_mul(STEP_MS);
        if !self.sounding {
            return Interval { ms: ms.saturating_add(LENGTHENED_MS), patterns: u8::MAX };
        }
        let patterns = self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count * 10 >= self.steps * 7)
            .fold(0, |bits, (bit, _)| bits | 1 << bit);
        Interval { ms: ms.saturating_sub(LENGTHENED_MS), patterns }
    }

    fn is(&self, bit: usize, pattern: &Pattern, spoke: bool) -> bool {
        let run = self.run();
        let of_pattern = |interval: &Interval| interval.patterns & (1 << bit) != 0;
        let [on, off, second_on, second_off] = pattern.cadence_ms.map(u32::from);
        if on == 0 {
            return self.sounding && of_pattern(&run) && run.ms >= CONTINUOUS_MS;
        }
        if self.sounding {
            return false;
        }
        let [first, pause, last] = self.intervals;
        if second_on == 0 && off >= LONG_PAUSE_MS {
            let pausing = run.ms >= TELLING_PAUSE_MS && run.ms <= off + off / 4;
            let repeated = of_pattern(&first) && near(first.ms, on) && near(pause.ms, off);
            return pausing && of_pattern(&last) && near(last.ms, on) && (repeated || !spoke);
        }
        let (second_on, second_off) = if second_on == 0 { (on, off) } else { (second_on, second_off) };
        let fits = |on: u32, off: u32, next: u32| near(first.ms, on) && near(pause.ms, off) && near(last.ms, next);
        of_pattern(&first)
            && of_pattern(&last)
            && run.ms <= second_off.max(off) * 2
            && (fits(on, off, second_on) || fits(second_on, second_off, on))
    }
}

fn count(counts: &mut [u32; 8], patterns: u8) {
    for (bit, count) in counts.iter_mut().enumerate() {
        *count += u32::from(patterns >> bit & 1);
    }
}

/// Exchanges keep to 10 %; the steps add their own error.
fn near(ms: u32, nominal: u32) -> bool {
    ms.abs_diff(nominal) <= nominal / 5 + 30
}
