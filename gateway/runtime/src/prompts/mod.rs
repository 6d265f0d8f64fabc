//! Lines rendered beforehand in the agents' own voices, so that a call can be answered when no synthesiser can. Which line
//! of which voice a sound is follows from its name: the hash of everything that makes it what it is.

mod accounts;
mod file;
mod render;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use trunkline_api::words::ProviderKind;
use trunkline_api::{AgentSpec, Id};
use trunkline_plugin_host::PluginRegistry;

use crate::serving::{ResolvedProvider, ServedAgent, Serving};

pub(crate) use render::Renderer;

/// Most bytes of sound that are kept ready: an hour of telephone speech, the lines of some hundred agents.
const MOST_BYTES: usize = 64 << 20;

/// The sound of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rendered {
    /// Its rate in Hz.
    pub(crate) rate: u32,
    /// Samples.
    pub(crate) pcm: Box<[i16]>,
}

/// Names the sound of a line in a voice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PromptKey([u8; 32]);

impl PromptKey {
    /// The sound of `text` by a plugin of that version with these settings.
    fn new(tenant: &Id, voice: &ResolvedProvider, version: &str, language: &str, text: &str) -> Self {
        // As JSON, so that no two lists of parts run into the same bytes.
        let parts = serde_json::json!([tenant, voice.plugin, version, voice.settings, language, text]);
        Self(Sha256::digest(parts.to_string()).into())
    }

    /// The name of its file.
    fn file_name(self) -> String {
        let digits: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{digits}.wav")
    }
}

/// A line of an agent that should be rendered.
#[derive(Debug, Clone)]
struct Wanted {
    key: PromptKey,
    /// Whose line it is, for the account of it.
    whose: Whose,
    voice: ResolvedProvider,
    language: String,
    text: String,
}

/// Whose a line is.
#[derive(Debug, Clone)]
struct Whose {
    tenant: Id,
    agent: Id,
    version: u32,
    /// Name of the synthesiser in the agent's list.
    provider: String,
}

/// Lines of an agent that are ready.
#[derive(Debug, Default)]
pub(crate) struct AgentPrompts(BTreeMap<String, Arc<Rendered>>);

impl AgentPrompts {
    /// The lines.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// The sound of one.
    pub(crate) fn get(&self, text: &str) -> Option<&Rendered> {
        self.0.get(text).map(Arc::as_ref)
    }
}

/// Every line that is ready.
#[derive(Debug, Default)]
pub(crate) struct Prompts(Mutex<Ready>);

#[derive(Debug, Default)]
struct Ready {
    lines: BTreeMap<PromptKey, Arc<Rendered>>,
    bytes: usize,
}

impl Prompts {
    /// What is ready of an agent's lines.
    pub(crate) fn of_agent(
        &self,
        plugins: &PluginRegistry,
        serving: &Serving,
        tenant: &Id,
        spec: &AgentSpec,
    ) -> AgentPrompts {
        let Some(voice) = Voice::of(plugins, serving, tenant, spec) else { return AgentPrompts::default() };
        let ready = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |text: String| {
            let key = voice.key(tenant, &spec.language, &text);
            Some((text, Arc::clone(ready.lines.get(&key)?)))
        };
        AgentPrompts(spec.fixed_lines().into_iter().filter_map(line).collect())
    }

    /// Whether a line is ready.
    fn has(&self, key: PromptKey) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).lines.contains_key(&key)
    }

    /// A line is ready. False when there is no room for it.
    fn add(&self, key: PromptKey, line: Rendered) -> bool {
        let mut ready = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = line.pcm.len() * size_of::<i16>();
        if ready.bytes + bytes > MOST_BYTES {
            return false;
        }
        if ready.lines.insert(key, Arc::new(line)).is_none() {
            ready.bytes += bytes;
        }
        true
    }

    /// Lets go of lines that no agent has any more.
    fn keep(&self, is_wanted: impl Fn(PromptKey) -> bool) {
        let mut ready = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ready.lines.retain(|key, _| is_wanted(*key));
        ready.bytes = ready.lines.values().map(|line| line.pcm.len() * size_of::<i16>()).sum();
    }
}

/// The voice that an agent speaks with when all is well.
struct Voice {
    /// Its name in the agent's list.
    provider: String,
    plugin: ResolvedProvider,
    version: String,
}

