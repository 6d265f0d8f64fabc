//! Menus: a prompt, a key, an action. They need neither a recogniser nor a model; keys that come before a prompt was heard
//! count, and so do words where the menu takes them.

use std::sync::Arc;

use serde_json::json;
use trunkline_api::EventType;
use trunkline_api::menu::{Menu, MenuAction, MenuOption};
use trunkline_api::usage::EndReason;
use trunkline_api::words::RedactionChannel;

use super::keypad::{Place, Then};
use super::{Dialogue, Effects};
use crate::timers::Reason;

/// Stands for a key in a timeline whose words are redacted.
const HIDDEN: &str = "x";

/// The menu the caller is in.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) name: String,
    /// Words may choose, too.
    pub(super) words: bool,
    /// How often nothing was chosen.
    attempts: u32,
}

impl Open {
    fn new(name: &str, menu: &Menu) -> Self {
        Self { name: name.to_owned(), words: menu.words, attempts: 0 }
    }
}

impl Dialogue {
    /// Whether the call begins in a menu.
    pub(super) fn starts_in_menu(&self) -> bool {
        self.spec.start.strip_prefix("menu:").is_some_and(|menu| self.spec.menus.contains_key(menu))
    }

    /// Opens the menu that the call begins in.
    pub(super) fn begin_in_menu(&mut self, fx: &mut Effects) {
        let spec = Arc::clone(&self.spec);
        self.open_menu(fx, spec.start.strip_prefix("menu:").unwrap_or_default());
    }

    /// The caller is in that menu now, and hears its prompt. A menu that is not there is the conversation.
    pub(super) fn open_menu(&mut self, fx: &mut Effects, name: &str) {
        let spec = Arc::clone(&self.spec);
        let Some(menu) = spec.menus.get(name) else {
            self.hand_to_agent(fx, "", "");
            return;
        };
        self.go_to(fx, Place::Menu(Open::new(name, menu)));
        fx.turn_event(EventType::MenuOpened, json!({ "menu": name }));
        self.tell(fx, &menu.prompt);
        self.mouth.finish(fx);
    }

    /// The prompt of the menu again: its sound was lost.
    pub(super) fn menu_again(&mut self, fx: &mut Effects) {
        let spec = Arc::clone(&self.spec);
        if let Place::Menu(open) = &self.keypad.place
            && let Some(menu) = spec.menus.get(&open.name)
        {
            fx.clear(Reason::KeysWait);
            self.tell(fx, &menu.prompt);
            self.mouth.finish(fx);
        }
    }

    /// A key in a menu.
    pub(super) fn menu_key(&mut self, fx: &mut Effects, key: char) {
        let spec = Arc::clone(&self.spec);
        let Place::Menu(open) = &self.keypad.place else { return };
        let Some(menu) = spec.menus.get(&open.name) else { return };
        match menu.options.iter().find(|option| option.key.chars().eq([key])) {
            Some(option) => self.chosen(fx, option),
            None => self.menu_unanswered(fx, true),
        }
    }

    /// Words in a menu.
    pub(super) fn menu_words(&mut self, fx: &mut Effects, words: &str) {
        let spec = Arc::clone(&self.spec);
        let Place::Menu(open) = &self.keypad.place else { return };
        let Some(menu) = spec.menus.get(&open.name) else { return };
        // Keys that were pressed beside the words are written as the conversation writes them.
        let mut options = menu.options.iter().filter(|option| names(option, words));
        match (options.next(), options.next()) {
            (Some(option), None) => self.chosen(fx, option),
            _ => self.menu_unanswered(fx, true),
        }
    }

    /// Nothing was chosen: the caller was silent, or chose what there is not (`invalid`).
    pub(super) fn menu_unanswered(&mut self, fx: &mut Effects, invalid: bool) {
        let spec = Arc::clone(&self.spec);
        let Place::Menu(open) = &mut self.keypad.place else { return };
        let Some(menu) = spec.menus.get(&open.name) else { return };
        open.attempts += 1;
        let (attempts, name) = (open.attempts, open.name.clone());
        fx.clear(Reason::KeysWait);
        let data = json!({ "menu": name, "attempt": attempts, "invalid": invalid });
        fx.turn_event(EventType::MenuUnanswered, data);
        if attempts <= menu.retries {
            if invalid {
                self.tell(fx, &menu.invalid_say);
            }
            self.tell(fx, &menu.prompt);
            self.mouth.finish(fx);
            return;
        }
        let goodbye = MenuAction::HangUp { text: spec.survival.goodbye.clone() };
        let action = menu.on_timeout.as_ref().unwrap_or(&goodbye);
        fx.turn_event(EventType::MenuChosen, json!({ "menu": name, "action": action.name() }));
        self.act_on(fx, None, action);
    }

