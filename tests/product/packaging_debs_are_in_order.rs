//! The Debian packages are accepted by lintian with every exception explained, signed, the same bytes whenever they are
//! made from the same files, and say what is in them.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use trunkline_tests::packages;

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}:\n{said}", output.status);
    said
}

#[test]
fn lintian_finds_nothing_that_is_not_explained() {
    let debs = packages::files(&packages::made("deb", 1).unwrap(), ".deb").unwrap();
    assert_eq!(debs.len(), 4, "{debs:?}");
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0"]);
    let said = output(lintian.args(&debs));
    println!("{said}");
    for overrides in ["trunkline", "trunkline-control-plane"] {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../packaging/deb/{overrides}.lintian-overrides"));
        let text = std::fs::read_to_string(file).unwrap();
        let explained = text.lines().collect::<Vec<_>>();
        for pair in explained.windows(2) {
            assert!(
                pair[1].starts_with('#') || pair[1].is_empty() || pair[0].starts_with('#') || !pair[0].is_empty(),
                "{}: an exception without its reason",
                pair[1]
            );
        }
    }
}

#[test]
fn made_again_they_are_the_same_bytes_and_signed_with_the_key_they_install() {
    let first = packages::made("deb", 1).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let again = scratch.path().join("again");
    packages::make("deb", 1, &again).unwrap();
    let key = scratch.path().join("trunkline");
    for deb in packages::files(&first, ".deb").unwrap() {
        let name = deb.file_name().unwrap();
        assert_eq!(
            output(Command::new("sha256sum").arg(&deb)).split(' ').next(),
            output(Command::new("sha256sum").arg(again.join(name))).split(' ').next(),
            "{name:?} differs from run to run"
        );
        if name.to_string_lossy().starts_with("trunkline_") {
            output(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&key));
        }
    }
    let public = key.join("usr/lib/trunkline/trusted-keys/trunkline.pub");
    for deb in packages::files(&first, ".deb").unwrap() {
        output(Command::new("minisign").arg("-Vm").arg(&deb).arg("-p").arg(&public));
    }
    // A changed package is not one that was signed.
    let deb = &packages::files(&again, ".deb").unwrap()[0];
    let mut bytes = std::fs::read(deb).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(deb, bytes).unwrap();
    let refused = Command::new("minisign").arg("-Vm").arg(deb).arg("-p").arg(&public).output().unwrap();
    assert!(!refused.status.success());
}

#[test]
fn they_name_what_they_contain_and_carry_no_machine_code_of_plugins() {
    let scratch = tempfile::tempdir().unwrap();
    for deb in packages::files(&packages::made("deb", 1).unwrap(), ".deb").unwrap() {
        let name = deb.file_name().unwrap().to_string_lossy().split('_').next().unwrap().to_owned();
        let root = scratch.path().join(&name);
        output(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&root));
        let doc = root.join("usr/share/doc").join(&name);
        let bill: Value = serde_json::from_slice(&std::fs::read(doc.join("sbom.cdx.json")).unwrap()).unwrap();
        assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
        let components = bill["components"].as_array().unwrap();
        assert!(components.len() > 5, "{name}: {} components", components.len());
        let expected = if name == "trunkline-plugin-espeak" { "GPL-3.0-or-later" } else { "Apache-2.0" };
        assert_eq!(bill["metadata"]["component"]["licenses"][0]["expression"], expected);
        let copyright = std::fs::read_to_string(doc.join("copyright")).unwrap();
        assert!(copyright.contains(&format!("SPDX-License-Identifier: {expected}")), "{copyright}");
        for component in components.iter().filter(|component| component["hashes"].is_array()) {
            let (crate_name, version) = (component["name"].as_str().unwrap(), component["version"].as_str().unwrap());
            assert!(copyright.contains(&format!("{crate_name} {version}: ")), "{name}: {crate_name} {version}");
        }
        let files = output(Command::new("find").arg(&root).args(["-type", "f"]));
        for file in files.lines().filter(|file| file.contains("/plugins/")) {
            let allowed = ["plugin.toml", "plugin.toml.minisig", "plugin.wasm", "settings.schema.json"];
            assert!(allowed.iter().any(|name| file.ends_with(&format!("/{name}"))), "{file}");
        }
        let espeak = files.contains("/plugins/espeak/");
        assert_eq!(espeak, name == "trunkline-plugin-espeak", "{name}");
    }
}
