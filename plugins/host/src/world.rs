//! Whether a component is of the world its manifest names: what it exports, and that it imports nothing else.

use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::bindings::host;
use crate::error::LoadError;
use crate::manifest::Manifest;
use crate::null_wasi;
use crate::state::State;
use crate::vocabulary::Capability;

const PACKAGE: &str = "trunkline:plugin/";
const IMPORTS: [&str; 9] = ["types", "events", "log", "clock", "random", "settings", "secrets", "http", "websocket"];

/// The interface of a name such as `trunkline:plugin/asr@0.1.0`, if it is of this release line.
fn ours(name: &str) -> Option<&str> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
    version.strip_prefix("0.1.").map(|_| interface)
}

/// Checks the component and gives it a linker with exactly what its world allows.
pub(crate) fn linker(engine: &Engine, component: &Component, manifest: &Manifest) -> Result<Linker<State>, LoadError> {
    let world = manifest.world.clone();
    let ty = component.component_type();
    let exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
    for wanted in ["lifecycle", manifest.capability.interface()] {
        if !exports.iter().any(|name| ours(name) == Some(wanted)) {
            let found = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
            return Err(LoadError::WrongWorld { world, missing: format!("{PACKAGE}{wanted}@0.1.0"), found });
        }
    }
    let shape =
        |error: wasmtime::Error| LoadError::WrongShape { world: manifest.world.clone(), why: format!("{error:#}") };
    let mut linker = Linker::new(engine);
    if manifest.capability != Capability::Redactor {
        add_host(&mut linker).map_err(shape)?;
    }
    for (name, import) in ty.imports(engine) {
        let allowed: &[&str] = if manifest.capability == Capability::Redactor { &[] } else { &IMPORTS };
        if ours(name).is_some_and(|interface| allowed.contains(&interface)) {
            continue;
        }
        if !name.starts_with("wasi:") {
            return Err(LoadError::ForbiddenImport { world, import: name.to_owned() });
        }
        null_wasi::define(&mut linker, engine, name, &import.ty).map_err(shape)?;
    }
    Ok(linker)
}

fn add_host(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    fn own(state: &mut State) -> &mut State {
        state
    }
    type Own = HasSelf<State>;
    host::types::add_to_linker::<_, Own>(linker, own)?;
    host::events::add_to_linker::<_, Own>(linker, own)?;
    host::log::add_to_linker::<_, Own>(linker, own)?;
    host::clock::add_to_linker::<_, Own>(linker, own)?;
    host::random::add_to_linker::<_, Own>(linker, own)?;
    host::settings::add_to_linker::<_, Own>(linker, own)?;
    host::secrets::add_to_linker::<_, Own>(linker, own)?;
    host::http::add_to_linker::<_, Own>(linker, own)?;
    host::websocket::add_to_linker::<_, Own>(linker, own)
}
