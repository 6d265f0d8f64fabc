//! Runs the decoder's initialisation once, at build time, and keeps the memory it leaves behind.
//!
//! A session then starts from that memory: the host maps it copy-on-write, so the acoustic model is read and
//! parsed never again and its pages are shared between all sessions.

use crate::rewrite;
use anyhow::{Context, Result, bail};
use std::path::Path;
use wasmi::{Engine, Error, ExternType, Instance, Linker, Module, Store};

/// Exports that only the build calls; the snapshot has no use for them any more.
const BUILD_EXPORTS: [&str; 3] = ["trunkline_initialise", "trunkline_model_file", "trunkline_last_words"];

/// A file the engine reads while it starts.
pub(crate) struct ModelFile {
    /// The name that the guest opens.
    pub(crate) name: String,
    /// Its contents.
    pub(crate) contents: Vec<u8>,
}

impl ModelFile {
    /// Reads `path` to be opened as `name`.
    pub(crate) fn read(name: &str, path: &Path) -> Result<Self> {
        let contents = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        Ok(Self { name: name.to_owned(), contents })
    }
}

/// Hands `files` to the module, initialises it and returns the module with its memory as it is then.
pub(crate) fn take(module: &[u8], files: &[ModelFile]) -> Result<Vec<u8>> {
    let engine = Engine::default();
    let compiled = Module::new(&engine, module)?;
    let mut linker = Linker::<()>::new(&engine);
    for import in compiled.imports() {
        let ExternType::Func(ty) = import.ty() else { bail!("the guest imports {}, not a function", import.name()) };
        let name = format!("{}#{}", import.module(), import.name());
        linker.func_new(import.module(), import.name(), ty.clone(), move |_, _, _| {
            Err(Error::new(format!("{name} was called while the snapshot was taken")))
        })?;
    }
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate_and_start(&mut store, &compiled)?;

    for file in files {
        hand_over(&mut store, &instance, file).with_context(|| format!("hand over {}", file.name))?;
    }
    let initialise = instance.get_typed_func::<(), ()>(&store, "trunkline_initialise")?;
    initialise
        .call(&mut store, ())
        .with_context(|| format!("initialise the decoder; it last said: {}", last_words(&mut store, &instance)))?;

    let memory = instance.get_memory(&store, "memory").context("the guest exports no memory")?;
    rewrite::with_memory(module, memory.data(&store), &BUILD_EXPORTS)
}

fn hand_over(store: &mut Store<()>, instance: &Instance, file: &ModelFile) -> Result<()> {
    let memory = instance.get_memory(&*store, "memory").context("the guest exports no memory")?;
    let realloc = instance.get_typed_func::<(i32, i32, i32, i32), i32>(&*store, "cabi_realloc")?;
    let mut place = |bytes: &[u8]| -> Result<(i32, i32)> {
        let length = i32::try_from(bytes.len())?;
        let at = realloc.call(&mut *store, (0, 0, 16, length))?;
        memory.write(&mut *store, usize::try_from(at)?, bytes)?;
        Ok((at, length))
    };
    let (name, name_length) = place(file.name.as_bytes())?;
    let (contents, length) = place(&file.contents)?;
    let take = instance.get_typed_func::<(i32, i32, i32, i32), ()>(&*store, "trunkline_model_file")?;
    Ok(take.call(&mut *store, (name, name_length, contents, length))?)
}

/// What the engine logged before it failed; the guest keeps the last line for this reason.
fn last_words(store: &mut Store<()>, instance: &Instance) -> String {
    let mut spoken = || -> Option<String> {
        let func = instance.get_typed_func::<(), i32>(&*store, "trunkline_last_words").ok()?;
        let at = usize::try_from(func.call(&mut *store, ()).ok()?).ok()?;
        let tail = instance.get_memory(&*store, "memory")?.data(&*store).get(at..)?;
        let end = tail.iter().position(|&b| b == 0)?;
        Some(String::from_utf8_lossy(&tail[..end]).into_owned())
    };
    spoken().unwrap_or_else(|| "nothing".to_owned())
}
