//! Placeholders of a reply: `{heard}`, `{turn}`, `{dtmf}`, `{digits}`, `{tool_output}` and `{var:NAME}`.

use std::collections::BTreeMap;

use serde_json::Value;
use trunkline_plugin_kit::ProviderError;

use crate::heard::Heard;

/// What placeholders are filled from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    /// The request.
    pub(crate) heard: &'a Heard,
    /// The script's variables.
    pub(crate) variables: &'a BTreeMap<String, String>,
}

impl Context<'_> {
    /// Fills a text's placeholders in; a doubled brace is a brace.
    ///
    /// # Errors
    /// `invalid-settings` naming a placeholder that does not exist or is not closed.
    pub(crate) fn fill(&self, template: &str) -> Result<String, ProviderError> {
        let mut text = String::with_capacity(template.len());
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            let after = &rest[at + 1..];
            if let Some(literal) = after.strip_prefix(brace) {
                text.push_str(brace);
                rest = literal;
                continue;
            }
            let name = after.split_once('}').filter(|_| brace == "{");
            let Some((name, tail)) = name else {
                return Err(ProviderError::invalid_settings(format!(
                    "the script has an unmatched `{brace}` in {template:?}; write `{brace}{brace}` for a literal one"
                )));
            };
            text.push_str(&self.value(name)?);
            rest = tail;
        }
        text.push_str(rest);
        Ok(text)
    }

    /// Fills the placeholders of every string in a JSON value in.
    ///
    /// # Errors
    /// As [`Context::fill`].
    pub(crate) fn fill_json(&self, value: &Value) -> Result<Value, ProviderError> {
        Ok(match value {
            Value::String(text) => Value::String(self.fill(text)?),
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.fill_json(item)).collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(name, field)| Ok((name.clone(), self.fill_json(field)?)))
                    .collect::<Result<_, ProviderError>>()?,
            ),
            Value::Null => Value::Object(serde_json::Map::new()),
            Value::Bool(_) | Value::Number(_) => value.clone(),
        })
    }

    fn value(&self, name: &str) -> Result<String, ProviderError> {
        let known = match name {
            "heard" => Some(self.heard.text.trim_end_matches(['.', '!', '?']).to_owned()),
            "turn" => Some(self.heard.turn.to_string()),
            "dtmf" => Some(self.heard.dtmf.clone()),
            "digits" => Some(self.heard.digits()),
            "tool_output" => Some(self.heard.tool.as_ref().map(|(_, output)| output.clone()).unwrap_or_default()),
            _ => name.strip_prefix("var:").and_then(|name| self.variables.get(name)).cloned(),
        };
        known.ok_or_else(|| {
            ProviderError::invalid_settings(format!(
                "the script uses {{{name}}}, which is neither a placeholder (heard, turn, dtmf, digits, tool_output) \
                 nor a variable set under `variables` (var:NAME)"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(template: &str) -> Result<String, ProviderError> {
        let heard = Heard { text: "my balance.".to_owned(), turn: 2, ..Heard::default() };
        let variables = BTreeMap::from([("name".to_owned(), "Ada".to_owned())]);
        Context { heard: &heard, variables: &variables }.fill(template)
    }

    #[test]
    fn fills_what_was_heard_and_variables() {
        assert_eq!(fill("{var:name}, turn {turn}: {heard}!").unwrap(), "Ada, turn 2: my balance!");
        assert_eq!(fill("{{literal}}").unwrap(), "{literal}");
    }

    #[test]
    fn names_a_placeholder_that_does_not_exist() {
        assert!(fill("{hear}").unwrap_err().message.contains("{hear}"));
        assert!(fill("{var:age}").unwrap_err().message.contains("{var:age}"));
        assert!(fill("open {heard").unwrap_err().message.contains("unmatched"));
        assert!(fill("close }").unwrap_err().message.contains("unmatched"));
    }
}
