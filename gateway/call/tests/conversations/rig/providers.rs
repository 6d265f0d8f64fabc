//! Providers that tests give their behaviour: a recogniser, a model, a synthesiser, a redactor and tools.

use std::collections::VecDeque;

use trunkline_api::Failure;
use trunkline_api::words::{FinishReason, Message, ToolCall};
use trunkline_call::{AsrEvent, Command, Input, LlmEvent, Redacted, TtsEvent};
use trunkline_leg::CallTime;

use super::{Due, Rig};

/// Milliseconds of sound a character takes in this world.
pub(crate) const MS_PER_CHAR: u32 = 50;
/// Milliseconds of a piece of sound that is streamed.
const PIECE_MS: u32 = 200;

/// How a recogniser behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Asr {
    /// Answers a finalisation after that many milliseconds.
    Hears(u64),
    /// Never says anything.
    Stalls,
    /// Fails as soon as it is opened.
    Fails,
}

/// How a language model behaves.
#[derive(Debug, Clone)]
pub(crate) enum Llm {
    /// Plays one script a request; each step comes that many milliseconds after the one before.
    Replies(VecDeque<Vec<(u64, LlmEvent)>>),
    /// Makes up a script for what it is sent.
    Thinks(fn(&[Message]) -> Vec<(u64, LlmEvent)>),
    /// Never says anything.
    Stalls,
    /// Fails at once.
    Fails,
}

/// How a synthesiser behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Tts {
    /// First sound after that many milliseconds, all sound at once.
    Speaks(u64),
    /// First sound after that many milliseconds, and the rest twice as fast as it is heard.
    Streams(u64),
    /// Never says anything.
    Stalls,
    /// Stops after that many milliseconds of sound, and says nothing of it.
    BreaksOff(u32),
    /// Ends every part without sound.
    Mute,
    /// Fails at once.
    Fails,
}

/// How a redactor behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Redactor {
    /// Replaces digits.
    Works,
    /// Answers with an error.
    Fails,
    /// Replaces digits, after so many milliseconds.
    Late(u64),
    /// Never answers.
    Stalls,
}

/// A session of a recogniser.
pub(super) struct Session {
    pub(super) index: usize,
    hears_from: CallTime,
}

/// A script: the text in one piece after 200 ms.
pub(crate) fn reply(text: &str) -> Vec<(u64, LlmEvent)> {
    vec![(200, LlmEvent::TextDelta(text.to_owned())), (10, LlmEvent::Finished(FinishReason::Stop))]
}

/// A script: some text, then a call of a tool.
pub(crate) fn tool_reply(text: &str, name: &str, arguments: &str) -> Vec<(u64, LlmEvent)> {
    let call = ToolCall { id: format!("c-{name}"), name: name.to_owned(), arguments: arguments.to_owned() };
    let mut script = vec![(200, LlmEvent::ToolCall(call)), (10, LlmEvent::Finished(FinishReason::ToolCalls))];
    if !text.is_empty() {
        script.insert(0, (100, LlmEvent::TextDelta(text.to_owned())));
    }
    script
}

impl Rig {
    /// Gives the model scripts.
    pub(crate) fn scripts(mut self, scripts: Vec<Vec<(u64, LlmEvent)>>) -> Self {
        self.llm[0] = Llm::Replies(scripts.into());
        self
    }

