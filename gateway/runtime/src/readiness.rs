//! Whether the plugins an agent names are there and take what it gives them: found out before a call is answered, not
//! by a caller who hears nothing.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use trunkline_api::Id;
use trunkline_api::agent::{AgentSpec, Pipeline, ProviderRef};
use trunkline_plugin_host::{Capability, PluginRegistry};

use crate::demand;
use crate::serving::Serving;
use crate::session::takes_our_sound;
use crate::shared::BUILT_IN_TOOLS;

/// What an agent's entry lacks: a plugin, a knowledge base, another agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentFault {
    /// The agent.
    pub agent: Id,
    /// Its name.
    pub name: String,
    /// RFC 6901 pointer into its spec, for example `/pipeline/cascade/tts/0`.
    pub pointer: String,
    /// The plugin, knowledge base or agent it takes.
    pub plugin: String,
    /// What is wrong and what to do.
    pub why: String,
    /// Whether calls to the agent are refused until it is mended; otherwise another entry of the list, or nothing,
    /// stands in.
    pub refuses_calls: bool,
}

impl fmt::Display for AgentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, agent, pointer, plugin, why, refuses_calls } = self;
        let place = pointer.trim_start_matches('/').replace('/', ".");
        let kind = match place.split('.').next() {
            Some("knowledge") => "knowledge base",
            Some("handoff") => "agent",
            _ => "plugin",
        };
        write!(f, "agent `{name}` ({agent}): {place}: {kind} `{plugin}` {why}")?;
        if *refuses_calls { f.write_str("; its calls are refused with 503") } else { Ok(()) }
    }
}

/// Why plugins that were looked for are not in service, and secrets that could not be had, each by name.
#[derive(Debug, Clone, Default)]
pub struct Lacking {
    /// Refused plugins and the reason.
    pub plugins: BTreeMap<String, String>,
    /// Secrets and the reason.
    pub secrets: BTreeMap<String, String>,
}

impl Serving {
    /// Holds every agent against the plugins in service. Agents that could not hold a conversation are marked, so that
    /// their calls are refused before they are answered; every fault is reported. What a call of each agent takes is
    /// summed up, so that one that cannot have it is refused as well.
    #[must_use]
    pub fn against(mut self, plugins: &PluginRegistry, lacking: &Lacking) -> (Self, Vec<AgentFault>) {
        let mut faults = Vec::new();
        for (id, agent) in self.iter() {
            let mut found = Look {
                serving: &self,
                plugins,
                lacking,
                id,
                tenant: &agent.tenant,
                spec: &agent.spec,
                faults: Vec::new(),
            };
            found.agent();
            faults.append(&mut found.faults);
        }
        let demands = self.iter().map(|(id, agent)| (id.clone(), demand::of(&self, agent, plugins)));
        let demands = demands.collect();
        self.set_demands(demands);
        self.set_unready(faults.iter().filter(|fault| fault.refuses_calls).map(|fault| fault.agent.clone()).collect());
        (self, faults)
    }
}

struct Look<'a> {
    serving: &'a Serving,
    plugins: &'a PluginRegistry,
    lacking: &'a Lacking,
    id: &'a Id,
    tenant: &'a Id,
    spec: &'a AgentSpec,
    faults: Vec<AgentFault>,
}

