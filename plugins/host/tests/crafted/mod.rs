//! Guests written by hand: a core module in WAT becomes a component of a world of the contract, so that the host can be
//! tested against any behaviour without a toolchain for guests.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use sha2::{Digest, Sha256};
use trunkline_plugin_host::*;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Packages some guests import from, beside the contract.
const FOREIGN: [&str; 2] = [
    "package evil:sockets@1.0.0; interface raw { open: func(); }
     world evil-provider { include trunkline:plugin/llm-provider@0.1.0; import raw; }",
    "package wasi:cli@0.2.6; interface environment { get-environment: func() -> list<tuple<string, string>>; }
     interface exit { exit: func(ok: bool); }
     world wasi-provider { include trunkline:plugin/llm-provider@0.1.0; import environment; import exit; }",
];

/// The component of a core module in WAT.
pub fn component(world: &str, core: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/0.1.0");
    let mut packages = vec![resolve.push_path(wit).unwrap().0];
    for package in FOREIGN {
        packages.push(resolve.push_str("foreign.wit", package).unwrap());
    }
    let found = packages.iter().find_map(|package| resolve.select_world(&[*package], Some(world)).ok());
    let mut module = wat::parse_str(core).unwrap_or_else(|error| panic!("{error}"));
    embed_component_metadata(&mut module, &resolve, found.unwrap(), StringEncoding::UTF8, false).unwrap();
    let mut encoder = ComponentEncoder::default();
    let encoder = encoder.validate(true).module(&module);
    encoder.and_then(|encoder| encoder.encode()).unwrap_or_else(|error| panic!("{error:#}"))
}

/// What a crafted model does where.
#[derive(Default, Clone)]
pub struct Model {
    pub imports: String,
    pub data: String,
    pub functions: String,
    pub init: String,
    pub start: String,
    /// Must leave the pointer of an answer; `$kind $id $what $p0..$p8 $credit` are its parameters.
    pub event: String,
    /// The same, with `$credit`.
    pub resume: String,
    pub cancel: String,
}

/// The component of a crafted language model. Helpers: `$answer count again`, `$text index ptr len`, `$finish index`.
pub fn model(world: &str, model: &Model) -> Vec<u8> {
    let Model { imports, data, functions, init, start, event, resume, cancel } = model;
    let or = |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
    let event = or(event, "(call $answer (i32.const 0) (i32.const 0))");
    let resume = or(resume, "(call $answer (i32.const 0) (i32.const 0))");
    component(
        world,
        &format!(
            r#"(module
  (import "[export]trunkline:plugin/llm@0.1.0" "[resource-new]generation" (func $new (param i32) (result i32)))
  {imports}
  (memory (export "memory") 2)
  (global $heap (mut i32) (i32.const 65536))
  (global $word (mut i32) (i32.const 0))
  (global $word_len (mut i32) (i32.const 0))
  (data (i32.const 1024) "crafted") (data (i32.const 1040) "0.1.0")
  {data}
  {functions}
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    (block $fits (loop $grow
      (br_if $fits (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
      (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))
      (br $grow)))
    (local.get $at))
  (func $answer (param $count i32) (param $again i32) (result i32)
    (i32.store8 (i32.const 160) (i32.const 0))
    (i32.store offset=4 (i32.const 160) (i32.const 4096))
    (i32.store offset=8 (i32.const 160) (local.get $count))
    (i32.store8 offset=12 (i32.const 160) (local.get $again))
    (i32.const 160))
  (func $slot (param $index i32) (result i32) (i32.add (i32.const 4096) (i32.mul (local.get $index) (i32.const 104))))
  (func $text (param $index i32) (param $ptr i32) (param $len i32)
    (i32.store8 (call $slot (local.get $index)) (i32.const 1))
    (i32.store offset=8 (call $slot (local.get $index)) (local.get $ptr))
    (i32.store offset=12 (call $slot (local.get $index)) (local.get $len)))
  (func $finish (param $index i32)
    (i32.store8 (call $slot (local.get $index)) (i32.const 4))
    (i32.store8 offset=8 (call $slot (local.get $index)) (i32.const 0)))
  (func (export "trunkline:plugin/lifecycle@0.1.0#describe") (result i32)
    (i32.store (i32.const 64) (i32.const 1024)) (i32.store (i32.const 68) (i32.const 7))
    (i32.store (i32.const 72) (i32.const 1040)) (i32.store (i32.const 76) (i32.const 5))
    (i32.const 64))
  (func (export "trunkline:plugin/lifecycle@0.1.0#init") (result i32)
    (i32.store8 (i32.const 96) (i32.const 0))
    {init}
    (i32.const 96))
  (func (export "trunkline:plugin/llm@0.1.0#[static]generation.start") (param i32 i32 i32 i32 i32 i32 i32 f32) (result i32)
    {start}
    (i32.store8 (i32.const 128) (i32.const 0))
    (i32.store (i32.const 132) (call $new (i32.const 1)))
    (i32.const 128))
  (func (export "trunkline:plugin/llm@0.1.0#[method]generation.on-event")
    (param $self i32) (param $kind i32) (param $id i32) (param $what i32)
    (param $p0 i32) (param $p1 i32) (param $p2 i32) (param $p3 i32) (param $p4 i32)
    (param $p5 i32) (param $p6 i32) (param $p7 i32) (param $p8 i32) (param $credit i32) (result i32)
    {event})
  (func (export "trunkline:plugin/llm@0.1.0#[method]generation.resume") (param $self i32) (param $credit i32) (result i32)
    {resume})
  (func (export "trunkline:plugin/llm@0.1.0#[method]generation.cancel") (param $self i32) (param $credit i32) (result i32)
    {cancel}
    (call $answer (i32.const 0) (i32.const 0)))
)"#
        ),
    )
}

