//! `slots`: what an agent collects of a caller, how it is checked, confirmed and kept, and who may have it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::menu::{MenuAction, is_name};

/// Most slots of an agent: the model is told of all of them in every request.
pub const MOST_SLOTS: usize = 32;
/// Most digits of a slot that is made of them: a card number has 19, and so has no other number that people read out.
pub const MOST_DIGITS: u32 = 32;

/// Something an agent collects of a caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// Name: letters, digits and `_`, 1..=40 characters, unique among the agent's. Filled, it is the variable
    /// `{slot.<name>}`.
    pub name: String,
    /// What it is, and with it how it is checked, written down and read back.
    pub kind: SlotKind,
    /// How it is asked for; said by the gateway where keys are collected, told to the model where words are.
    #[serde(default)]
    pub prompt: String,
    /// Whether the agent needs it.
    #[serde(default = "yes")]
    pub required: bool,
    /// What it takes before it counts.
    #[serde(default)]
    pub confirm: SlotConfirm,
    /// How often the caller may give it wrongly, 1..=10.
    #[serde(default = "three")]
    pub attempts: u32,
    /// What is done when it was given wrongly that often; without it the conversation goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<MenuAction>,
    /// Makes it secret: it is collected by keys and concealed from everybody but those named here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure: Option<SecureSlot>,
    /// Longest wait for a key, 1000..=60000 ms.
    #[serde(default = "ten_seconds")]
    pub key_wait_ms: u32,
}

const fn yes() -> bool {
    true
}

const fn three() -> u32 {
    3
}

const fn ten_seconds() -> u32 {
    10_000
}

/// Who may have the value of a secret slot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecureSlot {
    /// Tools, by the name the model calls them by, whose arguments may hold it: the gateway puts it where the model
    /// wrote `{{secure:<name>}}`.
    pub tools: Vec<String>,
}

/// What a slot holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SlotKind {
    /// Anything, as it was said.
    Text,
    /// A person's or company's name, said or spelt.
    Name,
    /// An e-mail address.
    Email,
    /// A telephone number, 5 to 15 digits (E.164), perhaps with a `+`.
    Phone,
    /// Digits.
    Digits {
        /// Fewest, 1..=32.
        min: u32,
        /// Most, `min`..=32; with the last of them the entry is over.
        max: u32,
    },
    /// A day, kept as `2026-05-31` (ISO 8601).
    Date,
    /// A time of day, kept as `17:30`.
    Time,
    /// A number.
    Number,
    /// One of a list, whatever its case.
    Choice {
        /// The list, 1..=64.
        options: Vec<String>,
    },
    /// `yes` or `no`.
    YesNo,
    /// A postal code.
    PostalCode {
        /// ISO 3166 code of its country, such as `DE`; without it any letters and digits, 3..=10.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        country: Option<String>,
    },
    /// A payment card's number: 12 to 19 digits with the check digit of ISO/IEC 7812 (Luhn).
    CardNumber,
    /// A card's expiry, month and year as four digits, that has not passed.
    CardExpiry,
    /// An international bank account number with its check digits (ISO 13616).
    Iban,
    /// Letters and digits that fit a pattern.
    Custom {
        /// The pattern, 1..=64 characters: `9` stands for a digit, `A` for a letter, `X` for either, any other
        /// character for itself; those that are no letter or digit need not be said.
        pattern: String,
    },
}

impl SlotKind {
    /// Its name, as in the agent and in events.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Name => "name",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Digits { .. } => "digits",
            Self::Date => "date",
            Self::Time => "time",
            Self::Number => "number",
            Self::Choice { .. } => "choice",
            Self::YesNo => "yes_no",
            Self::PostalCode { .. } => "postal_code",
            Self::CardNumber => "card_number",
            Self::CardExpiry => "card_expiry",
            Self::Iban => "iban",
            Self::Custom { .. } => "custom",
        }
    }

    /// Fewest and most keys of a telephone that make one, when keys can.
    #[must_use]
    pub const fn keys(&self) -> Option<(u32, u32)> {
        match self {
            Self::Digits { min, max } => Some((*min, *max)),
            Self::Phone => Some((5, 15)),
            Self::CardNumber => Some((12, 19)),
            Self::CardExpiry | Self::Time => Some((4, 4)),
            Self::Date => Some((8, 8)),
            Self::Number => Some((1, 12)),
            Self::PostalCode { .. } => Some((3, 10)),
            Self::YesNo => Some((1, 1)),
            Self::Text | Self::Name | Self::Email | Self::Choice { .. } | Self::Iban | Self::Custom { .. } => None,
        }
    }

    /// Whether it can be secret: what keys make and checks alone decide.
    #[must_use]
    pub const fn may_be_secret(&self) -> bool {
        matches!(self, Self::Digits { .. } | Self::CardNumber | Self::CardExpiry)
    }
}

