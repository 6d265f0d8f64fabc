//! The rules of the house that a compiler does not check: which crate may know which, and what every file begins with.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::shell;

/// What each of our crates may depend on among our own; the arrows of `docs/architecture.md`.
const ARROWS: &[(&str, &[&str])] = &[
    ("trunkline-leg", &[]),
    ("trunkline-api", &[]),
    ("trunkline-dsp", &[]),
    ("trunkline-call", &["trunkline-leg", "trunkline-api"]),
    ("trunkline-sdp", &["trunkline-leg"]),
    ("trunkline-route", &["trunkline-api"]),
    ("trunkline-egress", &[]),
    ("trunkline-sip", &["trunkline-sdp", "trunkline-leg", "trunkline-api", "trunkline-route"]),
    ("trunkline-media", &["trunkline-leg", "trunkline-dsp"]),
    ("trunkline-sync", &["trunkline-api", "trunkline-egress"]),
    ("trunkline-edge-store", &["trunkline-api"]),
    ("trunkline-plugin-host", &["trunkline-api", "trunkline-egress"]),
    ("trunkline-plugin-conformance", &["trunkline-plugin-host", "trunkline-api"]),
    (
        "trunkline-runtime",
        &[
            "trunkline-leg",
            "trunkline-call",
            "trunkline-api",
            "trunkline-dsp",
            "trunkline-media",
            "trunkline-plugin-host",
            "trunkline-edge-store",
            "trunkline-route",
            "trunkline-sip",
            "trunkline-sdp",
        ],
    ),
];

/// Crates that are never a core's: sockets, clocks, runtimes.
const OUTSIDE: &[&str] = &["tokio", "wasmtime", "axum", "hyper", "rsipstack", "socket2", "rustix"];
const CORES: &[&str] =
    &["trunkline-leg", "trunkline-api", "trunkline-dsp", "trunkline-call", "trunkline-sdp", "trunkline-route"];

/// Checks arrows, first lines and sizes.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut faults = arrows()?;
    let root = shell::root();
    let mut sizes = Vec::new();
    for file in sources(&root)? {
        let text = fs::read_to_string(&file)?;
        let shown = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
        if !text.starts_with("//!") && !text.starts_with("#!") {
            faults.push(format!("{shown}: should begin with a doc line that says why the file exists"));
        }
        sizes.push((text.lines().count(), shown));
    }
    sizes.sort();
    if let Some((median, _)) = sizes.get(sizes.len() / 2) {
        println!("{} source files, median {median} lines", sizes.len());
    }
    for (lines, name) in sizes.iter().rev().take_while(|(lines, _)| *lines > 600) {
        println!("look twice: {name} has {lines} lines");
    }
    if faults.is_empty() { Ok(()) } else { bail!("the house has faults:\n  {}", faults.join("\n  ")) }
}

fn arrows() -> anyhow::Result<Vec<String>> {
    let metadata = shell::output(shell::cargo().args(["metadata", "--locked", "--no-deps", "--format-version=1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut faults = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            if !dependency["kind"].is_null() {
                continue;
            }
            let target = dependency["name"].as_str().unwrap_or_default();
            if CORES.contains(&name) && OUTSIDE.contains(&target) {
                faults.push(format!("{name} is a core and must not know {target}"));
            }
            if target == "rsipstack" && name != "trunkline-sip" {
                faults.push(format!("{name} must not know rsipstack; only trunkline-sip does"));
            }
            if let Some(targets) = allowed.get(name)
                && target.starts_with("trunkline-")
                && !targets.contains(&target)
            {
                faults.push(format!("{name} -> {target} is an arrow that must not be"));
            }
        }
    }
    Ok(faults)
}

/// Every Rust source of ours.
fn sources(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listed = shell::output(std::process::Command::new("git").current_dir(root).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "*.rs",
    ]))?;
    Ok(listed.lines().map(|line| root.join(line)).filter(|path| path.is_file()).collect())
}
