//! Builds the plugins that ship: every folder with a `plugin.toml` becomes `<target>/plugins/<name>/` with the
//! component, its manifest (the SHA-256 of both other files filled in), the schema of its settings, and the manifest's
//! signature by this target directory's development key, so that it vouches for all three.
//!
//! A folder with a `Cargo.toml` is a member of the guests' workspace and is built by cargo. A folder with a `build.sh`
//! brings its own step, called as `build.sh OUT_DIR CACHE_DIR`; it leaves `plugin.wasm` in OUT_DIR and is run again
//! only when a file of its folder changed.

mod component;
mod signing;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::toolchain_wasm::{TARGET, WasmToolchain};
use crate::{progress, shell};

pub(crate) use signing::{SigningKey, sign, trusted_dir};

const KINDS: [&str; 4] = ["providers", "redactors", "tools", "conformance"];
const EMPTY_DIGEST: &str = "sha256 = \"\"";

/// What to build and where.
#[derive(Debug, Clone)]
pub(crate) struct BuildOptions {
    /// The repository.
    pub(crate) root: PathBuf,
    /// Cargo's target directory; the result goes to `plugins/` in it.
    pub(crate) target_dir: PathBuf,
    /// Names of the plugins to build; empty means all.
    pub(crate) only: Vec<String>,
}

impl Default for BuildOptions {
    /// All plugins of this repository, into `CARGO_TARGET_DIR` or `$HOME/.cache/trunkline-target`.
    fn default() -> Self {
        Self { root: shell::root(), target_dir: shell::target_dir(), only: Vec::new() }
    }
}

/// A plugin as it can be installed.
#[derive(Debug, Clone)]
pub(crate) struct BuiltPlugin {
    /// The manifest's name.
    pub(crate) name: String,
    /// The folder with `plugin.wasm`, `plugin.toml` and the settings' schema.
    pub(crate) folder: PathBuf,
}

/// Builds and signs the plugins and returns their folders, sorted by name; `say` is told what is being done.
///
/// # Errors
/// When a tool is missing, a plugin does not compile, or a component asks for more than the contract offers.
pub(crate) fn build(opts: &BuildOptions, say: &dyn Fn(&str)) -> Result<Vec<BuiltPlugin>> {
    let sources = find_sources(&opts.root.join("plugins"), &opts.only)?;
    let cache = shell::home().join(".cache/trunkline");
    let toolchain = WasmToolchain::find(&cache, say)?;
    let crates: Vec<&str> = sources.iter().filter_map(|source| source.package.as_deref()).collect();
    let guests = opts.target_dir.join("guests");
    if !crates.is_empty() {
        say(&format!("building {} plugins with {}", crates.len(), toolchain.origin));
        let mut cargo = toolchain.cargo();
        cargo
            .args(["build", "--release", "--locked", "--quiet", "--target", TARGET])
            .current_dir(opts.root.join("plugins"))
            .env("CARGO_TARGET_DIR", &guests);
        for name in &crates {
            cargo.args(["--package", name]);
        }
        run(&mut cargo).context("the guests' workspace did not build")?;
    }
    let modules = guests.join(TARGET).join("release");
    let key = SigningKey::development(&opts.target_dir).context("the development key")?;
    let mut built = Vec::new();
    for source in &sources {
        let made = match &source.package {
            Some(package) => modules.join(format!("{}.wasm", package.replace('-', "_"))),
            None => own_step(source, opts, &cache, &toolchain, say)?,
        };
        let plugin = install(source, &made, opts, &key)
            .with_context(|| format!("plugin {} in {}", source.manifest.name, source.folder.display()))?;
        built.push(plugin);
    }
    Ok(built)
}

