//! The language of the conversation: when it changes, the recogniser is opened anew, another voice speaks, and numbers and
//! signs of listening are those of the new one.

use serde_json::{Value, json};
use trunkline_api::EventType;
use trunkline_api::speech::is_language_tag;
use trunkline_api::words::ToolDefinition;

use super::{Dialogue, Effects};

/// The tool by which a model changes it.
pub(super) const SET_LANGUAGE: &str = "set_language";

/// What the model is told of it.
pub(super) fn definition() -> ToolDefinition {
    ToolDefinition {
        name: SET_LANGUAGE.to_owned(),
        description: "Changes the language of the conversation: the caller is understood and answered in it from now \
                      on. Call it when the caller speaks or asks for another language."
            .to_owned(),
        parameters: r#"{"type":"object","properties":{"language":{"type":"string","description":"BCP 47 tag, for example de or en-GB"}},"required":["language"],"additionalProperties":false}"#
            .to_owned(),
    }
}

impl Dialogue {
    /// Carries out the tool. Returns what the model reads, and whether it is an error.
    pub(super) fn language_tool(&mut self, fx: &mut Effects, arguments: &str) -> (String, bool) {
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        match arguments["language"].as_str().map(str::trim).filter(|tag| is_language_tag(tag)) {
            Some(tag) => {
                self.set_language(fx, tag);
                (format!("The conversation is in {tag} from now on. Answer in that language."), false)
            }
            None => ("`language` should be a BCP 47 tag, for example de or en-GB".to_owned(), true),
        }
    }

    fn set_language(&mut self, fx: &mut Effects, tag: &str) {
        if self.language.eq_ignore_ascii_case(tag) {
            return;
        }
        let from = std::mem::replace(&mut self.language, tag.to_owned());
        fx.turn_event(EventType::LanguageChanged, json!({ "from": from, "to": tag }));
        self.ears.speak(fx, tag);
    }
}
