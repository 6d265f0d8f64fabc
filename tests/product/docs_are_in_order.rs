//! The two commands of the README are all a newcomer needs, the index leads to every document, and the example
//! configuration is in order.

use crate::documents::{Document, root};

#[test]
fn the_front_door_is_exactly_two_commands() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let quickstart = readme.split("## Quickstart").nth(1).unwrap().split("\n## ").next().unwrap();
    let block = quickstart.split("```").nth(1).unwrap();
    let commands: Vec<&str> = block.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(commands, ["cargo xtask demo", "cargo xtask test"]);
}

#[test]
fn the_index_leads_to_every_document() {
    let index = Document::read("docs/README.md");
    let mut documents = crate::documents::files("docs/*.md");
    documents.retain(|name| name != "docs/README.md" && !name.starts_with("docs/adr/"));
    assert!(documents.len() > 4, "{documents:?}");
    let missing: Vec<&String> =
        documents.iter().filter(|name| !index.links.iter().any(|link| format!("docs/{link}") == **name)).collect();
    assert!(missing.is_empty(), "docs/README.md does not lead to {missing:?}");
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
