//! A signature vouches for every file the host reads, and for nothing else.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod crafted;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crafted::{Bench, folder, model, polite, sign, with_schema};
use minisign::KeyPair;
use trunkline_plugin_host::LoadError;

fn key() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().unwrap()
}

/// A plugin with settings, signed by `by`, in the folder of a host that trusts `trusted`.
fn signed(by: &KeyPair, trusted: &[&KeyPair]) -> (Bench, PathBuf) {
    let bench = Bench::trusting(trusted);
    let dir = bench.dir.path().join("suspect");
    folder(&dir, "llm-provider", &model("llm-provider", &polite()), "");
    with_schema(&dir, r#"{"type":"object"}"#);
    sign(&dir, by);
    (bench, dir)
}

fn change(file: PathBuf, from: &str, to: &str) {
    let bytes = fs::read(&file).unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    fs::write(file, [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()).unwrap();
}

#[test]
fn a_plugin_signed_by_any_trusted_key_is_loaded() {
    let (ours, another) = (key(), key());
    let (bench, dir) = signed(&ours, &[&another, &ours]);
    assert_eq!(bench.host.load(&dir).unwrap().name(), "crafted");
}

#[test]
fn a_changed_component_manifest_or_schema_is_refused_by_its_name() {
    let ours = key();
    let (bench, dir) = signed(&ours, &[&ours]);
    change(dir.join("plugin.wasm"), "hello", "hallo");
    let error = bench.host.load(&dir).unwrap_err();
    assert!(matches!(&error, LoadError::WrongDigest { path, .. } if *path == dir.join("plugin.wasm")), "{error}");

    let (bench, dir) = signed(&ours, &[&ours]);
    change(dir.join("plugin.toml"), "deadline_ms = 50", "deadline_ms = 99");
    let error = bench.host.load(&dir).unwrap_err();
    assert!(matches!(&error, LoadError::BadSignature { plugin, .. } if plugin == "suspect"), "{error}");
    assert!(error.to_string().contains("plugin.toml"), "{error}");

    let (bench, dir) = signed(&ours, &[&ours]);
    change(dir.join("s.json"), "object", "string");
    let error = bench.host.load(&dir).unwrap_err();
    assert!(matches!(&error, LoadError::WrongDigest { path, .. } if *path == dir.join("s.json")), "{error}");
}

#[test]
fn a_manifest_is_not_even_parsed_before_its_signature_holds() {
    let ours = key();
    let (bench, dir) = signed(&ours, &[&ours]);
    fs::write(dir.join("plugin.toml"), "not = [toml").unwrap();
    assert!(matches!(bench.host.load(&dir), Err(LoadError::BadSignature { .. })));
}

#[test]
fn a_signature_by_another_key_is_refused_with_both_keys() {
    let (ours, another) = (key(), key());
    let (bench, dir) = signed(&another, &[&ours]);
    let error = bench.host.load(&dir).unwrap_err();
    let id = |key: &KeyPair| format!("{:016X}", u64::from_le_bytes(key.pk.keynum().try_into().unwrap()));
    let LoadError::UntrustedKey { plugin, key, trusted } = &error else { panic!("{error}") };
    assert_eq!((plugin.as_str(), key), ("suspect", &id(&another)));
    assert!(trusted.contains(&id(&ours)) && trusted.contains("key 0 of the test"), "{trusted}");
    // A key that only claims to be ours does not help.
    let mut forged = another;
    forged.sk = {
        let mut bytes = forged.sk.to_bytes();
        bytes[54..62].copy_from_slice(ours.pk.keynum());
        minisign::SecretKey::from_bytes(&bytes).unwrap()
    };
    let manifest = fs::read(dir.join("plugin.toml")).unwrap();
    let signature = minisign::sign(None, &forged.sk, &manifest[..], None, None).unwrap().into_string();
    fs::write(dir.join("plugin.toml.minisig"), signature).unwrap();
    assert!(matches!(bench.host.load(&dir), Err(LoadError::BadSignature { .. })));
}

#[test]
fn a_plugin_without_a_signature_needs_the_operators_word() {
    let ours = key();
    let (bench, dir) = signed(&ours, &[&ours]);
    fs::remove_file(dir.join("plugin.toml.minisig")).unwrap();
    assert!(matches!(bench.host.load(&dir), Err(LoadError::Unsigned { plugin, .. }) if plugin == "suspect"));
    let lenient = Bench::new(|config| config.allow_unsigned = true);
    assert!(lenient.host.load(&dir).is_ok());
    // The word is for plugins without a signature, not for those whose signature proves nothing.
    for wrong in ["", "untrusted comment: x\nnonsense"] {
        fs::write(dir.join("plugin.toml.minisig"), wrong).unwrap();
        assert!(matches!(lenient.host.load(&dir), Err(LoadError::BadSignature { .. })));
    }
    sign(&dir, &ours);
    assert!(matches!(lenient.host.load(&dir), Err(LoadError::UntrustedKey { trusted, .. }) if trusted == "none"));
}

#[test]
fn files_that_the_manifest_does_not_name_are_never_opened() {
    let ours = key();
    let (bench, dir) = signed(&ours, &[&ours]);
    // Reading either of these would wait for a writer that never comes.
    let pipe = |name: &str| {
        assert!(Command::new("mkfifo").arg(dir.join(name)).status().unwrap().success());
    };
    pipe("other.schema.json");
    pipe("plugin.cwasm");
    assert!(bench.host.load(&dir).is_ok());
    fs::remove_file(dir.join("s.json")).unwrap();
    pipe("s.json");
    let error = bench.host.load(&dir).unwrap_err();
    assert!(matches!(&error, LoadError::Unreadable { why, .. } if why.contains("regular file")), "{error}");
}
