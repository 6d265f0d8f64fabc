//! When the machine itself stood still: what its host took away, which no program on it could have used.
//!
//! A thread on each core wants nothing but to be woken every 5 ms. Where one was not, for longer than a busy machine
//! makes anybody wait, and the host says that it took that time or no core woke anybody, the machine was away. A
//! program that hogs its core is no such thing: the host takes nothing then, and the other cores go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::clock::{monotonic_us, pin, sleep_until};

/// Time between two wakes.
const STEP_US: u64 = 5_000;
/// A wake later than this is looked at.
const LATE_US: u64 = 20_000;
/// The unit the kernel counts stolen time in is a hundredth of a second; this much of a pause must be stolen.
const STOLEN_OF_PAUSE: u64 = 2;

/// Watches every core; dropped, it stops.
#[derive(Debug, Default)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Late>>>,
}

/// A wake that came late.
#[derive(Debug, Clone, Copy)]
struct Late {
    from_us: u64,
    to_us: u64,
    stolen_us: u64,
}

/// Times for which the machine was away.
#[derive(Debug, Clone, Default)]
pub struct Pauses {
    /// Length of each in milliseconds.
    ms: Vec<f64>,
}

impl Pauses {
    /// The longest, in milliseconds; 0 without any.
    #[must_use]
    pub fn longest_ms(&self) -> f64 {
        self.ms.iter().copied().fold(0.0, f64::max)
    }

    /// All of them, on any core, in milliseconds.
    #[must_use]
    pub fn total_ms(&self) -> f64 {
        self.ms.iter().sum::<f64>().max(0.0)
    }

    /// Of the late wakes of each core, those that were the machine's.
    fn judged(cores: &[Vec<Late>]) -> Self {
        let meets = |late: &Late, other: &Late| late.from_us < other.to_us && other.from_us < late.to_us;
        let all_away =
            |late: &Late| cores.len() > 1 && cores.iter().all(|core| core.iter().any(|other| meets(late, other)));
        let is_pause = |late: &&Late| late.stolen_us * STOLEN_OF_PAUSE >= late.to_us - late.from_us || all_away(late);
        let pauses = cores.iter().flatten().filter(is_pause);
        Self { ms: pauses.map(|late| (late.to_us - late.from_us) as f64 / 1000.0).collect() }
    }
}

impl Watch {
    /// Begins on every core this process may use. A core that cannot be watched is not.
    #[must_use]
    pub fn begin() -> Self {
        let stop = Arc::<AtomicBool>::default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let watch = |core: usize| {
            let stop = Arc::clone(&stop);
            std::thread::Builder::new().name(format!("watch-{core}")).spawn(move || watch(core, &stop)).ok()
        };
        let threads = (0..cores).filter_map(watch).collect();
        Self { stop, threads }
    }

    /// What was seen so far; the watch ends.
    #[must_use]
    pub fn finish(mut self) -> Pauses {
        self.stop.store(true, Ordering::Relaxed);
        let cores: Vec<Vec<Late>> = self.threads.drain(..).filter_map(|thread| thread.join().ok()).collect();
        Pauses::judged(&cores)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn watch(core: usize, stop: &AtomicBool) -> Vec<Late> {
    let mut lates = Vec::new();
    if pin(&[core]).is_err() {
        return lates;
    }
    // Before programs that are merely busy; without the right to it, as they are.
    let _ = rustix::process::setpriority_process(None, -20);
    let (mut deadline, mut stolen) = (monotonic_us(), stolen_us(core));
    while !stop.load(Ordering::Relaxed) {
        deadline += STEP_US;
        sleep_until(deadline);
        let now = monotonic_us();
        if now.saturating_sub(deadline) > LATE_US {
            let after = stolen_us(core);
            lates.push(Late { from_us: deadline, to_us: now, stolen_us: after.saturating_sub(stolen) });
            (deadline, stolen) = (now, after);
        }
    }
    lates
}

/// What the host has taken from a core since the start, in microseconds: the eighth number of its line in proc(5)'s
/// `/proc/stat`.
fn stolen_us(core: usize) -> u64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let name = format!("cpu{core} ");
    let ticks = stat.lines().find_map(|line| line.strip_prefix(&name)?.split_whitespace().nth(7)?.parse::<u64>().ok());
    ticks.unwrap_or(0) * 1_000_000 / rustix::param::clock_ticks_per_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(from_ms: u64, to_ms: u64, stolen_ms: u64) -> Late {
        Late { from_us: from_ms * 1000, to_us: to_ms * 1000, stolen_us: stolen_ms * 1000 }
    }

    #[test]
    fn only_what_the_machine_was_away_for_counts() {
        // A hog of the first core; 60 ms that the host took from it; and 80 ms in which nobody anywhere was woken.
        let first = vec![late(100, 500, 10), late(1000, 1060, 50), late(2000, 2080, 0)];
        let second = vec![late(2010, 2085, 0)];
        let pauses = Pauses::judged(&[first, second]);
        assert_eq!(pauses.ms, [60.0, 80.0, 75.0]);
        assert_eq!((pauses.longest_ms(), pauses.total_ms()), (80.0, 215.0));
        // With one core there is nobody to ask.
        assert!(Pauses::judged(&[vec![late(0, 400, 0)]]).ms.is_empty());
    }
}