/// What it takes before a slot's value counts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SlotConfirm {
    /// That it is valid.
    #[default]
    Never,
    /// That it is read back and the caller says yes to it.
    Readback,
    /// That the caller gives it twice.
    DoubleEntry,
}

/// What is wrong with an agent's slots, each with its RFC 6901 pointer and what was expected.
pub(crate) fn problems(slots: &[Slot]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if slots.len() > MOST_SLOTS {
        found.push(("/slots".to_owned(), format!("expected at most {MOST_SLOTS}")));
    }
    let mut names = BTreeSet::new();
    for (at, slot) in slots.iter().enumerate() {
        let mut expect = |holds: bool, field: &str, message: &str| {
            if !holds {
                found.push((format!("/slots/{at}/{field}"), message.to_owned()));
            }
        };
        expect(is_name(&slot.name), "name", "expected 1 to 40 letters, digits or `_`");
        expect(names.insert(slot.name.as_str()), "name", "expected a name that no other slot has");
        expect(slot.prompt.len() <= 1000, "prompt", "expected at most 1000 bytes");
        expect((1..=10).contains(&slot.attempts), "attempts", "expected 1 to 10");
        expect((1000..=60_000).contains(&slot.key_wait_ms), "key_wait_ms", "expected 1000 to 60000");
        match &slot.kind {
            SlotKind::Digits { min, max } => {
                expect(*min >= 1 && min <= max && *max <= MOST_DIGITS, "kind/digits", "expected 1 <= min <= max <= 32")
            }
            SlotKind::Choice { options } => expect(
                (1..=64).contains(&options.len()) && options.iter().all(|option| (1..=100).contains(&option.len())),
                "kind/choice/options",
                "expected 1 to 64 of 1 to 100 bytes",
            ),
            SlotKind::PostalCode { country: Some(country) } => expect(
                country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase()),
                "kind/postal_code/country",
                "expected two capital letters of ISO 3166, such as `DE`",
            ),
            SlotKind::Custom { pattern } => expect(
                (1..=64).contains(&pattern.chars().count()),
                "kind/custom/pattern",
                "expected 1 to 64 characters",
            ),
            _ => {}
        }
        if let Some(secure) = &slot.secure {
            expect(slot.kind.may_be_secret(), "secure", "expected a kind of digits, card_number or card_expiry");
            let tools = (1..=8).contains(&secure.tools.len()) && secure.tools.iter().all(|tool| !tool.is_empty());
            expect(tools, "secure/tools", "expected 1 to 8 names of tools; nobody else gets the value");
            expect(!slot.prompt.is_empty(), "prompt", "expected a line: the gateway itself asks for a secret");
            let confirm = slot.confirm != SlotConfirm::Readback;
            expect(confirm, "confirm", "a secret slot is not read back; expected `never` or `double_entry`");
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(text: &str) -> Vec<Slot> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_slot_is_a_name_and_a_kind() {
        let slots = slots(r#"[{"name":"mail","kind":"email"},{"name":"pin","kind":{"digits":{"min":4,"max":4}}}]"#);
        assert_eq!(problems(&slots), []);
        assert!(slots[0].required && slots[0].attempts == 3 && slots[1].kind.keys() == Some((4, 4)));
        assert!(serde_json::from_str::<Slot>(r#"{"name":"a","kind":"e-mail"}"#).is_err());
    }

    #[test]
    fn what_cannot_be_collected_is_named() {
        let slots = slots(
            r#"[{"name":"a b","kind":"text","attempts":0},{"name":"p","kind":{"digits":{"min":5,"max":4}}},
                {"name":"p","kind":"email","secure":{"tools":[]},"confirm":"readback"}]"#,
        );
        let pointers: Vec<String> = problems(&slots).into_iter().map(|(pointer, _)| pointer).collect();
        assert_eq!(
            pointers,
            [
                "/slots/0/name",
                "/slots/0/attempts",
                "/slots/1/kind/digits",
                "/slots/2/name",
                "/slots/2/secure",
                "/slots/2/secure/tools",
                "/slots/2/prompt",
                "/slots/2/confirm"
            ]
        );
    }
}