    /// Carries out what an option does, or what a menu or a slot does that has none left.
    pub(super) fn act_on(&mut self, fx: &mut Effects, chosen: Option<&MenuOption>, action: &MenuAction) {
        let here = match &self.keypad.place {
            Place::Menu(open) => open.name.clone(),
            Place::Conversation | Place::Entry(_) | Place::Message(_) => String::new(),
        };
        match action {
            MenuAction::Say { text, then } => {
                let then = if then.is_empty() { &here } else { then };
                if then.is_empty() {
                    self.hand_to_agent(fx, text, "");
                    return;
                }
                self.tell(fx, text);
                self.open_menu(fx, then);
            }
            MenuAction::Repeat => self.open_menu(fx, &here),
            MenuAction::Menu { menu } => self.open_menu(fx, menu),
            MenuAction::Transfer { to } => self.transfer(fx, to),
            MenuAction::HangUp { text } => {
                self.go_to(fx, Place::Conversation);
                let line = self.with_variables(fx.now(), text);
                fx.close(&line, EndReason::AgentHungUp, None, false);
            }
            MenuAction::Collect { slot, then } => match self.spec.slots.iter().position(|known| known.name == *slot) {
                Some(slot) => self.begin_entry(fx, slot, Then::of(then)),
                None => self.hand_to_agent(fx, "", ""),
            },
            MenuAction::Agent { text } => {
                let note = match chosen {
                    Some(option) => format!("[menu {here}: {} {}]", option.key, option.label),
                    None => format!("[menu {here}: nothing chosen]"),
                };
                self.hand_to_agent(fx, text, if here.is_empty() { "" } else { &note });
            }
            MenuAction::Record { text, max_s, then } => self.begin_message(fx, text, *max_s, then),
            MenuAction::SetVariable { name, value, then } => {
                self.variables.insert(name.clone(), value.clone());
                let note = chosen.map(|option| format!("[menu {here}: {} {}]", option.key, option.label));
                self.go_on_with(fx, &Then::of(then), &note.unwrap_or_default());
            }
        }
    }

    /// Transfers the caller. What cannot be transferred is told that nobody is there and hung up.
    pub(super) fn transfer(&mut self, fx: &mut Effects, to: &str) {
        self.leave_keypad(fx);
        self.author_transfers(fx, to);
    }

    /// Whoever is in a menu, an entry or a message is passed on: the menu is come back to where nobody can think.
    pub(super) fn leave_keypad(&mut self, fx: &mut Effects) {
        if let Place::Menu(open) = &self.keypad.place {
            self.keypad.back_to = Some(open.name.clone());
        }
        self.go_to(fx, Place::Conversation);
    }

    fn chosen(&mut self, fx: &mut Effects, option: &MenuOption) {
        let Place::Menu(open) = &self.keypad.place else { return };
        let menu = open.name.clone();
        fx.clear(Reason::KeysWait);
        let action = option.action.name();
        let data = if fx.redacts(RedactionChannel::Transcript) {
            json!({ "menu": menu, "key": HIDDEN, "action": action })
        } else {
            json!({ "menu": menu, "key": option.key, "label": option.label, "action": action })
        };
        fx.turn_event(EventType::MenuChosen, data);
        self.variables.insert(format!("menu.{menu}"), option.label.clone());
        self.act_on(fx, Some(option), &option.action);
    }
}

/// Whether words name an option: its label, one of its words, or its key, alone or among others.
fn names(option: &MenuOption, words: &str) -> bool {
    let said = bare(words);
    let one_of = |name: &str| {
        let name = bare(name);
        !name.trim().is_empty() && said.contains(&name)
    };
    let pressed = words.contains(&format!("[DTMF {}]", option.key));
    pressed || one_of(&option.label) || option.words.iter().any(|words| one_of(words)) || one_of(&option.key)
}

/// Words in lower case, with a space before and behind each.
fn bare(text: &str) -> String {
    let mut words = " ".to_owned();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        words.extend(word.chars().flat_map(char::to_lowercase));
        words.push(' ');
    }
    words
}
