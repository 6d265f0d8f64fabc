//! What is refused at load, and by which name.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod crafted;

use std::fs;

use crafted::{Bench, Model, folder, model, polite, request, start, text_of, with_schema};
use trunkline_plugin_host::{Compiled, LoadError, PluginRegistry, SessionError};

#[test]
fn a_component_of_another_world_is_refused_with_what_is_missing() {
    let bench = Bench::new(|_| {});
    let error = bench.load("asr-provider", &model("llm-provider", &polite()), "").unwrap_err();
    assert!(
        matches!(&error, LoadError::WrongWorld { missing, .. } if missing == "trunkline:plugin/asr@0.1.0"),
        "{error}"
    );
}

#[test]
fn an_import_the_world_does_not_give_is_refused_by_name() {
    let bench = Bench::new(|_| {});
    let evil = Model {
        imports: r#"(import "evil:sockets/raw@1.0.0" "open" (func $open))"#.into(),
        start: "(call $open)".into(),
        ..polite()
    };
    let error = bench.load("llm-provider", &model("evil-provider", &evil), "").unwrap_err();
    assert!(
        matches!(&error, LoadError::ForbiddenImport { import, .. } if import == "evil:sockets/raw@1.0.0"),
        "{error}"
    );
}

#[test]
fn wasi_is_given_but_gives_nothing() {
    let bench = Bench::new(|_| {});
    let wasi = |start: &str| {
        let imports = r#"(import "wasi:cli/environment@0.2.6" "get-environment" (func $environment (param i32)))
                         (import "wasi:cli/exit@0.2.6" "exit" (func $exit (param i32)))"#;
        model("wasi-provider", &Model { imports: imports.into(), start: start.into(), ..polite() })
    };
    // An empty environment: the list's length must be 0.
    let look = "(i32.store (i32.const 204) (i32.const 9)) (call $environment (i32.const 200)) (if (i32.load (i32.const 204)) (then (unreachable)))";
    let plugin = bench.load("llm-provider", &wasi(look), "").unwrap();
    let (begin, wakes) = start();
    let mut session = plugin.llm(&serde_json::json!({}), &request(), begin).unwrap();
    assert_eq!(text_of(&mut session, &wakes).unwrap(), "hello");
    let plugin = bench.load("llm-provider", &wasi("(call $exit (i32.const 0))"), "").unwrap();
    let error = plugin.llm(&serde_json::json!({}), &request(), start().0).err().unwrap();
    assert!(matches!(&error, SessionError::Trapped { why, .. } if why.contains("wasi:cli/exit#exit")), "{error}");
}

#[test]
fn bad_manifests_wrong_digests_and_missing_files_are_refused_by_name() {
    let bench = Bench::new(|_| {});
    let dir = bench.dir.path().join("plugin");
    assert!(matches!(bench.host.load(&dir), Err(LoadError::Unreadable { .. })));
    folder(&dir, "llm-provider", &model("llm-provider", &polite()), "");
    let manifest = fs::read_to_string(dir.join("plugin.toml")).unwrap();
    let with = |from: &str, to: &str| {
        fs::write(dir.join("plugin.toml"), manifest.replace(from, to)).unwrap();
        bench.host.load(&dir).unwrap_err()
    };
    assert!(matches!(with("license", "licence"), LoadError::BadManifest { .. }));
    assert!(matches!(with("llm-provider@0.1", "llm-provider@9.0"), LoadError::UnknownWorld { .. }));
    assert!(matches!(
        with("memory_mib = 16", "memory_mib = 4000"),
        LoadError::TooDemanding { what: "limits.memory_mib", .. }
    ));
    assert!(matches!(
        with("deadline_ms = 50", "deadline_ms = 5000"),
        LoadError::TooDemanding { what: "limits.deadline_ms", .. }
    ));
    assert!(matches!(with("name = \"crafted\"", "name = \"other\""), LoadError::Misnamed { .. }));
    fs::write(dir.join("plugin.toml"), &manifest).unwrap();
    fs::write(dir.join("plugin.wasm"), b"\0asm something else").unwrap();
    assert!(matches!(bench.host.load(&dir), Err(LoadError::WrongDigest { .. })));
    let wasm = b"not wasm at all";
    folder(&dir, "llm-provider", wasm, "");
    assert!(matches!(bench.host.load(&dir), Err(LoadError::Compile(_))));
}

#[test]
fn a_plugin_whose_init_fails_never_replaces_the_one_in_service() {
    let bench = Bench::new(|_| {});
    let registry = PluginRegistry::new();
    registry.put(bench.model(&polite(), ""));
    let (begin, wakes) = start();
    let mut live = registry.get("crafted").unwrap().llm(&serde_json::json!({}), &request(), begin).unwrap();
    let failing = Model {
        data: r#"(data (i32.const 1200) "no licence here")"#.into(),
        init: "(i32.store8 (i32.const 96) (i32.const 1)) (i32.store (i32.const 100) (i32.const 1200)) (i32.store (i32.const 104) (i32.const 15))".into(),
        ..polite()
    };
    let error = bench.load("llm-provider", &model("llm-provider", &failing), "").unwrap_err();
    assert!(matches!(&error, LoadError::Init(why) if why.contains("no licence here")), "{error}");
    let newer = Model { data: r#"(data (i32.const 1100) "newer")"#.into(), ..polite() };
    let old = registry.put(bench.model(&newer, "")).unwrap();
    assert_eq!(text_of(&mut live, &wakes).unwrap(), "hello", "a live session keeps its version");
    drop(old);
    let (begin, wakes) = start();
    let mut next = registry.get("crafted").unwrap().llm(&serde_json::json!({}), &request(), begin).unwrap();
    assert_eq!(text_of(&mut next, &wakes).unwrap(), "newer");
    assert_eq!(registry.names(), ["crafted"]);
}

#[test]
fn compiled_code_is_used_again_and_damaged_code_is_made_again() {
    let bench = Bench::new(|_| {});
    let wasm = model("llm-provider", &polite());
    assert_eq!(bench.load("llm-provider", &wasm, "").unwrap().compiled(), Compiled::Fresh);
    assert_eq!(bench.load("llm-provider", &wasm, "").unwrap().compiled(), Compiled::Cached);
    let file = fs::read_dir(bench.dir.path().join("cache")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&file, bytes).unwrap();
    assert_eq!(bench.load("llm-provider", &wasm, "").unwrap().compiled(), Compiled::Fresh);
    assert_eq!(bench.load("llm-provider", &wasm, "").unwrap().compiled(), Compiled::Cached);
}

#[test]
fn settings_are_held_against_the_schema_with_the_place_of_each_problem() {
    let bench = Bench::new(|_| {});
    let dir = bench.dir.path().join("plugin");
    folder(&dir, "llm-provider", &model("llm-provider", &polite()), "");
    with_schema(&dir, r#"{"type":"object","properties":{"pace":{"type":"integer"}},"additionalProperties":false}"#);
    let plugin = bench.host.load(&dir).unwrap();
    assert!(plugin.check_settings(&serde_json::json!({"pace": 3})).is_ok());
    let error = plugin.llm(&serde_json::json!({"pace": "x"}), &request(), start().0).err().unwrap();
    assert!(matches!(&error, SessionError::Settings { why, .. } if why.contains("/pace")), "{error}");
    with_schema(&dir, r#"{"type": 7}"#);
    assert!(matches!(bench.host.load(&dir), Err(LoadError::BadSchema { .. })));
}
