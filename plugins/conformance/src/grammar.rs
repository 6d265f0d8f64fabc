//! What a plugin may say after what: one checker per world, without any I/O.

use std::collections::{BTreeMap, BTreeSet};

use trunkline_plugin_host::{AsrEvent, FinishReason, LlmEvent, TtsEvent};

/// A rule that was broken, in words for the plugin's author.
pub type Violation = String;

/// Rules of `llm-event`.
#[derive(Debug, Default)]
pub struct LlmGrammar {
    started: bool,
    spoke: bool,
    ended: bool,
    calls: BTreeSet<String>,
}

impl LlmGrammar {
    /// Holds the next event against the rules.
    pub fn check(&mut self, event: &LlmEvent) -> Option<Violation> {
        if self.ended {
            return Some("an event after `finished` or `failed`".to_owned());
        }
        match event {
            LlmEvent::Started if self.started || self.spoke => {
                return Some("`started` must come once and first".to_owned());
            }
            LlmEvent::Started => self.started = true,
            LlmEvent::TextDelta(_) | LlmEvent::Usage(_) => self.spoke = true,
            LlmEvent::ToolCall(call) => {
                self.spoke = true;
                if call.id.is_empty() || call.name.is_empty() {
                    return Some("a tool call needs an id and a name".to_owned());
                }
                if serde_json::from_str::<serde_json::Value>(&call.arguments).is_err() {
                    return Some(format!("the arguments of tool call {} are not JSON", call.id));
                }
                if !self.calls.insert(call.id.clone()) {
                    return Some(format!("tool call id {} came twice", call.id));
                }
            }
            LlmEvent::Finished(reason) => {
                self.ended = true;
                if (*reason == FinishReason::ToolCalls) == self.calls.is_empty() && *reason != FinishReason::Cancelled {
                    return Some("`finished(tool-calls)` and tool calls go together".to_owned());
                }
            }
            LlmEvent::Failed(_) => self.ended = true,
        }
        None
    }

    /// Whether the generation ended as it must.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended
    }
}

/// Rules of `tts-event`.
#[derive(Debug, Default)]
pub struct TtsGrammar {
    ended: bool,
    /// Contexts that were given text: whether their input ended.
    open: BTreeMap<u32, bool>,
    closed: BTreeSet<u32>,
    position_us: BTreeMap<u32, u64>,
}

impl TtsGrammar {
    /// Text went to a context.
    pub fn speak(&mut self, context: u32, end: bool) {
        self.closed.remove(&context);
        self.open.insert(context, end);
    }

    /// A context was cancelled.
    pub fn cancel(&mut self, context: u32) {
        self.open.remove(&context);
        self.closed.insert(context);
    }

    /// Holds the next event against the rules.
    pub fn check(&mut self, event: &TtsEvent) -> Option<Violation> {
        if self.ended {
            return Some("an event after `ended` or `failed`".to_owned());
        }
        match event {
            TtsEvent::Audio { context, frame } => {
                if self.closed.contains(context) {
                    return Some(format!("audio of context {context} after it was done or cancelled"));
                }
                if !self.open.contains_key(context) {
                    return Some(format!("audio of context {context}, which was given no text"));
                }
                if frame.payload.is_empty() || frame.payload.len() % 2 == 1 {
                    return Some(format!("audio of {} bytes is not whole samples", frame.payload.len()));
                }
                let last = self.position_us.insert(*context, frame.position_us);
                if last.is_some_and(|last| last > frame.position_us) {
                    return Some(format!("audio of context {context} goes back in time"));
                }
            }
            TtsEvent::ContextDone(context) => match self.open.remove(context) {
                Some(true) => drop(self.closed.insert(*context)),
                Some(false) => return Some(format!("context {context} is done before its input ended")),
                // A context may finish while its cancellation is under way.
                None if self.closed.contains(context) => {}
                None => return Some(format!("context {context} is done and was given no text")),
            },
            TtsEvent::Failed(_) | TtsEvent::Ended => self.ended = true,
            TtsEvent::Ready | TtsEvent::Usage(_) => {}
        }
        None
    }

    /// Contexts whose `context-done` is missing.
    #[must_use]
    pub fn unfinished(&self) -> Vec<u32> {
        if self.ended {
            Vec::new()
        } else {
            self.open.iter().filter(|(_, end)| **end).map(|(context, _)| *context).collect()
        }
    }
}

