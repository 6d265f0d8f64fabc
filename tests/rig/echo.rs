//! A gateway whose every call is an echo, without a plugin: what goes in comes back through jitter buffer, rings and
//! agent worker, and nothing else makes a sound.

use std::path::Path;

use serde_json::{Value, json};

use crate::gateway::{Gateway, Options};
use crate::objects;

/// How such a gateway is started, for `calls` at once; `scratch` gets an empty folder of plugins.
pub fn options(scratch: &Path, calls: usize) -> anyhow::Result<Options> {
    let no_plugins = scratch.join("no-plugins");
    std::fs::create_dir_all(&no_plugins)?;
    let options = Options { plugins: Some(no_plugins), ..Options::default() };
    Ok(options
        .with("TRUNKLINE_TESTING__ECHO", "true")
        .with("TRUNKLINE_PLUGINS__TRUSTED_KEYS_DIR", &scratch.join("no-plugins").display().to_string())
        .with("TRUNKLINE_MEDIA__REALTIME", "true")
        .with("TRUNKLINE_LIMITS__MAX_CALLS", &(calls + 10).to_string())
        .with("TRUNKLINE_SIP__SOURCE_RATE", "100000")
        .with("TRUNKLINE_SIP__SOURCE_BURST", "100000"))
}

/// An agent that says nothing of its own and asks nothing of a silent caller. Nothing is done to the sound: callers who
/// hear themselves would be taken for the agent's echo and turned down, and a tone for noise.
#[must_use]
pub fn agent() -> Value {
    let mut agent = objects::offline_agent("");
    agent["pipeline"]["cascade"]["asr"] = json!([]);
    agent["pipeline"]["cascade"]["llm"] = json!([]);
    agent["recording"] = json!({ "enabled": false });
    agent["limits"] = json!({ "caller_silence_ms": 86_400_000, "max_call_s": 86_400 });
    agent["sound"] = json!({ "denoiser": "off", "echo_gate": false });
    agent
}

/// Starts one that answers any number.
pub fn gateway(scratch: &Path, options: Options) -> anyhow::Result<Gateway> {
    Gateway::standalone(scratch, &objects::answering(&agent())?, options)
}
