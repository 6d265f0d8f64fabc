//! Replying: what the model is asked, and what becomes of what it says; guesses at a turn that is not over, a second
//! model asked beside a slow one, and a reply that another model goes on with.

use serde_json::json;
use trunkline_api::usage::EndReason;
use trunkline_api::words::{Content, Message, ProviderKind, RedactionChannel, Role, ToolDefinition};
use trunkline_api::{EventType, Failure};

use super::failure::Verdict;
use super::mind::{Mind, Stage, Thought};
use super::{Dialogue, Effects};
use crate::spoken::WHOLE;
use crate::timers::Reason;

/// Told to the model that goes on with another's reply.
const GO_ON: &str = "Your reply broke off there. Go on with it and repeat nothing of it.";

/// A way to ask a model, which gives the name of the one that was asked.
type Asking = fn(&mut Mind, &mut Effects, Vec<Message>, Vec<ToolDefinition>) -> Option<String>;

impl Dialogue {
    /// Has the model answer `text`; a guess is thought and not said.
    pub(super) fn think(&mut self, fx: &mut Effects, text: String, guess: bool) {
        if self.mind.is_empty() {
            self.mouth.finish(fx);
            self.turn_over(fx);
            return;
        }
        let ticket = fx.redact(RedactionChannel::LlmInput, &text);
        self.mind.begin(text, ticket, guess);
        if ticket.is_none() {
            self.write_input();
            self.ask(fx);
        }
    }

    /// The words have stood still for a while: the model may begin, in case they are all.
    pub(super) fn guess(&mut self, fx: &mut Effects) {
        let Some(words) = self.ears.standing() else { return };
        let idle = self.mind.reply().is_none() && self.mouth.is_silent() && self.overlap.is_none();
        if idle && self.rejoin.is_none() && self.pending.is_empty() && !self.mind.is_empty() && self.keys.are_none() {
            self.think(fx, words, true);
        }
    }

    /// Drops a guess that the words have left behind.
    pub(super) fn check_guess(&mut self, fx: &mut Effects) {
        let standing = self.ears.standing();
        if self.mind.reply().is_some_and(|reply| reply.speculative && !same(standing.as_deref(), &reply.input)) {
            self.stop_thinking(fx);
        }
    }

    /// Drops a guess.
    pub(super) fn drop_guess(&mut self, fx: &mut Effects) {
        if self.mind.reply().is_some_and(|reply| reply.speculative) {
            self.stop_thinking(fx);
        }
    }

    /// Whether what the caller said is what was guessed.
    pub(super) fn pending_is_guessed(&self) -> bool {
        self.rejoin.is_none()
            && self.mind.reply().is_some_and(|reply| reply.speculative && same(Some(&self.pending), &reply.input))
    }

    /// The turn is over with the words that were guessed: what was thought is said.
    pub(super) fn guess_was_right(&mut self, fx: &mut Effects) {
        if let Some(reply) = self.mind.reply_mut() {
            reply.speculative = false;
        }
        if !self.mind.reply().is_some_and(|reply| matches!(reply.stage, Stage::Redacting(_))) {
            self.write_input();
        }
        self.hand_on(fx);
    }

    /// The caller's words are back from the redactor; false when it is another text.
    pub(super) fn input_redacted(&mut self, fx: &mut Effects, ticket: u64, text: &str) -> bool {
        let Some(reply) = self.mind.reply_mut().filter(|reply| reply.stage == Stage::Redacting(ticket)) else {
            return false;
        };
        text.clone_into(&mut reply.shown);
        reply.stage = Stage::Asking;
        self.write_input();
        self.ask(fx);
        true
    }

    /// Asks the model in service, with the conversation as it is.
    pub(super) fn ask(&mut self, fx: &mut Effects) {
        self.ask_as(fx, Mind::ask);
    }

    /// The model in service is slow: the next one is asked, too.
    pub(super) fn hedge(&mut self, fx: &mut Effects) {
        if self.mind.waits_for_token() {
            self.ask_as(fx, Mind::hedge);
        }
    }

    fn ask_as(&mut self, fx: &mut Effects, ask: Asking) {
        let (messages, tools) = (self.messages(), self.tool_definitions());
        let input = messages.iter().rev().find(|message| message.role == Role::User).map_or("", first_text).to_owned();
        let count = messages.len();
        if let Some(provider) = ask(&mut self.mind, fx, messages, tools) {
            let data = json!({ "provider": provider, "messages": count });
            fx.words_event(EventType::LlmRequest, data, "input", vec![(input, WHOLE)]);
        }
    }

    /// What came of something that a model said.
    pub(super) fn thought(&mut self, fx: &mut Effects, thought: Thought) {
        match thought {
            Thought::Nothing => {}
            Thought::Sentences(sentences) | Thought::Finished(sentences) => {
                self.model_is_alive(fx);
                self.sentences(fx, sentences);
            }
            Thought::Lost { index, failure, detail, alone, spoke } => {
                if !alone {
                    let provider = self.mind.models().name_of(index).to_owned();
                    fx.raise(failure, &provider, &detail, "next_provider");
                    self.mind.models().fail(fx.now(), index);
                    return;
                }
                if self.mind.reply().is_some_and(|reply| reply.speculative) {
                    // Nobody waits for it yet; the turn's own request finds out who is up.
                    self.mind.models().fail(fx.now(), index);
                    let provider = self.mind.models().name_of(index).to_owned();
                    fx.raise(failure, &provider, &detail, "record");
                    self.mind.models().try_again();
                    self.stop_thinking(fx);
                    return;
                }
                self.model_lost(fx, index, failure, &detail, spoke);
            }
        }
    }

