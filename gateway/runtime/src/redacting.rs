//! A call's redactor: opened at the first text, stepped in place, replaced after it failed.

use trunkline_api::agent::Redaction as Policy;
use trunkline_api::usage::Units;
use trunkline_api::words::RedactionChannel;
use trunkline_call::Redacted;
use trunkline_plugin_host::{RedactionPolicy, RedactorSession, SessionStart};

use crate::shared::Shared;

/// The redactor of one call.
pub(crate) struct Redacting {
    plugin: String,
    policy: RedactionPolicy,
    session: Option<RedactorSession>,
}

impl Redacting {
    /// A redactor by an agent's policy.
    pub(crate) fn new(policy: &Policy) -> Self {
        Self {
            plugin: policy.redactor.clone(),
            policy: RedactionPolicy { entity_types: policy.entity_types.clone(), languages: Vec::new() },
            session: None,
        }
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