impl Look<'_> {
    fn agent(&mut self) {
        let before = self.faults.len();
        let lists = match &self.spec.pipeline {
            Pipeline::Cascade { asr, llm, tts } => Some(("/pipeline/cascade", asr, llm, tts)),
            Pipeline::Realtime { cascade, .. } => {
                cascade.as_ref().map(|lists| ("/pipeline/realtime/cascade", &lists.asr, &lists.llm, &lists.tts))
            }
        };
        if let Some((at, asr, llm, tts)) = lists {
            self.list(&format!("{at}/asr"), Capability::Asr, asr);
            self.list(&format!("{at}/llm"), Capability::Llm, llm);
            self.list(&format!("{at}/tts"), Capability::Tts, tts);
        }
        self.engines(before);
        for (language, voice) in &self.spec.speech.voices {
            self.entry(format!("/speech/voices/{language}"), Capability::Tts, voice);
        }
        let engines = &self.spec.survival.engines;
        let engines = [
            ("asr", Capability::Asr, &engines.asr),
            ("llm", Capability::Llm, &engines.llm),
            ("tts", Capability::Tts, &engines.tts),
        ];
        for (name, capability, list) in engines {
            for (index, entry) in list.iter().enumerate() {
                self.entry(format!("/survival/engines/{name}/{index}"), capability, entry);
            }
        }
        for (index, entry) in self.spec.after_call.llm.iter().enumerate() {
            self.entry(format!("/after_call/llm/{index}"), Capability::Llm, entry);
        }
        for (index, tool) in self.spec.tools.iter().enumerate() {
            if !BUILT_IN_TOOLS.contains(&tool.name.as_str()) {
                let entry = ProviderRef { provider: tool.name.clone(), settings: tool.settings.clone() };
                self.entry(format!("/tools/{index}"), Capability::Tool, &entry);
            }
        }
        self.knowledge();
        self.others();
        let redactor = &self.spec.redaction.redactor;
        if !redactor.is_empty() {
            let nothing = Value::Object(serde_json::Map::new());
            if let Err(why) = self.usable(redactor, Capability::Redactor, &nothing) {
                self.fault("/redaction/redactor".to_owned(), redactor.clone(), why);
                // Without it every text is withheld, so that nothing can be said or understood.
                if !self.spec.redaction.channels.is_empty() {
                    self.refuse_from(self.faults.len() - 1);
                }
            }
        }
    }

    /// Engines of a realtime pipeline; `before` is the number of faults before those of its cascade. An agent with neither an
    /// engine nor a cascade that works takes no calls, and one with either does.
    fn engines(&mut self, before: usize) {
        let Pipeline::Realtime { engines, cascade } = &self.spec.pipeline else { return };
        let cascade_works = cascade.is_some() && !self.faults[before..].iter().any(|fault| fault.refuses_calls);
        let lacking: Vec<(usize, String)> = engines
            .iter()
            .map(|entry| self.serving.resolve(self.tenant, entry).plugin)
            .enumerate()
            .filter(|(_, name)| !crate::engines::is_engine(name))
            .collect();
        let engine_works = lacking.len() < engines.len();
        let from = self.faults.len();
        for (index, name) in lacking {
            let why = "is no speech-to-speech engine that this gateway has; name another one".to_owned();
            self.fault(format!("/pipeline/realtime/engines/{index}"), name, why);
        }
        if !engine_works && !cascade_works {
            self.refuse_from(from);
        } else if engine_works {
            self.faults[before..].iter_mut().for_each(|fault| fault.refuses_calls = false);
        }
    }

    /// An agent that would answer without what it is to know is not put on the line.
    fn knowledge(&mut self) {
        for (index, name) in self.spec.knowledge.iter().enumerate() {
            if !self.serving.library().has(self.tenant, name) {
                let why = "is not there; put its texts into `knowledge/` in the folder of objects";
                self.fault(format!("/knowledge/{index}"), name.clone(), why.to_owned());
                self.refuse_from(self.faults.len() - 1);
            }
        }
    }

    /// Calls must not be promised to agents that cannot take them.
    fn others(&mut self) {
        for (index, target) in self.spec.handoff.agents.iter().enumerate() {
            let why = match self.serving.named(self.tenant, &target.agent) {
                None => "is not in service, or is the name of several; give an agent's name or id",
                Some((_, other)) if matches!(other.spec.pipeline, Pipeline::Realtime { .. }) => {
                    "has a pipeline that cannot take over a call; name another one"
                }
                Some((_, other)) if other.spec.redaction != self.spec.redaction => {
                    "redacts otherwise, so that it would see what this one must not; give both the same `redaction`"
                }
                Some(_) => continue,
            };
            self.fault(format!("/handoff/agents/{index}/agent"), target.agent.clone(), why.to_owned());
            self.refuse_from(self.faults.len() - 1);
        }
    }

    /// A list of which one entry is enough.
    fn list(&mut self, at: &str, capability: Capability, entries: &[ProviderRef]) {
        let before = self.faults.len();
        for (index, entry) in entries.iter().enumerate() {
            self.entry(format!("{at}/{index}"), capability, entry);
        }
        if !entries.is_empty() && self.faults.len() - before == entries.len() {
            self.refuse_from(before);
        }
    }

    fn entry(&mut self, pointer: String, capability: Capability, entry: &ProviderRef) {
        let resolved = self.serving.resolve(self.tenant, entry);
        if let Err(why) = self.usable(&resolved.plugin, capability, &resolved.settings) {
            self.fault(pointer, resolved.plugin, why);
        }
    }

    fn usable(&self, name: &str, capability: Capability, settings: &Value) -> Result<(), String> {
        let Some(plugin) = self.plugins.get(name) else {
            return Err(match self.lacking.plugins.get(name) {
                Some(why) => format!("was refused: {why}"),
                None => "is not installed; install it in `plugins.dir`, or name another one".to_owned(),
            });
        };
        if plugin.capability() != capability {
            let (is, wanted) = (plugin.capability().world(), capability.world());
            return Err(format!("is of world {is}, where {wanted} is wanted; name another one"));
        }
        plugin.admits(settings).map_err(|error| format!("cannot serve: {error}"))?;
        if capability == Capability::Asr && !takes_our_sound(&plugin) {
            return Err("takes no 8 or 16 kHz l16, the only sound this gateway sends; name another one".to_owned());
        }
        let lacking = plugin.manifest().secrets.iter().find_map(|grant| {
            let why = self.lacking.secrets.get(&grant.name)?;
            Some(format!("has no secret `{}`: {why}", grant.name))
        });
        lacking.map_or(Ok(()), Err)
    }

    fn fault(&mut self, pointer: String, plugin: String, why: String) {
        let (agent, name) = (self.id.clone(), self.spec.name.clone());
        self.faults.push(AgentFault { agent, name, pointer, plugin, why, refuses_calls: false });
    }

    fn refuse_from(&mut self, index: usize) {
        for fault in &mut self.faults[index..] {
            fault.refuses_calls = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trunkline_api::Failure;
    use trunkline_api::object::{Kind, Object};

    use super::*;

    fn serving(agent: Value) -> (Serving, Id) {
        let id: Id = "agt_00000000000000000000000001".parse().unwrap();
        let tenant = "ten_00000000000000000000000001".parse().unwrap();
        let object =
            Object { kind: Kind::Agent, id: id.clone(), tenant, version: 1, sha256: String::new(), body: agent };
        let (serving, problems) = Serving::build(&[object]);
        assert_eq!(problems, Vec::<String>::new());
        (serving, id)
    }

    #[test]
    fn an_agent_without_its_plugins_is_marked_and_every_plugin_named() {
        let (serving, id) = serving(json!({
            "name": "desk", "tools": [{ "name": "hang_up" }, { "name": "crm" }],
            "redaction": { "redactor": "pii", "channels": ["transcript"] },
            "pipeline": { "cascade": { "llm": [{ "provider": "gpt" }, { "provider": "llama" }], "tts": [{ "provider": "espeak" }] } },
        }));
        assert!(serving.agent(&id).is_ok());
        let refused = BTreeMap::from([("espeak".to_owned(), "it is not signed".to_owned())]);
        let lacking = Lacking { plugins: refused, ..Lacking::default() };
        let (serving, faults) = serving.against(&PluginRegistry::new(), &lacking);
        assert_eq!(serving.agent(&id).unwrap_err(), Failure::AgentUnready);
        assert_eq!((serving.agents(), serving.ready()), (1, 0));
        let named: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.refuses_calls)).collect();
        assert_eq!(
            named,
            [
                ("/pipeline/cascade/llm/0", true),
                ("/pipeline/cascade/llm/1", true),
                ("/pipeline/cascade/tts/0", true),
                ("/tools/1", false),
                ("/redaction/redactor", true),
            ]
        );
        assert_eq!(
            faults[2].to_string(),
            "agent `desk` (agt_00000000000000000000000001): pipeline.cascade.tts.0: plugin `espeak` was refused: it is \
             not signed; its calls are refused with 503"
        );
        assert!(faults[0].why.contains("not installed"), "{}", faults[0]);
    }

    #[test]
    fn an_agent_without_its_knowledge_or_its_colleague_is_refused_by_their_names() {
        let (serving, id) = serving(json!({
            "name": "desk", "knowledge": ["faq"], "handoff": { "agents": [{ "name": "bills", "agent": "Billing" }] },
            "pipeline": { "cascade": { "tts": [{ "provider": "espeak" }] } },
        }));
        let (serving, faults) = serving.against(&PluginRegistry::new(), &Lacking::default());
        assert_eq!(serving.agent(&id).unwrap_err(), Failure::AgentUnready);
        let told: Vec<_> = faults.iter().filter(|fault| fault.plugin != "espeak").map(ToString::to_string).collect();
        assert!(told[0].contains("knowledge.0: knowledge base `faq` is not there"), "{told:?}");
        assert!(told[1].contains("handoff.agents.0.agent: agent `Billing` is not in service"), "{told:?}");
    }
}
