//! Thinking: requests to the model, its reply cut into sentences, tool rounds. A reply may be held back: while the caller
//! speaks on it is thought to its end, and what comes of it is said only if the caller had nothing to say. A reply that was
//! begun before the turn was over is held back in the same way, and runs no tool.

mod engine;
mod stream;

use std::collections::VecDeque;

use trunkline_api::Failure;
use trunkline_api::agent::{Limits, ProviderRef, ToolUse};
use trunkline_api::words::{Message, ToolCall, ToolDefinition};

use crate::command::Command;
use crate::effects::Effects;
use crate::input::LlmEvent;
use crate::providers::Providers;
use crate::sentence::Sentences;
use crate::timers::Reason;
use crate::tokens::Meter;

use crate::dialogue::tools::ToolRun;

/// Longest pause of a model in the middle of a reply: one that writes a tool's arguments gives no sign of life meanwhile.
const STALL_MS: u64 = 4000;
/// Most bytes of one reply.
const MAX_REPLY_BYTES: usize = 16 * 1024;
/// Most fail-overs of one turn in the middle of a reply.
const MAX_CONTINUATIONS: u32 = 3;

/// How far a reply has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The caller's words are being redacted.
    Redacting(u64),
    /// The knowledge bases have been asked.
    LookingUp(u64),
    /// The model has been asked.
    Asking,
    /// The model has finished; sentences may still be with the redactor.
    Replied,
    /// Tools run.
    Tools,
}

/// What the agent is doing about the caller's turn.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) stage: Stage,
    /// What the caller said, and what the model may know of it.
    pub(crate) input: String,
    pub(crate) shown: String,
    /// The conversation holds the caller's words already.
    pub(crate) written: bool,
    /// The turn may not be over.
    pub(crate) speculative: bool,
    /// The caller speaks on: nothing of it is said and no tool is run.
    pub(crate) held: bool,
    pub(crate) tools: Vec<ToolRun>,
    pub(crate) tools_ran: bool,
    /// What follows once this reply is over.
    pub(crate) then: Then,
    /// Passages that may help, as the model is told of them.
    pub(crate) known: String,
    calls: Vec<ToolCall>,
    tool_calls: usize,
    rounds: u32,
    requests: Vec<Request>,
    outgoing: VecDeque<Outgoing>,
    /// What was handed on of a request that broke off in the middle.
    pub(crate) broke_off: String,
    continuations: u32,
}

/// What follows a reply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Then {
    /// The caller's turn.
    #[default]
    Listen,
    /// The agent hangs up.
    HangUp,
    /// Another agent goes on: the place of it in the agent's list, and what it is told.
    HandOff(usize, String),
    /// A human goes on.
    Transfer(String),
}

#[derive(Debug)]
struct Request {
    id: u32,
    index: usize,
    sentences: Sentences,
    bytes: usize,
    /// Tools were offered; calls of a model that was offered none are not carried out.
    may_call: bool,
    /// Text that was handed on.
    handed: String,
    /// It gave something that counts: text, or a call it was allowed.
    answered: bool,
    /// It is a response of an engine.
    by_engine: bool,
}

impl Request {
    /// Nothing more of it is of interest. Responses of engines that nobody wants are found by those who know the engine.
    fn cancel(&self, fx: &mut Effects) {
        if !self.by_engine {
            fx.command(Command::CancelLlm { request: self.id });
        }
    }
}

/// A sentence on its way through the redactor.
#[derive(Debug)]
struct Outgoing {
    ticket: Option<u64>,
    text: String,
}

/// The caller's words of a turn that nothing was heard of yet.
#[derive(Debug)]
pub(crate) struct Rejoin {
    pub(crate) text: String,
    /// The conversation holds them already.
    pub(crate) written: bool,
}

/// What was dropped.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    /// The caller's words, unless a tool has acted on them.
    pub(crate) rejoin: Option<Rejoin>,
    pub(crate) tools: Vec<ToolRun>,
}

/// What came of something that the mind was told.
#[derive(Debug)]
pub(crate) enum Thought {
    /// Nothing.
    Nothing,
    /// The model is alive and gave these sentences.
    Sentences(Vec<String>),
    /// A request is over, with these last sentences.
    Finished(Vec<String>),
    /// A request failed; `alone` says that no other is running.
    Lost {
        index: usize,
        failure: Failure,
        detail: String,
        alone: bool,
        /// Some of its text has been handed on.
        spoke: bool,
    },
}

/// The agent's thoughts.
#[derive(Debug)]
pub(crate) struct Mind {
    models: Providers,
    first_token_ms: u64,
    hedge_ms: u64,
    max_tokens: u32,
    /// The first clause of a reply is handed on before its sentence is whole.
    eager: bool,
    tool_use: ToolUse,
    reply: Option<Reply>,
    last_request: u32,
    meter: Meter,
}

impl Mind {
    pub(crate) fn new(models: &[ProviderRef], limits: &Limits, tool_use: &ToolUse, eager: bool) -> Self {
        Self {
            models: Providers::new(models),
            first_token_ms: u64::from(limits.llm_first_token_ms).max(100),
            hedge_ms: u64::from(limits.llm_hedge_ms),
            max_tokens: limits.max_reply_tokens,
            eager,
            tool_use: tool_use.clone(),
            reply: None,
            last_request: 0,
            meter: Meter::default(),
        }
    }

