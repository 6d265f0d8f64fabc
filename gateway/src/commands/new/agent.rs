//! `trunkline new agent`: an agent of the plugins that are installed; with the shipped ones it works offline.

use std::path::Path;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use trunkline_api::agent::{InterruptionPolicy, Limits, Recording, SpeechPolicy, Survival, TurnPolicy};
use trunkline_api::object::Kind;
use trunkline_api::{Id, Prefix};
use trunkline_plugin_host::Capability;

use super::file::{File, inline, quoted};
use super::{Made, collecting, mint, settings, sound, telephone, thinking};
use crate::output::say;
use crate::plugins::{self, Installed};

/// Leaves a list of the pipeline empty.
const NONE: &str = "none";

/// `trunkline new agent`.
#[derive(Args)]
pub(crate) struct Agent {
    /// Its name.
    #[arg(long)]
    name: String,
    /// First line spoken.
    #[arg(long, default_value = "Hello. How can I help you?")]
    greeting: String,
    /// What the language model is told.
    #[arg(long, default_value = "You answer the telephone. Be brief and friendly.")]
    prompt: String,
    /// BCP 47 tag of its language.
    #[arg(long, default_value = "en")]
    language: String,
    /// Plugin that recognises speech, or `none`; by default the one that is installed.
    #[arg(long, value_name = "PLUGIN")]
    asr: Option<String>,
    /// Plugin that thinks, or `none`; by default the one that is installed.
    #[arg(long, value_name = "PLUGIN")]
    llm: Option<String>,
    /// Plugin that speaks; by default the one that is installed.
    #[arg(long, value_name = "PLUGIN")]
    tts: Option<String>,
    /// A setting of one of these plugins, for example `llm.model=gpt-4o-mini`; may be repeated.
    #[arg(long, value_name = "LIST.KEY=VALUE")]
    setting: Vec<String>,
    /// Name or id of the tenant, when there are several.
    #[arg(long)]
    pub(super) tenant: Option<String>,
}

/// The plugins of one agent.
#[derive(Default)]
pub(super) struct Cast {
    asr: Option<Part>,
    llm: Option<Part>,
    tts: Option<Part>,
}

struct Part {
    plugin: Installed,
    schema: Value,
    settings: Map<String, Value>,
}

impl Agent {
    pub(super) fn make(&self, tenant: &Id, plugins_dir: &Path) -> anyhow::Result<Made> {
        let installed = plugins::installed(plugins_dir);
        let cast = self.cast(&installed, plugins_dir)?;
        for missing in cast.missing() {
            say!("note: {missing}");
        }
        Ok(self.with_id(&mint(Prefix::Agent)?, tenant, &cast))
    }

    /// Chooses plugins: those that were named, else the shipped ones, else the only one of its kind.
    pub(super) fn cast(&self, installed: &[Installed], plugins_dir: &Path) -> anyhow::Result<Cast> {
        settings::check_lists(&self.setting)?;
        let folder = plugins_dir.display();
        let pick = |list: &str, capability: Capability, named: Option<&str>, shipped: &str| {
            let fit: Vec<&Installed> = installed.iter().filter(|plugin| plugin.capability == capability).collect();
            let found = match named {
                Some(NONE) => None,
                Some(named) => Some(fit.iter().find(|plugin| plugin.name == named).with_context(|| {
                    let names: Vec<_> = fit.iter().map(|plugin| plugin.name.as_str()).collect();
                    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                    format!("--{list} {named}: no {} of that name in {folder} (there: {names})", capability.world())
                })?),
                None => {
                    fit.iter().find(|plugin| plugin.name == shipped).or(if fit.len() == 1 { fit.first() } else { None })
                }
            };
            let part = |plugin: &&Installed| {
                let schema = settings::schema(plugin.schema.as_deref())?;
                let mut settings = settings::given(list, &plugin.name, &self.setting, &schema)?;
                if plugin.name == "scripted" && settings.is_empty() {
                    settings = dialogue();
                }
                anyhow::Ok(Part { plugin: (*plugin).clone(), schema, settings })
            };
            found.map(part).transpose()
        };
        let llm = pick("llm", Capability::Llm, self.llm.as_deref(), "scripted")?;
        // A recogniser without a model has nobody to talk to.
        let asr = if llm.is_some() { pick("asr", Capability::Asr, self.asr.as_deref(), "grammar")? } else { None };
        let tts = pick("tts", Capability::Tts, self.tts.as_deref(), "espeak")?;
        if tts.is_none() {
            bail!(
                "an agent needs a plugin that speaks, and {folder} has none to choose: install one, for example with \
                 `apt install trunkline-plugin-espeak`, or name one with --tts"
            );
        }
        Ok(Cast { asr, llm, tts })
    }

