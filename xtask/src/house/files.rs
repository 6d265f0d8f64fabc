//! What a source file begins with, how long it is, how it is called, and which files there must be.

use std::path::Path;

use super::File;

/// Beyond this a file gets a second look.
const LONG: usize = 600;
/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] = ["utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"];
/// NetEq, whose jitter buffer this is, calls its parts so.
const FIELDS_OWN: [&str; 1] = ["dsp/src/jitter/delay_manager.rs"];
const MUST_EXIST: [&str; 7] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "docs/architecture.md",
    "rust-toolchain.toml",
];

pub(super) fn faults(root: &Path, rust: &[&File]) -> Vec<String> {
    let mut faults: Vec<String> =
        MUST_EXIST.iter().filter(|name| !root.join(name).is_file()).map(|name| format!("{name} is missing")).collect();
    if let Ok(changes) = std::fs::read_to_string(root.join("CHANGELOG.md"))
        && !changes.contains("Unreleased")
    {
        faults.push("CHANGELOG.md has no section Unreleased".to_owned());
    }
    faults.extend(rust.iter().flat_map(|file| of_one(file)));
    let mut sizes: Vec<(usize, &str)> =
        rust.iter().map(|file| (file.text.lines().count(), file.name.as_str())).collect();
    sizes.sort_unstable();
    if let Some((median, _)) = sizes.get(sizes.len() / 2) {
        println!("{} source files, median {median} lines", sizes.len());
    }
    for (lines, name) in sizes.iter().rev().take_while(|(lines, _)| *lines > LONG) {
        println!("look twice: {name} has {lines} lines");
    }
    faults
}

fn of_one(file: &File) -> Vec<String> {
    let mut faults = Vec::new();
    if !file.text.starts_with("//!") && !file.text.starts_with("#!") {
        faults.push(format!("{}: should begin with a doc line that says why the file exists", file.name));
    }
    let empty = |part: &str| {
        let name = part.trim_end_matches(".rs");
        name.rsplit(['_', '-']).next().is_some_and(|noun| EMPTY_NAMES.contains(&noun))
    };
    if !FIELDS_OWN.contains(&file.name.as_str()) && file.name.split('/').any(empty) {
        faults.push(format!("{}: the name does not say what is inside", file.name));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::file;

    #[test]
    fn files_without_reason_or_with_an_empty_name_are_named() {
        assert_eq!(of_one(&file("gateway/src/call_utils.rs", "use x;\n")).len(), 2);
        assert_eq!(of_one(&file("gateway/common/src/lib.rs", "//! Why.\n")).len(), 1);
        for name in ["gateway/src/commons.rs", "tests/product/call_service_manager_is_told.rs"] {
            assert!(of_one(&file(name, "//! Why.\n")).is_empty());
        }
    }
}