/// Rules of `asr-event`.
#[derive(Debug, Default)]
pub struct AsrGrammar {
    ended: bool,
    ready: bool,
    final_end_ms: u32,
}

impl AsrGrammar {
    /// Holds the next event against the rules.
    pub fn check(&mut self, event: &AsrEvent) -> Option<Violation> {
        if self.ended {
            return Some("an event after `ended` or `failed`".to_owned());
        }
        match event {
            AsrEvent::Ready if std::mem::replace(&mut self.ready, true) => {
                return Some("`ready` came twice".to_owned());
            }
            AsrEvent::Ready | AsrEvent::SpeechStarted(_) | AsrEvent::Usage(_) => {}
            AsrEvent::Transcript(heard) => {
                if heard.end_ms < heard.start_ms {
                    return Some(format!(
                        "a transcript ends ({} ms) before it starts ({} ms)",
                        heard.end_ms, heard.start_ms
                    ));
                }
                if heard.words.iter().any(|word| {
                    word.end_ms < word.start_ms || word.start_ms < heard.start_ms || word.end_ms > heard.end_ms
                }) {
                    return Some("a word lies outside its transcript".to_owned());
                }
                if heard.speech_final && !heard.is_final {
                    return Some("`speech-final` without `is-final`".to_owned());
                }
                if heard.is_final {
                    if heard.end_ms < self.final_end_ms {
                        return Some("final transcripts go back in time".to_owned());
                    }
                    self.final_end_ms = heard.end_ms;
                }
            }
            AsrEvent::Failed(_) | AsrEvent::Ended => self.ended = true,
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use trunkline_plugin_host::{AudioFrame, ToolCall, Transcript};

    use super::*;

    fn audio(context: u32) -> TtsEvent {
        TtsEvent::Audio { context, frame: AudioFrame { position_us: 0, payload: vec![0; 4] } }
    }

    #[test]
    fn audio_after_the_end_of_its_context_is_a_violation() {
        let mut grammar = TtsGrammar::default();
        assert!(grammar.check(&audio(1)).is_some(), "no text yet");
        grammar.speak(1, false);
        assert_eq!(grammar.check(&audio(1)), None);
        assert!(TtsGrammar::default().check(&TtsEvent::ContextDone(1)).is_some());
        grammar.speak(1, true);
        assert_eq!(grammar.unfinished(), [1]);
        assert_eq!(grammar.check(&TtsEvent::ContextDone(1)), None);
        assert!(grammar.check(&audio(1)).is_some());
        grammar.speak(2, true);
        grammar.cancel(2);
        assert!(grammar.check(&audio(2)).is_some());
        assert!(grammar.unfinished().is_empty());
    }

    #[test]
    fn tool_calls_need_ids_json_and_the_right_ending() {
        let call = |id: &str, arguments: &str| {
            LlmEvent::ToolCall(ToolCall { id: id.into(), name: "n".into(), arguments: arguments.into() })
        };
        assert!(LlmGrammar::default().check(&call("", "{}")).is_some());
        assert!(LlmGrammar::default().check(&call("a", "{")).is_some());
        let mut grammar = LlmGrammar::default();
        assert_eq!(grammar.check(&call("a", "{}")), None);
        assert!(grammar.check(&call("a", "{}")).is_some());
        assert!(grammar.check(&LlmEvent::Started).is_some());
        assert!(grammar.check(&LlmEvent::Finished(FinishReason::Stop)).is_some());
        assert!(grammar.is_over() && grammar.check(&LlmEvent::TextDelta("x".into())).is_some());
    }

    #[test]
    fn final_words_do_not_go_back_in_time() {
        let heard = |start_ms, end_ms| {
            AsrEvent::Transcript(Transcript {
                text: "x".into(),
                is_final: true,
                speech_final: false,
                start_ms,
                end_ms,
                confidence: None,
                words: Vec::new(),
            })
        };
        let mut grammar = AsrGrammar::default();
        assert_eq!(grammar.check(&heard(0, 500)), None);
        assert!(grammar.check(&heard(0, 400)).is_some());
        assert!(AsrGrammar::default().check(&heard(5, 4)).is_some());
    }
}