/// Copies built plugins, only the files that their manifests name, to `out` and signs the copies with another key.
///
/// # Errors
/// When a file cannot be copied or a manifest names another one.
pub(crate) fn export(built: &[BuiltPlugin], out: &Path, key: &SigningKey) -> Result<()> {
    for plugin in built {
        let folder = out.join(&plugin.name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let manifest: Manifest = toml::from_str(&fs::read_to_string(plugin.folder.join("plugin.toml"))?)?;
        for name in ["plugin.toml", "plugin.wasm", &manifest.settings.schema] {
            fs::copy(plugin.folder.join(name), folder.join(name))
                .with_context(|| format!("copying {name} to {}", folder.display()))?;
        }
    }
    sign(out, key)
}

/// The manifest's fields, so that a misspelt one is found here and not at the operator's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the gateway; here only its presence and spelling count")]
struct Manifest {
    name: String,
    version: String,
    world: String,
    license: String,
    sha256: String,
    description: String,
    capabilities: Capabilities,
    limits: Limits,
    settings: Settings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the gateway; here only its presence and spelling count")]
struct Capabilities {
    hosts: Vec<String>,
    secrets: Vec<Secret>,
    actions: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the gateway; here only its presence and spelling count")]
struct Secret {
    name: String,
    hosts: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read by the gateway; here only its presence and spelling count")]
struct Limits {
    memory_mib: u32,
    deadline_ms: u32,
    heavy: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    schema: String,
    sha256: String,
}

struct Source {
    folder: PathBuf,
    manifest: Manifest,
    /// The crate of the guests' workspace, unless the folder brings its own step.
    package: Option<String>,
}

fn find_sources(plugins: &Path, only: &[String]) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for kind in KINDS {
        let Ok(entries) = fs::read_dir(plugins.join(kind)) else {
            continue;
        };
        for entry in entries {
            let folder = entry?.path();
            let file = folder.join("plugin.toml");
            if !file.exists() {
                continue;
            }
            let text = fs::read_to_string(&file)?;
            let manifest: Manifest = toml::from_str(&text).with_context(|| format!("{}", file.display()))?;
            let package = match (folder.join("build.sh").exists(), folder.join("Cargo.toml").exists()) {
                (true, _) => None,
                (false, true) => Some(package_name(&folder.join("Cargo.toml"))?),
                (false, false) => {
                    progress::say(&format!("skipping {}: it has no Cargo.toml and no build.sh", folder.display()));
                    continue;
                }
            };
            sources.push(Source { folder, manifest, package });
        }
    }
    if let Some(name) = only.iter().find(|name| sources.iter().all(|source| source.manifest.name != **name)) {
        bail!("no plugin of the name {name}");
    }
    sources.retain(|source| only.is_empty() || only.contains(&source.manifest.name));
    sources.sort_by(|a, b| a.manifest.name.cmp(&b.manifest.name));
    Ok(sources)
}

fn package_name(file: &Path) -> Result<String> {
    #[derive(Deserialize)]
    struct Cargo {
        package: Package,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
    }
    let text = fs::read_to_string(file)?;
    let cargo: Cargo = toml::from_str(&text).with_context(|| format!("{}", file.display()))?;
    Ok(cargo.package.name)
}

/// Runs a folder's own build step unless nothing changed since it last succeeded.
fn own_step(
    source: &Source,
    opts: &BuildOptions,
    cache: &Path,
    toolchain: &WasmToolchain,
    say: &dyn Fn(&str),
) -> Result<PathBuf> {
    let out = opts.target_dir.join("plugins-made").join(&source.manifest.name);
    let (made, stamp) = (out.join("plugin.wasm"), out.join("inputs.sha256"));
    let inputs = folder_digest(&source.folder)?;
    if made.exists() && fs::read_to_string(&stamp).is_ok_and(|known| known == inputs) {
        return Ok(made);
    }
    say(&format!("building {} with its own step", source.manifest.name));
    fs::create_dir_all(&out)?;
    let _ = fs::remove_file(&stamp);
    let mut step = Command::new("bash");
    step.arg(source.folder.join("build.sh")).arg(&out).arg(cache).current_dir(&source.folder);
    step.envs(toolchain.environment())
        .env("CARGO_TARGET_DIR", opts.target_dir.join("guests"))
        .env_remove("RUSTUP_TOOLCHAIN");
    run(&mut step).with_context(|| format!("the build step of plugin {}", source.manifest.name))?;
    ensure!(
        made.exists(),
        "the build step of plugin {} left no plugin.wasm in {}",
        source.manifest.name,
        out.display()
    );
    fs::write(&stamp, inputs)?;
    Ok(made)
}

/// One digest over the names and contents of a folder's files, in order.
fn folder_digest(folder: &Path) -> Result<String> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "target") {
                    collect(&path, files)?;
                }
            } else {
                files.push(path);
            }
        }
        Ok(())
    }
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        digest.update(file.to_string_lossy().as_bytes());
        digest.update([0]);
        digest.update(Sha256::digest(fs::read(&file)?));
    }
    Ok(hex(&digest.finalize()))
}

