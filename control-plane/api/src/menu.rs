//! `menus`: choices by keys, which need neither a recogniser nor a model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::slots::Slot;

/// Most menus of an agent.
pub const MOST_MENUS: usize = 64;
/// Most options of a menu: there are no more keys.
pub const MOST_OPTIONS: usize = 16;

/// A choice by keys, and by words where there is a recogniser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Menu {
    /// What is said; a key interrupts it.
    pub prompt: String,
    /// What may be chosen.
    pub options: Vec<MenuOption>,
    /// Silence after the prompt for which a choice is waited for, 1000..=60000 ms.
    #[serde(default = "eight_seconds")]
    pub timeout_ms: u32,
    /// How often the prompt is said again after silence or a key that stands for nothing, 0..=10.
    #[serde(default = "two")]
    pub retries: u32,
    /// Said before that when the key stood for nothing.
    #[serde(default)]
    pub invalid_say: String,
    /// What is done after that; without it the call ends with `survival.goodbye`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<MenuAction>,
    /// Whether an option may be said as well, by its label or one of its words.
    #[serde(default)]
    pub words: bool,
}

const fn eight_seconds() -> u32 {
    8000
}

const fn two() -> u32 {
    2
}

/// An option of a menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MenuOption {
    /// One of `0`-`9`, `*`, `#`, `A`-`D`.
    pub key: String,
    /// What it is, for the timeline and for the model.
    pub label: String,
    /// Other ways to say it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// What is done.
    pub action: MenuAction,
}

/// What an option of a menu does. `then` names the menu that follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum MenuAction {
    /// Say a line and go on with `then`, or with the menu it was chosen in.
    Say {
        /// The line.
        text: String,
        /// The menu that follows.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        then: String,
    },
    /// Say the prompt again.
    Repeat,
    /// Open a menu.
    Menu {
        /// Which.
        menu: String,
    },
    /// Transfer to a human.
    Transfer {
        /// Number or SIP URI.
        to: String,
    },
    /// Say a line, when not empty, and hang up.
    HangUp {
        /// The line.
        #[serde(default)]
        text: String,
    },
    /// Have a slot filled by keys and go on with `then`, or with the agent.
    Collect {
        /// Which.
        slot: String,
        /// The menu that follows.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        then: String,
    },
    /// Hand the caller to the agent, who is told what was chosen.
    Agent {
        /// Said first; without it the agent itself begins.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        text: String,
    },
    /// Record a message until a key is pressed, and go on with `then`, or hang up.
    Record {
        /// Said before.
        #[serde(default)]
        text: String,
        /// Its greatest length, 5..=600 seconds.
        #[serde(default = "two_minutes")]
        max_s: u32,
        /// The menu that follows.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        then: String,
    },
    /// Set a variable and go on with `then`, or with the agent.
    SetVariable {
        /// Which.
        name: String,
        /// Its value.
        value: String,
        /// The menu that follows.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        then: String,
    },
}

const fn two_minutes() -> u32 {
    120
}

impl MenuAction {
    /// Its name, as in the agent and in events.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Say { .. } => "say",
            Self::Repeat => "repeat",
            Self::Menu { .. } => "menu",
            Self::Transfer { .. } => "transfer",
            Self::HangUp { .. } => "hang_up",
            Self::Collect { .. } => "collect",
            Self::Agent { .. } => "agent",
            Self::Record { .. } => "record",
            Self::SetVariable { .. } => "set_variable",
        }
    }

    /// The menu it leads to, when it names one.
    #[must_use]
    pub fn leads_to(&self) -> Option<&str> {
        let menu = match self {
            Self::Menu { menu } => return Some(menu),
            Self::Say { then, .. }
            | Self::Collect { then, .. }
            | Self::Record { then, .. }
            | Self::SetVariable { then, .. } => then,
            Self::Repeat | Self::Transfer { .. } | Self::HangUp { .. } | Self::Agent { .. } => return None,
        };
        (!menu.is_empty()).then_some(menu)
    }

    /// The line it says, when it has one.
    #[must_use]
    pub fn line(&self) -> Option<&str> {
        match self {
            Self::Say { text, .. } | Self::HangUp { text } | Self::Agent { text } | Self::Record { text, .. } => {
                (!text.is_empty()).then_some(text)
            }
            Self::Repeat
            | Self::Menu { .. }
            | Self::Transfer { .. }
            | Self::Collect { .. }
            | Self::SetVariable { .. } => None,
        }
    }

    fn problem(&self, menus: &BTreeMap<String, Menu>, slots: &[Slot]) -> Option<String> {
        if let Some(menu) = self.leads_to()
            && !menus.contains_key(menu)
        {
            return Some(format!("there is no menu `{menu}`"));
        }
        if self.line().is_some_and(|line| line.len() > 4096) {
            return Some("expected a line of at most 4096 bytes".to_owned());
        }
        match self {
            Self::Collect { slot, .. } => match slots.iter().find(|known| known.name == *slot) {
                None => Some(format!("there is no slot `{slot}`")),
                Some(known) if known.kind.keys().is_none() => {
                    Some(format!("slot `{slot}` cannot be made of keys; have the agent ask for it"))
                }
                Some(known) if known.prompt.is_empty() => {
                    Some(format!("slot `{slot}` has no `prompt`, and keys are asked for by the gateway"))
                }
                Some(_) => None,
            },
            Self::Transfer { to } if to.is_empty() => Some("expected a number or SIP URI in `to`".to_owned()),
            Self::Record { max_s, .. } if !(5..=600).contains(max_s) => Some("expected 5 to 600 in `max_s`".to_owned()),
            Self::SetVariable { name, value, .. } if !(1..=100).contains(&name.len()) || value.len() > 1000 => {
                Some("expected a name of 1 to 100 bytes and a value of at most 1000".to_owned())
            }
            _ => None,
        }
    }
}

