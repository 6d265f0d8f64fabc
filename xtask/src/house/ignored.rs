//! An ignored test is one of the slow tier, a tool or one that runs alone, and says so: see `xtask/src/tier.rs`.

use super::File;
use crate::tier::{ALONE, SLOW, TOOL, ignored};

pub(super) fn faults(rust: &[&File]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut apart: Vec<&str> = Vec::new();
    let all = || rust.iter().flat_map(|file| ignored(&file.text).map(move |test| (file, test)));
    for (file, test) in all() {
        let reason = [SLOW, TOOL, ALONE].iter().find_map(|kind| test.reason.strip_prefix(kind)).unwrap_or_default();
        if reason.is_empty() {
            faults.push(format!(
                "{}: {} is ignored and says neither `{SLOW}why`, `{TOOL}who starts it` nor `{ALONE}what it measures`",
                file.name, test.name
            ));
        }
        if test.reason.starts_with(ALONE) && !file.name.starts_with("tests/product/") {
            faults.push(format!("{}: {} runs alone and would never: no whole-product test", file.name, test.name));
        }
        if !test.reason.starts_with(SLOW) {
            apart.push(test.name);
        }
    }
    // They are left out by their names, and nothing else may be left out with them.
    for file in rust {
        for name in file.text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next()) {
            if let Some(test) = apart.iter().find(|test| name.contains(**test) && name != **test) {
                faults.push(format!("{}: {name} holds the name of {test} and would be left out with it", file.name));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::file;

    #[test]
    fn an_ignored_test_says_why() {
        let files = [
            file("a.rs", "#[ignore = \"slow: a minute\"]\nfn long() {}\n#[ignore = \"flaky\"]\nfn flaky() {}\n"),
            file(
                "b.rs",
                "#[ignore = \"tool: the kill test\"]\nfn child() {}\nfn children_play() {}\n#[ignore]\nfn mute() {}\n",
            ),
            file("tests/product/c.rs", "#[ignore = \"alone: delays\"]\nfn in_time() {}\n"),
            file("d.rs", "#[ignore = \"alone: delays\"]\nfn nowhere() {}\n"),
        ];
        let faults = faults(&files.iter().collect::<Vec<_>>());
        assert_eq!(faults.len(), 4, "{faults:?}");
    }
}
