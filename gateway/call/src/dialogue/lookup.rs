//! Knowledge: passages that may help are looked up before the model is asked, or when it asks for them. Nobody waits long
//! for them, and the same words are looked up once.

use serde_json::{Value, json};
use trunkline_api::agent::LookupMode;
use trunkline_api::words::ToolDefinition;
use trunkline_api::{EventType, Failure};

use super::failure::action_name;
use super::mind::Stage;
use super::{Dialogue, Effects};
use crate::command::Command;
use crate::input::Passage;
use crate::timers::Reason;
use crate::tokens;

/// Most bytes of a query.
const MAX_QUERY_BYTES: usize = 2000;
/// Least time of a search that the model asks for: it has the caller wait anyway.
const SEARCH_MS: u32 = 1000;

/// What was looked up.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    last: u64,
    /// What was found last in a turn, and by which words.
    found: Option<(String, Vec<Passage>)>,
    /// What is being looked for.
    asked: String,
}

impl Dialogue {
    /// Asks the model, once what may help was looked up.
    pub(super) fn look_up_and_ask(&mut self, fx: &mut Effects) {
        let policy = &self.spec.lookup;
        let Some(reply) = self.mind.reply() else { return };
        if self.spec.knowledge.is_empty() || policy.mode != LookupMode::Always || reply.shown.is_empty() {
            self.ask(fx);
            return;
        }
        let mut query = reply.shown.clone();
        let said = self.memory.last_said().trim_end();
        if said.ends_with(['?', '？']) {
            let begin = said[..said.len() - 1].rfind(['.', '!', '?', '\n']).map_or(0, |at| at + 1);
            crate::spoken::join(&mut query, said.get(begin..).unwrap_or_default());
        }
        truncate(&mut query);
        if let Some((words, passages)) = &self.lookups.found
            && *words == query
        {
            let passages = passages.clone();
            self.knows(fx, &passages);
            self.ask(fx);
            return;
        }
        let (top, deadline_ms) = (policy.top, policy.deadline_ms);
        let ticket = self.look_up(fx, query.clone(), top, deadline_ms);
        self.lookups.asked = query;
        if let Some(reply) = self.mind.reply_mut() {
            reply.stage = Stage::LookingUp(ticket);
        }
        fx.set_in(Reason::Lookup, u64::from(deadline_ms));
    }

    /// Knowledge bases were searched.
    pub(crate) fn found(&mut self, fx: &mut Effects, ticket: u64, result: Result<Vec<Passage>, String>) {
        if self.mind.reply().is_some_and(|reply| reply.stage == Stage::LookingUp(ticket)) {
            fx.clear(Reason::Lookup);
            match result {
                Ok(passages) => {
                    self.knows(fx, &passages);
                    self.lookups.found = Some((std::mem::take(&mut self.lookups.asked), passages));
                }
                Err(why) => self.knows_nothing(fx, &why),
            }
            if self.mind.reply().is_some() {
                self.ask(fx);
            }
            return;
        }
        let Some(run) = self.runs().iter().position(|run| run.lookup == Some(ticket)) else { return };
        if let Some(tool) = self.tool_run(run) {
            (tool.lookup, tool.deadline) = (None, None);
        }
        let (output, is_error) = match result {
            Ok(passages) => {
                let (text, names) = self.passages(&passages);
                self.tell_of_use(fx, &text, names);
                if text.is_empty() { ("nothing was found".to_owned(), false) } else { (text, false) }
            }
            Err(why) => {
                self.knows_nothing(fx, &why);
                ("knowledge_failed: nothing could be looked up".to_owned(), true)
            }
        };
        self.tool_output(fx, run, output, is_error);
        self.tools_done(fx);
    }

