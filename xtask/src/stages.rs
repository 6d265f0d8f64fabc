//! Stages of a long run: each is announced, timed and listed in a table at the end, beside what it took the last time.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::shell;

/// How a stage ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It found nothing wrong.
    Passed,
    /// It ended the run.
    Failed,
    /// It could not be done here, for this reason.
    Skipped(String),
}

/// One stage that ran.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stage {
    name: String,
    seconds: f64,
    outcome: Outcome,
}

/// The stages of one run.
pub(crate) struct Stages {
    /// Names the file that keeps the figures, so that only runs of one kind are compared.
    kind: String,
    done: Vec<Stage>,
    before: BTreeMap<String, f64>,
}

impl Stages {
    /// Begins a run of this kind and remembers the last one.
    pub(crate) fn begin(kind: &str) -> Self {
        let before = fs::read_to_string(file(kind))
            .ok()
            .and_then(|text| serde_json::from_str::<Vec<Stage>>(&text).ok())
            .unwrap_or_default();
        let before = before.into_iter().map(|stage| (stage.name, stage.seconds)).collect();
        Self { kind: kind.to_owned(), done: Vec::new(), before }
    }

    /// Runs one stage; an error ends the run after the table was printed.
    pub(crate) fn stage<T>(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let begun = announce(name);
        let result = work();
        self.ended(name, begun, if result.is_ok() { Outcome::Passed } else { Outcome::Failed });
        if result.is_err() {
            self.table();
        }
        result
    }

    /// Runs a stage that may say why it cannot be done here; that is in the table, and ends nothing.
    pub(crate) fn stage_where_possible(
        &mut self,
        name: &str,
        work: impl FnOnce() -> anyhow::Result<Option<String>>,
    ) -> anyhow::Result<()> {
        let begun = announce(name);
        let result = work();
        let outcome = match &result {
            Ok(None) => Outcome::Passed,
            Ok(Some(why)) => {
                println!("{name}: skipped, {why}");
                Outcome::Skipped(why.clone())
            }
            Err(_) => Outcome::Failed,
        };
        self.ended(name, begun, outcome);
        if result.is_err() {
            self.table();
        }
        result.map(drop)
    }

    /// Prints what each stage took, and keeps it for the next run and for machines.
    pub(crate) fn table(&self) {
        println!("\n{:<28} {:>9} {:>9}", "stage", "seconds", "before");
        for stage in &self.done {
            let before = self.before.get(&stage.name).map_or_else(String::new, |seconds| format!("{seconds:.1}"));
            let end = match &stage.outcome {
                Outcome::Passed => String::new(),
                Outcome::Failed => "  FAILED".to_owned(),
                Outcome::Skipped(why) => format!("  skipped, {why}"),
            };
            println!("{}", format!("{:<28} {:>9.1} {before:>9}{end}", stage.name, stage.seconds).trim_end());
        }
        let total: f64 = self.done.iter().map(|stage| stage.seconds).sum();
        let before: f64 = self.before.values().sum();
        let before = if self.before.is_empty() { String::new() } else { format!("{before:.1}") };
        println!("{}", format!("{:<28} {total:>9.1} {before:>9}", "total").trim_end());
        match self.keep() {
            Ok(path) => println!("as JSON: {}", path.display()),
            Err(error) => eprintln!("the table was not kept: {error:#}"),
        }
    }

    fn ended(&mut self, name: &str, begun: Instant, outcome: Outcome) {
        let took: Duration = begun.elapsed();
        self.done.push(Stage { name: name.to_owned(), seconds: took.as_secs_f64(), outcome });
    }

    fn keep(&self) -> anyhow::Result<PathBuf> {
        let path = file(&self.kind);
        fs::create_dir_all(path.with_file_name(""))?;
        fs::write(&path, serde_json::to_string_pretty(&self.done)?)?;
        Ok(path)
    }
}

fn announce(name: &str) -> Instant {
    println!("\n=== {name}");
    Instant::now()
}

fn file(kind: &str) -> PathBuf {
    shell::target_dir().join("stages").join(format!("{kind}.json"))
}
