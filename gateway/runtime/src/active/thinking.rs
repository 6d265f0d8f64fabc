//! What a call needs beside its sessions to think: searches of knowledge bases, and another agent to go on with.

use std::time::Duration;

use trunkline_call::Input;
use trunkline_leg::CallTime;

use super::Active;
use crate::health::HealthWatch;
use crate::lookups::Search;

impl Active {
    /// Begins a search.
    pub(super) fn look_up(&mut self, ticket: u64, bases: Vec<String>, query: String, top: u32, deadline_ms: u32) {
        let (library, tenant) = (std::sync::Arc::clone(self.serving.library()), self.setup.tenant.clone());
        let find = Box::new(move || library.search(&tenant, &bases, &query, top as usize));
        let search = Search { find, within: Duration::from_millis(deadline_ms.into()) };
        let bell = &self.sessions.place().bell;
        self.lookups.begin(&self.shared.librarian, bell, ticket, search);
    }

    /// Tells the call what was found.
    pub(super) fn found(&mut self, now: CallTime) {
        while let Some((ticket, result)) = self.lookups.poll() {
            self.tell(now, Input::Found { ticket, result });
            self.carry_out(now);
        }
    }

    /// The call goes on with another agent: what is opened from now on is opened for it.
    pub(super) fn hand_off(&mut self, now: CallTime, agent: &str, keeps_voices: bool) {
        let Some(other) = self.setup.others.get(agent).cloned() else { return };
        (self.setup.agent, self.setup.agent_version) = (other.agent.clone(), other.version);
        self.setup.spec = std::sync::Arc::clone(&other.spec);
        if !keeps_voices {
            self.sessions.close_voices();
        }
        // Its providers are others, and it has not been told of those that are down.
        self.health = HealthWatch::default();
        self.tell_prompts(now);
    }
}
