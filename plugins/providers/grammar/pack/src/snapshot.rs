//! Runs the decoder's initialisation once, at build time, and keeps the memory it leaves behind.
//!
//! A session then starts from that memory: the host maps it copy-on-write, so the acoustic model is read and
//! parsed never again and its pages are shared between all sessions.

use anyhow::{Context, Result, bail};
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::task::{Poll, Waker};
use wasmtime::{Config, Engine, Extern, Instance, Linker, Module, Store, Val};
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType, Wizer};

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
    let wizer = Wizer::new();
    let (context, instrumented) = wizer.instrument(module).map_err(foreign)?;
    let engine = Engine::new(&Config::new()).map_err(foreign)?;
    let compiled = Module::new(&engine, &instrumented).map_err(foreign)?;
    let mut linker = Linker::<()>::new(&engine);
    linker.define_unknown_imports_as_traps(&compiled).map_err(foreign)?;
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &compiled).map_err(foreign)?;

    for file in files {
        hand_over(&mut store, &instance, file).with_context(|| format!("hand over {}", file.name))?;
    }
    let initialise = instance.get_typed_func::<(), ()>(&mut store, "wizer-initialize").map_err(foreign)?;
    initialise
        .call(&mut store, ())
        .map_err(foreign)
        .with_context(|| format!("initialise the decoder; it last said: {}", last_words(&mut store, &instance)))?;

    let mut state = State { store, instance };
    let bytes = ready(wizer.snapshot(&context, &mut state))?.map_err(foreign)?;
    Ok(bytes)
}

fn hand_over(store: &mut Store<()>, instance: &Instance, file: &ModelFile) -> Result<()> {
    let memory = instance.get_memory(&mut *store, "memory").context("the guest exports no memory")?;
    let realloc = instance.get_typed_func::<(i32, i32, i32, i32), i32>(&mut *store, "cabi_realloc").map_err(foreign)?;
    let mut place = |bytes: &[u8]| -> Result<(i32, i32)> {
        let length = i32::try_from(bytes.len())?;
        let at = realloc.call(&mut *store, (0, 0, 16, length)).map_err(foreign)?;
        memory.write(&mut *store, usize::try_from(at)?, bytes)?;
        Ok((at, length))
    };
    let (name, name_length) = place(file.name.as_bytes())?;
    let (contents, length) = place(&file.contents)?;
    instance
        .get_typed_func::<(i32, i32, i32, i32), ()>(&mut *store, "trunkline_model_file")
        .map_err(foreign)?
        .call(&mut *store, (name, name_length, contents, length))
        .map_err(foreign)
}

/// What the engine logged before it failed; the guest keeps the last line at a known export for this reason.
fn last_words(store: &mut Store<()>, instance: &Instance) -> String {
    let Some(Extern::Func(func)) = instance.get_export(&mut *store, "trunkline_last_words") else {
        return "nothing".to_owned();
    };
    let Ok(func) = func.typed::<(), i32>(&*store) else { return "nothing".to_owned() };
    let (Ok(at), Some(memory)) = (func.call(&mut *store, ()), instance.get_memory(&mut *store, "memory")) else {
        return "nothing".to_owned();
    };
    let tail = memory.data(&*store).get(usize::try_from(at).unwrap_or(usize::MAX)..).unwrap_or(&[]);
    let end = tail.iter().position(|&b| b == 0).unwrap_or(0);
    String::from_utf8_lossy(&tail[..end]).into_owned()
}

struct State {
    store: Store<()>,
    instance: Instance,
}

impl InstanceState for State {
    async fn global_get(&mut self, name: &str, _: ValType) -> SnapshotVal {
        let value = self.instance.get_global(&mut self.store, name).map(|g| g.get(&mut self.store));
        match value {
            Some(Val::I32(x)) => SnapshotVal::I32(x),
            Some(Val::I64(x)) => SnapshotVal::I64(x),
            Some(Val::F32(x)) => SnapshotVal::F32(x),
            Some(Val::F64(x)) => SnapshotVal::F64(x),
            Some(Val::V128(x)) => SnapshotVal::V128(x.as_u128()),
            other => unreachable!("a C module has numeric globals only, found {other:?}"),
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        if let Some(memory) = self.instance.get_memory(&mut self.store, name) {
            contents(memory.data(&self.store));
        }
    }
}

/// Everything above answers at once, so the first poll is the last.
fn ready<F: Future>(future: F) -> Result<F::Output> {
    let mut context = std::task::Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => bail!("taking the snapshot waited for something"),
    }
}

/// wasmtime's error, with its chain, as ours.
pub(crate) fn foreign(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:?}")
}
