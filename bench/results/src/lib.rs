//! Results of a benchmark: a table for people, and `{name, value, unit, baseline?, ratio?, command, versions}` for
//! whoever keeps them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

/// One figure.
#[derive(Debug, Clone)]
pub struct Measurement {
    name: String,
    value: f64,
    unit: String,
    baseline: Option<f64>,
    against: Option<String>,
}

impl Measurement {
    /// A figure by itself.
    pub fn new(name: impl Into<String>, value: f64, unit: impl Into<String>) -> Self {
        Self { name: name.into(), value, unit: unit.into(), baseline: None, against: None }
    }

    /// With the same figure of the baseline, measured in the same run.
    #[must_use]
    pub const fn beside(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self
    }

    /// With the figure of a baseline of its own, measured in the same run and named in the table.
    #[must_use]
    pub fn against(mut self, what: &str, baseline: f64) -> Self {
        self.against = Some(what.to_owned());
        self.beside(baseline)
    }

    /// What it is the figure of.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The figure.
    #[must_use]
    pub const fn value(&self) -> f64 {
        self.value
    }

    fn ratio(&self) -> Option<f64> {
        self.baseline.filter(|baseline| *baseline > 0.0).map(|baseline| self.value / baseline)
    }
}

/// The figures of one run.
#[derive(Debug)]
pub struct Results {
    command: String,
    baseline: Option<String>,
    versions: BTreeMap<String, String>,
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
    versions: &'a BTreeMap<String, String>,
}

impl Results {
    /// Of a command that repeats them.
    pub fn new(command: impl Into<String>) -> Self {
        let versions = BTreeMap::from([("trunkline".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
        Self { command: command.into(), baseline: None, versions, measurements: Vec::new() }
    }

    /// Adds a figure.
    pub fn add(&mut self, measurement: Measurement) {
        self.measurements.push(measurement);
    }

    /// What the baseline is, for the table.
    pub fn baseline(&mut self, what: impl Into<String>) {
        self.baseline = Some(what.into());
    }

    /// Names the version of something the figures depend on, beside the product's own.
    pub fn version(&mut self, name: impl Into<String>, version: impl Into<String>) {
        self.versions.insert(name.into(), version.into());
    }

    /// Prints the table and writes the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self, json: Option<&Path>) -> anyhow::Result<()> {
        println!("{:<44} {:>12} {:<14} {:>12} {:>8}", "", "value", "unit", "baseline", "ratio");
        for row in &self.measurements {
            let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.2}"));
            println!(
                "{:<44} {:>12.2} {:<14} {:>12} {:>8}  {}",
                row.name,
                row.value,
                row.unit,
                number(row.baseline),
                number(row.ratio()),
                row.against.as_deref().unwrap_or_default()
            );
        }
        if let Some(baseline) = &self.baseline {
            println!("baseline: {baseline}");
        }
        let Some(path) = json else { return Ok(()) };
        let rows: Vec<Row<'_>> = self
            .measurements
            .iter()
            .map(|row| Row {
                name: &row.name,
                value: row.value,
                unit: &row.unit,
                baseline: row.baseline,
                ratio: row.ratio(),
                command: &self.command,
                versions: &self.versions,
            })
            .collect();
        std::fs::write(path, serde_json::to_vec_pretty(&rows)?).with_context(|| path.display().to_string())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_its_baseline_and_what_repeats_it() {
        let file = std::env::temp_dir().join(format!("trunkline-results-{}.json", std::process::id()));
        let mut results = Results::new("cargo xtask bench some");
        results.version("spandsp", "0.0.6");
        results.add(Measurement::new("a.b", 3.0, "ms").beside(2.0));
        results.add(Measurement::new("c", -1.0, "MOS"));
        results.finish(Some(&file)).unwrap();
        let rows: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(rows[0]["name"], "a.b");
        assert_eq!(rows[0]["ratio"], 1.5);
        assert_eq!(rows[0]["command"], "cargo xtask bench some");
        assert_eq!(rows[0]["versions"]["spandsp"], "0.0.6");
        assert!(rows[1].get("baseline").is_none());
        assert!(rows[1].get("ratio").is_none());
    }
}
