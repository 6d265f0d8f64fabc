//! The contract's Rust form, generated from `plugins/wit`, so that no type of it is written twice.
//!
//! `host` holds the vocabulary and everything the host offers; each world's module adds only what that world exports
//! and reuses the types of `host`, so an `Event` is one Rust type whatever the world.

/// Vocabulary and imports, shared by all worlds.
pub mod host {
    wit_bindgen::generate!({
        path: "../../wit/0.1.0",
        inline: "
            package trunkline:kit;
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
        world: "trunkline:kit/shared",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq],
    });
}

/// The exports every world shares. They are generated once, on their own: the linker joins this world with the one of
/// the plugin's kind, and together they are the world of the contract.
pub mod lifecycle {
    wit_bindgen::generate!({
        path: "../../wit/0.1.0",
        inline: "package trunkline:kit; world lifecycle { export trunkline:plugin/lifecycle@0.1.0; }",
        world: "trunkline:kit/lifecycle",
        pub_export_macro: true,
        default_bindings_module: "trunkline_plugin_kit::bindings::lifecycle",
    });
}

macro_rules! world {
    ($(#[$doc:meta])* $module:ident, $inline:literal, $world:literal, $here:literal) => {
        $(#[$doc])*
        pub mod $module {
            wit_bindgen::generate!({
                path: "../../wit/0.1.0",
                inline: $inline,
                world: $world,
                with: {
                    "trunkline:plugin/types@0.1.0": crate::bindings::host::trunkline::plugin::types,
                    "trunkline:plugin/clock@0.1.0": crate::bindings::host::trunkline::plugin::clock,
                    "trunkline:plugin/secrets@0.1.0": crate::bindings::host::trunkline::plugin::secrets,
                    "trunkline:plugin/http@0.1.0": crate::bindings::host::trunkline::plugin::http,
                    "trunkline:plugin/websocket@0.1.0": crate::bindings::host::trunkline::plugin::websocket,
                    "trunkline:plugin/events@0.1.0": crate::bindings::host::trunkline::plugin::events,
                },
                pub_export_macro: true,
                default_bindings_module: $here,
                generate_unused_types: true,
                additional_derives: [PartialEq],
            });
        }
    };
}

world!(
    /// Speech recognition.
    asr,
    "package trunkline:kit; world asr { export trunkline:plugin/asr@0.1.0; }",
    "trunkline:kit/asr",
    "trunkline_plugin_kit::bindings::asr"
);
world!(
    /// Language models.
    llm,
    "package trunkline:kit; world llm { export trunkline:plugin/llm@0.1.0; }",
    "trunkline:kit/llm",
    "trunkline_plugin_kit::bindings::llm"
);
world!(
    /// Speech synthesis.
    tts,
    "package trunkline:kit; world tts { export trunkline:plugin/tts@0.1.0; }",
    "trunkline:kit/tts",
    "trunkline_plugin_kit::bindings::tts"
);
world!(
    /// Tools a language model may call.
    tool,
    "package trunkline:kit; world tool { export trunkline:plugin/tool@0.1.0; }",
    "trunkline:kit/tool",
    "trunkline_plugin_kit::bindings::tool"
);

/// Redaction, which imports nothing.
pub mod redactor {
    wit_bindgen::generate!({
        path: "../../wit/0.1.0",
        inline: "package trunkline:kit; world redactor { export trunkline:plugin/redactor@0.1.0; }",
        world: "trunkline:kit/redactor",
        pub_export_macro: true,
        default_bindings_module: "trunkline_plugin_kit::bindings::redactor",
        generate_unused_types: true,
        additional_derives: [PartialEq],
    });
}
