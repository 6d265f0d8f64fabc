//! A call's redactor: opened at the first text, stepped in place, replaced after it failed.

use trunkline_api::agent::Redaction as Policy;
use trunkline_api::usage::Units;
use trunkline_api::words::RedactionChannel;
use trunkline_call::Redacted;
use trunkline_plugin_host::{RedactionPolicy, RedactorSession, SessionStart};

use crate::session::{Input, Place, Session, open_redactor};
use crate::shared::Shared;

/// The redactor of one call.
pub(crate) struct Redacting {
    plugin: String,
    policy: RedactionPolicy,
    session: Option<RedactorSession>,
    /// One that is heavy by nature, which works elsewhere.
    heavy: Option<Session>,
}

impl Redacting {
    /// A redactor by an agent's policy.
    pub(crate) fn new(policy: &Policy) -> Self {
        Self {
            plugin: policy.redactor.clone(),
            policy: RedactionPolicy { entity_types: policy.entity_types.clone(), languages: Vec::new() },
            session: None,
            heavy: None,
        }
    }

    /// Its name.
    pub(crate) fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Hands a text to a redactor that works elsewhere; false when it works here.
    pub(crate) fn hand_over(
        &mut self,
        shared: &Shared,
        place: &Place,
        ticket: u64,
        channel: RedactionChannel,
        text: &str,
    ) -> bool {
        let Some(plugin) = shared.plugin(&self.plugin).ok().filter(|plugin| plugin.is_heavy()) else { return false };
        let policy = &self.policy;
        let session = self
            .heavy
            .get_or_insert_with(|| Session::open(place, true, |wake| open_redactor(plugin, policy.clone(), wake)));
        session.push(Input::Redact { ticket, channel, text: text.to_owned() });
        true
    }

    /// The session of a redactor that works elsewhere.
    pub(crate) const fn session_elsewhere(&self) -> Option<&Session> {
        self.heavy.as_ref()
    }

    /// Has a session work elsewhere.
    #[cfg(test)]
    pub(crate) fn work_elsewhere(&mut self, session: Session) {
        self.heavy = Some(session);
    }

    /// Gives it up.
    pub(crate) const fn close(&mut self) -> Option<Session> {
        self.heavy.take()
    }

    /// Redacts a text; an error says why it must be withheld. With it comes what the plugin used.
    pub(crate) fn redact(
        &mut self,
        shared: &Shared,
        now_us: u64,
        channel: RedactionChannel,
        text: &str,
    ) -> (Result<Redacted, String>, Units) {
        let mut units = Units::default();
        let result = self.session(shared, now_us).and_then(|session| {
            let before = session.plugin_us();
            let redaction = session.redact(now_us, channel, text).map_err(|error| error.to_string());
            units.plugin_us = session.plugin_us().saturating_sub(before);
            redaction
        });
        if result.is_err() {
            self.session = None;
        }
        (result.map(|redaction| Redacted { text: redaction.text, counts: redaction.counts }), units)
    }

    fn session(&mut self, shared: &Shared, now_us: u64) -> Result<&mut RedactorSession, String> {
        if self.session.is_none() {
            let plugin = shared.plugin(&self.plugin).map_err(|(_, detail)| detail)?;
            let start = SessionStart::new(now_us, now_us, std::sync::Arc::new(|| {}));
            let settings = serde_json::Value::Object(serde_json::Map::new());
            let session = plugin.redactor(&settings, &self.policy, start).map_err(|error| error.to_string())?;
            self.session = Some(session);
        }
        self.session.as_mut().ok_or_else(|| "no redactor".to_owned())
    }
}
