//! `grammar-pack OUT_DIR CACHE_DIR` makes the plugin folder of the grammar recogniser.
//!
//! The recogniser is C and its model a few megabytes of tables. The build fetches both (pinned by hash), compiles and
//! links a core module that imports no WASI, lets it read its model once and snapshots the memory, wraps the result
//! as a component and writes `plugin.wasm`, `plugin.toml` and `settings.schema.json`.

mod component;
mod fetch;
mod guest;
mod rewrite;
mod snapshot;
mod tools;

use anyhow::{Context, Result, bail};
use snapshot::ModelFile;
use std::path::{Path, PathBuf};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [out, cache] = &arguments[..] else { bail!("usage: grammar-pack OUT_DIR CACHE_DIR") };
    build(Path::new(out), Path::new(cache))
}

/// Builds the plugin into `out`, keeping what was fetched in `cache`; offline when the cache is filled.
fn build(out: &Path, cache: &Path) -> Result<()> {
    // Asked when it runs: the program may have been built in another clone that shares the target directory.
    let pack = std::env::var_os("CARGO_MANIFEST_DIR").context("run by cargo: CARGO_MANIFEST_DIR")?;
    let folder = Path::new(&pack).parent().context("the plugin's folder")?.to_owned();
    let wit = folder.join("../../wit/0.1.0");
    let tools = tools::Tools::find()?;
    let engine = fetch::source_tree(cache)?;
    let scratch = Scratch::new(cache)?;
    let work = &scratch.0;
    let module = guest::module(&guest::Inputs {
        tools: &tools,
        wit: &wit,
        guest: &folder.join("guest"),
        engine: &engine,
        work,
    })?;
    let initialised = snapshot::take(&module, &model(&engine, &folder)?)?;
    component::write(out, &component::encode(initialised, &wit)?, &folder)?;
    Ok(())
}

/// The acoustic model, the filler words, and the pronunciations sorted so that the guest can search them.
fn model(engine: &Path, folder: &Path) -> Result<Vec<ModelFile>> {
    let acoustic = engine.join("model/en-us/en-us");
    let mut files = Vec::new();
    for name in ["feat.params", "mdef", "means", "variances", "sendump", "transition_matrices", "noisedict"] {
        files.push(ModelFile::read(&format!("hmm/{name}"), &acoustic.join(name))?);
    }
    files.push(ModelFile::read("grammar.jsgf", &folder.join("guest/grammar.jsgf"))?);
    let mut words = ModelFile::read("words", &engine.join("model/en-us/cmudict-en-us.dict"))?;
    let text = String::from_utf8(words.contents).context("the pronunciations are not UTF-8")?;
    let mut lines: Vec<&str> = text.lines().filter(|l| l.contains(' ')).collect();
    lines.sort_unstable_by_key(|l| l.as_bytes());
    words.contents = (lines.join("\n") + "\n").into_bytes();
    files.push(words);
    Ok(files)
}

/// A folder of this process only, because two builds at once must not mix their objects; gone when the build is.
struct Scratch(PathBuf);

impl Scratch {
    fn new(cache: &Path) -> Result<Self> {
        let folder = cache.join(format!("work.{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is only in the way of the next process with this number, which overwrites it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
