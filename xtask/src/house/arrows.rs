//! Which crate may know which: the arrows of `docs/architecture.md`, a row for every crate there is.

use crate::metadata::{self, Package};
use crate::workspaces;

/// A crate, what it may depend on among ours, and what its tests may besides.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

const ARROWS: &[Row] = &[
    // Cores.
    ("trunkline-leg", &[], &[]),
    ("trunkline-api", &[], &[]),
    ("trunkline-dsp", &[], &["trunkline-allocations"]),
    ("trunkline-call", &["trunkline-leg", "trunkline-api"], &[]),
    ("trunkline-sdp", &["trunkline-leg"], &[]),
    ("trunkline-dialects", &["trunkline-leg"], &[]),
    ("trunkline-route", &["trunkline-api"], &[]),
    // Adapters.
    ("trunkline-configuration", &[], &[]),
    ("trunkline-state-folder", &[], &[]),
    ("trunkline-egress", &[], &[]),
    ("trunkline-sip", &["trunkline-sdp", "trunkline-leg", "trunkline-api", "trunkline-route"], &[]),
    ("trunkline-media", &["trunkline-leg", "trunkline-dsp"], &["trunkline-allocations"]),
    ("trunkline-recording", &["trunkline-leg", "trunkline-dsp"], &[]),
    ("trunkline-ws", &["trunkline-dialects", "trunkline-leg", "trunkline-dsp"], &[]),
    ("trunkline-sync", &["trunkline-api", "trunkline-egress"], &[]),
    ("trunkline-edge-store", &["trunkline-api"], &[]),
    ("trunkline-plugin-host", &["trunkline-api", "trunkline-egress"], &[]),
    ("trunkline-plugin-conformance", &["trunkline-plugin-host", "trunkline-api"], &[]),
    // The driver.
    (
        "trunkline-runtime",
        &[
            "trunkline-leg",
            "trunkline-call",
            "trunkline-api",
            "trunkline-dsp",
            "trunkline-media",
            "trunkline-recording",
            "trunkline-plugin-host",
            "trunkline-edge-store",
            "trunkline-route",
            "trunkline-sip",
            "trunkline-sdp",
        ],
        &["trunkline-allocations"],
    ),
    // Binaries.
    (
        "trunkline",
        &[
            "trunkline-runtime",
            "trunkline-call",
            "trunkline-leg",
            "trunkline-sip",
            "trunkline-media",
            "trunkline-recording",
            "trunkline-ws",
            "trunkline-dsp",
            "trunkline-plugin-host",
            "trunkline-edge-store",
            "trunkline-sync",
            "trunkline-route",
            "trunkline-configuration",
            "trunkline-state-folder",
            "trunkline-egress",
            "trunkline-api",
        ],
        &[],
    ),
    (
        "trunkline-control-plane",
        &["trunkline-api", "trunkline-route", "trunkline-configuration", "trunkline-state-folder", "trunkline-egress"],
        &[],
    ),
    // Whole-product tests know the product by its binaries alone; the host is the ear they listen with, in which the
    // shipped recogniser runs.
    ("trunkline-tests", &["trunkline-caller", "trunkline-plugin-host"], &["trunkline-load"]),
    ("trunkline-caller", &["trunkline-dsp"], &[]),
    ("trunkline-load", &["trunkline-caller", "trunkline-dsp"], &[]),
    ("trunkline-allocations", &[], &[]),
    ("trunkline-grammar-check", &[], &[]),
    // Benches compare parts of it.
    (
        "trunkline-bench",
        &[
            "trunkline-bench-results",
            "trunkline-api",
            "trunkline-edge-store",
            "trunkline-caller",
            "trunkline-load",
            "trunkline-tests",
        ],
        &[],
    ),
    ("trunkline-bench-results", &[], &[]),
    ("trunkline-bench-dsp", &["trunkline-bench-results", "trunkline-dsp", "trunkline-allocations"], &[]),
    ("trunkline-bench-quality", &["trunkline-bench-results", "trunkline-dsp"], &[]),
    (
        "trunkline-bench-conversation",
        &[
            "trunkline-bench-results",
            "trunkline-api",
            "trunkline-call",
            "trunkline-caller",
            "trunkline-dsp",
            "trunkline-leg",
            "trunkline-media",
        ],
        &[],
    ),
    ("xtask", &[], &[]),
    // Plugins know the kit and never the product.
    ("trunkline-plugin-kit", &[], &[]),
    ("trunkline-plugin-espeak", &["trunkline-plugin-kit", "trunkline-espeak-engine"], &[]),
    ("trunkline-espeak-engine", &[], &[]),
    ("trunkline-plugin-openai", &["trunkline-plugin-kit"], &[]),
    ("trunkline-plugin-scripted", &["trunkline-plugin-kit"], &[]),
    ("trunkline-plugin-pii", &["trunkline-plugin-kit"], &[]),
    ("trunkline-plugin-offender", &["trunkline-plugin-kit"], &[]),
    ("trunkline-plugin-instant-asr", &["trunkline-plugin-kit"], &[]),
    ("trunkline-plugin-instant-tts", &["trunkline-plugin-kit"], &[]),
    ("grammar-pack", &[], &[]),
    (
        "trunkline-fuzz",
        &[
            "trunkline-api",
            "trunkline-call",
            "trunkline-dialects",
            "trunkline-dsp",
            "trunkline-leg",
            "trunkline-media",
            "trunkline-recording",
            "trunkline-sdp",
            "trunkline-sip",
        ],
        &[],
    ),
];

