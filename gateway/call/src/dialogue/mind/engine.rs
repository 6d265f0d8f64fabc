//! Replies of an engine, which thinks and speaks in one: asked for like a model's, told of by its sound.

use super::{Mind, Request, STALL_MS, Stage};
use crate::effects::Effects;
use crate::sentence::Sentences;
use crate::spoken;
use crate::timers::Reason;

impl Mind {
    /// The engine in service is asked; `is_open` says that it is there. Returns the number of the response, and whether it
    /// may call tools.
    pub(crate) fn ask_engine(&mut self, fx: &mut Effects, is_open: bool) -> Option<(u32, bool)> {
        let tools = self.may_call();
        let reply = self.reply.as_mut()?;
        reply.stage = Stage::Asking;
        reply.calls.clear();
        self.last_request += 1;
        reply.requests.push(Request {
            id: self.last_request,
            index: 0,
            sentences: Sentences::new(false),
            bytes: 0,
            may_call: tools,
            handed: String::new(),
            answered: false,
            by_engine: true,
        });
        fx.clear(Reason::LlmStall);
        if is_open {
            fx.set_in(Reason::LlmFirstToken, self.first_token_ms);
        }
        Some((self.last_request, tools))
    }

    /// The engine is there: from now on it owes the first sound.
    pub(crate) fn engine_opened(&self, fx: &mut Effects) {
        if self.reply.as_ref().is_some_and(|reply| reply.requests.iter().any(|request| request.by_engine)) {
            fx.set_in(Reason::LlmFirstToken, self.first_token_ms);
        }
    }

    /// Whether a response of an engine is not complete.
    pub(crate) fn waits_for_engine(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| reply.requests.iter().any(|request| request.by_engine))
    }

    /// Whether a response is still wanted.
    pub(crate) fn wants_response(&self, response: u32) -> bool {
        self.reply.as_ref().is_some_and(|reply| reply.requests.iter().any(|request| request.id == response))
    }

    /// The engine has begun to speak.
    pub(crate) fn engine_speaks(&mut self, fx: &mut Effects, response: u32) {
        let requests = self.reply.iter_mut().flat_map(|reply| &mut reply.requests);
        if let Some(request) = requests.into_iter().find(|request| request.id == response) {
            request.answered = true;
            fx.clear(Reason::LlmFirstToken);
            // Its sound is watched over by whoever plays it.
            fx.clear(Reason::LlmStall);
        }
    }

    /// What an engine said is being played, and more of its response may follow.
    pub(crate) fn engine_goes_on(&self, fx: &mut Effects) {
        if self.reply.as_ref().is_some_and(|reply| reply.requests.iter().any(|request| request.by_engine)) {
            fx.set_in(Reason::LlmStall, STALL_MS);
        }
    }

    /// Whether a response has given nothing that counts.
    pub(crate) fn is_unanswered(&self, response: u32) -> bool {
        let requests = self.reply.iter().flat_map(|reply| &reply.requests);
        requests.into_iter().any(|request| request.id == response && !request.answered)
    }

    /// The engine is gone, and with it its response. Returns whether one was waited for. `said` is what was said of it; one
    /// that is complete and was `held` back is waited for, too.
    pub(crate) fn engine_gone(&mut self, fx: &mut Effects, said: &str, held: bool) -> bool {
        let Some(reply) = &mut self.reply else { return false };
        let at = reply.requests.iter().position(|request| request.by_engine);
        if at.is_none() && !(held && reply.stage == Stage::Replied && reply.calls.is_empty()) {
            return false;
        }
        let handed = at.map(|at| reply.requests.remove(at).handed).unwrap_or_default();
        reply.requests.retain(|request| !request.by_engine);
        Self::clear_timers(fx);
        reply.broke_off.clear();
        spoken::join(&mut reply.broke_off, said);
        spoken::join(&mut reply.broke_off, &handed);
        reply.tool_calls -= std::mem::take(&mut reply.calls).len();
        true
    }
}
