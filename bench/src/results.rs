//! Results of a benchmark: a table for people, and `{name, value, unit, baseline?, ratio?, command, versions}` for
//! whoever keeps them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

/// One figure.
#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    name: String,
    value: f64,
    unit: &'static str,
    baseline: Option<f64>,
}

impl Measurement {
    /// A figure by itself.
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, baseline: None }
    }

    /// With the same figure of the baseline, measured in the same run.
    pub(crate) const fn beside(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.baseline.filter(|baseline| *baseline > 0.0).map(|baseline| self.value / baseline)
    }
}

/// The figures of one run.
pub(crate) struct Results {
    command: String,
    baseline: Option<&'static str>,
    measurements: Vec<Measurement>,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    value: f64,
    unit: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    command: &'a str,
    versions: BTreeMap<&'a str, &'a str>,
}

impl Results {
    /// Of a command that repeats them.
    pub(crate) fn new(command: impl Into<String>) -> Self {
        Self { command: command.into(), baseline: None, measurements: Vec::new() }
    }

    /// Adds a figure.
    pub(crate) fn add(&mut self, measurement: Measurement) {
        self.measurements.push(measurement);
    }

    /// What the baseline is, for the table.
    pub(crate) const fn baseline(&mut self, what: &'static str) {
        self.baseline = Some(what);
    }

    /// Prints the table and writes the file.
    pub(crate) fn finish(self, json: Option<&Path>) -> anyhow::Result<()> {
        println!("{:<44} {:>12} {:<14} {:>12} {:>8}", "", "value", "unit", "baseline", "ratio");
        for row in &self.measurements {
            let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.2}"));
            println!(
                "{:<44} {:>12.2} {:<14} {:>12} {:>8}",
                row.name,
                row.value,
                row.unit,
                number(row.baseline),
                number(row.ratio())
            );
        }
        if let Some(baseline) = self.baseline {
            println!("baseline: {baseline}");
        }
        let Some(path) = json else { return Ok(()) };
        let rows: Vec<Row<'_>> = self
            .measurements
            .iter()
            .map(|row| Row {
                name: &row.name,
                value: row.value,
                unit: row.unit,
                baseline: row.baseline,
                ratio: row.ratio(),
                command: &self.command,
                versions: BTreeMap::from([("trunkline", env!("CARGO_PKG_VERSION"))]),
            })
            .collect();
        std::fs::write(path, serde_json::to_vec_pretty(&rows)?).with_context(|| path.display().to_string())
    }
}
