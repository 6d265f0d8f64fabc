//! A plugin with a wrong world, a forbidden import or a bad manifest is refused by name, and `check` exits with 2.

use std::path::Path;
use std::process::Command;

use trunkline_tests::process::from_environment;
use trunkline_tests::signing::{digest, sign};

/// A component that exports nothing of ours and imports nothing.
const STRANGER: &[u8] = b"\0asm\x0d\0\x01\0";
const SCHEMA: &[u8] = b"{}";

fn manifest(name: &str, world: &str, component: &str) -> String {
    let schema = digest(SCHEMA);
    format!(
        "name = \"{name}\"\nversion = \"0.1.0\"\nworld = \"{world}\"\nlicense = \"Apache-2.0\"\ndescription = \"\"\nsha256 = \"{component}\"\n[settings]\nschema = \"settings.schema.json\"\nsha256 = \"{schema}\"\n[limits]\nmemory_mib = 16\ndeadline_ms = 50\nheavy = false\n[capabilities]\nhosts = []\nsecrets = []\nactions = []\n"
    )
}

fn install(folder: &Path, manifest: &str, component: &[u8]) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("plugin.toml"), manifest).unwrap();
    std::fs::write(folder.join("plugin.wasm"), component).unwrap();
    std::fs::write(folder.join("settings.schema.json"), SCHEMA).unwrap();
    sign(folder).unwrap();
}

/// What `trunkline check` says of a folder with one plugin.
fn check(manifest: &str, component: &[u8]) -> (Option<i32>, String) {
    let scratch = tempfile::tempdir().unwrap();
    install(&scratch.path().join("plugins/suspect"), manifest, component);
    std::fs::write(scratch.path().join("trunkline.toml"), "").unwrap();
    let output = Command::new(from_environment("TRUNKLINE_BIN").unwrap())
        .arg("--config")
        .arg(scratch.path().join("trunkline.toml"))
        .env("TRUNKLINE_GATEWAY__STATE_DIR", scratch.path())
        .env("TRUNKLINE_PLUGINS__DIR", scratch.path().join("plugins"))
        .env("TRUNKLINE_PLUGINS__TRUSTED_KEYS_DIR", from_environment("TRUNKLINE_TRUSTED_KEYS").unwrap())
        .arg("check")
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_component_of_another_world_is_refused_by_the_export_it_lacks() {
    let (code, said) = check(&manifest("suspect", "llm-provider@0.1", &digest(STRANGER)), STRANGER);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("llm-provider") && said.contains("does not export"), "{said}");
}

#[test]
fn an_unknown_world_a_changed_component_and_a_bad_manifest_are_named() {
    let (code, said) = check(&manifest("suspect", "time-machine@0.1", &digest(STRANGER)), STRANGER);
    assert!(code == Some(2) && said.contains("time-machine"), "{said}");
    let (code, said) = check(&manifest("suspect", "llm-provider@0.1", &"0".repeat(64)), STRANGER);
    assert!(code == Some(2) && said.contains("SHA-256"), "{said}");
    let (code, said) = check("name = 7\n", STRANGER);
    assert!(code == Some(2) && said.contains("bad manifest"), "{said}");
}

#[test]
fn a_forbidden_import_is_refused_by_its_name() {
    let component = wat::parse_str(
        r#"(component
            (import "evil:host/socket" (instance (export "connect" (func (param "port" u32)))))
            (instance $nothing)
            (export "trunkline:plugin/lifecycle@0.1.0" (instance $nothing))
            (export "trunkline:plugin/llm@0.1.0" (instance $nothing)))"#,
    )
    .unwrap();
    let (code, said) = check(&manifest("suspect", "llm-provider@0.1", &digest(&component)), &component);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("evil:host/socket"), "{said}");
}
