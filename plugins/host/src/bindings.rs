//! The contract as Rust types, generated from `plugins/wit`. The imports and their vocabulary are generated once and
//! shared by the worlds; nothing of this leaves the crate.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::use_self, reason = "generated from the contract")]

/// Vocabulary and imports.
pub(crate) mod shared {
    wasmtime::component::bindgen!({
        path: "../wit/0.1.0",
        inline: "
            package trunkline:embedding;
            world shared {
                import trunkline:plugin/types@0.1.0;
                import trunkline:plugin/log@0.1.0;
                import trunkline:plugin/clock@0.1.0;
                import trunkline:plugin/random@0.1.0;
                import trunkline:plugin/settings@0.1.0;
                import trunkline:plugin/secrets@0.1.0;
                import trunkline:plugin/http@0.1.0;
                import trunkline:plugin/websocket@0.1.0;
                import trunkline:plugin/events@0.1.0;
            }
        ",
        world: "trunkline:embedding/shared",
        imports: { default: trappable },
    });
}

pub(crate) use shared::trunkline::plugin as host;

/// What every world exports.
pub(crate) mod lifecycle {
    wasmtime::component::bindgen!({
        path: "../wit/0.1.0",
        inline: "package trunkline:embedding; world lifecycle { export trunkline:plugin/lifecycle@0.1.0; }",
        world: "trunkline:embedding/lifecycle",
    });
}

macro_rules! world {
    ($module:ident, $inline:literal, $world:literal) => {
        pub(crate) mod $module {
            wasmtime::component::bindgen!({
                path: "../wit/0.1.0",
                inline: $inline,
                world: $world,
                with: {
                    "trunkline:plugin/types@0.1.0": crate::bindings::host::types,
                    "trunkline:plugin/clock@0.1.0": crate::bindings::host::clock,
                    "trunkline:plugin/secrets@0.1.0": crate::bindings::host::secrets,
                    "trunkline:plugin/http@0.1.0": crate::bindings::host::http,
                    "trunkline:plugin/websocket@0.1.0": crate::bindings::host::websocket,
                    "trunkline:plugin/events@0.1.0": crate::bindings::host::events,
                },
            });
        }
    };
}

world!(
    asr,
    "package trunkline:embedding; world provider { export trunkline:plugin/asr@0.1.0; }",
    "trunkline:embedding/provider"
);
world!(
    llm,
    "package trunkline:embedding; world provider { export trunkline:plugin/llm@0.1.0; }",
    "trunkline:embedding/provider"
);
world!(
    tts,
    "package trunkline:embedding; world provider { export trunkline:plugin/tts@0.1.0; }",
    "trunkline:embedding/provider"
);
world!(
    tool,
    "package trunkline:embedding; world provider { export trunkline:plugin/tool@0.1.0; }",
    "trunkline:embedding/provider"
);

/// The redactor takes nothing from the host.
pub(crate) mod redactor {
    wasmtime::component::bindgen!({
        path: "../wit/0.1.0",
        inline: "package trunkline:embedding; world provider { export trunkline:plugin/redactor@0.1.0; }",
        world: "trunkline:embedding/provider",
    });
}
