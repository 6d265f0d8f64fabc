//! Makes an in-memory eSpeak NG out of the published crate.
//!
//! The crate reads its data with `std::fs`, and a plugin has no file system. This script takes the crate's source as
//! cargo fetched and verified it, points every file access at `crate::memory`, and writes the result to `OUT_DIR`;
//! nothing of it is kept in this repository. Every replacement states how often it must apply, so that another version
//! of the crate fails to build here and never at run time.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// `(file, old, new, times)`
const REPLACEMENTS: &[(&str, &str, &str, usize)] = &[
    ("engine.rs", "if !data_dir.exists() {", "if !crate::memory::is_dir(data_dir) {", 5),
    ("phoneme/load.rs", "    std::fs::read(&path).map_err", "    crate::memory::read(&path).map_err", 1),
    ("dictionary/file.rs", "let data = std::fs::read(&path)", "let data = crate::memory::read(&path)", 1),
    ("translate/mod.rs", "if flat.exists() {", "if crate::memory::exists(&flat) {", 1),
    ("translate/mod.rs", "nested.exists().then_some(nested)", "crate::memory::exists(&nested).then_some(nested)", 1),
    ("translate/mod.rs", "std::fs::read(&dict_path).map_err", "crate::memory::read(&dict_path).map_err", 1),
    ("translate/mod.rs", "if !phontab_path.exists() {", "if !crate::memory::exists(&phontab_path) {", 1),
    ("voices.rs", "use std::fs;", "use crate::memory as fs;", 1),
    ("voices.rs", "if path.is_dir() {", "if crate::memory::is_dir(&path) {", 1),
    ("voices.rs", "std::fs::read_to_string(", "crate::memory::read_to_string(", 1),
];

/// Modules that are not part of this engine.
const LEFT_OUT: [&str; 7] =
    ["bin", "async_synth.rs", "tokio_synth.rs", "bundled_data_generated.rs", "oracle", "analysis", "lib.rs"];
const MODULES: [(&str, &str); 11] = [
    ("encoding", "encoding/mod.rs"),
    ("phoneme", "phoneme/mod.rs"),
    ("dictionary", "dictionary/mod.rs"),
    ("translate", "translate/mod.rs"),
    ("synthesize", "synthesize/mod.rs"),
    ("soundicon", "soundicon/mod.rs"),
    ("voices", "voices.rs"),
    ("mbrola", "mbrola.rs"),
    ("error", "error.rs"),
    ("engine", "engine.rs"),
    ("memory", ""),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let source = source_of("espeak-ng")?.join("src");
    let copy = out.join("engine");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    let mut applied = BTreeMap::new();
    copy_tree(&source, Path::new(""), &copy, &mut applied)?;
    for (file, old, _, times) in REPLACEMENTS {
        let found = applied.get(&(*file, *old)).copied().unwrap_or(0);
        if found != *times {
            return Err(
                format!("espeak-ng's {file} holds `{old}` {found} times and not {times}: another version?").into()
            );
        }
    }
    let mut root = String::new();
    for (name, file) in MODULES.iter().filter(|(_, file)| !file.is_empty()) {
        writeln!(root, "#[path = {:?}]\npub mod {name};", copy.join(file))?;
    }
    fs::write(out.join("root.rs"), root)?;
    write_data(&out)?;
    Ok(())
}

/// Where cargo unpacked a dependency's source.
fn source_of(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let output = Command::new(env::var_os("CARGO").ok_or("CARGO is not set")?)
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform"])
        .arg(env::var("HOST")?)
        .current_dir(env::var("CARGO_MANIFEST_DIR")?)
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let manifest = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == name)
        .and_then(|package| package["manifest_path"].as_str())
        .ok_or_else(|| format!("cargo does not know where {name} is"))?;
    Ok(Path::new(manifest).parent().ok_or("a manifest lies in a folder")?.to_owned())
}

fn copy_tree(
    source: &Path,
    below: &Path,
    target: &Path,
    applied: &mut BTreeMap<(&'static str, &'static str), usize>,
) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(target.join(below))?;
    for entry in fs::read_dir(source.join(below))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = below.join(&name);
        if below.as_os_str().is_empty() && LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_tree(source, &path, target, applied)?;
            continue;
        }
        let mut text = fs::read_to_string(entry.path())?;
        let file = path.to_string_lossy().replace('\\', "/");
        for (of, old, new, _) in REPLACEMENTS.iter().filter(|(of, ..)| *of == file) {
            *applied.entry((*of, *old)).or_default() += text.matches(old).count();
            text = text.replace(old, new);
        }
        fs::write(target.join(path), text)?;
    }
    Ok(())
}

/// The data of English and the voice variants, as one table.
fn write_data(out: &Path) -> Result<(), Box<dyn Error>> {
    let wanted = |path: &str| {
        ["phontab", "phonindex", "phondata", "intonations", "en_dict"].contains(&path)
            || path.starts_with("lang/gmw/en")
            || path.starts_with("voices/!v/")
    };
    let files: BTreeMap<&str, &[u8]> = espeak_ng_data_phonemes::ALL_FILES
        .iter()
        .chain(espeak_ng_data_dict_en::ALL_FILES)
        .map(|(path, data)| (*path, *data as &[u8]))
        .filter(|(path, _)| wanted(path))
        .collect();
    let mut table = String::from("pub(crate) static FILES: &[(&str, &[u8])] = &[\n");
    for (index, (path, data)) in files.iter().enumerate() {
        let file = out.join(format!("data-{index}"));
        fs::write(&file, data)?;
        writeln!(table, "    ({path:?}, include_bytes!({file:?})),")?;
    }
    table.push_str("];\n");
    fs::write(out.join("data.rs"), table)?;
    Ok(())
}