    pub(super) fn with_id(&self, id: &Id, tenant: &Id, cast: &Cast) -> Made {
        let about = format!("Agent {}: what answers calls.", quoted(&self.name));
        let mut file = File::of(Kind::Agent, &about, id, tenant);
        file.key("Shown in lists and records, 1 to 100 characters.", "name", &quoted(&self.name));
        file.key("BCP 47 tag of the language it hears and speaks.", "language", &quoted(&self.language));
        file.key("First line spoken; when empty, the caller speaks first.", "greeting", &quoted(&self.greeting));
        file.key(
            "What the language model is told; `{company}` stands for the variable of that name.",
            "prompt",
            &quoted(&self.prompt),
        );
        file.key(
            "Tools the model may call: `hang_up`, `transfer`, `set_language`, `send_dtmf`, `request_callback` and `open_menu` are \
             built in, others are tool plugins, which may have a `policy` with timeout_ms, say, say_after_ms, speak_while_waiting, on_interrupt (cancel or keep), idempotent.",
            "tools",
            "[{ name = \"hang_up\" }]",
        );
        file.default("Always this; a later format would have another name.", "schema", "\"trunkline.agent/v1\"");
        file.default("Features a gateway must have to run it.", "requires", "[\"cascade\", \"barge_in\"]");
        file.default(
            "What is found out about a call once it is over: summary, disposition, topics, sentiment, emotion.",
            "analysis",
            "[]",
        );
        let about = "Knowledge bases: folders of texts in `knowledge/` beside this file.";
        file.default(about, "knowledge", "[]");
        let about = "Time zone that `{now}` is told in, such as \"Europe/Berlin\"; UTC when empty.";
        file.default(about, "time_zone", "\"\"");
        collecting::keys(&mut file);
        cast.write(&mut file);
        policies(&mut file);
        Made { kind: Kind::Agent, name: self.name.clone(), text: file.text() }
    }
}

impl Cast {
    /// What this agent does not do for want of plugins.
    fn missing(&self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if self.llm.is_none() {
            missing
                .push("no language model is installed or named (--llm): the agent greets, and then has nothing to say");
        } else if self.asr.is_none() {
            missing.push("no recogniser is installed or named (--asr): the agent understands keys, not words");
        }
        missing
    }

    fn write(&self, file: &mut File) {
        const PIPELINE: &str = "object.body.pipeline.cascade";
        let about = "What hears (asr), thinks (llm) and speaks (tts). The first entry of a list serves; further ones, \
                     written below it in the same way, stand in when it fails.";
        file.section(about, PIPELINE);
        let parts = [("asr", &self.asr), ("llm", &self.llm), ("tts", &self.tts)];
        for (list, _) in parts.iter().filter(|(_, part)| part.is_none()) {
            file.key("Nobody.", list, "[]");
        }
        for (list, part) in parts {
            let Some(Part { plugin, schema, settings }) = part else { continue };
            file.entry(&plugin.description, &format!("{PIPELINE}.{list}"));
            file.key("Name of a plugin, or of a provider object.", "provider", &quoted(&plugin.name));
            file.section(&format!("Settings of `{}`.", plugin.name), &format!("{PIPELINE}.{list}.settings"));
            settings::write(file, settings, schema);
        }
    }
}

