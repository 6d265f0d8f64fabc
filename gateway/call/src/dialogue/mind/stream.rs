//! A request to a model and what streams back: text cut into sentences, calls of tools, the end or a break.

use trunkline_api::Failure;
use trunkline_api::agent::ProviderRef;
use trunkline_api::words::{FinishReason, Message, ToolCall, ToolDefinition};

use super::{MAX_REPLY_BYTES, Mind, Request, STALL_MS, Stage, Thought};
use crate::command::Command;
use crate::effects::Effects;
use crate::sentence::Sentences;
use crate::speech;
use crate::spoken;
use crate::timers::Reason;
use crate::tokens;

impl Mind {
    pub(super) fn request(
        &mut self,
        fx: &mut Effects,
        index: usize,
        provider: ProviderRef,
        messages: Vec<Message>,
        tools: Vec<ToolDefinition>,
        may_call: bool,
    ) {
        let others = self.is_answering();
        let Some(reply) = &mut self.reply else { return };
        let estimate =
            messages.iter().map(tokens::of_message).sum::<u64>() + tools.iter().map(tokens::of_tool).sum::<u64>();
        self.meter.asked(estimate, others);
        self.last_request += 1;
        let request = self.last_request;
        reply.requests.push(Request {
            id: request,
            index,
            sentences: Sentences::new(self.eager),
            bytes: 0,
            may_call,
            handed: String::new(),
            answered: false,
            by_engine: false,
        });
        let max_tokens = self.max_tokens;
        fx.command(Command::StartLlm { request, index, provider, messages, tools, max_tokens });
    }

    /// A request is alive, and the only one from now on. Returns its place.
    fn alone(&mut self, fx: &mut Effects, at: usize) -> usize {
        let Some(reply) = &mut self.reply else { return at };
        let id = reply.requests[at].id;
        reply.requests.iter().filter(|other| other.id != id).for_each(|other| other.cancel(fx));
        reply.requests.retain(|request| request.id == id);
        fx.clear(Reason::LlmFirstToken);
        fx.clear(Reason::Hedge);
        fx.set_in(Reason::LlmStall, STALL_MS);
        0
    }

    pub(super) fn text(&mut self, fx: &mut Effects, at: usize, text: &str) -> Thought {
        let at = self.alone(fx, at);
        let Some(request) = self.reply.as_mut().and_then(|reply| reply.requests.get_mut(at)) else {
            return Thought::Nothing;
        };
        request.answered |= !text.is_empty();
        request.bytes += text.len();
        let mut whole = Vec::new();
        request.sentences.push(text, |sentence| whole.push(sentence));
        for sentence in &whole {
            spoken::join(&mut request.handed, &speech::written(sentence));
        }
        if request.bytes <= MAX_REPLY_BYTES {
            return Thought::Sentences(whole);
        }
        request.cancel(fx);
        let finished = self.finished(fx, at, FinishReason::Length);
        let Thought::Finished(last) = finished else { return finished };
        whole.extend(last);
        Thought::Finished(whole)
    }

    pub(super) fn call(&mut self, fx: &mut Effects, at: usize, call: ToolCall) -> Thought {
        let at = self.alone(fx, at);
        if let Some(reply) = &mut self.reply
            && let Some(request) = reply.requests.get_mut(at)
            && request.may_call
            && reply.tool_calls < self.tool_use.max_calls as usize
        {
            request.answered = true;
            reply.tool_calls += 1;
            reply.calls.push(call);
        }
        Thought::Sentences(Vec::new())
    }

    pub(super) fn finished(&mut self, fx: &mut Effects, at: usize, reason: FinishReason) -> Thought {
        let at = self.alone(fx, at);
        let Some(reply) = &mut self.reply else { return Thought::Nothing };
        if !reply.requests[at].answered && reason != FinishReason::Stop {
            // A model may choose to say nothing; a filter or a limit that leaves nothing is a failure.
            let failure = Failure::LlmUnavailable;
            return self.lost(fx, at, failure, format!("an empty reply ({reason:?})"));
        }
        let mut request = reply.requests.remove(at);
        let last = request.sentences.flush();
        reply.stage = Stage::Replied;
        reply.broke_off.clear();
        if !request.by_engine {
            self.models.succeeded(request.index);
        }
        Self::clear_timers(fx);
        Thought::Finished(last.into_iter().collect())
    }

    pub(super) fn lost(&mut self, fx: &mut Effects, at: usize, failure: Failure, detail: String) -> Thought {
        let Some(reply) = &mut self.reply else { return Thought::Nothing };
        let request = reply.requests.remove(at);
        let alone = reply.requests.is_empty();
        let spoke = !request.handed.is_empty();
        spoken::join(&mut reply.broke_off, &request.handed);
        // Calls of a reply that broke off are asked for again, if they are still wanted.
        reply.tool_calls -= std::mem::take(&mut reply.calls).len();
        if alone {
            Self::clear_timers(fx);
        }
        Thought::Lost { index: request.index, failure, detail, alone, spoke }
    }

    pub(super) fn clear_timers(fx: &mut Effects) {
        for reason in [Reason::LlmFirstToken, Reason::LlmStall, Reason::Hedge] {
            fx.clear(reason);
        }
    }
}