    /// Does what a command asks of a provider.
    pub(super) fn provide(&mut self, command: Command) {
        match command {
            Command::OpenAsr { session, index, replay_from, .. } => {
                self.sessions.insert(session, Session { index, hears_from: replay_from.unwrap_or(self.now) });
                if self.asr[index] == Asr::Fails {
                    let event = AsrEvent::Failed { failure: Failure::AsrUnavailable, detail: "refused".to_owned() };
                    self.tell_in(5, Input::Asr { session, event });
                }
            }
            Command::FinalizeAsr { session, .. } => {
                let Session { index, hears_from } = self.sessions[&session];
                if let Asr::Hears(ms) = self.asr[index] {
                    let (now, mut words) = (self.now, Vec::new());
                    self.spoken.retain(|(begin, end, text)| {
                        let heard = *begin >= hears_from && *end <= now;
                        if heard && !text.is_empty() {
                            words.push(text.clone());
                        }
                        !heard
                    });
                    let text = words.join(" ");
                    let event = AsrEvent::Final { text, confidence: Some(0.9), finalized: true };
                    self.tell_in(ms, Input::Asr { session, event });
                }
            }
            Command::CloseAsr { session } => {
                self.sessions.remove(&session);
            }
            Command::StartLlm { request, index, messages, .. } => {
                self.requests.insert(request, index);
                let refused = LlmEvent::Failed { failure: Failure::LlmUnavailable, detail: "refused".to_owned() };
                let script = match &mut self.llm[index] {
                    Llm::Replies(scripts) => scripts.pop_front().expect("the script has no further reply"),
                    Llm::Thinks(of) => of(&messages),
                    Llm::Stalls => Vec::new(),
                    Llm::Fails => vec![(5, refused)],
                };
                let mut ms = 0;
                for (wait, event) in script {
                    ms += wait;
                    self.tell_in(ms, Input::Llm { request, event });
                }
            }
            Command::CancelLlm { request } => self.cancelled.push(request),
            Command::Speak { utterance, part, index, text, .. } => {
                self.begin_utterance(utterance);
                assert!(self.leg.voices.insert(part, index).is_none(), "a part was used twice");
                self.leg.parts.insert(part, (0, false));
                let whole = text.chars().count() as u32 * MS_PER_CHAR;
                let sound = |audio_ms, done| Due::Sound { utterance, part, index, audio_ms, done };
                match self.tts[index] {
                    Tts::Speaks(ms) => {
                        self.push_in(ms, sound(20.min(whole), false));
                        self.push_in(ms, sound(whole, true));
                    }
                    Tts::Streams(ms) => {
                        for heard in (1..=whole.div_ceil(PIECE_MS)).map(|piece| (piece * PIECE_MS).min(whole)) {
                            let at = ms + u64::from(heard.saturating_sub(PIECE_MS)) / 2;
                            self.push_in(at, sound(heard, heard == whole));
                        }
                    }
                    Tts::BreaksOff(after_ms) => self.push_in(60, sound(after_ms.min(whole), false)),
                    Tts::Stalls => {}
                    Tts::Mute => self.push_in(20, sound(0, true)),
                    Tts::Fails => {
                        let event = TtsEvent::Failed { failure: Failure::TtsUnavailable, detail: "refused".to_owned() };
                        self.tell_in(5, Input::Tts { utterance, index, event });
                    }
                }
            }
            Command::Redact { ticket, text, .. } => {
                let count = text.chars().filter(char::is_ascii_digit).count() as u32;
                let counts = if count > 0 { vec![("digit".to_owned(), count)] } else { Vec::new() };
                let text = text.chars().map(|c| if c.is_ascii_digit() { '*' } else { c }).collect();
                let redacted = |result| Input::Redacted { ticket, result };
                match self.redactor {
                    Redactor::Works => self.tell_in(0, redacted(Ok(Redacted { text, counts }))),
                    Redactor::Late(ms) => self.tell_in(ms, redacted(Ok(Redacted { text, counts }))),
                    Redactor::Fails => self.tell_in(0, redacted(Err("trapped".to_owned()))),
                    Redactor::Stalls => {}
                }
            }
            Command::StartTool { invocation, name, .. } => {
                if let Some((ms, outcome)) = self.tools.get(&name).cloned().flatten() {
                    self.tell_in(ms, Input::Tool { invocation, outcome });
                }
            }
            other => unreachable!("{other:?} is for no provider"),
        }
    }
}
