//! Compiles the guest: generated bindings, our C, PocketSphinx's C, one linked core module without any WASI import.

use crate::tools::Tools;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use wit_bindgen_core::Files;
use wit_parser::{Resolve, WorldId};

/// The package and world of `dir`, as every later step needs them.
pub(crate) fn world(dir: &Path) -> Result<(Resolve, WorldId)> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(dir).with_context(|| format!("parse the WIT in {}", dir.display()))?;
    let world = resolve.select_world(&[package], Some("asr-provider")).context("find world asr-provider")?;
    Ok((resolve, world))
}

/// Everything that decides what the module is.
pub(crate) struct Inputs<'a> {
    pub(crate) tools: &'a Tools,
    pub(crate) wit: &'a Path,
    pub(crate) guest: &'a Path,
    pub(crate) engine: &'a Path,
    pub(crate) work: &'a Path,
}

/// Builds the core module that still has to read its model.
pub(crate) fn module(inputs: &Inputs<'_>) -> Result<Vec<u8>> {
    let bindings = inputs.work.join("bindings");
    let objects = inputs.work.join("objects");
    std::fs::create_dir_all(&bindings)?;
    std::fs::create_dir_all(&objects)?;
    generate(inputs.wit, &bindings)?;

    let mut sources = engine_sources(inputs.engine)?;
    sources.extend(c_files(inputs.guest)?);
    sources.push(bindings.join("asr_provider.c"));
    let outputs = compile(inputs, &bindings, &objects, &sources)?;
    link(inputs, &outputs)
}

fn generate(wit: &Path, bindings: &Path) -> Result<()> {
    let (mut resolve, world) = world(wit)?;
    let options = wit_bindgen_c::Opts { no_object_file: true, ..Default::default() };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files).context("generate the C bindings")?;
    for (name, contents) in files.iter() {
        std::fs::write(bindings.join(name), contents)?;
    }
    Ok(())
}

/// The engine's own list of sources, less what a sandbox has no use for: files are served from memory
/// (`guest/system.c`), there is no processor clock, and voice activity is the host's business.
fn engine_sources(engine: &Path) -> Result<Vec<PathBuf>> {
    const UNUSED: &[&str] = &[
        "util/mmio.c",
        "util/profile.c",
        "util/soundfiles.c",
        "ps_vad.c",
        "ps_endpointer.c",
        // Linear algebra for speaker adaptation, translated from Fortran.
        "util/slamch.c",
        "util/slapack_lite.c",
        "util/blas_lite.c",
        "util/f2c_lite.c",
    ];
    let list = engine.join("src/CMakeLists.txt");
    let text = std::fs::read_to_string(&list).with_context(|| format!("read {}", list.display()))?;
    let sources: Vec<PathBuf> = text
        .lines()
        .map(str::trim)
        .filter(|l| l.ends_with(".c") && !l.contains('$'))
        .filter(|l| !l.starts_with("common_audio/") && !UNUSED.contains(l))
        .map(|l| engine.join("src").join(l))
        .collect();
    ensure!(sources.len() > 50, "{} no longer lists the sources one per line", list.display());
    Ok(sources)
}

fn c_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .with_context(|| format!("read {}", dir.display()))?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "c"))
        .collect();
    found.sort();
    Ok(found)
}

fn compile(inputs: &Inputs<'_>, bindings: &Path, objects: &Path, sources: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let width = std::thread::available_parallelism().map_or(2, usize::from);
    let mut outputs = Vec::new();
    let mut running: Vec<(PathBuf, Child)> = Vec::new();
    let mut refused = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        if running.len() >= width {
            refused.extend(finish(running.remove(0))?);
        }
        let stem = source.file_stem().context("source name")?.to_string_lossy();
        let output = objects.join(format!("{index:03}-{stem}.o"));
        let ours = source.starts_with(inputs.guest);
        let mut command = Command::new(&inputs.tools.clang);
        command
            .args(["--target=wasm32-wasi", "-O3", "-msimd128", "-std=gnu11", "-DHAVE_CONFIG_H"])
            // Relative paths only, so that assertions do not carry the builder's folders into the module.
            .arg(format!("-fmacro-prefix-map={}=engine", inputs.engine.display()))
            .arg(format!("-fmacro-prefix-map={}=guest", inputs.guest.display()))
            .arg(format!("-fmacro-prefix-map={}=work", inputs.work.display()))
            .args(["-ffunction-sections", "-fdata-sections"])
            .args(if ours { &["-Wall", "-Wextra", "-Werror"][..] } else { &["-w"][..] })
            .arg("-I")
            .arg(inputs.guest.join("include"))
            .arg("-I")
            .arg(inputs.engine.join("include"))
            .arg("-I")
            .arg(inputs.engine.join("src"))
            .arg("-I")
            .arg(bindings)
            .arg("-c")
            .arg(source)
            .arg("-o")
            .arg(&output);
        let child = command.spawn().with_context(|| format!("run {}", inputs.tools.clang.display()))?;
        running.push((source.clone(), child));
        outputs.push(output);
    }
    for started in running {
        refused.extend(finish(started)?);
    }
    ensure!(refused.is_empty(), "clang refused {}", refused.join(", "));
    Ok(outputs)
}

/// Waits for one compilation; its source's name when clang refused it.
fn finish((source, mut child): (PathBuf, Child)) -> Result<Option<String>> {
    Ok((!child.wait()?.success()).then(|| source.display().to_string()))
}

fn link(inputs: &Inputs<'_>, objects: &[PathBuf]) -> Result<Vec<u8>> {
    let output = inputs.work.join("core.wasm");
    let status = Command::new(&inputs.tools.linker)
        .args(["--no-entry", "--gc-sections", "--stack-first", "-z", "stack-size=262144", "--strip-all"])
        // `guest/decoder.c` says why.
        .arg("--wrap=acmod_clear_active")
        .args(objects)
        .arg("-L")
        .arg(&inputs.tools.libc)
        .arg("-lc")
        .arg(&inputs.tools.builtins)
        .arg("-o")
        .arg(&output)
        .status()
        .with_context(|| format!("run {}", inputs.tools.linker.display()))?;
    ensure!(status.success(), "{} could not link the guest", inputs.tools.linker.display());
    std::fs::read(&output).with_context(|| format!("read {}", output.display()))
}
