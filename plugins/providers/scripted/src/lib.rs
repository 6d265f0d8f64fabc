//! A language model that follows a written dialogue: the first rule whose condition holds answers, with the caller's
//! own words where the script asks for them. It needs no network and gives the same answer every time, which is what
//! demonstrations and tests want; it can also fail, stall and be slow on purpose.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod heard;
mod script;
mod template;

use std::collections::VecDeque;

use trunkline_plugin_kit::llm::{FinishReason, Generation, LlmEvent, Request, ToolCall};
use trunkline_plugin_kit::{Event, Host, NO_USAGE, Outbox, ProviderError, Usage, parse_settings};

use crate::heard::Heard;
use crate::script::{Reply, Script};
use crate::template::Context;

trunkline_plugin_kit::export_llm_provider!(Dialogue, name = "scripted");

/// One answer on its way out.
#[derive(Debug)]
pub struct Dialogue {
    steps: VecDeque<LlmEvent>,
    interval_ms: u32,
    fails: Option<(u32, ProviderError)>,
    stalls: Option<u32>,
    streamed: u32,
}

impl Generation for Dialogue {
    fn start(host: &mut dyn Host, request: Request) -> Result<Self, ProviderError> {
        let script: Script = parse_settings(host)?;
        if script.words_per_event == 0 {
            return Err(ProviderError::invalid_settings("`words_per_event` must be at least 1"));
        }
        let heard = Heard::new(&request);
        let reply = choose(&script, &heard);
        let steps = write_steps(&script, reply, &heard)?;
        let faulty = script.fault_turns.is_empty() || script.fault_turns.contains(&heard.turn);
        let failure = ProviderError::new(script.fail_with.into(), "the script asked for this failure");
        let dialogue = Self {
            steps,
            interval_ms: script.event_interval_ms,
            fails: script.fail_after.filter(|_| faulty).map(|after| (after, failure)),
            stalls: if script.stall { Some(0) } else { script.stall_after }.filter(|_| faulty),
            streamed: 0,
        };
        host.set_timer(script.first_token_delay_ms.saturating_add(reply.delay_ms));
        Ok(dialogue)
    }

    fn on_event(&mut self, host: &mut dyn Host, event: Event, out: &mut Outbox<LlmEvent>) -> Result<(), ProviderError> {
        if matches!(event, Event::Timer(_)) {
            self.speak(host, out);
        }
        Ok(())
    }

    fn cancel(&mut self, _: &mut dyn Host, out: &mut Outbox<LlmEvent>) -> Result<(), ProviderError> {
        self.steps.clear();
        out.clear();
        out.push(LlmEvent::Finished(FinishReason::Cancelled));
        Ok(())
    }
}

impl Dialogue {
    /// Gives what is due now: everything, or one event when events are spaced out.
    fn speak(&mut self, host: &mut dyn Host, out: &mut Outbox<LlmEvent>) {
        if self.steps.is_empty() {
            return;
        }
        if self.streamed == 0 && self.stalls != Some(0) {
            out.push(LlmEvent::Started);
        }
        while let Some(step) = self.steps.pop_front() {
            if self.stalls.is_some_and(|after| self.streamed >= after) {
                self.steps.clear();
                return;
            }
            if let Some((_, error)) = self.fails.take_if(|(after, _)| self.streamed >= *after) {
                self.steps.clear();
                out.push(LlmEvent::Failed(error));
                return;
            }
            let is_text = matches!(step, LlmEvent::TextDelta(_));
            out.push(step);
            if is_text {
                self.streamed += 1;
                if self.interval_ms > 0 && !self.steps.is_empty() {
                    host.set_timer(self.interval_ms);
                    return;
                }
            }
        }
    }
}

fn choose<'a>(script: &'a Script, heard: &Heard) -> &'a Reply {
    let fallback = if heard.tool.is_some() { &script.after_tool } else { &script.fallback };
    script.rules.iter().find(|rule| heard.satisfies(&rule.when)).map_or(fallback, |rule| &rule.reply)
}

fn write_steps(script: &Script, reply: &Reply, heard: &Heard) -> Result<VecDeque<LlmEvent>, ProviderError> {
    let context = Context { heard, variables: &script.variables };
    let text = context.fill(&reply.say)?;
    let mut steps: VecDeque<LlmEvent> =
        chunks(&text, script.words_per_event as usize).map(LlmEvent::TextDelta).collect();
    let mut reason = FinishReason::Stop;
    let mut call = |name: &str, arguments: String| {
        reason = FinishReason::ToolCalls;
        let id = format!("call-{}-{name}", heard.turn);
        steps.push_back(LlmEvent::ToolCall(ToolCall { id, name: name.to_owned(), arguments }));
    };
    if let Some(tool) = &reply.call_tool {
        call(&tool.name, context.fill_json(&tool.arguments)?.to_string());
    }
    if reply.hang_up {
        call(&script.hang_up_tool, r#"{"reason":"the script ended the call"}"#.to_owned());
    }
    steps.push_back(LlmEvent::Usage(Usage {
        tokens_in: Some(heard.input_words),
        tokens_out: Some(text.split_whitespace().count() as u64),
        ..NO_USAGE
    }));
    steps.push_back(LlmEvent::Finished(reason));
    Ok(steps)
}

/// Cuts a text into pieces of `words` words, losing nothing of it.
fn chunks(text: &str, words: usize) -> impl Iterator<Item = String> {
    let parts: Vec<&str> = text.split_inclusive(char::is_whitespace).collect();
    parts.chunks(words).map(|parts| parts.concat()).collect::<Vec<_>>().into_iter()
}
