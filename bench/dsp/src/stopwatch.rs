//! One block after the other through Criterion, and the medians it found.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use criterion::Criterion;

use crate::cpu_time::ThreadCpuTime;

/// Runs Criterion and reads its medians back.
pub(crate) struct Stopwatch {
    criterion: Criterion<ThreadCpuTime>,
    folder: PathBuf,
}

impl Stopwatch {
    /// Keeps Criterion's files under `folder`.
    pub(crate) fn new(folder: PathBuf) -> Self {
        let criterion = Criterion::default()
            .with_measurement(ThreadCpuTime)
            .output_directory(&folder)
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_millis(1500))
            .sample_size(30)
            .without_plots();
        Self { criterion, folder }
    }

    /// Nanoseconds of processor time that one call of `work` takes, the median of Criterion's samples.
    pub(crate) fn median_ns(&mut self, name: &str, mut work: impl FnMut()) -> anyhow::Result<f64> {
        // Names have no slash, so that Criterion's folder is the name.
        if name.contains(['/', ' ']) {
            bail!("{name} is not a name for a folder");
        }
        self.criterion.bench_function(name, |bencher| bencher.iter(&mut work));
        let file = self.folder.join(name).join("new/estimates.json");
        let text = std::fs::read(&file).with_context(|| file.display().to_string())?;
        let estimates: serde_json::Value = serde_json::from_slice(&text)?;
        estimates["median"]["point_estimate"].as_f64().context("Criterion wrote no median")
    }
}