fn install(source: &Source, made: &Path, opts: &BuildOptions, key: &SigningKey) -> Result<BuiltPlugin> {
    let manifest = &source.manifest;
    let component = fs::read(made).with_context(|| format!("{} was not built", made.display()))?;
    for import in component::imports(&component)? {
        ensure!(
            import.starts_with("trunkline:plugin/"),
            "the component imports {import}; a plugin may import only trunkline:plugin/*"
        );
    }
    let schema = fs::read(source.folder.join(&manifest.settings.schema))
        .with_context(|| format!("the manifest names the schema {}", manifest.settings.schema))?;
    serde_json::from_slice::<serde_json::Value>(&schema)
        .with_context(|| format!("{} is not JSON", manifest.settings.schema))?;
    let text = fs::read_to_string(source.folder.join("plugin.toml"))?;
    let text = filled_in(&text, &hex_digest(&component), &hex_digest(&schema))?;
    let folder = opts.target_dir.join("plugins").join(&manifest.name);
    fs::create_dir_all(&folder)?;
    let changed = [
        write_if_changed(&folder.join("plugin.wasm"), &component)?,
        write_if_changed(&folder.join(&manifest.settings.schema), &schema)?,
        write_if_changed(&folder.join("plugin.toml"), text.as_bytes())?,
    ];
    signing::sign_plugin(&folder, key)?;
    if changed.contains(&true) {
        let (name, version, world) = (&manifest.name, &manifest.version, &manifest.world);
        progress::say(&format!("  {name} {version} ({world}), {} KiB", component.len() / 1024));
    }
    Ok(BuiltPlugin { name: manifest.name.clone(), folder })
}

/// The manifest with its two digests: the component's above every table, the schema's under `[settings]`.
fn filled_in(text: &str, component: &str, schema: &str) -> Result<String> {
    let (mut table, mut filled) = ("", Vec::new());
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            table = line;
        }
        let digest = match table {
            "" => component,
            "[settings]" => schema,
            _ => "",
        };
        if line == EMPTY_DIGEST && !digest.is_empty() {
            filled.push(table);
            lines.push(format!("sha256 = \"{digest}\""));
        } else {
            lines.push(line.to_owned());
        }
    }
    ensure!(
        filled == ["", "[settings]"],
        "plugin.toml must hold the line `{EMPTY_DIGEST}` once above every table and once under [settings]; the build \
         fills both in"
    );
    Ok(lines.join("\n") + "\n")
}

/// Leaves an identical file alone, so that nothing downstream is compiled again; a running host that has the old file
/// open keeps it, because the new one takes its place by renaming.
fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|known| known == bytes) {
        return Ok(false);
    }
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    fs::write(&fresh, bytes)?;
    fs::rename(&fresh, path)?;
    Ok(true)
}

fn hex_digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot start {name}"))?;
    ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
mod tests {
    use super::*;

    #[test]
    fn both_digests_of_a_manifest_are_filled_in_each_in_its_place() {
        let text = "name = \"x\"\nsha256 = \"\"\n[limits]\nheavy = false\n[settings]\nschema = \"s\"\nsha256 = \"\"\n";
        let filled = filled_in(text, "aa", "bb").unwrap();
        assert!(filled.contains("name = \"x\"\nsha256 = \"aa\"\n[limits]"), "{filled}");
        assert!(filled.ends_with("schema = \"s\"\nsha256 = \"bb\"\n"), "{filled}");
        for wrong in [text.replacen("sha256", "sha", 1), text.replace("[settings]", "[other]"), format!("{text}{text}")]
        {
            assert!(filled_in(&wrong, "aa", "bb").is_err(), "{wrong}");
        }
    }
}
