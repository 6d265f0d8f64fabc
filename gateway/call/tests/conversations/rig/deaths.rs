//! Providers that die in mid-call, and say so or fall silent: what they owe never comes.

use std::collections::BTreeSet;

use trunkline_api::Failure;
use trunkline_call::{AsrEvent, Input, LlmEvent, ToolOutcome, TtsEvent};

use super::{Asr, Due, Llm, Redactor, Rig, Tts};

/// What dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mortal {
    /// The first recogniser of the list.
    Recogniser,
    /// The first model of the list.
    Model,
    /// The first synthesiser of the list.
    Voice,
    /// Every tool.
    Tool,
    /// The redactor.
    Redactor,
}

impl Rig {
    /// It dies; whoever waits for it is told only if it `says` so.
    pub(crate) fn dies(&mut self, at_ms: u64, who: Mortal, says: bool) {
        self.push(at_ms, Due::Dies(who, says));
    }

    pub(super) fn died(&mut self, who: Mortal, says: bool) {
        let detail = || "killed".to_owned();
        let told: Vec<Input> = match who {
            Mortal::Recogniser => {
                self.asr[0] = if says { Asr::Fails } else { Asr::Stalls };
                let open: BTreeSet<u32> =
                    self.sessions.iter().filter(|(_, session)| session.index == 0).map(|(number, _)| *number).collect();
                let owed = |due: &Due| matches!(due, Due::Tell(Input::Asr { session, .. }) if open.contains(session));
                self.queue.retain(|_, due| !owed(due));
                let failed = || AsrEvent::Failed { failure: Failure::AsrUnavailable, detail: detail() };
                open.iter().map(|session| Input::Asr { session: *session, event: failed() }).collect()
            }
            Mortal::Model => {
                self.llm[0] = if says { Llm::Fails } else { Llm::Stalls };
                let mut owed = BTreeSet::new();
                let requests = &self.requests;
                self.queue.retain(|_, due| match due {
                    Due::Tell(Input::Llm { request, .. }) if requests.get(request) == Some(&0) => {
                        owed.insert(*request);
                        false
                    }
                    _ => true,
                });
                owed.retain(|request| !self.cancelled.contains(request));
                let failed = || LlmEvent::Failed { failure: Failure::LlmUnavailable, detail: detail() };
                owed.iter().map(|request| Input::Llm { request: *request, event: failed() }).collect()
            }
            Mortal::Voice => {
                self.tts[0] = if says { Tts::Fails } else { Tts::Stalls };
                let mut owed = BTreeSet::new();
                self.queue.retain(|_, due| match due {
                    Due::Sound { utterance, index: 0, .. } => {
                        owed.insert(*utterance);
                        false
                    }
                    _ => true,
                });
                let failed = || TtsEvent::Failed { failure: Failure::TtsUnavailable, detail: detail() };
                owed.iter().map(|utterance| Input::Tts { utterance: *utterance, index: 0, event: failed() }).collect()
            }
            Mortal::Tool => {
                let mut owed = Vec::new();
                self.queue.retain(|_, due| match due {
                    Due::Tell(Input::Tool { invocation, .. }) => {
                        owed.push(*invocation);
                        false
                    }
                    _ => true,
                });
                let failed = ToolOutcome {
                    output: "the tool is gone".to_owned(),
                    is_error: true,
                    actions: Vec::new(),
                    failure: Some(Failure::PluginTrapped),
                };
                self.tools.values_mut().for_each(|tool| *tool = says.then(|| (5, failed.clone())));
                owed.iter().map(|invocation| Input::Tool { invocation: *invocation, outcome: failed.clone() }).collect()
            }
            Mortal::Redactor => {
                self.redactor = if says { Redactor::Fails } else { Redactor::Stalls };
                Vec::new()
            }
        };
        if says {
            told.into_iter().for_each(|input| self.tell_in(0, input));
        }
    }
}