/// What the scripted model says until somebody writes a better dialogue.
fn dialogue() -> Map<String, Value> {
    let rules = json!({
        "rules": [
            { "when": { "any": ["goodbye", "stop", "cancel"] }, "say": "Goodbye.", "hang_up": true },
            { "when": { "dtmf": "any" }, "say": "You pressed {dtmf}." },
        ],
        "fallback": { "say": "You said {heard}." },
    });
    rules.as_object().cloned().unwrap_or_default()
}

/// Everything else, with its defaults.
fn policies(file: &mut File) {
    let text = |value: &Value| inline(value).unwrap_or_default();
    file.section("Values for `{name}` in prompt and greeting.", "object.body.variables");
    file.line("# company = \"Example\"");

    let turn = TurnPolicy::default();
    file.section("When the caller's turn is over.", "object.body.turn");
    file.default("Silence that ends a turn, 100 to 5000 ms.", "end_silence_ms", &turn.end_silence_ms.to_string());
    let about = "Longest wait for the recogniser's last words after that, 100 to 10000 ms.";
    file.default(about, "final_wait_ms", &turn.final_wait_ms.to_string());
    let about = "Silence after which pressed keys make a turn, 100 to 10000 ms; `#` ends it at once.";
    file.default(about, "dtmf_gap_ms", &turn.dtmf_gap_ms.to_string());
    let about = "Less silence after a whole question or answer, more after digits, a hesitation or half a sentence.";
    file.default(about, "adaptive", &turn.adaptive.to_string());
    let about = "The model is asked before the silence is over, and heard if nothing else was said.";
    file.default(about, "speculate", &turn.speculate.to_string());
    let about = "Speech after which a turn is over although the caller goes on, 5000 to 600000 ms.";
    file.default(about, "max_speech_ms", &turn.max_speech_ms.to_string());
    file.default("Push to talk: a key that begins the caller's turn and ends it.", "push_to_talk", "\"\"");

    let interruption = InterruptionPolicy::default();
    file.section("What may interrupt the agent.", "object.body.interruption");
    file.default("Whether speech stops it.", "barge_in", &interruption.barge_in.to_string());
    let about = "Speech needed to interrupt, 20 to 2000 ms.";
    file.default(about, "min_speech_ms", &interruption.min_speech_ms.to_string());
    file.default("pause_then_resume, ignore_backchannel, finish_sentence or abort.", "mode", "\"pause_then_resume\"");
    file.default("Words that it takes, 1 to 10.", "min_words", &interruption.min_words.to_string());
    file.default("Words that do not interrupt, beside those of the language.", "backchannels", "[]");
    file.default("Sentences with one of these are said to the end.", "protected", "[]");
    file.default("Whether a pressed key stops it.", "dtmf", &interruption.dtmf.to_string());

    let speech = SpeechPolicy::default();
    file.section("How it speaks, and what is said while the caller waits.", "object.body.speech");
    let about = "Silence after which a line is said meanwhile, 500 to 10000 ms, or 0 for never.";
    file.default(about, "filler_after_ms", &speech.filler_after_ms.to_string());
    file.default("The lines; without any it is `survival.bridge`.", "fillers", "[]");
    let about = "Whether a soft knocking tells callers who wait that somebody is there.";
    file.default(about, "thinking_sound", &speech.thinking_sound.to_string());
    let about =
        "What is put into words for the synthesiser: off, signs (addresses, codes, markdown) or words (numbers, too).";
    file.default(about, "normalize", "\"signs\"");
    let about = "Whether the first clause of a reply is spoken before its sentence is whole.";
    file.default(about, "first_clause", "false");
    let about = "Pronunciations: { written = \"GmbH\", spoken = \"Geh Em Be Ha\", language = \"de\" }; at most 500.";
    file.default(about, "dictionary", "[]");
    file.default("Voices of further languages: { de = { provider = \"name\" } }; at most 16.", "voices", "{}");
    file.default("Names of the synthesisers that take SSML; the others get plain text and pauses.", "ssml", "[]");

    thinking::write(file);
    collecting::write(file);
    telephone::write(file);

    sound::write(file, "The sound of its calls; what is not said here its trunk says.");

    file.section("Recording of calls, caller left, agent right.", "object.body.recording");
    file.key("From the answer on. Tell callers before you switch it on.", "enabled", "false");
    let recording = Recording::default();
    file.default("wav or opus.", "format", "\"wav\"");
    file.default("A tone that tells callers: never, start or repeat (every 15 s).", "beep", "\"never\"");
    let about = "When the tenant has no recording_key to seal recordings to: clear stores them all the same, refuse \
                 refuses the call.";
    file.default(about, "without_key", "\"clear\"");
    file.default("Length at which a recording ends, 1 to 86400 seconds.", "max_s", &recording.max_s.to_string());
    file.default("Size at which a recording ends, 1 to 4095 MiB.", "max_mib", &recording.max_mib.to_string());

    file.section("What must not be written down or sent on as it was said.", "object.body.redaction");
    file.default("A redactor plugin; empty means none.", "redactor", "\"pii\"");
    let about = "Where: asr-input, llm-input, llm-output, transcript, tool, log, webhook, recording.";
    file.default(about, "channels", "[\"transcript\", \"llm-input\"]");
    file.default("What: kinds that the redactor knows; empty means all.", "entity_types", "[]");

    let limits = Limits::default();
    file.section("Limits of a call.", "object.body.limits");
    file.default("Longest call, 1 to 86400 seconds.", "max_call_s", &limits.max_call_s.to_string());
    let about = "Longest wait for the model's first word before the next entry of the list, ms.";
    file.default(about, "llm_first_token_ms", &limits.llm_first_token_ms.to_string());
    let about = "Wait for it after which the next entry is asked, too, 100 to 10000 ms, or 0 for never.";
    file.default(about, "llm_hedge_ms", &limits.llm_hedge_ms.to_string());
    let about = "Longest wait for the first sound before the next entry of the list, ms.";
    file.default(about, "tts_first_byte_ms", &limits.tts_first_byte_ms.to_string());
    file.default(
        "Silence after which the caller is asked, ms.",
        "caller_silence_ms",
        &limits.caller_silence_ms.to_string(),
    );
    file.default(
        "How often the caller is asked before the hang-up.",
        "silence_prompts",
        &limits.silence_prompts.to_string(),
    );
    file.default("Most tokens of one reply.", "max_reply_tokens", &limits.max_reply_tokens.to_string());

    let survival = Survival::default();
    file.section("Lines for when something fails, in the agent's language.", "object.body.survival");
    file.default("While the next entry of a list is tried.", "bridge", &text(&json!(survival.bridge)));
    file.default("Asked of a silent caller.", "still_there", &text(&json!(survival.still_there)));
    file.default("Before hanging up on one.", "goodbye", &text(&json!(survival.goodbye)));
    file.default("When every entry of a list has failed.", "unavailable", &text(&json!(survival.unavailable)));
    file.default("When the conversation goes on that a menu stood in for.", "restored", "\"\"");
    file.default("The menu that stands in for it meanwhile.", "menu", "\"\"");
    file.default("A human, where there is no such menu.", "transfer_to", "\"\"");
    let about =
        "Providers on the premises that are asked when all of the lists have failed: { asr = [], llm = [], tts = [] }.";
    file.default(about, "engines", "{}");
    let about = "Whether fixed lines are always played as they were rendered beforehand: at once and for nothing.";
    file.default(about, "prerendered", "false");

    let about = "What to do about a failure, by its name: next_provider (bridge), say (text), transfer (to), hang_up \
                 (text) or record.";
    file.section(about, "object.body.failures");
    file.line("# llm_timeout = { action = \"say\", text = \"One moment, please.\" }");
}

#[cfg(test)]
impl Agent {
    pub(super) fn example(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            greeting: "Hello. How can I help you?".to_owned(),
            prompt: "You answer the telephone. Be brief and friendly.".to_owned(),
            language: "en".to_owned(),
            asr: None,
            llm: None,
            tts: None,
            setting: Vec::new(),
            tenant: None,
        }
    }

    pub(super) fn with(mut self, llm: &str, setting: &[&str]) -> Self {
        self.llm = Some(llm.to_owned());
        self.setting = setting.iter().map(|text| (*text).to_owned()).collect();
        self
    }
}
