//! How much is tested: the default tier in every run, the slow tier on demand and every night.
//!
//! There is one convention and no variable: a test of the slow tier is `#[ignore = "slow: why"]`, what is no test but a
//! program that something else starts by its name is `#[ignore = "tool: who starts it"]`, and a whole-product test that
//! measures time, and so wants the machine for itself, is `#[ignore = "alone: what it measures"]`: these run in every
//! tier, one after the other, when the rest has ended. The house checks that every ignored test is one of the three. A
//! simulation or a property that wants more seeds in the slow tier has a second test of that kind beside its first.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::{house, shell};

/// Where whole-product tests are, a file for each behaviour.
const PRODUCT_TESTS_DIR: &str = "tests/product";

/// How much is tested.
#[derive(Debug, Clone)]
pub(crate) enum Tier {
    /// What every change runs.
    Default,
    /// That, and whatever takes long; the names are those of the ignored tests that are no part of it: tools, and those
    /// that run alone.
    Slow(Vec<String>),
}

impl Tier {
    /// The slow tier, which reads the sources for the tools it must leave out.
    pub(crate) fn slow() -> anyhow::Result<Self> {
        let root = shell::root();
        let mut apart = Vec::new();
        for file in house::sources(&root)? {
            let text = fs::read_to_string(&file)?;
            let is_apart = |test: &Ignored<'_>| [TOOL, ALONE].iter().any(|reason| test.reason.starts_with(reason));
            apart.extend(ignored(&text).filter(is_apart).map(|test| test.name.to_owned()));
        }
        Ok(Self::Slow(apart))
    }

    /// True for the slow one.
    pub(crate) const fn is_slow(&self) -> bool {
        matches!(self, Self::Slow(_))
    }

    /// Tells a test program, or cargo behind its `--`, which of its tests to run.
    pub(crate) fn arguments(&self, command: &mut Command) {
        if let Self::Slow(apart) = self {
            command.arg("--include-ignored");
            for name in apart {
                command.args(["--skip", name]);
            }
        }
    }

    /// Time for each of `targets` fuzz targets.
    pub(crate) fn fuzzing(&self, targets: usize) -> Duration {
        const IN_ALL: Duration = Duration::from_secs(60);
        const EACH: Duration = Duration::from_secs(120);
        match self {
            Self::Default => IN_ALL / u32::try_from(targets.max(1)).unwrap_or(u32::MAX),
            Self::Slow(_) => EACH,
        }
    }
}

/// What the reason of a test of the slow tier begins with.
pub(crate) const SLOW: &str = "slow: ";
/// What the reason of a tool begins with.
pub(crate) const TOOL: &str = "tool: ";

/// What the reason of a test that runs alone begins with.
pub(crate) const ALONE: &str = "alone: ";

/// The whole-product tests that run alone, by the names that the test program has for them.
pub(crate) fn alone() -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for file in house::sources(&shell::root().join(PRODUCT_TESTS_DIR))? {
        let Some(module) = file.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let text = fs::read_to_string(&file)?;
        let tests = ignored(&text).filter(|test| test.reason.starts_with(ALONE));
        found.extend(tests.map(|test| format!("{module}::{}", test.name)));
    }
    found.sort();
    Ok(found)
}

/// An ignored test.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ignored<'a> {
    pub(crate) name: &'a str,
    /// Empty when it gives none.
    pub(crate) reason: &'a str,
}

/// The ignored tests of a source file.
pub(crate) fn ignored(source: &str) -> impl Iterator<Item = Ignored<'_>> {
    let mut lines = source.lines();
    std::iter::from_fn(move || {
        let attribute = lines.by_ref().map(str::trim).find(|line| line.starts_with("#[ignore"))?;
        let reason = attribute.split('"').nth(1).unwrap_or_default();
        let line = lines.by_ref().map(str::trim).find(|line| line.contains("fn "))?;
        let name = line.split("fn ").nth(1)?.split(['(', '<']).next()?;
        Some(Ignored { name, reason })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_tests_are_found_with_their_reasons() {
        let source =
            "#[test]\n#[ignore = \"slow: a minute\"]\nfn long() {}\n\n#[ignore]\n#[test]\nasync fn mute() {}\n";
        let found: Vec<_> = ignored(source).collect();
        assert_eq!(found, [Ignored { name: "long", reason: "slow: a minute" }, Ignored { name: "mute", reason: "" }]);
    }

    #[test]
    fn the_slow_tier_leaves_out_tools_and_fuzzing_has_one_budget() {
        let mut command = Command::new("test");
        Tier::Slow(vec!["child".to_owned()]).arguments(&mut command);
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["--include-ignored", "--skip", "child"]);
        assert_eq!(Tier::Default.fuzzing(6), Duration::from_secs(10));
        assert_eq!(Tier::Default.fuzzing(60), Duration::from_secs(1));
    }
}