/// Whether it may be the name of a menu or slot.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// What is wrong with an agent's menus, with its beginning, and with what slots do, each with its RFC 6901 pointer and what
/// was expected.
pub(crate) fn problems(
    menus: &BTreeMap<String, Menu>,
    start: &str,
    survival: Option<&str>,
    slots: &[Slot],
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if menus.len() > MOST_MENUS {
        found.push(("/menus".to_owned(), format!("expected at most {MOST_MENUS}")));
    }
    for (name, menu) in menus {
        let mut expect = |problem: Option<String>, field: &str| {
            found.extend(problem.map(|message| (format!("/menus/{name}{field}"), message)));
        };
        let unless = |holds: bool, message: &str| (!holds).then(|| message.to_owned());
        expect(unless(is_name(name), "expected a name of 1 to 40 letters, digits or `_`"), "");
        expect(unless((1..=4096).contains(&menu.prompt.len()), "expected 1 to 4096 bytes"), "/prompt");
        expect(unless(menu.invalid_say.len() <= 1000, "expected at most 1000 bytes"), "/invalid_say");
        expect(unless((1000..=60_000).contains(&menu.timeout_ms), "expected 1000 to 60000"), "/timeout_ms");
        expect(unless(menu.retries <= 10, "expected 0 to 10"), "/retries");
        expect(unless((1..=MOST_OPTIONS).contains(&menu.options.len()), "expected 1 to 16"), "/options");
        for (at, option) in menu.options.iter().enumerate() {
            let key = option.key.chars().all(|key| matches!(key, '0'..='9' | '*' | '#' | 'A'..='D'));
            let key = unless(key && option.key.len() == 1, "expected one of the keys 0 to 9, *, # and A to D");
            expect(key, &format!("/options/{at}/key"));
            let taken = menu.options.iter().take(at).any(|other| other.key == option.key);
            expect(unless(!taken, "expected a key that no option before it has"), &format!("/options/{at}/key"));
            let label = unless((1..=100).contains(&option.label.len()), "expected 1 to 100 bytes");
            expect(label, &format!("/options/{at}/label"));
            let words = option.words.len() <= 20 && option.words.iter().all(|words| (1..=100).contains(&words.len()));
            expect(unless(words, "expected at most 20 of 1 to 100 bytes"), &format!("/options/{at}/words"));
            expect(option.action.problem(menus, slots), &format!("/options/{at}/action"));
        }
        expect(menu.on_timeout.as_ref().and_then(|action| action.problem(menus, slots)), "/on_timeout");
    }
    for (at, slot) in slots.iter().enumerate() {
        let problem = slot.on_failure.as_ref().and_then(|action| match action {
            MenuAction::Repeat => Some("a slot has no prompt of a menu to repeat".to_owned()),
            action => action.problem(menus, slots),
        });
        found.extend(problem.map(|message| (format!("/slots/{at}/on_failure"), message)));
    }
    if !start.is_empty() && !start.strip_prefix("menu:").is_some_and(|menu| menus.contains_key(menu)) {
        found.push(("/start".to_owned(), "expected `menu:` and the name of a menu, or nothing".to_owned()));
    }
    if survival.is_some_and(|menu| !menu.is_empty() && !menus.contains_key(menu)) {
        found.push(("/survival/menu".to_owned(), "expected the name of a menu, or nothing".to_owned()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_menu_that_leads_nowhere_is_refused_where_it_does() {
        let menus: BTreeMap<String, Menu> = serde_json::from_str(
            r#"{"main":{"prompt":"One for sales.","options":[
                {"key":"1","label":"sales","action":{"action":"menu","menu":"sales"}},
                {"key":"1","label":"card","action":{"action":"collect","slot":"card"}}]}}"#,
        )
        .unwrap();
        let found = problems(&menus, "menu:other", Some("gone"), &[]);
        let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/menus/main/options/0/action",
                "/menus/main/options/1/key",
                "/menus/main/options/1/action",
                "/start",
                "/survival/menu"
            ]
        );
        assert_eq!((menus["main"].timeout_ms, menus["main"].retries, menus["main"].words), (8000, 2, false));
    }
}
