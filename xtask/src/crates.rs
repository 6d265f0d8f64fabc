//! Builds crates with cargo and counts them while it does, so that whoever waits sees how much is left.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::progress::Lane;
use crate::shell;

/// `cargo build --locked` with these arguments.
pub(crate) fn build(lane: &Lane, arguments: &[&str]) -> anyhow::Result<()> {
    lane.now("fetching sources");
    let total = units(arguments);
    lane.expect(total, "crates");
    let mut cargo = shell::cargo();
    cargo
        .args(["build", "--locked", "--quiet", "--message-format=json-render-diagnostics"])
        .args(arguments)
        .stdout(Stdio::piped());
    let mut child = cargo.spawn().context("cannot start cargo")?;
    let messages = child.stdout.take().context("cargo has no output")?;
    for message in BufReader::new(messages).lines() {
        if let Some(crate_name) = finished(&message?) {
            lane.done(&crate_name);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("cargo build {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}

/// The crate whose compilation, or build script, a message of cargo's says is done.
fn finished(message: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        target: Option<Target>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    let message: Message = serde_json::from_str(message).ok()?;
    match message.reason.as_str() {
        "compiler-artifact" => Some(message.target?.name),
        "build-script-executed" => Some("build scripts".to_owned()),
        _ => None,
    }
}

/// How many messages of that kind a build with these arguments ends with; `None` where cargo does not tell.
fn units(arguments: &[&str]) -> Option<usize> {
    #[derive(Deserialize)]
    struct Graph {
        units: Vec<serde::de::IgnoredAny>,
    }
    // Only this question is asked of an unstable switch; what is built does not depend on it.
    let output = shell::cargo()
        .args(["build", "--locked", "--quiet", "-Zunstable-options", "--unit-graph"])
        .args(arguments)
        .env("RUSTC_BOOTSTRAP", "1")
        .stderr(Stdio::inherit())
        .output()
        .ok()?;
    let graph: Graph = serde_json::from_slice(&output.stdout).ok()?;
    Some(graph.units.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finished_work_is_counted() {
        let artifact =
            r#"{"reason":"compiler-artifact","package_id":"x","target":{"kind":["lib"],"name":"serde"},"fresh":false}"#;
        assert_eq!(finished(artifact).as_deref(), Some("serde"));
        assert_eq!(
            finished(r#"{"reason":"build-script-executed","package_id":"x"}"#).as_deref(),
            Some("build scripts")
        );
        for other in
            [r#"{"reason":"compiler-message","target":{"name":"x"}}"#, r#"{"reason":"build-finished"}"#, "warning"]
        {
            assert_eq!(finished(other), None);
        }
    }
}
