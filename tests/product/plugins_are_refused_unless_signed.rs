//! A gateway loads what a trusted key signed, whole: a changed component, manifest or settings schema, another key or no
//! signature at all is refused by name, without anything being configured.

use std::path::{Path, PathBuf};
use std::process::Command;

use trunkline_tests::process::from_environment;
use trunkline_tests::signing::{sign, sign_as_a_stranger};

/// A shipped plugin, as it was built and signed, in a folder of the test's own.
struct Installed {
    scratch: tempfile::TempDir,
    plugin: PathBuf,
}

impl Installed {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let plugin = scratch.path().join("plugins/pii");
        std::fs::create_dir_all(&plugin).unwrap();
        let built = from_environment("TRUNKLINE_PLUGINS").unwrap().join("pii");
        for name in ["plugin.toml", "plugin.toml.minisig", "plugin.wasm", "settings.schema.json"] {
            std::fs::copy(built.join(name), plugin.join(name)).unwrap();
        }
        std::fs::write(scratch.path().join("trunkline.toml"), "").unwrap();
        Self { scratch, plugin }
    }

    /// `trunkline check` with the keys of a folder: its exit code and all that it said.
    fn check_trusting(&self, keys: &Path) -> (Option<i32>, String) {
        let output = Command::new(from_environment("TRUNKLINE_BIN").unwrap())
            .arg("--config")
            .arg(self.scratch.path().join("trunkline.toml"))
            .env("TRUNKLINE_GATEWAY__STATE_DIR", self.scratch.path().join("state"))
            .env("TRUNKLINE_PLUGINS__DIR", self.scratch.path().join("plugins"))
            .env("TRUNKLINE_PLUGINS__TRUSTED_KEYS_DIR", keys)
            .arg("check")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    fn check(&self) -> (Option<i32>, String) {
        self.check_trusting(&from_environment("TRUNKLINE_TRUSTED_KEYS").unwrap())
    }

    /// Refused with exit code 2, the plugin's folder, and every one of these words.
    fn is_refused_naming(&self, words: &[&str]) {
        let (code, said) = self.check();
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(self.plugin.to_str().unwrap()), "{said}");
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
    }

    fn change(&self, file: &str, from: &str, to: &str) {
        let path = self.plugin.join(file);
        let bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        std::fs::write(path, [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()).unwrap();
    }
}

#[test]
fn a_plugin_as_it_was_built_is_loaded() {
    let (code, said) = Installed::new().check();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 plugin"), "{said}");
}

#[test]
fn a_changed_component_manifest_or_settings_schema_is_refused_by_name() {
    let component = Installed::new();
    let mut bytes = std::fs::read(component.plugin.join("plugin.wasm")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(component.plugin.join("plugin.wasm"), bytes).unwrap();
    component.is_refused_naming(&["plugin.wasm is not the file its manifest names", "SHA-256"]);

    let manifest = Installed::new();
    manifest.change("plugin.toml", "heavy = false", "heavy = true");
    manifest.is_refused_naming(&["the signature of plugin pii does not fit its plugin.toml"]);

    let schema = Installed::new();
    schema.change("settings.schema.json", "{", " {");
    schema.is_refused_naming(&["settings.schema.json is not the file its manifest names", "SHA-256"]);
    // Nor may whoever changes the schema adjust the manifest to it.
    let digest = trunkline_tests::signing::digest(&std::fs::read(schema.plugin.join("settings.schema.json")).unwrap());
    let manifest = std::fs::read_to_string(schema.plugin.join("plugin.toml")).unwrap();
    let (before, after) = manifest.split_once("[settings]").unwrap();
    let old = after.split('"').find(|part| part.len() == 64).unwrap();
    std::fs::write(schema.plugin.join("plugin.toml"), format!("{before}[settings]{}", after.replace(old, &digest)))
        .unwrap();
    schema.is_refused_naming(&["the signature of plugin pii does not fit its plugin.toml"]);
    sign(&schema.plugin).unwrap();
    assert_eq!(schema.check().0, Some(0), "signed again by a trusted key, the changed plugin is its maker's");
}

#[test]
fn a_plugin_signed_with_another_key_is_refused_until_that_key_is_trusted() {
    let installed = Installed::new();
    let public = sign_as_a_stranger(&installed.plugin).unwrap();
    let id = public.lines().next().unwrap().rsplit(' ').next().unwrap();
    installed.is_refused_naming(&["plugin pii is signed with key", id, "development.pub"]);
    let keys = installed.scratch.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    std::fs::write(keys.join("theirs.pub"), public).unwrap();
    assert_eq!(installed.check_trusting(&keys).0, Some(0));
}

#[test]
fn a_plugin_without_a_signature_is_refused_by_default() {
    let installed = Installed::new();
    std::fs::remove_file(installed.plugin.join("plugin.toml.minisig")).unwrap();
    installed.is_refused_naming(&["plugin pii is not signed", "plugin.toml.minisig"]);
}

#[test]
fn a_trusted_key_that_is_none_is_named_with_its_path() {
    let installed = Installed::new();
    let keys = installed.scratch.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    std::fs::write(keys.join("vendor.pub"), "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n").unwrap();
    let (code, said) = installed.check_trusting(&keys);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(keys.join("vendor.pub").to_str().unwrap()) && said.contains("minisign"), "{said}");
    let missing = installed.scratch.path().join("nowhere");
    let (code, said) = installed.check_trusting(&missing);
    assert!(code == Some(2) && said.contains(missing.to_str().unwrap()), "{said}");
}
