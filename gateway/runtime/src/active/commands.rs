//! What becomes of each thing a call asks for.

use std::sync::Arc;

use serde_json::Value;
use trunkline_api::Failure;
use trunkline_api::agent::ProviderRef;
use trunkline_api::words::ProviderKind;
use trunkline_call::{AsrEvent, Command, Input, LlmEvent, ToolOutcome, TtsEvent};
use trunkline_leg::{CallTime, EndCause};
use trunkline_plugin_host::Plugin;

use super::Active;
use super::ports::of_leg;
use crate::session::seat::Opener;
use crate::session::{Session, ToolContext, Wake, is_online, open_asr, open_llm, open_tool, open_tts};

impl Active {
    /// Carries out one command, without waiting.
    pub(super) fn command(&mut self, now: CallTime, command: Command) {
        match command {
            Command::OpenAsr { session, provider, language, replay_from, .. } => match self.plugin(&provider) {
                Ok((plugin, settings)) => {
                    let continuous = is_online(&plugin);
                    let open = self.open(plugin.is_heavy(), |wake| open_asr(plugin, settings, language, wake));
                    let listening = &mut self.sessions.listening;
                    listening.open(session, provider.provider, open, continuous, replay_from);
                }
                Err((failure, detail)) => {
                    let event = AsrEvent::Failed { failure, detail };
                    self.tell(now, Input::Asr { session, event });
                }
            },
            Command::FinalizeAsr { session, goes_on } => self.sessions.listening.finalize(session, goes_on),
            Command::CloseAsr { session } => self.sessions.close_recogniser(session),
            Command::StartLlm { request, provider, messages, tools, max_tokens, .. } => match self.plugin(&provider) {
                Ok((plugin, settings)) => {
                    let session = self
                        .open(plugin.is_heavy(), |wake| open_llm(plugin, settings, messages, tools, max_tokens, wake));
                    self.sessions.start(ProviderKind::Llm, request, provider.provider, session);
                }
                Err((failure, detail)) => {
                    let event = LlmEvent::Failed { failure, detail };
                    self.tell(now, Input::Llm { request, event });
                }
            },
            Command::CancelLlm { request } => self.sessions.cancel(ProviderKind::Llm, request),
            Command::Silence { utterance, part, ms } => {
                self.sessions.speaking.silence(self.ports.leg(), utterance, part, ms);
            }
            Command::Speak { utterance, part, index, provider, language, text } => {
                if !self.sessions.speaking.has_voice(index)
                    && let Err((failure, detail)) = self.open_voice(index, provider, language)
                {
                    let event = TtsEvent::Failed { failure, detail };
                    return self.tell(now, Input::Tts { utterance, index, event });
                }
                self.sessions.speaking.speak(self.ports.leg(), utterance, part, index, text);
            }
            Command::Play { utterance, part, text } => {
                let line = self.prompts.get(&text);
                self.sessions.speaking.play(self.ports.leg(), utterance, part, line);
            }
            Command::Conceal { on, .. } => {
                self.recordings.conceal(on);
                self.sessions.listening.conceal(on);
            }
            Command::Record { on, .. } => self.record_message(now, on),
            Command::EndUtterance { utterance } => self.sessions.speaking.end(utterance),
            Command::StopSpeaking { utterance, index } => self.sessions.speaking.stop(utterance, index),
            Command::DropParts { utterance, from, cut } => self.sessions.speaking.drop_parts(utterance, from, cut),
            Command::PausePlayback => {
                let heard = self.ports.pause(now);
                self.tell(now, heard);
            }
            Command::ResumePlayback => self.ports.resume(),
            Command::ThinkingSound { on } => self.ports.think(on),
            Command::ClearPlayback => {
                self.tell(now, self.ports.heard(now));
                if let Some(fact) = self.sessions.speaking.clear(self.ports.leg(), now) {
                    self.tell(now, of_leg(fact));
                }
            }
            Command::Redact { ticket, channel, text } => {
                let Self { sessions, shared, .. } = self;
                let place = sessions.place().clone();
                if !sessions.redacting.hand_over(shared, &place, ticket, channel, &text) {
                    let (result, units) = sessions.redacting.redact(shared, now.0, channel, &text);
                    let redactor = sessions.redacting.plugin().to_owned();
                    self.used(now, ProviderKind::Redactor, redactor, units);
                    self.tell(now, Input::Redacted { ticket, result });
                }
            }
            Command::StartTool { invocation, plugin, settings, name, arguments, deadline_ms } => {
                match self.shared.plugin(&plugin) {
                    Ok(loaded) => {
                        let context = self.tool_context(invocation, deadline_ms);
                        let arguments = self.call.call().tool_arguments(&name, &arguments);
                        let session = self.open(loaded.is_heavy(), |wake| {
                            open_tool(loaded, settings.into(), name, arguments, context, wake)
                        });
                        self.sessions.start(ProviderKind::Tool, invocation, plugin, session);
                    }
                    Err((failure, detail)) => {
                        let outcome =
                            ToolOutcome { output: detail, is_error: true, actions: Vec::new(), failure: Some(failure) };
                        self.tell(now, Input::Tool { invocation, outcome });
                    }
                }
            }
            Command::CancelTool { invocation } => self.sessions.cancel(ProviderKind::Tool, invocation),
            Command::Lookup { ticket, bases, query, top, deadline_ms } => {
                self.look_up(ticket, bases, query, top, deadline_ms);
            }
            Command::HandOff { agent, keeps_voices } => self.hand_off(now, &agent, keeps_voices),
            Command::HangUp { leg, failure, .. } => self.ports.hang_up(leg, failure, EndCause::Local),
            command @ (Command::OpenRealtime { .. }
            | Command::Update { .. }
            | Command::BeginInput { .. }
            | Command::CommitInput { .. }
            | Command::DropInput { .. }
            | Command::AppendMessage { .. }
            | Command::ToolResult { .. }
            | Command::CreateResponse { .. }
            | Command::CancelResponse { .. }
            | Command::PlayItem { .. }
            | Command::EndPart { .. }
            | Command::Truncate { .. }
            | Command::CloseRealtime { .. }) => self.engine(now, command),
            command => self.telephone(now, command),
        }
    }

    /// The plugin behind an entry of the agent's lists, with what it is set to.
    fn plugin(&self, provider: &ProviderRef) -> Result<(Arc<Plugin>, Value), (Failure, String)> {
        let resolved = self.serving.resolve(&self.setup.tenant, provider);
        Ok((self.shared.plugin(&resolved.plugin)?, resolved.settings))
    }

    fn open_voice(&mut self, index: usize, provider: ProviderRef, language: String) -> Result<(), (Failure, String)> {
        let (plugin, settings) = self.plugin(&provider)?;
        let session = self.open(plugin.is_heavy(), |wake| open_tts(plugin, settings, language, wake));
        self.sessions.speaking.add_voice(index, provider.provider, session);
        Ok(())
    }

    fn open(&self, heavy: bool, make: impl FnOnce(Wake) -> Opener) -> Session {
        Session::open(self.sessions.place(), heavy, make)
    }

    fn tool_context(&self, invocation: u32, deadline_ms: u32) -> ToolContext {
        let setup = &self.setup;
        ToolContext {
            tenant: setup.tenant.to_string(),
            agent: setup.agent.to_string(),
            call: setup.call.to_string(),
            language: setup.spec.language.clone(),
            idempotency_key: format!("{}/{invocation}", setup.call),
            deadline_ms,
        }
    }
}
