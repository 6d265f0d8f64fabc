//! Every link between our documents leads somewhere, and the two commands of the README are all a newcomer needs.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn documents() -> Vec<PathBuf> {
    let output = std::process::Command::new("git")
        .current_dir(root())
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| root().join(line))
        .filter(|path| path.is_file())
        .collect()
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let mut dead = Vec::new();
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target) {
            let target = target.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !document.parent().unwrap().join(target).exists() {
                dead.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

#[test]
fn the_quickstart_is_exactly_two_commands() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let quickstart = readme.split("## Quickstart").nth(1).unwrap().split("\n## ").next().unwrap();
    let block = quickstart.split("```").nth(1).unwrap();
    let commands: Vec<&str> = block.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    assert_eq!(commands[1], "cargo xtask demo");
}

#[test]
fn the_example_configuration_is_in_order() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("trunkline.toml");
    std::fs::copy(root().join("config/trunkline.toml"), &file).unwrap();
    let output = std::process::Command::new(trunkline_tests::process::from_environment("TRUNKLINE_BIN").unwrap())
        .arg("--config")
        .arg(&file)
        .env("TRUNKLINE_GATEWAY__STATE_DIR", scratch.path().join("state"))
        .env("TRUNKLINE_PLUGINS__DIR", scratch.path())
        .arg("check")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