/// Crates that are never a core's: sockets, clocks, runtimes.
const OUTSIDE: &[&str] = &["tokio", "wasmtime", "axum", "hyper", "rsipstack", "socket2", "rustix", "rustls"];
const CORES: &[&str] = &[
    "trunkline-leg",
    "trunkline-api",
    "trunkline-dsp",
    "trunkline-call",
    "trunkline-sdp",
    "trunkline-dialects",
    "trunkline-route",
];

pub(super) fn faults() -> anyhow::Result<Vec<String>> {
    let mut packages = Vec::new();
    for workspace in workspaces::ALL {
        packages.extend(metadata::packages(workspace)?);
    }
    let mut faults = faults_of(&packages);
    for (name, ..) in ARROWS.iter().filter(|(name, ..)| packages.iter().all(|package| package.name != *name)) {
        faults.push(format!("xtask/src/house/arrows.rs has a row for {name}, and there is no such crate"));
    }
    Ok(faults)
}

fn faults_of(packages: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    for package in packages {
        let name = package.name.as_str();
        let Some((_, may, tests_may)) = ARROWS.iter().find(|(row, ..)| *row == name) else {
            faults.push(format!("{name} has no row in xtask/src/house/arrows.rs: say what it may depend on"));
            continue;
        };
        for dependency in &package.dependencies {
            let target = dependency.name.as_str();
            let of_tests = dependency.kind.as_deref() == Some("dev");
            if !of_tests && CORES.contains(&name) && OUTSIDE.contains(&target) {
                faults.push(format!("{name} is a core and must not know {target}"));
            }
            if target == "rsipstack" && name != "trunkline-sip" {
                faults.push(format!("{name} must not know rsipstack; only trunkline-sip does"));
            }
            let ours = ARROWS.iter().any(|(row, ..)| *row == target) || target.starts_with("trunkline");
            let allowed = may.contains(&target) || (of_tests && tests_may.contains(&target));
            if ours && !allowed {
                let whose = if of_tests { " for its tests" } else { "" };
                faults.push(format!("{name} -> {target}{whose} is an arrow that must not be"));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependencies: Vec<_> =
            dependencies.iter().map(|(name, kind)| serde_json::json!({ "name": name, "kind": kind })).collect();
        serde_json::from_value(serde_json::json!({
            "name": name, "manifest_path": "/x/Cargo.toml", "targets": [], "dependencies": dependencies,
        }))
        .unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn forbidden_arrows_are_named_whatever_kind_they_are() {
        let seeded = [
            package("trunkline-call", &[("trunkline-leg", None), ("trunkline-sip", Some("dev"))]),
            package("trunkline-dsp", &[("trunkline-leg", Some("build")), ("trunkline-allocations", Some("dev"))]),
            package("trunkline-sdp", &[("tokio", None), ("rsipstack", Some("dev"))]),
            package("trunkline-novelty", &[]),
        ];
        let faults = faults_of(&seeded).join("\n");
        let expected = [
            "trunkline-call -> trunkline-sip for its tests",
            "trunkline-dsp -> trunkline-leg is",
            "trunkline-sdp is a core and must not know tokio",
            "trunkline-sdp must not know rsipstack",
            "trunkline-novelty has no row",
        ];
        assert_eq!(faults.lines().count(), expected.len(), "{faults}");
        assert!(expected.iter().all(|fault| faults.contains(fault)), "{faults}");
    }
}