    pub(super) fn model_overdue(&mut self, fx: &mut Effects, detail: &str) {
        for thought in self.mind.overdue(fx, detail) {
            self.thought(fx, thought);
        }
    }

    /// Hands a sentence to the redactor, or to the synthesiser.
    pub(super) fn sentence(&mut self, fx: &mut Effects, text: String) {
        self.mind.hand_over(fx, text);
        self.hand_on(fx);
    }

    /// Gives sentences that are ready to the synthesiser, in order; goes on when there are no more.
    pub(super) fn hand_on(&mut self, fx: &mut Effects) {
        while let Some(sentence) = self.mind.next_sentence() {
            self.say(fx, &sentence, false);
        }
        if self.mind.has_replied() {
            self.replied(fx);
        }
    }

    /// Nothing more will be said in this turn.
    pub(super) fn reply_over(&mut self, fx: &mut Effects) {
        if self.mind.over() {
            fx.close("", EndReason::AgentHungUp, None, false);
        } else {
            self.mouth.finish(fx);
            self.turn_over(fx);
        }
    }

    /// Drops whatever is being thought. Its tools get a result all the same, because a model refuses a conversation
    /// without.
    pub(super) fn stop_thinking(&mut self, fx: &mut Effects) {
        let was_guess = self.mind.reply().is_some_and(|reply| reply.speculative);
        let dropped = self.mind.stop(fx);
        if was_guess {
            return;
        }
        if dropped.rejoin.is_some() {
            self.rejoin = dropped.rejoin;
            if self.mouth.is_silent() {
                self.waterfall = None;
            }
        }
        self.abandon_tools(fx, dropped.tools);
    }

    fn sentences(&mut self, fx: &mut Effects, sentences: Vec<String>) {
        for sentence in sentences {
            self.mind.hand_over(fx, sentence);
        }
        self.hand_on(fx);
    }

    fn model_is_alive(&mut self, fx: &mut Effects) {
        if let Some(waterfall) = &mut self.waterfall
            && self.mind.is_thinking()
        {
            waterfall.llm_first_token.get_or_insert(fx.now());
        }
    }

    /// The whole reply has been handed on.
    fn replied(&mut self, fx: &mut Effects) {
        let calls = self.mind.take_calls();
        if calls.is_empty() {
            self.reply_over(fx);
            return;
        }
        // The model must see its own words and calls before the results; what of the words was heard is corrected
        // later, if need be.
        let said = self.mouth.unremembered();
        let mut content: Vec<Content> = calls.iter().cloned().map(Content::ToolCall).collect();
        if !said.is_empty() {
            content.insert(0, Content::Text(said));
        }
        let serial = self.memory.push(Message { role: Role::Assistant, content });
        self.mouth.remembered_as(serial);
        self.run_tools(fx, calls);
    }

    fn model_lost(&mut self, fx: &mut Effects, index: usize, failure: Failure, detail: &str, spoke: bool) {
        match self.provider_failed(fx, ProviderKind::Llm, index, failure, detail) {
            Verdict::Switched(bridge) => {
                if !self.mind.may_continue() {
                    self.mind.give_up(fx);
                    self.hand_on(fx);
                    return;
                }
                if !spoke && !self.mouth.has_sound() {
                    self.meanwhile(fx, &bridge);
                }
                self.ask(fx);
            }
            Verdict::Abandoned(line) => {
                self.mind.give_up(fx);
                if !line.is_empty() {
                    self.mind.hand_over(fx, line);
                }
                self.hand_on(fx);
            }
            Verdict::Ending => {}
        }
    }

    /// What a model is told: prompt, conversation, and what of its reply another has given already.
    fn messages(&self) -> Vec<Message> {
        let prompt = self.with_variables(&self.spec.prompt);
        let mut messages = Vec::new();
        if !prompt.is_empty() {
            messages.push(Message::text(Role::System, prompt));
        }
        messages.extend(self.memory.messages().cloned());
        if let Some(reply) = self.mind.reply() {
            if !reply.written {
                messages.push(Message::text(Role::User, reply.shown.clone()));
            }
            if !reply.broke_off.is_empty() {
                messages.push(Message::text(Role::Assistant, reply.broke_off.clone()));
                messages.push(Message::text(Role::System, GO_ON));
            }
        }
        messages
    }

    /// Something is late: `line` is said meanwhile, unless one was said just now.
    pub(super) fn meanwhile(&mut self, fx: &mut Effects, line: &str) {
        if !line.is_empty() && !self.mouth.is_speaking() {
            self.fillers_said += 1;
            self.say(fx, line, true);
            fx.clear(Reason::DeadAir);
        }
    }
}

/// Whether two texts are the same but for case and punctuation.
fn same(one: Option<&str>, other: &str) -> bool {
    let bare =
        |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    one.is_some_and(|one| bare(one) == bare(other))
}

fn first_text(message: &Message) -> &str {
    match message.content.first() {
        Some(Content::Text(text)) => text,
        _ => "",
    }
}
