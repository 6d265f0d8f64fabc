//! Objects for a gateway without a control plane: one tenant, one trunk on loopback, one route, one agent.

use serde_json::{Value, json};

/// Identifiers of the rig's objects.
pub mod id {
    /// The tenant.
    pub const TENANT: &str = "ten_00000000000000000000000001";
    /// The trunk.
    pub const TRUNK: &str = "trk_00000000000000000000000001";
    /// The route.
    pub const ROUTE: &str = "rte_00000000000000000000000001";
    /// The agent.
    pub const AGENT: &str = "agt_00000000000000000000000001";
}

/// A trunk for callers on this machine.
#[must_use]
pub fn loopback_trunk() -> Value {
    json!({ "name": "loopback", "peers": ["127.0.0.1"], "codecs": ["PCMU", "PCMA"] })
}

/// Objects of `conf.d/objects` that have every call answered by `agent`.
pub fn answering(agent: &Value) -> anyhow::Result<String> {
    routed(&[("*", agent.clone())])
}

/// Objects that have calls to each called pattern answered by its agent.
pub fn routed(agents: &[(&str, Value)]) -> anyhow::Result<String> {
    let object =
        |kind: &str, id: String, body: Value| json!({ "kind": kind, "id": id, "tenant": id::TENANT, "body": body });
    let mut objects = vec![
        object("tenant", id::TENANT.to_owned(), json!({ "name": "rig" })),
        object("trunk", id::TRUNK.to_owned(), loopback_trunk()),
    ];
    for (index, (called, agent)) in agents.iter().enumerate() {
        let numbered = |id: &str| format!("{}{:02}", &id[..id.len() - 2], index + 1);
        objects.push(object("agent", numbered(id::AGENT), agent.clone()));
        let route =
            json!({ "name": format!("to {called}"), "order": index, "called": called, "agent": numbered(id::AGENT) });
        objects.push(object("route", numbered(id::ROUTE), route));
    }
    Ok(toml::to_string(&json!({ "object": objects }))?)
}

/// The same objects and providers that agents may name: a name, the plugin behind it and its settings.
pub fn with_providers(objects: &str, providers: &[(&str, &str, Value)]) -> anyhow::Result<String> {
    let mut objects: Value = toml::from_str(objects)?;
    for (index, (name, plugin, settings)) in providers.iter().enumerate() {
        let body = json!({ "name": name, "plugin": plugin, "settings": settings });
        let id = format!("prv_{:026}", index + 1);
        let object = json!({ "kind": "provider", "id": id, "tenant": id::TENANT, "body": body });
        objects["object"].as_array_mut().into_iter().for_each(|all| all.push(object.clone()));
    }
    Ok(toml::to_string(&objects)?)
}

/// The same objects, with recordings sealed to `public`, as `trunkline recording keygen` prints it.
pub fn sealing_to(objects: &str, public: &str) -> anyhow::Result<String> {
    let mut objects: Value = toml::from_str(objects)?;
    for object in objects["object"].as_array_mut().into_iter().flatten() {
        if object["kind"] == "tenant" {
            object["body"]["recording_key"] = public.into();
        }
    }
    Ok(toml::to_string(&objects)?)
}

/// An agent that greets, understands a few commands and talks back, offline.
#[must_use]
pub fn offline_agent(greeting: &str) -> Value {
    json!({
        "name": "offline",
        "language": "en",
        "pipeline": { "cascade": {
            "asr": [{ "provider": "grammar" }],
            "llm": [{ "provider": "scripted", "settings": {
                "fallback": { "say": "You said {heard}." },
                "rules": [{ "when": { "any": ["goodbye"] }, "say": "Goodbye.", "hang_up": true }],
            } }],
            "tts": [{ "provider": "espeak" }],
        } },
        "greeting": greeting,
        "tools": [{ "name": "hang_up" }],
        "turn": { "end_silence_ms": 500 },
        "recording": { "enabled": true },
    })
}