    /// The knowledge bases owe what they have for too long: the model is asked without.
    pub(super) fn lookup_overdue(&mut self, fx: &mut Effects) {
        if self.mind.reply().is_some_and(|reply| matches!(reply.stage, Stage::LookingUp(_))) {
            let detail = format!("no passages within lookup.deadline_ms = {}", self.spec.lookup.deadline_ms);
            self.knows_nothing(fx, &detail);
            if self.mind.reply().is_some() {
                self.ask(fx);
            }
        }
    }

    /// The tool by which the model looks something up itself.
    pub(super) fn search_definition(&self) -> Option<ToolDefinition> {
        let offered = !self.spec.knowledge.is_empty() && self.spec.lookup.mode == LookupMode::OnDemand;
        offered.then(|| ToolDefinition {
            name: "search_knowledge".to_owned(),
            description: format!("Searches what is known: {}.", self.spec.knowledge.join(", ")),
            parameters: r#"{"type":"object","properties":{"query":{"type":"string","description":"What to look for, in a few words."}},"required":["query"],"additionalProperties":false}"#
                .to_owned(),
        })
    }

    /// The model looks something up.
    pub(super) fn search(&mut self, fx: &mut Effects, run: usize, arguments: &str) {
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        let mut query = arguments.get("query").and_then(Value::as_str).unwrap_or_default().to_owned();
        truncate(&mut query);
        if query.trim().is_empty() {
            self.tool_output(fx, run, "expected `query`, what to look for".to_owned(), true);
            return;
        }
        let (top, deadline_ms) = (self.spec.lookup.top, self.spec.lookup.deadline_ms.max(SEARCH_MS));
        let ticket = self.look_up(fx, query, top, deadline_ms);
        if let Some(tool) = self.tool_run(run) {
            tool.lookup = Some(ticket);
            tool.policy.timeout_ms = deadline_ms;
            tool.deadline = Some(fx.now().plus_ms(u64::from(deadline_ms)));
        }
    }

    fn look_up(&mut self, fx: &mut Effects, query: String, top: u32, deadline_ms: u32) -> u64 {
        self.lookups.last += 1;
        let ticket = self.lookups.last;
        fx.command(Command::Lookup { ticket, bases: self.spec.knowledge.clone(), query, top, deadline_ms });
        ticket
    }

    /// The model is told of passages in this turn's requests.
    fn knows(&mut self, fx: &mut Effects, passages: &[Passage]) {
        let (text, names) = self.passages(passages);
        self.tell_of_use(fx, &text, names);
        if let Some(reply) = self.mind.reply_mut() {
            reply.known = text;
        }
    }

    fn tell_of_use(&self, fx: &mut Effects, text: &str, names: Vec<String>) {
        if !names.is_empty() {
            fx.turn_event(EventType::KnowledgeUsed, json!({ "passages": names, "tokens": tokens::of_text(text) }));
        }
    }

    fn knows_nothing(&mut self, fx: &mut Effects, detail: &str) {
        let failure = Failure::KnowledgeFailed;
        let action = self.action_without_next(failure);
        fx.raise(failure, "", detail, action_name(&action));
        self.act(fx, failure, action);
    }

    /// Passages as text, as many as the agent's policy has room for, and their names.
    fn passages(&self, passages: &[Passage]) -> (String, Vec<String>) {
        let policy = &self.spec.lookup;
        let (mut text, mut names, mut left) = (String::new(), Vec::new(), u64::from(policy.max_tokens));
        for Passage { name, text: passage } in passages.iter().take(policy.top as usize) {
            let entry = format!("[{name}]\n{}\n\n", passage.trim());
            let Some(rest) = left.checked_sub(tokens::of_text(&entry)) else { continue };
            left = rest;
            text.push_str(&entry);
            names.push(name.clone());
        }
        (text, names)
    }
}

fn truncate(query: &mut String) {
    let end = (0..=MAX_QUERY_BYTES.min(query.len())).rev().find(|&at| query.is_char_boundary(at)).unwrap_or(0);
    query.truncate(end);
}