/// A model that says "hello" and ends.
pub fn polite() -> Model {
    Model {
        data: r#"(data (i32.const 1100) "hello")"#.to_owned(),
        resume: "(call $text (i32.const 0) (i32.const 1100) (i32.const 5)) (call $finish (i32.const 1)) (call $answer (i32.const 2) (i32.const 0))".to_owned(),
        ..Model::default()
    }
}

/// Writes a plugin folder; `extra` goes under `[capabilities]`.
pub fn folder(dir: &Path, world: &str, wasm: &[u8], extra: &str) {
    let digest: String = Sha256::digest(wasm).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("plugin.wasm"), wasm).unwrap();
    let manifest = format!(
        "name = \"crafted\"\nversion = \"0.1.0\"\nworld = \"{world}@0.1\"\nlicense = \"Apache-2.0\"\nsha256 = \"{digest}\"\n[capabilities]\n{extra}\n[limits]\nmemory_mib = 16\ndeadline_ms = 50\n"
    );
    fs::write(dir.join("plugin.toml"), manifest).unwrap();
}

/// Gives the plugin of a folder a settings schema, and its manifest the schema's digest.
pub fn with_schema(dir: &Path, schema: &str) {
    let digest: String = Sha256::digest(schema).iter().map(|byte| format!("{byte:02x}")).collect();
    let manifest = fs::read_to_string(dir.join("plugin.toml")).unwrap();
    let manifest = manifest.split("[settings]").next().unwrap();
    let settings = format!("[settings]\nschema = \"s.json\"\nsha256 = \"{digest}\"\n");
    fs::write(dir.join("plugin.toml"), format!("{manifest}{settings}")).unwrap();
    fs::write(dir.join("s.json"), schema).unwrap();
}

/// Signs the manifest of a folder as `minisign -S` does.
pub fn sign(dir: &Path, key: &minisign::KeyPair) {
    let manifest = fs::read(dir.join("plugin.toml")).unwrap();
    let signature = minisign::sign(Some(&key.pk), &key.sk, &manifest[..], None, None).unwrap();
    fs::write(dir.join("plugin.toml.minisig"), signature.into_string()).unwrap();
}

/// A host of its own, with everything it needs.
pub struct Bench {
    pub host: PluginHost,
    pub runtime: tokio::runtime::Runtime,
    pub dir: tempfile::TempDir,
}

impl Bench {
    /// A host that loads only what one of these keys signed.
    pub fn trusting(keys: &[&minisign::KeyPair]) -> Self {
        Self::new(|config| {
            config.allow_unsigned = false;
            for (index, key) in keys.iter().enumerate() {
                config.trusted_keys.add(&key.pk.to_base64(), &format!("key {index} of the test")).unwrap();
            }
        })
    }

    pub fn new(adjust: impl FnOnce(&mut HostConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut config = HostConfig::new(dir.path().join("cache"), runtime.handle().clone());
        config.allow_unsigned = true;
        config.limits.media_sessions = 16;
        config.limits.heavy_sessions = 4;
        adjust(&mut config);
        Self { host: PluginHost::new(config).unwrap(), runtime, dir }
    }

    /// Loads a component as a plugin of a world.
    pub fn load(&self, world: &str, wasm: &[u8], extra: &str) -> Result<Arc<Plugin>, LoadError> {
        let dir = self.dir.path().join("plugin");
        folder(&dir, world, wasm, extra);
        self.host.load(&dir)
    }

    pub fn model(&self, crafted: &Model, extra: &str) -> Arc<Plugin> {
        self.load("llm-provider", &model("llm-provider", crafted), extra).unwrap_or_else(|error| panic!("{error}"))
    }
}

pub fn request() -> LlmRequest {
    LlmRequest {
        messages: vec![Message { role: Role::User, content: vec![Content::Text("hi".to_owned())] }],
        tools: Vec::new(),
        max_tokens: None,
        temperature: None,
    }
}

/// A start whose wakes can be waited for.
pub fn start() -> (SessionStart, mpsc::Receiver<()>) {
    let (sender, wakes) = mpsc::channel();
    (
        SessionStart::new(
            7,
            0,
            Arc::new(move || {
                sender.send(()).ok();
            }),
        ),
        wakes,
    )
}

/// Runs a generation to its end, waiting for wakes, and gives its text.
pub fn text_of(session: &mut LlmSession, wakes: &mpsc::Receiver<()>) -> Result<String, SessionError> {
    let mut text = String::new();
    loop {
        session.handle_wake(0)?;
        while let Some(event) = session.poll_event() {
            match event {
                LlmEvent::TextDelta(delta) => text.push_str(&delta),
                LlmEvent::Finished(_) => return Ok(text),
                LlmEvent::Failed(error) => return Err(SessionError::Provider(error)),
                _ => {}
            }
        }
        if !session.wants_step() {
            wakes.recv_timeout(std::time::Duration::from_secs(20)).expect("something must happen");
        }
    }
}
