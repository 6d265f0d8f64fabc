//! A WASI that gives nothing away, for toolchains that cannot build without one: no files, no sockets, the session's
//! clock, seeded random, harmless empty answers. Everything else traps, and only when it is called.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Linker, LinkerInstance, ResourceType, Val};
use wasmtime::{Engine, StoreContextMut};

use crate::state::State;

/// Stands for every handle of WASI; none is ever made.
struct Nothing;

/// Defines one imported `wasi:*` item.
pub(crate) fn define(
    linker: &mut Linker<State>,
    engine: &Engine,
    name: &str,
    item: &ComponentItem,
) -> wasmtime::Result<()> {
    match item {
        ComponentItem::ComponentInstance(instance) => {
            let mut target = linker.instance(name)?;
            let interface = name.split('@').next().unwrap_or(name).to_owned();
            for (member, extern_item) in instance.exports(engine) {
                define_member(&mut target, &interface, member, &extern_item.ty)?;
            }
            Ok(())
        }
        ComponentItem::ComponentFunc(_) => define_member(&mut linker.root(), "", name, item),
        _ => Ok(()),
    }
}

fn define_member(
    target: &mut LinkerInstance<'_, State>,
    interface: &str,
    member: &str,
    item: &ComponentItem,
) -> wasmtime::Result<()> {
    match item {
        ComponentItem::ComponentFunc(_) => {
            let interface = interface.to_owned();
            let function = member.to_owned();
            target.func_new(member, move |context, _, params, results| {
                answer(context, &interface, &function, params, results)
            })
        }
        ComponentItem::Resource(_) => target.resource(member, ResourceType::host::<Nothing>(), |_, _| Ok(())),
        _ => Ok(()),
    }
}

fn answer(
    mut context: StoreContextMut<'_, State>,
    interface: &str,
    function: &str,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let state = context.data_mut();
    state.charge()?;
    let now_ns = state.now_us.saturating_sub(state.start_us).saturating_mul(1000);
    let answer = match (interface, function) {
        ("wasi:clocks/monotonic-clock", "now") => Val::U64(now_ns),
        ("wasi:clocks/monotonic-clock" | "wasi:clocks/system-clock", "resolution" | "get-resolution") => Val::U64(1000),
        ("wasi:clocks/wall-clock", "now" | "resolution") => {
            let time = if function == "now" { now_ns } else { 1000 };
            let nanoseconds = u32::try_from(time % 1_000_000_000).unwrap_or(0);
            Val::Record(vec![
                ("seconds".to_owned(), Val::U64(time / 1_000_000_000)),
                ("nanoseconds".to_owned(), Val::U32(nanoseconds)),
            ])
        }
        ("wasi:random/random" | "wasi:random/insecure", "get-random-u64" | "get-insecure-random-u64") => {
            Val::U64(state.random.next())
        }
        ("wasi:random/random" | "wasi:random/insecure", "get-random-bytes" | "get-insecure-random-bytes") => {
            let len = match params.first() {
                Some(Val::U64(len)) => u32::try_from(*len).unwrap_or(u32::MAX),
                _ => 0,
            };
            if len > 4096 {
                return Err(wasmtime::Error::new(crate::state::OverBudget("more than 4096 random bytes in one call")));
            }
            Val::List(state.random.bytes(len).into_iter().map(Val::U8).collect())
        }
        ("wasi:random/insecure-seed", _) => {
            Val::Tuple(vec![Val::U64(state.random.next()), Val::U64(state.random.next())])
        }
        ("wasi:cli/environment", "get-environment" | "get-arguments")
        | ("wasi:filesystem/preopens", "get-directories") => Val::List(Vec::new()),
        ("wasi:cli/environment", "initial-cwd" | "get-initial-cwd")
        | ("wasi:cli/terminal-stdin" | "wasi:cli/terminal-stdout" | "wasi:cli/terminal-stderr", _) => Val::Option(None),
        _ => return Err(wasmtime::format_err!("{interface}#{function} is not available to plugins")),
    };
    match results {
        [result] => *result = answer,
        _ => return Err(wasmtime::format_err!("{interface}#{function} has another shape than this host knows")),
    }
    Ok(())
}