impl Voice {
    fn of(plugins: &PluginRegistry, serving: &Serving, tenant: &Id, spec: &AgentSpec) -> Option<Self> {
        let own = spec.pipeline.providers(ProviderKind::Tts);
        let voice = own.iter().chain(&spec.survival.engines.tts).next()?;
        let plugin = serving.resolve(tenant, voice);
        let version = plugins.get(&plugin.plugin).map(|plugin| plugin.manifest().version.clone()).unwrap_or_default();
        Some(Self { provider: voice.provider.clone(), plugin, version })
    }

    fn key(&self, tenant: &Id, language: &str, text: &str) -> PromptKey {
        PromptKey::new(tenant, &self.plugin, &self.version, language, text)
    }
}

/// The lines of an agent.
fn wanted(plugins: &PluginRegistry, serving: &Serving, agent: &Id, served: &ServedAgent) -> Vec<Wanted> {
    let ServedAgent { tenant, spec, .. } = served;
    let Some(voice) = Voice::of(plugins, serving, tenant, spec) else { return Vec::new() };
    let line = |text: String| Wanted {
        key: voice.key(tenant, &spec.language, &text),
        whose: Whose {
            tenant: tenant.clone(),
            agent: agent.clone(),
            version: served.version,
            provider: voice.provider.clone(),
        },
        voice: voice.plugin.clone(),
        language: spec.language.clone(),
        text,
    };
    spec.fixed_lines().into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::Amounts;

    fn agent(greeting: &str, voice: &str) -> AgentSpec {
        serde_json::from_value(serde_json::json!({
            "name": "a", "greeting": greeting,
            "pipeline": { "cascade": { "tts": [{ "provider": "voice", "settings": { "voice": voice } }] } },
        }))
        .unwrap()
    }

    fn tenant(n: char) -> Id {
        format!("ten_{}", n.to_string().repeat(26)).parse().unwrap()
    }

    fn lines(plugins: &PluginRegistry, serving: &Serving, tenant: &Id, spec: &AgentSpec) -> Vec<Wanted> {
        let (tenant, spec, demand) = (tenant.clone(), Arc::new(spec.clone()), Amounts::all(0));
        wanted(
            plugins,
            serving,
            &"agt_00000000000000000000000001".parse().unwrap(),
            &ServedAgent { tenant, version: 3, spec, demand },
        )
    }

    #[test]
    fn a_sound_is_named_for_all_that_makes_it() {
        let (plugins, serving) = (PluginRegistry::new(), Serving::default());
        let first = |tenant: &Id, spec: &AgentSpec| lines(&plugins, &serving, tenant, spec)[0].key;
        let key = first(&tenant('1'), &agent("Hello.", "anna"));
        assert_eq!(key, first(&tenant('1'), &agent("Hello.", "anna")), "the next version of the agent has it already");
        assert_ne!(key, first(&tenant('1'), &agent("Hello!", "anna")));
        assert_ne!(key, first(&tenant('1'), &agent("Hello.", "bert")));
        assert_ne!(key, first(&tenant('2'), &agent("Hello.", "anna")), "tenants share nothing");
        assert_eq!(key.file_name().len(), 64 + 4);
    }

    #[test]
    fn an_agent_has_the_lines_that_are_ready_and_memory_is_bounded() {
        let (plugins, serving, prompts) = (PluginRegistry::new(), Serving::default(), Prompts::default());
        let spec = agent("Hello.", "anna");
        let lines = lines(&plugins, &serving, &tenant('1'), &spec);
        let line = |samples: usize| Rendered { rate: 8000, pcm: vec![7; samples].into() };
        assert!(prompts.of_agent(&plugins, &serving, &tenant('1'), &spec).texts().is_empty());
        assert!(prompts.add(lines[0].key, line(80)));
        assert!(!prompts.add(lines[1].key, line(MOST_BYTES / 2)), "no room beside the first");
        let ready = prompts.of_agent(&plugins, &serving, &tenant('1'), &spec);
        assert_eq!((ready.texts(), ready.get("Hello.")), (vec!["Hello.".to_owned()], Some(&line(80))));
        prompts.keep(|_| false);
        assert!(prompts.add(lines[1].key, line(MOST_BYTES / 2)));
    }
}
