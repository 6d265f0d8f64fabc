//! The rules of the house that a compiler does not check. Each rule is a file; each finds faults and never mends them.

mod arrows;
mod coverage_of_areas;
mod files;
mod ignored;
mod ports;
mod unsafe_places;
mod words;
mod workflows;

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::shell;

/// A file of the repository.
pub(crate) struct File {
    /// From the repository's root, with `/`.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Checks every rule and names every fault.
pub(crate) fn check() -> anyhow::Result<()> {
    let root = shell::root();
    let files = text_files(&root)?;
    let rust: Vec<&File> = files.iter().filter(|file| file.name.ends_with(".rs")).collect();
    let mut faults = arrows::faults()?;
    faults.extend(coverage_of_areas::faults(&rust)?);
    faults.extend(files::faults(&root, &rust));
    faults.extend(ignored::faults(&rust));
    faults.extend(ports::faults(&rust));
    faults.extend(unsafe_places::faults(&rust));
    faults.extend(words::faults(&files));
    faults.extend(workflows::faults(&files));
    if faults.is_empty() { Ok(()) } else { bail!("the house has faults:\n  {}", faults.join("\n  ")) }
}

/// Every Rust source of ours.
pub(crate) fn sources(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    Ok(listed(root)?.into_iter().filter(|name| name.ends_with(".rs")).map(|name| root.join(name)).collect())
}

/// Every file that is text and ours.
fn text_files(root: &Path) -> anyhow::Result<Vec<File>> {
    let mut files = Vec::new();
    for name in listed(root)? {
        if let Ok(text) = String::from_utf8(std::fs::read(root.join(&name))?) {
            files.push(File { name, text });
        }
    }
    Ok(files)
}

fn listed(root: &Path) -> anyhow::Result<Vec<String>> {
    let listed = shell::output(std::process::Command::new("git").current_dir(root).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    Ok(listed.lines().filter(|name| root.join(name).is_file()).map(str::to_owned).collect())
}

#[cfg(test)]
pub(crate) fn file(name: &str, text: &str) -> File {
    File { name: name.to_owned(), text: text.to_owned() }
}
