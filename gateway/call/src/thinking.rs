//! Thinking: requests to the model, its reply cut into sentences and handed on as it comes, tool rounds, fail-over.

use std::collections::VecDeque;

use serde_json::json;
use trunkline_api::usage::EndReason;
use trunkline_api::{EventType, Failure};
use trunkline_leg::CallTime;

use crate::call::{Call, Life};
use crate::command::{Channel, Command, Content, Message, Role, ToolCall};
use crate::failure::Verdict;
use crate::input::{FinishReason, LlmEvent, ProviderKind};
use crate::interruption::Rejoin;
use crate::sentence::Sentences;
use crate::spoken::{self, WHOLE};
use crate::timers::Reason;
use crate::tools::ToolRun;

/// Longest pause of a model in the middle of a reply.
const STALL_MS: u64 = 5000;
/// Most bytes of one reply.
const MAX_REPLY_BYTES: usize = 16 * 1024;
/// Most tool calls of one turn.
const MAX_TOOL_CALLS: usize = 8;
/// Rounds of tools after which the model has to answer without.
const MAX_TOOL_ROUNDS: u32 = 4;

/// What the agent is doing about the caller's turn.
#[derive(Debug)]
pub(crate) struct Thinking {
    pub(crate) stage: Stage,
    /// Whether the conversation holds the caller's words already.
    pub(crate) written: bool,
    pub(crate) tools: Vec<ToolRun>,
    /// The agent hangs up once this reply is over.
    pub(crate) hang_up: bool,
    tools_ran: bool,
    input: String,
    request: Option<Request>,
    outgoing: VecDeque<Outgoing>,
    calls: Vec<ToolCall>,
    tool_calls: usize,
    rounds: u32,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The caller's words are being redacted.
    Redacting(u64),
    /// The model has been asked.
    Asking,
    /// The model has finished; sentences may still be with the redactor.
    Replied,
    /// Tools run.
    Tools,
}

#[derive(Debug)]
struct Request {
    id: u32,
    sentences: Sentences,
    bytes: usize,
    /// Tools were offered; calls of a model that was offered none are not carried out.
    may_call: bool,
    /// Some of its text has been handed on.
    spoke: bool,
    /// It gave something that counts: text, or a call it was allowed.
    answered: bool,
}

/// A sentence on its way through the redactor.
#[derive(Debug)]
struct Outgoing {
    ticket: Option<u64>,
    text: String,
}

impl Thinking {
    /// A turn with the caller's words.
    pub(crate) const fn new(input: String, stage: Stage) -> Self {
        Self {
            stage,
            written: false,
            tools: Vec::new(),
            hang_up: false,
            tools_ran: false,
            input,
            request: None,
            outgoing: VecDeque::new(),
            calls: Vec::new(),
            tool_calls: 0,
            rounds: 0,
        }
    }
}

impl Call {
    /// A language model reported something.
    pub fn handle_llm(&mut self, now: CallTime, request: u32, event: LlmEvent) {
        self.at(now);
        let current = self.thinking.as_ref().and_then(|thinking| thinking.request.as_ref()).map(|request| request.id);
        if self.life == Life::Live && current == Some(request) {
            match event {
                LlmEvent::Started => {}
                LlmEvent::TextDelta(text) => self.text_delta(&text),
                LlmEvent::ToolCall(call) => self.tool_call(call),
                LlmEvent::Finished(reason) => self.request_finished(reason),
                LlmEvent::Failed { failure, detail } => self.llm_failed(failure, detail),
            }
        }
        self.settle();
    }

    /// Asks the model in service, with the conversation as it is.
    pub(crate) fn start_request(&mut self) {
        let Some((index, provider)) = self.llm.current().map(|(index, provider)| (index, provider.clone())) else {
            return;
        };
        let prompt = self.with_variables(&self.setup.spec.prompt);
        let mut messages = Vec::new();
        if !prompt.is_empty() {
            messages.push(Message::text(Role::System, prompt));
        }
        messages.extend(self.memory.messages().cloned());
        let Some(thinking) = &mut self.thinking else { return };
        self.last_request += 1;
        let request = self.last_request;
        thinking.stage = Stage::Asking;
        thinking.calls.clear();
        let may_call = thinking.rounds < MAX_TOOL_ROUNDS && thinking.tool_calls < MAX_TOOL_CALLS;
        thinking.request = Some(Request {
            id: request,
            sentences: Sentences::default(),
            bytes: 0,
            may_call,
            spoke: false,
            answered: false,
        });
        let tools = if may_call { self.tool_definitions() } else { Vec::new() };
        let input = messages.iter().rev().find(|message| message.role == Role::User).map_or("", first_text).to_owned();
        let data = json!({ "provider": provider.provider, "messages": messages.len() });
        self.words_event(EventType::LlmRequest, data, "input", vec![(input, WHOLE)]);
        let limits = &self.setup.spec.limits;
        let first_token_ms = u64::from(limits.llm_first_token_ms).max(100);
        let max_tokens = limits.max_reply_tokens;
        self.command(Command::StartLlm { request, index, provider, messages, tools, max_tokens });
        self.timers.clear(Reason::LlmStall);
        self.timers.set(Reason::LlmFirstToken, self.now.plus_ms(first_token_ms));
    }

