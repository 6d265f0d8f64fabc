//! Why this exists: the noise suppressor's network is the one of the locked `nnnoiseless` crate, whose weights that
//! crate keeps to itself. They are copied from its source at build time, checked by their hash, and never committed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use sha2::{Digest, Sha256};

/// The crate and version that Cargo.lock names.
const CRATE: &str = "nnnoiseless";
const VERSION: &str = "0.5.2";
/// SHA-256 of its `src/weights.rnn`.
const WEIGHTS: &str = "e6de5fbfadf7ec91d1b24d6a6ccfd0290cb4d8bf555c5eab3ce41506f67a58b1";
/// Where to look first: the unpacked crate, for builds with a layout of their own.
const OVERRIDE: &str = "TRUNKLINE_NNNOISELESS_DIR";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={OVERRIDE}");
    if let Err(problem) = copy() {
        println!("cargo::error={problem}");
    }
}

fn copy() -> Result<(), String> {
    let source = find()?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?);
    let read = |name: &str| {
        let path = source.join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    let weights = read("src/weights.rnn")?;
    let found = sha256(&weights);
    if found != WEIGHTS {
        return Err(format!(
            "{}/src/weights.rnn has SHA-256 {found}, not {WEIGHTS}: fetch {CRATE} {VERSION} anew, or, after an upgrade \
             whose network was evaluated, put its hash into dsp/build.rs",
            source.display()
        ));
    }
    let write = |name: &str, bytes: &[u8]| {
        let path = out.join(name);
        fs::write(&path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    write("weights.rnn", &weights)?;
    write("weights.licence.txt", &read("COPYING")?)
}

/// The crate's unpacked source: the folder named by the environment, a vendored copy, cargo's registry, and at last
/// whatever cargo itself says.
fn find() -> Result<PathBuf, String> {
    if let Some(folder) = env::var_os(OVERRIDE) {
        return Ok(PathBuf::from(folder));
    }
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo did not set CARGO_MANIFEST_DIR")?);
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let vendored = manifest.ancestors().map(|folder| folder.join("vendor"));
    let registries = home.iter().flat_map(|home| folders(&home.join("registry/src")));
    vendored
        .chain(registries)
        .flat_map(|folder| [folder.join(format!("{CRATE}-{VERSION}")), folder.join(CRATE)])
        .find(|folder| is_it(folder))
        .or_else(|| ask_cargo(&manifest))
        .ok_or_else(|| {
            format!(
                "the source of {CRATE} {VERSION} is, whole and with the network's hash, neither in a `vendor` folder above {} nor in cargo's registry; run \
                 `cargo fetch --locked`, or set {OVERRIDE} to the unpacked crate",
                manifest.display()
            )
        })
}

/// Whether this is the locked version with its weights; a damaged copy is passed over for a sound one elsewhere.
fn is_it(folder: &Path) -> bool {
    let named = |manifest: String| manifest.lines().any(|line| line.trim() == format!("version = \"{VERSION}\""));
    fs::read(folder.join("src/weights.rnn")).is_ok_and(|weights| sha256(&weights) == WEIGHTS)
        && fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(named)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

/// A source replacement with a folder of another name is known to cargo alone.
fn ask_cargo(manifest: &Path) -> Option<PathBuf> {
    let output = Command::new(env::var_os("CARGO")?)
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--manifest-path"])
        .arg(manifest.join("Cargo.toml"))
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split("\"manifest_path\":\"")
        .filter_map(|rest| rest.split('"').next())
        .filter_map(|path| Path::new(path).parent())
        .find(|folder| is_it(folder))
        .map(Path::to_path_buf)
}
