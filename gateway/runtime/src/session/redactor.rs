//! A heavy redactor's session: it redacts on the side pool, so that no call waits for another's texts.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;
use trunkline_api::usage::Units;
use trunkline_call::Redacted;
use trunkline_plugin_host::{Capability, Plugin, RedactionPolicy, RedactorSession, SessionStart};

use super::seat::{Body, Opener};
use super::{Input, Output, Sound, Wake};

/// Opens a redactor.
pub(crate) fn open_redactor(plugin: Arc<Plugin>, policy: RedactionPolicy, wake: Wake) -> Opener {
    Box::new(move |now_us| {
        let start = SessionStart::new(now_us, now_us, wake.callback());
        let session = plugin
            .redactor(&Value::Object(serde_json::Map::new()), &policy, start)
            .map_err(|error| (error.failure(Capability::Redactor), error.to_string()))?;
        Ok(Box::new(Redactor { session, said: VecDeque::new() }) as Box<dyn Body>)
    })
}

struct Redactor {
    session: RedactorSession,
    said: VecDeque<Output>,
}

impl Body for Redactor {
    fn handle(&mut self, now_us: u64, input: Input) {
        let Input::Redact { ticket, channel, text } = input else { return };
        let before = self.session.plugin_us();
        let result = self.session.redact(now_us, channel, &text).map_err(|error| error.to_string());
        let units = Units { plugin_us: self.session.plugin_us().saturating_sub(before), ..Units::default() };
        let result = result.map(|redaction| Redacted { text: redaction.text, counts: redaction.counts });
        self.said.push_back(Output::Usage(units));
        self.said.push_back(Output::Redacted { ticket, result });
    }

    fn hear(&mut self, _: u64, _: Sound<'_>) {}

    fn wake(&mut self, _: u64) {}

    fn wants_step(&self) -> bool {
        false
    }

    fn poll(&mut self) -> Option<Output> {
        self.said.pop_front()
    }

    fn timeout_us(&self) -> Option<u64> {
        None
    }

    fn is_over(&self) -> bool {
        self.session.is_dead() && self.said.is_empty()
    }
}