    /// Drops whatever is being thought. Returns the sentences that were ready and not handed on, and the caller's
    /// words that it was about, unless a tool has acted on them.
    pub(crate) fn stop_thinking(&mut self) -> (String, Option<Rejoin>) {
        let Some(thinking) = self.thinking.take() else { return (String::new(), None) };
        for reason in [Reason::LlmFirstToken, Reason::LlmStall, Reason::ToolBridge, Reason::ToolDeadline] {
            self.timers.clear(reason);
        }
        if let Some(Request { id, .. }) = thinking.request {
            self.command(Command::CancelLlm { request: id });
        }
        if !thinking.tools.is_empty() {
            self.abandon_tools(thinking.tools);
        }
        let mut unsaid = String::new();
        // What the redactor has not returned cannot be said later either.
        for sentence in thinking.outgoing.iter().take_while(|sentence| sentence.ticket.is_none()) {
            spoken::join(&mut unsaid, &sentence.text);
        }
        let rejoin = Rejoin { text: thinking.input, written: thinking.written };
        (unsaid, (!thinking.tools_ran).then_some(rejoin))
    }

    /// A text of the turn came back from the redactor.
    pub(crate) fn thought_redacted(&mut self, ticket: u64, text: String) {
        if self.life != Life::Live {
            return;
        }
        let Some(thinking) = &mut self.thinking else { return };
        if thinking.stage == Stage::Redacting(ticket) {
            self.ask(Some(text));
        } else if let Some(sentence) = thinking.outgoing.iter_mut().find(|sentence| sentence.ticket == Some(ticket)) {
            sentence.ticket = None;
            sentence.text = text;
            self.hand_on();
        } else {
            self.tool_output_redacted(ticket, text);
        }
    }

    /// Hands a sentence to the redactor, or to the synthesiser.
    pub(crate) fn sentence(&mut self, text: String) {
        let ticket = self.redact(Channel::LlmOutput, &text);
        if let Some(thinking) = &mut self.thinking {
            thinking.outgoing.push_back(Outgoing { ticket, text });
        }
        self.hand_on();
    }

    pub(crate) fn llm_overdue(&mut self, detail: &str) {
        let current = self.thinking.as_ref().and_then(|thinking| thinking.request.as_ref()).map(|request| request.id);
        if let Some(request) = current {
            self.command(Command::CancelLlm { request });
            self.llm_failed(Failure::LlmTimeout, detail.to_owned());
        }
    }

    /// The tools have answered: the model goes on with their results.
    pub(crate) fn next_round(&mut self) {
        let Some(thinking) = &mut self.thinking else { return };
        thinking.rounds += 1;
        if thinking.hang_up { self.reply_over() } else { self.start_request() }
    }

    fn text_delta(&mut self, text: &str) {
        self.progress();
        let Some(request) = self.thinking.as_mut().and_then(|thinking| thinking.request.as_mut()) else { return };
        request.answered |= !text.is_empty();
        request.bytes += text.len();
        let too_long = request.bytes > MAX_REPLY_BYTES;
        let id = request.id;
        let mut whole = Vec::new();
        request.sentences.push(text, |sentence| whole.push(sentence));
        request.spoke |= !whole.is_empty();
        for sentence in whole {
            self.sentence(sentence);
        }
        if too_long {
            self.command(Command::CancelLlm { request: id });
            self.request_finished(FinishReason::Length);
        }
    }

    fn tool_call(&mut self, call: ToolCall) {
        self.progress();
        if let Some(thinking) = &mut self.thinking
            && let Some(request) = &mut thinking.request
            && request.may_call
            && thinking.tool_calls < MAX_TOOL_CALLS
        {
            request.answered = true;
            thinking.tool_calls += 1;
            thinking.calls.push(call);
        }
    }

