//! A route: which calls go to which agent, at which hours, and who takes them when that one cannot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dialled::Pattern;
use crate::hours::Hours;
use crate::id::Id;

/// Most headers that a route may ask for.
pub const MOST_HEADERS: usize = 8;
/// Most targets behind the first.
pub const MOST_OVERFLOW: usize = 8;

/// A route's body: what is called over which trunk goes to which agent. Everything that it says must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
pub struct RouteBody {
    /// Name.
    pub name: String,
    /// Lower is tried first.
    #[serde(default)]
    pub order: u32,
    /// Only calls of this trunk.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    #[schemars(with = "Option<String>")]
    pub trunk: Option<Id>,
    /// Called number or URI user: exact, `prefix*`, `/regular expression/` over the whole of it, or `*`. Where the trunk
    /// has a `numbering`, a number is `+49...` however it was dialled.
    #[serde(default = "any")]
    pub called: String,
    /// Calling number: exact, `prefix*`, `/regular expression/`, or `*`.
    #[serde(default = "any")]
    pub calling: String,
    /// What headers of the INVITE must say, by name: exact, `prefix*`, `/regular expression/`, or `*` for one that is
    /// there. `X-` headers, `P-Asserted-Identity`, `Remote-Party-ID`, `Diversion`, `User-to-User` and `User-Agent`; at
    /// most 8.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// When it takes calls.
    #[serde(default, skip_serializing_if = "Hours::is_default")]
    pub hours: Hours,
    /// The agent that answers.
    #[schema(value_type = String)]
    #[schemars(with = "String")]
    pub agent: Id,
    /// Most calls of that agent at once, on a gateway, beyond which `overflow` takes them; 0 means no limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_calls: u32,
    /// Who answers when the agent is at `max_calls` or cannot: the first that can. When none can, the next route is
    /// tried. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overflow: Vec<OverflowTarget>,
}

/// Who answers instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OverflowTarget {
    /// The agent.
    #[schema(value_type = String)]
    #[schemars(with = "String")]
    pub agent: Id,
    /// Most calls of that agent at once; 0 means no limit.
    #[serde(default)]
    pub max_calls: u32,
}

impl RouteBody {
    /// What is out of range, each with its RFC 6901 pointer and what was expected.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (name, text) in [("called", &self.called), ("calling", &self.calling)] {
            if let Err(error) = text.parse::<Pattern>() {
                found.push((format!("/{name}"), error.to_string()));
            }
        }
        if self.headers.len() > MOST_HEADERS {
            found.push(("/headers".to_owned(), format!("expected at most {MOST_HEADERS}")));
        }
        for (name, text) in self.headers.iter().take(MOST_HEADERS) {
            let pointer = format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"));
            if !is_header_name(name) {
                found.push((pointer, "expected the name of a header, such as `X-Campaign`".to_owned()));
            } else if let Err(error) = text.parse::<Pattern>() {
                found.push((pointer, error.to_string()));
            }
        }
        found.extend(self.hours.problems().into_iter().map(|(pointer, message)| (pointer, message.to_owned())));
        if self.overflow.len() > MOST_OVERFLOW {
            found.push(("/overflow".to_owned(), format!("expected at most {MOST_OVERFLOW}")));
        }
        for (at, target) in self.overflow.iter().enumerate().take(MOST_OVERFLOW) {
            let before = self.overflow.iter().take(at).any(|other| other.agent == target.agent);
            if before || target.agent == self.agent {
                let message = "expected an agent that does not come before it in this route".to_owned();
                found.push((format!("/overflow/{at}/agent"), message));
            }
        }
        found
    }
}

/// Whether a text is a token (RFC 3261 25.1) of at most 64 characters.
fn is_header_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(token)
}

fn any() -> String {
    "*".to_owned()
}

const fn is_zero(value: &u32) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(more: serde_json::Value) -> RouteBody {
        let mut body = serde_json::json!({ "name": "r", "agent": format!("agt_{}", "0".repeat(26)) });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn what_a_route_cannot_match_by_is_named() {
        let plain = route(serde_json::json!({}));
        assert_eq!(plain.problems(), []);
        let text = serde_json::to_value(&plain).unwrap();
        assert_eq!(text.as_object().unwrap().len(), 6, "what was not chosen is not written: {text}");
        let agent = format!("agt_{}", "0".repeat(26));
        let other = format!("agt_{}1", "0".repeat(25));
        let wrong = route(serde_json::json!({
            "called": "/(/", "calling": "a*b",
            "headers": { "X Y": "*", "X-A": "a b" },
            "hours": { "open": ["Mon"] },
            "overflow": [{ "agent": other }, { "agent": agent }, { "agent": other }],
        }));
        let pointers: Vec<String> = wrong.problems().into_iter().map(|(pointer, _)| pointer).collect();
        let expected =
            ["called", "calling", "headers/X Y", "headers/X-A", "hours/open/0", "overflow/1/agent", "overflow/2/agent"];
        assert_eq!(pointers, expected.map(|name| format!("/{name}")));
    }
}
