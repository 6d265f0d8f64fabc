//! An ignored test is one of the slow tier or a tool, and says so: see `xtask/src/tier.rs`.

use super::File;
use crate::tier::{SLOW, TOOL, ignored};

pub(super) fn faults(rust: &[&File]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut tools: Vec<&str> = Vec::new();
    let all = || rust.iter().flat_map(|file| ignored(&file.text).map(move |test| (file, test)));
    for (file, test) in all() {
        let reason = test.reason.strip_prefix(SLOW).or_else(|| test.reason.strip_prefix(TOOL)).unwrap_or_default();
        if reason.is_empty() {
            faults.push(format!(
                "{}: {} is ignored and says neither `{SLOW}why` nor `{TOOL}who starts it`",
                file.name, test.name
            ));
        }
        if test.reason.starts_with(TOOL) {
            tools.push(test.name);
        }
    }
    // Tools are left out by their names, and nothing else may be left out with them.
    for file in rust {
        for name in file.text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next()) {
            if let Some(tool) = tools.iter().find(|tool| name.contains(**tool) && name != **tool) {
                faults.push(format!(
                    "{}: {name} holds the name of the tool {tool} and would be left out with it",
                    file.name
                ));
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
        ];
        let faults = faults(&files.iter().collect::<Vec<_>>());
        assert_eq!(faults.len(), 3, "{faults:?}");
    }
}