    /// The model is alive.
    fn progress(&mut self) {
        let now = self.now;
        self.timers.clear(Reason::LlmFirstToken);
        self.timers.set(Reason::LlmStall, now.plus_ms(STALL_MS));
        if let Some(waterfall) = &mut self.waterfall {
            waterfall.llm_first_token.get_or_insert(now);
        }
    }

    fn request_finished(&mut self, reason: FinishReason) {
        let Some(request) = self.thinking.as_mut().and_then(|thinking| thinking.request.as_mut()) else { return };
        if !request.answered && reason != FinishReason::Stop {
            // A model may choose to say nothing; a filter or a limit that leaves nothing is a failure.
            self.llm_failed(Failure::LlmUnavailable, format!("an empty reply ({reason:?})"));
            return;
        }
        let last = request.sentences.flush();
        self.timers.clear(Reason::LlmFirstToken);
        self.timers.clear(Reason::LlmStall);
        self.llm.succeeded();
        if let Some(thinking) = &mut self.thinking {
            thinking.request = None;
            thinking.stage = Stage::Replied;
        }
        match last {
            Some(sentence) => self.sentence(sentence),
            None => self.hand_on(),
        }
    }

    /// Gives sentences that are ready to the synthesiser, in order; goes on when there are no more.
    fn hand_on(&mut self) {
        while let Some(thinking) = &mut self.thinking {
            if thinking.outgoing.front().is_some_and(|sentence| sentence.ticket.is_none()) {
                if let Some(sentence) = thinking.outgoing.pop_front() {
                    self.say(&sentence.text, false);
                }
            } else {
                if thinking.outgoing.is_empty() && thinking.stage == Stage::Replied {
                    self.replied();
                }
                return;
            }
        }
    }

    /// The whole reply has been handed on.
    fn replied(&mut self) {
        let Some(thinking) = &mut self.thinking else { return };
        let calls = std::mem::take(&mut thinking.calls);
        if calls.is_empty() {
            self.reply_over();
            return;
        }
        thinking.stage = Stage::Tools;
        thinking.tools_ran = true;
        // The model must see its own words and calls before the results; what of the words was heard is corrected
        // later, if need be.
        let said = self.speech.as_ref().map(crate::speech::Speech::unremembered).unwrap_or_default();
        let mut content: Vec<Content> = calls.iter().cloned().map(Content::ToolCall).collect();
        if !said.is_empty() {
            content.insert(0, Content::Text(said));
        }
        let serial = self.memory.push(Message { role: Role::Assistant, content });
        if let Some(speech) = &mut self.speech {
            for part in speech.parts.iter_mut().filter(|part| !part.aside && part.message.is_none()) {
                part.message = Some(serial);
            }
        }
        self.run_tools(calls);
    }

    /// Nothing more will be said in this turn.
    fn reply_over(&mut self) {
        let hang_up = self.thinking.take().is_some_and(|thinking| thinking.hang_up);
        if hang_up {
            self.close_call("", EndReason::AgentHungUp, None);
        } else {
            self.finish_speech();
            self.turn_over();
        }
    }

    fn llm_failed(&mut self, failure: Failure, detail: String) {
        self.timers.clear(Reason::LlmFirstToken);
        self.timers.clear(Reason::LlmStall);
        let Some(thinking) = &mut self.thinking else { return };
        let spoke = thinking.request.take().is_some_and(|request| request.spoke);
        match self.provider_failed(ProviderKind::Llm, failure, detail) {
            // What was said stays said; the next turn has the other provider.
            Verdict::Switched(_) if spoke => self.give_up_reply(""),
            Verdict::Switched(bridge) => {
                if self.speech.is_none() {
                    self.say(&bridge, true);
                }
                self.start_request();
            }
            Verdict::Abandoned(line) => self.give_up_reply(&line),
            Verdict::Ending => {}
        }
    }

    /// Ends the reply with what there is of it.
    fn give_up_reply(&mut self, line: &str) {
        if let Some(thinking) = &mut self.thinking {
            thinking.calls.clear();
            thinking.stage = Stage::Replied;
        }
        match line {
            "" => self.hand_on(),
            line => self.sentence(line.to_owned()),
        }
    }
}

fn first_text(message: &Message) -> &str {
    match message.content.first() {
        Some(Content::Text(text)) => text,
        _ => "",
    }
}
