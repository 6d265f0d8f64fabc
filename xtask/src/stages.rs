//! Stages of a long run: each is announced, timed and listed in a table at the end.

use std::time::{Duration, Instant};

/// The stages of one run.
#[derive(Default)]
pub(crate) struct Stages {
    done: Vec<(String, Duration, bool)>,
}

impl Stages {
    /// Runs one stage; an error ends the run after the table was printed.
    pub(crate) fn stage<T>(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        println!("\n=== {name}");
        let begin = Instant::now();
        let result = work();
        self.done.push((name.to_owned(), begin.elapsed(), result.is_ok()));
        if result.is_err() {
            self.table();
        }
        result
    }

    /// Prints what each stage took.
    pub(crate) fn table(&self) {
        println!("\n{:<28} {:>9}", "stage", "seconds");
        let mut total = Duration::ZERO;
        for (name, took, passed) in &self.done {
            println!("{name:<28} {:>9.1}{}", took.as_secs_f64(), if *passed { "" } else { "  FAILED" });
            total += *took;
        }
        println!("{:<28} {:>9.1}", "total", total.as_secs_f64());
    }
}