    /// With models that are asked when all of the list have failed.
    pub(crate) fn and_engines(mut self, engines: &[ProviderRef]) -> Self {
        self.models.and_engines(engines);
        self
    }

    /// Another agent's models think from now on. There is no reply.
    pub(crate) fn becomes(&mut self, models: &[ProviderRef], limits: &Limits, tool_use: &ToolUse, eager: bool) {
        *self = Self { last_request: self.last_request, ..Self::new(models, limits, tool_use, eager) };
    }

    /// What estimates are worth.
    pub(crate) const fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }

    /// Names a request that is no reply's, and counts it as one of that estimate.
    pub(crate) fn request_aside(&mut self, tokens: u64) -> u32 {
        let others = self.is_answering();
        self.meter.asked(tokens, others);
        self.last_request += 1;
        self.last_request
    }

    /// Whether a model is being waited for.
    fn is_answering(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| !reply.requests.is_empty())
    }

    pub(crate) const fn models(&mut self) -> &mut Providers {
        &mut self.models
    }

    /// Whether the agent has no model.
    pub(crate) fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    pub(crate) const fn reply(&self) -> Option<&Reply> {
        self.reply.as_ref()
    }

    pub(crate) const fn reply_mut(&mut self) -> Option<&mut Reply> {
        self.reply.as_mut()
    }

    /// Whether a turn is being thought about that is known to be over.
    pub(crate) fn is_thinking(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| !reply.speculative)
    }

    /// Whether the answer has begun to come.
    pub(crate) fn has_begun(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| reply.requests.iter().any(|request| request.bytes > 0))
    }

    /// Whether what is being thought is held back.
    pub(crate) fn is_held(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| reply.held || reply.speculative)
    }

    /// A turn with the caller's words begins, of which the model is `shown` some; `ticket` is that of their redaction.
    pub(crate) fn begin(&mut self, input: String, shown: String, ticket: Option<u64>, speculative: bool) {
        self.reply = Some(Reply {
            stage: ticket.map_or(Stage::Asking, Stage::Redacting),
            shown,
            input,
            written: false,
            speculative,
            held: false,
            tools: Vec::new(),
            tools_ran: false,
            then: Then::Listen,
            known: String::new(),
            calls: Vec::new(),
            tool_calls: 0,
            rounds: 0,
            requests: Vec::new(),
            outgoing: VecDeque::new(),
            broke_off: String::new(),
            continuations: 0,
        });
    }

    /// Holds the reply back, or lets it go on.
    pub(crate) const fn hold(&mut self, held: bool) {
        if let Some(reply) = &mut self.reply {
            reply.held = held;
        }
    }

    /// Whether the model may be offered tools in the next request.
    pub(crate) fn may_call(&self) -> bool {
        let ToolUse { max_rounds, max_calls, .. } = self.tool_use;
        let may = |reply: &Reply| reply.rounds < max_rounds && reply.tool_calls < max_calls as usize;
        self.reply.as_ref().is_some_and(may)
    }

    /// Asks whoever should be in service. Returns the provider's name.
    pub(crate) fn ask(
        &mut self,
        fx: &mut Effects,
        messages: Vec<Message>,
        tools: Vec<ToolDefinition>,
    ) -> Option<String> {
        let (index, provider) = self.models.choose(fx.now())?;
        let may_call = self.may_call();
        let reply = self.reply.as_mut()?;
        reply.stage = Stage::Asking;
        reply.calls.clear();
        self.request(fx, index, provider.clone(), messages, tools, may_call);
        fx.clear(Reason::LlmStall);
        fx.set_in(Reason::LlmFirstToken, self.first_token_ms);
        if self.hedge_ms > 0 && self.models.next(fx.now()).is_some() {
            fx.set_in(Reason::Hedge, self.hedge_ms);
        }
        Some(provider.provider)
    }

    /// Asks the next provider, too: whoever answers first is heard. Returns its name.
    pub(crate) fn hedge(
        &mut self,
        fx: &mut Effects,
        messages: Vec<Message>,
        tools: Vec<ToolDefinition>,
    ) -> Option<String> {
        let index = self.models.next(fx.now())?;
        let provider = self.models.get(index)?.clone();
        let may_call = self.may_call();
        self.request(fx, index, provider.clone(), messages, tools, may_call);
        Some(provider.provider)
    }

    /// Whether one request waits for its first token.
    pub(crate) fn waits_for_token(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| reply.requests.len() == 1 && !reply.requests[0].answered)
    }

    /// A request reports something.
    pub(crate) fn llm(&mut self, fx: &mut Effects, request: u32, event: LlmEvent) -> Thought {
        let Some(reply) = &mut self.reply else { return Thought::Nothing };
        let Some(at) = reply.requests.iter().position(|known| known.id == request) else { return Thought::Nothing };
        match event {
            LlmEvent::Started => Thought::Nothing,
            LlmEvent::TextDelta(text) => self.text(fx, at, &text),
            LlmEvent::ToolCall(call) => self.call(fx, at, call),
            LlmEvent::Finished(reason) => self.finished(fx, at, reason),
            LlmEvent::Failed { failure, detail } => self.lost(fx, at, failure, detail),
        }
    }

    /// The model owed something for too long.
    pub(crate) fn overdue(&mut self, fx: &mut Effects, detail: &str) -> Vec<Thought> {
        let ids: Vec<u32> = self.reply.iter().flat_map(|reply| &reply.requests).map(|request| request.id).collect();
        let mut thoughts = Vec::new();
        for id in ids {
            fx.command(Command::CancelLlm { request: id });
            let at = self.reply.as_ref().and_then(|reply| reply.requests.iter().position(|request| request.id == id));
            if let Some(at) = at {
                thoughts.push(self.lost(fx, at, Failure::LlmTimeout, detail.to_owned()));
            }
        }
        thoughts
    }

    /// A sentence goes to the mouth, once its redaction is back.
    pub(crate) fn hand_over(&mut self, fx: &mut Effects, text: String) {
        if let Some(reply) = &mut self.reply {
            let ticket = fx.redact(trunkline_api::words::RedactionChannel::LlmOutput, &text);
            reply.outgoing.push_back(Outgoing { ticket, text });
        }
    }

    /// The redaction of a sentence is back; false when it is of something else.
    pub(crate) fn sentence_redacted(&mut self, ticket: u64, text: &str) -> bool {
        let sentences = self.reply.iter_mut().flat_map(|reply| &mut reply.outgoing);
        let Some(sentence) = sentences.into_iter().find(|sentence| sentence.ticket == Some(ticket)) else {
            return false;
        };
        sentence.ticket = None;
        text.clone_into(&mut sentence.text);
        true
    }

    /// The next sentence that may be said.
    pub(crate) fn next_sentence(&mut self) -> Option<String> {
        if self.is_held() {
            return None;
        }
        let reply = self.reply.as_mut()?;
        reply.outgoing.front().filter(|sentence| sentence.ticket.is_none())?;
        reply.outgoing.pop_front().map(|sentence| sentence.text)
    }

    /// Whether the model has finished and all that it said was handed on.
    pub(crate) fn has_replied(&self) -> bool {
        !self.is_held()
            && self.reply.as_ref().is_some_and(|reply| reply.stage == Stage::Replied && reply.outgoing.is_empty())
    }

    /// The tool calls of the reply, to be carried out now.
    pub(crate) fn take_calls(&mut self) -> Vec<ToolCall> {
        let Some(reply) = &mut self.reply else { return Vec::new() };
        let calls = std::mem::take(&mut reply.calls);
        if !calls.is_empty() {
            reply.stage = Stage::Tools;
            reply.tools_ran = true;
        }
        calls
    }

    /// The tools have answered.
    pub(crate) const fn next_round(&mut self) {
        if let Some(reply) = &mut self.reply {
            reply.rounds += 1;
        }
    }

    /// The reply ends with what there is of it.
    pub(crate) fn give_up(&mut self, fx: &mut Effects) {
        Self::clear_timers(fx);
        if let Some(reply) = &mut self.reply {
            reply.calls.clear();
            reply.stage = Stage::Replied;
        }
    }

    /// Whether a reply that broke off may be continued once more; remembers what was handed on of it.
    pub(crate) fn may_continue(&mut self) -> bool {
        let Some(reply) = &mut self.reply else { return false };
        reply.continuations += 1;
        reply.continuations <= MAX_CONTINUATIONS
    }

    /// The reply is over. What follows, and tools that nobody waits for any more.
    pub(crate) fn over(&mut self) -> (Then, Vec<ToolRun>) {
        self.reply.take().map(|reply| (reply.then, reply.tools)).unwrap_or_default()
    }

    /// What was handed over is not to be said either.
    pub(crate) fn forget_outgoing(&mut self) {
        if let Some(reply) = &mut self.reply {
            reply.outgoing.clear();
        }
    }

    /// Nothing more of the reply is wanted but what was handed over; `then` follows.
    pub(crate) fn cut_short(&mut self, fx: &mut Effects, then: Then) {
        if let Some(reply) = &mut self.reply {
            reply.requests.drain(..).for_each(|request| request.cancel(fx));
            reply.broke_off.clear();
            reply.then = then;
        }
        self.give_up(fx);
    }

    /// Drops whatever is being thought.
    pub(crate) fn stop(&mut self, fx: &mut Effects) -> Dropped {
        let Some(reply) = self.reply.take() else { return Dropped::default() };
        Self::clear_timers(fx);
        for reason in [Reason::ToolDeadline, Reason::ToolSay, Reason::Lookup] {
            fx.clear(reason);
        }
        reply.requests.iter().for_each(|request| request.cancel(fx));
        let rejoin = Rejoin { text: reply.input, written: reply.written };
        Dropped { rejoin: (!reply.tools_ran && !reply.speculative).then_some(rejoin), tools: reply.tools }
    }
}
