//! Work spread over all cores, with a line now and then that says how far it is.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};

/// Does every job and returns the results in the order of the jobs.
pub(crate) fn each<J: Sync, T: Send>(what: &str, jobs: &[J], work: impl Fn(&J) -> Result<T> + Sync) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(jobs.iter().map(|_| None).collect::<Vec<Option<Result<T>>>>());
    let finished = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { break };
                    let result = work(job);
                    if let Ok(mut done) = done.lock()
                        && let Some(place) = done.get_mut(index)
                    {
                        *place = Some(result);
                    }
                    let finished = finished.fetch_add(1, Ordering::Relaxed) + 1;
                    if finished == jobs.len() || finished.is_multiple_of((jobs.len() / 5).max(1)) {
                        println!("  {what} {finished}/{}", jobs.len());
                    }
                }
            });
        }
    });
    let done = done.into_inner().ok().context("a worker panicked")?;
    done.into_iter().map(|result| result.context("a worker panicked")?).collect()
}
