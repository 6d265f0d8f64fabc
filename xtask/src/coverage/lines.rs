//! Counted lines, without those of tests: a test module that runs reaches itself, which says nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Lines that hold code, and how many of them ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    pub(crate) covered: u64,
    pub(crate) count: u64,
}

impl Lines {
    pub(crate) fn add(&mut self, other: Self) {
        self.covered += other.covered;
        self.count += other.count;
    }

    /// Covered lines of a hundred; a crate without code is covered.
    pub(crate) fn percent(self) -> f64 {
        if self.count == 0 { 100.0 } else { self.covered as f64 * 100.0 / self.count as f64 }
    }
}

/// How often each line of each file ran, from llvm-cov's LCOV.
pub(crate) fn by_file(lcov: &str) -> BTreeMap<String, BTreeMap<usize, u64>> {
    let mut files = BTreeMap::new();
    let mut current: Option<&mut BTreeMap<usize, u64>> = None;
    for line in lcov.lines() {
        if let Some(name) = line.strip_prefix("SF:") {
            current = Some(files.entry(name.to_owned()).or_default());
        } else if let Some(lines) = &mut current
            && let Some((number, count)) = line.strip_prefix("DA:").and_then(|data| data.split_once(','))
            && let (Ok(number), Ok(count)) = (number.parse(), count.parse::<u64>())
        {
            *lines.entry(number).or_default() += count;
        }
    }
    files
}

/// The lines of a source file at `inside` its crate that are not a test's.
pub(crate) fn outside_tests(inside: &Path, source: &str, counts: &BTreeMap<usize, u64>) -> Lines {
    let is_tests = inside.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs");
    if is_tests {
        return Lines::default();
    }
    let tests = test_lines(source);
    let mut lines = Lines::default();
    for (number, count) in counts {
        if !tests.contains(number) {
            lines.count += 1;
            lines.covered += u64::from(*count > 0);
        }
    }
    lines
}

/// Numbers of the lines of items behind `#[cfg(test)]`. Formatted code ends an item at the indentation it began with.
fn test_lines(source: &str) -> BTreeSet<usize> {
    let mut inside = BTreeSet::new();
    let mut lines = source.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if line.trim_start() != "#[cfg(test)]" {
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        inside.insert(at + 1);
        for (at, line) in lines.by_ref() {
            inside.insert(at + 1);
            let same = line.strip_prefix(indent).is_some_and(|rest| !rest.starts_with([' ', '#']) && !rest.is_empty());
            if same && (line.ends_with(['}', ';']) || line.ends_with("},")) {
                break;
            }
        }
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_modules_and_test_files_do_not_count() {
        let source = "fn a() {\n    b();\n}\n\n#[cfg(test)]\nuse c;\nfn d() {}\n\n#[cfg(test)]\n#[expect(x)]\n\
                      mod tests {\n    fn e() {\n    }\n}\nfn f() {}\n";
        assert_eq!(test_lines(source), [5, 6, 9, 10, 11, 12, 13, 14].into());
        let lcov = "SF:/x/src/a.rs\nDA:1,1\nDA:2,0\nDA:12,7\nDA:15,0\nend_of_record\n";
        let files = by_file(lcov);
        let counts = &files["/x/src/a.rs"];
        assert_eq!(outside_tests(Path::new("src/a.rs"), source, counts), Lines { covered: 1, count: 3 });
        assert_eq!(outside_tests(Path::new("src/guard/tests.rs"), source, counts), Lines::default());
    }

    #[test]
    fn a_line_of_several_binaries_counts_once() {
        let files = by_file("SF:/a.rs\nDA:3,0\nSF:/a.rs\nDA:3,2\n");
        assert_eq!(files["/a.rs"], [(3, 2)].into());
    }
}
