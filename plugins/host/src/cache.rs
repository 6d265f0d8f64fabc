//! Compiled code, kept so that a plugin is compiled once per machine. The code is made here, from a verified
//! component, in a folder only this user may write, and carries its own digest; nothing from outside gets in.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::error::{HostError, LoadError};

const DIGEST: usize = 32;

/// The folder of compiled code.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
}

/// Whether code came from the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiled {
    /// Compiled just now.
    Fresh,
    /// Compiled earlier on this machine.
    Cached,
}

impl Cache {
    /// Creates or checks the folder.
    pub(crate) fn open(dir: &Path) -> Result<Self, HostError> {
        let refused = |why: String| HostError::Cache { path: dir.to_owned(), why };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| refused(error.to_string()))?;
        let meta = fs::metadata(dir).map_err(|error| refused(error.to_string()))?;
        if !only_ours(&meta) {
            return Err(refused(format!("its owner is {} and its mode {:o}", meta.uid(), meta.mode() & 0o7777)));
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// Whether the compiled code of a component is there.
    pub(crate) fn has(&self, engine: &Engine, sha256: &str) -> bool {
        self.dir.join(file_name(engine, sha256)).is_file()
    }

    /// The component compiled for an engine: from the cache when it is there and whole, otherwise compiled and kept.
    pub(crate) fn component(
        &self,
        engine: &Engine,
        sha256: &str,
        wasm: &[u8],
    ) -> Result<(Component, Compiled), LoadError> {
        let path = self.dir.join(file_name(engine, sha256));
        if let Some(component) = load(engine, &path) {
            return Ok((component, Compiled::Cached));
        }
        let component =
            Component::from_binary(engine, wasm).map_err(|error| LoadError::Compile(format!("{error:#}")))?;
        let code = component.serialize().map_err(|error| LoadError::Compile(format!("{error:#}")))?;
        if let Err(error) = store(&path, &code) {
            tracing::warn!(path = %path.display(), %error, "compiled code cannot be kept; the next start compiles again");
        }
        Ok((component, Compiled::Fresh))
    }
}

/// `<component>-<wasmtime>-<processor and settings>.cwasm`. The last part hashes everything that decides whether code
/// fits an engine; the engine checks it again when it loads.
fn file_name(engine: &Engine, sha256: &str) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{sha256}-wasmtime48-{}-{:016x}.cwasm", std::env::consts::ARCH, hasher.finish())
}

fn only_ours(meta: &fs::Metadata) -> bool {
    meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o022 == 0
}

fn load(engine: &Engine, path: &Path) -> Option<Component> {
    let meta = fs::symlink_metadata(path).ok()?;
    if !meta.is_file() || !only_ours(&meta) {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    let (code, digest) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST)?)?;
    if Sha256::digest(code).as_slice() != digest {
        tracing::warn!(path = %path.display(), "compiled code is damaged and is made again");
        return None;
    }
    deserialize(engine, code)
}

#[allow(unsafe_code, reason = "the named exception: compiled code that this process wrote")]
fn deserialize(engine: &Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: the bytes are what `Component::serialize` gave in `Cache::component`, in a file and folder that only
    // this user may write, and their digest matches, so they are not truncated or damaged.
    unsafe { Component::deserialize(engine, code) }.ok()
}

fn store(path: &Path, code: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("{}.{:?}.tmp", std::process::id(), std::thread::current().id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    let written =
        file.write_all(code).and_then(|()| file.write_all(&Sha256::digest(code))).and_then(|()| file.sync_all());
    let renamed = written.and_then(|()| fs::rename(&temporary, path));
    if renamed.is_err() {
        // The rename's own error is what matters.
        drop(fs::remove_file(&temporary));
    }
    renamed
}
